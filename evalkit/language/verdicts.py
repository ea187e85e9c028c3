"""What a verdict says to people: one fixed sentence for each verdict and variant.

Every public function is pure: evidence and verdict in, words out. The templates stand in
`evaluation/templates.py`, the numbers are shown by `show/numbers.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from evalkit.language import templates as say
from evalkit.show.numbers import Nouns, Scale, scale_for
from evalkit.show.words import (
    count_words,
    full_stop,
    join_words,
    number_in_words,
    ordinal_in_words,
    plural,
    quoted,
    sentence_case,
    sentences,
)
from evalkit.verdicts.rules import (
    BundleEvidence,
    Evidence,
    Verdict,
    Weakness,
    benefit_below_margin,
    cautions,
    failed_main_checks,
    harm_not_ruled_out,
    inside_margin,
    limits,
    smallest_detectable,
    weaknesses,
)

#: From this share of those who had it on, the words say that they are not behind the answer.
MATERIAL = 0.1


def sentence(evidence: Evidence, verdict: Verdict, *, named: bool = True) -> str:
    """The verdict in plain words, one to six short sentences; `named=False` leaves the label out."""
    text = _TEXTS[verdict.verdict](evidence, verdict)
    if not named:
        return text
    return full_stop(say.NAMED.format(label=evidence.name, text=text[:1].lower() + text[1:]))


def bundle_sentence(evidence: Evidence) -> str:
    """What can be said of the combination in `evidence.bundle`, in the outcome's words."""
    bundle = evidence.bundle
    if bundle is None:
        return full_stop(say.NO_BUNDLE)
    if not has_range(bundle):
        template = say.SWAP_NO_RANGE if min(bundle.signs) < 0 else say.BUNDLE_NO_RANGE
        return sentences(template, bundle.reason)
    changed = say.RESTS_SWAP if evidence.period else say.RESTS_SWAP_AT_ONE_TIME
    swapped = say.RESTS_EITHER if bundle.additive else changed
    template = swapped if min(bundle.signs) < 0 else say.RESTS_THEM
    adds = say.BUNDLE_ADDS if bundle.additive else ""
    return sentences(_bundle_found(evidence, bundle), _rests(evidence, bundle, template), adds)


def may_say(evidence: Evidence, verdict: Verdict) -> str:
    """One sentence that a careful speaker may say aloud."""
    it, direction = quoted(evidence.name), say.DIRECTIONS[verdict.direction]
    if verdict.verdict == "shown":
        found = ", ".join(part for part in (_found(evidence), for_some(evidence)) if part)
        return full_stop(say.MAY_SHOWN.format(it=it, found=found))
    if verdict.verdict == "likely":
        listed = "; ".join(w.words for w in all_weaknesses(evidence))
        return full_stop(say.MAY_LIKELY.format(it=it, direction=direction, weaknesses=listed))
    if verdict.verdict == "no_sign":
        template = say.MAY_NO_SIGN_HARM if harm_not_ruled_out(evidence) else say.MAY_NO_SIGN
        return full_stop(template.format(it=it, margin=margin_words(evidence)))
    if verdict.verdict == "not_tested":
        return full_stop(say.MAY_NOT_TESTED.format(it=it))
    if verdict.verdict == "cannot_tell_apart":
        return full_stop(_may_say_apart(evidence))
    template = say.MAY_POINTS if verdict.direction else say.MAY_CANNOT
    return full_stop(template.format(it=it, direction=direction))


def may_not_say(evidence: Evidence, verdict: Verdict) -> str:
    """Claims that these data do not carry, each in quotation marks, separated by semicolons."""
    key = verdict.verdict + (f"_{verdict.direction}" if verdict.verdict in ("shown", "likely") else "")
    if verdict.verdict == "no_sign" and not inside_margin(evidence):
        key = "no_sign_harm"
    claims = [c.format(label=evidence.name) for c in say.MAY_NOT[key]]
    if verdict.verdict in ("shown", "likely"):
        claims.append(say.MAY_NOT_RANK.format(label=evidence.name))
        last = _last(evidence.clean_until)
        if last is not None and evidence.period:
            claims.append(say.MAY_NOT_LAST.format(periods=count_words(last + 1, evidence.period)))
    return full_stop("; ".join(quoted(sentence_case(c)) for c in claims))


