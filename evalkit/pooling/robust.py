"""Intervals of pooled effects: cluster-robust by place (CR2, Satterthwaite), or by the model (Hartung and Knapp).

CR2 (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018) in whitened rows, where the working covariance is the
identity: no matrix larger than the rows of one place is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from evalkit.pooling.model import Fit

_ALIKE = 1e-6
"""Share of the model's variance below which places agree to their last digit: of how places differ that says nothing,
and the model's variance is taken. Chance makes three places agree so in one of a million pools."""


@dataclass(frozen=True, eq=False)
class Spread:
    """Of k combinations of pooled effects: estimate, standard error and degrees of freedom, each (k,)."""

    estimate: np.ndarray
    std_error: np.ndarray
    df: np.ndarray

    def interval(self, level: float = 0.95, extra: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Both ends by Student's t; extra: variance added before, such as that between places."""
        reach = t_quantile(self.df, level) * np.sqrt(self.std_error**2 + extra)
        return self.estimate - reach, self.estimate + reach


def t_quantile(df: np.ndarray, level: float) -> np.ndarray:
    """Quantile of Student's t that leaves (1 - level)/2 above."""
    return np.asarray(stdtrit(np.minimum(df, 1e10), (1 + level) / 2))


def by_place(fitted: Fit, weights: np.ndarray) -> Spread:
    """CR2 by place of combinations (k, p) that the fit identifies, with Satterthwaite's degrees of freedom.

    The residuals of a place are multiplied by the symmetric inverse root of I - H, H its part of the hat matrix of
    the rows scaled by the fitted variances; places that agree to the last digit have the model's variance. df = (trace
    of D)^2 / trace of D D, D the matrix of the quadratic form under the working model, which is diagonal less a part of
    rank r because the hat matrix is idempotent.
    """
    inverse = fitted.basis @ fitted.vcov @ fitted.basis.T
    aimed = weights @ fitted.basis.T
    variance = np.zeros(len(weights))
    total, squares, cross = (np.zeros(len(weights)) for _ in range(3))
    inner = np.zeros((len(weights), len(inverse), len(inverse)))
    at = 0
    for block in fitted.blocks:
        n, m = block.y.shape
        scale = np.sqrt(1 / (1 + fitted.tau2 * block.spread))
        x = (block.design @ fitted.basis.T) * scale[:, :, None]
        r = fitted.residual[at : at + n * m].reshape(n, m) * scale
        at += n * m
        g = (x @ (inverse @ aimed.T)).transpose(0, 2, 1) @ _inverse_root(np.eye(m) - x @ inverse @ x.transpose(0, 2, 1))
        variance += np.sum(np.einsum("nkm,nm->nk", g, r) ** 2, axis=0)
        a, b = np.sum(g**2, axis=2), g @ x
        h = np.einsum("nki,ij,nkj->nk", b, inverse, b)
        total += np.sum(a - h, axis=0)
        squares += np.sum(a**2, axis=0)
        cross += np.sum(a * h, axis=0)
        inner += np.einsum("nki,nkj->kij", b, b)
    turned = inverse @ inner
    below = squares - 2 * cross + np.einsum("kij,kji->k", turned, turned)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = np.where(below > 0, total**2 / below, np.nan)
    expected = np.einsum("ki,ij,kj->k", aimed, inverse, aimed)
    variance = np.where(variance < _ALIKE * expected, expected, variance)
    return Spread(weights @ fitted.beta, np.sqrt(variance), df)


def by_model(fitted: Fit, weights: np.ndarray) -> Spread:
    """Hartung and Knapp's intervals, never narrower than the model's own (Roever, Knapp and Friede 2015): variance
    times max(1, q), t on rows less what is estimated."""
    q = fitted.misfit
    variance = np.einsum("ki,ij,kj->k", weights, fitted.vcov, weights) * max(1.0, q if np.isfinite(q) else 1.0)
    return Spread(weights @ fitted.beta, np.sqrt(variance), np.full(len(weights), float(fitted.df)))


def without_each_place(fitted: Fit, weights: np.ndarray) -> np.ndarray:
    """(places, k) combinations with each place left out, at the tau2 of all; NaN where they need that place."""
    inverse = fitted.basis @ fitted.vcov @ fitted.basis.T
    places = 1 + max(int(b.place.max()) for b in fitted.blocks)
    out = np.full((places, len(weights)), np.nan)
    whole, at = weights @ fitted.beta, 0
    for block in fitted.blocks:
        n, m = block.y.shape
        scale = np.sqrt(1 / (1 + fitted.tau2 * block.spread))
        x = (block.design @ fitted.basis.T) * scale[:, :, None]
        r = fitted.residual[at : at + n * m].reshape(n, m) * scale
        at += n * m
        reach = x @ inverse
        left = np.eye(m) - reach @ x.transpose(0, 2, 1)
        alone = np.linalg.eigvalsh(left)[:, 0] < 1e-10
        left[alone] = np.eye(m)
        moved = np.einsum("nmi,nm->ni", reach, np.linalg.solve(left, r[:, :, None])[:, :, 0])
        out[block.place] = np.where(alone[:, None], np.nan, whole - moved @ (weights @ fitted.basis.T).T)
    return out


def _inverse_root(matrices: np.ndarray) -> np.ndarray:
    """Symmetric inverse roots of positive semi-definite matrices; directions without weight stay without."""
    values, vectors = np.linalg.eigh(matrices)
    root = np.where(values > 1e-12, 1 / np.sqrt(np.maximum(values, 1e-12)), 0.0)
    return (vectors * root[:, None, :]) @ vectors.transpose(0, 2, 1)


_TO_TRUST = 4.0
"""Rows that the common tau is worth beside a component's own, once that is larger than chance would make it."""


def tau2_of_components(fitted: Fit, members: np.ndarray, estimate: np.ndarray, std_error: np.ndarray) -> np.ndarray:
    """(p,) variance between places that a prediction of each component is made with: the common one, or where the
    component's own rows differ by more than chance under it, that drawn towards theirs; never less than the common.

    members: (N, p) whether a row reports a component alone. estimate, std_error: (N,). With one tau for all, intervals
    for a new place cover as little as .84 of a component that varies twice as much (benchmarks/pooling.py).
    """
    out = np.full(members.shape[1], fitted.tau2)
    for j in range(members.shape[1]):
        mine = members[:, j]
        n = int(mine.sum())
        if n < 2:
            continue
        noise = std_error[mine] ** 2
        squares = (estimate[mine] - fitted.beta[j]) ** 2 * n / (n - 1)
        weights = 1 / (fitted.tau2 + noise) ** 2
        own = max(0.0, float(np.average(squares - noise, weights=weights)))
        chance = np.sqrt(2 / n) * (fitted.tau2 + np.average(noise, weights=weights))
        if own - fitted.tau2 > chance:
            out[j] = (_TO_TRUST * fitted.tau2 + n * own) / (_TO_TRUST + n)
    return out
