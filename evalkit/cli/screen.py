"""Where the terminal shows what: progress on standard error, findings on standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from evalkit.progress import told
from evalkit.show.words import harmless


class Screen(Console):
    """A terminal that shows words of users as they are: no markup, no emoji by name, no control characters."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """The words as rich draws them, in tables and titles too."""
        return super().render_str(harmless(text), **options)


def say(*lines: str) -> None:
    """Lines on standard output as they are; long ones, such as paths, are not broken."""
    for line in lines:
        Screen().print(line, soft_wrap=True)


def titled(title: str, least: Mapping[str, int]) -> Table:
    """A table under a title. least: the smallest width of each column, by its heading."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading, width in least.items():
        table.add_column(heading, min_width=width)
    return table


class Quiet:
    """Whether progress is left out; set once, by --quiet."""

    on = False


@contextmanager
def steps(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar of so many steps on standard error; each call begins the step that it names, and what is done
    within it is told beside it. Where standard error is no terminal each is a line; with --quiet there is none."""
    screen = Screen(stderr=True)
    if Quiet.on:
        yield lambda words: None
        return
    if not screen.is_terminal:

        def line(words: str) -> None:
            screen.print(words, soft_wrap=True)

        with told(lambda words: line(f"  {words}")):
            yield line
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=screen, transient=True) as progress:
        task, finished = progress.add_task("", total=total), count()
        with told(lambda words: progress.update(task, description=harmless(words))):
            yield lambda words: progress.update(task, description=words, completed=next(finished))
        progress.update(task, description="Done", completed=total)
