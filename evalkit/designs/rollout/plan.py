"""The plan: which adopting path is compared with which others, and when.

"Clean" is defined here and nowhere else. The audit counts clusters in a plan;
an estimator reads sums for it. Nothing here sees an outcome.

A *start* is a spell of the component that begins after a period in which it was
off. For a start of path p at position g with base b, path q may serve at period
t when it can be reached, has not been touched by the component up to
max(t, b) + anticipation, and agrees with p on the other components over the
window that the choice `others` names (design 2.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evalkit.designs.protocol import Basis, Check, Traits
from evalkit.designs.rollout.states import Arena
from evalkit.errors import check_choice, check_periods

NEVER = np.iinfo(np.int64).max // 4
LEADS_AND_OTHERS: tuple[Check, ...] = (
    "pre_trend", "others_still_growing", "growth_taken_out", "stayers", "by_people"
)  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """The choices of a rollout comparison; see `StaggeredRollout` for their meaning."""

    comparison: str = "not_yet"
    others: str = "same"
    base: str = "varying"
    base_window: int = 1
    anticipation: int = 0
    horizon: int | None = None
    lookback: int = 0

    def __post_init__(self) -> None:
        check_choice("comparison", self.comparison, ("not_yet", "never"))
        check_choice("others", self.others, ("same", "unchanged", "ignored"))
        check_choice("base", self.base, ("varying", "universal"))
        for name, least in (("base_window", 1), ("anticipation", 0), ("lookback", 0)):
            check_periods(name, getattr(self, name), least)
        if self.horizon is not None:
            check_periods("horizon", self.horizon, 0)

    def traits(self, basis: Basis, checks: tuple[Check, ...] = ()) -> Traits:
        """What answers rest on: others that only stand still may have any level, so that effects must add up too."""
        more: tuple[Basis, ...] = ("additivity",) if self.others == "unchanged" else ()
        return Traits(frozenset((basis, *more)), checks=checks)


@dataclass(frozen=True, eq=False)
class Comparison:
    """One start of one path against the paths that match it.

    cohort: position of the first exposed period; base: last base position (T,),
    -1 where there is no comparison to make; window: (T,) base periods averaged;
    match: (P, T) paths that serve; path: the adopter. parent: the comparison that this one is a
    part of, None where it is whole; part: which part. also: further adopters that are read together with it.
    """

    component: str
    cohort: int
    path: int
    base: np.ndarray
    window: np.ndarray
    match: np.ndarray
    parent: Comparison | None = None
    part: int = 0
    also: tuple[int, ...] = ()

    @property
    def adopters(self) -> np.ndarray:
        """Paths of all that start here."""
        return np.array([self.path, *self.also])

    @property
    def whole(self) -> Comparison:
        """The comparison itself, or the one that it is a part of."""
        return self.parent or self

    def split(self) -> tuple[Comparison, ...]:
        """The same start read against one period of the base window at a time, the last first."""
        parts = []
        for back in range(int(self.window.max(initial=1))):
            there = self.possible & (back < np.maximum(self.window, 1))
            base, window = np.where(there, self.base - back, -1), there.astype(np.int64)
            parts.append(replace(self, base=base, window=window, parent=self, part=back))
        return tuple(parts)

    @property
    def possible(self) -> np.ndarray:
        """(T,) periods at which the adopter itself can be read, matched or not."""
        return self.base >= 0

    @property
    def matched(self) -> np.ndarray:
        """(T,) periods with at least one matching path."""
        return self.possible & self.match.any(axis=0)

    def event_time(self) -> np.ndarray:
        """(T,) periods since the start."""
        return np.arange(len(self.base)) - self.cohort


def read_together(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Starts against the same matches over the same periods as one: the mean of all their adopters less that of the
    matches is what their effects average to, weighted by adopters."""
    found: dict[tuple, list[Comparison]] = {}
    for c in comparisons:
        key = (c.cohort, c.base.tobytes(), c.window.tobytes(), c.match.tobytes())
        found.setdefault(key, []).append(c)
    return [replace(first, also=tuple(c.path for c in rest)) for first, *rest in found.values()]


