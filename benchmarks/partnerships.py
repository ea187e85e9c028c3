"""How well does each method find what the synthetic partnerships hide? One table.

    python benchmarks/partnerships.py                                        everything, 200 draws each
    python benchmarks/partnerships.py --name rough_sleeping --setting clean --draws 20
    python benchmarks/partnerships.py --quick                                without evalkit, seconds a draw
    python benchmarks/partnerships.py --quick --fresh                        the other methods again, evalkit's kept
    python benchmarks/partnerships.py --stored-only --write                  run nothing: the table of what is stored

Methods: before and after; one component at a time and all together by two-way fixed effects; `ek.evaluate`. Each
answer stands beside the truth of what it averages: for evalkit over exactly the cells of its headline, for the others
over the people and periods that were exposed. Answers are kept in benchmarks/results/, so that a run that was stopped
goes on where it was; `--fresh` begins again.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from joblib import Parallel, delayed
from partnership_targets import BEFORE_AFTER, EVALKIT, targets
from recovery_table import binomial
from result_tables import into_readme
from rich.console import Console
from rich.progress import Progress
from scipy import stats

import evalkit as ek
from evalkit.evaluation.ladder import BASE_WINDOW
from evalkit.synthetic import partnership
from evalkit.synthetic.partnership import SETTINGS, Partnership
from evalkit.synthetic.settings import SPECS

RESULTS = Path(__file__).parent / "results"
ALONE, TOGETHER = "one at a time", "two-way fixed effects"
METHODS = (BEFORE_AFTER, ALONE, TOGETHER, EVALKIT)
VERDICTS = ("shown", "likely", "no_sign", "cannot_tell", "cannot_tell_apart", "not_tested")
COLUMNS = ("partnership", "setting", "draw", "method", "component", "estimate", "low", "high", "truth", "verdict")
BATCH = 4
DRAWS = 200
START, END = "<!-- partnerships: start -->", "<!-- partnerships: end -->"


class Grid:
    """The primary outcome and exposures of a study as (n, T) arrays, with the true effect of each component."""

    def __init__(self, made: Partnership) -> None:
        self.made, self.study = made, made.study
        paths, self.y = self.study.paths, self.study.values()
        self.there = np.isfinite(self.y)
        self.cluster = paths.levels[paths.cluster].codes
        state = paths.state[paths.path]
        self.on = {c.name: state[:, :, k] > 0 for k, c in enumerate(self.study.components) if not c.always_on}
        self.can = {c: paths.reach[paths.path][:, k] for k, c in enumerate(paths.components)}

    def truth(self, component: str, used: np.ndarray) -> float:
        """Mean true effect over some unit-periods, cell by cell."""
        paths = self.study.paths
        i, t = np.nonzero(used & self.there)
        if not len(i):
            return float("nan")
        cells = pd.DataFrame({"path": paths.path[i], "cluster": self.cluster[i], "period": paths.periods[t], "n": 1.0})
        cells = cells.groupby(["path", "cluster", "period"], as_index=False)["n"].sum()
        names = paths.levels[paths.cluster].names
        frame = cells.assign(
            row=0, component=component, cluster=names[cells["cluster"]], sign=1, weight=cells["n"] / cells["n"].sum()
        )
        return float(self.made.truth_for(frame.drop(columns="n")).iloc[0])


def before_after(grid: Grid, component: str) -> tuple[float, float, float]:
    """Mean since it began less mean of the six periods before, among those who ever had it; t over places."""
    on = grid.on[component]
    ever = on & grid.there
    before = _just_before(on) & grid.there
    places = np.unique(grid.cluster[on.any(axis=1)])
    rows = [(_mean(grid.y, ever, grid.cluster == g), _mean(grid.y, before, grid.cluster == g)) for g in places]
    change = np.array([a - b for a, b in rows if np.isfinite(a - b)])
    if len(change) < 2:
        return float("nan"), float("nan"), float("nan")
    value = grid.y[ever].mean() - grid.y[before].mean()
    half = stats.t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
    return float(value), float(value - half), float(value + half)


def _just_before(on: np.ndarray) -> np.ndarray:
    """(n, T) the periods before each unit's first, as many as the base of evalkit's own comparisons has."""
    since = np.arange(on.shape[1]) - on.argmax(axis=1)[:, None]
    return on.any(axis=1)[:, None] & (since < 0) & (since >= -BASE_WINDOW)


def _mean(y: np.ndarray, mask: np.ndarray, units: np.ndarray) -> float:
    picked = y[units][mask[units]]
    return float(picked.mean()) if len(picked) else float("nan")


def two_way(grid: Grid, components: list[str]) -> dict[str, tuple[float, float, float]]:
    """Unit and period effects and a 0/1 column for each component; standard errors by place (CR1, t(G - 1))."""
    i, t = np.nonzero(grid.there)
    columns = np.column_stack([grid.y[i, t], *(grid.on[c][i, t].astype(float) for c in components)])
    flat = _within(columns, i, t)
    x, y = flat[:, 1:], flat[:, 0]
    moved = np.flatnonzero((x**2).sum(axis=0) > 1e-8)
    found = {c: (float("nan"),) * 3 for c in components}
    if not len(moved):
        return found
    bread = np.linalg.pinv(x[:, moved].T @ x[:, moved])
    beta = bread @ (x[:, moved].T @ y)
    score = x[:, moved] * (y - x[:, moved] @ beta)[:, None]
    groups = int(grid.cluster.max()) + 1
    sums = np.column_stack([np.bincount(grid.cluster[i], weights=s, minlength=groups) for s in score.T])
    error = np.sqrt(np.diag(bread @ (sums.T @ sums) @ bread) * groups / (groups - 1))
    half = stats.t.ppf(0.975, groups - 1) * error
    for j, k in enumerate(moved):
        found[components[k]] = (float(beta[j]), float(beta[j] - half[j]), float(beta[j] + half[j]))
    return found


def _within(columns: np.ndarray, unit: np.ndarray, period: np.ndarray, rounds: int = 60) -> np.ndarray:
    """Columns less unit and period means, taken out in turn until nothing moves."""
    out = columns - columns.mean(axis=0)
    for _ in range(rounds):
        before = out.copy()
        for code in (unit, period):
            n = np.maximum(np.bincount(code), 1)
            means = np.column_stack([np.bincount(code, weights=c) / n for c in out.T])
            out = out - means[code]
        if np.abs(out - before).max() < 1e-9:
            break
    return out


def by_evalkit(made: Partnership) -> Iterator[tuple]:
    """Headline, interval and verdict of every component for the primary outcome, beside its own truth."""
    study = made.study.replace(outcomes=made.study.outcomes[:1])
    score = made.score(ek.evaluate(study))
    for row in score.itertuples():
        yield EVALKIT, row.component, row.estimate, row.conf_low, row.conf_high, row.truth, row.verdict


def one_draw(name: str, setting: str, seed: int, quick: bool) -> pd.DataFrame:
    """Every answer of every method for one draw."""
    made = partnership(name, setting, seed)
    rows: list[tuple] = []
    grid = Grid(made)
    together = two_way(grid, list(grid.on))
    for c in grid.on:
        alone, truth = two_way(grid, [c])[c], grid.truth(c, grid.on[c])
        for method, numbers in ((BEFORE_AFTER, before_after(grid, c)), (ALONE, alone), (TOGETHER, together[c])):
            rows.append((method, c, *numbers, truth, _naive(numbers)))
    rows += [] if quick else list(by_evalkit(made))
    frame = pd.DataFrame(rows, columns=list(COLUMNS[3:]))
    return frame.assign(partnership=name, setting=setting, draw=seed)[list(COLUMNS)]


def _naive(numbers: tuple[float, float, float]) -> str:
    """What a reader of stars would say: an interval without zero is a finding."""
    return "cannot_tell" if not numbers[1] * numbers[2] > 0 else "shown"


def stored(path: Path) -> pd.DataFrame:
    """Answers kept from earlier runs."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(COLUMNS))


