"""The lines to decide on: every component, combination and the programme, with what was found and what is at stake."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evalkit.decision.case import Case
from evalkit.decision.worth import Stake
from evalkit.evaluation.decomposition.attribute import label_of, why_none
from evalkit.evaluation.decomposition.pieces import Decomposition, decompose
from evalkit.evaluation.evidence import Evaluated
from evalkit.evaluation.value.costs import Costs, Prices
from evalkit.evaluation.value.lines import NOBODY_WITHOUT, WHOLE, cost_of, parts_held
from evalkit.language import templates as say
from evalkit.show.words import join_words, quoted
from evalkit.study import Outcome
from evalkit.study.money import PROGRAMME, sign_of
from evalkit.verdicts.evidence import Evidence
from evalkit.verdicts.rules import claim_ended_by, failed_main_checks, holding_back, may_move
from evalkit.vocabulary import Direction, VerdictName

if TYPE_CHECKING:
    from evalkit.rollouts.planning import RolloutPlan

Worth = tuple[float, float]
_LONGEST_LABEL = 5
SEEN_ONCE = "people were seen once, so that each part has a line of its own, and nothing is compared with the whole"
_NOTHING = 1e-3
"""What a rollout that tells nothing adds, as a share of what is known, so that it stays a number."""


@dataclass(frozen=True, eq=False)
class Stakes:
    """Money about the lines on one outcome. given: worth of one outcome as it was asked for, in the prices of the
    costs; None to take it from the table of unit costs."""

    evaluation: Evaluated
    outcome: Outcome
    given: Worth | None = None

    @cached_property
    def costs(self) -> Costs:
        """Costs in the prices that the study file states."""
        study = self.evaluation.study.weighing(self.outcome)
        return Costs(study, self.outcome, Prices.stated(study.settings))

    @cached_property
    def parts(self) -> Decomposition:
        """Cells that each line claims."""
        return decompose(self.evaluation, self.outcome)

    @cached_property
    def cells(self) -> dict[str, np.ndarray]:
        """Line -> (P, T) people periods compared."""
        found = {c.name: c.by_cell(self.costs.there.shape) for c in self.parts.claims}
        if self.parts.whole is not None:
            found[PROGRAMME] = self.parts.whole.mass
        return found

    @cached_property
    def unit_costs(self) -> pd.DataFrame:
        """Rows of the table of unit costs about the outcome."""
        table = self.costs.money.unit_costs
        return pd.DataFrame() if table is None else table[table["outcome"] == self.outcome.column]

    @cached_property
    def worth(self) -> Worth | None:
        """Worth of one outcome: to public bodies, and to everybody; None where nobody has said, or it cannot be
        counted."""
        rows = self.unit_costs
        if self.outcome.kind == "log" or self.given is not None or not len(rows):
            return None if self.outcome.kind == "log" else self.given
        value = rows["value"].astype(float) * self.costs.at_prices(rows)
        fiscal = (rows["bearer"].fillna("fiscal") if "bearer" in rows else pd.Series("fiscal", rows.index)) == "fiscal"
        low, high = float(value[fiscal].sum()), float(value.sum())
        return (low or high, high) if high > 0 else None

    def of(self, name: str, members: Sequence[str], kind: str) -> Stake:
        """What is at stake on one line; the money is set against the first outcome, once."""
        first = self.evaluation.study.outcome()
        if self.outcome != first:
            return Stake(unpriced=say.PRICED_ELSEWHERE.format(outcome=quoted(first.label)))
        nothing = np.zeros(self.costs.there.shape)
        cells = self.cells.get(name)
        amount, priced = cost_of(self.costs, members, nothing if cells is None else cells, kind)
        left_out = self._left_out(members) if kind == "programme" else ()
        named = [*members, *([PROGRAMME] if kind == "programme" else [])]
        unknown = say.NO_COST if not priced else say.NO_CELLS if amount.whole else say.COSTS_NOTHING
        stake = Stake(whole=amount.whole, left_out=left_out, unpriced=unknown)
        if odd := self.costs.unlike(named):
            unknown = say.COSTS_UNLIKE.format(costs=odd)
            return replace(stake, unpriced=unknown, conflict=self._conflict(named) or unknown if self.worth else "")
        if cells is None or not priced or not amount.compared > 0:
            return stake
        per_cent = self.outcome.kind == "log"
        return replace(
            stake, people_periods=float(cells.sum()), cost=amount.compared, worth=self.worth,
            unpriced="" if self.worth else say.IN_PER_CENT if per_cent else say.NO_WORTH,
            conflict=self._conflict(named) if self.worth else "",
        )  # fmt: skip

    def _left_out(self, members: Sequence[str]) -> tuple[str, ...]:
        """Labels of what the programme's price does not hold: parts without a cost, and those that all had."""
        parts = self.evaluation.study.components
        return tuple(quoted(c.label) for c in parts if (c.name in members) != self.costs.has_cost(c.name))

    def _conflict(self, members: Sequence[str]) -> str:
        """Why costs and worth do not go together: another currency, price years that no stated index joins, or amounts
        of which nobody said what others say of theirs."""
        costs = self.costs.money.costs
        rows = pd.DataFrame() if costs is None else costs[costs["component"].isin(members)]
        tables = {"costs": rows, "worth": pd.DataFrame() if self.given else self.unit_costs}
        stated = self.evaluation.study.settings.get("currency")
        said = {t: _given(table, "currency", str(stated) if stated else "") for t, table in tables.items()}
        every = {sign_of(v) for found in said.values() for v in found if v}
        if len(every) > 1:
            return say.CURRENCIES.format(**{t: join_words(sorted(v - {""})) or "£" for t, v in said.items()})
        if every - {"£"} and (words := _unsaid(say.CURRENCY_UNSAID, said)):
            return words
        years = {t: _given(table, "price_year") for t, table in tables.items()}
        if self.costs.prices.price_year is not None:
            return ""
        if len(set().union(*years.values()) - {""}) > 1:
            listed = {t: join_words(sorted(v - {""})) for t, v in years.items()}
            return (say.PRICE_YEARS if listed["worth"] else say.COST_YEARS).format(**listed)
        return _unsaid(say.YEAR_UNSAID, years)


