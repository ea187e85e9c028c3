"""Planned rollouts held to their promises: `python -m benchmarks.plan [--draws 60] [--only weights,...] [--write]`.

A row a claim: what was claimed, on what, what was measured, what is asked, whether it was reached. Rows are kept in
benchmarks/results/plan.csv, section by section, and with `--write` put into benchmarks/README.md. Worlds, unless said:
36 months, switch-on from the sixth on, window of 6, place shocks of 5 points with correlation .5, 20 people a place and
month (standard deviation .45); detectable effects are those of the worst component, in points.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

import evalkit as ek
from benchmarks import plan_worlds
from benchmarks.plan_briefs import IMPOSSIBLE
from benchmarks.result_tables import into_readme
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.designs.rollout.triple import TripleDifference
from evalkit.errors import EvalkitError
from evalkit.rollouts.allocation import replay
from evalkit.rollouts.brief import Brief, make_brief
from evalkit.rollouts.following import history
from evalkit.rollouts.kernel import Screen
from evalkit.rollouts.law import Law, laws
from evalkit.rollouts.planning import RANDOM, TRIED, search_plan
from evalkit.rollouts.search import Search
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.partnership import Partnership
from evalkit.synthetic.places import NAMES as SITES
from evalkit.synthetic.settings import SPECS
from evalkit.synthetic.spec import Launch, Spec
from evalkit.vocabulary import TRIPLE

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "benchmarks" / "results" / "plan.csv"
PARTNERSHIPS = FILE.with_name("plan_partnerships.csv")
START, END = "<!-- plan: start -->", "<!-- plan: end -->"
SHARE, TIMES, WANTED = 0.3, 3.0, {"policy": 0.11, "nurse": 0.05, "court": 0.055}
"""Of Manchester's people, and of the effects there, so that power is neither none nor full; effects that are wanted."""
PLANNED = "the plan"
PASTS = range(920, 960)
"""Other pasts of Manchester, by whose noise the same plan would have promised something else; none of those by which
the rule was chosen (900 to 919)."""
YES = 0.3
"""Share of yes where nothing is on."""
Row = tuple[str, str, str, float, str, str]
NAMES = "abcdefg"


def brief(places: int, components: int, per_month: int | None = None, **noise: float) -> Brief:
    """A plain brief."""
    planned = [ek.Planned(NAMES[k]) for k in range(components)]
    return make_brief([f"p{i}" for i in range(places)], planned, (0, 35), ek.Noise(**noise), 6, (), per_month)


def row(goal: str, what: str, on: str, measured: float, asked: str, reached: bool) -> Row:
    return goal, what, on, float(f"{measured:.4g}"), asked, "yes" if reached else "no"


# ---------------------------------------------------------------- draws


def fading(rng: np.random.Generator, lines: int, periods: int, rho: float) -> np.ndarray:
    """(lines, periods) first-order autoregressions of variance one."""
    out = rng.normal(size=(lines, periods))
    for t in range(1, periods):
        out[:, t] = rho * out[:, t - 1] + np.sqrt(1 - rho**2) * out[:, t]
    return out


def outcomes(b: Brief, starts: np.ndarray, effects: np.ndarray, rng: np.random.Generator, binary: bool) -> np.ndarray:
    """(P, n, T) outcomes under a rollout: place shocks, people, and effects that are there from the start on. Of yes or
    no (binary), those whom the effects move are the same people in every month."""
    (P, T), n = (len(b.places), b.T), int(b.noise.people)
    on = np.arange(T)[:, None] >= starts[:, None, :]
    shocks, added = b.noise.place * fading(rng, P, T, b.noise.rho), (on * effects).sum(axis=2)
    if not binary:
        return (shocks + added)[:, None] + b.noise.person * rng.normal(size=(P, n, T))
    yes = rng.random((P, n, T)) < np.clip(b.noise.share + shocks, 0, 1)[:, None]
    moved = rng.random((P, n, 1)) < (added / (1 - b.noise.share))[:, None]
    return (yes | moved).astype(float)


def drawn(b: Brief, starts: np.ndarray, effects: np.ndarray, rng: np.random.Generator, binary: bool) -> ek.Study:
    """A study of such outcomes."""
    return study_of(b, starts, outcomes(b, starts, effects, rng, binary))


