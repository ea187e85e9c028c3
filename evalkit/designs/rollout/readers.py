"""Readers: what a comparison reads, changes within each unit or cross-sections, as means of sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from evalkit.designs.rollout.plan import Comparison
from evalkit.designs.rollout.sums import Sums, window_mean


@dataclass(frozen=True, eq=False)
class Term:
    """One mean of a comparison, over few of all groups.

    at: (g,) the groups that take part in any period. mask: (g, T) when they do. n, s: (g, T) their mass and sum.
    what: which outcome it averages, for readers that know several ("change", "later", "base").
    """

    sign: int
    at: np.ndarray
    mask: np.ndarray
    n: np.ndarray
    s: np.ndarray
    what: str = "change"

    @cached_property
    def inside(self) -> tuple[np.ndarray, np.ndarray]:
        """(g, T) mass and sum, zero in periods in which a group takes no part."""
        return self.n * self.mask, self.s * self.mask

    @cached_property
    def total(self) -> tuple[np.ndarray, np.ndarray]:
        """(T,) mass and sum."""
        n, s = self.inside
        return n.sum(axis=0), s.sum(axis=0)

    def of_units(self, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Units (m,) whose group (n,) takes part, and the row of each in `at`."""
        row = np.full(int(max(group.max(initial=0), self.at.max(initial=0))) + 1, -1)
        row[self.at] = np.arange(len(self.at))
        units = np.flatnonzero(row[group] >= 0)
        return units, row[group[units]]


def adopters(sign: int, at: np.ndarray, n: np.ndarray, s: np.ndarray, what: str = "change") -> Term:
    """A term of groups that take part throughout."""
    return Term(sign, at, np.ones(n.shape, dtype=bool), n, s, what)


def matches(sign: int, mask: np.ndarray, n: np.ndarray, s: np.ndarray, what: str = "change") -> Term:
    """A term of the groups that `mask` (G, T) picks out of all (G, T)."""
    at = np.flatnonzero(mask.any(axis=1))
    return Term(sign, at, mask[at], n[at], s[at], what)


@dataclass(frozen=True, eq=False)
class Side:
    """Groups of a reader as cells of paths. path, cluster: (c,) of each cell; gather: (c, G) which groups a cell
    sums; taken_off: whether it is the ineligible of pairs, who are taken off the eligible."""

    path: np.ndarray
    cluster: np.ndarray
    gather: sparse.csc_array
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
        return [Side(self.path, self.cluster, sparse.eye_array(len(self.path), format="csc"))]

    def people(self, paths: np.ndarray) -> int:
        """Units on some paths (pairs) that carry weight."""
        return int(self.sums.people[np.isin(self.path, paths)].sum())

    def heads(self, c: Comparison) -> tuple[np.ndarray, np.ndarray]:
        """(G, T) units read, and units seen at the base."""
        return self.sums.heads(c)

    @abstractmethod
    def terms(self, c: Comparison) -> tuple[Term, ...]:
        """The means of one comparison; the first is that of the adopters later on."""

    @abstractmethod
    def unit_rows(self, c: Comparison, term: Term, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Units (m,), their weighted deviations from `centre` (m, T), and their mass in the term (m, T)."""


@dataclass(frozen=True, eq=False)
class Within(Reader):
    """Each unit against itself: mean change of the adopters less that of their matches."""

    def terms(self, c: Comparison) -> tuple[Term, ...]:
        n, s = self.sums.read(c)
        mine = np.flatnonzero(c.adopting(self.path))
        own = (n[mine], s[mine]) if c.parent is None else self.sums.own(c, mine)
        return adopters(1, mine, *own), matches(-1, c.match[self.path], n, s)

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

    def terms(self, c: Comparison) -> tuple[Term, ...]:
        (n1, s1), asked = self.later, c.base >= 0
        n0 = n1[:, np.maximum(c.base, 0)] * asked
        s0 = window_mean(s1, c.base, c.window)[0] * asked  # whole windows only where everybody is seen in all of them
        mine = np.flatnonzero(c.adopting(self.path))
        other, each = c.match[self.path], _each(c)
        return (
            adopters(1, mine, n1[mine] * each, s1[mine] * each, "later"),
            adopters(-1, mine, n0[mine], s0[mine], "base"),
            matches(-1, other, n1, s1, "later"),
            matches(1, other, n0, s0, "base"),
        )

    def heads(self, c: Comparison) -> tuple[np.ndarray, np.ndarray]:
        return self.there * (c.base >= 0), self.sums.heads(c)[1]

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
