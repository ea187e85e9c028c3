"""The truth, by regimes: what the outcome would have been with components off, person by person, period by period."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.synthetic.world import World

GROWTH = 24  # periods since the start for which the path of an effect is told


@dataclass(frozen=True, eq=False)
class _Where:
    """Whom and when a component had reached: on (T, n), since (T, n) periods since it first mattered there."""

    on: np.ndarray
    since: np.ndarray


def effects_table(world: World) -> pd.DataFrame:
    """Every estimand of every outcome: component_set, outcome, estimand, population, since_start, value, mc_se.

    Averages over person-periods that have a row, in programme places, with the component on. mc_se: the error that
    comes from this being one population of people, clustered by person.
    """
    parts = [r for name in world.values for r in _of_outcome(world, name)]
    names = ["component_set", "outcome", "estimand", "population", "since_start", "value", "mc_se", "person_periods"]
    frame = pd.DataFrame(parts, columns=names)
    frame["since_start"] = frame["since_start"].astype("Int64")
    return rounded(frame)


def regimes_table(world: World) -> pd.DataFrame:
    """Mean outcome of programme people after the first start, under every regime."""
    where = {c: reached(world, c) for c in world.regimes.components}
    mask = _any(world, where)
    rows = []
    for r, on in enumerate(world.regimes.on):
        means = {k: round(_mean(v[r if len(v) > 1 else 0], mask), 5) for k, v in world.values.items()}
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
    able = np.asarray(scene.reached(component) > 0) & scene.sites.programme[scene.people.site]
    if component in scene.personal:
        dose = scene.personal[component]
    else:
        dose = scene.rollout.dose[component].T[:, scene.people.site]
    on = (dose >= part.bins[0] - 1e-9 if part.bins else dose > 0) & able
    since = np.cumsum(on, axis=0) - 1
    return _Where(on & world.seen, np.where(on, since, -1))


def _of_outcome(world: World, outcome: str) -> Iterator[tuple]:
    where = {p.name: reached(world, p.name) for p in world.scene.spec.parts}
    for c, w in where.items():
        effect = world.values[outcome][-1] - world.without(outcome, c).astype(np.float64)
        first = _first_in(world, outcome, c)
        everyone = world.seen & world.scene.sites.programme[world.scene.people.site] & _begun(w)
        yield c, outcome, "last_in", "reached", None, *_with_error(effect, w.on)
        yield c, outcome, "last_in", "everyone", None, *_with_error(effect, everyone)
        yield c, outcome, "first_in", "reached", None, *_with_error(first, w.on)
        for e in range(GROWTH + 1):
            at = w.on & (w.since == e)
            if at.any():
                yield c, outcome, "path", "reached", e, *_with_error(effect, at)
        for label, mask in _groups(world):
            yield c, outcome, "last_in", label, None, *_with_error(effect, w.on & mask)
    yield from _interactions(world, outcome, where)
    yield from _shapley(world, outcome, where)


def _first_in(world: World, outcome: str, component: str) -> np.ndarray:
    """Alone on top of whatever is always on."""
    core = [p.name for p in world.scene.spec.parts if p.always_on]
    others = [c for c in world.regimes.components if c != component and c not in core]
    if component in core:
        others = [c for c in world.regimes.components if c != component]
    return world.without(outcome, *others).astype(np.float64) - world.without(outcome, *others, component)


def _begun(w: _Where) -> np.ndarray:
    """(T, 1) periods from the first start anywhere."""
    return np.maximum.accumulate(w.on.any(axis=1))[:, None]


def _groups(world: World) -> Iterator[tuple[str, np.ndarray]]:
    people, flags = world.scene.people, world.scene.spec.flags
    yield "more need than usual", (people.need > 0)[None, :]
    yield "less need than usual", (people.need <= 0)[None, :]
    yield "women", people.woman[None, :]
    yield "men", ~people.woman[None, :]
    for f in (f for f in flags if not f.hidden):
        yield f"{f.name} = 1", people.flags[f.name][None, :]
        yield f"{f.name} = 0", ~people.flags[f.name][None, :]


def _interactions(world: World, outcome: str, where: dict[str, _Where]) -> Iterator[tuple]:
    """How much two do together beyond the sum, the others as they were, where both are on."""
    for a, b in itertools.combinations(world.regimes.components, 2):
        both = where[a].on & where[b].on
        if both.any():
            full, none = world.without(outcome).astype(np.float64), world.without(outcome, a, b)
            extra = full - world.without(outcome, a) - world.without(outcome, b) + none
            yield f"{a} + {b}", outcome, "interaction", "reached by both", None, *_with_error(extra, both)
            together = full - none
            yield (
                f"{a} + {b}",
                outcome,
                "last_in",
                "reached by either",
                None,
                *_with_error(together, where[a].on | where[b].on),
            )


def _shapley(world: World, outcome: str, where: dict[str, _Where]) -> Iterator[tuple]:
    """A fair split of the total of everything that is not always on; a convention, not a cause."""
    names = [c for c in world.regimes.components if not world.scene.spec.part(c).always_on]
    mask = _any(world, {c: where[c] for c in names})
    if not names or not mask.any():
        return
    value = {s: _mean(world.without(outcome, *(set(names) - set(s))), mask) for s in _subsets(names)}
    for c in names:
        rest = [n for n in names if n != c]
        share = sum(
            _share(len(s), len(names)) * (value[_sorted((*s, c), names)] - value[s])
            for k in range(len(rest) + 1)
            for s in itertools.combinations(rest, k)
        )
        yield c, outcome, "shapley", "everyone", None, share, np.nan, int(mask.sum())
    total = world.without(outcome).astype(np.float64) - world.without(outcome, *names)
    yield " + ".join(names), outcome, "total", "everyone", None, *_with_error(total, mask)


def _subsets(names: list[str]) -> list[tuple[str, ...]]:
    return [s for k in range(len(names) + 1) for s in itertools.combinations(names, k)]


def _sorted(chosen: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    return tuple(n for n in names if n in chosen)


def _share(before: int, n: int) -> float:
    return math.factorial(before) * math.factorial(n - before - 1) / math.factorial(n)


def _any(world: World, where: dict[str, _Where]) -> np.ndarray:
    """Programme person-periods with a row, from the first start of anything in the place."""
    spec, people = world.scene.spec, world.scene.people
    inside = world.scene.sites.programme[people.site]
    begun = np.zeros((spec.clock.periods, len(world.scene.sites)), dtype=bool)
    for c in where:
        if c in world.scene.rollout.dose and not spec.part(c).always_on:
            begun |= np.maximum.accumulate(world.scene.rollout.dose[c].T > 0, axis=0)
    return world.seen & inside & begun[:, people.site]


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
