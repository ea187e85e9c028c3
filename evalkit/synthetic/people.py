"""People: need, facts, where they live, when they are first seen and when they enter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalkit.synthetic.draws import Draws, expit
from evalkit.synthetic.places import Sites
from evalkit.synthetic.spec import Knobs, Spec


@dataclass(frozen=True, eq=False)
class People:
    """n people of one part. pool: (n,) position among those drawn, which picks their random numbers."""

    site: np.ndarray
    pool: np.ndarray
    need: np.ndarray
    woman: np.ndarray
    age: np.ndarray
    flags: dict[str, np.ndarray]
    entry: np.ndarray
    first_seen: np.ndarray
    drawn: int

    def __len__(self) -> int:
        return len(self.site)

    def keep(self, rows: np.ndarray) -> People:
        """Some of the people, with the random numbers that they had."""
        picked = {n: getattr(self, n)[rows] for n in ("site", "pool", "need", "woman", "age", "entry", "first_seen")}
        return replace(self, **picked, flags={k: v[rows] for k, v in self.flags.items()})

    def flag(self, name: str | None) -> np.ndarray | float:
        """A flag as numbers, 1 for everybody when there is none."""
        return 1.0 if name is None else self.flags[name].astype(np.float64)


def draw_people(spec: Spec, knobs: Knobs, sites: Sites, counts: np.ndarray, draws: Draws) -> People:
    """A pool of people; `counts` (S,) of them in each site."""
    site = np.repeat(np.arange(len(sites)), counts)
    n = len(site)
    inside = sites.programme[site]
    need = draws.normal("need", n) + knobs.need_shift * inside
    if knobs.order == "need":
        need = need + 0.1 * (sites.frame["deprivation_decile"].to_numpy()[site] - 5.5)
    woman = draws.uniform("sex", n) < spec.women
    low, high = spec.ages
    age = low + np.floor((high - low + 1) * draws.uniform("age", n)).astype(int)
    flags: dict[str, np.ndarray] = {}
    for f in spec.flags:
        has = draws.uniform(f"flag {f.name}", n) < expit(f.base + f.need * need)
        if f.sex is not None:
            has &= woman == (f.sex == "female")
        flags[f.name] = has & flags[f.within] if f.within else has
    entry, first = _arrivals(spec, knobs, n, draws)
    return People(site, np.arange(n), need, woman, age, flags, entry, first, n)


def _arrivals(spec: Spec, knobs: Knobs, n: int, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """When people enter, and the first period in which anybody kept a record of them."""
    clock = spec.clock
    if spec.arrivals == "spread":
        entry = draws.pick("entry", clock.periods - clock.year, n)
        return entry, entry
    entry, first = np.full(n, clock.launch), np.zeros(n, dtype=int)
    if knobs.late_entry <= 0:
        return entry, first
    share = min(spec.late * knobs.late_entry, 1.0)
    year = max(clock.year, 2)
    late = draws.uniform("late", n) < share
    entry = np.where(late, clock.launch + draws.pick("entry", year, n), entry)
    known = np.floor(draws.uniform("known", n) * (entry - 2)).astype(int)
    first = np.where(draws.uniform("recorded late", n) < share, np.maximum(known, 0), first)
    return entry, first
