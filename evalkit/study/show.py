"""A study in a few lines, as text and as an HTML table."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from evalkit.study.paths import Paths

if TYPE_CHECKING:
    from evalkit.study.study import Study


def component_rows(study: Study) -> list[tuple[str, str, str, str]]:
    """For each component: label, first start, clusters ever exposed, units ever exposed."""
    paths, rows = study.paths, []
    for k, c in enumerate(study.components):
        on = paths.state[:, :, k] > 0
        ever = np.asarray(on.any(axis=1))[paths.path]
        level = paths.levels[paths.assigned_at[c.name]]
        places = f"{len(np.unique(level.codes[ever]))} of {len(np.unique(level.codes))}"
        when = np.flatnonzero(np.asarray(on.any(axis=0)))
        first = str(paths.periods[when[0]]) if len(when) else "never"
        rows.append((c.label, "always on" if c.always_on else first, places, f"{len(np.unique(paths.units[ever])):,}"))
    return rows


def size_words(study: Study) -> str:
    """Units, periods and clusters in words."""
    paths = study.paths
    n = len(np.unique(paths.levels[study.unit].codes)) if study.unit in paths.levels else _n_units(paths)
    words = [f"{n:,} units"]
    words.append(
        f"{paths.n_periods} periods ({paths.periods[0]} to {paths.periods[-1]})" if study.period else "one time"
    )
    if study.cluster:
        words.append(f"{len(np.unique(paths.levels[study.cluster].codes)):,} clusters ({study.cluster})")
    if paths.seen is not None:
        words.append(f"{1 - paths.seen.mean():.0%} of rows not seen")
    if study.movers:
        words.append(f"{study.movers:,} units move between groups")
    return ", ".join(words)


def _n_units(paths: Paths) -> int:
    return 1 + int((paths.units[1:] != paths.units[:-1]).sum())


def describe(study: Study) -> str:
    """A few lines of plain text."""
    lines = [f"Study: {study.title or 'untitled'}", f"  {size_words(study)}"]
    if study.outcomes:
        lines.append("  outcomes: " + ", ".join(f"{o.label} ({o.better} is better)" for o in study.outcomes))
    for label, first, places, units in component_rows(study):
        when = first if first in ("always on", "never") else f"first on {first}"
        lines.append(f"  {label}: {when}, {places} places, {units} units")
    return "\n".join(lines)


def describe_html(study: Study) -> str:
    """A table with caption and scoped headings."""
    head = "".join(f'<th scope="col">{h}</th>' for h in ("Component", "First on", "Places exposed", "Units exposed"))
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for label, *cells in component_rows(study)
    )
    caption = escape(f"{study.title or 'Study'}: {size_words(study)}")
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
