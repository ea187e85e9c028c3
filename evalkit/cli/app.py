"""The command's frame: its commands, its version, and errors in words with exit code 2."""

from __future__ import annotations

import atexit
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from evalkit import __version__
from evalkit.cli.across import card, pool
from evalkit.cli.before import audit, compress, plan
from evalkit.cli.reports import demo, report, run, sign, verify
from evalkit.cli.screen import Quiet, Screen
from evalkit.cli.starters import new, synth
from evalkit.cli.watching import watch
from evalkit.errors import EvalkitError, EvalkitWarning
from evalkit.folders import os_words
from evalkit.show.words import harmless

DEBUG, QUIET = "--debug", "--quiet"


class _InWords(TyperGroup):
    """Says in words what evalkit raised on purpose, what the system refused (a full disk, a folder that may only be
    read) and that Ctrl-C was pressed; everything else is a fault and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = partial(_warned, warnings.showwarning)
                return super().invoke(ctx)
        except (EvalkitError, OSError, KeyboardInterrupt) as error:
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):
                raise
            words = os_words(error) + "." if isinstance(error, OSError) else str(error)
            words = words or "stopped. Nothing that was there before was changed."
            Screen(stderr=True).print(Text.assemble(("evalkit:", "bold"), f" {harmless(words)}"))
            raise typer.Exit(130 if isinstance(error, KeyboardInterrupt) else 2) from None


def _warned(otherwise: Callable[..., None], said: Warning | str, kind: type[Warning], *where: Any) -> None:
    """A warning of ours in words, without the line of code that gave it; any other as Python shows it."""
    if issubclass(kind, EvalkitWarning):
        Screen(stderr=True).print(Text.assemble(("evalkit, note:", "bold"), f" {harmless(str(said))}"))
    else:
        otherwise(said, kind, *where)


app = typer.Typer(cls=_InWords, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (new, audit, plan, run, report, sign, verify, watch, demo, synth, card, pool, compress):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"evalkit {__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say the version."),
    debug: bool = typer.Option(False, DEBUG, help="Show the traceback of an error; anywhere on the line."),
    quiet: bool = typer.Option(False, QUIET, help="Leave progress out; anywhere on the line."),
) -> None:
    """Several components switched on together: which of them made a difference?"""
    Quiet.on = quiet


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 2 when something cannot be used or
    written, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without our signs shows a question mark instead
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # nothing is left to stop while Python itself ends
    given = list(sys.argv[1:] if arguments is None else arguments)
    anywhere = [option for option in (DEBUG, QUIET) if option in given]
    app(args=[*anywhere, *(a for a in given if a not in anywhere)], prog_name="evalkit")
