"""What is run on a world, each answer beside the truth of its own estimand.

The truth of an answer is the average of the component's true effect over exactly the adopters and periods
that the answer averages (those with sign +1 in `Estimate.weights()`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from recovery_worlds import NEVER, World
from scipy import stats

import evalkit as ek
from evalkit.errors import NotIdentifiedError
from evalkit.evaluation.bundles import run_bundles
from evalkit.evaluation.ladder import Choices, ladder, run, window_of
from evalkit.evaluation.results import Evaluation
from evalkit.inference import Estimate
from evalkit.vocabulary import ESTIMATED

SAME1, SAME6, UNCHANGED = "others=same, one base period", "others=same, base_window=6", "others=unchanged"
JOINT, IGNORED, TWFE, VERDICT = "joint event study", "others=ignored", "two-way fixed effects", "ek.evaluate"
BUNDLE = "bundle"
WINDOWS, IMPUTATION, TRIPLE = "two groups, two windows", "imputation", "triple difference"
DESIGNS = {
    SAME1: ek.StaggeredRollout(),
    SAME6: ek.StaggeredRollout(base_window=6),
    UNCHANGED: ek.StaggeredRollout(others="unchanged", base_window=6),
    JOINT: ek.JointEventStudy(),
    IMPUTATION: ek.Imputation(),
    TRIPLE: ek.TripleDifference(base_window=6),
    IGNORED: ek.StaggeredRollout(others="ignored", base_window=6),
}
COLUMNS = ("method", "component", "estimate", "low", "high", "truth", "claimed", "note")


def answer(method: str, component: str, numbers: Sequence[float], truth: float, claimed: bool, note: str = "") -> dict:
    """One line of the results; numbers are estimate, low, high."""
    return dict(zip(COLUMNS, (method, component, *map(float, numbers), float(truth), bool(claimed), note), strict=True))


def run_design(world: World, study: ek.Study, method: str, component: str) -> dict:
    """A design's mass-weighted average over event times 0 and later; claimed when its interval excludes zero."""
    try:
        rows = DESIGNS[method](study, component)
    except NotIdentifiedError as error:
        return answer(method, component, (np.nan,) * 3, np.nan, False, str(error)[:40])
    one = rows.aggregate("simple")
    numbers = _numbers(one)
    return answer(method, component, numbers, truth_of(world, rows, one, {component: 1.0}), _excludes(numbers))


def _numbers(one: Estimate) -> tuple[float, float, float]:
    row = one.to_frame().iloc[0]
    return float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"])


def _excludes(numbers: Sequence[float]) -> bool:
    return bool(numbers[1] > 0 or numbers[2] < 0)


def truth_of(world: World, rows: Estimate, one: Estimate, members: Mapping[str, float]) -> float:
    """The weighted sum of the members' true effects over what `one`, an average of `rows`, averages.

    Effects depend on the periods since the start alone, so that a single component's truth follows from the
    adopters behind each event time; a combination's is read from the cells themselves.
    """
    if len(members) > 1:
        return sum(w * by_cells(world, one, m) for m, w in members.items())
    (component,) = members
    event = rows.labels["event_time"].to_numpy()
    there = np.isfinite(rows.value) & (rows.mass > 0) & (event >= 0)
    return float(np.average(world.growth[component][event[there]], weights=rows.mass[there])) if there.any() else np.nan


def by_cells(world: World, one: Estimate, component: str) -> float:
    """The same from `Estimate.weights()`: cells with sign +1 times the true effect in that place and period."""
    used = one.weights().query("sign == 1")
    cells = used["cluster"].to_numpy(dtype=int), used["period"].to_numpy(dtype=int)
    return float(used["weight"] @ world.effect(component)[cells])


def windows(world: World, study: ek.Study, component: str) -> dict:
    """Two groups and two windows: the periods before the first start, and those after the last."""
    start = world.starts[component][world.starts[component] < NEVER]
    last = world.frame["month"].max()
    design = ek.DifferenceInDifferences(before=(0, start.min() - 1), after=(start.max(), last))
    numbers = _numbers(design(study, component))
    on = world.effect(component)[world.starts[component] < NEVER, start.max() :]
    return answer(WINDOWS, component, numbers, on.mean(), _excludes(numbers))


