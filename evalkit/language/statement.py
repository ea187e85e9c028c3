"""Statements: what may be said about one component and one outcome, made once from its evidence.

The design of the words: evidence (typed, frozen; `verdicts/rules.py`) is redacted by `disclosure/publish.py`, decided
by `verdicts/rules.py`, and worded here. Tables of verdicts, page one, sections, terminal, Word and what may be said
aloud are all rendered from a `Statement`; nothing downstream reads a sentence to get a number or a name back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from evalkit.language import findings
from evalkit.language import templates as say
from evalkit.show.words import (
    count_words,
    full_stop,
    join_words,
    number_in_words,
    plural,
    quoted,
    sentence_case,
    sentences,
)
from evalkit.verdicts import rules
from evalkit.verdicts.evidence import CheckOutcome, Evidence, Verdict, Weakness

_DIRECTED = ("shown", "likely", "cannot_tell")
_MOST_TIMES = 3.0  # as many places as there were: more is no rollout that can still be made


@dataclass(frozen=True)
class Saying:
    """A sentence in three pieces: `name` is that of the component where the same may be said of others, else ''."""

    before: str
    name: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        """The whole sentence."""
        return self.of(self.name)

    def of(self, names: str) -> str:
        """The sentence said of `names` instead."""
        return full_stop(f"{self.before}{names}{self.after}")


@dataclass(frozen=True)
class Change:
    """What would change our mind; where it is only more of the same data, that `times` as many `units` would most
    likely show a change of `margin`, all in words."""

    text: str
    margin: str = ""
    times: str = ""
    units: str = ""


@dataclass(frozen=True)
class Statement:
    """What may be said about one component and one outcome.

    brief: the finding in short. found: in full, without the component's name. rests: what it rests on, without a full
    stop, '' where it says nothing of that. clusters: how many with it and without. window: 'in its first four months'.
    may_say, may_not_say, would_change: aloud, claims not carried (each in quotation marks), what would move the
    verdict. warnings: weaknesses and limits. checks: what the checks said. planned: whether a plan asked for it.
    """

    component: str
    outcome: str
    label: str
    verdict: str
    direction: str
    brief: findings.Brief
    found: str
    rests: str
    clusters: tuple[int, int]
    window: str
    may_say: Saying
    may_not_say: tuple[str, ...]
    would_change: Change
    warnings: tuple[str, ...] = ()
    checks: tuple[CheckOutcome, ...] = ()
    planned: str = "no plan"

    @property
    def sentence(self) -> str:
        """The finding in full with the component's name before it."""
        return full_stop(say.NAMED.format(label=self.label, text=self.found[:1].lower() + self.found[1:]))

    @property
    def not_to_be_said(self) -> str:
        """Every claim that these data do not carry, separated by semicolons."""
        return full_stop("; ".join(self.may_not_say))


def statement(evidence: Evidence, verdict: Verdict) -> Statement:
    """Everything that may be said of the evidence and its verdict."""
    e, v = evidence, verdict
    full, short = findings.finding(e, v)
    return Statement(
        e.component, e.outcome, e.name, v.verdict, v.direction, short, full,
        rests=sentence_case(findings.rests_on(e, v)), clusters=(e.clusters_exposed, e.clusters_comparison),
        window=findings.window_words(e.lag, e.clean_until, e.period), may_say=_may_say(e, v),
        may_not_say=_may_not_say(e, v), would_change=_would_change(e, v),
        warnings=tuple(w.words for w in findings.all_weaknesses(e)), checks=e.checks,
    )  # fmt: skip


def in_one_breath(rows: Iterable[tuple[str, str, str]]) -> str:
    """A short paragraph naming the components by verdict, in the order of `rows` (the register's, never of size).

    Each row: verdict, direction, label. Labels are quoted where one of them would run into the next.
    """
    listed = list(rows)
    unclear = any("," in label or " and " in label for *_, label in listed)
    groups: dict[tuple[str, str], list[str]] = {key: [] for key, _ in say.BREATH}
    for verdict, direction, label in listed:
        groups[verdict, direction if verdict in _DIRECTED else ""].append(quoted(label) if unclear else label)
    found = any(names for (verdict, _), names in groups.items() if verdict in ("shown", "likely"))
    lead = "" if found or not listed else say.BREATH_NONE
    return sentences(lead, *(t.format(names=join_words(groups[key])) for key, t in say.BREATH if groups[key]))


def _saying(template: str, it: str, **words: str) -> Saying:
    before, _, after = template.partition("{it}")
    return Saying(before.format(**words), it, after.format(**words))


