"""A small study of twelve files, and what a careful person reads in it: an oracle that uses no reader of evalkit.

`TABLES` are cells as they stand in the files. `read_plainly` works out from any cells who had what in which month, the
outcomes, and the rows of money; it raises `Nonsense` where a careful person would send the file back. `found_in` says
the same of a Study, so that the two can be compared.
"""

from __future__ import annotations

import calendar
import functools
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

import evalkit as ek

TOML = """\
[study]
title = "Twelve people"
question = "What helped?"
panel = "panel.csv"
people = "people.csv"
unit = "person"
period = "month"
cluster = "borough"
covariates = ["age"]
weights = "weight"

[levels.association]
links = "links.csv"
to = "borough"

[outcomes.settled]
label = "In a settled home"
kind = "share"
better = "higher"
matters = 0.05

[outcomes.visits]
label = "Visits"
kind = "count"
better = "lower"
matters = 0.5

[components.policy]
label = "Allocation policy"
description = "Nobody is barred."
adoption = "adoption.csv"
assigned_at = "association"
bins = [0.25, 0.75]
unit_cost = 35

[components.nurse]
label = "Nurse"
adoption = "adoption.csv"
assigned_at = "borough"
reach = "needs"
part_period = "exclude"
neighbours = "neighbour_shares.csv"
who = "A nurse"

[components.court]
label = "Court"
exposure = "court"
assigned_at = "borough"
neighbours = "neighbours.csv"

[components.keyworker]
label = "Keyworker"
always_on = true

[costs]
table = "costs.csv"

[rate_card]
table = "rate_card.csv"

[claims]
table = "claims.csv"

[unit_costs]
table = "unit_costs.csv"

[events]
table = "events.csv"

[evaluate]
horizon = 4
"""
COMPONENTS, OUTCOMES = ("policy", "nurse", "court", "keyworker"), ("settled", "visits")
LABELS = dict(zip(("Allocation policy", "Nurse", "Court", "Keyworker"), COMPONENTS, strict=True))
PLACES, ASSOCIATIONS = ("Ash", "Birch", "Cedar", "Dale"), ("X", "Y")
PEOPLE = tuple(str(i) for i in range(101, 113))
Cells = list[list[str]]


def _cells(text: str) -> Cells:
    return [line.split(",") for line in text.strip().splitlines()]


def _panel() -> Cells:
    rng = np.random.default_rng(3)
    rows = [["person", "month", "borough", "court", "settled", "visits", "note"]]
    for i, person in enumerate(PEOPLE):
        place = PLACES[i % 4]
        for t in range(1, 9):
            court = int(place in ("Birch", "Cedar") and t >= 5)
            settled, visits = rng.integers(2), rng.integers(1, 6)
            rows.append([person, f"2021-{t:02d}", place, str(court), str(settled), str(visits), "as told"])
    return rows