@dataclass(frozen=True, eq=False)
class Baseless:
    """A start whose base would lie before the panel, or before an earlier spell has ended: `asked` (T,) are
    the periods that have no answer for it."""

    cohort: int
    path: int
    asked: np.ndarray


@dataclass(frozen=True, eq=False)
class Plan(Sequence):
    """All comparisons of one component; the paths that have it from their first known period on; and the
    starts without a base."""

    component: str
    comparisons: tuple[Comparison, ...]
    without_base: tuple[int, ...]
    baseless: tuple[Baseless, ...] = ()

    def __len__(self) -> int:
        return len(self.comparisons)

    def __getitem__(self, item: Any) -> Any:
        return self.comparisons[item]

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.comparisons)


def make_plan(stage: Arena, rules: Rules, leads: bool = True) -> Plan:
    """Every start in `stage` with its matches under `rules`.

    leads=False leaves out the periods before each start, which is much quicker: only paths that agree
    at the start itself can agree later.
    """
    touched = _first_touch(stage)
    starts, orphans = _starts(stage)
    first = np.full(stage.shape[0], -1)
    for path, cohort, _ in reversed(starts):
        first[path] = cohort
    moved = _count(_moves(stage.others))
    known = (touched, first, moved)
    compare = _compare if leads else _compare_after
    made = [compare(stage, rules, start, known) for start in starts]
    lost = (Baseless(s[1], s[0], _spell(stage, rules, s)) for s, c in zip(starts, made, strict=True) if c is None)
    return Plan(stage.component, tuple(c for c in made if c is not None), tuple(orphans), tuple(lost))


def _first_touch(stage: Arena) -> np.ndarray:
    """(P,) first position at which the component was not plainly off."""
    hit = ~stage.off
    return np.where(hit.any(axis=1), hit.argmax(axis=1), NEVER)


def _starts(stage: Arena) -> tuple[list[tuple[int, int, int]], list[int]]:
    """(path, cohort, last off position) of each start; and paths on before any off period."""
    n_periods = stage.shape[1]
    position = np.arange(n_periods)
    last_off = np.maximum.accumulate(np.where(stage.off, position, -1), axis=1)
    last_on = np.maximum.accumulate(np.where(stage.on, position, -1), axis=1)
    before_on = np.concatenate([np.full((len(last_on), 1), -1), last_on[:, :-1]], axis=1)
    begins = stage.on & (last_off > before_on)
    begins &= stage.reach[:, None]
    orphans = np.flatnonzero((stage.on & (last_off < 0)).any(axis=1) & stage.reach)
    where = np.argwhere(begins)
    return [(int(p), int(g), int(last_off[p, g])) for p, g in where], [int(p) for p in orphans]


def _moves(code: np.ndarray) -> np.ndarray:
    """(P, T) the others are not known to be as they were one period before."""
    moves = np.zeros(code.shape, dtype=bool)
    moves[:, 1:] = (code[:, 1:] != code[:, :-1]) | (code[:, 1:] < 0) | (code[:, :-1] < 0)
    return moves


def _compare(
    stage: Arena, rules: Rules, start: tuple[int, int, int], known: tuple, leads: bool = True
) -> Comparison | None:
    path, cohort, last_off = start
    touched, first, moved = known
    last_base = last_off - rules.anticipation
    quiet = _quiet_from(stage.off[path], last_off) + rules.lookback
    if last_base < quiet:
        return None
    base = _bases(stage, rules, start, quiet)
    if not leads:
        base[:cohort] = -1
    allowed = _untouched(stage, rules, base, touched)
    allowed[(first == cohort) | ~stage.like(path)] = False
    agree = _Agreement(stage.others, rules, path, moved)
    match, window = _widest(stage, rules, (path, base, quiet), allowed, agree)
    window[base < 0] = 0
    return Comparison(stage.component, cohort, path, base, window, match)


