"""Rollouts of every kind, with outcomes whose truth is known: sites by periods of 0 and 1, one array a component."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import evalkit as ek

NEVER = 99
Columns = list[np.ndarray]


def at(first: np.ndarray, periods: int) -> np.ndarray:
    """(sites, T) on from first periods."""
    return (np.arange(periods) >= np.asarray(first)[:, None]).astype(int)


def some(rng: np.random.Generator, sites: int, periods: int, never: float = 0.3) -> np.ndarray:
    """First periods at random; some never."""
    return np.where(rng.random(sites) < never, NEVER, rng.integers(3, periods - 1, sites))


def later(first: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.where(first < NEVER, first + by, NEVER)


def crossed(r: np.random.Generator, n: int, t: int) -> Columns:
    return [at(some(r, n, t), t) for _ in range(3)]


def together(r: np.random.Generator, n: int, t: int) -> Columns:
    a = at(some(r, n, t), t)
    return [a, a.copy(), at(some(r, n, t), t)]


def from_first(r: np.random.Generator, n: int, t: int) -> Columns:
    return [np.ones((n, t), dtype=int), at(some(r, n, t), t)]


def at_once(r: np.random.Generator, n: int, t: int) -> Columns:
    return [at(np.full(n, 4), t), at(some(r, n, t), t)]


def never(r: np.random.Generator, n: int, t: int) -> Columns:
    return [np.zeros((n, t), dtype=int), at(some(r, n, t), t)]


def swapped(r: np.random.Generator, n: int, t: int) -> Columns:
    a = at(some(r, n, t), t)
    return [1 - a, a, at(some(r, n, t), t)]


def replaced(r: np.random.Generator, n: int, t: int) -> Columns:
    """The second starts as the first, which ran for one to three periods, stops."""
    new = some(r, n, t)
    return [at(later(new, -r.integers(1, 4, n)), t) * (1 - at(new, t)), at(new, t)]


def one_site(r: np.random.Generator, n: int, t: int) -> Columns:
    return [at(np.where(np.arange(n) == 0, 4, NEVER), t), at(some(r, n, t), t)]


def sum_of_two(r: np.random.Generator, n: int, t: int) -> Columns:
    first, which = some(r, n, t, 0.2), r.random(n) < 0.5
    b, c = at(np.where(which, first, NEVER), t), at(np.where(which, NEVER, first), t)
    return [b + c, b, c]


def less_another(r: np.random.Generator, n: int, t: int) -> Columns:
    """A = B - C: the third starts one to three periods after the second, and the first is the second without it."""
    b = some(r, n, t)
    c = at(later(b, r.integers(1, 4, n)), t)
    return [at(b, t) - c, at(b, t), c]


def sum_of_three(r: np.random.Generator, n: int, t: int) -> Columns:
    first, which = some(r, n, t, 0.2), r.integers(0, 3, n)
    parts = [at(np.where(which == i, first, NEVER), t) for i in range(3)]
    return [parts[0] + parts[1] + parts[2], *parts]


def two_and_two(r: np.random.Generator, n: int, t: int) -> Columns:
    """A + B = C + D: every site that starts has one of each pair."""
    first, which = some(r, n, t, 0.2), r.integers(0, 4, n)
    p = [at(np.where(which == i, first, NEVER), t) for i in range(4)]
    return [p[0] + p[1], p[2] + p[3], p[0] + p[2], p[1] + p[3]]


def apart_in(places: int) -> Callable[[np.random.Generator, int, int], Columns]:
    def partly(r: np.random.Generator, n: int, t: int) -> Columns:
        first = some(r, n, t, 0.2)
        other = first.copy()
        for i in r.choice(n, places, replace=False):
            other[i] = min(first[i] + r.integers(1, 5), t - 1) if first[i] < NEVER else 5
        return [at(first, t), at(other, t)]

    return partly


def stopping(r: np.random.Generator, n: int, t: int) -> Columns:
    first = [some(r, n, t - 2) for _ in range(2)]
    return [at(f, t) - at(later(f, r.integers(2, 6, n)), t) for f in first]


def on_off_on(r: np.random.Generator, n: int, t: int) -> Columns:
    return [np.repeat(r.integers(0, 2, (n, t // 3 + 1)), 3, axis=1)[:, :t] for _ in range(2)]


def alone(r: np.random.Generator, n: int, t: int) -> Columns:
    return [at(np.full(1, 4), t), at(np.full(1, 6), t)]


def in_the_last_period(r: np.random.Generator, n: int, t: int) -> Columns:
    return [np.ones((n, t), dtype=int), at(np.where(np.arange(n) < n // 2, t - 1, NEVER), t)]


def bursts(r: np.random.Generator, n: int, t: int) -> Columns:
    return [at(np.where(r.random(n) < 0.7, r.choice([4, 5, 8], n), NEVER), t) for _ in range(3)]


def close(r: np.random.Generator, n: int, t: int) -> Columns:
    first = some(r, n, t, 0.2)
    return [at(first, t), at(later(first, r.integers(0, 2, n)), t)]


def nested(r: np.random.Generator, n: int, t: int) -> Columns:
    first = some(r, n, t, 0.2)
    return [at(first, t), at(np.where(r.random(n) < 0.5, first, NEVER), t)]


KINDS: dict[str, Callable[[np.random.Generator, int, int], Columns]] = {
    f.__name__: f
    for f in (crossed, together, from_first, at_once, never, swapped, replaced, one_site, sum_of_two, less_another,
              sum_of_three, two_and_two, stopping, on_off_on, alone, in_the_last_period, bursts, close, nested)
}  # fmt: skip
KINDS |= {"apart_in_one": apart_in(1), "apart_in_two": apart_in(2)}


@dataclass(frozen=True, eq=False)
class Known:
    """A study whose truth is known. effect: by component, constant. state: (units, T, K). reach: (units, K).

    Outcome "y" has the same trend for everybody, "z" one for each pattern of reach (which comparisons by people and
    the joint regression allow for, and comparisons of places do not).
    """

    study: ek.Study
    effect: dict[str, float]
    state: np.ndarray
    reach: np.ndarray


def known(kind: str, seed: int, some_people: Sequence[int] = (), lags: Sequence[int] = (), noise: float = 0.0) -> Known:
    """A rollout of a kind, two people a site; components in `some_people` reach one of them."""
    rng = np.random.default_rng([seed, *kind.encode()])
    sites, periods = int(rng.integers(6, 14)), int(rng.integers(9, 15))
    columns = KINDS[kind](rng, sites, periods)
    sites, k = len(columns[0]), len(columns)
    site, units = np.repeat(np.arange(sites), 2), 2 * sites
    reach = np.ones((units, k), dtype=int)
    reach[1::2, [c for c in some_people if c < k]] = 0
    state = np.stack([c[site] for c in columns], axis=2) * reach[:, None, :]
    effect = np.round(rng.normal(size=k) + rng.choice([-1, 1], k), 3)
    plain = 3 * rng.normal(size=(units, 1)) + state @ effect + noise * rng.normal(size=(units, periods))
    pattern = np.unique(reach, axis=0, return_inverse=True)[1].reshape(-1)
    trends = rng.normal(size=(int(pattern.max()) + 1, periods))
    frame = pd.DataFrame({
        "unit": np.repeat(np.arange(units), periods), "site": np.repeat(site, periods),
        "month": np.tile(np.arange(periods), units), "y": (plain + trends[0]).ravel(),
        "z": (plain + trends[pattern]).ravel(),
    })  # fmt: skip
    names = list("abcd"[:k])
    for i, name in enumerate(names):
        frame[name] = state[:, :, i].ravel()
        frame[f"reach_{name}"] = np.repeat(reach[:, i], periods)
    parts = [
        ek.Component(n, exposure=n, lag=dict(enumerate(lags)).get(i, 0),
                     reach=None if reach[:, i].all() else f"reach_{n}")
        for i, n in enumerate(names)
    ]  # fmt: skip
    outcomes = [ek.Outcome(o, kind="score", matters=0.2) for o in "yz"]
    study = ek.Study(frame, unit="unit", period="month", cluster="site", outcomes=outcomes, components=parts)
    return Known(study, dict(zip(names, map(float, effect), strict=True)), state, reach)
