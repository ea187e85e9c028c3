"""Who takes part in a comparison of people, and how alike two groups of them are. No outcome is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.errors import NotIdentifiedError, OptionError, Problem, StudyError, raise_problems, spelt, suggest
from evalkit.study import Study
from evalkit.study.frame import Columns
from evalkit.study.gaps import drawn, filled
from evalkit.study.index import per_unit
from evalkit.study.paths import UNKNOWN, Paths

UNCOUNTED = "nothing was counted of them"
"""Why people take no part in a rate, in which they weigh nothing."""
_LEFT_OUT = ("", "", "part-way on, or on before: neither with nor without", "already exposed when covariates were read",
             "exposure not known", "the component cannot reach them", "another component's exposure is not known",
             "no row in the period of the covariates", "a weight of zero", UNCOUNTED)  # fmt: skip
"""Why people of each status take no part; 0 and 1 are the comparison and the exposed people."""


@dataclass(frozen=True, eq=False)
class People:
    """m people who may be compared, in the order of the study.

    ids: (m,). rows: (m,) their rows in `study.paths`. exposed: (m,) bool. strata: (m,) people of
    one code may be compared: the others' path and the variables matched exactly. x: (m, q)
    covariates called `names`. base, period: positions of the periods of covariates and outcome.
    left_out: why and how many others take no part. weight: (m,) the study's weights, None where it has none.
    combination: (m,) code of the other components that they had, where people are compared within those."""

    component: str
    ids: np.ndarray
    rows: np.ndarray
    exposed: np.ndarray
    strata: np.ndarray
    x: np.ndarray
    names: tuple[str, ...]
    base: int
    period: int
    left_out: pd.DataFrame
    exact: tuple[str, ...] = ()
    weight: np.ndarray | None = None
    combination: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, keep: np.ndarray) -> People:
        """Some of them."""
        of_each = ("ids", "rows", "exposed", "strata", "x", "weight", "combination")
        return replace(self, **{n: v[keep] for n in of_each if (v := getattr(self, n)) is not None})

    @cached_property
    def comparable(self) -> np.ndarray:
        """(m,) people of whose combination of other components there are some with it and some without."""
        if self.combination is None:
            return np.ones(len(self), dtype=bool)
        both = [np.bincount(self.combination[a], minlength=self.combination.max() + 1) > 0
                for a in (self.exposed, ~self.exposed)]  # fmt: skip
        return (both[0] & both[1])[self.combination]

    @cached_property
    def regressors(self) -> np.ndarray:
        """(m, q + s) covariates, and a 0/1 column for each combination but one that has both arms: others' effects
        that go with the covariates are not theirs."""
        if self.combination is None:
            return self.x
        codes = np.unique(self.combination[self.comparable])[1:]
        return np.hstack([self.x, (self.combination[:, None] == codes).astype(float)]) if len(codes) else self.x

    @property
    def sizes(self) -> np.ndarray:
        """(m,) how many people each stands for: the study's weights, or ones."""
        return np.ones(len(self)) if self.weight is None else self.weight

    def target(self, estimand: str) -> np.ndarray:
        """(m,) those for whom an estimand speaks: the exposed (ATT), the comparison people (ATC), or everybody."""
        return {"ATT": self.exposed, "ATC": ~self.exposed}.get(estimand, np.ones(len(self), bool))

    def by_stratum(self) -> list[np.ndarray]:
        """Positions of the people of each stratum."""
        if (self.strata == self.strata[:1]).all():
            return [np.arange(len(self))]
        code = np.unique(self.strata, return_inverse=True)[1]
        order = np.argsort(code, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(code[order])) + 1)


@dataclass(frozen=True)
class Who:
    """What decides who is compared with whom, and on what."""

    others: str = "same"
    exact: tuple[str, ...] = ()
    covariates: tuple[str, ...] | str | None = None
    outcome_period: object = None
    covariate_period: object = None