def simulate(name: str, setting: str, draws: int, jobs: int, fresh: bool, quick: bool) -> pd.DataFrame:
    """Answers of draws 1 to `draws`, run where they are missing."""
    path = RESULTS / f"partnerships_{name}_{setting}.csv"
    have = stored(path)
    if fresh:
        have = have[(have["method"] == EVALKIT) & quick]
    done = have[(have["method"] != EVALKIT) == quick]
    todo = sorted(set(range(1, draws + 1)) - set(done["draw"]))
    RESULTS.mkdir(exist_ok=True)
    with Progress(console=Console(stderr=True), transient=True) as bar, Parallel(n_jobs=jobs) as pool:
        line = bar.add_task(f"{name}, {setting}", total=len(todo))
        for low in range(0, len(todo), BATCH):
            batch = todo[low : low + BATCH]
            made = pool(delayed(one_draw)(name, setting, seed, quick) for seed in batch)
            stays = ~have["draw"].isin(batch) | ((have["method"] == EVALKIT) & quick)
            have = pd.concat([have[stays], *made], ignore_index=True)
            have.round(6).to_csv(path.with_suffix(".part"), index=False, lineterminator="\n")
            path.with_suffix(".part").replace(path)
            bar.advance(line, len(batch))
    return have[have["draw"] <= draws]