def _given(table: pd.DataFrame, column: str, otherwise: str = "") -> set[str]:
    """What the rows of a table say; `otherwise` for those that say nothing."""
    values = table[column] if column in table else pd.Series(np.nan, table.index)
    whole = values.map(lambda v: str(int(v)) if isinstance(v, (float, np.integer)) else str(v), na_action="ignore")
    return {otherwise if pd.isna(v) else str(v) for v in whole.unique()}


def _unsaid(words: Mapping[str, str], said: Mapping[str, set[str]]) -> str:
    """That nobody said of some amounts what is said of others; '' where it is said of all, or of none."""
    named = join_words(sorted(set().union(*said.values()) - {""}))
    silent = [t for t, found in said.items() if "" in found]
    if not named or not silent:
        return ""
    return words["both" if len(silent) > 1 or said[silent[0]] != {""} else silent[0]].format(named=named)


def cases_of(
    evaluation: Evaluated, outcome: Outcome, given: Worth | None = None, rollout: RolloutPlan | None = None
) -> tuple[Case, ...]:
    """Every line on one outcome, in the register's order, then combinations, then the programme. rollout: the next one,
    whose precision and cost are held against what it would be worth to know more (of the outcome planned for)."""
    stakes = Stakes(evaluation, outcome, given)
    components = tuple(_components(stakes))
    if rollout is not None and outcome == evaluation.study.outcome(rollout.outcome or None):
        components = tuple(_tested(c, rollout) for c in components)
    return (*components, *_bundles(stakes), _programme(stakes))


