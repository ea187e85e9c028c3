"""Studies with known truth: who started what when, how effects grow, and noise that is not kind.

Every world is a pure function of a seed. Effects are in the outcome's unit and add up; they depend on
the periods since the start and on nothing else, so that the truth of any estimand is a weighted sum of
`World.effects`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

import evalkit as ek

NEVER = 10_000


@dataclass(frozen=True, eq=False)
class World:
    """One simulated study.

    frame: one row a unit and period: site, month, one 0/1 column a component, y. starts: (S,) first
    period of each component. growth: (T,) effect of each component by periods since its start. unit,
    reach: columns where units are not sites, and for components that can reach only some. always_on: parts
    of the programme that everybody has throughout.
    """

    frame: pd.DataFrame
    starts: Mapping[str, np.ndarray]
    growth: Mapping[str, np.ndarray]
    lags: Mapping[str, int] = field(default_factory=dict)
    unit: str = "site"
    reach: Mapping[str, str] = field(default_factory=dict)
    always_on: tuple[str, ...] = ()

    def study(self) -> ek.Study:
        """The study as a user would make it."""
        components = [
            ek.Component(k, exposure=k, lag=self.lags.get(k, 0), reach=self.reach.get(k)) for k in self.starts
        ]
        components += [ek.Component(k, always_on=True) for k in self.always_on]
        return ek.Study(
            self.frame, unit=self.unit, period="month", cluster="site", outcome="y", better="higher", matters=0.05,
            components=components,
        )  # fmt: skip

    def effect(self, component: str) -> np.ndarray:
        """(S, T) true effect of a component in every site and period."""
        return _spread(self.starts[component], self.growth[component])


def _spread(start: np.ndarray, growth: np.ndarray) -> np.ndarray:
    age = np.arange(len(growth))[None, :] - start[:, None]
    return np.where(age >= 0, growth[np.clip(age, 0, len(growth) - 1)], 0.0)


def growing(periods: int, plateau: float, reached: int = 11, first: float = 0.4, lag: int = 0) -> np.ndarray:
    """(T,) an effect that begins at `first` of its plateau after `lag` and reaches it `reached` periods later."""
    age = np.arange(periods) - lag
    return np.where(age >= 0, plateau * (first + (1 - first) * np.minimum(age, reached) / reached), 0.0)


def noise(rng: np.random.Generator, sites: int, periods: int, sd: float = 0.05, serial: float = 0.3) -> np.ndarray:
    """(S, T) site effects, period shocks shared by all, and first-order serial correlation within sites."""
    site = rng.normal(0.5, 0.1, sites)[:, None]
    shock = np.cumsum(rng.normal(0, 0.02, periods))[None, :]
    fresh = rng.normal(0, sd, (sites, periods))
    own = np.empty_like(fresh)
    own[:, 0] = fresh[:, 0] / np.sqrt(1 - serial**2)
    for t in range(1, periods):
        own[:, t] = serial * own[:, t - 1] + fresh[:, t]
    return site + shock + own


def build(
    starts: Mapping[str, np.ndarray],
    growth: Mapping[str, np.ndarray],
    y: np.ndarray,
    lags: Mapping[str, int] | None = None,
) -> World:
    """A world from starts, growth and the outcome (S, T) without any component."""
    sites, periods = y.shape
    frame = pd.DataFrame({
        "site": np.repeat(np.arange(sites), periods), "month": np.tile(np.arange(periods), sites),
    })  # fmt: skip
    total = y.copy()
    for name, start in starts.items():
        frame[name] = (np.arange(periods)[None, :] >= start[:, None]).astype(int).ravel()
        total += _spread(start, growth[name])
    return World(frame.assign(y=total.ravel()), starts, growth, lags or {})


def bursts(seed: int, sites: int = 48, periods: int = 36) -> World:
    """Three components adopted in three overlapping bursts, each by about three sites in four.

    Half of a site's starts fall in its own favourite burst, so that its components tend to begin within
    months of one another. `first` grows to 0.10, `second` to 0.06, `third` does nothing.
    """
    rng = np.random.default_rng([2026, seed])
    opens = {"first": np.array([9, 16, 23]), "second": np.array([11, 18, 25]), "third": np.array([10, 17, 24])}
    favourite = rng.integers(0, 3, sites)
    starts = {}
    for name, dates in opens.items():
        burst = np.where(rng.random(sites) < 0.5, favourite, rng.integers(0, 3, sites))
        begins = dates[burst] + rng.integers(0, 3, sites)
        starts[name] = np.where(rng.random(sites) < 0.75, begins, NEVER)
    growth = {
        "first": growing(periods, 0.10), "second": growing(periods, 0.06), "third": np.zeros(periods),
    }  # fmt: skip
    return build(starts, growth, noise(rng, sites, periods))


def few(seed: int, clusters: int, exposed: int, periods: int = 20) -> World:
    """One component in `exposed` of `clusters` places, started at three different dates, growing to 0.06."""
    rng = np.random.default_rng([2027, clusters, exposed, seed])
    start = np.full(clusters, NEVER)
    start[:exposed] = rng.choice([7, 10, 13], exposed)
    growth = {"only": growing(periods, 0.06)}
    return build({"only": rng.permutation(start)}, growth, noise(rng, clusters, periods))


def few_people(seed: int, clusters: int, exposed: int, periods: int = 20) -> World:
    """As `few`, with two people a place: one whom the component can reach and one whom it cannot.

    Each has noise of their own beside what their place shares. Truth is that of the person reached.
    """
    rng = np.random.default_rng([2030, clusters, exposed, seed])
    start = np.full(clusters, NEVER)
    start[:exposed] = rng.choice([7, 10, 13], exposed)
    start = rng.permutation(start)
    growth = {"only": growing(periods, 0.06)}
    place = noise(rng, clusters, periods, sd=0.04)
    eligible = build({"only": start}, growth, place + noise(rng, clusters, periods, sd=0.03)).frame
    other = build({"only": start}, {"only": np.zeros(periods)}, place + noise(rng, clusters, periods, sd=0.03)).frame
    both = pd.concat([f.assign(eligible=e, person=f["site"] * 2 + e) for e, f in ((1, eligible), (0, other))])
    return World(both, {"only": start}, growth, unit="person", reach={"only": "eligible"})


def together(seed: int, sites: int = 48, periods: int = 36, one_month: bool = True) -> World:
    """Three components that start in the same month wherever they start (six sites in ten)."""
    rng = np.random.default_rng([2028, one_month, seed])
    when = np.full(sites, 15) if one_month else rng.integers(9, 25, sites)
    start = np.where(rng.random(sites) < 0.6, when, NEVER)
    growth = {"first": growing(periods, 0.10), "second": growing(periods, 0.06), "third": np.zeros(periods)}
    return build(dict.fromkeys(growth, start), growth, noise(rng, sites, periods))


def close(seed: int, sites: int = 48, periods: int = 36, span: int = 2) -> World:
    """Three components that start within `span` months of one another wherever they start.

    `second` has a lag of three months, and grows only from then on.
    """
    rng = np.random.default_rng([2029, span, seed])
    when = np.where(rng.random(sites) < 0.7, rng.choice([9, 16, 23], sites) + rng.integers(0, 2, sites), NEVER)
    names = ("first", "second", "third")
    starts = {k: np.where(when < NEVER, when + rng.integers(0, span + 1, sites), NEVER) for k in names}
    growth = {
        "first": growing(periods, 0.10), "second": growing(periods, 0.06, lag=3), "third": np.zeros(periods),
    }  # fmt: skip
    return build(starts, growth, noise(rng, sites, periods), {"second": 3})


def followed(seed: int, sites: int = 48, periods: int = 36, gap: int = 3) -> World:
    """A policy that grows for a year, and a newsletter that does nothing and follows it within `gap` months in three
    sites of four: wherever the newsletter begins, the policy is still growing, and elsewhere it is of another age."""
    rng = np.random.default_rng([2032, seed])
    policy = np.where(rng.random(sites) < 0.85, rng.integers(7, 22, sites), NEVER)
    follows = (rng.random(sites) < 0.75) & (policy < NEVER)
    newsletter = np.where(follows, policy + rng.integers(1, gap + 1, sites), NEVER)
    growth = {"policy": growing(periods, 0.10), "newsletter": np.zeros(periods)}
    return build({"policy": policy, "newsletter": newsletter}, growth, noise(rng, sites, periods))


def people(seed: int, boroughs: int = 20, persons: int = 20, periods: int = 24, extra: float = 0.0) -> World:
    """People in boroughs: a policy and a newsletter that always go together, a nurse for half of the people who
    starts with the policy in three boroughs of four, court liaison that does nothing, a keyworker for all.

    extra: how much larger the policy's effect is on the people whom the nurse reaches.
    """
    rng = np.random.default_rng([2031, seed])
    policy = np.where(rng.random(boroughs) < 0.75, rng.integers(7, 15, boroughs), NEVER)
    apart = np.where(rng.random(boroughs) < 0.5, rng.integers(7, 18, boroughs), NEVER)
    nurse = np.where(rng.random(boroughs) < 0.75, policy, apart)
    court = np.where(rng.random(boroughs) < 0.6, rng.integers(7, 18, boroughs), NEVER)
    starts = {"policy": policy, "newsletter": policy, "nurse": nurse, "court": court}
    growth = {
        "policy": growing(periods, 0.08), "newsletter": growing(periods, 0.02), "nurse": growing(periods, 0.10),
        "court": np.zeros(periods),
    }  # fmt: skip
    place = np.repeat(noise(rng, boroughs, periods, sd=0.02), persons, axis=0)
    y = place + noise(rng, boroughs * persons, periods, sd=0.15)
    reached = np.tile(np.arange(persons) % 2, boroughs)
    wide = {k: np.repeat(v, persons) for k, v in starts.items()}
    per_person = {k: _spread(wide[k], growth[k]) for k in starts}
    per_person["nurse"] *= reached[:, None]
    y = y + sum(per_person.values()) + extra * reached[:, None] * (_spread(wide["policy"], np.ones(periods)))
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(boroughs * persons), periods), "month": np.tile(np.arange(periods), len(y)),
        "site": np.repeat(np.arange(boroughs), persons * periods), "both_needs": np.repeat(reached, periods),
        **{k: (np.arange(periods) >= v[:, None]).astype(int).ravel() for k, v in wide.items()}, "y": y.ravel(),
    })  # fmt: skip
    return World(frame, starts, growth, unit="person", reach={"nurse": "both_needs"}, always_on=("keyworker",))
