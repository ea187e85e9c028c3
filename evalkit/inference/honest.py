"""Intervals of an event study that allow for a drift apart: Rambachan and Roth (2023), A more credible approach to
parallel trends, Review of Economic Studies 90, 2555-2591.

beta_e = effect_e + delta_e, with no effect before the start and delta zero in the reference period. *Smoothness*: the
slope of delta changes by at most M from one period to the next (their section 2.4.3). *Relative magnitudes*: after the
start delta moves from one period to the next by at most M times its largest move before (2.4.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np
import pandas as pd
from scipy.special import gammaln, ndtr, stdtr, stdtrit

from evalkit.errors import EvalkitError, OptionError, check_choice, spelt
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import check_level
from evalkit.vocabulary import RESTRICTIONS, Restriction


def honest_intervals(
    estimate: Estimate,
    M: float | Sequence[float] = 0.0,
    restriction: Restriction = "smoothness",
    *,
    over: tuple[int, int | None] = (0, 0),
    level: float = 0.95,
    inference: str = "auto",
) -> pd.DataFrame:
    """Intervals of the mean effect over some event times that hold whatever the drift apart within a restriction.

    estimate: rows by event time against one reference period, as `StaggeredRollout(base="universal")` and
    `aggregate("event_time")` or `JointEventStudy` give them. M: one or several bounds, in the outcome's unit a period
    for "smoothness" (0: a straight line), a multiple for "relative_magnitudes". over: first and last event time that
    are averaged, None for the last there is; the first alone by default.

    Columns: restriction, M, estimate, conf_low, conf_high. Smoothness: the fixed-length interval of least expected
    length among those that are linear in the estimates (their section 4.1), by a convex programme; critical values are
    of t where refits give degrees of freedom. Relative magnitudes: the union, over the moves before and their signs, of
    intervals in which that move is the largest; it is never shorter than their conditional test's, and needs no grid.

    Raises `OptionError` for a negative M or an `over` without rows, `EvalkitError` for rows that are no event study.
    """
    check_choice("restriction", restriction, RESTRICTIONS)
    check_level(level)
    try:
        bounds = np.atleast_1d(np.asarray(M, dtype=float))
    except (TypeError, ValueError):
        bounds = np.array([np.nan])
    if not bounds.size or not (np.isfinite(bounds) & (bounds >= 0)).all():
        raise OptionError(f"M={spelt(M)} bounds a drift, so that it cannot be negative or missing. Use 0 or more.")
    study = event_study(estimate, over, inference)
    made = [study.smooth(m, level) if restriction == "smoothness" else study.relative(m, level) for m in bounds]
    return pd.DataFrame({
        "restriction": restriction, "M": bounds, "estimate": study.mean,
        "conf_low": [low for low, _ in made], "conf_high": [high for _, high in made],
    })  # fmt: skip


def event_study(estimate: Estimate, over: tuple[int, int | None], inference: str = "auto") -> EventStudy:
    """Leads and later rows of an estimate, with their joint covariance."""
    if not isinstance(estimate, Estimate):
        raise EvalkitError(
            f"Honest intervals need an Estimate with one row an event time, and this is {spelt(estimate)}."
        )
    first, end = _ends(over)
    labels = estimate.labels
    by_event = "event_time" in labels and not labels["event_time"].isna().any()
    if not by_event or labels["event_time"].duplicated().any():
        raise EvalkitError("Honest intervals need one row an event time. Use aggregate('event_time') first.")
    time = labels["event_time"].to_numpy(dtype=int)
    between = np.setdiff1d(np.arange(min(time.min(), 0), 0), time)
    if not (time < 0).any():
        raise EvalkitError("There are no rows before the start, so that nothing bounds a drift. Ask for leads.")
    if not len(between):
        raise EvalkitError(
            "Rows before the start are read against the period before each, so that no period is the reference. "
            "Use base='universal'."
        )
    reference = int(between.max())
    last = int(time.max()) if end is None else end
    spread = estimate.joint(inference)
    known = np.isfinite(np.diag(spread.vcov)) & np.isfinite(estimate.value)
    later = (time >= first) & (time <= last)
    if not (later & known).any() or (later & ~known).any() or first <= reference or last > time.max():
        raise OptionError(f"over={spelt(over)} asks for event times that have no interval here. Rows: {time.tolist()}.")
    order = [*np.flatnonzero((time < reference) & known)[::-1], *np.flatnonzero(later)]
    before = int(((time < reference) & known).sum())
    at, weights = time[order] - reference, np.full(int(later.sum()), 1 / later.sum())
    vcov = spread.vcov[np.ix_(order, order)]
    return EventStudy(estimate.value[order], vcov, at[:before], at[before:], weights, float(spread.df[order].min()))


def _ends(over: tuple[int, int | None]) -> tuple[int, int | None]:
    """First and last event time of a pair; the last may be left open."""
    pair = isinstance(over, (tuple, list)) and len(over) == 2 and isinstance(over[0], Integral)
    if pair and (over[1] is None or isinstance(over[1], Integral)):
        return int(over[0]), None if over[1] is None else int(over[1])
    raise OptionError(f"over={spelt(over)} is no pair of event times. Give the first and the last, such as (0, 3).")


@dataclass(frozen=True, eq=False)
class EventStudy:
    """Event-study coefficients: value (k + p,) and vcov, leads first.

    before: (k,) periods from the reference, negative, nearest first. after: (p,) likewise, positive. weights: (p,) of
    the effects that are asked for. df: degrees of freedom.
    """

    value: np.ndarray
    vcov: np.ndarray
    before: np.ndarray
    after: np.ndarray
    weights: np.ndarray
    df: float

    @property
    def mean(self) -> float:
        """The effect asked for, as it stands."""
        return float(self.weights @ self.value[len(self.before) :])

    @cached_property
    def turns(self) -> tuple[np.ndarray, float]:
        """What a turn of the drift by one adds: (turns, k) to the leads for each period from the reference back, and in
        sum, at worst, to the effect by all turns after it."""
        far = int(-self.before.min())
        back = np.maximum(-self.before - np.arange(far)[:, None], 0).astype(float)
        ahead = np.maximum(self.after - np.arange(1, self.after.max())[:, None], 0) @ self.weights
        return back, float(np.abs(ahead).sum())

    @property
    def slope(self) -> float:
        """What a straight drift of one a period adds to the effect."""
        return float(self.weights @ self.after)

    def worst_bias(self, v: np.ndarray) -> float:
        """Largest bias of weights'after + v'before when the slope changes by at most one a period; infinite where a
        straight line does not cancel."""
        back, ahead = self.turns
        straight = self.slope + v @ self.before
        return math.inf if abs(straight) > 1e-9 * max(abs(self.slope), 1.0) else float(np.abs(back @ v).sum() + ahead)

    def std_error(self, v: np.ndarray) -> float:
        """Standard error of weights'after + v'before."""
        a = np.concatenate([v, self.weights])
        return math.sqrt(a @ self.vcov @ a)

    def smooth(self, M: float, level: float) -> tuple[float, float]:
        """Fixed-length interval when the slope of the drift changes by at most M a period."""
        v = self.best_weights(M, level)
        half = self.std_error(v) * folded(M * self.worst_bias(v) / self.std_error(v), self.df, level)[0]
        centre = self.mean + float(v @ self.value[: len(self.before)])
        return centre - half, centre + half

    def best_weights(self, M: float, level: float) -> np.ndarray:
        """(k,) weights of the leads in the shortest interval: s c(M b / s) is convex in standard error s and bias b,
        which are convex in the weights; b is written with one variable a turn, so that all is smooth."""
        from scipy.optimize import minimize

        k, (back, ahead) = len(self.before), self.turns
        unit = self.std_error(np.zeros(k)) or 1.0
        v0, turns = self._straight(), len(back)

        def half(x: np.ndarray) -> tuple[float, np.ndarray]:
            v, b, s = x[:k], ahead + x[k:].sum(), self.std_error(x[:k])
            c, slope = folded(M * b / s, self.df, level)
            by_v = (c - M * b / s * slope) * (self.vcov[:k] @ np.concatenate([v, self.weights])) / s
            return s * c / unit, np.concatenate([by_v, np.full(turns, M * slope)]) / unit

        if M == 0 or k == 1:
            return v0
        own = np.hstack([back, np.zeros((turns, turns))])
        above = np.hstack([np.zeros((turns, k)), np.eye(turns)])
        line = np.concatenate([self.before, np.zeros(turns)]).astype(float)
        rules = [
            {"type": "eq", "fun": lambda x: line @ x + self.slope, "jac": lambda _: line[None, :]},
            {"type": "ineq", "fun": lambda x: (above - own) @ x, "jac": lambda _: above - own},
            {"type": "ineq", "fun": lambda x: (above + own) @ x, "jac": lambda _: above + own},
        ]
        start = np.concatenate([v0, np.abs(back @ v0)])
        found = minimize(
            half, start, jac=True, method="SLSQP", constraints=rules, options={"maxiter": 2000, "ftol": 1e-15}
        )
        v = found.x[:k]
        return np.asarray(v - self.before * (self.slope + v @ self.before) / (self.before @ self.before))

    def _straight(self) -> np.ndarray:
        """(k,) weights of least variance under which a straight drift cancels: the interval's at M = 0. Variances are
        taken in their own size, so that they are not lost beside periods where the outcome's unit is large."""
        k = len(self.before)
        vcov = self.vcov / (np.diag(self.vcov).mean() or 1.0)
        gram = np.zeros((k + 1, k + 1))
        gram[:k, :k], gram[:k, k], gram[k, :k] = vcov[:k, :k], self.before, self.before
        right = np.append(-vcov[:k, k:] @ self.weights, -self.slope)
        return np.asarray(np.linalg.lstsq(gram, right, rcond=None)[0][:k])

    def relative(self, M: float, level: float) -> tuple[float, float]:
        """Union of intervals when the drift moves after the start by at most M times its largest move before."""
        k = len(self.before)
        moves = _moves(self.before)
        far = np.array([self.weights[self.after >= a].sum() for a in range(1, int(self.after.max()) + 1)])
        reach = M * np.abs(far).sum()
        t = (
            float(stdtrit(self.df, 0.5 + level / 2))
            if math.isfinite(self.df)
            else float(stdtrit(1e10, 0.5 + level / 2))
        )
        ends = []
        for move in moves:
            for sign in (-1.0, 1.0):
                v = sign * reach * move
                ends.append((self.mean + v @ self.value[:k], t * self.std_error(v)))
        centre, half = np.array(ends).T
        return float((centre - half).min()), float((centre + half).max())


