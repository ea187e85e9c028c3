"""Joint event study: one regression on all components, right only if effects add up; what its coefficients make up.

Single effects, combinations of them and the growth of other components inside an answer are all sums of the
coefficients of one panel, with one way to their influence, arms and refits (`Combinations`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.noise.weighing import WEIGHTS, unweighted
from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import Basis, StudyLike, Traits
from evalkit.designs.regression import moments
from evalkit.designs.regression.additive import AdditiveDesign, programme_level
from evalkit.designs.regression.columns import Shape, joint_plan, make_columns
from evalkit.designs.regression.joint_noise import joint_least_noise
from evalkit.designs.rollout.rows import rows_of
from evalkit.designs.rollout.sums import over_base
from evalkit.designs.threads import one_thread
from evalkit.errors import NotIdentifiedError, OptionError, check_choice, spelt
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import Influence, Rows
from evalkit.study.paths import Paths

_ALIKE_DOSES = _ALIKE_AGES = 1e-9
_ALIKE = "everyone exposed, if effects add up"
_COHORTS = "everyone exposed, if effects of components add up; cohorts may differ"
ADDED, LEVEL = "additive effect by event time", "additive effect while on"
DOSED = {
    "unit": "{0} for one unit of dose, if in proportion to it",
    "average": "{0} of the dose as given on average, if in proportion to it",
}
COMBINED = "combination of additive effects by event time"
INTERACTION = "interaction: effect beyond the sum while all are on"
TANGLED = "the regression cannot tell this event time from other components, places and periods"
UNTOLD = "the regression cannot tell this combination from other components, places and periods"
BY_DOSE = ("with more of it", "with less or without it")
GROWTH = "growth of other components inside the answer, if effects add up"
UNTOLD_GROWTH = "the regression cannot tell the growth of the other components from places and periods"
PLAIN = "equal: weights of least noise are for event times of one component at a time"
CELLLESS = "the answer is adjusted, and so no weighted sum of places and periods"


_T = TypeVar("_T")


def once(study: StudyLike, outcome: str | None, key: Hashable, make: Callable[[], _T]) -> _T:
    """What `make` gives for an outcome, made once for its paths; made anew where the values are not a study's own."""
    values = study.values(outcome)
    return make() if values.flags.writeable else study.paths.memo.get(key, make, about=values)


