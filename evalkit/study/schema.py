"""What may stand in each column of each table: one rule a column, and one reader of rules for all of them.

`TABLES` holds the tables with names of their own, `ROLES` the columns of the panel and of the people that a study
names. Rules are looked at when a study is made, those about outcomes when an outcome is first read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from evalkit.errors import Problem, first_rows, spelt, suggest
from evalkit.show.words import count_words, join_words
from evalkit.study.calendar import Calendar, Event
from evalkit.study.frame import GONE, match, numbers, wrong_rows
from evalkit.study.reading import Cells, advise_dates, advise_numbers

BEARERS = ("fiscal", "economic", "social")
CERTAINTIES = ("day", "month", "quarter", "year", "guessed")
"""How sure the date of a spell is; from the third on, no surer than a quarter of a year."""
MOVED = ("planned", "capacity", "results")
"""Why a start lies where it does: as planned, because somebody had no room, or because of what was seen by then."""
UNIT_NAMES = ("unit", "person_id", "unit_id")
"""Names that the column of units may have in the claims, besides the study's own."""


@dataclass(frozen=True)
class Rule:
    """What may stand in a column.

    kind: "id" (names and numbers of things), "words", "number" or "moment" (a date or period).
    must: the column has to be there. filled: every row has a value. low, high: limits of numbers. whole: whole numbers
    only. options: the values there are. of: what values name ("component", "outcome" or "unit"). cased: ids that
    differ in capitals only are two. advice: what to do where it is not the usual.
    """

    kind: Literal["id", "words", "number", "moment"]
    must: bool = False
    filled: bool = False
    low: float | None = None
    high: float | None = None
    whole: bool = False
    options: tuple[str, ...] | tuple[int, ...] = ()
    of: str = ""
    cased: bool = False
    advice: str = ""


@dataclass(frozen=True)
class Schema:
    """The columns of a table. once: columns that together name a row, which may be there once. dated: columns of which
    one must be there for two rows that are the same in everything to be one row written twice."""

    columns: Mapping[str, Rule]
    once: tuple[str, ...] = ()
    dated: tuple[str, ...] = ()


_NAME, _WORDS = Rule("id", must=True, filled=True), Rule("words")
_MOMENT, _YEAR = Rule("moment"), Rule("number", low=1900, high=2200, whole=True)
_BEARER = Rule("words", options=BEARERS)
_COMPONENT, _OUTCOME = (Rule("id", must=True, filled=True, of=of) for of in ("component", "outcome"))
_PAID = "Write 0 or more; take what was paid back off the row it belongs to."
_MONEY = Rule("number", must=True, filled=True, low=0, advice=_PAID)
_PLACE = "Mend them, or leave the cell empty."
_NEIGHBOURS = "Use the places of the panel, and leave out rows of places that are not in it."
_OF_ONE = "Write shares from 0 to 1 (20 per cent is 0.2), and leave it empty where it is not known."
_SEEN = "Write 1 for validated, 0 for refused, and nothing where nobody has looked."

