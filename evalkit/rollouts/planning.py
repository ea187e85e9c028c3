"""Plan a rollout: who starts what, when, what it would let us tell, and what else could be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.designs.threads import one_thread
from evalkit.errors import NotIdentifiedError, OptionError, check_choice, check_whole, is_number, is_whole, spelt
from evalkit.progress import step
from evalkit.rollouts.allocation import Allocation, allocate
from evalkit.rollouts.brief import Brief, Planned, make_brief
from evalkit.rollouts.changes import cheapest_changes
from evalkit.rollouts.compiled import wait_for
from evalkit.rollouts.impossible import why_impossible
from evalkit.rollouts.law import Law, laws
from evalkit.rollouts.noise import Noise
from evalkit.rollouts.search import Search
from evalkit.rollouts.stress import stressed
from evalkit.rollouts.walk import walk
from evalkit.show.tables import Table, from_frame
from evalkit.show.words import count_words, full_stop, join_words

WEIGHTS = ("least_noise", "equal")
RANDOM = 60
"""Random rollouts beside a plan."""
WEIGHED = 3
"""Rollouts found, the best by the screen, of which the plan is the best by the law."""
TRIED = 5
"""Of those, the best by the screen that are held against each other by the law."""
POWER = (
    "component", "detectable", "power", "wanted", "clean_exposed", "clean_comparison", "status", "periods", "survives",
    "reason",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RolloutPlan:
    """A rollout, and what it would let us tell.

    schedule: a row a place, a column a component: its first period, None for never. impossible: sentences that prove
    that no rollout does what was asked; there is then no schedule. notes: what was taken for granted. outcome: of the
    study that it goes on from, the column that noise and effects are of.
    """

    brief: Brief
    starts: np.ndarray
    seed: int
    weights: str = "least_noise"
    impossible: tuple[str, ...] = ()
    outcome: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        return self.brief.notes

    @property
    def schedule(self) -> pd.DataFrame:
        """A row a place, a column a component: its first period, None for never; no rows where it is impossible."""
        return self.brief.frame(self.starts) if not self.impossible else self.brief.frame(self.starts).iloc[:0]

    @cached_property
    def laws(self) -> tuple[Law, ...]:
        """What is known of every component's estimate, and of the interval that will be printed about it."""
        return () if self.impossible else laws(self.brief, self.starts, self.weights)

    @cached_property
    def power(self) -> pd.DataFrame:
        """A row a component: detectable (smallest effect that the printed 95% interval tells from zero with a chance of
        8 in 10), power at the effect wanted, places on either side, status, periods of the window that can be claimed,
        survives (an interval is left without any one place)."""
        return power_table(self.brief, self.laws)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """A row a component: starts still to come, person_periods that they take until outcomes end, cost at its unit
        cost (NaN where nobody has said), and waiting: periods by which places start later than they might."""
        self.check_possible()
        b, rows = self.brief, []
        for k, names in enumerate(b.members):
            ahead = (self.starts[:, k] >= b.past) & (self.starts[:, k] < b.T)
            reached = (b.people * b.share[:, k])[ahead]
            periods = float((reached * (b.T - self.starts[ahead, k])).sum())
            waiting = int((self.starts[ahead, k] - b.low[ahead, k]).sum())
            for name in names:
                unit = b.unit_costs[name]
                cost = np.nan if unit is None else periods * unit
                rows.append((name, int(ahead.sum()), periods, cost, waiting))
        return pd.DataFrame(rows, columns=["component", "starts", "person_periods", "cost", "waiting"])

    @cached_property
    def rivals(self) -> pd.DataFrame:
        """Other ways to roll out, a row each: detectable effect of every component over the periods of its window that
        can be told, the worst of those that are to be told, and in which share of draws all of them can be told apart
        over the whole window."""
        return rivals(self)

    @one_thread()
    def changes(self, draft: pd.DataFrame, dates: int = 4) -> pd.DataFrame:
        """The cheapest changes to a draft, a row for 0, 2, 4, ... dates moved, and one for this plan in its place.

        dates_moved, place_periods (by how many periods, summed), moves in words, detectable_<component>,
        status_<component> as `ek.separability` has it, worst; separable (all that are to be told can be told apart,
        components that must start together as one), survives (all of them have an interval without any one place).
        """
        self.check_possible()
        if not is_whole(dates):
            raise OptionError(f"dates={spelt(dates)} is not a choice. Use a whole number of dates to move, 0 or more.")
        return cheapest_changes(self.brief, self.brief.starts(draft), dates, self.starts, self.weights)

    @one_thread()
    def stress(self, slip: float = 0.3, draws: int = 200) -> pd.DataFrame:
        """What is left when things go otherwise: dates that slip (each by 1 to 3 periods with probability `slip`),
        people who are unevenly spread, noise a third lower and half as large again. A row a case and component:
        detectable in the middle one of the rollouts drawn, worst in that than which 9 in 10 are better, told_apart."""
        self.check_possible()
        if not is_number(slip) or not 0 <= slip <= 1:
            raise OptionError(f"slip={spelt(slip)} is not a choice. Use a probability, from 0 to 1.")
        check_whole("draws", draws, 1)
        return stressed(self.brief, self.starts, slip, draws, self.seed, self.weights)

    @one_thread()
    def randomise(self, seed: int) -> Allocation:
        """Deal the plan's rows to places by lot, within blocks of places for which the same is allowed."""
        self.check_possible()
        check_whole("seed", seed, 0)
        return allocate(self.brief, self.starts, int(seed))

    def check_possible(self) -> None:
        """Raise `NotIdentifiedError` with the proof where no rollout is possible."""
        if self.impossible:
            raise NotIdentifiedError(" ".join(self.impossible))

    def table(self) -> Table:
        """Power as a table for people."""
        frame = self.power.drop(columns=["survives"]).round({"detectable": 4, "power": 2})
        labels = {
            "component": "Component", "detectable": "Detectable effect", "power": "Chance at the effect wanted",
            "clean_exposed": "Places that start", "clean_comparison": "Places beside them", "periods": "Periods",
            "status": "Status",
        }  # fmt: skip
        return from_frame(frame[list(labels)], "What this rollout would let us tell", labels)

    def __repr__(self) -> str:
        if self.impossible:
            return "\n".join(["No rollout can do this.", *self.impossible])
        return "\n".join(
            [
                self.schedule.to_string(index=False, na_rep="never"), self.table().to_text(110).rstrip(),
                window_words(self.brief), *self.notes,
            ]
        )  # fmt: skip

    def _repr_html_(self) -> str:
        if self.impossible:
            return "".join(f"<p>{s}</p>" for s in map(_escaped, self.impossible))
        shown = self.schedule.astype(object).where(self.schedule.notna(), "never")
        dates = from_frame(shown, "Who starts what, when", {c: c for c in shown.columns})
        said = "".join(f"<p>{s}</p>" for s in map(_escaped, (window_words(self.brief), *self.notes)))
        return dates.to_html() + self.table().to_html() + said


