"""What speaks against a comparison of people: a score of the wrong form, or partners who are left unlike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from evalkit.designs.people.balance import is_binary
from evalkit.designs.people.people import People
from evalkit.designs.people.weighting import Scores, Weighed, by_stratum, ipw

MOST = 30
SURE = 0.01
FAR = 0.5
"""Standard errors by which a matched estimate may lean on unlike partners: at half of one, an interval said to hold the
truth in 95 of 100 draws still holds it in 92."""


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


def left_unlike(plain: float, adjusted: float, error: float) -> str:
    """Words where taking out what matching left unlike moves an estimate by more than half its standard error, or "".

    plain, adjusted: the estimate on the same matched people without and with the covariates' part (Abadie and Imbens
    2011: the bias of matching on several covariates does not vanish as fast as the standard error does).
    """
    if not abs(plain - adjusted) > FAR * error:
        return ""
    return (
        f"matched people are left unlike in the covariates: taking that out moves the estimate from {plain:.3g} to "
        f"{adjusted:.3g}, {abs(plain - adjusted) / error:.1f} standard errors (adjust='auto' does it)"
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

    def one(some: People, values: np.ndarray) -> Weighed:
        first = int(some.rows[0])
        if first not in known:
            known[first] = scores(some)
        return ipw(values, some.exposed, known[first], estimand)

    found = []
    for term, values in _terms(people):
        got = by_stratum(people, values, estimand, least, one)
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
    scale = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    squares = np.flatnonzero(~is_binary(x))[:MOST]
    for j in squares:
        yield f"{names[j]} squared", z[:, j] ** 2
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    if len(pairs) + len(squares) > MOST:
        return
    for i, j in pairs:
        yield f"{names[i]} times {names[j]}", z[:, i] * z[:, j]
