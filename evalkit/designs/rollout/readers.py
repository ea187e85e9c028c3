"""Readers: changes within each unit, cross-sections, or pairs of eligible and ineligible people, as means of sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.designs.rollout.contrast import Contrast, Term, adopters, matches
from evalkit.designs.rollout.plan import Comparison
from evalkit.designs.rollout.states import Pairs
from evalkit.designs.rollout.sums import Sums, add_by, window_mean
from evalkit.study.paths import Paths


@dataclass(frozen=True, eq=False)
class Grouped:
    """Groups of units as `sums` has them."""

    sums: Sums

    @property
    def paths(self) -> Paths:
        return self.sums.paths

    @property
    def level(self) -> str:
        return self.sums.level

    @property
    def path(self) -> np.ndarray:
        return self.sums.path

    @property
    def cluster(self) -> np.ndarray:
        return self.sums.cluster

    @property
    def size(self) -> np.ndarray:
        return self.sums.people

    def parts(self, c: Comparison) -> tuple[Comparison, ...]:
        """What is read one after another for one comparison."""
        return self.sums.parts(c)

    def people(self, paths: np.ndarray) -> int:
        """Units on some paths that carry weight."""
        return int(self.sums.people[np.isin(self.path, paths)].sum())


@dataclass(frozen=True, eq=False)
class Within(Grouped):
    """Each unit against itself: mean change of the adopters less that of their matches."""

    def terms(self, c: Comparison) -> tuple[Term, ...]:
        n, s = self.sums.read(c)
        mine = np.flatnonzero(np.isin(self.path, c.adopters))
        own = (n[mine], s[mine]) if c.parent is None else self.sums.own(c, mine)
        return adopters(1, mine, *own), matches(-1, c.match[self.path], n, s)

    def heads(self, c: Comparison) -> np.ndarray:
        return self.sums.heads(c)

    def heads_at_base(self, c: Comparison) -> np.ndarray:
        return self.sums.heads_at_base(c)

    def unit_rows(self, c: Comparison, term: Term, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units, row = term.of_units(self.sums.of)
        change, seen = self.sums.changes(units, c)
        mass = np.where(seen, self.sums.weights[units, None], 0.0) * term.mask[row]
        if term.sign > 0 and c.parent is not None:
            mass *= self.sums.share(units, c)
        return units, mass * (change - centre), mass


@dataclass(frozen=True, eq=False)
class CrossSections(Grouped):
    """Whoever was there: mean at t less mean over the base periods, adopters less matches.

    Units need not be seen twice; a unit's observations are summed before they are squared, so that
    people seen in both periods are not counted as strangers. Base periods count alike.
    """

    @cached_property
    def later(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, T) mass and sum of levels in each period."""
        y = self.sums.values
        seen = np.isfinite(y)
        weighted = np.where(seen, self.sums.weights[:, None], 0.0)
        return self.sums.group(weighted), self.sums.group(weighted * np.nan_to_num(y))

    def before(self, c: Comparison) -> tuple[np.ndarray, np.ndarray]:
        """(G, T) mass and sum of levels over the base periods of each period."""
        n, s = self.later  # a window of several periods is read whole only where everybody is seen in all of them
        return n[:, np.maximum(c.base, 0)] * (c.base >= 0), window_mean(s, c.base, c.window)[0] * (c.base >= 0)

    @cached_property
    def there(self) -> np.ndarray:
        """(G, T) units that carry weight and were there."""
        return self.sums.group(self.sums.carries * np.isfinite(self.sums.values)).round().astype(int)

    def terms(self, c: Comparison) -> tuple[Term, ...]:
        (n1, s1), (n0, s0) = self.later, self.before(c)
        mine = np.flatnonzero(np.isin(self.path, c.adopters))
        other, each = c.match[self.path], _each(c)
        return (
            adopters(1, mine, n1[mine] * each, s1[mine] * each, "later"),
            adopters(-1, mine, n0[mine], s0[mine], "base"),
            matches(-1, other, n1, s1, "later"),
            matches(1, other, n0, s0, "base"),
        )

    def heads(self, c: Comparison) -> np.ndarray:
        return self.there * (c.base >= 0)

    def heads_at_base(self, c: Comparison) -> np.ndarray:
        return self.sums.heads_at_base(c)

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


def coefficients(contrast: Contrast, sums: Sums, rows: np.ndarray) -> np.ndarray:
    """(P, 2k, T + 1) coefficients on (w (Y - path mean), w) when groups are whole paths of lone units."""
    paths, periods = len(sums.path), contrast.n_periods
    value = np.zeros((paths, *contrast.mass.shape, periods + 1))
    mass = np.zeros((paths, *contrast.mass.shape))
    for b in contrast.blocks:
        c, (share, unit) = b.comparison, contrast.weights(b)
        change = difference(c.base, c.window)
        centre = sums.mean @ change.T
        for term, mean in zip(b.terms, b.means, strict=True):
            per_mass = np.where(b.ok, share / np.where(b.ok, term.total[0], 1.0), 0.0)
            for q, there in zip(term.at, term.mask, strict=True):
                weight = term.sign * per_mass * there
                value[q, b.line, :, :-1] += weight[:, None] * change
                value[q, b.line, :, -1] += weight * (centre[q] - mean)
        value[c.adopters, b.line, :, -1] += unit * (b.effect - np.nan_to_num(contrast.value[b.line]))
        mass[c.adopters, b.line] += b.ok
    k = len(rows)
    out = np.zeros((paths, 2 * k, periods + 1))
    out[:, :k] = value.reshape(paths, -1, periods + 1)[:, rows]
    out[:, k:, -1] = mass.reshape(paths, -1)[:, rows]
    return out


