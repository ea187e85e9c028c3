"""Places that a component touches through their neighbours: a design beside untouched places only, and the effect on
those who do not have the component while neighbours of theirs do.

With potential outcomes Y(d, h), d the own exposure and h whether neighbours are exposed, a comparison with places that
do not have it yet gives E[Y(1, h) - Y(0, 0)] only where those are untouched; touched ones put E[Y(0, 1) - Y(0, 0)] into
it with the opposite sign (Butts 2021, "Difference-in-differences estimation with spatial spillovers", propositions 1
and 2). Both are read by the design that is given, on exposure paths in which touched periods have a state of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from evalkit.designs.protocol import Design, StudyLike, Traits, View
from evalkit.errors import NotIdentifiedError
from evalkit.inference import Estimate, Interval
from evalkit.study.paths import OFF, Paths

TOUCHED = np.int16(-32767)
"""State of a period in which a place neither has a component nor is untouched by it: neither off nor on."""
ON_NEIGHBOURS = "those without it some of whose neighbours have it"


def touched(paths: Paths, component: str) -> bool:
    """Whether neighbours are known, and somebody without the component has, or may have, neighbours with it."""
    return component in paths.near and bool(_marked(paths, component, OFF).any())


def untouched_paths(paths: Paths, component: str) -> Paths:
    """The paths, split so that who has no more than touched neighbours is neither with the component nor without it."""
    return paths.memo.get(("untouched", component), partial(_split, paths, component, None))


def neighbour_paths(paths: Paths, component: str, ring: int = 0) -> Paths:
    """The paths with the component on where a place does not have it and neighbours do, first in `ring` (0: in any);
    off where it is untouched; neither where it has it itself, or is touched in another ring."""
    return paths.memo.get(("neighbours", component, ring), partial(_split, paths, component, ring))


def rings(paths: Paths, component: str) -> tuple[int, ...]:
    """Rings, from 1 on, that are the nearest in which some place without the component is touched."""
    found = np.unique(paths.near[component].ring[_marked(paths, component, OFF)[:, : paths.n_periods]])
    return tuple(int(r) for r in found if r > 0)


def _marked(paths: Paths, component: str, state: int) -> np.ndarray:
    """(G, T) groups of neighbours some of whose units are touched, or may be, while the component is in `state`."""
    near, k = paths.near[component], paths.index(component)
    groups = np.zeros(near.ring.shape, dtype=bool)
    pairs = np.unique(near.of.astype(np.int64) * paths.n_paths + paths.path)
    group, path = np.divmod(pairs, paths.n_paths)
    mine = (paths.state[path, :, k] == state) & paths.reach[path, k][:, None]
    np.logical_or.at(groups, group, mine)
    return groups & (near.ring != 0)


def _split(paths: Paths, component: str, ring: int | None) -> Paths:
    near, k = paths.near[component], paths.index(component)
    kind = np.unique(near.ring, axis=0, return_inverse=True)[1].reshape(-1)
    _, first, path = np.unique(
        paths.path * (int(kind.max(initial=0)) + 1) + kind[near.of], return_index=True, return_inverse=True
    )
    origin, around = paths.path[first], near.ring[near.of[first]]
    state = paths.state[origin].copy()
    own, reach = state[:, :, k], paths.reach[origin]
    if ring is None:
        own[(own == OFF) & (around != 0) & reach[:, [k]]] = TOUCHED
    else:
        on = (around > 0) if ring == 0 else around == ring
        own[:] = np.where(own != OFF, TOUCHED, np.where(on, 1, np.where(around == 0, OFF, TOUCHED)))
    return replace(paths, path=path.reshape(-1), state=state, reach=reach)


@dataclass(frozen=True)
class BesideUntouched:
    """A design on the same starts, compared only with those whose neighbours do not have the component.

    Who was touched before having it is set against the time before being touched: the number is what having it does in
    all, to those who have it, beside a place that neither has it nor has neighbours with it.
    """

    design: Design

    @property
    def traits(self) -> Traits:
        return replace(self.design.traits, checks=())

    def plan(self, paths: Paths, component: str) -> object:
        return self.design.plan(untouched_paths(paths, component), component)

    def __call__(self, study: StudyLike, component: str) -> Estimate | Interval:
        """Raises `NotIdentifiedError` where nobody's neighbours are known, and what the design raises."""
        paths = untouched_paths(_asked(study, component, self.design), component)
        try:
            return self.design(View(study, paths), component)
        except NotIdentifiedError as error:
            raise NotIdentifiedError("nobody is left whose neighbours do not have it") from error


@dataclass(frozen=True)
class OnNeighbours:
    """The effect of a component on those who do not have it while neighbours of theirs do, by a design that compares
    them with the untouched. ring: only those whose nearest touched ring it is; 0 for any."""

    design: Design
    ring: int = 0

    @property
    def traits(self) -> Traits:
        return replace(self.design.traits, checks=(), arms=("touched", "untouched"))

    def plan(self, paths: Paths, component: str) -> object:
        return self.design.plan(neighbour_paths(paths, component, self.ring), component)

    def __call__(self, study: StudyLike, component: str) -> Estimate | Interval:
        """Raises `NotIdentifiedError` where nobody's neighbours are known, and what the design raises."""
        paths = neighbour_paths(_asked(study, component, self.design), component, self.ring)
        try:
            found = self.design(View(study, paths), component)
        except NotIdentifiedError as error:
            raise NotIdentifiedError("nobody is touched who was untouched before, beside others who are not") from error
        if not isinstance(found, Estimate):
            return found
        which = ON_NEIGHBOURS if not self.ring else f"{ON_NEIGHBOURS}, the nearest in ring {self.ring}"
        return found.with_labels(population=which)


def _asked(study: StudyLike, component: str, design: Design) -> Paths:
    """The paths, where they can be asked; `NotIdentifiedError` where neighbours are not known, or chance dealt it: who
    is compared is then what was dealt, touched or not."""
    if "randomisation" in design.traits.rests_on:
        raise NotIdentifiedError("what chance dealt is compared as it was dealt, with those touched among them")
    if component not in study.paths.near:
        raise NotIdentifiedError(
            f"Nothing is known of the neighbours of {component!r}. Say whose they are: Component(neighbours=...)."
        )
    return study.paths
