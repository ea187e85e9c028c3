"""What stands beside a difference between arms: likeness within groups, effect sizes, compliers, bounds"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.special import ndtr, stdtrit

from evalkit.designs.trials.fits import Fitting


def intra_cluster(y: np.ndarray, t: np.ndarray, groups: np.ndarray) -> float:
    """Intra-cluster correlation within arms by analysis of variance (Donner and Klar 2000, section 1.4); below 0 where
    groups are less unlike than chance would make them."""
    _, first, code = np.unique(groups, return_index=True, return_inverse=True)
    n, arm = np.bincount(code).astype(float), t[first]
    mean = np.bincount(code, weights=y) / n
    if len(n) < 4 or len(y) <= len(n):
        return float("nan")
    centre = np.array([np.average(mean[arm == a], weights=n[arm == a]) for a in (False, True)])[arm.astype(int)]
    between = (n * (mean - centre) ** 2).sum() / (len(n) - 2)
    within = ((y - mean[code]) ** 2).sum() / (n.sum() - len(n))
    per_arm = (n[arm == a] for a in (False, True))
    each = sum(m.sum() - (m**2).sum() / m.sum() for m in per_arm) / (len(n) - 2)
    total = between + (each - 1) * within
    return float((between - within) / total) if total > 0 else float("nan")


@dataclass(frozen=True)
class EffectSize:
    """Hedges' g, the difference in standard deviations of the outcome within arms, with its range."""

    g: float
    low: float
    high: float


def hedges_g(
    effect: tuple[float, float, float], y: np.ndarray, t: np.ndarray, groups: np.ndarray | None, level: float = 0.95,
    weight: np.ndarray | None = None,
) -> EffectSize:  # fmt: skip
    """Hedges' g of an effect (value, standard error, df) with the total standard deviation within arms, corrected for
    few degrees of freedom and for likeness within groups (Hedges 2007, Journal of Educational and Behavioral Statistics
    32, equation 15). groups: (n,) codes, None where people were dealt one by one."""
    value, error, df = effect
    n = len(y)
    if n < 4 or not error > 0:
        return EffectSize(*(float("nan"),) * 3)
    w = np.ones(n) if weight is None else weight * n / weight.sum()
    spread = np.sqrt(sum((w[a] * (y[a] - np.average(y[a], weights=w[a])) ** 2).sum() for a in (t, ~t)) / (n - 2))
    likeness = 1.0
    freedom = float(n - 2)
    if groups is not None:
        rho, size = max(np.nan_to_num(intra_cluster(y, t, groups)), 0.0), n / len(np.unique(groups))
        likeness = np.sqrt(max(1 - 2 * (size - 1) * rho / (n - 2), 0.0))
        share = (n - 2) * (1 - rho) ** 2 + size * (n - 2 * size) * rho**2 + 2 * (n - 2 * size) * rho * (1 - rho)
        freedom = ((n - 2) - 2 * (size - 1) * rho) ** 2 / share if share > 0 else df
    small = 1 - 3 / (4 * freedom - 1) if freedom > 1 else 1.0
    g = small * likeness * value / spread
    se = np.sqrt((small * likeness * error / spread) ** 2 + g**2 / (2 * freedom))
    reach = stdtrit(df, 0.5 + level / 2) * se
    return EffectSize(float(g), float(g - reach), float(g + reach))


@dataclass(frozen=True)
class Compliers:
    """The effect on those who took it up because it was meant for them, and every effect that the data do not refuse.

    taken, taken_else: shares that took it up among those meant to have it, and among the others, or how much they took
    up on average where that is a `dose`. shape: "interval",
    "outside" (all but what lies between low and high) or "everything": weak take-up says nothing of the effect."""

    value: float
    low: float
    high: float
    shape: str
    taken: float
    taken_else: float
    dose: bool = False