def _tested(case: Case, rollout: RolloutPlan) -> Case:
    """The line with what the next rollout alone would tell: its estimate will be of past and new starts together."""
    law = next((law for law in rollout.laws if law.component == case.name), None)
    if law is None or not case.ranged:
        return case
    cost = float(rollout.costs.set_index("component")["cost"][case.name])
    gained = 1 / law.se**2 - 1 / case.std_error**2 if law.se > 0 else 0.0
    again = 1 / math.sqrt(max(gained, (_NOTHING / case.std_error) ** 2))
    return replace(case, again=again, stake=replace(case.stake, testing=cost))


def _case(stakes: Stakes, name: str, members: Sequence[str], kind: str, reason: str) -> Case:
    """A line without what was found."""
    study, o = stakes.evaluation.study, stakes.outcome
    label = WHOLE if kind == "programme" else label_of(study, members, "with")
    return Case(
        name, label, o.column, quoted(o.label), tuple(members), o.said, o.unit, 1.0 if o.better == "higher" else -1.0,
        matters=o.matters, reason=reason, left=_left(stakes, members, kind), stake=stakes.of(name, members, kind),
        one=_one_outcome(stakes),
    )  # fmt: skip


def _found(case: Case, row: pd.Series | dict[str, float]) -> Case:
    """The line with an estimate and its range, turned so that benefit is positive."""
    low, high = (case.good * float(row[c]) for c in ("conf_low", "conf_high"))
    low, high = (low, high) if case.good > 0 else (high, low)
    return replace(
        case, estimate=case.good * float(row["estimate"]), conf_low=low, conf_high=high,
        std_error=float(row["std_error"]), df=float(row["df"]),
    )  # fmt: skip


def _components(stakes: Stakes) -> Iterator[Case]:
    reasons = {f.component: why_none(f) for f in stakes.evaluation.findings if f.outcome == stakes.outcome}
    for e, v in stakes.evaluation.judged:
        if e.outcome != stakes.outcome.column:
            continue
        reason = e.reason or next(iter(v.reasons), "") or reasons[e.component]
        case = _case(stakes, e.component, [e.component], "component", reason)
        if not e.has_interval:
            yield replace(case, withheld=_tied(e))
            continue
        row = {c: getattr(e, c) for c in ("estimate", "conf_low", "conf_high", "std_error", "df")}
        held, moving = holding_back(e), may_move(e)
        others = () if held else (w for w in claim_ended_by(e) if w.name not in moving)
        withheld, beside = (next((w.words for w in found), "") for found in (held, others))
        case = replace(_found(case, row), withheld=withheld, beside=beside)
        yield _allowing(case, e, moving) if moving else case


def _allowing(case: Case, e: Evidence, moving: Mapping[str, tuple[float, float]]) -> Case:
    """The line with what failed checks say may move its answer, all of them at once."""
    down, up = np.sort(case.good * np.sum(list(moving.values()), axis=0))
    words = tuple(w.words for w in failed_main_checks(e) if w.name in moving)
    low, high = case.conf_low + float(down), case.conf_high + float(up)
    return replace(case, allowed=words, allowed_low=low, allowed_high=high)


def _tied(e: Evidence) -> str:
    """Why a component without a range of its own is not without evidence: a combination has one."""
    if e.bundle is None or not math.isfinite(e.bundle.conf_low):
        return ""
    others = [quoted(label) for m, label in zip(e.bundle.members, e.bundle.labels, strict=True) if m != e.component]
    return say.ALSO_TIED.format(others=join_words(others))


def _bundles(stakes: Stakes) -> Iterator[Case]:
    """Combinations that are added up; one in place of another is nothing to extend or to stop."""
    for b in stakes.evaluation.bundle_runs:
        if b.outcome != stakes.outcome or min(b.evidence.signs) < 0:
            continue
        case = _case(stakes, join_words(b.members, "with"), b.members, "bundle", b.evidence.reason)
        answer = None if b.run is None else b.run.answer
        yield case if answer is None else _found(case, answer.to_frame(stakes.evaluation.level).iloc[0])


