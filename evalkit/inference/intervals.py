"""Pointwise intervals, simultaneous bands and tests: pure functions of a covariance."""

from __future__ import annotations

import numpy as np
from scipy import stats

from evalkit.errors import OptionError


def check_level(level: float) -> float:
    """Raise `OptionError` unless 0 < level < 1."""
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise OptionError(f"level={level!r} is not a confidence level. Use a number between 0 and 1, such as 0.95.")
    return float(level)


ROUNDING = 1e-10


def std_errors(vcov: np.ndarray, value: np.ndarray | None = None) -> np.ndarray:
    """(k,) square roots of the diagonal; NaN stays NaN; a zero variance is not a standard error."""
    variance = np.diag(vcov)
    floor = 0.0 if value is None else (ROUNDING * np.nan_to_num(value)) ** 2
    with np.errstate(invalid="ignore"):
        return np.where(variance > floor, np.sqrt(variance), np.nan)


def critical(df: np.ndarray, level: float) -> np.ndarray:
    """Two-sided quantile of t(df); normal where df is infinite."""
    return stats.t.ppf(0.5 + level / 2, np.where(np.isnan(df), np.inf, df))


def p_values(value: np.ndarray, se: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Two-sided p of value = 0 under t(df)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * stats.t.sf(np.abs(value / se), np.where(np.isnan(df), np.inf, df))


def correlation(vcov: np.ndarray) -> np.ndarray:
    """Correlation matrix of the rows with a variance."""
    se = np.sqrt(np.diag(vcov))
    return vcov / np.outer(se, se)


def sup_t(vcov: np.ndarray, df: float, level: float, draws: int = 4000, seed: int = 20210901) -> float:
    """Critical value of max |t| over jointly estimated rows, by seeded draws.

    Montiel Olea and Plagborg-Moller (2019), algorithm 1 (plug-in sup-t), with a chi-square divisor
    for few clusters. vcov: (k, k) with positive diagonal. Never below the pointwise quantile.
    """
    k = len(vcov)
    pointwise = float(critical(np.array([df]), level)[0])
    if k == 1:
        return pointwise
    values, vectors = np.linalg.eigh(correlation(vcov))
    root = vectors * np.sqrt(np.maximum(values, 0))
    rng = np.random.default_rng(seed)
    z = np.abs(rng.standard_normal((draws, k)) @ root.T).max(axis=1)
    if np.isfinite(df):
        z = z / np.sqrt(rng.chisquare(df, draws) / df)
    return max(float(np.quantile(z, level)), pointwise)


def joint_test(value: np.ndarray, vcov: np.ndarray, df: float, draws: int = 4000, seed: int = 20210901) -> float:
    """p of all rows zero by the sup-t statistic (few clusters: never a Wald test)."""
    t = float(np.max(np.abs(value / np.sqrt(np.diag(vcov)))))
    values, vectors = np.linalg.eigh(correlation(vcov))
    root = vectors * np.sqrt(np.maximum(values, 0))
    rng = np.random.default_rng(seed)
    z = np.abs(rng.standard_normal((draws, len(value))) @ root.T).max(axis=1)
    if np.isfinite(df):
        z = z / np.sqrt(rng.chisquare(df, draws) / df)
    return float((np.sum(z >= t) + 1) / (draws + 1))
