"""The fixed sentences of the verdicts, one a verdict and variant. Filled in by the other files of this part.

{it} is the component's label in quotation marks; {sizes} are shown by `show/numbers.py`. No template claims
more than a comparison can: a test reads every sentence that they can make.
"""

from __future__ import annotations

VERDICT_WORDS = {
    "shown": "Shown",
    "likely": "Likely",
    "cannot_tell_apart": "Cannot tell apart",
    "cannot_tell": "Cannot tell",
    "no_sign": "No sign",
    "not_tested": "Not tested",
}
NAMED = "{label}: {text}"
DIRECTIONS = {"better": "a change for the better", "worse": "a change for the worse", "": "a change"}

# What was found, by kind of outcome. {effect} 'about 9 more', {tail} ' in every 100 people with both needs'.
FOUND = {
    "share": "{effect}{tail} {were} recorded as {outcome} than we would have expected (likely range {span})",
    "count": "we counted {effect} {outcome}{tail} than we would have expected (likely range {span})",
    "rate": "we counted {effect} {outcome}{tail} than we would have expected (likely range {span})",
    "score": "{outcome} came out {effect} than we would have expected (likely range {span})",
    "log": "{outcome} came out {effect} than we would have expected (likely range {span})",
    "money": "{outcome} came to {effect}{tail} than we would have expected (likely range {span})",
    "time_to_event": "{outcome} came {effect} on average than we would have expected (likely range {span})",
}
WHERE = "where it was in place"
RANGE = "for {outcome}, the likely range is {span}{tail}{window}"
# What it rests on, and when: 'this rests on 9 states with it and 20 without it at the time'.
RESTS_ON = "this rests on {rests}"
RESTS = ("{exposed} with it and {comparison} without it", " at the time")
RESTS_CHANCE = ("{exposed} with it and {comparison} without it, as chance dealt it", "")
RESTS_DOSE = ("{exposed} with more of it and {comparison} with less or without it", " at the time")
RESTS_THEM = ("{exposed} with them and {comparison} without them", " at the time")
RESTS_SWAP = ("{exposed} that changed over and {comparison} that did not", " at the time")
RESTS_SWAP_AT_ONE_TIME = ("{exposed} with the one and {comparison} with the other", "")
RESTS_EITHER = ("{exposed} with either of them and {comparison} with neither", " at the time")
RESTS_PAST = ("{exposed} beside its own past", "")
RESTS_PASTS = ("{exposed} beside their own past", "")
RESTS_CONTROL = ("{exposed} beside its own past, less that of {comparison} without it", "")
RESTS_MIX = ("{exposed} beside {comparison} others that moved with it before", "")
RESTS_ALL = ("{exposed} beside {comparison} others without it", "")
BEFORE_AFTER = (
    "{place}: {before} before, {after} after. This cannot carry a claim: where nothing happened, such differences pass "
    "for proof up to 7 times in 10"
)
MOST_WEIGHT = "Most weight in the mix: {place}, {weight} of 1"
ONE_BY_ONE = (
    "Fewer than three {places} with it stand behind the headline, so that each is looked at alone too, where that can "
    "be done: {found}. {other} than the headline, and cannot pass or fail it"
)
ON_OTHER_ASSUMPTIONS = ("This leans on other assumptions", "These lean on other assumptions")
BUNDLE_ADDS = "it holds only if the effects of the components simply add up"
SPEAKS = "{rests}, and speaks of {population}"
SPEAKS_ALONE = "this speaks of {population}"
SPEAKS_FOR = "it speaks {some}; of the {others} these data cannot speak"
DOSES_ALIKE = "its {doses} doses count alike here"
FOR_SOME = "for {behind} of {had} with it"

SHOWN = "{direction}"
LIKELY = "the evidence leans towards {direction}"
POINTS = "the evidence points to {direction}, but does not carry it"
POINTS_BUT_DRIFT = (
    "the evidence points to {direction}, but a steady drift apart of {breakdown} a {period} would do it, and the record"
    " does not rule that out"
)
POINTS_BUT_LATE = (
    "the evidence points to {direction}, but what set in shortly before the start would do it, and the record does not"
    " rule that out"
)
WITH_THE_START = "a steady drift apart would not explain it: the change came with the start"
MOVED_APART = "the two groups were already moving apart"
DRIFT_OUT = "with a straight drift taken out: {span}{tail}"
SMALLER = "even so, the whole likely range is smaller than what matters ({margin})"
BELOW = "the figure itself is smaller than what matters ({margin})"
NOT_CALLED_SHOWN = "it is not called shown because {limits}"

