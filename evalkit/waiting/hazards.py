"""Proportional hazards (Cox 1972, JRSS B 34): slopes by partial likelihood with Efron's ties, and hazards at each time
that grouped times do not bend.

`order` (n,) is a whole number by which people leave: 2 k for an event at the k-th time, 2 k + 1 for whoever was last
seen then, so that an event comes first where both fall on one time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDS = 30
FEWEST = 10
"""Events a slope needs (Peduzzi and others 1995, Journal of Clinical Epidemiology 48)."""
STEEP = 20.0


@dataclass(frozen=True, eq=False)
class Hazards:
    """at: (m,) order of leaving, rising. base: (m,) log of minus the log of the share that does not leave then, of
    somebody with no covariate; -inf where nobody does, and inf where all do. slopes: (q,); center: (q,)."""

    at: np.ndarray
    base: np.ndarray
    slopes: np.ndarray
    center: np.ndarray

    def risk(self, x: np.ndarray) -> np.ndarray:
        """(n,) log of the hazard beside that of the middle person."""
        return np.asarray((x - self.center) @ self.slopes)

    def staying(self, risk: np.ndarray) -> np.ndarray:
        """(n, m) chance of not leaving at each time of those who are still there."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(-np.exp(np.minimum(self.base[None, :] + risk[:, None], 700.0))))


def cox_slopes(order: np.ndarray, leaves: np.ndarray, x: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """(q,) slopes of the log hazard of leaving; zeros where one grows without end or covariates are collinear.

    leaves: (n,) whether the person's exit is the event that is modelled. weight: (n,), ones where None. Ties as Efron
    (1977, JASA 72), each of them by the mean weight of those tied."""
    q = x.shape[1]
    last = np.argsort(-order, kind="stable")
    z, when, hit = x[last], order[last], leaves[last]
    w = (np.ones(len(x)) if weight is None else weight)[last]
    ends = np.searchsorted(-when, -when[hit], side="right") - 1
    tie = np.unique(when[hit], return_inverse=True)[1]
    size = np.bincount(tie)
    each = (np.bincount(tie, weights=w[hit]) / np.maximum(size, 1))[tie]
    # the first of d tied events has all of them beside it, the next leaves one part in d of them out, and so on
    rank = np.empty(len(tie))
    by = np.argsort(tie, kind="stable")
    rank[by] = np.concatenate([np.arange(d) / d for d in size]) if len(size) else []
    slopes = np.zeros(q)
    for _ in range(ROUNDS):
        r = w * np.exp(np.clip(z @ slopes, -700, 700))
        outer = r[:, None, None] * z[:, :, None] * z[:, None, :]
        sums = [np.cumsum(v, axis=0)[ends] for v in (r, r[:, None] * z, outer)]
        tied = [_by_tie(v[hit], tie, len(size))[tie] for v in (r, r[:, None] * z, outer)]
        s0, s1, s2 = (s - rank.reshape(-1, *[1] * (s.ndim - 1)) * t for s, t in zip(sums, tied, strict=True))
        mean = s1 / s0[:, None]
        slope = (w[hit, None] * z[hit] - each[:, None] * mean).sum(axis=0)
        curve = (each[:, None, None] * (s2 / s0[:, None, None] - mean[:, :, None] * mean[:, None, :])).sum(axis=0)
        try:
            step = np.linalg.solve(curve, slope)
        except np.linalg.LinAlgError:
            return np.zeros(q)
        slopes = slopes + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
        if np.abs(step).max() < 1e-10:
            return slopes if np.abs(slopes).max() < STEEP else np.zeros(q)
    return np.zeros(q)


def _by_tie(values: np.ndarray, tie: np.ndarray, size: int) -> np.ndarray:
    out = np.zeros((size, *values.shape[1:]))
    np.add.at(out, tie, values)
    return out


def fit_hazards(order: np.ndarray, leaves: np.ndarray, x: np.ndarray, weight: np.ndarray | None = None) -> Hazards:
    """Hazards of leaving. Slopes where there are ten events for each; else, and without covariates, Kaplan and Meier's
    shares. The hazards of the middle person make as many leave at each time as did: with grouped times, too
    (Prentice and Gloeckler 1978, Biometrics 34). weight: (n,) how many each counts for, ones where None."""
    w = np.ones(len(x)) if weight is None else weight
    leaves = leaves & (w > 0)
    at, when = np.unique(order[leaves], return_inverse=True)
    count = np.bincount(when, weights=w[leaves], minlength=len(at))
    spread = x.std(axis=0) if len(x) else np.zeros(x.shape[1])
    kept = spread > 0
    slopes, center = np.zeros(x.shape[1]), x.mean(axis=0) if len(x) else np.zeros(x.shape[1])
    if kept.any() and leaves.sum() >= FEWEST * kept.sum():
        scaled = (x[:, kept] - center[kept]) / spread[kept]
        slopes[kept] = cox_slopes(order, leaves, scaled, w) / spread[kept]
    return Hazards(at, _bases(order, at, count, (x - center) @ slopes, w), slopes, center)


def _bases(order: np.ndarray, at: np.ndarray, count: np.ndarray, risk: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(m,) base at each time by Newton's method, started at the share that left."""
    by = np.argsort(order, kind="stable")
    first = np.searchsorted(order[by], at)
    weight = weight[by]
    there = np.cumsum(weight[::-1])[::-1][first]
    with np.errstate(divide="ignore"):
        base = np.log(-np.log1p(-np.minimum(count / there, 1.0)))
    if not risk.any():
        return np.asarray(base)
    risk = risk[by]
    for k in np.flatnonzero(np.isfinite(base)):
        here, w, b = risk[first[k] :], weight[first[k] :], base[k]
        for _ in range(ROUNDS):
            h = np.exp(np.clip(b + here, -700, 30))
            gap = count[k] + (w * np.expm1(-h)).sum()
            slope = (w * h * np.exp(-h)).sum()
            step = gap / slope if slope > 0 else 0.0
            b += float(np.clip(step, -2, 2))
            if abs(step) < 1e-10:
                break
        base[k] = b
    return np.asarray(base)
