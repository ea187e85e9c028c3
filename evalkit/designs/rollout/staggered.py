"""Staggered rollout: each start against units not yet exposed, the other components alike; and, where people join one
after another, against units that came onto the record at about the same time.

Where people join one after another, an outcome that moves with time since joining (a placement that holds, a waiting
list) makes those who joined early move apart from those who joined late, whatever was done for them. A component
given to all who join from some date on sorts them so: those without it, who are compared, joined earlier where it
was given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from evalkit.designs.noise.weighing import WEIGHTS, Weighing, unweighted
from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.rollout.adjusted import adjusted_estimate, read_covariates
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.cross_sections import OfPlaces, check_compare
from evalkit.designs.rollout.least_noise import ADJUSTED, least_noise_estimate, weighing_of
from evalkit.designs.rollout.plan import (
    LEADS_AND_OTHERS,
    Comparison,
    ExposureStates,
    Plan,
    Rules,
    exposure_states,
    is_small,
    rollout_traits,
    together,
)
from evalkit.designs.rollout.readers import CrossSections, Within
from evalkit.designs.rollout.rows import NO_MATCH, Naming, assemble
from evalkit.designs.rollout.starts import make_plan
from evalkit.designs.rollout.sums import Sums
from evalkit.designs.threads import one_thread
from evalkit.errors import NotIdentifiedError, OptionError, check_choice, check_periods
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import Paths

OTHERS = {
    "same": "units whose other components follow the same path",
    "unchanged": "units whose other components do not change",
    "ignored": "any units: other components are ignored",
}


@dataclass(frozen=True)
class StaggeredRollout(Rules, Parameters):
    """Group-time effects of one component, ATT_k(g, t).

    ATT_k(g, t | s) = E[Y_t - Y_b | adopters of k at g, others' path s]
                    - E[Y_t - Y_b | comparison units, others' path s]

    averaged over s with the adopters' weights, over the strata that have a comparison; b is the last
    period before g less `anticipation` (for t < g with a varying base: t - 1). With one component the
    point estimates and analytic standard errors are those of Callaway and Sant'Anna (2021), Journal of
    Econometrics 225, equations 2.4 and 4.

    comparison: "not_yet" exposed through max(t, b) + anticipation, or "never".
    others: "same" path of every other component from b to t; "unchanged" others on both sides, whatever
        their levels; "ignored", as every other package does, to show what goes wrong.
    adjust: None, or for covariates at base "reg", "ipw" or "dr" (Sant'Anna and Zhao 2020).
    compare: "within" each unit against itself; "cross_sections" whoever was there.
    base: "varying" or "universal" base for the periods before g.
    base_window: periods before g whose mean is the base, as far back as the others stand still and a
        match remains. Where rows are missing, each base period is compared among the units seen in it, and
        an adopter is divided among those in which it was seen.
    anticipation: periods before g in which an effect may already show.
    horizon: last event time estimated. lookback: periods before the base in which the others must also
        agree, and an earlier spell of k must have ended. starts: "all", or only the "first" of each unit: what an
        earlier spell left behind would be in the base of another.
    outcome: name of another outcome than the study's first.
    arrival: None, or the width in periods of the bands in which units came onto the record: each is compared with those
        of its own band only. Bands are counted from the second period; those there from the first on are one. Cells of
        `weights()` then say between which periods their units came.
    weights: "equal" for the mean of the base window, the published method; "least_noise" for weights of least variance
        over the same clean comparisons: every period before exposure weighs by a working covariance of people and
        places that no effect enters, and a change between two periods counts as alike wherever the others do the
        same. Where it reaches some people only, those whom it cannot reach serve too: they are taken to move alike
        where the others do the same, but for a gap to those whom it can reach that all places share. Rows before the
        start stay as published, and so do all rows where nothing gives such a covariance, with `adjust` or with
        comparison="never": the label `weights` says which, and why. Below 50 clusters inference is "moderated".

    Calling raises `OptionError` for an unknown component and `NotIdentifiedError` when no unit ever
    starts the component after a period without it.
    """

    compare: str = "within"
    outcome: str | None = None
    arrival: int | None = None
    weights: str = "equal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.arrival is not None:
            check_periods("arrival", self.arrival, 1)
        check_compare(self.compare, self.adjust)
        check_choice("weights", self.weights, WEIGHTS)
        if self.weights == "least_noise" and self.compare != "within":
            raise OptionError(
                "weights='least_noise' needs compare='within': they set each unit against itself. Where others are "
                "asked each period, run the design on study.of_places()."
            )

    @property
    def traits(self) -> Traits:
        """What its answers rest on under these options, and the checks that they invite."""
        return replace(rollout_traits(self.others, "parallel trends", LEADS_AND_OTHERS), by_arrival=True)

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start of the component with its matches, on paths split by `arrival` where asked; sees no outcome."""
        key = ("rollout", component, self.others, self.rules)
        split = by_arrival(paths, self.arrival)
        return split.paths.memo.get(
            key,
            lambda: make_plan(exposure_states(split.paths, component, self.others, split.kind), self.rules),
            keep=is_small,
        )

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Estimate every (cohort, period) of `component`; rows without an answer say why."""
        return self._estimate(study, component)

    def later(self, study: StudyLike, component: str) -> Estimate:
        """The rows from the start on, where there are any: sooner, for who asks nothing of those before."""
        return self._estimate(study, component, leads=False)

    @one_thread()
    def _estimate(self, study: StudyLike, component: str, leads: bool = True) -> Estimate:
        study = study.weighing(self.outcome)
        plan = self.plan(study.paths, component)
        if not len(plan) and plan.baseless:
            raise NotIdentifiedError(
                f"Every start of {component!r} lacks a base: with anticipation={self.anticipation} and lookback="
                f"{self.lookback} it would lie before the panel, or before an earlier spell has ended. Choose less."
            )
        if not len(plan):
            raise NotIdentifiedError(
                f"No unit starts {component!r} after a period without it, so there is no change to compare. "
                "`separability` says what could still be told."
            )
        split = by_arrival(study.paths, self.arrival)
        return named(split, self._read(study, component, leads))

    def contrast(self, study: StudyLike, component: str) -> Contrast:
        """Its comparisons read in the outcome, without covariates."""
        study = study.weighing(self.outcome)
        paths = by_arrival(study.paths, self.arrival).paths
        sums = Sums.of_outcome(paths, paths.inference_level(component)[0], study.values(self.outcome))
        reader = Within(sums) if self.compare == "within" else CrossSections(sums.split())
        return Contrast.shared(self.plan(study.paths, component), reader)

    def untreated(self, study: StudyLike, component: str) -> tuple[Weighing, ExposureStates]:
        """The untreated model of its comparisons, whatever its weights are, and what paths do in its periods."""
        if self.compare != "within":
            return replace(self, compare="within").untreated(OfPlaces.of(study), component)
        states = self._states(study, component)
        return weighing_of(self.contrast(study, component), states, self, few=True), states

    def _states(self, study: StudyLike, component: str) -> ExposureStates:
        split = by_arrival(study.weighing(self.outcome).paths, self.arrival)
        return exposure_states(split.paths, component, self.others, split.kind)

    def _read(self, study: StudyLike, component: str, leads: bool) -> Estimate:
        contrast, outcome = self.contrast(study, component), study.outcome(self.outcome)
        population, nobody = f"adopters with a match among {OTHERS[self.others]}", NO_MATCH
        if self.arrival is not None:
            together = "came onto the record at about the same time"
            population, nobody = f"{population}, among those who {together}", f"{NO_MATCH}, and {together}"
        naming = Naming(component, outcome.column, outcome.unit, population, nobody=nobody)
        if self.adjust is not None:
            sums = contrast.reader.sums
            made = adjusted_estimate(contrast.plan, read_covariates(study), sums, self.adjust, naming)
            return made if self.weights == "equal" else unweighted(made, ADJUSTED)
        if self.weights == "equal":
            return assemble(contrast, naming, contrast.rows(leads))
        return least_noise_estimate(contrast, self._states(study, component), self, naming, leads)


# ---------------------------------------------------------------- when units came onto the record

ALIKE = 0.1
"""Standard deviations by which two sides may differ and still count as alike (Austin 2009, Statistics in Medicine
28: 3083-3107)."""

ROUNDING = 1e-9
"""Periods that weighted means of equal numbers may differ by."""


@dataclass(frozen=True, eq=False)
class Arrivals:
    """The paths of a study, split by when their units came.

    paths: the same units on split paths. origin: (P',) the path that each was. kind: (P',) which time of coming, in
    order; None where they were not split. first, last: (P',) positions between which its units came.
    """

    paths: Paths
    origin: np.ndarray
    kind: np.ndarray | None
    first: np.ndarray
    last: np.ndarray

    def named(self, cells: pd.DataFrame) -> pd.DataFrame:
        """Cells of split paths as cells of the study's, with the periods between which their units came."""
        at, periods = cells["path"].to_numpy(), self.paths.periods
        return cells.assign(path=self.origin[at], came_from=periods[self.first[at]], came_to=periods[self.last[at]])


def by_arrival(paths: Paths, width: int | None) -> Arrivals:
    """The paths split by when units came: from the first period on, or within the same `width` periods after it;
    the paths as they are where `width` is None.

    Those who are there from the first period on may have come long before, and are a kind of their own. A unit that
    moved came with its first stay.
    """
    if width is None:
        each = np.arange(paths.n_paths)
        return Arrivals(paths, each, None, np.zeros_like(each), np.full_like(each, paths.n_periods - 1))
    return paths.memo.get(("arrivals", width), lambda: _split(paths, width))


def named(split: Arrivals, found: Estimate) -> Estimate:
    """An estimate that was read on split paths, with cells that name those of the study."""
    if found.cells is None or split.kind is None:
        return found
    return found.with_fields(cells=partial(_named_cells, split, found.cells))


def _named_cells(
    split: Arrivals, cells: Callable[..., pd.DataFrame], matrix: np.ndarray | None = None, adopters: bool = False
) -> pd.DataFrame:
    return split.named(cells(matrix, adopters=adopters))


def _split(paths: Paths, width: int) -> Arrivals:
    kind = -(-paths.came // width)
    kinds = int(kind.max(initial=0)) + 1
    codes, path = np.unique(paths.path * kinds + kind, return_inverse=True)
    origin, kind = np.divmod(codes, kinds)
    split = replace(paths, path=path.reshape(-1), state=paths.state[origin], reach=paths.reach[origin])
    last = np.minimum(kind * width, paths.n_periods - 1)
    return Arrivals(split, origin, kind, np.where(kind > 0, (kind - 1) * width + 1, 0), last)


def arrival_gap(paths: Paths, plan: Plan, lag: int = 0, until: int | None = None) -> tuple[float, float]:
    """Periods by which adopters had come earlier (negative) or later than their matches, and a standard deviation.

    Means over the units seen at the base of each comparison with `lag` <= event time <= `until`, weighted by
    adopters; the standard deviation is the root of the mean of the two sides' variances. (0, 0) where all came
    together, or nobody is compared.
    """
    if not len(plan) or (paths.came == paths.came[0]).all():
        return 0.0, 0.0
    moments = paths.memo.get("moments of arrivals", lambda: _moments(paths))
    found = [part for c, _ in together((c, None) for c in plan) for part in _gaps(c, moments, lag, until)]
    weight, gap, spread = np.array(found).reshape(-1, 3).T
    if not weight.sum():
        return 0.0, 0.0
    return float(np.average(gap, weights=weight)), float(np.sqrt(np.average(spread, weights=weight)))


def apart(gap: float, spread: float) -> bool:
    """Whether two sides differ by over a tenth of a standard deviation; rounding is no difference."""
    return abs(gap) > max(ALIKE * spread, ROUNDING)


def _moments(paths: Paths) -> np.ndarray:
    """(3, P, T) weights of the units of each path seen in each period, times 1, their coming (from the mean), and
    its square."""
    weight = np.ones(paths.n_units) if paths.weights is None else paths.weights
    when = paths.came - paths.came.mean()
    found = np.empty((3, paths.n_paths, paths.n_periods))
    for power in range(3):
        each = weight * when**power
        for t, seen in enumerate(np.asarray(paths.seen).T):  # a period at a time: people may be a million
            found[power, :, t] = np.bincount(paths.path, weights=each * seen, minlength=paths.n_paths)
    return found


def _gaps(c: Comparison, moments: np.ndarray, lag: int, until: int | None) -> list[tuple[float, float, float]]:
    """Adopters, their gap to the matches, and the mean of both variances, for each period of one comparison."""
    event = c.event_time()
    t = np.flatnonzero(c.matched & (event >= lag) & (event <= (len(event) if until is None else until)))
    at_base = moments[:, :, c.base[t]]
    mine = at_base[:, c.adopters].sum(axis=1)
    other = np.einsum("kpt,pt->kt", at_base, c.match[:, t].astype(float))
    ok = (mine[0] > 0) & (other[0] > 0)
    (m1, v1), (m2, v2) = _mean_and_variance(mine[:, ok]), _mean_and_variance(other[:, ok])
    return list(zip(mine[0, ok], m1 - m2, (v1 + v2) / 2, strict=True))


def _mean_and_variance(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = moments[1] / moments[0]
    return mean, np.maximum(moments[2] / moments[0] - mean**2, 0.0)