TOO_SMALL = "too little data to tell"
UNDECIDED = "we cannot tell"
UNSTATED = "nobody has said how large a change would matter, so we cannot say that one is ruled out"
UNCARRIED = "that would leave no sign of a benefit as large as {margin}, but it is not safe to say so: {weaknesses}"
COULD_HAVE_SEEN = "these data would often have missed anything below {size}{tail}"
NO_RANGE = "no likely range can be given, because too few {places} had it, or too few were without it"
BEST_GUESS = "the best single figure, {effect}{tail}, cannot be relied on without a range"

# In short, where the outcome stands above the table.
NO_RANGE_BRIEF = "no likely range can be given"
UNSTATED_BRIEF = "nobody has said how large a change would matter"
UNCARRIED_BRIEF = "that would rule out a benefit of {margin}, but {first}{others}"
SEEN_BRIEF = "these data would often have missed anything below {size}"
HARM_BRIEF = "a harm of that size is not ruled out"
NOBODY_ALONE = "nobody can say what either does alone"
NOBODY_WHICH = "nobody can say which of them did it"

NO_SIGN = "no sign of a benefit as large as {margin}"
NO_SIGN_HARM = "no sign of a benefit as large as {margin}, though a harm of that size is not ruled out"
EITHER_WAY = "if it changed anything, for better or worse, the change was likely smaller than what matters{averaged}"
AVERAGED = " on average over that time"
CAUTION = "a caution: {weaknesses}"