TABLES = {
    "adoption": Schema({
        "component": Rule("id", filled=True), "level_id": _NAME, "start": Rule("moment", must=True, filled=True),
        "end": _MOMENT, "dose": Rule("number", low=0), "certainty": Rule("words", options=CERTAINTIES),
        "start_low": _MOMENT, "start_high": _MOMENT, "planned_start": _MOMENT, "source": _WORDS, "change_note": _WORDS,
        "moved": Rule("words", options=MOVED), "decided": _MOMENT,
    }),
    "links": Schema({"from": _NAME, "to": _NAME, "weight": Rule("number", must=True, filled=True, low=0, high=1)},
                    once=("from", "to")),
    "neighbours": Schema({
        "place": Rule("id", must=True, filled=True, of="place", advice=_NEIGHBOURS),
        "neighbour": Rule("id", must=True, filled=True, of="place", advice=_NEIGHBOURS),
        "ring": Rule("number", filled=True, low=0), "distance": Rule("number", filled=True, low=0),
        "weight": Rule("number", filled=True, low=0),
    }, once=("place", "neighbour")),
    "neighbour_shares": Schema({
        "place": Rule("id", must=True, filled=True, of="place", advice=_NEIGHBOURS),
        "period": Rule("moment", must=True, filled=True),
        "share": Rule("number", must=True, low=0, high=1, advice=_OF_ONE), "ring": Rule("number", filled=True, low=0),
    }, once=("place", "period", "ring")),
    "costs": Schema({
        "component": _COMPONENT, "amount": _MONEY, "period": _MOMENT, "bearer": _BEARER, "price_year": _YEAR,
        "grade": _WORDS, "type": _WORDS, "level_id": Rule("id", of="place", advice=_PLACE),
    }, dated=("period",)),
    "rate_card": Schema({
        "outcome": _OUTCOME, "trigger": Rule("words", must=True, filled=True, advice="Say what the payment is for, "
                                             "such as 'six months in a settled home'."),
        "tariff": _MONEY, "cap": Rule("number", low=0), "periods": Rule("number", low=1, whole=True),
        "name": _WORDS, "price_year": _YEAR,
    }, once=("outcome", "trigger")),
    "claims": Schema({
        "outcome": _OUTCOME, "amount": _MONEY, "period": _MOMENT, "price_year": _YEAR,
        "validated": Rule("number", options=(0, 1), advice=_SEEN),
        **dict.fromkeys(UNIT_NAMES, Rule("id", filled=True, of="unit", cased=True)),
    }, dated=UNIT_NAMES),
    "unit_costs": Schema({
        "outcome": _OUTCOME, "value": _MONEY, "bearer": _BEARER, "agency": _WORDS, "price_year": _YEAR,
        "grade": _WORDS, "source": _WORDS,
    }, dated=("outcome",)),
    "events": Schema({
        "label": Rule("words", must=True, filled=True), "start": Rule("moment", must=True, filled=True),
        "end": _MOMENT,
    }, once=("label", "start")),
}  # fmt: skip

_FILL = "Fill these in or leave the rows out."
_NAMED = " Where that is a name, write it in a way that is read as one, such as {!r}, in every table."
ROLES = {
    "unit": Rule("id", must=True, filled=True, cased=True),
    "period": Rule("moment", must=True, filled=True),
    "level": _NAME,
    "exposure": Rule("number", must=True, filled=True, low=0),
    "reach": Rule("number", must=True, filled=True, options=(0, 1),
                  advice="Use 1 for those whom the component can reach, else 0."),
    "weights": Rule("number", must=True, filled=True, low=0),
    "neighbours": Rule("number", must=True, low=0, high=1, advice=_OF_ONE),
    "covariate": Rule("number", must=True),
    "share": Rule("number", low=0, high=1, advice="Write shares from 0 to 1 (20 per cent is 0.2), or percent = true "
                                                  "for percentages, and leave it empty where it is missing; or "
                                                  "choose another kind."),
    "rate": Rule("number", low=0, advice="A rate's own column holds counts: write 0 or more, and leave it empty where "
                                         "it is missing."),
    "per": Rule("number", low=0, advice="What is divided by is above 0: mend it, or leave the row out."),
    "count": Rule("number"), "score": Rule("number"), "log": Rule("number"), "money": Rule("number"),
}  # fmt: skip
"""Columns of the panel and the people by what they are for, and outcomes by their kind."""

# Names under which open data standards and spreadsheets know the same columns.
ALIASES = {
    "component_id": "component", "outcome_id": "outcome", "amount_gbp": "amount", "cost_gbp": "amount",
    "value_gbp": "value", "tariff_gbp": "tariff", "trigger_rule": "trigger", "cap_gbp_per_person": "cap",
    "cap_gbp": "cap", "month": "period", "quarter": "period", "year": "period", "cost_type": "type",
}  # fmt: skip


def _of_kind(kind: str) -> frozenset[str]:
    found = {name for table in TABLES.values() for name, rule in table.columns.items() if rule.kind == kind}
    return frozenset(found | {old for old, new in ALIASES.items() if new in found})


TABLE_CELLS = Cells(ids=_of_kind("id"), moments=_of_kind("moment"), numbers=_of_kind("number"))
"""What the columns of the tables above hold."""


@dataclass(frozen=True, eq=False)
class Known:
    """What values may refer to, as far as it is known: names by kind, places of all levels and of what is linked to
    them, ids of units, the calendar.

    unit: the column of units in the claims. again: all that needs no units or calendar was looked at before.
    """

    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: np.ndarray | None = None
    units: np.ndarray | None = None
    calendar: Calendar | None = None
    unit: str = ""
    again: bool = False


NOTHING = Known()
Say = Callable[[np.ndarray], str]
_Wrong = tuple[np.ndarray, str, str]
"""Whether each row is wrong, what is wrong, and what to do."""


