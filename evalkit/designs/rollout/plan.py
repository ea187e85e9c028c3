"""The plan: which adopting path is compared with which others, and when; made by `make_plan`.

The audit counts clusters in a plan; an estimator reads sums for it. Nothing here sees an outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from evalkit.designs.protocol import Basis, Check, Traits
from evalkit.designs.rollout.states import ExposureStates, inverse
from evalkit.errors import check_choice, check_periods

ADJUSTMENTS = (None, "reg", "ipw", "dr")
LEADS_AND_OTHERS: tuple[Check, ...] = (
    "pre_trend", "others_still_growing", "growth_taken_out", "stayers", "by_people"
)  # fmt: skip
MOST_KEPT = 16_000_000
"""Bytes of matches above which a plan is made anew each time."""


@dataclass(frozen=True)
class Rules:
    """The choices of a comparison of starts; `StaggeredRollout` says what they mean."""

    comparison: str = "not_yet"
    others: str = "same"
    adjust: str | None = None
    base: str = "varying"
    base_window: int = 1
    anticipation: int = 0
    horizon: int | None = None
    lookback: int = 0

    def __post_init__(self) -> None:
        check_choice("comparison", self.comparison, ("not_yet", "never"))
        check_choice("others", self.others, ("same", "unchanged", "ignored"))
        check_choice("base", self.base, ("varying", "universal"))
        for name, least in (("base_window", 1), ("anticipation", 0), ("lookback", 0)):
            check_periods(name, getattr(self, name), least)
        if self.horizon is not None:
            check_periods("horizon", self.horizon, 0)
        check_choice("adjust", self.adjust, ADJUSTMENTS)

    @property
    def rules(self) -> Rules:
        """What a plan depends on: everything but the adjustment."""
        return Rules(**{f.name: getattr(self, f.name) for f in fields(Rules) if f.name != "adjust"})


def rollout_traits(others: str, basis: Basis, checks: tuple[Check, ...] = ()) -> Traits:
    """What answers rest on: others that only stand still may have any level, so that effects must add up too."""
    more: tuple[Basis, ...] = ("additivity",) if others == "unchanged" else ()
    return Traits(frozenset((basis, *more)), checks=checks)


@dataclass(frozen=True, eq=False)
class Comparison:
    """One start of one path against the paths that match it.

    cohort: position of the first exposed period; base: last base position (T,),
    -1 where there is no comparison to make; window: (T,) base periods averaged;
    match: (P, T) paths that serve; path: the adopter. parent: the comparison that this one is a
    part of, None where it is whole; part: which part. also: further adopters that are read together with it.
    """

    component: str
    cohort: int
    path: int
    base: np.ndarray
    window: np.ndarray
    match: np.ndarray
    parent: Comparison | None = None
    part: int = 0
    also: tuple[int, ...] = ()

    @property
    def adopters(self) -> np.ndarray:
        """Paths of all that start here."""
        return np.array([self.path, *self.also])

    @property
    def whole(self) -> Comparison:
        """The comparison itself, or the one that it is a part of."""
        return self.parent or self

    def split(self) -> tuple[Comparison, ...]:
        """The same start read against one period of the base window at a time, the last first."""
        parts = []
        for back in range(int(self.window.max(initial=1))):
            there = self.possible & (back < np.maximum(self.window, 1))
            base, window = np.where(there, self.base - back, -1), there.astype(np.int64)
            parts.append(replace(self, base=base, window=window, parent=self, part=back))
        return tuple(parts)

    @property
    def possible(self) -> np.ndarray:
        """(T,) periods at which the adopter itself can be read, matched or not."""
        return self.base >= 0

    @property
    def matched(self) -> np.ndarray:
        """(T,) periods with at least one matching path."""
        return self.possible & self.match.any(axis=0)

    def event_time(self) -> np.ndarray:
        """(T,) periods since the start."""
        return np.arange(len(self.base)) - self.cohort


Use = tuple[Comparison, np.ndarray | None]
"""A comparison and in which periods the refit without each cluster uses it, (clusters x T); None for all."""


def together(uses: Iterable[Use]) -> list[Use]:
    """Starts against the same matches over the same periods, which the same refits use, as one: the mean of all their
    adopters less that of the matches is what their effects average to, weighted by adopters."""
    found: dict[tuple, list[Use]] = {}
    for c, used in uses:
        key = (c.cohort, c.base.tobytes(), c.window.tobytes(), c.match.tobytes(), used is not None and used.tobytes())
        found.setdefault(key, []).append((c, used))
    return [(replace(c, also=tuple(o.path for o, _ in rest)), used) for (c, used), *rest in found.values()]


@dataclass(frozen=True, eq=False)
class Baseless:
    """A start whose base would lie before the panel, or before an earlier spell has ended: `asked` (T,) are
    the periods that have no answer for it."""

    cohort: int
    path: int
    asked: np.ndarray


@dataclass(frozen=True, eq=False)
class Plan:
    """All comparisons of one component; the paths that have it from their first known period on; and the
    starts without a base. states, rules: what it was made from, None where comparisons were chosen by hand, whose
    base windows are then kept in refits."""

    component: str
    comparisons: tuple[Comparison, ...]
    without_base: tuple[int, ...]
    baseless: tuple[Baseless, ...] = ()
    states: ExposureStates | None = None
    rules: Rules | None = None

    def __len__(self) -> int:
        return len(self.comparisons)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.comparisons)


def is_small(plan: Plan) -> bool:
    """Whether a plan takes so little memory that it is kept with the paths it was made from."""
    return sum(c.match.nbytes for c in plan) <= MOST_KEPT


def expected_noise(plan: Plan, sizes: tuple[np.ndarray, np.ndarray], lag: int, until: int) -> float:
    """Variance of the average over event times lag .. until; infinite where nothing is compared."""
    size, spread = sizes
    weight, total = np.zeros(len(size)), 0.0
    for c in plan:
        event = c.event_time()
        use = np.flatnonzero(c.matched & (event >= lag) & (event <= until))
        match = c.match[:, use] * size[:, None]
        share = size[c.path] * inverse(match.sum(axis=0))
        weight[c.path] += size[c.path] * len(use)
        weight += match @ share
        total += size[c.path] * len(use)
    return float((weight / total) ** 2 @ spread) if total > 0 else float("inf")
