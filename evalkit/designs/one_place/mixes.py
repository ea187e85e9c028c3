"""Mixes of other places: weights on the simplex, and the gap between one place and its mix in every period.

Outcomes are donors (n0, T) and the exposed place (T,); `before` is the number of periods before the start, and
`claimed` (c,) the positions of the periods after it whose mean effect is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evalkit.errors import EvalkitError

STEPS = 2000  # of the active set, which needs about as many as there are weights above zero
TRACE = 1e-3
"""Standard deviations of the noise: a ridge so small that it decides only between mixes that are as near as each
other."""
PENALTIES = 10.0 ** np.arange(-6, 1.1, 0.5)  # of the ridge correction, as parts of the largest squared singular value


@dataclass(frozen=True, eq=False)
class Sides:
    """One least squares problem on the simplex: `target` (m,) by a mix of the columns of `columns` (m, n).

    ridge: added to the diagonal of the cross-products. level: whether a constant is free. tolerance: a step of the
    objective, in units of the outcome, that does not matter (the exact solver needs none). apart: price of a column's
    own squared distance from the target.
    """

    columns: np.ndarray
    target: np.ndarray
    ridge: float
    level: bool
    tolerance: float
    apart: float = 0.0

    def centred(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns and target without their means where a constant is free."""
        if not self.level:
            return self.columns, self.target
        return self.columns - self.columns.mean(axis=0), self.target - self.target.mean()


Solver = Callable[[Sides], np.ndarray]
"""Weights (n,) of a problem."""


def exact_weights(sides: Sides) -> np.ndarray:
    """Weights (n,), none below zero, of sum one, that leave the least squared distance: exact to rounding."""
    columns, target = sides.centred()
    gram = columns.T @ columns + sides.ridge * np.eye(columns.shape[1])
    away = ((columns - target[:, None]) ** 2).sum(axis=0)
    return least_squares_on_simplex(gram, columns.T @ target - sides.apart * away / 2)