def check_table(name: str, table: pd.DataFrame, where: str, known: Known = NOTHING) -> list[Problem]:
    """Everything wrong with a table of `TABLES`: columns, their values (first five rows), rows that come twice."""
    schema = TABLES[name]
    rules = {known.unit: TABLES["claims"].columns["unit"]} if name == "claims" and known.unit else {}
    rules |= schema.columns
    if lists := [c for c in table.columns if _no_values(table[c]).any()]:
        return [Problem(f"{lists[0]} holds lists or the like", where, "Write one value in each cell.")]
    say = lambda rows: f"{where}, {first_rows(table.index[rows[:5]], len(rows))}"  # noqa: E731
    if known.again:
        placed = [
            (c, r) for c, r in rules.items() if c in table.columns and (r.kind == "moment" or r.of in ("unit", "place"))
        ]
        return [problem for c, r in placed for problem in check_column(table[c], r, c, say, known)]
    lack = ", ".join(repr(c) for c, rule in rules.items() if rule.must and c not in table.columns)
    if lack:
        others = [c for c, rule in schema.columns.items() if not rule.must]
        listed = ", ".join(c for c, rule in schema.columns.items() if rule.must)
        return [Problem(f"There is no column {lack}", where, f"It needs {listed}; it may have {', '.join(others)}.")]
    problems = []
    for column in table.columns:
        near = _near(str(column), [c for c in rules if c not in table.columns]) if column not in rules else ""
        if near:
            problems.append(Problem(f"There is no column {column!r}", where, f"Did you mean {near!r}?"))
    for column, rule in rules.items():
        if column in table.columns:
            problems += check_column(table[column], rule, column, say, known)
    return problems + _written_twice(schema, table, say, known.unit if name == "claims" else "")


def events_of(given: pd.DataFrame | Iterable[object] | None, problems: list[Problem]) -> tuple[Event, ...]:
    """Events from Events, (label, start, end) tuples or mappings; others pile up in `problems`."""
    if isinstance(given, pd.DataFrame):
        problems += check_table("events", given.iloc[:0], "table events")
        frame = given.reindex(columns=["label", "start", "end"]).astype(object)
        given = frame.where(frame.notna(), None).to_dict("records")
    out = []
    for i, row in enumerate([] if given is None else given, 1):
        parts: object = row
        if isinstance(row, Mapping) and {"label", "start"} <= set(row) <= {"label", "start", "end"}:
            parts = (row["label"], row["start"], row.get("end"))
        if isinstance(row, Event):
            out.append(row)
        elif isinstance(parts, (tuple, list)) and len(parts) in (2, 3) and pd.notna(parts[0]) and str(parts[0]).strip():
            out.append(Event(str(parts[0]), *parts[1:]))
        else:
            problems.append(
                Problem(f"{spelt(row)} is not an event", f"table events, row {i}", "Give label, start and end.")
            )
    return tuple(out)


def check_events(events: Sequence[Event], calendar: Calendar) -> list[Problem]:
    """Events without words, with dates that this calendar cannot read, that come twice or end before they start."""
    table = pd.DataFrame([asdict(e) for e in events], index=range(1, len(events) + 1), dtype=object)
    where = "table events"
    problems = check_table("events", table, where, Known(calendar=calendar)) if len(table) else []
    if problems or not len(table):
        return problems
    start, end = (calendar.place(table[c].to_numpy()) for c in ("start", "end"))
    what, advice = "An event ends before it starts", "The end is the first moment after it."
    return wrong_rows(table, end <= start, what, where, advice)


def _near(column: str, absent: list[str]) -> str:
    """The column that a heading means but for capitals, spaces or a slip; "" where there is none."""
    plain = "".join(_skeleton(column, cased=False).split()).strip("_")
    close = [c for c in absent if plain == c or (len(c) > 2 and _one_slip(plain, c))]
    return close[0] if close else ""


def _one_slip(a: str, b: str) -> bool:
    """Whether one letter added, dropped, changed or two swapped make one word of the other."""
    while a and b and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    return max(len(a), len(b)) <= 1 or (len(a) == len(b) == 2 and a == b[::-1])


def _written_twice(schema: Schema, table: pd.DataFrame, say: Say, unit: str) -> list[Problem]:
    if not schema.once and not {*schema.dated, unit} & set(table.columns):
        return []
    once = [c for c in schema.once if c in table.columns]
    again = np.flatnonzero(table.duplicated(once or None, keep=False).to_numpy())
    advice = "Keep one of each; where both are right, tell them apart in a column of their own."
    return [Problem("Rows are there twice", say(again), advice)] if len(again) else []


