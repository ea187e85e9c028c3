"""One place beside a mix of others: synthetic control, synthetic difference-in-differences, and all others alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd

from evalkit.designs.one_place import tables
from evalkit.designs.one_place.mixes import Mix, difference, synthetic_control, synthetic_difference
from evalkit.designs.one_place.placebo import TOO_POOR, Compared, Placebos, PlaceboSpread
from evalkit.designs.one_place.places import ENOUGH, Grouped, Place, Series, constant, find_places, with_values
from evalkit.designs.one_place.rows import Answered, Assembled
from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.rollout.plan import Plan, Rules, exposure_states
from evalkit.designs.rollout.rows import Naming, cell_table
from evalkit.designs.rollout.starts import make_plan
from evalkit.errors import OptionError, check_choice, spelt
from evalkit.inference import Estimate
from evalkit.inference.replicates import Method
from evalkit.show.words import count_words
from evalkit.study.paths import Paths

ASSUMED = "the place would have kept moving with the mix of others that moved with it before"
POOR_FIT = "no mix of other places followed this one before"
CONSTANT = "its outcome never changes before the start"


@dataclass(frozen=True, kw_only=True)
class BesideDonors(Parameters, ABC):
    """What the designs have in common: whom they compare, what they refuse, and intervals from placebo places.

    horizon: the last event time asked for, None for the whole spell. anticipation: periods before the start that are
    not used. outcome: name of another outcome than the study's first.
    """

    horizon: int | None = None
    anticipation: int = 0
    outcome: str | None = None
    least: ClassVar[tuple[int, int]] = (12, 4)
    """Periods before the start, and after it beyond the lag, that are needed."""

    def __post_init__(self) -> None:
        self._rules()

    def _rules(self) -> Rules:
        return Rules(base="universal", anticipation=self.anticipation, horizon=self.horizon)

    @property
    def traits(self) -> Traits:
        """What its answers rest on, and the checks that they invite."""
        return Traits(frozenset(("one place",)), checks=("fit", "leave_one_donor", "placebo_places"))

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start and who may stand beside it."""
        return make_plan(exposure_states(paths, component, "same"), self._rules())

    @abstractmethod
    def mix(self, donors: np.ndarray, exposed: np.ndarray, before: int, claimed: np.ndarray) -> Mix:
        """The exposed place (t,) beside its donors (n0, t); `claimed` are positions of periods after the start."""

    def compared(self, study: StudyLike, component: str) -> list[Compared]:
        """Every start of every place with its donors and placebos, refused ones with the reason."""
        study = study.weighing(self.outcome)
        paths = study.paths
        lag = paths.lags[paths.index(component)] if paths.lags else 0
        grouped = Grouped(paths, paths.inference_level(component)[0])
        series = Series.of(grouped, study.values(self.outcome))
        found = find_places(self.plan(paths, component), grouped)
        return [self._compare(with_values(place, series), series, lag) for place in found]

    def donors(self, study: StudyLike, component: str) -> pd.DataFrame:
        """Who stands beside each place, the heaviest first: place, cohort, donor, weight."""
        return tables.donors(study.paths, self.compared(study, component))

    def gaps(self, study: StudyLike, component: str) -> pd.DataFrame:
        """Each place and each of its donors in its role, by period: place, cohort, who ("" for the place itself),
        period, event_time, observed, expected, gap, conf_low, conf_high (prediction intervals of the place itself, each
        period from the start on; NaN elsewhere)."""
        return tables.gaps(study.paths, self.compared(study, component))

    def without_each_donor(self, study: StudyLike, component: str) -> pd.DataFrame:
        """The mean effect over the claimed periods without each donor in turn: place, cohort, donor, estimate,
        moved."""
        return tables.without_each_donor(study.paths, self.compared(study, component), self.mix)

    def conformal(self, study: StudyLike, component: str, level: float = 0.95) -> pd.DataFrame:
        """Tests by moving gaps round in time, of an effect that is the same throughout: place, cohort, p_value (of no
        effect), conf_low, conf_high (Chernozhukov, Wuthrich and Zhu 2021). The mix may differ by a constant."""
        return tables.conformal(study.paths, self.compared(study, component), level)

    def _compare(self, place: Place, series: Series, lag: int) -> Compared:
        donors, exposed = series.donors(place), series.exposed(place)
        claimed = place.claimed(lag) - place.first
        reason = self._refusal(place, exposed, len(claimed), series.grouped.paths)
        if reason:
            return Compared(place, donors, exposed, claimed, None, reason)
        method = partial(self.mix, before=place.before, claimed=claimed)
        placebos = Placebos.of(method, donors, exposed, place.donors, len(claimed))
        return Compared(place, donors, exposed, claimed, placebos, POOR_FIT if placebos.fit > TOO_POOR else "")

    def _refusal(self, place: Place, exposed: np.ndarray, after: int, paths: Paths) -> str:
        before_needed, after_needed = self.least
        missing = np.flatnonzero(np.isnan(exposed))
        if len(place.donors) < ENOUGH:
            return (
                f"{count_words(len(place.donors), 'other place')} without it and with all else alike could be seen "
                f"throughout, and {ENOUGH} are needed"
            )
        if place.before < before_needed:
            return f"{count_words(place.before, 'period')} before the start can be used, and {before_needed} are needed"
        if after < after_needed:
            return f"{count_words(after, 'period')} after the start can be used, and {after_needed} are needed"
        if len(missing):
            return f"a gap in the series: it has no value in {paths.periods[place.first + missing[0]]}"
        return CONSTANT if constant(exposed[: place.before]) else ""

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """One row for each cohort and period from the start on; rows that are refused say why."""
        study = study.weighing(self.outcome)
        compared, paths = self.compared(study, component), study.paths
        grouped = Grouped(paths, paths.inference_level(component)[0])
        rows = Assembled.of(grouped, [_answered(c) for c in compared])
        outcome = study.outcome(self.outcome)
        naming = Naming(
            component, outcome.column, outcome.unit, "places that started it beside a mix of others", assumption=ASSUMED
        )
        cells = partial(_cells, grouped, component, [(c.place, c.placebos) for c in compared])
        return rows.estimate(naming, Method("placebo", spread_of(compared)), _influence(grouped, compared), cells)


