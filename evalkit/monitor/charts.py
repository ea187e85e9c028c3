"""Charts of places with a stated budget of alarms: each place beside those not yet, against limits that know how months
hang together.

A chart follows the difference between a place and places without any component at the time, so that seasons and shared
shocks drop out, smoothed with exponential weights (Roberts 1959, Technometrics 1). How neighbouring periods hang
together is estimated over all places, as is how much a place varies unless places plainly differ in that; limits are
those that an undisturbed series of that kind, with a baseline as short, leaves once in the horizon with the chance of
the budget. An alarm says that a place has moved apart. It is no effect, and no look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import polygamma

from evalkit.study import Study

WEIGHT = 0.4
"""Of the newest period in what is charted."""
BUDGET = 0.08
"""Chance of an alarm within the horizon on a chart where nothing happens: about one chart in twelve."""
HORIZON = 24
FEWEST = 8
"""Periods of a baseline below which there is no chart."""
_LONGEST = 36
_DRAWS, _SEED = 4000, 20270104
_MOST = 0.9
COLUMNS = ("place", "period", "value", "people", "difference", "smoothed", "low", "high", "baseline", "alarm")


@dataclass(frozen=True, eq=False)
class Series:
    """(P, T) place means, people behind them, and differences to places without any component; NaN where there is
    none. start: (P,) first period with a component, T for never."""

    places: np.ndarray
    periods: np.ndarray
    value: np.ndarray
    people: np.ndarray
    difference: np.ndarray
    start: np.ndarray


def series_of(study: Study, outcome: str) -> Series:
    """Place by place, one outcome of a study beside places without any component at the time; people weigh as they do
    in estimates."""
    paths, values, weights = study.paths, study.values(outcome), study.weighing(outcome).paths.weights
    weights = paths.counted if weights is None else weights
    level = paths.levels[paths.cluster]
    always = [k for k, c in enumerate(study.components) if c.always_on]
    on_path = (np.delete(paths.state, always, axis=2) != 0).any(axis=2)
    n, periods = len(level.names), values.shape[1]
    total, mass, people = (np.zeros((n, periods)) for _ in range(3))
    on = np.zeros((n, periods), dtype=bool)
    for t in range(periods):
        seen = ~np.isnan(values[:, t])
        people[:, t] = np.bincount(level.codes[seen], weights=paths.counted[seen], minlength=n)
        mass[:, t] = np.bincount(level.codes[seen], weights=weights[seen], minlength=n)
        total[:, t] = np.bincount(level.codes[seen], weights=weights[seen] * values[seen, t], minlength=n)
        on[level.codes[on_path[paths.path, t]], t] = True
    value = np.divide(total, mass, out=np.full(total.shape, np.nan), where=mass > 0)
    return Series(level.names, paths.periods, value, people, beside_not_yet(value, on), _first(on))


def beside_not_yet(value: np.ndarray, on: np.ndarray) -> np.ndarray:
    """(P, T) each place less the mean of the other places where nothing is on; NaN where there is none."""
    free = ~on & ~np.isnan(value)
    total, count = np.where(free, value, 0.0).sum(axis=0), free.sum(axis=0)
    others = count - free
    mean = np.divide(total - np.where(free, value, 0.0), others, out=np.full(value.shape, np.nan), where=others > 0)
    return value - mean


def _first(on: np.ndarray) -> np.ndarray:
    return np.where(on.any(axis=1), on.argmax(axis=1), on.shape[1])


def charts_of(series: Series, budget: float = BUDGET) -> pd.DataFrame:
    """A row a place and period, in the columns of `COLUMNS`: what is charted, its limits, and whether it is outside.

    A baseline ends where the place starts something, or the first place does if it never starts; it is at most 36
    periods. Places with a shorter one than 8 have no limits.
    """
    base = _baselines(series)
    ready = np.flatnonzero(base.sum(axis=1) >= FEWEST)
    frames = []
    rho = _pooled_rho([series.difference[i][base[i]] for i in ready])
    spread = dict(zip(ready.tolist(), _spreads([series.difference[i][base[i]] for i in ready], rho), strict=True))
    for i in range(len(series.places)):
        d, smoothed = series.difference[i], np.full(len(series.periods), np.nan)
        reach = np.nan
        if i in spread:
            middle, (sd, df) = float(d[base[i]].mean()), spread[i]
            smoothed = middle + smooth(np.where(base[i], np.nan, d - middle))
            reach = sd * limit(rho, int(base[i].sum()), budget, df)
        else:
            middle = np.nan
        frames.append(pd.DataFrame({
            "place": series.places[i], "period": series.periods, "value": series.value[i], "people": series.people[i],
            "difference": d, "smoothed": smoothed, "low": middle - reach, "high": middle + reach, "baseline": base[i],
            "alarm": np.abs(smoothed - middle) > reach,
        }))  # fmt: skip
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)] if frames else pd.DataFrame(columns=list(COLUMNS))


def _baselines(series: Series) -> np.ndarray:
    """(P, T) which differences are of the baseline."""
    earliest = int(series.start.min(initial=len(series.periods)))
    end = np.where(series.start < len(series.periods), series.start, earliest)
    t = np.arange(len(series.periods))
    before = (t[None, :] < end[:, None]) & ~np.isnan(series.difference)
    first = np.cumsum(before[:, ::-1], axis=1)[:, ::-1] <= _LONGEST  # the last ones before it ends
    return before & first


def smooth(values: np.ndarray) -> np.ndarray:
    """(..., T) exponentially weighted sums from the first value on; NaN before it, a gap leaves it where it was."""
    out, z = np.full(values.shape, np.nan), np.zeros(values.shape[:-1])
    begun = np.zeros(values.shape[:-1], dtype=bool)
    for t in range(values.shape[-1]):
        there = ~np.isnan(values[..., t])
        z = np.where(there, (1 - WEIGHT) * z + WEIGHT * np.nan_to_num(values[..., t]), z)
        begun |= there
        out[..., t] = np.where(begun, z, np.nan)
    return out


def _pooled_rho(series: list[np.ndarray]) -> float:
    """Correlation of neighbouring periods, over all places, its bias of short series put right (Kendall 1954)."""
    pairs = [(d - d.mean()) for d in series]
    below = sum(float(d @ d) for d in pairs)
    if below <= 0:
        return 0.0
    raw = sum(float(d[1:] @ d[:-1]) for d in pairs) / below
    n = float(np.mean([len(d) for d in pairs]))
    # E[raw] is about rho - (1 + 4 rho) / n where sums over all periods stand below
    return float(np.clip((raw + 1 / n) / max(1 - 4 / n, 0.1), 0.0, _MOST))


def _spreads(series: list[np.ndarray], rho: float) -> list[tuple[float, float]]:
    """Standard deviation of each place, and the degrees of freedom that it has: variances are drawn towards that of all
    places, the more the less they differ beyond chance (Smyth 2004, as for weights of least noise)."""
    if not series:
        return []
    n = np.array([len(d) for d in series], dtype=float)
    own_df = np.maximum((n - 1) * (1 - rho**2) / (1 + rho**2), 1.0)
    lost = 1 - (1 + rho) / (1 - rho) / n  # of the variance, to the mean of a short series
    own = np.array([float(((d - d.mean()) ** 2).mean()) for d in series]) / np.clip(lost, 0.3, 1.0)
    pooled = float(np.average(own, weights=own_df))
    logs = np.log(np.maximum(own, 1e-12 * max(pooled, 1e-300)))
    beyond = float(np.var(logs, ddof=1) - polygamma(1, own_df / 2).mean()) if len(own) > 2 else 0.0
    prior = 1000.0 if beyond <= 0.02 else min(2 / beyond, 1000.0)
    variance = (prior * pooled + own_df * own) / (prior + own_df)
    return [(float(np.sqrt(v)), float(prior + d)) for v, d in zip(variance, own_df, strict=True)]


_LIMITS: dict[tuple[float, int, float, float], float] = {}


def limit(rho: float, baseline: int, budget: float, df: float = np.inf) -> float:
    """How many standard deviations from the mean of its baseline a smoothed undisturbed series goes at most within
    `HORIZON` periods, but for a share `budget` of such series. By seeded draws; the mean is that of a baseline of so
    many periods just before, the standard deviation has `df` degrees of freedom."""
    key = (round(rho, 3), baseline, budget, float(np.round(min(df, 1000.0), 0)))
    if key not in _LIMITS:
        rng = np.random.default_rng(_SEED)
        drawn = autoregressive(rng.standard_normal((_DRAWS, baseline + HORIZON)), key[0])
        after = drawn[:, baseline:] - drawn[:, :baseline].mean(axis=1, keepdims=True)
        furthest = np.abs(smooth(after)).max(axis=1) / np.sqrt(rng.chisquare(key[3], _DRAWS) / key[3])
        _LIMITS[key] = float(np.quantile(furthest, 1 - budget))
    return _LIMITS[key]


def autoregressive(fresh: np.ndarray, rho: float) -> np.ndarray:
    """(..., T) standard normal series with correlation rho of neighbours, from independent ones."""
    out = fresh.copy()
    for t in range(1, fresh.shape[-1]):
        out[..., t] = rho * out[..., t - 1] + np.sqrt(1 - rho**2) * fresh[..., t]
    return out
