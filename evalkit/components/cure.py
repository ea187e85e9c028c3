"""The smallest change of the rollout that would tell: one component delayed in a few places, which are named.

Small changes come before large ones (places times periods), partners of a component before itself. Where a change could
work is screened by exposures alone; what is claimed is then decided by the rules themselves, on the changed rollout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, combinations, islice, product

import numpy as np

from evalkit.components.facts import in_use
from evalkit.components.status import Audit, make_audit, separable
from evalkit.components.switches import ENOUGH
from evalkit.show.words import full_stop, join_words, number_in_words
from evalkit.study.paths import OFF, Level, Paths, row_codes

CURES = ("component", "words", "delayed", "clusters", "periods", "places", "unnamed")
_LARGEST, _WIDE = 4, 5
_SCREENS, _TRIES, _TRIES_OF_FEW = 100, 60, 240
_BESIDE, _FEW, _MOST = 10, 150, 1_000
_SEED = 2026


def cures(audit: Audit) -> list[tuple[object, ...]]:
    """A row of CURES for each component that a change would let us tell apart: component, words, delayed (the component
    to change), clusters (how many), periods (how long), places (which), and the words without names.

    Every row was tried: on the changed rollout the component is separable."""
    rows, wanted = condensed(audit.paths), audit.curable
    tries = _TRIES if rows.n_units > _FEW else _TRIES_OF_FEW
    search = Search(audit, rows, max(_SCREENS // len(wanted), 6), max(tries // len(wanted), 4))
    out: list[tuple[object, ...]] = []
    for k, change in ((k, search.find(k)) for k in wanted):
        if change is None:
            continue
        paths, j, level = audit.paths, change.component, level_of_change(audit.paths, change.component)
        names, places = audit.names.at(level.name), tuple(level.names[list(change.clusters)].tolist())
        said = join_words(map(str, places))  # 'Bolton and Bury'; with the noun before names that are numbers
        if not all(str(p)[:1].isalpha() for p in places):
            said = f"{names.place if len(places) == 1 else names.places} {said}"
        if change.begin >= 0:
            unnamed, where = "", f" ({said} from {names.when(paths.periods[change.begin])} on, say)"
            before = f"a second {names.place} that switches {names.say(k)} on, while others do not"
            after = ", would let us tell what it does"
        else:
            on = np.asarray((paths.state[:, :, j] > 0).any(axis=1))
            has = names.count(len(np.unique(level.codes[on[paths.path]])))
            unnamed = f"{number_in_words(len(places))} of the {has} that had it"
            what, where = "it" if j == k else names.say(k), f"{said} ({unnamed})"
            before = f"delaying {names.say(j)} by {names.spell(change.periods)} in "
            after = f" would let us tell what {what} does"
        named, nameless = (full_stop(f"{before}{x}{after}") for x in (where, unnamed))
        out.append((paths.components[k], named, paths.components[j], len(places), change.periods, places, nameless))
    return out


@dataclass(frozen=True, eq=False)
class Lead:
    """Clusters in the order in which they are tried, and for rows of theirs the rows that they would be set against."""

    order: np.ndarray
    matches: Mapping[int, np.ndarray]

    def beside(self, codes: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Rows on which a change in the clusters chosen is tried: theirs, and some that each would be set against."""
        mine = np.flatnonzero(np.isin(codes, chosen))
        found = [self.matches[int(r)][:_BESIDE] for r in mine if int(r) in self.matches]
        return np.unique(np.concatenate([mine, *found]))


