"""What the monitor keeps: false alarms of looks, bounds, speed, charts, feed faults; one table.

    python -m benchmarks.watch --draws 400 --keep FOLDER

writes results/watch.csv: what is asked, the goal, what was measured, and whether it was reached. FOLDER keeps the draws
of `watch_worlds.py`, which take most of the time. `--only looks bounds speed charts feed files adaptive` measures a
part; `--only fresh` looks at draws beyond those of the table.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtri, stdtr, stdtrit

import evalkit as ek
from benchmarks.result_tables import into_readme
from benchmarks.watch_files import BAD, GOOD
from benchmarks.watch_worlds import LOOKS, PLACES, looked_at
from evalkit.errors import EvalkitError
from evalkit.monitor import bounds as lines
from evalkit.monitor import events
from evalkit.monitor.alarms import alarms_of
from evalkit.monitor.charts import Series, autoregressive, beside_not_yet, charts_of
from evalkit.monitor.feed import Columns, take_in
from evalkit.monitor.looks import Seen
from evalkit.monitor.sources import FromFeed, arguments_of
from evalkit.monitor.store import STORE, open_store
from evalkit.synthetic.feed import FAULTS, EventFeed, event_feed, write_deliveries
from evalkit.synthetic.write import study_file

RESULTS = Path(__file__).with_name("results") / "watch.csv"
TUNED = 300
"""Draws by which degrees of freedom of looks were chosen."""
START, END = "<!-- watch: start -->", "<!-- watch: end -->"
Row = tuple[str, str, str, float, bool]
"""Goal's number, what is asked, the goal in words, what was measured, and whether it was reached."""


