"""When each place starts each component: the truth, and what the register says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.synthetic.clock import period_names
from evalkit.synthetic.draws import Draws
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.places import Sites
from evalkit.synthetic.spec import PERSON, Launch, Part, Spec


@dataclass(frozen=True, eq=False)
class Rollout:
    """dose: component -> (S, T) true dose of each site. before: component -> (S,) dose before the first period.

    own: dose without what leaks over from neighbours, which is what is paid for.
    adoption: the register's spells, one row each, which may be wrong by the date error.
    """

    dose: dict[str, np.ndarray]
    before: dict[str, np.ndarray]
    own: dict[str, np.ndarray]
    adoption: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Spells:
    """One spell a group: first period on, first period off again (T: never)."""

    names: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    def on(self, periods: int) -> np.ndarray:
        t = np.arange(periods)
        return ((t >= self.start[:, None]) & (t < self.stop[:, None])).astype(np.float64)


def make_rollout(spec: Spec, knobs: Knobs, sites: Sites, draws: Draws) -> Rollout:
    """Deal starts to places, as the launch rules and knobs say."""
    T = spec.clock.periods
    if knobs.tidy:
        spec = replace(spec, parts=tuple(_apart(p) for p in spec.parts))
    anchor = _anchors(spec, knobs, sites, draws)
    spells: dict[str, _Spells] = {}
    dose: dict[str, np.ndarray] = {}
    before: dict[str, np.ndarray] = {}
    for part in sorted(spec.parts, key=lambda p: p.launch.after is not None):
        if part.level == PERSON:
            continue
        before[part.name] = np.full(len(sites), float(part.always_on and not knobs.core))
        if part.always_on:
            dose[part.name] = _core(sites, spec, knobs)
            continue
        made = _spells(part, spec, knobs, sites, draws, anchor, dose)
        spells[part.name] = made
        dose[part.name] = _to_sites(part, spec, sites, made.on(T))
    for part in (p for p in spec.parts if p.launch.ends_with is not None):
        other = dose[str(part.launch.ends_with)]
        spells[part.name] = _ended(spells[part.name], other, _level(part, spec, sites)[1])
        dose[part.name] = _to_sites(part, spec, sites, spells[part.name].on(T))
    own = dose
    if knobs.spillover:
        dose = {k: d if spec.part(k).always_on else _leak(d, knobs.spillover) for k, d in dose.items()}
    return Rollout(dose, before, own, _adoption(spec, knobs, spells, draws))


def _apart(part: Part) -> Part:
    """A component whose starts hang on no other."""
    return replace(part, launch=Launch(part.launch.apart)) if part.launch.apart else part


def _core(sites: Sites, spec: Spec, knobs: Knobs) -> np.ndarray:
    """Always on: everywhere and for ever, or (core) in programme places from the launch."""
    if not knobs.core:
        return np.ones((len(sites), spec.clock.periods))
    return (sites.programme[:, None] & (np.arange(spec.clock.periods) >= spec.clock.launch)).astype(np.float64)


def _anchors(spec: Spec, knobs: Knobs, sites: Sites, draws: Draws) -> np.ndarray | None:
    """(S,) date around which everything starts, one a zone, when launches are close together."""
    if knobs.gap is None:
        return None
    zone = sites.groups(spec.places.zone or spec.places.site)[0]
    n = int(zone[sites.programme].max()) + 1
    spread = max(spec.clock.periods - spec.clock.launch - 4, 2) // 2
    offsets = min(1, spec.clock.periods - spec.clock.launch - 1) + (np.arange(n) * spread) // n
    dealt = offsets[draws.order("anchor", n)]
    return spec.clock.launch + np.concatenate([dealt, np.zeros(len(sites), dtype=int)])[zone]


def _spells(
    part: Part, spec: Spec, knobs: Knobs, sites: Sites, draws: Draws, anchor: np.ndarray | None, dose: dict
) -> _Spells:
    T, launch = spec.clock.periods, part.launch
    names, member, mine = _level(part, spec, sites)
    groups = np.flatnonzero(mine)
    start = np.full(len(names), T)
    if launch.after is not None:
        start = _after(part, spec, knobs, sites, draws, dose[launch.after])
    elif anchor is not None:
        late = draws.pick(f"gap {part.name}", int(knobs.gap or 0) + 1, len(names))
        start[groups] = (anchor[member] + late)[groups]
    else:
        start[groups] = _dealt(part, spec, knobs, sites, draws, member[groups])
    lasts = T if launch.lasts is None else launch.lasts
    return _Spells(names, np.minimum(start, T), np.minimum(start + lasts, T))


def _ended(spells: _Spells, other: np.ndarray, member: np.ndarray) -> _Spells:
    """Spells that stop as another component starts in the same site, after one period at least."""
    on = other > 0
    first = np.where(on.any(axis=1), on.argmax(axis=1), on.shape[1])[member]
    return replace(spells, stop=np.minimum(spells.stop, np.maximum(first, spells.start + 1)))


def _level(part: Part, spec: Spec, sites: Sites) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Names of the level's groups, a site of each, and which belong to the programme."""
    if part.level == spec.places.linked:
        assert sites.linked is not None and sites.home is not None
        member = np.append(sites.home, len(sites) - 1)
        return sites.linked, member, np.arange(len(member)) < len(member) - 1
    codes, names = sites.groups(part.level)
    member = np.array([np.flatnonzero(codes == g)[0] for g in range(len(names))])
    return names, member, sites.programme[member]