def what_would_change_our_mind(evidence: Evidence, verdict: Verdict) -> str:
    """What data, place or date would move the verdict. The rollout's own cure is used where there is one."""
    e = evidence
    if verdict.verdict == "shown":
        return full_stop(say.MIND_SHOWN)
    if verdict.verdict == "likely" or (verdict.verdict == "cannot_tell" and verdict.direction):
        return full_stop(say.MIND_LIKELY.format(remedies=_remedies(e, all_weaknesses(e))))
    if verdict.verdict == "no_sign":
        return full_stop(say.MIND_NO_SIGN.format(margin=margin_words(e)))
    if verdict.verdict == "cannot_tell":
        return _mind_cannot_tell(e, verdict)
    if e.cure:
        return full_stop(e.cure)
    if verdict.verdict == "cannot_tell_apart":
        return full_stop(say.MIND_APART.format(periods=plural(e.period)) if e.period else say.MIND_APART_AT_ONE_TIME)
    if e.status != "not_tested":
        return full_stop(say.MIND_NOT_SEEN.format(outcome=quoted(e.outcome_name)))
    untested = say.MIND_NOT_TESTED if e.period else say.MIND_NOT_TESTED_AT_ONE_TIME
    return full_stop(untested.format(places=plural(e.place), units=plural(e.unit or "unit")))


def in_one_breath(rows: Iterable[Mapping[str, object]]) -> str:
    """A short paragraph naming the components by verdict, in the order of `rows` (the register's, never of size).

    Each row has `verdict`, `direction` and `label` (or `component`).
    """
    groups: dict[tuple[str, str], list[str]] = {key: [] for key, _ in say.BREATH}
    for row in rows:
        verdict = str(row["verdict"])
        direction = str(row.get("direction") or "") if verdict in ("shown", "likely", "cannot_tell") else ""
        groups[verdict, direction].append(str(row.get("label") or row["component"]))
    found = any(names for (verdict, _), names in groups.items() if verdict in ("shown", "likely"))
    lead = "" if found or not any(groups.values()) else say.BREATH_NONE
    return sentences(lead, *(t.format(names=join_words(groups[key])) for key, t in say.BREATH if groups[key]))


def window_words(lag: int, clean_until: float | None, period: str, its: str = "its") -> str:
    """'in its first four months', 'from its second to its fourth month', '' where nothing bounds it."""
    last = _last(clean_until)
    if not period or (last is None and lag <= 0):
        return ""
    first = ordinal_in_words(lag + 1)
    if last is None:
        return f"from {its} {first} {period} on"
    if last <= lag:
        return f"in {its} {first} {period}"
    if lag <= 0:
        return f"in {its} first {number_in_words(last + 1)} {plural(period)}"
    return f"from {its} {first} to {its} {ordinal_in_words(last + 1)} {period}"


# One function a verdict.


def _shown(e: Evidence, v: Verdict) -> str:
    lead = say.SHOWN.format(direction=say.DIRECTIONS[v.direction])
    return sentences(lead, _found_where(e), _smaller(e), _rests_itself(e))


def _likely(e: Evidence, v: Verdict) -> str:
    lead = say.LIKELY.format(direction=say.DIRECTIONS[v.direction])
    limited = not_called_shown(e)
    rests = _rests_itself(e)
    return sentences(lead, _found_where(e), _smaller(e), rests, _weak(weaknesses(e)), limited)


def _cannot_tell(e: Evidence, v: Verdict) -> str:
    rests = _rests_itself(e)
    if v.rule == 3:
        reason = e.reason or say.NO_RANGE.format(places=plural(e.place))
        return sentences(say.UNDECIDED, reason, _best_guess(e))
    if v.direction:
        lead = say.POINTS.format(direction=say.DIRECTIONS[v.direction])
        return sentences(lead, _found_where(e), rests, _weak(all_weaknesses(e)))
    seen = _could_have_seen(e, v)
    if e.margin is None:
        return sentences(say.UNDECIDED, _range(e), say.UNSTATED, seen, rests, _caution(e))
    if benefit_below_margin(e):
        listed = _listed(blocking(e))
        uncarried = say.UNCARRIED.format(margin=margin_words(e), weaknesses=listed)
        return sentences(say.UNDECIDED, _range(e), uncarried, seen, rests)
    return sentences(say.TOO_SMALL, _range(e), seen, rests, _caution(e))


def _no_sign(e: Evidence, v: Verdict) -> str:
    lead = (say.NO_SIGN_HARM if harm_not_ruled_out(e) else say.NO_SIGN).format(margin=margin_words(e))
    either = say.EITHER_WAY if inside_margin(e) else ""
    return sentences(lead, _range(e), either, _rests_itself(e), _caution(e))


def _apart(e: Evidence, v: Verdict) -> str:
    swap = e.status == "swap_only"
    names = other_labels(e)
    unnamed = "another component" if swap else "the other components"
    others = join_words([quoted(n) for n in e.tied or names]) or unnamed
    swapped = say.SWAP if e.period else say.SWAP_AT_ONE_TIME
    lead = (swapped if swap else say.TOGETHER).format(others=others)
    measured = e.bundle is not None and has_range(e.bundle)
    instead = swap or (e.bundle is not None and min(e.bundle.signs) < 0)
    close = "" if not measured else say.ALONE if instead else say.EITHER if len(names) == 1 else say.ANY
    reason = say.ONLY_IF.format(reason=e.reason) if e.reason.lower().startswith("only if") else e.reason
    return sentences(lead, reason, bundle_sentence(e), close)