@dataclass(frozen=True)
class JointEventStudy(Shape, Parameters):
    """Event-time effects of every component at once, by weighted least squares.

    Y_it = u_i + v_{t, reach} + sum over components k of d_k(t - start_k(i)) + error: unit effects,
    period effects for each pattern of reach, event-time indicators of every component. Effects are assumed
    to add up and to be the same in every cohort; the labels say so. A coefficient outside the row space
    is NaN, with the reason. Exact in gapped panels; rows of people cost no more than their sums by path.

    window: None for every event time from 0 on; (lead, lag) for leads -lead (or earlier) .. -2 and event times
        0 .. lag, the last meaning "lag or later".
    interactions: sets of components such as (("a", "b"),), each with one effect more while all of them are
        on, called "a x b". It is identified only where every combination of them exists (for two: a only,
        b only, both and neither), and then a component's own rows are its effects without the others.
    saturated: event times of each cohort apart, with every lead (the period before is the reference),
        averaged within an event time by the cohorts' shares, which count as estimated (Sun and Abraham 2021,
        Journal of Econometrics 225). Where everybody is exposed some time, the last cohort serves as comparison
        until it starts. `fit` gives the rows by cohort.
    shape: "event_time", or "level" for one effect while on, whatever its age.
    dose: effects are linear in the dose where exposure is one (of a bin, its average dose): that too is assumed,
        and said in the labels. Without it any dose counts as on.
    per: "unit" gives the effect of one unit of dose, and masses in units of dose; "average" the effect of the dose
        as given on average at each event time, and masses in people.
    outcome: name of another outcome than the study's first.
    weights: "equal" for least squares on people's rows; "least_noise" for weights of least variance under a working
        covariance of people and places, with effects of the component's own free and those of the others additive.
        Leads stay as they are, and so do rows that these weights cannot tell, and doses, interactions, levels and
        cohorts: the label `weights` says which, and why.

    Calling with a component, or with an interaction's name, gives its rows. Raises `OptionError` for
    impossible choices and `NotIdentifiedError` when the component never varies."""

    outcome: str | None = None
    weights: str = "equal"

    def __post_init__(self) -> None:
        check_choice("weights", self.weights, WEIGHTS)
        check_choice("shape", self.shape, ("event_time", "level"))
        check_choice("dose", self.dose, (False, True))
        check_choice("per", self.per, tuple(DOSED))
        given: object = self.interactions
        if not isinstance(given, (tuple, list)) or not all(
            isinstance(i, (tuple, list)) and all(isinstance(m, str) for m in i) for i in given
        ):
            raise OptionError(
                f"interactions={spelt(given)} is not a choice. Use sets of components such as (('a', 'b'),)."
            )
        object.__setattr__(self, "interactions", tuple(tuple(i) for i in given))
        bad = [i for i in self.interactions if len(set(i)) < 2 or len(set(i)) < len(i)]
        if bad:
            raise OptionError(f"interactions={bad[0]!r} is not an interaction. Name two components or more, each once.")
        if self.saturated and self.shape == "level":
            raise OptionError("saturated=True needs shape='event_time': cohorts are told apart by event time.")
        if self.dose and self.interactions:
            raise OptionError(
                "dose=True needs interactions=(): whether doses do more together is not linear in either."
            )
        self.times  # noqa: B018 - an impossible window is refused when the design is made

    @property
    def traits(self) -> Traits:
        """What its answers rest on under these options, and the checks that they invite."""
        basis: tuple[Basis, ...] = ("parallel trends", "additivity")
        if self.dose:
            return Traits(frozenset((*basis, "dose")), BY_DOSE, ("pre_trend_by_leads",))
        return Traits(frozenset(basis), checks=("pre_trend_by_leads",))

    @property
    def _choices(self) -> Shape:
        return Shape(*(getattr(self, f.name) for f in fields(Shape)))

    def plan(self, paths: Paths, component: str) -> AdditiveDesign:
        """The regression it would run, from exposure paths alone."""
        return joint_plan(paths, self._level(paths, component), self._choices)

    def _level(self, paths: Paths, component: str) -> str:
        for members in self.interactions:
            if component == " x ".join(members):
                return programme_level(paths, members)
        paths.index(component)
        return paths.inference_level(component)[0]

    @one_thread()
    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Event-time effects of `component`, from the regression on all of them."""
        study = study.weighing(self.outcome)
        whole = self.fit(study, self._level(study.paths, component))
        mine = np.flatnonzero(whole.label_columns["component"] == component)
        if not len(mine):
            raise NotIdentifiedError(f"{component!r} is never on, or on throughout, wherever it could be compared.")
        found = whole.select(mine)
        cohorts = self.saturated and (found.label_columns["estimand"] != INTERACTION).all()
        found = found.aggregate("event_time") if cohorts else found
        if self.weights == "equal":
            return found
        if self.saturated or self.dose or self.interactions or self.shape == "level":
            return unweighted(found, PLAIN)
        return joint_least_noise(study, component, self._level(study.paths, component), self.outcome, found)

    @one_thread()
    def fit(self, study: StudyLike, level: str) -> Estimate:
        """All rows with their joint covariance, clustered at `level`; by cohort where saturated."""
        return once(study, self.outcome, ("joint event study", self, level), partial(_estimate, self, study, level))


def _estimate(design: JointEventStudy, study: StudyLike, level: str) -> Estimate:
    study = study.weighing(design.outcome)
    panel, paths = joint_panel(study, design.outcome, design._choices), study.paths
    if not panel.columns.width:
        raise NotIdentifiedError("No component is on in a row with an outcome, so that the regression has no columns.")
    columns, outcome = panel.columns, study.outcome(design.outcome)
    names, interaction = columns.labels, columns.component >= len(paths.components)
    alone = ADDED if design.shape == "event_time" else LEVEL
    if design.dose:
        dosed = np.array([set(paths.dose(k)[1:]) != {1.0} for k in range(len(paths.components))])
        alone = np.where(dosed[np.minimum(columns.component, len(dosed) - 1)], DOSED[design.per].format(alone), alone)
    kinds = [f"{name.replace(' x ', ' only, ')} only, all of them, and none" for name in names]
    lacking = [f"this interaction needs rows of every kind: {kind}" for kind in kinds]
    why = np.where(panel.solution.span.free, "", TANGLED)
    labels = pd.DataFrame({
        "component": names, "outcome": outcome.column, "event_time": columns.event_time,
        "estimand": np.where(interaction, INTERACTION, alone).astype(object),
        "population": _COHORTS if design.saturated else _ALIKE,
        "outcome_unit": outcome.unit, "inference_level": level,
        "reason": np.where(moments.supported(panel, panel.mass), why, lacking).astype(object),
    })  # fmt: skip
    if design.saturated:
        labels["cohort"] = pd.Series(paths.periods).reindex(columns.cohort).to_numpy()
    return combined(panel, paths, level).estimate(labels)


def joint_panel(study: StudyLike, outcome: str | None, choices: Shape, by_reach: bool = True) -> moments.Panel:
    """A study's outcome on the columns of a joint regression, made once; columns that no row used has are left out.

    by_reach: period effects for each pattern of reach, or one set for everybody."""

    def make() -> moments.Panel:
        paths, values = study.paths, study.values(outcome)
        weights = np.ones(paths.n_units) if paths.weights is None else paths.weights
        columns = make_columns(paths, choices)
        columns = columns if by_reach else replace(columns, pattern=np.zeros_like(columns.pattern))
        whole = moments.Panel(values, paths.path, weights, columns)
        mass = whole.mass.reshape(columns.known.shape)
        kept = columns.keep(mass > 0)
        kept = kept.at_average_dose(mass) if choices.averages else kept
        return whole if kept.width == columns.width and not choices.averages else replace(whole, columns=kept)

    return once(study, outcome, ("joint panel", choices, by_reach), make)


def combined(panel: moments.Panel, paths: Paths, level: str, lift: np.ndarray | None = None) -> Combinations:
    """Sums `lift` (p, m) of a panel's coefficients; by default each coefficient."""
    return Combinations(panel, rows_of(paths), level, np.eye(panel.columns.width) if lift is None else lift)


