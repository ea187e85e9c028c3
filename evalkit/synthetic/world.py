"""One simulated world: who was taken on, what happened under every regime, and what somebody wrote down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.synthetic.draws import Draws, expit, logit
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.people import People, draw_people
from evalkit.synthetic.places import Sites, make_sites
from evalkit.synthetic.rollout import Rollout, make_rollout
from evalkit.synthetic.simulate import Regimes, Scene, run_all, run_process
from evalkit.synthetic.spec import PERSON, Leaving, Part, Process, Selection, Spec

PART = 25_000  # people simulated at a time


@dataclass(frozen=True, eq=False)
class World:
    """values: outcome -> (R, T, n) under every regime. seen: (T, n) whether there is a row. written: (T, n) whether
    the row holds outcomes. exit: (n,) period of leaving, T for nobody. reason: (n,) why."""

    scene: Scene
    knobs: Knobs
    regimes: Regimes
    values: dict[str, np.ndarray]
    seen: np.ndarray
    written: np.ndarray
    exit: np.ndarray
    reason: np.ndarray

    @property
    def lived(self) -> dict[str, np.ndarray]:
        """(T, n) outcomes as they were."""
        return {name: v[-1] for name, v in self.values.items()}

    @property
    def ids(self) -> np.ndarray:
        """(n,) person ids, in order."""
        return 100_000 * (self.scene.draws.part + 1) + 1 + np.arange(len(self.scene.people))

    def without(self, outcome: str, *components: str) -> np.ndarray:
        """(T, n) the outcome had these components been off and the others as they were."""
        rows, r = self.values[outcome], self.regimes.without(*components)
        return rows[r] if len(rows) > 1 else rows[0]


@dataclass(frozen=True, eq=False)
class Pool:
    """Everybody whom the programme looked at. chosen: rows taken on. score, meets: (n,) by what people are chosen, and
    who meets the rule (everybody where there is none)."""

    scene: Scene
    chosen: np.ndarray
    score: np.ndarray
    meets: np.ndarray


def n_parts(spec: Spec, knobs: Knobs) -> int:
    """In how many parts the people are simulated; a matter of size alone."""
    total = sum(spec.places.programme) + sum(spec.places.comparison)
    return max(1, -(-int(total * knobs.size) // PART))


def make_ground(spec: Spec, knobs: Knobs, seed: int) -> tuple[Sites, Rollout]:
    """The places and the rollout, which all parts share."""
    draws = Draws(seed, spec.name)
    sites = make_sites(spec.places, knobs, draws)
    return sites, make_rollout(spec, knobs, sites, draws)


def make_world(spec: Spec, knobs: Knobs, seed: int, part: int = 0) -> World:
    """Simulate one part of the people under every regime."""
    pool = make_pool(spec, knobs, seed, part)
    scene = pool.scene.keep(pool.chosen)
    regimes = Regimes.every(spec)
    values = run_all(scene, regimes)
    seen, exit_, reason = presence(scene, knobs, values[spec.processes[0].name][-1])
    written = seen & recorded(scene, knobs)
    return World(scene, knobs, regimes, values, seen, written, exit_, reason)


def make_pool(spec: Spec, knobs: Knobs, seed: int, part: int = 0) -> Pool:
    """Everybody from whom one part of the people is taken on, and who of them is: at a crisis if the knob says so."""
    sites, rollout = make_ground(spec, knobs, seed)
    parts, draws = n_parts(spec, knobs), Draws(seed, spec.name, part)
    counts = sites.size // parts + (part < sites.size % parts)
    rule = spec.selection if knobs.crisis else None
    pool = np.ones(len(sites), dtype=int)
    if rule is not None:
        pool[sites.programme | (knobs.crisis == "both")] = rule.pool
    people = draw_people(spec, knobs, sites, counts * pool, draws)
    scene = Scene(spec, sites, rollout, people, _personal(spec, sites, people, draws), draws, knobs.synergy)
    if rule is None:
        return Pool(scene, np.arange(len(people)), np.zeros(len(people)), np.ones(len(people), dtype=bool))
    turn = np.arange(len(people)) - np.searchsorted(people.site, people.site)
    listed = turn < np.where(pool == 1, 1.0, 1 - knobs.crisis_share)[people.site] * counts[people.site]
    meets, score = _meets(rule, scene)
    return Pool(scene, _first_of_each(people.site, meets | listed, counts), score, meets)


def _meets(rule: Selection, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """(n,) who would be taken on, and the score by which: the rule, read in the periods before entry."""
    spec, people = scene.spec, scene.people
    lived = run_process(spec.process(rule.outcome), scene, Regimes.lived(spec), {})[0]
    t = people.entry[None, :] - 1 - np.arange(rule.window)[:, None]
    before = np.take_along_axis(lived, np.maximum(t, 0), axis=0)
    if rule.rule != "bottom":
        events = before.sum(axis=0)
        return events == 0 if rule.rule == "none" else events >= rule.least, events
    score = before.mean(axis=0) + rule.noise * scene.normal("score")
    place = np.empty(len(people))
    for s in range(len(scene.sites)):
        mine = np.flatnonzero(people.site == s)
        place[mine[np.argsort(score[mine], kind="stable")]] = (np.arange(len(mine)) + 0.5) / max(len(mine), 1)
    return place < rule.share, score


def _first_of_each(site: np.ndarray, fits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rows of the first `counts[s]` fitting people of each site."""
    rows = np.flatnonzero(fits)
    mine = site[rows]
    first = np.concatenate([[True], mine[1:] != mine[:-1]]) if len(rows) else np.empty(0, dtype=bool)
    began = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    return rows[np.arange(len(rows)) - began < counts[mine]]


