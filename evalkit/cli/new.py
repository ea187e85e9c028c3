"""`evalkit new FOLDER`: a commented study file and small tables that run."""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.screen import output
from evalkit.errors import OptionError


def new(folder: Path = typer.Argument(help="A new folder for the study.")) -> None:
    """Write a commented study.toml and small made-up tables to start from."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{str(folder)!r} is there already and is not empty. Name a new folder.")
    from evalkit.cli.starter import write_starter

    file = write_starter(folder)
    screen = output()
    screen.print(f"Wrote {file} and its tables. They run as they are; put your own in their place.", soft_wrap=True)
    screen.print("Next:", soft_wrap=True)
    screen.print(f"  evalkit audit {file}    (what can be told apart; reads no outcome)", soft_wrap=True)
    screen.print(f"  evalkit plan {file}    (fixes what will be asked, before outcomes are read)", soft_wrap=True)
    screen.print(f"  evalkit run {file} --out reports/{folder.resolve().name}", soft_wrap=True)
