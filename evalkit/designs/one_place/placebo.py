"""Placebo places: what the same method finds in places where nothing began, and intervals from it.

half-width = t(n0 - 1) sqrt(1 + n1 / n0) max( rms(p), rms(p / r) r_own, rms(p) b_own / b )

p: estimates with each of n0 donors (or each set of n1 different ones) in the exposed's role; r: how far its gap strayed
before the start from period to period; b: the same of means over as many periods as are claimed, in the middle donor.
The widest, because a place outside the range of the others fits worse, and one that fits worse is wrong by more:
slowly, where others move in ways that no mix of them shares, which the noise of single periods hides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evalkit.designs.one_place.mixes import Mix, synthetic_control
from evalkit.designs.one_place.places import Place
from evalkit.inference.intervals import Spread

TOO_POOR = 2.0
"""Times the donors' median spread before the start, above which a place is followed by no mix of others."""
LONGEST, SHORTEST = 3, 2
"""Slow straying is asked of means over two periods or more, three times as many of which lie before the start."""
FLOOR = 0.25
"""Of the donors' median spread: below it a placebo place counts as if its spread were this."""

MixOf = Callable[[np.ndarray, np.ndarray], Mix]
"""A method: donors (n0, T) and the exposed place (T,) to a mix."""


@dataclass(frozen=True, eq=False)
class Placebos:
    """One exposed place beside its donors, and each donor beside the others.

    mix: of the exposed place. gaps: (n0, T) of the donors. spreads: (n0,) theirs before the start, and `own`.
    names: (n0,) codes of the donors. slow: how far means over as many periods as are claimed strayed before the start,
    in medians of the donors, and not below one.
    """

    mix: Mix
    gaps: np.ndarray
    spreads: np.ndarray
    names: np.ndarray
    slow: float = 1.0

    @classmethod
    def of(cls, method: MixOf, donors: np.ndarray, exposed: np.ndarray, names: np.ndarray, claimed: int) -> Placebos:
        """claimed: the number of periods whose mean effect is asked for."""
        found = [method(np.delete(donors, j, axis=0), donors[j]) for j in range(len(donors))]
        mix, spreads = method(donors, exposed), np.array([m.spread() for m in found])
        over = min(claimed, len(mix.periods) // LONGEST)
        slow = 1.0
        if over >= SHORTEST:
            middle = float(np.median([m.spread(over) for m in found]))
            slow = max(1.0, mix.spread(over) / middle) if middle > 0 else 1.0
        return cls(mix, np.array([m.gap for m in found]), spreads, names, slow)

    @property
    def fit(self) -> float:
        """Spread of the exposed place's gap before the start, in medians of the donors' spreads."""
        middle = float(np.median(self.spreads))
        return self.mix.spread() / middle if middle > 0 else float("inf" if self.mix.spread() > 0 else 1.0)

    def plain(self) -> np.ndarray:
        """(n0, T) gaps of the donors, by as much larger as the exposed place strayed slowly before the start."""
        return self.gaps * self.slow

    def scaled(self) -> np.ndarray:
        """(n0, T) gaps of the donors as they would be with the spread of the exposed place."""
        floor = FLOOR * float(np.median(self.spreads)) or 1.0  # an all but perfect fit has no spread to divide by
        return self.gaps * (self.mix.spread() / np.maximum(self.spreads, floor))[:, None]


@dataclass(frozen=True, eq=False)
class Compared:
    """A place, its donors' outcomes (n0, t), its own (t,), the positions of claimed periods in them, and what came of
    it: placebos; and the reason why there are none, or why they are not to be used."""

    place: Place
    donors: np.ndarray
    exposed: np.ndarray
    claimed: np.ndarray
    placebos: Placebos | None
    reason: str


@dataclass(frozen=True, eq=False)
class PlaceboSpread:
    """The spread of combinations of rows, a row being one place at one period.

    plain, scaled: for each place (n0, rows) what its donors show. names: (n0,) their codes.
    """

    plain: tuple[np.ndarray, ...]
    scaled: tuple[np.ndarray, ...]
    names: tuple[np.ndarray, ...]

    def __call__(self, matrix: np.ndarray | None) -> Spread:
        width = [p.shape[1] for p in self.plain]
        matrix = np.eye(sum(width)) if matrix is None else matrix
        covariances = [matrix @ _second_moments(parts, self.names) @ matrix.T for parts in (self.plain, self.scaled)]
        of = np.repeat(np.arange(len(width)), width)
        uses = np.array([[(line[of == i] != 0).any() for i in range(len(width))] for line in matrix])
        n0 = np.where(uses, [len(n) for n in self.names], np.iinfo(int).max).min(axis=1)
        n0 = np.where(uses.any(axis=1), n0, 2)
        widest = np.sqrt(np.maximum(*(np.maximum(np.diag(c), 0.0) for c in covariances)))
        own = widest * np.sqrt(1 + uses.sum(axis=1) / n0)
        root = np.sqrt(np.maximum(np.diag(covariances[0]), 0.0))
        scale = np.divide(own, root, out=np.zeros(len(own)), where=root > 0)
        return Spread(covariances[0] * np.outer(scale, scale), n0 - 1.0, ("",) * len(own))


def _second_moments(parts: tuple[np.ndarray, ...], names: tuple[np.ndarray, ...]) -> np.ndarray:
    """(R, R) mean products of rows over all ways to put different donors in the places' roles."""
    blocks = []
    for one, mine in zip(parts, names, strict=True):
        line = []
        for other, theirs in zip(parts, names, strict=True):
            if one is other:
                line.append(one.T @ one / len(one))
                continue
            _, here, there = np.intersect1d(mine, theirs, return_indices=True)
            apart = np.outer(one.sum(axis=0), other.sum(axis=0)) - one[here].T @ other[there]
            line.append(apart / max(len(one) * len(other) - len(here), 1))
        blocks.append(line)
    return np.block(blocks)


def conformal_p(donors: np.ndarray, exposed: np.ndarray, before: int, effect: float) -> float:
    """p of an effect that is the same in all periods after: gaps of a synthetic control with a constant, fitted to all
    periods with the effect taken away, moved round in time (Chernozhukov, Wuthrich and Zhu 2021, moving blocks)."""
    times = np.arange(len(exposed))
    gap = np.abs(synthetic_control(donors, exposed - effect * (times >= before), len(times), True, False).gap)
    sums = np.array([np.roll(gap, shift)[before:].sum() for shift in times])
    return float((sums >= sums[0] * (1 - 1e-12)).mean())