@dataclass(frozen=True)
class SyntheticControl(BesideDonors):
    """One place beside the mix of others, none weighed below zero, that was nearest to it before the start.

    gap(t) = Y1(t) - sum_j w_j Y_j(t), less its mean before where `intercept` (Abadie, Diamond and Hainmueller 2010, on
    outcomes alone; Ferman and Pinto 2021, equation 6). Others are places not yet exposed whose other components follow
    the same path from the first period used to the last. Intervals rest on the same method in places where nothing
    began, t(n0 - 1), the widest of plain and scaled by how badly each was followed before, period by period and over as
    many periods as are claimed.

    intercept: whether the mix may differ by a constant; without one, a place of unusual level is not to be believed.
    augment: None, or "ridge" for the correction of Ben-Michael, Feller and Rothstein (2021). penalty: 0 or more, the
    price of donors that are far from the place by themselves, beside the distance of the mix: nearer donors and fewer
    (Abadie and L'Hour 2021).

    Rows are refused, with the reason, below five other places, 12 periods before or 4 after, for a gap in the series, a
    constant one, and where the mix followed the place less than half as well as it follows the middle one of the
    others.
    """

    intercept: bool = True
    augment: str | None = None
    penalty: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.penalty, bool) or not np.isfinite(self.penalty) or self.penalty < 0:
            raise OptionError(f"penalty={spelt(self.penalty)} is not a choice. Use a number, 0 or more.")
        check_choice("intercept", self.intercept, (True, False))
        check_choice("augment", self.augment, (None, "ridge"))

    def mix(self, donors: np.ndarray, exposed: np.ndarray, before: int, claimed: np.ndarray) -> Mix:
        ridge = self.augment == "ridge"
        return synthetic_control(donors, exposed, before, self.intercept, ridge, penalty=self.penalty)


@dataclass(frozen=True)
class SyntheticDifferenceInDifferences(BesideDonors):
    """One place beside a mix of others, from a mix of earlier periods to those after the start.

    Arkhangelsky and others (2021, algorithm 1): weights of places that follow the exposed one up to a constant, with a
    little ridge; weights of periods before that resemble those after, among the others. Whom it compares, its intervals
    and what it refuses are as in `SyntheticControl`.
    """

    def mix(self, donors: np.ndarray, exposed: np.ndarray, before: int, claimed: np.ndarray) -> Mix:
        return synthetic_difference(donors, exposed, before, claimed)


@dataclass(frozen=True)
class DifferenceBesidePlaces(BesideDonors):
    """One place beside all others alike, all periods before alike: where the past is too short for a mix. Intervals and
    refusals as in `SyntheticControl`, but for the length of the series."""

    least: ClassVar[tuple[int, int]] = (2, 1)

    def mix(self, donors: np.ndarray, exposed: np.ndarray, before: int, claimed: np.ndarray) -> Mix:
        return difference(donors, exposed, before)


