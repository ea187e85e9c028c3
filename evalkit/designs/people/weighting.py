"""Weights from a propensity score, stratum by stratum, and the weighted difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from evalkit.designs.people.balance import balance_table, effective_size
from evalkit.designs.people.people import People
from evalkit.designs.people.score import fit_score
from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.show.words import of_people


@dataclass(frozen=True, eq=False)
class Weighed:
    """An estimate for m people. parts: (m,) contributions; weight: (m,), None where there are none.

    reason: why the value is NaN. stands_for: (m,) how much of the people whom it speaks for each person is, and adds to
    their number by moving the score: None where that is told by the arms. left_out: (m,) why each is not weighed, ""
    where they are.
    """

    value: float
    parts: np.ndarray
    weight: np.ndarray | None = None
    reason: str = ""
    stands_for: tuple[np.ndarray, np.ndarray] | None = None
    left_out: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """Propensity scores of m people. design: (m, q) columns of the logit behind them, None when a model of
    the user's made them (then they are taken as known). moved: whether a score was not clipped. size: (m,) people
    whom each stands for. fitted: (m,) scores before they were clipped."""

    value: np.ndarray
    design: np.ndarray | None
    moved: np.ndarray
    size: np.ndarray
    fitted: np.ndarray

    def drag(self, lean: np.ndarray, exposed: np.ndarray) -> np.ndarray:
        """(m,) what each person adds to a number through the score. lean: (q,) the number by the score's coefficients;
        zeros where the scores are taken as known."""
        if self.design is None:
            return np.zeros(len(self.value))
        e = self.fitted
        gram = (self.design * (self.size * e * (1 - e))[:, None]).T @ self.design
        return np.asarray(self.size * (exposed - e) * (self.design @ np.linalg.solve(gram, lean)))

    def lean(self, slope: np.ndarray) -> np.ndarray:
        """(q,) the derivative by the coefficients of a sum whose terms have the derivatives `slope` (m,) by the
        logit."""
        return np.zeros(0) if self.design is None else slope @ self.design


def own_scores(people: People, clip: float | None) -> Scores:
    """Scores by the logit of this package."""
    x = people.x
    score = fit_score(x, people.exposed, people.weight)
    centre, scale = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack([np.ones(len(x)), (x - centre) / np.where(scale > 0, scale, 1.0)])[:, score.kept]
    return clipped(score.value, design, clip, people.sizes)


def clipped(value: np.ndarray, design: np.ndarray | None, clip: float | None, size: np.ndarray) -> Scores:
    """Scores kept away from 0 and 1 by `clip`."""
    if clip is None:
        return Scores(value, design, np.ones(len(value), dtype=bool), size, value)
    inside = (value >= clip) & (value <= 1 - clip)
    return Scores(value.clip(clip, 1 - clip), design, inside, size, value)


def learn(model: Any, people: People, y: np.ndarray) -> Any:
    """A copy of the user's estimator, fitted to some people with the study's weights. Raises `OptionError` where it
    takes none."""
    from sklearn.base import clone
    from sklearn.utils.validation import has_fit_parameter

    if people.weight is None:
        return clone(model).fit(people.x, y)
    if not has_fit_parameter(model, "sample_weight"):
        raise OptionError(
            f"{type(model).__name__} cannot take the study's weights (its fit has no sample_weight). Use an estimator "
            "that can, or a study without weights."
        )
    return clone(model).fit(people.x, y, sample_weight=people.weight)


def score_weights(e: np.ndarray, exposed: np.ndarray, estimand: str) -> tuple[np.ndarray, np.ndarray]:
    """(m,) weights and their derivatives by the logit: ATT, ATC, ATE, or ATO (overlap weights; Li, Morgan and
    Zaslavsky 2018)."""
    t = exposed
    one, zero = np.ones_like(e), np.zeros_like(e)
    with np.errstate(divide="ignore"):  # a score of 0 or 1 counts in the other arm only
        odds = e / (1 - e)
        w1, w0, d1, d0 = {
            "ATT": (one, odds, zero, odds),
            "ATC": (1 / odds, one, -1 / odds, zero),
            "ATE": (1 / e, 1 / (1 - e), -1 / odds, odds),
            "ATO": (1 - e, e, -e * (1 - e), e * (1 - e)),
        }[estimand]
    return np.where(t, w1, w0), np.where(t, d1, d0)


def too_sure(e: np.ndarray, exposed: np.ndarray, estimand: str) -> str:
    """Why scores of exactly 0 or 1 leave nothing to weigh: a weight without end, or an arm without weight; else ""."""
    no, yes = e == 0, e == 1
    endless = {"ATT": yes & ~exposed, "ATC": no & exposed, "ATE": np.where(exposed, no, yes)}
    nobody = {"ATT": no[~exposed].all(), "ATC": yes[exposed].all()}
    nobody["ATO"] = nobody["ATT"] or nobody["ATC"]
    over = int(endless[estimand].sum()) if estimand in endless else 0
    if not over and not nobody.get(estimand, False):
        return ""
    counts = [
        f"{of_people(int(no[a].sum()), 'of 0')} and {of_people(int(yes[a].sum()), 'of 1')} among {int(a.sum())}"
        for a in (exposed, ~exposed)
    ]
    endless_words = f"the weight of {of_people(over, 'would')} have no end"
    why = endless_words if over else "nobody in one arm can stand for the other"
    return (
        f"scores of exactly 0 or 1 ({of_people(counts[0])} with it, {of_people(counts[1], 'without')}): {why}. "
        "Use a model that is less sure of people, or clip the scores"
    )


def ipw(y: np.ndarray, exposed: np.ndarray, scores: Scores, estimand: str) -> Weighed:
    """Difference of weighted means (Hajek), the estimated score's part in each contribution included.

    Stacked moments of the logit and of the two means (Lunceford and Davidian 2004, section 2.4): taking the weights
    as known would be half as wide again in our simulations. NaN with its reason where scores are 0 or 1.
    """
    if reason := too_sure(scores.value, exposed, estimand):
        return Weighed(float("nan"), np.zeros(len(y)), np.zeros(len(y)), reason)
    w, slope = score_weights(scores.value, exposed, estimand)
    w, slope = scores.size * w, scores.size * np.where(scores.moved, slope, 0.0)
    parts, pull = np.zeros(len(y)), np.zeros(len(y))
    means = []
    for arm, sign in ((exposed, 1.0), (~exposed, -1.0)):
        total = w[arm].sum()
        mean = float(w[arm] @ y[arm] / total)
        residual = np.where(arm, y - mean, 0.0)
        parts += sign * w * residual / total
        pull += sign * slope * residual / total
        means.append(mean)
    parts += scores.drag(scores.lean(pull), exposed)
    stands = _overlapping(scores, exposed) if estimand == "ATO" else None
    return Weighed(means[0] - means[1], parts, w, stands_for=stands)


def _overlapping(scores: Scores, exposed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of whom overlap weights speak: e(1 - e) of each person, and what each adds to the sum through the score."""
    e = scores.value
    share = scores.size * e * (1 - e)
    slope = np.where(scores.moved, share * (1 - 2 * e), 0.0)
    return share, scores.drag(scores.lean(slope), exposed)


