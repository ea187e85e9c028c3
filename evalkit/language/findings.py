"""What was found, in full and in short: fixed sentences for each verdict and variant.

Every function is pure: evidence and verdict in, words out. The templates stand in `language/templates.py`, the
numbers are shown by `show/numbers.py`. In short the outcome is not named, because it stands once above the table, and
cautions about an answer that was not given are left to the full sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
from evalkit.verdicts import rules
from evalkit.verdicts.evidence import BundleEvidence, Evidence, Verdict, Weakness
from evalkit.vocabulary import BESIDE_PLACES, CONTROLLED_SERIES, SERIES, SYNTHETIC_DIFFERENCE

#: From this share of those who had it on, the words say that they are not behind the answer.
MATERIAL = 0.1
_TOLD = 2


@dataclass(frozen=True)
class Brief:
    """A short finding in three pieces; `figures` is the piece that leads to where it is worked out."""

    before: str = ""
    figures: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        """The whole in one piece."""
        return f"{self.before}{self.figures}{self.after}"


def finding(evidence: Evidence, verdict: Verdict) -> tuple[str, Brief]:
    """The finding without the component's name: in full, one to six short sentences, and in one or two."""
    return _FINDINGS[verdict.verdict](evidence, verdict)


def _given(e: Evidence, v: Verdict) -> tuple[str, Brief]:
    """Shown, or likely: then with the weaknesses, and what keeps it from being called shown."""
    lead = (say.SHOWN if v.verdict == "shown" else say.LIKELY).format(direction=say.DIRECTIONS[v.direction])
    small = _smaller(e)
    limited = say.NOT_CALLED_SHOWN.format(limits=_listed(rules.limits(e))) if rules.limits(e) else ""
    weak = rules.weaknesses(e)
    with_it = say.WITH_THE_START if e.drift is not None and e.drift.carries == "shown" else ""
    full = sentences(lead, _found_where(e), small, _rests_itself(e), _weak(weak), limited, with_it)
    return full, Brief("", sentence_case(_effect(e, e)), _end(e, small, _weak(weak, _TOLD), limited))


def _smaller(e: Evidence) -> str:
    """That the whole range, or the figure itself, is smaller than what matters; '' where it is not."""
    if rules.inside_margin(e):
        return say.SMALLER.format(margin=margin_words(e))
    return say.BELOW.format(margin=margin_words(e)) if abs(e.estimate) < (e.margin or 0.0) else ""


def _cannot_tell(e: Evidence, v: Verdict) -> tuple[str, Brief]:
    scale = scale_in(e, e)
    if v.rule == 3:
        told = math.isfinite(e.estimate)
        guess = say.BEST_GUESS.format(effect=scale.effect(e.estimate), tail=scale.tail) if told else ""
        full = sentences(say.UNDECIDED, e.reason or say.NO_RANGE.format(places=plural(e.place)), guess)
        return full, Brief(full_stop(e.reason or say.NO_RANGE_BRIEF))
    if v.direction:
        lead, said = _points(e, v), ("drift",) if _breakdown(e) else ("pre_trend", "drift") if _apart_already(e) else ()
        more = tuple(w for w in all_weaknesses(e) if w.name not in said)
        full = sentences(lead, _found_where(e), _rests_itself(e), _weak(more), _apart_already(e), _drift_out(e))
        told = ("drift",) if _breakdown(e) else ()  # the lead of both has named it
        end = _end(e, _weak(tuple(w for w in rules.weaknesses(e) if w.name not in told), _TOLD))
        return full, Brief(f"{full_stop(lead)} ", sentence_case(_effect(e, e)), end)
    known = math.isfinite(v.smallest_detectable) and v.smallest_detectable > 0
    seen = scale.at_least(e.good * v.smallest_detectable) if known else ""
    rests = _rests_itself(e)
    ranged = sentence_case(_range(e))
    could = say.COULD_HAVE_SEEN.format(size=seen, tail=scale.brief) if seen else ""
    if e.margin is None:
        full = sentences(say.UNDECIDED, _range_of(e), say.UNSTATED, could, rests, _caution(e))
        return full, Brief("", ranged, _end(e, say.UNSTATED_BRIEF))
    if rules.benefit_below_margin(e):
        margin, found = margin_words(e), blocking(e)
        uncarried = say.UNCARRIED.format(margin=margin, weaknesses=_listed(found))
        first, more = found[0].words, number_in_words(len(found) - 1)
        others = f" (and {more} more {'weakness' if len(found) == 2 else 'weaknesses'})" if len(found) > 1 else ""
        short = say.UNCARRIED_BRIEF.format(margin=margin, first=first, others=others)
        return sentences(say.UNDECIDED, _range_of(e), uncarried, could, rests), Brief("", ranged, _end(e, short))
    short = say.SEEN_BRIEF.format(size=seen) if seen else ""
    full = sentences(say.TOO_SMALL, _range_of(e), could, rests, _caution(e))
    return full, Brief("", ranged, _end(e, short))


