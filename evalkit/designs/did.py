"""Difference-in-differences: two groups, two windows of periods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evalkit.designs.adjust import ADJUSTMENTS
from evalkit.designs.adjust.adjusted import adjusted_estimate
from evalkit.designs.arena import Arena, incidence
from evalkit.designs.contrast import Contrast
from evalkit.designs.plan import Plan, Rules, make_plan
from evalkit.designs.protocol import StudyLike
from evalkit.designs.readers import Within
from evalkit.designs.rollout import Naming, assemble
from evalkit.designs.staggered import OTHERS
from evalkit.designs.windows import TwoWindows, Windows, find_windows, two_paths
from evalkit.errors import NotIdentifiedError, check_choice
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import OFF, Paths


@dataclass(frozen=True)
class DifferenceInDifferences:
    """Change of the adopters from one window to another, less that of the comparison units.

    ATT = E[mean of Y after - mean of Y before | adopters] - E[the same | comparison units], within strata
    of the other components' paths, averaged with the adopters' weights. A unit needs to be seen once in each
    window; where some are not seen throughout, pairs of periods, one of each window, are compared among the
    units seen in both, and averaged so that each adopter counts once. Adopters are off throughout `before`
    and on throughout `after`; comparison units are never touched up to the end of `after`. Units that are
    neither (on for part of a window) are left out and counted in the label `units_outside`. With two periods
    and one cohort it is `StaggeredRollout`.

    before, after: a period, or (first, last), inclusive. Default: every period before the first start, and
        every period from then on.
    comparison: "not_yet" exposed by the end of `after`, or "never" in the panel.
    others: "same" path of every other component from the beginning of `before` to the end of `after`;
        "unchanged" others on both sides; "ignored".
    adjust: None, or "reg", "ipw" or "dr" for covariates as last seen in `before` (Sant'Anna and Zhao 2020).
    outcome: name of another outcome than the study's first.

    Raises `OptionError` for windows that overlap or are not in the panel, `NotIdentifiedError` when nobody
    is off before and on after.
    """

    before: Any = None
    after: Any = None
    comparison: str = "not_yet"
    others: str = "same"
    adjust: str | None = None
    outcome: str | None = None

    def __post_init__(self) -> None:
        self.rules  # noqa: B018 - an impossible option is refused when the design is made
        check_choice("adjust", self.adjust, ADJUSTMENTS)

    @property
    def rules(self) -> Rules:
        return Rules(self.comparison, self.others)

    def plan(self, paths: Paths, component: str) -> Plan:
        """The comparison it would make; positions 0 and 1 are the windows before and after."""
        return make_plan(_arena(paths, component, self._windows(paths, component), self.rules), self.rules)

    def _windows(self, paths: Paths, component: str) -> Windows:
        return find_windows(paths, component, self.before, self.after)

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """One row: the effect of `component` on those who had it throughout `after`."""
        windows = self._windows(study.paths, component)
        stage = _arena(study.paths, component, windows, self.rules)
        plan = make_plan(stage, self.rules)
        if not len(plan):
            raise NotIdentifiedError(
                f"No unit has {component!r} off throughout {windows.name(study.paths.periods, 0)} and on throughout "
                f"{windows.name(study.paths.periods, 1)}, so there is no change to compare. Choose other windows."
            )
        level, _ = study.paths.inference_level(component)
        view = TwoWindows(study, windows, two_paths(study.paths, component, windows, stage))
        sums, outcome = view.sums(level, self.outcome), study.outcome(self.outcome)
        population = f"adopters with a match among {OTHERS[self.others]}"
        naming = Naming(component, outcome.column, outcome.unit, population, estimand="ATT")
        if self.adjust is None:
            found = assemble(Contrast(plan, Within(sums)), naming)
        else:
            found = adjusted_estimate(plan, view, sums, self.adjust, naming)
        neither = stage.reach & ~(stage.off[:, 0] & (stage.on[:, 1] | stage.off[:, 1]))
        return replace(found, labels=found.labels.assign(units_outside=int(neither[study.paths.path].sum())))


def _arena(paths: Paths, component: str, windows: Windows, rules: Rules) -> Arena:
    """What the plan is made from: each window as one period."""
    k = paths.index(component)
    state, reach = paths.state[:, :, k], paths.reach[:, k]
    (b0, b1), (a0, a1) = windows.before, windows.after
    on, off = state > 0, state == OFF
    clear = off if rules.comparison == "never" else off[:, : a1 + 1]
    two_on = np.column_stack([on[:, b0 : b1 + 1].all(axis=1), on[:, a0 : a1 + 1].all(axis=1)]) & reach[:, None]
    two_off = np.column_stack([off[:, b0 : b1 + 1].all(axis=1), clear.all(axis=1)])
    level, _ = paths.inference_level(component)
    code = _others(paths, component, windows, rules.others)
    return Arena(component, two_on, two_off, reach, code, *incidence(paths, level))


def _others(paths: Paths, component: str, windows: Windows, kind: str) -> np.ndarray:
    """(P, 2) codes of the others' path over `before`, and from there to the end of `after`."""
    if kind == "ignored":
        return np.zeros((paths.n_paths, 2), dtype=np.int64)
    code = paths.others(component)[:, windows.before[0] : windows.after[1] + 1]
    unknown = np.asarray((code < 0).any(axis=1))
    length = windows.before[1] - windows.before[0] + 1
    if kind == "unchanged":
        moves = (code != code[:, :1]).any(axis=1)
        out = np.column_stack([np.zeros(len(code), dtype=np.int64), moves.astype(np.int64)])
    else:
        parts = (np.unique(c, axis=0, return_inverse=True)[1] for c in (code[:, :length], code[:, length:]))
        out = np.column_stack([p.reshape(-1) for p in parts])
    return np.where(unknown[:, None], -1, out)
