"""The untreated model on another scale: binomial or Poisson likelihood of cell means, with levels taken out.

link(mean of a cell in a period without the component) = its level + the steps that it has passed, as in
`evalkit/designs/noise/model.py`. With a canonical link this is what the pooled regression with an indicator for each
exposed cell-period fits to all others (Wooldridge 2023, Econometrics Journal 26: C31-C66, section 5), so that what it
predicts for those exposed is the answer of that regression. Means weighted by how many are behind them carry all that
the likelihood of their rows knows. statsmodels' `GLM` gives the same to 1e-8, but takes each level for a column of its
own, and says nothing of what is not identified.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse, special

from evalkit.designs.span import Span, span
from evalkit.errors import NotIdentifiedError

SCALES = ("identity", "logit", "log")
MOST = 100
TIGHT = 1e-11
SETTLED = 1e-10
"""Scores, as a share of what was counted, from which one more step is all that is left to do."""
CLOSE, NO_GAIN = 1e4, 1e-13
"""How much larger scores may be where a step gains no more than such a share of the likelihood."""
AN_END = 1e-5
"""Share of the usual mean (of all or none, for shares) from which on a fitted mean lies at an end of the range."""
LARGEST = 700.0
"""Largest logarithm of a number."""
NO_MAXIMUM = "the likelihood on this scale did not settle"


def link_of(scale: str, mean: np.ndarray) -> np.ndarray:
    """The scale's own number of a mean inside its range."""
    return np.asarray(special.logit(mean) if scale == "logit" else np.log(mean) if scale == "log" else mean)


def mean_of(scale: str, eta: np.ndarray) -> np.ndarray:
    """The mean that a number of the scale stands for."""
    if scale == "log":
        return np.exp(np.minimum(eta, LARGEST))
    return np.asarray(special.expit(eta) if scale == "logit" else eta)


def slope_of(scale: str, mean: np.ndarray) -> np.ndarray:
    """How much the mean moves with the scale's number; with a canonical link, the variance too."""
    if scale == "identity":
        return np.ones_like(mean)
    return mean * (1.0 - mean) if scale == "logit" else mean


def at_an_end(scale: str, total: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Whether what a level counted is nothing, or on the logit scale everything: its maximum lies at infinity."""
    if scale == "identity":
        return np.zeros(len(total), dtype=bool)
    return np.asarray((total <= 0) | ((total >= mass * (1 - 1e-12)) & (scale == "logit")))


@dataclass(frozen=True, eq=False)
class Seen:
    """R cell-periods before exposure, the rows of a level one after another. y, n: mean and weight of each. Z: (R x C)
    sparse, how often each column has been passed. level: (R,) codes. levels: L, how many there are."""

    y: np.ndarray
    n: np.ndarray
    Z: sparse.csr_array
    level: np.ndarray
    levels: int

    def by_level(self, x: np.ndarray) -> np.ndarray:
        return np.bincount(self.level, weights=x, minlength=self.levels)

    @cached_property
    def new(self) -> sparse.csr_array:
        """(R x C) D: what is new in each row since the row before, all of it in the first of a level."""
        again = np.flatnonzero(np.diff(self.level, prepend=-1) == 0)
        before = sparse.csr_array((np.ones(len(again)), (again, again - 1)), shape=(len(self.level), len(self.level)))
        made = sparse.csr_array(self.Z - before @ self.Z)
        made.eliminate_zeros()
        return made

    @cached_property
    def _half(self) -> sparse.csr_array:
        return sparse.csr_array((self.Z - 0.5 * self.new).T)

    @cached_property
    def _ends(self) -> np.ndarray:
        """(R,) position after the last row of each row's level."""
        end = np.flatnonzero(np.diff(self.level, append=-1)) + 1
        return np.asarray(end[np.searchsorted(end, np.arange(len(self.level)), side="right")])

    def to_come(self, x: np.ndarray) -> np.ndarray:
        """(R,) sum of x over the rows of the level from each row on."""
        total = np.append(np.cumsum(x[::-1])[::-1], 0.0)
        return total[:-1] - total[self._ends]

    def means(self, curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(L,) curvature of each level, one where it has none, and (L, C) its columns' means under it."""
        d, D, C = self.by_level(curvature), self.new, self.Z.shape[1]
        d = np.where(d > 0, d, 1.0)
        row = np.repeat(np.arange(len(self.level)), np.diff(D.indptr))
        code, value = self.level[row] * C + D.indices, D.data * self.to_come(curvature)[row]
        return d, np.bincount(code, value, self.levels * C).reshape(self.levels, C) / d[:, None]

    def products(self, curvature: np.ndarray) -> np.ndarray:
        """(C, C) Z'VZ. Rows are sums of few new columns each, so that it is Z'RD + D'R(Z - D), R what of V is still to
        come."""
        D = self.new
        row = np.repeat(np.arange(len(self.level)), np.diff(D.indptr))
        weighted = sparse.csr_array((D.data * self.to_come(curvature)[row], D.indices, D.indptr), shape=D.shape)
        half = (self._half @ weighted).toarray()
        return np.asarray(half + half.T)

    def solver(self, curvature: np.ndarray, means: tuple[np.ndarray, np.ndarray]) -> Span:
        """Solves by the information of the columns, with levels (`means` under the same curvature) taken out."""
        whole, (d, mean) = self.products(curvature), means
        return span(whole - (mean * d[:, None]).T @ mean, np.diag(whole).copy())

    def solved(self, curvature: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], Span]:
        """`means` and `solver`, made once where weights are all that curves."""
        return self.by_weight if np.array_equal(curvature, self.n) else self._solved(curvature)

    @cached_property
    def by_weight(self) -> tuple[tuple[np.ndarray, np.ndarray], Span]:
        return self._solved(self.n)

    def _solved(self, curvature: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], Span]:
        means = self.means(curvature)
        return means, self.solver(curvature, means)


