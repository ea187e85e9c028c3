"""How effects on a share may move people: worlds for `benchmarks.plan`, section `movers`.

People come into a state and lose it: a chain of two states whose share is one half and whose months agree by .8. In
every world a component adds as much to the share, on average over its first six months, where it can.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SHARE, DECAY, WINDOW = 0.5, 0.8, 6
COME, LOSE = SHARE * (1 - DECAY), (1 - SHARE) * (1 - DECAY)
"""Chance to come into the state, and to lose it, in a month without components."""
Chances = tuple[np.ndarray, np.ndarray]


def chain(rng: np.random.Generator, people: int, come: np.ndarray, lose: np.ndarray) -> np.ndarray:
    """(P, people, T) states by chances (P, T) to come into it and to lose it."""
    P, T = come.shape
    now = rng.random((P, people)) < SHARE
    out = np.empty((P, people, T))
    for t in range(T):
        drawn = rng.random((P, people))
        now = np.where(now, drawn >= lose[:, t, None], drawn < come[:, t, None])
        out[:, :, t] = now
    return out


def gain(come: float, lose: float) -> float:
    """What is added to the share on average over the first months with these chances."""
    share, total = SHARE, 0.0
    for _ in range(WINDOW):
        share = share * (1 - lose) + (1 - share) * come
        total += share - SHARE
    return total / WINDOW


def part(of: Callable[[float], float], effect: float) -> float:
    """The number from 0 to 1 at which a rising function comes to an effect; 1 where it never does."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if of(middle) >= effect else (middle, high)
    return high


def untouched(P: int, T: int) -> Chances:
    return np.full((P, T), COME), np.full((P, T), LOSE)


def moved(rng: np.random.Generator, people: int, on: np.ndarray, effects: np.ndarray, good: bool) -> np.ndarray:
    """Effects there at once: who would not be in the state is, the same people for good, or others in every month."""
    P, T, _ = on.shape
    none = chain(rng, people, *untouched(P, T))
    marks = rng.random((P, people, 1 if good else T))
    return np.maximum(none, marks < (on @ effects / (1 - SHARE))[:, None])


def transitions(rng: np.random.Generator, people: int, on: np.ndarray, effects: np.ndarray, coming: bool) -> np.ndarray:
    """Effects that build up: more come into the state in each month, or fewer lose it."""
    come, lose = untouched(*on.shape[:2])
    for k, effect in enumerate(effects):
        if coming:
            most = part(lambda x: gain(COME + x * (1 - COME), LOSE), effect)
            come = 1 - (1 - come) * (1 - most * on[:, :, k])
        else:
            most = part(lambda x: gain(COME, LOSE * (1 - x)), effect)
            lose = lose * (1 - most * on[:, :, k])
    return chain(rng, people, come, lose)


World = Callable[[np.random.Generator, int, np.ndarray, np.ndarray], np.ndarray]
"""Outcomes (P, people, T) of yes or no, by components on (P, T, K) and their effects (K,)."""
GOOD = "moved for good"
WORLDS: dict[str, World] = {
    GOOD: lambda rng, n, on, e: moved(rng, n, on, e, True),
    "moved anew each month": lambda rng, n, on, e: moved(rng, n, on, e, False),
    "more come in": lambda rng, n, on, e: transitions(rng, n, on, e, True),
    "fewer lose it": lambda rng, n, on, e: transitions(rng, n, on, e, False),
}
