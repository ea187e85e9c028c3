"""`evalkit report FOLDER --to html,pdf,docx`: a finished report in other formats."""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.screen import output


def report(
    folder: Path = typer.Argument(help="The folder of a report."),
    to: str = typer.Option("html,pdf,docx", "--to", help="Formats, separated by commas: html, pdf, docx."),
) -> None:
    """Write a report that was made already as HTML, PDF or Word."""
    from evalkit.reporting.formats import write_formats

    for path in write_formats(folder, [name.strip() for name in to.split(",") if name.strip()]):
        output().print(f"Wrote {path}", markup=False, soft_wrap=True)
