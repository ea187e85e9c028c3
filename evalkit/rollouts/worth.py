"""What an order of starts is worth to one component: the effect that its interval would tell, as the search reckons."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from evalkit.components.switches import ENOUGH, REMAIN
from evalkit.inference.intervals import PRIOR_DF
from evalkit.rollouts.brief import BASE_WINDOW
from evalkit.rollouts.compiled import quick
from evalkit.rollouts.kernel import NOTHING, Cells, Spreads, shifts, squares, weigh
from evalkit.rollouts.least import Tables, moments, spread, system_of, total

Z80 = 0.8416212335729143
_FINE = 4000
_QUANTILES = np.append(1.959963984540054, stdtrit(_FINE / np.arange(1.0, _FINE + 1), 0.975))
"""Of t, at even steps of one over the degrees of freedom, down to one of them."""


class Ground(NamedTuple):
    """All of a brief that does not hang on starts: covariances, people of places (P,), tables where weights are of
    least noise (`least`), whether intervals are moderated."""

    spreads: Spreads
    heads: np.ndarray
    tables: Tables
    least: bool
    moderated: bool


def tell(cells: Cells, k: int, lag: int, window: int, ground: Ground, full: bool) -> tuple[float, float, float]:
    """Detectable effect of component k, infinite where nothing tells it; places that it lacks on either side, over
    event times; and those that it lacks for a claim over all of its window. full: with the expected squares of refits
    and influence; else as if each were the variance. Only the weights that are asked for are ever compiled."""
    told = tell_least if ground.least else tell_published
    return told(cells, k, lag, window, ground, full)


@quick
def tell_least(cells: Cells, k: int, lag: int, window: int, ground: Ground, full: bool) -> tuple[float, float, float]:
    """The same by weights of least noise."""
    _, seen, mass = compared(cells, k, lag, window, ground)
    ok, exposed, lacking, short = sides(seen)
    if mass <= 0.0:
        return np.inf, lacking, short
    system = system_of(cells.start, k, ok, ground.heads, ground.tables)
    found = moments(system) if full else alike(spread(system))
    return worth(found, exposed, ground.moderated), lacking, short


@quick
def tell_published(
    cells: Cells, k: int, lag: int, window: int, ground: Ground, full: bool
) -> tuple[float, float, float]:
    """The same by the published, equal weights."""
    W, seen, mass = compared(cells, k, lag, window, ground)
    _, exposed, lacking, short = sides(seen)
    if mass <= 0.0:
        return np.inf, lacking, short
    found = alike(squares(over(W, mass), cells.place, ground.spreads))
    if full:
        found[1] = shifts(cells, k, lag, BASE_WINDOW, W, mass, seen, ground.spreads)
    return worth(found, exposed, ground.moderated), lacking, short


@quick
def compared(cells: Cells, k: int, lag: int, window: int, ground: Ground) -> tuple[np.ndarray, np.ndarray, float]:
    """(C, T) unnormalised weights of component k, (E, 2, P) places on either side, and the mass."""
    W = np.zeros((len(cells.start), len(ground.spreads.shocks)))
    seen = np.zeros((window, 2, len(ground.heads)), np.bool_)
    mass = weigh(cells, k, -1, lag, BASE_WINDOW, W, seen)
    return W, seen, mass


@quick
def over(W: np.ndarray, mass: float) -> np.ndarray:
    """W / mass, one by one: what compares shapes takes seconds to compile."""
    out = np.zeros(W.shape)
    for i in range(W.shape[0]):
        for t in range(W.shape[1]):
            out[i, t] = W[i, t] / mass
    return out


@quick
def sides(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    """(E, P) places that are exposed at each event time, (P,) at any, and how many are lacking on either side and for a
    claim over the whole window."""
    window, _, P = seen.shape
    lacking, short, first = 0.0, 0.0, 0
    ok, exposed = np.zeros((window, P), np.bool_), np.zeros(P, np.bool_)
    for e in range(window):
        begun, waiting = 0, 0
        for i in range(P):
            begun, waiting = begun + seen[e, 0, i], waiting + seen[e, 1, i]
            ok[e, i] = seen[e, 0, i]
            exposed[i] = exposed[i] or ok[e, i]
        first = begun if e == 0 else first
        lacking += max(ENOUGH - begun, 0) + max(ENOUGH - waiting, 0)
        short += max(math.ceil(first / REMAIN) - begun, 0)
    return ok, exposed, lacking, short


@quick
def worth(found: np.ndarray, exposed: np.ndarray, moderated: bool) -> float:
    """Detectable effect; infinite where some place cannot be left out."""
    for i in range(len(exposed)):
        if math.isnan(found[1, i]):
            return np.inf
    return expected(found, exposed, moderated)


@quick
def alike(spread: np.ndarray) -> np.ndarray:
    """(3, P) as if shifts and influences were what places add to the variance (P,)."""
    out = np.zeros((3, len(spread)))
    for i in range(len(spread)):
        for row in range(3):
            out[row, i] = spread[i]
    return out


@quick
def expected(found: np.ndarray, exposed: np.ndarray, moderated: bool) -> float:
    """Detectable effect by the expected interval: moderated, or by refits alone (`inference/`). Its width is random,
    which a t with its degrees of freedom makes up for. found: (3, P) variance that each place adds, expected squares of
    the shift without it and of its influence; exposed: (P,)."""
    V, v1, v0, n1, n0 = total(found[0]), 0.0, 0.0, 0, 0
    for i in range(len(exposed)):
        if exposed[i]:
            v1, n1 = v1 + found[1, i], n1 + 1
        elif found[0, i] > NOTHING * V:
            v0, n0 = v0 + found[1, i], n0 + 1
    below = v1**2 / max(n1 - 1, 1) + v0**2 / max(n0 - 1, 1)
    df = max((v1 + v0) * (v1 + v0) / below, 1.0) if below > 0.0 else 1.0
    most = (v1 + v0) * (n1 + n0 - 1) / (n1 + n0)
    prior, width = 0.0, most / V
    if moderated:
        prior = min(max(min(n1, n0) - 1.0, 1.0), float(PRIOR_DF))
        width = (prior + df * math.sqrt(min(total(found[2]), most) * most) / V) / (prior + df)
    c = quantile(prior + df) * math.sqrt(width)
    return (c + Z80 * math.sqrt(1.0 + c**2 / (2.0 * (prior + df)))) * math.sqrt(V)


@quick
def quantile(df: float) -> float:
    """The .975 quantile of t with at least one degree of freedom, to five digits."""
    x = _FINE / df
    at = min(int(x), _FINE - 1)
    return _QUANTILES[at] + (x - at) * (_QUANTILES[at + 1] - _QUANTILES[at])