def least_squares_on_simplex(gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """argmin w'Gw / 2 - c'w over weights w >= 0 of sum 1, by an active set (as in Lawson and Hanson 1974, chapter 23).

    gram: (n, n) positive semi-definite; cross: (n,).
    """
    n = len(cross)
    size = np.trace(gram) / n + np.finfo(float).tiny
    gram = gram + 1e-12 * size * np.eye(n)
    weights = np.zeros(n)
    inside = [int(np.argmin(np.diag(gram) / 2 - cross))]
    weights[inside] = 1.0
    for _ in range(STEPS):
        slope = gram @ weights - cross
        gain = slope - slope[inside] @ weights[inside]
        gain[inside] = 0.0
        best = int(gain.argmin())
        if gain[best] > -1e-12 * size:
            return weights
        inside = _entered(gram, cross, weights, [*inside, best])
    raise EvalkitError("The weights of a mix of places were not found. Look for places with values out of all reason.")


def _entered(gram: np.ndarray, cross: np.ndarray, weights: np.ndarray, inside: list[int]) -> list[int]:
    """Moves `weights` to the optimum among `inside`; who would fall below zero on the way leaves."""
    while len(inside) > 1:
        at = np.array(inside)
        free, fixed = np.linalg.solve(gram[np.ix_(at, at)], np.column_stack([cross[at], np.ones(len(at))])).T
        wanted = free + (1 - free.sum()) / fixed.sum() * fixed
        if wanted.min() > 0:
            weights[:] = 0.0
            weights[at] = wanted
            return inside
        now, below = weights[at], wanted <= 0
        step = np.full(len(at), np.inf)
        step[below] = now[below] / np.maximum(now - wanted, np.finfo(float).tiny)[below]
        leaves = step <= step.min() * (1 + 1e-12)
        weights[:] = 0.0
        weights[at] = np.where(leaves, 0.0, np.maximum(now + step.min() * (wanted - now), 0.0))
        inside = [i for i, gone in zip(inside, leaves, strict=True) if not gone]
        weights /= weights.sum() or 1.0
    weights[:] = 0.0
    weights[inside] = 1.0
    return inside


@dataclass(frozen=True, eq=False)
class Mix:
    """The exposed place beside its mix: `gap` (T,), less its weighted level before; `donors` (n0,) weights of places;
    `periods` (before,) weights of the periods that give the level, all zero where the level itself is compared."""

    gap: np.ndarray
    donors: np.ndarray
    periods: np.ndarray

    def spread(self, over: int = 1) -> float:
        """How far means of the gap over so many periods stray from its mean before the start: root mean square."""
        past = self.gap[: len(self.periods)]
        means = np.convolve(past - past.mean(), np.full(over, 1 / over), mode="valid")
        return float(np.sqrt((means**2).mean()))


def _mix(donors: np.ndarray, exposed: np.ndarray, weights: np.ndarray, periods: np.ndarray) -> Mix:
    gap = exposed - weights @ donors
    return Mix(gap - periods @ gap[: len(periods)], weights, periods)


def difference(donors: np.ndarray, exposed: np.ndarray, before: int) -> Mix:
    """Difference-in-differences: all donors and all periods before alike."""
    return _mix(donors, exposed, np.full(len(donors), 1 / len(donors)), np.full(before, 1 / before))


def step_noise(donors: np.ndarray, before: int) -> float:
    """Standard deviation of the donors' changes from period to period before the start."""
    return float(np.diff(donors[:, :before], axis=1).std(ddof=1))


def synthetic_control(
    donors: np.ndarray, exposed: np.ndarray, before: int, level: bool, augment: bool, solve: Solver = exact_weights,
    penalty: float = 0.0,
) -> Mix:  # fmt: skip
    """Synthetic control on outcomes alone (Abadie, Diamond and Hainmueller 2010); level: a constant is free (Ferman and
    Pinto 2021, equation 6); augment: the ridge correction of Ben-Michael, Feller and Rothstein (2021, equation 9);
    penalty: the price of donors that are far by themselves (Abadie and L'Hour 2021, equation 5)."""
    past = donors[:, :before]
    noise = step_noise(donors, before)
    weights = solve(Sides(past.T, exposed[:before], before * (TRACE * noise) ** 2, level, 1e-5 * noise, penalty))
    if augment:
        weights = weights + _ridge_correction(past, exposed[:before], weights)
    return _mix(donors, exposed, weights, np.full(before, 1 / before if level else 0.0))


def _ridge_correction(past: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n0,) what ridge regression of the remaining imbalance adds to weights; the penalty that predicts best each
    period from the others (in closed form, by the leverage of the period)."""
    centre = past.mean(axis=0)
    columns, left = past - centre, target - centre - weights @ (past - centre)
    places, size, periods = np.linalg.svd(columns, full_matrices=False)
    if size[0] == 0:
        return np.zeros(len(weights))
    kept = size**2 / (size**2 + PENALTIES[:, None] * size[0] ** 2)
    errors = (left - (kept * (periods @ left)) @ periods) / (1 - kept @ periods**2)
    best = int((errors**2).sum(axis=1).argmin())
    return np.asarray(places @ (kept[best] * (periods @ left) / np.where(size > 0, size, 1.0)))


def synthetic_difference(
    donors: np.ndarray, exposed: np.ndarray, before: int, claimed: np.ndarray, solve: Solver = exact_weights
) -> Mix:
    """Synthetic difference-in-differences (Arkhangelsky and others 2021, algorithm 1) for one exposed place. The ridge
    of the periods' weights, which is there to make them unique, is larger than the paper's, so that rounding cannot
    choose."""
    past, noise = donors[:, :before], step_noise(donors, before)
    ridge = before * np.sqrt(len(claimed)) * noise**2
    weights = solve(Sides(past.T, exposed[:before], ridge, True, 1e-5 * noise))
    after = donors[:, claimed].mean(axis=1)
    periods = solve(Sides(past, after, len(donors) * (TRACE * noise) ** 2, True, 1e-5 * noise))
    return _mix(donors, exposed, weights, periods)
