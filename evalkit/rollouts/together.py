"""Components to be rolled out, and those of them that must start together: one, where nothing could tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evalkit.errors import OptionError, spelt, suggest
from evalkit.rollouts.dates import is_never, place_of
from evalkit.study.calendar import Calendar


@dataclass(frozen=True)
class Planned:
    """A component to be rolled out.

    earliest, latest: first and last period in which it may start. wanted: effect that is to be found, in the outcome's
    unit. reach: share of the people whom it can reach, or the column of `places` that holds it (None: everybody).
    per_month: most places that may start it in one period. fixed: place -> the period in which it starts there, None
    or "never" for never. everywhere: whether every place must get it by `latest`. lag: periods before an effect can
    show. unit_cost: of one person and period.
    """

    name: str
    earliest: object = None
    latest: object = None
    wanted: float | None = None
    reach: str | float | None = None
    per_month: int | None = None
    fixed: Mapping[str, object] = field(default_factory=dict)
    everywhere: bool = True
    lag: int = 0
    unit_cost: float | None = None


def reach_key(c: Planned) -> str:
    """What two components share that reach the same people: everybody, or those of one column. A number says how many
    people are reached and not who, so that it is shared with nobody."""
    if c.reach is None or c.reach == 1:
        return ""
    return c.reach if isinstance(c.reach, str) else f"{c.name} {c.reach}"


def merge(
    components: Sequence[Planned], together: Sequence[Sequence[str]], calendar: Calendar
) -> tuple[tuple[Planned, ...], tuple[tuple[str, ...], ...], list[str]]:
    """Components that start together and reach the same people are one, 'a+b': no rollout tells them apart. Names of
    those that each stands for, and sentences on those that were asked for one by one, or whose dates contradict each
    other."""
    group = group_numbers([(c.name,) for c in components], together)
    alike: dict[tuple[int, str], list[Planned]] = {}
    for c, g in zip(components, group.tolist(), strict=True):
        alike.setdefault((g, reach_key(c)), []).append(c)
    said = [s for (g, _), members in sorted(alike.items()) for s in _contradictions(members, calendar)]
    order = sorted(alike, key=lambda key: (key[0], components.index(alike[key][0])))
    out = tuple(_as_one(alike[key], calendar) for key in order)
    named = [c.name for c in out]
    if twice := [n for n in named if named.count(n) > 1]:
        raise OptionError(
            f"Components that start together are called {twice[0]!r}, and so is another. Call that by another name."
        )
    return out, tuple(tuple(c.name for c in alike[key]) for key in order), said


def _contradictions(members: Sequence[Planned], calendar: Calendar) -> list[str]:
    """Sentences on what cannot be had of components that are one."""
    labels, at, said = " and ".join(repr(c.name) for c in members), dict[str, int](), list[str]()
    if sum(c.wanted is not None for c in members) > 1:
        said.append(
            f"{labels} must start together everywhere and reach the same people, so that no rollout can tell one "
            "from the other; yet an effect of each is wanted. Want one effect, of both together, or let them part."
        )
    for c in members:
        said += [
            f"{labels} must start together, but have different dates fixed in {p}." for p in c.fixed
            if at.setdefault(str(p), fixed_at(c, p, calendar)) != fixed_at(c, p, calendar)
        ]  # fmt: skip
    return said


def _as_one(members: Sequence[Planned], calendar: Calendar) -> Planned:
    """One component that stands for several, by a joint name, and keeps to what all of them keep to."""
    if len(members) == 1:
        return members[0]
    wanted = [c.wanted for c in members if c.wanted is not None]
    most = [c.per_month for c in members if c.per_month is not None]
    return replace(
        members[0], name="+".join(c.name for c in members), wanted=wanted[0] if wanted else None,
        fixed={str(p): m for c in members for p, m in c.fixed.items()}, earliest=_bound(members, "earliest", calendar),
        latest=_bound(members, "latest", calendar), per_month=min(most, default=None),
        everywhere=all(c.everywhere for c in members), lag=max(c.lag for c in members),
    )  # fmt: skip


def _bound(members: Sequence[Planned], which: str, calendar: Calendar) -> object:
    """The date that all keep to: the last of those before which one may not start, the first of those by which one
    must have."""
    given = [
        (place_of(calendar, m, f"{which} of {c.name!r}"), m) for c in members if (m := getattr(c, which)) is not None
    ]
    if not given:
        return None
    return (max if which == "earliest" else min)(given, key=lambda pair: pair[0])[1]


def fixed_at(c: Planned, place: str, calendar: Calendar) -> int:
    """Position of the start that is fixed for a component in a place; that after the last period for never."""
    moment = c.fixed[place]
    return len(calendar) if is_never(moment) else place_of(calendar, moment, f"fixed of {c.name!r} in {spelt(place)}")


def group_numbers(members: Sequence[Sequence[str]], together: Sequence[Sequence[str]]) -> np.ndarray:
    """(K,) one number for all that start together. members: (K,) names of those that each component stands for."""
    group = np.arange(len(members))
    names = {m: k for k, own in enumerate(members) for m in own}
    for joined in together:
        for m in joined:
            if not isinstance(m, str) or m not in names:
                raise OptionError(f"together names {spelt(m)}. {suggest(str(m), names, 'Components')}")
        at = [names[m] for m in joined]
        group[np.isin(group, group[at])] = group[at].min()
    return group
