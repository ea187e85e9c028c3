"""What happens when a component is taken away, and what is left of it afterwards.

Both are rollouts of other exposures made of the same paths. What is *withdrawn* starts when it is switched off: places
that give it up beside those that stay as they are, with it or without it, as switchers out are compared in de
Chaisemartin and D'Haultfoeuille (2020), American Economic Review 110. What is *carried over* also starts then, but its
base lies before the component first began: places that had it beside those that never had, or not yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import StudyLike, Traits, View
from evalkit.designs.rollout.plan import Plan, rollout_traits
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.errors import NotIdentifiedError
from evalkit.inference.estimate import Estimate
from evalkit.study.paths import OFF, Paths

PART = np.int16(-1)
BEGUN = "{} has begun"


@dataclass(frozen=True)
class Withdrawn(Parameters):
    """What happens when a component is taken away, by period of its end and period since.

    Places that switch it off, against their own last periods with it, beside places that neither begin nor end it in
    that time and whose other components stand still. Of each place only its first spell counts. The negative of an
    effect where all of it goes with the component; nothing where it stays.

    base_window: periods with the component whose mean is the base. horizon: last period since the end that is
    estimated. outcome: name of another outcome than the study's first.

    Raises `NotIdentifiedError` where no place gives it up beside one that stays as it is.
    """

    base_window: int = 1
    horizon: int | None = None
    outcome: str | None = None

    @property
    def traits(self) -> Traits:
        """What its answers rest on."""
        return rollout_traits("unchanged", "parallel trends")

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every end of the component with its matches."""
        return self._design.plan(withdrawn_paths(paths, component), component)

    @property
    def _design(self) -> StaggeredRollout:
        return StaggeredRollout(
            others="unchanged", base_window=self.base_window, horizon=self.horizon, outcome=self.outcome
        )

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Rows by the first period without it (`cohort`) and period."""
        return _read(self._design, View(study, withdrawn_paths(study.paths, component)), component, "withdrawn(g,t)")


@dataclass(frozen=True)
class CarriedOver(Parameters):
    """What is left of a component's effect after it was switched off, by period of its end and period since.

    Places in the periods after their first spell, against the periods before it, beside places that had not begun, as
    `StaggeredRollout` compares them; nothing where the effect ends with the component.

    others, base_window, horizon, outcome: as in `StaggeredRollout`. Raises `NotIdentifiedError` where no place ends it
    beside one that has not begun.
    """

    others: str = "same"
    base_window: int = 1
    horizon: int | None = None
    outcome: str | None = None

    @property
    def traits(self) -> Traits:
        """What its answers rest on."""
        return rollout_traits(self.others, "parallel trends")

    def plan(self, paths: Paths, component: str) -> Plan:
        """Every end of the component with its matches."""
        return self._design.plan(after_paths(paths, component), component)

    @property
    def _design(self) -> StaggeredRollout:
        return StaggeredRollout(
            others=self.others, base_window=self.base_window, horizon=self.horizon, outcome=self.outcome
        )

    def __call__(self, study: StudyLike, component: str) -> Estimate:
        """Rows by the first period without it (`cohort`) and period."""
        return _read(self._design, View(study, after_paths(study.paths, component)), component, "carried over(g,t)")


def ends(paths: Paths, component: str) -> np.ndarray:
    """(P,) paths on which the component is switched off in the panel."""
    on, off = _own(paths, component)
    return np.asarray((off[:, 1:] & (np.cumsum(on, axis=1)[:, :-1] > 0)).any(axis=1))


def after_paths(paths: Paths, component: str) -> Paths:
    """The paths with a component that is on after its first spell: off before it began, neither while it was on, and
    neither from when it began again."""
    before, _, after = _phases(paths, component)
    return paths.memo.get(("carried over", component), lambda: _with_state(paths, component, before, after))


def withdrawn_paths(paths: Paths, component: str) -> Paths:
    """The paths with a component that is on after its first spell and off before and during it, and with another that
    is on from when it began: neither may change where ends are compared."""
    return paths.memo.get(("withdrawn", component), lambda: _withdrawn(paths, component))


def _own(paths: Paths, component: str) -> tuple[np.ndarray, np.ndarray]:
    k = paths.index(component)
    return (paths.state[:, :, k] > 0) & paths.reach[:, [k]], paths.state[:, :, k] == OFF


def _phases(paths: Paths, component: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, T) before it first began, plainly on in its first spell, and plainly off after that and before another."""
    on, off = _own(paths, component)
    before = np.logical_and.accumulate(off, axis=1)
    ended = np.logical_or.accumulate(off & (np.cumsum(on, axis=1) > 0), axis=1)
    again = np.logical_or.accumulate(ended & ~off, axis=1)
    return before, on & ~ended, ended & ~again


def _with_state(paths: Paths, component: str, before: np.ndarray, after: np.ndarray) -> Paths:
    k = paths.index(component)
    state = paths.state.copy()
    state[:, :, k] = np.select([before, after], [OFF, 1], PART)
    doses = tuple((1.0,) if j == k else d for j, d in enumerate(paths.doses))
    return replace(paths, state=state, doses=doses)


def _withdrawn(paths: Paths, component: str) -> Paths:
    before, during, after = _phases(paths, component)
    made, k = _with_state(paths, component, before | during, after), paths.index(component)
    begun = np.where(before, OFF, np.int16(1))[:, :, None]
    name = BEGUN.format(component)
    return replace(
        made, components=(*paths.components, name), state=np.concatenate([made.state, begun], axis=2),
        reach=np.column_stack([paths.reach, paths.reach[:, k]]),
        assigned_at={**paths.assigned_at, name: paths.assigned_at[component]},
        lags=paths.lags and (*paths.lags, 0), always_on=paths.always_on and (*paths.always_on, False),
        doses=made.doses and (*made.doses, (1.0,)),
    )  # fmt: skip


def _read(design: StaggeredRollout, study: View, component: str, estimand: str) -> Estimate:
    try:
        found = design(study, component)
    except NotIdentifiedError:
        raise NotIdentifiedError(
            f"{component!r} is never switched off after a period with it beside a place that can be compared."
        ) from None
    return found.with_labels(estimand=estimand)
