"""The command's frame: its commands, its version, and errors in words with exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from evalkit import __version__
from evalkit.cli.before import audit, plan
from evalkit.cli.reports import demo, report, run, verify
from evalkit.cli.screen import errors
from evalkit.cli.starters import new, synth
from evalkit.errors import EvalkitError

DEBUG = "--debug"


class _InWords(TyperGroup):
    """Says what evalkit raised on purpose in words; everything else is a fault and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EvalkitError as error:
            if ctx.params.get("debug"):
                raise
            errors().print(f"[bold]evalkit:[/bold] {_plain(error)}", highlight=False)
            raise typer.Exit(2) from None


app = typer.Typer(cls=_InWords, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (new, audit, plan, run, report, verify, demo, synth):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"evalkit {__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say the version."),
    debug: bool = typer.Option(False, DEBUG, help="Show the traceback of an error; anywhere on the line."),
) -> None:
    """Several components switched on together: which of them made a difference?"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, or 2 when the input cannot be used."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without our signs shows a question mark instead
    given = list(sys.argv[1:] if arguments is None else arguments)
    anywhere = [DEBUG] if DEBUG in given else []
    app(args=[*anywhere, *(a for a in given if a != DEBUG)], prog_name="evalkit")


def _plain(error: EvalkitError) -> str:
    return str(error).replace("[", "\\[")