def gather(study: Study, component: str, who: Who, uncounted: np.ndarray | None = None) -> People:
    """The people of a study who had `component` and those who did not, with covariates from before. A cross-section
    compares people by what they had; a panel those who started after the covariate period (default: the last period
    before anybody started) with those still without it at the outcome period (default: the last). uncounted: (n,) whose
    weight is zero because nothing was counted of them. Raises `OptionError`, `StudyError` (missing, text or infinite
    covariates) and `NotIdentifiedError` where an arm is empty."""
    paths = study.paths
    paths.need_rows("Comparing people")
    k = paths.index(component)
    base, period = periods_of(paths, k, who)
    status, others = status_of(paths, k, base, period), others_of(paths, component, base, period, who.others)
    status[(others < 0)[paths.path] & (status < 2)] = 6
    if paths.seen is not None:
        status[~paths.seen[:, base] & (status < 2)] = 7
    if paths.weights is not None:
        status[(paths.weights == 0) & (status < 2)] = 8
        if uncounted is not None:
            status[uncounted & (status == 8)] = 9
    rows, left_out = np.flatnonzero(status < 2), _left_out(component, status)
    x, names = covariates_of(study, who.covariates, rows, base)
    if who.others == "balanced":
        more, called = _exposures(paths, component, rows, base)
        x, names = np.hstack([x, more]), (*names, *called)
    codes = [others[paths.path[rows]]]
    for name in who.exact:
        codes.append(pd.factorize(read_column(study, name, rows, base), sort=False)[0])
        if len(gone := np.flatnonzero(codes[-1] < 0)):
            what = f"exact {name!r} is missing for {len(gone)} people"
            raise_problems([Problem(what, _first_ids(study, rows[gone]), "Fill these in.")])
    weight = None if paths.weights is None else paths.weights[rows]
    return People(
        component, paths.units[rows], rows, status[rows] == 1, joint_codes(codes), x, names, base, period, left_out,
        who.exact, weight, joint_codes(codes[:1]) if who.others == "same" else None,
    )  # fmt: skip


def joint_codes(codes: Sequence[np.ndarray]) -> np.ndarray:
    """One code for several."""
    out = np.zeros(len(codes[0]), dtype=np.int64)
    for c in codes:
        if (c == c[:1]).all():
            continue
        values, inverse = np.unique(c, return_inverse=True)
        out = out * len(values) + inverse
        if len(values) > 1:
            out = np.unique(out, return_inverse=True)[1]
    return out


def periods_of(paths: Paths, k: int, who: Who) -> tuple[int, int]:
    """Positions of the periods of covariates and outcome, for component k."""
    if paths.n_periods == 1:
        for name, value in (("outcome_period", who.outcome_period), ("covariate_period", who.covariate_period)):
            if value is not None:
                raise OptionError(f"{name}={spelt(value)} is for a panel; this study is a cross-section of people.")
        return 0, 0
    period = paths.n_periods - 1 if who.outcome_period is None else _period(paths, who.outcome_period, "outcome_period")
    if who.covariate_period is not None:
        base = _period(paths, who.covariate_period, "covariate_period")
    else:
        on = (paths.state[:, :, k] > 0) & (paths.state[:, :, k] != UNKNOWN)
        starts = 1 + np.flatnonzero((on[:, 1:] & ~on[:, :-1]).any(axis=0))
        base = int(starts[0]) - 1 if len(starts) else 0
    if base >= period:
        words = f"The covariates' period {paths.periods[base]} does not lie before the outcome's "
        raise OptionError(words + f"{paths.periods[period]}. Name covariate_period= and outcome_period=.")
    return base, period


def _period(paths: Paths, value: object, name: str) -> int:
    if found := [i for i, p in enumerate(paths.periods) if p == value or str(p) == str(value)]:
        return found[0]
    known = suggest(str(value), [str(p) for p in paths.periods], "The periods are")
    raise OptionError(f"{name}={spelt(value)} is not a period of this study. {known}")


