"""One table for every reader: HTML that a screen reader can walk, aligned text, CSV.

A `Table` holds words, already formatted. The first column names the row. Every header has a scope, no header is empty,
and a wide table scrolls inside a region that the keyboard can reach.
"""

from __future__ import annotations

import csv
import io
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitWarning, OptionError, check_choice
from evalkit.show.words import escaped, harmless, untypeset

_FORMULA, _FIGURE = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r]"), re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?%?")
_APOSTROPHES = "Words that begin with =, +, - or @ have an apostrophe before them in CSV files, against formulas."


@dataclass(frozen=True)
class Cell:
    """Words in a cell, an optional link to where they are worked out, or trusted `html` that says the same."""

    text: str
    href: str = ""
    html: str = ""

    def to_html(self) -> str:
        """The cell's content as HTML, escaped, with its link."""
        if self.html:
            return self.html
        words = escaped(self.text)
        return f'<a href="{escaped(self.href)}">{words}</a>' if self.href else words


@dataclass(frozen=True)
class Table:
    """A captioned table. columns: (c,) headers; rows: (r, c) cells; the first column is the row's header.

    numeric: (c,) columns set to the right. name: the id of the table and the start
    of its rows' ids. keys: (r,) end of each row's id, or empty. cards: rows become
    cards on a narrow screen. Raises `OptionError` on an empty header or a ragged row.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...] = ()
    name: str = ""
    keys: tuple[str, ...] = ()
    note: str = ""
    cards: bool = False

    def __post_init__(self) -> None:
        if not self.caption.strip() or any(not c.strip() for c in self.columns):
            raise OptionError("A table needs a caption and a name for every column.")
        if any(len(row) != len(self.columns) for row in self.rows):
            raise OptionError(f"Every row of the table {self.caption!r} needs {len(self.columns)} cells.")

    def __len__(self) -> int:
        return len(self.rows)

    def to_html(self) -> str:
        """The table as HTML: caption, scopes, row headers, inside a focusable region."""

        def role(name: str) -> str:
            return f' role="{name}"' if self.cards else ""

        right = [' class="number"' if n else "" for n in self.numeric or (False,) * len(self.columns)]
        heads = [escaped(c) for c in self.columns]
        labels = [f' data-label="{c}"' if self.cards else "" for c in heads]
        head = "".join(f'<th scope="col"{role("columnheader")}{n}>{c}</th>' for c, n in zip(heads, right, strict=True))
        body = []
        for i, (first, *rest) in enumerate(self.rows):
            ident = f' id="{escaped(f"{self.name}-{self.keys[i]}")}"' if self.keys and self.name else ""
            cells = "".join(
                f"<td{role('cell')}{label}{n}>{value.to_html()}</td>"
                for value, label, n in zip(rest, labels[1:], right[1:], strict=True)
            )
            named = f'<th scope="row"{role("rowheader")}>{first.to_html()}</th>'
            body.append(f"<tr{role('row')}{ident}>{named}{cells}</tr>")
        ident = f' id="{escaped(self.name)}"' if self.name else ""
        kind = ' class="cards"' if self.cards else ""
        note = f'<p class="note">{escaped(self.note)}</p>' if self.note else ""
        return (
            f'<div class="scroll" role="region" aria-label="{escaped(self.caption)}" tabindex="0">'
            f"<table{ident}{kind}{role('table')}><caption>{escaped(self.caption)}</caption>"
            f"<thead{role('rowgroup')}><tr{role('row')}>{head}</tr></thead>"
            f"<tbody{role('rowgroup')}>{''.join(body)}</tbody></table></div>{note}"
        )

    def _repr_html_(self) -> str:
        return untypeset(self.to_html())

    def __repr__(self) -> str:
        return f"Table({self.caption!r}, {len(self.rows)} rows, {len(self.columns)} columns)"

    def to_text(self, width: int = 80) -> str:
        """The table as aligned lines no wider than `width`, for a terminal; long cells wrap."""
        cells = [[c.text for c in row] for row in self.rows]
        widths = [max(display_width(t) for t in column) for column in zip(self.columns, *cells, strict=True)]
        least = [max((display_width(w) for w in t.split()), default=1) for t in self.columns]
        room = max(width - 2 * (len(widths) - 1), len(widths))
        while sum(widths) > room:  # the widest columns give way first
            j = max(range(len(widths)), key=lambda k: (widths[k] > least[k], widths[k]))
            widths[j] -= 1
        lines = textwrap.wrap(self.caption, width)
        for row in (self.columns, *cells):
            wrapped = [textwrap.wrap(text, w) or [""] for text, w in zip(row, widths, strict=True)]
            for parts in zip_longest(*wrapped, fillvalue=""):
                gaps = [" " * max(w - display_width(text), 0) for text, w in zip(parts, widths, strict=True)]
                right = self.numeric or (False,) * len(parts)
                lines.append("  ".join(g + t if n else t + g for t, g, n in zip(parts, gaps, right, strict=True)))
            if row is self.columns:
                lines.append("  ".join("-" * w for w in widths))
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def to_csv(self) -> str:
        """The words of the table as CSV with Unix line ends."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(map(in_cell, self.columns))
        writer.writerows([in_cell(cell.text) for cell in row] for row in self.rows)
        return out.getvalue()


