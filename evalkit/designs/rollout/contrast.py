"""From a plan and a reader to rows: the one place where rollout comparisons become numbers.

Row (g, t) = sum over starting paths p of cohort g of N_p E_p / sum of N_p, where E_p is the adopters'
mean change less that of their matches, and N_p the adopters seen who have a match (Callaway and
Sant'Anna 2021, equation 2.4, within strata of the other components' paths). E_p is a signed sum of
means; a reader says which means.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np

from evalkit.designs.rollout.plan import Comparison, Plan, Use, is_small, together
from evalkit.designs.rollout.readers import Reader, Term, adopting
from evalkit.designs.rollout.starts import windows_without_each
from evalkit.designs.rollout.sums import add_by
from evalkit.designs.threads import one_thread
from evalkit.inference.replicates import Replicates
from evalkit.study.paths import Paths

_T = TypeVar("_T")
SMALL = 10_000_000
"""Starts x groups x periods up to which the means of all comparisons are kept (at most 32 bytes each)."""
AT_ONCE = 4_000_000
"""Starts x groups (or clusters) x periods that are read at once."""


@dataclass(frozen=True, eq=False)
class Block:
    """One start, or one part of it, read through its terms: everything is (T,) unless said otherwise.

    line: which cohort's rows it adds to. ok: every mean has units. effect: E_p. weights: of the block in its row, and
    of one unit of its adopters' mass.
    """

    comparison: Comparison
    line: int
    ok: np.ndarray
    effect: np.ndarray
    means: tuple[np.ndarray, ...]
    terms: tuple[Term, ...]
    weights: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Blocks:
    """B starts, or parts of them, read at once: (B, T) each unless said otherwise.

    line: (B,) which cohort's rows each adds to. ok: every mean has units. n: adopters' mass. effect: E_p. used: in
    which periods the refit without each cluster uses each, (K, T), None for all. kept: the terms where all of them
    together are small; else they are made when asked for.
    """

    comparisons: tuple[Comparison, ...]
    line: np.ndarray
    ok: np.ndarray
    n: np.ndarray
    effect: np.ndarray
    means: tuple[np.ndarray, ...]
    used: tuple[np.ndarray | None, ...]
    kept: tuple[Term, ...]

    def __len__(self) -> int:
        return len(self.comparisons)

    def terms(self, reader: Reader) -> tuple[Term, ...]:
        """The means that they are made of."""
        return self.kept or reader.terms(self.comparisons)

    def only(self, keep: np.ndarray) -> Blocks:
        """Some of them (B,)."""
        at = np.flatnonzero(keep)
        return Blocks(
            tuple(self.comparisons[i] for i in at), self.line[at], self.ok[at], self.n[at], self.effect[at],
            tuple(m[at] for m in self.means), tuple(self.used[i] for i in at), tuple(t.only(keep) for t in self.kept),
        )  # fmt: skip

    def exposed(self, reader: Reader, term: Term) -> np.ndarray:
        """(R,) which lines of a term are on the side of the adopters."""
        return adopting(self.comparisons, reader.path)[term.of, term.at]


class Kept(dict[Hashable, object]):
    """What was read, which can be held weakly."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """Rows (cohort x period, flattened) of one plan read through one reader. kept: what was read, once for all that
    reads the same."""

    plan: Plan
    reader: Reader
    kept: dict[Hashable, object] = field(default_factory=dict, repr=False)

    @classmethod
    def shared(cls, plan: Plan, reader: Reader) -> Contrast:
        """Read once for all designs of the study that have the plan and the reader, where that is small."""
        sums = reader.sums
        if len(plan) * len(reader.path) * sums.paths.n_periods > SMALL or sums.values.flags.writeable:
            return cls(plan, reader)
        key = ("read", plan, type(reader), sums.level, sums.by_path)
        return cls(plan, reader, sums.paths.memo.shared(key, Kept, sums.values))

    def __getstate__(self) -> dict[str, object]:
        return {"plan": self.plan, "reader": self.reader, "kept": {}}

    def once(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What `make` gives, kept with what was read."""
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]  # type: ignore[return-value]

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

    @property
    def shape(self) -> tuple[int, int]:
        """(H, T)."""
        return len(self.cohorts), self.n_periods

    @property
    def read(self) -> tuple[Blocks, ...]:
        """All comparisons of the plan, as many at once as memory allows."""
        return self.once("read", lambda: tuple(self._read([(c, None) for c in self.plan])))

    def _read(self, uses: list[Use]) -> Iterator[Blocks]:
        ignored = self.plan.rules is not None and self.plan.rules.others == "ignored"
        pooled = together(uses) if self.reader.pooled or ignored else uses
        parts = [(part, used) for c, used in pooled for part in self.reader.sums.parts(c)]
        small = len(parts) * len(self.reader.path) * self.n_periods <= SMALL
        lines = max(len(self.reader.path), len(self.paths.levels[self.reader.sums.level].names))
        step = max(AT_ONCE // (lines * self.n_periods), 1)
        for low in range(0, len(parts), step):
            comparisons, used = zip(*parts[low : low + step], strict=True)
            terms = self.reader.terms(comparisons)
            possible = np.stack([c.possible for c in comparisons])
            ok = possible & np.all([t.total[0] > 0 for t in terms], axis=0)
            means = tuple(ratio(t.total[1], t.total[0], ok) for t in terms)
            effect = np.sum([t.sign * m for t, m in zip(terms, means, strict=True)], axis=0)
            line = np.searchsorted(self.cohorts, [c.cohort for c in comparisons])
            yield Blocks(comparisons, line, ok, terms[0].total[0], effect, means, used, terms if small else ())

    def blocks(self) -> Iterator[Block]:
        """All comparisons one by one."""
        for read in self.read:
            terms, (share, unit) = read.terms(self.reader), self.weights(read)
            each = zip(*(t.by_block() for t in terms), strict=True)
            for i, (c, mine) in enumerate(zip(read.comparisons, each, strict=True)):
                means, line = tuple(m[i] for m in read.means), int(read.line[i])
                yield Block(c, line, read.ok[i], read.effect[i], means, mine, (share[i], unit[i]))

    @property
    def refitted(self) -> Iterator[Blocks]:
        """All comparisons, and in which periods the refit without each cluster uses them: the base window of a start is
        chosen again in each, and read only where it is another one."""
        windows = self.paths.memo.get(
            ("windows", self.plan), lambda: windows_without_each(self.plan), keep=lambda _: is_small(self.plan)
        )
        starts = [[{(p, c.cohort) for p in c.adopters} for c in read.comparisons] for read in self.read]
        again = set().union(*(s for some in starts for s in some if s & windows.keys()))
        uses: list[Use] = []
        for c in self.plan:
            key = (c.path, c.cohort)
            if key in windows:
                uses += [(other, self._in_clusters(used, other is c)) for other, used in windows[key]]
            elif key in again:
                uses.append((c, None))
        for read, some in zip(self.read, starts, strict=True):
            kept = np.array([not s & again for s in some])
            if kept.any():
                yield read if kept.all() else read.only(kept)
        yield from self._read(uses)

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
        for read in self.read:
            for c, line, ok in zip(read.comparisons, read.line.tolist(), read.ok, strict=True):
                if found and found[-1][0] is c.whole:
                    found[-1][2][:] |= ok
                else:
                    found.append((c.whole, line, ok.copy()))
        return tuple(found)

    def starts_at_once(self) -> Iterator[tuple[tuple[Comparison, ...], np.ndarray, np.ndarray]]:
        """Comparisons as planned, their lines and periods, as many at once as memory allows."""
        step = max(AT_ONCE // (len(self.reader.path) * self.n_periods), 1)
        for low in range(0, len(self.starts), step):
            cs, line, ok = zip(*self.starts[low : low + step], strict=True)
            yield cs, np.array(line), np.stack(ok)

    def collect(self, of_blocks: Callable[[Blocks], np.ndarray]) -> np.ndarray:
        """(H, T) sums over the blocks of each cohort."""
        out = np.zeros(self.shape)
        for read in self.read:
            _add_lines(out, read.line, of_blocks(read))
        return out

    @cached_property
    def mass(self) -> np.ndarray:
        """(H, T) adopters retained."""
        return self.once("mass", lambda: self.collect(lambda b: np.where(b.ok, b.n, 0.0)))

    @cached_property
    def left_out(self) -> np.ndarray:
        """(H, T) adopters seen without a match, or without a base."""
        lost = lambda b: np.where(_possible(b.comparisons) & ~b.ok, b.n, 0.0)  # noqa: E731
        return self.once("lost", lambda: self.collect(lost)) + self.without_base

    @cached_property
    def without_base(self) -> np.ndarray:
        """(H, T) adopters whose base lies before the panel, or before an earlier spell has ended."""
        out = np.zeros(self.shape)
        for lost in self.plan.baseless:
            out[np.searchsorted(self.cohorts, lost.cohort)] += lost.asked * self.reader.people(np.array([lost.path]))
        return out

    @cached_property
    def possible(self) -> np.ndarray:
        """(H, T) rows that the rollout asks for, answered or not."""
        asked = np.zeros(self.shape, dtype=bool)
        for c in self.plan:
            asked[np.searchsorted(self.cohorts, c.cohort)] |= c.possible
        for lost in self.plan.baseless:
            asked[np.searchsorted(self.cohorts, lost.cohort)] |= lost.asked
        return asked

    def rows(self, leads: bool = True) -> np.ndarray:
        """Which (cohort, period) the rollout asks for; without `leads` those from the start on, where there are any."""
        later = self.possible & (np.arange(self.n_periods) >= self.cohorts[:, None])
        return np.flatnonzero(self.possible if leads or not later.any() else later)

    @cached_property
    def value(self) -> np.ndarray:
        """(H, T) estimates, NaN where no adopter has a match."""
        total = self.once("effects", lambda: self.collect(lambda b: np.where(b.ok, b.n * b.effect, 0.0)))
        return mean_of(total, self.mass)

    def weights(self, b: Blocks) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) weight of each block in its row, and of one unit of its adopters' mass."""
        mass = self.mass[b.line]
        return ratio(b.n, mass, b.ok), ratio(np.ones_like(b.n), mass, b.ok)

    @property
    def serving(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, H, T) groups that carry weight as exposed, and as comparison, in each row."""
        return self.once("serving", self._serving)

    def _serving(self) -> tuple[np.ndarray, np.ndarray]:
        exposed, comparison = np.zeros((2, len(self.reader.path) * len(self.cohorts), self.n_periods), dtype=bool)
        for b in self.read:
            for term in b.terms(self.reader):
                there, mine = (term.n > 0) & b.ok[term.of], b.exposed(self.reader, term)
                row = term.at * len(self.cohorts) + b.line[term.of]
                for out, side in ((exposed, mine), (comparison, ~mine)):
                    out |= add_by(there[side].astype(float), row[side], len(out)) > 0
        shape = (-1, *self.shape)
        return exposed.reshape(shape), comparison.reshape(shape)

    def totals(self, rows: np.ndarray) -> np.ndarray:
        """(G, 2k) contributions summed in groups: of the values, then of the masses, at `rows`."""
        return np.hstack([x[:, rows] for x in self.once("totals", self._totals)])

    def _totals(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, H x T) of the values and of the masses."""
        G, H = len(self.reader.path), len(self.cohorts)
        value, mass = np.zeros((2, G * H, self.n_periods))
        for b in self.read:
            (share, unit), terms, moved = self.weights(b), b.terms(self.reader), []
            for term, mean in zip(terms, b.means, strict=True):
                per_mass = ratio(share, term.total[0], b.ok)[term.of]
                moved.append((term.of, term.at, term.sign * per_mass * (term.s - term.n * mean[term.of])))
            of, at, n = terms[0].of, terms[0].at, terms[0].n * b.ok[terms[0].of]
            away = b.effect - np.nan_to_num(self.value[b.line])
            moved.append((of, at, unit[of] * n * away[of]))
            block, group, rows = (np.concatenate(x) for x in zip(*moved, strict=True))
            order = np.argsort(block, kind="stable")  # start after start, as they are said to be added up
            value += add_by(rows[order], (group * H + b.line[block])[order], G * H)
            mass += add_by(n, at * H + b.line[of], G * H)
        return value.reshape(G, -1), mass.reshape(G, -1)

    def unit_rows(self, rows: np.ndarray) -> np.ndarray:
        """(n, 2k) contributions by unit: records about people."""
        at, k = self.places(rows), len(rows)
        out = np.zeros((self.paths.n_units, 2 * k))
        for b in self.blocks():
            keep = (at[b.line] >= 0) & b.ok
            columns, (share, unit) = at[b.line, keep], b.weights
            for i, (term, mean) in enumerate(zip(b.terms, b.means, strict=True)):
                units, away, mass = self.reader.unit_rows(b.comparison, term, mean)
                per_mass = ratio(share, term.total[0][0], b.ok)
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
        names, level = self.paths.levels[self.reader.sums.level].names, self.reader.sums.level
        made = self.once("replicates", lambda: self._replicates(len(names)))
        return Replicates(names, level, *(x[:, rows] for x in made))

    def _replicates(self, clusters: int) -> tuple[np.ndarray, ...]:
        """Values, masses, and which clusters serve as exposed and as comparison, (K, H x T) each."""
        H = len(self.cohorts)
        top, below, exposed, comparison = np.zeros((4, H, clusters * self.n_periods))
        for b in self.refitted:
            effect, mass, left, arms = self._without_each(b, clusters)
            for out, x in ((top, np.where(left, mass * effect, 0.0)), (below, np.where(left, mass, 0.0))):
                _add_lines(out, b.line, x.reshape(len(b), -1))
            for out, arm in zip((exposed, comparison), arms, strict=True):
                _add_lines(out, b.line, arm.reshape(len(b), -1))
        made = (x.reshape(H, clusters, -1).transpose(1, 0, 2).reshape(clusters, -1)
                for x in (mean_of(top, below), below, exposed > 0, comparison > 0))  # fmt: skip
        return tuple(made)

    def by_cell(self) -> Contrast:
        """The same contrast with groups no larger than clusters, as refits and cell weights need."""
        return Contrast.shared(self.plan, self.reader.by_cell()) if self.reader.sums.by_path else self

    def _without_each(self, b: Blocks, clusters: int) -> tuple:
        """Effect and mass of blocks without each cluster (B, K, T), where they exist, and the arms' clusters."""
        shape = (len(b), clusters, self.n_periods)
        left = np.broadcast_to(_possible(b.comparisons)[:, None], shape).copy()
        for i, used in enumerate(b.used):
            left[i] &= True if used is None else used
        effect, mass = np.zeros((2, *shape))
        arms = np.zeros((2, *shape), dtype=bool)
        for i, term in enumerate(b.terms(self.reader)):
            row = term.of * clusters + self.reader.cluster[term.at]
            n, s = (add_by(x, row, len(b) * clusters).reshape(shape) for x in (term.n, term.s))
            there = n > 0
            still = there.sum(axis=1, keepdims=True) - there > 0
            left &= still
            rest = np.where(still, term.total[0][:, None] - n, 1.0)
            effect += term.sign * (term.total[1][:, None] - s) / rest
            if i == 0:
                mass = rest
            mine = np.zeros(len(b), dtype=bool)
            mine[term.of[b.exposed(self.reader, term) & term.mask.any(axis=1)]] = True
            for arm, side in zip(arms, (mine, ~mine), strict=True):
                arm |= there & b.ok[:, None] & side[:, None, None]
        return effect, mass, left, arms


def _possible(comparisons: Sequence[Comparison]) -> np.ndarray:
    return np.stack([c.possible for c in comparisons])


def _add_lines(out: np.ndarray, line: np.ndarray, rows: np.ndarray) -> None:
    """Add rows (B, m) to the lines (B,) of `out`, one after another."""
    for at, row in zip(line.tolist(), rows, strict=True):
        out[at] += row


def mean_of(total: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """total / mass, NaN where there is no mass."""
    return np.where(mass > 0, total / np.where(mass > 0, mass, 1.0), np.nan)


def ratio(top: np.ndarray, below: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """top / below where ok, else zero."""
    return np.where(ok, top / np.where(ok, below, 1.0), 0.0)