SMALL = "their combination of other components has fewer than {least} people in an arm"
ONE = Callable[[People, np.ndarray], Weighed]


@dataclass(frozen=True, eq=False)
class Weighting:
    """Weights of people before any outcome: `.weights` by id, `.balance()`, `.sample`, `.dropped`. weight: (m,), 0 for
    those in strata that cannot be weighed; left_out: (m,) why, "" for everybody else."""

    people: People
    estimand: str
    weight: np.ndarray
    notes: tuple[str, ...] = ()
    left_out: np.ndarray | None = None

    @property
    def dropped(self) -> pd.DataFrame:
        """Who could have taken part and is not weighed: id, arm, reason."""
        why = np.full(len(self.people), "", dtype=object) if self.left_out is None else self.left_out
        out = why != ""
        arm = np.where(self.people.exposed[out], "exposed", "comparison")
        return pd.DataFrame({"id": self.people.ids[out], "arm": arm, "reason": why[out]})

    @property
    def weights(self) -> pd.Series:
        """Weight of each person, by id."""
        return pd.Series(self.weight, index=pd.Index(self.people.ids, name="id"), name="weight")

    def balance(self) -> pd.DataFrame:
        """Standardised mean differences, variance ratios and KS distances, before and after."""
        kind = "ATE" if self.estimand == "ATO" else self.estimand
        return balance_table(self.people, self.people.x, self.people.names, self.weight, kind)

    @property
    def sample(self) -> pd.DataFrame:
        """People, people weighed, effective sample size and the largest share one person has, by arm."""
        rows = []
        for arm, mine in (("exposed", self.people.exposed), ("comparison", ~self.people.exposed)):
            w = self.weight[mine]
            top = float(w.max() / w.sum()) if w.sum() > 0 else 0.0
            rows.append((arm, int(mine.sum()), int((w > 0).sum()), effective_size(w), top))
        return pd.DataFrame(rows, columns=["arm", "people", "weighed", "effective", "largest_share"])


