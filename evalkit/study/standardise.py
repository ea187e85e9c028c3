"""Means of groups made for people alike: who was asked in a period no longer decides what its mean is.

Every cell (a group in a period) is read for the same people: the mix of covariates of all who were seen while a
component was on. Its people are weighed until their means are those of that mix (entropy balancing, Hainmueller 2012,
Political Analysis 20), as far as half of them still count; what is left is taken out by a straight line fitted within
cells. The two together are right if either is (Zhao and Percival 2017, Journal of Causal Inference 5). Sant'Anna and Xu
(2023), "Difference-in-differences with compositional changes", read all cells for those exposed later in this way.
"""

from __future__ import annotations

import numpy as np

STEPS = (1.0, 0.75, 0.5, 0.25)
"""How far a cell is weighed towards the mix: all the way, or the first of these that is reached."""
COUNTING = 0.5
"""Share of a cell's people who must still count (Kish's effective number) once they are weighed."""
_ROUNDS, _CLOSE, _ROUNDING = 60, 1e-9, 1e-14


def standardised(
    y: np.ndarray, x: np.ndarray, weights: np.ndarray, cell: np.ndarray, exposed: np.ndarray, cells: int, adjust: str
) -> np.ndarray:
    """(cells,) means of y for the covariate mix of the exposed; NaN where nobody has all covariates.

    y, weights, cell, exposed: (m,) outcome, weight, cell and whether a component was on, of each row. x: (m, q)
    covariates; rows that lack one are left out. adjust: "reg" by straight lines, "ipw" by weights, "dr" by both.
    """
    whole = np.isfinite(x).all(axis=1) & (weights > 0)
    y, x, w, cell, exposed = (part[whole] for part in (y, x, weights, cell, exposed))
    out = np.full(cells, np.nan)
    if not len(y):
        return out
    order = np.argsort(cell, kind="stable")
    y, x, w, cell, exposed = (part[order] for part in (y, x, w, cell, exposed))
    names, start = np.unique(cell, return_index=True)
    of = np.repeat(np.arange(len(names)), np.diff([*start, len(cell)]))
    within = x - _by_cell(x, w, of)[of]
    spread = np.sqrt(np.average(within**2, axis=0, weights=w))
    vary = spread > _CLOSE * np.maximum(np.abs(x).max(axis=0, initial=1.0), 1.0)
    x, within = x[:, vary] / spread[vary], within[:, vary] / spread[vary]
    target = np.average(x[exposed] if exposed.any() else x, axis=0, weights=w[exposed] if exposed.any() else w)
    root = np.sqrt(w)[:, None]
    slope = np.linalg.lstsq(within * root, (y - _by_cell(y[:, None], w, of)[of, 0]) * root[:, 0], rcond=None)[0]
    slope = slope if adjust != "ipw" else np.zeros_like(slope)
    for c, (low, high) in enumerate(zip(start, [*start[1:], len(cell)], strict=True)):
        own, mine = x[low:high], w[low:high]
        tilt = mine if adjust == "reg" else mine * tilted(own, mine, target)
        out[names[c]] = (tilt @ y[low:high] + (tilt.sum() * target - tilt @ own) @ slope) / tilt.sum()
    return out


def tilted(x: np.ndarray, w: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(m,) factors of weights w that take the means of x (m, q) to `target`, or part of the way: as far as half of the
    people still count."""
    own = w @ x / w.sum()
    for step in STEPS:
        factor = _balance(x, w, own + step * (target - own))
        if factor is not None and (w @ factor) ** 2 / (w @ (w * factor**2)) >= COUNTING * w.sum() ** 2 / (w @ w):
            return factor
    return np.ones(len(x))


def _balance(x: np.ndarray, w: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """(m,) factors exp(x b), of mean one, with the means at `target`: Newton's steps on the dual, halved until it
    falls; None where they are not found."""
    away, b, share = x - target, np.zeros(x.shape[1]), w / w.sum()
    value = 0.0
    for _ in range(_ROUNDS):
        tilt = np.exp(away @ b - value) * share
        gradient = tilt @ away
        if np.abs(gradient).max(initial=0.0) < _CLOSE:
            return np.exp(away @ b - value)
        step = np.linalg.lstsq((away - gradient).T @ ((away - gradient) * tilt[:, None]), gradient, rcond=None)[0]
        size = 1.0
        seen = value + _ROUNDING * (1.0 + abs(value))  # the last steps gain less than the digits that value has
        while (new := _log_mean(away @ (b - size * step), share)) > seen - 1e-4 * size * (gradient @ step):
            size /= 2
            if size < 1e-6:
                return None
        b, value = b - size * step, new
    return None


def _log_mean(u: np.ndarray, share: np.ndarray) -> float:
    top = float(u.max())
    return top + float(np.log(share @ np.exp(u - top)))


def _by_cell(x: np.ndarray, w: np.ndarray, of: np.ndarray) -> np.ndarray:
    """(cells, q) weighted means."""
    n = np.bincount(of, w)
    return np.column_stack([np.bincount(of, w * column) / n for column in x.T]) if x.shape[1] else np.empty((len(n), 0))