def _may_say(e: Evidence, v: Verdict) -> Saying:
    it, direction = quoted(e.name), say.DIRECTIONS[v.direction]
    if v.verdict == "shown":
        found = ", ".join(filter(None, (findings.found_words(e), findings.for_some(e))))
        return _saying(say.MAY_SHOWN, it, found=found)
    if v.verdict == "likely":
        listed = "; ".join(w.words for w in findings.all_weaknesses(e))
        return _saying(say.MAY_LIKELY, it, direction=direction, weaknesses=listed)
    if v.verdict == "no_sign":
        template = say.MAY_NO_SIGN_HARM if rules.harm_not_ruled_out(e) else say.MAY_NO_SIGN
        return _saying(template, it, margin=findings.margin_words(e))
    if v.verdict == "not_tested":
        return _saying(say.MAY_NOT_TESTED, it)
    if v.verdict != "cannot_tell_apart":
        return _saying(say.MAY_POINTS if v.direction else say.MAY_CANNOT, it, direction=direction)
    names = join_words([it, *(quoted(n) for n in findings.other_labels(e))])
    if e.bundle is None or not findings.has_range(e.bundle):
        return Saying(say.MAY_APART.format(all=names)) if findings.other_labels(e) else _saying(say.MAY_CANNOT, it)
    if min(e.bundle.signs) < 0:
        return Saying(say.MAY_SWAP_FOUND.format(found=findings.bundle_found(e, e.bundle)))
    return Saying(say.MAY_APART_FOUND.format(found=f"with {names} together, {findings.found_words(e, e.bundle)}"))


def _may_not_say(e: Evidence, v: Verdict) -> tuple[str, ...]:
    key = v.verdict + (f"_{v.direction}" if v.verdict in ("shown", "likely") else "")
    if v.verdict == "no_sign" and not rules.inside_margin(e):
        key = "no_sign_harm"
    claims = [c.format(label=e.name) for c in say.MAY_NOT[key]]
    if v.verdict in ("shown", "likely"):
        claims.append(say.MAY_NOT_RANK.format(label=e.name))
        last = findings.last_period(e.clean_until)
        if last is not None and e.period:
            claims.append(say.MAY_NOT_LAST.format(periods=count_words(last + 1, e.period)))
    return tuple(quoted(sentence_case(c)) for c in claims)


def _would_change(e: Evidence, v: Verdict) -> Change:
    """What data, place or date would move the verdict: the rollout's own cure where there is one; where the range is
    too wide, how much more data, or what has to be said first."""
    if v.verdict != "cannot_tell" or v.direction or v.rule == 3:
        return Change(full_stop(_remedy(e, v)))
    units = plural(e.place)
    more = (say.MIND_MORE if e.period else say.MIND_MORE_AT_ONE_TIME).format(units=units)
    if e.margin is None:
        return Change(sentences(say.MIND_MARGIN, more))
    if rules.benefit_below_margin(e):
        return Change(full_stop(say.MIND_LIKELY.format(remedies=_remedies(e, findings.blocking(e)))))
    times = (v.smallest_detectable / e.margin) ** 2
    if not math.isfinite(times) or times < 1.2:
        return Change(full_stop(more))
    if times > _MOST_TIMES:
        return Change(full_stop(say.MIND_FAR.format(margin=findings.margin_words(e), units=units)))
    wanted = (findings.margin_words(e), number_in_words(max(2, math.ceil(times))), units)
    return Change(full_stop(say.MIND_MORE_DATA.format(margin=wanted[0], times=wanted[1], units=units)), *wanted)


def _remedy(e: Evidence, v: Verdict) -> str:
    if v.verdict == "shown":
        return say.MIND_SHOWN
    if v.verdict == "likely" or (v.verdict == "cannot_tell" and v.rule != 3):
        return say.MIND_LIKELY.format(remedies=_remedies(e, findings.all_weaknesses(e)))
    if v.verdict == "no_sign":
        return say.MIND_NO_SIGN.format(margin=findings.margin_words(e))
    if e.cure:
        return e.cure
    if v.verdict == "cannot_tell":
        return say.MIND_CLUSTERS.format(places=plural(e.place))
    if v.verdict == "cannot_tell_apart":
        return say.MIND_APART.format(periods=plural(e.period)) if e.period else say.MIND_APART_AT_ONE_TIME
    if e.status != "not_tested":
        return say.MIND_NOT_SEEN.format(outcome=quoted(e.outcome_name))
    untested = say.MIND_NOT_TESTED if e.period else say.MIND_NOT_TESTED_AT_ONE_TIME
    return untested.format(places=plural(e.place), units=plural(e.unit or "unit"))


def _remedies(e: Evidence, found: Iterable[Weakness]) -> str:
    nouns = {"place": e.place, "places": plural(e.place), "units": plural(e.unit or "unit")}
    return join_words(list(dict.fromkeys(rules.REMEDIES[w.name].format(**nouns) for w in found)))
