"""What a verdict says to people: one fixed sentence for each verdict and variant.

Every function is pure: evidence and verdict in, words out. The templates stand in `language/templates.py`, the
numbers are shown by `show/numbers.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

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


def found_in_full(evidence: Evidence, verdict: Verdict) -> str:
    """The verdict in plain words without the component's name, one to six short sentences."""
    return _TEXTS[verdict.verdict](evidence, verdict)


def rests_on(evidence: Evidence, verdict: Verdict) -> str:
    """What the sentence says that it rests on: '9 states with it and 20 without it'; '' where it says nothing."""
    if verdict.verdict == "cannot_tell_apart" and evidence.bundle is not None and has_range(evidence.bundle):
        return _places(evidence, evidence.bundle, _bundle_rests(evidence, evidence.bundle))
    if verdict.verdict in ("cannot_tell_apart", "not_tested") or verdict.rule == 3:
        return ""
    return _places(evidence, evidence, say.RESTS_DOSE if evidence.rests_on_dose else say.RESTS)


def bundle_sentence(evidence: Evidence) -> str:
    """What can be said of the combination in `evidence.bundle`, in the outcome's words."""
    bundle = evidence.bundle
    if bundle is None:
        return full_stop(say.NO_BUNDLE)
    if not has_range(bundle):
        template = say.SWAP_NO_RANGE if min(bundle.signs) < 0 else say.BUNDLE_NO_RANGE
        return sentences(template, bundle.reason)
    adds = say.BUNDLE_ADDS if bundle.additive else ""
    rests = _rests(evidence, bundle, _bundle_rests(evidence, bundle))
    return sentences(bundle_found(evidence, bundle), rests, adds)


def _bundle_rests(evidence: Evidence, bundle: BundleEvidence) -> tuple[str, str]:
    if min(bundle.signs) >= 0:
        return say.RESTS_THEM
    if bundle.additive:
        return say.RESTS_EITHER
    return say.RESTS_SWAP if evidence.period else say.RESTS_SWAP_AT_ONE_TIME


def window_words(lag: int, clean_until: float | None, period: str, its: str = "its") -> str:
    """'in its first four months', 'from its second to its fourth month', '' where nothing bounds it."""
    last = last_period(clean_until)
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


def found_words(e: Evidence, x: Evidence | BundleEvidence | None = None) -> str:
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
    return ", ".join(part for part in (window, say.WHERE, found_words(e)) if part)


def bundle_found(e: Evidence, bundle: BundleEvidence) -> str:
    gained = [quoted(n) for n, w in zip(bundle.labels, bundle.signs, strict=True) if w > 0]
    lost = [quoted(n) for n, w in zip(bundle.labels, bundle.signs, strict=True) if w < 0]
    window = window_words(bundle.lag, bundle.clean_until, e.period, "their")
    found = ", ".join(part for part in (window, found_words(e, bundle)) if part)
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


def _rests(e: Evidence, x: Evidence | BundleEvidence, template: tuple[str, str]) -> str:
    """Places with and without, and whom it speaks of unless the natural frequency has already said so."""
    if places := _places(e, x, template, template[1]):
        return say.RESTS_ON.format(rests=places)
    return say.SPEAKS_ALONE.format(population=e.population) if e.population and e.kind != "share" else ""


def _places(e: Evidence, x: Evidence | BundleEvidence, template: tuple[str, str], when: str = "") -> str:
    if x.clusters_exposed <= 0:
        return ""
    exposed = count_words(x.clusters_exposed, e.place)
    places = template[0].format(exposed=exposed, comparison=f"{x.clusters_comparison:,}") + when
    population = "" if e.kind == "share" else e.population
    return say.SPEAKS.format(rests=places, population=population) if population else places


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


def other_labels(e: Evidence) -> list[str]:
    """Labels of the bundle's members other than this component."""
    if e.bundle is None:
        return []
    return [n for m, n in zip(e.bundle.members, e.bundle.labels, strict=True) if m != e.component]


def has_range(bundle: BundleEvidence) -> bool:
    return all(math.isfinite(v) for v in (bundle.estimate, bundle.conf_low, bundle.conf_high))


def last_period(clean_until: float | None) -> int | None:
    """The last event time claimed as a whole number, None where nothing bounds it."""
    return int(clean_until) if clean_until is not None and math.isfinite(clean_until) else None
