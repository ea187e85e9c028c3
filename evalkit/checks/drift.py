"""Would a steady drift apart explain the answer? A step at the start beside a straight line, what a straight drift
leaves of the effect, and the drift that would undo it.

Leads cannot rule out a drift that matters; but a straight drift has no step at the start, however steep it is. Nor has
one that sets in six periods before; and what is there only beside the last two periods before is no effect. All that
the headline's untreated model reads is read here too (`evalkit/designs/noise/shapes.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import pandas as pd
from scipy.special import gammaincinv, ndtr, owens_t, stdtr

from evalkit.checks.headline import CheckResult, excludes_zero, first_row
from evalkit.checks.matched import FEWEST, Matched, Rollout, matched
from evalkit.designs.noise.shapes import Combination, Shapes, shapes
from evalkit.designs.noise.weighing import NoCovarianceError, Weighing
from evalkit.designs.protocol import StudyLike
from evalkit.designs.rollout.plan import ExposureStates
from evalkit.designs.threads import one_thread
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import PRIOR_DF, critical
from evalkit.vocabulary import DriftWord

RAMP = 4
"""Periods over which an effect that builds up reaches its size, or half of the claimed ones where that is more."""
GAP = 2
"""Periods before the start that are left out to see whether something had set in just then."""
SETS_IN = 6
"""Periods before the start at which a late drift sets in."""
LEVELS: dict[DriftWord, tuple[float, float, float]] = {"shown": (0.05, 0.08, 0.05), "likely": (0.09, 0.11, 0.05)}
"""One-sided p values below which a change counts beside a straight line, beside a late drift, and without the last two
periods before the start; chosen in simulations (docs/decisions, "One model for headline and drift")."""
TOO_FEW = "fewer than two places that start it, or two beside them, can be followed before and after"
NOT_TOLD = "too few periods before and after the start to tell a step from a straight line"
UNTESTED = "Whether a steady drift apart would explain it could not be asked"
NOTHING_TO_EXPLAIN = "The likely range includes no change, so that there is nothing for a drift to explain."
WORDS: dict[DriftWord, str] = {
    "shown": "A steady drift apart would not explain it: the change came with the start.",
    "likely": "A steady drift apart would not explain it, but one that set in at about the start would look the same.",
    "nothing": "A steady drift apart would explain it, and the record does not rule that out.",
}
SET_IN = "What set in shortly before the start would explain it, and the record does not rule that out."
ONE_CARRIES = "without one place a step can no longer be told from a straight line"


@dataclass(frozen=True)
class Drift:
    """What is found beside a straight drift. p values are one-sided, in the headline's direction.

    step, either: p of a step at the start beside a straight line, and of the larger of step and ramp. step_late,
    either_late: beside a drift that sets in six periods before the start instead. step_early, either_early: beside no
    drift, without the last two periods before the start; NaN where fewer than four come before.
    straight, std_error, df: the effect with a straight drift taken out, and its t distribution. slope: two-sided p of
    that drift itself, which the periods before the start tell. reach: what a drift of one a period moves the headline
    by; breakdown: the drift a period at which the headline's interval touches zero, 0 where it holds zero. reason: why
    a step could not be asked for; its p values are then NaN.
    """

    step: float = math.nan
    either: float = math.nan
    step_late: float = math.nan
    either_late: float = math.nan
    step_early: float = math.nan
    either_early: float = math.nan
    straight: float = math.nan
    std_error: float = math.nan
    df: float = math.nan
    slope: float = math.nan
    reach: float = math.nan
    breakdown: float = math.nan
    reason: str = ""

    @property
    def early(self) -> bool:
        """Whether it could be asked without the last two periods before the start."""
        return not math.isnan(self.step_early)

    @property
    def steady(self) -> bool:
        """Whether a straight drift leaves too little beside it; where something else does, it set in just before."""
        return not self.either < LEVELS["likely"][0]

    @property
    def carries(self) -> DriftWord:
        """How much of a claim a step beside a straight line carries."""
        if self.reason:
            return "untested"
        if self._below((self.step, self.step_late, self.step_early), "shown"):
            return "shown"
        without_last = self.either_early if self.early else 0.0
        return "likely" if self._below((self.either, self.either_late, without_last), "likely") else "nothing"

    @staticmethod
    def _below(p: tuple[float, float, float], word: DriftWord) -> bool:
        return all(one < level for one, level in zip(p, LEVELS[word], strict=True))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Ends of the interval of the effect with a straight drift taken out."""
        reach = float(critical(np.array([self.df]), level)[0]) * self.std_error
        return self.straight - reach, self.straight + reach


