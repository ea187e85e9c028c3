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
    effect: tuple[float, float, float], y: np.ndarray, t: np.ndarray, groups: np.ndarray | None, level: float = 0.95
) -> EffectSize:
    """Hedges' g of an effect (value, standard error, df) with the total standard deviation within arms, corrected for
    few degrees of freedom and for likeness within groups (Hedges 2007, Journal of Educational and Behavioral Statistics
    32, equation 15). groups: (n,) codes, None where people were dealt one by one."""
    value, error, df = effect
    n = len(y)
    if n < 4 or not error > 0:
        return EffectSize(*(float("nan"),) * 3)
    spread = np.sqrt(sum(((y[a] - y[a].mean()) ** 2).sum() for a in (t, ~t)) / (n - 2))
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


def compliers(fit: Fitting, y: np.ndarray, taken: np.ndarray, t: np.ndarray, level: float = 0.95) -> Compliers:
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
    shares = float(taken[t].mean()), float(taken[~t].mean()), bool(((taken != 0) & (taken != 1)).any())
    value = on_y.value / on_taken.value if on_taken.value else float("nan")
    if (a <= 0 and root < 0) or a == b == 0:
        return Compliers(value, -np.inf, np.inf, "everything", *shares)
    ends = sorted((-b + sign * np.sqrt(max(root, 0.0))) / (2 * a) for sign in (-1, 1))
    return Compliers(value, ends[0], ends[1], "interval" if a > 0 else "outside", *shares)


def lee_bounds(y: np.ndarray, t: np.ndarray, inflate: float = 1.0, level: float = 0.95) -> tuple[float, ...]:
    """Lee's (2009, Review of Economic Studies 76) bounds on the effect among those seen in either arm, with Imbens and
    Manski's (2004) range. y: (n,) NaN where not seen; inflate: factor on standard errors (people in groups)."""
    seen = np.isfinite(y)
    more, less = (t, ~t) if seen[t].mean() >= seen[~t].mean() else (~t, t)
    kept, rest = np.sort(y[more & seen]), y[less & seen]
    share_more, share_less = seen[more].mean(), seen[less].mean()
    cut = 1 - share_less / share_more
    drop, n = round(float(cut) * len(kept)), len(kept)
    if min(n - drop, len(rest)) < 2:
        return (float("nan"),) * 4
    pulled = (1 - share_more) / (share_more * more.sum()) + (1 - share_less) / (share_less * less.sum())

    def error(part: np.ndarray, edge: float) -> float:
        about = edge - part.mean()
        own = part.var() / (n * (1 - cut)) + about**2 * cut / (n * (1 - cut)) + about**2 * pulled
        return float(inflate * np.sqrt(own + rest.var(ddof=1) / len(rest)))

    bottom, top = kept[: n - drop], kept[drop:]
    low, high = bottom.mean() - rest.mean(), top.mean() - rest.mean()
    errors = error(bottom, kept[n - drop - 1]), error(top, kept[drop])
    if more is not t:
        low, high, errors = -high, -low, errors[::-1]
    if not max(errors) > 0:
        return low, high, low, high
    gap = (high - low) / max(errors)
    reach = optimize.brentq(lambda c: ndtr(c + gap) - ndtr(-c) - level, 0.1, 9.0)
    return float(low), float(high), float(low - reach * errors[0]), float(high + reach * errors[1])
