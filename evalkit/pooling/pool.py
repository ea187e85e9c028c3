"""Pool cards: what each component did over places, what a new place may expect, and what is known only jointly."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from evalkit.errors import EvalkitError, OptionError, check_choice, spelt
from evalkit.folders import put
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
from evalkit.pooling.export import Exported, fhir_evidence, matrix_csv, rows_csv
from evalkit.pooling.model import TAU_METHODS, TauMethod, fit
from evalkit.pooling.parts import Whom
from evalkit.pooling.places import shrunken_over_tau
from evalkit.pooling.pooled import Inference, Pooled
from evalkit.pooling.robust import t_quantile
from evalkit.pooling.rows import USES, Question, Use, gather
from evalkit.pooling.store import Cards
from evalkit.pooling.verdicts import Found, Judged, judge
from evalkit.pooling.wording import sentence
from evalkit.progress import step
from evalkit.show.tables import Table, make_table
from evalkit.show.words import count_words, join_words

COLUMNS = (
    "component", "label", "estimate", "std_error", "conf_low", "conf_high", "df", "places", "tau", "predict_low",
    "predict_high", "verdict", "direction", "sentence", "reasons",
)  # fmt: skip
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
    if not isinstance(cards, Iterable):
        raise OptionError(f"cards={spelt(cards)} are no cards. Give ek.Cards, a folder of them, or a list of cards.")
    served = cards if isinstance(cards, Cards) else Cards.of(cards)
    if not len(served):
        raise EvalkitError("There is no card to pool.")
    named = _one_outcome(served, outcome)
    pairs = _pairs(interactions)
    step(f"{count_words(len(served), 'card')} pooled")
    gathered = gather(served.cards, Question(named, whom, use, pairs, convert))
    fitted = fit(gathered.blocks, method) if gathered.blocks else None
    return Pool(served, gathered, fitted, inference, level)


def _pairs(interactions: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Pairs of components, each asked for once. Raises `OptionError` for anything else."""
    given = [tuple(p) if isinstance(p, (tuple, list)) else p for p in interactions]
    if isinstance(interactions, str) or not all(isinstance(p, tuple) and len(set(p)) == len(p) == 2 for p in given):
        raise OptionError(
            f"interactions={spelt(interactions)} are no pairs of components. Write [('nurse', 'policy')]."
        )
    if len({frozenset(p) for p in given}) < len(given):
        raise OptionError(f"interactions={spelt(interactions)} ask for a pair twice.")
    return tuple((str(a), str(b)) for a, b in given)


def _one_outcome(cards: Cards, outcome: str | None) -> str:
    known = list(dict.fromkeys(c.outcome.id for c in cards))
    if outcome is None and len(known) == 1:
        return known[0]
    if outcome not in known:
        words = "Say which outcome to pool" if outcome is None else f"No card is about the outcome {outcome!r}"
        raise OptionError(f"{words}: outcome={' or '.join(map(repr, known))}.")
    return outcome


@dataclass(frozen=True, eq=False)
class Pool(Pooled):
    """Components over places. Nothing is ranked, and words of single places are never counted.

    components: one row a component, in the order of the cards. places: own and shrunken effect and verdict of each row
    in each place. together: what is known only jointly. interactions: what pairs do more than their sum. left_out:
    rows and cards that were not pooled, and why. checks: what could sink it.
    """

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
        between = g.question.use != "rollouts" and self._between[1]
        return tuple(
            Found(
                known=bool(n.places[j]), identified=bool(n.identified[j]), places=int(n.places[j]), own=int(n.own[j]),
                better=o.better, matters=o.matters, estimate=float(n.spread.estimate[j]), low=float(low[j]),
                high=float(high[j]), predict_low=float(new_low[j]), predict_high=float(new_high[j]),
                programmes_only=not within[j], sign_without=sign.get(name, ""), between=between,
                selected=name in chosen, refused=refused.get(j, ()), tied=self.tied(j),
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

    def prior(self, outcome: str | None = None, name: str = "") -> dict[str, Any]:
        """What a new study may believe beforehand: for each component with a range, mean and standard deviation of its
        effect in a new place, in the outcome's own direction and unit, under every name that places give it.

        outcome: the column that the new study has it under, default its id here. name: what the pool is called. The
        standard deviation is that of a normal whose range is as wide as the predicted one. Raises `EvalkitError` where
        no component has a range.
        """
        z, table = float(t_quantile(np.array([math.inf]), self.level)[0]), self.components
        known = {
            j: (float(r["estimate"]), (float(r["predict_high"]) - float(r["predict_low"])) / 2 / z)
            for j, r in enumerate(table.to_dict("records")) if math.isfinite(r["predict_low"])
        }  # fmt: skip
        if not known:
            raise EvalkitError("No component has a range over places, so that there is nothing to believe beforehand.")
        terms = {part.term for c in self.gathered.cards for part in c.components.values()} - set(self.names)
        names = {n: j for n, j in self.gathered.names.aliases.items() if j in known and n not in terms}
        cards = count_words(len(self.gathered.cards), "place")
        return {
            "name": name or f"pool of {cards}", "outcome": outcome or self.outcome.id, "unit": self.outcome.unit,
            "components": {n: {"mean": known[j][0], "sd": known[j][1]} for n, j in names.items()},
        }  # fmt: skip

    def save_prior(self, file: str | Path, outcome: str | None = None, name: str = "") -> Path:
        """Write `prior` as JSON, for `ek.decide(evaluation, prior="pool.json")`."""
        return put(Path(file), (json.dumps(self.prior(outcome, name), indent=1, ensure_ascii=False) + "\n").encode())

    def to_fhir(self) -> list[dict[str, Any]]:
        """A FHIR R5 Evidence resource for each component with a range; refusals and covariance have no place there."""
        who = join_words(dict.fromkeys(c.population.description for c in self.gathered.cards))
        return [
            fhir_evidence(Exported(
                f"{r['label']}: {self.outcome.label}", self.outcome, who, r["label"],
                r["estimate"], r["conf_low"], r["conf_high"], r["std_error"], self.level, r["verdict"], r["places"],
                (r["sentence"],),
            ))
            for r in self.components.to_dict("records") if math.isfinite(r["conf_low"])
        ]  # fmt: skip

    def to_csv(self, folder: str | Path | None = None) -> str:
        """The rows pooled in metafor's shape (study, row, component, yi, vi, df, verdict) as text; into a folder as
        rows.csv, with their covariance beside as V.csv."""
        g = self.gathered
        text = rows_csv(
            (g.cards[place].study, row.id, self._component_of(place, row.members) or "+".join(row.members), y, se**2,
             row.df, row.verdict)
            for (place, row), y, se in zip(g.used, g.estimate, g.std_error, strict=True)
        )  # fmt: skip
        if folder is not None:
            whole = block_diag(*(b.back[i] @ b.back[i].T for b in g.blocks for i in range(len(b.place))))
            put(Path(folder) / "rows.csv", text.encode())
            names = [f"{g.cards[place].study}.{row.id}" for place, row in g.used]
            put(Path(folder) / "V.csv", matrix_csv(whole, names).encode())
        return text

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
