"""Randomisation inference over rollout orders that could have happened (Fisher; Rosenbaum 2002, chapter 2).

One component's starts are dealt to other clusters of the level at which it was decided: the same schedules,
another order, clusters that never start among them. Everything else is held as it was: outcomes, which rows
exist, whom the component can reach, and every other component's path. Under the sharp hypothesis that the
component did nothing to anybody, outcomes would have been the same under every order, so that the headline's
place among the headlines of other orders is a test that needs no large number of clusters. It is only as good
as the claim that every order was equally likely; `among` says among whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from math import factorial, prod
from typing import Protocol, Self

import numpy as np

from evalkit.draws import in_parallel
from evalkit.errors import NotIdentifiedError, OptionError, check_choice, spelt
from evalkit.inference import Estimate, Interval
from evalkit.inference.intervals import check_level
from evalkit.study.paths import UNKNOWN, Paths


class Runs(Protocol):
    """What is run: exposure paths, and an outcome on their rows (a Study, or a view of one)."""

    @property
    def paths(self) -> Paths: ...
    def values(self, outcome: str | None = None) -> np.ndarray: ...
    def outcome(self, name: str | None = None) -> object: ...
    def weighing(self, outcome: str | None = None) -> Self: ...


Headline = Callable[[Runs], float]


@dataclass(frozen=True, eq=False)
class Rearranged:
    """The rows of `study` under other paths. instead: (n, T) values read in place of the outcome wherever that is
    seen, or None."""

    study: Runs
    paths: Paths
    instead: np.ndarray | None = None

    def values(self, outcome: str | None = None) -> np.ndarray:
        y = self.study.values(outcome)
        return y if self.instead is None else np.where(np.isfinite(y), self.instead, np.nan)

    def outcome(self, name: str | None = None) -> object:
        return self.study.outcome(name)

    def weighing(self, outcome: str | None = None) -> Self:
        weights = self.study.weighing(outcome).paths.weights
        return self if weights is self.paths.weights else replace(self, paths=replace(self.paths, weights=weights))


@dataclass(frozen=True, eq=False)
class Held:
    """What a headline asked of a study, light enough to be sent to where draws are made. study: None where
    that has been left behind."""

    paths: Paths
    study: Runs | None
    read: dict[str | None, np.ndarray] = field(default_factory=dict)
    called: dict[str | None, object] = field(default_factory=dict)
    weighed: dict[str | None, np.ndarray | None] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Runs) -> Held:
        return cls(study.paths, study)

    def values(self, outcome: str | None = None) -> np.ndarray:
        if outcome not in self.read and self.study is not None:
            self.read[outcome] = self.study.values(outcome)
        return self.read[outcome]

    def outcome(self, name: str | None = None) -> object:
        if name not in self.called and self.study is not None:
            self.called[name] = self.study.outcome(name)
        return self.called[name]

    def weights(self, outcome: str | None = None) -> np.ndarray | None:
        """(n,) weights that means of an outcome have; None where they are those of the paths."""
        if outcome not in self.weighed and self.study is not None:
            found = self.study.weighing(outcome)
            self.weighed[outcome] = None if found is self.study else found.paths.weights
        return self.weighed.get(outcome)

    def weighing(self, outcome: str | None = None) -> Self:
        weights = self.weights(outcome)
        return self if weights is None else replace(self, paths=replace(self.paths, weights=weights))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Without the study: what the first headline did not ask for, no other one will."""
        spread = self.paths.spread
        paths = self.paths if spread is None else replace(self.paths, spread=spread.made())
        return Held, (paths, None, self.read, self.called, self.weighed)


@dataclass(frozen=True, eq=False)
class Randomisation:
    """Headlines of other orders beside the one that happened. observed: the headline. drawn: (R,) headlines of other
    orders, NaN left out. slopes: (R,) and own_slope: what the headline makes of exposure itself, read as the outcome;
    None when not asked for. enumerated: whether `drawn` holds every other order once. lost: orders whose headline could
    not be given; the test is then conditional on orders with one. clusters: how many were dealt to."""

    observed: float
    drawn: np.ndarray
    own_slope: float | None
    slopes: np.ndarray | None
    enumerated: bool
    lost: int
    clusters: int
    words: str

    @property
    def p_value(self) -> float:
        """(1 + orders with a headline at least as large in size) / (1 + orders)."""
        return _share(self.drawn, self.observed)

    def p(self, effect: float) -> float:
        """p of the hypothesis that every exposed row's outcome is `effect` more than without the component."""
        if self.slopes is None or self.own_slope is None:
            raise OptionError("These draws carry no slopes. Call randomise(..., slopes=True).")
        return _share(self.drawn - effect * self.slopes, self.observed - effect * self.own_slope)

    def interval(self, level: float = 0.95) -> Interval:
        """Every constant effect that is not rejected, from the smallest to the largest, by inversion of `p`. The
        headline is linear in the outcome, so that an order's headline of outcomes less the effect is a straight line in
        the effect, and p changes only where two lines cross. An end is infinite where the orders are too few to reject
        at this level. Raises `OptionError` when the slopes were not asked for."""
        alpha = 1 - check_level(level)
        centre = self.observed / self.own_slope if self.own_slope else float("nan")
        self.p(0.0)  # raises where slopes were not asked for
        slopes, own = np.asarray(self.slopes), float(self.own_slope or 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):  # where a line meets the observed or its mirror image
            found = np.concatenate([(self.drawn - sign * self.observed) / (slopes - sign * own) for sign in (1, -1)])
        at, low, high = np.unique(found[np.isfinite(found)]), -np.inf, np.inf
        if len(at):  # p is constant between crossings, and largest at them
            gap, kept = 1.0 + np.abs(at).max(), at[[self.p(x) > alpha for x in at]]
            low = -np.inf if self.p(at[0] - gap) > alpha else float(kept.min(initial=np.inf))
            high = np.inf if self.p(at[-1] + gap) > alpha else float(kept.max(initial=-np.inf))
        which = "all" if self.enumerated else "random"
        orders = f"{which} {len(self.drawn)} other orders over {self.clusters} clusters"
        words = f"randomisation by inversion under a constant effect: {orders}; {self.words}"
        return Interval(centre, low, high, words)


