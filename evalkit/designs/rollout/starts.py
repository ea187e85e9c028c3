"""Every start of a component, and who may stand beside it: "clean" is defined here and nowhere else.

A *start* is a spell of the component that begins after a period in which it was
off. For a start of path p at position g with base b, path q may serve at period
t when it can be reached, has not been touched by the component up to
max(t, b) + anticipation, and agrees with p on the other components over the
window that the choice `others` names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from evalkit.designs.rollout.plan import Baseless, Comparison, ExposureStates, Plan, Rules

NEVER = np.iinfo(np.int64).max // 4


@dataclass(frozen=True)
class Start:
    """A start: its path, the first period with the component, the last one without, and the first of the unbroken
    stretch without it, `lookback` later."""

    path: int
    cohort: int
    last_off: int
    quiet: int


@dataclass(frozen=True, eq=False)
class History:
    """What every path did. touched: (P,) first position at which the component was not plainly off. first: (P,) its
    first start, -1 for none. moved: (P, T + 1) running count of changes of the others."""

    touched: np.ndarray
    first: np.ndarray
    moved: np.ndarray

    def only(self, rows: np.ndarray) -> History:
        return History(self.touched[rows], self.first[rows], self.moved[rows])


def make_plan(states: ExposureStates, rules: Rules, leads: bool = True) -> Plan:
    """Every start in `states` with its matches under `rules`.

    leads=False leaves out the periods before each start, which is much quicker: only paths that agree
    at the start itself can agree later.
    """
    starts, orphans, history = _starts(states, rules)
    made = [_compare(states, rules, start, history, leads) for start in starts]
    lost = [
        Baseless(s.cohort, s.path, _spell(states, rules, s)) for s, c in zip(starts, made, strict=True) if c is None
    ]
    whole = tuple(c for c in made if c is not None)
    return Plan(states.component, whole, tuple(orphans), tuple(lost), states, rules)


def windows_without_each(plan: Plan) -> dict[tuple[int, int], tuple[tuple[Comparison, np.ndarray], ...]]:
    """Comparisons, by path and cohort, whose base window is another one without some cluster: as planned, then with
    each other window; which clusters (lines of `states.people`) use which."""
    states, rules = plan.states, plan.rules
    if states is None or rules is None or rules.base_window == 1:
        return {}
    starts, _, history = _starts(states, rules)
    planned = {(c.path, c.cohort): c for c in plan}
    found = {}
    for start in starts:
        c = planned.get((start.path, start.cohort))
        if c is None:
            continue
        window, matches = _choose(states, c.path, _widths(states, rules, start, history, c.base), each=True)
        window = np.where(c.possible, window, 0)
        if (window == c.window).all():
            continue
        uses = [(c, window == c.window)]
        for width, match in enumerate(matches, 1):
            used = (window == width) & (c.window != width)
            at = used.any(axis=0)
            if at.any():
                other = replace(c, base=np.where(at, c.base, -1), window=np.where(at, width, 0), match=match & at)
                uses.append((other, used))
        found[c.path, c.cohort] = tuple(uses)
    return found


def begins_again(states: ExposureStates) -> bool:
    """Whether any path starts it again after an earlier spell."""
    begins, _, before_on = _begins(states)
    return bool((begins & (before_on >= 0)).any())


def which_starts(states: ExposureStates) -> str:
    """Which starts an answer rests on, from exposures alone: only the "first" of each path where some begin again and
    two clusters begin for the first time; else "all"."""
    begins, _, before_on = _begins(states)
    first, again = begins & (before_on < 0), begins & (before_on >= 0)
    if not again.any():
        return "all"
    clusters = states.people @ first.any(axis=1).astype(np.int32)
    return "first" if states.total(clusters > 0) >= 2 else "all"


def _begins(states: ExposureStates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, T) each: starts, the last period without it so far, and the last period with it before."""
    position = np.arange(states.shape[1])
    last_off = np.maximum.accumulate(np.where(states.off, position, -1), axis=1)
    last_on = np.maximum.accumulate(np.where(states.on, position, -1), axis=1)
    before_on = np.concatenate([np.full((len(last_on), 1), -1), last_on[:, :-1]], axis=1)
    return states.on & (last_off > before_on) & states.reach[:, None], last_off, before_on


