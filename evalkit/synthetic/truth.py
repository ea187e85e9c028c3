"""The truth, by regimes: what the outcome would have been with components off, person by person, period by period."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.synthetic.world import World

GROWTH = 24  # periods since the start for which the path of an effect is told


@dataclass(frozen=True, eq=False)
class _Where:
    """Whom and when a component had reached: on (T, n), since (T, n) periods since it first mattered there."""

    on: np.ndarray
    since: np.ndarray


@dataclass(frozen=True, eq=False)
class _Programme:
    """The people of programme places, for as long as they live there: m of the world's n."""

    world: World
    who: np.ndarray

    @classmethod
    def of(cls, world: World) -> _Programme:
        return cls(world, np.flatnonzero(world.scene.inside.any(axis=0)))

    @cached_property
    def seen(self) -> np.ndarray:
        """(T, m) whether there is a row in a programme place."""
        return (self.world.seen & self.world.scene.inside)[:, self.who]

    @cached_property
    def where(self) -> dict[str, _Where]:
        """Where each component was on."""
        found = {p.name: reached(self.world, p.name) for p in self.world.scene.spec.parts}
        return {c: _Where(w.on[:, self.who], w.since[:, self.who]) for c, w in found.items()}

    @cached_property
    def begun(self) -> np.ndarray:
        """(T, m) rows from the first start of anything in the place."""
        scene = self.world.scene
        started = np.zeros((scene.spec.clock.periods, len(scene.sites)), dtype=bool)
        for part in scene.spec.parts:
            if part.name in scene.rollout.dose and not part.always_on:
                started |= np.maximum.accumulate(scene.rollout.dose[part.name].T > 0, axis=0)
        return self.seen & scene.in_place(started.T)[:, self.who]

    def value(self, outcome: str, *off: str) -> np.ndarray:
        """(T, m) the outcome with these components off and the others as they were."""
        return self.world.without(outcome, *off)[:, self.who].astype(np.float64)


def effects_table(world: World) -> pd.DataFrame:
    """Every estimand of every outcome: component_set, outcome, estimand, population, since_start, value, mc_se.

    Averages over person-periods that have a row, in programme places, with the component on. mc_se: the error that
    comes from this being one population of people, clustered by person.
    """
    people = _Programme.of(world)
    parts = [r for name in world.values for r in _of_outcome(people, name)]
    names = ["component_set", "outcome", "estimand", "population", "since_start", "value", "mc_se", "person_periods"]
    frame = pd.DataFrame(parts, columns=names)
    frame["since_start"] = frame["since_start"].astype("Int64")
    return rounded(frame)


def regimes_table(world: World) -> pd.DataFrame:
    """Mean outcome of programme people after the first start, under every regime."""
    people = _Programme.of(world)
    rows, mask = [], people.begun
    for r, on in enumerate(world.regimes.on):
        means = {k: round(_mean(v[r if len(v) > 1 else 0][:, people.who], mask), 5) for k, v in world.values.items()}
        means["person_periods"] = int(mask.sum())
        rows.append({**{c: int(x) for c, x in zip(world.regimes.components, on, strict=True)}, **means})
    return pd.DataFrame(rows)