@dataclass(frozen=True, eq=False)
class Search:
    """A search on condensed rows. screens, tries: most screenings, and most trials by the rules, a component."""

    audit: Audit
    rows: Paths
    screens: int
    tries: int
    _made: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def state(self) -> np.ndarray:
        """(R, T, K) states, row by row."""
        return np.asarray(self.rows.state[self.rows.path])

    @cached_property
    def starts(self) -> np.ndarray:
        """(R, K) first periods on; -1 for none."""
        return np.column_stack([first_starts(self.state[:, :, k]) for k in range(self.state.shape[2])])

    @cached_property
    def marks(self) -> tuple[np.ndarray, np.ndarray]:
        """Random odd numbers for components, and for positions in a window: sums of them stand for whole paths."""
        draw = np.random.default_rng(_SEED).integers(1, 2**62, self.state.shape[2] + self.state.shape[1] + 1)
        draw = draw.astype(np.uint64) * np.uint64(2) + np.uint64(1)
        return draw[: self.state.shape[2]], draw[self.state.shape[2] :]

    def codes(self, j: int) -> np.ndarray:
        """(R,) cluster of each row at the level at which component j is changed."""
        return level_of_change(self.rows, j).codes

    def find(self, k: int) -> Change | None:
        """The first change, in order of size, after which component k is separable."""
        tried = islice(self._candidates(k), self.tries)
        if self.audit.statuses[k].status == "swap_only":
            tried = chain(tried, islice(self._staggered(k), self.tries))
        for change, beside in tried:
            # By the rules, on the changed rollout; among the rows `beside`, where that is enough.
            paths = changed(self.rows if self.whole else some(self.rows, beside), change)
            if separable(make_audit(paths, self.audit.names), k):
                return change
        return None

    @property
    def few(self) -> bool:
        """Whether there are so few rows that several choices of clusters can be tried."""
        return self.rows.n_units <= _FEW

    @cached_property
    def whole(self) -> bool:
        """Whether changes are tried on all rows: where there are few, and where what holds among some need not hold
        among all (doses, levels that cross)."""
        paths = self.rows
        return self.few or bool((paths.state > 1).any()) or len(paths.levels) > 1

    def _candidates(self, k: int) -> Iterator[tuple[Change, np.ndarray]]:
        if len(self.audit.facts[k].ever) < ENOUGH:
            yield from self._second_places(k)
            return
        fact, swap = self.audit.facts[k], self.audit.statuses[k].status == "swap_only"
        shortest = fact.lag + 1 + (max(1, fact.lag) if swap else 0)
        spans = sorted({*range(shortest, shortest + 4), 2 * shortest, 3 * shortest})
        fewest = 1 if self.few or min(fact.same.at(fact.lag)) > 0 else 2
        sizes = sorted(product(range(fewest, _LARGEST + 1), spans), key=lambda s: (s[0] * s[1], s[0]))
        # Components whose delay might help k: partners in every exact dependence that binds it, and k itself.
        circuits = [set(c.members) for c in self.audit.exact.circuits if k in c.members]
        flat = {j for j, s in enumerate(self.audit.statuses) if s.flat}
        near = [set.intersection(*circuits)] if circuits else [g for g in self.audit.inseparable if k in g]
        partners = sorted(set().union(*near, flat if k in flat else ()) - {k})
        made: dict[tuple[int, int], list[Lead]] = {}
        for (m, periods), j in product(sizes, [*partners, k] if len(partners) <= ENOUGH else [k, *partners]):
            if (j, periods) not in made:
                if len(made) == self.screens:
                    continue
                made[j, periods] = list(self._leads(k, j, periods))
            for lead in made[j, periods]:
                for chosen in combinations(lead.order[: _WIDE if self.few else m].tolist(), m):
                    if m < len(lead.order) or self.few:
                        yield Change(j, tuple(sorted(chosen)), periods), lead.beside(self.codes(j), np.array(chosen))

    def _leads(self, k: int, j: int, periods: int) -> Iterator[Lead]:
        """Where a delay of j, which still leaves some of it, is likely to help k."""
        lasts = first_lengths(self.state[:, :, j]) > periods
        here = np.flatnonzero((self.starts[:, j] > 0) & (self.starts[:, k] > 0) & lasts)
        if not len(here):
            return
        lag, window = self.audit.facts[k].lag, self._windows(k)
        late = moved(self.state[here, :, j], periods)
        start = first_starts(late) if j == k else self.starts[here, k]
        shift = late.astype(np.int64) - self.state[here, :, j]
        after = window[here] + (0 if j == k else self._slide(shift.astype(np.uint64) * self.marks[0][j], lag))
        free_until = np.where(self.rows.reach[self.rows.path, k], self._away(k), 0)
        matches = {}
        for row, s, code in zip(here, start, after[np.arange(len(here)), start], strict=True):
            if s > 0 and s + lag < self.state.shape[1]:
                matches[int(row)] = np.flatnonzero((free_until > s + lag) & (window[:, s] == code))
        if any(len(m) for m in matches.values()):
            order, fact = _ordered(self.codes(j), matches), self.audit.facts[k]
            done = np.zeros(len(order), dtype=bool)  # clean as things are: nothing is gained there
            if fact.level == level_of_change(self.rows, j).name:
                done = np.isin(order, np.flatnonzero(fact.same.exposed[: lag + 1].all(axis=0)))
            yield Lead(np.concatenate([order[~done], order[done]]), matches)
        if j == k:
            yield from self._cohorts(k, here)
            if self.few:
                yield Lead(self._by_start(k, here), {})

    def _windows(self, k: int) -> np.ndarray:
        """(R, T) a number for the others' path from one period before each period through the lag after it."""
        if k not in self._made:
            weight = self.marks[0].copy()
            weight[k] = 0
            one = self.state.astype(np.int64).astype(np.uint64) @ weight
            self._made[k] = self._slide(one, self.audit.facts[k].lag)
        return self._made[k]

    def _slide(self, one: np.ndarray, lag: int) -> np.ndarray:
        """(R, T) sums over windows of lag + 2 periods, each position with a mark of its own; wrapped round at 2^64."""
        out, size = np.zeros(one.shape, dtype=np.uint64), one.shape[1]
        if size > lag + 1:
            at = np.arange(1, size - lag)
            for step in range(lag + 2):
                out[:, at] += one[:, at - 1 + step] * self.marks[1][step]
        return out

    def _away(self, k: int) -> np.ndarray:
        """(R,) first period in which k is not off; beyond the end where it always is."""
        begun = self.state[:, :, k] != OFF
        return np.asarray(np.where(begun.any(axis=1), begun.argmax(axis=1), 2 * self.state.shape[1]))

    def _by_start(self, k: int, here: np.ndarray) -> np.ndarray:
        """Clusters of k from the first to start to the last."""
        codes, start = self.codes(k)[here], self.starts[here, k]
        first = np.full(int(codes.max()) + 1, self.state.shape[1])
        np.minimum.at(first, codes, start)
        order = np.argsort(first, kind="stable")
        return np.asarray(order[first[order] < self.state.shape[1]])

    def _staggered(self, k: int) -> Iterator[tuple[Change, np.ndarray]]:
        """Four clusters, two early and two late, in which a swap comes so late that what it replaces has stopped in
        all: the early ones are then set against the late ones."""
        here = np.flatnonzero(self.starts[:, k] > 0)
        order = self._by_start(k, here) if len(here) else here
        for low in range(len(order) - 3):
            chosen = order[low : low + 4]
            mine = here[np.isin(self.codes(k)[here], chosen)]
            periods = int(np.ptp(self.starts[mine, k])) + max(1, self.audit.facts[k].lag) + 1
            if first_lengths(self.state[mine, :, k]).min() > periods:
                yield Change(k, tuple(sorted(chosen.tolist())), periods), mine

    def _cohorts(self, k: int, here: np.ndarray) -> Iterator[Lead]:
        """Clusters that start k together while the others go the same way: some, delayed, serve the rest."""
        start = self.starts[here, k]
        key = np.column_stack([start.astype(np.uint64), self._windows(k)[here, start]])
        _, of, count = np.unique(key, axis=0, return_inverse=True, return_counts=True)
        for group in np.argsort(-count, kind="stable")[:2]:
            rows = here[of.reshape(-1) == group]
            clusters = np.unique(self.codes(k)[rows])
            if len(clusters) > ENOUGH:
                yield Lead(clusters, {int(r): rows for r in rows})

    def _second_places(self, k: int) -> Iterator[tuple[Change, np.ndarray]]:
        """Clusters that never had k, from the period in which the one that had it began."""
        codes, begun = self.codes(k), np.flatnonzero(self.starts[:, k] > 0)
        if not len(begun):
            return
        able = self.rows.reach[self.rows.path, k]
        never = np.setdiff1d(np.unique(codes[able]), np.unique(codes[(self.state[:, :, k] != OFF).any(axis=1)]))
        start = int(self.starts[begun, k].min())
        window, free = self._windows(k), able & (self._away(k) > start + self.audit.facts[k].lag)
        matches = {
            int(row): np.flatnonzero(free & (window[:, start] == window[row, start]))
            for row in np.flatnonzero(np.isin(codes, [*never, *codes[begun]]))
        }
        lead = Lead(_ordered(codes, matches), matches)
        for cluster in lead.order[np.isin(lead.order, never)]:
            chosen = np.array([cluster, *codes[begun]])
            yield Change(k, (int(cluster),), begin=start), lead.beside(codes, chosen)