def _moves(before: np.ndarray) -> np.ndarray:
    """(moves, k) each move of the drift from one period to the next before the reference, as weights of the leads."""
    at, out = {int(-b): i for i, b in enumerate(before)}, []
    for j, i in at.items():
        if j == 1 or j - 1 in at:
            move = np.zeros(len(before))
            move[i] = -1.0
            if j > 1:
                move[at[j - 1]] = 1.0
            out.append(move)
    if not out:
        raise EvalkitError("No two neighbouring periods before the start have an interval, so that no move is known.")
    return np.array(out)


def folded(bias: float, df: float, level: float) -> tuple[float, float]:
    """Critical value c of |T + bias|, T of t(df) (normal where infinite), and dc / dbias."""
    spread = df if math.isfinite(df) else 1e10
    low, high = float(stdtrit(spread, level)), float(stdtrit(spread, 0.5 + level / 2))
    c = bias + (high if bias < 1 else low)
    for _ in range(60):
        over = _below(c - bias, df) - _below(-c - bias, df) - level
        density = _density(c - bias, df) + _density(c + bias, df)
        step = over / density
        c -= step
        if abs(step) < 1e-14 * c:
            break
    return c, (_density(c - bias, df) - _density(c + bias, df)) / (_density(c - bias, df) + _density(c + bias, df))


def _below(x: float, df: float) -> float:
    return float(stdtr(df, x)) if math.isfinite(df) else float(ndtr(x))


def _density(x: float, df: float) -> float:
    if not math.isfinite(df):
        return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    scale = gammaln((df + 1) / 2) - gammaln(df / 2) - math.log(df * math.pi) / 2
    return math.exp(scale - (df + 1) / 2 * math.log1p(x * x / df))
