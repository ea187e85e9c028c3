"""From a plan and a reader to rows: the one place where rollout comparisons become numbers.

Row (g, t) = sum over starting paths p of cohort g of N_p E_p / sum of N_p, where E_p is the adopters'
mean change less that of their matches, and N_p the adopters seen who have a match (Callaway and
Sant'Anna 2021, equation 2.4, within strata of the other components' paths). E_p is a signed sum of
means; a reader says which means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.designs.rollout.plan import Comparison, Plan, Use, is_small, together
from evalkit.designs.rollout.readers import Reader, Term
from evalkit.designs.rollout.starts import windows_without_each
from evalkit.designs.rollout.sums import add_by
from evalkit.designs.threads import one_thread
from evalkit.inference.replicates import Replicates
from evalkit.study.paths import Paths

SMALL = 10_000_000
"""Starts x groups x periods up to which the means of all comparisons are kept (at most 32 bytes each)."""


@dataclass(frozen=True, eq=False)
class Block:
    """One start, or one part of it, read through its terms: everything is (T,) unless said otherwise.

    line: which cohort's rows it adds to. ok: every mean has units. n: adopters' mass. effect: E_p. kept: its terms
    where all of them together, a starts by groups by periods array, are small; else they are made when asked for.
    """

    comparison: Comparison
    line: int
    reader: Reader
    ok: np.ndarray
    n: np.ndarray
    effect: np.ndarray
    means: tuple[np.ndarray, ...]
    kept: tuple[Term, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """The means that it is made of."""
        return self.kept or self.reader.terms(self.comparison)


@dataclass(frozen=True, eq=False)
class Contrast:
    """Rows (cohort x period, flattened) of one plan read through one reader."""

    plan: Plan
    reader: Reader

    @cached_property
    def cohorts(self) -> np.ndarray:
        """(H,) positions of first exposed periods, in order."""
        return np.unique([c.cohort for c in (*self.plan, *self.plan.baseless)]).astype(int)

    @property
    def paths(self) -> Paths:
        return self.reader.sums.paths

    @property
    def n_periods(self) -> int:
        return self.paths.n_periods

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(b for b, _ in self._read([(c, None) for c in self.plan]))

    def _read(self, uses: list[Use]) -> list[tuple[Block, np.ndarray | None]]:
        ignored = self.plan.rules is not None and self.plan.rules.others == "ignored"
        pooled = together(uses) if self.reader.pooled or ignored else uses
        parts = [(part, used) for c, used in pooled for part in self.reader.sums.parts(c)]
        small = len(parts) * len(self.reader.path) * self.n_periods <= SMALL
        found = []
        for c, used in parts:
            terms = self.reader.terms(c)
            ok = c.possible & np.all([t.total[0] > 0 for t in terms], axis=0)
            means = tuple(ratio(t.total[1], t.total[0], ok) for t in terms)
            effect = np.sum([t.sign * m for t, m in zip(terms, means, strict=True)], axis=0)
            line, n = int(np.searchsorted(self.cohorts, c.cohort)), terms[0].total[0]
            found.append((Block(c, line, self.reader, ok, n, effect, means, terms if small else ()), used))
        return found

    @cached_property
    def refitted(self) -> list[tuple[Block, np.ndarray | None]]:
        """Blocks, and in which periods the refit without each cluster uses them, (K, T), None for all: the base
        window of a start is chosen again in each, and read only where it is another one."""
        windows = self.paths.memo.get(
            ("windows", self.plan), lambda: windows_without_each(self.plan), keep=lambda _: is_small(self.plan)
        )
        starts = [{(p, b.comparison.cohort) for p in b.comparison.adopters} for b in self.blocks]
        again = set().union(*(s for s in starts if s & windows.keys()))
        uses: list[Use] = []
        for c in self.plan:
            key = (c.path, c.cohort)
            if key in windows:
                uses += [(other, self._in_clusters(used, other is c)) for other, used in windows[key]]
            elif key in again:
                uses.append((c, None))
        kept = [(b, None) for b, s in zip(self.blocks, starts, strict=True) if not s & again]
        return [*kept, *self._read(uses)]

    def _in_clusters(self, used: np.ndarray, planned: bool) -> np.ndarray:
        """(K, T) from (lines, T) of the plan's states; clusters without a line have the windows as `planned`."""
        level = self.paths.levels[self.reader.sums.level]
        if self.plan.states is not None and self.plan.states.copies is not None:
            line = np.zeros(len(level.names), dtype=np.int64)
            line[level.codes] = self.paths.path
            return used[line]
        out = np.full((len(level.names), self.n_periods), planned)
        out[: len(used)] = used
        return out

    @cached_property
    def starts(self) -> tuple[tuple[Comparison, int, np.ndarray], ...]:
        """Each comparison as planned, its line, and the periods (T,) at which any part of it could be read."""
        found: list[tuple[Comparison, int, np.ndarray]] = []
        for b in self.blocks:
            if found and found[-1][0] is b.comparison.whole:
                found[-1][2][:] |= b.ok
            else:
                found.append((b.comparison.whole, b.line, b.ok.copy()))
        return tuple(found)

    def collect(self, per_block: Callable[[Block], np.ndarray]) -> np.ndarray:
        """(H, T) sums over the blocks of each cohort."""
        out = np.zeros((len(self.cohorts), self.n_periods))
        for b in self.blocks:
            out[b.line] += per_block(b)
        return out

    @cached_property
    def mass(self) -> np.ndarray:
        """(H, T) adopters retained."""
        return self.collect(lambda b: np.where(b.ok, b.n, 0.0))

    @cached_property
    def left_out(self) -> np.ndarray:
        """(H, T) adopters seen without a match, or without a base."""
        return self.collect(lambda b: np.where(b.comparison.possible & ~b.ok, b.n, 0.0)) + self.without_base

    @cached_property
    def without_base(self) -> np.ndarray:
        """(H, T) adopters whose base lies before the panel, or before an earlier spell has ended."""
        out = np.zeros(self.mass.shape)
        for lost in self.plan.baseless:
            out[np.searchsorted(self.cohorts, lost.cohort)] += lost.asked * self.reader.people(np.array([lost.path]))
        return out

    @cached_property
    def possible(self) -> np.ndarray:
        """(H, T) rows that the rollout asks for, answered or not."""
        asked = self.collect(lambda b: b.comparison.possible)
        for lost in self.plan.baseless:
            asked[np.searchsorted(self.cohorts, lost.cohort)] += lost.asked
        return asked > 0

    @cached_property
    def value(self) -> np.ndarray:
        """(H, T) estimates, NaN where no adopter has a match."""
        total = self.collect(lambda b: np.where(b.ok, b.n * b.effect, 0.0))
        return mean_of(total, self.mass)

    def weights(self, b: Block) -> tuple[np.ndarray, np.ndarray]:
        """(T,) weight of the block in its row, and of one unit of its adopters' mass."""
        return ratio(b.n, self.mass[b.line], b.ok), ratio(np.ones_like(b.n), self.mass[b.line], b.ok)

    def incidence(self, sign: int) -> np.ndarray:
        """(G, H, T) groups that carry weight as exposed (+1) or as comparison (-1) in each row."""
        out = np.zeros((len(self.reader.path), *self.mass.shape), dtype=bool)
        for b in self.blocks:
            exposed = self.exposed_groups(b)
            for term in b.terms:
                there, mine = (term.inside[0] > 0) & b.ok, exposed[term.at]
                out[term.at, b.line] |= there & mine if sign > 0 else there & ~mine
        return out

    def exposed_groups(self, b: Block) -> np.ndarray:
        """(G, 1) groups on the side of the adopters."""
        return b.comparison.adopting(self.reader.path)[:, None]

    def totals(self, rows: np.ndarray) -> np.ndarray:
        """(G, 2k) contributions summed in groups: of the values, then of the masses, at `rows`."""
        shape = (len(self.reader.path), *self.mass.shape)
        value, mass = np.zeros(shape), np.zeros(shape)
        for b in self.blocks:
            share, unit = self.weights(b)
            terms = b.terms
            for term, mean in zip(terms, b.means, strict=True):
                n, s = term.inside
                per_mass = ratio(share, term.total[0], b.ok)
                value[term.at, b.line] += term.sign * per_mass * (s - n * mean)
            at, n = terms[0].at, terms[0].inside[0] * b.ok
            value[at, b.line] += unit * n * (b.effect - np.nan_to_num(self.value[b.line]))
            mass[at, b.line] += n
        return np.hstack([x.reshape(len(self.reader.path), -1)[:, rows] for x in (value, mass)])

    def unit_rows(self, rows: np.ndarray) -> np.ndarray:
        """(n, 2k) contributions by unit: records about people."""
        at, k = self.places(rows), len(rows)
        out = np.zeros((self.paths.n_units, 2 * k))
        for b in self.blocks:
            keep = (at[b.line] >= 0) & b.ok
            columns, (share, unit) = at[b.line, keep], self.weights(b)
            for i, (term, mean) in enumerate(zip(b.terms, b.means, strict=True)):
                units, away, mass = self.reader.unit_rows(b.comparison, term, mean)
                per_mass = ratio(share, term.total[0], b.ok)
                np.add.at(out, np.ix_(units, columns), (term.sign * per_mass * away)[:, keep])
                if i == 0:
                    level = unit * (b.effect - np.nan_to_num(self.value[b.line]))
                    np.add.at(out, np.ix_(units, columns), (mass * level)[:, keep])
                    np.add.at(out, np.ix_(units, columns + k), mass[:, keep])
        return out

    def places(self, rows: np.ndarray) -> np.ndarray:
        """(H, T) where each (cohort, period) stands among `rows`, -1 where it does not."""
        at = np.full(self.mass.size, -1)
        at[rows] = np.arange(len(rows))
        return at.reshape(self.mass.shape)

    @one_thread()
    def replicates(self, rows: np.ndarray) -> Replicates:
        """Delete-one-cluster refits in closed form: sums less the cluster's own, over base windows chosen again."""
        if self.reader.sums.by_path:
            return self.by_cell().replicates(rows)
        names = self.paths.levels[self.reader.sums.level].names
        shape = (len(names), *self.mass.shape)
        top, below = np.zeros((2, *shape))
        exposed, comparison = np.zeros((2, *shape), dtype=bool)
        for b, used in self.refitted:
            effect, mass, left, arms = self._without_each(b, len(names))
            left &= True if used is None else used
            top[:, b.line] += np.where(left, mass * effect, 0.0)
            below[:, b.line] += np.where(left, mass, 0.0)
            exposed[:, b.line] |= arms[0]
            comparison[:, b.line] |= arms[1]
        flat = (x.reshape(len(names), -1)[:, rows] for x in (mean_of(top, below), below, exposed, comparison))
        return Replicates(names, self.reader.sums.level, *flat)

    def by_cell(self) -> Contrast:
        """The same contrast with groups no larger than clusters, as refits and cell weights need."""
        return Contrast(self.plan, self.reader.by_cell()) if self.reader.sums.by_path else self

    def _without_each(self, b: Block, clusters: int) -> tuple:
        """Effect and mass of a block without each cluster (K, T), where they exist, and the arms' clusters."""
        left = np.broadcast_to(b.comparison.possible, (clusters, self.n_periods)).copy()
        effect, mass = np.zeros((2, *left.shape))
        arms = np.zeros((2, *left.shape), dtype=bool)
        exposed = self.exposed_groups(b)
        for i, term in enumerate(b.terms):
            n, s = (add_by(x, self.reader.cluster[term.at], clusters) for x in term.inside)
            there = n > 0
            still = there.sum(axis=0) - there > 0
            left &= still
            rest = np.where(still, term.total[0] - n, 1.0)
            effect += term.sign * (term.total[1] - s) / rest
            if i == 0:
                mass = rest
            side = 0 if (term.mask & exposed[term.at]).any() else 1
            arms[side] |= there & b.ok
        return effect, mass, left, arms


def mean_of(total: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """total / mass, NaN where there is no mass."""
    return np.where(mass > 0, total / np.where(mass > 0, mass, 1.0), np.nan)


def ratio(top: np.ndarray, below: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """top / below where ok, else zero."""
    return np.where(ok, top / np.where(ok, below, 1.0), 0.0)