def _ordered(codes: np.ndarray, matches: Mapping[int, np.ndarray]) -> np.ndarray:
    """Clusters with any match, those with most first."""
    best = np.zeros(int(codes.max(initial=0)) + 1, dtype=int)
    for row, found in matches.items():
        best[codes[row]] = max(best[codes[row]], len(found))
    order = np.argsort(-best, kind="stable")
    return order[best[order] > 0]


@dataclass(frozen=True)
class Change:
    """One component, in some clusters (codes) of the level at which it is changed: see `level_of_change`. periods: by
    how many its first spell begins later. begin: the period from which it is on where it never was; -1 for a delay."""

    component: int
    clusters: tuple[int, ...]
    periods: int = 0
    begin: int = -1


def level_of_change(paths: Paths, component: int) -> Level:
    """Where the component was decided; the level of inference where that is coarser and holds it whole."""
    name = paths.components[component]
    own, (coarse, crossed) = paths.assigned_at[name], paths.inference_level(name)
    return paths.levels[own if crossed else coarse]


def condensed(paths: Paths) -> Paths:
    """One row for all units alike in path, in cluster at every level that counts, and in when they are seen. Enough for
    every count of clusters. Where so many differ in when they are seen that nothing would be gained, everybody counts
    as always seen."""
    levels = {name: paths.levels[name] for name in {*paths.assigned_at.values(), paths.cluster}}
    of = _rows([paths.path, *(level.codes for level in levels.values())])
    seen = None if paths.balanced or paths.seen is None else paths.seen
    if seen is not None:
        finer = _rows([of, row_codes(seen.astype(np.int16))[0]])
        of, seen = (finer, seen) if finer.max(initial=0) < _MOST else (of, None)
    _, first = np.unique(of, return_index=True)
    return replace(
        paths, units=np.arange(len(first)), heads=None, path=paths.path[first],
        seen=None if seen is None else seen[first],
        levels={name: replace(level, codes=level.codes[first]) for name, level in levels.items()}, weights=None,
    )  # fmt: skip


