"""Where the terminal shows what: progress on standard error, findings on standard output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def errors() -> Console:
    """Where messages about the work go: standard error."""
    return Console(stderr=True, soft_wrap=False)


def output() -> Console:
    """Where findings go: standard output."""
    return Console(highlight=False)


class Steps:
    """Named steps of a piece of work, one after another, on a progress bar."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)
        self._begun = False

    def begin(self, words: str) -> None:
        """Say the next step; the one before it is done."""
        if self._begun:
            self._progress.advance(self._task)
        self._begun = True
        self._progress.update(self._task, description=words)

    def done(self, words: str) -> None:
        """The last step is done."""
        self._progress.update(self._task, description=words, completed=self._progress.tasks[self._task].total)


@contextmanager
def steps(total: int) -> Iterator[Steps]:
    """A progress bar of so many steps on standard error."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=errors(), transient=True) as progress:
        yield Steps(progress, total)
