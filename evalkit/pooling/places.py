"""What pooling says of the places themselves: their own effects, drawn towards what all of them found.

Plug-in intervals of shrunken effects cover .91 to .92 with 6 to 24 places; averaged over tau on a grid, by restricted
likelihood times a half-normal prior, they cover .93 to .95 (benchmarks/pooling.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.pooling.model import Fit, fit

_POINTS = 21
_WIDEST = 4.0  # grid to so many times the prior's standard deviation, or the estimate of tau


@dataclass(frozen=True, eq=False)
class Shrunken:
    """Of each row used, in the order of the blocks: the place's own effect and its standard deviation, each (N,)."""

    estimate: np.ndarray
    sd: np.ndarray


def shrunken(fitted: Fit) -> Shrunken:
    """Effects of the places at the fitted tau (best linear unbiased predictions; Robinson 1991)."""
    weights = 1 / (1 + fitted.tau2 * fitted.spread)
    inverse = fitted.basis @ fitted.vcov @ fitted.basis.T
    estimates, sds, at = [], [], 0
    for block in fitted.blocks:
        n, m = block.y.shape
        rows = slice(at, at + n * m)
        at += n * m
        own = (1 - weights[rows]).reshape(n, m)  # tau2 lambda / (1 + tau2 lambda)
        resid, x = fitted.residual[rows].reshape(n, m), block.design @ fitted.basis.T
        fitted_rows = (x @ (fitted.basis @ fitted.beta)) + own * resid
        left = x * (1 - own)[:, :, None]
        cov = left @ inverse @ left.transpose(0, 2, 1) + own[:, :, None] * np.eye(m)
        estimates.append(np.einsum("nij,nj->ni", block.back, fitted_rows).ravel())
        sds.append(np.sqrt(np.einsum("nij,njk,nik->ni", block.back, cov, block.back)).ravel())
    return Shrunken(np.concatenate(estimates), np.concatenate(sds))


def shrunken_over_tau(fitted: Fit, prior_sd: float) -> Shrunken:
    """The same, averaged over what tau may be: half-normal prior of this standard deviation."""
    top = _WIDEST * max(prior_sd, np.sqrt(fitted.tau2))
    taus = (np.arange(_POINTS) + 0.5) / _POINTS * top
    log = np.array([fitted.log_likelihood(t**2) - t**2 / (2 * prior_sd**2) for t in taus])
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    mean, square = 0.0, 0.0
    for weight, tau in zip(weights, taus, strict=True):
        if weight > 1e-4:
            given = shrunken(fit(fitted.blocks, fitted.method, tau2=tau**2))
            mean = mean + weight * given.estimate
            square = square + weight * (given.sd**2 + given.estimate**2)
    total = weights[weights > 1e-4].sum()
    mean, square = mean / total, square / total
    return Shrunken(np.asarray(mean), np.sqrt(np.maximum(square - np.asarray(mean) ** 2, 0.0)))