def _dealt(part: Part, spec: Spec, knobs: Knobs, sites: Sites, draws: Draws, member: np.ndarray) -> np.ndarray:
    """Starts of the programme's groups: the launch rule's offsets in random order, or the neediest first."""
    T, launch = spec.clock.periods, part.launch
    if launch.at:
        return np.array([T if o is None else spec.clock.launch + o for o in launch.at])
    own = np.arange(len(member))
    if knobs.tidy and part.level == spec.places.linked:
        own = member
    n = int(own.max()) + 1
    offsets = np.array([T if o is None else spec.clock.launch + o for o in launch.offsets])
    dealt = np.sort(offsets[np.arange(n) % len(offsets)])
    key = draws.uniform(f"deal {part.name}", n)
    if knobs.order == "need":
        first = np.array([member[np.flatnonzero(own == g)[0]] for g in range(n)])
        key = key - sites.frame["deprivation_decile"].to_numpy()[first]
    turn = np.empty(n, dtype=np.intp)
    turn[np.argsort(key, kind="stable")] = np.arange(n)
    return dealt[turn][own]


def _after(part: Part, spec: Spec, knobs: Knobs, sites: Sites, draws: Draws, leader: np.ndarray) -> np.ndarray:
    """(S,) starts some periods after another component, counted from when it first mattered in the site."""
    T = spec.clock.periods
    lead = spec.part(str(part.launch.after))
    there = leader >= (lead.bins[0] if lead.bins else 1.0) - 1e-9
    first = np.where(there.any(axis=1), there.argmax(axis=1), T)
    codes, names = sites.groups(part.level)
    first = np.array([first[codes == g].min() for g in range(len(names))])
    n = int((first < T).sum())
    offsets = np.array([T if o is None else o for o in part.launch.offsets])
    if knobs.gap is not None:
        offsets = np.minimum(np.where(offsets >= T, 1, offsets), 1)
    dealt = offsets[np.arange(n) % len(offsets)][draws.order(f"deal {part.name}", n)]
    start = np.full(len(names), T)
    start[np.flatnonzero(first < T)] = first[first < T] + dealt
    return start


def _to_sites(part: Part, spec: Spec, sites: Sites, on: np.ndarray) -> np.ndarray:
    """(S, T) dose of sites from that of the level's groups."""
    if part.level == spec.places.linked:
        assert sites.weights is not None
        return np.round((sites.weights[:, :, None] * on[None]).sum(axis=1), 9)
    return on[sites.groups(part.level)[0]]


def _leak(dose: np.ndarray, share: float) -> np.ndarray:
    """Every site also gets a share of what the next site on either side has."""
    return np.minimum(dose + share * (np.roll(dose, 1, axis=0) + np.roll(dose, -1, axis=0)) / 2, 1.0)


def _adoption(spec: Spec, knobs: Knobs, spells: dict[str, _Spells], draws: Draws) -> pd.DataFrame:
    T, names = spec.clock.periods, period_names(spec.clock)
    parts = []
    for part in (p for p in spec.parts if p.name in spells):
        one = spells[part.name]
        rows = np.flatnonzero(one.start < T)
        error = draws.pick(f"date error {part.name}", 2 * knobs.date_error + 1, len(rows)) - knobs.date_error
        said = np.clip(one.start[rows] + error, 1, T - 1)
        ends = np.clip(np.maximum(one.stop[rows], said + 1), 0, T)
        parts.append(pd.DataFrame({
            "component": part.name, "level_id": one.names[rows], "start": names[said],
            "end": [None if e >= T else names[e] for e in ends], "dose": 1.0,
            "planned_start": names[np.clip(one.start[rows] - 1, 0, T - 1)],
            "certainty": "month" if not knobs.date_error else "guessed",
            "source": "returns of the places" if not knobs.date_error else "asked afterwards",
            "change_note": [_why_ended(part, spec) if e < T else "" for e in ends],
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _why_ended(part: Part, spec: Spec) -> str:
    """What the register says of a spell that has ended."""
    other = part.launch.ends_with
    return "" if other is None else f"Gave way to {spec.part(other).label.lower()}"
