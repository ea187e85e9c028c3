"""Estimates side by side, a column each, as articles print them: to a terminal, Markdown, LaTeX, HTML and Word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import Interval, check_level
from evalkit.inference.labels import SAID
from evalkit.show.numbers import decimals_for
from evalkit.show.tables import Table, make_table

NAMED_BY = ("component", "outcome", "cohort", "period", "event_time")
"""Labels that tell rows apart, in the order in which a row is named by them."""
_ESCAPED = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}",
                                              "^": r"\textasciicircum{}", "−": "$-$"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Comparison:
    """Estimates side by side. table: a row for each number of each estimate, with standard error and interval; names:
    what the columns are called; level: of the intervals; made_by: how each column's were made."""

    table: pd.DataFrame
    names: tuple[str, ...]
    level: float
    made_by: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """A row a number and estimate: row, name, estimate, std_error, conf_low, conf_high, p_value, clusters_exposed,
        clusters_comparison."""
        return self.table.copy()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """What is printed: two lines a number (the estimate; its standard error and interval), then the foot."""
        out: list[tuple[str, ...]] = []
        for row, cells in self.table.groupby("row", sort=False):
            by = cells.set_index("name")
            found = [by.loc[n] if n in by.index else None for n in self.names]
            out.append((str(row), *(_value(c) for c in found)))
            out.append(("", *(_spread(c) for c in found)))
        for title, column in (("Exposed clusters", "clusters_exposed"), ("Comparison clusters", "clusters_comparison")):
            most = [self.table.loc[self.table["name"] == n, column].max() for n in self.names]
            if np.isfinite(np.array(most, dtype=float)).any():
                out.append((title, *("" if m != m else f"{m:.0f}" for m in most)))
        return [*out, ("Inference", *self.made_by)]

    def to_table(self) -> Table:
        """The same as a `Table` of words."""
        caption = f"Estimates (standard errors) [{self.level:.0%} intervals]"
        rows = [(first or " ", *rest) for first, *rest in self.rows]
        return make_table(caption, ("Effect of", *self.names), rows, note=" ".join(self.notes))

    def to_html(self) -> str:
        """As HTML with a caption and scopes."""
        return self.to_table().to_html()

    def to_markdown(self) -> str:
        """As a table of Markdown."""
        cells = [["Effect of", *self.names], *map(list, self.rows)]
        safe = [[c.replace("|", "\\|") for c in row] for row in cells]
        widths = [max(len(row[j]) for row in safe) for j in range(len(safe[0]))]
        lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in safe]
        rule = "|" + "|".join("-" * (w + 1) + (":" if j else "-") for j, w in enumerate(widths)) + "|"
        return "\n".join([lines[0], rule, *lines[1:], *(f"\n{note}" for note in self.notes)]) + "\n"

    def to_latex(self) -> str:
        """As a tabular of LaTeX with the rules of the package booktabs."""

        def line(cells: tuple[str, ...]) -> str:
            return " & ".join("".join(_ESCAPED.get(c, c) for c in words) for words in cells) + r" \\"

        foot = next((i for i, row in enumerate(self.rows) if i % 2 == 0 and row[0] in _FOOT), len(self.rows))
        body = [line(row) for row in self.rows]
        listed = [rf"\begin{{tabular}}{{l{'c' * len(self.names)}}}", r"\toprule", line(("", *self.names)), r"\midrule"]
        listed += [*body[:foot], r"\midrule", *body[foot:], r"\bottomrule", r"\end{tabular}"]
        return "\n".join([*listed, *(f"% {note}" for note in self.notes)]) + "\n"

    def to_word(self, file: str | Path) -> Path:
        """Write a Word document with the table; `EvalkitError` where python-docx is not installed."""
        try:
            from docx import Document
        except ImportError:
            advice = "pip install 'evalkit-components[word]'"
            raise EvalkitError(f"Word documents need python-docx: {advice}.") from None
        document, place = Document(), Path(file)
        document.add_paragraph(self.to_table().caption)
        table = document.add_table(rows=0, cols=1 + len(self.names), style="Light List")
        for row in (("Effect of", *self.names), *self.rows):
            for cell, words in zip(table.add_row().cells, row, strict=True):
                cell.text = words
        for note in self.notes:
            document.add_paragraph(note)
        document.save(str(place))
        return place

    def _repr_html_(self) -> str:
        return self.to_table()._repr_html_()

    def __repr__(self) -> str:
        return self.to_table().to_text(100) + "\n".join(self.notes)


UNNAMED = "effect"
_FOOT = ("Exposed clusters", "Comparison clusters", "Inference")


