"""Trials of people, blocks, pairs, clusters, factorials and orders, drawn many times: `python benchmarks/people.py`.

    nice python benchmarks/people.py --draws 400            every world
    nice python benchmarks/people.py --draws 50 pairs_12    some worlds
    python benchmarks/people.py --stored-only               run nothing: the table of what is stored into README.md

A world's row of benchmarks/results/people_trials.csv: how often the 95% range holds the truth, how often an effect is
found beside the t test of a correctly specified regression, and how often the exact test refuses where nobody has any.
Of a factorial the first component is read within the others' values, as `evaluate` does, and by `FactorialComparison`
(the world `factorial_regression`). In worlds of mixes two components are dealt to groups, and the first is read beside
none of them by `MixComparison`. Neither of the two has an exact test.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from result_tables import into_readme
from scipy import stats

import evalkit as ek

RESULTS = Path(__file__).parent / "results" / "people_trials.csv"
START, END = "<!-- trials: start -->", "<!-- trials: end -->"


Draw = Callable[..., "Drawn"]
"""A trial from a generator, an effect and how much effects vary about it (1 as in the world, 0 not at all)."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """One trial. frame: its rows, with exposure t and outcome y; truth; dealt: what the register says; columns: of the
    correctly specified regression beside t, on the rows or (means) on clusters."""

    frame: pd.DataFrame
    truth: float
    dealt: dict[str, str]
    columns: np.ndarray
    covariates: tuple[str, ...]
    by: str = ""
    others: tuple[str, ...] = ()


def people(n: int, share: float) -> Draw:
    def draw(rng: np.random.Generator, effect: float, varies: float = 1.0) -> Drawn:
        x = rng.normal(size=(n, 3))
        t = np.zeros(n, bool)
        t[rng.choice(n, round(share * n), replace=False)] = True
        y = x[:, 0] + 0.5 * x[:, 1] ** 2 + rng.gamma(2, 0.7, size=n) + t * (effect + varies * 0.5 * x[:, 0])
        return Drawn(_frame(t, y, x), effect, {}, x, ("x0", "x1", "x2"))

    return draw


def blocks(sizes: np.ndarray, counts: np.ndarray) -> Draw:
    def draw(rng: np.random.Generator, effect: float, varies: float = 1.0) -> Drawn:
        block, n = np.repeat(np.arange(len(sizes)), sizes), int(sizes.sum())
        lift = rng.normal(size=len(sizes))
        x = rng.normal(size=(n, 2)) + 0.3 * lift[block][:, None]
        t = np.zeros(n, bool)
        for b, m in enumerate(counts):
            t[rng.choice(np.flatnonzero(block == b), m, replace=False)] = True
        share = (counts / sizes)[block]
        pairs = bool((sizes == 2).all())
        apart = 1.5 * (share - np.average(counts / sizes, weights=sizes)) + (0 if pairs else 0.3 * lift[block])
        tau = effect + varies * apart
        y = lift[block] + 0.7 * x[:, 0] + rng.gamma(2, 0.7, size=n) + t * tau
        dummies = np.eye(len(sizes))[block][:, 1:]
        frame = _frame(t, y, x).assign(block=block)
        return Drawn(frame, float(tau.mean()), {"within": "block"}, np.hstack([x, dummies]), ("x0", "x1"))

    return draw


def uneven_pairs(pairs: int) -> Draw:
    """Pairs whose errors and effects hang on a covariate that is adjusted for."""

    def draw(rng: np.random.Generator, effect: float, varies: float = 1.0) -> Drawn:
        block, x = np.repeat(np.arange(pairs), 2), rng.normal(size=(2 * pairs, 2))
        t = (rng.random(pairs) < 0.5)[block] ^ (np.arange(2 * pairs) % 2 == 1)
        tau = effect + varies * 0.5 * x[:, 0]
        y = 0.7 * x[:, 0] + np.exp(0.7 * x[:, 0]) * rng.normal(size=2 * pairs) + t * tau
        columns = np.hstack([x, np.eye(pairs)[block][:, 1:]])
        return Drawn(_frame(t, y, x).assign(block=block), effect, {"within": "block"}, columns, ("x0", "x1"))

    return draw


def clusters(groups: int, exposed: int) -> Draw:
    def draw(rng: np.random.Generator, effect: float, varies: float = 1.0) -> Drawn:
        size = rng.integers(8, 60, groups)
        c, n = np.repeat(np.arange(groups), size), int(size.sum())
        with_it = np.isin(np.arange(groups), rng.choice(groups, exposed, replace=False))
        place = rng.normal(size=groups)
        x, t = np.column_stack([place[c], rng.normal(size=n)]), with_it[c]
        shock = 0.3 * rng.normal(size=groups)
        y = 0.3 * place[c] + 0.5 * x[:, 1] + shock[c] + rng.normal(size=n) + t * effect
        frame = _frame(t, y, x).assign(site=c)
        return Drawn(frame, effect, {"assigned_at": "site"}, x, ("x0", "x1"), by="site")

    return draw


def order(groups: int, periods: int) -> Draw:
    def draw(rng: np.random.Generator, effect: float, varies: float = 1.0) -> Drawn:
        start = rng.permutation(np.arange(groups) % (periods - 1) + 1)
        on = np.arange(periods) >= start[:, None]
        y = rng.normal(size=(groups, 1)) * 0.5 + rng.normal(size=periods).cumsum() * 0.2
        y = y + rng.normal(size=on.shape) * 0.3 + effect * on
        site, month = (v.ravel() for v in np.meshgrid(np.arange(groups), np.arange(periods), indexing="ij"))
        frame = pd.DataFrame({"person": site, "month": month, "t": on.ravel().astype(int), "y": y.ravel()})
        dummies = np.hstack([np.eye(groups)[site][:, 1:], np.eye(periods)[month][:, 1:]])
        return Drawn(frame, effect, {}, dummies, ())

    return draw


def factorial(each: int) -> Draw:
    """Three components dealt at once, each mix to as many people; the first does more where the second is on."""

    def draw(rng: np.random.Generator, effect: float, varies: float = 1.0) -> Drawn:
        mix = rng.permutation(np.tile(np.array(list(np.ndindex(2, 2, 2))), (each, 1)))
        a, b, c = mix.T - 0.5
        x = rng.normal(size=len(mix))
        y = 0.7 * x + rng.gamma(2, 0.7, size=len(mix)) + a * effect * (1 + varies * b) + 0.3 * b - 0.2 * c
        frame = _frame(mix[:, 0] == 1, y, x[:, None]).assign(b=mix[:, 1], c=mix[:, 2])
        columns = np.column_stack([x, b, c, a * b, a * c, b * c, a * b * c])
        return Drawn(frame, effect, {}, columns, ("x0",), others=("b", "c"))

    return draw


def mixes(groups: int) -> Draw:
    """Two components dealt to groups of 20, each mix to as many; people of a group share a shock as large as theirs."""

    def draw(rng: np.random.Generator, effect: float, varies: float = 1.0) -> Drawn:
        mix = rng.permutation(np.tile(np.array(list(np.ndindex(2, 2))), (groups // 4, 1)))
        c = np.repeat(np.arange(groups), 20)
        t, b = mix[c].T
        y = rng.normal(size=groups)[c] + rng.normal(size=len(c)) + t * effect * (1 + varies * 0.5 * b) + 0.3 * b
        frame = _frame(t == 1, y, np.zeros((len(c), 0))).assign(b=b, site=c)
        dealt = {"assigned_at": "site"}
        return Drawn(frame, effect, dealt, np.column_stack([b, t * b]), (), by="site", others=("b",))

    return draw


WORLDS = {
    "people_40": (people(40, 0.5), 0.7), "people_100_quarter": (people(100, 0.25), 0.7),
    "people_500": (people(500, 0.5), 0.3),
    "blocks_of_10": (blocks(np.full(20, 10), np.tile([2, 3, 4, 6], 5)), 0.6),
    "blocks_of_3": (blocks(np.full(30, 3), np.ones(30, int)), 0.7),
    "blocks_mixed": (blocks(np.tile([2, 3, 4, 8], 10), np.tile([1, 1, 2, 3], 10)), 0.5),
    "pairs_12": (blocks(np.full(12, 2), np.ones(12, int)), 1.0),
    "pairs_50": (blocks(np.full(50, 2), np.ones(50, int)), 0.6),
    "clusters_8": (clusters(8, 4), 0.8), "clusters_12_6": (clusters(12, 6), 0.5),
    "clusters_20": (clusters(20, 10), 0.4),
    "order_12": (order(12, 5), 0.3), "order_24": (order(24, 7), 0.2),
    "factorial": (factorial(12), 0.5), "factorial_regression": (factorial(12), 0.5),
    "pairs_uneven_8": (uneven_pairs(8), 2.0), "pairs_uneven_20": (uneven_pairs(20), 1.0),
    "mixes_12": (mixes(12), 2.0), "mixes_24": (mixes(24), 1.5), "mixes_48": (mixes(48), 1.0),
}  # fmt: skip


def _frame(t: np.ndarray, y: np.ndarray, x: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame({"person": np.arange(len(t)), "t": t.astype(int), "y": y})
    return frame.assign(**{f"x{j}": x[:, j] for j in range(x.shape[1])})


def of_regression(study: ek.Study) -> pd.Series:
    """The first component's line of the factorial's regression."""
    return ek.FactorialComparison()(study).to_frame().set_index("component").loc["t"]


def of_mixes(study: ek.Study) -> pd.Series:
    """The first component beside none of the two."""
    return ek.MixComparison()(study).to_frame().set_index("effect").loc["t against none"]


JOINTLY = {"factorial_regression": of_regression, **dict.fromkeys(("mixes_12", "mixes_24", "mixes_48"), of_mixes)}
"""Worlds that are read by a design of several components at once, which has no exact test."""


def estimate(d: Drawn, draws: int, jointly: Callable[[ek.Study], pd.Series] | None = None) -> pd.Series:
    """The package's answer for one trial, through a study."""
    dealt = [ek.Component(name, assigned="randomised", **d.dealt) for name in ("t", *d.others)]  # type: ignore[arg-type]
    made = ek.Study(d.frame, unit="person", period="month" if "month" in d.frame else None, outcome="y",
                    covariates=d.covariates, components=dealt)  # fmt: skip
    if jointly is not None:
        return jointly(made)
    return ek.RandomisedComparison(draws=draws, weights="least_noise")(made, "t").to_frame().iloc[0]