def window_words(brief: Brief) -> str:
    """What the promised interval is an average over, and how the later report is asked for that one."""
    lags, horizon = {*brief.lags.tolist()}, int(brief.lags.max()) + brief.window - 1
    first = f"the first {count_words(brief.window, 'period')} in which an effect can show"
    more = "" if len(lags) == 1 else ", which is longer for components of a shorter lag"
    return (
        f"What is promised is about averages over {first}, or as many of them as the table says. The later report "
        f"averages over all that can be told, unless its study file says horizon = {horizon} under [evaluate]{more}."
    )


def _escaped(words: str) -> str:
    from html import escape

    return escape(words)


@one_thread()
def plan_rollout(
    places: Sequence[str] | pd.DataFrame, components: Sequence[Planned], periods: Sequence[object] | None = None, *,
    noise: Noise | None = None, window: int = 6, seed: int = 0, together: Sequence[Sequence[str]] = (),
    per_month: int | None = None, weights: str = "least_noise", now: object = None, effort: float = 1.0,
) -> RolloutPlan:  # fmt: skip
    """An order of rollout that lets each component be told apart, by the interval that `evaluate` will print.

    places: names, or a frame (`place`, `people`, columns that `reach` names). components: `Planned`. periods: first and
    last period in which outcomes are seen. noise: `Noise`, guessed or `Noise.from_study`. window: periods over which an
    effect is averaged. together: groups of components that must start together. per_month: most starts in one period,
    of all components. weights: "least_noise", as headlines of `evaluate` are, or "equal", the published comparison with
    its jackknife. now: before this period nothing can be changed. effort: multiple of the search's steps.

    What cannot be done is returned with its proof in `.impossible`; names, dates and numbers that cannot be meant raise
    `OptionError`.
    """
    check_choice("weights", weights, WEIGHTS)
    check_options(noise, seed, effort)
    if periods is None:
        raise OptionError("periods is missing: the first and the last period in which outcomes are seen.")
    brief = make_brief(places, components, periods, noise or Noise(), window, together, per_month, now)
    return search_plan(brief, int(seed), weights, effort)


