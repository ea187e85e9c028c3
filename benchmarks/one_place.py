"""One place alone in worlds of known truth: `python benchmarks/one_place.py [--draws 100] [--write]`.

Series: a line, AR(1) noise of standard deviation one, and in the last worlds a past that bends by two standard
deviations. Places: two factors that wander, loads drawn alike, or the exposed place loaded outside the range of the
others. False claims are those of the rules on the ladder: the interval leaves out zero and the main checks pass.
Effects are added where power is asked for: 2 standard deviations throughout. GLSAR is that of statsmodels, iterated, on
the same columns. Each world is a line of results/one_place.csv, written when it is done; one with as many draws is not
made again. `--write` puts the table into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from threadpoolctl import threadpool_limits

import evalkit as ek
from evalkit import checks

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "one_place.csv"
START, END = "<!-- one place: start -->", "<!-- one place: end -->"
EFFECT = 2.0
AFTER = 12
SERIES = [
    (f"series, {before} before, AR {rho}", before, rho, 0.0) for before in (24, 36, 60) for rho in (0.0, 0.3, 0.6, 0.8)
]
BENT = [(f"series, 36 before, AR {rho}, past bends by 2", 36, rho, 2.0) for rho in (0.3, 0.6)]
PLACES = [
    (f"{donors} others, {'inside' if inside else 'outside'} their range", donors, inside)
    for inside in (True, False) for donors in (5, 10, 20)
]  # fmt: skip
COLUMNS = (
    "world",
    "design",
    "draws",
    "refused",
    "coverage",
    "excludes zero",
    "false claims",
    "found",
    "claimed",
    "width",
)


def ar1(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """(n,) noise of variance one."""
    out = rng.standard_normal(n)
    for t in range(1, n):
        out[t] = rho * out[t - 1] + np.sqrt(1 - rho**2) * out[t]
    return out


def study(y: np.ndarray, start: int) -> ek.Study:
    """Places (n, T), the first of which has the component from `start` on."""
    n, periods = y.shape
    frame = pd.DataFrame({"place": np.repeat(np.arange(n), periods), "t": np.tile(np.arange(periods), n)})
    frame["a"] = ((frame["place"] == 0) & (frame["t"] >= start)).astype(int)
    return ek.Study(frame.assign(y=y.ravel()), unit="place", period="t", outcomes=["y"], components=["a"])


def judged_series(y: np.ndarray, start: int) -> tuple[float, float, bool]:
    """Estimate, half-width, and whether the main checks pass."""
    made, design = study(y[None], start), ek.InterruptedTimeSeries()
    one = design(made, "a").over(0)
    assert one is not None
    row = one.to_frame().iloc[0]
    bent = ek.InterruptedTimeSeries(trend="bent")(made, "a").over(0)
    passed = [checks.placebo_date(design.placebo_date(made, "a")), checks.bent_trend(one, bent)]
    return float(one.value[0]), float(row["conf_high"] - one.value[0]), all(c.status != "failed" for c in passed)


def glsar(y: np.ndarray, start: int) -> tuple[float, float]:
    """Estimate and half-width of the mean effect by statsmodels."""
    t = np.arange(len(y))
    on = t >= start
    columns = np.column_stack([np.ones(len(y)), t, on, on * (t - start)])
    fit = sm.GLSAR(y, columns, rho=1).iterative_fit(10)
    test = fit.t_test(np.array([0, 0, 1, (len(y) - start - 1) / 2]))
    low, high = test.conf_int()[0]
    return float(test.effect[0]), float(high - low) / 2


def series_world(name: str, before: int, rho: float, bend: float, draws: int) -> Iterator[dict[str, object]]:
    """One line for the project's design, one for GLSAR."""
    found = {"InterruptedTimeSeries": [], "GLSAR": []}
    n = before + AFTER
    time = np.clip(np.arange(n), 0, before) / before
    for seed in range(draws):
        y = ar1(np.random.default_rng([seed, before, int(100 * rho)]), n, rho) + 4 * bend * time * (time - 1)
        for effect in (0.0, EFFECT):
            shifted = y + effect * (np.arange(n) >= before)
            found["InterruptedTimeSeries"].append((effect, *judged_series(shifted, before)))
            found["GLSAR"].append((effect, *glsar(shifted, before), True))
    for design, rows in found.items():
        yield line(name, design, draws, np.array(rows, dtype=float))