def status_of(paths: Paths, k: int, base: int, period: int) -> np.ndarray:
    """(n,) 0 comparison, 1 exposed, above 1 left out."""
    state = paths.state[:, :, k].astype(int)
    window = state[:, base : period + 1]
    on, code = window > 0, np.full(len(state), 2)
    if base == period:
        code[on[:, 0]] = 1
        code[window[:, 0] == 0] = 0
    else:
        code[~on[:, 0] & on[:, 1:].any(axis=1) & (window[:, 0] == 0)] = 1
        code[(state[:, : period + 1] == 0).all(axis=1)] = 0
        code[on[:, 0]] = 3
    code[(window == UNKNOWN).any(axis=1)] = 4
    code[~paths.reach[:, k]] = 5
    return code[paths.path]


def others_of(paths: Paths, component: str, base: int, period: int, others: str) -> np.ndarray:
    """(P,) one code for the others' path from base to the outcome's period; -1 where not known."""
    states = paths.others(component)[:, base : period + 1]
    if others == "ignored":
        return np.zeros(paths.n_paths, dtype=np.int64)
    code = np.unique(states, axis=0, return_inverse=True)[1].ravel() if others == "same" else np.zeros(len(states), int)
    return np.where((states < 0).any(axis=1), -1, code)


def _exposures(paths: Paths, component: str, rows: np.ndarray, period: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """(m, p) a 0/1 column for every state of the other components that some of these people are in and others are not
    (off apart)."""
    columns, names = [], []
    for k, name in enumerate(paths.components):
        state = paths.state[paths.path[rows], period, k]
        for value in [] if name == component else np.unique(state[state > 0]):
            mine = state == value
            if not mine.all():
                columns.append(mine.astype(float))
                doses = paths.dose(k)
                names.append(name if len(doses) == 2 else f"{name} at dose {doses[value]:.4g}")
    return np.array(columns).reshape(-1, len(rows)).T, tuple(names)


def _left_out(component: str, status: np.ndarray) -> pd.DataFrame:
    """Why and how many people take no part. Raises `NotIdentifiedError` where that leaves an arm empty."""
    count = np.bincount(status, minlength=len(_LEFT_OUT))
    rows = [(reason, int(n)) for reason, n in zip(_LEFT_OUT, count, strict=True) if reason and n]
    if count[0] and count[1]:
        return pd.DataFrame(rows, columns=["reason", "people"])
    lacking = "without" if count[1] else "with"
    why = "; ".join(f"{n} left out: {reason}" for reason, n in rows)
    words = f"There is nobody {lacking} {component!r} to compare" + (f" ({why})." if why else ".") + " "
    raise NotIdentifiedError(words + "Matching needs people with it and people without it in the same study.")


def covariates_of(
    study: Study, chosen: tuple[str, ...] | str | None, rows: np.ndarray, base: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(m, q) covariates at the base period and their names; a text is a formula for formulaic. Raises `StudyError` for
    text, infinite, missing or constant covariates, all at once."""
    if isinstance(chosen, str):
        x, names = _formula(study, chosen, rows, base)
    else:
        wanted = tuple(study.covariates) if chosen is None else tuple(chosen)
        names = study.covariate_names(wanted)
        grid = study.covariate_values(wanted)[:, base, :] if names else np.zeros((study.paths.n_units, 0))
        x = grid if len(rows) == len(grid) else grid[rows]
        raise_problems(_of_nobody(x, names), StudyError)
        if study.missing != "refuse" and not np.isfinite(x).all():
            x, names = _without_gaps(study, grid, rows, base, names)
    problems = []
    for j, name in enumerate(names):
        gone = np.flatnonzero(~np.isfinite(x[:, j]))
        if len(gone):
            more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
            what = f"covariate {name!r} is missing for {len(gone)} people"
            where = f"{_first_ids(study, rows[gone])}{more}"
            problems.append(Problem(what, where, ADVICE))
        elif len(x) and (x[:, j] == x[0, j]).all():
            problems.append(Problem(f"covariate {name!r} is the same for everybody", "covariates", "Leave it out."))
    raise_problems(problems, StudyError)
    return np.ascontiguousarray(x), names


def _of_nobody(x: np.ndarray, names: tuple[str, ...]) -> list[Problem]:
    """Covariates that nobody has, so that nothing could be filled in from."""
    known = np.isfinite(x).any(axis=0) if len(x) else np.ones(len(names), dtype=bool)
    nobody = [n for n, some in zip(names, known, strict=True) if not some]
    return [Problem(f"covariate {n!r} is on record for nobody", "covariates", "Leave it out.") for n in nobody]


ADVICE = "Missing is not 0: fill in, or say missing = 'impute' or 'indicator' of the study."


def _without_gaps(
    study: Study, grid: np.ndarray, rows: np.ndarray, base: int, names: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Covariates of some rows of a grid (n, q) as the study fills them, and their names. A covariate of words has one
    column that says where it is missing."""
    if study.missing == "indicator":
        x = filled(grid[rows])
        gone = ~np.isfinite(grid[rows])
        homes = [names[j].split("=")[0] for j in np.flatnonzero(gone.any(axis=0))]
        own = [len(names) + homes.index(home) for home in dict.fromkeys(homes)]
        own = [j for j in own if 0 < x[:, j].mean() < 1]
        called = [f"{homes[j - len(names)]} missing" for j in own]
        return x[:, [*range(len(names)), *own]], (*names, *called)

    def fill() -> np.ndarray:
        paths = study.paths
        when = sorted({base, paths.n_periods - 1})
        states = [paths.state[paths.path, t, k] for t in when for k in range(len(paths.components))]
        outcomes = [study.values(o)[:, t] for t in when for o in study.outcomes]
        beside = np.column_stack([*np.unique(np.array(states, dtype=float), axis=0), *outcomes])
        here = np.arange(len(grid)) if paths.seen is None else np.flatnonzero(paths.seen[:, base])
        out = grid.copy()
        out[here] = drawn(grid[here], beside[here], study.filling or 0)
        return out

    return study.memo.get(("filled", names, base), fill)[rows], names


def read_column(study: Study, name: str, rows: np.ndarray, base: int) -> pd.Series:
    """A column of any kind, in the base period, for the people who take part."""
    columns, index = Columns(study.source, study.people), study._opened.index
    if not columns.has(name):
        raise_problems([columns.absent(name, "matching")])
    if not columns.in_panel(name):
        return per_unit(name, columns, index, study.unit).iloc[rows].reset_index(drop=True)
    at = rows * index.shape[1] + base if index.position is None else index.position[rows, base]
    return columns.panel.column(name).iloc[at].reset_index(drop=True)


def _first_ids(study: Study, rows: np.ndarray) -> str:
    return f"{study.unit} " + ", ".join(str(u) for u in study.paths.units[rows[:5]])


def _formula(study: Study, formula: str, rows: np.ndarray, base: int) -> tuple[np.ndarray, tuple[str, ...]]:
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    columns = Columns(study.source, study.people)
    try:
        needed = sorted(str(v) for v in Formula(formula).required_variables)
        frame = pd.DataFrame({v: read_column(study, v, rows, base) for v in needed if columns.has(v)})
        matrix = Formula(formula).get_model_matrix(frame, na_action="ignore")
    except FormulaicError as error:
        known = ", ".join(str(c) for c in columns.panel.columns)
        raise OptionError(f"covariates={formula!r} cannot be read ({error}). The columns are: {known}.") from None
    names = tuple(str(c) for c in matrix.columns if c != "Intercept")
    return np.asarray(matrix[list(names)], dtype=float), names


def is_binary(x: np.ndarray) -> np.ndarray:
    """(q,) whether a column holds at most two values, 0 and 1."""
    return ((x == 0) | (x == 1)).all(axis=0)


def weighted_variance(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(q,) weighted variances, unbiased for weights of one; p(1 - p) for binary columns."""
    total = w.sum()
    mean, divisor = w @ x / total, total - (w**2).sum() / total
    spread = w @ (x - mean) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(is_binary(x), mean * (1 - mean), spread / divisor if divisor > 0 else np.nan)


def ks_distances(x: np.ndarray, exposed: np.ndarray, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """(q,) largest gap of the two weighted distribution functions, for each of several weightings."""
    signed = [np.where(exposed, w / w[exposed].sum(), -w / w[~exposed].sum()) for w in weights]
    out = [np.empty(x.shape[1]) for _ in weights]
    for j, binary in enumerate(is_binary(x)):
        if binary:
            for k, s in enumerate(signed):
                out[k][j] = abs(s @ x[:, j])
            continue
        order = np.argsort(x[:, j])
        ordered = x[order, j]
        last = np.append(ordered[1:] != ordered[:-1], True)
        for k, s in enumerate(signed):
            out[k][j] = np.abs(np.cumsum(s[order])[last]).max()
    return out


def sample_table(people: People, weight: np.ndarray, used: str) -> pd.DataFrame:
    """By arm: people, people with a weight (in a column called `used`), and how many equally weighted people are worth
    as much, (sum w)^2 / sum w^2."""
    rows = []
    for arm, mine in (("exposed", people.exposed), ("comparison", ~people.exposed)):
        w = weight[mine]
        squares = (w**2).sum()
        effective = float(w.sum() ** 2 / squares) if squares > 0 else 0.0
        rows.append((arm, int(mine.sum()), int((w > 0).sum()), effective))
    return pd.DataFrame(rows, columns=["arm", "people", used, "effective"])


def dropped_table(people: People, why: np.ndarray) -> pd.DataFrame:
    """Who could have taken part and does not: id, arm, reason. why: (m,) texts, "" for those who do."""
    out = why != ""
    arm = np.where(people.exposed[out], "exposed", "comparison")
    return pd.DataFrame({"id": people.ids[out], "arm": arm, "reason": why[out]})


_COLUMNS = ("mean_exposed", "mean_comparison", "smd", "variance_ratio", "ks")
_WHOM = {
    "ATT": "people who had it",
    "ATC": "people who did not have it",
    "ATE": "everybody",
    "ATO": "people who might as well have had it as not",
}


def speaks_for(estimand: str, kept: int, total: int, who: str) -> str:
    """Whom an answer speaks for, with counts where not all of them can be compared. who: what is so of those who can
    be."""
    whom = _WHOM[estimand]
    if kept == total:
        return whom
    some, lost = "people" if estimand == "ATE" else whom, total - kept
    return f"those {some} who {who}: {kept} of {total}; for the other {lost} these data cannot say"


def balance_table(
    people: People, x: np.ndarray, names: tuple[str, ...], weights: np.ndarray, estimand: str
) -> pd.DataFrame:
    """A row a covariate: means, standardised mean differences (smd), variance ratios, KS distances, before and after.
    The unit of the smd is a standard deviation before matching: of the exposed (ATT), of the comparison (ATC), or the
    root of the mean of both variances (ATE). x: (m, q) columns called `names`. weights: (m,), 0 for those left out."""
    exposed, own, binary = people.exposed, people.sizes, is_binary(x)
    v1, v0 = weighted_variance(x[exposed], own[exposed]), weighted_variance(x[~exposed], own[~exposed])
    unit = np.sqrt({"ATT": v1, "ATC": v0}.get(estimand, (v1 + v0) / 2))
    out: dict[str, object] = {"covariate": list(names)}
    both_arms = weights[exposed].any() and weights[~exposed].any()
    weightings = {"before": own, "after": weights} if both_arms else {"before": own}
    for (when, w), distance in zip(weightings.items(), ks_distances(x, exposed, [*weightings.values()]), strict=True):
        keep = w > 0
        side = exposed[keep]
        one, zero, w1, w0 = x[keep][side], x[keep][~side], w[keep][side], w[keep][~side]
        m1, m0 = w1 @ one / w1.sum(), w0 @ zero / w0.sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(binary, np.nan, weighted_variance(one, w1) / weighted_variance(zero, w0))
            smd = np.where(m1 == m0, 0.0, (m1 - m0) / unit)
        out |= {f"{c}_{when}": v for c, v in zip(_COLUMNS, (m1, m0, smd, ratio, distance), strict=True)}
    return pd.DataFrame(out | ({} if both_arms else {f"{c}_after": np.nan for c in _COLUMNS}))
