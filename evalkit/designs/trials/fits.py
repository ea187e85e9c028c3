"""Differences between arms that chance made, with errors of the design: functions of outcome, arm, blocks, groups"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Fit:
    """value, variance and df of a difference; parts: (n,) what each row adds to it: their sums by group (rows where
    nobody shares one), squared and added up, are the variance. kind: how the error was made."""

    value: float
    variance: float
    df: float
    parts: np.ndarray
    kind: str


Fitting = Callable[[np.ndarray], Fit]
"""From outcomes (n,) to a fit, arms and covariates held fixed."""


def by_least_squares(y: np.ndarray, columns: np.ndarray, groups: np.ndarray | None = None, of: int = 1) -> Fit:
    """One coefficient of a regression, CR2 by groups (HC2 where None) with Satterthwaite degrees of freedom (Bell and
    McCaffrey 2002; Pustejovsky and Tipton 2018; working model: independent errors). columns: (n, k), rows multiplied by
    the square root of a weight where there are weights, as y is. of: position of the coefficient."""
    lengths = np.linalg.norm(columns, axis=0)
    # All as long as that of the coefficient, which stays what it is: beside large numbers small ones pass for nought.
    columns = columns * np.where(lengths > 0, lengths[of] / np.where(lengths > 0, lengths, 1.0), 1.0)
    bread = np.linalg.pinv(columns.T @ columns)
    residual, pull = y - columns @ (bread @ (columns.T @ y)), columns @ bread[of]
    if groups is None:
        leverage = np.einsum("ij,jk,ik->i", columns, bread, columns).clip(0.0, 1 - 1e-9)
        lifted = pull / np.sqrt(1 - leverage)
        parts, mine, sums = lifted * residual, lifted**2, columns * lifted[:, None]
        scores = parts
    else:
        lifted, starts, order = _lifted(columns, pull, bread, groups)
        sizes = np.diff(np.r_[starts, len(y)])
        scores = np.add.reduceat((lifted * residual)[order], starts)
        parts = np.empty(len(y))
        parts[order] = np.repeat(scores / sizes, sizes)
        mine = np.add.reduceat((lifted**2)[order], starts)
        sums = np.add.reduceat((columns * lifted[:, None])[order], starts, axis=0)
    # The variance is a quadratic form in errors, with matrix diag(mine) - sums bread sums'.
    trace = mine.sum() - np.einsum("ij,jk,ik->", sums, bread, sums)
    crossed = (sums * mine[:, None]).T @ sums @ bread
    inner = sums.T @ sums @ bread
    squares = (mine**2).sum() - 2 * np.trace(crossed) + np.trace(inner @ inner)
    value = float(bread[of] @ (columns.T @ y))
    df = float(trace**2 / squares) if squares > 0 else 1.0
    return Fit(value, float(scores @ scores), df, parts, "HC2" if groups is None else "CR2")


def _lifted(
    columns: np.ndarray, pull: np.ndarray, bread: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) (I - H_g)^(-1/2) times `pull`, group by group; where groups start among the rows in `order`."""
    values, vectors = np.linalg.eigh(bread)
    half = columns @ (vectors * np.sqrt(values.clip(0.0)))
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    out = np.empty(len(pull))
    for rows in np.split(order, starts[1:]):
        sides, singular, _ = np.linalg.svd(half[rows], full_matrices=False)
        left = 1 - singular**2
        stretch = np.where(left > 1e-9, 1 / np.sqrt(left.clip(1e-9)), 0.0) - 1
        out[rows] = pull[rows] + sides @ (stretch * (sides.T @ pull[rows]))
    return out, starts, order


def of_people(y: np.ndarray, t: np.ndarray, x: np.ndarray, products: bool, weight: np.ndarray | None = None) -> Fit:
    """Outcome on arm and centred covariates; `products`: with their products with the arm (Lin 2013, Annals of Applied
    Statistics 7). HC2."""
    root = np.ones(len(y)) if weight is None else np.sqrt(weight)
    z = x - np.average(x, axis=0, weights=root**2) if x.shape[1] else x
    columns = [np.ones((len(y), 1)), t[:, None].astype(float), z, *([z * t[:, None]] if products else [])]
    return by_least_squares(root * y, root[:, None] * np.hstack(columns))


def of_clusters(
    y: np.ndarray, t: np.ndarray, x: np.ndarray, groups: np.ndarray, weight: np.ndarray | None = None
) -> Fit:
    """People of groups dealt whole: outcome on arm and centred covariates, CR2 by group."""
    root = np.ones(len(y)) if weight is None else np.sqrt(weight)
    columns = np.hstack([np.ones((len(y), 1)), t[:, None].astype(float), x - x.mean(axis=0)])
    return by_least_squares(root * y, root[:, None] * columns, groups)