def _compare_after(stage: Arena, rules: Rules, start: tuple[int, int, int], known: tuple) -> Comparison | None:
    """As `_compare` for the periods from the start on, among the paths that agree over base to start."""
    if rules.others == "ignored":
        return _compare(stage, rules, start, known, False)
    path, cohort, last_off = start
    touched, first, moved = known
    low = max(last_off - rules.anticipation - rules.lookback, 0)
    may = stage.reach & (touched > cohort + rules.anticipation) & stage.like(path)
    if rules.others == "same":
        code = stage.others[:, low : cohort + 1]
        may &= ((code == code[path]) & (code >= 0)).all(axis=1)
    else:
        may &= moved[:, cohort + 1] == moved[:, low + 1]
    may[path] = True
    rows = np.flatnonzero(may)
    if len(rows) == 1 and rules.base_window == 1:
        return _unmatched(stage, rules, start)
    on, off, reach, others = stage.on[rows], stage.off[rows], stage.reach[rows], stage.others[rows]
    clusters = stage.clusters if rules.base_window == 1 else stage.clusters[:, rows]
    size = None if stage.size is None else stage.size[rows]
    kind = None if stage.kind is None else stage.kind[rows]
    part = Arena(stage.component, on, off, reach, others, clusters, stage.copies, size, kind)
    here = (int(np.searchsorted(rows, path)), cohort, last_off)
    found = _compare(part, rules, here, (touched[rows], first[rows], moved[rows]), False)
    if found is None:
        return None
    match = np.zeros(stage.shape, dtype=bool)
    match[rows] = found.match
    return Comparison(stage.component, cohort, path, found.base, found.window, match)


def _unmatched(stage: Arena, rules: Rules, start: tuple[int, int, int]) -> Comparison | None:
    """A start that nobody matches, from the start on."""
    path, cohort, last_off = start
    quiet = _quiet_from(stage.off[path], last_off) + rules.lookback
    if last_off - rules.anticipation < quiet:
        return None
    base = _bases(stage, rules, start, quiet)
    base[:cohort] = -1
    window = (base >= 0).astype(np.int64)
    return Comparison(stage.component, cohort, path, base, window, np.zeros(stage.shape, dtype=bool))


def _quiet_from(off: np.ndarray, last_off: int) -> int:
    """First position of the unbroken off stretch that ends at `last_off`."""
    busy = np.flatnonzero(~off[: last_off + 1])
    return int(busy[-1]) + 1 if len(busy) else 0


def _bases(stage: Arena, rules: Rules, start: tuple[int, int, int], quiet: int) -> np.ndarray:
    """(T,) last base position for each period, -1 where the adopter cannot be read."""
    path, _, last_off = start
    last_base = last_off - rules.anticipation
    t = np.arange(stage.shape[1])
    base = np.where(_spell(stage, rules, start), last_base, -1)
    lead = (t >= quiet) & (t <= last_off) & stage.off[path]
    if rules.base == "varying":
        return np.where(lead & (t - 1 >= quiet), t - 1, base)
    return np.where(lead & (t != last_base), last_base, base)


def _spell(stage: Arena, rules: Rules, start: tuple[int, int, int]) -> np.ndarray:
    """(T,) periods from the start to the end of its spell, the horizon included."""
    path, cohort, _ = start
    t = np.arange(stage.shape[1])
    ended = np.flatnonzero(~stage.on[path, cohort:])
    end = cohort + int(ended[0]) if len(ended) else stage.shape[1]
    if rules.horizon is not None:
        end = min(end, cohort + rules.horizon + 1)
    return (t >= cohort) & (t < end)


