"""Exposure paths and cells: who was exposed to what, when, without any outcome.

A *path* is the effective exposure (exposure times reach) of a unit to every component in every period. Units share
paths; designs and separability see paths and the rows that exist, never an outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary, ref

import numpy as np
import pandas as pd

from evalkit.errors import OptionError

OFF = 0
UNKNOWN = np.int16(-32768)
_T = TypeVar("_T")


class Memo:
    """What was worked out once for an object, by a key, kept as long as the object lives.

    `dataclasses.replace`, copies and pickles begin with an empty one. Threads may ask at the same time: both may
    work a value out, and both are given the one that was put in first.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[Any, ref | None]] = {}

    def get(
        self,
        key: Hashable,
        make: Callable[[], _T],
        about: np.ndarray | None = None,
        keep: Callable[[_T], bool] | None = None,
    ) -> _T:
        """The value under `key`: what `make` gave when it was first asked for.

        about: an array that the value belongs to; another array has its own, and the value goes when the array does.
        keep: says of a value just made whether to keep it, by its size for example.
        """
        place = (key, None if about is None else id(about))
        if place in self._kept:
            return self._kept[place][0]
        value = make()
        if keep is not None and not keep(value):
            return value
        own = ref(self)  # a memo that its own watch held would outlive the object it belongs to
        watch = None if about is None else ref(about, partial(_forget, own, place))
        return self._kept.setdefault(place, (value, watch))[0]

    def shared(self, key: Hashable, make: Callable[[], _T], about: np.ndarray) -> _T:
        """As `get`, but kept only as long as somebody else holds it: what a check alone has read goes with it."""
        held = self.get("shared", WeakValueDictionary[Hashable, Any], about)
        value = held.get(key)
        return held.setdefault(key, make()) if value is None else value

    def __len__(self) -> int:
        return len(self._kept)

    def __reduce__(self) -> tuple[type[Memo], tuple[()]]:
        return Memo, ()


def _forget(of: ref[Memo], place: tuple[Hashable, int | None], _: object) -> None:
    if (memo := of()) is not None:
        memo._kept.pop(place, None)


class Spread:
    """Cross-products of people's deviations from the mean of their cell, for outcomes that have been read."""

    def __init__(self) -> None:
        self._known: list[tuple[np.ndarray, Callable[[], np.ndarray]]] = []

    def tell(self, values: np.ndarray, make: Callable[[], np.ndarray]) -> None:
        """Say where those of an outcome come from; values: the (n, T) array that designs are given."""
        if not any(known is values for known, _ in self._known):
            self._known.append((values, make))

    def within(self, values: np.ndarray) -> np.ndarray | None:
        """(n, T, T) of an outcome; None for values that are the same for all people of a cell."""
        for i, (known, make) in enumerate(self._known):
            if known is values:
                found = make()
                self._known[i] = (known, _Made(found))
                return found
        return None

    def made(self) -> Spread:
        """Those that have been worked out, which need nothing more."""
        out = Spread()
        out._known = [(known, make) for known, make in self._known if isinstance(make, _Made)]
        return out


@dataclass(frozen=True, eq=False)
class _Made:
    found: np.ndarray

    def __call__(self) -> np.ndarray:
        return self.found


@dataclass(frozen=True, eq=False)
class Level:
    """A level at which somebody decided: `codes` (n,) point into `names`."""

    name: str
    codes: np.ndarray
    names: np.ndarray


@dataclass(frozen=True, eq=False)
class Near:
    """What the neighbours of G groups of units have, for one component.

    share: (G, T) of neighbours exposed, the largest of all rings; -1 where not known. ring: (G, T) the nearest ring,
    from 1 on, in which it is above what counts as touched; 0 where none is, -1 where not known. of: (n,) group of each
    unit. one_way: whether no pair of neighbours is given both ways.
    """

    share: np.ndarray
    ring: np.ndarray
    of: np.ndarray
    one_way: bool = False

    def subset(self, units: np.ndarray, periods: np.ndarray) -> Near:
        return replace(self, share=self.share[:, periods], ring=self.ring[:, periods], of=self.of[units])


@dataclass(frozen=True, eq=False)
class Cells:
    """Units grouped by (cluster, path) at one level.

    of: (n,) cell of each unit. cluster, path, count: (C,), of people. order: units sorted by
    cell. start: (C,) first position of each cell in `order`.
    """

    level: str
    of: np.ndarray
    cluster: np.ndarray
    path: np.ndarray
    count: np.ndarray
    order: np.ndarray
    start: np.ndarray

    def __len__(self) -> int:
        return len(self.count)