def _answered(c: Compared) -> Answered:
    if c.placebos is None or c.reason:
        return Answered.refused(c.place, c.reason)
    there = c.place.asked <= c.place.until
    value = np.full(len(there), np.nan)
    value[there] = c.placebos.mix.gap[c.place.asked[there] - c.place.first]
    few = f"fewer than {ENOUGH} other places remain"
    return Answered(c.place, value, tuple("" if t else few for t in there))


def _rows_of(c: Compared, gaps: np.ndarray) -> np.ndarray:
    """(n0, r) gaps (n0, t) in the periods asked for; zero where there is no row."""
    at = c.place.asked - c.place.first
    return np.where(at < gaps.shape[1], gaps[:, np.minimum(at, gaps.shape[1] - 1)], 0.0)


def spread_of(compared: Sequence[Compared]) -> PlaceboSpread:
    """The spread of combinations of the rows of places; those of refused places have none."""
    plain, scaled, names = [], [], []
    for c in compared:
        nothing = np.zeros((1, c.exposed.size))
        plain.append(_rows_of(c, nothing if c.placebos is None else c.placebos.plain()))
        scaled.append(_rows_of(c, nothing if c.placebos is None else c.placebos.scaled()))
        names.append(np.array([-1]) if c.placebos is None else c.placebos.names)
    return PlaceboSpread(tuple(plain), tuple(scaled), tuple(names))


def _influence(grouped: Grouped, compared: Sequence[Compared]) -> np.ndarray:
    """(n, R) what each donor's placebo adds to the plain variance of each row, divided among its people."""
    parts = [np.zeros((grouped.paths.n_units, len(c.place.asked))) for c in compared]
    weights, of = np.asarray(grouped.membership.sum(axis=0)).ravel(), grouped.cells.of
    for c, out in zip(compared, parts, strict=True):
        if c.placebos is None:
            continue
        n0, rows = len(c.place.donors), _rows_of(c, c.placebos.plain())
        cluster = grouped.cells.cluster[c.place.beside]
        for name, row in zip(c.place.donors, rows, strict=True):
            people = np.flatnonzero(np.isin(of, c.place.beside[cluster == name]))
            share = weights[people] / weights[people].sum()
            out[people] = share[:, None] * row * np.sqrt((1 + 1 / n0) / n0)
    return np.hstack(parts) if parts else np.zeros((grouped.paths.n_units, 0))


def _cells(
    grouped: Grouped, component: str, found: Sequence[tuple[Place, Placebos | None]], matrix: np.ndarray | None,
    adopters: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Cells of the rows: the place and its donors, against the weighed periods before (window 0: levels compared)."""
    keys, weights, row = [np.empty((7, 0), dtype=int)], [np.empty(0)], 0
    for place, placebos in found:
        if placebos is not None:
            for t in place.asked[place.asked <= place.until]:
                key, weight = _cells_at(grouped, place, placebos.mix, int(t))
                keys.append(np.vstack([np.full(key.shape[1], row + int(t - place.asked[0])), key]))
                weights.append(weight)
        row += len(place.asked)
    keyed = np.hstack(keys), np.concatenate(weights)
    return cell_table(grouped.paths, component, grouped.level, *keyed, matrix, adopters)


def _cells_at(grouped: Grouped, place: Place, mix: Mix, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Path, cluster, period, base, window and sign (6, m) of the cells of one period, and their weights (m,)."""
    bases = _bases(place, mix)
    cluster, share = grouped.cells.cluster[place.beside], grouped.mass[place.beside]
    total = np.array([share[cluster == name].sum() for name in place.donors])
    at = np.searchsorted(place.donors, cluster)
    cells = np.array([place.cell, *place.beside])
    weight = np.array([1.0, *(-mix.donors[at] * share / total[at])])
    sign = np.array([1, *np.full(len(at), -1)])
    keys = [
        np.vstack([grouped.cells.path[cells], grouped.cells.cluster[cells],
                   *(np.full(len(cells), x) for x in (t, base, window)), sign])
        for base, window, _ in bases
    ]  # fmt: skip
    return np.hstack(keys), np.concatenate([weight * part for _, _, part in bases])


def _bases(place: Place, mix: Mix) -> list[tuple[int, int, float]]:
    """Base, window and weight of the periods before: all alike as one window, else one by one."""
    if not mix.periods.any():
        return [(place.last_base, 0, 1.0)]
    if np.ptp(mix.periods) == 0:
        return [(place.last_base, place.before, 1.0)]
    return [(place.first + int(s), 1, float(mix.periods[s])) for s in np.flatnonzero(mix.periods)]
