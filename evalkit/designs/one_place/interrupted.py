"""One place beside its own past: an interrupted time series, with or without a control series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from evalkit.designs.one_place.fitted import Fitted, working
from evalkit.designs.one_place.places import (
    DUST,
    Grouped,
    Place,
    Series,
    alone,
    constant,
    find_places,
    hole,
    with_values,
)
from evalkit.designs.one_place.rows import Answered, Assembled
from evalkit.designs.one_place.segments import Began, Layout, Shape, changes, lay_out
from evalkit.designs.one_place.series_noise import LEVEL
from evalkit.designs.one_place.usual import ERRORS, Errors
from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.rollout.plan import Plan, Rules, exposure_states
from evalkit.designs.rollout.rows import Naming, cell_table
from evalkit.designs.rollout.starts import make_plan
from evalkit.errors import OptionError, check_choice, check_periods, spelt
from evalkit.inference import Estimate, Interval
from evalkit.inference.intervals import Spread, critical
from evalkit.inference.replicates import Method
from evalkit.show.words import count_words, join_words
from evalkit.study.paths import Paths

ASSUMED = "the place would have gone on as its own past leads to expect, and nothing else began then"
LEAST, LEAST_WITH_SEASON = (16, 6), (24, 12)
"""Periods before the start, and after it beyond the lag, that are needed."""
NOISELESS = "nothing is left to learn from: its outcome lies on the line to the last digit"
Trend = Literal["none", "straight", "bent"]
TRENDS: tuple[Trend, ...] = ("none", "straight", "bent")
"""By the power of time that they go up to."""


@dataclass(frozen=True, eq=False)
class Interrupted:
    """A place with what began in it, and its fitted series, or why there is none."""

    place: Place
    own: Began
    fitted: Fitted | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class SeriesSpread:
    """The spread of combinations of rows; of several places the sum of their standard errors, as if what moves one
    moved all. rows: for each series (r,) the positions of its claimed rows."""

    series: tuple[Fitted, ...]
    rows: tuple[np.ndarray, ...]
    width: int

    def __call__(self, matrix: np.ndarray | None) -> Spread:
        matrix = np.eye(self.width) if matrix is None else matrix
        vcov, own, df = np.zeros((len(matrix), len(matrix))), np.zeros(len(matrix)), np.full(len(matrix), np.inf)
        for fitted, rows in zip(self.series, self.rows, strict=True):
            contrasts = matrix[:, rows] @ fitted.layout.contrasts
            used = np.flatnonzero(contrasts.any(axis=1))
            if len(used):
                spread = fitted.estimate(contrasts[used])[1]
                vcov[np.ix_(used, used)] += spread.vcov
                own[used] += np.sqrt(np.diag(spread.vcov))
                df[used] = np.minimum(df[used], spread.df)
        root = np.sqrt(np.diag(vcov))
        scale = np.divide(own, root, out=np.zeros(len(own)), where=root > 0)
        return Spread(vcov * np.outer(scale, scale), df, ("",) * len(own))


@dataclass(frozen=True)
class InterruptedTimeSeries(Parameters):
    """One place beside its own past: level and slope from the start on, beside a straight trend.

    y(t) = trend + season + for each component that began in the place: level and slope + noise; the effect of a period
    is level + slope x periods since it shows, and a component's window ends where the next one begins (Bernal, Cummins
    and Gasparrini 2017, for the model). Intervals are the wider of two: AR(1) noise by restricted likelihood with
    critical values simulated for the design, and AR(1) plus white noise. No model of noise guards against a trend that
    bends or against something else that began at the same time.

    slope: whether the effect may grow. season: periods in a year, for two pairs of waves. transition: periods after the
    start, at least the component's lag, that are left free. control: names of one to four places to be taken off, or
    "clean" for all that qualify: not exposed, everything else alike throughout. events: periods from which something
    known shifts the series by a step. link: "identity", or "log" for counts, with effects on the log scale. per: name
    of the covariate with what counts are divided by (people at risk); people seen, where none is named. trend:
    "straight", "bent" (quadratic) or "none". errors: "own" for the intervals above; "GLSAR" or "SARIMAX" for what
    statsmodels makes of AR(1) errors on the same columns, which claims too often; "UnobservedComponents" for
    a level and slope that wander. horizon, anticipation, outcome: as in `SyntheticControl`.

    Rows are refused, with the reason, below 16 periods before or 6 after (24 and 12 with a season), for a gap in the
    series, a constant one, a control that was exposed itself, and where another component, or an event, began too near
    to tell apart.
    """

    slope: bool = True
    season: int | None = None
    transition: int = 0
    control: tuple[str, ...] | Literal["clean"] = ()
    events: tuple[object, ...] = ()
    link: Literal["identity", "log"] = "identity"
    per: str | None = None
    trend: Trend = "straight"
    errors: Errors = "own"
    horizon: int | None = None
    anticipation: int = 0
    outcome: str | None = None

    def __post_init__(self) -> None:
        check_choice("slope", self.slope, (True, False))
        check_choice("link", self.link, ("identity", "log"))
        check_choice("trend", self.trend, TRENDS)
        check_choice("errors", self.errors, ERRORS)
        check_periods("transition", self.transition, 0)
        if self.season is not None:
            check_periods("season", self.season, 2)
        for name in ("control", "events"):
            given = getattr(self, name)
            if given != "clean" and not isinstance(given, tuple):
                raise OptionError(f"{name}={spelt(given)} is not a choice. Use a tuple, such as ({spelt(given)},).")
        if self.control != "clean" and len(set(map(str, self.control))) < len(self.control):
            raise OptionError("control names a place twice. Name each once.")
        if self.link == "log" and self.errors != "own":
            raise OptionError(f"errors={self.errors!r} needs link='identity'. Leave errors='own' for counts.")
        if self.link == "log" and self.control:
            raise OptionError("A control series needs link='identity'. Leave control=() for counts.")
        self._rules()

    def _rules(self) -> Rules:
        return Rules(base="universal", anticipation=self.anticipation, horizon=self.horizon)

    @property
    def traits(self) -> Traits:
        """What its answers rest on, and the checks that they invite."""
        return Traits(frozenset(("one place",)), checks=("placebo_date", "bent_trend"))

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start, and who may serve as a control."""
        return make_plan(exposure_states(paths, component, "same"), self._rules())

    def interrupted(self, study: StudyLike, component: str, shift: bool = False) -> list[Interrupted]:
        """Every start of every place with its fitted series. shift: as if it had begun earlier, from the past alone."""
        study = study.weighing(self.outcome)
        paths = study.paths
        grouped = Grouped(paths, paths.inference_level(component)[0])
        values = study.values(self.outcome)
        series = Series.of(grouped, values)
        per = None if self.per is None else Series.of(grouped, np.where(np.isfinite(values), self._per(study), np.nan))
        places = [self._beside(p, series) for p in find_places(self.plan(paths, component), grouped)]
        return [self._fit(place, series, per, component, shift) for place in places]

    def _per(self, study: StudyLike) -> np.ndarray:
        if self.per not in study.covariates:
            raise OptionError(f"per={self.per!r} is not one of the study's covariates: {join_words(study.covariates)}.")
        return study.covariate_values((self.per,))[:, :, 0]

    def _beside(self, place: Place, series: Series) -> Place:
        """The place with the controls asked for, alone where none are."""
        if not self.control:
            return alone(place)
        place = with_values(place, series)
        if self.control == "clean":
            return place
        names = series.grouped.paths.levels[series.grouped.level].names
        unknown = [c for c in self.control if str(c) not in set(map(str, names))]
        if unknown:
            raise OptionError(f"control: there is no place {spelt(unknown[0])}. Name places as the study does.")
        wanted = np.flatnonzero(np.isin(names.astype(str), [str(c) for c in self.control]))
        kept, cluster = np.intersect1d(place.donors, wanted), series.grouped.cells.cluster[place.beside]
        return replace(place, donors=kept, beside=place.beside[np.isin(cluster, kept)])

    def _fit(self, place: Place, series: Series, per: Series | None, component: str, shift: bool) -> Interrupted:
        paths = series.grouped.paths
        own, others = changes(paths, component, place, self.transition)
        asked, short = place.asked[place.asked <= place.until], self._short(place, own)
        steps = self._steps(paths)
        if at_once := [e for e in steps if own.at <= e <= own.live]:
            when = paths.periods[at_once[0]]
            short = (
                short or f"an event that the study lists changed in {when} too, and one place cannot tell the two apart"
            )
        if shift:
            move = min(place.until + 1 - own.live, (own.at - place.first) // 3)
            asked, own = np.arange(own.at - move, own.at), Began(None, own.at - move, 0)
        shape = Shape(self.slope, self.season, TRENDS.index(self.trend), steps)
        layout = lay_out(own, others, place.first, asked, shape)
        reason = short or hole(paths, layout.first, layout.first + len(layout.columns)) or layout.reason
        reason = reason or self._unfit(place, own, layout)
        if reason:
            return Interrupted(place, own, None, reason)
        times = slice(layout.first, layout.first + len(layout.columns))
        cells = np.array([place.cell])
        y = series.mean(cells)[times]
        missing = np.flatnonzero(np.isnan(y))
        if len(missing):
            where = paths.periods[layout.first + missing[0]]
            return Interrupted(place, own, None, f"a gap in the series: it has no value in {where}")
        if self.link == "log" and (y < 0).any():
            raise OptionError("link='log' is for counts and rates, and the outcome is below zero. Use link='identity'.")
        if constant(y[: own.at - layout.first]):
            return Interrupted(place, own, None, "its outcome never changes before the start")
        if len(place.donors):
            y = y - series.donors(place)[:, layout.first - place.first :][:, : len(y)].mean(axis=0)
        left = y - layout.columns @ np.linalg.lstsq(layout.columns, y, rcond=None)[0]
        if np.abs(left).max() <= DUST * np.abs(y).max():
            return Interrupted(place, own, None, NOISELESS)
        if self.link == "identity":
            return Interrupted(place, own, Fitted(layout, y, np.ones(len(y)), errors=self.errors))
        at_risk = (series.weight if per is None else per.total)[place.cell, times]
        if self.link == "log" and not (at_risk > 0).all():
            where = paths.periods[layout.first + np.flatnonzero(~(at_risk > 0))[0]]
            return Interrupted(place, own, None, f"nobody was at risk in {where}, or it is not known how many")
        return Interrupted(place, own, working(layout, series.total[place.cell, times], np.log(at_risk)))

    def _steps(self, paths: Paths) -> tuple[int, ...]:
        """Positions of the events."""
        positions = {str(p): i for i, p in enumerate(paths.periods)}
        if lost := [e for e in self.events if str(e) not in positions]:
            raise OptionError(f"events: there is no period {spelt(lost[0])} in the panel.")
        return tuple(positions[str(e)] for e in self.events)

    def _short(self, place: Place, own: Began) -> str:
        """Why there is too little of it, before its layout is known."""
        before, after = LEAST if self.season is None else LEAST_WITH_SEASON
        if self.control and not len(place.donors):
            return "no control place was without it and seen throughout, with all else alike"
        if self.control != "clean" and len(place.donors) < len(self.control):
            lost = len(self.control) - len(place.donors)
            verbs = ("was itself", "has") if lost == 1 else ("were themselves", "have")
            return f"{lost} of the control places {verbs[0]} exposed to something then, or {verbs[1]} a gap"
        if (there := own.at - place.first) < before:
            return f"{count_words(there, 'period')} before the start can be used, and {before} are needed"
        if (there := place.until + 1 - own.live) < after:
            return f"{count_words(max(there, 0), 'period')} after the start can be used, and {after} are needed"
        return ""

    def _unfit(self, place: Place, own: Began, layout: Layout) -> str:
        """Why a layout cannot be fitted."""
        before, _ = LEAST if self.season is None else LEAST_WITH_SEASON
        if own.at == place.last_base + 1 and (there := own.at - layout.first) < before:
            return (
                f"{count_words(there, 'period')} lie between an earlier change and the start, and {before} are needed"
            )
        if not len(layout.claimed):
            return "something else began before it could show"
        n, k = layout.columns.shape
        enough = n > k + 1 and np.linalg.matrix_rank(layout.columns) == k
        return "" if enough else "the series is too short for all that changed in it"

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """One row for each cohort and period from the start on; rows that are refused say why."""
        study = study.weighing(self.outcome)
        found, paths = self.interrupted(study, component), study.paths
        grouped = Grouped(paths, paths.inference_level(component)[0])
        rows = Assembled.of(grouped, [_answered(i) for i in found])
        outcome, spread = study.outcome(self.outcome), spread_of(found)
        beside = "places that started it beside their own past" + (" and a control series" if self.control else "")
        unit = outcome.unit if self.link == "identity" else "per cent"
        naming = Naming(component, outcome.column, unit, beside, assumption=ASSUMED)
        method = Method("simulated" if self.errors == "own" else self.errors, spread)
        return rows.estimate(
            naming, method, _influence(grouped, found, spread), partial(_cells, grouped, component, tuple(found))
        )

    def gaps(self, study: StudyLike, component: str) -> pd.DataFrame:
        """Each place by period, as what its own past leads to expect has it: place, cohort, who (""), period,
        event_time, observed, expected, gap, conf_low, conf_high; intervals for claimed periods alone."""
        paths, lines = study.paths, []
        names = paths.levels[paths.inference_level(component)[0]].names
        for i in (i for i in self.interrupted(study, component) if i.fitted is not None):
            assert i.fitted is not None
            layout, y = i.fitted.layout, i.fitted.response
            times = layout.first + np.arange(len(y))
            value, spread = i.fitted.estimate(layout.contrasts)
            half = critical(spread.df, LEVEL) * np.sqrt(np.diag(spread.vcov))
            frame = pd.DataFrame({
                "place": names[i.place.cluster], "cohort": paths.periods[i.place.cohort], "who": "",
                "period": paths.periods[times], "event_time": times - i.place.cohort, "observed": y,
                "expected": i.fitted.fitted(), "gap": np.nan, "conf_low": np.nan, "conf_high": np.nan,
            })  # fmt: skip
            at = layout.claimed - layout.first
            frame.loc[at, "expected"] -= value
            frame.loc[(times >= i.own.at) & ~np.isin(times, layout.claimed), "expected"] = np.nan
            frame["gap"] = frame["observed"] - frame["expected"]
            frame.loc[at, "conf_low"] = frame.loc[at, "gap"] - half
            frame.loc[at, "conf_high"] = frame.loc[at, "gap"] + half
            lines.append(frame)
        columns = ["place", "cohort", "who", "period", "event_time", "observed", "expected", "gap", "conf_low"]
        return pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=[*columns, "conf_high"])

    def placebo_date(self, study: StudyLike, component: str) -> Interval:
        """The mean effect as if the start had come earlier, by as many periods as are claimed or a third of those
        before, from the past alone; NaN where nothing could be fitted."""
        found = self.interrupted(study, component, shift=True)
        fitted = [i.fitted for i in found if i.fitted is not None]
        if not fitted:
            return Interval(np.nan, np.nan, np.nan, next((i.reason for i in found), "nobody starts it"))
        each = [f.estimate(f.layout.contrasts.mean(axis=0, keepdims=True)) for f in fitted]
        value = float(np.mean([v[0] for v, _ in each]))
        half = float(np.mean([critical(s.df, LEVEL)[0] * np.sqrt(s.vcov[0, 0]) for _, s in each]))
        return Interval(value, value - half, value + half, "interrupted series, an earlier date")