def difference(base: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(T, T) matrix that takes a unit's outcomes to its changes; zero rows without a base."""
    periods = len(base)
    out = np.zeros((periods, periods))
    for t in np.flatnonzero(base >= 0):
        out[t, t] += 1.0
        out[t, base[t] - window[t] + 1 : base[t] + 1] -= 1.0 / window[t]
    return out


@dataclass(frozen=True, eq=False)
class PairReader(Grouped):
    """Eligible less ineligible change of each pair in each cluster, weighted by the eligible.

    An eligible cell with several ineligible partners in its cluster is divided among them by their size.
    """

    pairs: Pairs

    @property
    def path(self) -> np.ndarray:
        return self.pairs.member_pair

    @property
    def cluster(self) -> np.ndarray:
        return self.pairs.member_cluster

    @property
    def size(self) -> np.ndarray:
        e, i = self.pairs.member_eligible, self.pairs.member_ineligible
        there = self.sums.people.astype(float)
        partners = add_by(there[i][:, None], e, len(there))[e, 0]
        return there[e] * np.divide(there[i], partners, out=np.zeros(len(i)), where=partners > 0)

    def people(self, paths: np.ndarray) -> int:
        """Eligible units of some pairs that carry weight."""
        cells = np.unique(self.pairs.member_eligible[np.isin(self.path, paths)])
        return int(self.sums.people[cells].sum())

    @cached_property
    def _split(self) -> dict:
        return {}

    def _parts(self, c: Comparison) -> tuple[np.ndarray, ...]:
        """(m, T) eligible mass given to the member, both means, the ineligible mass, the share of the eligible, and the
        mass times the gap between the means."""
        key = (c.base.tobytes(), c.window.tobytes(), c.whole.base.tobytes())
        if key not in self._split:
            n, s = self.sums.read(c)  # of a whole window with missing rows only n is known, and only shares are used
            e, i = self.pairs.member_eligible, self.pairs.member_ineligible
            partners = add_by(n[i], e, len(n))[e]
            share = _divide(n[i], partners)
            mean = _divide(s, n)
            mass = n[e] * share
            self._split[key] = (mass, mean[e], mean[i], n[i], share, mass * (mean[e] - mean[i]))
        return self._split[key]

    def _own(self, c: Comparison, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(g, T) mass and mean of the eligible of the adopting pair, in a part of a comparison."""
        groups, of = np.unique(self.pairs.member_eligible[mine], return_inverse=True)
        n, s = self.sums.own(c, groups)
        return n[of] * self._parts(c)[4][mine], _divide(s, n)[of]

    def terms(self, c: Comparison) -> tuple[Term, ...]:
        mass, eligible, ineligible, _, _, gap = self._parts(c)
        mine = np.flatnonzero(np.isin(self.path, c.adopters))
        own, mean = (mass[mine], eligible[mine]) if c.parent is None else self._own(c, mine)
        mine_term = adopters(1, mine, own, own * (mean - ineligible[mine]))
        return mine_term, matches(-1, c.match[self.path], mass, gap)

    def heads(self, c: Comparison) -> np.ndarray:
        return self.sums.heads(c)[self.pairs.member_eligible] * self._parts(c)[4]

    def heads_at_base(self, c: Comparison) -> np.ndarray:
        return self.sums.heads_at_base(c)[self.pairs.member_eligible] * self._parts(c)[4]

    def unit_rows(self, c: Comparison, term: Term, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        _, _, ineligible, n_ineligible, shares, _ = self._parts(c)
        units, away, weight = [], [], []
        for m, there, mass in zip(term.at, term.mask, term.n, strict=True):
            e, i = self.pairs.member_eligible[m], self.pairs.member_ineligible[m]
            share = shares[m] * there
            per = _divide(mass, n_ineligible[m]) * there
            for cell, factor, level, sign in ((e, share, ineligible[m] + centre, 1.0), (i, per, ineligible[m], -1.0)):
                who = np.flatnonzero(self.sums.of == cell)
                change, seen = self.sums.changes(who, c)
                w = np.where(seen, self.sums.weights[who, None], 0.0) * factor
                if sign > 0 and term.sign > 0:
                    w *= self.sums.share(who, c)
                units.append(who)
                away.append(sign * w * (change - level))
                weight.append(w if sign > 0 else np.zeros_like(w))
        return np.concatenate(units), np.concatenate(away), np.concatenate(weight)


def _divide(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(top, below, out=np.zeros_like(top), where=below > 0)
