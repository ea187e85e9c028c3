"""Matching: who stands beside whom, with what weight; no outcome is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.designs.people.distances import Space
from evalkit.designs.people.nearest import Links
from evalkit.designs.people.people import People, balance_table, dropped_table, sample_table, speaks_for
from evalkit.errors import OptionError

_PAIR = ["set", "exposed", "comparison", "distance", "weight"]


@dataclass(frozen=True)
class Ties:
    """people: how many of the matched have an equal in their own arm (same distance, same stratum).
    low, high: range of the estimate over `draws` random orders; value: the estimate itself."""

    people: int
    value: float
    low: float
    high: float
    draws: int

    @property
    def words(self) -> str:
        """The range in a sentence."""
        if not self.draws or not np.isfinite(self.low):
            return "No ties had to be broken."
        words = f"{self.people} matched people have an exact equal. "
        return words + f"Over {self.draws} random orders the estimate runs from {self.low:.6g} to {self.high:.6g}."


@dataclass(frozen=True, eq=False)
class Matching:
    """People matched with people.

    people: everybody who could take part. method: its name. sets: (m,) matched set of each, -1 where unmatched or where
    partners are used again. links: one for each direction (two for an ATE with replacement), none
    where sets are classes. notes: what a reader should know.

    `.weights`, `.pairs`, `.balance()`, `.sample`, `.dropped`, `.question`, `.largest_distance`, `.overlap()`,
    `.ties()`."""

    people: People
    method: str
    estimand: str
    sets: np.ndarray
    links: tuple[Links, ...] = ()
    replace: bool = False
    ratio: int = 1
    space: Space | None = None
    notes: tuple[str, ...] = ()
    _tie_range: Callable[[int, int], Ties] | None = field(default=None, repr=False)

    @cached_property
    def weight(self) -> np.ndarray:
        """(m,) weight of each person, 0 where unmatched; an arm's sum to what its matched people weigh."""
        if self.replace:
            return reuse_weights(self.links, self.people, self.estimand)
        return set_weights(self.sets, self.people, self.estimand)

    @property
    def score(self) -> np.ndarray | None:
        """(m,) propensity score, None where none was fitted."""
        return None if self.space is None or self.space.score is None else self.space.score.value

    @property
    def used(self) -> np.ndarray:
        """(m,) who is matched."""
        return self.weight > 0

    @property
    def weights(self) -> pd.Series:
        """Weight of each person, by id."""
        return pd.Series(self.weight, index=pd.Index(self.people.ids, name="id"), name="weight")

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row a pair: set, exposed and comparison id, distance, weight of the partner within the set."""
        ids, exposed = self.people.ids, self.people.exposed
        parts = []
        for links in self.links:
            swap = len(links) and not exposed[links.focal[0]]
            a, b = (links.partner, links.focal) if swap else (links.focal, links.partner)
            share = 1.0 / np.bincount(links.focal, minlength=1)[links.focal]
            number = links.focal if self.replace else self.sets[links.focal]
            parts.append(pd.DataFrame(dict(zip(_PAIR, (number, ids[a], ids[b], links.distance, share), strict=True))))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_PAIR)

    @property
    def largest_distance(self) -> float:
        """Largest distance of two matched people, in the unit of the distance; NaN where there is none."""
        gaps = [x.distance.max() for x in self.links if len(x)]
        return float(max(gaps)) if gaps else float("nan")

    def balance(self) -> pd.DataFrame:
        """Standardised mean differences, variance ratios and KS distances, before and after."""
        x, names = self.people.x, self.people.names
        if self.score is not None:
            x, names = np.column_stack([self.score, x]), ("propensity score", *names)
        return balance_table(self.people, x, names, self.weight, self.estimand)

    @property
    def sample(self) -> pd.DataFrame:
        """People, people matched and effective sample size, by arm."""
        return sample_table(self.people, self.weight, "matched")

    @cached_property
    def dropped(self) -> pd.DataFrame:
        """Who could have taken part and is not matched: id, arm, reason."""
        why = np.full(len(self.people), "nobody near enough was free", dtype=object)
        why[~self.target] = "not needed: others were nearer"
        why[alone(self.people)] = "nobody of the other arm is exactly alike"
        why[self.used] = ""
        return dropped_table(self.people, why)

    @property
    def target(self) -> np.ndarray:
        """(m,) for whom a partner was looked for."""
        return self.people.target(self.estimand)

    @property
    def tied(self) -> int:
        """How many of the matched share point (or covariates), stratum and arm with somebody."""
        people, points = self.people, self.people.x if self.space is None else self.space.points
        key = np.column_stack([points, people.strata, people.exposed])
        _, code, count = np.unique(key, axis=0, return_inverse=True, return_counts=True)
        return int((self.used & (count[code.ravel()] > 1)).sum())

    @property
    def lost(self) -> int:
        """How many people the question was about and who have no partner."""
        return int((self.target & ~self.used).sum())

    @cached_property
    def outside(self) -> float:
        """Share of those matched who lie outside the range of the other arm, in their score (without one, in the
        covariate where most do): there the comparison extrapolates. NaN where nobody is matched."""
        value = self.people.x if self.score is None else self.score[:, None]
        exposed = self.people.exposed
        out, total = np.zeros(value.shape[1]), 0
        for side in {"ATT": [exposed], "ATC": [~exposed]}.get(self.estimand, [exposed, ~exposed]):
            mine, pool = value[side & self.used], value[~side]
            out += ((mine < pool.min(axis=0)) | (mine > pool.max(axis=0))).sum(axis=0)
            total += len(mine)
        return float(out.max(initial=0)) / total if total else float("nan")

    @property
    def question(self) -> str:
        """Whom the answer speaks for."""
        total = int(self.target.sum())
        words = speaks_for(self.estimand, total - self.lost, total, "have somebody like them in the other arm")
        return words if self.lost or self.estimand == "ATE" else f"all {words}"

    def overlap(self, bins: int = 20) -> pd.DataFrame:
        """People of each arm in bands of the propensity score: low, high, exposed, comparison."""
        if self.score is None:
            lacking = "on this distance fits no propensity score, so it has no overlap"
            raise OptionError(f"method={self.method!r} {lacking}.")
        edges, e = np.linspace(0, 1, bins + 1), self.people.exposed
        with_it, without = (np.histogram(self.score[arm], edges)[0] for arm in (e, ~e))
        return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "exposed": with_it, "comparison": without})

    def ties(self, draws: int = 100, seed: int = 0) -> Ties:
        """How far the estimate hangs on ties: its range over random orders of the people. Reads the outcome when
        called. `draws` random orders; partners' ties are exact."""
        if self._tie_range is None:
            return Ties(0, float("nan"), float("nan"), float("nan"), 0)
        return self._tie_range(draws, seed)

    def __repr__(self) -> str:
        one, zero = self.sample.to_dict("records")
        text = (
            f"Matching ({self.method}, {self.estimand}): {one['matched']:,} of"
            f" {one['people']:,} exposed and {zero['matched']:,} of {zero['people']:,} comparison people\n"
            f"speaks for {self.question}"
        )
        far = f"For {self.outside:.0%} nobody in the other arm is as extreme: there it extrapolates."
        return "\n".join([text, *self.notes, *([far] if self.outside > 0 else [])])


