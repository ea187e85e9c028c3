"""Effects of components over places: one meta-regression of whitened rows, with random place effects.

Place s reports y = R theta_s + e, with e ~ N(0, V) and theta_s ~ N(beta, tau2 I): rows of R are single components,
weights of a combination, or the whole mix. With C the Cholesky root of V and U, lambda the eigenvectors and values of
C^-1 (R R') C^-T, the rows U'C^-1 y are independent with variances 1 + tau2 lambda, whatever each place reports
(Jackson, White and Riley 2012; Ruecker, Petropoulou and Schwarzer 2020 for additive components).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from scipy.optimize import brentq

from evalkit.errors import EvalkitError, check_choice

TauMethod = Literal["REML", "DL", "PM"]
TAU_METHODS: tuple[TauMethod, ...] = get_args(TauMethod)
_LEAST_SINGULAR = 1e-9
_UNIT_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Block:
    """n places that report m rows each, whitened. place: (n,) which they are. y (n, m), design (n, m, p), spread
    (n, m): the lambdas. back: (n, m, m) takes whitened rows back to the rows that were reported. raw: (n, m, p)."""

    place: np.ndarray
    y: np.ndarray
    design: np.ndarray
    spread: np.ndarray
    back: np.ndarray
    raw: np.ndarray


def whiten(
    place: np.ndarray, y: np.ndarray, vcov: np.ndarray, design: np.ndarray, shared: np.ndarray | None = None
) -> Block:
    """The rows of n places with m rows each, made independent.

    y (n, m), vcov (n, m, m), design (n, m, p). shared: (n, m, m) covariance of the place effects at tau2 = 1, by
    default that of independent effects of the columns. Raises `numpy.linalg.LinAlgError` where a vcov is not positive
    definite.
    """
    omega = design @ design.transpose(0, 2, 1) if shared is None else shared
    root = np.linalg.cholesky(vcov)
    inverse = np.linalg.inv(root)
    spread, vectors = np.linalg.eigh(inverse @ omega @ inverse.transpose(0, 2, 1))
    turn = vectors.transpose(0, 2, 1) @ inverse
    white = np.einsum("nij,nj->ni", turn, y)
    return Block(place, white, turn @ design, np.maximum(spread, 0.0), root @ vectors, design)


@dataclass(frozen=True, eq=False)
class Fit:
    """A pooled fit. tau2: variance between places. basis: (r, p) orthonormal rows of what the rows identify.

    beta and vcov are those of least norm: only combinations inside the row space mean anything (`identifies`).
    q, df: weighted sum of squares at tau2 = 0 and its degrees of freedom.
    """

    blocks: tuple[Block, ...]
    basis: np.ndarray
    tau2: float
    method: TauMethod
    q: float
    df: int

    @cached_property
    def y(self) -> np.ndarray:
        """(N,) whitened rows."""
        return _flat(self.blocks, "y")

    @cached_property
    def spread(self) -> np.ndarray:
        """(N,) lambdas."""
        return _flat(self.blocks, "spread")

    @cached_property
    def design(self) -> np.ndarray:
        """(N, r) whitened design on the basis."""
        return _design(self.blocks, self.basis)

    @cached_property
    def _solved(self) -> tuple[np.ndarray, np.ndarray]:
        return solve(self.y, self.design, 1 / (1 + self.tau2 * self.spread))

    @property
    def beta(self) -> np.ndarray:
        """(p,) pooled effects."""
        return self.basis.T @ self._solved[0]

    @property
    def vcov(self) -> np.ndarray:
        """(p, p) covariance under the model."""
        return self.basis.T @ self._solved[1] @ self.basis

    def identifies(self, weights: np.ndarray) -> np.ndarray:
        """(k,) whether each combination, a row of weights (k, p), lies in the row space."""
        outside = weights - weights @ self.basis.T @ self.basis
        return np.asarray(np.abs(outside).max(axis=1) <= _UNIT_TOLERANCE * np.maximum(np.abs(weights).max(axis=1), 1))

    @property
    def residual(self) -> np.ndarray:
        """(N,) whitened rows less what is fitted."""
        return self.y - self.design @ self._solved[0]

    @property
    def misfit(self) -> float:
        """Weighted sum of squares at the fitted tau2 by its degrees of freedom: the q of Hartung and Knapp."""
        w = 1 / (1 + self.tau2 * self.spread)
        return float(np.sum(w * self.residual**2)) / self.df if self.df > 0 else float("nan")

    def log_likelihood(self, tau2: float) -> float:
        """Restricted log-likelihood, up to a constant."""
        w = 1 / (1 + tau2 * self.spread)
        coefficients, inverse = solve(self.y, self.design, w)
        rest = self.y - self.design @ coefficients
        return float(np.sum(np.log(w)) + np.linalg.slogdet(inverse)[1] - np.sum(w * rest**2)) / 2


def fit(blocks: Sequence[Block], method: TauMethod = "REML", tau2: float | None = None) -> Fit:
    """Pool whitened rows; tau2 by restricted likelihood (REML), DerSimonian and Laird (DL) or Paule and Mandel (PM),
    or as given. Without degrees of freedom left, tau2 is 0 and nothing between places is known.

    Raises `EvalkitError` where there is no row.
    """
    check_choice("method", method, TAU_METHODS)
    if not blocks:
        raise EvalkitError("There is no row with a number to pool.")
    basis = row_space(np.concatenate([b.raw.reshape(-1, b.raw.shape[2]) for b in blocks]))
    y, spread, design = _flat(blocks, "y"), _flat(blocks, "spread"), _design(blocks, basis)
    df = len(y) - len(basis)
    coefficients, _ = solve(y, design, np.ones(len(y)))
    q = float(np.sum((y - design @ coefficients) ** 2))
    if tau2 is None:
        tau2 = 0.0 if df <= 0 else _TAU[method](y, design, spread)
    return Fit(tuple(blocks), basis, float(tau2), method, q, df)


def solve(y: np.ndarray, design: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares of full rank: coefficients (r,) and (X'WX)^-1."""
    weighted = design * weights[:, None]
    inverse = np.linalg.inv(design.T @ weighted)
    return inverse @ (weighted.T @ y), inverse


