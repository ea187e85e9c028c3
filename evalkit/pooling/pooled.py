"""What the rows of cards say once pooled: estimates, ranges, what is known only jointly, and predictions of mixes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, is_number, spelt
from evalkit.pooling.combinations import identified_together, partners
from evalkit.pooling.model import Fit
from evalkit.pooling.parts import CardOutcome
from evalkit.pooling.robust import Spread, by_model, by_place, tau2_of_components
from evalkit.pooling.rows import Gathered
from evalkit.pooling.store import Cards
from evalkit.pooling.verdicts import FEWEST_PLACES
from evalkit.pooling.wording import combination_words, tied_words

Inference = Literal["cr2", "hartung_knapp"]
TOGETHER = ("members", "weights", "words", "estimate", "conf_low", "conf_high", "df", "places")


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a mix of components is expected to do. conf_low, conf_high: of the average over places, or with `new_place`
    of what one more place would see. reason: why there is no number."""

    mix: Mapping[str, float]
    new_place: bool
    estimate: float = math.nan
    conf_low: float = math.nan
    conf_high: float = math.nan
    df: float = math.nan
    places: int = 0
    reason: str = ""

    def to_frame(self) -> pd.DataFrame:
        """The prediction as one row."""
        names = ("estimate", "conf_low", "conf_high", "df", "places", "reason")
        mix = " + ".join(n if w == 1 else f"{w:g} {n}" for n, w in self.mix.items())
        return pd.DataFrame([{"mix": mix, **{n: getattr(self, n) for n in names}}])


@dataclass(frozen=True, eq=False)
class Numbers:
    """Of every column: which are identified, and estimate, range and places where they have one."""

    identified: np.ndarray
    places: np.ndarray
    own: np.ndarray
    spread: Spread
    tau2: np.ndarray


