"""Pool cards: what each component did over places, what a new place may expect, and what is known only jointly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError, check_choice, is_number
from evalkit.inference.intervals import check_level
from evalkit.pooling.card import Card
from evalkit.pooling.checks import (
    PoolCheck,
    all_rows_reported,
    between_within,
    leave_one_place,
    matched_by_name,
    same_estimand,
    sign_without,
    tau_by_method,
)
from evalkit.pooling.combinations import identified_together, partners
from evalkit.pooling.model import TAU_METHODS, Fit, TauMethod, fit
from evalkit.pooling.parts import CardOutcome, Whom
from evalkit.pooling.places import shrunken_over_tau
from evalkit.pooling.robust import Spread, by_model, by_place, t_quantile, tau2_of_components
from evalkit.pooling.rows import CORE, USES, Gathered, Question, Use, gather
from evalkit.pooling.store import Cards
from evalkit.pooling.verdicts import FEWEST_PLACES, SHOWN_PLACES, Found, Judged, judge
from evalkit.pooling.wording import combination_words, sentence, tied_words
from evalkit.show.numbers import scale_for
from evalkit.show.tables import Table, make_table
from evalkit.show.words import sentence_case

Inference = Literal["cr2", "hartung_knapp"]
COLUMNS = (
    "component", "label", "estimate", "std_error", "conf_low", "conf_high", "df", "places", "tau", "predict_low",
    "predict_high", "verdict", "direction", "sentence", "reasons",
)  # fmt: skip
TOGETHER = ("members", "weights", "words", "estimate", "conf_low", "conf_high", "df", "places")
PLACES = ("study", "row", "component", "kind", "own", "own_low", "own_high", "shrunken", "shrunken_low",
          "shrunken_high", "verdict", "reason")  # fmt: skip
CHECKS = ("check", "component", "status", "words")
_NOT_MATTERING = 1.0  # standard deviations of the numbers that tau's prior spans where nobody said what matters


def pool(
    cards: Cards | str | Path | Iterable[Card],
    outcome: str | None = None,
    whom: Whom = "reached",
    use: Use = "rollouts",
    *,
    interactions: Sequence[tuple[str, str]] = (),
    method: TauMethod = "REML",
    inference: Inference = "cr2",
    convert: bool = False,
    level: float = 0.95,
) -> Pool:
    """What components did over places, from evidence cards.

    cards: `Cards`, a folder or DuckDB file of them, or cards in memory. outcome: its id, where cards have several.
    whom: "reached" or "everybody": one of them; convert: turn the others' numbers by the share that each row says it
    can reach. use: "rollouts" (components told apart within places, with their joint covariance), "programmes" (whole
    programmes beside each other, with a column for what is always on), or "both". interactions: pairs of components
    whose doing more together is a column too. method: of tau, "REML", "DL" or "PM". inference: "cr2" (by place,
    Satterthwaite's degrees of freedom) or "hartung_knapp".

    Places differ at random around the pooled effect with one tau (`pooling/model.py`). A component needs three places
    for a range and five to be called shown; none is ranked. Raises `EvalkitError` where no card is about the outcome,
    and `OptionError` for choices that there are not.
    """
    check_choice("use", use, USES)
    check_choice("whom", whom, get_args(Whom))
    check_choice("method", method, TAU_METHODS)
    check_choice("inference", inference, get_args(Inference))
    check_level(level)
    if isinstance(cards, (str, Path)):
        cards = Cards.load(cards)
    served = cards if isinstance(cards, Cards) else Cards.of(cards)
    if not len(served):
        raise EvalkitError("There is no card to pool.")
    named = _one_outcome(served, outcome)
    pairs = tuple((str(a), str(b)) for a, b in interactions)
    gathered = gather(served.cards, Question(named, whom, use, pairs, convert))
    fitted = fit(gathered.blocks, method) if gathered.blocks else None
    return Pool(served, gathered, fitted, inference, level)


def _one_outcome(cards: Cards, outcome: str | None) -> str:
    known = list(dict.fromkeys(c.outcome.id for c in cards))
    if outcome is None and len(known) == 1:
        return known[0]
    if outcome not in known:
        words = "Say which outcome to pool" if outcome is None else f"No card is about the outcome {outcome!r}"
        raise OptionError(f"{words}: outcome={' or '.join(map(repr, known))}.")
    return outcome


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
class Pool:
    """Components over places. Nothing is ranked, and words of single places are never counted.

    components: one row a component, in the order of the cards. places: own and shrunken effect and verdict of each row
    in each place. together: what is known only jointly. interactions: what pairs do more than their sum. left_out:
    rows and cards that were not pooled, and why. checks: what could sink it.
    """

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
    def _found(self) -> tuple[Found, ...]:
        """What the rules of verdicts see of each component."""
        n, g, o = self.numbers, self.gathered, self.outcome
        low, high = n.spread.interval(self.level)
        new_low, new_high = n.spread.interval(self.level, n.tau2)
        sign = self._sign
        programme = np.array([row.kind == "programme" for _, row in g.used], dtype=bool)
        within = (g.design[~programme] != 0).any(axis=0) if len(programme) else np.zeros(len(g.columns), dtype=bool)
        _, chosen = self._reported
        refused = self._refused
        return tuple(
            Found(
                known=bool(n.places[j]), identified=bool(n.identified[j]), places=int(n.places[j]), own=int(n.own[j]),
                better=o.better, matters=o.matters, estimate=float(n.spread.estimate[j]), low=float(low[j]),
                high=float(high[j]), predict_low=float(new_low[j]), predict_high=float(new_high[j]),
                programmes_only=not within[j], sign_without=sign.get(name, ""), between=g.question.use != "rollouts" and self._between[1],
                selected=name in chosen, refused=refused.get(j, ()), tied=self._tied(j),
            )
            for j, name in enumerate(self.names)
        )  # fmt: skip

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """The verdict on each component."""
        return tuple(map(judge, self._found))

    @cached_property
    def components(self) -> pd.DataFrame:
        """One row a component: pooled effect, range for a new place, verdict and sentence, NaN where there is none."""
        n, o = self.numbers, self.outcome
        rows = [
            (
                name, self.gathered.names.labels[name], f.estimate, float(n.spread.std_error[j]), f.low, f.high,
                float(n.spread.df[j]), f.places, math.sqrt(self.fitted.tau2) if self.fitted and f.ranged else math.nan,
                f.predict_low, f.predict_high, v.verdict, v.direction, sentence(o, f, v), v.reasons,
            )
            for j, (name, f, v) in enumerate(zip(self.names, self._found, self.judged, strict=True))
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=list(COLUMNS))

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
    def _unknown(self) -> list[int]:
        """Columns in rows that do not identify them."""
        n = self.numbers
        return [j for j in range(len(self.gathered.columns)) if n.places[j] and not n.identified[j]]

    @cached_property
    def _combinations(self) -> np.ndarray:
        if self.fitted is None:
            return np.zeros((0, len(self.gathered.columns)))
        last = [j for j in range(len(self.names), len(self.gathered.columns))]
        return identified_together(self.fitted.basis, self._unknown, last)

    def _tied(self, j: int) -> str:
        if self.fitted is None or j not in self._unknown:
            return ""
        with_it = partners(self._combinations, self.fitted.basis, self._unknown, j)
        labels = [self.gathered.names.labels.get(self.gathered.columns[c], "what is always on") for c in with_it]
        return tied_words(labels)

    @cached_property
    def together(self) -> pd.DataFrame:
        """Identified combinations of components that are not identified alone."""
        rows, g = [], self.gathered
        for weights in self._combinations:
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

    @cached_property
    def places(self) -> pd.DataFrame:
        """Each row of each card: own effect, effect drawn towards the pooled one, verdict there, or why no number."""
        g, z = self.gathered, float(t_quantile(np.array([math.inf]), self.level)[0])
        rows = []
        if self.fitted is not None:
            drawn = shrunken_over_tau(self.fitted, self._prior_sd)
            for (place, row), own, se, mean, sd in zip(
                g.used, g.estimate, g.std_error, drawn.estimate, drawn.sd, strict=True
            ):
                reach = float(t_quantile(np.array([row.df or math.inf]), self.level)[0]) * se
                numbers = (own, own - reach, own + reach, mean, mean - z * sd, mean + z * sd)
                rows.append((g.cards[place].study, row.id, self._component_of(place, row.members), row.kind, *numbers,
                             row.verdict, ""))  # fmt: skip
        nan = (math.nan,) * 6
        for place, card in enumerate(g.cards):
            for row in card.rows:
                if row.kind in g.question.kinds and row.estimate is None:
                    name = self._component_of(place, row.members)
                    rows.append((card.study, row.id, name, row.kind, *nan, row.verdict, row.reason))
        order = {c.study: i for i, c in enumerate(g.cards)}
        table = pd.DataFrame(rows, columns=list(PLACES))
        return table.sort_values("study", key=lambda s: s.map(order), kind="stable", ignore_index=True)

    def _component_of(self, place: int, members: Mapping[str, float]) -> str:
        if len(members) != 1:
            return ""
        name = next(iter(members))
        part = self.gathered.cards[place].components[name]
        return self.names[self.gathered.names.by_term[part.term or name]]

    @property
    def _prior_sd(self) -> float:
        """Of tau on its grid: what matters, or where nobody said so the spread of the numbers."""
        return self.outcome.matters or _NOT_MATTERING * float(np.std(self.gathered.estimate)) or 1.0

    @cached_property
    def left_out(self) -> pd.DataFrame:
        """Cards and rows that were not pooled, and why."""
        stored = self.cards.left_out.rename(columns={"file": "row"})[["study", "row", "reason"]]
        return pd.concat([self.gathered.left_out_table(), stored], ignore_index=True)

    @cached_property
    def checks(self) -> pd.DataFrame:
        """Every check, a row each."""
        made: list[PoolCheck] = []
        if self.fitted is not None:
            made += leave_one_place(list(self._sign), list(self._sign.values()))
            made += [*self._between[0], tau_by_method(self.fitted)]
        made += [same_estimand(self.gathered), matched_by_name(self.gathered), *self._reported[0]]
        return pd.DataFrame([(c.check, c.component, c.status, c.words) for c in made], columns=list(CHECKS))

    @cached_property
    def _sign(self) -> dict[str, str]:
        at = [j for j in range(len(self.names)) if np.isfinite(self.numbers.spread.estimate[j])]
        if self.fitted is None or not at:
            return {}
        turned = sign_without(self.fitted, self.gathered, np.eye(len(self.gathered.columns))[at])
        return dict(zip((self.names[j] for j in at), turned, strict=True))

    @cached_property
    def _reported(self) -> tuple[list[PoolCheck], set[str]]:
        return all_rows_reported(self.gathered)

    @cached_property
    def _between(self) -> tuple[list[PoolCheck], bool]:
        """Rollouts against programmes, whichever of them are pooled."""
        question = self.gathered.question
        if self.fitted is None:
            return [], False
        other = Question(question.outcome, question.whom, "both", (), question.convert)
        found, failed = between_within(gather(self.gathered.cards, other), self.fitted, self.names)
        return found, failed

    @cached_property
    def _refused(self) -> dict[int, tuple]:
        out: dict[int, list] = {}
        for card in self.gathered.cards:
            for row in card.rows:
                if row.kind == "component" and row.estimate is None:
                    name = next(iter(row.members))
                    j = self.gathered.names.by_term[card.components[name].term or name]
                    out.setdefault(j, []).append((row.verdict, row.reason))
        return {j: tuple(said) for j, said in out.items()}

    def predict(self, mix: Mapping[str, float] | Sequence[str], new_place: bool = True) -> Prediction:
        """What a mix of components is expected to do together: on average, or in one more place.

        mix: name or term -> how much of it (1: all of it), or names. Pairs that were asked for as interactions count
        too. No number where a component is not identified or stands in fewer than three places, with the reason.
        Raises `OptionError` for a component that no card has.
        """
        given = dict(mix) if isinstance(mix, Mapping) else dict.fromkeys(mix, 1.0)
        if not given or not all(is_number(w) for w in given.values()):
            raise OptionError(f"mix={mix!r} is not a mix. Give components by name, such as {{'nurse': 1}}.")
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

    def table(self) -> Table:
        """The components as an accessible table."""
        rows = [
            (r["label"], str(r["verdict"]).replace("_", " "), f"{r['places']}", r["sentence"])
            for r in self.components.to_dict("records")
        ]
        caption = f"What components did over {len(self.gathered.cards)} places: {self.outcome.label}"
        return make_table(caption, ("Component", "Verdict", "Places", "What may be said"), rows)

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def __repr__(self) -> str:
        return self.table().to_text(110)


def _distinct(places: np.ndarray, holds: np.ndarray) -> np.ndarray:
    """(p,) distinct places among the rows that hold each column."""
    return np.array(
        [len(np.unique(places[h])) for h in holds.T] if len(places) else np.zeros(holds.shape[1]), dtype=int
    )