@dataclass(frozen=True, eq=False)
class Combinations(moments.Lean):
    """m weighted sums of the coefficients of a panel; called, it refits them without each cluster.

    lift: (p, m) weight of each coefficient. level: where inference is clustered."""

    panel: moments.Panel
    rows: Rows
    level: str
    lift: np.ndarray

    @cached_property
    def parts(self) -> sparse.csr_matrix:
        """(p, m) one where a coefficient is part of a sum."""
        return sparse.csr_matrix((self.lift != 0).astype(float))

    def known(self, found: moments.Solution, lost: np.ndarray) -> np.ndarray:
        """(m,) sums that a solution identifies, none of whose coefficients is `lost` (p,)."""
        return np.asarray(found.span.identified(self.lift)) & (self.parts.T @ lost.astype(float) == 0)

    @cached_property
    def identified(self) -> np.ndarray:
        """(m,) sums that all rows identify."""
        return self.known(self.panel.solution, ~moments.supported(self.panel, self.panel.mass))

    @property
    def value(self) -> np.ndarray:
        """(m,) NaN where not identified."""
        return np.where(self.identified, self.panel.solution.beta @ self.lift, np.nan)

    @cached_property
    def lightest(self) -> np.ndarray:
        """(p, m) picks, for each sum, the coefficient with the fewest exposed rows: that many it speaks for."""
        out, mass = np.zeros_like(self.lift), self.panel.column_mass[:, None]
        out[np.where(self.lift != 0, mass, np.inf).argmin(axis=0), np.arange(self.lift.shape[1])] = 1.0
        return out

    def influence(self) -> tuple[Influence, Influence]:
        """Influence on the sums, and on their masses."""
        source, none = moments.JointSource(self.rows, self.panel), np.zeros_like(self.lift)
        on_value, on_mass = np.vstack([self.lift, none]), np.vstack([none, self.lightest])
        return Influence(((source, on_value),), self.level), Influence(((source, on_mass),), self.level)

    def estimate(self, labels: pd.DataFrame) -> Estimate:
        """The sums as an Estimate, with influence, arms and refits."""
        mass = self.panel.column_mass @ self.lightest
        return Estimate(self.value, mass, labels, *self.influence(), arms=self.arms, replicate=self)

    @cached_property
    def arms(self) -> Arms:
        """A cluster is exposed where it has every part of a sum, or any part of a difference; comparison where at
        the time all its components are off. Of doses, the lesser half is comparison: exposed are those of the mean
        dose or more. Refits count otherwise: see `__call__`."""
        panel, columns = self.panel, self.panel.columns
        less, mean = columns.matrix.copy(), columns.mean_dose(panel.mass.reshape(columns.known.shape))
        less.data = (less.data < (1 - _ALIKE_DOSES) * mean[less.indices]).astype(float)
        size, used = self._lines()
        exposed = ((used @ ((columns.matrix > 0).astype(float) - less)) > 0).astype(float) @ self.parts
        comparison = (used @ less @ self.parts).toarray() > 0
        enough = np.asarray(self.parts.sum(axis=0)).ravel() if self.lift.min(initial=0.0) >= 0 else 1.0
        members = np.zeros((columns.width, len(columns.names)))
        members[np.arange(columns.width), columns.component] = 1.0
        sets, of = np.unique(self.parts.T @ members > 0, axis=0, return_inverse=True)
        for s, mine in ((s, np.flatnonzero(of.ravel() == i)) for i, s in enumerate(sets)):
            off = np.asarray(columns.matrix[:, s[columns.component]].sum(axis=1)).ravel() == 0
            have = columns.matrix @ self.parts[:, mine]
            comparison[:, mine] |= moments.off_at_the_time(used, off, have, columns.known.shape[1])
        return Arms(exposed.toarray() >= enough, comparison, size)

    @property
    def _by_path(self) -> bool:
        """Whether lines of `arms` are paths, not clusters: each unit is one, and seen wherever its path may be used."""
        single = self.rows.single and len(self.rows.level(self.level)[1]) == len(self.panel.path)
        return self.panel.whole and single

    def _lines(self) -> tuple[np.ndarray, sparse.csr_matrix]:
        """Clusters in each line of `arms`, and (lines, P T) the rows that it uses."""
        codes, names = self.rows.level(self.level)
        if not self._by_path:
            return np.ones(len(names), dtype=int), self.panel.used(codes, len(names))
        known = self.panel.columns.known
        line, t = np.nonzero(known)
        used = sparse.csr_matrix((np.ones(len(t)), (line, line * known.shape[1] + t)), shape=(len(known), known.size))
        return np.bincount(self.panel.path, minlength=len(known)), used

    @one_thread()
    def __call__(self) -> Replicates:
        """Refits without each cluster. Every cluster shapes the period effects, and so every refit; each that is not
        exposed counts towards the spread as comparison, whether or not it is off at the time."""
        codes, names = self.rows.level(self.level)
        values, masses = np.full((len(names), self.lift.shape[1]), np.nan), np.zeros((len(names), self.lift.shape[1]))
        for c, (gone, size, found) in enumerate(moments.without_each(self.panel, codes, len(names))):
            known = self.known(found, (size <= 0) | ~moments.supported(self.panel, self.panel.mass - gone))
            values[c] = np.where(known, found.beta @ self.lift, np.nan)
            masses[c] = np.where(known, size @ self.lightest, 0.0)
        exposed = self.arms.exposed
        if self._by_path:
            exposed = exposed[self.panel.path[np.argsort(codes)]]
        return Replicates(names, self.level, values, masses, exposed, ~exposed)


