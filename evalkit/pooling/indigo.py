"""INDIGO project files (data standard 4.1.0) as a register: who delivered what and when, prices, claims, costs, places.

INDIGO holds gross results in words, and no comparison, effect or error: it can never be a row of a pool. It is the list
of partnerships against which missing cards are counted. A service provision is what one organisation does, not a
component: a person says which component it belongs to. Only what its status calls public is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import EvalkitError, OptionError, Problem, raise_problems, suggest

PUBLIC = "PUBLIC"
_DATES = {"year": r"\d{4}", "month": r"\d{4}-\d{2}", "day": r"\d{4}-\d{2}-\d{2}"}
_FREQUENCY = {"year": "Y", "month": "M", "day": "D"}
_AMOUNT = re.compile(r"\d+(\.\d*)?([eE][+-]?\d+)?|\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)
_DATED = ("start", "end")
COMPONENTS = ("provision", "component", "organisation", "intervention", "changed", "why_changed")
ADOPTION = ("component", "level_id", "start", "end", "certainty", "planned_start", "source", "change_note")
RATE_CARD = ("outcome", "trigger", "tariff", "currency", "cap")
CLAIMS = ("outcome", "amount", "period", "currency", "kind")
COSTS = ("component", "amount", "period", "currency", "type", "planned")
SITES = ("provision", "name", "code", "country")


@dataclass(frozen=True, eq=False)
class Indigo:
    """What one INDIGO project file says. Tables have the columns of a study's own tables, so that they can be edited
    into them.

    components: one row a service provision; component is empty until a person names it. adoption: dated spells, actual
    dates before planned ones. rate_card, claims, costs. sites: delivery locations. population: policy sector and
    intervention, in words. withheld: blocks left out because they are not public, by block.
    """

    id: str
    name: str
    status: str
    population: str
    components: pd.DataFrame
    adoption: pd.DataFrame
    rate_card: pd.DataFrame
    claims: pd.DataFrame
    costs: pd.DataFrame
    sites: pd.DataFrame
    withheld: Mapping[str, int]

    def __repr__(self) -> str:
        counts = {n: len(getattr(self, n)) for n in ("components", "adoption", "rate_card", "claims", "costs", "sites")}
        return f"Indigo({self.id!r}, {', '.join(f'{n}={c}' for n, c in counts.items())})"


def read_indigo(path: str | Path, components: Mapping[str, str] | None = None) -> Indigo:
    """A project file of the INDIGO data standard.

    path: JSON, the project itself or with it under "data" (then "id" stands beside it). components: service provision
    -> the component that it belongs to; without it each is a component of its own. Dates as YYYY, YYYY-MM or YYYY-MM-DD
    give the certainty of a spell; a year alone is read as its middle.

    Raises `EvalkitError` for a file that is none, naming everything wrong with its dates and amounts, and for a project
    that is not public; `OptionError` for a provision that it does not have.
    """
    file = Path(path)
    ident, said = _opened(file)
    withheld: dict[str, int] = {}
    rows = {name: list(_public(said, name, withheld)) for name in (
        "service_provisions", "delivery_locations", "outcome_metrics", "outcome_pricings", "outcome_payments",
        "provider_side_cost",
    )}  # fmt: skip
    named = _named(rows["service_provisions"], components or {})
    problems: list[Problem] = []
    places = _places(rows["delivery_locations"])
    purpose = ("purpose_and_classifications",)
    metrics = {str(m.get("id")): _value(m, "definition") or str(m.get("id")) for m in rows["outcome_metrics"]}
    made = Indigo(
        ident, str(_value(said, "name") or file.stem), _status(said),
        ". ".join(str(v) for k in ("policy_sector", "intervention") if (v := _value(said, *purpose, k))),
        _frame(_components(rows["service_provisions"], named), COMPONENTS),
        _frame(_adoption(rows["service_provisions"], named, places, problems), ADOPTION),
        _frame(_prices(rows["outcome_pricings"], metrics, problems), RATE_CARD),
        _frame(_payments(rows["outcome_payments"], problems), CLAIMS),
        _frame(_costs(rows["provider_side_cost"], problems), COSTS),
        _frame(([r["provision"], r["name"], r["code"], r["country"]] for r in places), SITES),
        withheld,
    )  # fmt: skip
    raise_problems((Problem(p.what, f"{file.name}, {p.where}", p.next) for p in problems), EvalkitError)
    return made


def without_card(projects: Sequence[Indigo], indigo_ids: Sequence[str | None]) -> list[Indigo]:
    """Registered projects of which no card names the id."""
    known = {i for i in indigo_ids if i}
    return [p for p in projects if p.id not in known]


def _opened(file: Path) -> tuple[str, Mapping[str, Any]]:
    advice = "Give the JSON of one INDIGO project."
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvalkitError(str(Problem(f"It cannot be read as JSON ({error})", file.name, advice))) from None
    outer = said if isinstance(said, dict) else {}
    inner = next((outer[k] for k in ("data", "project") if isinstance(outer.get(k), dict)), outer)
    inner = inner.get("data", inner) if isinstance(inner.get("data"), dict) else inner
    if not isinstance(said, dict) or not {"name", "service_provisions", "outcome_metrics", "status"} & set(inner):
        raise EvalkitError(str(Problem("It is no INDIGO project", file.name, advice)))
    status = _status(inner)
    if status != PUBLIC:
        advice = "Delete copies of it, and withdraw cards made from it."
        raise EvalkitError(str(Problem(f"The project is {status.lower()}, not public", file.name, advice)))
    ident = next((str(o[k]) for o in (outer, inner) for k in ("id", "public_id") if o.get(k)), file.stem)
    return ident, inner


def _public(said: Mapping[str, Any], block: str, withheld: dict[str, int]) -> Iterator[Mapping[str, Any]]:
    rows = said.get(block)
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        if _is_public(row):
            yield row
        else:
            withheld[block] = withheld.get(block, 0) + 1


def _is_public(found: Mapping[str, Any]) -> bool:
    """Whether its status lets something be shown."""
    return _status(found) == PUBLIC


def _status(found: Mapping[str, Any]) -> str:
    """What a status says, wrapped or not; public where there is none."""
    status = found.get("status")
    return str((status.get("value") if isinstance(status, dict) else status) or PUBLIC).upper()


def _value(row: Mapping[str, Any], *keys: str) -> Any:
    """What stands under keys, out of its wrapping; None where it, or what holds it, is missing or not public."""
    found: Any = row
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict) and not _is_public(found):
            return None
    if isinstance(found, dict):
        found = found.get("value")
    return None if found in ("", None) else found


def _named(provisions: Sequence[Mapping[str, Any]], components: Mapping[str, str]) -> dict[str, str]:
    ids = [str(p.get("id")) for p in provisions]
    for name in components:
        if name not in ids:
            raise OptionError(f"There is no service provision {name!r}. {suggest(name, ids, 'There are')}")
    return {i: components.get(i, "") for i in ids}


def _components(provisions: Sequence[Mapping[str, Any]], named: Mapping[str, str]) -> Iterator[list[Any]]:
    for p in provisions:
        ident = str(p.get("id"))
        yield [ident, named[ident], _value(p, "organisation_id"), _value(p, "intervention"),
               _value(p, "alterations", "description"), _value(p, "alterations", "reason")]  # fmt: skip


def _places(locations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"provision": _value(r, "service_provision_id"), "name": _value(r, "location_name"),
         "code": _value(r, "adminstrative_geography_code"), "country": _value(r, "location_country")}
        for r in locations
    ]  # fmt: skip


def _adoption(
    provisions: Sequence[Mapping[str, Any]], named: Mapping[str, str], places: Sequence[Mapping[str, Any]],
    problems: list[Problem],
) -> Iterator[list[Any]]:  # fmt: skip
    """A spell for each provision and place; in the organisation's own where no place is named."""
    for i, p in enumerate(provisions):
        ident, dates = str(p.get("id")), {}
        for when in _DATED:
            for kind in ("actual", "planned"):
                where = f"service_provisions[{i}].{kind}_service.{when}_date"
                dates[kind, when] = _date(_value(p, f"{kind}_service", f"{when}_date"), where, problems)
        start, certainty = dates["actual", "start"] or dates["planned", "start"] or (None, None)
        if start is None:
            continue
        end = dates["actual", "end"] or (None, None)
        note = "; ".join(str(v) for k in ("description", "reason") if (v := _value(p, "alterations", k)))
        here = [r["name"] for r in places if str(r["provision"]) == ident and r["name"]]
        source = "INDIGO, actual" if dates["actual", "start"] else "INDIGO, planned"
        for place in here or [_value(p, "organisation_id") or ident]:
            yield [named[ident] or ident, place, start, end[0], certainty, (dates["planned", "start"] or (None,))[0],
                   source, note]  # fmt: skip


