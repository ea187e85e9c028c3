"""For whom: does the effect of a component differ between kinds of people? With honest intervals, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
import pandas as pd
from scipy.special import fdtrc, stdtrit

from evalkit.checks.headline import CheckResult
from evalkit.designs.people.distances import fit_score
from evalkit.designs.people.estimating import cluster_level
from evalkit.designs.people.people import People, Who, gather, read_column
from evalkit.designs.people.weighting import CrossFit, aipw
from evalkit.disclosure.rules import Rules, rules_of
from evalkit.errors import OptionError, check_choice, spelt
from evalkit.evaluation.predicted import Scored, beyond_groups, calibration_of, dummies, halves
from evalkit.inference.intervals import check_level, holm
from evalkit.progress import step
from evalkit.show.words import join_words
from evalkit.study import Study

FEWEST, ARM = 400, 100
EXTREME, MOST_EXTREME = 0.02, 0.2
REPEATS = 3
ROUNDING = 1e-12
_COLUMNS = ["by", "group", "people", "exposed", "estimate", "std_error", "conf_low", "conf_high", "reason"]

_POLICIES = ["policy", "share", "estimate", "std_error", "conf_low", "conf_high", "reason"]


@dataclass(frozen=True, eq=False)
class ForWhom:
    """Effects by kind of people.

    table: by, group, people, exposed, estimate, std_error, conf_low, conf_high, reason; NaN where a group is too
        small to be shown, by `smallest` or the study's disclosure rule. differences: by, p_value, p_adjusted (Holm
        over `by`) of "the effect is the same in every group", NaN where nobody was compared. calibration: are effects
        by group, predicted from half the people, borne out in the other half? beyond: do covariates tell more of the
        effect than the groups do? "failed" where they do. quarters: as `table`, of the half that was held back, by
        quarter of the effect that covariates and groups predict. policies: what it would come to, for each person of
        all, to give it to everybody, to one group, or to those predicted to gain (told by people who were held back),
        beside giving it to nobody: policy, share (of people who would be given it), estimate, std_error, conf_low,
        conf_high, reason. words: what it comes to. reason: why nothing is given, "" otherwise."""

    component: str
    table: pd.DataFrame
    differences: pd.DataFrame
    calibration: CheckResult
    beyond: CheckResult
    quarters: pd.DataFrame
    policies: pd.DataFrame
    words: str
    reason: str = ""

    def __repr__(self) -> str:
        return f"For whom ({self.component}): {self.words}\n{self.table.to_string(index=False)}"

    def _repr_html_(self) -> str:
        from evalkit.show.tables import from_frame

        return from_frame(self.table, f"For whom: {self.words}").to_html()


def for_whom(
    study: Study, component: str, by: Sequence[str] | str, *, level: float = 0.95, smallest: int = 10, seed: int = 0,
    learner: str = "line",
) -> ForWhom:  # fmt: skip
    """Average effects of a component by groups of people, from cross-fitted doubly robust scores.

    by: columns read when covariates are; numbers with more than six values are cut into thirds. The effect in a group
    is the mean of its people's scores (Chernozhukov et al. 2018; Semenova and Chernozhukov 2021), of everybody in it,
    not only those who had the component, with the study's weights. smallest: fewest people in either arm of a group
    that is shown; the study's own disclosure rule holds where it asks for more.

    learner: how effects are predicted beyond the groups, from half the people, and held against the other half
    (econml's DRTester): by a "line" in covariates and groups (its LinearDRLearner), or by a "forest" that may bend (its
    ForestDRLearner). Refuses, with the reason, below 400
    people or 100 in an arm, where the score of a fifth of them is all but 0 or 1, or where the outcome does not vary.
    Raises `OptionError` for unknown columns, a study without covariates, or when econml is absent."""
    check_level(level)
    check_choice("learner", learner, ("line", "forest"))
    study = study.in_people.weighing()
    rules = rules_of(study)
    if isinstance(smallest, bool) or not isinstance(smallest, Integral) or smallest < 1:
        raise OptionError(f"smallest={spelt(smallest)} is not a number of people. Give a whole number from 1.")
    names, smallest = [by] if isinstance(by, str) else list(by), max(int(smallest), rules.count)
    if not names:
        raise OptionError("for_whom needs at least one column in by=[...].")
    people = _supported(gather(study, component, Who()))
    _check_columns(study, people, names)
    kinds = {name: _kinds(read_column(study, name, people.rows, people.base)) for name in names}
    y = study.values()[people.rows, people.period]
    seen = np.isfinite(y)
    kinds = {name: k[seen] for name, k in kinds.items()}
    people, y = people.take(seen), y[seen]
    code = np.unique(people.strata, return_inverse=True)[1]
    x = np.hstack([people.x, (code[:, None] == np.arange(1, code.max(initial=0) + 1)).astype(float)])
    why = _why_not(people, x, y, rules)
    if why:
        return _refusal(component, kinds, people, why)
    level_name = cluster_level(study, component)
    groups = None if level_name is None else study.paths.levels[level_name].codes[people.rows]
    step(f"{study.component(component).label}: for whom, by {join_words(names)}")
    scored = Scored(people, x, y, _scores(people, x, y, groups, seed), groups, learner)
    table = pd.concat([_rows(scored, n, k, level, smallest, rules) for n, k in kinds.items()], ignore_index=True)
    differences = _differences(scored, kinds, smallest)
    groups_of = dummies(scored, {n: _shown(scored, k, smallest) for n, k in kinds.items()})
    step(f"{study.component(component).label}: is it so among people held out")
    first = halves(scored, seed)
    calibration = calibration_of(scored, groups_of, first, seed)
    beyond, held, kind, predicted = beyond_groups(scored, groups_of, first, seed)
    quarters = _rows(held, "predicted effect", kind, level, smallest, rules)
    good = 1.0 if study.outcome().better == "higher" else -1.0
    shown = {n: (k, table.loc[(table["by"] == n) & table["estimate"].notna(), "group"]) for n, k in kinds.items()}
    policies = _policies(scored, shown, (held, good * predicted > 0), level, smallest)
    words = _words(table, differences, calibration, beyond)
    return ForWhom(component, table, differences, calibration, beyond, quarters, policies, words)


def _check_columns(study: Study, people: People, names: list[str]) -> None:
    if not people.names:
        words = "for_whom compares people who are alike, and this study names no covariates by which to tell. "
        raise OptionError(words + "Name them: Study(..., covariates=[...]).")
    outcomes = {o.column for o in study.outcomes}
    after = [n for n in names if n in outcomes] if people.base == people.period else []
    if after:
        words = f"by={after[0]!r} is an outcome, read when the component may already have changed it. "
        raise OptionError(words + "Group people by what was so before.")


def _supported(people: People) -> People:
    """Those whose combination of other components has people in both arms."""
    code = np.unique(people.strata, return_inverse=True)[1]
    size, mine = np.bincount(code), np.bincount(code, weights=people.exposed)
    good = (np.minimum(mine, size - mine) > people.x.shape[1] + 1)[code]
    return people.take(good)


def _kinds(series: pd.Series) -> np.ndarray:
    """(m,) the group of each person as text; thirds of a number with many values."""
    if pd.api.types.is_numeric_dtype(series) and series.nunique() > 6:
        edges = np.unique(np.nanquantile(series.to_numpy(dtype=float), [0, 1 / 3, 2 / 3, 1]))
        cut = pd.cut(series, edges, include_lowest=True)
        low = cut.map(lambda i: f"{max(i.left, edges[0]):.3g} to {i.right:.3g}").astype(object)
        return np.where(series.isna(), "not recorded", low.to_numpy(dtype=object)).astype(object)
    return np.where(series.isna(), "not recorded", series.astype(str)).astype(object)


def in_order(kinds: np.ndarray) -> list[str]:
    """The groups in the order of their numbers (10 after 9), then those without by name, "not recorded" last."""

    def key(kind: str) -> tuple[int, float, str]:
        try:
            return 0, float(kind.partition(" to ")[0]), kind
        except ValueError:
            return (2 if kind == "not recorded" else 1), 0.0, kind

    return sorted(set(kinds), key=key)


def _why_not(people: People, x: np.ndarray, y: np.ndarray, rules: Rules) -> str:
    arm = int(min(people.exposed.sum(), (~people.exposed).sum())) if len(people) else 0
    if len(people) < FEWEST or arm < ARM:
        counts = [f"fewer than {rules.count}" if rules.small(n) else str(rules.shown(n)) for n in (len(people), arm)]
        few = f"{counts[0]} people, {counts[1]} in the smaller arm"
        return f"{few}: too few to tell kinds of people apart (it takes {FEWEST} and {ARM})"
    if np.ptp(y) == 0:
        return "the outcome is the same for everybody"
    e = fit_score(x, people.exposed).value
    extreme = float(((e < EXTREME) | (e > 1 - EXTREME)).mean())
    if extreme > MOST_EXTREME:
        alone = f"{extreme:.0%} of people have nobody like them in the other arm"
        return f"{alone}: no overlap to compare kinds of people in"
    return ""


def _scores(people: People, x: np.ndarray, y: np.ndarray, groups: np.ndarray | None, seed: int) -> np.ndarray:
    whole = None if groups is None or len(np.unique(groups)) < 10 else groups
    known, total, share = replace(people, x=x), np.zeros(len(y)), people.sizes / people.sizes.sum()
    for r in range(REPEATS):
        found = aipw(y, known, "ATE", CrossFit(5, 1, seed + 1000 * r, whole, clip=0.01))
        total += found.parts / share + found.value
    return total / REPEATS


def _part(s: Scored, mine: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean score of some people, with the study's weights, and (m,) everybody's part in it."""
    share = np.where(mine, s.people.sizes, 0.0)
    share /= share.sum()
    value = float(share @ s.psi)
    return value, share * (s.psi - value)