def _answered(i: Interrupted) -> Answered:
    if i.fitted is None:
        return Answered.refused(i.place, i.reason)
    asked, claimed = i.place.asked, i.fitted.layout.claimed
    value, reasons = (
        np.full(len(asked), np.nan),
        np.full(len(asked), "another component had begun by then", dtype=object),
    )
    value[np.isin(asked, claimed)] = i.fitted.estimate(i.fitted.layout.contrasts)[0]
    reasons[asked < i.own.live] = "too early for it to show in full"
    reasons[asked > i.place.until] = "the control series ends before"
    reasons[np.isin(asked, claimed)] = ""
    return Answered(i.place, value, tuple(reasons))


def spread_of(found: Sequence[Interrupted]) -> SeriesSpread:
    """The spread of combinations of the rows of places; those of refused places have none."""
    series, rows, start = [], [], 0
    for i in found:
        if i.fitted is not None:
            series.append(i.fitted)
            rows.append(start + np.flatnonzero(np.isin(i.place.asked, i.fitted.layout.claimed)))
        start += len(i.place.asked)
    return SeriesSpread(tuple(series), tuple(rows), start)


def _influence(grouped: Grouped, found: Sequence[Interrupted], spread: SeriesSpread) -> np.ndarray:
    """(n, R) one standard error of each row, divided among the people of its place: a place alone is one draw."""
    out = np.zeros((grouped.paths.n_units, spread.width))
    weights = np.asarray(grouped.membership.sum(axis=0)).ravel()
    there = [i for i in found if i.fitted is not None]
    for i, fitted, rows in zip(there, spread.series, spread.rows, strict=True):
        people = np.flatnonzero(grouped.cells.of == i.place.cell)
        se = np.sqrt(np.diag(fitted.estimate(fitted.layout.contrasts)[1].vcov))
        out[np.ix_(people, rows)] = np.outer(weights[people] / weights[people].sum(), se)
    return out


