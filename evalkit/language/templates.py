"""The fixed sentences of the verdicts, one a verdict and variant. Filled in by the other files of this part.

{it} is the component's label in quotation marks; {sizes} are shown by `show/numbers.py`. No template claims
more than a comparison can: a test reads every sentence that they can make.
"""

from __future__ import annotations

NAMED = "{label}: {text}"
DIRECTIONS = {"better": "a change for the better", "worse": "a change for the worse", "": "a change"}

# What was found, by kind of outcome. {effect} 'about 9 more', {tail} ' in every 100 people with both needs'.
FOUND = {
    "share": "{effect}{tail} {were} recorded as {outcome} than we would have expected (likely range {span})",
    "count": "we counted {effect} {outcome}{tail} than we would have expected (likely range {span})",
    "score": "{outcome} came out {effect} than we would have expected (likely range {span})",
    "log": "{outcome} came out {effect} than we would have expected (likely range {span})",
    "money": "{outcome} came to {effect}{tail} than we would have expected (likely range {span})",
}
WHERE = "where it was in place"
RANGE = "for {outcome}, the likely range is {span}{tail}{window}"
# What it rests on, and when: 'this rests on 9 states with it and 20 without it at the time'.
RESTS_ON = "this rests on {rests}"
RESTS = ("{exposed} with it and {comparison} without it", " at the time")
RESTS_DOSE = ("{exposed} with more of it and {comparison} with less or without it", " at the time")
RESTS_THEM = ("{exposed} with them and {comparison} without them", " at the time")
RESTS_SWAP = ("{exposed} that changed over and {comparison} that did not", " at the time")
RESTS_SWAP_AT_ONE_TIME = ("{exposed} with the one and {comparison} with the other", "")
RESTS_EITHER = ("{exposed} with either of them and {comparison} with neither", " at the time")
BUNDLE_ADDS = "it holds only if the effects of the components simply add up"
SPEAKS = "{rests}, and speaks of {population}"
SPEAKS_ALONE = "this speaks of {population}"
SPEAKS_FOR = "it speaks {some}; of the {others} these data cannot speak"
FOR_SOME = "for {behind} of {had} with it"

SHOWN = "{direction}"
LIKELY = "the evidence leans towards {direction}"
POINTS = "the evidence points to {direction}, but does not carry it"
POINTS_BUT_DRIFT = (
    "the evidence points to {direction}, but a steady drift apart of {breakdown} a {period} would do it, and the record"
    " does not rule that out"
)
WITH_THE_START = "a steady drift apart would not explain it: the change came with the start"
MOVED_APART = "the two groups were already moving apart"
DRIFT_OUT = "with a straight drift taken out: {span}{tail}"
SMALLER = "even so, the whole likely range is smaller than what matters ({margin})"
NOT_CALLED_SHOWN = "it is not called shown because {limits}"

TOO_SMALL = "too little data to tell"
UNDECIDED = "we cannot tell"
UNSTATED = "nobody has said how large a change would matter, so we cannot say that one is ruled out"
UNCARRIED = "that would leave no sign of a benefit as large as {margin}, but it is not safe to say so: {weaknesses}"
COULD_HAVE_SEEN = (
    "we would most likely have seen a change of {size} or more{tail}; a smaller one could easily be missed"
)
NO_RANGE = "no likely range can be given, because too few {places} had it, or too few were without it"
BEST_GUESS = "the best single figure, {effect}{tail}, cannot be relied on without a range"

# In short, where the outcome stands above the table.
NO_RANGE_BRIEF = "no likely range can be given"
UNSTATED_BRIEF = "nobody has said how large a change would matter"
UNCARRIED_BRIEF = "that would rule out a benefit of {margin}, but {first}{others}"
SEEN_BRIEF = "we would most likely have seen a change of {size} or more"
HARM_BRIEF = "a harm of that size is not ruled out"
NOBODY_ALONE = "nobody can say what either does alone"
NOBODY_WHICH = "nobody can say which of them did it"

NO_SIGN = "no sign of a benefit as large as {margin}"
NO_SIGN_HARM = "no sign of a benefit as large as {margin}, though a harm of that size is not ruled out"
EITHER_WAY = "if it changed anything, for better or worse, the change was likely smaller than what matters"
CAUTION = "a caution: {weaknesses}"

ONLY_IF = "it could be told apart {reason}"
TOGETHER = "it cannot be told apart from {others}"
SWAP = "it cannot be told apart from {others}, because one starts as the other stops"
SWAP_AT_ONE_TIME = "it cannot be told apart from {others}, because people had the one or the other"
BUNDLE_TOGETHER = "together, {found}"
BUNDLE_INSTEAD = "with {gained} instead of {lost}, {found}"
BUNDLE_SUM = "with {gained} added together, {found}"
BUNDLE_NO_RANGE = "no likely range can be given for them together either"
SWAP_NO_RANGE = "no likely range can be given for the one instead of the other either"
NO_BUNDLE = "no combination that includes it can be measured here either"
EITHER = "we cannot say how much was due to either of them"
ANY = "we cannot say how much was due to any one of them"
ALONE = "we cannot say from this what either of them does alone"