class Summary(Table):
    """A table that prints as itself, as summaries of models do."""

    def __repr__(self) -> str:
        return self.to_text(110) + (f"{self.note}\n" if self.note else "")


def make_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]], **options: object) -> Table:
    """A `Table` from plain values; anything that is not a `Cell` becomes its words."""
    cells = tuple(tuple(v if isinstance(v, Cell) else Cell(plain(v)) for v in row) for row in rows)
    return Table(caption, tuple(columns), cells, **options)  # type: ignore[arg-type]


def from_frame(
    frame: pd.DataFrame,
    caption: str,
    labels: Mapping[str, str] | None = None,
    formats: Mapping[str, Callable[[object], str]] | None = None,
    **options: object,
) -> Table:
    """A `Table` of the columns of `frame` named in `labels` (default: all), in that order.

    labels: column -> header. formats: column -> function from value to words.
    Raises `OptionError` when a column named is not there.
    """
    headers = dict(labels) if labels is not None else {str(c): spoken(str(c)) for c in frame.columns}
    for column in headers:
        check_choice("column", column, [str(c) for c in frame.columns])
    chosen = [[(formats or {}).get(c, plain)(value) for value in frame[c].tolist()] for c in headers]
    numeric = tuple(pd.api.types.is_numeric_dtype(frame[c]) and frame[c].dtype != bool for c in headers)
    return make_table(caption, list(headers.values()), list(zip(*chosen, strict=True)), numeric=numeric, **options)


def in_cell(value: object) -> object:
    """A value as a CSV file holds it: words without control characters, and with an apostrophe before those that a
    spreadsheet would run as a formula (they begin with =, +, -, @ or a tab, and are no number)."""
    if not isinstance(value, str):
        return value
    words = harmless(value)
    return f"'{words}" if _FORMULA.match(words) and not _FIGURE.fullmatch(words) else words


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV with Unix line ends and ten significant digits (the others hang on the processor), safe to open in
    a spreadsheet; warns where an apostrophe had to be added."""
    safe = frame.rename(columns=in_cell)
    for column in safe.columns[[not pd.api.types.is_numeric_dtype(t) for t in safe.dtypes]]:
        words = safe[column]
        safe[column] = words.map(in_cell)
        if any(isinstance(a, str) and len(b) > len(a) for a, b in zip(words, safe[column], strict=True)):
            warnings.warn(_APOSTROPHES, EvalkitWarning, stacklevel=2)
    return safe.to_csv(index=False, lineterminator="\n", float_format="%.10g")


def spoken(name: str) -> str:
    """A column name as words: 'std_error' -> 'Std error'."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def plain(value: object) -> str:
    """A value as words: yes or no, four significant digits, 'not available' for a gap."""
    if isinstance(value, Cell):
        return value.text
    if isinstance(value, (tuple, list)):
        return "; ".join(plain(v) for v in value)
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return "not available"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}".replace("-", "−")
    return str(value)


def display_width(text: str) -> int:
    """Columns that `text` takes in a terminal."""
    wide = sum(1 for c in text if unicodedata.east_asian_width(c) in "WF")
    return len(text) + wide - sum(1 for c in text if unicodedata.combining(c))