def t_test(d: Drawn) -> float:
    """Two-sided p of the exposure in the correctly specified regression, classical errors; of cluster means."""
    y, t, x = d.frame["y"].to_numpy(), d.frame["t"].to_numpy(), d.columns
    if d.by:
        means = pd.DataFrame(np.column_stack([y, t, x])).groupby(d.frame[d.by]).mean().to_numpy()
        y, t, x = means[:, 0], means[:, 1], means[:, 2:]
    a = np.column_stack([t, np.ones(len(y)), x])
    bread = np.linalg.pinv(a.T @ a)
    slopes = bread @ (a.T @ y)
    df = len(y) - np.linalg.matrix_rank(a)
    error = np.sqrt(((y - a @ slopes) ** 2).sum() / df * bread[0, 0])
    return float(2 * stats.t.sf(abs(slopes[0]) / error, df))


def world(name: str, draws: int, nothing: int) -> dict[str, object]:
    """How often the range holds the truth and finds an effect in some draws, and how often the exact test refuses what
    is not there in others."""
    draw, effect = WORLDS[name]
    rows = []
    for i in range(draws):
        some = draw(np.random.default_rng([list(WORLDS).index(name), i]), effect)
        row = estimate(some, 0, JOINTLY.get(name))
        held = row["conf_low"] <= some.truth <= row["conf_high"]
        found = row["conf_low"] > 0 or row["conf_high"] < 0
        rows.append((held, found, t_test(some) < 0.05, row["estimate"] - some.truth))
    held, found, classical, off = np.array(rows, dtype=float).mean(axis=0)
    nothing = 0 if name in JOINTLY else nothing
    nulls = (draw(np.random.default_rng([list(WORLDS).index(name), i]), 0.0, 0.0) for i in range(nothing))
    refused = float(np.mean([estimate(none, 299)["exact_p"] <= 0.05 for none in nulls])) if nothing else float("nan")
    return {"world": name, "draws": draws, "covered": held, "found": found, "t_test_finds": classical, "off": off,
            "nothing": nothing, "exact_size": refused}  # fmt: skip


