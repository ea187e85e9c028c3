"""A staggered rollout on the logit or log scale: the same comparison, had places moved in proportion to where they
started instead of by the same amount.

Two groups that start at different levels cannot move alike both in points and in odds (Roth and Sant'Anna 2023,
Econometrica 91: 737-747): of a share that is 10% here and 50% there, the same five points are not the same step. This
design fits what places did without the component on the scale's own terms and says what it predicts for those exposed;
the answer is the difference between what was and what it predicts, in the outcome's own unit, so that it can stand
beside the answer in points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalkit.designs.noise.likelihood import SCALES
from evalkit.designs.noise.model import Groups
from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.least_noise import AGAIN, modelled
from evalkit.designs.rollout.plan import Plan, Rules, exposure_states, rollout_traits
from evalkit.designs.rollout.rows import Naming
from evalkit.designs.rollout.scaled_rows import ScaledRows
from evalkit.designs.rollout.staggered import OTHERS, StaggeredRollout, by_arrival, named
from evalkit.designs.rollout.triple import ALIKE as KINDS
from evalkit.designs.rollout.triple import BESIDE, TripleDifference
from evalkit.designs.threads import one_thread
from evalkit.errors import NotIdentifiedError, OptionError, check_choice
from evalkit.inference.estimate import Estimate
from evalkit.study import Outcome
from evalkit.study.paths import Paths

WORDS = {"identity": "by the same amount", "logit": "by the same odds", "log": "by the same proportion"}
OF_KIND = {"share": "logit", "count": "log", "rate": "log"}
"""The scale of an outcome, by its kind."""
RANGE = {"logit": (0.0, 1.0, "shares from 0 to 1"), "log": (0.0, np.inf, "counts and rates of 0 and more")}
ALIKE = "the two groups would have moved alike,"
KINDS_ALIKE = f"{KINDS},"
MOST_ALONE = 2_000
"""Units that are each a cluster above which those of one path share a level."""


def scale_of(outcome: Outcome, values: np.ndarray) -> str:
    """The scale on which an outcome is set beside its answer in points: logit for shares and for answers of yes and no,
    log for counts and rates; "" for what has none."""
    given = values[np.isfinite(values)] if outcome.kind == "score" else np.empty(0)
    yes_or_no = len(given) and bool(np.isin(given, (0, 1)).all())
    return "logit" if yes_or_no else OF_KIND.get(outcome.kind, "")


@dataclass(frozen=True)
class ScaledRollout(Rules, Parameters):
    """Group-time effects of one component, had its places moved alike on another scale.

    link(E[Y_it without k]) = level of i's cell + steps of period t among those whose others do the same;
    ATT_k(g, t) = mean over adopters of (Y_it - what that predicts), over the adopters, periods, and strata of others of
    `StaggeredRollout` under the same rules; weights are the adopters. Periods before exposure of all serve, as in the
    pooled regressions of Wooldridge (2023), Econometrics Journal 26: C31-C66, with a level for each place and path
    instead of each cohort; units that are each a cluster and say yes or no share the level of their path.

    scale: "logit" (binomial likelihood, for shares), "log" (Poisson, for counts and rates) or "identity" (least
        squares, to set beside either). Standard errors are by the clusters of `StaggeredRollout`, and hold whatever the
        outcome's variance is.
    outcome, arrival, and the rules: as there; rows before the start are not estimated.
    ineligible: whether people whom the component cannot reach stand beside those of their place, as in
        `TripleDifference`: the gap between the two kinds would have moved alike in all places, on the scale.

    Calling raises `NotIdentifiedError` where no unit starts, where an outcome is outside the scale's range, where those
    who start had recorded nothing (or everything) before, where the likelihood does not settle, and, of the ineligible,
    where no place holds both.
    """

    scale: str = "logit"
    outcome: str | None = None
    arrival: int | None = None
    ineligible: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("scale", self.scale, SCALES)
        if self.adjust is not None or self.comparison != "not_yet":
            raise OptionError("Another scale takes no adjust=, and compares with those not yet exposed.")
        if self.ineligible and self.arrival is not None:
            raise OptionError("arrival= is for comparisons of places; people beside the ineligible are not told apart.")

    @property
    def traits(self) -> Traits:
        """What its answers rest on."""
        return rollout_traits(self.others, "kinds alike" if self.ineligible else "parallel trends")

    @property
    def _plain(self) -> StaggeredRollout | TripleDifference:
        """The same comparison in points."""
        own = {name: getattr(self, name) for name in Rules.__dataclass_fields__}
        if self.ineligible:
            return TripleDifference(**own, outcome=self.outcome)
        return StaggeredRollout(**own, outcome=self.outcome, arrival=self.arrival)

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every start of the component with its matches; sees no outcome."""
        return self._plain.plan(paths, component)

    @one_thread()
    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Estimate every (cohort, period) from the start on of `component`; rows without an answer say why."""
        study = study.weighing(self.outcome)
        outcome, split = study.outcome(self.outcome), by_arrival(study.paths, self.arrival)
        alike, population = ALIKE, f"adopters with a match among {OTHERS[self.others]}"
        if self.ineligible:
            alike, population = KINDS_ALIKE, BESIDE
        naming = Naming(component, outcome.column, outcome.unit, population, assumption=f"{alike} {WORDS[self.scale]}")
        return named(split, self._rows(study, component).estimate(naming))

    @one_thread()
    def less_points(self, study: StudyLike, component: str, lag: int = 0, until: int | None = None) -> Estimate:
        """One row: its answer over event times lag .. until less that of the same comparison in points, by the same
        weights: what is due to the scale alone. Raises as calling it does."""
        made = self._rows(study, component)
        cohort, period = np.divmod(made.rows, study.paths.n_periods)
        event = period - made.contrast.cohorts[cohort]
        inside = (event >= lag) & (event <= (np.inf if until is None else until))
        if not inside.any():
            raise NotIdentifiedError("No period in the claimed window could be compared.")
        made = replace(made, rows=made.rows[inside], pooled=True)
        return made.less(replace(made, scale="identity"))

    def _rows(self, study: StudyLike, component: str) -> ScaledRows:
        study = study.weighing(self.outcome)
        plan = self.plan(study.paths, component)
        if not len(plan):
            raise NotIdentifiedError(f"No unit starts {component!r} after a period without it, with a base before it.")
        split = by_arrival(study.paths, self.arrival)
        states = exposure_states(split.paths, component, self.others, split.kind)
        contrast = self._plain.contrast(study, component)
        low, high, words = RANGE.get(self.scale, (-np.inf, np.inf, ""))
        values = contrast.reader.sums.values
        if (odd := np.isfinite(values) & ((values < low) | (values > high))).any():
            raise NotIdentifiedError(
                f"The {self.scale} scale is for {words}. {int(odd.sum())} values lie outside; one is {values[odd][0]:g}"
            )
        contrast, groups = _grouped(contrast)
        rows = np.flatnonzero(modelled(contrast, states).ravel())
        if not len(rows):
            raise NotIdentifiedError(AGAIN.removeprefix("equal: "))
        return ScaledRows(self.scale, self.rules, contrast, groups, states, rows)


def _grouped(contrast: Contrast) -> tuple[Contrast, Groups]:
    """The groups that share a level: cells of a cluster and a path. Where every unit is a cluster, each is one, but for
    answers of yes and no, and for very many, of which all of one path and one pattern of rows share it."""
    groups = Groups.of_sums(contrast.reader.sums)
    values = contrast.reader.sums.values
    if not groups.lone or len(values) > MOST_ALONE or np.isin(values[np.isfinite(values)], (0, 1)).all():
        return contrast, groups
    contrast = contrast.by_cell()
    sums = contrast.reader.sums
    return contrast, Groups(sums.of, sums.path, sums.cluster, np.arange(len(sums.path)), lone=False)