NOT_TESTED = "not tested"
NO_COMPARISON = "there was nothing to compare it with"
NOT_SEEN = "{outcome} was not seen where a comparison could be made"
CANNOT_SHOW = "these data cannot show what it added"

# What may be said aloud, and what may not.
MAY_SHOWN = "where {it} was in place, {found}"
MAY_LIKELY = "the evidence leans towards {direction} where {it} was in place, but it has a weakness: {weaknesses}"
MAY_CANNOT = "these data cannot say whether {it} made a difference"
MAY_POINTS = "there are hints of {direction} where {it} was in place, but they are not firm enough to rely on"
MAY_NO_SIGN = "there was no sign that {it} brought a benefit as large as {margin}"
MAY_NO_SIGN_HARM = MAY_NO_SIGN + ", though a harm of that size is not ruled out"
MAY_APART = "{all} cannot be told apart with these data"
MAY_APART_FOUND = "{found}; nobody can say which of them made the difference"
MAY_SWAP_FOUND = "{found}; nobody can say what either of them does alone"
MAY_NOT_TESTED = "these data do not test {it}"
MAY_NOT = {
    "shown_better": ("{label} explains most of the result", "{label} would do the same anywhere"),
    "shown_worse": ("{label} explains most of the result", "{label} would do the same anywhere"),
    "likely_better": ("{label} is known to work", "{label} explains most of the result"),
    "likely_worse": ("{label} is known to do harm", "{label} should be stopped because it failed"),
    "cannot_tell_apart": ("{label} did it", "{label} did not do it", "half of it was due to {label}"),
    "cannot_tell": ("{label} works", "{label} does not work"),
    "no_sign": ("{label} does nothing",),
    "no_sign_harm": ("{label} does no harm", "{label} does nothing"),
    "not_tested": ("{label} works", "{label} does not work", "the good result is due to {label}"),
}
MAY_NOT_RANK = "{label} works better than the other parts"
MAY_NOT_LAST = "what we saw lasts beyond {periods}"

# What would change our mind.
MIND_SHOWN = (
    "we would think again if places that start later did not show the same, or if the two groups turned out to differ"
    " in something else that changed at the same time"
)
MIND_LIKELY = "we would be surer if {remedies}"
MIND_MORE_DATA = (
    "to see a change of {margin} we would need about {times} times as many {units}, with it and without it, or an"
    " outcome that varies less"
)
MIND_FAR = (
    "a change of {margin} is too small for a rollout of this size, which would need more than 20 times as many {units}:"
    " ask it of several partnerships together, or of an outcome that varies less"
)
MIND_MORE = "more {units}, or a longer time, would narrow the likely range"
MIND_MARGIN = "say first how large a change would matter; then the likely range can be held against it"
MIND_CLUSTERS = "at least three {places} with it, and three without it at the same time, would let us say"
MIND_NO_SIGN = "we would think again if more data gave a likely range that includes a benefit of {margin}"
MIND_APART = "places where one of them runs without the other, or starts some {periods} before it, would let us tell"
MIND_APART_AT_ONE_TIME = "people who had one of them without the other would let us tell"
MIND_NOT_TESTED_AT_ONE_TIME = "only {units} without it, beside others who have it, could show what it adds"
MIND_MORE_AT_ONE_TIME = "more {units} would narrow the likely range"
MIND_NOT_TESTED = "only {places} or people without it, at a time when others have it, could show what it adds"
MIND_NOT_SEEN = "{outcome} would have to be recorded both where it was in place and where it was not"

BREATH_NONE = "no part has been shown to make a difference, which does not mean that none did"
BREATH = (
    (("shown", "better"), "shown to make a difference for the better: {names}"),
    (("shown", "worse"), "shown to make a difference for the worse: {names}"),
    (("likely", "better"), "likely to make a difference for the better: {names}"),
    (("likely", "worse"), "likely to make a difference for the worse: {names}"),
    (("cannot_tell_apart", ""), "cannot be told apart from other parts: {names}"),
    (("cannot_tell", "better"), "hints of a change for the better, not firm enough to rely on: {names}"),
    (("cannot_tell", "worse"), "hints of a change for the worse, not firm enough to rely on: {names}"),
    (("cannot_tell", ""), "cannot tell: {names}"),
    (("no_sign", ""), "no sign of a benefit large enough to matter: {names}"),
    (("not_tested", ""), "not tested by these data: {names}"),
)
