"""The verdict on a component: six rules, the first that applies.

Pure: a frozen `Evidence` goes in, a frozen `Verdict` comes out. Nothing here reads a Study, an outcome or a table.
What is said of both is made in `language/statement.py`.
"""

from __future__ import annotations

import math
import tomllib
from importlib.resources import files

from scipy.special import stdtrit

from evalkit.show.words import plural
from evalkit.verdicts.evidence import CheckOutcome, Evidence, Verdict, Weakness
from evalkit.vocabulary import (
    CONTROLLED_SERIES,
    SERIES,
    Direction,
    DriftWord,
    VerdictName,
)

_WORDS = tomllib.loads((files("evalkit.verdicts") / "weaknesses.toml").read_text(encoding="utf-8"))
#: Failed main checks are weaknesses, and there are others; limits keep an answer without any from being called shown.
#: Two groups that were already moving apart, and people missing who could account for it, end a claim by themselves.
MAIN_CHECKS, OTHER_WEAKNESSES, LIMITS = (
    {name: words["words"] for name, words in _WORDS[kind].items()} for kind in ("main", "other", "limits")
)
#: What would take each of them away.
REMEDIES = {n: w["remedy"] for kind in _WORDS.values() for n, w in kind.items() if "remedy" in w}
TOO_WIDE = "the likely range includes both no change and a benefit that matters"
UNSTATED = "nobody has said how large a change would matter"
NO_INTERVAL = "no likely range can be given"
SMALLER = "the whole likely range is smaller than what matters"

ENDS_A_CLAIM = (
    "pre_trend", "drift", "drift_untested", "stayers", "raw", "touched", "shared_shocks", "dominant_place",
)  # fmt: skip
_ALPHA = 0.05
_FEWEST = 3
_FEWEST_PEOPLE = 50


def decide(evidence: Evidence) -> Verdict:
    """The first of the six rules that applies (README, how to read a verdict)."""
    for rule in (_not_tested, _cannot_tell_apart, _no_interval, _excludes_zero, _no_sign):
        verdict = rule(evidence)
        if verdict is not None:
            return verdict
    unsure: tuple[str, ...] = ()
    if not benefit_below_margin(evidence):
        unsure = (TOO_WIDE if evidence.margin is not None else UNSTATED,)
    else:
        unsure = tuple(w.words for w in (*at_some_time(evidence), *in_other_ranges(evidence)))
    return _with_numbers(evidence, "cannot_tell", 6, unsure + tuple(w.words for w in cautions(evidence)))


def weaknesses(evidence: Evidence) -> tuple[Weakness, ...]:
    """Everything that counts against an interval that excludes zero, each once."""
    names = []
    if math.isnan(evidence.p_adjusted):
        names.append("p_missing")
    elif evidence.p_adjusted >= _ALPHA:
        names.append("p_adjusted")
    if evidence.rests_on_additivity:
        names.append("dose" if evidence.rests_on_dose else "additivity")
    if evidence.moved_by_results:
        names.append("moved_by_results")
    if evidence.rests_on_matching:
        names.append("raw" if evidence.unrecorded else "matching")
    if evidence.rests_on_one_place:
        names.append("one_place" if evidence.clusters_exposed == 1 else "a_few_places")
    if _few_clusters(evidence):
        names.append("few_clusters")
    if evidence.by_people and evidence.by_people_check == "failed":
        names.append("by_people_failed")
    if _touched_elsewhere(evidence):
        names.append("touched")
    if beside := _unexplained(evidence):
        names.insert(0, beside)
    others = ((n if n != "dose" else "additivity", OTHER_WEAKNESSES[n]) for n in names)
    return failed_main_checks(evidence) + tuple(Weakness(n, _placed(words, evidence)) for n, words in others)


def failed_main_checks(evidence: Evidence) -> tuple[Weakness, ...]:
    """Main checks that failed, in fixed order, each once."""
    failed = {c.check for c in evidence.checks if c.status == "failed"}
    return tuple(Weakness(name, _placed(MAIN_CHECKS[name], evidence)) for name in MAIN_CHECKS if name in failed)


def holding_back(evidence: Evidence) -> tuple[Weakness, ...]:
    """Weaknesses for which no chance is given: failed main checks, and a failed check by people. One place that decides
    an answer makes it unsure, which its range already says; what `may_move` it by so much is allowed for."""
    people = (w for w in weaknesses(evidence) if w.name == "by_people_failed")
    spared = ("dominant_place", *may_move(evidence))
    return (*(w for w in failed_main_checks(evidence) if w.name not in spared), *people)


def may_move(evidence: Evidence) -> dict[str, tuple[float, float]]:
    """Failed checks that say by how much, down and up, they may move the answer: whoever went missing was (Lee's
    bounds), and the comparison that gives another one (it, or anything between)."""
    found = {}
    if (c := _failed(evidence, "stayers")) is not None:
        # the check's own range is one of 95%, whatever `level` of the evidence is
        reach = float(stdtrit(min(evidence.df, 1e10), 0.975)) * evidence.std_error
        down, up = c.conf_low - (evidence.estimate - reach), c.conf_high - (evidence.estimate + reach)
        found["stayers"] = min(down, 0.0), max(up, 0.0)
    if (c := _failed(evidence, "rungs")) is not None:
        found["rungs"] = min(-c.estimate, 0.0), max(-c.estimate, 0.0)
    return {name: ends for name, ends in found.items() if all(map(math.isfinite, ends))}


