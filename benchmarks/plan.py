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
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

import evalkit as ek
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
from evalkit.rollouts.planning import rivals, search_plan
from evalkit.rollouts.search import Search
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.partnership import Partnership
from evalkit.synthetic.settings import SPECS
from evalkit.synthetic.spec import Launch, Spec
from evalkit.vocabulary import TRIPLE

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "benchmarks" / "results" / "plan.csv"
PARTNERSHIPS = FILE.with_name("plan_partnerships.csv")
START, END = "<!-- plan: start -->", "<!-- plan: end -->"
SHARE, TIMES, WANTED = 0.3, 3.0, {"policy": 0.11, "nurse": 0.05, "court": 0.055}
"""Of Manchester's people, and of the effects there, so that power is neither none nor full; effects that are wanted."""
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


def drawn(b: Brief, starts: np.ndarray, effects: np.ndarray, rng: np.random.Generator, binary: bool) -> ek.Study:
    """A study under a rollout: place shocks, people, and effects that are there from the start on. Of yes or no
    (binary), those whom the effects move are the same people in every month."""
    (P, T), n = (len(b.places), b.T), int(b.noise.people)
    on = np.arange(T)[:, None] >= starts[:, None, :]
    shocks, added = b.noise.place * fading(rng, P, T, b.noise.rho), (on * effects).sum(axis=2)
    if binary:
        yes = rng.random((P, n, T)) < np.clip(b.noise.share + shocks, 0, 1)[:, None]
        moved = rng.random((P, n, 1)) < (added / (1 - b.noise.share))[:, None]
        y = (yes | moved).astype(float)
    else:
        y = (shocks + added)[:, None] + b.noise.person * rng.normal(size=(P, n, T))
    frame = pd.DataFrame({
        "person": np.repeat(np.arange(P * n), T), "t": np.tile(np.arange(T), P * n),
        "place": np.repeat(np.array(b.places), n * T), "y": y.ravel(),
    })  # fmt: skip
    for k, name in enumerate(b.names):
        frame[name] = np.repeat(on[:, None, :, k], n, axis=1).ravel().astype(int)
    return ek.Study(frame, unit="person", period="t", outcome="y", cluster="place", better="higher", matters=0.05,
                    components=list(b.names))  # fmt: skip


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
    """A1 and A2: standard errors and power as promised, by the estimator on simulated studies."""
    for binary in (False, True):
        for kind in ("least_noise", "equal"):
            hits, scaled, size = [], [], []
            for i, (b, starts) in enumerate(hidden(20)):
                b = replace(b, noise=replace(b.noise, person=np.sqrt(YES * (1 - YES)), share=YES)) if binary else b
                found, rng = laws(b, starts, kind), np.random.default_rng(i)
                effects = np.array([law.detectable for law in found])
                if binary:
                    effects *= min(1.0, 0.9 * (1 - YES) / effects.sum())
                    wanted = (replace(c, wanted=e) for c, e in zip(b.components, effects, strict=True))
                    found = laws(b := replace(b, components=tuple(wanted)), starts, kind)
                promised = [law.power(e) for law, e in zip(found, effects, strict=True)]
                for _ in range(draws):
                    study = drawn(b, starts, effects, rng, binary)
                    for law, e, p in zip(found, effects, promised, strict=True):
                        with warnings.catch_warnings(action="ignore"):
                            one = StaggeredRollout(base_window=6, horizon=5, weights=kind)(study, law.component).over(
                                0, 5
                            )
                            line = one.to_frame().iloc[0]
                        half = (line["conf_high"] - line["conf_low"]) / 2
                        hits.append((abs(line["estimate"]) > half) - p + 0.8)
                        size.append(abs(line["estimate"] - e) > half)
                        scaled.append((line["estimate"] - e) / law.se)
            on = f"20 plans, {'yes or no' if binary else 'normal'}, {kind.replace('_', ' ')}, {len(hits):,} estimates"
            ratio, power = float(np.sqrt(np.mean(np.square(scaled)))), float(np.mean(hits))
            yield row(
                "A1",
                "simulated standard deviation over that of the plan",
                on,
                ratio,
                ".97 to 1.03",
                0.97 <= ratio <= 1.03,
            )
            yield row(
                "A2", "interval excludes zero where the plan says .80", on, power, ".77 to .83", 0.77 <= power <= 0.83
            )
            yield row(
                "A2", "interval misses the truth", on, float(np.mean(size)), "at most .06", float(np.mean(size)) <= 0.06
            )


SIZES = ((10, 3, 2), (24, 5, 8))


def gains(draws: int, kind: str = "equal") -> Iterator[Row]:
    """A3: detectable effects beside random orders."""
    for places, components, most in SIZES:
        b, on = brief(places, components, most), f"{places} x {components}, {kind.replace('_', ' ')}"
        Search(b, 9, kind).best(0.01)  # compiled, and kept
        begun = time.process_time()
        plan = search_plan(b, 1, kind)
        seconds, limit = time.process_time() - begun, 3 if places == 10 else 30
        others = rivals(plan).set_index("rival")["worst"]
        mine, best, median = others["this plan"], others["random order, best of 60"], others["random order, median"]
        yield row("A3", "detectable effect, worst component, points", on, 100 * mine, "", True)
        yield row(
            "A3",
            "below the best of 60 random orders, per cent",
            on,
            100 * (1 - mine / best),
            "25",
            mine <= 0.75 * best,
        )
        share = 100 * (1 - mine / median) if np.isfinite(median) else 100.0
        yield row(
            "A3",
            "below the median random order, per cent",
            on,
            share,
            "40" if places == 10 else "",
            places > 10 or share >= 40,
        )
        told = all(len(law.error) for law in plan.laws)
        yield row("A3", "all told apart, without any one place too", on, float(told), "1", told)
        yield row("A3", "seconds of one processor", on, seconds, f"{limit}", seconds <= limit)


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


