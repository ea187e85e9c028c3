"""`evalkit new FOLDER` and `evalkit synth NAME`: a study to start from, and one whose truth is known."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

import typer

from evalkit.cli.screen import say
from evalkit.errors import OptionError

_SEED = 7
_BOROUGHS, _MONTHS = 24, 24
_NEVER = 99


def write_starter(folder: Path) -> Path:
    """Write study.toml, panel.csv and adoption.csv into `folder`; return the study file.

    The helpline adds 3 points from its first month, the visits add nothing.
    """
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(_SEED)
    names = np.array([f"Borough {i:02d}" for i in range(1, _BOROUGHS + 1)])
    months = pd.period_range("2023-01", periods=_MONTHS, freq="M").astype(str).to_numpy()
    place = np.arange(_BOROUGHS)
    helpline = np.where(place % 2 == 0, 8 + (place // 2) % 6, _NEVER)
    visits = np.where(place % 3 == 0, 10 + (place // 3) % 5, _NEVER)
    time = np.arange(_MONTHS)
    on = time[None, :] >= helpline[:, None]
    season = 1.5 * np.sin(2 * np.pi * time / 12)
    score = 60 + rng.normal(0, 4, (_BOROUGHS, 1)) + season + 3.0 * on + rng.normal(0, 1.0, (_BOROUGHS, _MONTHS))
    panel = pd.DataFrame(
        {
            "borough": np.repeat(names, _MONTHS),
            "month": np.tile(months, _BOROUGHS),
            "wellbeing": score.ravel().round(2),
            "helpline": on.ravel().astype(int),
        }
    )
    begun = visits < _NEVER
    adoption = pd.DataFrame({"level_id": names[begun], "start": months[visits[begun]], "end": ""})
    folder.mkdir(parents=True, exist_ok=True)
    panel.to_csv(folder / "panel.csv", index=False, lineterminator="\n")
    adoption.to_csv(folder / "adoption.csv", index=False, lineterminator="\n")
    return Path(copyfile(Path(__file__).with_name("starter.toml"), folder / "study.toml"))


def new(folder: Path = typer.Argument(help="A new folder for the study.")) -> None:
    """Write a commented study.toml and small made-up tables to start from."""
    _check_new(folder)
    file = write_starter(folder)
    say(
        f"Wrote {file} and its tables. They run as they are; put your own in their place.",
        "Next:",
        f"  evalkit audit {file}    (what can be told apart; reads no outcome)",
        f"  evalkit plan {file}    (fixes what will be asked, before outcomes are read)",
        f"  evalkit run {file} --out reports/{folder.resolve().name}",
    )


def _list_knobs(wanted: bool) -> None:
    if wanted:
        from evalkit.synthetic.knobs import knob_words

        say(*(f"{name}: {words}" for name, words in knob_words().items()))
        raise typer.Exit


def synth(
    name: str = typer.Argument(help="rough_sleeping, social_prescribing, carers, young_people, pupils or portfolio."),
    setting: str = typer.Option("realistic", "--setting", help="clean, realistic or hard."),
    seed: int = typer.Option(1, "--seed", help="The same seed gives the same tables everywhere."),
    size: float = typer.Option(1.0, "--size", help="Multiple of the people."),
    knob: list[str] = typer.Option([], "--knob", help="NAME=VALUE, once for each: --knob gap=2 --knob movers=0.1."),
    knobs: bool = typer.Option(False, "--knobs", callback=_list_knobs, is_eager=True, help="List the knobs and stop."),
    out: Path = typer.Option(..., "--out", help="A new folder for the study and, beside it, the truth."),
) -> None:
    """Write a made-up partnership whose true effects are known."""
    _check_new(out)
    from evalkit.synthetic import partnership
    from evalkit.synthetic.knobs import read_knobs

    made = partnership(name, setting, seed, **read_knobs([*knob, *([] if size == 1 else [f"size={size}"])]))
    file = made.write(out)
    say(
        f"Wrote {file} and its tables. The truth lies sealed in {out / 'truth'}.",
        "Next:",
        f"  evalkit audit {file}",
        f"  evalkit run {file} --out reports/{out.resolve().name}",
    )


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{str(folder)!r} is there already and is not empty. Name a new folder.")
