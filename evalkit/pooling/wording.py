"""What may be said of a component over places: fixed sentences, filled in, made once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalkit.language import templates as say
from evalkit.pooling.parts import CardOutcome
from evalkit.pooling.verdicts import NOT_EVERYWHERE, SMALLER, TOO_WIDE, UNSTATED, Found, Judged
from evalkit.show.numbers import Scale, scale_for
from evalkit.show.words import join_words, number_in_words, quoted, sentences

ACROSS = "across {places} places: {lead}"
NEW_PLACE = "in a new place, the likely range is {span}"
NO_SIGN = "no sign of a benefit as large as {margin}"
CANNOT = "across {places} places we cannot tell"
RANGE = "the likely range is {span}"
MATTERS_NOT = "even so, the whole likely range is smaller than what matters"


def pooled_scale(outcome: CardOutcome, found: Found) -> Scale:
    """How the numbers of one component are shown, all alike."""
    numbers = (found.estimate, found.low, found.high, found.predict_low, found.predict_high)
    return scale_for(numbers, outcome.kind, std_error=(found.high - found.low) / 4)


def sentence(outcome: CardOutcome, found: Found, judged: Judged) -> str:
    """Everything that is said of one component, without its name."""
    not_everywhere = NOT_EVERYWHERE.get(judged.direction, "")
    reasons = [r for r in judged.reasons if r not in (not_everywhere, SMALLER)]
    if not (found.identified and found.ranged):
        lead = {"not_tested": say.NOT_TESTED, "cannot_tell_apart": "it cannot be told apart"}
        return sentences(lead.get(judged.verdict, say.UNDECIDED), *reasons)
    scale, places = pooled_scale(outcome, found), number_in_words(found.places)
    what = say.FOUND[outcome.kind].format(
        effect=scale.effect(found.estimate), tail=scale.tail, outcome=quoted(outcome.label),
        span=scale.span(found.low, found.high), were="was" if scale.figure(found.estimate) == "1" else "were",
    )  # fmt: skip
    new = "" if math.isnan(found.predict_low) else NEW_PLACE.format(span=_span(scale, found))
    if new and not_everywhere in judged.reasons:
        new = f"{new}: {not_everywhere}"
    if judged.verdict in ("shown", "likely"):
        words = say.SHOWN if judged.verdict == "shown" else say.LIKELY
        lead = ACROSS.format(places=places, lead=words.format(direction=say.DIRECTIONS[judged.direction]))
        limited = say.NOT_CALLED_SHOWN.format(limits=join_words(reasons)) if reasons else ""
        return sentences(lead, what, MATTERS_NOT if SMALLER in judged.reasons else "", limited, new)
    if judged.verdict == "no_sign":
        assert found.matters is not None
        lead = ACROSS.format(places=places, lead=NO_SIGN.format(margin=scale.finely(found.good * found.matters)))
        return sentences(lead, RANGE.format(span=scale.span(found.low, found.high) + scale.tail), new)
    if judged.direction:
        lead = ACROSS.format(places=places, lead=say.POINTS.format(direction=say.DIRECTIONS[judged.direction]))
        return sentences(lead, what, *reasons, new)
    told = TOO_WIDE in reasons or UNSTATED in reasons
    lead = CANNOT.format(places=places) + (f", because {reasons[0]}" if told else "")
    rest = reasons[1:] if told else reasons
    return sentences(lead, RANGE.format(span=scale.span(found.low, found.high) + scale.tail), *rest, new)


def _span(scale: Scale, found: Found) -> str:
    return scale.span(found.predict_low, found.predict_high) + scale.tail


def combination_words(names: Sequence[str], weights: Sequence[float]) -> str:
    """“A” and “B” together; “A” less “B”; 2 times “A” and “B” less “C”."""
    times = [quoted(n) if abs(w) == 1 else f"{abs(w):g} times {quoted(n)}" for n, w in zip(names, weights, strict=True)]
    plus = [t for t, w in zip(times, weights, strict=True) if w > 0]
    minus = [t for t, w in zip(times, weights, strict=True) if w < 0]
    if not minus:
        return f"{join_words(plus)} together"
    return f"{join_words(plus)} less {join_words(minus)}"


def tied_words(names: Sequence[str]) -> str:
    """Why a component has no number of its own."""
    if not names:
        return "no place tells it apart"
    return f"it is only known together with {join_words(map(quoted, names))}"
