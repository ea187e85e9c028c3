"""Interactions: whether two components do more, or less, together than the sum of the two, pair by pair.

Testable only where a switches on in places that have b and in places that do not, each beside places
without a: both, b only, a only, neither. Then the effect of a with b on less that with b off is the
interaction, by two staggered rollouts with one joint covariance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.plan import Plan
from evalkit.designs.rollout.readers import Within
from evalkit.designs.rollout.rows import Naming, assemble
from evalkit.designs.rollout.staggered import StaggeredRollout, by_arrival, named
from evalkit.designs.rollout.sums import Sums
from evalkit.evaluation.ladder import Choices, Window
from evalkit.inference import Estimate, stack
from evalkit.inference.intervals import holm
from evalkit.inference.replicates import Averaging
from evalkit.show.words import count_words
from evalkit.study import Outcome, Study
from evalkit.study.paths import OFF, Paths

ENOUGH = 2
COLUMNS = ("a", "b", "testable", "both", "b_only", "a_only", "neither", "estimate", "std_error", "conf_low",
           "conf_high", "p_value", "p_adjusted", "design", "words")  # fmt: skip
_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high", "p_value")


@dataclass(frozen=True, eq=False)
class Pair:
    """One pair as it can be tested: plans of a's starts while b stays on, and while it stays off. Decided without any
    outcome. counts: places with both, with b only, with a only, with neither."""

    a: str
    b: str
    on: Plan
    off: Plan
    counts: tuple[int, int, int, int]

    @property
    def testable(self) -> bool:
        return min(self.counts) >= ENOUGH


@dataclass(frozen=True, eq=False)
class Interactions:
    """table: one row a pair. estimates: (a, b) in the register's order -> one row, by unit and period."""

    table: pd.DataFrame
    estimates: Mapping[tuple[str, str], Estimate]


def pairs_of(paths: Paths, windows: Mapping[str, Window], choices: Choices, width: int | None) -> list[Pair]:
    """Each pair of components, the way round in which the smallest of its four groups of places is largest. windows:
    event times that count, by component; components without one are not tested. width: within how many periods people
    must have come onto the record to be compared, None for all. Sees no outcome."""
    split = by_arrival(paths, width).paths
    chosen = {name: getattr(choices, name) for name in ("comparison", "base_window", "horizon")}
    design = StaggeredRollout(**chosen, arrival=width)
    plans, best = {c: design.plan(paths, c) for c in windows}, []
    for pair in combinations(windows, 2):
        ways = []
        for a, b in (pair, pair[::-1]):
            state = split.state[:, :, split.index(b)]
            on, both, b_only = _side(split, plans[a], state > 0, windows[a])
            off, a_only, neither = _side(split, plans[a], state == OFF, windows[a])
            ways.append(Pair(a, b, on, off, (both, b_only, a_only, neither)))
        best.append(max(ways, key=lambda p: min(p.counts)))
    return best


def interaction_tests(
    study: Study, outcome: Outcome, windows: Mapping[str, Window], choices: Choices, level: float, width: int | None
) -> Interactions:
    """Every pair's interaction where it can be tested, and why not elsewhere; `width` as in `pairs_of`."""
    order, estimates, rows = study.paths.components.index, {}, []
    for p in pairs_of(study.paths, windows, choices, width):
        row = dict(zip(COLUMNS, (p.a, p.b, False, *p.counts), strict=False))
        rows.append(row | {"design": "", "words": _words(study, p, tested=False)})
        made = _estimate(study, outcome, p, windows[p.a], width) if p.testable else None
        if made is not None and np.isfinite(made.value[0]):
            first, second = sorted((p.a, p.b), key=order)
            estimates[first, second] = made
            found = made.row(level=level)
            rows[-1] |= {c: float(found[c]) for c in _NUMBERS}
            rows[-1] |= {"testable": True, "design": f"StaggeredRollout(same), {p.b} on less {p.b} off"}
            rows[-1]["words"] = _words(study, p, tested=True)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["p_adjusted"] = holm(table["p_value"].to_numpy(dtype=float)) if len(table) else []
    return Interactions(table, estimates)


def _side(paths: Paths, plan: Plan, wanted: np.ndarray, window: Window) -> tuple[Plan, int, int]:
    """The plan at the event times of the window at which b stays as wanted from the base on, and how many clusters it
    has in each arm."""
    cells, kept = paths.cells(paths.inference_level(plan.component)[0]), []
    exposed, comparison = set(), set()
    for c in plan:
        count = np.concatenate([[0], np.cumsum(~wanted[c.path])])
        steady = count[1:] == count[np.maximum(c.base - np.maximum(c.window, 1) + 1, 0)]
        good = c.matched & steady & window.holds(c.event_time()) & (c.event_time() >= 0)
        if good.any():
            kept.append(replace(c, base=np.where(good, c.base, -1), window=np.where(good, c.window, 0),
                                match=c.match & good))  # fmt: skip
            exposed.update(cells.cluster[cells.path == c.path].tolist())
            comparison.update(cells.cluster[np.asarray(kept[-1].match.any(axis=1))[cells.path]].tolist())
    return Plan(plan.component, tuple(kept), ()), len(exposed), len(comparison)


def _estimate(study: Study, outcome: Outcome, pair: Pair, window: Window, width: int | None) -> Estimate | None:
    """Effect of a with b on less with b off, event times alike on both sides."""
    level, _ = study.paths.inference_level(pair.a)
    split = by_arrival(study.paths, width)
    reader = Within(Sums.of_outcome(split.paths, level, study.values(outcome)))
    naming = Naming(pair.a, outcome.column, outcome.unit, "adopters with a match")
    sides = [named(split, assemble(Contrast(plan, reader), naming)) for plan in (pair.on, pair.off)]
    times = [e.label_columns["event_time"][np.isfinite(e.value)] for e in sides]
    both = np.intersect1d(*times)
    if not len(both):
        return None
    means = []
    for side in sides:  # event times alike, cohorts by their adopters
        keep = np.isin(side.label_columns["event_time"], both) & np.isfinite(side.value)
        by_event = side.select(np.flatnonzero(keep)).aggregate("event_time")
        member = np.ones((len(by_event), 1), dtype=bool)
        labels = by_event.label_columns.common([np.arange(len(by_event))], {"event_time"})
        means.append(by_event.apply(Averaging(member, by_mass=False, total_mass=True), labels))
    return stack(*means).contrast([1.0, -1.0], name=f"effect of {pair.a} with {pair.b} on less with {pair.b} off")


def _words(study: Study, p: Pair, tested: bool) -> str:
    """What was compared; or which of the four kinds of place lacks."""
    a, b = (study.component(c).label for c in (p.a, p.b))
    if tested:
        places = count_words(p.counts[0], study.noun_for(study.paths.inference_level(p.a)[0]))
        without = f"{p.counts[2]} that do not, each beside places without it"
        return f"Tested: “{a}” begins in {places} that have “{b}” and in {without}."
    if p.testable:
        return "no event time could be compared in both groups of places"
    kinds = (f"with both “{a}” and “{b}”", f"with “{b}” only", f"with “{a}” only", "with neither")
    few = [words for words, count in zip(kinds, p.counts, strict=True) if count < ENOUGH]
    asked = f"whether “{a}” and “{b}” do more together than apart"
    needed = "needs two places of each kind that can be compared"
    return f"Not testable: {asked} {needed}, and there are not two {', nor two '.join(few)}."