def _policies(
    s: Scored, shown: dict[str, tuple[np.ndarray, pd.Series]], told: tuple[Scored, np.ndarray], level: float,
    smallest: int,
) -> pd.DataFrame:  # fmt: skip
    """What giving it to some comes to for each person of all, beside giving it to nobody: the mean of the scores of
    those who would be given it, and 0 of the others (Athey and Wager 2021, Econometrica 89). shown: groups that may be
    shown, by column. told: people held back, and whether each was predicted to gain."""
    everybody = np.ones(len(s.psi), dtype=bool)
    rows = [("everybody", s, everybody)]
    rows += [(f"{name}: {kind}", s, kinds == kind) for name, (kinds, groups) in shown.items() for kind in groups]
    rows.append(("those predicted to gain", *told))
    out: list[dict[str, object]] = []
    for policy, of, given in rows:
        row: dict[str, object] = {"policy": policy, "reason": ""}
        out.append(row)
        if len(given) and min(given.sum(), (~given).sum() or smallest) < smallest:
            row["reason"] = f"fewer than {smallest} people would be given it, or would not"
        elif not len(given) or (error := _error(of, gap := _given(of, given), gap.sum())) is None:
            row["reason"] = "too few people to say"
        else:
            value, reach = float(gap.sum()), error[0] * stdtrit(error[1], 0.5 + level / 2)
            share = round(float(of.people.sizes @ given / of.people.sizes.sum()), 2)
            row |= {"share": share, "estimate": value, "std_error": error[0], "conf_low": value - reach,
                    "conf_high": value + reach}  # fmt: skip
    return pd.DataFrame(out, columns=_POLICIES)