def _no_sign(e: Evidence, v: Verdict) -> tuple[str, Brief]:
    margin, harm = margin_words(e), rules.harm_not_ruled_out(e)
    lead = (say.NO_SIGN_HARM if harm else say.NO_SIGN).format(margin=margin)
    throughout = e.by_time is not None and -(e.margin or 0.0) < e.by_time[0] and e.by_time[1] < (e.margin or 0.0)
    averaged = say.AVERAGED if _window(e) and last_period(e.clean_until) != e.lag and not throughout else ""
    either = say.EITHER_WAY.format(averaged=averaged) if rules.inside_margin(e) else ""
    full = sentences(lead, _range_of(e), either, _rests_itself(e), _caution(e))
    short = f"{sentence_case(say.NO_SIGN.format(margin=margin))}: "
    return full, Brief(short, _range(e), _end(e, say.HARM_BRIEF if harm else "", _caution(e)))


def _apart(e: Evidence, v: Verdict) -> tuple[str, Brief]:
    swap, names, bundle = e.status == "swap_only", other_labels(e), e.bundle
    unnamed = "another component" if swap else "the other components"
    others = join_words(map(quoted, e.tied or names)) or unnamed
    swapped = say.SWAP if e.period else say.SWAP_AT_ONE_TIME
    named = say.TOGETHER if e.tied or names else say.ALONE_TOGETHER  # of one component alone there are no others
    lead = (swapped if swap else named).format(others=others)
    instead = swap or (bundle is not None and min(bundle.signs) < 0)
    close = say.ALONE if instead else say.EITHER if len(names) == 1 else say.ANY
    reason = say.ONLY_IF.format(reason=e.reason) if e.reason.lower().startswith("only if") else e.reason
    own = join_words(map(quoted, names)) or "other components"
    if bundle is None or not has_range(bundle):
        full = sentences(lead, reason, bundle_sentence(e))
        return full, Brief(sentences(named.format(others=own), e.reason))
    full = sentences(lead, reason, bundle_sentence(e), close)
    gained, lost = _sides(bundle)
    short = f"With {gained} added together" if bundle.kind == "sum" else f"Together with {own}"
    short = f"With {gained} instead of {lost}" if lost else short
    window = window_words(bundle.lag, bundle.clean_until, e.period, "their")
    adds = say.BUNDLE_ADDS if bundle.additive else ""
    end = _tail(window, adds, say.NOBODY_ALONE if lost else say.NOBODY_WHICH)
    return full, Brief(f"{short}, ", _effect(e, bundle), end)


def _not_tested(e: Evidence, v: Verdict) -> tuple[str, Brief]:
    unseen = say.NOT_SEEN.format(outcome=quoted(e.outcome_name))
    reason = (e.reason or say.NO_COMPARISON) if e.status == "not_tested" else unseen
    return sentences(say.NOT_TESTED, reason, say.CANNOT_SHOW), Brief(full_stop(reason))


_FINDINGS = {
    "shown": _given,
    "likely": _given,
    "cannot_tell": _cannot_tell,
    "cannot_tell_apart": _apart,
    "no_sign": _no_sign,
    "not_tested": _not_tested,
}


# Pieces: effects and ranges.


def scale_in(e: Evidence, x: Evidence | BundleEvidence) -> Scale:
    """One way of showing every number in a sentence about `x`: the component itself or its bundle."""
    margin = e.margin or math.nan
    ends = [v for v in (x.conf_low, x.conf_high) if math.isfinite(v)]
    spread = x.std_error if math.isfinite(x.std_error) else (ends[1] - ends[0]) / 4.0 if len(ends) == 2 else math.nan
    whom = e.population if e.kind == "share" else e.per
    nouns = Nouns(unit=e.unit, whom=whom, period=e.period if e.unit else "", currency=e.currency,
                  time=e.time_unit)  # fmt: skip
    seen = rules.smallest_detectable(e.std_error, e.df) if x is e else math.nan
    values = [x.estimate, *ends, margin, seen]
    return scale_for(values, e.kind, nouns, spread, apart=(margin, -margin))


