"""Joint event study: one regression on all components, right only if effects add up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.regression.additive import AdditiveDesign, make_grid
from evalkit.designs.regression.columns import Shape, interaction_name, make_columns
from evalkit.designs.regression.imputation import programme_level
from evalkit.designs.regression.moments import Panel, off_at_the_time, refits, supported
from evalkit.designs.regression.source import JointSource
from evalkit.designs.rollout.rows import rows_of
from evalkit.errors import NotIdentifiedError, OptionError, check_choice
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import Influence
from evalkit.study.paths import Paths

_ALIKE_DOSES = 1e-9
_FITS: WeakKeyDictionary = WeakKeyDictionary()
_ALIKE = "everyone exposed, if effects add up"
_COHORTS = "everyone exposed, if effects of components add up; cohorts may differ"
ADDED, LEVEL = "additive effect by event time", "additive effect while on"
DOSED = {
    "unit": "{0} for one unit of dose, if in proportion to it",
    "average": "{0} of the dose as given on average, if in proportion to it",
}
INTERACTION = "interaction: effect beyond the sum while all are on"
TANGLED = "the regression cannot tell this event time from other components, places and periods"


@dataclass(frozen=True)
class JointEventStudy:
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

    Calling with a component, or with an interaction's name, gives its rows. Raises `OptionError` for
    impossible choices and `NotIdentifiedError` when the component never varies.
    """

    window: tuple[int, int] | None = None
    interactions: tuple[tuple[str, ...], ...] = ()
    saturated: bool = False
    shape: str = "event_time"
    dose: bool = False
    per: str = "unit"
    outcome: str | None = None

    def __post_init__(self) -> None:
        check_choice("shape", self.shape, ("event_time", "level"))
        check_choice("dose", self.dose, (False, True))
        check_choice("per", self.per, tuple(DOSED))
        object.__setattr__(self, "interactions", tuple(tuple(i) for i in _listed(self.interactions)))
        bad = [i for i in self.interactions if len(set(i)) < 2 or len(set(i)) < len(i)]
        if bad:
            raise OptionError(f"interactions={bad[0]!r} is not an interaction. Name two components or more, each once.")
        if self.saturated and self.shape == "level":
            raise OptionError("saturated=True needs shape='event_time': cohorts are told apart by event time.")
        if self.dose and self.interactions:
            raise OptionError(
                "dose=True needs interactions=(): whether doses do more together is not linear in either."
            )
        self._choices.times  # noqa: B018 - an impossible window is refused when the design is made

    @property
    def _choices(self) -> Shape:
        return Shape(self.window, self.interactions, self.saturated, self.shape, self.dose, self.per)

    @property
    def traits(self) -> Traits:
        """What its answers rest on, and the checks that they invite."""
        if self.dose:
            arms = ("with more of it", "with less or without it")
            return Traits(frozenset({"additivity", "dose"}), arms, ("pre_trend_by_leads",))
        return Traits(frozenset({"additivity"}), checks=("pre_trend_by_leads",))

    def plan(self, paths: Paths, component: str) -> AdditiveDesign:
        """The regression it would run, from exposure paths alone."""
        grid = make_grid(paths, self._level(paths, component))
        columns = make_columns(paths, self._choices)
        there, weight = np.zeros(columns.known.shape, dtype=bool), np.zeros(columns.known.shape)
        there[grid.path[grid.group], grid.period] = True
        np.add.at(weight, (grid.path[grid.group], grid.period), grid.weight[grid.group])
        columns = columns.keep(there & columns.known)
        return (columns.at_average_dose(weight) if self._choices.averages else columns).on_grid(paths, grid)

    def _level(self, paths: Paths, component: str) -> str:
        for members in self.interactions:
            if component == interaction_name(members):
                return programme_level(paths, members)
        paths.index(component)
        return paths.inference_level(component)[0]

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Event-time effects of `component`, from the regression on all of them."""
        whole = self.fit(study, self._level(study.paths, component))
        mine = np.flatnonzero(whole.labels["component"].to_numpy() == component)
        if not len(mine):
            raise NotIdentifiedError(f"{component!r} is never on, or on throughout, wherever it could be compared.")
        found = whole.select(mine)
        cohorts = self.saturated and (found.labels["estimand"] != INTERACTION).all()
        return found.aggregate("event_time") if cohorts else found

    def fit(self, study: StudyLike, level: str) -> Estimate:
        """All rows with their joint covariance, clustered at `level`; by cohort where saturated."""
        made = _FITS.setdefault(study, {})
        if (self, level) not in made:
            made[self, level] = _estimate(self, study, level)
        return made[self, level]


def _listed(given: object) -> tuple:
    """The interactions as given; `OptionError` unless they are sets of names."""
    fine = isinstance(given, (tuple, list)) and all(
        isinstance(i, (tuple, list)) and all(isinstance(m, str) for m in i) for i in given
    )
    if not fine or not isinstance(given, (tuple, list)):
        raise OptionError(f"interactions={given!r} is not a choice. Use sets of components such as (('a', 'b'),).")
    return tuple(given)


def _estimate(design: JointEventStudy, study: StudyLike, level: str) -> Estimate:
    panel = make_panel(study, design.outcome, design._choices)
    if not panel.columns.width:
        raise NotIdentifiedError("No component is on in a row with an outcome, so that the regression has no columns.")
    columns, found = panel.columns, panel.solution
    kinds = supported(panel, panel.mass)
    names = np.array(columns.names, dtype=object)[columns.component]
    outcome, interaction = study.outcome(design.outcome), columns.component >= len(study.paths.components)
    alone = ADDED if design.shape == "event_time" else LEVEL
    if design.dose:
        dosed = np.array([set(study.paths.dose(k)[1:]) != {1.0} for k in range(len(study.paths.components))])
        alone = np.where(dosed[np.minimum(columns.component, len(dosed) - 1)], DOSED[design.per].format(alone), alone)
    labels = pd.DataFrame({
        "component": names, "outcome": outcome.column, "event_time": columns.event_time,
        "estimand": np.where(interaction, INTERACTION, alone).astype(object),
        "population": _COHORTS if design.saturated else _ALIKE,
        "outcome_unit": outcome.unit, "inference_level": level,
        "reason": np.where(kinds, np.where(found.free, "", TANGLED), [_lacking(n) for n in names]).astype(object),
    })  # fmt: skip
    if design.saturated:
        periods = pd.Series(study.paths.periods)
        labels["cohort"] = periods.reindex(columns.cohort).to_numpy()
    return as_estimate(panel, study.paths, level, labels)


def _lacking(name: str) -> str:
    one = " only, ".join(name.split(" x "))
    return f"this interaction needs rows of every kind: {one} only, all of them, and none"


def make_panel(study: StudyLike, outcome: str | None, choices: Shape, by_reach: bool = True) -> Panel:
    """A study's outcome on the columns of a joint regression; columns that no row used has are left out.

    by_reach: period effects for each pattern of reach, or one set for everybody.
    """
    paths, values = study.paths, study.values(outcome)
    weights = np.ones(paths.n_units) if paths.weights is None else paths.weights
    columns = make_columns(paths, choices)
    if not by_reach:
        columns = replace(columns, pattern=np.zeros_like(columns.pattern))
    whole = Panel(values, paths.path, weights, columns)
    mass = whole.mass.reshape(columns.known.shape)
    kept = columns.keep(mass > 0)
    if choices.averages:
        return Panel(values, paths.path, weights, kept.at_average_dose(mass))
    return whole if kept.width == columns.width else Panel(values, paths.path, weights, kept)


def as_estimate(panel: Panel, paths: Paths, level: str, labels: pd.DataFrame) -> Estimate:
    """Coefficients as an Estimate: unit contributions, arms, refits."""
    p, found = panel.columns.width, panel.solution
    source, eye = JointSource(rows_of(paths), panel), np.eye(2 * p)
    value = np.where(found.free & supported(panel, panel.mass), found.beta, np.nan)
    arms = _arms(panel, paths, level)
    return Estimate(
        value=value, mass=panel.column_mass.copy(), labels=labels,
        value_parts=Influence(((source, eye[:, :p]),), level),
        mass_parts=Influence(((source, eye[:, p:]),), level),
        arms=arms, replicate=partial(_replicates, panel, paths, level, arms),
    )  # fmt: skip


def _arms(panel: Panel, paths: Paths, level: str) -> Arms:
    """A cluster is exposed in a row where it has that event time; comparison where the component is off in it while
    somebody has that event time. Of doses, the lesser half is comparison: exposed are those of the mean dose or more.
    Refits count otherwise: see `_replicates`."""
    codes, clusters = paths.levels[level].codes, len(paths.levels[level].names)
    columns, T = panel.columns, panel.columns.known.shape[1]
    if panel.whole and clusters == paths.n_units:
        n, size = len(columns.known), np.bincount(panel.path, minlength=len(columns.known))
        line, t = np.nonzero(columns.known)
        used = sparse.csr_matrix((np.ones(len(t)), (line, line * T + t)), shape=(n, columns.matrix.shape[0]))
    else:
        size, used = np.ones(clusters, dtype=int), panel.used(codes, clusters)
    less = columns.matrix.copy()
    mean = columns.mean_dose(panel.mass.reshape(columns.known.shape))
    less.data = (less.data < (1 - _ALIKE_DOSES) * mean[less.indices]).astype(float)
    exposed = (used @ ((columns.matrix > 0).astype(float) - less)).toarray() > 0
    comparison = (used @ less).toarray() > 0
    for k in np.unique(columns.component):
        mine = np.flatnonzero(columns.component == k)
        off = np.asarray(columns.matrix[:, mine].sum(axis=1)).ravel() == 0
        comparison[:, mine] |= off_at_the_time(used, off, columns.matrix[:, mine], T)
    return Arms(exposed, comparison, size)


def _replicates(panel: Panel, paths: Paths, level: str, arms: Arms) -> Replicates:
    """Refits without each cluster. Every cluster shapes the period effects, and so every refit; each that is not
    exposed counts towards the spread as comparison, whether or not it is off at the time."""
    codes, names = paths.levels[level].codes, paths.levels[level].names
    beta, left = refits(panel, codes, len(names))
    exposed = arms.exposed
    if len(exposed) != len(names) or (arms.size != 1).any():
        exposed = np.zeros((len(names), exposed.shape[1]), dtype=bool)
        exposed[codes] = arms.exposed[panel.path]
    return Replicates(names, level, beta, np.where(np.isnan(beta), 0.0, left), exposed, ~exposed)
