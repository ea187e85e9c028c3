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
AT_ONCE = 1_000_000
"""Starts x periods x paths (or lines of clusters) that are compared at once."""

Windows = tuple[tuple[Comparison, np.ndarray], ...]
"""A comparison with each of its base windows, and which clusters (lines, T) use it."""


@dataclass(frozen=True, eq=False)
class Starts:
    """S starts, (S,) each: the path, the first period with the component, the last one without, and the first of the
    unbroken stretch without it, `lookback` later."""

    path: np.ndarray
    cohort: np.ndarray
    last_off: np.ndarray
    quiet: np.ndarray

    def __len__(self) -> int:
        return len(self.path)

    def only(self, rows: np.ndarray | slice) -> Starts:
        return Starts(self.path[rows], self.cohort[rows], self.last_off[rows], self.quiet[rows])

    def parts(self, states: ExposureStates) -> Iterator[slice]:
        """Some after another, few enough for what is worked out for each path and period."""
        step = max(AT_ONCE // max(states.shape[1] * max(states.people.shape), 1), 1)
        return (slice(low, low + step) for low in range(0, len(self), step))


@dataclass(frozen=True, eq=False)
class History:
    """What every path did. touched: (P,) first position at which the component was not plainly off. first: (P,) its
    first start, -1 for none. moved: (P, T) the last position so far at which the others had changed, -1 for none."""

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
    every, orphans, history = _starts(states, rules)
    asked, based = _spells(states, rules, every), every.last_off - rules.anticipation >= every.quiet
    lost = [Baseless(int(every.cohort[i]), int(every.path[i]), asked[i]) for i in np.flatnonzero(~based)]
    starts, made = every.only(based), list[Comparison]()
    base = _bases(states, rules, starts, asked[based], leads)
    narrow = not leads and rules.others != "ignored" and rules.base_window == 1
    for part in [slice(i, i + 1) for i in range(len(starts))] if narrow else starts.parts(states):
        few, at = starts.only(part), base[part]
        match, window = (_agreeing if narrow else _matches)(states, rules, few, history, at)
        window = np.where(at < 0, 0, window)
        each = zip(few.cohort.tolist(), few.path.tolist(), at, window, match, strict=True)
        made += [Comparison(states.component, *one) for one in each]
    return Plan(states.component, tuple(made), tuple(orphans), tuple(lost), states, rules)


def windows_without_each(plan: Plan) -> dict[tuple[int, int], Windows]:
    """Comparisons, by path and cohort, whose base window is another one without some cluster: as planned, then with
    each other window; which clusters (lines of `states.people`) use which."""
    states, rules = plan.states, plan.rules
    if states is None or rules is None or rules.base_window == 1:
        return {}
    every, _, history = _starts(states, rules)
    planned, found = {(c.path, c.cohort): c for c in plan}, {}
    keys = list(zip(every.path.tolist(), every.cohort.tolist(), strict=True))
    starts, own = every.only(np.array([k in planned for k in keys], dtype=bool)), [k for k in keys if k in planned]
    for part in starts.parts(states):
        few, cs = starts.only(part), [planned[k] for k in own[part]]
        base = np.stack([c.base for c in cs])
        windows, matches = _choose(states, few.path, _widths(states, rules, few, history, base), each=True)
        for i, c in enumerate(cs):
            window = np.where(c.possible, windows[:, i], 0)
            if (window != c.window).any():
                found[c.path, c.cohort] = _otherwise(c, window, [match[i] for match in matches])
    return found


def _otherwise(c: Comparison, window: np.ndarray, matches: list[np.ndarray]) -> Windows:
    """A comparison with the windows (lines, T) that it has without each cluster."""
    uses = [(c, window == c.window)]
    for width, match in enumerate(matches, 1):
        used = (window == width) & (c.window != width)
        at = used.any(axis=0)
        if at.any():
            other = replace(c, base=np.where(at, c.base, -1), window=np.where(at, width, 0), match=match & at)
            uses.append((other, used))
    return tuple(uses)


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


def _starts(states: ExposureStates, rules: Rules) -> tuple[Starts, list[int], History]:
    """Every start; paths on before any off period; and what every path did."""
    begins, last_off, before_on = _begins(states)
    position = np.arange(states.shape[1])
    last_busy = np.maximum.accumulate(np.where(states.off, -1, position), axis=1)
    if rules.starts == "first":
        begins &= before_on < 0
    orphans = np.flatnonzero((states.on & (last_off < 0)).any(axis=1) & states.reach)
    path, cohort = np.nonzero(begins)
    off = last_off[path, cohort]
    starts = Starts(path, cohort, off, last_busy[path, off] + 1 + rules.lookback)
    first = np.where(begins.any(axis=1), begins.argmax(axis=1), -1)
    hit, code = ~states.off, states.others
    moves = np.zeros(code.shape, dtype=bool)
    moves[:, 1:] = (code[:, 1:] != code[:, :-1]) | (code[:, 1:] < 0) | (code[:, :-1] < 0)
    touched = np.where(hit.any(axis=1), hit.argmax(axis=1), NEVER)
    return starts, orphans.tolist(), History(touched, first, _last(moves))


def _spells(states: ExposureStates, rules: Rules, starts: Starts) -> np.ndarray:
    """(S, T) periods from each start to the end of its spell, the horizon included."""
    t, cohort = np.arange(states.shape[1]), starts.cohort[:, None]
    over = ~states.on[starts.path] & (t >= cohort)
    end = np.where(over.any(axis=1), over.argmax(axis=1), len(t))
    if rules.horizon is not None:
        end = np.minimum(end, starts.cohort + rules.horizon + 1)
    return np.asarray((t >= cohort) & (t < end[:, None]))


def _bases(states: ExposureStates, rules: Rules, starts: Starts, asked: np.ndarray, leads: bool) -> np.ndarray:
    """(S, T) base of each start in every period, -1 where it has none."""
    t, last, quiet = np.arange(states.shape[1]), (starts.last_off - rules.anticipation)[:, None], starts.quiet[:, None]
    base = np.where(asked, last, -1)
    lead = (t >= quiet) & (t <= starts.last_off[:, None]) & states.off[starts.path]
    if rules.base == "varying":
        base = np.where(lead & (t - 1 >= quiet), t - 1, base)
    else:
        base = np.where(lead & (t != last), last, base)
    return base if leads else np.where(t < starts.cohort[:, None], -1, base)


def _agreeing(
    states: ExposureStates, rules: Rules, start: Starts, history: History, base: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`_matches` of one start among those who agree from the base to the start, the adopter among them: no other can
    later."""
    path, cohort = int(start.path[0]), int(start.cohort[0])
    match, window = np.zeros((1, *states.shape), dtype=bool), np.ones(base.shape, dtype=np.int64)
    may = states.reach & (history.touched > cohort + rules.anticipation) & states.like(path)
    low = max(int(start.last_off[0]) - rules.anticipation - rules.lookback, 0)
    if rules.others == "same":
        code = states.others[:, low : cohort + 1]
        may &= ((code == code[path]) & (code >= 0)).all(axis=1)
    else:
        may &= history.moved[:, cohort] <= low
    may[path] = True
    rows = np.flatnonzero(may)
    if len(rows) > 1:
        here = replace(start, path=np.searchsorted(rows, start.path))
        match[:, rows] = _matches(states.only(rows), rules, here, history.only(rows), base)[0]
    return match, window


def _matches(
    states: ExposureStates, rules: Rules, starts: Starts, history: History, base: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(S, P, T) matches under the widest base window that is worth it, and its length (S, T)."""
    widths = _widths(states, rules, starts, history, base)
    if rules.base_window == 1:
        return next(widths)[0], np.ones(base.shape, dtype=np.int64)
    window, matches = _choose(states, starts.path, widths)
    match = matches[0]
    for width, wider in enumerate(matches[1:], 2):
        match = np.where((window[0] == width)[:, None], wider, match)
    return match, window[0]


def _widths(
    states: ExposureStates, rules: Rules, starts: Starts, history: History, base: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(S, P, T) matches, and the periods (S, T) in which the adopter allows it, for base windows of 1, 2, ... ."""
    path, t, last, code = starts.path, np.arange(base.shape[1]), np.maximum(base, 0), states.others
    high, own = np.maximum(last, t), history.moved[starts.path[:, None], last]
    until = high + rules.anticipation if rules.comparison == "not_yet" else np.full(base.shape, NEVER - 1)
    serving = states.reach & (history.first != starts.cohort[:, None]) & states.like(path)
    free = (history.touched[:, None] > until[:, None]) & (base >= 0)[:, None] & serving[:, :, None]
    if rules.others == "same":  # the last position up to which the two did not do the same
        apart = _last((code != code[path][:, None]) | (code < 0))
        apart = np.take_along_axis(apart, high[:, None].astype(np.intp), axis=2)
    elif rules.others == "unchanged":
        apart = history.moved[:, high].transpose(1, 0, 2)
    for width in range(1, rules.base_window + 1):
        low = last - width + 1
        room = (low >= starts.quiet[:, None]) & (base >= 0)
        low = np.maximum(low, 0)
        since = np.maximum(np.minimum(low, t) - rules.lookback, 0)
        if rules.others == "ignored":
            yield free, room
        elif rules.others == "same":
            yield free & (apart < since[:, None]), room & (own <= low)
        else:
            agree = apart <= since[:, None]
            yield free & agree & agree[np.arange(len(path)), path][:, None], room & (own <= low)


def _choose(
    states: ExposureStates, path: np.ndarray, widths: Iterable[tuple[np.ndarray, np.ndarray]], each: bool = False
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(1, S, T) the widest base window that keeps two comparison clusters (or as many as a single base period has, if
    that is fewer) and loses less by matches that drop out than it gains by more base periods; and the matches of
    every width that is used. each: (lines, S, T) without each cluster in turn."""
    own = _arm(states, states.on_paths(path)[:, :, None], each)[1]
    window, enough, before = np.ones(1), np.zeros(1), np.zeros(1)
    matches: list[np.ndarray] = []
    for width, (match, room) in enumerate(widths, 1):
        people = states.people @ match.transpose(1, 0, 2).reshape(match.shape[1], -1).astype(np.int32)
        clusters, people = _arm(states, people.reshape(-1, *room.shape), each)
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
    """Clusters and units, (1, S, T) each, of arms with (lines, S, T) `people`; (lines, S, T) where `each` is left
    out."""
    there = people > 0
    clusters, units = states.total(there), states.total(people)
    return (clusters - there, units - people) if each else (clusters[None], units[None])


def _last(flags: np.ndarray) -> np.ndarray:
    """The last flagged position up to each, along the last axis; -1 where there is none."""
    return np.maximum.accumulate(np.where(flags, np.arange(flags.shape[-1], dtype=np.int32), np.int32(-1)), axis=-1)