def study_of(b: Brief, starts: np.ndarray, y: np.ndarray, kind: str = "score") -> ek.Study:
    """A study of outcomes (P, n, T) under a rollout."""
    (P, n, T), on = y.shape, np.arange(b.T)[:, None] >= starts[:, None, :]
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(P * n), T), "t": np.tile(np.arange(T), P * n),
        "place": np.repeat(np.array(b.places), n * T), "y": y.ravel(),
    })  # fmt: skip
    for k, name in enumerate(b.names):
        frame[name] = np.repeat(on[:, None, :, k], n, axis=1).ravel().astype(int)
    return ek.Study(frame, unit="person", period="t", outcome="y", cluster="place", better="higher", matters=0.05,
                    kind=kind, components=list(b.names))  # fmt: skip


@cache
def hidden(count: int) -> tuple[tuple[Brief, np.ndarray], ...]:
    """Rollouts in which every component is told apart over the whole window: half at random, half searched for."""
    made = []
    for i in range(count):
        b = brief((10, 12, 16)[i % 3], (2, 3)[i % 2], None, rho=(0.5, 0.2, 0.8)[i % 3], place=(0.05, 0.03)[i % 2])
        search = Search(b, 100 + i)
        for _ in range(500):
            starts = search.anneal(search.random(), 40)[0] if i % 2 else search.random()
            if all(len(law.error) and law.until == b.window for law in laws(b, starts)):
                made.append((b, starts))
                break
    return tuple(made)


# ---------------------------------------------------------------- sections


def weights(draws: int) -> Iterator[Row]:
    """A1: the plan's weights are the estimator's."""
    worst = 0.0
    for b, starts in hidden(20):
        screen, study = Screen.of(b), drawn(b, starts, np.zeros(len(b.names)), np.random.default_rng(0), False)
        at = {name: i for i, name in enumerate(b.places)}
        for k, name in enumerate(b.names):
            one = StaggeredRollout(base_window=6, horizon=5)(study, name).over(0, 5)
            W = np.zeros((len(b.places), b.T))
            for c in one.weights().itertuples():
                i = at[c.cluster]
                W[i, c.period] += c.weight
                W[i, c.base - c.window + 1 : c.base + 1] -= c.weight / c.window
            worst = max(worst, float(np.abs(W - screen.weights(screen.cells(starts), k)[0]).max()))
    yield row(
        "A1",
        "largest difference of a weight from the estimator's",
        "20 plans, equal weights",
        worst,
        "1e-12",
        worst < 1e-12,
    )


def promises(draws: int) -> Iterator[Row]:
    """A1 and A2: standard errors and power as promised, by the estimator on simulated studies; and standard errors of
    equal weights on many more outcomes, by the weights, which are the estimator's (`weights`)."""
    for binary in (False, True):
        made = "yes or no" if binary else "normal"
        for kind in ("least_noise", "equal"):
            held = (_held(*promised(*plan, kind, binary), binary, kind, draws, i) for i, plan in enumerate(hidden(20)))
            hits, size, scaled = (np.concatenate(parts) for parts in zip(*held, strict=True))
            on = f"20 plans, {made}, {kind.replace('_', ' ')}, {len(hits):,} estimates"
            yield _close("simulated standard deviation over that of the plan", on, scaled)
            power, missed = float(hits.mean()), float(size.mean())
            what = "interval excludes zero where the plan says .80"
            yield row("A2", what, on, power, ".77 to .83", 0.77 <= power <= 0.83)
            yield row("A2", "interval misses the truth", on, missed, "at most .06", missed <= 0.06)
        cheap = (_read(*promised(*plan, "equal", binary), binary, MANY, i) for i, plan in enumerate(hidden(20)))
        scaled = np.concatenate([s.ravel() for s in cheap])
        on = f"20 plans, {made}, equal, {len(scaled):,} read by the weights"
        yield _close("simulated standard deviation over that of the plan", on, scaled)


def _close(what: str, on: str, scaled: np.ndarray) -> Row:
    """A row for errors over the plan's standard deviation."""
    ratio = float(np.sqrt(np.mean(scaled**2)))
    return row("A1", what, on, ratio, ".97 to 1.03", 0.97 <= ratio <= 1.03)


def promised(
    b: Brief, starts: np.ndarray, kind: str, binary: bool
) -> tuple[Brief, np.ndarray, np.ndarray, tuple[Law, ...]]:
    """A brief, its starts, effects as large as its plan detects, and the laws of the plan when they are wanted."""
    if not binary:
        found = laws(b, starts, kind)
        return b, starts, np.array([law.detectable for law in found]), found
    b = replace(b, noise=replace(b.noise, person=np.sqrt(YES * (1 - YES)), share=YES))
    effects = np.array([law.detectable for law in laws(b, starts, kind)])
    effects *= min(1.0, 0.9 * (1 - YES) / effects.sum())
    wanted = (replace(c, wanted=e) for c, e in zip(b.components, effects, strict=True))
    b = replace(b, components=tuple(wanted))
    return b, starts, effects, laws(b, starts, kind)


