"""`evalkit new FOLDER` and `evalkit synth NAME`: a study to start from, and one whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evalkit.cli.screen import output
from evalkit.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

_SEED = 7
_BOROUGHS, _MONTHS = 24, 24
_NEVER = 99

STUDY_FILE = """\
# A study file: what is in the table, what is hoped to change, and which components were switched on.
# The numbers are made up. Put your own tables in place of panel.csv and adoption.csv, then mend the names below.

[study]
title = "A partnership in 24 boroughs (made-up numbers)"
question = "Which parts of the partnership raised wellbeing?"
panel = "panel.csv"        # one row a unit and period; CSV or Parquet
unit = "borough"           # who or what is followed: a person, a school, a borough
period = "month"           # whole numbers, 2024-01, 2024-01-31 or quarters
cluster = "borough"        # the groups in which people or decisions hang together

[outcomes.wellbeing]
label = "Wellbeing score"
kind = "score"             # share (0 to 1), count, score, log or money
better = "higher"
matters = 1.5              # the smallest effect worth having, set before anything is estimated

# A component that is a column of the panel: 0 while off, 1 while on.
[components.helpline]
label = "Helpline"
exposure = "helpline"
assigned_at = "borough"    # the level at which somebody decided

# A component that is a table of dates: start is the first month on, end the first month off again (empty: still on).
[components.visits]
label = "Home visits"
adoption = "adoption.csv"
assigned_at = "borough"

# Everybody had it from the first day: evalkit says that these data cannot test it.
[components.keyworker]
label = "Keyworker"
always_on = true
"""


def write_starter(folder: Path) -> Path:
    """Write study.toml, panel.csv and adoption.csv into `folder`; return the study file."""
    folder.mkdir(parents=True, exist_ok=True)
    panel, adoption = starter_tables()
    panel.to_csv(folder / "panel.csv", index=False, lineterminator="\n")
    adoption.to_csv(folder / "adoption.csv", index=False, lineterminator="\n")
    file = folder / "study.toml"
    file.write_text(STUDY_FILE, encoding="utf-8")
    return file


def starter_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """(panel, adoption): the helpline adds 3 points from its first month, the visits add nothing."""
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
    return panel, adoption


def new(folder: Path = typer.Argument(help="A new folder for the study.")) -> None:
    """Write a commented study.toml and small made-up tables to start from."""
    _check_new(folder)
    file = write_starter(folder)
    screen = output()
    screen.print(f"Wrote {file} and its tables. They run as they are; put your own in their place.", soft_wrap=True)
    screen.print("Next:", soft_wrap=True)
    screen.print(f"  evalkit audit {file}    (what can be told apart; reads no outcome)", soft_wrap=True)
    screen.print(f"  evalkit plan {file}    (fixes what will be asked, before outcomes are read)", soft_wrap=True)
    screen.print(f"  evalkit run {file} --out reports/{folder.resolve().name}", soft_wrap=True)


def _list_knobs(wanted: bool) -> None:
    if wanted:
        from evalkit.synthetic.knobs import knob_words

        for name, words in knob_words().items():
            output().print(f"{name}: {words}", highlight=False)
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
    screen = output()
    screen.print(f"Wrote {file} and its tables. The truth lies sealed in {out / 'truth'}.", soft_wrap=True)
    screen.print("Next:", soft_wrap=True)
    screen.print(f"  evalkit audit {file}", soft_wrap=True)
    screen.print(f"  evalkit run {file} --out reports/{out.resolve().name}", soft_wrap=True)


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{str(folder)!r} is there already and is not empty. Name a new folder.")
