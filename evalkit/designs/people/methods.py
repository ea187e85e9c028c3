"""Methods of matching, one class each: its fields are the options that it takes; `match` sees no outcome."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from evalkit.designs.people.distances import DISTANCES, LINE, Caliper, Space, make_space, on_line
from evalkit.designs.people.matching import Matching, both_arms
from evalkit.designs.people.nearest import Links, greedy, with_replacement
from evalkit.designs.people.people import People, joint_codes
from evalkit.designs.people.sets import full_edges, optimal_pairs, sets_of
from evalkit.errors import OptionError, check_choice, spelt, suggest

CUTS = ("sturges", "scott", "fd")
ORDERS = ("largest", "smallest", "closest", "data")
HC1, ABADIE_IMBENS = "hc1", "abadie_imbens"


@dataclass(frozen=True)
class Method(ABC):
    """One way of matching. Fields: the options of `MatchedComparison` that it takes. estimands, adjustments, errors,
    distances: the choices of further options that go with it. by_class: whether sets are classes of many people,
    reweighed when somebody leaves, rather than partners."""

    name: ClassVar[str]
    estimands: ClassVar[tuple[str, ...]] = ("ATT", "ATC", "ATE")
    adjustments: ClassVar[tuple[str | None, ...]] = (None, "auto", "reg")
    errors: ClassVar[tuple[str, ...]] = ("auto", "set")
    distances: ClassVar[tuple[str, ...]] = DISTANCES
    by_class: ClassVar[bool] = False

    estimand: str = "ATT"

    @abstractmethod
    def match(self, people: People, space: Space | None) -> Matching:
        """Match them."""

    def space(self, people: People) -> Space | None:
        """Where distances are measured; None where nothing is."""
        return None

    def used(self) -> set[str]:
        """Options that it looks at, given the others."""
        return {f.name for f in fields(self)}


class ByClass(Method):
    """Sets are classes of people alike in something."""

    errors = (*Method.errors, HC1)
    by_class = True

    @abstractmethod
    def classes(self, people: People, space: Space | None) -> np.ndarray:
        """(m,) code of the class of each."""

    def match(self, people: People, space: Space | None) -> Matching:
        sets = both_arms(self.classes(people, space), people.exposed)
        return Matching(people, self.name, self.estimand, sets, space=space)


@dataclass(frozen=True)
class Exact(ByClass):
    """Classes of people alike in the variables named in `exact`; in every covariate when none is."""

    name = "exact"

    def classes(self, people: People, space: Space | None) -> np.ndarray:
        return people.strata if people.exact else joint_codes([people.strata, *people.x.T])


@dataclass(frozen=True)
class CoarsenedExact(ByClass):
    """Boxes of covariates (Iacus, King and Porro 2012). cutpoints: rule for equal bins ("sturges", "scott", "fd"), or
    cut points by covariate; a value equal to a cut point falls above it. Covariates without cut points keep their
    values."""

    name = "cem"
    cutpoints: str | Mapping[str, Sequence[float]] = "sturges"

    def classes(self, people: People, space: Space | None) -> np.ndarray:
        cuts = self.cutpoints
        if isinstance(cuts, str):
            check_choice("cutpoints", cuts, CUTS)
            return joint_codes([people.strata, *(_equal_bins(x, cuts) for x in people.x.T)])
        lost = [c for c in cuts if c not in people.names]
        if lost:
            raise OptionError(
                f"cutpoints name {spelt(lost[0])}. {suggest(lost[0], people.names, 'The covariates are')}"
            )
        coded = [
            np.searchsorted(np.sort(cuts[name]), x, side="right") if name in cuts else x
            for name, x in zip(people.names, people.x.T, strict=True)
        ]
        return joint_codes([people.strata, *coded])


def _equal_bins(x: np.ndarray, rule: str) -> np.ndarray:
    """Bins of one width between the extremes; Sturges's where the rule of another finds no spread."""
    n, width = len(x), 0.0
    if rule == "scott":
        width = 3.5 * x.std(ddof=1) * n ** (-1 / 3)
    elif rule == "fd":
        width = 2 * float(np.subtract(*np.percentile(x, [75, 25]))) * n ** (-1 / 3)
    count = max(int(np.ceil(np.ptp(x) / width)), 1) if width > 0 else int(np.ceil(np.log2(n) + 1))
    return np.searchsorted(np.linspace(x.min(), x.max(), count + 1), x, side="right").clip(1, count)


@dataclass(frozen=True)
class Subclasses(ByClass):
    """Classes between quantiles of the score: of the exposed for ATT, of the comparison for ATC, of all for ATE.
    Rosenbaum and Rubin (1984). Quantiles interpolate linearly; a class starts at its lower edge."""

    name = "subclass"
    distances = LINE
    distance: str = "propensity"
    subclasses: int = 6

    def space(self, people: People) -> Space:
        return make_space(people, self.distance)

    def classes(self, people: People, space: Space | None) -> np.ndarray:
        assert space is not None
        score = on_line(space.score, self.distance)
        edges = np.quantile(score[people.target(self.estimand)], np.linspace(0, 1, self.subclasses + 1))
        return joint_codes([people.strata, np.searchsorted(edges, score, side="right").clip(1, self.subclasses)])


