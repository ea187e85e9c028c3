"""`evalkit synth NAME`: a synthetic partnership with its truth in a sealed envelope."""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.screen import output
from evalkit.errors import OptionError


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
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OptionError(f"{str(out)!r} is there already and is not empty. Name a new folder.")
    from evalkit.synthetic import partnership
    from evalkit.synthetic.knobs import read_knobs

    made = partnership(name, setting, seed, **read_knobs([*knob, *([] if size == 1 else [f"size={size}"])]))
    file = made.write(out)
    screen = output()
    screen.print(f"Wrote {file} and its tables. The truth lies sealed in {out / 'truth'}.", soft_wrap=True)
    screen.print("Next:", soft_wrap=True)
    screen.print(f"  evalkit audit {file}", soft_wrap=True)
    screen.print(f"  evalkit run {file} --out reports/{out.resolve().name}", soft_wrap=True)