def randomise(
    study: Runs,
    component: str,
    headline: Headline,
    draws: int = 999,
    among: str = "all",
    seed: int = 0,
    slopes: bool = False,
) -> Randomisation:
    """Run `headline` again under other orders of one component's rollout.

    headline: from a study to a number, NaN where there is none; `average_effect(design, component, window)` makes
        one for any design. It is called once an order, twice with `slopes`.
    draws: how many orders; all of them, each once, when there are no more than that.
    among: "all" clusters of the component's level; "alike", only among clusters whose other components follow
        the same paths.
    slopes: whether to read exposure as the outcome too, which `interval` needs.

    A cluster where nobody is reached holds what it has. Raises `NotIdentifiedError` when the component's
    schedule varies within a cluster, when there is no other order, or when the headline itself is NaN;
    `OptionError` for another `among`."""
    held = Held.of(study)
    deal, observed = make_deal(study.paths, component, among), headline(held)
    if not np.isfinite(observed):
        raise NotIdentifiedError(f"The headline of {component!r} is not a number, so there is nothing to compare.")
    state = study.paths.state[:, :, study.paths.index(component)]
    on = (state != 0) & (state != UNKNOWN)  # part-way included
    exposure = np.asarray(on[study.paths.path], dtype=float) if slopes else None
    own = headline(Rearranged(held, study.paths, exposure)) if slopes else None
    orders, enumerated = _orders(deal, draws, seed)
    made = in_parallel(partial(_again, held, component, deal, headline, exposure), orders)
    result, tilt = np.array([found for found, _ in made]), [tilted for _, tilted in made if tilted is not None]
    good = np.isfinite(result)
    words = f"held fixed: outcomes, rows, reach and other components; dealt among {among} clusters of {deal.level}"
    return Randomisation(
        float(observed), result[good], None if own is None else float(own), np.array(tilt) if slopes else None,
        enumerated, int((~good).sum()), int((deal.stratum >= 0).sum()), words,
    )  # fmt: skip


def _again(
    held: Held, component: str, deal: Deal, headline: Headline, exposure: np.ndarray | None, order: np.ndarray
) -> tuple[float, float | None]:
    """The headline under one order, and what it makes of exposure read as the outcome, where that is asked for."""
    paths = rearrange(held.paths, component, deal, order)
    found = headline(Rearranged(held, paths))
    told = exposure is not None and bool(np.isfinite(found))
    return found, headline(Rearranged(held, paths, exposure)) if told else None


def average_effect(
    design: Callable[[Runs, str], Estimate | Interval], component: str, window: tuple[int, int | None] = (0, None)
) -> Headline:
    """The headline of any design: the mass-weighted average over event times in `window` (first, last or None). A
    design whose rows have no event times gives its only row. NaN where the design cannot be run."""

    def run(study: Runs) -> float:
        try:
            rows = design(study, component)
        except NotIdentifiedError:
            return float("nan")
        one = rows.over(*window) if isinstance(rows, Estimate) else rows
        return float("nan") if one is None else float(np.ravel(one.value)[0])

    return run


