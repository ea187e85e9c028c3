"""People gathered where they were: places seen over time, made of people of whom each was seen once or seldom.

Where others are asked each period, nobody can be set against himself. Their place can: its mean is seen in every
period. A *group* is the people of one place (of one group of every level that counts) who share an exposure path and
whom the same components can reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, check_choice
from evalkit.study.index import Index
from evalkit.study.paths import Level, Paths
from evalkit.study.standardise import standardised

NEW = 0.5
"""Share of later rows about somebody seen before, below which the people of a study count as new each period."""
COUNTS, ADJUSTED = ("people", "places"), (None, "reg", "ipw", "dr")


class People(Protocol):
    """The study of people that is gathered."""

    @property
    def paths(self) -> Paths:
        """Their exposure paths."""

    def values(self, outcome: str | None = None) -> np.ndarray:
        """(n, T) outcome."""

    def covariate_values(self, names: Sequence[str] | None = None) -> np.ndarray:
        """(n, T, q) covariates."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """The groups of a study of people.

    of: (n,) group of each row of the people. paths: paths of the groups, whose `weights` are people a period, and
    whose `asked` are the people ever seen. adjust: whether means are made for people alike, see `standardised`. kept:
    positions of the groups and of the periods that are still there, None for all.
    """

    people: People
    of: np.ndarray
    paths: Paths
    count: str = "people"
    adjust: str | None = None
    kept: tuple[np.ndarray, np.ndarray] | None = None

    def subset(self, units: np.ndarray, periods: np.ndarray) -> Gathered:
        """Some groups and some periods (positions)."""
        first = self.kept or tuple(np.arange(k) for k in (len(self.paths.units), self.paths.n_periods))
        return replace(self, kept=(first[0][units], first[1][periods]))

    def values(self, outcome: str | None = None) -> np.ndarray:
        """(G, T) means of an outcome, of those seen; NaN where nobody was."""
        found = self._means(self.people.values(outcome), self.adjust)
        found.flags.writeable = False
        return found

    def covariates(self, names: Sequence[str] | None = None) -> np.ndarray:
        """(G, T, q) means of covariates, as they are."""
        x = self.people.covariate_values(names)
        means = [self._means(x[:, :, j], None) for j in range(x.shape[2])]
        return np.stack(means, axis=2) if means else np.empty((*self._shape, 0))

    @property
    def _shape(self) -> tuple[int, int]:
        return (
            (self.paths.n_units, self.paths.n_periods) if self.kept is None else (len(self.kept[0]), len(self.kept[1]))
        )

    def _means(self, y: np.ndarray, adjust: str | None) -> np.ndarray:
        i, t = np.nonzero(np.isfinite(y))
        weights = self.people.paths.weights
        w = np.ones(len(i)) if weights is None else weights[i]
        shape = self.paths.n_units, self.paths.n_periods
        cell, size = self.of[i] * shape[1] + t, shape[0] * shape[1]
        if adjust is None:
            n, total = np.bincount(cell, w, size), np.bincount(cell, w * y[i, t], size)
            out = np.divide(total, n, out=np.full(size, np.nan), where=n > 0)
        else:
            state = self.people.paths.state[self.people.paths.path[i], t]
            exposed = (state > 0).any(axis=1)
            out = standardised(y[i, t], self.people.covariate_values()[i, t], w, cell, exposed, size, adjust)
        found = out.reshape(shape)
        return found if self.kept is None else found[np.ix_(*self.kept)]


def gathered(people: People, count: str = "people", adjust: str | None = None) -> Gathered:
    """The groups of a study of people.

    count: whether a group weighs as many "people" as were seen in a period, on average; or all "places" alike.
    adjust: None; or "reg", "ipw" or "dr", for means of people alike in their covariates.
    Raises `OptionError` for another word, a cross-section, and components that were decided person by person.
    """
    check_choice("adjust", adjust, ADJUSTED)
    return Gathered(people, *place_paths(people.paths, count), count, adjust)


def place_paths(paths: Paths, count: str = "people") -> tuple[np.ndarray, Paths]:
    """(n,) group of each row of the paths of people, and the paths of the groups; raises as `gathered` does."""
    check_choice("count", count, COUNTS)
    if paths.n_periods == 1:
        raise OptionError("There is one period, so that no place is seen over time.")
    levels = shared_levels(paths)
    if levels is None:
        raise OptionError(
            "People cannot be gathered in places: every component must have been decided for places, not for each "
            f"{paths.cluster}. Give cluster= or assigned_at=, the column of the place or group."
        )
    return paths.memo.get(("groups", count), lambda: _groups(paths, levels, count))


def grouped_index(index: Index, found: Gathered) -> Index:
    """The grid of the groups: each holds the first row of its people in a period."""
    position = np.full((found.paths.n_units, len(index.keys)), -1, dtype=np.int64)
    for t, rows in enumerate(index.rows.T[:, ::-1]):
        there = rows >= 0
        position[found.of[::-1][there], t] = rows[there]
    return Index(found.paths.units, index.keys, position)


def shared_levels(paths: Paths) -> tuple[str, ...] | None:
    """Levels in whose groups people are found together; None where something was decided for each of them alone."""
    n = paths.distinct()
    shared = tuple(name for name, level in paths.levels.items() if len(np.unique(level.codes)) < n)
    needed = {*paths.assigned_at.values(), *filter(None, paths.randomised.values())}
    needed |= {paths.cluster} if paths.cluster_given else set()
    return shared if needed and needed <= set(shared) else None


def followed(paths: Paths) -> float:
    """Share of the rows after the first period that are about somebody who was seen before; 1 where all rows are
    there, or there is one period."""
    if paths.seen is None or paths.n_periods == 1:
        return 1.0
    return paths.memo.get("followed", lambda: _followed(paths, np.asarray(paths.seen)))


def _followed(paths: Paths, seen: np.ndarray) -> float:
    later, again = 0.0, 0.0
    for t in range(1, paths.n_periods):  # a period at a time: people may be a million
        people = np.where(seen[:, t], paths.people, 0)
        later, again = later + float(people.sum()), again + float(people[paths.came < t].sum())
    return again / later if later else 1.0


def people_are_new(paths: Paths) -> bool:
    """Whether people are new each period, and places are not: most later rows are about somebody not seen before, and
    most groups are seen again."""
    return bool(paths.memo.get("people are new", lambda: _are_new(paths)))


def _are_new(paths: Paths) -> bool:
    levels = None if followed(paths) >= NEW else shared_levels(paths)
    return levels is not None and followed(_groups(paths, levels, "people")[1]) >= NEW


def _groups(paths: Paths, levels: tuple[str, ...], count: str) -> tuple[np.ndarray, Paths]:
    """(n,) group of each row, and the paths of groups in the order of their places."""
    keys = np.column_stack([*(paths.levels[name].codes for name in levels), paths.path])
    _, first, of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    of = of.reshape(-1)
    n = len(first)
    seen = np.ones((len(of), paths.n_periods), dtype=bool) if paths.seen is None else np.asarray(paths.seen)
    i, t = np.nonzero(seen)
    w = np.ones(len(i)) if paths.weights is None else paths.weights[i]
    cell = of[i] * paths.n_periods + t
    there = (np.bincount(cell, minlength=n * paths.n_periods) > 0).reshape(n, -1)
    size = np.bincount(of[i], w, n) / there.sum(axis=1)
    main = paths.cluster if paths.cluster in levels else next(iter(paths.assigned_at.values()))
    home = paths.levels[main].codes[first]
    if count == "places":
        people = np.bincount(home, size)
        size = size / people[home] * people[people > 0].mean()
    who = pd.factorize(paths.units)[0]
    names = _names(paths.levels[main].names[home])
    held = {
        name: replace(level, codes=level.codes[first]) if name in levels else Level(name, np.arange(n), names)
        for name, level in paths.levels.items()
    }
    once = np.unique(np.column_stack([of, who]), axis=0, return_index=True)[1]
    asked = np.bincount(of[once], paths.people[once], n).astype(np.int64)
    made = replace(
        paths, units=names, path=paths.path[first], levels=held, weights=size, asked=asked, heads=None, spread=None,
        seen=None if there.all() else there,
    )  # fmt: skip
    return of, made


def _names(places: np.ndarray) -> np.ndarray:
    """A name for each group: its place, numbered where a place has several."""
    nth = pd.Series(places).groupby(places, sort=False).cumcount().to_numpy()
    several = pd.Series(places).duplicated(keep=False).to_numpy()
    made = [f"{p}, group {k + 1}" if s else p for p, k, s in zip(places.tolist(), nth.tolist(), several, strict=True)]
    return np.array(made, dtype=object if several.any() else places.dtype)