def row_space(design: np.ndarray) -> np.ndarray:
    """(r, p) orthonormal rows that span the rows of a design (N, p)."""
    _, values, rows = np.linalg.svd(np.linalg.qr(design, mode="r"))
    return rows[: int(np.sum(values > _LEAST_SINGULAR * max(values[0], 1e-300)))]


def _flat(blocks: Sequence[Block], name: str) -> np.ndarray:
    return np.concatenate([getattr(b, name).ravel() for b in blocks])


def _design(blocks: Sequence[Block], basis: np.ndarray) -> np.ndarray:
    return np.concatenate([(b.design @ basis.T).reshape(-1, len(basis)) for b in blocks])


def _dersimonian_laird(y: np.ndarray, design: np.ndarray, spread: np.ndarray) -> float:
    coefficients, inverse = solve(y, design, np.ones(len(y)))
    q = np.sum((y - design @ coefficients) ** 2)
    left = np.sum(spread) - np.sum(spread * _leverage(design, inverse))
    return max(0.0, float((q - (len(y) - design.shape[1])) / left)) if left > 0 else 0.0


def _paule_mandel(y: np.ndarray, design: np.ndarray, spread: np.ndarray) -> float:
    def excess(tau2: float) -> float:
        w = 1 / (1 + tau2 * spread)
        rest = y - design @ solve(y, design, w)[0]
        return float(np.sum(w * rest**2)) - (len(y) - design.shape[1])

    return _root(excess, spread)


def _restricted(y: np.ndarray, design: np.ndarray, spread: np.ndarray) -> float:
    def score(tau2: float) -> float:
        w = 1 / (1 + tau2 * spread)
        coefficients, inverse = solve(y, design, w)
        rest = y - design @ coefficients
        expected = np.sum(w * spread) - np.sum(w**2 * spread * _leverage(design, inverse))
        return float(np.sum((w * rest) ** 2 * spread) - expected)

    return _root(score, spread)


def _leverage(design: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum((design @ inverse) * design, axis=1))


def _root(f: Callable[[float], float], spread: np.ndarray) -> float:
    """Where a function that falls with tau2 crosses zero; 0 where it is never above."""
    largest = float(spread.max(initial=0.0))
    if not largest > 0 or f(0.0) <= 0:
        return 0.0
    high = 1 / largest
    while f(high) > 0:
        high *= 4
        if high * largest > 1e18:
            return high
    return float(brentq(f, 0.0, high, xtol=1e-14 * high, rtol=1e-13))


_TAU: dict[TauMethod, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "REML": _restricted,
    "DL": _dersimonian_laird,
    "PM": _paule_mandel,
}
