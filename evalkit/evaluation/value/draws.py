"""Draws from the joint estimate, and what follows from them: ratios with their limits, and acceptability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from evalkit.inference import Estimate
from evalkit.inference.intervals import correlation, std_errors


@dataclass(frozen=True, eq=False)
class Ratio:
    """Money for one more outcome. low, high: limits; high is infinite where the effect may be zero. kind:
    "bounded", "unbounded", "worse" (the interval lies below zero), "unclear" (the estimate does), "nothing" (both are
    zero), "none"."""

    value: float
    low: float
    high: float
    kind: str


def draw(joint: Estimate, size: int, level: float, seed: int) -> np.ndarray:
    """(size, k) draws: each column t about its estimate with its own standard error and degrees of freedom, joined
    by the joint correlation. Ranks are spread evenly, so that the quantiles of a column are those of its interval
    (Iman and Conover 1982, Communications in Statistics 11). NaN for a row without an interval."""
    spread = joint.joint()
    vcov, df, se = spread.vcov, spread.df, std_errors(spread.vcov, joint.value)
    out = np.full((size, len(joint)), np.nan)
    good = np.flatnonzero(np.isfinite(se))
    if not len(good):
        return out
    values, vectors = np.linalg.eigh(correlation(vcov[np.ix_(good, good)]))
    z = np.random.default_rng(seed).standard_normal((size, len(good))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    even = (np.argsort(np.argsort(z, axis=0), axis=0) + 0.5) / size
    out[:, good] = joint.value[good] + se[good] * stats.t.ppf(even, np.where(np.isnan(df[good]), np.inf, df[good]))
    return out


def limits(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Quantiles of one column of draws, NaN where there are none."""
    if not np.isfinite(draws).all():
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def ratio(money: float, gain: float, draws: np.ndarray, level: float) -> Ratio:
    """money / gain with limits that stay right when the gain may be zero: the set of ratios that the interval of
    the gain allows (Fieller 1954, Journal of the Royal Statistical Society B 16), which then has no upper end."""
    low, high = limits(draws, level)
    nan = float("nan")
    if not np.isfinite(money) or not np.isfinite(gain) or not np.isfinite(low):
        return Ratio(nan, nan, nan, "none")
    if high <= 0:
        return Ratio(nan, nan, nan, "worse" if low < 0 else "nothing")
    least = money / high
    if low > 0:
        return Ratio(money / gain, least, money / low, "bounded")
    if gain <= 0:
        return Ratio(nan, least, np.inf, "unclear")
    return Ratio(money / gain, least, np.inf, "unbounded")


def acceptable(money: float, draws: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Share of draws in which the outcomes are worth more than they cost, at each worth of one outcome (Fenwick,
    Claxton and Sculpher 2001, Health Economics 10)."""
    if not np.isfinite(draws).all() or not np.isfinite(money):
        return np.full(len(worth), np.nan)
    return np.asarray((worth[:, None] * draws[None, :] > money).mean(axis=1))