@one_thread()
def drift_beside(
    study: StudyLike,
    component: str,
    design: Rollout,
    rows: Estimate,
    one: Estimate,
    lag: int = 0,
    until: int | None = None,
) -> Drift:
    """The headline of one component held against a straight drift apart of those that start it.

    rows: the design's rows by cohort and period; one: their average over event times `lag` .. `until`, one row. Shapes
    over the time since the start are fitted to all that the untreated model of the design reads up to `until`, whatever
    the design's weights are. V = (10 V_model + df V_refits) / (10 + df), df that of the headline's refits.
    """
    reach = _reach(matched(design, study, component), rows, lag, until)
    broken, df = Drift(reach=reach, breakdown=_breakdown(one, reach)), _df(one)
    try:
        begun = Begun.of(*design.untreated(study, component), lag, until)
        if reason := begun.too_little:
            return replace(broken, reason=reason)
        mass = _mass(rows, lag, until)
        found = shapes(begun.made, begun.shapes(mass.index.to_numpy() - lag), begun.inside)
        asked = _asked(begun, found, df)
    except NoCovarianceError as nothing:
        return replace(broken, reason=f"{nothing}")
    straight = _straight(found, mass.to_numpy(), df)
    told = broken if straight is None else replace(broken, **straight)
    if not asked[0].told:
        return replace(told, reason=asked[0].reason)
    sign = float(np.sign(one.value[0]))
    p = [fits.p_values(sign) if fits.told else (math.nan, math.nan) for fits in asked]
    (step, either), (step_late, either_late), (step_early, either_early) = p
    return replace(told, step=step, either=either, step_late=step_late, either_late=either_late,
                   step_early=step_early, either_early=either_early)  # fmt: skip


def drift(one: Estimate, found: Drift) -> CheckResult:
    """Passed when a step beside a straight line carries a claim, failed when it does not; it informs where the headline
    includes zero, and where nothing could be asked. Its number is the effect with a straight drift taken out."""
    said = (found.straight, *found.interval())
    if found.carries == "untested":
        return CheckResult("drift", "informational", f"{UNTESTED}: {found.reason}.", *said)
    if not excludes_zero(first_row(one)):
        return CheckResult("drift", "informational", NOTHING_TO_EXPLAIN, *said)
    if found.carries == "nothing":
        return CheckResult("drift", "failed", WORDS["nothing"] if found.steady else SET_IN, *said)
    return CheckResult("drift", "passed", WORDS[found.carries], *said)


CHANGES, LINE, LATE = (0, 1), 2, 3
"""Where among the shapes step and ramp are, a straight line, and a drift that sets in late; then claimed times."""


