"""Worlds in which effects of a known size wait to be found, and the regression that is right about them.

`places`: ten people a place; effects begin at once, stay as they are and add up, so that two-way fixed effects on all
components together are correctly specified. `sites`: the same people and places without any effect, shocks that fade
or stay. Manchester, as it is, with one component's effect taken out, and with people taken on at a crisis on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import least_noise
import numpy as np
import pandas as pd
from scipy import stats

import evalkit as ek
from evalkit.synthetic import partnership
from evalkit.synthetic.partnership import Partnership

PERIODS, PEOPLE = least_noise.PERIODS, least_noise.PEOPLE
TIMES, PILOT = 1.15, 200
OUTCOME = "settled"


@dataclass(frozen=True, eq=False)
class Drawn:
    """One draw. truth: component -> true effect over the cells of an answer, from its weights. found: component ->
    whether the regression that is right about this world finds it, with the right sign; empty where there is none."""

    study: ek.Study
    truth: Callable[[str, ek.Estimate], float]
    found: Mapping[str, bool]


# ---------------------------------------------------------------- people in places


def _starts(rng: np.random.Generator, places: int, components: int) -> np.ndarray:
    """(K, G) first period of each component in each place, PERIODS for never."""
    when = rng.integers(10, PERIODS - 6, (components, places))
    return np.where(rng.random((components, places)) < 0.6, when, PERIODS)


def _noise(rng: np.random.Generator, places: int) -> np.ndarray:
    """(G, PEOPLE, T) what people have without any component: a level, what fades by a tenth a period, and noise, and
    the shocks of their place, which fade by a tenth."""
    lines = (places * PEOPLE, PERIODS)
    own = (
        0.5 * rng.normal(size=(lines[0], 1))
        + 0.4 * least_noise.fading(rng, lines[0], 0.9)
        + 0.3 * rng.normal(size=lines)
    )
    return own.reshape(places, PEOPLE, PERIODS) + 0.1 * least_noise.fading(rng, places, 0.9)[:, None]


def regression(y: np.ndarray, on: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (K,) and standard errors of exposures (K, G, T) with place and period effects; by place (CR1)."""
    centred = [x - x.mean(axis=1, keepdims=True) - x.mean(axis=0) + x.mean() for x in (y, *on.astype(float))]
    left, X = centred[0], np.stack(centred[1:], axis=-1)
    bread = np.linalg.inv(np.einsum("gtk,gtl->kl", X, X))
    beta = bread @ np.einsum("gtk,gt->k", X, left)
    score = np.einsum("gtk,gt->gk", X, left - X @ beta)
    places = len(y)
    return beta, np.sqrt(np.diag(bread @ (score.T @ score) @ bread) * places / (places - 1))


def _reach(places: int) -> float:
    return float(stats.t.ppf(0.975, places - 1))


@cache
def detectable(places: int, components: int) -> float:
    """What the regression finds four times in five: (t.975 + t.80) times its mean standard error."""
    errors = []
    for seed in range(PILOT):
        rng = np.random.default_rng([7, places, components, seed])
        on = np.arange(PERIODS) >= _starts(rng, places, components)[:, :, None]
        errors.append(regression(_noise(rng, places).mean(axis=1), on)[1].mean())
    return float(np.mean(errors) * (_reach(places) + stats.t.ppf(0.80, places - 1)))


def places(seed: int, count: int, components: int, zeros: int = 0) -> Drawn:
    """A draw in which all components but the last `zeros` add 1.15 times what the regression can detect."""
    rng = np.random.default_rng([11, count, components, seed])
    start, y = _starts(rng, count, components), _noise(rng, count)
    size = TIMES * detectable(count, components)
    names = [f"c{k}" for k in range(components)]
    effect = dict(zip(names, [size] * (components - zeros) + [0.0] * zeros, strict=True))
    on = np.arange(PERIODS) >= start[:, :, None]
    y = y + np.einsum("k,kgt->gt", list(effect.values()), on)[:, None]
    beta, error = regression(y.mean(axis=1), on)
    people = count * PEOPLE
    frame = pd.DataFrame({"person": np.repeat(np.arange(people), PERIODS), "t": np.tile(np.arange(PERIODS), people)})
    wide = {n: np.repeat(x, PEOPLE, axis=0).ravel().astype(int) for n, x in zip(names, on, strict=True)}
    frame = frame.assign(place=frame["person"] // PEOPLE, y=y.ravel(), **wide)
    study = ek.Study(frame, unit="person", period="t", outcome="y", cluster="place", better="higher",
                     matters=size / TIMES, components=names)  # fmt: skip
    found = dict(zip(names, (bool(x) for x in beta > _reach(count) * error), strict=True))
    return Drawn(study, lambda component, _: effect[component], found)


def sites(seed: int, world: str) -> Drawn:
    """Twenty sites of ten people and three components that do nothing (`benchmarks/least_noise.py`)."""
    return Drawn(least_noise.study(seed, least_noise.WORLDS[world]), lambda *_: 0.0, {})


# ---------------------------------------------------------------- Manchester


def manchester(seed: int, setting: str, crisis: str | None = None) -> Drawn:
    """Rough sleeping in Greater Manchester, its first outcome."""
    made = partnership("rough_sleeping", setting=setting, seed=seed, crisis=crisis)
    return Drawn(_first(made.study), lambda _, one: float(made.truth_for(one.weights()).iloc[0]), {})


def without(seed: int, setting: str, component: str) -> Drawn:
    """The same draw had one component done nothing, wherever it was on."""
    made = partnership("rough_sleeping", setting=setting, seed=seed)
    tables = {**made.tables, "panel": _taken_out(made, component)}

    def truth(name: str, one: ek.Estimate) -> float:
        return 0.0 if name == component else float(made.truth_for(one.weights()).iloc[0])

    return Drawn(_first(made.study_of(tables)), truth, {})


def _taken_out(made: Partnership, component: str) -> pd.DataFrame:
    panel, world = made.tables["panel"].copy(), made._world
    period = pd.factorize(panel["month"], sort=True)[0]
    person = np.searchsorted(world.ids, panel["person_id"].astype(np.int64))
    off = world.without(OUTCOME, component)[period, person]
    panel[OUTCOME] = np.where(panel[OUTCOME].notna(), off, np.nan)
    return panel


def _first(study: ek.Study) -> ek.Study:
    return study.replace(outcomes=[study.outcomes[0]])


LINES: Mapping[str, Callable[[int], Drawn]] = {
    **{f"places_{n}_{k}": lambda seed, n=n, k=k: places(seed, n, k)
       for n, k in ((12, 1), (20, 1), (40, 1), (20, 3), (40, 3))},
    **{f"zero_{n}_{k}": lambda seed, n=n, k=k: places(seed, n, k, zeros=1)
       for n, k in ((12, 1), (20, 1), (40, 1), (20, 3), (40, 3))},
    **{f"sites_{world}": lambda seed, world=world: sites(seed, world) for world in least_noise.WORLDS},
    **{f"manchester_{s}": lambda seed, s=s: manchester(seed, s) for s in ("clean", "realistic")},
    **{f"manchester_without_{c}": lambda seed, c=c: without(seed, "clean", c) for c in ("policy", "nurse")},
    "manchester_crisis": lambda seed: manchester(seed, "clean", "one"),
}  # fmt: skip