def _given(s: Scored, given: np.ndarray) -> np.ndarray:
    """(m,) each person's share of the mean score of those who would be given it."""
    return np.asarray(s.people.sizes / s.people.sizes.sum() * np.where(given, s.psi, 0.0))


def _error(s: Scored, gap: np.ndarray, value: float) -> tuple[float, float] | None:
    """Standard error of a mean by its shares, summed by cluster, and degrees of freedom; None below two clusters."""
    own = gap - s.people.sizes / s.people.sizes.sum() * value
    if s.groups is not None:
        own = np.bincount(np.unique(s.groups, return_inverse=True)[1], weights=own)
    n = len(own)
    return None if n < 2 else (float(np.sqrt(n / (n - 1) * (own**2).sum())), n - 1.0)


def _rows(s: Scored, name: str, kinds: np.ndarray, level: float, smallest: int, rules: Rules) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for kind in in_order(kinds):
        mine = kinds == kind
        exposed = int(s.people.exposed[mine].sum())
        row: dict[str, object] = {"by": name, "group": kind, "reason": ""}
        rows.append(row)
        if min(exposed, int(mine.sum()) - exposed) < smallest:
            row["reason"] = f"fewer than {smallest} people with it or without it"
            continue
        row |= {"people": rules.shown(int(mine.sum())), "exposed": rules.shown(exposed)}
        value, part = _part(s, mine)
        gap = part[mine]
        if s.groups is not None:
            gap = np.bincount(s.groups[mine], weights=gap)[np.unique(s.groups[mine])]
        n = len(gap)
        if n < 2:
            row["reason"] = "all in one cluster: no standard error"
            continue
        se = float(np.sqrt(n / (n - 1) * (gap**2).sum()))
        if not se > ROUNDING * np.abs(s.y).max():
            row["reason"] = "nothing varies: no standard error"
            continue
        reach = stdtrit(n - 1.0, 0.5 + level / 2) * se
        row |= {"estimate": value, "std_error": se, "conf_low": value - reach, "conf_high": value + reach}
    return pd.DataFrame(rows, columns=_COLUMNS)


