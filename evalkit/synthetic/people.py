"""People: need, facts, where they live, when they are first seen and when they enter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalkit.synthetic.draws import Draws, expit
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.places import Sites
from evalkit.synthetic.spec import Spec


@dataclass(frozen=True, eq=False)
class Moves:
    """to: (n,) site of each person after a move, the same for those who stay. when: (n,) from which period on."""

    to: np.ndarray
    when: np.ndarray

    def keep(self, rows: np.ndarray) -> Moves:
        """Those of some of the people."""
        return Moves(self.to[rows], self.when[rows])


@dataclass(frozen=True, eq=False)
class People:
    """n people of one part. pool: (n,) position among those drawn, which picks their random numbers.

    site: (n,) where each lives at first.
    """

    site: np.ndarray
    pool: np.ndarray
    need: np.ndarray
    woman: np.ndarray
    age: np.ndarray
    flags: dict[str, np.ndarray]
    entry: np.ndarray
    first_seen: np.ndarray
    drawn: int
    moves: Moves | None = None

    def __len__(self) -> int:
        return len(self.site)

    def keep(self, rows: np.ndarray) -> People:
        """Some of the people, with the random numbers that they had."""
        picked = {n: getattr(self, n)[rows] for n in ("site", "pool", "need", "woman", "age", "entry", "first_seen")}
        moves = None if self.moves is None else self.moves.keep(rows)
        return replace(self, **picked, moves=moves, flags={k: v[rows] for k, v in self.flags.items()})

    def at(self, t: int) -> np.ndarray:
        """(n,) site of each person in one period."""
        return self.site if self.moves is None else np.where(t >= self.moves.when, self.moves.to, self.site)

    def sites(self, periods: int) -> np.ndarray:
        """(T, n) site of each person in every period; (1, n) where nobody moves."""
        return self.site[None, :] if self.moves is None else np.stack([self.at(t) for t in range(periods)])

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
    moves = _moves(spec, knobs, site, len(sites), first, draws) if knobs.movers > 0 else None
    return People(site, np.arange(n), need, woman, age, flags, entry, first, n, moves)


def _moves(spec: Spec, knobs: Knobs, site: np.ndarray, n_sites: int, first: np.ndarray, draws: Draws) -> Moves:
    """Where people live later, any other site alike, and from which period on: after they were first seen."""
    n, T = len(site), spec.clock.periods
    goes = draws.uniform("mover", n) < knobs.movers
    later = (site + 1 + draws.pick("moves where", n_sites - 1, n)) % n_sites
    when = np.minimum(first + 1 + np.floor(draws.uniform("moves when", n) * (T - 1 - first)), T - 1).astype(int)
    return Moves(np.where(goes, later, site), np.where(goes, when, T))


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