def claim_ended_by(evidence: Evidence) -> tuple[Weakness, ...]:
    """Weaknesses of which each ends a claim by itself, though chances are given."""
    return tuple(w for w in weaknesses(evidence) if w.name in ENDS_A_CLAIM)


def limits(evidence: Evidence) -> tuple[Weakness, ...]:
    """What keeps an answer at likely however it passed its checks: a level that cuts across clusters; fewer than three
    clusters in an arm, where intervals hold the truth about 91 times in 100 (benchmarks/README.md); fewer than 50
    people exposed in clusters, where what is found is found because it came out large; a component that begins with
    it and may do more for those whom this one reaches; places compared that may be touched by neighbours, with no
    others beside which it could be held; a change that built up, or too few periods before, so that a
    drift that set in at about the start would look the same."""
    limited = {
        "crossed": evidence.crossed_levels,
        "two_places": _thin(evidence) and not _few_clusters(evidence),
        "few_people": evidence.people_exposed < _FEWEST_PEOPLE,
        "by_people_untestable": evidence.by_people and evidence.by_people_check == "untestable",
        "touched_untested": (c := _check_of(evidence, "spillover")) is not None and c.status == "informational",
        "builds_up": _carries(evidence) == "likely" and _early(evidence),
        "few_leads": _carries(evidence) == "likely" and not _early(evidence),
    }
    return tuple(Weakness(name, _placed(LIMITS[name], evidence)) for name, holds in limited.items() if holds)


def smallest_detectable(std_error: float, df: float) -> float:
    """Smallest effect found four times in five at the 5% level: (t.975 + t.80) x SE, t with `df`.

    In the outcome's unit; NaN where either is missing. `df` may be infinite.
    """
    if not (math.isfinite(std_error) and df > 0):
        return math.nan
    usable = min(float(df), 1e10)
    return float(stdtrit(usable, 0.975) + stdtrit(usable, 0.80)) * std_error


def inside_margin(evidence: Evidence) -> bool:
    """Whether the whole interval lies inside (-m, m)."""
    m = _margin_of_range(evidence)
    return -m < evidence.conf_low and evidence.conf_high < m


def benefit_below_margin(evidence: Evidence) -> bool:
    """Whether the good end of the interval is below what matters."""
    return _below(evidence, evidence.conf_low, evidence.conf_high)


def never_above_margin(evidence: Evidence) -> bool:
    """Whether the good end is below what matters over each part of the claimed event times: each is tested by itself,
    and all must be, so that no adjustment is needed (intersection-union; Berger 1982, Technometrics 24). True where
    nothing is seen over time; False where some part has no range."""
    return evidence.by_time is None or _below(evidence, *evidence.by_time)


def at_some_time(evidence: Evidence) -> tuple[Weakness, ...]:
    """What keeps a small average from being called no sign: a time at which a benefit that matters is not ruled out."""
    if never_above_margin(evidence):
        return ()
    return (Weakness("some_time", _placed(OTHER_WEAKNESSES["some_time"], evidence)),)


def in_other_ranges(evidence: Evidence) -> tuple[Weakness, ...]:
    """What keeps a small average from being called no sign: ranges of checks in which a benefit that matters is not
    ruled out, beside untouched places or with places counted by group; a range that could not be given rules out
    nothing where places compared may be touched."""
    found = []
    for check, name in (("spillover", "touched_benefit"), ("shared_shocks", "shared_benefit")):
        c = _check_of(evidence, check)
        asked = c is not None and (math.isfinite(c.estimate) or (check == "spillover" and c.status != "passed"))
        if c is not None and asked and not _below(evidence, c.conf_low, c.conf_high):
            found.append(Weakness(name, _placed(OTHER_WEAKNESSES[name], evidence)))
    return tuple(found)


def _touched_elsewhere(e: Evidence) -> bool:
    """Whether a claim is another one beside untouched places, and is not carried there."""
    c = _check_of(e, "spillover")
    if c is None or c.status != "failed" or e.conf_low <= 0 <= e.conf_high:
        return False
    return not (c.conf_low > 0 and e.conf_low > 0) and not (c.conf_high < 0 and e.conf_high < 0)


def _check_of(e: Evidence, name: str) -> CheckOutcome | None:
    return next((c for c in e.checks if c.check == name), None)


def _failed(e: Evidence, name: str) -> CheckOutcome | None:
    return c if (c := _check_of(e, name)) is not None and c.status == "failed" else None


def _below(e: Evidence, low: float, high: float) -> bool:
    m = _margin_of_range(e)
    return high < m if e.better == "higher" else low > -m


