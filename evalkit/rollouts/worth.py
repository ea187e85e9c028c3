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
from evalkit.rollouts.least import System, Tables, gathered, moments, no_system, spread, system_of, total
from evalkit.rollouts.solving import factor

LOST = 30.0
"""What a component counts, in effects wanted, that nothing can tell."""
Z80 = 0.8416212335729143
_FINE = 4000
_QUANTILES = np.append(1.959963984540054, stdtrit(_FINE / np.arange(1.0, _FINE + 1), 0.975))
"""Of t, at even steps of one over the degrees of freedom, down to one of them."""


class Ground(NamedTuple):
    """All of a brief that does not hang on starts: people of places (P,), T periods, lag and scale of each component
    (K,), window, whether intervals are moderated, tables of least noise for every component. scale: effect wanted, in
    those of the smallest."""

    heads: np.ndarray
    T: int
    lags: np.ndarray
    scale: np.ndarray
    window: int
    moderated: bool
    tables: tuple[Tables, ...]


class Part(NamedTuple):
    """What tells a component: places that are exposed, lacking on either side over event times, and lacking for a claim
    over all of the window; unnormalised published weights W (C, T) with their mass and sides (E, 2, P); and the system
    that those of least noise solve, with the factor of its information."""

    exposed: np.ndarray
    lacking: float
    short: float
    mass: float
    W: np.ndarray
    seen: np.ndarray
    system: System
    factor: np.ndarray


@quick
def prepared(cells: Cells, k: int, ground: Ground, spreads: Spreads | None) -> Part:
    """What tells component k. spreads: for published weights; without them, of least noise, and only these are ever
    compiled."""
    W = np.zeros((len(cells.start), ground.T))
    seen = np.zeros((ground.window, 2, len(ground.heads)), np.bool_)
    mass = weigh(cells, k, -1, ground.lags[k], BASE_WINDOW, W, seen)
    ok, exposed, lacking, short = sides(seen)
    if spreads is None:
        system = system_of(cells.start, k, ok, ground.heads, ground.tables[k])
    else:
        system = no_system()
    return Part(exposed, lacking, short, mass, W, seen, system, factor(gathered(system)))


@quick
def worth(part: Part, cells: Cells, k: int, ground: Ground, spreads: Spreads | None, full: bool) -> float:
    """Detectable effect of component k, infinite where nothing tells it or some place cannot be left out. full: with
    the expected squares of refits and influence; else as if each were the variance."""
    if part.mass <= 0.0:
        return np.inf
    if spreads is None:
        found = moments(part.system, part.factor, ground.tables[k]) if full else alike(spread(part.system, part.factor))
    else:
        found = alike(squares(over(part.W, part.mass), cells.place, spreads))
        if full:
            found[1] = shifts(cells, k, ground.lags[k], BASE_WINDOW, part.W, part.mass, part.seen.copy(), spreads)
    for i in range(len(part.exposed)):
        if math.isnan(found[1, i]):
            return np.inf
    return expected(found, part.exposed, ground.moderated)


@quick
def counted(found: float, part: Part, scale: float) -> float:
    """What a detectable effect counts in the loss: in units of the smallest wanted, and more for places that lack."""
    return min(found / scale, LOST) * (1.0 + 0.25 * (part.lacking + part.short))


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
