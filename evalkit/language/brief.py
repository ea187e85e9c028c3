"""What was found in short, for a reader with a minute: the same numbers as in the sentence of the verdict.

The outcome is named once above the table, so no line names it again, and cautions about an answer that was not
given are left to the full sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.language import templates as say
from evalkit.language.verdicts import (
    blocking,
    for_some,
    has_range,
    margin_words,
    not_called_shown,
    other_labels,
    scale_in,
    window_words,
)
from evalkit.show.words import full_stop, join_words, number_in_words, quoted, sentence_case, sentences
from evalkit.verdicts.rules import (
    BundleEvidence,
    Evidence,
    Verdict,
    benefit_below_margin,
    cautions,
    harm_not_ruled_out,
    inside_margin,
    weaknesses,
)

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


def brief(evidence: Evidence, verdict: Verdict) -> Brief:
    """The finding in one or two short sentences, without the names of component and outcome."""
    return _BRIEFS[verdict.verdict](evidence, verdict)


def _shown(e: Evidence, v: Verdict) -> Brief:
    small = say.SMALLER.format(margin=margin_words(e)) if inside_margin(e) else ""
    return Brief("", sentence_case(_effect(e, e)), _end(e, small))


def _likely(e: Evidence, v: Verdict) -> Brief:
    small = say.SMALLER.format(margin=margin_words(e)) if inside_margin(e) else ""
    limited = not_called_shown(e)
    return Brief("", sentence_case(_effect(e, e)), _end(e, small, _weak(e), limited))


def _cannot_tell(e: Evidence, v: Verdict) -> Brief:
    if v.rule == 3:
        return Brief(full_stop(e.reason or "no likely range can be given"))
    if v.direction:
        lead = say.POINTS.format(direction=say.DIRECTIONS[v.direction])
        return Brief(f"{full_stop(lead)} ", sentence_case(_effect(e, e)), _end(e, _weak(e)))
    if e.margin is None:
        return Brief("", sentence_case(_range(e)), _end(e, "nobody has said how large a change would matter"))
    if benefit_below_margin(e):
        first, *more = [w.words for w in blocking(e)]
        others = f" (and {number_in_words(len(more))} more {'weakness' if len(more) == 1 else 'weaknesses'})"
        uncarried = f"that would rule out a benefit of {margin_words(e)}, but {first}{others if more else ''}"
        return Brief("", sentence_case(_range(e)), _end(e, uncarried))
    return Brief("", sentence_case(_range(e)), _end(e, _seen(e, v)))


def _no_sign(e: Evidence, v: Verdict) -> Brief:
    harm = "a harm of that size is not ruled out" if harm_not_ruled_out(e) else ""
    found = cautions(e)
    caution = say.CAUTION.format(weaknesses=join_words([w.words for w in found])) if found else ""
    lead = sentence_case(say.NO_SIGN.format(margin=margin_words(e)))
    return Brief(f"{lead}: ", _range(e), _end(e, harm, caution))


def _apart(e: Evidence, v: Verdict) -> Brief:
    others = join_words([quoted(n) for n in other_labels(e)]) or "other components"
    bundle = e.bundle
    if bundle is None or not has_range(bundle):
        return Brief(sentences(f"it cannot be told apart from {others}", e.reason))
    swap = min(bundle.signs) < 0
    close = "nobody can say what either does alone" if swap else "nobody can say which of them did it"
    window = window_words(bundle.lag, bundle.clean_until, e.period, "their")
    adds = say.BUNDLE_ADDS if bundle.additive else ""
    return Brief(f"{_together(bundle, others)}, ", _effect(e, bundle), _tail(window, adds, close))


def _not_tested(e: Evidence, v: Verdict) -> Brief:
    if e.status == "not_tested":
        return Brief(full_stop(e.reason or say.NO_COMPARISON))
    return Brief(full_stop(say.NOT_SEEN.format(outcome=quoted(e.outcome_name))))


_BRIEFS = {
    "shown": _shown,
    "likely": _likely,
    "cannot_tell": _cannot_tell,
    "cannot_tell_apart": _apart,
    "no_sign": _no_sign,
    "not_tested": _not_tested,
}


def _together(bundle: BundleEvidence, others: str) -> str:
    gained = [quoted(n) for n, w in zip(bundle.labels, bundle.signs, strict=True) if w > 0]
    lost = [quoted(n) for n, w in zip(bundle.labels, bundle.signs, strict=True) if w < 0]
    if lost:
        return f"With {join_words(gained)} instead of {join_words(lost)}"
    return f"With {join_words(gained)} added together" if bundle.kind == "sum" else f"Together with {others}"


def _effect(e: Evidence, x: Evidence | BundleEvidence) -> str:
    scale = scale_in(e, x)
    return f"{scale.effect(x.estimate)}{scale.tail} (likely range {scale.span(x.conf_low, x.conf_high)})"


def _range(e: Evidence) -> str:
    scale = scale_in(e, e)
    return f"likely range {scale.span(e.conf_low, e.conf_high)}{scale.tail}"


def _seen(e: Evidence, v: Verdict) -> str:
    """The smallest change that would most likely have been seen; '' where that is not known."""
    if not v.smallest_detectable > 0:
        return ""
    scale = scale_in(e, e)
    size = scale.named(scale.figure(e.good * v.smallest_detectable))
    return f"we would most likely have seen a change of {size} or more"


def _weak(e: Evidence) -> str:
    found = [w.words for w in weaknesses(e)]
    if not found:
        return ""
    count = "one weakness" if len(found) == 1 else f"{number_in_words(len(found))} weaknesses"
    if len(found) > _TOLD:
        return f"{count}, the first of them: {found[0]}"
    return f"{count}: {'; '.join(found)}"


def _end(e: Evidence, *more: str) -> str:
    window = window_words(e.lag, e.clean_until, e.period)
    return _tail(", ".join(part for part in (window, for_some(e)) if part), *more)


def _tail(window: str, *more: str) -> str:
    rest = sentences(*more)
    return (f", {window}." if window else ".") + (f" {rest}" if rest else "")