def summarise(answers: pd.DataFrame) -> pd.DataFrame:
    """One line for each setting, method and component."""
    keys = ["partnership", "setting", "component", "method"]
    lines = [_line(key, part) for key, part in answers.groupby(keys, sort=False)]
    return pd.DataFrame(lines)


def _line(key: tuple, part: pd.DataFrame) -> dict[str, object]:
    told = part.dropna(subset=["estimate", "truth"])
    miss, spans = told["estimate"] - told["truth"], told.dropna(subset=["low", "high"])
    hits = int(((spans["low"] <= spans["truth"]) & (spans["truth"] <= spans["high"])).sum())
    low, high = binomial(hits, len(spans))
    share = part["verdict"].value_counts(normalize=True)
    return {
        **dict(zip(("partnership", "setting", "component", "method"), key, strict=True)),
        "draws": len(part), "answered": len(spans), "truth": part["truth"].mean(),
        "bias": miss.mean(), "bias_error": miss.std() / np.sqrt(max(len(miss), 1)),
        "rmse": np.sqrt((miss**2).mean()), "covered": hits / max(len(spans), 1) if len(spans) else np.nan,
        "covered_low": low, "covered_high": high, **{v: float(share.get(v, 0.0)) for v in VERDICTS},
    }  # fmt: skip


def markdown(table: pd.DataFrame) -> str:
    """The table as people read it."""
    head = ("partnership", "setting", "component", "method", "draws", "truth", "bias (error)", "RMSE", "coverage")
    head += tuple(v.replace("_", " ") for v in VERDICTS)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for x in table.to_dict("records"):
        told = np.isfinite(x["bias"])
        cells = [x["partnership"], x["setting"], x["component"], x["method"], str(x["draws"]), _number(x["truth"])]
        cells += [f"{_number(x['bias'])} ({x['bias_error']:.4f})" if told else "–", _number(x["rmse"])]
        spans = f"{x['covered']:.0%} ({x['covered_low']:.0%} to {x['covered_high']:.0%})"
        cells += [spans if x["answered"] else "–", *(f"{x[v]:.0%}" if x[v] else "" for v in VERDICTS)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_readme(table: str) -> None:
    """Put the table between its marks in the README."""
    into_readme(START, END, table)


def _number(x: float) -> str:
    return f"{x:+.4f}" if np.isfinite(x) else "–"


def main(
    name: str = typer.Option("all", help="a partnership, or all"),
    setting: str = typer.Option("all", help="clean, realistic, hard, or all"),
    draws: int = typer.Option(DRAWS, help="draws of each partnership and setting"),
    jobs: int = typer.Option(2, help="processes"),
    fresh: bool = typer.Option(False, help="begin again instead of adding to what is stored"),
    quick: bool = typer.Option(False, help="leave evalkit out"),
    stored_only: bool = typer.Option(False, help="run nothing: the table of what is stored"),
    write: bool = typer.Option(False, help="put the table into the README"),
) -> None:
    """Simulate partnerships and print how well each method finds the truth."""
    for given, known in ((name, tuple(SPECS)), (setting, SETTINGS)):
        if given != "all" and given not in known:
            raise typer.BadParameter(f"{given!r} is not a choice. Use one of: {', '.join(known)}, all.")
    wanted = [(n, s) for n, s in every() if name in ("all", n) and setting in ("all", s)]
    answers = all_answers(wanted, draws, jobs, fresh, quick, stored_only)
    tell(answers, write)


def every() -> list[tuple[str, str]]:
    """Every partnership in every setting."""
    return [(n, s) for n in SPECS for s in SETTINGS]


def all_answers(
    wanted: list[tuple[str, str]], draws: int, jobs: int, fresh: bool, quick: bool, stored_only: bool
) -> pd.DataFrame:
    """Answers of partnerships in settings, run where they are missing or only read."""
    found = [
        stored(RESULTS / f"partnerships_{n}_{s}.csv") if stored_only else simulate(n, s, draws, jobs, fresh, quick)
        for n, s in wanted
    ]
    return pd.concat([f for f in found if len(f)], ignore_index=True)


def tell(answers: pd.DataFrame, write: bool) -> None:
    """Print the targets and the table, and put them into the README where asked."""
    text = f"{targets(answers)}\n\n{markdown(summarise(answers))}"
    print(text)
    if write:
        write_readme(text)


if __name__ == "__main__":
    typer.run(main)