def check_options(noise: object, seed: object, effort: object) -> None:
    """Raise `OptionError` for what no search can be given."""
    check_whole("seed", seed, 0)
    if not is_number(effort) or not effort > 0:  # type: ignore[operator]
        raise OptionError(f"effort={spelt(effort)} is not a choice. Use a number above 0.")
    if noise is not None and not isinstance(noise, Noise):
        raise OptionError(f"noise={spelt(noise)} is not a choice. Use ek.Noise(...) or ek.Noise.from_study(study).")


def search_plan(
    brief: Brief, seed: int, weights: str = "least_noise", effort: float = 1.0, outcome: str = ""
) -> RolloutPlan:
    """The best rollout found for a brief, or why there is none."""
    search = Search(brief, seed, weights)
    nothing = np.full((len(brief.places), len(brief.components)), brief.T)
    if proof := why_impossible(brief, search):
        return RolloutPlan(brief, nothing, seed, weights, proof, outcome)
    step("Looking for an order of starts")
    if why := wait_for(walk):
        step(why)
    found = search.candidates(effort)
    if not found:
        words = (
            "No order of starts was found that keeps to all dates and capacities; 200 were tried at random, 3 times."
        )
        return RolloutPlan(brief, nothing, seed, weights, (words,), outcome)
    step("What it would let us tell")
    plans = (RolloutPlan(brief, starts, seed, weights, (), outcome) for starts in found[:WEIGHED])
    plan = min(plans, key=lambda p: _worst(brief, p.laws, search.scale))
    told = zip(plan.laws, brief.asked, strict=True)
    lost = [f"{law.component!r}: {why}" for law, asked in told if asked and (why := _lost(law))]
    if lost:
        words = (
            "No rollout was found that lets everything be told apart, though none was shown to be impossible. "
            "In the best: "
        )
        return RolloutPlan(brief, nothing, seed, weights, (full_stop(words + join_words(lost)),), outcome)
    return plan


def _lost(law: Law) -> str:
    """Why a component of the best rollout cannot be told; "" where it can."""
    if law.status != "separable" or not len(law.error):
        return law.reason or "it cannot be told apart"
    return ""


def power_table(brief: Brief, found: Sequence[Law]) -> pd.DataFrame:
    """A row a component, those that stand for several once for each."""
    rows = [
        (name, law.detectable, law.power(wanted), wanted, law.exposed, law.comparison,
         law.status if len(names) == 1 else "bundle_only", law.until, bool(len(law.error)), law.reason)
        for law, wanted, names in zip(found, brief.wanted[: len(found)], brief.members[: len(found)], strict=True)
        for name in names
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(POWER))


# ---------------------------------------------------------------- rivals