ONLY_IF = "it could be told apart {reason}"
TOGETHER = "it cannot be told apart from {others}"
ALONE_TOGETHER = "what it did cannot be told from what else changed with it"
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
    "to see a change of {margin} a next rollout would need about {times} times as many {units}, with it and without"
    " it, or an outcome that varies less"
)
MIND_FAR = (
    "a change of {margin} is too small for a rollout of this size: ask it of several partnerships together, of an"
    " outcome that varies less, or in a next rollout whose starts are spread over more {units} and a longer time"
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

# What a likely range leaves out, and what to do: measured choices in docs/decisions (from a range to an act).
RULED_OUT = ("harm_ruled_out", "benefit_ruled_out", "both_ruled_out")
LEANS = {
    "harm_ruled_out": "Harm ruled out: the likely range leaves out any harm as large as what matters.",
    "benefit_ruled_out": "Benefit ruled out: the likely range leaves out any benefit as large as what matters.",
    "both_ruled_out": "No large change: the likely range leaves out any benefit or harm as large as what matters.",
    "leans_better": "Leans better: the data point to a benefit, but do not rule out a harm that matters.",
    "leans_worse": "Leans worse: the data point to a harm, but do not rule out a benefit that matters.",
    "says_nothing": "Says nothing: the data allow a benefit and a harm as large as what matters.",
    "": "No likely range, so nothing is ruled out.",
}
UNSTATED_LEANS = {  # where nobody has said how large a change would matter
    "harm_ruled_out": "Harm ruled out: the likely range leaves out any change for the worse.",
    "benefit_ruled_out": "Benefit ruled out: the likely range leaves out any change for the better.",
    "says_nothing": "Says nothing: the data allow a benefit and a harm.",
}
HELD_LEANS = {
    "harm_ruled_out": "If what failed is settled, harm is ruled out: the likely range leaves out any that matters.",
    "benefit_ruled_out": "If what failed is settled, benefit is ruled out: "
    "the likely range leaves out any that matters.",
    "both_ruled_out": "If what failed is settled, a large change is ruled out: "
    "the likely range leaves out any that matters.",
}
HELD_UNSTATED_LEANS = {
    "harm_ruled_out": "If what failed is settled, harm is ruled out: "
    "the likely range leaves out any change for the worse.",
    "benefit_ruled_out": "If what failed is settled, benefit is ruled out: "
    "the likely range leaves out any for the better.",
}
STARTS = {"sceptical": "doubt", "flat": "nothing"}
ELSEWHERE = "elsewhere"
CHANCES = "Chances, starting from {start}: it helps, {better}; by what matters, {matters}; harms as much, {harm}."
BELIEVED = "To be 9 in 10 sure now that it helps, one must have put it at {before} beforehand."
PAYS = "{chance} that it pays at {worth} {one}."
UNPRICED = "no price can be set against what it brings: {reason}"
NO_WORTH = "nobody has said what one outcome is worth"
PRICED_ELSEWHERE = "its cost is set against {outcome} alone"
NO_COST = "its cost is not given"
NO_CELLS = "what it cost where it was compared is not known"
COSTS_NOTHING = "its cost is given as nothing"
COSTS_UNLIKE = "its costs are in {costs}, which are not added up"
IN_PER_CENT = "its effect is in per cent, which cannot be counted"
THRESHOLDS = {
    "updown": "Worth extending from {up} {one}; not worth its cost below {down}; in between, test.",
    "up": "Worth extending from {up} {one}; nothing shows that it is worth less.",
    "down": "Not worth its cost below {down} {one}; above that, test: no worth makes extending safe.",
}
ACTS = {
    "keep_and_extend": "Promising: keep it, and extend it while somewhere is left to compare with.",
    "keep": "Keep it; no case yet for spending more.",
    "hold_and_test": "Hold: keep it as it is, spend no more, and test it in the next rollout.",
    "stop": "Stop unless there are other reasons to have it.",
    "pool": (
        "Do not evaluate it again alone: one more rollout would cost more than it tells. Renew it only on evidence from"
        " other places."
    ),
}
EXTEND_BET = "Worth extending at this price, while somewhere is left to compare with: a good bet, not a finding."
STOP_AT_PRICE = (
    "Stop at this price, unless what was not priced is worth the difference: it probably helps, but costs more than it"
    " brings."
)
WITHHELD = "Hold: no chance is given, because {reason}"
CONFLICT = "Hold: no act is given, because {reason}"
SETTLE = "settle that first; spend no more until it is settled"
UNDONE = "a drift of {drift} would undo what the range seems to rule out"
HANGING = {
    "worth": "Hold: it hangs on what one outcome is worth. Decide that first; until then spend no more.",
    "unstated": "Say first how large a change would matter: without that neither a chance nor an act can be given.",
}
HANGS_ON_WORTH = "it hangs on what one outcome is worth"
OUTCOMES_DIFFER = "its outcomes disagree: {better} is better, {worse} is worse"
DISAGREE = (
    "Its outcomes disagree: {better} is better, {worse} is worse. Nothing is netted out; weigh them before acting."
)
NO_EVIDENCE = "{whole} rests on no evidence here: {reason}"
NOTHING_AGAINST = "this says nothing against it; only places without it could tell"
BESIDE = "These chances do not allow for this: {reason}."
ALLOWED = "These chances allow for this, the likely range does not: {reasons}."
NOT_MOVED = "The data moved this little: it rests on the doubt we started from."
GAVE_WAY = "The data lie further out than what we started from allows, so that it gave way to them."
NOT_MOVED_POOL = "The data moved this little: it rests on what {pool} found."
LEFT_OUT = "Its price leaves out {names}."
WHOLE_UNTESTED = "the sum was not attacked by itself"
WHOLE_CHOSEN = "chance did not deal {chosen}, and nobody tested of the sum whether those with it are like the others"
PARTS_HELD = "checks failed for {some} of the {all} parts that it holds"
ALSO_TIED = "it cannot be told apart from {others}; see what they do together"
CURRENCIES = "its costs are in {costs} and the worth of an outcome is in {worth}"
PRICE_YEARS = "costs are in prices of {costs}, worth in prices of {worth}, and no index between them is stated"
COST_YEARS = "its costs are in prices of {costs}, and no index between them is stated"
CURRENCY_UNSAID = {
    "costs": "the worth of an outcome is in {named}, and nobody has said in which currency its costs are",
    "worth": "its costs are in {named}, and nobody has said in which currency the worth of an outcome is",
    "both": "some amounts are in {named}, and nobody has said in which currency the others are",
}
YEAR_UNSAID = {
    "costs": "the worth of an outcome is in prices of {named}, and nobody has said of which year its costs are",
    "worth": "its costs are in prices of {named}, and nobody has said of which year the worth of an outcome is",
    "both": "some amounts are in prices of {named}, and nobody has said of which year the others are",
}
ONE_WITHOUT = "a {where} without {label}"
ONE_OUTCOME = {
    "share": "a {where} with {label}",
    "count": "one {more} of {label}",
    "rate": "one {more} of {label}",
    "score": "a {one} of {label} for a {where}",
    "log": "an outcome",
    "money": "a pound of {label}",
    "time_to_event": "a {one} of {label} for a {where}",
}
