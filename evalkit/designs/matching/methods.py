"""From people and choices to a Matching: one function a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.designs.matching.distances import LINE, Fence, Space, make_space
from evalkit.designs.matching.full import full_edges, sets_of
from evalkit.designs.matching.matched_set import Matching
from evalkit.designs.matching.nearest import Links, greedy
from evalkit.designs.matching.optimal import optimal_pairs
from evalkit.designs.matching.people import People
from evalkit.designs.matching.replacing import with_replacement
from evalkit.designs.matching.strata import both_arms, coarsened_sets, exact_sets, score_sets

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