@one_thread()
def rivals(plan: RolloutPlan, random: int = RANDOM) -> pd.DataFrame:
    """At once, one by one, all together in one place after another, at random (median and best), beside the plan."""
    plan.check_possible()
    step("Other rollouts, held beside it")
    brief, search = plan.brief, Search(plan.brief, plan.seed + 1, plan.weights)
    table = [_rival(brief, "this plan", plan.laws)]
    for name, starts in _orders(brief, search):
        table.append(_rival(brief, name, laws(brief, starts, plan.weights)))
    drawn = [s for _ in range(random) if (s := search.random()) is not None]
    if drawn:
        told, ranked = _ranked(brief, search, drawn, plan.weights)
        middle = _rival(brief, "random order, median", ranked(len(drawn) // 2))
        best = min(
            (_rival(brief, f"random order, best of {len(drawn)}", ranked(i)) for i in range(TRIED)), key=_by_worst
        )
        table += [(name, worst, told, *each) for name, worst, _, *each in (middle, best)]
    columns = ["rival", "worst", "told_apart", *(f"detectable_{n}" for n in brief.names)]
    return pd.DataFrame(table, columns=columns).replace(np.inf, np.nan)


def _ranked(
    brief: Brief, search: Search, drawn: list[np.ndarray], weights: str
) -> tuple[float, Callable[[int], Sequence[Law]]]:
    """In which share of rollouts all can be told apart over the whole window, and the laws of the one that is so many
    from the best; by the screen where it knows the weights that count, else by the laws of all."""
    if search.exact(weights):
        found = [_screened(search, s) for s in drawn]
        order = np.argsort([d[np.isfinite(d)].max(initial=0.0) + 100 * (~np.isfinite(d)).sum() for d, _ in found])
        told = float(np.mean([whole for _, whole in found]))
        return told, lambda i: laws(brief, drawn[order[min(i, len(drawn) - 1)]], weights)
    made = sorted((laws(brief, s, weights) for s in drawn), key=lambda f: _worst(brief, f))
    told = float(np.mean([_whole(brief, f) for f in made]))
    return told, lambda i: made[min(i, len(made) - 1)]


def _screened(search: Search, starts: np.ndarray) -> tuple[np.ndarray, bool]:
    """Detectable effects of groups that are to be told, infinite where nothing tells them, and whether all can be told
    over the whole window, by the screen."""
    found, lacking = (line[[int(g[0]) for g in search.told]] for line in search.detectable(starts, full=True))
    return found, bool(np.isfinite(found).all() and not lacking.any())


def _whole(brief: Brief, found: Sequence[Law]) -> bool:
    """Whether all that are to be told can be, over the whole window."""
    told = zip(found, brief.asked, strict=True)
    return all(len(law.error) > 0 and law.until == brief.window for law, asked in told if asked)


def _by_worst(line: tuple) -> float:
    return float(line[1])


def _worst(brief: Brief, found: Sequence[Law], scale: Sequence[float] | None = None) -> float:
    """The largest detectable effect of what is to be told, over `scale`; infinite where something cannot be."""
    told = zip(found, brief.asked, scale or [1.0] * len(found), strict=True)
    return max(np.inf if np.isnan(law.detectable) else law.detectable / by for law, asked, by in told if asked)


def _rival(brief: Brief, name: str, found: Sequence[Law]) -> tuple[object, ...]:
    return (name, _worst(brief, found), float(_whole(brief, found)), *(law.detectable for law in found))


def _orders(brief: Brief, search: Search) -> list[tuple[str, np.ndarray]]:
    """Rollouts that people think of first; capacities are not asked about, dates are as near to those allowed as can
    be."""
    P, T, n = len(brief.places), brief.T, len(search.groups)
    low, high = np.minimum(brief.low, T - 1), np.minimum(np.maximum(brief.high, brief.low), T - 1)
    once, by_one, as_one = low.copy(), low.copy(), low.copy()
    turn = search.rng.permutation(P)
    for v, g in enumerate(search.groups):
        first, last = int(low[:, g].min()), int(high[:, g].max())
        span = (last - first) / n
        by_one[:, g] = np.round(first + span * (v + turn / max(P - 1, 1) * 0.999)).astype(int)[:, None]
        as_one[:, g] = np.round(first + (last - first) * turn / max(P - 1, 1)).astype(int)[:, None]
    fixed = (brief.low == brief.high) | (brief.low >= T)
    found = [
        ("everything at once", once),
        ("one component after another", by_one),
        ("all together, place by place", as_one),
    ]
    return [(name, np.where(fixed, brief.low, s)) for name, s in found]