def check_column(column: pd.Series, rule: Rule, subject: str, say: Say, known: Known = NOTHING) -> list[Problem]:
    """Everything wrong with a column. subject: what it is called; say: puts positions of rows in words."""
    reader = {"id": _wrong_ids, "words": _wrong_words, "number": _wrong_numbers, "moment": _wrong_moments}
    problems: list[Problem] = []
    whole = isinstance(column.dtype, np.dtype) and column.dtype.kind in "iub"  # such columns miss nothing
    if rule.filled and not whole:
        problems += _missing(column, rule, subject, say)
    for wrong, what, advice in reader[rule.kind](column, rule, known):
        rows = np.flatnonzero(wrong)
        if len(rows):
            said = what if what.startswith("Unknown") else f"{subject} {what}"
            problems.append(Problem(said, say(rows), advice))
    return problems


def _missing(column: pd.Series, rule: Rule, subject: str, say: Say) -> Iterator[Problem]:
    """Rows without a value, and the words that are read so: a place may be called NA."""
    gone = column.isna().to_numpy()
    if not gone.any():
        return
    advice = "Missing is not 0: fill these in or leave the rows out." if rule.kind == "number" else _FILL
    what = f"{subject} is missing in {count_words(int(gone.sum()), 'row')}"
    if words := column.attrs.get(GONE, {}).get(column.name):
        listed = join_words(f"{w!r} (row {row})" for w, row in list(words.items())[:5])
        what += f": {listed} {'is' if len(words) == 1 else 'are'} read as nothing"
        advice += _NAMED.format(f"{next(iter(words))}.")
    yield Problem(what, say(np.flatnonzero(gone)), advice)


def _wrong_numbers(column: pd.Series, rule: Rule, known: Known) -> Iterator[_Wrong]:
    values, text = numbers(column)
    odd = np.zeros(len(values), dtype=bool)
    odd[text] = True
    advice = advise_numbers(column.iloc[text].unique()[:50], "share" if rule is ROLES["share"] else "")
    if rule.options:
        out = odd | ~(np.isin(values, rule.options) | np.isnan(values))
        key = f" {advice}" if "[study]" in advice else ""
        yield out, f"is not {' or '.join(map(str, rule.options))} everywhere", rule.advice + key
        return
    yield odd, f"holds text such as {spelt(column.iloc[text[0]])}" if len(text) else "", advice
    yield np.isinf(values), "is infinite", "Write finite numbers."
    if rule.low is not None:
        what = "is negative" if rule.low == 0 else f"is below {rule.low:g}"
        yield values < rule.low, what, rule.advice or f"Use {rule.low:g} or more."
    if rule.high is not None:
        yield values > rule.high, f"is above {rule.high:g}", rule.advice or f"Use {rule.high:g} or less."
    if rule.whole:
        with np.errstate(invalid="ignore"):
            yield np.isfinite(values) & (values % 1 != 0), "is not a whole number", "Write whole numbers."


def _wrong_words(column: pd.Series, rule: Rule, known: Known) -> Iterator[_Wrong]:
    given = column.notna().to_numpy()
    texts = column.astype(object).where(given, "").astype(str)
    if rule.options:
        wrong = given & ~texts.isin(rule.options).to_numpy()
        listed = ", ".join(dict.fromkeys(map(repr, texts[wrong].iloc[:5])))
        more = "" if rule.filled else "; or leave it empty"
        yield wrong, f"{listed} is not a choice", f"Use one of: {', '.join(map(str, rule.options))}{more}."
        return
    if rule.filled:
        yield given & (texts.str.strip() == "").to_numpy(), "is empty", rule.advice or "Say it in words."
    yield texts.map(unprintable).to_numpy(dtype=bool), "holds a character that cannot be printed", "Take it out."


def _wrong_moments(column: pd.Series, rule: Rule, known: Known) -> Iterator[_Wrong]:
    if known.calendar is None:
        return
    given, calendar = column.notna().to_numpy(), known.calendar
    place = np.zeros(len(column))
    place[given] = calendar.place(column.to_numpy(dtype=object)[given])
    unread = given & np.isnan(place)
    shown = f"{spelt(column.iloc[np.flatnonzero(unread)[0]])} " if unread.any() else ""
    key = advise_dates(v for v in column[unread].unique()[:50] if isinstance(v, str))
    advice = f"Write it like {calendar.values[0]!s}, or as a date (2020-03-31). {key}".strip()
    yield unread, f"{shown}is not a date of this calendar", advice
    far = given & calendar.far(place)
    yield far, "lies far from the periods of the study", "Mend the date, or leave the row out."


