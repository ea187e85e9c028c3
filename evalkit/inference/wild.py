"""Wild cluster bootstrap of one contrast of a regression: restricted, by cluster scores, without refits.

Under c'b = r the restricted residuals are multiplied by one random weight v_g a cluster. With a_g cluster g's
score for c'b and S_h cluster h's move of all coefficients, the bootstrapped contrast is sum v_g a_g and
its cluster scores are v_g a_g - q_g'sum_h v_h S_h, so that a draw costs a product with a (G, G) matrix (the
score form of MacKinnon, Nielsen and Webb 2023, Journal of Applied Econometrics 38). Test:
Cameron, Gelbach and Miller (2008), REStat 90. Six-point weights: Webb (2023), Canadian Journal of
Economics 56. The interval holds every r that the test does not reject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.errors import NotIdentifiedError, OptionError, check_choice
from evalkit.inference.interval import Interval
from evalkit.inference.intervals import check_level
from evalkit.inference.regression import Regression

WEIGHTS = ("auto", "rademacher", "webb")
_TIE = 1e-10
_WEBB = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])
_FEWEST_SIGNS = 7
_CHUNK = 4096
_STEPS = 20  # each half as long again, to 10,000 standard errors; an end beyond is infinite


@dataclass(frozen=True, eq=False)
class WildBootstrap:
    """Wild cluster bootstrap of one contrast; `wild_bootstrap` makes it.

    estimate, t: of the contrast, t with the CR0 standard error (a factor common to all draws cancels).
    weights: "rademacher" or "webb". draws: how many. enumerated: whether these are all sign patterns.
    clusters: G. p(r): p-value of the hypothesis that the contrast is r.
    """

    estimate: float
    std_error: float
    null: float
    weights: str
    enumerated: bool
    clusters: int
    moments: Moments

    @property
    def draws(self) -> int:
        return len(self.moments.top)

    @property
    def t(self) -> float:
        return (self.estimate - self.null) / self.std_error

    @cached_property
    def p_value(self) -> float:
        """Two-sided p of the null: the share of draws with |t*| at least |t|."""
        return self.p(self.null)

    @cached_property
    def p_equal_tailed(self) -> float:
        """Twice the smaller tail share."""
        t, drawn = self.t, self.moments.t(self.estimate - self.null)
        low, high = (self._share(x) for x in (drawn <= t + _tie(t), drawn >= t - _tie(t)))
        return min(1.0, 2 * min(low, high))

    def p(self, null: float) -> float:
        """Two-sided p of another null value, from the same draws."""
        t, drawn = abs(self.estimate - null) / self.std_error, self.moments.t(self.estimate - null)
        return self._share(np.abs(drawn) >= t - _tie(t))

    def _share(self, extreme: np.ndarray) -> float:
        """Enumerated draws hold the data themselves; random ones are joined by them."""
        count = int(extreme.sum())
        return count / len(extreme) if self.enumerated else (count + 1) / (len(extreme) + 1)

    def interval(self, level: float = 0.95) -> Interval:
        """The values around the estimate that the test does not reject, out to the first it does.

        An end is infinite where no value is rejected (too few sign patterns for this level).
        """
        alpha = 1 - check_level(level)
        low, high = (_edge(self.p, self.estimate, side * self.std_error, alpha) for side in (-1, 1))
        kind = "all" if self.enumerated else "random"
        words = (
            f"wild cluster bootstrap by inversion: {self.clusters} clusters, {self.draws} {kind} {self.weights} draws"
        )
        return Interval(self.estimate, low, high, words)


@dataclass(frozen=True, eq=False)
class Moments:
    """t* of every draw as a function of d = estimate - null: (top . (1, d)) / sqrt(below . (1, d, d^2)).

    top: (draws, 2). below: (draws, 3).
    """

    top: np.ndarray
    below: np.ndarray

    def t(self, d: float) -> np.ndarray:
        """(draws,) bootstrapped t. Where a draw has no spread it is infinite with the sign of its top, or zero."""
        top = self.top @ np.array([1.0, d])
        square = self.below @ np.array([1.0, d, d * d])
        size = np.abs(self.below) @ np.array([1.0, abs(d), d * d])
        flat = square <= 1e-14 * size
        ratio = top / np.sqrt(np.where(flat, 1.0, square))
        return np.where(flat, np.where(np.abs(top) <= 1e-7 * np.sqrt(size), 0.0, np.inf * np.sign(top)), ratio)


def wild_bootstrap(
    regression: Regression,
    contrast: np.ndarray,
    null: float = 0.0,
    draws: int = 9999,
    weights: str = "auto",
    seed: int = 0,
) -> WildBootstrap:
    """Restricted wild cluster bootstrap of `contrast` (p,) of a regression.

    weights: "rademacher" draws signs, or all 2^G of them where these are no more than `draws`; "webb" draws
        six-point weights; "auto" takes all signs where there are no more than `draws` and at least seven
        clusters (with six, signs alone give at most 32 different |t|), else Webb's.

    Raises `OptionError` for other weights or widths, `NotIdentifiedError` when the contrast is not identified
    or there is one cluster.
    """
    check_choice("weights", weights, WEIGHTS)
    c = np.asarray(contrast, dtype=float).ravel()
    if len(c) != regression.n_columns or draws < 1:
        raise OptionError(f"Give {regression.n_columns} weights, one a column, and at least one draw.")
    if regression.n_clusters < 2 or not regression.identified(c[None])[0]:
        raise NotIdentifiedError("The contrast is not identified, or there is one cluster: nothing to bootstrap.")
    G = regression.n_clusters
    every = G <= 30 and draws >= 2**G
    if weights == "auto":
        weights = "rademacher" if every and G >= _FEWEST_SIGNS else "webb"
    every = every and weights == "rademacher"
    free, moved, cross = _scores(regression, c)
    signs = _all_signs(G) if every else _draw(G, draws, weights, seed)
    moments = _moments(signs, free, moved, cross)
    se = float(np.sqrt(np.sum((_residual_scores(regression, c)) ** 2)))
    if se <= 0:
        raise NotIdentifiedError("The contrast has no variation between clusters: nothing to bootstrap.")
    return WildBootstrap(float(c @ regression.coefficients), se, null, weights, every, G, moments)


def _residual_scores(r: Regression, c: np.ndarray) -> np.ndarray:
    """(G,) cluster scores of the contrast with unrestricted residuals."""
    lift = r.bread @ c
    return np.array([lift @ (b.Z.T @ (b.w * (b.y - b.Z @ r.coefficients))) for b in r.blocks()])


def _scores(r: Regression, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Restricted scores at d = 0 (G, p) and their slope in d (G, p), and X_g'W_g X_g M c (G, p).

    Restricted coefficients are b - M c d / (c'Mc), so residuals gain X M c d / (c'Mc).
    """
    lift = r.bread @ c
    free, cross = [], []
    for b in r.blocks():
        weighted = b.Z * b.w[:, None]
        free.append(weighted.T @ (b.y - b.Z @ r.coefficients))
        cross.append(weighted.T @ (b.Z @ lift))
    q = np.array(cross)
    return np.array(free) @ r.bread, (q / (c @ lift)) @ r.bread, np.column_stack([q, np.broadcast_to(c, q.shape)])


