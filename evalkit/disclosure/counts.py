"""Counts that add up: which to hide so that nobody can work out a small one from the others.

Primary suppression hides what is too small; secondary suppression hides further counts until, by linear
programming, every small one could be anything from well below to well above the rule (Fischetti and Salazar 2001
for the attack; a greedy choice instead of their optimum).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from evalkit.disclosure.rules import Rules

Sums = Sequence[tuple[int, Sequence[int]]]


@dataclass(frozen=True, eq=False)
class Hidden:
    """Which counts are hidden: primary (too small) and secondary (would give a small one away), each (c,)."""

    primary: np.ndarray
    secondary: np.ndarray

    @property
    def any(self) -> np.ndarray:
        """(c,) hidden for either reason."""
        return self.primary | self.secondary


def hide(counts: Sequence[float], sums: Sums, rules: Rules, structural: Sequence[int] = ()) -> Hidden:
    """What to hide among counts that add up.

    counts: (c,) non-negative. sums: (total, parts) positions, each saying that the parts add up to the total.
    structural: positions of noughts that everybody knows. Hides ever more, smallest first, until no attack that
    knows `sums` and every count shown gets nearer to a small one than the rule; at worst all is hidden.
    """
    values = np.asarray(counts, dtype=float)
    known = np.isin(np.arange(len(values)), np.asarray(structural, dtype=int))
    primary = rules.small(values) & ~known
    hidden = primary.copy()
    for _ in range(len(values)):
        bare = [i for i in np.flatnonzero(primary).tolist() if not covered(values, hidden, sums, rules, i)]
        if not bare:
            break
        more = _next(values, hidden, sums, rules, bare[0], known)
        if more is None:
            break
        hidden[more] = True
    return Hidden(primary, hidden & ~primary)


def covered(values: np.ndarray, hidden: np.ndarray, sums: Sums, rules: Rules, cell: int) -> bool:
    """Whether a hidden count could, for all that is shown, be large, and its range is as wide as the rule."""
    low, high = attack(values, hidden, sums, rules, cell)
    return bool(high >= rules.count and high - low >= rules.count)


def attack(values: np.ndarray, hidden: np.ndarray, sums: Sums, rules: Rules, cell: int) -> tuple[float, float]:
    """Least and most that a count could be, given the sums and the counts shown (as rounded)."""
    half = rules.round_to / 2
    bounds = [(0.0, None) if hidden[i] else _known(v, half, rules) for i, v in enumerate(values)]
    matrix = np.zeros((len(sums), len(values)))
    for row, (total, parts) in enumerate(sums):
        matrix[row, total] -= 1.0
        matrix[row, list(parts)] += 1.0
    ends = []
    for sign in (1.0, -1.0):
        goal = np.zeros(len(values))
        goal[cell] = sign
        found = linprog(goal, A_eq=matrix, b_eq=np.zeros(len(sums)), bounds=bounds, method="highs")
        ends.append(sign * found.fun if found.status == 0 else (0.0 if sign > 0 else np.inf))
    return float(ends[0]), float(ends[1])


def _known(value: float, half: float, rules: Rules) -> tuple[float, float]:
    if not half:
        return value, value
    near = rules.shown(value)
    return max(near - half, 0.0), near + half


def _next(values: np.ndarray, hidden: np.ndarray, sums: Sums, rules: Rules, cell: int, known: np.ndarray) -> int | None:
    """The smallest count that covers `cell` when hidden; else the smallest in a sum with something hidden."""
    linked = {cell}
    near: set[int] = set()
    for total, parts in [*sums, *sums]:
        members = {total, *parts}
        if members & {*linked, *np.flatnonzero(hidden).tolist()}:
            near |= members
    candidates = sorted((i for i in near if not hidden[i] and not known[i]), key=lambda i: (values[i], i))
    for i in candidates:
        trial = hidden.copy()
        trial[i] = True
        if covered(values, trial, sums, rules, cell):
            return i
    return candidates[0] if candidates else None


def at_least_two(hidden: np.ndarray, sizes: np.ndarray, eligible: np.ndarray | None = None) -> np.ndarray:
    """Hide one more where exactly one is hidden and a published total would give it away: the smallest left."""
    can = np.ones(len(hidden), dtype=bool) if eligible is None else eligible
    if int((hidden & can).sum()) != 1:
        return hidden
    left = np.flatnonzero(can & ~hidden)
    out = hidden.copy()
    if len(left):
        out[left[np.argmin(np.where(np.isnan(sizes[left]), np.inf, sizes[left]))]] = True
    return out


def apart(counts: Sequence[float], rules: Rules) -> np.ndarray:
    """Which counts of nested groups may be shown, in order: none too small, none within the rule of one shown before.

    Two such counts that differ by a few would say how many people make the difference.
    """
    kept: list[float] = []
    out = np.zeros(len(counts), dtype=bool)
    for i, count in enumerate(np.asarray(counts, dtype=float)):
        near = any(0 < abs(count - k) < rules.count for k in kept)
        out[i] = np.isfinite(count) and count > 0 and not rules.small(count) and not near
        if out[i]:
            kept.append(float(count))
    return out