def usable_strata(people: People, least: int) -> list[np.ndarray]:
    """Positions of the strata with at least `least` people in each arm."""
    _, code = np.unique(people.strata, return_inverse=True)
    order = np.argsort(code, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
    enough = lambda g: min(people.exposed[g].sum(), (~people.exposed[g]).sum()) >= least  # noqa: E731
    return [np.sort(g) for g in groups if enough(g)]


def by_stratum(people: People, y: np.ndarray, estimand: str, least: int, one: ONE) -> Weighed:
    """The mean of the strata's estimates, weighed by the people whom the estimand speaks for.

    The shares are estimated, so each of those people also adds (stratum's value - value) / N, all with the study's
    weights. For overlap weights a person is e(1 - e) of those people. Strata that cannot be weighed are left out, with
    the reason (`left_out`). NaN without a stratum that can be weighed; raises `NotIdentifiedError` where no weights
    balance any.
    """
    found, left_out, failed = _each(people, y, least, one)
    if not found:
        nothing = np.zeros(len(people))
        return Weighed(float("nan"), nothing, nothing.copy(), _reason(failed), left_out=left_out)
    return replace(_together(people, estimand, found), left_out=left_out)


def _each(
    people: People, y: np.ndarray, least: int, one: ONE
) -> tuple[list[tuple[np.ndarray, Weighed]], np.ndarray, list[str]]:
    """Each stratum that can be weighed with its estimate, why everybody else is left out, and why strata that are
    large enough are."""
    left_out = np.full(len(people), SMALL.format(least=least), dtype=object)
    found, failed, errors = [], [], 0
    for g in usable_strata(people, least):
        try:
            got = one(people.take(g), y[g])
            why = got.reason
        except NotIdentifiedError as error:
            got, why, errors = None, str(error), errors + 1
        left_out[g] = why.split(". ")[0].rstrip(".")
        if got is not None and not why:
            found.append((g, got))
        else:
            failed.append(why)
    if errors and not found:
        raise NotIdentifiedError(_reason(failed))
    return found, left_out, failed


def _reason(failed: list[str]) -> str:
    """Why no stratum that is large enough can be weighed, "" where there is none."""
    if len(failed) < 2:
        return "".join(failed)
    return f"none of {len(failed)} combinations of other components can be weighed. The first: {failed[0]}"


def _together(people: People, estimand: str, found: list[tuple[np.ndarray, Weighed]]) -> Weighed:
    target = {"ATT": people.exposed, "ATC": ~people.exposed}.get(estimand, np.ones(len(people), bool))
    parts, weight = np.zeros(len(people)), np.zeros(len(people))
    mass = np.where(target, people.sizes, 0.0)
    none = np.zeros(len(people))
    stands = [f.stands_for or (mass[g], none[g]) for g, f in found]
    size = np.array([share.sum() for share, _ in stands])
    total = size.sum()
    value = float(sum(n * f.value for n, (_, f) in zip(size, found, strict=True)) / total)
    for (g, f), n, (share, drag) in zip(found, size, stands, strict=True):
        parts[g] = n / total * f.parts + (share + drag) * (f.value - value) / total
        if f.weight is None:
            weight[g] = people.sizes[g]
            continue
        for arm in (people.exposed[g], ~people.exposed[g]):
            weight[g[arm]] = f.weight[arm] * n / f.weight[arm].sum()
    return Weighed(value, parts, weight)


def left_out_words(people: People, left_out: np.ndarray) -> str:
    """How many of each arm are not weighed, reason by reason; "" where everybody is."""
    said = []
    for why in dict.fromkeys(str(w) for w in left_out if w):
        mine = left_out == why
        with_it = int((mine & people.exposed).sum())
        said.append(f"{with_it} exposed and {int(mine.sum()) - with_it} comparison people: {why}")
    return "; ".join(said)