@dataclass(frozen=True, eq=False)
class Asked:
    """J exposed cell-periods that rows ask for. Z, level: as in `Seen`. fixed: (J,) what is predicted whatever others
    say, where the level counted nothing or everything; NaN elsewhere."""

    Z: sparse.csr_array
    level: np.ndarray
    fixed: np.ndarray


@dataclass(frozen=True, eq=False)
class Fit:
    """Columns gamma (C,) and levels a (L,) on a scale, at its maximum or on the way there."""

    scale: str
    seen: Seen
    gamma: np.ndarray
    a: np.ndarray

    @cached_property
    def eta(self) -> np.ndarray:
        """(R,) on the scale."""
        return np.asarray(self.a[self.seen.level] + self.seen.Z @ self.gamma)

    @cached_property
    def mean(self) -> np.ndarray:
        """(R,) fitted."""
        return mean_of(self.scale, self.eta)

    @cached_property
    def likelihood(self) -> float:
        """Its logarithm, but for what does not depend on the fit."""
        if self.scale == "identity":
            return float(-self.seen.n @ (self.seen.y - self.eta) ** 2)
        whole = np.logaddexp(0.0, self.eta) if self.scale == "logit" else self.mean
        return float(self.seen.n @ (self.seen.y * self.eta - whole))

    @cached_property
    def score(self) -> np.ndarray:
        """(R,) weighted residuals."""
        return np.asarray(self.seen.n * (self.seen.y - self.mean))

    @cached_property
    def pull(self) -> tuple[np.ndarray, np.ndarray]:
        """Score of the columns (C,), with levels taken out, and of the levels (L,)."""
        own = self.seen.by_level(self.score)
        return self.seen.Z.T @ self.score - own @ self.of_levels[1], own

    @cached_property
    def curvature(self) -> np.ndarray:
        return self.seen.n * slope_of(self.scale, self.mean)

    @cached_property
    def of_levels(self) -> tuple[np.ndarray, np.ndarray]:
        """(L,) curvature of each level, one where it has none, and (L, C) its columns' means under it."""
        return self.seen.by_weight[0] if self.scale == "identity" else self.seen.means(self.curvature)

    @cached_property
    def solver(self) -> Span:
        """Solves by the information of the columns, with levels taken out."""
        return self.seen.by_weight[1] if self.scale == "identity" else self.seen.solver(self.curvature, self.of_levels)

    def told(self, asked: Asked) -> np.ndarray:
        """(J,) whether each prediction is identified: its level is seen and its columns are, by cell-periods inside the
        range. Of what others never counted (or always did) the columns lie at infinity; what rests on them is told
        where it comes to an end of the range, and nowhere else (Correia, Guimaraes and Zylkin 2019, arXiv 1903.01633).
        """
        known, fixed = self._identified(asked, self.seen.n), np.isfinite(asked.fixed)
        if self.scale == "identity":
            return known | fixed
        predicted = self.predicted(asked)
        free = self._identified(asked, self.seen.n * self._inside(self.mean))
        end = ~self._inside(predicted) & ((self.scale == "logit") | (predicted <= self.usual))
        return np.asarray(free | (end & known) | fixed)

    @cached_property
    def usual(self) -> float:
        """Mean of all that is seen."""
        return float(self.seen.n @ self.seen.y / max(self.seen.n.sum(), 1e-300))

    def _inside(self, mean: np.ndarray) -> np.ndarray:
        """Which means are neither nothing nor, on the logit scale, everything, on the log scale out of all measure."""
        some = mean > AN_END * self.usual
        return some & (mean < 1.0 - AN_END) if self.scale == "logit" else some & (mean < self.usual / AN_END)

    def _identified(self, asked: Asked, weights: np.ndarray) -> np.ndarray:
        """(J,) whether rows of these weights identify each prediction; by weights alone, since at the end of a range
        nothing curves."""
        there, (means, solver) = self.seen.by_level(weights) > 0, self.seen.solved(weights)
        away = asked.Z.toarray() - means[1][asked.level]
        return there[asked.level] & np.asarray(solver.identified(away.T))

    def predicted(self, asked: Asked) -> np.ndarray:
        """(J,) means expected without the component."""
        eta = self.a[asked.level] + asked.Z @ self.gamma
        return np.where(np.isfinite(asked.fixed), asked.fixed, mean_of(self.scale, eta))