def _starts(states: ExposureStates, rules: Rules) -> tuple[list[Start], list[int], History]:
    """Every start; paths on before any off period; and what every path did."""
    begins, last_off, before_on = _begins(states)
    last_busy = np.maximum.accumulate(np.where(states.off, -1, np.arange(states.shape[1])), axis=1)
    if rules.starts == "first":
        begins &= before_on < 0
    orphans = np.flatnonzero((states.on & (last_off < 0)).any(axis=1) & states.reach)
    starts, first = [], np.full(states.shape[0], -1)
    for p, g in np.argwhere(begins).tolist():
        off = int(last_off[p, g])
        starts.append(Start(p, g, off, int(last_busy[p, off]) + 1 + rules.lookback))
        first[p] = g if first[p] < 0 else first[p]
    hit, code = ~states.off, states.others
    moves = np.zeros(code.shape, dtype=bool)
    moves[:, 1:] = (code[:, 1:] != code[:, :-1]) | (code[:, 1:] < 0) | (code[:, :-1] < 0)
    touched = np.where(hit.any(axis=1), hit.argmax(axis=1), NEVER)
    return starts, orphans.tolist(), History(touched, first, _count(moves))


def _compare(states: ExposureStates, rules: Rules, start: Start, history: History, leads: bool) -> Comparison | None:
    """A start with its matches, None where it has no base."""
    if start.last_off - rules.anticipation < start.quiet:
        return None
    last_base = start.last_off - rules.anticipation
    t = np.arange(states.shape[1])
    base = np.where(_spell(states, rules, start), last_base, -1)
    lead = (t >= start.quiet) & (t <= start.last_off) & states.off[start.path]
    if rules.base == "varying":
        base = np.where(lead & (t - 1 >= start.quiet), t - 1, base)
    else:
        base = np.where(lead & (t != last_base), last_base, base)
    if not leads:
        base[: start.cohort] = -1
    if leads or rules.others == "ignored" or rules.base_window > 1:
        match, window = _matches(states, rules, start, history, base)
    else:
        match, window = np.zeros(states.shape, dtype=bool), np.ones(states.shape[1], dtype=np.int64)
        may = states.reach & (history.touched > start.cohort + rules.anticipation) & states.like(start.path)
        low, high = max(start.last_off - rules.anticipation - rules.lookback, 0), start.cohort + 1
        if rules.others == "same":
            code = states.others[:, low:high]
            may &= ((code == code[start.path]) & (code >= 0)).all(axis=1)
        else:
            may &= history.moved[:, high] == history.moved[:, low + 1]
        may[start.path] = True
        rows = np.flatnonzero(may)  # who agrees from the base to the start, the adopter among them: no other can later
        if len(rows) > 1:
            here = replace(start, path=int(np.searchsorted(rows, start.path)))
            match[rows] = _matches(states.only(rows), rules, here, history.only(rows), base)[0]
    window[base < 0] = 0
    return Comparison(states.component, start.cohort, start.path, base, window, match)


def _spell(states: ExposureStates, rules: Rules, start: Start) -> np.ndarray:
    """(T,) periods from the start to the end of its spell, the horizon included."""
    t = np.arange(states.shape[1])
    ended = np.flatnonzero(~states.on[start.path, start.cohort :])
    end = start.cohort + int(ended[0]) if len(ended) else states.shape[1]
    if rules.horizon is not None:
        end = min(end, start.cohort + rules.horizon + 1)
    return (t >= start.cohort) & (t < end)