def _differences(s: Scored, kinds: dict[str, np.ndarray], smallest: int) -> pd.DataFrame:
    """Wald tests (F) that the groups of one column have the same mean score, on contributions summed by cluster."""
    p = np.full(len(kinds), np.nan)
    for i, values in enumerate(kinds.values()):
        masks = [values == k for k in sorted(set(values))]
        masks = [m for m in masks if min((m & s.people.exposed).sum(), (m & ~s.people.exposed).sum()) >= smallest]
        if len(masks) < 2:
            continue
        found = [_part(s, m) for m in masks]
        means, parts = np.array([v for v, _ in found]), np.column_stack([own for _, own in found])
        if s.groups is not None:
            code = np.unique(s.groups, return_inverse=True)[1]
            parts = np.column_stack([np.bincount(code, weights=c) for c in parts.T])
        n, k = len(parts), len(masks) - 1
        gap = means[1:] - means[0]
        vcov = np.cov((parts[:, 1:] - parts[:, :1]).T * np.sqrt(n), ddof=1).reshape(k, k)
        if n > k + 1:
            p[i] = fdtrc(k, n - 1 - k, float(gap @ np.linalg.pinv(vcov) @ gap) / k)
    return pd.DataFrame({"by": list(kinds), "p_value": p, "p_adjusted": holm(p)})


def _shown(s: Scored, kinds: np.ndarray, smallest: int) -> np.ndarray:
    """Groups too small to be shown are joined to the largest."""
    names, code, size = np.unique(kinds.astype(str), return_inverse=True, return_counts=True)
    exposed = np.bincount(code, weights=s.people.exposed)
    small = np.minimum(exposed, size - exposed) < smallest
    return np.where(small, names[size.argmax()], names)[code]


def _refusal(component: str, kinds: dict[str, np.ndarray], people: People, why: str) -> ForWhom:
    rows = [{"by": n, "group": k, "reason": why} for n, values in kinds.items() for k in in_order(values)]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    nothing = pd.DataFrame({"by": list(kinds), "p_value": np.nan, "p_adjusted": np.nan})
    one, two = (CheckResult(n, "informational", "Nothing was estimated.") for n in ("calibration", "beyond_groups"))
    policies = pd.DataFrame(columns=_POLICIES)
    return ForWhom(
        component, table, nothing, one, two, table[:0], policies, f"These data cannot say for whom: {why}.", why
    )


def _words(table: pd.DataFrame, differences: pd.DataFrame, calibration: CheckResult, beyond: CheckResult) -> str:
    compared = differences["p_value"].notna()
    surely, sentences = list(differences.loc[differences["p_adjusted"] < 0.05, "by"]), []
    if surely:
        sentences.append(f"The effect differs by {join_words(surely)} by more than chance.")
        sentences += [] if calibration.status == "passed" else [calibration.words]
    elif compared.any():
        no_sign = f"No clear sign that the effect differs by {join_words(list(differences.loc[compared, 'by']))}; "
        sentences.append(no_sign + "that is not a sign that it is the same for all.")
    for name in differences.loc[~compared, "by"]:  # a test that was not made is no sign of anything
        shown = table.loc[table["by"] == name, "estimate"].notna()
        why = "only one of its groups can be shown" if shown.any() else "none of its groups can be shown"
        if len(shown) == 1:
            why = "it puts everybody in one group"
        elif shown.sum() > 1:
            why = "there are too few clusters"
        sentences.append(f"Nobody was compared by {name}: {why}.")
    return " ".join([*sentences, *([beyond.words] if beyond.status == "failed" else [])])