@dataclass(frozen=True, eq=False)
class Begun:
    """The groups of an untreated model by the time since an effect may have begun in them.

    since: (C, T) periods, NaN in groups that do not start. inside: (C, T) those up to the last that is claimed, and
    claimed: how many are. starts: (C,) weight of the exposed of each group in the rows.
    """

    made: Weighing
    since: np.ndarray
    inside: np.ndarray
    claimed: int
    starts: np.ndarray

    @classmethod
    def of(cls, made: Weighing, states: ExposureStates, lag: int, until: int | None) -> Begun:
        on = states.on & states.reach[:, None]
        paths, T = made.cells.path, on.shape[1]
        first = np.where(on.any(axis=1), on.argmax(axis=1), T)[paths]
        since = np.where(first[:, None] < T, np.arange(T) - first[:, None] - float(lag), np.nan)
        claimed = T - lag if until is None else until - lag + 1
        starts = np.zeros(len(paths))
        for place, (cell, t) in zip(made.model.places, made.where, strict=True):
            there = np.zeros(len(place.y))
            there[place.u :] = place.weight.sum(axis=1)
            np.add.at(starts, cell, there * (since[cell, t] < claimed) * (since[cell, t] >= 0))
        return cls(made, since, ~(since >= claimed), claimed, starts)

    @property
    def arms(self) -> tuple[int, int]:
        """Clusters that start, and those that are seen without it while others have it."""
        places = list(zip(self.made.model.places, self.made.where, strict=True))
        many = [len(self.made.shares(p.cluster)[0]) if self.made.groups.lone else 1 for p, _ in places]
        starting = [bool((self.starts[cell] > 0).any()) for _, (cell, _) in places]
        on = np.zeros(self.since.shape[1], dtype=bool)
        for place, (_, t) in places:
            on[t[place.u :]] = True
        beside = [bool(on[t[: place.u]].any()) for place, (_, t) in places]
        return int(np.dot(many, starting)), int(np.dot(many, beside))

    def shapes(self, times: np.ndarray) -> np.ndarray:
        """(4 + E, C, T) step, ramp, straight line, late drift, and each of E times since it may have begun."""
        since = np.nan_to_num(self.since)
        starts, after = ~np.isnan(self.since), self.since >= 0
        over = max(RAMP, self.claimed // 2)
        ramp = np.where(after, np.minimum((since + 1) / over, 1.0), 0.0)
        late = np.where(starts, np.maximum(since + SETS_IN, 0.0), 0.0)
        return np.stack([after.astype(float), ramp, since, late, *((self.since == e).astype(float) for e in times)])

    @property
    def before_gap(self) -> np.ndarray:
        """(C, T) without the last two periods before the start."""
        return self.inside & ~((self.since < 0) & (self.since >= -GAP))

    @property
    def early(self) -> bool:
        """Whether most of what starts is seen in two periods or more before the last two."""
        return self._most(self.since < -GAP, 2)

    @property
    def too_little(self) -> str:
        """Why it cannot be asked: too few clusters, or fewer periods of what starts than a step, a line, a level and
        what is left over take."""
        if min(self.arms) < FEWEST:
            return TOO_FEW
        return "" if self._most(self.inside, 4) else NOT_TOLD

    def _most(self, when: np.ndarray, periods: int) -> bool:
        seen = np.zeros(when.shape, dtype=bool)
        for cell, t in self.made.where:
            seen[cell, t] = True
        long = (seen & when).sum(axis=1) >= periods
        half = self.starts.sum() / 2
        return bool(self.starts[long].sum() >= half * (1 - 1e-9) and half > 0)  # of weights that split in two, rounding


def _asked(begun: Begun, found: Shapes, df: float) -> tuple[Fits, Fits, Fits]:
    """Step and ramp beside a straight line, beside a drift that sets in late, and without the last two periods."""
    beside_line, beside_late = (Fits.of_changes(found, (drift,), df) for drift in (LINE, LATE))
    if not begun.early:
        return beside_line, beside_late, Fits.untold(NOT_TOLD)
    alone = shapes(begun.made, begun.shapes(np.empty(0))[list(CHANGES)], begun.before_gap)
    return beside_line, beside_late, Fits.of_changes(alone, (), df)


@dataclass(frozen=True, eq=False)
class Fits:
    """Combinations of coefficients, each of its own fit, with their joint covariance and degrees of freedom.
    reason: why they have none."""

    value: np.ndarray
    vcov: np.ndarray
    df: float
    reason: str = ""

    @property
    def told(self) -> bool:
        return not self.reason

    @classmethod
    def untold(cls, reason: str) -> Fits:
        return cls(np.full(1, np.nan), np.full((1, 1), np.nan), math.nan, reason)

    @classmethod
    def of_changes(cls, found: Shapes, drifts: tuple[int, ...], df: float) -> Fits:
        """Each change beside the drifts; of several changes, those that windows so short can tell from them."""
        mix = (1.0, *(0.0 for _ in drifts))
        step, ramp = (found.combination((change, *drifts), mix) for change in CHANGES)
        if step is None:
            return cls.untold(NOT_TOLD)
        return cls.of(found, [step] if ramp is None else [step, ramp], df)

    @classmethod
    def of(cls, found: Shapes, asked: list[Combination], df: float) -> Fits:
        """With moderated covariance: of the noise model, weighed by 10 degrees of freedom, and of the refits without
        each cluster, by `df`; of the refits alone where the headline's inference needs none."""
        value = np.array([one.value for one in asked])
        away = np.array([one.without - one.value for one in asked])
        if not np.isfinite(away).all():
            return cls.untold(ONE_CARRIES)
        Q = away.shape[1]
        refits = (Q - 1) / Q * away @ away.T
        if not math.isfinite(df):
            return cls(value, refits, df)
        model = np.array([[found.covariance(one, other) for other in asked] for one in asked])
        return cls(value, (PRIOR_DF * model + df * refits) / (PRIOR_DF + df), PRIOR_DF + df)

    def p_values(self, sign: float) -> tuple[float, float]:
        """One-sided p of the first, and of the larger t of both (the first again where it stands alone)."""
        se = np.sqrt(np.diag(self.vcov))
        t = sign * self.value / se
        if len(t) == 1:
            return (float(stdtr(self.df, -t[0])),) * 2
        rho = float(np.clip(self.vcov[0, 1] / (se[0] * se[1]), -1.0, 1.0))
        return float(stdtr(self.df, -t[0])), larger_of_two(float(t.max()), rho, self.df)


def larger_of_two(t: float, rho: float, df: float) -> float:
    """P(max(T1, T2) >= t) of two t(df) with a common divisor and correlation rho of their numerators.

    Given the divisor, P(Z1 <= h, Z2 <= h) = Phi(h) - 2 T(h, sqrt((1 - rho) / (1 + rho))), T Owen's function (Owen
    1956); the divisor is averaged over 200 equally likely values.
    """
    at = (np.arange(200) + 0.5) / 200
    scale = np.sqrt(2 * gammaincinv(df / 2, at) / df) if math.isfinite(df) else np.ones(1)
    slope = math.sqrt((1 - rho) / (1 + rho)) if rho > -1 else math.inf
    h = t * scale
    return float(np.mean(1 - (ndtr(h) - 2 * owens_t(h, slope))))


class _Straight(TypedDict):
    straight: float
    std_error: float
    df: float
    slope: float


def _straight(found: Shapes, mass: np.ndarray, df: float) -> _Straight | None:
    """An effect free at each claimed time beside a straight line, averaged as in the headline: its number, standard
    error and degrees of freedom. Past the start the line is forecast, not read."""
    if not len(mass):
        return None
    shapes_of = (*range(LATE + 1, LATE + 1 + len(mass)), LINE)
    one = found.combination(shapes_of, (*(mass / mass.sum()), 0.0))
    line = found.combination(shapes_of, (*np.zeros(len(mass)), 1.0))
    fits, slope = (Fits.untold(NOT_TOLD) if x is None else Fits.of(found, [x], df) for x in (one, line))
    if not fits.told:
        return None
    p = 2 * min(slope.p_values(1.0)[0], slope.p_values(-1.0)[0]) if slope.told else math.nan
    return {"straight": float(fits.value[0]), "std_error": math.sqrt(fits.vcov[0, 0]), "df": fits.df, "slope": p}


def _mass(rows: Estimate, lag: int, until: int | None) -> pd.Series:
    """What each claimed event time weighs in the headline."""
    event = rows.label_columns["event_time"]
    use = (event >= lag) & (event <= (np.inf if until is None else until)) & (rows.mass > 0) & np.isfinite(rows.value)
    return pd.Series(rows.mass[use]).groupby(event[use]).sum()


def _df(one: Estimate) -> float:
    """Degrees of freedom of the headline's refits; infinite where its inference needs none."""
    if one.resolve() == "analytic":
        return math.inf
    return float(one.joint("jackknife").df[0])


def _breakdown(one: Estimate, reach: float) -> float:
    row = one.row()
    nearest = max(float(row["conf_low"]), -float(row["conf_high"]), 0.0)
    return nearest / reach if reach > 0 else math.nan


def _reach(found: Matched, rows: Estimate, lag: int, until: int | None) -> float:
    """What a drift of one a period in those that start, and in nobody else, moves the average of the rows by: their
    weights times the period, summed, less the base where weights are of changes."""
    event = rows.label_columns["event_time"]
    keep = (event >= lag) & (event <= (np.inf if until is None else until)) & (rows.mass > 0) & np.isfinite(rows.value)
    if rows.cells is None or not keep.any():
        return math.nan
    cohort = rows.label_columns["cohort"]
    cohorts = np.unique(cohort[keep])
    mix = (cohort == cohorts[:, None]) * np.where(keep, rows.mass, 0.0) / rows.mass[keep].sum()
    cells, order = rows.cells(mix), pd.Index(found.periods)
    at, weight = order.get_indexer(cells["period"]), cells["weight"].to_numpy()
    window = cells["window"].to_numpy() if "window" in cells else np.zeros(len(cells))
    path = cells["path"].to_numpy()
    starts = np.zeros((len(order), 1 + int(max(found.origin.max(), path.max()))), dtype=bool)
    for c in found.plan:
        starts[c.cohort, found.origin[c.adopters]] = True
    mine = starts[order.get_indexer(cohorts)[cells["row"].to_numpy()], path]
    mine &= (window == 0) | (cells["sign"].to_numpy() > 0)
    if window.any():
        base = order.get_indexer(cells["base"]) - (window - 1) / 2
        at = np.where(window > 0, at - base, at)
    return float((at * weight)[mine].sum())