def _rows(columns: list[np.ndarray]) -> np.ndarray:
    return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].reshape(-1)


def some(paths: Paths, rows: np.ndarray) -> Paths:
    """Some rows of condensed paths. What can be told apart among some can be told apart among all."""
    return in_use(replace(
        paths, units=np.arange(len(rows)), path=paths.path[rows], seen=None if paths.seen is None else paths.seen[rows],
        levels={name: replace(level, codes=level.codes[rows]) for name, level in paths.levels.items()},
    ))  # fmt: skip


def changed(paths: Paths, change: Change) -> Paths:
    """The same units, after a change."""
    level = level_of_change(paths, change.component)
    rows = np.flatnonzero(np.isin(level.codes, change.clusters))
    old = paths.path[rows]
    state = paths.state[old].copy()
    own = state[:, :, change.component]
    if change.begin < 0:
        state[:, :, change.component] = moved(own, change.periods)
    else:
        on = (np.arange(own.shape[1]) >= change.begin) & paths.reach[old, change.component][:, None]
        state[:, :, change.component] = np.where(on, 1, own)
    path = paths.path.copy()
    path[rows] = paths.n_paths + np.arange(len(rows))
    return in_use(replace(
        paths, path=path, state=np.concatenate([paths.state, state]), reach=np.vstack([paths.reach, paths.reach[old]]),
    ))  # fmt: skip


def moved(own: np.ndarray, periods: int) -> np.ndarray:
    """(n, T) states of one component with the first spell begun `periods` later."""
    size = own.shape[1]
    first = np.where((own != OFF).any(axis=1), (own != OFF).argmax(axis=1), size)[:, None]
    start, t = np.where((own > 0).any(axis=1), (own > 0).argmax(axis=1), size)[:, None], np.arange(size)
    return np.where((t >= first) & (t < start + periods), OFF, own)


def first_starts(state: np.ndarray) -> np.ndarray:
    """(P,) first period on after a period that was not, from (P, T) states; -1 where there is none."""
    on = state > 0
    start = on[:, 1:] & ~on[:, :-1]
    if not start.shape[1]:
        return np.full(len(on), -1)  # a cross-section: nothing starts
    return np.where(start.any(axis=1), start.argmax(axis=1) + 1, -1)


def first_lengths(state: np.ndarray) -> np.ndarray:
    """(P,) periods of the first spell that starts within the panel, from (P, T) states; 0 where there is none."""
    start, t = first_starts(state), np.arange(state.shape[1])
    over = (state <= 0) & (t > start[:, None])
    end = np.where(over.any(axis=1), over.argmax(axis=1), state.shape[1])
    return np.where(start > 0, end - start, 0)