@dataclass(frozen=True)
class JointCombination:
    """weights' (effects of members) at each event time, from one regression on all components.

    Where A is on exactly when B or C is, no single effect is identified, but A + B, A + C and B - C are: a
    combination is identified when every vector that leaves the fitted values alone leaves it alone too (Searle,
    Linear Models, 1971, section 5.4). Values do not depend on which solution of the normal equations is taken.
    Effects are assumed to add up and to be alike in every cohort, as in `JointEventStudy`.

    members, weights: as many of each. outcome: name of another outcome than the study's first.

    Raises `OptionError` unless members and weights go together and are not zero, and `NotIdentifiedError` where
    the members share no event time."""

    members: tuple[str, ...]
    weights: tuple[float, ...]
    outcome: str | None = None
    traits = Traits(frozenset(("parallel trends", "additivity")))

    def __post_init__(self) -> None:
        if len(self.members) != len(self.weights) or not self.members or not all(self.weights):
            raise OptionError("A combination needs a weight, other than zero, for each of its members.")

    def plan(self, paths: Paths, component: str) -> AdditiveDesign:
        """The regression it would run, from exposure paths alone."""
        return joint_plan(paths, programme_level(paths, self.members), Shape())

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """One row an event time that all members have; `component` is what the combination is called."""
        study = study.weighing(self.outcome)
        panel, level = joint_panel(study, self.outcome, Shape()), programme_level(study.paths, self.members)
        columns, index = panel.columns, [study.paths.index(c) for c in self.members]
        shared = [set(columns.event_time[columns.component == k].tolist()) for k in index]
        times = np.array(sorted(set.intersection(*shared)), dtype=int)
        if not len(times):
            raise NotIdentifiedError(f"The parts of {component!r} have no event time in common.")
        lift = np.zeros((columns.width, len(times)))
        for k, weight in zip(index, self.weights, strict=True):
            lift += weight * ((columns.component == k)[:, None] & (columns.event_time[:, None] == times))
        outcome, found = study.outcome(self.outcome), combined(panel, study.paths, level, lift)
        labels = pd.DataFrame({
            "component": component, "outcome": outcome.column, "event_time": times, "estimand": COMBINED,
            "population": _ALIKE, "outcome_unit": outcome.unit, "inference_level": level,
            "reason": np.where(found.identified, "", UNTOLD).astype(object),
        })  # fmt: skip
        return found.estimate(labels)


