"""What to believe of an effect: a t likelihood times a normal prior, by quadrature.

Everything is in units of what matters, benefit positive. Rows are findings, so that thousands are done at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, ndtri, stdtrit

#: Standard deviation of drift that no check can see, in units of what matters; it widens every standard error.
ALLOWANCE = 0.25
#: A prior gives way where an answer lies further out than this many of its predictive standard deviations.
CONFLICT = 2.0
_LARGEST_DF = 1e6
#: Standard errors beyond which a prior is as good as flat: of a t with one degree of freedom 3 in 100,000 lie there.
_SO_WIDE = 1e4


@dataclass(frozen=True, eq=False)
class Posterior:
    """Densities (n, k) over grids (n, k), each row summing to one by the trapezoid rule."""

    grid: np.ndarray
    density: np.ndarray

    def expect(self, values: np.ndarray) -> np.ndarray:
        """(n,) expectation of `values` (n, k) given on the grid."""
        return np.trapezoid(self.density * values, self.grid, axis=1)

    @cached_property
    def mean(self) -> np.ndarray:
        """(n,) expectation of the effect."""
        return self.expect(self.grid)

    @cached_property
    def sd(self) -> np.ndarray:
        """(n,) standard deviation of the effect."""
        return np.sqrt(np.maximum(self.expect((self.grid - self.mean[:, None]) ** 2), 1e-12))

    @cached_property
    def _cells(self) -> np.ndarray:
        return (self.density[:, 1:] + self.density[:, :-1]) / 2 * np.diff(self.grid, axis=1)

    def above(self, value: ArrayLike) -> np.ndarray:
        """(n,) chance that the effect is above `value`, exact where the grid holds it (-1, 0, 1 and `at`)."""
        value = np.broadcast_to(np.asarray(value, dtype=float), (len(self.grid),))[:, None]
        return (self._cells * ((self.grid[:, 1:] + self.grid[:, :-1]) / 2 > value)).sum(axis=1)

    def quantile(self, share: float) -> np.ndarray:
        """(n,) value with a chance of `share` below it."""
        below = np.concatenate([np.zeros((len(self.grid), 1)), np.cumsum(self._cells, axis=1)], axis=1)
        return np.array([np.interp(share, b / b[-1], g) for b, g in zip(below, self.grid, strict=True)])

    def gain(self, effect: ArrayLike) -> np.ndarray:
        """(n,) expectation of max(theta - effect, 0)."""
        return self.expect(np.maximum(self.grid - np.asarray(effect, dtype=float).reshape(-1, 1), 0.0))

    def loss(self, effect: ArrayLike) -> np.ndarray:
        """(n,) expectation of max(effect - theta, 0)."""
        return self.expect(np.maximum(np.asarray(effect, dtype=float).reshape(-1, 1) - self.grid, 0.0))


def widened(std_error: ArrayLike) -> np.ndarray:
    """Standard errors with the allowance for what no check can see."""
    return np.hypot(np.asarray(std_error, dtype=float), ALLOWANCE)


def giving_way(estimate: ArrayLike, std_error: ArrayLike, prior: tuple[float, ArrayLike]) -> np.ndarray:
    """Standard deviation of a prior as wide as an answer needs: its own, unless the answer refutes it.

    A normal prior never gives way to the heavier tails of t: without this, the larger an effect with few degrees of
    freedom, the surer one would be that the data err. The answer is held against sqrt(sd^2 + std_error^2), what the
    prior predicts (Box 1980, Journal of the Royal Statistical Society A 143), and the prior widened to the mark.
    """
    off = (np.asarray(estimate, dtype=float) - prior[0]) / CONFLICT
    needed = np.sqrt(np.maximum(off**2 - np.asarray(std_error, dtype=float) ** 2, 0.0))
    return np.maximum(np.asarray(prior[1], dtype=float), needed)


def posterior(
    estimate: ArrayLike,
    std_error: ArrayLike,
    df: ArrayLike,
    prior: tuple[float, ArrayLike] = (0.0, 1.0),
    at: ArrayLike = (),
    points: int = 401,
) -> Posterior:
    """p(theta) in proportion to t_df((estimate - theta) / std_error) x N(theta; prior).

    estimate, std_error, df: (n,). prior: mean and standard deviation, infinite for a flat one. at: values, or (n, j) of
    them, that the grid shall hold besides -1, 0 and 1. The grid is `points` quantiles each of the likelihood and of the
    prior, and as many even steps over their product were both normal: chances are within .002 of adaptive integration
    (tests/unit/test_posterior.py).
    """
    est, se, df = (np.atleast_1d(np.asarray(a, dtype=float))[:, None] for a in (estimate, std_error, df))
    df = np.minimum(df, _LARGEST_DF)
    mean, sd = prior[0], np.broadcast_to(np.asarray(prior[1], dtype=float).reshape(-1, 1), est.shape)
    flat = sd > _SO_WIDE * se  # as far as such data reach it is, and steps of its quantiles would pass over them
    wide = np.where(flat, 1.0, sd)
    share = (np.arange(points) + 0.5) / points
    held = np.atleast_1d(np.asarray(at, dtype=float))
    edges = np.concatenate([[-1.0, 0.0, 1.0], held]) if held.ndim == 1 else np.array([-1.0, 0.0, 1.0])
    precision = 1 / se**2 + np.where(flat, 0.0, 1 / wide**2)
    centre = (est / se**2 + np.where(flat, 0.0, mean / wide**2)) / precision
    known, which = np.unique(df, return_inverse=True)
    parts = [est + se * stdtrit(known[:, None], share)[which.ravel()],
             centre + np.linspace(-8, 8, points) / np.sqrt(precision),
             np.where(flat, est, mean) + np.where(flat, se, wide) * ndtri(share),
             np.broadcast_to(edges, (len(est), len(edges)))]  # fmt: skip
    grid = np.sort(np.concatenate([*parts, held] if held.ndim == 2 else parts, axis=1), axis=1)
    log = np.where(flat, 0.0, -0.5 * ((grid - mean) / wide) ** 2) + _log_t((grid - est) / se, df)
    density = np.exp(log - log.max(axis=1, keepdims=True))
    return Posterior(grid, density / np.trapezoid(density, grid, axis=1)[:, None])


def _log_t(x: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Logarithm of the t density but for the constant of the scale."""
    constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * math.pi)
    return constant - (df + 1) / 2 * np.log1p(x * x / df)


def believed_before(chance: float, before: float = 0.5, sure: float = 0.9) -> float:
    """How sure of a benefit one must have been beforehand to be `sure` now (Matthews 2001, Journal of Statistical
    Planning and Inference 94; reverse Bayes). chance: what the data made of a belief of `before`."""
    odds = sure / (1 - sure) * (1 - chance) / chance * before / (1 - before)
    return odds / (1 + odds)
