"""One place alone where the truth is known: `nice python benchmarks/one_place.py [--draws 400] [--write]`.

Worlds of `one_place_worlds.py`, and a road-safety panel in which every state and year is given a start that never was.
False claims are those of the rules on the ladder: the interval leaves out zero and the main checks pass. Power is asked
for with an effect of two standard deviations throughout: every estimator here moves by just that, with its interval, so
that one fit answers for both (`as_the_design_says` holds the first draw of each world against the design itself).
GLSAR is that of statsmodels, iterated, on the same columns. Each world is a line of results/one_place.csv, written when
it is done; one with as many draws is not made again. `--write` puts tables into benchmarks/README.md, with those of
`one_place_peers.py`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from one_place_worlds import BENT, COUNTS, LINES, PLACES, RHOS, Places, Series
from result_tables import into_readme
from threadpoolctl import threadpool_limits

import evalkit as ek
from evalkit import checks
from evalkit.designs.one_place.donors import BesideDonors, DifferenceBesidePlaces
from evalkit.designs.one_place.placebo import TOO_POOR, Placebos, PlaceboSpread
from evalkit.designs.one_place.segments import Layout
from evalkit.designs.one_place.series_noise import series_noise
from evalkit.inference.intervals import critical

HERE = Path(__file__).parent
RESULTS, PEERS = HERE / "results" / "one_place.csv", HERE / "results" / "one_place_peers.csv"
ROADS = HERE.parent / "data" / "road_safety" / "panel.csv"
START, END = "<!-- one place: start -->", "<!-- one place: end -->"
EFFECT = 2.0
TOWNS = 10
"""Draws of the synthetic town, which is evaluated whole."""
COLUMNS = ("world", "design", "draws", "refused", "coverage", "excludes zero", "false claims", "found", "claimed",
           "width")  # fmt: skip
Row = tuple[float, float, bool, bool]
"""Estimate and half-width without an effect; whether the main checks pass without one, and with one."""


def study(y: np.ndarray, start: int, kind: str = "score") -> ek.Study:
    """Places (n, T), the first of which has the component from `start` on."""
    n, periods = y.shape
    frame = pd.DataFrame({"place": np.repeat(np.arange(n), periods), "t": np.tile(np.arange(periods), n)})
    frame["a"] = ((frame["place"] == 0) & (frame["t"] >= start)).astype(int)
    outcome = ek.Outcome("y", kind=kind)
    return ek.Study(frame.assign(y=y.ravel()), unit="place", period="t", outcomes=[outcome], components=["a"])


def by_design(y: np.ndarray, start: int, **options: object) -> tuple[float, float, bool]:
    """Estimate, half-width, and whether the main checks pass, of a series (T,) by the design itself."""
    kind = "count" if options.get("link") == "log" else "score"
    made, design = study(y[None], start, kind), ek.InterruptedTimeSeries(**options)  # type: ignore[arg-type]
    one = design(made, "a").over(0)
    assert one is not None
    half = float(one.to_frame()["conf_high"].iloc[0] - one.value[0])
    if abs(one.value[0]) <= half:
        return float(one.value[0]), half, False
    bent = ek.InterruptedTimeSeries(trend="bent", **options)(made, "a").over(0)  # type: ignore[arg-type]
    found = [checks.placebo_date(design.placebo_date(made, "a")), checks.bent_trend(one, bent)]
    return float(one.value[0]), half, all(c.status != "failed" for c in found)


class SeriesJudge:
    """The design's own numbers for many series of one length: straight, bent, and at an earlier date."""

    def __init__(self, before: int, after: int) -> None:
        made, self.before = study(np.arange(before + after, dtype=float)[None] ** 3, before), before
        straight, bent = ek.InterruptedTimeSeries(), ek.InterruptedTimeSeries(trend="bent")
        asked = ((straight, False), (bent, False), (straight, True))
        self.layouts = [self._layout(design, made, shift) for design, shift in asked]

    @staticmethod
    def _layout(design: ek.InterruptedTimeSeries, made: ek.Study, shift: bool) -> Layout:
        fitted = design.interrupted(made, "a", shift)[0].fitted
        assert fitted is not None
        return fitted.layout

    def mean_effect(self, which: int, y: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean effect by one of the three, and half-widths at 95% and at the level of the bent trend's check."""
        layout = self.layouts[which]
        mean = layout.contrasts.mean(axis=0, keepdims=True)
        value, spread, _ = series_noise(layout.columns).estimate(y[: len(layout.columns)], mean)
        levels = (0.95, checks.one_place.AGREES_AT)
        return float(value[0]), np.array([critical(spread.df, a)[0] for a in levels]) * np.sqrt(spread.vcov[0, 0])

    def judge(self, y: np.ndarray) -> Row:
        """One row of a line."""
        (value, half), (bent, reach), (placebo, least) = (self.mean_effect(i, y) for i in range(3))
        passed = []
        for effect in (0.0, EFFECT):
            own, other = value + effect, bent + effect
            agrees = np.sign(own) == np.sign(other) and abs(other) >= abs(own) / 2 and abs(other) > reach[1]
            passed.append(bool(agrees and abs(placebo) <= least[0]))
        return value, float(half[0]), passed[0], passed[1]


def as_the_design_says(judge: SeriesJudge, y: np.ndarray) -> None:
    """The first draw by the design itself, without an effect and with one."""
    for effect in (0.0, EFFECT):
        value, half, passed = by_design(y + effect * (np.arange(len(y)) >= judge.before), judge.before)
        own = judge.judge(y)
        np.testing.assert_allclose([value - effect, half], own[:2], atol=1e-8)
        assert abs(value) <= half or passed == own[3 if effect else 2]


def glsar(y: np.ndarray, start: int) -> Row:
    """The mean effect by statsmodels."""
    t = np.arange(len(y))
    on = t >= start
    columns = np.column_stack([np.ones(len(y)), t, on, on * (t - start)])
    fit = sm.GLSAR(y, columns, rho=1).iterative_fit(10)
    test = fit.t_test(np.array([0, 0, 1, (len(y) - start - 1) / 2]))
    low, high = test.conf_int()[0]
    return float(test.effect[0]), float(high - low) / 2, True, True


def series_world(world: Series, draws: int) -> Iterator[dict[str, object]]:
    """One line for the project's design, one for GLSAR."""
    judge = SeriesJudge(world.before, world.after)
    as_the_design_says(judge, world.draw(0))
    drawn = [world.draw(seed) for seed in range(draws)]
    yield line(world.name, "InterruptedTimeSeries", [judge.judge(y) for y in drawn])
    yield line(world.name, "GLSAR", [glsar(y, world.before) for y in drawn])


def counts_world(world: Series, draws: int) -> Iterator[dict[str, object]]:
    """The levels of counts, and their logarithm by a quasi-Poisson mean; no power is asked for."""
    judge = SeriesJudge(world.before, world.after)
    drawn = [world.draw(seed) for seed in range(draws)]
    rows = [judge.judge(y) for y in drawn]
    yield line(world.name, "InterruptedTimeSeries", [(*r[:3], False) for r in rows], power=False)
    logs = [(*by_design(y, world.before, link="log"), False) for y in drawn]
    yield line(world.name, "InterruptedTimeSeries(log)", logs, power=False)


def beside(design: BesideDonors, y: np.ndarray, start: int) -> Row:
    """The mean effect beside other places, NaN where it is refused."""
    one = design(study(y, start), "a").over(0)
    assert one is not None
    return float(one.value[0]), float(one.to_frame()["conf_high"].iloc[0] - one.value[0]), True, True


def by_placebos(design: BesideDonors, y: np.ndarray, before: int) -> Row:
    """The same without a study: the design's own mix, placebos and spread."""
    claimed = np.arange(before, y.shape[1])
    method = partial(design.mix, before=before, claimed=claimed)
    found = Placebos.of(method, y[1:], y[0], np.arange(len(y) - 1), len(claimed))
    if found.fit > TOO_POOR:
        return np.nan, np.nan, True, True
    average = np.where(np.arange(y.shape[1]) >= before, 1 / len(claimed), 0.0)[None]
    spread = PlaceboSpread((found.plain(),), (found.scaled(),), (found.names,))(average)
    half = float(critical(spread.df, 0.95)[0] * np.sqrt(spread.vcov[0, 0]))
    return float(found.mix.gap[claimed].mean()), half, True, True


def places_world(world: Places, draws: int) -> Iterator[dict[str, object]]:
    """One line a design; the first draws by the design itself too."""
    drawn = [world.draw(seed) for seed in range(draws)]
    for design in (ek.SyntheticDifferenceInDifferences(), ek.SyntheticControl()):
        for y in drawn[:3]:
            np.testing.assert_allclose(
                by_placebos(design, y, world.before)[:2], beside(design, y, world.before)[:2], atol=1e-8
            )
        yield line(world.name, type(design).__name__, [by_placebos(design, y, world.before) for y in drawn])


def road_safety(draws: int) -> Iterator[dict[str, object]]:
    """Starts that never were: every state from each year that leaves 16 before and 6 after, by the log of deaths on the
    road; beside all other states, beside ten, three as controls, and its own past. At most `draws` of the 192."""
    wide = pd.read_csv(ROADS).pivot(index="state", columns="year", values="log_totfatrte").to_numpy()
    rng = np.random.default_rng(0)
    asked = [(state, year) for state in range(len(wide)) for year in range(wide.shape[1] - 21)][: max(draws, 1)]
    cut = [np.roll(wide, -state, axis=0)[:, year : year + 22] for state, year in asked]
    few = [y[[0, *1 + rng.choice(len(y) - 1, 10, replace=False)]] for y in cut]
    designs: dict[str, Callable[[np.ndarray], Row]] = {
        "SyntheticDifferenceInDifferences": partial(beside, ek.SyntheticDifferenceInDifferences(), start=16),
        "SyntheticControl": partial(beside, ek.SyntheticControl(), start=16),
        "DifferenceBesidePlaces": partial(beside, DifferenceBesidePlaces(), start=16),
    }  # fmt: skip
    for name, judge in designs.items():
        yield line("road safety, 47 others, 16/6", name, [judge(y) for y in cut], power=False)
        yield line("road safety, 10 others, 16/6", name, [judge(y) for y in few], power=False)
    own = [(*by_design(y[0], 16), False) for y in cut]
    yield line("road safety, its own past, 16/6", "InterruptedTimeSeries", own, power=False)
    controlled = [(*by_design(y[0] - y[1:4].mean(axis=0), 16), False) for y in few]
    yield line("road safety, less 3 others, 16/6", "InterruptedTimeSeries(control)", controlled, power=False)


def towns(draws: int) -> Iterator[dict[str, object]]:
    """The synthetic town, evaluated whole: every answer and bundle of every draw, against its own cells' truth."""
    for setting in ("clean", "realistic", "hard"):
        rows: list[Row] = []
        for seed in range(1, 1 + min(draws, TOWNS)):
            made = ek.synthetic.partnership("town", setting, seed=seed)
            scored = made.score(ek.evaluate(made.study)).dropna(subset=["truth"])
            # An answer against its truth; what is claimed of a component that did nothing is a false claim.
            for r in scored.itertuples():
                false = bool(r.claimed and r.truth == 0)
                rows.append((r.estimate - r.truth, (r.conf_high - r.conf_low) / 2, false, False))
        found = line(f"town, {setting}", "evaluate", rows, power=False)
        yield {**found, "false claims": sum(r[2] for r in rows) / min(draws, TOWNS), "draws": min(draws, TOWNS)}


def line(world: str, design: str, found: list[Row], power: bool = True) -> dict[str, object]:
    """Shares of draws; of refused ones none excludes zero."""
    value, half, passed, passed_with = np.array(found, dtype=float).T
    kept = np.isfinite(half)
    value, half, passed, passed_with = value[kept], half[kept], passed[kept] > 0, passed_with[kept] > 0
    away, seen = np.abs(value) > half, np.abs(value + EFFECT) > half
    return {
        "world": world, "design": design, "draws": len(found), "refused": 1 - kept.mean(), "coverage": 1 - away.mean(),
        "excludes zero": away.mean(), "false claims": (away & passed).sum() / len(found),
        "found": seen.sum() / len(found) if power else np.nan,
        "claimed": (seen & passed_with).sum() / len(found) if power else np.nan, "width": 2 * np.median(half),
    }  # fmt: skip


def run(draws: int) -> pd.DataFrame:
    """Every world that has no line with as many draws yet; the table of all."""
    table = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=list(COLUMNS))
    worlds: dict[str, Callable[[int], Iterator[dict[str, object]]]] = {
        **{w.name: partial(series_world, w) for w in (*LINES, *BENT)},
        **{w.name: partial(places_world, w) for w in PLACES},
        "road safety": road_safety,
        **{w.name: partial(counts_world, w) for w in COUNTS},
        "town": towns,
    }  # fmt: skip
    for name, make in worlds.items():
        done = table.loc[table["world"].str.startswith(name), "draws"]
        if len(done) and done.min() >= min(draws, {"road safety": 192, "town": TOWNS}.get(name, draws)):
            continue
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fresh = pd.DataFrame(list(make(draws)))
        table = pd.concat([table[~table["world"].isin(fresh["world"])], fresh], ignore_index=True).astype(
            dict.fromkeys(COLUMNS[3:], float)
        )
        table.to_csv(RESULTS, index=False, float_format="%.4g")
        print(fresh.round(3).to_string(index=False, header=False), flush=True)
    return table