def fit(scale: str, seen: Seen) -> Fit:
    """Maximum likelihood by Newton's method with halved steps. `NotIdentifiedError` where it does not settle.

    Where all that serve in a period counted nothing (or everything), the maximum lies at infinity and predictions at
    the end of the range: it stops once the score is nothing but rounding.
    """
    total, mass = seen.by_level(seen.n * seen.y), seen.by_level(seen.n)
    share = np.divide(total, mass, out=np.full(seen.levels, 0.5), where=mass > 0)
    at = Fit(scale, seen, np.zeros(seen.Z.shape[1]), link_of(scale, share))
    rounding = SETTLED * max(float(seen.n @ np.abs(seen.y)), float(np.abs(at.score).max(initial=0.0)))
    for _ in range(MOST):
        pull, own = at.pull
        near = max(np.abs(pull).max(initial=0.0), np.abs(own).max(initial=0.0)) <= rounding
        d, mean = at.of_levels
        gamma, before = at.solver.solve(pull), at.likelihood
        at, moved = _halved(at, gamma, own / d - mean @ gamma)
        if near or moved <= TIGHT * (1 + np.abs(at.a).max(initial=0.0)):
            return at
        if at.likelihood - before <= NO_GAIN * abs(before):
            break
    pull, own = at.pull
    if max(np.abs(pull).max(initial=0.0), np.abs(own).max(initial=0.0)) <= CLOSE * rounding:
        return at
    raise NotIdentifiedError(NO_MAXIMUM)


def _halved(at: Fit, gamma: np.ndarray, a: np.ndarray) -> tuple[Fit, float]:
    """The fit a step further, or half of it and so on until it is no less likely; and how far that moved any row."""
    before, by = at.likelihood, 1.0
    while True:
        new = Fit(at.scale, at.seen, at.gamma + by * gamma, at.a + by * a)
        if by < TIGHT or new.likelihood >= before - 1e-12 * abs(before):
            return new, by * float(np.abs(a[at.seen.level] + at.seen.Z @ gamma).max(initial=0.0))
        by /= 2
