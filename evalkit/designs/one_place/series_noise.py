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
        self.plain = np.linalg.qr(columns)[0]
        self.white, self.pull = np.empty((len(grid), n, n)), np.empty((len(grid), k, n))
        self.back, self.log_size = np.empty((len(grid), k, k)), np.empty(len(grid))
        for i, (rho, share) in enumerate(grid):
            white = np.linalg.inv(np.linalg.cholesky(covariance(n, rho, share) * np.outer(weight, weight)))
            basis, upper = np.linalg.qr(white @ columns)
            self.white[i], self.pull[i], self.back[i] = white, basis.T @ white, np.linalg.inv(upper)
            self.log_size[i] = 2 * (np.log(np.abs(np.diag(upper))).sum() - np.log(np.diag(white)).sum())
        self.solve, self.inverse = self.back @ self.pull, self.back @ self.back.transpose(0, 2, 1)

    def fit(self, series: np.ndarray) -> Fits:
        """Every model on d series (n, d)."""
        left = series - self.plain @ (self.plain.T @ series)  # so that a high level costs no digits
        squares = ((self.white @ left) ** 2).sum(axis=1) - ((self.pull @ left) ** 2).sum(axis=1)
        deviance, best = self.deviance(squares)
        return Fits(self.solve @ series, squares / self.freedom, deviance, best)

    def deviance(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, d) twice the log likelihood ratio beside the best from squared residuals (m, d), and (d,) the best."""
        likelihood = -(self.freedom * np.log(squares) + self.log_size[:, None]) / 2
        return 2 * (likelihood.max(axis=0) - likelihood), likelihood.argmax(axis=0)

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
    """AR(1) models alone. Their squares are sums of products of neighbours, less what the columns take out."""
    rho, k, n = models.grid[:, :1], models.pull.shape[1], len(weight)
    shocks = np.random.default_rng(SEED).standard_normal((n, DRAWS))
    each, pull = np.arange(DRAWS), (models.pull * weight).reshape(-1, n)
    made = []
    for node in NODES:
        noise = shocks.copy()
        noise[0] /= np.sqrt(1 - node**2)
        for t in range(1, n):
            noise[t] += node * noise[t - 1]
        taken = (pull @ noise).reshape(len(rho), k, DRAWS)
        first, now, before = noise[0] ** 2, (noise[1:] ** 2).sum(axis=0), (noise[:-1] ** 2).sum(axis=0)
        both = (noise[1:] * noise[:-1]).sum(axis=0)
        squares = first + (now - 2 * rho * both + rho**2 * before) / (1 - rho**2) - (taken**2).sum(axis=1)
        at = models.deviance(squares)[1]
        found = np.einsum("dkl,dl->kd", models.back[at], taken[at, :, each])
        made.append((models.grid[at, 0], found, squares[at, each] / models.freedom, at))
    rhos, coefficients, scale, best = (np.array(x) for x in zip(*made, strict=True))
    lower = np.quantile(rhos, LOWER, axis=1)
    return Simulated(np.maximum.accumulate(lower + 1e-9 * np.arange(len(lower))), coefficients, scale, best)
