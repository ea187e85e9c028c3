"""Noise of one short series: restricted likelihood over a grid of models, and intervals that keep their promise.

Two intervals, and the wider of them. (a) Noise is AR(1), its rho by restricted likelihood; |t| depends on no unknown
but rho, so its critical value is simulated for the design and read at the upper 80% limit of rho. (b) Noise is AR(1)
plus a share of white noise; of all models that are about as likely as the best, the widest t interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.special import stdtrit

from evalkit.inference.intervals import Spread, correlation

LEVEL = 0.95
DRAWS, SEED = 1000, 0
LOWER = 0.2  # share of estimates of rho below the one seen, at the rho where critical values are read
ABOUT_AS_LIKELY = 0.5  # twice the log ratio of restricted likelihoods
NODES = np.array([-0.2, 0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98])
_FINE = np.round(np.concatenate([np.arange(-0.4, 0.9, 0.025), np.arange(0.9, 0.991, 0.015)]), 4)
_SLOW = (0.4, 0.5, 0.6, 0.7, 0.77, 0.83, 0.88, 0.92, 0.95, 0.975)
AR1 = np.column_stack([_FINE, np.zeros(len(_FINE))])
"""(m, 2) models: rho of the slow part, and the share of the variance that is white noise."""
WITH_WHITE_NOISE = np.array(
    [(rho, 0.0) for rho in (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, *_SLOW)]
    + list(product(_SLOW, (0.2, 0.4, 0.6, 0.75, 0.87)))
)


@dataclass(frozen=True, eq=False)
class Fits:
    """Least squares of d series at the best of m models each, or at every model.

    coefficients: (m, k, d). scale: (m, d) squared scale of the noise. deviance: (m, d) twice the log likelihood ratio
    beside the best; best: (d,) position of that one.
    """

    coefficients: np.ndarray
    scale: np.ndarray
    deviance: np.ndarray
    best: np.ndarray


class Models:
    """Generalised least squares and restricted likelihood (Patterson and Thompson 1971) at every model of a grid.

    columns: (n, k) design. grid: (m, 2). weight: (n,) standard deviation of each period beside the others.
    """

    def __init__(self, columns: np.ndarray, grid: np.ndarray, weight: np.ndarray) -> None:
        n, k = columns.shape
        self.grid, self.freedom = grid, n - k
        self.solve, self.inverse = np.empty((len(grid), k, n)), np.empty((len(grid), k, k))
        self.rest, self.log_size = np.empty((len(grid), n - k, n)), np.empty(len(grid))
        for i, (rho, share) in enumerate(grid):
            white = np.linalg.inv(np.linalg.cholesky(covariance(n, rho, share) * np.outer(weight, weight)))
            basis, upper = np.linalg.qr(white @ columns, mode="complete")
            back = np.linalg.inv(upper[:k])
            self.solve[i], self.inverse[i] = back @ basis[:, :k].T @ white, back @ back.T
            self.rest[i] = basis[:, k:].T @ white
            self.log_size[i] = 2 * (np.log(np.abs(np.diag(upper[:k]))).sum() - np.log(np.diag(white)).sum())

    def fit(self, series: np.ndarray) -> Fits:
        """Every model on d series (n, d)."""
        squares = ((self.rest @ series) ** 2).sum(axis=1)
        likelihood = -(self.freedom * np.log(squares) + self.log_size[:, None]) / 2
        best = likelihood.argmax(axis=0)
        deviance = 2 * (likelihood.max(axis=0) - likelihood)
        return Fits(self.solve @ series, squares / self.freedom, deviance, best)

    def variances(self, contrasts: np.ndarray) -> np.ndarray:
        """(m, r) variance of each contrast (r, k) for noise of scale one."""
        return np.einsum("rk,mkl,rl->mr", contrasts, self.inverse, contrasts)


def covariance(n: int, rho: float, share: float) -> np.ndarray:
    """(n, n) correlation of AR(1) noise with `rho`, a `share` of whose variance is white noise instead."""
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return (1 - share) * np.power(float(rho), apart) + share * np.eye(n)


@dataclass(frozen=True, eq=False)
class Simulated:
    """What AR(1) estimates of noise alone look like at each of `NODES`, for one design.

    lower: (nodes,) the estimate of rho that one in five lies below. coefficients: (nodes, k, draws), scale and best:
    (nodes, draws) as in `Fits`, at the best model of each draw.
    """

    lower: np.ndarray
    coefficients: np.ndarray
    scale: np.ndarray
    best: np.ndarray

    def critical(self, models: Models, contrasts: np.ndarray) -> np.ndarray:
        """(nodes, r) the value that |t| of each contrast exceeds in one draw of twenty; never less at a higher rho."""
        variance = models.variances(contrasts)
        found = [
            np.quantile(np.abs(contrasts @ b) / np.sqrt(s * variance[i].T), LEVEL, axis=1)
            for b, s, i in zip(self.coefficients, self.scale, self.best, strict=True)
        ]
        return np.maximum.accumulate(found)


@dataclass(frozen=True, eq=False)
class SeriesNoise:
    """Noise models of one design, with what was simulated for it."""

    ar1: Models
    wide: Models
    simulated: Simulated

    def estimate(self, y: np.ndarray, contrasts: np.ndarray) -> tuple[np.ndarray, Spread, float]:
        """Contrasts (r, k) of the coefficients of a series (n,), their spread, and rho.

        A standard error is the half-width of the wider 95% interval in units of t(n - k), so that intervals at 95% are
        exact and those at other levels have the shape of a t.
        """
        fits, df = self.ar1.fit(y[:, None]), self.ar1.freedom
        best = int(fits.best[0])
        rho, vcov = float(self.ar1.grid[best, 0]), contrasts @ self.ar1.inverse[best] @ contrasts.T
        upper = np.interp(rho, self.simulated.lower, NODES)
        crit = [np.interp(upper, NODES, line) for line in self.simulated.critical(self.ar1, contrasts).T]
        simulated = np.array(crit) * np.sqrt(fits.scale[best, 0] * np.diag(vcov))
        wide = self.wide.fit(y[:, None])
        likely = wide.deviance[:, 0] <= ABOUT_AS_LIKELY
        each = np.sqrt(wide.scale * self.wide.variances(contrasts))[likely].max(axis=0)
        se = np.maximum(simulated / stdtrit(df, (1 + LEVEL) / 2), each)
        made = correlation(vcov) * np.outer(se, se)
        return (
            contrasts @ fits.coefficients[best, :, 0],
            Spread(made, np.full(len(se), float(df)), ("",) * len(se)),
            rho,
        )


def series_noise(columns: np.ndarray, weight: np.ndarray | None = None) -> SeriesNoise:
    """Noise models of a design (n, k), made once for each design; weight as in `Models`, one where not given."""
    weight = np.ones(len(columns)) if weight is None else weight
    return _kept(np.ascontiguousarray(columns, dtype=float).tobytes(), columns.shape, weight.tobytes())


@lru_cache(maxsize=64)
def _kept(columns: bytes, shape: tuple[int, int], weight: bytes) -> SeriesNoise:
    design, weights = np.frombuffer(columns).reshape(shape), np.frombuffer(weight)
    ar1 = Models(design, AR1, weights)
    return SeriesNoise(ar1, Models(design, WITH_WHITE_NOISE, weights), _simulate(ar1, weights))


def _simulate(models: Models, weight: np.ndarray) -> Simulated:
    shocks = np.random.default_rng(SEED).standard_normal((len(weight), DRAWS))
    each = np.arange(DRAWS)
    made = []
    for rho in NODES:
        noise = shocks.copy()
        noise[0] /= np.sqrt(1 - rho**2)
        for t in range(1, len(noise)):
            noise[t] += rho * noise[t - 1]
        fits = models.fit(noise * weight[:, None])
        at = fits.best
        made.append((models.grid[at, 0], fits.coefficients[at, :, each].T, fits.scale[at, each], at))
    rhos, coefficients, scale, best = (np.array(x) for x in zip(*made, strict=True))
    lower = np.quantile(rhos, LOWER, axis=1)
    return Simulated(np.maximum.accumulate(lower + 1e-9 * np.arange(len(lower))), coefficients, scale, best)
