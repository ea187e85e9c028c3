"""What may be said of a decision: fixed sentences, filled in and put in order, made once.

Chances are said in tenths that never cross a mark at which an act changes; money in three figures, rounded outwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from evalkit.decision.acts import MATTERS, Decision
from evalkit.decision.prior import NAMES
from evalkit.decision.worth import EXTEND, STOP
from evalkit.language import templates as say
from evalkit.show.numbers import pounds, pounds_outwards, size_words
from evalkit.show.words import join_words, sentence_case, sentences
from evalkit.vocabulary import Lean

_BESIDE_MARK = 0.05


@dataclass(frozen=True)
class Said:
    """What may be said of one line, each piece of one or two sentences or '': lean, chances, how sure one must have
    been beforehand, thresholds, act, whether it pays, and what else it hangs on."""

    lean: str
    chance: str = ""
    believed: str = ""
    thresholds: str = ""
    act: str = ""
    pays: str = ""
    doubt: str = ""
    left_out: str = ""

    @property
    def sentence(self) -> str:
        """Everything in one piece, the act first."""
        pieces = (
            self.act,
            self.pays,
            self.thresholds,
            self.lean,
            self.chance,
            self.believed,
            self.doubt,
            self.left_out,
        )
        return " ".join(p for p in pieces if p)


def said_of(decision: Decision, currency: str = "£") -> Said:
    """Every sentence about one decision."""
    d, stake = decision, decision.case.stake
    outside = say.LEFT_OUT.format(names=join_words(stake.left_out)) if stake.left_out and stake.costed else ""
    act = " ".join(_act(d, currency))
    if not math.isfinite(d.chance_better):
        return Said(lean_words(d.lean, d.case.matters, d.hangs == "withheld"), act=act, left_out=outside)
    start = say.STARTS.get(d.prior.name, say.ELSEWHERE)
    chances = {"better": d.chance_better, "matters": d.chance_matters, "harm": d.chance_harm}
    chance = say.CHANCES.format(start=start, **{k: frequency(v) for k, v in chances.items()})
    believed = say.BELIEVED.format(before=frequency(d.believed)) if math.isfinite(d.believed) else ""
    doubt = "" if d.moved else say.NOT_MOVED if d.prior.name in NAMES else say.NOT_MOVED_POOL.format(pool=d.prior.name)
    doubt = say.GAVE_WAY if d.gave_way else doubt
    beside = say.BESIDE.format(reason=d.case.beside) if d.case.beside else ""
    allowed = say.ALLOWED.format(reasons=join_words(d.case.allowed)) if d.case.allowed else ""
    doubt = " ".join(filter(None, (beside, allowed, doubt)))
    lean = lean_words(d.lean, d.case.matters, bool(d.case.allowed))
    return Said(lean, chance, believed, _thresholds(d, currency), act, _pays(d, currency), doubt, outside)


def lean_words(lean: Lean, matters: float | None, held: bool = False) -> str:
    """What a likely range leaves out, in a sentence. held: by a check that failed, so that nothing is ruled out yet."""
    stated = matters is not None
    words = say.LEANS if stated else {**say.LEANS, **say.UNSTATED_LEANS}
    settled = say.HELD_LEANS if stated else say.HELD_UNSTATED_LEANS
    return settled.get(lean, words[lean]) if held else words[lean]


def why(decision: Decision) -> str:
    """Why something is withheld or held back, for the column of reasons; '' where nothing is."""
    d, case = decision, decision.case
    if d.act == "no_evidence":
        return case.reason or say.NO_COMPARISON
    held = {
        "withheld": case.withheld, "conflict": case.stake.conflict, "unstated": say.UNSTATED_BRIEF,
        "worth": say.HANGS_ON_WORTH, "outcomes": say.OUTCOMES_DIFFER.format(better=d.better, worse=d.worse), "": "",
    }  # fmt: skip
    return "; ".join(filter(None, (held[d.hangs], "" if d.priced or d.hangs else case.stake.unpriced)))


def frequency(chance: float) -> str:
    """In tenths between 1 and 9, never across the marks at which acts change; the ends are said as limits."""
    if STOP < chance < STOP + _BESIDE_MARK:
        return "just over 3 in 10"
    if EXTEND - _BESIDE_MARK <= chance < EXTEND:
        return "nearly 7 in 10"
    if chance < 0.05:
        return "fewer than 1 in 20"
    if chance > 0.95:
        return "more than 19 in 20"
    return f"about {min(max(round(10 * chance), 1), 9)} in 10"


def _act(d: Decision, currency: str) -> Iterator[str]:
    """The act in fixed words, by what decides it."""
    case = d.case
    if d.act == "no_evidence":
        whole = case.stake.whole
        money = pounds(whole, currency=currency) if math.isfinite(whole) and whole > 0 else "it"
        reason = case.reason or say.NO_COMPARISON
        yield sentences(say.NO_EVIDENCE.format(whole=money, reason=reason), say.NOTHING_AGAINST)
    elif d.hangs == "withheld":
        yield sentences(say.WITHHELD.format(reason=case.withheld), say.SETTLE if case.ranged else "")
        if math.isfinite(case.drift) and d.lean in say.RULED_OUT:
            size = size_words(case.drift * case.good, case.kind, currency=currency, time=case.unit)
            yield sentences(say.UNDONE.format(drift=size))
    elif d.hangs == "conflict":
        yield sentences(say.CONFLICT.format(reason=case.stake.conflict), say.SETTLE)
    elif d.hangs == "outcomes":
        yield say.DISAGREE.format(better=d.better, worse=d.worse)
    elif d.hangs:
        yield say.HANGING[d.hangs]
    elif d.act == "keep_and_extend" and d.chance_matters < MATTERS:
        yield say.EXTEND_BET
    elif d.act == "stop" and d.priced and d.chance_better >= EXTEND:
        yield say.STOP_AT_PRICE
    else:
        yield say.ACTS[d.act]


def _thresholds(d: Decision, currency: str) -> str:
    up, down = d.extend_from, d.stop_below
    key = "".join(name for name, value in (("up", up), ("down", down)) if math.isfinite(value) and value > 0)
    if not key:
        return ""
    money = {"up": up, "down": down}
    shown = {k: pounds_outwards(v, k == "up", currency) for k, v in money.items() if math.isfinite(v)}
    return say.THRESHOLDS[key].format(one=_each(d), **{"up": "", "down": "", **shown})


def _pays(d: Decision, currency: str) -> str:
    if not d.returns:
        held = d.hangs or d.case.stake.conflict
        return "" if held else sentences(say.UNPRICED.format(reason=d.case.stake.unpriced))
    low, high = d.returns[0], d.returns[-1]
    first, last = frequency(low.chance_pays), frequency(high.chance_pays)
    chance = first if first == last else f"{first} to {last}"
    if first != last and first.startswith("about ") and last.startswith("about "):
        chance = f"{first.removesuffix(' in 10')} to {last.removeprefix('about ')}"
    worth = pounds_outwards(low.worth, False, currency)
    if high.worth != low.worth:
        worth = f"{worth} to {pounds_outwards(high.worth, True, currency)}"
    return sentence_case(say.PAYS.format(chance=chance, worth=worth, one=_each(d)))


def _each(d: Decision) -> str:
    """One outcome behind an amount: '£20 a point of ...', '£600 for one more of ...'."""
    return f"for {d.case.one}" if d.case.one.startswith("one ") else d.case.one
