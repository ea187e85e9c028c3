"""Who stands behind a number: distinct people, places of a few of them, and totals that hang on one or two."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from evalkit.disclosure.rules import Rules, dominated
from evalkit.show.words import plural
from evalkit.study.paths import Paths

_ADDED = ("share", "count", "money")


def had(paths: Paths, members: Iterable[str]) -> np.ndarray:
    """(n,) whether a row's unit had every one of `members` at some time."""
    rows = np.ones(len(paths.path), dtype=bool)
    for m in members:
        k = paths.index(m)
        rows &= ((paths.state[:, :, k] > 0).any(axis=1) & paths.reach[:, k])[paths.path]
    return rows


def had_together(paths: Paths, members: Iterable[str]) -> np.ndarray:
    """(n,) whether a row's unit had all of `members` in one and the same period."""
    on = np.ones(paths.state.shape[:2], dtype=bool)
    for m in members:
        on &= paths.state[:, :, paths.index(m)] > 0
    return np.asarray(on.any(axis=1))[paths.path]


def distinct(paths: Paths, rows: np.ndarray) -> int:
    """How many units the rows are about (one that moved has a row a stay)."""
    return len(np.unique(paths.units[rows]))


def few_places(paths: Paths, component: str, rules: Rules) -> pd.Series:
    """Place -> whether too few people live there whom the component reaches, or too few of them had it."""
    level = paths.levels[paths.inference_level(component)[0]]
    reached = paths.reach[paths.path, paths.index(component)]
    few = np.zeros(len(level.names), dtype=bool)
    for rows in (reached, had(paths, [component])):
        sizes = np.bincount(level.codes[rows], minlength=len(level.names))
        few |= (sizes < rules.count) & (sizes > 0)
    return pd.Series(few, index=level.names)


def hangs_on_few(study: Any, members: Iterable[str], rules: Rules) -> bool:
    """Whether the first outcome, added up where `members` were on, comes from too few people, or mostly from two."""
    outcome, paths = study.outcome(), study.paths
    if outcome.kind not in _ADDED:
        return False
    on = np.zeros(paths.state.shape[:2], dtype=bool)
    for m in members:
        on |= paths.state[:, :, paths.index(m)] > 0
    amounts = np.where(on[paths.path], np.nan_to_num(np.abs(study.values(outcome))), 0.0).sum(axis=1)
    _, person = np.unique(paths.units, return_inverse=True)
    each = np.sort(np.bincount(person, weights=amounts))[::-1]
    first, second = (float(v) for v in [*each, 0.0, 0.0][:2])
    few = rules.small(int((each > 0).sum()))
    return bool(few or dominated(each.sum(), first, second, rules))


def scrub(text: str, noun: str, rules: Rules, every: bool = False) -> str:
    """A sentence without small numbers of people ('3 people'); every: without any number of people.

    noun: what a unit is called. Rows and pairs are people too.
    """
    nouns = {noun, plural(noun), "people", "person", "unit", "units", "row", "rows", "pair", "pairs"}
    listed = "|".join(sorted(map(re.escape, nouns), key=len, reverse=True))

    def said(match: re.Match[str]) -> str:
        if every:
            return f"some {match[3]}"
        few = rules.small(float(match[1].replace(",", "")))
        return f"fewer than {rules.count}{match[2]} {match[3]}" if few else match[0]

    return re.sub(rf"\b(\d[\d,]*)((?: (?:exposed|matched|comparison))?) ({listed})\b", said, text)