def _moments(signs: np.ndarray, free: np.ndarray, moved: np.ndarray, cross: np.ndarray) -> Moments:
    """Quadratics of each draw, a chunk of draws at a time. free, moved: (G, p) moves of all coefficients."""
    p = free.shape[1]
    q, c = cross[:, :p], cross[0, p:]
    pairs = []
    for move in (free, moved):
        pairs.append((move @ c, np.diag(move @ c) - move @ q.T))
    top, below = np.empty((len(signs), 2)), np.empty((len(signs), 3))
    for low in range(0, len(signs), _CHUNK):
        v = signs[low : low + _CHUNK].astype(float)
        top[low : low + _CHUNK] = np.column_stack([v @ a for a, _ in pairs])
        first, second = (v @ D for _, D in pairs)
        below[low : low + _CHUNK] = np.column_stack(
            [(first**2).sum(axis=1), 2 * (first * second).sum(axis=1), (second**2).sum(axis=1)]
        )
    return Moments(top, below)


def _tie(t: float) -> float:
    """Draws that differ by less than rounding are ties, and ties count."""
    return _TIE * max(1.0, abs(t))


def _all_signs(G: int) -> np.ndarray:
    """(2^G, G) every pattern of -1 and 1; the first is all ones."""
    bits = (np.arange(2**G)[:, None] >> np.arange(G)) & 1
    return (1 - 2 * bits).astype(np.int8)


def _draw(G: int, draws: int, weights: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if weights == "rademacher":
        return rng.integers(0, 2, (draws, G), dtype=np.int8) * 2 - 1
    return _WEBB[rng.integers(0, 6, (draws, G))]


def _edge(p: Callable[[float], float], start: float, step: float, alpha: float) -> float:
    """The first value away from `start` whose p is at most alpha, by widening steps and bisection."""
    inside, outside, width = start, start + step, step
    for _ in range(_STEPS):
        if p(outside) <= alpha:
            break
        inside, width = outside, width * 1.5
        outside = outside + width
    else:
        return float(np.inf * np.sign(step))
    while abs(outside - inside) > 1e-9 * abs(step):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if p(middle) > alpha else (inside, middle)
    return float(outside)
