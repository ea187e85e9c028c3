"""Weighting stratum by stratum: people whose other components agree are weighed against each other only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.designs.matching.balance import balance_table, effective_size
from evalkit.designs.matching.people import People
from evalkit.designs.matching.weighting import Weighed
from evalkit.errors import NotIdentifiedError

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
