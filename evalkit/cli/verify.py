"""`evalkit verify FOLDER`: make a report again and say what differs."""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.screen import output, steps


def verify(folder: Path = typer.Argument(help="The folder of a report.")) -> None:
    """Run a report again from its study file; exit code 1 where anything differs."""
    from evalkit.reporting.verify import verify as run_again

    with steps(1) as work:
        work.begin("Making the report again")
        found = run_again(folder)
        work.done("Done")
    screen = output()
    for line in found.lines():
        screen.print(line, markup=False, soft_wrap=True)
    if found.same:
        screen.print("The same, byte for byte, but for the time at which it was made.")
        return
    screen.print("This is not the report that the study file gives now.")
    raise typer.Exit(1)
