"""`evalkit new FOLDER` and `evalkit synth NAME`: a study to start from, and one whose truth is known."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

import typer

from evalkit.cli.screen import say
from evalkit.errors import OptionError
from evalkit.folders import replaced

STARTER = Path(__file__).with_name("starter")


def write_starter(folder: Path) -> Path:
    """Write study.toml, panel.csv and adoption.csv into `folder`; return the study file.

    The numbers are made up: the helpline adds 3 points from its first month, the visits add nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in STARTER.iterdir():
        copyfile(file, folder / file.name)
    return folder / "study.toml"


def new(folder: Path = typer.Argument(help="A new folder for the study.")) -> None:
    """Write a commented study.toml and small made-up tables to start from."""
    _check_new(folder)
    with replaced(folder) as draft:
        write_starter(draft)
    file = folder / "study.toml"
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
    feed: bool = typer.Option(False, "--feed", help="An event feed too, for `evalkit watch`."),
    fault: str | None = typer.Option(None, "--fault", help="What goes wrong in the feed, such as late_provider."),
    out: Path = typer.Option(..., "--out", help="A new folder for the study and, beside it, the truth."),
) -> None:
    """Write a made-up partnership whose true effects are known."""
    _check_new(out)
    from evalkit.synthetic import partnership
    from evalkit.synthetic.feed import WATCHED, event_feed, write_feed
    from evalkit.synthetic.knobs import read_knobs
    from evalkit.synthetic.portfolio import PORTFOLIO

    made = partnership(name, setting, seed, **read_knobs([*knob, *([] if size == 1 else [f"size={size}"])]))
    with replaced(out) as draft:
        file = out / made.write(draft).relative_to(draft)
        if feed or fault is not None:
            write_feed(event_feed(made, fault=fault), made, draft)
    if name == PORTFOLIO:
        count = len(list(file.iterdir()))
        say(f"Wrote {count} studies into {file}. The truth lies sealed in {out / 'truth'}.", "Next:",
            f"  evalkit card {file}/PLACE --out cards    (for each place)",
            f"  evalkit pool cards --register {out / 'register'} --out page")  # fmt: skip
        return
    say(
        f"Wrote {file} and its tables. The truth lies sealed in {out / 'truth'}.",
        "Next:",
        f"  evalkit audit {file}",
        f"  evalkit run {file} --out reports/{out.resolve().name}",
        *([f"  evalkit watch {out / WATCHED} --out reports/{out.resolve().name}-watch"] if feed or fault else []),
    )


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{str(folder)!r} is there already and is not empty. Name a new folder.")