def manchester(draws: int) -> Iterator[Row]:
    """A plan for the ten boroughs, then the partnership under that plan: power as promised, beside the dates as they
    were. The fourteen other boroughs never start; every component is switched on borough by borough here."""
    spec, knobs = SPECS["rough_sleeping"], replace(SPECS["rough_sleeping"].settings["clean"], size=SHARE)
    parts = tuple(
        replace(p, level="borough", bins=None, effects=tuple(replace(e, size=TIMES * e.size) for e in p.effects))
        for p in spec.parts
        if p.name != "newsletter"
    )
    spec = replace(spec, parts=parts)
    past = Partnership(spec, "clean", 900, knobs).study
    paths, programme = past.paths, len(spec.places.programme)
    places, periods = _boroughs(past), [str(p) for p in paths.periods]
    planned = [
        ek.Planned(p.name, earliest=periods[spec.clock.launch + 1], latest=periods[-7], reach=p.reach,
                   wanted=WANTED[p.name], fixed=dict.fromkeys(places["place"][programme:]))
        for p in parts if not p.always_on
    ]  # fmt: skip
    b = make_brief(places, planned, (periods[0], periods[-1]), ek.Noise.from_study(past), 6)
    order = pd.Index(paths.levels["borough"].names).get_indexer(places["place"])
    were = history(paths)[order][:, [paths.index(c) for c in b.names]]
    for name, starts in (("the plan", search_plan(b, 1).starts), ("the dates as they were", were)):
        yield from _under(name, spec, knobs, starts, b, programme, draws)


def _under(
    name: str, spec: Spec, knobs: Knobs, starts: np.ndarray, b: Brief, programme: int, draws: int
) -> Iterator[Row]:
    """Power as the plan promises it at the mean of true effects, and as simulated: a partnership a seed."""
    launched = starts[:programme] - spec.clock.launch
    at = {
        c: tuple(None if s + spec.clock.launch >= b.T else int(s) for s in launched[:, k])
        for k, c in enumerate(b.names)
    }
    spec = replace(
        spec, parts=tuple(replace(p, launch=Launch(at=at[p.name])) if p.name in at else p for p in spec.parts)
    )
    told = [law for law in laws(b, starts) if len(law.error)]
    hit, truth = _simulated(name, spec, knobs, starts, told, draws)
    for k, law in enumerate(told):
        effect = float(truth[:, k].mean())
        promised, got = law.power(effect), float(hit[:, k].mean())
        on = f"{law.component}, {name}, {draws} partnerships"
        yield row("plan", "detectable effect, points", on, 100 * law.detectable, "", True)
        what = f"power at {100 * effect:.1f} points, simulated {got:.2f} less promised {promised:.2f}"
        yield row("plan", what, on, got - promised, "within .05", abs(got - promised) <= 0.05)


def _simulated(
    name: str, spec: Spec, knobs: Knobs, starts: np.ndarray, told: Sequence[Law], draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """(draws, K) whether the interval leaves out zero, and the true effect on who is compared: a partnership a seed,
    kept one by one, so that a run that was stopped goes on."""
    key = f"{name} {sha256(starts.tobytes()).hexdigest()[:8]}"
    kept = pd.read_csv(PARTNERSHIPS) if PARTNERSHIPS.exists() else pd.DataFrame(columns=["rollout", "seed"])
    done = set(kept.loc[kept["rollout"] == key, "seed"])
    for seed in (s for s in range(draws) if s not in done):
        made, lines = Partnership(spec, "clean", 1000 + seed, knobs), []
        for law in told:
            family = TripleDifference if law.design == TRIPLE else StaggeredRollout
            design = family(base_window=6, horizon=5, weights="least_noise")
            one = design(made.study, law.component).over(0, law.until - 1)
            line, true = one.to_frame().iloc[0], float(made.truth_for(one.weights()).iloc[0])
            lines.append((key, seed, law.component, int(not line["conf_low"] < 0 < line["conf_high"]), round(true, 6)))
        columns = ["rollout", "seed", "component", "found", "truth"]
        pd.DataFrame(lines, columns=columns).to_csv(
            PARTNERSHIPS, mode="a", header=not PARTNERSHIPS.exists(), index=False
        )
    kept = pd.read_csv(PARTNERSHIPS)
    mine = kept[(kept["rollout"] == key) & (kept["seed"] < draws)].pivot(index="seed", columns="component")
    names = [law.component for law in told]
    return mine["found"][names].to_numpy(float), mine["truth"][names].to_numpy(float)


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
    "weights": weights, "promises": promises, "gains": gains, "gains_least": partial(gains, kind="least_noise"),
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
    kept = pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=list(COLUMNS))
    for name in filter(None, given.only.split(",")):
        begun = time.time()
        kept, order = kept[kept["section"] != name], {s: i for i, s in enumerate(SECTIONS)}
        for made in SECTIONS[name](given.draws):
            print(*made, f"[{time.time() - begun:.0f} s]", sep=" | ", flush=True)
            kept = pd.concat([kept, pd.DataFrame([(name, *made)], columns=list(COLUMNS))], ignore_index=True)
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
