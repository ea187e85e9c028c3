"""Difference-in-differences: two groups, two windows of periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import StudyLike, Traits
from evalkit.designs.regression.additive import spell_ages
from evalkit.designs.rollout.adjusted import adjusted_estimate, read_covariates
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.cross_sections import check_compare
from evalkit.designs.rollout.plan import (
    Comparison,
    ExposureStates,
    Plan,
    Rules,
    people_in_clusters,
    rollout_traits,
)
from evalkit.designs.rollout.readers import CrossSections, Within
from evalkit.designs.rollout.rows import Naming, assemble
from evalkit.designs.rollout.staggered import OTHERS
from evalkit.designs.rollout.starts import make_plan
from evalkit.designs.rollout.sums import Sums
from evalkit.errors import NotIdentifiedError, OptionError, spelt
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import OFF, Paths


@dataclass(frozen=True)
class Windows:
    """Two windows of positions, both ends inclusive: before = (first, last), after likewise."""

    before: tuple[int, int]
    after: tuple[int, int]

    def name(self, periods: np.ndarray, which: int) -> object:
        """The period of a window, or "first to last"."""
        low, high = (self.before, self.after)[which]
        return periods[low] if low == high else f"{periods[low]} to {periods[high]}"


def find_windows(paths: Paths, component: str, before: object, after: object) -> Windows:
    early, late = (None if w is None else _window(paths, name, w) for name, w in (("before", before), ("after", after)))
    if early is None or late is None:
        k = paths.index(component)
        state = paths.state[paths.reach[:, k], :, k]
        begin = spell_ages(state > 0, state == OFF)[0] & np.maximum.accumulate(state == OFF, axis=1)
        starts = np.flatnonzero(begin.any(axis=0))
        if not len(starts):
            raise NotIdentifiedError(
                f"No unit starts {component!r} after a period without it, so there are no windows."
            )
        start = int(starts[0])
        early = early or (0, (start if late is None else min(start, late[0])) - 1)
        late = late or (max(start, early[1] + 1), paths.n_periods - 1)
    if early[1] < early[0] or late[1] < late[0] or late[0] <= early[1]:
        raise OptionError(
            f"before={spelt(before)} and after={spelt(after)} leave no window before the other. Choose others."
        )
    return Windows(early, late)


def _window(paths: Paths, name: str, given: object) -> tuple[int, int]:
    ends = given if isinstance(given, (tuple, list)) else (given, given)
    if len(ends) != 2:
        raise OptionError(f"{name}={spelt(given)} is not a window. Use a period, or (first, last).")
    known = {_key(p, paths.periods): i for i, p in enumerate(paths.periods)}
    lost = [e for e in ends if _key(e, paths.periods) not in known]
    if lost:
        raise OptionError(
            f"{name}={spelt(given)}: there is no period {spelt(lost[0])}. "
            f"The panel has {paths.periods[0]} to {paths.periods[-1]}."
        )
    low, high = (known[_key(e, paths.periods)] for e in ends)
    if low > high:
        raise OptionError(f"{name}={spelt(given)} ends before it begins. Use (first, last).")
    return low, high


def _key(period: object, periods: np.ndarray) -> str:
    """A period as text, dates in any of their forms alike."""
    return str(pd.to_datetime(period, errors="coerce")) if periods.dtype.kind == "M" else str(period)


def two_paths(paths: Paths, component: str, windows: Windows, states: ExposureStates) -> Paths:
    """The paths with two periods, the windows; only the component itself has states."""
    state = np.zeros((paths.n_paths, 2, len(paths.components)), dtype=np.int16)
    state[:, :, paths.index(component)] = np.where(states.on, 1, np.where(states.off, OFF, -1))
    names = [windows.name(paths.periods, which) for which in (0, 1)]
    plain = windows.before[0] == windows.before[1] and windows.after[0] == windows.after[1]
    periods = paths.periods[[windows.before[0], windows.after[0]]] if plain else np.array(names, dtype=object)
    return replace(paths, periods=periods, state=state, seen=None)


def window_sums(paths: Paths, level: str, y: np.ndarray, windows: Windows, paired: bool = True) -> Sums:
    """Sums of means (n, 2) of outcomes (n, T) in two windows, which are the periods of `paths`; or of pairs of periods
    where somebody was not seen throughout both, if paired: where units are set against themselves."""
    blocks = tuple(y[:, low : high + 1] for low, high in (windows.before, windows.after))
    seen = [np.isfinite(b) for b in blocks]
    count = [s.sum(axis=1) for s in seen]
    total = [np.where(s, b, 0.0).sum(axis=1) for b, s in zip(blocks, seen, strict=True)]
    means = np.column_stack([np.where(n > 0, t / np.maximum(n, 1), np.nan) for t, n in zip(total, count, strict=True)])
    if not paired or all(s.all() for s in seen) or all(b.shape[1] == 1 for b in blocks):
        return Sums(paths, level, means)
    return PairedSums(paths, level, means, blocks=blocks)


@dataclass(frozen=True, eq=False)
class PairedSums(Sums):
    """Sums of two windows with missing rows, read a pair of periods at a time, one of each window, among the units
    seen in both: what a period does to everybody cancels. blocks: outcomes (n, periods) before and after.

    A unit is divided among its pairs, so that adopters count once. Positions 0 and 1 are the windows.
    """

    blocks: tuple[np.ndarray, ...] = ()

    @property
    def balanced(self) -> bool:
        return False

    def parts(self, c: Comparison) -> tuple[Comparison, ...]:
        """A comparison for each pair of periods."""
        pairs = self.blocks[0].shape[1] * self.blocks[1].shape[1]
        return tuple(replace(c, parent=c, part=i) for i in range(pairs))

    def changes(
        self, units: np.ndarray, c: Comparison, periods: slice | np.ndarray = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        if c.parent is None:
            return super().changes(units, c, periods)
        early, late = np.divmod(c.part, self.blocks[1].shape[1])
        y = self.blocks[1][units, late] - self.blocks[0][units, early]
        seen = np.isfinite(y) if self.usable is None else np.isfinite(y) & self.usable[units, 0]
        both = seen[:, None] & (c.base[periods] >= 0)
        return np.where(both, y[:, None], 0.0), both

    def share(self, units: np.ndarray, c: Comparison, periods: slice | np.ndarray = slice(None)) -> np.ndarray:
        """(m, T) one over the pairs of periods in which each unit was seen."""
        early, late = (np.isfinite(block[units]).sum(axis=1) for block in self.blocks)
        each = np.ones(len(units)) if c.parent is None else 1.0 / np.maximum(early * late, 1)
        return np.repeat(each[:, None], len(c.base[periods]), axis=1)

    def read(self, cs: Sequence[Comparison]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        column, both = np.zeros((len(cs), 2), dtype=np.intp), np.zeros((2, 1 + len(cs), len(self.path)))
        column[:, 1] = np.arange(1, len(cs) + 1)
        for i, c in enumerate(cs, 1):
            change, seen = self.changes(np.arange(len(self.values)), c, slice(1, 2))
            mass = np.where(seen, self.weights[:, None], 0.0)
            both[:, i] = self.group(np.hstack([mass, mass * change])).T
        return column, both[0].T, both[1].T


@dataclass(frozen=True)
class DifferenceInDifferences(Parameters):
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
    compare: "within" each unit against itself; "cross_sections" whoever was there, each unit by its mean in a window.
    outcome: name of another outcome than the study's first.

    Raises `OptionError` for windows that overlap or are not in the panel, `NotIdentifiedError` when nobody
    is off before and on after.
    """

    before: object = None
    after: object = None
    comparison: str = "not_yet"
    others: str = "same"
    adjust: str | None = None
    outcome: str | None = None
    compare: str = "within"

    def __post_init__(self) -> None:
        Rules(self.comparison, self.others, self.adjust)  # an impossible option is refused when the design is made
        check_compare(self.compare, self.adjust)

    @property
    def traits(self) -> Traits:
        """What its answers rest on under these options, and the checks that they invite."""
        return rollout_traits(self.others, "parallel trends")

    def plan(self, paths: Paths, component: str) -> Plan:
        """The comparison it would make; positions 0 and 1 are the windows before and after."""
        return self._plan(paths, component, find_windows(paths, component, self.before, self.after))[0]

    def _plan(self, paths: Paths, component: str, windows: Windows) -> tuple[Plan, ExposureStates]:
        rules = Rules(self.comparison, self.others)
        states = _states(paths, component, windows, rules)
        return make_plan(states, rules), states

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """One row: the effect of `component` on those who had it throughout `after`."""
        study = study.weighing(self.outcome)
        paths = study.paths
        windows = find_windows(paths, component, self.before, self.after)
        plan, states = self._plan(paths, component, windows)
        if not len(plan):
            raise NotIdentifiedError(
                f"No unit has {component!r} off throughout {windows.name(paths.periods, 0)} and on throughout "
                f"{windows.name(paths.periods, 1)}, so there is no change to compare. Choose other windows."
            )
        level, _ = paths.inference_level(component)
        crossed, both = self.compare == "cross_sections", two_paths(paths, component, windows, states)
        sums = window_sums(both, level, study.values(self.outcome), windows, paired=not crossed)
        outcome, population = study.outcome(self.outcome), f"adopters with a match among {OTHERS[self.others]}"
        naming = Naming(component, outcome.column, outcome.unit, population, estimand="ATT")
        if self.adjust is None:
            found = assemble(Contrast(plan, CrossSections(sums.split()) if crossed else Within(sums)), naming)
        else:
            found = adjusted_estimate(plan, read_covariates(study, windows.before), sums, self.adjust, naming)
        neither = states.reach & ~(states.off[:, 0] & (states.on[:, 1] | states.off[:, 1]))
        return found.with_labels(units_outside=int(paths.people[neither[paths.path]].sum()))


def _states(paths: Paths, component: str, windows: Windows, rules: Rules) -> ExposureStates:
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
    return ExposureStates(component, two_on, two_off, reach, code, *people_in_clusters(paths, level))


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
