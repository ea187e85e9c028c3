"""Swaps that exact algebra does not see: one component starts wherever another stops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.components.facts import Facts
from evalkit.designs.additive import spell_ages
from evalkit.study.paths import OFF, Paths


def forced_swaps(paths: Paths, facts: Sequence[Facts]) -> dict[int, tuple[int, ...]]:
    """Component -> components that switch off wherever it switches on.

    Within max(1, lag) periods either side, and only when nowhere within its reach does
    the other stop without it starting: otherwise the stop alone tells what it does.
    """
    begins = np.stack([_begins(paths, k) for k in range(len(facts))])
    ends = np.stack([_ends(paths, k) for k in range(len(facts))])
    out: dict[int, tuple[int, ...]] = {}
    for b, fact in enumerate(facts):
        if fact.always or not begins[b].any():
            continue
        margin = max(1, fact.lag)
        near_start, reach = _near(begins[b], margin), paths.reach[:, b][:, None]
        found = [
            a
            for a in range(len(facts))
            if a != b
            and ends[a].any()
            and not (begins[b] & ~_near(ends[a], margin)).any()
            and not (ends[a] & reach & ~near_start).any()
        ]
        if found:
            out[b] = tuple(found)
    return out


def _begins(paths: Paths, k: int) -> np.ndarray:
    state = paths.state[:, :, k]
    return spell_ages((state > 0) & paths.reach[:, [k]], state == OFF)[0]


def _ends(paths: Paths, k: int) -> np.ndarray:
    """(P, T) first period off after a spell."""
    state = paths.state[:, :, k]
    return spell_ages(state == OFF, state > 0)[0]


def _near(flags: np.ndarray, margin: int) -> np.ndarray:
    """(P, T) whether there is a flag within `margin` periods."""
    out = flags.copy()
    for shift in range(1, min(margin, flags.shape[1] - 1) + 1):
        out[:, shift:] |= flags[:, :-shift]
        out[:, :-shift] |= flags[:, shift:]
    return out
