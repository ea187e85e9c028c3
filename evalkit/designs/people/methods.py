"""From people and choices to a Matching: one function a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.designs.people.distances import LINE, Fence, Space, make_space
from evalkit.designs.people.matching import Matching
from evalkit.designs.people.nearest import Links, greedy
from evalkit.designs.people.people import People, joint_codes
from evalkit.designs.people.replacing import with_replacement
from evalkit.designs.people.sets import full_edges, optimal_pairs, sets_of
from evalkit.errors import OptionError, check_choice, suggest

CUTS = ("sturges", "scott", "fd")


def exact_sets(people: People) -> np.ndarray:
    """(m,) one code for each combination of the variables named in `exact`; of every covariate when none is."""
    if people.exact:
        return people.strata
    return joint_codes([people.strata, *people.x.T])


def coarsened_sets(people: People, cutpoints: str | Mapping[str, Sequence[float]]) -> np.ndarray:
    """(m,) coarsened exact matching (Iacus, King and Porro 2012): one code for each box of covariates.

    cutpoints: rule for equal bins ("sturges", "scott", "fd"), or cut points by covariate; a value
    equal to a cut point falls above it. Covariates without cut points keep their values.
    """
    if isinstance(cutpoints, str):
        check_choice("cutpoints", cutpoints, CUTS)
        return joint_codes([people.strata, *(_equal_bins(x, cutpoints) for x in people.x.T)])
    lost = [c for c in cutpoints if c not in people.names]
    if lost:
        raise OptionError(f"cutpoints name {lost[0]!r}. {suggest(lost[0], people.names, 'The covariates are')}")
    coded = [
        np.searchsorted(np.sort(cutpoints[name]), x, side="right") if name in cutpoints else x
        for name, x in zip(people.names, people.x.T, strict=True)
    ]
    return joint_codes([people.strata, *coded])


def _equal_bins(x: np.ndarray, rule: str) -> np.ndarray:
    """Bins of one width between the extremes."""
    count = _bin_count(x, rule)
    edges = np.linspace(x.min(), x.max(), count + 1)
    return np.searchsorted(edges, x, side="right").clip(1, count)


def _bin_count(x: np.ndarray, rule: str) -> int:
    n, span = len(x), float(np.ptp(x))
    if rule == "sturges":
        return int(np.ceil(np.log2(n) + 1))
    if rule == "scott":
        width = 3.5 * x.std(ddof=1) * n ** (-1 / 3)
    else:
        width = 2 * float(np.subtract(*np.percentile(x, [75, 25]))) * n ** (-1 / 3)
    return max(int(np.ceil(span / width)), 1) if width > 0 else int(np.ceil(np.log2(n) + 1))


def score_sets(people: People, score: np.ndarray, count: int, estimand: str) -> np.ndarray:
    """(m,) classes between quantiles of the score: of the exposed for ATT, of the comparison for ATC, of all for ATE.

    Rosenbaum and Rubin (1984). Quantiles interpolate linearly; a class starts at its lower edge.
    """
    of = {"ATT": people.exposed, "ATC": ~people.exposed, "ATE": np.ones(len(people), bool)}[estimand]
    edges = np.quantile(score[of], np.linspace(0, 1, count + 1))
    classes = np.searchsorted(edges, score, side="right").clip(1, count)
    return joint_codes([people.strata, classes])


def both_arms(sets: np.ndarray, exposed: np.ndarray) -> np.ndarray:
    """(m,) the sets with somebody in each arm, numbered from 0; -1 elsewhere."""
    if len(sets) and sets.min() >= -1 and sets.max() < 4 * len(sets):
        code = sets + 1
    else:
        code = np.unique(sets, return_inverse=True)[1]
    size = np.bincount(code)
    with_it = np.bincount(code, weights=exposed)
    good = (with_it > 0) & (with_it < size)
    good[code[sets < 0]] = False
    number = np.where(good, np.cumsum(good) - 1, -1)
    return np.where(sets < 0, -1, number[code])


METHODS = ("nearest", "optimal", "full", "exact", "cem", "subclass")
ORDERS = ("largest", "smallest", "closest", "data")
CLASSES = ("exact", "cem", "subclass")


@dataclass(frozen=True)
class Choices:
    """How people are matched (the fields of MatchedComparison that see no outcome)."""

    method: str = "nearest"
    distance: str = "propensity"
    ratio: int = 1
    caliper: float | Mapping[str, float] | None = None
    replace: bool = False
    order: str = "largest"
    estimand: str = "ATT"
    tolerance: float | None = None
    subclasses: int = 6
    cutpoints: str | Mapping[str, Sequence[float]] = "sturges"
    distance_on: tuple[str, ...] | None = None


def space_of(people: People, choices: Choices) -> Space | None:
    """The space in which the method measures, None where it needs none."""
    if choices.method in ("exact", "cem"):
        return None
    scored = choices.method == "nearest" and not choices.replace and choices.order in ("largest", "smallest")
    return make_space(people, choices.distance, choices.caliper, choices.distance_on, scored)


def permuted(space: Space | None, order: np.ndarray) -> Space | None:
    """The same space with its people in another order."""
    if space is None:
        return None
    score = space.score
    if score is not None:
        score = replace(score, logit=score.logit[order], value=score.value[order])
    fences = tuple(Fence(f.name, f.values[order], f.width, f.sd) for f in space.fences)
    return replace(space, points=space.points[order], score=score, fences=fences)


def match_people(people: People, space: Space | None, choices: Choices) -> Matching:
    """Match them by the method chosen. Sees no outcome."""
    if choices.method in CLASSES:
        return _classes(people, space, choices)
    assert space is not None
    if choices.method == "full":
        return _full(people, space, choices)
    if choices.replace and choices.method == "nearest":
        return _reusing(people, space, choices)
    return _pairs(people, space, choices)


def _classes(people: People, space: Space | None, choices: Choices) -> Matching:
    if choices.method == "exact":
        sets = exact_sets(people)
    elif choices.method == "cem":
        sets = coarsened_sets(people, choices.cutpoints)
    else:
        assert space is not None and space.score is not None
        value = space.score.value if choices.distance == "propensity" else space.score.logit
        sets = score_sets(people, value, choices.subclasses, choices.estimand)
    return Matching(people, choices.method, choices.estimand, both_arms(sets, people.exposed), space=space)


def _full(people: People, space: Space, choices: Choices) -> Matching:
    links = Links.join([full_edges(space, i, j) for i, j in _arms(people, people.exposed)])
    sets = both_arms(sets_of(links, len(people)), people.exposed)
    return Matching(people, "full", choices.estimand, sets, (links,), space=space)


def _reusing(people: People, space: Space, choices: Choices) -> Matching:
    sides = {"ATT": [people.exposed], "ATC": [~people.exposed], "ATE": [people.exposed, ~people.exposed]}
    seek: Callable = lambda i, j: with_replacement(space, i, j, choices.ratio, choices.tolerance)  # noqa: E731
    links = tuple(Links.join([seek(i, j) for i, j in _arms(people, side)]) for side in sides[choices.estimand])
    none = np.full(len(people), -1)
    return Matching(people, "nearest", choices.estimand, none, links, True, choices.ratio, space,
                    _short(people, links, choices))  # fmt: skip


def _pairs(people: People, space: Space, choices: Choices) -> Matching:
    side = people.exposed if choices.estimand == "ATT" else ~people.exposed
    parts, whole = [], True
    for i, j in _arms(people, side):
        if choices.method == "optimal":
            found, exact = optimal_pairs(space, i, j, choices.ratio)
            whole &= exact
        else:
            found = greedy(space, i, j, _turn(space, i, choices), choices.ratio)
        parts.append(found)
    links = Links.join(parts)
    sets = np.full(len(people), -1)
    sets[links.partner] = links.focal
    sets[links.focal] = links.focal
    sets = both_arms(sets, people.exposed)
    notes = _short(people, (links,), choices)
    if not whole:
        notes += ("The least total distance among each person's nearest partners; not searched beyond them.",)
    return Matching(people, choices.method, choices.estimand, sets, (links,), False, choices.ratio, space, notes)


def _turn(space: Space, focal: np.ndarray, choices: Choices) -> np.ndarray | None:
    """Who chooses first; None for the closest two of all."""
    if choices.order == "closest":
        return None
    if choices.order == "data":
        return np.arange(len(focal))
    assert space.score is not None
    value = (space.score.value if choices.distance != "logit" else space.score.logit)[focal]
    return np.argsort(-value if choices.order == "largest" else value, kind="stable")


def _arms(people: People, side: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions of focal people and of possible partners, stratum by stratum."""
    if (people.strata == people.strata[0]).all():
        return [(np.flatnonzero(side), np.flatnonzero(~side))]
    code = np.unique(people.strata, return_inverse=True)[1]
    order = np.argsort(code, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
    return [(g[side[g]], g[~side[g]]) for g in groups if side[g].any() and not side[g].all()]


def _short(people: People, links: tuple[Links, ...], choices: Choices) -> tuple[str, ...]:
    """A note on those who found fewer partners than asked for."""
    if choices.ratio == 1:
        return ()
    m = len(people)
    few = sum(int(((c := np.bincount(x.focal, minlength=m)) > 0).sum() - (c >= choices.ratio).sum()) for x in links)
    if not few:
        return ()
    return (f"{few} people found fewer than {choices.ratio} partners and are matched with those they found.",)


__all__ = ["CLASSES", "LINE", "METHODS", "ORDERS", "Choices", "match_people", "permuted", "space_of"]