def of_pairs(y: np.ndarray, t: np.ndarray, x: np.ndarray, block: np.ndarray) -> Fit:
    """Mean of differences within pairs, given the differences of covariates; t with the residual variance. A pair's
    part stands with the one who had it.

    Which of two had it is chance, so that differences of covariates are nought on average, whoever they are: every pair
    pulls at the mean alike, and uneven variances, which HC2 is for, do next to nothing to it (benchmarks, trials)."""
    order = np.lexsort((~t, block))
    first, second = order[0::2], order[1::2]
    columns = np.column_stack([np.ones(len(first)), x[first] - x[second]])
    bread, gap = np.linalg.pinv(columns.T @ columns), y[first] - y[second]
    slopes, df = bread @ (columns.T @ gap), len(first) - np.linalg.matrix_rank(columns)
    residual = gap - columns @ slopes
    variance = float(residual @ residual / max(df, 1) * bread[0, 0])
    parts, raw = np.zeros(len(y)), (columns @ bread[0]) * residual
    parts[first] = raw * np.sqrt(variance / (raw @ raw)) if raw.any() else 0.0
    return Fit(float(slopes[0]), variance, float(max(df, 1)), parts, "pairs")


def of_blocks(y: np.ndarray, t: np.ndarray, x: np.ndarray, block: np.ndarray) -> Fit:
    """Mean of differences within blocks, weighted by their people. block: (n,) codes 0, 1, ...

    Variance by arm within blocks that have two in each (Neyman), and between the other blocks (Fogarty 2018; Pashley
    and Miratrix 2021), whose parts stand with their first row. Covariates are taken out first with slopes within
    blocks: by arm where every block has two in each arm, else one; the variance is multiplied by what that costs."""
    k = int(block.max()) + 1
    y, cost = _without_covariates(y, t, x, block) if x.shape[1] else (y, 1.0)
    size, counts = np.bincount(block), [np.bincount(block[arm], minlength=k) for arm in (t, ~t)]
    means = [np.bincount(block[a], weights=y[a], minlength=k) / n for a, n in zip((t, ~t), counts, strict=True)]
    gap, share = means[0] - means[1], size / len(y)
    own = np.where(t, counts[0][block], counts[1][block])
    centre = np.where(t, means[0][block], means[1][block])
    big = (np.minimum(*counts) > 1)[block]
    parts = np.zeros(len(y))
    scale = share[block] / own * np.sqrt(own / np.maximum(own - 1, 1))
    parts[big] = (np.where(t, 1.0, -1.0) * scale * (y - centre))[big]
    within = np.bincount(block[big], weights=parts[big] ** 2, minlength=k)
    pieces = [(within.sum(), (within[within > 0] ** 2 / (size - 2)[within > 0]).sum())]
    few = np.flatnonzero(np.minimum(*counts) == 1)
    if len(few):
        if len(few) > 1:
            between = _between(gap[few], share[few])
        else:  # one block alone has no variance of its own: it is lent that of the others
            left = big.sum() - 2 * int((within > 0).sum())
            spread = ((y - centre)[big] ** 2).sum() / left if left > 0 else np.nan
            between = share[few] * np.sqrt(spread * (1 / counts[0] + 1 / counts[1])[few])
        parts[np.unique(block, return_index=True)[1][few]] = between
        pieces.append(((between**2).sum(), (between**2).sum() ** 2 / max(len(few) - 1, 1)))
    total, below = sum(p[0] for p in pieces), sum(p[1] for p in pieces)
    df = float(total**2 / below) if below > 0 else 1.0
    df = max(df - x.shape[1], 1.0) if k > df else df
    return Fit(float(share @ gap), float(cost * total), df, np.sqrt(cost) * parts, "blocks")


def _between(gap: np.ndarray, share: np.ndarray) -> np.ndarray:
    """What each small block adds: its weighted difference about their mean, corrected for its pull on that."""
    weight = share * len(share) / share.sum()
    scaled, pull = weight * gap, weight**2 / (weight @ weight)
    left = (scaled - weight * (weight @ scaled) / (weight @ weight)) / np.sqrt((1 - pull).clip(1e-9))
    return np.asarray(share.sum() * left / len(share))


def _without_covariates(y: np.ndarray, t: np.ndarray, x: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, float]:
    """Outcomes less what covariates, centred within blocks, say of them; and the factor on the variance for slopes."""
    counts = [np.bincount(block[arm], minlength=int(block.max()) + 1) for arm in (t, ~t)]
    z, k = x - group_means(x, block)[block], len(counts[0])
    if min(c.min() for c in counts) < 2:
        columns = np.column_stack([t - group_means(t[:, None].astype(float), block)[block, 0], z])
        slopes = np.linalg.lstsq(columns, y - group_means(y[:, None], block)[block, 0], rcond=None)[0][1:]
        left = len(y) - k - 1
        return y - z @ slopes, left / max(left - x.shape[1], 1)
    taken, cost = np.zeros(len(y)), 1.0
    for arm in (t, ~t):
        mine = block[arm]
        slopes = np.linalg.lstsq(
            x[arm] - group_means(x[arm], mine)[mine], y[arm] - group_means(y[arm, None], mine)[mine, 0], rcond=None
        )[0]
        taken[arm] = z[arm] @ slopes
        left = len(mine) - k
        cost = max(cost, left / max(left - x.shape[1], 1))
    return y - taken, cost


def group_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(G, q) means of the rows (n, q) of each group."""
    size = np.bincount(groups)
    return np.column_stack([np.bincount(groups, weights=v) / np.maximum(size, 1) for v in values.T]).reshape(
        len(size), values.shape[1]
    )