def places_world(name: str, donors: int, inside: bool, draws: int) -> Iterator[dict[str, object]]:
    """One line a design."""
    designs = (ek.SyntheticDifferenceInDifferences(), ek.SyntheticControl())
    found = {type(d).__name__: [] for d in designs}
    for seed in range(draws):
        rng = np.random.default_rng([seed, donors, inside])
        factors = np.cumsum(rng.standard_normal((2, 36)), axis=1) * 0.3
        loads = rng.standard_normal((donors + 1, 2))
        loads[0] = loads[0] if inside else 2.5
        y = 3 * rng.standard_normal((donors + 1, 1)) + loads @ factors + rng.standard_normal((donors + 1, 36))
        for effect in (0.0, EFFECT):
            shifted = y.copy()
            shifted[0, 24:] += effect
            for design in designs:
                one = design(study(shifted, 24), "a").over(0)
                assert one is not None
                half = one.to_frame()["conf_high"].iloc[0] - one.value[0]
                found[type(design).__name__].append((effect, one.value[0], half, True))
    for name_of, rows in found.items():
        yield line(name, name_of, draws, np.array(rows, dtype=float))


def line(world: str, design: str, draws: int, rows: np.ndarray) -> dict[str, object]:
    """rows: effect, estimate, half-width, and whether the checks pass."""
    kept = rows[np.isfinite(rows[:, 2])]
    effect, value, half, passed = kept.T
    away, none = np.abs(value) > half, effect == 0
    return {
        "world": world, "design": design, "draws": draws, "refused": 1 - len(kept) / len(rows),
        "coverage": (np.abs(value - effect) <= half).mean(), "excludes zero": away[none].mean(),
        "false claims": (away & (passed > 0))[none].mean(), "found": away[~none].mean(),
        "claimed": (away & (passed > 0))[~none].mean(), "width": 2 * np.median(half),
    }  # fmt: skip


def run(draws: int) -> pd.DataFrame:
    """Every world that has no line with as many draws yet; the table of all."""
    table = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=list(COLUMNS))
    for world in [*SERIES, *BENT, *PLACES]:
        done = table.loc[table["world"] == world[0], "draws"]
        if len(done) and done.min() >= draws:
            continue
        make = series_world if world[0].startswith("series") else places_world
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fresh = pd.DataFrame(list(make(*world, draws)))  # type: ignore[operator]
        table = pd.concat([table[table["world"] != world[0]], fresh], ignore_index=True)
        table.to_csv(RESULTS, index=False, float_format="%.4g")
        print(fresh.round(3).to_string(index=False, header=False), flush=True)
    return table


def as_markdown(table: pd.DataFrame) -> str:
    """The table for the page."""
    shown = table.assign(**{c: table[c].map("{:.2f}".format) for c in COLUMNS[3:]})[list(COLUMNS)]
    rows = [f"| {' | '.join(map(str, row))} |" for row in shown.itertuples(index=False)]
    return "\n".join([f"| {' | '.join(COLUMNS)} |", "|---|---|" + "--:|" * (len(COLUMNS) - 2), *rows])


def main() -> None:
    """Run, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    table = run(given.draws)
    print(as_markdown(table))
    if given.write:
        page = HERE / "README.md"
        text = page.read_text(encoding="utf-8")
        head, tail = text.split(START)[0], text.split(END)[1]
        page.write_text(f"{head}{START}\n\n{as_markdown(table)}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
