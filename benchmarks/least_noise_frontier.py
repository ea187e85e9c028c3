"""How near are weights of least noise to the best there are? `python benchmarks/least_noise_frontier.py [--write]`.

The best linear unbiased estimator of the same average, under the same model of what moves untreated cells, knows the
true covariance: of people about the mean of their cell, and of places about the mean of a period (by lag). Here it is
read from untreated outcomes of many draws of a partnership, or known (the simple rollouts of `least_noise.py`). Numbers
are variances under the true covariance over that of the best, medians over draws: of equal weights of one base period
and of six, and of least noise.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from least_noise import COVARIANCES, study, write_between
from threadpoolctl import threadpool_limits

import evalkit as ek
from evalkit.designs.noise.model import CellMeans, cell_means, make_places, with_noise
from evalkit.designs.noise.untreated import Untreated
from evalkit.designs.noise.weighing import Weighing
from evalkit.inference.replicates import StackedRefits
from evalkit.synthetic import partnership

START, END = "<!-- least noise frontier: start -->", "<!-- least noise frontier: end -->"
PARTNERSHIPS = ("rough_sleeping", "social_prescribing")
DESIGNS = {"same path": ek.StaggeredRollout, "pairs": ek.TripleDifference}
LEARNT = 16
"""Draws from which the true covariances of a partnership are read."""
FILE = Path(__file__).parent / "results" / "least_noise_frontier.csv"
COLUMNS = ("study", "component", "rows", "draw", "least_noise", "equal_6", "equal_1")
HEAD = ("study", "component", "rows of", "least noise", "equal, 6 base periods", "equal, 1 base period", "draws")
Truth = tuple[np.ndarray, np.ndarray]


def untreated(made: object) -> tuple[ek.Study, np.ndarray]:
    """A draw's study, and the (n, T) outcomes of its people had nothing been switched on."""
    world, of = made._world, made.study
    names = [c.name for c in of.components if not c.always_on]
    place = pd.Index(world.ids).get_indexer(pd.Index(of.paths.units))
    y = world.without(of.outcomes[0].column, *names).T[place].astype(float)
    return of, np.where(np.isfinite(of.values()), y, np.nan)


def covariances(draws: list[tuple[ek.Study, np.ndarray]]) -> Truth:
    """(T, T) covariance of a person about the mean of the cell, and of a place about the mean of the period."""
    T = draws[0][1].shape[1]
    product, pairs, between, places, share = *np.zeros((2, T, T)), np.zeros((T, T)), 0, 0.0
    for of, y in draws:
        paths = of.paths
        cells, codes = paths.cells(paths.cluster), paths.levels[paths.cluster].codes
        for group, use in ((cells.of, True), (codes, False)):
            seen = np.isfinite(y)
            count, total = np.zeros((2, int(group.max()) + 1, T))
            np.add.at(count, group, seen)
            np.add.at(total, group, np.where(seen, y, 0.0))
            mean, n = total / np.maximum(count, 1), count[group]
            if use:
                there = seen & (n > 1)
                away = np.where(there, (y - mean[group]) * np.sqrt(n / np.maximum(n - 1, 1)), 0.0)
                product, pairs = product + away.T @ away, pairs + there.astype(float).T @ there
            else:
                whole = (count > 0).all(axis=1)
                away = mean[whole] - mean[whole].mean(axis=0)
                between, places = between + away.T @ away, places + whole.sum() - 1
                share += (1 / count[whole].mean(axis=1)).sum() * (whole.sum() - 1) / whole.sum()
    person = product / np.maximum(pairs, 1)
    lag = np.abs(np.subtract.outer(np.arange(T), np.arange(T)))
    place = between / places - person * share / places
    place = (np.bincount(lag.ravel(), place.ravel()) / np.bincount(lag.ravel()))[lag]
    values, vectors = np.linalg.eigh(place)
    return person, (vectors * np.maximum(values, 0)) @ vectors.T


def made_by(estimate: ek.Estimate) -> Weighing:
    """What the rows of least noise were made by."""
    make = estimate.replicate.source.make
    return (make.refits[0].source.make if isinstance(make, StackedRefits) else make).__self__