def growth_of_others(
    study: StudyLike, one: Estimate, component: str, outcome: str | None = None, cells: pd.DataFrame | None = None
) -> Estimate | None:
    """The part of `one`, a single weighted sum of cells, that other components' event times make up.

    The answer is sum of w (Y at t - mean Y over its base); put the event-time effects of the other components
    (from one regression on all, as in `JointEventStudy`) for Y. Comparing alike places (`others="same"`) takes
    out levels of others, not their growth where they began at different times. One row in the outcome's unit,
    clustered as `one` is; NaN with its reason where the regression does not identify the sum. None where every
    other component is of the same age on both sides, or off. cells: those of `one` as `over_base` gives them, where
    somebody has them."""
    labels = pd.DataFrame({"component": [component], "estimand": [GROWTH], "reason": [""]})
    unknown = np.zeros((1, 1))
    if one.cells is None:
        return Estimate.from_influence([np.nan], unknown, labels.assign(reason=CELLLESS))
    panel = joint_panel(study, outcome, Shape())
    paths, flat = study.paths, over_base(one.weights(), study.paths.periods) if cells is None else cells
    at = flat["path"].to_numpy() * paths.n_periods + flat["at"].to_numpy()
    often = np.bincount(at, weights=flat["weight"], minlength=paths.n_paths * paths.n_periods)
    lift = np.asarray(panel.columns.matrix.T @ often)  # `often`: (P T,) each path and period with its signed weight
    lift[panel.columns.component == paths.index(component)] = 0.0
    if np.abs(lift).max(initial=0.0) <= _ALIKE_AGES:
        return None
    found = combined(panel, paths, one.level, lift[:, None])
    if not found.identified[0]:
        return Estimate.from_influence([np.nan], unknown, labels.assign(reason=UNTOLD_GROWTH))
    return Estimate(found.value, np.ones(1), labels, found.influence()[0])