def two_way(world: World) -> Iterator[dict]:
    """Least squares on the three 0/1 columns, site and period effects; CR1 clustered by site, t(G-1).

    Balanced panel, so that demeaning twice takes both kinds of effect out exactly. Its truth is the
    average over every exposed site and period.
    """
    names = list(world.starts)
    sites, periods = len(next(iter(world.starts.values()))), int(world.frame["month"].max()) + 1
    cube = world.frame[[*names, "y"]].to_numpy(dtype=float).reshape(sites, periods, -1)
    cube = cube - cube.mean(axis=0) - cube.mean(axis=1, keepdims=True) + cube.mean(axis=(0, 1))
    x, y = cube[..., :-1], cube[..., -1]
    bread = np.linalg.pinv(np.einsum("stk,stl->kl", x, x))
    beta = bread @ np.einsum("stk,st->k", x, y)
    scores = np.einsum("stk,st->sk", x, y - x @ beta) @ bread
    se = np.sqrt(np.diag(scores.T @ scores) * sites / (sites - 1))
    reach = stats.t.ppf(0.975, sites - 1) * se
    for k, name in enumerate(names):
        on = world.frame[name].to_numpy().reshape(sites, periods) == 1
        numbers = (beta[k], beta[k] - reach[k], beta[k] + reach[k])
        yield answer(TWFE, name, numbers, world.effect(name)[on].mean(), _excludes(numbers))


def headline(world: World, study: ek.Study, component: str) -> dict | None:
    """The number that `ek.evaluate` would make its headline, by the same rule and the same code; None where a
    verdict could claim something (its interval excludes zero) and the whole evaluation has to be asked."""
    sep = ek.separability(study)
    row = sep.components.set_index("component").loc[component]
    window = window_of(row, study.component(component).lag)
    rungs = ladder(str(row["best_design"]), Choices.of(study.settings), study.outcome().column, window.lag)
    rung = next((r for r in rungs if r.headline and row["status"] in ESTIMATED), None)
    found = None if rung is None else run(rung, study, component, window)
    if found is None or found.answer is None:
        return answer(VERDICT, component, (np.nan,) * 3, np.nan, False, f"{row['status']} | none | ")
    numbers = _numbers(found.answer)
    if _excludes(numbers):
        return None
    inside = found.rows.select(np.flatnonzero(window.holds(found.rows.labels["event_time"].to_numpy())))
    truth = truth_of(world, inside, found.answer, {component: 1.0})
    return answer(VERDICT, component, numbers, truth, False, f"includes zero | {rung.name} | {window.until}")


def verdicts(world: World, evaluation: Evaluation) -> Iterator[dict]:
    """The headline of every component; claimed when the verdict is shown or likely. The note keeps verdict,
    design and the last event time claimed."""
    for finding, (_, verdict) in zip(evaluation.findings, evaluation.judged, strict=True):
        claimed = verdict.verdict in ("shown", "likely")
        if finding.answer is None:
            yield answer(VERDICT, finding.component, (np.nan,) * 3, np.nan, claimed, f"{verdict.verdict} | none | ")
            continue
        events = finding.rows.labels["event_time"].to_numpy()
        inside = finding.rows.select(np.flatnonzero(finding.window.holds(events)))
        numbers = _numbers(finding.answer)
        truth = truth_of(world, inside, finding.answer, {finding.component: 1.0})
        note = f"{verdict.verdict} | {finding.headline.rung.name} | {finding.window.until}"
        yield answer(VERDICT, finding.component, numbers, truth, claimed, note)


def bundles(world: World, evaluation: Evaluation) -> Iterator[dict]:
    """Every identified combination, beside its own truth; one line without numbers where it has no effect."""
    study, level = evaluation.study, evaluation.level
    for found in run_bundles(study, evaluation.separability, study.outcome(), Choices.of(study.settings), level):
        name = " + ".join(found.members)
        if found.run is None or found.run.answer is None:
            yield answer(BUNDLE, name, (np.nan,) * 3, np.nan, False, found.evidence.reason[:60])
            continue
        members = dict(zip(found.members, found.evidence.signs, strict=True))
        numbers = _numbers(found.run.answer)
        truth = truth_of(world, found.run.rows, found.run.answer, members)
        yield answer(BUNDLE, name, numbers, truth, _excludes(numbers), found.evidence.design)


def as_frame(rows: Sequence[dict], scenario: str, draw: int) -> pd.DataFrame:
    """Answers of one draw as a table."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).assign(scenario=scenario, draw=draw)
