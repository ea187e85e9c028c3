"""The effect on matched people: a weighted regression or matching estimator, and each person's part in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalkit.designs.people.distances import Space
from evalkit.designs.people.nearest import Links
from evalkit.designs.people.replacing import with_replacement
from evalkit.designs.people.score import independent
from evalkit.inference.sources import DenseSource, Influence, Rows

Levels = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Fit:
    """The coefficient of being exposed. parts: (n,) contributions; rows, columns: sizes of the regression."""

    value: float
    parts: np.ndarray
    columns: int


def regression(y: np.ndarray, exposed: np.ndarray, x: np.ndarray | None, w: np.ndarray) -> Fit:
    """Weighted least squares of y on being exposed (and covariates x): weighted difference in means without x.

    Contributions are (X'WX)^-1 x_i w_i e_i, so that their squares sum to the HC0 variance.
    """
    design = _columns(exposed, x, w)
    scaled = design * np.sqrt(w)[:, None]
    q, r = np.linalg.qr(scaled)
    beta = np.linalg.solve(r, q.T @ (np.sqrt(w) * y))
    bread = np.linalg.inv(r)
    lever = design @ (bread @ bread[1])
    residual = y - design @ beta
    return Fit(float(beta[1]), lever * w * residual, design.shape[1])


def _columns(exposed: np.ndarray, x: np.ndarray | None, w: np.ndarray) -> np.ndarray:
    """(n, k) [1, exposed, standardised covariates] without columns that repeat others."""
    design = np.column_stack([np.ones(len(exposed)), exposed.astype(float)])
    if x is None or not x.shape[1]:
        return design
    centred = x - np.average(x, axis=0, weights=w)
    scale = np.sqrt(np.average(centred**2, axis=0, weights=w))
    design = np.column_stack([design, centred / np.where(scale > 0, scale, 1.0)])
    return design[:, independent(design * np.sqrt(w)[:, None])]


def without_each(
    y: np.ndarray, exposed: np.ndarray, x: np.ndarray | None, w: np.ndarray, code: np.ndarray
) -> np.ndarray:
    """(S,) the coefficient of `regression` without the rows of each code 0 to S - 1, in closed form.

    The normal equations less each code's own part; NaN where no row of an arm is left.
    """
    design, size = _columns(exposed, x, w), int(code.max()) + 1
    k = design.shape[1]
    gram, right = np.empty((size, k, k)), np.empty((size, k))
    for i in range(k):
        weighed = w * design[:, i]
        right[:, i] = weighed @ y - np.bincount(code, weights=weighed * y, minlength=size)
        for j in range(i, k):
            own = np.bincount(code, weights=weighed * design[:, j], minlength=size)
            gram[:, i, j] = gram[:, j, i] = weighed @ design[:, j] - own
    value = (np.linalg.pinv(gram, rcond=1e-10, hermitian=True)[:, 1] * right).sum(axis=1)
    left = [np.bincount(code, weights=arm, minlength=size) < arm.sum() for arm in (exposed, ~exposed)]
    return np.where(left[0] & left[1], value, np.nan)


def hc1(n: int, k: int) -> float:
    """Small-sample factor of HC1."""
    return n / (n - k) if n > k else float("nan")


def cluster_factor(groups: int, n: int, k: int) -> float:
    """Small-sample factor of the cluster-robust variance: G/(G-1) (n-1)/(n-k)."""
    return groups / (groups - 1) * (n - 1) / (n - k) if groups > 1 and n > k else float("nan")


@dataclass(frozen=True, eq=False)
class Multiway(Influence):
    """Contributions clustered in several ways at once (Cameron, Gelbach and Miller 2011): the sum over one
    way at a time, less the sum over intersections, and so on. ways: (level, sign and factor).

    Never below the first way alone: with few clusters the sum is noisy and may come out far too small."""

    ways: tuple[tuple[str, float], ...] = ()

    def map(self, jacobian: np.ndarray) -> Influence:
        moved = super().map(jacobian)
        return Multiway(moved.parts, moved.level, self.ways)

    def gram(self, level: str | None = None) -> np.ndarray:
        if level is not None and level != self.level:
            return super().gram(level)
        total = np.sum([factor * super(Multiway, self).gram(name) for name, factor in self.ways], axis=0)
        first, factor = self.ways[0]
        floor = factor * super().gram(first)
        return total if np.trace(total) > np.trace(floor) else floor


def contributions(ids: np.ndarray, parts: np.ndarray, columns: int, levels: Levels, by: tuple[str, ...]) -> Influence:
    """Contributions of one number, scaled so that clustering `by` gives the small-sample variance.

    by: no level (HC1 by row), one, or several crossed ones.
    """
    n = len(parts)
    if len(by) <= 1:
        name = by[0] if by else "unit"
        factor = cluster_factor(_groups(levels, name), n, columns) if by else hc1(n, columns)
        rows = Rows(ids, dict(levels))
        return Influence(((DenseSource(rows, (np.sqrt(factor) * parts)[:, None]), np.eye(1)),), name)
    every = dict(levels)
    ways = []
    for pick in range(1, 2 ** len(by)):
        chosen = [b for i, b in enumerate(by) if pick >> i & 1]
        name = " and ".join(chosen) if len(chosen) > 1 else chosen[0]
        if len(chosen) > 1 and len(chosen) < len(by):
            every[name] = _crossed(levels, chosen)
        if len(chosen) == len(by):
            name = "rows of " + " and ".join(chosen)
            every[name] = _crossed(levels, chosen)
        sign = 1.0 if len(chosen) % 2 else -1.0
        ways.append((name, sign * cluster_factor(_groups(every, name), n, columns)))
    label = " and ".join(by)
    every[label] = every[by[-1]]
    rows = Rows(ids, every)
    return Multiway(((DenseSource(rows, parts[:, None]), np.eye(1)),), label, tuple(ways))


def _groups(levels: Levels, name: str) -> int:
    return len(np.unique(levels[name][0]))


def _crossed(levels: Levels, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    codes = np.column_stack([levels[n][0] for n in names])
    found, inverse = np.unique(codes, axis=0, return_inverse=True)
    labels = np.array([" & ".join(map(str, row)) for row in found], dtype=object)
    return inverse.ravel(), labels


@dataclass(frozen=True, eq=False)
class Reuse:
    """An estimate and (m,) contributions whose squares sum to the Abadie-Imbens variance."""

    value: float
    parts: np.ndarray


def reuse_effect(
    links: tuple[Links, ...],
    y: np.ndarray,
    exposed: np.ndarray,
    bias: np.ndarray | None,
    own_arm: np.ndarray | None = None,
    size: np.ndarray | None = None,
) -> Reuse:
    """Mean gap between matched people and their partners.

    V = [sum over focal people of (tau_i - tau)^2 + sum over everybody of s2 (K^2 + 2 K F - K')] / N^2, with
    K and K' the sums of 1/m and 1/m^2 a person serves with, F whether they are focal themselves (both ways: ATE), s2
    half the mean over focal people of the mean over partners of (tau_ij - tau)^2 (theorem 7, one residual variance).
    bias: covariates (m, q) of the bias correction (2011), by regression among partners. own_arm: (m,) residual
    variances from people's own arm instead of s2. size: (m,) people for whom a focal person stands, one each when None;
    partners serve with it. Takes the propensity score, if any, as known.
    """
    m = len(y)
    own = np.ones(m) if size is None else size
    gaps = [_gaps(x, y, exposed, bias) for x in links]
    share = [1.0 / np.bincount(x.focal, minlength=m)[x.focal] for x in links]
    tau, focal = np.zeros(m), np.zeros(m, dtype=bool)
    serves, squares = np.zeros(m), np.zeros(m)
    for x, gap, part in zip(links, gaps, share, strict=True):
        tau += np.bincount(x.focal, weights=gap * part, minlength=m)
        focal[x.focal] = True
        part = own[x.focal] * part
        serves += np.bincount(x.partner, weights=part, minlength=m)
        squares += np.bincount(x.partner, weights=part**2, minlength=m)
    n = float(own[focal].sum())
    value = float((own * tau)[focal].sum() / n)
    spread = [(own[x.focal] * (g - value) ** 2 * p).sum() for x, g, p in zip(links, gaps, share, strict=True)]
    s2 = float(sum(spread)) / (2 * n)
    residual = np.full(m, s2) if own_arm is None else own_arm
    both = focal & (serves > 0)
    noise = residual * (serves**2 - squares + np.where(both, 2 * own * serves, 0.0))
    direct = np.where(focal, own * (tau - value), 0.0)
    side = np.sign(np.where(focal, direct, (y - y.mean()) * np.where(exposed, 1.0, -1.0)))
    parts = np.sqrt(np.maximum(direct**2 + noise, 0.0)) / n
    return Reuse(value, np.where(side == 0, 1.0, side) * parts)


def _gaps(links: Links, y: np.ndarray, exposed: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """(r,) exposed less comparison, pair by pair, the partner moved to the focal person's covariates."""
    partner = y[links.partner].astype(float)
    if bias is not None and len(links):
        part = 1.0 / np.bincount(links.focal)[links.focal]
        z = bias[links.partner]
        centre = np.average(z, axis=0, weights=part)
        design = np.column_stack([np.ones(len(z)), z - centre])
        root = np.sqrt(part)
        kept = independent(design * root[:, None])
        kept = kept[kept > 0]
        beta = np.linalg.lstsq(design[:, [0, *kept]] * root[:, None], partner * root, rcond=None)[0]
        partner = partner + (bias[links.focal] - z)[:, kept - 1] @ beta[1:]
    sign = np.where(exposed[links.focal], 1.0, -1.0)
    return sign * (y[links.focal] - partner)


def own_arm_variance(space: Space, y: np.ndarray, exposed: np.ndarray, neighbours: int, tolerance: float) -> np.ndarray:
    """(m,) residual variance of each person: the sample variance of them and the nearest of their own arm.

    Equal to J/(J+1) (Y - mean of the J nearest)^2 for one neighbour; ties within `tolerance` join in, as in R's
    Matching.
    """
    m = len(y)
    out = np.zeros(m)
    free = Space(space.points, np.inf, (), space.score, space.unit)
    for arm in (exposed, ~exposed):
        who = np.flatnonzero(arm)
        if len(who) < 2:
            continue
        links = with_replacement(free, who, who, neighbours + 1, tolerance)
        count = np.bincount(links.focal, minlength=m)
        mean = np.bincount(links.focal, weights=y[links.partner], minlength=m) / np.maximum(count, 1)
        square = np.bincount(links.focal, weights=(y[links.partner] - mean[links.focal]) ** 2, minlength=m)
        out[who] = (square / np.maximum(count - 1, 1))[who]
    return out