@dataclass(frozen=True, eq=False)
class Pooled:
    """Rows pooled, and everything that follows from the fit. fitted: None where no row has a number.

    together: what is known only jointly. interactions: what pairs do more than their sum."""

    cards: Cards
    gathered: Gathered
    fitted: Fit | None
    inference: Inference
    level: float

    @property
    def outcome(self) -> CardOutcome:
        """The outcome, as the first card has it; matters: the smallest that any card states."""
        first = self.gathered.cards[0].outcome
        stated = [c.outcome.matters for c in self.gathered.cards if c.outcome.matters is not None]
        return first.model_copy(update={"matters": min(stated, default=None)})

    @property
    def names(self) -> tuple[str, ...]:
        """Components by the names that most places give them."""
        return self.gathered.names.columns

    @cached_property
    def numbers(self) -> Numbers:
        """Estimates of every column of the fit."""
        g, p = self.gathered, len(self.gathered.columns)
        holds = g.design != 0
        alone = np.array([row.kind == "component" for _, row in g.used], dtype=bool)[:, None] & holds
        places, own = (_distinct(g.places, at) for at in (holds, alone))
        nothing = np.full(p, np.nan)
        if self.fitted is None:
            return Numbers(np.zeros(p, dtype=bool), places, own, Spread(nothing, nothing, nothing), nothing)
        identified = self.fitted.identifies(np.eye(p))
        ranged = np.flatnonzero(identified & (places >= FEWEST_PLACES))
        filled = Spread(nothing.copy(), nothing.copy(), nothing.copy())
        if self.fitted.df > 0 and len(ranged):
            made = self.spread(np.eye(p)[ranged])
            for name in ("estimate", "std_error", "df"):
                getattr(filled, name)[ranged] = getattr(made, name)
        tau2 = tau2_of_components(self.fitted, alone, g.estimate, g.std_error)
        return Numbers(identified, places, own, filled, tau2)

    def spread(self, weights: np.ndarray) -> Spread:
        """Combinations of columns (k, p) with their standard errors and degrees of freedom."""
        assert self.fitted is not None
        return (by_place if self.inference == "cr2" else by_model)(self.fitted, weights)

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """What each pair that was asked for does more than the sum of its parts, with its range by the same rules."""
        at = range(len(self.names), len(self.names) + len(self.gathered.question.interactions))
        low, high = self.numbers.spread.interval(self.level)
        names = ("estimate", "conf_low", "conf_high", "df", "places", "reason")
        rows = []
        for j in at:
            known = np.isfinite(low[j])
            why = "" if known else "no row stands on both sides of it in three places"
            values = (self.numbers.spread.estimate[j], low[j], high[j], self.numbers.spread.df[j])
            rows.append((self.gathered.columns[j], *values, self.numbers.places[j], why))
        return pd.DataFrame(rows, columns=["pair", *names])

    @cached_property
    def unknown(self) -> list[int]:
        """Columns in rows that do not identify them."""
        n = self.numbers
        return [j for j in range(len(self.gathered.columns)) if n.places[j] and not n.identified[j]]

    @cached_property
    def combinations(self) -> np.ndarray:
        if self.fitted is None:
            return np.zeros((0, len(self.gathered.columns)))
        last = [j for j in range(len(self.names), len(self.gathered.columns))]
        return identified_together(self.fitted.basis, self.unknown, last)

    def tied(self, j: int) -> str:
        if self.fitted is None or j not in self.unknown:
            return ""
        with_it = partners(self.combinations, self.fitted.basis, self.unknown, j)
        labels = [self.gathered.names.labels.get(self.gathered.columns[c], "what is always on") for c in with_it]
        return tied_words(labels)

    @cached_property
    def together(self) -> pd.DataFrame:
        """Identified combinations of components that are not identified alone."""
        rows, g = [], self.gathered
        for weights in self.combinations:
            members = tuple(self.names[j] for j in np.flatnonzero(weights))
            labels = [g.names.labels[m] for m in members]
            own = tuple(float(w) for w in weights[weights != 0])
            places = min(int(self.numbers.places[j]) for j in np.flatnonzero(weights))
            numbers = (math.nan,) * 4
            if self.fitted is not None and self.fitted.df > 0 and places >= FEWEST_PLACES:
                made = self.spread(weights[None])
                low, high = made.interval(self.level)
                numbers = (float(made.estimate[0]), float(low[0]), float(high[0]), float(made.df[0]))
            rows.append((members, own, combination_words(labels, own), *numbers, places))
        return pd.DataFrame(rows, columns=list(TOGETHER))

    def predict(self, mix: Mapping[str, float] | Sequence[str], new_place: bool = True) -> Prediction:
        """What a mix of components is expected to do together: on average, or in one more place.

        mix: name or term -> how much of it (1: all of it), or names. Pairs that were asked for as interactions count
        too. No number where a component is not identified or stands in fewer than three places, with the reason.
        Raises `OptionError` for a component that no card has.
        """
        listed = [mix] if isinstance(mix, str) else mix
        given = dict(mix) if isinstance(mix, Mapping) else dict.fromkeys(listed, 1.0) if _is_list(listed) else {}
        if not any(given.values()) or not all(isinstance(n, str) and is_number(w) for n, w in given.items()):
            raise OptionError(f"mix={spelt(mix)} is not a mix. Give components by name, such as {{'nurse': 1}}.")
        weights = np.zeros(len(self.gathered.columns))
        for name, dose in given.items():
            weights[self.gathered.names.at(name)] += dose
        for k, (a, b) in enumerate(self.gathered.question.interactions, len(self.names)):
            weights[k] = weights[self.gathered.names.at(a)] * weights[self.gathered.names.at(b)]
        n, used = self.numbers, np.flatnonzero(weights)
        places = int(min(n.places[used], default=0))
        made = Prediction(given, new_place, places=places)
        if self.fitted is None or self.fitted.df <= 0 or not self.fitted.identifies(weights[None])[0]:
            reason = "the cards do not tell this mix apart from others"
        elif places < FEWEST_PLACES:
            reason = f"a part of it stands in fewer than {FEWEST_PLACES} places"
        else:
            spread = self.spread(weights[None])
            extra = float(np.sum(weights**2 * np.nan_to_num(n.tau2))) if new_place else 0.0
            low, high = spread.interval(self.level, extra)
            return Prediction(given, new_place, float(spread.estimate[0]), float(low[0]), float(high[0]),
                              float(spread.df[0]), places)  # fmt: skip
        return Prediction(made.mix, new_place, places=places, reason=reason)


def _is_list(names: object) -> bool:
    return isinstance(names, (list, tuple, set, frozenset))


def _distinct(places: np.ndarray, holds: np.ndarray) -> np.ndarray:
    """(p,) distinct places among the rows that hold each column."""
    return np.array(
        [len(np.unique(places[h])) for h in holds.T] if len(places) else np.zeros(holds.shape[1]), dtype=int
    )
