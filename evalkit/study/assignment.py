"""What chance dealt: which groups of people had a component from when on, in which blocks; and deals that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from evalkit.errors import Problem
from evalkit.show.words import count_words, noun_from_column, plural
from evalkit.study.paths import UNKNOWN, Paths

Say = Callable[[np.ndarray], str]
"""Puts positions of units in words: 'panel, rows 3, 8 and 40 more'."""


@dataclass(frozen=True, eq=False)
class Dealt:
    """What was dealt of one component. level: to what it was dealt. of: (n,) group of each unit, -1 where it cannot be
    reached. names: (G,) of the groups. start: (G,) position of the first period with it, T where there is none. block:
    (G,) code of the block in which it was dealt. periods: T."""

    level: str
    of: np.ndarray
    names: np.ndarray
    start: np.ndarray
    block: np.ndarray
    periods: int

    @property
    def alone(self) -> bool:
        """Whether every group is one unit."""
        return bool(np.bincount(self.of[self.of >= 0], minlength=len(self.names)).max(initial=0) <= 1)


def dealt(paths: Paths, component: str) -> Dealt:
    """The deal of a randomised component, from exposure paths alone; groups that nobody can reach are none."""
    k, level = paths.index(component), paths.levels[paths.assigned_at[component]]
    reached, T = paths.reach[paths.path, k], paths.n_periods
    first = _first(paths, k)[paths.path]
    used, code = np.unique(level.codes[reached], return_inverse=True)
    of = np.full(paths.n_units, -1)
    of[reached] = code
    start = np.full(len(used), T)
    np.minimum.at(start, code, first[reached])
    block = np.zeros(len(used), dtype=int)
    if within := paths.randomised.get(component):
        block[code] = paths.levels[within].codes[reached]
    return Dealt(level.name, of, level.names[used], start, np.unique(block, return_inverse=True)[1], T)


def uneven(paths: Paths, names: Iterable[str]) -> str:
    """Why people who had a mix of components stand beside all others in no plain way: weights that differ, or blocks in
    which one was dealt; "" where neither."""
    if paths.weights is not None and len(np.unique(paths.weights)) > 1:
        return "people weigh unlike each other"
    return next((f"{name!r} was dealt within blocks" for name in names if paths.randomised.get(name)), "")


def in_groups(paths: Paths, names: Iterable[str]) -> str:
    """Which component was dealt to groups of people, in words; "" where none."""
    dealt_so = (name for name in names if name in paths.randomised and not dealt(paths, name).alone)
    return next((f"{name!r} was dealt to groups" for name in dealt_so), "")


def _first(paths: Paths, k: int) -> np.ndarray:
    """(P,) first period in which a path has component k, part-way included; T where it never does."""
    on = (paths.state[:, :, k] != 0) & (paths.state[:, :, k] != UNKNOWN)
    return np.where(on.any(axis=1), on.argmax(axis=1), paths.n_periods)


def assignment_problems(paths: Paths, say: Say) -> Iterator[Problem]:
    """Deals that cannot be as they are declared: units in two groups, groups in two blocks, blocks with one arm,
    something that is switched off again, a deal that left nothing to compare."""
    for component, within in paths.randomised.items():
        where = f"component {component!r}"
        found = [*_moved(paths, component, say)]
        if not found:
            deal = dealt(paths, component)
            found = [*_switched_off(paths, component, deal, say)]
            if not found and within:
                found = [*_blocks(paths, deal, paths.levels[within].codes, within, say)]
            if not found and len(np.unique(deal.start)) < 2:
                had = "Everybody" if deal.start.min(initial=deal.periods) < deal.periods else "Nobody"
                advice = "A deal leaves some with it and some without it: correct the exposure, or leave out assigned."
                found = [Problem(f"{had} had it from the same time on, so that chance dealt nothing", "", advice)]
        for problem in found:
            yield Problem(problem.what, ", ".join(filter(None, (where, problem.where))), problem.next)


def _moved(paths: Paths, component: str, say: Say) -> Iterator[Problem]:
    """Units that are in two of the groups that it was dealt to."""
    level = paths.levels[paths.assigned_at[component]]
    order = np.argsort(paths.units.astype(str), kind="stable")
    ids, codes = paths.units[order], level.codes[order]
    again = (ids[1:] == ids[:-1]) & (codes[1:] != codes[:-1])
    if again.any():
        noun = noun_from_column(level.name)
        what = f"{count_words(len(np.unique(ids[1:][again].astype(str))), 'unit')} in two {plural(noun)}"
        advice = f"Say in which {noun} each was when it was dealt; a later move changes nothing."
        yield Problem(what, say(order[1:][again]), advice)


def _switched_off(paths: Paths, component: str, deal: Dealt, say: Say) -> Iterator[Problem]:
    """What is switched off again: an order of rollout says when each starts, and nothing more."""
    k, units = paths.index(component), np.flatnonzero(deal.of >= 0)
    state, first = paths.state[:, :, k], _first(paths, k)
    off = ((state != UNKNOWN) & ((state != 0) != (np.arange(deal.periods) >= first[:, None]))).any(axis=1)
    if (wrong := units[off[paths.path[units]]]).size:
        advice = (
            "What is dealt is when it starts: give the exposure that was meant, and what was taken up as compliance."
        )
        yield Problem("It is switched off again, which no order of rollout does", say(wrong), advice)


def _blocks(paths: Paths, deal: Dealt, codes: np.ndarray, within: str, say: Say) -> Iterator[Problem]:
    """Groups in two blocks, and blocks with one arm only."""
    units, noun = np.flatnonzero(deal.of >= 0), noun_from_column(deal.level)
    _, blocks = np.unique(codes[units], return_inverse=True)
    astray = deal.block[deal.of[units]] != blocks
    if astray.any():
        named = ", ".join(str(name) for name in deal.names[np.unique(deal.of[units[astray]])[:5]])
        what = f"{plural(noun).capitalize()} lie in more than one {noun_from_column(within)} ({named})"
        yield Problem(what, say(units[astray]), f"Give each {noun} one block.")
        return
    low, high = (np.full(deal.block.max() + 1, fill) for fill in (deal.periods + 1, -1))
    np.minimum.at(low, deal.block, deal.start)
    np.maximum.at(high, deal.block, deal.start)
    alone = low == high
    if alone.any():
        level = paths.levels[within]
        used = np.unique(codes[units])
        named = ", ".join(str(level.names[c]) for c in used[alone][:5])
        what = f"{count_words(int(alone.sum()), noun_from_column(within))} with one arm only ({named})"
        advice = "Within a block chance left some with it and some without: join these to blocks like them, or leave "
        yield Problem(what, say(units[alone[blocks]]), advice + "their rows out and say so.")