def _personal(spec: Spec, sites: Sites, people: People, draws: Draws) -> dict[str, np.ndarray]:
    """(T, n) dose of components that somebody chose for each person: more for those in more need."""
    out = {}
    t = np.arange(spec.clock.periods)[:, None]
    for part in (p for p in spec.parts if p.level == PERSON):
        wish = part.weeks / 2 + 2 * people.need + 2 * draws.normal(f"dose {part.name}", len(people))
        most = np.clip(np.floor(wish + 0.5), 0, part.weeks)
        given = sites.programme[people.site] & (people.entry >= spec.clock.launch)
        spent = np.clip(4 * (t - people.entry + 1), 0, most)
        out[part.name] = np.where(given, spent, 0).astype(np.float64)
    return out


def presence(scene: Scene, knobs: Knobs, first: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, n) rows that exist, (n,) period of leaving and its reason."""
    spec, people = scene.spec, scene.people
    T, n = spec.clock.periods, len(people)
    t = np.arange(T)[:, None]
    exit_, reason = np.full(n, T), np.full(n, "", dtype=object)
    bad = first == 0 if spec.processes[0].kind in ("state", "event") else np.zeros(first.shape, dtype=bool)
    since = np.maximum(people.entry, people.first_seen)
    for leaving in spec.leaving if knobs.attrition > 0 else ():
        goes = (scene.uniform(f"leaving {leaving.reason}", T) < _hazard(leaving, knobs, people, bad)) & (t > since)
        when = np.where(goes.any(axis=0), goes.argmax(axis=0), T)
        sooner = when < exit_
        exit_, reason = np.where(sooner, when, exit_), np.where(sooner, leaving.reason, reason)
    return (t >= people.first_seen) & (t < exit_), exit_, reason


def _hazard(leaving: Leaving, knobs: Knobs, people: People, bad: np.ndarray) -> np.ndarray:
    base = logit(min(leaving.hazard * knobs.attrition, 0.5)) + leaving.need * people.need
    return expit(base[None, :] + leaving.outcome * bad)


def recorded(scene: Scene, knobs: Knobs) -> np.ndarray:
    """(T, n) rows whose outcomes somebody wrote down."""
    spec = scene.spec
    shape = (spec.clock.periods, len(scene.people))
    written = np.ones(shape, dtype=bool)
    if knobs.missing > 0:
        written &= scene.uniform("missing", shape[0]) >= spec.missing * knobs.missing
    if knobs.recording > 0:
        early = np.arange(shape[0])[:, None] < spec.clock.launch
        written &= ~((scene.uniform("recording", shape[0]) < knobs.recording) & early & scene.inside)
    return written


def measured(world: World, process: Process) -> tuple[np.ndarray, np.ndarray]:
    """(T, n) values as reported, and whether they were measured."""
    scene, value = world.scene, world.values[process.name][-1]
    spec, people = scene.spec, scene.people
    t = np.arange(spec.clock.periods)[:, None]
    if world.knobs.gaming and process.kind == "state":
        held = np.concatenate([value[:1], value[:-1]])
        grace = scene.uniform(f"gaming {process.name}", len(value)) < world.knobs.gaming
        value = value | (held & grace & scene.inside & (t >= spec.clock.launch))
    there = world.written.copy()
    if process.every > 1:
        there &= t % process.every == process.every - 1
    if process.response < 1 and world.knobs.missing > 0:
        chance = expit(logit(process.response) + process.response_need * people.need)
        there &= scene.uniform(f"response {process.name}", len(value)) < chance
    for first, last in process.closed if world.knobs.missing > 0 else ():
        there &= (t < first) | (t > last)
    return value, there


def recorded_dose(world: World, part: Part) -> np.ndarray:
    """(T, n) dose as written down: it stops growing when the first outcome has ended, as time not lived has no use."""
    dose = world.scene.personal[part.name]
    first = world.scene.spec.processes[0]
    if first.kind != "event":
        return dose
    alive = world.values[first.name][-1]
    return np.maximum.accumulate(np.where(alive, dose, 0.0), axis=0)