def _cells(
    grouped: Grouped, component: str, found: Sequence[Interrupted], matrix: np.ndarray | None, adopters: bool = False
) -> pd.DataFrame:
    """Cells of the rows: the place in the period that a row speaks of, less what all periods of the place and of its
    control lead to expect of it."""
    spread, keys, weights = spread_of(found), [np.empty((7, 0), dtype=int)], [np.empty(0)]
    there = [i for i in found if i.fitted is not None]
    for i, fitted, rows in zip(there, spread.series, spread.rows, strict=True):
        first, claimed, pull = fitted.layout.first, fitted.layout.claimed, fitted.pull()
        expected = pull.copy()
        expected[np.arange(len(claimed)), claimed - first] -= 1
        cluster, mass = grouped.cells.cluster[i.place.beside], grouped.mass[i.place.beside]
        share = [-m / mass[cluster == c].sum() / len(i.place.donors) for m, c in zip(mass, cluster, strict=True)]
        parts = [(i.place.cell, np.eye(len(fitted.response))[claimed - first], 1), (i.place.cell, expected, -1)]
        parts += [(cell, part * pull, -1) for cell, part in zip(i.place.beside, share, strict=True)]
        for cell, each, sign in parts:
            at, t = np.nonzero(np.abs(each) > 1e-12)
            said = (grouped.cells.path[cell], grouped.cells.cluster[cell], first + t, i.place.last_base, 1, sign)
            keys.append(np.vstack([rows[at], *(np.broadcast_to(x, len(at)) for x in said)]))
            weights.append(each[at, t])
    keyed = np.hstack(keys), np.concatenate(weights)
    return cell_table(grouped.paths, component, grouped.level, *keyed, matrix, adopters)
