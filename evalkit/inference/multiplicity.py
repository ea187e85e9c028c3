"""Several questions at once: p values adjusted over a family that was fixed beforehand."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.errors import OptionError
from evalkit.inference.intervals import correlation, p_values


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
    chosen = np.flatnonzero(seen & member)
    order = chosen[np.argsort(values[chosen], kind="stable")]
    factors = member.sum() - np.arange(order.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted


def romano_wolf(
    value: ArrayLike,
    vcov: ArrayLike,
    df: float = np.inf,
    family: ArrayLike | None = None,
    draws: int = 9999,
    seed: int = 20050701,
) -> NDArray[np.float64]:
    """Adjust two-sided p values by step-down over max |t| (Romano and Wolf 2005, Econometrica 73, 1237-1282).

    `value` (k,) estimates of zero hypotheses with joint covariance `vcov` (k, k); `df` the smallest degrees of
    freedom among them. Seeded draws of normal vectors with that correlation, each over a common chi for finite
    `df`, stand for the joint distribution (the project's parametric form of their resampling). Sharper than Holm
    where estimates hang together. `family` (k,) of booleans as for `holm`: a member without a number counts as
    one independent test more. Never below the unadjusted p value. Returns (k,): NaN for NaN and non-members.
    Raises OptionError for shapes that do not fit, a family of another length, or no draws.
    """
    estimate = np.atleast_1d(np.asarray(value, dtype=float))
    matrix = np.atleast_2d(np.asarray(vcov, dtype=float))
    k = estimate.size
    if matrix.shape != (k, k) or draws < 1 or not df > 0:
        raise OptionError(f"Give {k} estimates with a {k} by {k} covariance, positive df and at least one draw.")
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(estimate) & (np.diag(matrix) > 0)
    member = seen if family is None else np.atleast_1d(np.asarray(family, dtype=bool))
    if member.shape != (k,):
        raise OptionError(f"family has {member.size} entries and value has {k}. Pass one boolean an estimate.")
    chosen = np.flatnonzero(seen & member)
    adjusted = np.full(k, np.nan)
    if not chosen.size:
        return adjusted
    chosen_vcov = matrix[np.ix_(chosen, chosen)]
    se = np.sqrt(np.diag(chosen_vcov))
    t = np.abs(estimate[chosen]) / se
    order = np.argsort(-t, kind="stable")
    drawn = _absolute_draws(correlation(chosen_vcov), int((member & ~seen).sum()), df, draws, seed)
    # The largest of each draw over hypotheses still standing: a running maximum from the smallest |t| up.
    sequence = np.column_stack([drawn[:, chosen.size :].max(axis=1, initial=0.0), drawn[:, order[::-1]]])
    largest = np.maximum.accumulate(sequence, axis=1)[:, :0:-1]
    p = (1 + (largest >= t[order]).sum(axis=0)) / (draws + 1)
    plain = p_values(estimate[chosen], se, np.full(chosen.size, df))[order]
    adjusted[chosen[order]] = np.maximum.accumulate(np.maximum(p, plain))
    return adjusted


def _absolute_draws(corr: NDArray[np.float64], extra: int, df: float, draws: int, seed: int) -> NDArray[np.float64]:
    """(draws, k + extra) |t| under the joint null, the last `extra` independent."""
    values, vectors = np.linalg.eigh(corr)
    root = vectors * np.sqrt(np.maximum(values, 0))
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((draws, len(corr))) @ root.T
    z = np.column_stack([z, rng.standard_normal((draws, extra))])
    if np.isfinite(df):
        z = z / np.sqrt(rng.chisquare(df, draws) / df)[:, None]
    return np.abs(z)