def _untouched(stage: Arena, rules: Rules, base: np.ndarray, touched: np.ndarray) -> np.ndarray:
    """(P, T) paths not yet (or never) touched by the component through max(t, b) + anticipation."""
    if rules.comparison == "never":
        free = np.broadcast_to((touched == NEVER)[:, None], stage.shape).copy()
    else:
        until = np.maximum(np.arange(stage.shape[1]), base) + rules.anticipation
        free = touched[:, None] > until[None, :]
    free &= stage.reach[:, None]
    free[:, base < 0] = False
    return free


class _Agreement:
    """Whether each path agrees with the adopter on the others over a window of periods."""

    def __init__(self, code: np.ndarray, rules: Rules, path: int, moved: np.ndarray) -> None:
        self.n_periods = code.shape[1]
        self.kind, self.path, self.lookback = rules.others, path, rules.lookback
        self.moved = moved
        self.differs = _count((code != code[path]) | (code < 0)) if rules.others == "same" else moved

    def over(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(P, T) agreement over positions low[t] .. high[t], with `lookback` more before."""
        low = np.maximum(low - self.lookback, 0)
        if self.kind == "ignored":
            return np.ones((len(self.moved), self.n_periods), dtype=bool)
        if self.kind == "same":
            return self.differs[:, high + 1] == self.differs[:, low]
        quiet = self.moved[:, high + 1] == self.moved[:, low + 1]
        return quiet & quiet[self.path]

    def stands_still(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(T,) the adopter's others do not move over low[t] .. high[t]."""
        if self.kind == "ignored":
            return np.ones(self.n_periods, dtype=bool)
        return self.moved[self.path, high + 1] == self.moved[self.path, low + 1]


def _count(flags: np.ndarray) -> np.ndarray:
    """Running count along periods, one column longer, so that windows are differences."""
    out = np.zeros((flags.shape[0], flags.shape[1] + 1), dtype=np.int32)
    np.cumsum(flags, axis=1, out=out[:, 1:])
    return out


def _widest(
    stage: Arena, rules: Rules, start: tuple[int, np.ndarray, int], allowed: np.ndarray, agree: _Agreement
) -> tuple[np.ndarray, np.ndarray]:
    """Matches under the widest base window, up to `base_window`, that keeps two comparison clusters
    (or as many as a single base period has, if that is fewer) and loses less by matches that drop out
    than it gains by more base periods."""
    path, base, quiet = start
    t = np.arange(len(base))
    last = np.maximum(base, 0)
    match = allowed & agree.over(np.minimum(last, t), np.maximum(last, t))
    window = np.ones(len(base), dtype=np.int64)
    if rules.base_window == 1:
        return match, window
    enough = np.minimum(_clusters(stage, match), 2)
    match = match.copy()
    for width in range(2, rules.base_window + 1):
        low = last - width + 1
        room = (low >= quiet) & (base >= 0)
        low = np.maximum(low, 0)
        wider = allowed & agree.over(np.minimum(low, t), np.maximum(last, t))
        keep = room & agree.stands_still(low, last) & (_clusters(stage, wider) >= enough) & (window == width - 1)
        keep &= _noise(stage, path, wider, width) <= _noise(stage, path, match, width - 1)
        if not keep.any():
            break
        match[:, keep] = wider[:, keep]
        window[keep] = width
    return match, window


def _noise(stage: Arena, path: int, match: np.ndarray, width: int) -> np.ndarray:
    """(T,) variance of a comparison if every unit's outcomes were independent with variance 1."""
    size = np.ones(stage.shape[0]) if stage.size is None else stage.size
    others = size @ match
    with np.errstate(divide="ignore"):
        return (1 + 1 / width) * (1 / max(size[path], 1.0) + 1 / others)


def _clusters(stage: Arena, match: np.ndarray) -> np.ndarray:
    """(T,) distinct clusters among the matching paths."""
    there = (stage.clusters @ match.astype(np.int32)) > 0
    return there.sum(axis=0) if stage.copies is None else stage.copies @ there