def _held(
    b: Brief, starts: np.ndarray, effects: np.ndarray, found: tuple[Law, ...], binary: bool, kind: str, draws: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Of every estimate: whether its interval excludes zero, less the chance promised, and .80; whether it misses the
    truth; and its error over the plan's standard deviation."""
    rng, lines = np.random.default_rng(seed), []
    for _ in range(draws):
        study = drawn(b, starts, effects, rng, binary)
        for law, e in zip(found, effects, strict=True):
            with warnings.catch_warnings(action="ignore"):
                one = StaggeredRollout(base_window=6, horizon=5, weights=kind)(study, law.component).over(0, 5)
                line = one.to_frame().iloc[0]
            half, error = (line["conf_high"] - line["conf_low"]) / 2, line["estimate"] - e
            lines.append(((abs(line["estimate"]) > half) - law.power(e) + 0.8, abs(error) > half, error / law.se))
    hits, size, scaled = np.array(lines, dtype=float).T
    return hits, size, scaled


def _read(
    b: Brief, starts: np.ndarray, effects: np.ndarray, found: tuple[Law, ...], binary: bool, draws: int, seed: int
) -> np.ndarray:
    """(draws, K) errors of equal weights over the plan's standard deviation."""
    screen, rng = Screen.of(b), np.random.default_rng(1000 + seed)
    cells = screen.cells(starts)
    W = np.array([screen.weights(cells, k)[0] for k in range(len(b.names))])
    means = (outcomes(b, starts, effects, rng, binary).mean(axis=1) for _ in range(draws))
    return np.array([((W * y).sum(axis=(1, 2)) - effects) / [law.se for law in found] for y in means])


def movers(draws: int) -> Iterator[Row]:
    """Whom effects on a share move, and how (`plan_worlds`): what `Noise.from_study` reads of it from a past under the
    same rollout, and what a plan promises with that and with movers for good, as where nothing is read."""
    for world, make in plan_worlds.WORLDS.items():
        made = [_moving(*plan, make, draws, i) for i, plan in enumerate(hidden(20))]
        read = np.array([lasting for lasting, _, _ in made])
        spread = f"lasting read from a past, mean (standard deviation {read.std():.2f})"
        yield row("movers", spread, f"{world}, 20 plans", float(read.mean()), "", True)
        for said in ("read", "for good"):
            yield from _promised_of(world, said, [errors[said] for _, errors, _ in made], [h[said] for *_, h in made])


def _promised_of(
    world: str, said: str, errors: Sequence[np.ndarray], printed: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Iterator[Row]:
    """Rows of one world and what was said of its movers."""
    good = world == plan_worlds.GOOD
    scaled, hits = (np.concatenate([one[i].ravel() for one in printed]) for i in (0, 1))
    equal = np.concatenate([one.ravel() for one in errors])
    for kind, away in (("equal", equal), ("least noise", scaled)):
        on, ratio = f"{world}, lasting {said}, {kind}, {len(away):,} estimates", float(np.sqrt(np.mean(away**2)))
        what = "simulated standard deviation over that of the plan"
        yield row("movers", what, on, ratio, ".97 to 1.03" if good else "", 0.97 <= ratio <= 1.03 or not good)
    power, on = float(hits.mean()), f"{world}, lasting {said}, least noise, {len(hits):,} estimates"
    what = "interval excludes zero where the plan says .80"
    yield row("movers", what, on, power, ".77 to .83" if good else "", 0.77 <= power <= 0.83 or not good)


def _moving(
    b: Brief, starts: np.ndarray, make: plan_worlds.World, draws: int, seed: int
) -> tuple[float, dict[str, np.ndarray], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """`lasting` as read; and by what is said of it, errors (MANY, K) of equal weights over the plan's standard
    deviation; then those of least noise, and whether its interval excludes zero, less the chance promised for the mean
    of estimates, and .80. Errors are about the mean, as effects that build up are not all there. Effects are as large
    as are detected, or .15."""
    rng, on = np.random.default_rng(2000 + seed), np.arange(b.T)[:, None] >= starts[:, None, :]
    chain = {"place": 0.0, "share": plan_worlds.SHARE, "decay": plan_worlds.DECAY, "person": 0.5, "fading": 0.5}
    b = brief(len(b.places), len(b.names), None, people=MOVING, **chain)
    effects = np.minimum([law.detectable for law in laws(b, starts)], 0.15)
    wanted = tuple(replace(c, wanted=e) for c, e in zip(b.components, effects, strict=True))
    lasting = ek.Noise.from_study(study_of(b, starts, make(rng, MOVING, on, effects), "share")).lasting
    screen = Screen.of(b)
    read = np.array([screen.weights(screen.cells(starts), k)[0] for k in range(len(b.names))])
    equal = np.array([(read * make(rng, MOVING, on, effects).mean(axis=1)).sum(axis=(1, 2)) for _ in range(MANY)])
    studies = (study_of(b, starts, make(rng, MOVING, on, effects), "share") for _ in range(draws // 2))
    least = np.array([_printed(study, b) for study in studies])
    mean, hit = least[..., 0].mean(axis=0), np.abs(least[..., 0]) > least[..., 1]
    errors, printed = {}, {}
    for said, part in (("read", lasting), ("for good", 1.0)):
        one = replace(b, components=wanted, noise=replace(b.noise, lasting=part))
        errors[said] = _away(equal) / [law.se for law in laws(one, starts, "equal")]
        told = laws(one, starts)
        promised = [law.power(m) for law, m in zip(told, mean, strict=True)]
        printed[said] = _away(least[..., 0]) / [law.se for law in told], hit + 0.8 - promised
    return lasting, errors, printed


def _away(found: np.ndarray) -> np.ndarray:
    """Estimates (n, K) about their mean, as large as about the mean of very many."""
    return np.asarray((found - found.mean(axis=0)) * np.sqrt(len(found) / (len(found) - 1)))


def _printed(study: ek.Study, b: Brief) -> list[tuple[float, float]]:
    """Estimate and half-width of the interval of least noise of each component."""
    out = []
    for name in b.names:
        with warnings.catch_warnings(action="ignore"):
            one = StaggeredRollout(base_window=6, horizon=5, weights="least_noise")(study, name).over(0, 5)
            line = one.to_frame().iloc[0]
        out.append((line["estimate"], (line["conf_high"] - line["conf_low"]) / 2))
    return out


MOVING = 40
"""People of a place where it matters how they move."""
MANY = 500
"""Outcomes of each plan that are read by weights alone."""
SIZES = ((10, 3, 2), (24, 5, 8))
LONG = 25
"""Multiple of the steps of a search that nobody would wait for."""


def gains(draws: int, kind: str = "equal") -> Iterator[Row]:
    """A3: detectable effects of some searches beside many sets of 60 random orders, as one set is good to about 4 in
    100 only; means of both. All are by the law, as a plan's rivals are."""
    for places, components, most in SIZES:
        b, on = brief(places, components, most), f"{places} x {components}, {kind.replace('_', ' ')}"
        search_plan(b, 9, kind, 0.01)  # compiled, and kept
        begun = time.perf_counter()
        plans = [search_plan(b, seed, kind) for seed in range(SEARCHES)]
        seconds, limit = (time.perf_counter() - begun) / SEARCHES, 3 if places == 10 else 30
        mine = float(np.mean([worst(plan.laws) for plan in plans]))
        yield row("A3", "detectable effect, worst component, points", on, 100 * mine, "", True)
        for which, value in at_random(b, kind).items():
            asked = {"best of 60": 25, "median": 40 if places == 10 else None}[which]
            share = 100 * (1 - mine / value)
            reached = asked is None or share >= asked
            yield row("A3", f"below the {which} random orders, per cent", on, share, f"{asked or ''}", reached)
        told = all(len(law.error) for plan in plans for law in plan.laws)
        yield row("A3", "all told apart, without any one place too", on, float(told), "1", told)
        yield row("A3", "seconds, two processors", on, seconds, f"{limit}", seconds <= limit)


SEARCHES, SETS = 16, 50
"""Searches of a brief, and sets of random orders that they are held against."""


def worst(found: Sequence[Law]) -> float:
    """The largest detectable effect; infinite where something cannot be told."""
    return max(law.detectable if len(law.error) else np.inf for law in found)


@cache
def at_random(b: Brief, kind: str) -> dict[str, float]:
    """Detectable effects of the best and the median of 60 random orders, means of many sets: put in order by the
    screen, and worked out by the law, the best of those that come first."""
    search, found = Search(b, 2028, kind), []
    for _ in range(SETS):
        drawn = [starts for _ in range(RANDOM) if (starts := search.random()) is not None]
        order = np.argsort([search.detectable(starts, full=True)[0].max() for starts in drawn])
        known = [worst(laws(b, drawn[i], kind)) for i in (*order[:TRIED], order[len(drawn) // 2])]
        found.append((min(known[:TRIED]), known[-1]))
    return dict(zip(("best of 60", "median"), np.mean(found, axis=0).tolist(), strict=True))


BEST_KNOWN = np.array(
    [[26, 28, 6], [20, 23, 18], [19, 13, 6], [20, 29, 7], [30, 13, 7], [26, 22, 15], [30, 17, 12], [22, 17, 12],
     [28, 23, 18], [25, 14, 15]]
)  # fmt: skip
"""Starts of ten places by three components with weights of least noise, the best of some forty minutes of searches of
several kinds."""


def gains_least(draws: int) -> Iterator[Row]:
    """A3 with weights of least noise; and for ten places what a search far longer than anybody waits comes to, and what
    the best order known is worth."""
    yield from gains(draws, "least_noise")
    b, begun = brief(*SIZES[0]), time.perf_counter()
    long = search_plan(b, 1, effort=LONG).laws
    for which, found in (
        (f"a search of {time.perf_counter() - begun:.0f} seconds", long),
        ("the best order known", laws(b, BEST_KNOWN)),
    ):
        for name, value in at_random(b, "least_noise").items():
            share, on = 100 * (1 - worst(found) / value), f"10 x 3, least noise, {which}"
            yield row("A3", f"below the {name} random orders, per cent", on, share, "", True)


def seeds(draws: int) -> Iterator[Row]:
    """A4: other seeds find as much."""
    for places, components, most in SIZES:
        b = brief(places, components, most)
        found = [(s := Search(b, seed)).loss(s.best(), full=True) for seed in range(5)]
        worst = 100 * (max(found) / min(found) - 1)
        yield row(
            "A4",
            "worst of five seeds above the best, per cent",
            f"{places} x {components}",
            worst,
            "at most 6",
            worst <= 6,
        )


def drafts() -> Iterator[tuple[Brief, np.ndarray]]:
    """Ten places; two components start together in eight of them."""
    for seed in range(3):
        b = brief(10, 3, 2)
        starts = Search(b, seed).random()
        starts[:8, 1] = starts[:8, 0]
        yield b, starts


def statuses(b: Brief, starts: np.ndarray) -> dict[str, str]:
    """What `ek.separability` says of a rollout."""
    study = drawn(b, starts, np.zeros(len(b.names)), np.random.default_rng(1), False)
    return dict(ek.separability(study).components[["component", "status"]].itertuples(index=False))


def changes(draws: int) -> Iterator[Row]:
    """A5: the cheapest changes are what they say."""
    wrong = rows = 0
    slow = 0.0
    for b, draft in drafts():
        plan = search_plan(b, 1, effort=0.2)
        begun = time.process_time()
        table = plan.changes(b.frame(draft), dates=2)
        slow = max(slow, time.process_time() - begun)
        table = plan.changes(b.frame(draft), dates=6)
        for record, schedule in zip(table.to_dict("records"), table.attrs["schedules"], strict=True):
            said = statuses(b, b.starts(schedule))
            wrong += sum(record[f"status_{name}"] != status for name, status in said.items())
            rows += 1
    yield row("A5", "statuses that ek.separability does not confirm", f"{rows} rows of 3 drafts", wrong, "0", not wrong)
    yield row("A5", "seconds of one processor for a pair of moves", "10 x 3", slow, "2", slow <= 2)


def refusals(draws: int) -> Iterator[Row]:
    """A6: impossible and contradictory briefs."""
    refused = slow = 0
    for name, ask in IMPOSSIBLE.items():
        begun = time.process_time()
        try:
            plan = ask()
            words = " ".join(plan.impossible)
            given = len(plan.schedule)
        except EvalkitError as error:
            words, given = str(error), 0
        took = time.process_time() - begun
        slow = max(slow, took)
        refused += bool(words) and not given
        print(f"  {name}: {words}")
    yield row(
        "A6",
        "briefs refused with their reason",
        f"{len(IMPOSSIBLE)} impossible ones",
        refused,
        f"{len(IMPOSSIBLE)}",
        refused == len(IMPOSSIBLE),
    )
    yield row("A6", "seconds of one processor, slowest", "the same", slow, "5", slow <= 5)


def yardsticks(draws: int) -> Iterator[Row]:
    """A7: the additive model under the same covariances, beside the closed form of Hussey and Hughes (2007)."""
    tau, sigma, n, P, T = 0.2, 0.9, 15, 12, 5
    starts = 1 + np.arange(P) % (T - 1)
    X = (np.arange(T) >= starts[:, None]).astype(float)
    noise = ek.Noise(place=0.0, person=sigma, people=n)
    V = tau**2 + noise.of_person(T) / n
    found, closed = _additive(X, V), _hussey_hughes(X, tau**2, sigma**2 / n)
    yield row(
        "A7",
        "variance of the additive model over Hussey and Hughes, less 1",
        f"{P} places, {T} periods",
        found / closed - 1,
        "1e-10",
        abs(found / closed - 1) < 1e-10,
    )

    # The example in the README of swCRTdesign 4.1 (CRAN): 24 clusters, 5 periods, 120 people, .05 to .035, tau .01.
    X = (np.arange(5) >= 1 + np.repeat(np.arange(4), 6)[:, None]).astype(float)
    noise = ek.Noise(place=0.0, person=np.sqrt(0.0425 * 0.9575), people=120)
    apart = 0.015 / np.sqrt(_additive(X, 0.01**2 + noise.of_person(5) / 120))
    got = float(norm.cdf(apart - norm.ppf(0.975)) + norm.cdf(-apart - norm.ppf(0.975)))
    gap = abs(got - 0.7861896)
    yield row("A7", f"power {got:.7f} beside .7861896 of swCRTdesign", "24 places, 5 periods", gap, "1e-3", gap < 1e-3)


def _additive(X: np.ndarray, V: np.ndarray) -> float:
    """Variance of the treatment effect, place levels random in V and period effects, by generalised least squares."""
    P, T = X.shape
    Q = np.linalg.inv(V)
    Z = np.concatenate([np.tile(np.eye(T)[None], (P, 1, 1)), X[:, :, None]], axis=2)
    return float(np.linalg.inv(np.einsum("ptk,ts,psl->kl", Z, Q, Z))[-1, -1])


def _hussey_hughes(X: np.ndarray, tau2: float, s2: float) -> float:
    """Equation 8 of Hussey and Hughes (2007), Contemporary Clinical Trials 28: 182-191."""
    P, T = X.shape
    U, W, V = X.sum(), (X.sum(axis=0) ** 2).sum(), (X.sum(axis=1) ** 2).sum()
    return P * s2 * (s2 + T * tau2) / ((P * U - W) * s2 + (U**2 + P * T * U - T * W - P * V) * tau2)


ELSEWHERE = """
import sys
if not {compiled}:
    sys.modules["numba"] = None
from hashlib import sha256
from benchmarks.plan import brief
from evalkit.rollouts.planning import RolloutPlan, search_plan
from evalkit.rollouts.search import Search
b = brief(10, 3, 2)
given = RolloutPlan(b, Search(b, 1).random(), 1).randomise(20270104)
found = search_plan(b, 1, effort=0.05).randomise(20270104)
print(*(sha256(a.text().encode()).hexdigest() for a in (given, found)))
"""


def lots(draws: int) -> Iterator[Row]:
    """A8: the lot draws the same again, from its certificate alone, and in other processes; so does the search, but for
    the last digits that arrays instead of compiled loops leave."""
    plan = search_plan(brief(10, 3, 2), 1, effort=0.1)
    one, two = plan.randomise(20270104), plan.randomise(20270104)
    with tempfile.TemporaryDirectory() as folder:
        again = replay(one.save(Path(folder)))
    same = one.text() == two.text() and again.astype(str).equals(one.schedule.astype(str))
    yield row("A8", "same seed, same certificate; drawn again from it", "10 x 3", float(same), "1", same)
    drawn = {}
    for threads, compiled in ((1, True), (2, True), (1, False), (2, False)):
        set_to = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), f"{threads}")
        command = [sys.executable, "-c", ELSEWHERE.format(compiled=compiled)]
        said = subprocess.run(command, check=True, env={**os.environ, **set_to}, capture_output=True, text=True).stdout
        drawn[threads, compiled] = said.split()
    lots_drawn = len({given for given, _ in drawn.values()})
    on = "10 x 3, 4 processes: 1 and 2 threads, with numba and without"
    yield row("A8", "certificates that differ, of one plan and seed", on, lots_drawn - 1, "0", lots_drawn == 1)
    searched = len({found for (_, compiled), (_, found) in drawn.items() if compiled})
    on = "10 x 3, 2 processes: 1 and 2 threads, with numba"
    yield row("A8", "plans and certificates that differ, of one search", on, searched - 1, "0", searched == 1)
    apart = float(len({found for _, found in drawn.values()}) > 1)
    yield row("A8", "the search without numba finds another plan (1) or the same (0)", "10 x 3", apart, "", True)


# ---------------------------------------------------------------- Manchester


def ten_boroughs() -> tuple[Spec, Knobs, Brief, np.ndarray]:
    """The partnership, a brief for its ten boroughs, and (P, K) the dates as they were. The fourteen other boroughs
    never start; every component is switched on borough by borough here."""
    spec, knobs = SPECS["rough_sleeping"], replace(SPECS["rough_sleeping"].settings["clean"], size=SHARE)
    parts = tuple(
        replace(p, level="borough", bins=None, effects=tuple(replace(e, size=TIMES * e.size) for e in p.effects))
        for p in spec.parts
        if p.name != "newsletter"
    )
    spec = replace(spec, parts=parts)
    past = Partnership(spec, "clean", 900, knobs).study
    paths, places = past.paths, _boroughs(past)
    periods, programme = [str(p) for p in paths.periods], len(spec.places.programme)
    planned = [
        ek.Planned(p.name, earliest=periods[spec.clock.launch + 1], latest=periods[-7], reach=p.reach,
                   wanted=WANTED[p.name], fixed=dict.fromkeys(places["place"][programme:]))
        for p in parts if not p.always_on
    ]  # fmt: skip
    b = make_brief(places, planned, (periods[0], periods[-1]), ek.Noise.from_study(past), 6)
    order = pd.Index(paths.levels["borough"].names).get_indexer(places["place"])
    return spec, knobs, b, history(paths)[order][:, [paths.index(c) for c in b.names]]


def manchester(draws: int) -> Iterator[Row]:
    """A plan for the ten boroughs, then the partnership under that plan: power as promised, beside the dates as they
    were."""
    spec, knobs, b, were = ten_boroughs()
    for name, starts in ((PLANNED, search_plan(b, 1).starts), ("the dates as they were", were)):
        yield from _under(name, spec, knobs, starts, b, draws)


def launched(spec: Spec, starts: np.ndarray, b: Brief) -> Spec:
    """The partnership, begun as planned."""
    rows = [b.places.index(name) for name in SITES[: len(spec.places.programme)]]  # its order is not the alphabet's
    after = starts[rows] - spec.clock.launch
    at = {
        c: tuple(None if s + spec.clock.launch >= b.T else int(s) for s in after[:, k]) for k, c in enumerate(b.names)
    }
    return replace(
        spec, parts=tuple(replace(p, launch=Launch(at=at[p.name])) if p.name in at else p for p in spec.parts)
    )


def _under(name: str, spec: Spec, knobs: Knobs, starts: np.ndarray, b: Brief, draws: int) -> Iterator[Row]:
    """Power as the plan promises it at the mean of true effects, and as simulated: a partnership a seed."""
    pasts = [Partnership(spec, "clean", seed, knobs).study for seed in PASTS] if name == PLANNED else []
    others = [laws(replace(b, noise=ek.Noise.from_study(past)), starts) for past in pasts]
    spec = launched(spec, starts, b)
    told = [law for law in laws(b, starts) if len(law.error)]
    hit, truth, estimate = _simulated(name, spec, knobs, b, starts, told, draws)
    for k, law in enumerate(told):
        effect, mean, got = float(truth[:, k].mean()), float(estimate[:, k].mean()), float(hit[:, k].mean())
        on = f"{law.component}, {name}, {draws} partnerships"
        yield row("plan", "detectable effect, points", on, 100 * law.detectable, "", True)
        what = "power at {:.1f} points, simulated {:.2f} less promised {:.2f}"
        promised, own = law.power(effect), name == PLANNED
        off = abs(got - promised)
        asked = "within .05" if own else ""
        yield row("plan", what.format(100 * effect, got, promised), on, got - promised, asked, off <= 0.05 or not own)
        yield row("plan", "estimates less true effects, points, mean", on, 100 * (mean - effect), "", True)
        if own:
            said = np.array([each.power(effect) for one in others for each in one if each.component == law.component])
            on, off = f"{on}, noise of {len(said)} other pasts", got - said.mean()
            what = f"simulated {got:.2f} less promised {said.mean():.2f} on average"
            yield row("plan", what, on, off, "within .05", abs(off) <= 0.05)
            yield row(
                "plan", "pasts whose promise is within .05", on, float((np.abs(got - said) <= 0.05).sum()), "", True
            )
            yield row(
                "plan", "simulated less promised, furthest", on, got - said[np.abs(said - got).argmax()], "", True
            )
        else:  # where estimates lie elsewhere than the truth, power is promised for where they lie
            promised = law.power(mean)
            off = abs(got - promised)
            said = "where estimates lie: " + what.format(100 * mean, got, promised)
            yield row("plan", said, on, got - promised, "within .05", off <= 0.05)


def _simulated(
    name: str, spec: Spec, knobs: Knobs, b: Brief, starts: np.ndarray, told: Sequence[Law], draws: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(draws, K) whether the interval leaves out zero, the true effect on who is compared, and the estimate: a
    partnership a seed, kept one by one, so that a run that was stopped goes on."""
    key = f"{name} {sha256(starts.tobytes()).hexdigest()[:8]}"
    kept = pd.read_csv(PARTNERSHIPS) if PARTNERSHIPS.exists() else pd.DataFrame(columns=["rollout", "seed"])
    done = set(kept.loc[kept["rollout"] == key, "seed"])
    for seed in (s for s in range(draws) if s not in done):
        made, lines = Partnership(spec, "clean", 1000 + seed, knobs), []
        check_starts(made.study, b, starts)
        for law in told:
            family = TripleDifference if law.design == TRIPLE else StaggeredRollout
            design = family(base_window=6, horizon=5, weights="least_noise")
            one = design(made.study, law.component).over(0, law.until - 1)
            line, true = one.to_frame().iloc[0], float(made.truth_for(one.weights()).iloc[0])
            hit = int(not line["conf_low"] < 0 < line["conf_high"])
            lines.append((key, seed, law.component, hit, round(true, 6), round(float(line["estimate"]), 6)))
        columns = ["rollout", "seed", "component", "found", "truth", "estimate"]
        pd.DataFrame(lines, columns=columns).to_csv(
            PARTNERSHIPS, mode="a", header=not PARTNERSHIPS.exists(), index=False
        )
    kept = pd.read_csv(PARTNERSHIPS)
    mine = kept[(kept["rollout"] == key) & (kept["seed"] < draws)].pivot(index="seed", columns="component")
    names = [law.component for law in told]
    hit, truth, estimate = (mine[column][names].to_numpy(float) for column in ("found", "truth", "estimate"))
    return hit, truth, estimate


def check_starts(study: ek.Study, b: Brief, starts: np.ndarray) -> None:
    """Raise where a partnership was not begun as planned, but for places with nobody whom a component reaches."""
    paths = study.paths
    order = pd.Index(paths.levels["borough"].names).get_indexer(list(b.places))
    begun = history(paths)[order][:, [paths.index(c) for c in b.names]]
    if not ((begun == starts) | (begun == b.T)).all():
        raise AssertionError("the partnership has other starts than the plan")


def _boroughs(study: ek.Study) -> pd.DataFrame:
    """Places with people and shares reached, those of the programme first."""
    paths = study.paths
    level = paths.levels["borough"]
    on = np.zeros(len(level.names), dtype=bool)
    at = [k for k, c in enumerate(study.components) if not c.always_on]
    np.logical_or.at(on, level.codes, (paths.state[:, :, at] > 0).any(axis=(1, 2))[paths.path])
    people = np.bincount(level.codes)
    table = pd.DataFrame({"place": level.names, "people": people, "on": on})
    for c in study.components:
        if c.reach:
            reached = np.bincount(level.codes, weights=paths.reach[paths.path, paths.index(c.name)])
            table[c.reach] = np.clip(reached / people, 0.01, 1.0)
    return table.sort_values("on", ascending=False, kind="stable", ignore_index=True)


SECTIONS: dict[str, Callable[[int], Iterator[Row]]] = {
    "weights": weights, "promises": promises, "movers": movers, "gains": gains, "gains_least": gains_least,
    "seeds": seeds, "changes": changes, "refusals": refusals, "yardsticks": yardsticks, "lots": lots,
    "manchester": manchester,
}  # fmt: skip
COLUMNS = ("section", "goal", "what", "on", "measured", "asked", "reached")


def main() -> None:
    """Run sections, keep their rows, print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=60, help="simulated studies of each plan")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas between")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    given = parser.parse_args()
    order = {name: i for i, name in enumerate(SECTIONS)}
    for name in filter(None, given.only.split(",")):
        begun, rows = time.time(), []
        for made in SECTIONS[name](given.draws):
            print(*made, f"[{time.time() - begun:.0f} s]", sep=" | ", flush=True)
            rows.append((name, *made))
            kept = pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=list(COLUMNS))  # others may write too
            kept = pd.concat([kept[kept["section"] != name], pd.DataFrame(rows, columns=list(COLUMNS))])
            kept.sort_values("section", key=lambda s: s.map(order), kind="stable").to_csv(FILE, index=False)
    if given.write:
        put_table(pd.read_csv(FILE))


def put_table(table: pd.DataFrame) -> None:
    """The table between its marks in benchmarks/README.md."""
    shown = table.drop(columns="section").fillna("")
    lines = ["| goal | what | on | measured | asked | reached |", "|---|---|---|--:|--:|---|"]
    lines += [f"| {' | '.join(str(v) for v in r)} |" for r in shown.itertuples(index=False)]
    into_readme(START, END, "\n".join(lines))


if __name__ == "__main__":
    main()