def _wrong_ids(column: pd.Series, rule: Rule, known: Known) -> Iterator[_Wrong]:
    if rule.of in known.names:
        yield from _wrong_names(column, rule, known.names[rule.of])
    ids = {"unit": known.units, "place": known.places}.get(rule.of)
    if ids is not None:
        lost = (match(column.to_numpy(), ids) < 0) & column.notna().to_numpy()
        listed = ", ".join(dict.fromkeys(str(v) for v in column[lost].iloc[:5]))
        advice = rule.advice or "Mend them, or leave the rows out."
        yield lost, f"names {rule.of}s that the study does not have: {listed}", advice
    if column.dtype.kind in "iufbM" and isinstance(column.dtype, np.dtype):
        return
    if (lists := _no_values(column)).any():
        yield lists, "holds lists or the like", "Write a name or a number in each row."
        return
    values = pd.unique(column.dropna()) if not isinstance(column.dtype, pd.CategoricalDtype) else column.cat.categories
    kinds = {"text" if isinstance(v, str) else "number" if hasattr(v, "__float__") else type(v).__name__
             for v in values}  # fmt: skip
    if {"text", "number"} <= kinds:
        texts = column.map(lambda v: isinstance(v, str)).to_numpy(dtype=bool)
        yield texts, "holds numbers and text (1 and '1' are two ids)", "Write all of them one way."
        return
    for what, odd in odd_ids([v for v in values if isinstance(v, str)], rule.cased):
        yield column.isin(odd).to_numpy(), f"{what} ({', '.join(map(repr, odd[:5]))})", "Write each id one way."


def _no_values(column: pd.Series) -> np.ndarray:
    """(r,) entries that are no single values: lists, dicts."""
    if column.dtype != object:
        return np.zeros(len(column), dtype=bool)
    return np.array([type(v).__hash__ is None for v in column], dtype=bool)


def _wrong_names(column: pd.Series, rule: Rule, names: Sequence[str]) -> Iterator[_Wrong]:
    for value in column.dropna().unique():
        if value not in names:
            advice = suggest(str(value), [str(n) for n in names], f"The {rule.of}s are")
            yield (column == value).to_numpy(), f"Unknown {rule.of} {spelt(value)}", advice


def unprintable(text: str) -> bool:
    """Whether a text holds control characters, or marks that turn the direction of writing."""
    if text.isascii() and text.isprintable():
        return False
    bad = ("Cc", "Cs")
    return any((unicodedata.category(c) in bad and c not in "\n\t") or c in _TURNS for c in text)


_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеорсухіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
    "ABESIJKMHOPCTYXaeopcyxijsABEZHIKMNOPTYXo",
)
"""Letters of other alphabets that look like Latin ones."""


def odd_ids(values: Sequence[str], cased: bool = True) -> Iterator[tuple[str, list[str]]]:
    """(what is wrong, ids): ids that begin or end with a space or hold what nobody can see, and ids that look alike.

    cased: whether ids that differ in capitals only may be two.
    """
    listed = list(values)
    # Plain ids can look like another only by their capitals.
    few = [
        v
        for v in listed
        if not (v.isascii() and v.isprintable()) or v[:1] in ("", " ", "0") or v[-1] == " " or "  " in v
    ]
    hidden = [v for v in few if not v.strip() or v != v.strip() or any(unicodedata.category(c)[0] == "C" for c in v)]
    if hidden:
        yield "begins or ends with a space, or holds characters that cannot be seen", hidden
    groups: dict[str, list[str]] = {}
    for v in listed if few or not cased else ():
        groups.setdefault(_skeleton(v, cased), []).append(v)
    if alike := [v for group in groups.values() if len(group) > 1 for v in group if v not in hidden]:
        yield "holds ids that look alike", alike


def _skeleton(text: str, cased: bool) -> str:
    """What is left of an id when spaces, accents' forms, look-alike letters and leading noughts are made one."""
    plain = " ".join(unicodedata.normalize("NFKC", text).translate(_LATIN).split())
    plain = plain if cased else plain.casefold()
    return (plain.lstrip("0") or "0") if plain.isdigit() else plain