@dataclass(frozen=True, eq=False)
class Paths:
    """Effective exposure paths of n units over T periods and K components.

    units: (n,) ids (a unit that moves between clusters has one row a stay).
    periods: (T,) values as the user knows them, in order.
    path: (n,) index of each unit's path.
    state: (P, T, K) int16. 0 off; 1, 2, ... on (the bin of the dose, or its rank); -1, -2, ... part-way, neither off
        nor on, one code for each part value; UNKNOWN where no row says.
    reach: (P, K) whether the component can reach these units at all.
    levels: every level by name; each holds one code a unit.
    assigned_at: level at which each component was decided.
    cluster: name of the study's cluster level.
    seen: (n, T) whether the row exists; None when every row does.
    weights: (n,) or None.
    lags: (K,) periods before an effect can show.
    always_on: (K,) registered as always on.
    doses: (K,) the dose of each component's states 1, 2, ..., averaged where a bin holds several;
        their ranks where nothing is given.
    heads: (n,) people that each unit stands for, who are alike in everything here; None for one each.
    spread: how far those people are from each other, where units stand for several.
    asked: (n,) people of whom the outcomes of each unit are means, where it is a group of a study of places; None
        elsewhere. Such a group is one unit to every estimator, and so many people to whom counts them.
    randomised: level of the blocks within which each component that chance assigned was dealt, "" where it was dealt
        among all.
    near: what neighbours have, of each component that says whose they are.
    memo: what was worked out from these paths; kept as long as they live.
    """

    units: np.ndarray
    periods: np.ndarray
    components: tuple[str, ...]
    path: np.ndarray
    state: np.ndarray
    reach: np.ndarray
    levels: Mapping[str, Level]
    assigned_at: Mapping[str, str]
    cluster: str
    cluster_given: bool = True
    seen: np.ndarray | None = None
    weights: np.ndarray | None = None
    lags: tuple[int, ...] = ()
    always_on: tuple[bool, ...] = ()
    doses: tuple[tuple[float, ...], ...] = ()
    randomised: Mapping[str, str] = field(default_factory=dict)
    near: Mapping[str, Near] = field(default_factory=dict)
    heads: np.ndarray | None = None
    spread: Spread | None = field(default=None, repr=False)
    asked: np.ndarray | None = None
    memo: Memo = field(default_factory=Memo, init=False, repr=False)

    @property
    def n_units(self) -> int:
        return len(self.path)

    @property
    def n_paths(self) -> int:
        return self.state.shape[0]

    @property
    def n_periods(self) -> int:
        return self.state.shape[1]

    @cached_property
    def people(self) -> np.ndarray:
        """(n,) people behind each unit."""
        return np.ones(self.n_units, dtype=np.int64) if self.heads is None else self.heads

    @cached_property
    def squares(self) -> np.ndarray:
        """(n,) sum of the squared weights of the people behind each unit, who weigh alike."""
        w = np.ones(self.n_units) if self.weights is None else self.weights
        return w**2 / self.people

    @property
    def counted(self) -> np.ndarray:
        """(n,) people behind each unit, those asked in it where it is a place."""
        return self.people if self.asked is None else self.asked

    def distinct(self, units: np.ndarray | slice = slice(None)) -> int:
        """How many people some units are about (one that moved has a unit a stay)."""
        grouped = self.heads is not None or self.asked is not None
        return int(self.counted[units].sum()) if grouped else len(np.unique(self.units[units]))

    def need_rows(self, what: str) -> None:
        """Raise `OptionError` where units stand for people added up, from whom `what` cannot be had."""
        if self.heads is not None:
            advice = "Open the study with hold='rows'."
            raise OptionError(f"{what} needs every person's own rows, and this study holds people added up. {advice}")

    def alone(self, level: str) -> bool:
        """Whether every unit is a group of its own at a level, and one person."""
        return self.heads is None and len(self.levels[level].names) == self.n_units

    def index(self, component: str) -> int:
        """Position of a component; raises `OptionError` with the known names."""
        try:
            return self.components.index(component)
        except ValueError:
            known = ", ".join(self.components)
            raise OptionError(f"There is no component {component!r}. This study has: {known}.") from None

    def dose(self, k: int) -> np.ndarray:
        """Dose of each state of component k from 0 on."""
        most = int(self.state[:, :, k].max(initial=0))
        return np.array([0.0, *self.doses[k]]) if self.doses else np.arange(most + 1.0)

    def others(self, component: str, only: tuple[int, ...] | None = None) -> np.ndarray:
        """(P, T) one code for the joint state of every other component; -1 where any is UNKNOWN."""
        k = self.index(component)
        keep = [j for j in range(len(self.components)) if j != k and (only is None or j in only)]
        code = np.zeros(self.state.shape[:2], dtype=np.int64)
        unknown = np.zeros(self.state.shape[:2], dtype=bool)
        size = 1
        for j in keep:
            values, inverse = np.unique(self.state[:, :, j], return_inverse=True)
            if len(values) == 1:
                unknown |= values[0] == UNKNOWN
                continue
            if size * len(values) > 2**62:
                code = np.unique(code, return_inverse=True)[1].reshape(code.shape)
                size = int(code.max()) + 1
            code = code * len(values) + inverse.reshape(code.shape)
            size *= len(values)
            unknown |= self.state[:, :, j] == UNKNOWN
        return np.where(unknown, -1, code)

    def nested(self, fine: str, coarse: str) -> bool:
        """Whether each group of level `fine` lies within one group of `coarse`."""
        a, b = self.levels[fine].codes, self.levels[coarse].codes
        one = np.zeros(len(self.levels[fine].names) + 1, dtype=b.dtype)  # the last for those in no group
        one[a] = b
        return bool((one[a] == b).all())

    def inference_level(self, component: str) -> tuple[str, bool]:
        """Level at which inference for a component is clustered, and whether levels cross.

        The coarser of where it was decided and an explicitly given cluster, if
        they nest; crossed levels fall back on the study's cluster. What chance assigned is inferred from where it was
        dealt.
        """
        own, study = self.assigned_at[self.components[self.index(component)]], self.cluster
        if own == study or not self.cluster_given or component in self.randomised:
            return own, False
        inside = self.nested(own, study)
        around = not inside and self.nested(study, own)
        return own if around else study, not inside and not around

    def cells(self, level: str) -> Cells:
        """Units grouped by (cluster at `level`, path); made once a level."""
        return self.memo.get(("cells", level), lambda: self._grouped(level))

    def _grouped(self, level: str) -> Cells:
        key = self.levels[level].codes.astype(np.int64) * self.n_paths + self.path
        keys, of, count = np.unique(key, return_inverse=True, return_counts=True)
        start = np.concatenate([[0], np.cumsum(count)[:-1]])
        order = np.argsort(of, kind="stable")
        if self.heads is not None:
            count = np.bincount(of, weights=self.heads).astype(np.int64)
        return Cells(level, of, keys // self.n_paths, keys % self.n_paths, count, order, start)

    def subset(self, units: np.ndarray, periods: np.ndarray) -> Paths:
        """The paths of some units and some periods (positions); group names and codes stay as they are."""
        used, path = np.unique(self.path[units], return_inverse=True)
        return replace(
            self,
            units=self.units[units],
            periods=self.periods[periods],
            path=path,
            state=np.ascontiguousarray(self.state[used][:, periods]),
            reach=self.reach[used],
            levels={name: replace(level, codes=level.codes[units]) for name, level in self.levels.items()},
            seen=None if self.seen is None else np.ascontiguousarray(self.seen[np.ix_(units, periods)]),
            weights=None if self.weights is None else self.weights[units],
            near={name: near.subset(units, periods) for name, near in self.near.items()},
            heads=None if self.heads is None else self.heads[units],
            spread=None if self.spread is None else Spread(),
            asked=None if self.asked is None else self.asked[units],
        )

    @cached_property
    def came(self) -> np.ndarray:
        """(n,) position of the first row of each unit; of its first stay where it moved."""
        if self.seen is None:
            return np.zeros(self.n_units, dtype=np.int64)
        who = pd.factorize(self.units)[0]
        first = np.full(self.n_units, self.n_periods, dtype=np.int64)
        np.minimum.at(first, who, self.seen.argmax(axis=1))
        return np.asarray(first[who])

    @cached_property
    def balanced(self) -> bool:
        return self.seen is None or bool(self.seen.all())


def recode(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0, 1, ... in order of first appearance, and where each first appears."""
    codes, distinct = pd.factorize(code)
    first = np.full(len(distinct), len(codes), dtype=np.intp)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return codes, first


def row_codes(state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of an integer table are alike: (G,) codes and the distinct rows.

    Rows are hashed to 64 bits and each is compared with its representative; only if
    two different rows ever share a hash are all rows sorted.
    """
    if not len(state):
        return np.empty(0, dtype=np.intp), state
    T = state.shape[1]
    if T <= 63 and state.min() >= OFF and state.max() <= 1:
        hashed = state @ (np.int64(1) << np.arange(T, dtype=np.int64))
    else:
        odd = np.random.default_rng(20_200_301).integers(1, 2**62, size=T, dtype=np.int64) * 2 + 1
        hashed = state.astype(np.int64) @ odd
    codes, first = recode(hashed)
    distinct = state[first]
    if (distinct[codes] != state).any():
        distinct, codes = np.unique(state, axis=0, return_inverse=True)
        codes = codes.reshape(-1)
    return codes, distinct
