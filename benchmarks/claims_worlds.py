"""Worlds that are not kind: places that start drift, are chosen by how they move, dip, share shocks; and placebo laws.

Places by periods, AR(1) noise of standard deviation .4 (.4 / sqrt(1 - rho^2) in the long run), `matters` .3, starts
staggered from the sixth period on. A drift of .048 a period moves the answer by about what matters ("pull 1").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

import evalkit as ek

NEVER = 99
MATTERS = 0.3


@dataclass(frozen=True)
class World:
    """G places, T periods, K components; the first is the one that is asked about.

    rho, sd: of places' own shocks. drift: slope a period of all that ever start; lull: it begins so many periods before
    the start only. size: trend by log size, large places start. slopes: standard deviation of places' own slopes, the
    steepest half starts. common: step of a random walk that starters share. bend: the drift quickens after the start.
    dip: a fall in the two periods before. anticipation: an effect in the period before, and none after. region: shocks
    that four regions share, which start together. people: how many share a place's mean, 0 for places alone. season:
    a pattern over four periods, each place with its own phase. lag: periods before an effect can show. early: first
    period of starts. unseen: share of the rows with the component that are not there, the worst off of them, or by
    chance where `by_chance`. touch: the two places beside each, on a ring, are in a table of neighbours; spill: what
    a place without it gains while one of those has it. large: share of all people who live in the first place to start.
    """

    G: int = 20
    T: int = 16
    K: int = 1
    rho: float = 0.5
    sd: float = 0.4
    drift: float = 0.0
    lull: int = 0
    size: float = 0.0
    slopes: float = 0.0
    common: float = 0.0
    bend: float = 0.0
    dip: float = 0.0
    anticipation: float = 0.0
    region: float = 0.0
    people: int = 0
    season: float = 0.0
    lag: int = 0
    early: int = 5
    unseen: float = 0.0
    by_chance: bool = False
    touch: bool = False
    spill: float = 0.0
    large: float = 0.0

    def draw(self, seed: int | Sequence[int], effect: Callable[[np.ndarray], np.ndarray] | None = None) -> ek.Study:
        """A study; effect: by periods since it can show."""
        rng = np.random.default_rng(seed)
        start, others, y = self._starts(rng), self._others(rng), self._noise(rng)
        u = np.arange(self.T)
        since, starts = u - start[:, None], (start < self.T)[:, None]
        y = y + self._disturbance(rng, since, starts)
        on = since >= 0
        y = y + self.spill * ((np.roll(on, 1, axis=0) | np.roll(on, -1, axis=0)) & ~on)
        if effect is not None:
            y = y + np.where(since >= self.lag, effect(np.maximum(since - self.lag, 0)), 0.0)
        return self._study(rng, y, start, others)

    def _starts(self, rng: np.random.Generator) -> np.ndarray:
        start = rng.integers(self.early, self.T + 8, self.G)
        if self.K > 1:
            start = np.where(rng.random(self.G) < 0.25, NEVER, rng.integers(4, self.T - 2, self.G))
        if self.region:
            start = np.repeat(rng.permutation([6, 9, NEVER, NEVER]), self.G // 4)
        if self.size or self.slopes:
            first = rng.integers(self.early, self.early + 6, self.G)
            start = np.where(np.arange(self.G) < self.G // 2, first, NEVER)
        return np.where(start >= self.T, NEVER, start)

    def _others(self, rng: np.random.Generator) -> np.ndarray:
        """(K - 1, G) first period of the other components."""
        when = rng.integers(4, self.T - 2, (self.K - 1, self.G))
        return np.where(rng.random((self.K - 1, self.G)) < 0.25, NEVER, when)

    def _noise(self, rng: np.random.Generator) -> np.ndarray:
        y = rng.normal(size=(self.G, 1)) + rng.normal(size=self.T) + _fading(rng, self.G, self.T, self.rho, self.sd)
        phase = rng.normal(size=(self.G, 1)) if self.season else 0.0
        return y + self.season * np.sin(np.arange(self.T) * np.pi / 2 + phase)

    def _disturbance(self, rng: np.random.Generator, since: np.ndarray, starts: np.ndarray) -> np.ndarray:
        u = np.arange(self.T)
        out = starts * self.drift * (np.maximum(since + self.lull, 0) if self.lull else u)
        out = out + starts * self.bend * np.maximum(since, 0) ** 2 / 2
        out = out + starts * np.cumsum(self.common * rng.normal(size=(1, self.T)), axis=1)
        out = out - self.dip * starts * ((since == -1) | (since == -2)) + self.anticipation * (since == -1)
        large = np.sort(rng.uniform(np.log(5), np.log(60), self.G))[::-1]  # the first half starts
        out = out + self.size * (large - large.mean())[:, None] * u
        own = np.sort(rng.normal(size=self.G))[::-1]  # the steepest half starts
        out = out + self.slopes * own[:, None] * u
        return out + np.repeat(_fading(rng, 4, self.T, 0.6, self.region), self.G // 4, axis=0)

    def _study(self, rng: np.random.Generator, y: np.ndarray, start: np.ndarray, others: np.ndarray) -> ek.Study:
        size = np.full(self.G, max(self.people, 1))
        size[start.argmin()] += round(self.large / (1 - self.large) * size.sum()) if self.large else 0
        place = np.repeat(np.arange(self.G), size)
        y = y[place] + (1.5 * rng.normal(size=(len(place), self.T)) if self.people else 0.0)
        y = np.where(self._missing(rng, y, start[place]), np.nan, y) if self.unseen else y
        u = np.tile(np.arange(self.T), len(place))
        names = [chr(ord("a") + k) for k in range(self.K)]
        when = np.vstack([start, others])[:, np.repeat(place, self.T)]
        frame = pd.DataFrame({
            "who": np.repeat(np.arange(len(place)), self.T), "place": np.repeat(place, self.T), "t": u, "y": y.ravel(),
            **{name: (u >= w).astype(int) for name, w in zip(names, when, strict=True)},
        })  # fmt: skip
        parts = [ek.Component(n, exposure=n, assigned_at="place", lag=self.lag if n == "a" else 0) for n in names]
        if self.touch:
            beside = pd.DataFrame({"place": np.arange(self.G).repeat(2)})
            beside["neighbour"] = (beside["place"] + np.tile([-1, 1], self.G)) % self.G
            parts[0] = replace(parts[0], neighbours=beside)
        frame = frame.dropna(subset="y")
        return ek.Study(frame, unit="who", period="t", cluster="place", outcome="y", components=parts, matters=MATTERS)

    def _missing(self, rng: np.random.Generator, y: np.ndarray, start: np.ndarray) -> np.ndarray:
        """(n, T) rows that go unrecorded once a place has started."""
        rank = np.argsort(np.argsort(rng.random(y.shape) if self.by_chance else y, axis=0), axis=0) / len(y)
        on = np.arange(self.T) >= start[:, None]
        if self.by_chance:
            return on & (rank < self.unseen)
        worst = np.where(on, y, np.inf)  # among those with it at the time
        rank = np.argsort(np.argsort(worst, axis=0), axis=0) / np.maximum(on.sum(axis=0), 1)
        return on & (rank < self.unseen)


def _fading(rng: np.random.Generator, lines: int, T: int, rho: float, sd: float) -> np.ndarray:
    """(lines, T) AR(1) shocks; a random walk where rho is one."""
    e = np.zeros((lines, T))
    e[:, 0] = sd * rng.normal(size=lines) / (np.sqrt(1 - rho**2) if rho < 1 else 1.0)
    for t in range(1, T):
        e[:, t] = rho * e[:, t - 1] + sd * rng.normal(size=lines)
    return e


SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "flat": lambda e: np.ones_like(e, dtype=float),
    "growing": lambda e: np.minimum((e + 1) / 4, 1.0) * 1.15,
    "fading": lambda e: 1.6 * np.exp(-e / 6),
}
PULL = 0.048
FALSE: dict[str, World] = {
    "none_8": World(G=8), "none_12": World(G=12), "none_20": World(), "none_40": World(G=40),
    "pull_quarter": World(drift=PULL / 4), "pull_half": World(drift=PULL / 2), "pull_one_8": World(G=8, drift=PULL),
    "pull_one_12": World(G=12, drift=PULL), "pull_one": World(drift=PULL), "pull_one_40": World(G=40, drift=PULL),
    "pull_half_100": World(G=100, drift=PULL / 2), "pull_two": World(drift=2 * PULL),
    "size": World(size=0.03, sd=0.2, rho=0.3), "size_half": World(size=0.015, sd=0.2, rho=0.3),
    "size_40": World(G=40, size=0.03, sd=0.2, rho=0.3), "chosen": World(slopes=0.03),
    "chosen_ar3": World(slopes=0.03, rho=0.3), "shared_walk": World(common=0.1), "bend": World(bend=0.01),
    "late_3": World(drift=PULL, lull=3), "late_6": World(drift=PULL, lull=6), "dip": World(dip=0.3),
    "dip_deep": World(dip=0.6), "anticipation": World(anticipation=0.3), "walk": World(rho=1.0, sd=0.25),
    "three": World(K=3, rho=0.3, drift=PULL), "three_40": World(G=40, K=3, rho=0.3, drift=PULL),
    "from_second": World(early=1, drift=PULL), "region": World(region=0.4, rho=0.01, sd=0.3, G=24),
    "people": World(people=8, drift=PULL), "season": World(season=0.3, drift=PULL), "lag": World(lag=2, drift=PULL),
    "ar0": World(rho=0.0, drift=PULL), "ar8": World(rho=0.8, drift=PULL),
    "missing": World(people=20, sd=0.2, unseen=0.08),
    "touched": World(G=40, sd=0.3, rho=0.3, touch=True, spill=0.5), "dominant": World(people=5, large=0.6),
}  # fmt: skip
"""No effect in any of them."""
TRUE: dict[str, World] = {
    "true_8": World(G=8), "true_12": World(G=12), "true_20": World(), "true_40": World(G=40),
    "true_ar0": World(rho=0.0), "true_ar8": World(rho=0.8), "true_three": World(K=3, rho=0.3),
    "true_three_40": World(G=40, K=3, rho=0.3),
    "true_people": World(people=8), "true_season": World(season=0.3), "true_lag": World(lag=2),
    "true_missing": World(people=20, sd=0.2, unseen=0.08, by_chance=True),
    "true_size": World(sd=0.2, rho=0.3, size=1e-12), "true_region": World(rho=0.01, sd=0.3, G=24),
    "true_region_starts": World(region=1e-9, rho=0.01, sd=0.3, G=24), "true_dominant": World(people=12),
    "true_touched": World(G=40, sd=0.3, rho=0.3, touch=True),
}  # fmt: skip
"""Their undisturbed twins, to which effects are added."""
GAIN = 0.5
GAINED: dict[str, World] = {"touched_gain": World(G=40, sd=0.3, rho=0.3, touch=True, spill=GAIN)}
"""Those with the component gain so much, and their neighbours without it as much: comparisons hide it."""


# ---------------------------------------------------------------- laws that never were, on deaths on the road

ROADS = Path(__file__).parents[1] / "data" / "road_safety" / "panel.csv"
LAWS = ("bac08", "perse", "zerotol", "gdl", "sbprim", "sl70plus")


@dataclass(frozen=True)
class Placebo:
    """A law that never was in 24 of 48 states: "random" states and years, "dates" of a real law dealt anew among the
    states, or "fastest", the states whose deaths fell fastest over all 25 years in random years."""

    kind: str

    def draw(self, seed: int | Sequence[int]) -> ek.Study:
        """The states' record with the law of one draw."""
        rng, panel = np.random.default_rng(seed), pd.read_csv(ROADS)
        deaths = panel.pivot(index="state", columns="year", values="log_totfatrte")
        states, years = len(deaths), deaths.columns.to_numpy()
        first = rng.integers(1986, 1999, states).astype(float)
        with_it = rng.permutation(states) < states // 2
        if self.kind == "fastest":
            slope = deaths.to_numpy() @ (years - years.mean())
            with_it = np.argsort(np.argsort(slope)) < states // 2
        first = np.where(with_it, first, np.inf)
        if self.kind == "dates":
            law = panel.pivot(index="state", columns="year", values=rng.choice(LAWS)).to_numpy() > 0
            first = rng.permutation(np.where(law.any(axis=1), years[law.argmax(axis=1)], np.inf))
        when = dict(zip(deaths.index, first, strict=True))
        frame = panel[["state", "year", "log_totfatrte"]]
        frame = frame.assign(a=(frame["year"] >= frame["state"].map(when)).astype(int))
        outcome = ek.Outcome("log_totfatrte", kind="log", better="lower", matters=0.05)
        return ek.Study(frame, unit="state", period="year", outcomes=[outcome], components=["a"])


PLACEBO = {f"placebo_{kind}": Placebo(kind) for kind in ("random", "dates", "fastest")}