def draws_of(name: str, count: int, folder: Path, begin: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """numbers and influence of a rollout's looks from draw `begin` on, kept in a folder in batches of 50."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(begin, begin + count, 50):
        file = folder / f"{name.replace(' ', '_')}-{first:05d}.npz"
        if not file.exists():
            np.savez_compressed(file, **looked_at(name, range(first, min(first + 50, begin + count))))
        parts.append(dict(np.load(file)))
    return tuple(np.concatenate([p[k] for p in parts]) for k in ("numbers", "influence"))  # type: ignore[return-value]


def line_of(numbers: np.ndarray, influence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(looks,) bounds from the mean correlation of neighbouring looks, and (draws, looks) degrees of freedom."""
    few, df = numbers[:, :, 3], numbers[:, :, 2]
    cautious = np.vectorize(lambda d, f: Seen(df=d, exposed=int(f), comparison=int(PLACES - f)).cautious_df)(df, few)
    unit = influence / np.linalg.norm(influence, axis=2, keepdims=True)
    near = np.clip(np.mean(np.sum(unit[:, 1:] * unit[:, :-1], axis=2), axis=0), 0, 1)
    smaller, chain, found, spent = np.minimum(few[0], PLACES - few[0]), lines.START, [], 0.0
    for k, r in enumerate([0.0, *near]):
        final, may = k == LOOKS - 1, lines.spent((k + 1) / LOOKS, 0.05)
        barred = smaller[k] < 5 and not final
        step = lines.Step(float(r))
        bound = lines.FAR if barred else lines._solved(chain, step, may - spent)
        spent = spent if bound >= lines.FAR else may
        chain = chain.onwards(-bound, bound, step)
        found.append(bound)
    return np.array(found), cautious


def looks(count: int, folder: Path) -> Iterator[Row]:
    """B1: false alarms over 24 looks, width at the last one, and power beside one look at the end."""
    for name in ("12 v 12", "waves", "5 v 19", "3 v 21"):
        numbers, influence = draws_of(name, count, folder)
        bound, df = line_of(numbers, influence)
        estimate, se, own = numbers[:, :, 0], numbers[:, :, 1], numbers[:, :, 2]

        def crossed(effect: float) -> np.ndarray:
            t = (estimate + effect) / se  # noqa: B023
            return np.abs(-np.sign(t) * ndtri(stdtr(df, -np.abs(t)))) >= bound  # noqa: B023

        rate = float(crossed(0.0).any(axis=1).mean())
        naive = float((np.abs(estimate / se) > stdtrit(own, 0.975)).any(axis=1).mean())
        low, high = (0.01, 0.055) if name in ("12 v 12", "waves") else (0.0, 0.055)
        yield "B1", f"false alarms in 24 looks, {name}", f"{low:g} to {high:g}", rate, low <= rate <= high
        yield "", f"the same with ordinary intervals, {name}", "", naive, True
        last = np.array([lines.t_of(bound[-1], d) for d in df[:, -1]])
        width = float(np.mean(last / stdtrit(own[:, -1], 0.975)))
        yield "B1", f"last width beside the printed interval, {name}", "at most 1.15", width, width <= 1.15
        if name == "12 v 12":
            t, printed = estimate[:, -1] / se[:, -1], stdtrit(own[:, -1], 0.975)
            yield from power(crossed, t, se[:, -1], stdtrit(df[:, -1], 0.975))
            size = float((np.abs(t) > printed).mean())
            yield "", "false alarms of the printed interval at the end, 12 v 12", "", size, True
            more = next(power(crossed, t, se[:, -1], printed))[3]
            yield "", "power lost beside the printed interval, 12 v 12", "", more, True


def fresh(count: int, folder: Path) -> Iterator[Row]:
    """B1: false alarms in draws from which nothing was chosen, against the line of those in the table."""
    for name in ("12 v 12", "waves"):
        bound, _ = line_of(*draws_of(name, TUNED, folder))
        numbers, influence = draws_of(name, count, folder, TUNED)
        _, df = line_of(numbers, influence)
        z = np.abs(ndtri(stdtr(df, -np.abs(numbers[:, :, 0] / numbers[:, :, 1]))))
        rate = float((z >= bound).any(axis=1).mean())
        yield "", f"false alarms in {count} draws that nothing was chosen by, {name}", "", rate, True


def power(crossed: Callable[[float], np.ndarray], t: np.ndarray, se: np.ndarray, once: np.ndarray) -> Iterator[Row]:
    """Power of all looks where one look at the end, with the same degrees of freedom, has .80."""

    def one_look(effect: float) -> float:
        return float((np.abs(t + effect / se) > once).mean())

    effect = float(brentq(lambda e: one_look(e) - 0.8, 0.0, 5.0, xtol=1e-3))
    over = crossed(effect)
    lost = one_look(effect) - float(over.any(axis=1).mean())
    yield "B1", "power lost to looking, 12 v 12", "at most .03", lost, lost <= 0.03
    first = float(np.median(np.where(over.any(axis=1), over.argmax(axis=1) + 1, LOOKS)))
    yield "", "month of the first crossing, median, 12 v 12", "", first, True


GSDESIGN = {2: (2.963, 1.969), 3: (3.710, 2.511, 1.993), 4: (4.333, 2.963, 2.359, 2.014)}


def bounds() -> Iterator[Row]:
    """B2: bounds beside those of gsDesign."""
    gap = max(float(np.abs(lines.planned_bounds(np.arange(1, k + 1) / k, 0.05) - b).max()) for k, b in GSDESIGN.items())
    yield "B2", "largest difference from gsDesign's bounds, 2 to 4 looks", "at most .005", gap, gap <= 0.005


def many_events(folder: Path, wanted: int) -> Path:
    """A study with a feed of so many events, some eight a person and quarter: the partnership's people three times, and
    what happened to them several times."""
    made = ek.synthetic.partnership("social_prescribing")
    feed = event_feed(made)
    rows, times = feed.events, -(-wanted // (3 * len(feed.events)))
    copies = [
        rows.assign(person_id=rows["person_id"] + 10_000_000 * (i % 3), event_id=rows["event_id"] + f"-{i}")
        for i in range(3 * times)
    ]
    people = pd.concat([feed.people.assign(person_id=feed.people["person_id"] + 10_000_000 * i) for i in range(3)])
    whole = EventFeed(pd.concat(copies, ignore_index=True).head(wanted), people, people, feed.when, feed.seen)
    # A delivery a quarter: files are read one by one, and nobody starts with 120 of them.
    quarter = whole.events["delivered"] + pd.offsets.QuarterEnd(0)
    write_deliveries(
        EventFeed(whole.events.assign(delivered=quarter), people, people, feed.when, feed.seen), folder / "feed"
    )
    people.to_csv(folder / "people.csv", index=False)
    made.tables["adoption"].to_csv(folder / "adoption.csv", index=False)
    text = study_file(made.study, {"panel": "feed", "people": "people.csv"}).replace('panel = "feed"\n', "")
    watch = 'feed = "feed/*.parquet"\nperiod = "quarter"\noutcome = "hba1c"\nprimary = ["link_worker"]\n'
    (folder / "study.toml").write_text(f'{text}\n[watch]\n{watch}looks = ["2019Q4"]\n', encoding="utf-8")
    return folder / "study.toml"


def speed() -> Iterator[Row]:
    """B3: two million events to a finished page by the command, and any past week again to the same bytes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        file = many_events(folder, 2_000_000)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")

        def run(day: str, page: str) -> tuple[float, float]:
            command = [sys.executable, "-m", "evalkit", "watch", str(file), "--as-of", day, "--out", str(folder / page)]
            before, began = os.times(), time.perf_counter()
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
            after = os.times()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            return time.perf_counter() - began, used

        subprocess.run([sys.executable, "-m", "evalkit", "--version"], env=environment, check=True)
        compile_once(environment)
        wall, used = run("2020-07-15", "first")
        yield "B3", "2 million events to a finished page, seconds", "at most 10", wall, wall <= 10
        yield "", "the same, seconds of the processor", "", used, True
        _, again = run("2020-07-22", "next")
        yield "", "the page of the next week, seconds of the processor", "", again, True
        run("2020-07-15", "again")
        pages = [{p.name: p.read_bytes() for p in (folder / n).iterdir()} for n in ("first", "again")]
        yield "B3", "a past week again: files that differ", "0", float(pages[0] != pages[1]), pages[0] == pages[1]


def compile_once(environment: dict[str, str]) -> None:
    """Compile what the command imports once, as an installed package is."""
    code = "import evalkit.monitor.watch, evalkit.monitor.page, evalkit.cli"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def charts(draws: int = 60) -> Iterator[Row]:
    """B4: alarms of charts where nothing happens, and shifts of two standard deviations found within six months."""
    for rho in (0.0, 0.3, 0.5):
        rng, periods, start = np.random.default_rng([4, int(100 * rho)]), 48, 24
        quiet, found = [], []
        for _ in range(draws):
            x = autoregressive(rng.standard_normal((24, periods)), rho) + 2 * np.sin(np.arange(periods) / 2)
            on = np.zeros(x.shape, dtype=bool)
            on[:12, start:] = True
            shifted = x + 2.0 * on * (np.arange(periods) >= 30)
            for values, out, first, last in ((x, quiet, start, periods), (shifted, found, 30, 36)):
                begins = np.where(np.arange(24) < 12, start, periods)
                people = np.full(x.shape, 50.0)
                series = Series(np.arange(24), np.arange(periods), values, people, beside_not_yet(values, on), begins)
                table = charts_of(series)
                table = table[(table["place"] < 12) & (table["period"] >= first) & (table["period"] < last)]
                out.append(float(table.groupby("place")["alarm"].any().mean()))
        alarms, hits = float(np.mean(quiet)), float(np.mean(found))
        yield "B4", f"charts that alarm in 24 months, correlation {rho:g}", "at most .10", alarms, alarms <= 0.10
        yield "B4", f"shifts of 2 SD found within 6 months, correlation {rho:g}", "at least .5", hits, hits >= 0.5


def feed(seeds: tuple[int, ...] = (1, 2)) -> Iterator[Row]:
    """B5: faults put into a feed that are found at a rebuild after them, and alarms of feeds without one."""
    found, others, clean = set(), 0, []
    for seed in seeds:
        made = ek.synthetic.partnership("social_prescribing", seed=seed)
        for fault in (None, *(FAULTS if seed == seeds[0] else ())):
            made_feed = event_feed(made, fault=fault)
            days = pd.date_range(made_feed.when, periods=6 if fault else 12, freq="ME")
            names = [set(a["alarm"]) for a in alarms_on(made, made_feed, list(days))]
            if fault is None:
                clean.append(sum(map(len, names)))
            else:
                found |= {fault} & set().union(*names)
                others += len(set().union(*names) - {fault})
    yield "B5", "feed faults found, of 12", "at least 11", float(len(found)), len(found) >= 11
    yield "", "alarms of other kinds raised by those faults", "", float(others), True
    yearly = float(np.mean(clean))
    yield "B5", "alarms of a feed without a fault, a year", "at most 1", yearly, yearly <= 1


def files() -> Iterator[Row]:
    """B5: bad deliveries beside a good one: refused with their reason, and nothing taken in."""
    said = clean = 0
    for content, words in BAD.values():
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch)
            (home / "a-2027-01-10.csv").write_text(GOOD)
            bad = home / f"b-2027-01-11.{'parquet' if content.startswith(b'PAR1') else 'csv'}"
            bad.write_bytes(content)
            with open_store(home / STORE) as store:
                try:
                    take_in(store, "?-*", home, Columns("person", "place"))
                except EvalkitError as error:
                    said += bool(re.search(words, str(error))) and bad.stem in str(error)
                tables = ("events", "deliveries", "repeated")
                clean += not any(store.execute(f"SELECT count(*) FROM {t}").fetchall()[0][0] for t in tables)
    yield "B5", f"bad files refused with their reason, of {len(BAD)}", str(len(BAD)), float(said), said == len(BAD)
    yield (
        "B5",
        "nothing of theirs, nor of the file beside them, taken in",
        str(len(BAD)),
        float(clean),
        clean == len(BAD),
    )


def alarms_on(made: ek.synthetic.Partnership, made_feed: EventFeed, days: list[pd.Timestamp]) -> Iterator[pd.DataFrame]:
    said, _ = arguments_of(made.study)
    said["settings"] = {"watch": {"outcome": "hba1c"}}
    with open_store(None) as store:
        take_in(store, made_feed.events, None, Columns("person_id", "practice"))
        for day in [made_feed.when - pd.Timedelta(days=60), *days]:
            said["people"] = made_feed.people_after if day >= made_feed.when else made_feed.people
            source = FromFeed(store, dict(said))
            at = float(source.calendar.place(np.array([day.date()], dtype=object))[0])
            study = source.at(at)
            events.known(store, day.date(), source.reading)
            if day >= made_feed.when:
                yield alarms_of(source.feed(at, study))


def adaptive(draws: int = 400) -> Iterator[Row]:
    """B6: places with the worst last quarter start next, without any effect; and what the verdict makes of it."""
    rng, moved = np.random.default_rng(6), []
    for _ in range(draws):
        x = 5 * autoregressive(rng.standard_normal((24, 24)), 0.5)
        worst = np.argsort(x[:, 9:12].mean(axis=1))[:3]
        rest = np.setdiff1d(np.arange(24), worst)
        change = x[:, 12:18].mean(axis=1) - x[:, 6:12].mean(axis=1)
        moved.append(change[worst].mean() - change[rest].mean())
    yield "B6", "points that results-driven starts move an estimate by, no effect", "not 0", float(np.mean(moved)), True
    study = steered_study()
    watched, verdict = ek.watch(study).status.iloc[0], ek.evaluate(study).verdicts.iloc[0]
    capped = watched["verdict"] == "likely" and verdict["verdict"] in ("likely", "cannot_tell")
    said = "because of their results" in watched["sentence"] and "because of their results" in verdict["sentence"]
    yield "B6", "verdict above likely where dates were moved by results", "0", float(not capped), capped
    yield "B6", "sentence on the bias is missing", "0", float(not said), said


def steered_study() -> ek.Study:
    rng = np.random.default_rng(2)
    place, month = np.divmod(np.arange(16 * 30), 30)
    months = [f"{2026 + m // 12}-{m % 12 + 1:02d}" for m in month]
    rows = pd.DataFrame({"place": [f"p{i:02d}" for i in place], "month": months})
    rows["y"] = rng.standard_normal(len(rows)) + 1.5 * ((place < 8) & (month >= 12))
    spells = pd.DataFrame({"level_id": [f"p{i:02d}" for i in range(8)], "start": "2027-01", "planned_start": "2027-04",
                           "moved": "results"})  # fmt: skip
    part = ek.Component("part", label="The part", adoption=spells)
    return ek.Study(rows, unit="place", period="month", components=[part], outcome="y", matters=0.5)


def main() -> None:
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("--draws", type=int, default=400)
    said.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "evalkit-watch")
    said.add_argument("--only", nargs="*", default=["looks", "bounds", "speed", "charts", "feed", "files", "adaptive"])
    said.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    given = said.parse_args()
    parts = {"looks": lambda: looks(given.draws, given.keep), "fresh": lambda: fresh(given.draws, given.keep),
             "bounds": bounds, "speed": speed, "charts": charts, "feed": feed, "files": files,
             "adaptive": adaptive}  # fmt: skip
    kept = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame()
    for part in given.only:
        rows = pd.DataFrame(list(parts[part]()), columns=["goal", "what", "wanted", "measured", "reached"])
        rows = rows.assign(part=part, measured=rows["measured"].round(4))
        print(rows.to_string(index=False), flush=True)
        kept = pd.concat([kept[kept["part"] != part] if len(kept) else kept, rows], ignore_index=True)
    order = {part: i for i, part in enumerate(parts)}
    kept = kept.sort_values("part", key=lambda s: s.map(order), kind="stable")
    kept.to_csv(RESULTS, index=False)
    if given.write:
        words = {True: "yes", False: "no"}
        shown = kept.assign(reached=kept["reached"].map(words).where(kept["goal"].notna() & (kept["goal"] != "")))
        lines = ["| goal | what | wanted | measured | reached |", "|---|---|--:|--:|---|"]
        lines += [f"| {' | '.join(map(_shown, r))} |" for r in shown.drop(columns="part").itertuples(index=False)]
        into_readme(START, END, "\n".join(lines))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) and value == value else "" if value != value else str(value)


if __name__ == "__main__":
    main()