def table() -> None:
    """The stored rows as a table in README.md."""
    stored = pd.read_csv(RESULTS)
    head = "| World | Draws | Range holds the truth | Effect found | t test finds | Nothing done | Exact test refuses |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for r in stored.itertuples():
        numbers = " | ".join(f"{v:.3f}" for v in (r.covered, r.found, r.t_test_finds))
        size = f"{r.exact_size:.3f}" if r.nothing else ""
        lines.append(f"| {r.world.replace('_', ' ')} | {r.draws} | {numbers} | {r.nothing or ''} | {size} |")
    into_readme(START, END, "\n".join(lines))


def main(
    worlds: list[str] | None = typer.Argument(None), draws: int = 400, nothing: int = 1200, stored_only: bool = False
) -> None:
    """Draw worlds and store a row each."""
    for name in [] if stored_only else worlds or list(WORLDS):
        made = pd.DataFrame([world(name, draws, nothing)])
        if RESULTS.exists():
            old = pd.read_csv(RESULTS)
            made = pd.concat([old[old["world"] != name], made], ignore_index=True)
        made.sort_values("world", key=lambda s: s.map(list(WORLDS).index)).to_csv(
            RESULTS, index=False, float_format="%.4f"
        )
        print(made[made["world"] == name].to_string(index=False), flush=True)
    table()


if __name__ == "__main__":
    typer.run(main)
