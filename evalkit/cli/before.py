"""`evalkit audit STUDY` and `evalkit plan STUDY`: what can be said and fixed before any outcome is read."""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.screen import output, steps
from evalkit.show.words import count_words


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


def plan(
    study: Path = typer.Argument(help="A study file, or the folder that holds study.toml."),
    out: Path | None = typer.Option(None, "--out", help="File of the plan. Default: plan.json beside the study file."),
    level: float = typer.Option(0.95, help="Confidence level of the likely ranges."),
) -> None:
    """Write a plan with a hash: outcomes, components, windows and rules. No outcome is read."""
    from evalkit.reporting.plan import FILE, make_plan, write_plan
    from evalkit.study import Study

    read = Study.load(study)
    made = make_plan(read, level)
    beside = (study if study.is_dir() else study.parent) / FILE
    file = write_plan(made, out or beside)
    screen = output()
    counts = f"{count_words(len(made['outcomes']), 'outcome')}, {count_words(len(made['components']), 'component')}"
    screen.print(f"Wrote {file}: {counts}.", soft_wrap=True)
    screen.print(f"Its hash, to be kept or published: {made['sha256']}", soft_wrap=True)