def compare(
    *estimates: Estimate | Interval | Mapping[str, Estimate | Interval] | Iterable[Estimate | Interval],
    names: Iterable[str] | None = None,
    level: float = 0.95,
    inference: str = "auto",
) -> Comparison:
    """Estimates side by side: a column each, rows that speak of the same thing beside each other.

    estimates: Estimates or Intervals, one by one, in a list, or by name ({"matched": a, "weighted": b}). names: of the
    columns, default (1), (2), ... level, inference: as in `Estimate.to_frame`. Nothing is tested: two estimates from
    the same data move together, so their difference is `ek.stack([a, b]).contrast([1, -1], name=...)`.

    Raises `OptionError` where nothing is given, something is no estimate, or names do not match in number.
    """
    check_level(level)
    given, called = _listed(estimates)
    titles = tuple(called if names is None else map(str, names))
    if len(titles) != len(given):
        raise OptionError(f"names has {len(titles)} entries for {len(given)} estimates. Give one for each.")
    if len(set(titles)) < len(titles):
        raise OptionError(f"names has {titles[[titles.count(t) > 1 for t in titles].index(True)]!r} twice.")
    frames = [e.to_frame(level) if isinstance(e, Interval) else e.to_frame(level, inference) for e in given]
    by = [c for c in NAMED_BY if _tells_apart(c, frames)]
    parts, notes = [], dict[str, None]()
    for name, frame in zip(titles, frames, strict=True):
        kept = pd.DataFrame({"row": _row_names(frame, by), "name": name})
        parts.append(kept.assign(**{c: frame[c].to_numpy() if c in frame else np.nan for c in _COLUMNS}))
        for column in SAID:
            said = frame[column].fillna("") if column in frame else ()
            notes |= {f"{name}: {words}.": None for words in said if words}
    known = {row for part in parts for row in part["row"]} - {UNNAMED}
    if len(known) == 1:  # a number without labels stands beside the only thing that the others are about
        parts = [part.replace({"row": {UNNAMED: min(known)}}) for part in parts]
    made_by = tuple(" and ".join(dict.fromkeys(f["inference"].astype(str))) for f in frames)
    return Comparison(pd.concat(parts, ignore_index=True), titles, float(level), made_by, tuple(notes))


def _tells_apart(label: str, frames: list[pd.DataFrame]) -> bool:
    """Whether a label tells rows of these tables apart: components and outcomes between them too, times only within."""
    if label in ("component", "outcome"):
        return len({v for f in frames if label in f for v in f[label].astype(str)}) > 1
    return any(label in f and f[label].astype(str).nunique() > 1 for f in frames)


_COLUMNS = (
    "estimate", "std_error", "conf_low", "conf_high", "p_value", "clusters_exposed", "clusters_comparison",
)  # fmt: skip


def _listed(estimates: Iterable[object]) -> tuple[list[Estimate | Interval], list[str]]:
    """The estimates one by one, and what they are called."""
    found: list[tuple[str, object]] = []
    for e in estimates:
        if isinstance(e, Mapping):
            found += [(str(k), v) for k, v in e.items()]
        elif isinstance(e, (list, tuple)):
            found += [("", v) for v in e]
        else:
            found.append(("", e))
    if not found:
        raise OptionError("compare needs at least one Estimate.")
    for _, e in found:
        if not isinstance(e, (Estimate, Interval)):
            raise OptionError(f"compare takes Estimates and Intervals; {type(e).__name__} is neither.")
    called = [name or f"({i})" for i, (name, _) in enumerate(found, 1)]
    return [e for _, e in found if isinstance(e, (Estimate, Interval))], called


def _row_names(frame: pd.DataFrame, by: list[str]) -> list[str]:
    """What each row is of, in words: 'nurse, event time 2'; the component where nothing tells rows apart."""
    have = [c for c in by if c in frame] or [c for c in ("component",) if c in frame]

    def said(row: pd.Series) -> str:
        bare = ("component", "outcome")
        return ", ".join(str(row[c]) if c in bare else f"{c.replace('_', ' ')} {row[c]}" for c in have)

    return [said(row) or UNNAMED for _, row in frame.iterrows()]


def _value(cell: pd.Series | None) -> str:
    if cell is None:
        return ""
    if cell["estimate"] != cell["estimate"]:
        return "none"
    return _figure(cell["estimate"], cell)


def _spread(cell: pd.Series | None) -> str:
    """'(0.12) [0.3, 0.8]': what is known of standard error and interval."""
    if cell is None or cell["estimate"] != cell["estimate"]:
        return ""
    error = f"({_figure(cell['std_error'], cell)})" if cell["std_error"] == cell["std_error"] else ""
    ends = (cell["conf_low"], cell["conf_high"])
    interval = f"[{', '.join(_figure(v, cell) for v in ends)}]" if all(v == v for v in ends) else ""
    return f"{error} {interval}".strip()


def _figure(value: float, cell: pd.Series) -> str:
    spread = cell["std_error"] if cell["std_error"] == cell["std_error"] else cell["conf_high"] - cell["conf_low"]
    decimals = min(max(decimals_for(cell["estimate"], spread) + 1, 2), 8)
    return f"{value:.{decimals}f}".replace("-", "−")
