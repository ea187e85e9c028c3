"""`evalkit audit STUDY`: what can be told apart; opens no outcome column."""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.screen import steps


def audit(study: Path = typer.Argument(help="A study file, or the folder that holds study.toml.")) -> None:
    """Say what can be told apart from the dates alone. No outcome is read."""
    from evalkit.cli.findings import show_separability
    from evalkit.components import separability
    from evalkit.study import Study

    with steps(2) as work:
        work.begin("Reading the study")
        read = Study.load(study)
        work.begin("Working out what can be told apart")
        found = separability(read)
        work.done("Done")
    show_separability(read, found)
