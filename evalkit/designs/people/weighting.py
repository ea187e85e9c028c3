"""Weights of people, by a propensity score or by balance of covariates, and the weighted difference, by stratum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import special

from evalkit.designs.logit import independent
from evalkit.designs.people.balance import balance_table, by_id, dropped_table, is_binary, sample_table
from evalkit.designs.people.people import People
from evalkit.designs.people.score import Scores, standardised, too_sure
from evalkit.errors import NotIdentifiedError

MOST_STEPS = 200
MOST_TERMS = 30
SURE = 0.01


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
    parts += scores.through(pull, exposed)
    stands = _overlapping(scores, exposed) if estimand == "ATO" else None
    return Weighed(means[0] - means[1], parts, w, stands_for=stands)


def _overlapping(scores: Scores, exposed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of whom overlap weights speak: e(1 - e) of each person, and what each adds to the sum through the score."""
    e = scores.value
    share = scores.size * e * (1 - e)
    slope = np.where(scores.moved, share * (1 - 2 * e), 0.0)
    return share, scores.through(slope, exposed)


def balance_weights(x: np.ndarray, target: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(m,) weights, summing to one and nearest to `size` (m,), with weighted means of x (m, q) equal to `target`
    (Hainmueller 2012).

    Newton's method on the dual, with step halving. Raises `NotIdentifiedError` where no weights do it.
    """
    z = x - target
    scale = x.std(axis=0)
    z = z / np.where(scale > 0, scale, 1.0)
    kept = independent(np.column_stack([np.ones(len(z)), z]))
    z = z[:, kept[kept > 0] - 1]
    lam, base = np.zeros(z.shape[1]), np.log(size)
    dual, w = _dual(z, lam, base)
    for _ in range(MOST_STEPS):
        gap = w @ z
        if np.abs(gap).max(initial=0.0) < 1e-11:
            break
        hess = (z * w[:, None]).T @ z - np.outer(gap, gap)
        step = np.linalg.lstsq(hess, gap, rcond=None)[0]
        stride = 1.0
        new, trial = _dual(z, lam - step, base)
        while new > dual - 1e-4 * stride * (step @ gap) and stride > 1e-8:
            stride /= 2
            new, trial = _dual(z, lam - stride * step, base)
        lam, dual, w = lam - stride * step, new, trial
    full = (x - target) / np.where(scale > 0, scale, 1.0)
    if np.abs(w @ full).max(initial=0.0) > 1e-6:
        raise NotIdentifiedError(
            "No weights make those with it and those without it alike in all that is recorded: the ones lie outside "
            "the range of the others. Fewer covariates, or matching within a caliper, may still compare some of them."
        )
    return w


def _dual(z: np.ndarray, lam: np.ndarray, base: np.ndarray) -> tuple[float, np.ndarray]:
    u = z @ lam + base
    top = u.max()
    w = np.exp(u - top)
    total = w.sum()
    return float(top + np.log(total)), w / total


def entropy(y: np.ndarray, people: People, estimand: str) -> Weighed:
    """Difference of entropy-balanced means; contributions count the weights as estimated.

    Each arm is balanced to the means of the estimand's people. A contribution is the residual of the weighted
    regression of y on x in the arm, plus what the person adds to the target means.
    """
    exposed = people.exposed
    target = people.target(estimand)
    weight, parts, means = np.zeros(len(y)), np.zeros(len(y)), []
    for arm, sign in ((exposed, 1.0), (~exposed, -1.0)):
        mean, part, w = _balanced_mean(y, people, arm, target)
        weight[arm] = w * people.sizes[target].sum()
        parts += sign * part
        means.append(mean)
    return Weighed(means[0] - means[1], parts, weight)


def _balanced_mean(
    y: np.ndarray, people: People, arm: np.ndarray, target: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    parts, x, size = np.zeros(len(y)), people.x, people.sizes
    share = size / size[target].sum()
    if np.array_equal(arm, target):
        mean = float(share[arm] @ y[arm])
        parts[arm] = share[arm] * (y[arm] - mean)
        return mean, parts, share[arm]
    goal = share[target] @ x[target]
    w = balance_weights(x[arm], goal, size[arm])
    mean = float(w @ y[arm])
    z = x[arm] - goal
    slope = np.linalg.lstsq((z * w[:, None]).T @ z, (z * w[:, None]).T @ (y[arm] - mean), rcond=None)[0]
    parts[arm] += w * (y[arm] - mean - z @ slope)
    parts[target] += share[target] * ((x[target] - goal) @ slope)
    return mean, parts, w


SMALL = "their combination of other components has fewer than {least} people in an arm"
One = Callable[[People, np.ndarray], Weighed]


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
        return dropped_table(self.people, why)

    @property
    def weights(self) -> pd.Series:
        """Weight of each person, by id."""
        return by_id(self.people, self.weight)

    def balance(self) -> pd.DataFrame:
        """Standardised mean differences, variance ratios and KS distances, before and after."""
        kind = "ATE" if self.estimand == "ATO" else self.estimand
        return balance_table(self.people, self.people.x, self.people.names, self.weight, kind)

    @property
    def sample(self) -> pd.DataFrame:
        """People, people weighed, effective sample size and the largest share one person has, by arm."""
        arms = (self.weight[self.people.exposed], self.weight[~self.people.exposed])
        share = [float(w.max() / w.sum()) if w.sum() > 0 else 0.0 for w in arms]
        return sample_table(self.people, self.weight, "weighed").assign(largest_share=share)


def usable_strata(people: People, least: int) -> list[np.ndarray]:
    """Positions of the strata with at least `least` people in each arm."""
    t = people.exposed
    return [g for g in people.by_stratum() if min(t[g].sum(), (~t[g]).sum()) >= least]


def by_stratum(people: People, y: np.ndarray, estimand: str, least: int, fit: One) -> Weighed:
    """The mean of the strata's estimates, weighed by the people whom the estimand speaks for.

    The shares are estimated, so each of those people also adds (stratum's value - value) / N, all with the study's
    weights. For overlap weights a person is e(1 - e) of those people. Strata that cannot be weighed are left out, with
    the reason (`left_out`). NaN without a stratum that can be weighed; raises `NotIdentifiedError` where no weights
    balance any.
    """
    found, left_out, failed = _each(people, y, least, fit)
    if not found:
        nothing = np.zeros(len(people))
        return Weighed(float("nan"), nothing, nothing.copy(), _reason(failed), left_out=left_out)
    return replace(_together(people, estimand, found), left_out=left_out)


def _each(
    people: People, y: np.ndarray, least: int, fit: One
) -> tuple[list[tuple[np.ndarray, Weighed]], np.ndarray, list[str]]:
    """Each stratum that can be weighed with its estimate, why everybody else is left out, and why strata that are
    large enough are."""
    left_out = np.full(len(people), SMALL.format(least=least), dtype=object)
    found, failed, errors = [], [], 0
    for g in usable_strata(people, least):
        try:
            got = fit(people.take(g), y[g])
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
    target = people.target(estimand)
    parts, weight = np.zeros(len(people)), np.zeros(len(people))
    mass = np.where(target, people.sizes, 0.0)
    none = np.zeros(len(people))
    stands = [f.stands_for or (mass[g], none[g]) for g, f in found]
    size = np.array([share.sum() for share, _ in stands])
    total = size.sum()
    value = float(sum(n * f.value for n, (_, f) in zip(size, found, strict=True)) / total)
    for (g, f), n, (share, moved) in zip(found, size, stands, strict=True):
        parts[g] = n / total * f.parts + (share + moved) * (f.value - value) / total
        if f.weight is None:
            weight[g] = people.sizes[g]
            continue
        for arm in (people.exposed[g], ~people.exposed[g]):
            weight[g[arm]] = f.weight[arm] * n / f.weight[arm].sum()
    return Weighed(value, parts, weight)


def left_out_words(people: People, left_out: np.ndarray) -> str:
    """How many of each arm are not weighed, reason by reason; "" where everybody is."""
    words = []
    for why in dict.fromkeys(str(w) for w in left_out if w):
        mine = left_out == why
        with_it = int((mine & people.exposed).sum())
        words.append(f"{with_it} exposed and {int(mine.sum()) - with_it} comparison people: {why}")
    return "; ".join(words)


@dataclass(frozen=True)
class Doubt:
    """The square or product of covariates that weighting leaves most surely unlike.

    gap: its difference between the weighted arms, in standard deviations. p_value: two-sided, times the number of
    terms asked. NaN where there is nothing to ask.
    """

    term: str = ""
    gap: float = float("nan")
    p_value: float = float("nan")

    @property
    def words(self) -> str:
        """What is wrong, "" where nothing is for sure."""
        if not self.p_value < SURE:
            return ""
        return (
            f"the propensity score does not have the right form: after weighting, {self.term} still differs between "
            f"the arms by {abs(self.gap):.2g} standard deviations (adjusted p {self.p_value:.1g})"
        )


def score_doubt(
    people: People, estimand: str, least: int, scores: Callable[[People], Scores], groups: np.ndarray | None
) -> Doubt:
    """Weigh squares and products of the covariates as if each were an outcome that the component cannot have moved.

    A right score makes them alike on average, so each is a test of the score's form (an over-identified moment, as in
    Imai and Ratkovic 2014), with the estimated score's part in its standard error. At most 30 terms are asked:
    products fall away first. groups: (m,) codes of clusters.
    """
    known: dict[int, Scores] = {}

    def fit(some: People, values: np.ndarray) -> Weighed:
        first = int(some.rows[0])
        if first not in known:
            known[first] = scores(some)
        return ipw(values, some.exposed, known[first], estimand)

    found = []
    for term, values in _terms(people):
        got = by_stratum(people, values, estimand, least, fit)
        sums = got.parts if groups is None else np.bincount(groups, weights=got.parts)
        error = float(np.sqrt((sums**2).sum()))
        if error > 0 and np.isfinite(got.value):
            found.append((2 * special.ndtr(-abs(got.value) / error), term, got.value / values.std()))
    if not found:
        return Doubt()
    p, term, gap = min(found)
    return Doubt(term, float(gap), float(min(1.0, len(found) * p)))


def _terms(people: People) -> Iterator[tuple[str, np.ndarray]]:
    """Squares of covariates that are not 0/1, then products of two, as far as there is room for all of a kind."""
    x, names = people.x, people.names
    if not x.shape[1]:
        return
    z = standardised(x)[:, 1:]
    squares = np.flatnonzero(~is_binary(x))[:MOST_TERMS]
    for j in squares:
        yield f"{names[j]} squared", z[:, j] ** 2
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    if len(pairs) + len(squares) > MOST_TERMS:
        return
    for i, j in pairs:
        yield f"{names[i]} times {names[j]}", z[:, i] * z[:, j]