def _matches(
    states: ExposureStates, rules: Rules, start: Start, history: History, base: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(P, T) matches under the widest base window that is worth it, and its length (T,)."""
    widths = _widths(states, rules, start, history, base)
    if rules.base_window == 1:
        return next(widths)[0], np.ones(len(base), dtype=np.int64)
    window, matches = _choose(states, start.path, widths)
    match = matches[0].copy()
    for width, wider in enumerate(matches[1:], 2):
        match[:, window[0] == width] = wider[:, window[0] == width]
    return match, window[0]


def _widths(
    states: ExposureStates, rules: Rules, start: Start, history: History, base: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(P, T) matches, and the periods (T,) in which the adopter allows it, for base windows of 1, 2, ... periods."""
    path, t, last, code, moved = start.path, np.arange(len(base)), np.maximum(base, 0), states.others, history.moved
    if rules.comparison == "never":
        free = np.broadcast_to((history.touched == NEVER)[:, None], states.shape).copy()
    else:
        until = np.maximum(np.arange(states.shape[1]), base) + rules.anticipation
        free = history.touched[:, None] > until[None, :]
    free &= states.reach[:, None] & (base >= 0)
    free[(history.first == start.cohort) | ~states.like(path)] = False
    differs = _count((code != code[path]) | (code < 0)) if rules.others == "same" else moved
    for width in range(1, rules.base_window + 1):
        low = last - width + 1
        room = (low >= start.quiet) & (base >= 0)
        low, high = np.maximum(low, 0), np.maximum(last, t)
        since = np.maximum(np.minimum(low, t) - rules.lookback, 0)
        if rules.others == "ignored":
            yield free, room
            continue
        if rules.others == "same":
            agree = differs[:, high + 1] == differs[:, since]
        else:
            agree = moved[:, high + 1] == moved[:, since + 1]
            agree = agree & agree[path]
        yield free & agree, room & (moved[path, last + 1] == moved[path, low + 1])


def _choose(
    states: ExposureStates, path: int, widths: Iterable[tuple[np.ndarray, np.ndarray]], each: bool = False
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(1, T) the widest base window that keeps two comparison clusters (or as many as a single base period has, if
    that is fewer) and loses less by matches that drop out than it gains by more base periods; and the matches of
    every width that is used. each: (lines, T) without each cluster in turn."""
    own = _arm(states, states.on_path(path), each)[1]
    window, enough, before = np.ones(1), np.zeros(1), np.zeros(1)
    matches: list[np.ndarray] = []
    for width, (match, room) in enumerate(widths, 1):
        clusters, people = _arm(states, states.people @ match.astype(np.int32), each)
        with np.errstate(
            divide="ignore"
        ):  # variance of the comparison if all outcomes were independent with variance 1
            noise = (1 + 1 / width) * (1 / np.maximum(own, 1.0) + 1 / people)
        if width == 1:
            window, enough = np.ones(clusters.shape, dtype=np.int64), np.minimum(clusters, 2)
        else:
            keep = room & (clusters >= enough) & (window == width - 1) & (noise <= before)
            if not keep.any():
                break
            window = np.where(keep, width, window)
        before = noise
        matches.append(match)
    return window, matches


def _arm(states: ExposureStates, people: np.ndarray, each: bool) -> tuple[np.ndarray, np.ndarray]:
    """Clusters and units, (1, T) each, of an arm with (lines, T) `people`; (lines, T) where `each` is left out."""
    there = people > 0
    clusters, units = states.total(there), states.total(people)
    return (clusters - there, units - people) if each else (clusters[None], units[None])


def _count(flags: np.ndarray) -> np.ndarray:
    """Running count along periods, one column longer, so that windows are differences."""
    out = np.zeros((flags.shape[0], flags.shape[1] + 1), dtype=np.int32)
    np.cumsum(flags, axis=1, out=out[:, 1:])
    return out
