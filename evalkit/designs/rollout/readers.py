"""Readers: what a comparison reads, changes within each unit or cross-sections, as means of sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from evalkit.designs.rollout.plan import Comparison
from evalkit.designs.rollout.sums import Sums, add_by, window_mean


@dataclass(frozen=True, eq=False)
class Term:
    """One mean of each of B comparisons, over few of all groups: a line (R of them) for each group that takes part in
    any period, those of a comparison together.

    of, at: (R,) comparison and group. mask: (R, T) when it takes part. n, s: (R, T) its mass and sum, zero elsewhere.
    blocks: B. what: which outcome it averages, for readers that know several ("change", "later", "base").
    """

    sign: int
    of: np.ndarray
    at: np.ndarray
    mask: np.ndarray
    n: np.ndarray
    s: np.ndarray
    blocks: int
    what: str = "change"

    @cached_property
    def total(self) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) mass and sum."""
        return add_by(self.n, self.of, self.blocks), add_by(self.s, self.of, self.blocks)

    def only(self, keep: np.ndarray) -> Term:
        """Of some of the comparisons (B,)."""
        at = np.flatnonzero(keep[self.of])
        of, few = (np.cumsum(keep) - 1)[self.of[at]], int(keep.sum())
        return Term(self.sign, of, self.at[at], self.mask[at], self.n[at], self.s[at], few, self.what)

    def by_block(self) -> list[Term]:
        """That of each comparison by itself."""
        edges = np.searchsorted(self.of, np.arange(self.blocks + 1))
        lines = (slice(low, high) for low, high in pairwise(edges.tolist()))
        zero = np.zeros_like(self.of)
        return [Term(self.sign, zero[i], self.at[i], self.mask[i], self.n[i], self.s[i], 1, self.what) for i in lines]

    def of_units(self, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Units (m,) whose group (n,) takes part, and the row of each in `at`, of one comparison."""
        row = np.full(int(max(group.max(initial=0), self.at.max(initial=0))) + 1, -1)
        row[self.at] = np.arange(len(self.at))
        units = np.flatnonzero(row[group] >= 0)
        return units, row[group[units]]


def adopting(cs: Sequence[Comparison], path: np.ndarray) -> np.ndarray:
    """(B, G) which of some paths (G,) start in each comparison."""
    found = np.zeros((len(cs), max(cs[0].match.shape[0], int(path.max(initial=-1)) + 1)), dtype=bool)
    for mine, c in zip(found, cs, strict=True):
        mine[c.adopters] = True
    return found[:, path]


def serving(cs: Sequence[Comparison], path: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(R,) comparison and group of paths (G,) that serve in any period, and (R, T) when."""
    match = np.stack([c.match for c in cs])
    of, at = np.nonzero(np.asarray(match.any(axis=2))[:, path])
    return of, at, match[of, path[at]]


def read_at(tables: Sequence[np.ndarray], at: np.ndarray, column: np.ndarray) -> list[np.ndarray]:
    """(R, T) each: lines `at` (R,) of some tables (G, C) at columns (R, T)."""
    flat = column * len(tables[0]) + at[:, None]
    return [x.T.ravel().take(flat) for x in tables]


@dataclass(frozen=True, eq=False)
class Side:
    """Groups of a reader as cells of paths. path, cluster: (c,) of each cell; of: (G,) cell in which each group is;
    taken_off: whether it is the ineligible of pairs, who are taken off the eligible."""

    path: np.ndarray
    cluster: np.ndarray
    of: np.ndarray
    taken_off: bool = False


@dataclass(frozen=True, eq=False)
class Reader(ABC):
    """Sums of groups of units, and the means that make up one comparison. Groups are those of `sums`."""

    sums: Sums

    @property
    def path(self) -> np.ndarray:
        """(G,) path (pair) of each group."""
        return self.sums.path

    @property
    def cluster(self) -> np.ndarray:
        """(G,) cluster of each group."""
        return self.sums.cluster

    @property
    def size(self) -> np.ndarray:
        """(G,) units in each group that carry weight."""
        return self.sums.people

    @property
    def pooled(self) -> bool:
        """Whether starts against the same matches, read as one, give the mean of their effects by adopters."""
        return True

    @property
    def cells(self) -> np.ndarray:
        """(G,) group of `sums` in which the people are whom a component can reach."""
        return np.arange(len(self.sums.path))

    def by_cell(self) -> Reader:
        """The same with groups no larger than clusters, as refits and weights of cells need."""
        return replace(self, sums=self.sums.split()) if self.sums.by_path else self

    def sides(self) -> list[Side]:
        """Its groups as cells of paths."""
        return [Side(self.path, self.cluster, np.arange(len(self.path)))]

    def people(self, paths: np.ndarray) -> int:
        """Units on some paths (pairs) that carry weight."""
        return int(self.sums.people[np.isin(self.path, paths)].sum())

    def heads(self, cs: Sequence[Comparison]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(B, T) columns of comparisons in (G, C) units read, and units seen at the base; both zero in the first."""
        return self.sums.heads(cs)

    @abstractmethod
    def terms(self, cs: Sequence[Comparison]) -> tuple[Term, ...]:
        """The means of comparisons; the first is that of the adopters later on."""

    @abstractmethod
    def unit_rows(self, c: Comparison, term: Term, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Units (m,), their weighted deviations from `centre` (m, T), and their mass in the term (m, T), of one
        comparison."""


@dataclass(frozen=True, eq=False)
class Within(Reader):
    """Each unit against itself: mean change of the adopters less that of their matches."""

    def terms(self, cs: Sequence[Comparison]) -> tuple[Term, ...]:
        column, n, s = self.sums.read(cs)
        of, at = np.nonzero(adopting(cs, self.path))
        own = read_at((n, s), at, column[of])
        for b in [b for b, c in enumerate(cs) if c.parent is not None]:
            mine = of == b
            own[0][mine], own[1][mine] = self.sums.own(cs[b], at[mine])
        adopters = Term(1, of, at, np.ones(own[0].shape, dtype=bool), own[0], own[1], len(cs))
        of, at, mask = serving(cs, self.path)
        n, s = (x * mask for x in read_at((n, s), at, column[of]))
        return adopters, Term(-1, of, at, mask, n, s, len(cs))

    def unit_rows(self, c: Comparison, term: Term, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units, row = term.of_units(self.sums.of)
        change, seen = self.sums.changes(units, c)
        mass = np.where(seen, self.sums.weights[units, None], 0.0) * term.mask[row]
        if term.sign > 0 and c.parent is not None:
            mass *= self.sums.share(units, c)
        return units, mass * (change - centre), mass


@dataclass(frozen=True, eq=False)
class CrossSections(Reader):
    """Whoever was there: mean at t less mean over the base periods, adopters less matches.

    Units need not be seen twice; a unit's observations are summed before they are squared, so that
    people seen in both periods are not counted as strangers. Base periods count alike.
    """

    @property
    def pooled(self) -> bool:
        return self.sums.balanced  # else a path's share at the base is not its share later

    @cached_property
    def later(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, T) mass and sum of levels in each period."""
        y = self.sums.values
        seen = np.isfinite(y)
        weighted = np.where(seen, self.sums.weights[:, None], 0.0)
        return self.sums.group(weighted), self.sums.group(weighted * np.nan_to_num(y))

    def terms(self, cs: Sequence[Comparison]) -> tuple[Term, ...]:
        (n, s), base, each = self.later, np.stack([c.base for c in cs]), np.stack([_each(c) for c in cs])
        asked = base >= 0
        # whole windows only where everybody is seen in all of them
        level = np.stack([window_mean(s, c.base, c.window)[0] for c in cs]) * asked[:, None]
        mine, others = np.nonzero(adopting(cs, self.path)), serving(cs, self.path)
        found = []
        for sign, (of, at, *when) in ((1, mine), (-1, others)):
            mask = when[0] if when else np.ones((len(of), base.shape[1]), dtype=bool)
            share = mask * each[of] if sign > 0 else mask
            found.append(Term(sign, of, at, mask, n[at] * share, s[at] * share, len(cs), "later"))
            before = n[at[:, None], np.maximum(base, 0)[of]] * asked[of] * mask
            found.append(Term(-sign, of, at, mask, before, level[of, at] * mask, len(cs), "base"))
        return tuple(found)

    def heads(self, cs: Sequence[Comparison]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        column, _, before = self.sums.heads(cs)
        there = np.zeros(before.shape)
        asked = column > 0
        there[:, column[asked]] = self.there[:, np.nonzero(asked)[1]]
        return column, there, before

    @cached_property
    def there(self) -> np.ndarray:
        """(G, T) units that carry weight and were there."""
        return self.sums.group(self.sums.carries * np.isfinite(self.sums.values)).round().astype(int)

    def unit_rows(self, c: Comparison, term: Term, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units, row = term.of_units(self.sums.of)
        y = self.sums.values[units]
        if term.what == "base":
            y, count = window_mean(y, c.base, c.window)
            y = np.where(count > 0, y, np.nan)
        seen = np.isfinite(y) & (c.base >= 0)
        mass = np.where(seen, self.sums.weights[units, None], 0.0) * term.mask[row]
        if term.sign > 0 and term.what == "later":
            mass *= _each(c)
        return units, mass * (np.where(seen, y, 0.0) - centre), mass


def _each(c: Comparison) -> np.ndarray:
    """(T,) share of the adopters in one part of a comparison across people: parts count alike."""
    return 1.0 / np.maximum(c.whole.window, 1) if c.parent is not None else np.ones(len(c.base))
