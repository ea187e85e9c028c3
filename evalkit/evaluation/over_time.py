"""The outcome itself: period by period with and without the programme, beside what was to be expected; and how those
with a component and those without it differed before it began."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.designs.rollout.sums import add_by
from evalkit.disclosure.publish import Guard
from evalkit.disclosure.rounding import nice_step, to_step
from evalkit.evaluation.decomposition.cells import without
from evalkit.evaluation.decomposition.pieces import decompose
from evalkit.evaluation.evidence import Evaluated
from evalkit.study import Outcome, Study
from evalkit.study.paths import OFF, Paths

SERIES = ("outcome", "period", "groups", "with_it", "without", "expected", "people_with", "people_without", "started")
"""groups: "ever" where those who had any part at some time stand beside those who never had one; "so far" where nobody
never had one: those who have one by then beside those who have none yet. started: how many have begun by then."""
BASELINE = ("component", "characteristic", "with_it", "without", "difference", "people_with", "people_without")
"""difference: of the means, in standard deviations of both (Austin 2009, Statistics in Medicine 28, section 3)."""
_COVERED = 0.9  # of those who have begun, how many an expected value must stand for
_COUNTED = ("share", "count")


@dataclass(frozen=True, eq=False)
class Sides:
    """Who stands on either side. groups: as in SERIES. with_it, without: (P, T) cells of each side. begun: (P, T)."""

    groups: str
    with_it: np.ndarray
    without: np.ndarray
    begun: np.ndarray


def sides_of(paths: Paths) -> Sides | None:
    """Both sides of the programme; None where nothing in it ever begins."""
    if not paths.components:
        return None
    off = np.asarray((paths.state == OFF).all(axis=2))
    begun = np.logical_or.accumulate(~off, axis=1)
    on = np.asarray((paths.state > 0).any(axis=2))
    ever = np.broadcast_to(np.any(on, axis=1, keepdims=True), on.shape)
    never = np.broadcast_to(np.all(off, axis=1, keepdims=True), on.shape)
    if not ever.any():
        return None
    return Sides("ever", ever, never, begun) if never.any() else Sides("so far", on, ~begun, begun)


def over_time(evaluation: Evaluated) -> pd.DataFrame:
    """Mean outcome of either side in each period, a row an outcome and period (SERIES); logarithms as they are. Units
    weigh as in estimates: by the study's weights, and of a rate by what it is per.

    expected: of the first outcome, what those with it would have come to by the imputation behind the programme's total
    (Borusyak, Jaravel and Spiess 2024): summed over people and periods, with_it less expected is that total. NaN before
    anybody began, and where it stands for fewer than nine in ten of those who had. Parts that everybody had all along
    are no part of it. Empty where nothing in the programme ever begins.
    """
    study, table = evaluation.study, evaluation.separability.components
    paths = without(study.paths, set(table.loc[table["status"] == "not_tested", "component"]))
    sides = sides_of(paths)
    if sides is None:
        return pd.DataFrame(columns=list(SERIES))
    made = [_series(evaluation, paths, sides, o, o == study.outcome()) for o in study.outcomes]
    return pd.concat(made, ignore_index=True)


def _series(evaluation: Evaluated, paths: Paths, sides: Sides, outcome: Outcome, first: bool) -> pd.DataFrame:
    values = evaluation.study.values(outcome)
    seen = np.isfinite(values)
    weights = evaluation.study.weighing(outcome).paths.weights  # of a rate, by what it is per, as in every estimate
    weight = np.ones(paths.n_units) if weights is None else weights
    cells = {
        "sum": add_by(np.where(seen, values, 0.0) * weight[:, None], paths.path, paths.n_paths),
        "mass": add_by(seen * weight[:, None], paths.path, paths.n_paths),
        "people": add_by(seen * paths.people[:, None], paths.path, paths.n_paths),
    }
    both = {"with_it": sides.with_it, "without": sides.without}
    of = {(side, what): (sums * where).sum(axis=0) for side, where in both.items() for what, sums in cells.items()}
    mean = {side: _over(of[side, "sum"], of[side, "mass"]) for side in both}
    begun = sides.with_it & sides.begun
    expected = np.full(paths.n_periods, np.nan)
    if first:
        among = (cells["mass"] * begun).sum(axis=0)
        expected = mean["with_it"] - _added(evaluation, outcome, among, of["with_it", "mass"])
    return pd.DataFrame(
        {"outcome": outcome.column, "period": paths.periods, "groups": sides.groups, "with_it": mean["with_it"],
         "without": mean["without"], "expected": expected, "people_with": of["with_it", "people"],
         "people_without": of["without", "people"], "started": (cells["people"] * begun).sum(axis=0)}
    )[list(SERIES)]  # fmt: skip


def _added(evaluation: Evaluated, outcome: Outcome, begun: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """(T,) what the programme added to the mean of those with it; NaN where too little of it can be imputed."""
    programme = decompose(evaluation, outcome).programme
    if programme is None:
        return np.full(len(mass), np.nan)
    imputed, (_, period) = programme.imputed, programme.at
    effect = np.bincount(period, weights=imputed.sums(imputed.atoms, imputed.periods), minlength=len(mass))
    covered = np.bincount(period, weights=imputed.atoms.mass, minlength=len(mass))
    told = (begun > 0) & (covered >= _COVERED * begun)
    return np.where(told, _over(effect, mass), np.nan)


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def baseline(study: Study) -> pd.DataFrame:
    """Those who ever had a component beside those whom it could reach and who never had it, before it began anywhere:
    a row a component and characteristic (BASELINE).

    Characteristics: the mean of each outcome over the periods before its first start, and each covariate as it was
    first recorded; units weigh as in the series over time. A component without a period before it has covariates only;
    one that everybody had has no row.
    """
    rows = [row for c in study.components if not c.always_on for row in _before(study, c.name)]
    return pd.DataFrame(rows, columns=list(BASELINE))


def groups_of(paths: Paths, component: str) -> tuple[np.ndarray, np.ndarray]:
    """(n,) those who ever had it, and those whom it could reach and who never had it."""
    k = paths.index(component)
    state, reach = paths.state[:, :, k], paths.reach[paths.path, k]
    ever, never = np.asarray((state > 0).any(axis=1)), np.asarray((state == OFF).all(axis=1))
    return ever[paths.path] & reach, never[paths.path] & reach


def _before(study: Study, component: str) -> list[tuple[object, ...]]:
    paths = study.paths
    ever, never = groups_of(paths, component)
    starts = (paths.state[:, :, paths.index(component)] != OFF).any(axis=0)
    before = int(starts.argmax()) if starts.any() else 0
    if not ever.any() or not never.any():
        return []
    early = study.outcomes if before else ()
    rows = [(f"{o.label}, before", _mean(study.values(o)[:, :before]), study.weighing(o)) for o in early]
    if study.covariates:
        each = study.covariate_values()
        rows += [(name, _first(each[:, :, j]), study) for j, name in enumerate(study.covariate_names())]
    return [(component, name, *_beside(by.paths, values, ever, never)) for name, values, by in rows]


def _mean(values: np.ndarray) -> np.ndarray:
    seen = np.isfinite(values)
    return _over(np.where(seen, values, 0.0).sum(axis=1), seen.sum(axis=1))


def _first(values: np.ndarray) -> np.ndarray:
    """(n,) the first value of each row that was recorded."""
    return np.asarray(values[np.arange(len(values)), np.isfinite(values).argmax(axis=1)])


def _beside(paths: Paths, values: np.ndarray, ever: np.ndarray, never: np.ndarray) -> tuple[float, ...]:
    """Means of both sides by the study's weights, how far apart, and how many people; not how far where people were
    added up, as their spread is not known."""
    people, w = paths.people, paths.people.astype(float) if paths.weights is None else paths.weights
    there = [side & np.isfinite(values) & (w > 0) for side in (ever, never)]
    counts = [float(people[side].sum()) for side in there]
    if not min(counts) > 0:
        return (np.nan, np.nan, np.nan, *counts)
    one, other = (float(np.average(values[side], weights=w[side])) for side in there)
    away = zip(there, (one, other), strict=True)
    square = sum(float(np.average((values[side] - mean) ** 2, weights=w[side])) for side, mean in away)
    spread = np.sqrt(square / 2) if (people == 1).all() else np.nan
    apart = (one - other) / spread if spread > 0 else 0.0 if one == other else np.nan
    return (one, other, float(apart), *counts)


# ---------------------------------------------------------------- as it may be published


def publishable_series(guard: Guard, table: pd.DataFrame) -> pd.DataFrame:
    """The series without periods in which a side is too few people, or too few of them had the outcome or had it not;
    means as coarse as the counts behind them, counts rounded, so that none gives a hidden count away."""
    if not guard.rules.active or table.empty:
        return table
    kinds = {o.column: o.said for o in guard.study.outcomes}
    counted = table["outcome"].map(kinds).isin(_COUNTED).to_numpy()
    out = table.copy()
    for side, people in (("with_it", "people_with"), ("without", "people_without")):
        out[side] = _told(guard, table, side, people, counted)
    few = (guard.rules.small(table["started"]) & (table["started"] > 0)) | np.isnan(out["with_it"].to_numpy())
    step = _step(guard, table["outcome"], table["people_with"])
    out["expected"] = np.where(few, np.nan, to_step(table["expected"], step))
    least = guard.rules.round_to or guard.rules.count
    for name in ("people_with", "people_without", "started"):
        hidden = guard.rules.small(table[name]) & (table[name] > 0)
        out[name] = np.where(hidden, np.nan, np.round(table[name] / least) * least)
    both = ["with_it", "without"]
    if (out[both].isna() & table[both].notna()).any(axis=None):
        guard.note("over_time", "some periods", "means", "too few")
    return out


def publishable_baseline(guard: Guard, table: pd.DataFrame) -> pd.DataFrame:
    """The characteristics without those of too few people, without shares that few have or have not, and without those
    of a component whose people are but for a few those of another: the difference of two means would tell theirs."""
    if not guard.rules.active or table.empty:
        return table
    out = table.copy()
    whole = pd.Series("", table.index)
    for side, people in (("with_it", "people_with"), ("without", "people_without")):
        share = table[side].between(0, 1).to_numpy()
        out[side] = _told(guard, table.assign(outcome=whole), side, people, share)
    gone = out[["with_it", "without"]].isna().any(axis=1) | table["component"].isin(_near_another(guard))
    out.loc[gone, ["with_it", "without", "difference"]] = np.nan
    out["difference"] = to_step(out["difference"], np.full(len(out), 0.01))
    least = guard.rules.round_to or guard.rules.count
    for name in ("people_with", "people_without"):
        out[name] = np.where(guard.rules.small(table[name]), np.nan, np.round(table[name] / least) * least)
    if gone.any():
        guard.note("baseline", ", ".join(dict.fromkeys(table.loc[gone, "component"])), "characteristics", "too few")
    return out


def _near_another(guard: Guard) -> set[str]:
    """Components either of whose groups differs by a few people from that of one named before."""
    kept: list[np.ndarray] = []
    near, people = set(), guard.paths.people
    for c in guard.paths.components:
        groups = groups_of(guard.paths, c)
        if any(0 < people[group ^ other].sum() < guard.rules.count for group in groups for other in kept):
            near.add(c)
        else:
            kept += groups
    return near


def _told(guard: Guard, table: pd.DataFrame, side: str, people: str, counted: np.ndarray) -> np.ndarray:
    behind = table[people].to_numpy(dtype=float)
    mean = table[side].to_numpy(dtype=float)
    have = np.where(counted, mean * behind, np.inf)
    lack = np.where(counted & (mean <= 1), (1 - mean) * behind, np.inf)
    few = guard.rules.small(behind) | _few(guard, have) | _few(guard, lack)
    return np.where(few, np.nan, to_step(mean, _step(guard, table["outcome"], table[people])))


def _few(guard: Guard, events: np.ndarray) -> np.ndarray:
    """Whether so many events are too few to be told; nought is no event of anybody."""
    return np.asarray((events > 1e-9) & (events < guard.rules.count))


def _step(guard: Guard, outcomes: pd.Series, people: pd.Series) -> np.ndarray:
    """Steps so wide that every count near the one behind a mean has a fraction within one of them."""
    grain = guard.grains
    width = np.array([grain.get(o, 1.0) or 0.0 for o in outcomes])
    behind = np.maximum(people.to_numpy(dtype=float), 1.0)
    return nice_step(max(guard.rules.round_to / 2, 1.0) * width / behind)