def alone(people: People) -> np.ndarray:
    """(m,) people in a stratum that has only their own arm."""
    return both_arms(people.strata, people.exposed) < 0


def both_arms(sets: np.ndarray, exposed: np.ndarray) -> np.ndarray:
    """(m,) the sets with somebody in each arm, numbered from 0; -1 elsewhere."""
    if len(sets) and sets.min() >= -1 and sets.max() < 4 * len(sets):
        code = sets + 1
    else:
        code = np.unique(sets, return_inverse=True)[1]
    size, with_it = np.bincount(code), np.bincount(code, weights=exposed)
    good = (with_it > 0) & (with_it < size)
    good[code[sets < 0]] = False
    return np.where(sets < 0, -1, np.where(good, np.cumsum(good) - 1, -1)[code])


def set_weights(sets: np.ndarray, people: People, estimand: str) -> np.ndarray:
    """(m,) weights that make each arm look like the exposed (ATT), the comparison (ATC) or both (ATE), set by set. The
    study's weights count within a set, and say how much a set counts."""
    used, w = sets >= 0, np.zeros(len(sets))
    if not used.any():
        return w
    s, e, own = sets[used], people.exposed[used], people.sizes[used]
    size, arm = np.bincount(s, weights=own), np.bincount(s, weights=own * e)
    target = {"ATT": arm, "ATC": size - arm}.get(estimand, size)
    raw = own * target[s] / np.where(e, arm[s], np.bincount(s, weights=own * ~e)[s])
    for side in (e, ~e):
        raw[side] *= own[side].sum() / raw[side].sum()
    w[used] = raw
    return w


def reuse_weights(links: tuple[Links, ...], people: People, estimand: str) -> np.ndarray:
    """(m,) weights of people who may serve several times: 1 for those matched, 1/(number of partners) each time
    they serve, all times the study's weight of the person for whom they stand."""
    m, exposed, own = len(people), people.exposed, people.sizes
    w = np.zeros(m)
    for x in links:
        count = np.bincount(x.focal, minlength=m)
        w += np.where(count > 0, own, 0.0)
        w += np.bincount(x.partner, weights=own[x.focal] / count[x.focal], minlength=m)
    if estimand == "ATE":
        return w
    partner = ~exposed if estimand == "ATT" else exposed
    total = w[partner].sum()
    if total > 0:
        w[partner] *= own[partner & (w > 0)].sum() / total
    return w