def _programme(stakes: Stakes) -> Case:
    """The programme as a whole; held where people were seen once and chance did not deal all of it."""
    study, programme = stakes.evaluation.study, stakes.parts.whole
    members = tuple(study.paths.components if programme is None else programme.paths.components)
    case = _case(stakes, PROGRAMME, members, "programme", SEEN_ONCE if study.paths.n_periods == 1 else NOBODY_WITHOUT)
    if programme is None:
        return _of_one(stakes, case)
    whole = programme.averages([(programme.mass > 0).astype(float)], [PROGRAMME])
    row = whole.to_frame(stakes.evaluation.level).iloc[0]
    held = parts_held(stakes.parts, members)
    words = say.PARTS_HELD.format(some=held, all=len(members)) if held else ""
    if stakes.parts.judged is None:
        chosen = join_words([quoted(c.label) for c in study.components if not c.assigned])
        words = say.WHOLE_CHOSEN.format(chosen=chosen)
    case = replace(_found(case, row), reason=str(row["reason"]) or case.reason, withheld=words)
    return _as_its_part(case, stakes) if held and len(members) == 1 else case


def _as_its_part(case: Case, stakes: Stakes) -> Case:
    """The line of a programme of one component, of which chances allow for what they allow for in its part."""
    part = next(line for line in _components(stakes) if line.name == case.members[0])
    if part.withheld:
        return case
    low, high = (end + move for end, move in zip((case.conf_low, case.conf_high), part.moves, strict=True))
    return replace(case, withheld="", beside=part.beside, allowed=part.allowed, allowed_low=low, allowed_high=high)


def _of_one(stakes: Stakes, case: Case) -> Case:
    """The line of a programme of one component, which is that component: what it has and costs besides is not in it."""
    lines = list(_components(stakes)) if len(stakes.evaluation.study.components) == 1 else []
    if not lines or not lines[0].ranged or stakes.costs.has_cost(PROGRAMME):
        return case
    return replace(lines[0], name=case.name, label=case.label)


def whole_verdict(case: Case) -> tuple[VerdictName, Direction, str]:
    """Verdict, direction and its one weakness or reason for the programme as a whole, from its line.

    As for a component, but never shown: nobody attacked the sum by itself. A failed check of a part leaves it at cannot
    tell.
    """
    if not case.ranged:
        return "not_tested", "", case.withheld or case.reason or NOBODY_WITHOUT
    direction: Direction = "better" if case.conf_low > 0 else "worse" if case.conf_high < 0 else ""
    if held := case.withheld or next(iter(case.allowed), ""):
        return "cannot_tell", direction, held
    if direction:
        return "likely", direction, say.WHOLE_UNTESTED
    small = case.matters is not None and case.conf_high < case.matters
    return ("no_sign" if small else "cannot_tell"), "", say.WHOLE_UNTESTED


def _left(stakes: Stakes, members: Sequence[str], kind: str) -> bool:
    """Whether anybody whom it reaches was without it in the last period: of the programme, without any of it."""
    paths = stakes.evaluation.study.paths
    at = [paths.index(m) for m in members]
    off = paths.state[:, -1, at] == 0
    return bool(((off.all(axis=1) if kind == "programme" else off.any(axis=1)) & paths.reach[:, at].any(axis=1)).any())


def _one_outcome(stakes: Stakes) -> str:
    """One outcome in words: 'a person month with “In a settled home”'."""
    study, o = stakes.evaluation.study, stakes.outcome
    where = study.noun_for(study.unit) + (f" {study.noun_for(study.period)}" if study.period else "")
    if len(o.label.split()) > _LONGEST_LABEL:
        return "an outcome"
    words = say.ONE_OUTCOME[o.said] if o.said != "share" or o.better == "higher" else say.ONE_WITHOUT
    more = "more" if o.better == "higher" else "fewer"
    return words.format(where=where, label=quoted(o.label), more=more, one=o.one)