def found_words(e: Evidence, x: Evidence | BundleEvidence | None = None) -> str:
    """'about 9 more in every 100 people were recorded as ... than we would have expected (likely range ...)'."""
    x = x or e
    scale = scale_in(e, x)
    effect, span = scale.effect(x.estimate), scale.span(x.conf_low, x.conf_high)
    were, outcome = "was" if scale.figure(x.estimate) == "1" else "were", quoted(e.outcome_name)
    return say.FOUND[e.kind].format(effect=effect, tail=scale.tail, were=were, outcome=outcome, span=span)


def _found_where(e: Evidence) -> str:
    return _joined(_window(e), say.WHERE, found_words(e))


def _effect(e: Evidence, x: Evidence | BundleEvidence) -> str:
    scale = scale_in(e, x)
    return f"{scale.effect(x.estimate)}{scale.tail} (likely range {scale.span(x.conf_low, x.conf_high)})"


def _range(e: Evidence) -> str:
    scale = scale_in(e, e)
    return f"likely range {scale.span(e.conf_low, e.conf_high)}{scale.tail}"


def _range_of(e: Evidence) -> str:
    scale, window = scale_in(e, e), f", {_window(e)}" if _window(e) else ""
    span = scale.span(e.conf_low, e.conf_high)
    return say.RANGE.format(outcome=quoted(e.outcome_name), span=span, tail=scale.tail, window=window)


def margin_words(e: Evidence) -> str:
    """What matters, as a size in the good direction."""
    return scale_in(e, e).finely(e.good * (e.margin or 0.0))


# Pieces: a steady drift apart.


def _points(e: Evidence, v: Verdict) -> str:
    """Where the evidence points, with the drift that would do it."""
    direction, breakdown = say.DIRECTIONS[v.direction], _breakdown(e)
    if not breakdown:
        return say.POINTS.format(direction=direction)
    if e.drift is not None and not e.drift.steady:
        return say.POINTS_BUT_LATE.format(direction=direction)
    return say.POINTS_BUT_DRIFT.format(direction=direction, breakdown=breakdown, period=e.period or "period")


def _breakdown(e: Evidence) -> str:
    """The drift that would do it, where one stands in the way of a claim and the two were not moving apart already."""
    names = {w.name for w in rules.weaknesses(e)}
    if "drift" not in names or "pre_trend" in names or e.drift is None or not math.isfinite(e.drift.breakdown):
        return ""
    nouns = Nouns(unit=e.unit, whom=e.per, currency=e.currency)
    return scale_for([e.drift.breakdown], e.kind, nouns).size(e.drift.breakdown)


def _apart_already(e: Evidence) -> str:
    """That the two groups were moving apart, where the effect with that taken out follows."""
    failed = any(w.name == "pre_trend" for w in rules.weaknesses(e))
    return say.MOVED_APART if failed and _drift_out(e) else ""


def _drift_out(e: Evidence) -> str:
    """The range of the effect with a straight drift taken out, where a drift stands in the way of a claim."""
    asked = {"drift", "pre_trend"} & {w.name for w in rules.weaknesses(e)}
    if e.drift is None or not asked or not (math.isfinite(e.drift.low) and math.isfinite(e.drift.high)):
        return ""
    scale = scale_in(e, e)
    return say.DRIFT_OUT.format(span=scale.span(e.drift.low, e.drift.high), tail=scale.tail)


# Pieces: combinations.


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


def bundle_found(e: Evidence, bundle: BundleEvidence) -> str:
    """The effect of a combination, and of what in place of what."""
    gained, lost = _sides(bundle)
    found = _joined(window_words(bundle.lag, bundle.clean_until, e.period, "their"), found_words(e, bundle))
    template = say.BUNDLE_SUM if bundle.kind == "sum" else say.BUNDLE_TOGETHER
    return (say.BUNDLE_INSTEAD if lost else template).format(gained=gained, lost=lost, found=found)


def _sides(bundle: BundleEvidence) -> tuple[str, str]:
    """Labels of what is added, and of what is taken away."""
    signed = list(zip(bundle.labels, bundle.signs, strict=True))
    gained, lost = ([quoted(n) for n, w in signed if w * sign > 0] for sign in (1, -1))
    return join_words(gained), join_words(lost)


def _bundle_rests(evidence: Evidence, bundle: BundleEvidence) -> tuple[str, str]:
    if alone := _alone(bundle.design, bundle.clusters_exposed):
        return alone
    if min(bundle.signs) >= 0:
        return say.RESTS_THEM
    if bundle.additive:
        return say.RESTS_EITHER
    return say.RESTS_SWAP if evidence.period else say.RESTS_SWAP_AT_ONE_TIME