def compliers(
    fit: Fitting, y: np.ndarray, taken: np.ndarray, t: np.ndarray, level: float = 0.95, weight: np.ndarray | None = None
) -> Compliers:
    """Ratio of two differences and its Anderson-Rubin set, the effects b of which the difference in y - b taken is not
    refused (Anderson and Rubin 1949, Annals of Mathematical Statistics 20): right however weak take-up is. The variance
    of the difference is a quadratic form in outcomes, so that three fits give it for every b."""
    on_y, on_taken = fit(y), fit(taken)
    q = stdtrit(on_y.df, 0.5 + level / 2) ** 2
    vy, shared = on_y.variance, (fit(y + taken).variance - on_y.variance - on_taken.variance) / 2
    a = on_taken.value**2 - q * on_taken.variance
    b = -2 * (on_y.value * on_taken.value - q * shared)
    c = on_y.value**2 - q * vy
    root = b**2 - 4 * a * c
    mine, others = (float(np.average(taken[a], weights=None if weight is None else weight[a])) for a in (t, ~t))
    shares = mine, others, bool(((taken != 0) & (taken != 1)).any())
    value = on_y.value / on_taken.value if on_taken.value else float("nan")
    if (a <= 0 and root < 0) or a == b == 0:
        return Compliers(value, -np.inf, np.inf, "everything", *shares)
    ends = sorted((-b + sign * np.sqrt(max(root, 0.0))) / (2 * a) for sign in (-1, 1))
    return Compliers(value, ends[0], ends[1], "interval" if a > 0 else "outside", *shares)


def lee_bounds(
    y: np.ndarray, t: np.ndarray, inflate: float = 1.0, weight: np.ndarray | None = None, level: float = 0.95
) -> tuple[float, ...]:
    """Lee's (2009, Review of Economic Studies 76) bounds on the effect among those seen in either arm, with Imbens and
    Manski's (2004) range. y: (n,) NaN where not seen; inflate: factor on standard errors (people in groups). With
    weights, people count in errors as many as weigh alike would know as much (Kish 1965)."""
    w = np.ones(len(y)) if weight is None else weight
    seen = np.isfinite(y)
    share_t, share_not = (float(np.average(seen[a], weights=w[a])) for a in (t, ~t))
    more, less = (t, ~t) if share_t >= share_not else (~t, t)
    share_more, share_less = max(share_t, share_not), min(share_t, share_not)
    order = np.argsort(y[more & seen], kind="stable")
    kept, heavy = y[more & seen][order], w[more & seen][order]
    rest, light = y[less & seen], w[less & seen]
    cut = 1 - share_less / share_more if share_more > 0 else 0.0
    left = [_nearest(v, float(cut)) for v in (heavy, heavy[::-1])]
    if min(*left, len(rest)) < 2:
        return (float("nan"),) * 4
    n, others = _alike(heavy), _alike(light)
    pulled = sum((1 - s) / (s * _alike(w[a])) for s, a in ((share_more, more), (share_less, less)))
    beside = np.average(rest, weights=light)
    spread = np.average((rest - beside) ** 2, weights=light) / (others - 1)

    def end(part: np.ndarray, weights: np.ndarray, edge: float) -> tuple[float, float]:
        mean = np.average(part, weights=weights)
        own = np.average((part - mean) ** 2, weights=weights) + (edge - mean) ** 2 * cut
        variance = own / (n * (1 - cut)) + (edge - mean) ** 2 * pulled + spread
        return float(mean - beside), float(inflate * np.sqrt(variance))

    first, last = left[0], len(kept) - left[1]
    low, below = end(kept[:first], heavy[:first], kept[first - 1])
    high, above = end(kept[last:], heavy[last:], kept[last])
    if more is not t:
        low, high, below, above = -high, -low, above, below
    if not max(below, above) > 0:
        return low, high, low, high
    gap = (high - low) / max(below, above)
    reach = optimize.brentq(lambda c: ndtr(c + gap) - ndtr(-c) - level, 0.1, 9.0)
    return low, high, float(low - reach * below), float(high + reach * above)


def _nearest(weights: np.ndarray, cut: float) -> int:
    """How many of the first are left where the last that make up a share of the weight are cut."""
    total = np.r_[0.0, np.cumsum(weights)]
    return int(np.argmin(np.abs(total - (1 - cut) * total[-1])))


def _alike(weights: np.ndarray) -> float:
    """How many of equal weight know as much (Kish 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0
