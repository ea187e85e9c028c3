"""Weighting stratum by stratum: people whose other components agree are weighed against each other only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.designs.matching.balance import balance_table, effective_size
from evalkit.designs.matching.people import People
from evalkit.designs.matching.weighting import Weighed

ONE = Callable[[People, np.ndarray], Weighed]


@dataclass(frozen=True, eq=False)
class Weighting:
    """Weights of people before any outcome: `.weights` by id, `.balance()`, `.sample`. weight: (m,), 0 for those in
    strata that cannot be weighed."""

    people: People
    estimand: str
    weight: np.ndarray
    notes: tuple[str, ...] = ()

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
    weights. NaN without a stratum that can be weighed.
    """
    strata = usable_strata(people, least)
    target = {"ATT": people.exposed, "ATC": ~people.exposed}.get(estimand, np.ones(len(people), bool))
    parts, weight = np.zeros(len(people)), np.zeros(len(people))
    if not strata:
        return Weighed(float("nan"), parts, weight)
    found = [one(people.take(g), y[g]) for g in strata]
    mass = people.sizes
    size = np.array([mass[g[target[g]]].sum() for g in strata])
    total = size.sum()
    value = float(sum(n * f.value for n, f in zip(size, found, strict=True)) / total)
    for g, n, f in zip(strata, size, found, strict=True):
        parts[g] = n / total * f.parts + np.where(target[g], mass[g] * (f.value - value) / total, 0.0)
        if f.weight is None:
            weight[g] = mass[g]
            continue
        for arm in (people.exposed[g], ~people.exposed[g]):
            weight[g[arm]] = f.weight[arm] * n / f.weight[arm].sum()
    return Weighed(value, parts, weight)