def ratios(of: ek.Study, component: str, design: type, truth: Truth) -> tuple[float, float, float] | None:
    """Variances under the true covariance over the best: least noise, and equal weights of six base periods and one."""
    try:
        estimate = design(weights="least_noise", base_window=6)(of, component)
    except ek.EvalkitError:
        return None
    rows = (estimate.labels["weights"] == "least noise").to_numpy() & ~np.isnan(estimate.value)
    if not rows.any():
        return None
    made = made_by(estimate)
    lift = np.where(np.isnan(made.model.value), 0.0, made.mass * made.model.weight)
    lift /= lift.sum()
    groups, person = made.groups, truth[0]
    _, noise = cell_means(made.values, groups.of, groups.order, made.sums.weights, person)
    means = CellMeans(groups.path, groups.cluster, made.cells.mean, noise)
    targets = replace(made.targets, cell=groups.cell[made.targets.cell])
    places, where = make_places(means, made.columns, targets)
    V = [p.V + truth[1][np.ix_(t, t)] for p, (_, t) in zip(places, where, strict=True)]
    best = Untreated(with_noise(places, V), made.columns.count, len(lift)).vcov()
    least = 0.0
    for (_, at, L), own in zip(made.model.linear, V, strict=True):
        line = (L / made.model.weight[at]) @ lift[at]
        least += line @ own @ line
    floor = lift @ np.nan_to_num(best) @ lift
    equal = [_equal(design(base_window=w)(of, component), rows, made, truth) for w in (6, 1)]
    return least / floor, equal[0] / floor, equal[1] / floor


def _equal(estimate: ek.Estimate, rows: np.ndarray, made: Weighing, truth: Truth) -> float:
    """Variance of the same rows with equal weights, from the cells that they use."""
    paths, T = made.sums.paths, made.sums.paths.n_periods
    cells = estimate.select(rows).over(0).weights()
    period = pd.Index(paths.periods)
    code = pd.MultiIndex.from_arrays([paths.levels[made.sums.level].names[made.sums.cluster], made.sums.path])
    at = code.get_indexer(pd.MultiIndex.from_frame(cells[["cluster", "path"]]))
    t, base, window = period.get_indexer(cells["period"]), period.get_indexer(cells["base"]), cells["window"].to_numpy()
    L = np.zeros((len(code), T))
    np.add.at(L, (at, t), cells["weight"])
    for back in range(int(window.max())):
        use = (back < window) & (base - back >= 0)
        np.add.at(L, (at[use], (base - back)[use]), -(cells["weight"] / np.minimum(window, base + 1))[use])
    _, noise = cell_means(made.values, made.sums.of, made.sums.order, made.sums.weights, truth[0])
    people = sum(x @ np.nan_to_num(v) @ x for x, v in zip(L, noise, strict=True))
    by_place = np.zeros((int(made.sums.cluster.max()) + 1, T))
    np.add.at(by_place, made.sums.cluster, L)
    return float(people + np.einsum("gt,ts,gs->", by_place, truth[1], by_place))


def studies(draws: int) -> Iterator[tuple[str, list[ek.Study], Truth]]:
    """Name, draws and true covariances of each world."""
    yield "simple rollouts", [study(seed, 0.9) for seed in range(draws)], COVARIANCES
    for name in PARTNERSHIPS:
        known = [untreated(partnership(name, setting="clean", seed=seed)) for seed in range(1, LEARNT + 1)]
        yield name, [of for of, _ in known[:draws]], covariances(known)


def run(draws: int) -> None:
    """Ratios of every draw, component and design, written as each is known."""
    FILE.unlink(missing_ok=True)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ek.EvalkitWarning)
        for name, made, truth in studies(draws):
            for component in [c.name for c in made[0].components if not c.always_on]:
                for words, design in DESIGNS.items():
                    each = [(i, r) for i, of in enumerate(made) if (r := ratios(of, component, design, truth))]
                    found = pd.DataFrame([(name, component, words, i, *r) for i, r in each], columns=list(COLUMNS))
                    found.to_csv(FILE, mode="a", header=not FILE.exists(), index=False, float_format="%.6g",
                                 lineterminator="\n")  # fmt: skip
            print(name, flush=True)


def table(found: pd.DataFrame) -> str:
    """Medians over draws, a row a study, component and design."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---|---|---|--:|--:|--:|--:|"]
    for names, rows in found.groupby(["study", "component", "rows"], sort=False):
        medians = (f"{rows[c].median():.2f}" for c in COLUMNS[4:])
        lines.append(f"| {' | '.join(map(str, names))} | {' | '.join(medians)} | {len(rows)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--stored-only", action="store_true", help="run nothing")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    chosen = parser.parse_args()
    if not chosen.stored_only:
        run(chosen.draws)
    text = table(pd.read_csv(FILE))
    print(text)
    if chosen.write:
        words = "Medians over draws: `python benchmarks/least_noise_frontier.py --stored-only --write`."
        write_between(Path(__file__).parent / "README.md", START, END, words, text)


if __name__ == "__main__":
    main()
