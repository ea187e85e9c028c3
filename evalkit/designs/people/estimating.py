"""From a comparison of people and an outcome to an Estimate: choices, contributions, arms, refits, labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real

import numpy as np
import pandas as pd

from evalkit.designs.parameters import Parameters
from evalkit.designs.people.people import UNCOUNTED, People, Who, gather, others_of, periods_of, status_of
from evalkit.errors import OptionError, Problem, check_choice, spelt
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import DenseSource, Influence, Rows
from evalkit.study import Study
from evalkit.study.paths import UNKNOWN, Level, Paths

NOTHING_ELSE = "those with it and those without it differ in nothing else"
THIN = 20
Levels = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Support:
    """Which combinations of the other components can be compared. table: a row a combination: others (words), one 0/1
    column a component, exposed, comparison (people), and status "both arms", "thin" (fewer than 20 people in an arm),
    "exposed only" or "comparison only"."""

    component: str
    table: pd.DataFrame

    @property
    def share(self) -> float:
        """Share of the exposed who live in a combination with comparison people."""
        t = self.table
        total = t["exposed"].sum()
        return float(t.loc[t["comparison"] > 0, "exposed"].sum() / total) if total else 0.0

    def __len__(self) -> int:
        return int(((self.table["exposed"] > 0) & (self.table["comparison"] > 0)).sum())


class AmongPeople(Parameters):
    """What designs that compare people with people share, by their fields."""

    estimand: str
    exact: tuple[str, ...]
    others: str
    covariates: tuple[str, ...] | str | None
    outcome_period: object
    covariate_period: object
    compare: str
    outcome: str | None

    @property
    def who(self) -> Who:
        """What decides who is compared with whom."""
        return Who(self.others, self.exact, self.covariates, self.outcome_period, self.covariate_period)

    def plan(self, paths: Paths, component: str) -> Support:
        """How many people of each arm have each combination of the other components (their path from the covariates' to
        the outcome's period); sees no outcome."""
        k, who = paths.index(component), self.who
        base, period = periods_of(paths, k, who)
        status, codes = status_of(paths, k, base, period), others_of(paths, component, base, period, who.others)
        mine, other = codes[paths.path], [j for j in range(len(paths.components)) if j != k]
        rows = []
        for code in np.unique(mine[(status < 2) & (mine >= 0)]):
            here, path = mine == code, int(np.flatnonzero(codes == code)[0])
            on = {paths.components[j]: int((paths.state[path, base : period + 1, j] > 0).any()) for j in other}
            words = " and ".join(n for n, v in on.items() if v) or "none of the others"
            exposed, comparison = int((here & (status == 1)).sum()), int((here & (status == 0)).sum())
            enough = "thin" if min(exposed, comparison) < THIN else "both arms"
            rows.append({
                "others": words if who.others == "same" else "ignored", **on,
                "exposed": exposed, "comparison": comparison,
                "status": enough if exposed and comparison else "exposed only" if exposed else "comparison only",
            })  # fmt: skip
        columns = ["others", *(paths.components[j] for j in other), "exposed", "comparison", "status"]
        table = pd.DataFrame(rows, columns=columns)
        return Support(component, table.sort_values("exposed", ascending=False, kind="stable", ignore_index=True))

    def people(self, study: Study, component: str) -> People:
        """Who takes part; no outcome is read, but of a rate whether there is a count, and what it is divided by."""
        rate = study.outcome(self.outcome).kind == "rate"
        uncounted = np.isnan(study.values(self.outcome)).all(axis=1) if rate else None
        return gather(study.weighing(self.outcome), component, self.who, uncounted)

    def read(self, study: Study, people: People) -> np.ndarray:
        """(m,) their outcome at the outcome's period, or its change since the covariates' period."""
        if self.compare == "change" and people.base == people.period:
            raise OptionError("compare='change' needs a panel; this study sees people once. Use compare='level'.")
        values = study.values(self.outcome)
        y = values[people.rows, people.period]
        return y - values[people.rows, people.base] if self.compare == "change" else y


def as_tuples(design: object, names: Sequence[str], one: Sequence[str]) -> None:
    """Fields of a frozen design that hold lists of columns become tuples; so does a single text in fields in `one`."""
    for name in names:
        value = getattr(design, name)
        if isinstance(value, list) or (isinstance(value, str) and name in one):
            object.__setattr__(design, name, (value,) if isinstance(value, str) else tuple(value))


def wrong_choices(design: object, allowed: Mapping[str, Iterable[object]]) -> list[Problem]:
    """Fields of a design that are not among the choices there are."""
    out = []
    for name, choices in allowed.items():
        try:
            check_choice(name, getattr(design, name), choices)
        except OptionError as error:
            out.append(Problem(str(error).rstrip(".")))
    return out


def is_number(value: object) -> bool:
    """Whether a value is a number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def wrong_numbers(design: object, least: Mapping[str, int]) -> list[Problem]:
    """Fields of a design that are not whole numbers of at least so much."""
    return [
        Problem(f"{name}={spelt(value)}", next=f"Give a whole number, {fewest} or more.")
        for name, fewest in least.items()
        if not (is_number(value := getattr(design, name)) and isinstance(value, Integral) and int(value) >= fewest)
    ]


def wrong_learners(design: object, needed: Mapping[str, str]) -> list[Problem]:
    """Fields of a design that hold no learner: each needs `fit` and the method named, and what is predicted is no
    class."""
    given = [(name, model, method) for name, method in needed.items() if (model := getattr(design, name)) is not None]
    return [
        Problem(f"{name}={model!r}", next=advice)
        for name, model, method in given
        if (advice := _cannot_learn(model, method))
    ]


def _cannot_learn(model: object, method: str) -> str:
    from sklearn.base import ClassifierMixin

    if isinstance(model, type):
        return f"Give an estimator that is made, such as {model.__name__}(), not its class."
    if not (hasattr(model, "fit") and hasattr(model, method)):
        return f"Give a scikit-learn estimator with fit and {method}."
    if method == "predict" and isinstance(model, ClassifierMixin):
        return "Give a regression with fit and predict: a classifier gives classes, and no mean outcomes."
    return ""


def steady(value: float, parts: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The same without numbers that are rounding alone: an outcome that never varies has no effect and no error."""
    dust = 1e-12 * float(np.abs(y).max(initial=0.0))
    return 0.0 if abs(value) <= dust else value, np.where(np.abs(parts) <= dust / len(parts), 0.0, parts)


def when(study: Study, people: People) -> tuple[object, int]:
    """The period of the outcome, and how many periods after the first start that is (0 in a cross-section)."""
    paths = study.paths
    if people.base == people.period:
        return (paths.periods[0] if paths.n_periods > 1 else ""), 0
    state = paths.state[np.unique(paths.path[people.rows[people.exposed]]), :, paths.index(people.component)]
    starts = ((state > 0) & (state != UNKNOWN))[:, : people.period + 1].argmax(axis=1)
    return paths.periods[people.period], int(people.period - starts.min())


def cluster_level(study: Study, component: str) -> str | None:
    """The level at which people hang together, None where everybody is alone."""
    name, _ = study.paths.inference_level(component)
    return None if len(study.paths.levels[name].names) == study.paths.n_units else name


def study_levels(study: Study, rows: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Cluster codes and names of some rows at every level of the study."""
    return {name: (level.codes[rows], level.names) for name, level in study.paths.levels.items()}


def by_person(study: Study, people: People, parts: np.ndarray, level: str | None) -> Influence:
    """Contributions (m,) of people one by one, clustered at a level, or not when None."""
    rows = Rows(people.ids, study_levels(study, people.rows))
    return Influence(((DenseSource(rows, parts[:, None]), np.eye(1)),), level or "unit")


def cluster_factor(codes: np.ndarray, k: int) -> float:
    """Small-sample factor of the cluster-robust variance, G/(G-1) (n-1)/(n-k). codes: (n,) of G clusters."""
    groups, n = len(np.unique(codes)), len(codes)
    return groups / (groups - 1) * (n - 1) / (n - k) if groups > 1 and n > k else float("nan")


@dataclass(frozen=True, eq=False)
class Multiway(Influence):
    """Contributions clustered in several ways at once (Cameron, Gelbach and Miller 2011): the sum over one
    way at a time, less the sum over intersections, and so on. ways: (level, sign and factor).

    Never below the first way alone: with few clusters the sum is noisy and may come out far too small."""

    ways: tuple[tuple[str, float], ...] = ()

    def map(self, jacobian: np.ndarray) -> Influence:
        moved = super().map(jacobian)
        return Multiway(moved.parts, moved.level, self.ways)

    def gram(self, level: str | None = None) -> np.ndarray:
        if level is not None and level != self.level:
            return super().gram(level)
        total = np.sum([factor * super(Multiway, self).gram(name) for name, factor in self.ways], axis=0)
        first, factor = self.ways[0]
        floor = factor * super().gram(first)
        return total if np.trace(total) > np.trace(floor) else floor


def clustered(ids: np.ndarray, parts: np.ndarray, columns: int, levels: Levels, by: Sequence[str]) -> Influence:
    """Contributions of one number, scaled so that clustering `by` gives the small-sample variance. by: no level (HC1 by
    row), one, or several crossed ones."""
    if len(by) <= 1:
        name, n = by[0] if by else "unit", len(parts)
        hc1 = n / (n - columns) if n > columns else float("nan")
        factor = cluster_factor(levels[name][0], columns) if by else hc1
        source = DenseSource(Rows(ids, dict(levels)), (np.sqrt(factor) * parts)[:, None])
        return Influence(((source, np.eye(1)),), name)
    every, ways, label = dict(levels), [], " and ".join(by)
    for pick in range(1, 2 ** len(by)):
        chosen = [b for i, b in enumerate(by) if pick >> i & 1]
        name = " and ".join(chosen) if len(chosen) < len(by) else f"rows of {label}"
        if len(chosen) > 1:
            found, codes = np.unique(np.column_stack([levels[b][0] for b in chosen]), axis=0, return_inverse=True)
            every[name] = codes.ravel(), np.array([" & ".join(map(str, row)) for row in found], dtype=object)
        ways.append((name, (1.0 if len(chosen) % 2 else -1.0) * cluster_factor(every[name][0], columns)))
    every[label] = every[by[-1]]
    return Multiway(((DenseSource(Rows(ids, every), parts[:, None]), np.eye(1)),), label, tuple(ways))


def nested(fine: np.ndarray, coarse: np.ndarray) -> bool:
    """Whether each group of the fine codes lies in one group of the coarse."""
    return len(np.unique(np.column_stack([fine, coarse]), axis=0)) == len(np.unique(fine))


def arms(used: np.ndarray, people: People, study: Study, level: str | None) -> Arms:
    """Who stands behind an estimate on those `used` (m,): the clusters of a level in each arm, or people counted when
    None."""
    sides = (used & people.exposed, used & ~people.exposed)
    if level is None:
        size = np.array([int(side.sum()) for side in sides])
        return Arms(np.array([[True], [False]]), np.array([[False], [True]]), size)
    known = study.paths.levels[level]
    codes = known.codes[people.rows]
    counts = [np.bincount(codes[side], minlength=len(known.names)) > 0 for side in sides]
    return Arms(counts[0][:, None], counts[1][:, None], np.ones(len(known.names), dtype=int))


def _without_each_cluster(
    again: Callable[[np.ndarray], float], value: np.ndarray, arms: Arms, level: Level, codes: np.ndarray, spread: float
) -> Replicates:
    """Refits without each cluster in turn. codes: (m,) clusters of the people. spread: by how much moves are scaled."""
    used = np.flatnonzero(arms.exposed[:, 0] | arms.comparison[:, 0])
    values = value + spread * (np.array([[again(codes != c)] for c in used]) - value)
    masses = np.where(np.isnan(values), 0.0, 1.0)
    return Replicates(level.names[used], level.name, values, masses, arms.exposed[used], arms.comparison[used])


def cluster_refits(
    again: Callable[[np.ndarray], float], est: Estimate, study: Study, people: People, level: str, pairs: bool = True
) -> Estimate:
    """The estimate with delete-one-cluster refits. again: (who is left (m,)) -> estimate. pairs: whether matched sets
    are pairs: where those run across clusters, a refit that loses one of a pair moves more than the pair's difference
    does, and moves are scaled to the variance clustered in both ways."""
    known, parts, spread = study.paths.levels[level], est.value_influence, 1.0
    assert est.arms is not None
    if pairs and isinstance(parts, Multiway):  # standard error clustered in all ways, over that at this level alone
        spread = float(np.sqrt(parts.gram()[0, 0] / (dict(parts.ways)[level] * parts.gram(level)[0, 0])))
    codes = known.codes[people.rows]
    return replace(est, replicate=partial(_without_each_cluster, again, est.value, est.arms, known, codes, spread))


@dataclass(frozen=True, eq=False)
class Row:
    """One estimate and what is said of it. used: (m,) who is compared. unseen: how many outcomes were not seen.
    reason: why there is no number, "" where there is one. before, after: further labels on either side of the mass."""

    value: float
    parts: Influence
    used: np.ndarray
    population: str
    unseen: int
    reason: str
    before: Mapping[str, object]
    after: Mapping[str, object]

    def estimate(self, design: AmongPeople, study: Study, people: People, level: str | None) -> Estimate:
        """The Estimate, with arms counted at a level: what was compared, for whom, and what is missing."""
        outcome, (period, event) = study.outcome(design.outcome), when(study, people)
        target = people.target(design.estimand)
        total, kept = int(target.sum()), int((self.used & target).sum())
        labels = pd.DataFrame([{
            "component": people.component, "outcome": outcome.column, "period": period, "event_time": event,
            "estimand": design.estimand, "population": self.population, "outcome_unit": outcome.unit,
            "others": design.others,
            # a level as people read it, without the mark that keeps matchings apart
            "inference_level": re.sub(r"(matched set) of .+? [0-9a-f]{8}", r"\1", self.parts.level),
            "units_exposed": int((self.used & people.exposed).sum()),
            "units_comparison": int((self.used & ~people.exposed).sum()),
            "units_left_out": total - kept,
            "units_not_seen": self.unseen + int(people.left_out.set_index("reason")["people"].get(UNCOUNTED, 0)),
            "share_left_out": (total - kept) / total if total else 0.0,
            **self.before, "mass": float(kept), "reason": self.reason, **self.after,
        }])  # fmt: skip
        sides = arms(self.used, people, study, level)
        return Estimate(np.array([self.value]), np.array([float(kept)]), labels, self.parts, None, sides)
