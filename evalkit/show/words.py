"""Small helpers for plain English: lists, numbers in words, plurals, full stops.

Pure functions on strings, shared by verdict sentences, tables and the report.
"""

from __future__ import annotations

from collections.abc import Iterable

_CARDINALS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_ORDINALS = (
    "", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth",
)  # fmt: skip
_IRREGULAR = {"person": "people", "child": "children", "man": "men", "woman": "women", "series": "series"}
_ID_ENDINGS = ("_id", "_code", "_name", "_number", "_no", " id", " code")


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


def plural(noun: str) -> str:
    """Plural of an English noun or of the last word of a phrase: 'court area' gives 'court areas'."""
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


def noun_from_column(column: str) -> str:
    """The noun that a column name stands for: 'person_id' gives 'person', 'court_area' 'court area', 'four_weeks'
    'four-week period'."""
    word = column
    for ending in _ID_ENDINGS:
        if word.lower().endswith(ending) and len(word) > len(ending):
            word = word[: -len(ending)]
            break
    words = word.replace("_", " ").strip()
    first, _, last = words.rpartition(" ")
    if first.lower() in (*_CARDINALS, "half") and last.lower() in ("days", "weeks", "months", "years"):
        return f"{first}-{last[:-1]} period"
    return words


def with_article(noun: str) -> str:
    """'a borough', 'an association' (by the first letter)."""
    return f"{'an' if noun[:1].lower() in 'aeiou' and noun else 'a'} {noun}"


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