TABLES: dict[str, Cells] = {
    "panel": _panel(),
    "people": [["person", "needs", "age", "weight"]]
    + [[p, str(i // 6), str(31 + i), str(1 + i % 3)] for i, p in enumerate(PEOPLE)],
    "adoption": _cells("""
component,level_id,start,end,dose,certainty,planned_start,source,change_note,moved,decided,start_low,start_high
policy,X,2021-03,,1.0,month,2021-02,returns,,capacity,2021-01,,
policy,Y,2021-06,,1.0,month,2021-05,returns,,,,,
nurse,Ash,2021-04,,1.0,day,2021-04,letters,,planned,,,
nurse,Birch,2021-04,2021-07,1.0,guessed,,letters,left early,,,,
nurse,Birch,2021-08,,1.0,day,,letters,,,,,"""),
    "links": _cells("from,to,weight\nX,Ash,0.8\nY,Ash,0.2\nX,Birch,0.5\nY,Birch,0.5\nY,Cedar,1\nX,Dale,1"),
    "costs": _cells("""
component,level_id,period,type,amount,bearer,price_year,grade
policy,X,2021-03,running,1200,fiscal,2021,A
policy,Y,2021-06,running,1100.5,fiscal,2021,A
nurse,Ash,2021-04,running,900,social,2021,B
nurse,Birch,2021-04,set up,900,,2020,B
programme,,,rent,300,economic,2021,C"""),
    "rate_card": _cells("""
outcome,trigger,tariff,cap,periods,name,price_year
settled,Six months in a settled home,2000,6000,6,Home,2021
visits,Half a year without,500,,1,Visits,2021"""),
    "claims": _cells("""
person,outcome,period,amount,validated,price_year
101,settled,2021-06,2000,1,2021
102,settled,2021-07,2000,0,2021
103,visits,2021-07,500,,2021
103,settled,2021-08,2000,1,2021"""),
    "unit_costs": _cells("""
outcome,value,bearer,agency,price_year,grade,source
settled,750,fiscal,councils,2020,B,a questionnaire
settled,300,social,the person,2020,C,assumed
visits,180,fiscal,hospitals,2021,C,assumed"""),
    "neighbours": _cells("""
place,neighbour,ring,distance,weight
Ash,Birch,1,2,1
Birch,Ash,1,2,2
Birch,Cedar,1,3,1
Dale,Cedar,2,9,0.5"""),
    "neighbour_shares": _cells("place,period,share,ring\nAsh,2021-04,0.5,1\nAsh,2021-05,,1\nDale,2021-04,0.25,1"),
    "events": _cells("label,start,end\nRooms for everybody,2021-03,2021-06\nHospitals kept clear,2021-05,"),
}
BEARERS, CERTAINTIES = ("fiscal", "economic", "social"), ("day", "month", "quarter", "guessed")
SHARE, FLAG, POSITIVE, YEAR = "number 0 1", "number 0 1 whole", "number 0 inf", "number 1900 2200 whole"
KINDS: dict[str, dict[str, str]] = {
    "panel": {"person": "person", "month": "month", "borough": "place", "court": POSITIVE, "settled": SHARE + " empty",
              "visits": POSITIVE + " empty", "note": "ignored"},
    "people": {"person": "person", "needs": FLAG, "age": "number -inf inf empty", "weight": POSITIVE},
    "adoption": {"component": "component", "level_id": "home", "start": "moment", "end": "moment empty",
                 "dose": POSITIVE + " empty", "certainty": "certainty empty", "planned_start": "ignored",
                 "source": "words", "change_note": "words", "moved": "moved empty", "decided": "ignored",
                 "start_low": "moment empty", "start_high": "moment empty"},
    "links": {"from": "association", "to": "place", "weight": SHARE},
    "costs": {"component": "payer", "level_id": "home empty", "period": "moment empty", "type": "words",
              "amount": POSITIVE, "bearer": "bearer empty", "price_year": YEAR + " empty", "grade": "words"},
    "rate_card": {"outcome": "outcome", "trigger": "said", "tariff": POSITIVE, "cap": POSITIVE + " empty",
                  "periods": "number 1 inf whole empty", "name": "words", "price_year": YEAR + " empty"},
    "claims": {"person": "person gone", "outcome": "outcome", "period": "moment empty", "amount": POSITIVE,
               "validated": FLAG + " empty", "price_year": YEAR + " empty"},
    "unit_costs": {"outcome": "outcome", "value": POSITIVE, "bearer": "bearer empty", "agency": "words",
                   "price_year": YEAR + " empty", "grade": "words", "source": "words"},
    "neighbours": {"place": "place", "neighbour": "place", "ring": "number 0 inf", "distance": POSITIVE,
                   "weight": POSITIVE},
    "neighbour_shares": {"place": "place", "period": "moment", "share": SHARE + " empty", "ring": "number 0 inf"},
    "events": {"label": "said", "start": "moment", "end": "moment empty"},
}  # fmt: skip
"""What a careful person takes each column for: a kind, limits of numbers, and whether a cell may be empty, or
the column be gone as a whole."""
NAMES = {"person": PEOPLE, "place": PLACES, "association": ASSOCIATIONS, "home": PLACES + ASSOCIATIONS,
         "component": COMPONENTS, "payer": (*COMPONENTS, "programme"), "outcome": OUTCOMES, "bearer": BEARERS,
         "certainty": CERTAINTIES, "moved": ("planned", "capacity", "results")}  # fmt: skip
MISSING = ("", "n/a", "nan", "NA", "null", "None")
Value = str | float | None
Spell = tuple[float, float, float, float]
"""Earliest start, end, dose, and latest start."""


class Nonsense(Exception):
    """A careful person would not go on with this file."""


def value_of(text: str, kind: str) -> Value:
    """One cell as a careful person reads it."""
    first, *more = kind.split()
    if text in MISSING:
        if "empty" in more or first in ("words", "ignored"):
            return None
        raise Nonsense(f"{first} is missing")
    if first == "ignored":
        return None
    if first == "number":
        return _number(text, float(more[0]), float(more[1]), "whole" in more)
    if first in ("month", "moment"):
        return _moment(text, first)
    if first in ("words", "said"):
        if any(ord(c) < 32 for c in text) or (first == "said" and not text.strip()):
            raise Nonsense("no words")
        return text
    if first == "association" and re.fullmatch(r'[A-Za-z0-9=+.,"\[\]-]+', text):
        return text  # any plain name may be that of one that never had it
    if first == "anybody" and text.isprintable() and not re.search(r"\s", text):
        return text  # whoever it is, it is one more
    if text not in NAMES.get(first, ()):
        raise Nonsense(f"{text!r} is no {first}")
    return text


def _number(text: str, low: float, high: float, whole: bool) -> float:
    if not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text):
        raise Nonsense(f"{text!r} is no number")
    number = float(text)
    if not (math.isfinite(number) and low <= number <= high) or (whole and number % 1):
        raise Nonsense(f"{text!r} is too high, too low or broken")
    return number


def _moment(text: str, kind: str) -> str:
    """Months as YYYY-M; days and quarters, where they may stand, as they are written."""
    found = re.fullmatch(r"\s*(\d{4})-(\d{1,2})\s*", text)
    if found and 1 <= int(found[2]) <= 12 and int(found[1]) > 0:
        return f"{int(found[1])}-{int(found[2])}"
    if kind == "moment" and found is None:
        position(text)
        return text
    raise Nonsense(f"{text!r} is no month")


def position(text: str) -> float:
    """Months since year 0 of a month, day or quarter."""
    if found := re.fullmatch(r"(\d{4})Q([1-4])", text):
        return int(found[1]) * 12 + int(found[2]) * 3 - 3
    if found := re.fullmatch(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?", text):
        year, month, day = int(found[1]), int(found[2]), int(found[3] or 1)
        if year and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]:
            return year * 12 + month - 1 + (day - 1) / calendar.monthrange(year, month)[1]
    raise Nonsense(f"{text!r} is no date")


def rows_of(name: str, cells: Cells) -> list[dict[str, Value]]:
    """The rows of a table, each cell read by its kind. A column that is not there is empty everywhere."""
    head, *rows = cells
    kinds = KINDS[name]
    if len(set(head)) < len(head) or any(len(row) != len(head) for row in rows) or set(head) - set(kinds):
        raise Nonsense("ragged, or columns that nobody knows")
    kept = [(c, kind) for c, kind in kinds.items() if c in head or "gone" not in kind]
    given = [dict(zip(head, row, strict=True)) for row in rows]
    return [{**dict.fromkeys(kinds), **{c: value_of(row.get(c, ""), kind) for c, kind in kept}} for row in given]


@functools.cache
def _sound_rows(name: str) -> list[dict[str, Value]]:
    return rows_of(name, TABLES[name])


def read_plainly(tables: Mapping[str, Cells]) -> dict[str, object]:
    """Everything that the files say, in plain values; `Nonsense` where they contradict themselves."""
    read = {
        name: _sound_rows(name) if cells is TABLES[name] else rows_of(name, cells) for name, cells in tables.items()
    }
    people = {row["person"]: row for row in read["people"]}
    panel = {(row["person"], row["month"]): row for row in read["panel"]}
    if len(people) < len(read["people"]) or len(panel) < len(read["panel"]) or not panel:
        raise Nonsense("rows are there twice, or not at all")
    if {person for person, _ in panel} - set(people):
        raise Nonsense("nobody knows these people")
    weight = {(row["to"], row["from"]): float(str(row["weight"])) for row in read["links"]}
    for place in {row["borough"] for row in panel.values()} | {row["to"] for row in read["links"]}:
        if abs(sum(w for (to, _), w in weight.items() if to == place) - 1) > 1e-6:
            raise Nonsense("weights that do not sum to one")
    if len(weight) < len(read["links"]):
        raise Nonsense("links that are there twice")
    beside = [(row["place"], row["neighbour"]) for row in read["neighbours"]]
    if len(set(beside)) < len(beside) or not beside or any(place == other for place, other in beside):
        raise Nonsense("neighbours that are there twice, of themselves, or not at all")
    told = [(row["place"], position(str(row["period"])), row["ring"]) for row in read["neighbour_shares"]]
    weights = {
        place: sum(float(str(r["weight"])) for r in read["neighbours"] if r["place"] == place) for place, _ in beside
    }
    if len(set(told)) < len(told) or not told or not all(weights.values()):
        raise Nonsense("shares that are there twice, or not at all, or neighbours that weigh nothing")
    for row in [*read["adoption"], *read["events"]]:
        if row["end"] is not None and position(str(row["end"])) <= position(str(row["start"])):
            raise Nonsense("the end comes before the start")
    spells = _spells(read["adoption"], {row["borough"] for row in panel.values()}, {source for _, source in weight})
    rows = {}
    for (person, month), row in panel.items():
        who, place, when = people[person], str(row["borough"]), position(str(month))
        had = _nurse(spells, place, when) if who["needs"] else 0
        states = (_policy(spells, weight, place, when), had, int(float(str(row["court"]))), 1)
        rows[person, month] = (*states, row["settled"], row["visits"], who["age"], who["weight"])
    _agree([(row["borough"], month, row["court"]) for (_, month), row in panel.items()])
    money = {name: sorted(map(_plain_row, read[name])) for name in ("costs", "rate_card", "claims", "unit_costs")}
    if any(len(set(money[name])) < len(money[name]) for name in money):
        raise Nonsense("rows are there twice")
    cards = [(row["outcome"], row["trigger"]) for row in read["rate_card"]]
    happened = [(row["label"], row["start"]) for row in read["events"]]
    if len(set(cards)) < len(cards) or len(set(happened)) < len(happened):
        raise Nonsense("rows are there twice")
    return {"rows": rows, **money, "events": sorted(map(_plain_row, read["events"]))}


def _agree(exposures: Sequence[tuple[Value, Value, Value]]) -> None:
    """Everybody of a place has the court at the same time, and it is on or off."""
    places = {}
    for place, month, court in exposures:
        if places.setdefault((place, month), court) != court or court not in (0, 1):
            raise Nonsense("a place that has it and has it not")


def _spells(
    rows: list[dict[str, Value]], places: set[Value], sources: set[Value]
) -> dict[tuple[str, str], list[Spell]]:
    spells: dict[tuple[str, str], list[Spell]] = {}
    for row in rows:
        component, home = str(row["component"]), str(row["level_id"])
        if component not in ("policy", "nurse") or home not in (sources if component == "policy" else places):
            raise Nonsense("a spell that belongs nowhere")
        stop = math.inf if row["end"] is None else position(str(row["end"]))
        dose = 1.0 if row["dose"] is None else float(str(row["dose"]))
        start = position(str(row["start"]))
        low, high = (start if row[c] is None else position(str(row[c])) for c in ("start_low", "start_high"))
        if not low <= start <= high < stop:
            raise Nonsense("a start outside its bounds")
        spells.setdefault((component, home), []).append((low, stop, dose, high))
    for listed in spells.values():
        listed.sort()
        if any(a[1] > b[0] for a, b in pairwise(listed)):
            raise Nonsense("spells that overlap")
    if {c for c, _ in spells} != {"policy", "nurse"}:
        raise Nonsense("a component without spells")
    return spells


def _reach_of(spells: list[Spell], when: float) -> tuple[float, float]:
    """Least and most dose of a place in the month that begins at `when`."""
    inside = [(max(sure, when), min(b, when + 1), dose) for a, b, dose, sure in spells if a < when + 1 and b > when]
    doses = [dose for *_, dose in inside]
    if sum(max(b - a, 0.0) for a, b, _ in inside) < 1 - 1e-6:
        doses.append(0.0)
    return min(doses), max(doses)


def _policy(spells: Mapping, weight: Mapping, place: str, when: float) -> int:
    ends = [0.0, 0.0]
    for (to, source), share in weight.items():
        if to == place:
            low, high = _reach_of(spells.get(("policy", source), []), when)
            ends = [ends[0] + share * low, ends[1] + share * high]
    low, high = (sum(end >= cut - 1e-9 for cut in (0.25, 0.75)) for end in ends)
    return low if low == high else -1


def _nurse(spells: Mapping, place: str, when: float) -> float:
    low, high = _reach_of(spells.get(("nurse", place), []), when)
    return low if low == high else -1


def _plain_row(row: Mapping[str, Value]) -> tuple[str, ...]:
    """A row as texts that sort and compare; numbers by what they are worth."""
    return tuple("" if v is None else f"{v:.10g}" if isinstance(v, float) else str(v) for v in row.values())


def found_in(study: ek.Study) -> dict[str, object]:
    """The same of a Study: state of each component, outcomes, age and weight by person and month; rows of money."""
    paths, rows = study.paths, {}
    outcomes = [study.values(o) for o in study.outcomes]
    age, state = study.covariate_values(["age"])[:, :, 0], paths.state[paths.path]
    doses = [[0.0, *d] for d in paths.doses]
    for i, t in np.argwhere(np.ones(state.shape[:2], bool) if paths.seen is None else paths.seen):
        codes = [int(s) if s < 0 or k == 0 else doses[k][int(s)] for k, s in enumerate(state[i, t])]
        months = int(study.calendar.start[t])
        key = (str(paths.units[i]), f"{months // 12}-{months % 12 + 1}")
        said = [None if np.isnan(v) else float(v) for v in (*(o[i, t] for o in outcomes), age[i, t], paths.weights[i])]
        rows[key] = (*(c if c >= 0 else -1 for c in codes), *said)
    tables = {} if study.money is None else study.money.given()
    called = {c.name: LABELS.get(c.label, c.name) for c in study.components}  # tables may know them by their labels
    tables = {
        n: t.assign(component=t["component"].replace(called)) if "component" in t else t for n, t in tables.items()
    }
    money = {name: sorted(_frame_rows(table, name)) for name, table in tables.items()}
    events = sorted(_plain_row({"l": e.label, "s": _told(e.start, "moment"), "e": _told(e.end, "moment")})
                    for e in study.events)  # fmt: skip
    return {"rows": rows, **money, "events": events}


def _frame_rows(table: pd.DataFrame, name: str) -> list[tuple[str, ...]]:
    out = []
    for row in table.to_dict("records"):
        out.append(_plain_row({c: _told(row.get(c), kind.split()[0]) for c, kind in KINDS[name].items()}))
    return out


def _told(value: object, kind: str) -> Value:
    if value is None or pd.isna(value) or kind == "ignored":
        return None
    if kind == "number":
        return float(str(value))
    return _moment(str(value), "moment") if kind == "moment" else str(value)
