"""Outcomes of every person under every regime, on the same random numbers.

A regime says which components are switched on at all. Regimes are the first axis of every array, so one pass over
the calendar simulates them all. A hazard is compared with the log odds of a uniform number, so that regimes differ
only where a component moved somebody across it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evalkit.synthetic.draws import Draws, logit
from evalkit.synthetic.people import People
from evalkit.synthetic.places import Sites
from evalkit.synthetic.rollout import Rollout
from evalkit.synthetic.spec import Effect, Line, Process, Spec

MOST = 40  # events a person can have in one period


@dataclass(frozen=True, eq=False)
class Scene:
    """What outcomes hang on. personal: (T, n) doses of components that somebody chose for each person."""

    spec: Spec
    sites: Sites
    rollout: Rollout
    people: People
    personal: dict[str, np.ndarray]
    draws: Draws
    synergy: float = 1.0

    def dose(self, component: str, t: int, ramp: int) -> np.ndarray:
        """(n,) mean dose of the last `ramp` periods up to t."""
        if component in self.personal:
            return self.personal[component][max(t, 0)]
        table, before = self.rollout.dose[component], self.rollout.before[component]
        periods = np.arange(t - ramp + 1, t + 1)
        each = [before if s < 0 else table[:, s] for s in periods]
        return np.asarray(sum(each) / ramp)[self.people.at(t)]

    @cached_property
    def inside(self) -> np.ndarray:
        """(T, n) whether each person lives in a programme place; (1, n) where nobody moves."""
        return self.sites.programme[self.people.sites(self.spec.clock.periods)]

    def in_place(self, by_site: np.ndarray) -> np.ndarray:
        """(T, n) what a table of sites and periods (S, T) says of each person."""
        T = self.spec.clock.periods
        return by_site[self.people.sites(T), np.arange(T)[:, None]]

    def reached(self, component: str) -> np.ndarray | float:
        """Whom a component can reach, as numbers."""
        return self.people.flag(self.spec.part(component).reach)

    def keep(self, rows: np.ndarray) -> Scene:
        """Some of the people."""
        return replace(self, people=self.people.keep(rows), personal={k: v[:, rows] for k, v in self.personal.items()})

    def uniform(self, purpose: str, *shape: int) -> np.ndarray:
        """Uniforms of the people kept: they are drawn for the whole pool, so selection moves none."""
        return self.draws.uniform(purpose, *shape, self.people.drawn)[..., self.people.pool]

    def normal(self, purpose: str, *shape: int) -> np.ndarray:
        """Standard normals of the people kept."""
        return self.draws.normal(purpose, *shape, self.people.drawn)[..., self.people.pool]


@dataclass(frozen=True, eq=False)
class Regimes:
    """R regimes of the components that do anything. on: (R, E); the last is the one that was lived."""

    components: tuple[str, ...]
    on: np.ndarray

    @classmethod
    def every(cls, spec: Spec) -> Regimes:
        """All 2^E regimes; components without any effect need none."""
        names = tuple(p.name for p in spec.parts if p.effects)
        number = np.arange(2 ** len(names))[:, None]
        return cls(names, (number >> np.arange(len(names))[None, :]) & 1 > 0)

    @classmethod
    def lived(cls, spec: Spec) -> Regimes:
        """The observed regime alone."""
        names = tuple(p.name for p in spec.parts if p.effects)
        return cls(names, np.ones((1, len(names)), dtype=bool))

    @classmethod
    def none(cls, spec: Spec) -> Regimes:
        """The regime without any component alone."""
        lived = cls.lived(spec)
        return cls(lived.components, ~lived.on)

    def __len__(self) -> int:
        return len(self.on)

    def without(self, *components: str) -> int:
        """Number of the regime in which these are off and all others on."""
        off = [self.components.index(c) for c in components if c in self.components]
        return len(self) - 1 - sum(2**k for k in off)


def effects_of(spec: Spec, outcome: str, line: str) -> list[tuple[str, Effect]]:
    """Effects on one line, with the component that has them."""
    return [(p.name, e) for p in spec.parts for e in p.effects if (e.outcome, e.line) == (outcome, line)]


class _LineAt:
    """The linear predictor of one line at any period: (R, n), or (1, n) where no component moves it."""

    def __init__(self, process: Process, name: str, scene: Scene, regimes: Regimes) -> None:
        line: Line = process.lines[name]
        self.line, self.scene, self.process = line, scene, process
        people = scene.people
        self.fixed = self._fixed(name, people.site)
        self.moved = self.fixed if people.moves is None else self._fixed(name, people.moves.to)
        found = effects_of(scene.spec, process.name, name)
        self.terms = [(e, _active(regimes, c, e), self._who(c, e)) for c, e in found]
        self.names = [(c, *e.given) for c, e in found]
        self.rows = len(regimes) if self.terms else 1

    def _fixed(self, name: str, site: np.ndarray) -> np.ndarray:
        """(n,) what does not change over time for people who live in these sites."""
        line, scene, people, draws = self.line, self.scene, self.scene.people, self.scene.draws
        fixed = line.base + line.need * people.need
        for flag, size in line.flags.items():
            fixed = fixed + size * people.flag(flag)
        if line.area_sd:
            key = f"area {self.process.name} {name}"
            area = Draws(draws.seed, draws.name).normal(key, len(scene.sites))
            fixed = fixed + line.area_sd * area[site]
        if line.programme:
            fixed = fixed + line.programme * scene.sites.programme[site]
        if line.person_sd:
            fixed = fixed + line.person_sd * scene.normal(f"person {self.process.name} {name}")
        return fixed

    def _who(self, component: str, effect: Effect) -> np.ndarray | float:
        who = self.scene.people.flag(effect.among)
        for c in (component, *effect.given):
            who = who * self.scene.reached(c)
        return who

    def at(self, t: int, earlier: dict[str, np.ndarray]) -> np.ndarray:
        line, clock = self.line, self.scene.spec.clock
        moves = self.scene.people.moves
        here = self.fixed if moves is None else np.where(t >= moves.when, self.moved, self.fixed)
        x = here + line.trend * max(t, 0)
        if line.season:
            x = x + line.season * round(float(np.cos(2 * np.pi * (t % clock.year) / clock.year)), 12)
        x = x + sum(size for first, last, size in line.shocks if first <= t <= last)
        out = np.repeat(x[None, :], self.rows, axis=0)
        for (effect, active, who), names in zip(self.terms, self.names, strict=True):
            factor = effect.size * who * (self.scene.synergy if effect.given else 1.0)
            for c in names:
                factor = factor * self.scene.dose(c, t, effect.ramp)
            if np.any(factor):
                out[active] += factor
        for outcome, size in line.depends.items():
            if t >= 0:
                out = out + size * earlier[outcome][:, t]
        return out


def _active(regimes: Regimes, component: str, effect: Effect) -> np.ndarray:
    columns = [regimes.components.index(c) for c in (component, *effect.given)]
    return np.flatnonzero(regimes.on[:, columns].all(axis=1))


def run_process(process: Process, scene: Scene, regimes: Regimes, earlier: dict[str, np.ndarray]) -> np.ndarray:
    """(R, T, n) values of an outcome under every regime; `earlier` holds the outcomes that it depends on."""
    lines = {name: _LineAt(process, name, scene, regimes) for name in process.lines}
    runner = {"state": _state, "event": _event, "count": _count, "level": _level}[process.kind]
    return runner(process, lines, scene, len(regimes), earlier)


def run_all(scene: Scene, regimes: Regimes) -> dict[str, np.ndarray]:
    """Every outcome in the order of the spec."""
    done: dict[str, np.ndarray] = {}
    for process in scene.spec.processes:
        done[process.name] = run_process(process, scene, regimes, done)
    return done


def _state(process: Process, lines: dict, scene: Scene, rows: int, earlier: dict) -> np.ndarray:
    T, burn, n = scene.spec.clock.periods, scene.spec.clock.burn, len(scene.people)
    odds = logit(scene.uniform(process.name, burn + T))
    now = np.repeat((scene.uniform(f"start {process.name}") < process.start)[None, :], rows, axis=0)
    out = np.empty((rows, T, n), dtype=bool)
    for t in range(-burn, T):
        u = odds[burn + t]
        now = np.where(now, u >= lines["out"].at(t, earlier), u < lines["in"].at(t, earlier))
        if t >= 0:
            out[:, t] = now
    return out


def _event(process: Process, lines: dict, scene: Scene, rows: int, earlier: dict) -> np.ndarray:
    """1 until the event; nothing can happen before a person is first seen, nor in that period."""
    T, n = scene.spec.clock.periods, len(scene.people)
    odds = logit(scene.uniform(process.name, T))
    now = np.ones((rows, n), dtype=bool)
    out = np.empty((rows, T, n), dtype=bool)
    for t in range(T):
        happens = (odds[t] < lines["hazard"].at(t, earlier)) & (t > scene.people.first_seen)
        now = now & ~happens
        out[:, t] = now
    return out


def _count(process: Process, lines: dict, scene: Scene, rows: int, earlier: dict) -> np.ndarray:
    T, n = scene.spec.clock.periods, len(scene.people)
    u = scene.uniform(process.name, T)
    out = np.empty((rows, T, n), dtype=np.int16)
    for t in range(T):
        out[:, t] = poisson(u[t], np.exp(np.minimum(lines["rate"].at(t, earlier), 3.0)))
    return out


def poisson(u: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Poisson numbers by the inverse of their distribution, so that more rate never gives fewer events."""
    chance = np.exp(-rate)
    below, count = chance.copy(), np.zeros(rate.shape, dtype=np.int16)
    for k in range(1, MOST):
        more = u > below
        if not more.any():
            break
        count += more
        chance = chance * rate / k
        below = below + chance
    return count


def _level(process: Process, lines: dict, scene: Scene, rows: int, earlier: dict) -> np.ndarray:
    T, n = scene.spec.clock.periods, len(scene.people)
    shock = scene.normal(process.name, T)
    fresh = np.sqrt(1 - process.rho**2)
    out = np.empty((rows, T, n))
    noise = shock[0]
    for t in range(T):
        noise = noise if t == 0 else process.rho * noise + fresh * shock[t]
        value = lines["level"].at(t, earlier) + process.noise_sd * noise
        out[:, t] = value if process.bounds is None else np.clip(value, *process.bounds)
    return out