def _date(value: Any, where: str, problems: list[Problem]) -> tuple[str, str] | None:
    """A date and how sure it is; a year alone as its middle."""
    if value is None:
        return None
    text = str(value).strip()
    certainty = next((c for c, form in _DATES.items() if re.fullmatch(form, text, re.ASCII)), "")
    try:
        pd.Period(text, freq=_FREQUENCY[certainty])
    except (KeyError, ValueError):
        problems.append(Problem(f"{text!r} is no date", where, "Write YYYY, YYYY-MM or YYYY-MM-DD."))
        return None
    return (f"{text}-07" if certainty == "year" else text), certainty


def _amount(value: Any, where: str, problems: list[Problem]) -> float | None:
    if value is None:
        return None
    text = str(value).strip()
    number = float(text.replace(",", "")) if _AMOUNT.fullmatch(text) else float("nan")
    if not 0 <= number < float("inf"):
        problems.append(Problem(f"{value!r} is no amount", where, "Write a number, 0 or more."))
        return None
    return number


def _prices(
    pricings: Sequence[Mapping[str, Any]], metrics: Mapping[str, str], problems: list[Problem]
) -> Iterator[list[Any]]:
    for i, p in enumerate(pricings):
        outcome = str(_value(p, "outcome_metric_id"))
        tariff = _amount(_value(p, "price_per_unit", "amount"), f"outcome_pricings[{i}].price_per_unit", problems)
        if tariff is not None:
            words = _value(p, "price_description") or metrics.get(outcome, outcome)
            yield [outcome, words, tariff, _value(p, "currency"), None]