def _not_tested(e: Evidence, v: Verdict) -> str:
    unseen = say.NOT_SEEN.format(outcome=quoted(e.outcome_name))
    reason = (e.reason or say.NO_COMPARISON) if e.status == "not_tested" else unseen
    return sentences(say.NOT_TESTED, reason, say.CANNOT_SHOW)


_TEXTS = {
    "shown": _shown,
    "likely": _likely,
    "cannot_tell": _cannot_tell,
    "cannot_tell_apart": _apart,
    "no_sign": _no_sign,
    "not_tested": _not_tested,
}

# Pieces.


def scale_in(e: Evidence, x: Evidence | BundleEvidence) -> Scale:
    """One way of showing every number in a sentence about `x`: the component itself or its bundle."""
    margin = e.margin or math.nan
    ends = [v for v in (x.conf_low, x.conf_high) if math.isfinite(v)]
    spread = x.std_error if math.isfinite(x.std_error) else (ends[1] - ends[0]) / 4.0 if len(ends) == 2 else math.nan
    whom = e.population if e.kind == "share" else ""
    nouns = Nouns(unit=e.unit, whom=whom, period=e.period if e.unit else "", currency=e.currency)
    seen = smallest_detectable(e.std_error, e.df) if x is e else math.nan
    values = [x.estimate, *ends, margin, seen]
    return scale_for(values, e.kind, nouns, spread, apart=(margin, -margin))


def _found(e: Evidence, x: Evidence | BundleEvidence | None = None) -> str:
    """'about 9 more in every 100 people were recorded as ... than we would have expected (likely range ...)'."""
    x = x or e
    scale = scale_in(e, x)
    effect = scale.effect(x.estimate)
    were = "was" if scale.figure(x.estimate) == "1" else "were"
    span = scale.span(x.conf_low, x.conf_high)
    outcome = quoted(e.outcome_name)
    return say.FOUND[e.kind].format(effect=effect, tail=scale.tail, were=were, outcome=outcome, span=span)


def _found_where(e: Evidence) -> str:
    window = window_words(e.lag, e.clean_until, e.period)
    return ", ".join(part for part in (window, say.WHERE, _found(e)) if part)


def _bundle_found(e: Evidence, bundle: BundleEvidence) -> str:
    gained = [quoted(n) for n, w in zip(bundle.labels, bundle.signs, strict=True) if w > 0]
    lost = [quoted(n) for n, w in zip(bundle.labels, bundle.signs, strict=True) if w < 0]
    window = window_words(bundle.lag, bundle.clean_until, e.period, "their")
    found = ", ".join(part for part in (window, _found(e, bundle)) if part)
    if lost:
        return say.BUNDLE_INSTEAD.format(gained=join_words(gained), lost=join_words(lost), found=found)
    template = say.BUNDLE_SUM if bundle.kind == "sum" else say.BUNDLE_TOGETHER
    return template.format(gained=join_words(gained), found=found)


def _range(e: Evidence) -> str:
    scale = scale_in(e, e)
    window = window_words(e.lag, e.clean_until, e.period)
    span = scale.span(e.conf_low, e.conf_high)
    window = f", {window}" if window else ""
    return say.RANGE.format(outcome=quoted(e.outcome_name), span=span, tail=scale.tail, window=window)


def _best_guess(e: Evidence) -> str:
    if not math.isfinite(e.estimate):
        return ""
    scale = scale_in(e, e)
    return say.BEST_GUESS.format(effect=scale.effect(e.estimate), tail=scale.tail)


def margin_words(e: Evidence) -> str:
    """What matters, as a size in the good direction."""
    return scale_in(e, e).finely(e.good * (e.margin or 0.0))


def _smaller(e: Evidence) -> str:
    return say.SMALLER.format(margin=margin_words(e)) if inside_margin(e) else ""


def _could_have_seen(e: Evidence, v: Verdict) -> str:
    if not (math.isfinite(v.smallest_detectable) and v.smallest_detectable > 0):
        return ""
    scale = scale_in(e, e)
    size = scale.named(scale.figure(e.good * v.smallest_detectable))
    return say.COULD_HAVE_SEEN.format(size=size, tail=scale.brief)


def _rests_itself(e: Evidence) -> str:
    return sentences(_rests(e, e, say.RESTS_DOSE if e.rests_on_dose else say.RESTS), _speaks_for(e))


