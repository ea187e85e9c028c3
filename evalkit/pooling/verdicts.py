"""The verdict on a component over places: the same six words, by fixed rules, the first that applies.

Words of single places are never counted. Pure: what was found goes in, a verdict with its reasons comes out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalkit.show.words import number_in_words
from evalkit.vocabulary import Better, Direction, VerdictName

FEWEST_PLACES, SHOWN_PLACES = 3, 5

PLACES_ONLY = "it rests on whole programmes beside each other, not on a rollout of its own"
ADDITIVE = "it is told apart only by adding up what places found of several components together"
FEW_PLACES = "{places} places are too few to call it shown"
SIGN = "without {place} the sign changes"
BETWEEN = "what programmes found beside each other differs from what rollouts found"
SELECTED = "only results that excluded no change have numbers, which makes any component look better"
TOO_WIDE = "the likely range includes both no change and a benefit that matters"
UNSTATED = "nobody has said how large a change would matter"
SMALLER = "the whole likely range is smaller than what matters"
TOO_FEW = "{places} with a number: too few for a likely range; the places stand side by side"
NO_SPREAD = "too few numbers to learn how places differ"
NOT_EVERYWHERE = {"better": "it would not help everywhere", "worse": "it would not do harm everywhere"}


@dataclass(frozen=True)
class Found:
    """What pooling found of one component. known: whether a row with a number holds it; places: how many do; own: in
    how many it has a row of its own. estimate, low, high: NaN where there is no range. sign_without: the place without
    which the sign changes, or ''. refused: verdicts of rows without a number, with their reasons. tied: what it is only
    known with, in words. selected: whether only results that excluded no change have numbers. between: whether rollouts
    and programmes were found to disagree."""

    known: bool
    identified: bool
    places: int
    own: int
    better: Better
    matters: float | None
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    predict_low: float = math.nan
    predict_high: float = math.nan
    programmes_only: bool = False
    sign_without: str = ""
    between: bool = False
    selected: bool = False
    refused: tuple[tuple[VerdictName, str], ...] = ()
    tied: str = ""

    @property
    def ranged(self) -> bool:
        """Whether there is a likely range."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def good(self) -> float:
        """+1 where higher is better, -1 where lower is."""
        return 1.0 if self.better == "higher" else -1.0


@dataclass(frozen=True)
class Judged:
    """A verdict over places, its direction and its reasons."""

    verdict: VerdictName
    direction: Direction = ""
    reasons: tuple[str, ...] = ()


def judge(found: Found) -> Judged:
    """The first of six rules that applies."""
    if not found.known:
        return _unknown(found)
    if not found.identified:
        return Judged("cannot_tell_apart", reasons=(found.tied or "it is only known together with others",))
    if found.places < FEWEST_PLACES:
        count = "one place" if found.places == 1 else f"{number_in_words(found.places)} places"
        return Judged("cannot_tell", reasons=(TOO_FEW.format(places=count),))
    if not found.ranged:
        return Judged("cannot_tell", reasons=(NO_SPREAD,))
    limits, weak = _limits(found), _weaknesses(found)
    if not found.low <= 0 <= found.high:
        return _beyond_zero(found, limits, weak)
    small = found.matters is not None and max(found.good * found.low, found.good * found.high) < found.matters
    if small and not weak and not found.programmes_only and found.own >= FEWEST_PLACES:
        return Judged("no_sign", reasons=limits)
    unsure = () if small else (UNSTATED if found.matters is None else TOO_WIDE,)
    return Judged("cannot_tell", reasons=(*unsure, *weak, *limits))


def _unknown(found: Found) -> Judged:
    """No row has a number: what the places said, where all said one thing."""
    words = dict.fromkeys(v for v, _ in found.refused)
    reason = next((r for _, r in found.refused if r), "no place gives a number")
    if list(words) in (["not_tested"], []):
        return Judged("not_tested", reasons=(reason,))
    if "cannot_tell" not in words and "cannot_tell_apart" in words:
        return Judged("cannot_tell_apart", reasons=(reason,))
    return Judged("cannot_tell", reasons=(f"no place gives a number; the first says: {reason}",))


def _beyond_zero(found: Found, limits: tuple[str, ...], weak: tuple[str, ...]) -> Judged:
    direction: Direction = "better" if found.good * found.low > 0 else "worse"
    small = found.matters is not None and max(abs(found.low), abs(found.high)) < found.matters
    reasons = (*weak, *limits, *((SMALLER,) if small else ()))
    if math.isfinite(found.predict_low) and found.predict_low < 0 < found.predict_high:
        reasons += (NOT_EVERYWHERE[direction],)
    if len(weak) > 1:
        return Judged("cannot_tell", direction, reasons)
    return Judged("likely" if weak or limits else "shown", direction, reasons)


def _limits(found: Found) -> tuple[str, ...]:
    """What keeps an answer at likely, however sure it looks."""
    out = []
    if found.programmes_only:
        out.append(PLACES_ONLY)
    elif found.own < min(found.places, SHOWN_PLACES):
        out.append(ADDITIVE)
    if found.places < SHOWN_PLACES:
        out.append(FEW_PLACES.format(places=number_in_words(found.places)))
    return tuple(out)


def _weaknesses(found: Found) -> tuple[str, ...]:
    """What speaks against an answer; that the sign changes without a place, only where a sign is claimed."""
    claimed = not found.low <= 0 <= found.high
    sign = SIGN.format(place=found.sign_without) if found.sign_without and claimed else ""
    said = (sign, BETWEEN if found.between else "", SELECTED if found.selected else "")
    return tuple(w for w in said if w)