def _payments(payments: Sequence[Mapping[str, Any]], problems: list[Problem]) -> Iterator[list[Any]]:
    for i, p in enumerate(payments):
        amount = _amount(_value(p, "money", "amount"), f"outcome_payments[{i}].money.amount", problems)
        end = _date(_value(p, "period", "end_date"), f"outcome_payments[{i}].period.end_date", problems)
        if amount is not None:
            outcome, kind = _value(p, "outcome_metric_id"), _value(p, "type")
            yield [outcome, amount, end[0] if end else None, _value(p, "money", "currency"), kind]


def _costs(costs: Sequence[Mapping[str, Any]], problems: list[Problem]) -> Iterator[list[Any]]:
    """What the providers spent, or where that is missing planned to: of the programme, since no component is named."""
    for i, c in enumerate(costs):
        where = f"provider_side_cost[{i}].payment"
        actual = _amount(_value(c, "payment", "actual"), where, problems)
        amount = actual if actual is not None else _amount(_value(c, "payment", "planned"), where, problems)
        when = _date(_value(c, "date"), f"provider_side_cost[{i}].date", problems)
        if amount is not None:
            yield ["programme", amount, when[0] if when else None, _value(c, "payment", "currency"),
                   _value(c, "classification"), actual is None]  # fmt: skip


def _frame(rows: Iterator[list[Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns))