def beside_peers(table: pd.DataFrame, peers: pd.DataFrame) -> list[pd.DataFrame]:
    """Tables of peers, without empty columns: coverage and power beside our design and GLSAR, then the rest."""
    worlds = [f"series, 36/12, AR {rho}" for rho in RHOS]
    own = table[table["world"].isin(worlds)].rename(columns={"world": "what", "design": "by"})
    series = pd.concat([own, peers[peers["what"].isin(worlds)]])[["what", "by", "draws", "coverage", "found", "width"]]
    rest = [g for what, g in peers.groupby("what", sort=False) if what not in worlds]
    return [series.sort_values("what", kind="stable"), *(g.dropna(axis=1, how="all") for g in rest)]


def as_markdown(table: pd.DataFrame) -> str:
    """A table for the page."""
    words = [c for c in ("world", "design", "what", "by") if c in table]
    shown = table.assign(**{c: table[c].map("{:.3g}".format).replace("nan", "") for c in table if c not in words})
    for c in set(table) & {"draws", "estimate", "low", "high"}:
        shown[c] = table[c].map("{:.0f}".format if table[c].abs().max() >= 10 else "{:.3f}".format)
    rows = [f"| {' | '.join(map(str, row))} |" for row in shown.itertuples(index=False)]
    ruler = "".join("---|" if c in words else "--:|" for c in table)
    return "\n".join([f"| {' | '.join(map(str, table))} |", f"|{ruler}", *rows])


def main() -> None:
    """Run, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    table = run(given.draws)[list(COLUMNS)]
    tables = [table, *(beside_peers(table, pd.read_csv(PEERS)) if PEERS.exists() else [])]
    text = "\n\n".join(as_markdown(t) for t in tables)
    print(text)
    if given.write:
        into_readme(START, END, text)


if __name__ == "__main__":
    main()
