"""Pointwise intervals, simultaneous bands, tests and adjusted p values: pure functions of a covariance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from evalkit.errors import OptionError, spelt

PRIOR_DF = 10.0
"""Degrees of freedom that a working covariance is worth, at most, beside those of the refits."""
ROUNDING = 1e-10
NO_DIRECTION = 1e-12
"""Share of the largest eigenvalue of a correlation up to which another is rounding."""


@dataclass(frozen=True)
class Interval:
    """A range with no honest influence behind it: regression discontinuity, bounds, randomisation.

    Verdicts take it; `stack` and attribution refuse it by name.
    """

    value: float
    low: float
    high: float
    provenance: str

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row as `Estimate.to_frame` has it: no standard error, degrees of freedom or p value; `inference` is the
        provenance. The range is that of the level at which it was made, whatever `level` says."""
        row = {"estimate": self.value, "std_error": np.nan, "conf_low": self.low, "conf_high": self.high,
               "p_value": np.nan, "df": np.nan, "inference": self.provenance, "clusters_exposed": np.nan,
               "clusters_comparison": np.nan, "mass": np.nan, "reason": ""}  # fmt: skip
        return pd.DataFrame([row])


@dataclass(frozen=True, eq=False)
class Spread:
    """Covariance (k, k), degrees of freedom (k,), and why a row has none ("" when it has)."""

    vcov: np.ndarray
    df: np.ndarray
    reason: tuple[str, ...]

    def of_sums(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standard errors and degrees of freedom, (m,) each, of weighted sums (m, k) of the rows.

        A row counts where its weight is not 0: there a row without a variance leaves NaN. Degrees of freedom are the
        smallest of the rows that count, infinite where none does.
        """
        se = np.zeros(len(matrix))
        for i, line in enumerate(matrix):
            used = np.flatnonzero(line)
            se[i] = np.sqrt(np.maximum(line[used] @ self.vcov[np.ix_(used, used)] @ line[used], 0.0))
        return se, np.where((matrix != 0) & ~np.isnan(self.df), self.df, np.inf).min(axis=1)

    def band(self, level: float) -> np.ndarray:
        """(k,) half-widths of intervals that cover all rows at once (sup-t); NaN where a row has no variance."""
        check_level(level)
        variance = np.diag(self.vcov)
        good = np.isfinite(variance) & (variance > 0)
        reach = np.full(len(variance), np.nan)
        if good.any():
            df = float(np.min(self.df[good]))
            reach[good] = sup_t(self.vcov[np.ix_(good, good)], df, level) * np.sqrt(variance[good])
        return reach


def joined(parts: Sequence[Spread], own: np.ndarray, vcov: np.ndarray) -> Spread:
    """One spread of the rows of `parts`: their own standard errors `own` (k,), joined by the correlation of `vcov`
    (k, k), each with its own degrees of freedom and reason. A row that is lost in a part, its variance NaN, has none
    here whatever `vcov` says; one that varies in neither has 0; one without a variance in `vcov` goes with no other."""
    root = np.sqrt(np.diag(vcov))
    lost = np.isnan(np.concatenate([np.diag(p.vcov) for p in parts])) | (np.isnan(own) & (root > 0))
    own = np.where(lost, np.nan, np.nan_to_num(own))
    scale = np.where(lost, np.nan, np.divide(own, root, out=np.zeros(len(own)), where=root > 0))
    made = vcov * np.outer(scale, scale)
    np.fill_diagonal(made, own**2)
    reasons = tuple(r for p in parts for r in p.reason)
    return Spread(made, np.concatenate([p.df for p in parts]), reasons)


def check_level(level: float) -> float:
    """Raise `OptionError` unless 0 < level < 1."""
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise OptionError(
            f"level={spelt(level)} is not a confidence level. Use a number between 0 and 1, such as 0.95."
        )
    return float(level)


def std_errors(vcov: np.ndarray, value: np.ndarray | None = None) -> np.ndarray:
    """(k,) square roots of the diagonal; NaN stays NaN; a zero variance is not a standard error."""
    variance = np.diag(vcov)
    floor = 0.0 if value is None else (ROUNDING * np.nan_to_num(value)) ** 2
    with np.errstate(invalid="ignore"):
        return np.where(variance > floor, np.sqrt(variance), np.nan)


def critical(df: np.ndarray, level: float) -> np.ndarray:
    """Two-sided quantile of t(df); normal where df is infinite."""
    return np.asarray(stdtrit(np.where(np.isnan(df), np.inf, df), 0.5 + level / 2))


def p_values(value: np.ndarray, se: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Two-sided p of value = 0 under t(df)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * stdtr(np.where(np.isnan(df), np.inf, df), -np.abs(value / se)))


def correlation(vcov: np.ndarray) -> np.ndarray:
    """Correlation matrix of the rows with a variance."""
    se = np.sqrt(np.diag(vcov))
    return np.asarray(vcov / np.outer(se, se))


def symmetric_root(matrix: np.ndarray) -> np.ndarray:
    """(k, k) symmetric root of a covariance or correlation, by which seeded normals are joined. It is the one root that
    does not hang on which vectors span directions that are alike, which differ from machine to machine."""
    values, vectors = np.linalg.eigh(matrix)
    values = np.where(values > NO_DIRECTION * values[-1], values, 0.0)  # the root of rounding is no rounding any more
    return np.asarray((vectors * np.sqrt(values)) @ vectors.T)


def _largest_t(vcov: np.ndarray, df: float, draws: int, seed: int) -> np.ndarray:
    """(draws,) max |t| over jointly estimated rows, by seeded draws, with a chi-square divisor for few clusters."""
    rng = np.random.default_rng(seed)
    z = np.abs(rng.standard_normal((draws, len(vcov))) @ symmetric_root(correlation(vcov))).max(axis=1)
    if np.isfinite(df):
        z = z / np.sqrt(rng.chisquare(df, draws) / df)
    return np.asarray(z)


def sup_t(vcov: np.ndarray, df: float, level: float, draws: int = 4000, seed: int = 20210901) -> float:
    """Critical value of max |t| over jointly estimated rows, by seeded draws.

    Montiel Olea and Plagborg-Moller (2019), algorithm 1 (plug-in sup-t), with a chi-square divisor
    for few clusters. vcov: (k, k) with positive diagonal. Never below the pointwise quantile.
    """
    pointwise = float(critical(np.array([df]), level)[0])
    if len(vcov) == 1:
        return pointwise
    return max(float(np.quantile(_largest_t(vcov, df, draws, seed), level)), pointwise)


def joint_test(value: np.ndarray, vcov: np.ndarray, df: float, draws: int = 4000, seed: int = 20210901) -> float:
    """p of all rows zero by the sup-t statistic (few clusters: never a Wald test)."""
    t = float(np.max(np.abs(value / np.sqrt(np.diag(vcov)))))
    z = _largest_t(vcov, df, draws, seed)
    return float((np.sum(z >= t) + 1) / (draws + 1))


def holm(p: ArrayLike, family: ArrayLike | None = None) -> NDArray[np.float64]:
    """Adjust p values by Holm's step-down rule (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

    `p` (k,): p values, NaN where there is none. `family` (k,) of booleans: members of the family, fixed before
    outcomes were read; a member whose p value is NaN still counts towards its size. By default the family is
    the p values that are not NaN. Returns (k,): adjusted values in [0, 1], NaN for NaN and for non-members.
    Raises OptionError for values outside [0, 1] or a family of another length.
    """
    values = np.atleast_1d(np.asarray(p, dtype=float))
    seen = ~np.isnan(values)
    if np.any((values[seen] < 0) | (values[seen] > 1)):
        raise OptionError("p has values outside 0 to 1. Pass p values, with NaN where there is none.")
    member = seen if family is None else np.atleast_1d(np.asarray(family, dtype=bool))
    if member.shape != values.shape:
        raise OptionError(f"family has {member.size} entries and p has {values.size}. Pass one boolean a p value.")
    adjusted = np.full(values.shape, np.nan)
    # By hand: statsmodels' `multipletests` collects all garbage at each call, as long as a small evaluation.
    mine = values[seen & member]
    if len(mine):
        order = np.argsort(mine, kind="stable")
        stepped = np.maximum.accumulate(mine[order] * (member.sum() - np.arange(len(mine))))
        adjusted[np.flatnonzero(seen & member)[order]] = np.minimum(stepped, 1.0)
    return adjusted


def moderated(working: np.ndarray, influence: Spread, refits: Spread, fewest: np.ndarray) -> Spread:
    """The working covariance and that of the data weighed by their degrees of freedom, which add up:
    (d0 V_working + d V_data) / (d0 + d) with d0 + d degrees of freedom (as in Smyth 2004, Statistical Applications in
    Genetics and Molecular Biology 3); d0 is at most one less than the clusters in the smaller arm, `fewest` (k,), since
    shocks of a few places may be of another size than those of all. A row without refits has no interval; one without a
    working covariance has that of its refits.

    Where a cluster pulls the fit by a share h, the square of its residual is too small by 1 - h, and refits divide it
    by (1 - h)^2, too large by as much. Standard errors of the data are between, the geometric mean of both, which
    divides by 1 - h (CR2; Bell and McCaffrey 2002, Survey Methodology 28).
    """
    known = np.diag(working) > 0
    prior = np.where(known, np.clip(fewest - 1.0, 1.0, PRIOR_DF), 0.0)
    total = prior + refits.df
    least, most = np.diag(influence.vcov), np.diag(refits.vcov)
    ratio = np.divide(least, most, out=np.ones(len(most)), where=known & (most > least))
    mine, theirs = np.sqrt(prior / total), np.sqrt(refits.df / total) * ratio**0.25
    vcov = np.outer(mine, mine) * np.nan_to_num(working) + np.outer(theirs, theirs) * refits.vcov
    return Spread(vcov, total, refits.reason)
