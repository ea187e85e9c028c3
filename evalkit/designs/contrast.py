"""From a plan and sums to an Estimate: the one place where rollout comparisons become numbers.

Row (g, t) = sum over starting paths p of cohort g of N_p (A_p - C_p) / sum of N_p, where A_p is the
adopters' mean change, C_p that of their matches, and N_p the adopters seen who have a match
(Callaway and Sant'Anna 2021, equation 2.4, within strata of the other components' paths).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.designs.plan import Comparison, Plan
from evalkit.designs.sums import Sums, add_by
from evalkit.inference.jackknife import Replicates


@dataclass(frozen=True, eq=False)
class Block:
    """One start read for its sums: everything is (T,) unless said otherwise.

    adopters: (A,) groups of the starting path. ok: both arms are seen. n, mean: adopters' mass and
    mean change; n0, mean0: the matches'. line: which cohort's rows it adds to.
    """

    comparison: Comparison
    line: int
    adopters: np.ndarray
    ok: np.ndarray
    n: np.ndarray
    mean: np.ndarray
    n0: np.ndarray
    mean0: np.ndarray


@dataclass(frozen=True, eq=False)
class Contrast:
    """Rows (cohort x period, flattened) of one plan read through one reader of sums."""

    plan: Plan
    sums: Sums

    @cached_property
    def cohorts(self) -> np.ndarray:
        """(H,) positions of first exposed periods, in order."""
        return np.unique([c.cohort for c in self.plan]).astype(int)

    @property
    def n_periods(self) -> int:
        return self.sums.paths.n_periods

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(self._block(c) for c in self.plan)

    def _block(self, c: Comparison) -> Block:
        n, s = self.sums.read(c.base, c.window)
        adopters = np.flatnonzero(self.sums.path == c.path)
        n1, s1 = n[adopters].sum(axis=0), s[adopters].sum(axis=0)
        serve = c.match[self.sums.path]
        n0, s0 = np.einsum("gt,gt->t", n, serve), np.einsum("gt,gt->t", s, serve)
        ok = (n1 > 0) & (n0 > 0) & c.possible
        mean, mean0 = _ratio(s1, n1, ok), _ratio(s0, n0, ok)
        return Block(c, int(np.searchsorted(self.cohorts, c.cohort)), adopters, ok, n1, mean, n0, mean0)

    def _collect(self, per_block: Callable[[Block], np.ndarray]) -> np.ndarray:
        """(H, T) sums over the blocks of each cohort."""
        out = np.zeros((len(self.cohorts), self.n_periods))
        for b in self.blocks:
            out[b.line] += per_block(b)
        return out

    @cached_property
    def mass(self) -> np.ndarray:
        """(H, T) adopters retained."""
        return self._collect(lambda b: np.where(b.ok, b.n, 0.0))

    @cached_property
    def left_out(self) -> np.ndarray:
        """(H, T) adopters seen at both periods without a match."""
        return self._collect(lambda b: np.where(b.comparison.possible & ~b.ok, b.n, 0.0))

    @cached_property
    def possible(self) -> np.ndarray:
        """(H, T) rows that the rollout asks for, answered or not."""
        return self._collect(lambda b: b.comparison.possible) > 0

    @cached_property
    def value(self) -> np.ndarray:
        """(H, T) estimates, NaN where no adopter has a match."""
        total = self._collect(lambda b: np.where(b.ok, b.n * (b.mean - b.mean0), 0.0))
        return np.where(self.mass > 0, total / np.where(self.mass > 0, self.mass, 1.0), np.nan)

    @cached_property
    def comparison_heads(self) -> np.ndarray:
        """(H, T) units in groups that serve as comparison (seen at both periods for some start)."""
        out = np.zeros(self.mass.shape, dtype=int)
        for h in range(len(self.cohorts)):
            mine = [b.comparison for b in self.blocks if b.line == h]
            heads = np.max([self.sums.heads(c.base, c.window) for c in mine], axis=0)
            out[h] = (heads * self.serving[:, h]).sum(axis=0)
        return out

    @cached_property
    def using(self) -> np.ndarray:
        """(G, H, T) groups that serve as exposed."""
        return self._incidence(exposed=True)

    @cached_property
    def serving(self) -> np.ndarray:
        """(G, H, T) groups that serve as comparison."""
        return self._incidence(exposed=False)

    def _incidence(self, exposed: bool) -> np.ndarray:
        out = np.zeros((len(self.sums.path), len(self.cohorts), self.n_periods), dtype=bool)
        for b in self.blocks:
            there = self.sums.read(b.comparison.base, b.comparison.window)[0] > 0
            if exposed:
                out[b.adopters, b.line] |= there[b.adopters] & b.ok
            else:
                out[:, b.line] |= there & b.comparison.match[self.sums.path] & b.ok
        return out

    def totals(self, rows: np.ndarray) -> np.ndarray:
        """(G, 2k) contributions summed in groups: of the values, then of the masses, at `rows`."""
        groups, shape = len(self.sums.path), self.mass.shape
        value, mass = np.zeros((groups, *shape)), np.zeros((groups, *shape))
        for b in self.blocks:
            n, s = self.sums.read(b.comparison.base, b.comparison.window)
            share, share0, level = self._shares(b)
            mine = b.adopters
            value[mine, b.line] += share * (s[mine] - n[mine] * level)
            serve = b.comparison.match[self.sums.path]
            value[:, b.line] -= serve * share0 * (s - n * b.mean0)
            mass[mine, b.line] += np.where(b.ok, n[mine], 0.0)
        return np.hstack([value.reshape(groups, -1)[:, rows], mass.reshape(groups, -1)[:, rows]])

    def _shares(self, b: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight of one adopter, of one match, and the adopters' centre: (T,) each."""
        below = np.where(b.ok, self.mass[b.line], 1.0)
        share = np.where(b.ok, 1.0 / below, 0.0)
        share0 = np.where(b.ok, b.n / below / np.where(b.ok, b.n0, 1.0), 0.0)
        return share, share0, b.mean0 + np.nan_to_num(self.value[b.line])

    def unit_rows(self, rows: np.ndarray) -> np.ndarray:
        """(n, 2k) contributions by unit: records about people."""
        n_units, k = self.sums.paths.n_units, len(rows)
        width = self.mass.size
        at = np.full(width, -1)
        at[rows] = np.arange(k)
        out = np.zeros((n_units, 2 * k))
        for b in self.blocks:
            self._add_units(b, at[b.line * self.n_periods : (b.line + 1) * self.n_periods], out)
        return out

    def _add_units(self, b: Block, columns: np.ndarray, out: np.ndarray) -> None:
        c, path = b.comparison, self.sums.paths.path
        share, share0, level = self._shares(b)
        keep = (columns >= 0) & b.ok
        cols, k = columns[keep], out.shape[1] // 2
        for units, weight, centre, serve in (
            (np.flatnonzero(path == c.path), share, level, None),
            (np.flatnonzero(np.asarray(c.match.any(axis=1))[path]), -share0, b.mean0, c.match),
        ):
            change, seen = self.sums.changes(units, c.base, c.window)
            w = np.where(seen, self.sums.weights[units, None], 0.0)
            if serve is not None:
                w = w * serve[path[units]]
            out[np.ix_(units, cols)] += (w * (change - centre) * weight)[:, keep]
            if serve is None:
                out[np.ix_(units, cols + k)] += w[:, keep]

    def coefficients(self, rows: np.ndarray) -> np.ndarray:
        """(P, 2k, T + 1) coefficients on (w (Y - path mean), w) when groups are whole paths."""
        paths, periods = len(self.sums.path), self.n_periods
        value = np.zeros((paths, *self.mass.shape, periods + 1))
        mass = np.zeros((paths, *self.mass.shape))
        for b in self.blocks:
            c, (share, share0, level) = b.comparison, self._shares(b)
            change = _difference(c.base, c.window)
            centre = self.sums.mean @ change.T
            mine = int(b.adopters[0])
            value[mine, b.line, :, :-1] += share[:, None] * change
            value[mine, b.line, :, -1] += share * (centre[mine] - level)
            for q in np.flatnonzero(c.match.any(axis=1)):
                weight = c.match[q] * share0
                value[q, b.line, :, :-1] -= weight[:, None] * change
                value[q, b.line, :, -1] -= weight * (centre[q] - b.mean0)
            mass[mine, b.line] += b.ok
        k = len(rows)
        out = np.zeros((paths, 2 * k, periods + 1))
        out[:, :k] = value.reshape(paths, -1, periods + 1)[:, rows]
        out[:, k:, -1] = mass.reshape(paths, -1)[:, rows]
        return out

    def replicates(self, rows: np.ndarray) -> Replicates:
        """Delete-one-cluster refits in closed form: sums less the cluster's own."""
        level = self.sums.paths.levels[self.sums.level]
        codes = self._cluster_of_groups()
        names = level.names
        shape = (len(names), *self.mass.shape)
        top, below = np.zeros(shape), np.zeros(shape)
        exposed, comparison = np.zeros(shape, bool), np.zeros(shape, bool)
        order = np.argsort(codes, kind="stable")
        for b in self.blocks:
            n, s = self.sums.read(b.comparison.base, b.comparison.window)
            serve = b.comparison.match[self.sums.path]
            n1, s1 = (add_by(x[b.adopters], codes[b.adopters], len(names)) for x in (n, s))
            n0, s0 = (add_by(x * serve, codes, len(names), order) for x in (n, s))
            in1, in0 = np.asarray(n1 > 0), np.asarray(n0 > 0)
            left = b.comparison.possible & (in1.sum(0) - in1 > 0) & (in0.sum(0) - in0 > 0)
            m1, m0 = b.n - n1, np.where(left, b.n0 - n0, 1.0)
            change = (b.mean * b.n - s1) - m1 * (b.mean0 * b.n0 - s0) / m0
            top[:, b.line] += np.where(left, change, 0.0)
            below[:, b.line] += np.where(left, m1, 0.0)
            exposed[:, b.line] |= in1 & b.ok
            comparison[:, b.line] |= in0 & b.ok
        values = np.where(below > 0, top / np.where(below > 0, below, 1.0), np.nan)
        flat = lambda x: x.reshape(len(names), -1)[:, rows]  # noqa: E731
        return Replicates(names, self.sums.level, flat(values), flat(below), flat(exposed), flat(comparison))

    def _cluster_of_groups(self) -> np.ndarray:
        if not self.sums.by_path:
            return self.sums.cluster
        raise AssertionError("refits are made over cells, not over whole paths")


def _ratio(top: np.ndarray, below: np.ndarray, ok: np.ndarray) -> np.ndarray:
    return np.where(ok, top / np.where(ok, below, 1.0), 0.0)


def _difference(base: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(T, T) matrix that takes a unit's outcomes to its changes; zero rows without a base."""
    periods = len(base)
    out = np.zeros((periods, periods))
    for t in np.flatnonzero(base >= 0):
        out[t, t] += 1.0
        out[t, base[t] - window[t] + 1 : base[t] + 1] -= 1.0 / window[t]
    return out