def harm_not_ruled_out(evidence: Evidence) -> bool:
    """Whether the bad end of the interval reaches a harm as large as what matters."""
    m = _margin_of_range(evidence)
    return evidence.conf_low <= -m if evidence.better == "higher" else evidence.conf_high >= m


def _margin_of_range(e: Evidence) -> float:
    """What matters, held against the range; NaN, with which every comparison fails, where either is missing."""
    return e.margin if e.margin is not None and e.has_interval else math.nan


def _not_tested(e: Evidence) -> Verdict | None:
    if e.status == "not_tested":
        return Verdict("not_tested", reasons=(e.reason or "there was nothing to compare it with",), rule=1)
    if not e.observed:
        return Verdict("not_tested", reasons=("the outcome was not seen where a comparison could be made",), rule=1)
    return None


def _cannot_tell_apart(e: Evidence) -> Verdict | None:
    if e.status not in ("bundle_only", "swap_only"):
        return None
    swap = "one starts as another stops" if e.period else "people had the one or the other"
    plain = swap if e.status == "swap_only" else "it goes together with other components"
    return Verdict("cannot_tell_apart", reasons=(e.reason or plain,), rule=2)


def _no_interval(e: Evidence) -> Verdict | None:
    if e.has_interval:
        return None
    value = e.estimate if math.isfinite(e.estimate) else math.nan
    sd = smallest_detectable(e.std_error, e.df)
    return Verdict("cannot_tell", reasons=(e.reason or NO_INTERVAL,), smallest_detectable=sd, rule=3, estimate=value)


def _excludes_zero(e: Evidence) -> Verdict | None:
    if e.conf_low <= 0 <= e.conf_high:
        return None
    found = weaknesses(e)
    limited = limits(e)
    reasons = tuple(w.words for w in (*found, *limited))
    if inside_margin(e):
        reasons += (SMALLER,)
    direction: Direction = "better" if e.good * e.conf_low > 0 else "worse"
    if len(found) > 1 or any(w.name in ENDS_A_CLAIM for w in found) or _gone_in_proportion(e):
        return _with_numbers(e, "cannot_tell", 4, reasons, direction)
    return _with_numbers(e, "likely" if found or limited else "shown", 4, reasons, direction)


def _gone_in_proportion(e: Evidence) -> bool:
    """Whether on another scale the answer turns, or loses over half: then no word for how sure it is fits both."""
    sign = math.copysign(1.0, e.estimate)
    failed = [sign * c.estimate for c in e.checks if c.check == "scale" and c.status == "failed"]
    return any(other < abs(e.estimate) / 2 for other in failed)


def _no_sign(e: Evidence) -> Verdict | None:
    if not benefit_below_margin(e) or failed_main_checks(e) or e.rests_on_additivity or own_past_only(e):
        return None
    if not never_above_margin(e) or in_other_ranges(e):
        return None
    return _with_numbers(e, "no_sign", 5, tuple(w.words for w in cautions(e)))


def cautions(evidence: Evidence) -> tuple[Weakness, ...]:
    """What bears on an interval that includes zero: weaknesses but those about chance, and what others may hide."""
    found = [w for w in weaknesses(evidence) if w.name not in ("p_adjusted", "p_missing")]
    return (*found, *(w for w in limits(evidence) if w.name == "by_people_untestable"))


def _with_numbers(
    e: Evidence, verdict: VerdictName, rule: int, reasons: tuple[str, ...], direction: Direction = ""
) -> Verdict:
    seen = smallest_detectable(e.std_error, e.df)
    return Verdict(verdict, direction, reasons, seen, rule, e.estimate, e.conf_low, e.conf_high, e.p_adjusted)


def _carries(e: Evidence) -> DriftWord | None:
    """What a step beside a straight line carries of a claim; None where there is no claim, or it is not asked."""
    claims = e.has_interval and not e.conf_low <= 0 <= e.conf_high
    return e.drift.carries if e.drift is not None and claims else None


def _early(e: Evidence) -> bool:
    return e.drift is not None and e.drift.early


def _unexplained(e: Evidence) -> str:
    return {"nothing": "drift", "untested": "drift_untested"}.get(_carries(e) or "", "")


def _few_clusters(e: Evidence) -> bool:
    """Fewer than three in an arm, unless a randomisation p value below .05 carries it."""
    carried = e.randomisation_p is not None and e.randomisation_p < _ALPHA
    return _thin(e) and not carried


def own_past_only(e: Evidence) -> bool:
    """Whether nothing stands beside the place but its own past, where a drift hides an effect or makes one."""
    return e.rests_on_one_place and e.design in (SERIES, CONTROLLED_SERIES)


def _thin(e: Evidence) -> bool:
    return not e.rests_on_one_place and min(e.clusters_exposed, e.clusters_comparison) < _FEWEST


def _placed(template: str, e: Evidence) -> str:
    return template.format(
        place=e.place, places=plural(e.place), units=plural(e.unit or "unit"), periods=plural(e.period or "period")
    )