def other_labels(e: Evidence) -> list[str]:
    """Labels of the bundle's members other than this component."""
    both = zip(e.bundle.members, e.bundle.labels, strict=True) if e.bundle else ()
    return [label for member, label in both if member != e.component]


def has_range(bundle: BundleEvidence) -> bool:
    """Whether a combination has an estimate and both ends of a range."""
    return all(math.isfinite(v) for v in (bundle.estimate, bundle.conf_low, bundle.conf_high))


# Pieces: what it rests on, whom and when it speaks of.


def rests_on(evidence: Evidence, verdict: Verdict) -> str:
    """What the sentence says that it rests on: '9 states with it and 20 without it'; '' where it says nothing."""
    if verdict.verdict == "cannot_tell_apart" and evidence.bundle is not None and has_range(evidence.bundle):
        return _places(evidence, evidence.bundle, _bundle_rests(evidence, evidence.bundle))
    if verdict.verdict in ("cannot_tell_apart", "not_tested") or verdict.rule == 3:
        return ""
    return _places(evidence, evidence, _resting(evidence))


def _rests_itself(e: Evidence) -> str:
    others = "other" if e.units_had - e.units_behind == 1 else "others"
    speaks = say.SPEAKS_FOR.format(some=for_some(e), others=others) if for_some(e) else ""
    alike = say.DOSES_ALIKE.format(doses=number_in_words(e.doses)) if e.doses > 1 else ""
    return sentences(_rests(e, e, _resting(e)), speaks, alike)


def _resting(e: Evidence) -> tuple[str, str]:
    """What stands beside what, by design."""
    if alone := _alone(e.design, e.clusters_exposed):
        return alone
    if e.rests_on_chance:
        return say.RESTS_CHANCE
    return say.RESTS_DOSE if e.rests_on_dose else say.RESTS


def _alone(design: str, exposed: int) -> tuple[str, str] | None:
    """What one place or two stand beside; None by other designs."""
    if design == SERIES:
        return say.RESTS_PAST if exposed == 1 else say.RESTS_PASTS
    others = {CONTROLLED_SERIES: say.RESTS_CONTROL, BESIDE_PLACES: say.RESTS_ALL, SYNTHETIC_DIFFERENCE: say.RESTS_MIX}
    return others.get(design)


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


def for_some(e: Evidence) -> str:
    """'for 217 of 608 people with it', '' where all but a few of those who had it stand behind the answer."""
    if not 0 < e.units_behind <= (1 - MATERIAL) * e.units_had:
        return ""
    return say.FOR_SOME.format(behind=f"{int(e.units_behind):,}", had=count_words(int(e.units_had), e.unit or "unit"))


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


def last_period(clean_until: float | None) -> int | None:
    """The last event time claimed as a whole number, None where nothing bounds it."""
    return int(clean_until) if clean_until is not None and math.isfinite(clean_until) else None


def _window(e: Evidence) -> str:
    return window_words(e.lag, e.clean_until, e.period)


def _end(e: Evidence, *more: str) -> str:
    return _tail(_joined(_window(e), for_some(e)), *more)


def _tail(window: str, *more: str) -> str:
    rest = sentences(*more)
    return (f", {window}." if window else ".") + (f" {rest}" if rest else "")


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


# Pieces: weaknesses.


def all_weaknesses(e: Evidence) -> tuple[Weakness, ...]:
    """The weaknesses, and what keeps an answer without any at likely."""
    return rules.weaknesses(e) + rules.limits(e)


def blocking(e: Evidence) -> tuple[Weakness, ...]:
    """What keeps a small benefit from being called no sign of a benefit."""
    names = {"additivity", *(("one_place", "a_few_places") if rules.own_past_only(e) else ())}
    found = rules.failed_main_checks(e) + tuple(w for w in rules.cautions(e) if w.name in names)
    return found + rules.at_some_time(e) + rules.in_other_ranges(e)


def _listed(found: tuple[Weakness, ...]) -> str:
    return join_words([w.words for w in found])


def _weak(found: tuple[Weakness, ...], most: int = 99) -> str:
    """'One weakness: ...'; of more than `most` only the first."""
    if not found:
        return ""
    count = "one weakness" if len(found) == 1 else f"{number_in_words(len(found))} weaknesses"
    if len(found) > most:
        return f"{count}, the first of them: {found[0].words}"
    return f"{count}: {'; '.join(w.words for w in found)}"


def _caution(e: Evidence) -> str:
    return say.CAUTION.format(weaknesses=_listed(rules.cautions(e))) if rules.cautions(e) else ""
