"""Small helpers for plain English: lists, numbers in words, plurals, full stops, what designs compare.

Pure functions on strings, shared by verdict sentences, tables and the report.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

#: Between a number of people and what follows it. It prints as a space; disclosure control finds the number by it.
TIE = "\u00a0"
_DIGITS = "0123456789,"
_CARDINALS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_ORDINALS = "- first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_IRREGULAR = {"person": "people", "child": "children", "man": "men", "woman": "women", "series": "series"}
_ID_ENDINGS = ("_id", "_code", "_name", "_number", "_no", " id", " code", " name", " number")
_VOWEL = re.compile("[aeiouy]", re.IGNORECASE)


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def harmless(text: str) -> str:
    """The text with a sign in place of each control character, of marks that turn the direction of writing, and of
    what is no character at all: they could steer a terminal, hide words, or break a Word file."""
    return _CONTROL.sub("\ufffd", text)


def escaped(text: str) -> str:
    """The text as HTML shows it, in an element or an attribute, without control characters."""
    return html.escape(harmless(text))


def untypeset(page: str) -> str:
    """HTML in which a notebook takes no $ for mathematics; a page of its own leaves the frame out (`index.html.j2`)."""
    return f'<div class="tex2jax_ignore mathjax_ignore">{page}</div><!-- words -->'


def file_name(words: str) -> str:
    """Words as the name of a file: letters, digits, - and _, at most 69 signs; a hash tells changed ones apart."""
    plain = re.sub(r"[^\w-]", "_", words)[:60]
    return plain if plain == words else f"{plain}-{sha256(words.encode(errors='surrogatepass')).hexdigest()[:8]}"


@dataclass(frozen=True)
class Count:
    """A number of people as it may be said: itself; where `withheld`, only that it is below `value`; None for some."""

    value: int | None
    withheld: bool = False

    @property
    def words(self) -> str:
        """'7', 'fewer than 10', 'some'."""
        if self.value is None:
            return "some"
        return f"fewer than {self.value:,}" if self.withheld else f"{self.value:,}"


def of_people(count: int | str, noun: str = "people") -> str:
    """'7 people': a number of people within a sentence, tied to what follows so that it can be withheld."""
    return f"{count}{TIE}{noun}"


def retold(text: str, publish: Callable[[Count], Count]) -> str:
    """The sentence with each number of people in it as `publish` allows; other numbers and all words stay."""
    *tied, rest = text.split(TIE)
    out = []
    for part in tied:
        digits = part[len(part.rstrip(_DIGITS)) :]
        given = Count(int(digits.replace(",", ""))) if digits.strip(",") else None
        allowed = None if given is None else publish(given)
        words = digits if allowed is None or allowed == given else allowed.words
        out.append(f"{part[: len(part) - len(digits)]}{words} ")
    return "".join([*out, rest])


def join_words(items: Iterable[str], last: str = "and") -> str:
    """Join words as in speech: 'a', 'a and b', 'a, b and c'."""
    listed = list(items)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} {last} {listed[-1]}"


def number_in_words(count: int) -> str:
    """Say a whole number from 0 to 12 in letters, larger ones in figures with commas."""
    return _CARDINALS[count] if 0 <= count < len(_CARDINALS) else f"{count:,}"


def ordinal_in_words(position: int) -> str:
    """Say a position from 1 to 12 in letters ('third'), larger ones as '21st'."""
    if 1 <= position < len(_ORDINALS):
        return _ORDINALS[position]
    ending = "th" if position % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    return f"{position:,}{ending}"


class Noun(str):
    """A noun that knows its plural."""

    many: str

    def __new__(cls, one: str, many: str) -> Noun:
        made = super().__new__(cls, one)
        made.many = many
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return str(self), self.many


def plural(noun: str) -> str:
    """Plural of an English noun or of the last word of a phrase: 'court area' gives 'court areas'."""
    if isinstance(noun, Noun):
        return noun.many
    head, space, word = noun.rpartition(" ")
    lower = word.lower()
    if lower in _IRREGULAR:
        many = _IRREGULAR[lower]
    elif lower.endswith("y") and lower[-2:-1] not in ("", "a", "e", "i", "o", "u"):
        many = word[:-1] + "ies"
    elif lower.endswith(("s", "x", "z", "ch", "sh")):
        many = word + "es"
    else:
        many = word + "s"
    return f"{head}{space}{many}"


def count_words(count: int, noun: str) -> str:
    """'1 borough', '8 boroughs', '1,190 people'."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def noun_from_column(column: str, other: str = "unit") -> Noun:
    """The noun that a column name stands for: 'person_id' gives 'person', 'court_area' 'court area', 'School Name'
    'school', 'four_weeks' 'four-week period'; letters that make no word give the `other`."""
    column = re.sub(r"\s*\([^)]*\)", "", column).strip() or column
    ending = next((e for e in _ID_ENDINGS if column.lower().endswith(e) and len(column) > len(e)), "")
    words = column[: len(column) - len(ending)].replace("_", " ").strip()
    words = " ".join(w.lower() if w[:1].isupper() and w[1:].islower() else w for w in words.split())
    if words.islower() and words.isalpha() and not _VOWEL.search(words):
        return _regular(other)
    first, _, last = words.rpartition(" ")
    if first.lower() in (*_CARDINALS, "half") and last.lower() in ("days", "weeks", "months", "years"):
        return _regular(f"{first}-{last[:-1]} period")
    return _regular(words)


def _regular(noun: str) -> Noun:
    return Noun(noun, plural(noun))


def sentence_case(text: str) -> str:
    """The text with its first letter raised and the rest left alone."""
    return text[:1].upper() + text[1:]