def for_some(e: Evidence) -> str:
    """'for 217 of 608 people with it', '' where all but a few of those who had it stand behind the answer."""
    if not 0 < e.units_behind <= (1 - MATERIAL) * e.units_had:
        return ""
    return say.FOR_SOME.format(behind=f"{int(e.units_behind):,}", had=count_words(int(e.units_had), e.unit or "unit"))


def _speaks_for(e: Evidence) -> str:
    others = "other" if e.units_had - e.units_behind == 1 else "others"
    return say.SPEAKS_FOR.format(some=for_some(e), others=others) if for_some(e) else ""


def _rests(e: Evidence, x: Evidence | BundleEvidence, template: str) -> str:
    """Places with and without, and whom it speaks of unless the natural frequency has already said so."""
    population = "" if e.kind == "share" else e.population
    if x.clusters_exposed <= 0:
        return say.SPEAKS_ALONE.format(population=population) if population else ""
    exposed = count_words(x.clusters_exposed, e.place)
    rests = template.format(exposed=exposed, comparison=f"{x.clusters_comparison:,}")
    return say.SPEAKS.format(rests=rests, population=population) if population else rests


def _listed(found: Iterable[Weakness]) -> str:
    return join_words([w.words for w in found])


def _weak(found: tuple[Weakness, ...]) -> str:
    if len(found) == 1:
        return say.ONE_WEAKNESS.format(weaknesses=found[0].words)
    if not found:
        return ""
    listed = "; ".join(w.words for w in found)
    return say.SEVERAL_WEAKNESSES.format(count=number_in_words(len(found)), weaknesses=listed)


def _caution(e: Evidence) -> str:
    return say.CAUTION.format(weaknesses=_listed(cautions(e))) if cautions(e) else ""


def all_weaknesses(e: Evidence) -> tuple[Weakness, ...]:
    """The weaknesses, and what keeps an answer without any at likely."""
    return weaknesses(e) + limits(e)


def not_called_shown(e: Evidence) -> str:
    """Why an answer is not called shown however it passed its checks; '' where nothing keeps it from that."""
    return say.NOT_CALLED_SHOWN.format(limits=join_words([w.words for w in limits(e)])) if limits(e) else ""


def blocking(e: Evidence) -> tuple[Weakness, ...]:
    """What keeps a small benefit from being called no sign of a benefit."""
    additivity = tuple(w for w in cautions(e) if w.name == "additivity")
    return failed_main_checks(e) + additivity


def _remedies(e: Evidence, found: Iterable[Weakness]) -> str:
    listed = dict.fromkeys(
        say.REMEDIES[w.name].format(place=e.place, places=plural(e.place), units=plural(e.unit or "unit"))
        for w in found
    )
    return join_words(list(listed))


def _mind_cannot_tell(e: Evidence, v: Verdict) -> str:
    if v.rule == 3:
        return full_stop(e.cure or say.MIND_CLUSTERS.format(places=plural(e.place)))
    more = (say.MIND_MORE if e.period else say.MIND_MORE_AT_ONE_TIME).format(units=plural(e.place))
    if e.margin is None:
        return sentences(say.MIND_MARGIN, more)
    if benefit_below_margin(e):
        return full_stop(say.MIND_LIKELY.format(remedies=_remedies(e, blocking(e))))
    times = (v.smallest_detectable / e.margin) ** 2
    if not math.isfinite(times) or times < 1.2:
        return full_stop(more)
    if times > 20:
        return full_stop(say.MIND_FAR.format(margin=margin_words(e), units=plural(e.place)))
    said = number_in_words(max(2, math.ceil(times)))
    return full_stop(say.MIND_MORE_DATA.format(margin=margin_words(e), times=said, units=plural(e.place)))


def _may_say_apart(e: Evidence) -> str:
    names = join_words([quoted(n) for n in (e.name, *other_labels(e))])
    if e.bundle is None or not has_range(e.bundle):
        return say.MAY_APART.format(all=names) if other_labels(e) else say.MAY_CANNOT.format(it=names)
    template = say.MAY_SWAP_FOUND if min(e.bundle.signs) < 0 else say.MAY_APART_FOUND
    found = _found(e, e.bundle)
    if min(e.bundle.signs) < 0:
        return template.format(found=_bundle_found(e, e.bundle))
    return template.format(found=f"with {names} together, {found}")


def other_labels(e: Evidence) -> list[str]:
    """Labels of the bundle's members other than this component."""
    if e.bundle is None:
        return []
    return [n for m, n in zip(e.bundle.members, e.bundle.labels, strict=True) if m != e.component]


def has_range(bundle: BundleEvidence) -> bool:
    return all(math.isfinite(v) for v in (bundle.estimate, bundle.conf_low, bundle.conf_high))


def _last(clean_until: float | None) -> int | None:
    """The last event time claimed as a whole number, None where nothing bounds it."""
    return int(clean_until) if clean_until is not None and math.isfinite(clean_until) else None