@dataclass(frozen=True, eq=False)
class Deal:
    """Who may be dealt what. schedules: (S, T) different states of the component. kind: (G,) which of them each
    cluster holds. stratum: (G,) among whom it is dealt, -1 where it holds what it has."""

    level: str
    schedules: np.ndarray
    kind: np.ndarray
    stratum: np.ndarray

    @property
    def strata(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.stratum == s) for s in np.unique(self.stratum[self.stratum >= 0])]

    @property
    def count(self) -> int:
        """How many different orders there are."""
        each = []
        for members in self.strata:
            _, sizes = np.unique(self.kind[members], return_counts=True)
            each.append(factorial(len(members)) // prod(factorial(int(s)) for s in sizes))
        return prod(each)


def rearrange(paths: Paths, component: str, deal: Deal, order: np.ndarray) -> Paths:
    """Paths with the component's schedule of cluster `order[c]` in cluster c; all else as it was. order: (G,) clusters
    of the deal's level. Units that the component cannot reach stay off."""
    k, cells = paths.index(component), paths.cells(deal.level)
    none = len(deal.schedules)
    dealt = np.where(paths.reach[cells.path, k], deal.kind[order][cells.cluster], none)
    found, path = np.unique(cells.path.astype(np.int64) * (none + 1) + dealt, return_inverse=True)
    old, which = np.divmod(found, none + 1)
    state, mine = paths.state[old].copy(), which < none
    state[mine, :, k] = deal.schedules[which[mine]]
    return replace(paths, path=path[cells.of], state=state, reach=paths.reach[old])


def make_deal(paths: Paths, component: str, among: str = "all") -> Deal:
    """The clusters and schedules of one component, from exposure paths alone. Raises as `randomise` does."""
    check_choice("among", among, ("all", "alike"))
    level, k = paths.assigned_at[component], paths.index(component)
    cells, G = paths.cells(level), len(paths.levels[level].names)
    kinds, kind = np.unique(_schedules(paths, component, level), axis=0, return_inverse=True)
    reached = np.zeros(G, dtype=bool)
    reached[cells.cluster[paths.reach[cells.path, k]]] = True
    stratum = np.zeros(G, dtype=int)
    if among == "alike":
        code = np.unique(paths.others(component), axis=0, return_inverse=True)[1].reshape(-1)
        pairs = np.unique(np.column_stack([cells.cluster, code[cells.path]]), axis=0)
        sets = [tuple(pairs[pairs[:, 0] == c, 1]) for c in range(G)]
        stratum = np.array([sorted(set(sets)).index(s) for s in sets])
    deal = Deal(level, kinds, kind.reshape(-1), np.where(reached, stratum, -1))
    if deal.count < 2:
        raise NotIdentifiedError(f"There is no other order in which {component!r} could have been rolled out.")
    return deal


def _schedules(paths: Paths, component: str, level: str) -> np.ndarray:
    """(G, T) state of the component for those it can reach, by cluster; off where nobody is reached."""
    k, cells = paths.index(component), paths.cells(level)
    reached = paths.reach[cells.path, k]
    pairs = np.column_stack([cells.cluster[reached], cells.path[reached]])
    schedule = np.zeros((len(paths.levels[level].names), paths.state.shape[1]), dtype=paths.state.dtype)
    schedule[pairs[:, 0]] = paths.state[pairs[:, 1], :, k]
    differ = (paths.state[pairs[:, 1], :, k] != schedule[pairs[:, 0]]).any(axis=1)
    if differ.any():
        who = ", ".join(str(paths.levels[level].names[c]) for c in np.unique(pairs[differ, 0])[:5])
        words = f"{component!r} does not have one schedule for each {level} ({who}), so that other orders are not "
        raise NotIdentifiedError(words + "defined. Set assigned_at to the level at which it was decided.")
    return schedule


def _orders(deal: Deal, draws: int, seed: int) -> tuple[Iterator[np.ndarray], bool]:
    """Other orders (G,), and whether these are all of them."""
    if draws < 1:
        raise OptionError(f"draws={spelt(draws)} is not a choice. Use a whole number of 1 or more.")
    if deal.count - 1 <= draws:
        return _every(deal), True

    def mixed() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(seed)
        for _ in range(draws):
            order = np.arange(len(deal.kind))
            for members in deal.strata:
                order[members] = rng.permutation(members)
            yield order

    return mixed(), False


def _every(deal: Deal) -> Iterator[np.ndarray]:
    """Each different order once, without the one that happened."""
    giver = {int(k): int(np.flatnonzero(deal.kind == k)[0]) for k in np.unique(deal.kind)}
    patterns = [list(_arrangements(sorted(deal.kind[members].tolist()))) for members in deal.strata]
    for chosen in product(*patterns):
        kinds = deal.kind.copy()
        for members, pattern in zip(deal.strata, chosen, strict=True):
            kinds[members] = pattern
        if not np.array_equal(kinds, deal.kind):
            yield np.array([giver[int(k)] for k in kinds])


def _arrangements(items: list[int]) -> Iterator[tuple[int, ...]]:
    """Different orders of a sorted list with repeats, in order (next permutation)."""
    a = list(items)
    while True:
        yield tuple(a)
        i = next((i for i in range(len(a) - 2, -1, -1) if a[i] < a[i + 1]), None)
        if i is None:
            return
        j = next(j for j in range(len(a) - 1, i, -1) if a[j] > a[i])
        a[i], a[j] = a[j], a[i]
        a[i + 1 :] = reversed(a[i + 1 :])


def _share(drawn: np.ndarray, observed: float) -> float:
    """Share of orders with a headline at least as large in size, the one that happened among them; rounding ties."""
    extreme = np.abs(drawn) >= abs(observed) - 1e-10 * max(float(np.abs(drawn).max(initial=0.0)), abs(observed))
    return (1 + int(extreme.sum())) / (1 + len(extreme))