@dataclass(frozen=True)
class ByDistance(Method):
    """Partners near each other."""

    distance: str = "propensity"
    caliper: Caliper = None
    distance_on: tuple[str, ...] | None = None

    def space(self, people: People) -> Space:
        return make_space(people, self.distance, self.caliper, self.distance_on)

    def used(self) -> set[str]:
        return super().used() - ({"distance_on"} if self.distance in LINE else set())


@dataclass(frozen=True)
class Full(ByDistance):
    """Sets of one with many, everybody within the caliper in one of them (Hansen 2004)."""

    name = "full"

    def match(self, people: People, space: Space | None) -> Matching:
        assert space is not None
        links = Links.join([full_edges(space, i, j) for i, j in _arms(people, people.exposed)])
        sets = both_arms(sets_of(links, len(people)), people.exposed)
        return Matching(people, self.name, self.estimand, sets, (links,), space=space)


@dataclass(frozen=True)
class Pairs(ByDistance):
    """Up to `ratio` partners each, nobody twice."""

    estimands = ("ATT", "ATC")
    ratio: int = 1

    @abstractmethod
    def links(self, space: Space, focal: np.ndarray, pool: np.ndarray) -> tuple[Links, bool]:
        """Partners of some people among others, and whether the search was whole."""

    def match(self, people: People, space: Space | None) -> Matching:
        assert space is not None
        found = [self.links(space, i, j) for i, j in _arms(people, people.target(self.estimand))]
        links, sets = Links.join([f for f, _ in found]), np.full(len(people), -1)
        sets[links.partner] = sets[links.focal] = links.focal
        sets, notes = both_arms(sets, people.exposed), _short(people, (links,), self.ratio)
        if not all(whole for _, whole in found):
            notes += ("The least total distance among each person's nearest partners; not searched beyond them.",)
        return Matching(people, self.name, self.estimand, sets, (links,), False, self.ratio, space, notes)


@dataclass(frozen=True)
class Optimal(Pairs):
    """The least total distance."""

    name = "optimal"

    def links(self, space: Space, focal: np.ndarray, pool: np.ndarray) -> tuple[Links, bool]:
        return optimal_pairs(space, focal, pool, self.ratio)


@dataclass(frozen=True)
class Nearest(Pairs):
    """Greedy, in a stated order (Rosenbaum and Rubin 1985)."""

    name = "nearest"
    replace: bool = False
    order: str = "largest"

    def space(self, people: People) -> Space:
        scored = self.order in ("largest", "smallest")
        return make_space(people, self.distance, self.caliper, self.distance_on, scored)

    def links(self, space: Space, focal: np.ndarray, pool: np.ndarray) -> tuple[Links, bool]:
        turn = None if self.order == "closest" else np.arange(len(focal))
        if self.order in ("largest", "smallest"):
            value = on_line(space.score, self.distance)[focal]
            turn = np.argsort(-value if self.order == "largest" else value, kind="stable")
        return greedy(space, focal, pool, turn, self.ratio), True


@dataclass(frozen=True)
class Reused(ByDistance):
    """The nearest, who may serve again (Abadie and Imbens 2006)."""

    name = "nearest"
    adjustments = (*Method.adjustments, "bias")
    errors = (*Method.errors, ABADIE_IMBENS)
    ratio: int = 1
    replace: bool = True
    ties: str = "all"
    tie_tolerance: float = 1e-14
    neighbours: int = 0

    @property
    def tolerance(self) -> float | None:
        """Up to where partners tie; None where the first in the data is taken."""
        return self.tie_tolerance if self.ties == "all" else None

    def match(self, people: People, space: Space | None) -> Matching:
        assert space is not None
        t = people.exposed
        sides = [t, ~t] if self.estimand == "ATE" else [people.target(self.estimand)]
        links = tuple(
            Links.join([with_replacement(space, i, j, self.ratio, self.tolerance) for i, j in _arms(people, side)])
            for side in sides
        )
        notes, nobody = _short(people, links, self.ratio), np.full(len(people), -1)
        return Matching(people, self.name, self.estimand, nobody, links, True, self.ratio, space, notes)


def _arms(people: People, side: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions of focal people and of possible partners, stratum by stratum; neither is ever empty."""
    return [(g[side[g]], g[~side[g]]) for g in people.by_stratum() if side[g].any() and not side[g].all()]


def _short(people: People, links: tuple[Links, ...], ratio: int) -> tuple[str, ...]:
    """A note on those who found fewer partners than asked for."""
    counts = [np.bincount(x.focal, minlength=len(people)) for x in links]
    few = sum(int(((c > 0) & (c < ratio)).sum()) for c in counts)
    return (f"{few} people found fewer than {ratio} partners and are matched with those they found.",) if few else ()


_KINDS: tuple[type[Method], ...] = (Nearest, Optimal, Full, Exact, CoarsenedExact, Subclasses)
METHODS = tuple(kind.name for kind in _KINDS)
OPTIONS = {f.name for kind in _KINDS for f in fields(kind)} | {f.name for f in fields(Reused)}
"""Options that only some methods take, and the estimand, which all do."""


def method_of(name: str, replace: bool) -> type[Method]:
    """The class of a method; nearest partners with replacement have their own."""
    return Reused if replace and name == Reused.name else _KINDS[METHODS.index(name)]