def pooled(tables: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    """Tables of several parts of the people as one: means weighted by person-periods."""
    whole = pd.concat(tables, ignore_index=True)
    n = whole["person_periods"].astype(np.float64)
    numbers = [c for c in whole.columns if c not in (*keys, "person_periods")]
    parts = {c: whole[c].fillna(0.0) * n if c != "mc_se" else (whole[c] * n) ** 2 for c in numbers}
    sums = whole[keys].assign(**parts, person_periods=whole["person_periods"])
    out = sums.groupby(keys, sort=False, dropna=False, as_index=False).sum(min_count=1)
    total = out["person_periods"].to_numpy(dtype=np.float64)
    for c in numbers:
        value = out[c].to_numpy(dtype=np.float64)
        out[c] = (np.sqrt(value) if c == "mc_se" else value) / np.where(total > 0, total, np.nan)
    return rounded(out)


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Five decimals, so that a last bit of arithmetic changes nothing."""
    return frame.assign(**{c: frame[c].round(5) for c in frame.columns if frame[c].dtype.kind == "f"})


def reached(world: World, component: str) -> _Where:
    """Where and when a component is on for people that it can reach."""
    scene = world.scene
    part = scene.spec.part(component)
    able = np.asarray(scene.reached(component) > 0) & scene.inside
    if component in scene.personal:
        dose = scene.personal[component]
    else:
        dose = scene.in_place(scene.rollout.dose[component])
    on = (dose >= part.bins[0] - 1e-9 if part.bins else dose > 0) & able
    since = np.cumsum(on, axis=0) - 1
    return _Where(on & world.seen, np.where(on, since, -1))


def _of_outcome(people: _Programme, outcome: str) -> Iterator[tuple]:
    lived = people.value(outcome)
    for c, w in people.where.items():
        effect = lived - people.value(outcome, c)
        everyone = people.seen & np.maximum.accumulate(w.on.any(axis=1))[:, None]
        yield c, outcome, "last_in", "reached", None, *_with_error(effect, w.on)
        yield c, outcome, "last_in", "everyone", None, *_with_error(effect, everyone)
        yield c, outcome, "first_in", "reached", None, *_with_error(_first_in(people, outcome, c), w.on)
        yield from _path(c, outcome, effect, w)
        for label, mask in _groups(people):
            yield c, outcome, "last_in", label, None, *_with_error(effect, w.on & mask)
    yield from _interactions(people, outcome)
    yield from _shapley(people, outcome)


def _path(component: str, outcome: str, effect: np.ndarray, w: _Where) -> Iterator[tuple]:
    """By periods since the start; nobody is there twice, so rows are people."""
    there = w.on & (w.since <= GROWTH)
    since, value = w.since[there], effect[there]
    n = np.bincount(since, minlength=GROWTH + 1)
    mean = np.bincount(since, weights=value, minlength=GROWTH + 1) / np.maximum(n, 1)
    square = np.bincount(since, weights=(value - mean[since]) ** 2, minlength=GROWTH + 1)
    for e in np.flatnonzero(n):
        yield component, outcome, "path", "reached", e, float(mean[e]), float(np.sqrt(square[e])) / n[e], int(n[e])


def _first_in(people: _Programme, outcome: str, component: str) -> np.ndarray:
    """Alone on top of whatever is always on."""
    world = people.world
    core = [p.name for p in world.scene.spec.parts if p.always_on and component != p.name]
    others = [c for c in world.regimes.components if c != component and c not in core]
    return people.value(outcome, *others) - people.value(outcome, *others, component)


def _groups(people: _Programme) -> Iterator[tuple[str, np.ndarray]]:
    everybody, flags = people.world.scene.people, people.world.scene.spec.flags
    need, woman = everybody.need[people.who], everybody.woman[people.who]
    yield "more need than usual", (need > 0)[None, :]
    yield "less need than usual", (need <= 0)[None, :]
    yield "women", woman[None, :]
    yield "men", ~woman[None, :]
    for f in (f for f in flags if not f.hidden):
        yield f"{f.name} = 1", everybody.flags[f.name][people.who][None, :]
        yield f"{f.name} = 0", ~everybody.flags[f.name][people.who][None, :]


def _interactions(people: _Programme, outcome: str) -> Iterator[tuple]:
    """How much two do together beyond the sum, the others as they were, where both are on."""
    where, full = people.where, people.value(outcome)
    for a, b in itertools.combinations(people.world.regimes.components, 2):
        both, either = where[a].on & where[b].on, where[a].on | where[b].on
        if both.any():
            none = people.value(outcome, a, b)
            extra = full - people.value(outcome, a) - people.value(outcome, b) + none
            yield f"{a} + {b}", outcome, "interaction", "reached by both", None, *_with_error(extra, both)
            yield f"{a} + {b}", outcome, "last_in", "reached by either", None, *_with_error(full - none, either)


def _shapley(people: _Programme, outcome: str) -> Iterator[tuple]:
    """A fair split of the total of everything that is not always on; a convention, not a cause."""
    world, mask = people.world, people.begun
    names = [c for c in world.regimes.components if not world.scene.spec.part(c).always_on]
    if not names or not mask.any():
        return
    value = {s: _mean(people.value(outcome, *(set(names) - set(s))), mask) for s in _subsets(names)}
    for c in names:
        rest = [n for n in names if n != c]
        share = sum(
            _share(len(s), len(names)) * (value[_sorted((*s, c), names)] - value[s])
            for k in range(len(rest) + 1)
            for s in itertools.combinations(rest, k)
        )
        yield c, outcome, "shapley", "everyone", None, share, np.nan, int(mask.sum())
    total = people.value(outcome) - people.value(outcome, *names)
    yield " + ".join(names), outcome, "total", "everyone", None, *_with_error(total, mask)


def _subsets(names: list[str]) -> list[tuple[str, ...]]:
    return [s for k in range(len(names) + 1) for s in itertools.combinations(names, k)]


def _sorted(chosen: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    return tuple(n for n in names if n in chosen)


def _share(before: int, n: int) -> float:
    return math.factorial(before) * math.factorial(n - before - 1) / math.factorial(n)


def _mean(values: np.ndarray, mask: np.ndarray) -> float:
    return float(values[mask].mean()) if mask.any() else float("nan")


def _with_error(effect: np.ndarray, mask: np.ndarray) -> tuple[float, float, int]:
    """Mean over the mask, its standard error with people as clusters, and the person-periods."""
    mask = np.broadcast_to(mask, effect.shape)
    n = int(mask.sum())
    if not n:
        return float("nan"), float("nan"), 0
    mean = float(effect[mask].mean())
    by_person = np.where(mask, effect - mean, 0.0).sum(axis=0)
    return mean, float(np.sqrt((by_person**2).sum())) / n, n