def full_stop(text: str) -> str:
    """The text, stripped, with its first letter raised and one mark at its end; '' stays ''."""
    bare = text.strip()
    if not bare:
        return ""
    return sentence_case(bare if bare.endswith((".", "!", "?", ".”")) else bare + ".")


def quoted(label: str) -> str:
    """A label in curly quotation marks, so that any user's wording can stand inside a sentence."""
    return f"“{label}”"


def sentences(*parts: str) -> str:
    """Join the parts that are not empty by single spaces, each ended by a full stop."""
    return " ".join(full_stop(part) for part in parts if part.strip())


# What each design compares, as part of a sentence; and as the title of a row, where that is not the same.
_DESIGNS = {
    "StaggeredRollout(same)": "places whose other components follow the same path",
    "StaggeredRollout(same, equal weights)": "the same places, every period before the start weighing alike",
    "StaggeredRollout(same, one base period)": "the same places, measured from one period before the start",
    "StaggeredRollout(unchanged)": "places whose other components stand still",
    "StaggeredRollout(ignored)": "places not yet exposed, whatever else went on there",
    "ScaledRollout(logit)": "the same places, had all moved by the same odds",
    "ScaledRollout(log)": "the same places, had all moved by the same proportion",
    "TripleDifference": "people whom it can reach beside those it cannot",
    "TripleDifference(equal weights)": "the same people, every period before the start weighing alike",
    "JointEventStudy": "one regression on all components",
    "JointEventStudy(dose)": "one regression on all components, by dose",
    "JointCombination": "one regression on all components, effects added up",
    "TwoWayFixedEffects": "the regression that everybody runs",
    "Imputation": "what places without any component would predict",
    "BesideUntouched": "the same, beside places whose neighbours do not have it",
    "OnNeighbours": "places without it whose neighbours have it, beside those whose neighbours do not",
    "MatchedComparison": "people matched on what is recorded",
    "MatchedComparison(ignored)": "people matched whatever else they had",
    "WeightedComparison": "people weighted to be alike on record",
    "FlexibleComparison": "people like them by learners that may bend",
    "RandomisedComparison": "those to whom chance dealt it beside the others",
    "RandomisedComparison(plain)": "the same, without what is recorded about them",
    "DifferenceInDifferences": "two groups before and after",
    "CrossSections(people alike)": "the same places, read for people alike on record",
    "CrossSections(whoever was asked)": "the same places, whoever was asked",
    "CrossSections(whoever was there)": "the means of the same places, whoever was there",
    "StaggeredRollout(same, every start)": "every start, those after an earlier spell among them",
    "Withdrawn": "what happened when it was taken away",
    "CarriedOver": "what was left of it after it ended",
    "InterruptedTimeSeries": "one place beside its own past",
    "InterruptedTimeSeries(control)": "one place beside its own past, less that of a few others",
    "InterruptedTimeSeries(GLSAR)": "one place beside its own past, by iterated least squares",
    "InterruptedTimeSeries(SARIMAX)": "one place beside its own past, by maximum likelihood",
    "InterruptedTimeSeries(UnobservedComponents)": "one place beside its own past, whose level and slope wander",
    "SyntheticControl": "one place beside a mix of others, its own level set aside",
    "SyntheticDifferenceInDifferences": "one place beside a mix of others that moved with it",
    "DifferenceBesidePlaces": "one place beside all others alike",
    "BeforeAfter": "before and after, which cannot carry a claim",
    "BeforeAfter(trend)": "before and after, a straight trend taken out",
    "BeforeAfter(last)": "before and after, without the last periods before",
    "RegressionDiscontinuity": "people just above and just below the line",
}
_TITLES = {
    "StaggeredRollout(same, equal weights)": "The same, with equal weights as published",
    "TripleDifference(equal weights)": "The same people, with equal weights as published",
    "StaggeredRollout(same, one base period)": "The same, measured from one period before",
    "StaggeredRollout(ignored)": "Whatever else went on there (shows what goes wrong)",
    "JointEventStudy": "One regression on all, right if effects add up",
    "JointEventStudy(dose)": "One regression on all, right if effects add up and grow with the dose",
    "JointCombination": "One regression on all, effects added up",
    "TwoWayFixedEffects": "The regression everybody runs (shows what goes wrong)",
    "MatchedComparison(ignored)": "People matched, whatever else they had (shows what goes wrong)",
    "CrossSections(whoever was asked)": "The same places, whoever was asked (shows what goes wrong)",
    "StaggeredRollout(same, every start)": "Every start, those after an earlier spell too (shows what goes wrong)",
    "InterruptedTimeSeries(GLSAR)": "The same past, by iterated least squares (claims too often)",
    "InterruptedTimeSeries(SARIMAX)": "The same past, by maximum likelihood (claims too often)",
    "InterruptedTimeSeries(UnobservedComponents)": "The same past, whose level and slope wander",
    "BeforeAfter": "Before and after, which cannot carry a claim (shows what goes wrong)",
    "BeforeAfter(last)": "Before and after, without the last periods before, where a place may have been at its worst",
    "RegressionDiscontinuity": "People just above and below the line",
}


def design_words(design: str) -> str:
    """What a design compares, as part of a sentence; the name itself when it is a new one."""
    name, ring, nearest = design.partition("(ring ")
    return f"{_DESIGNS[name]}: ring {nearest.rstrip(')')}" if ring else _DESIGNS.get(design, design)


def design_title(design: str) -> str:
    """What a design compares, as the title of a row; the name itself when it is a new one."""
    return _TITLES.get(design) or sentence_case(design_words(design))


def period_words(value: object) -> str:
    """A period as people write it: a date without its midnight, a whole number without its point."""
    text = str(value)
    text = text.split("T")[0] if "T00:00:00" in text else text.removesuffix(" 00:00:00")
    return text.removesuffix(".0")
