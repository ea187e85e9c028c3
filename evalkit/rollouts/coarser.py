"""The same rollout in longer periods: where a search begins, as what it sees is smooth there, and cheap to see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evalkit.rollouts.brief import Brief
from evalkit.rollouts.dates import make_calendar_of
from evalkit.rollouts.kernel import Screen

TOGETHER = 3
"""Periods that are taken as one."""
FEWEST = 6
"""Long periods that there must be."""


def coarser(screen: Screen) -> Screen | None:
    """Means over three periods each, of outcomes and noise; None where a window is shorter than that, or where few
    periods are left. Starts that are allowed are those of which all three periods are, or the nearest. Periods that are
    over at the end are left out."""
    b, T = screen.brief, screen.brief.T // TOGETHER
    if b.window < TOGETHER or T < FEWEST:
        return None
    low, high = -(-b.low // TOGETHER), (b.high + 1) // TOGETHER - 1
    fixed, at = low > high, np.minimum(b.low // TOGETHER, T)
    low, high = np.where(fixed, at, low), np.minimum(np.where(fixed, at, high), np.where(fixed, T, T - 1))
    components = tuple(replace(c, lag=round(c.lag / TOGETHER)) for c in b.components)
    long = replace(
        b, calendar=make_calendar_of((0, T - 1)), low=np.minimum(low, high), high=high, components=components,
        window=round(b.window / TOGETHER), most=b.most * TOGETHER, most_in_all=b.most_in_all * TOGETHER,
        past=-(-b.past // TOGETHER),
    )  # fmt: skip
    mean = np.repeat(np.eye(T), TOGETHER, axis=1) / TOGETHER
    mean = np.pad(mean, ((0, 0), (0, b.T - mean.shape[1])))
    return replace(screen, brief=long, shocks=mean @ screen.shocks @ mean.T, person=mean @ screen.person @ mean.T)


def finer(brief: Brief, groups: list[np.ndarray], starts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(P, K) starts in the periods of a brief, each at random within its long one, where there is room; they keep to
    what is allowed, but for the room that there may not be."""
    out, T = np.full(starts.shape, brief.T), brief.T // TOGETHER
    room = np.tile(np.append(brief.most, brief.most_in_all)[:, None], (1, brief.T))
    for n in rng.permutation(starts.shape[0] * len(groups)):
        i, g = n // len(groups), groups[n % len(groups)]
        k, begin = int(g[0]), int(starts[i, g[0]]) * TOGETHER
        if starts[i, k] >= T and (brief.never[i, k] or brief.low[i, k] >= brief.T):
            continue
        may = np.clip(np.arange(begin, begin + TOGETHER), brief.low[i, g].max(), brief.high[i, g].min())
        free = may[(may < brief.past) | ((room[k, may] > 0) & (room[-1, may] > 0))]
        out[i, g] = rng.choice(free if len(free) else may)
        room[k, out[i, k]] -= 1
        room[-1, out[i, k]] -= 1
    return out
