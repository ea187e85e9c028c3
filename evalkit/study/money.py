"""Money: what components cost, what outcomes are paid and worth; and what is wrong with the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from evalkit.errors import Problem, StudyError, suggest
from evalkit.study.frame import Table, read_table, wrong_rows

BEARERS = ("fiscal", "economic", "social")
PROGRAMME = "programme"

# Names under which open data standards and spreadsheets know the same columns.
_ALIASES = {
    "component_id": "component", "outcome_id": "outcome", "amount_gbp": "amount", "cost_gbp": "amount",
    "value_gbp": "value", "tariff_gbp": "tariff", "trigger_rule": "trigger", "cap_gbp_per_person": "cap",
    "cap_gbp": "cap", "month": "period", "quarter": "period", "year": "period", "cost_type": "type",
}  # fmt: skip
_REQUIRED = {
    "costs": ("component", "amount"),
    "rate_card": ("outcome", "trigger", "tariff"),
    "claims": ("outcome", "amount"),
    "unit_costs": ("outcome", "value"),
}
_MONEY = {"costs": ("amount",), "rate_card": ("tariff", "cap"), "claims": ("amount",), "unit_costs": ("value",)}
_OPTIONAL = ("cap",)


@dataclass(frozen=True, eq=False)
class Money:
    """Tables of money, each a DataFrame, the path of one, or None.

    costs: component ("programme" for what belongs to no single one), amount; optionally period, bearer
        (fiscal, economic, social; fiscal when not given), price_year, grade, type, level_id.
    rate_card: outcome, trigger (what is paid for, in words), tariff; optionally cap (most money for one
        unit) and periods (periods with the outcome that make one payment; 1 when not given).
    claims: outcome, amount; optionally the unit's id, period, validated (0/1).
    unit_costs: outcome, value (of one more unit and period with the outcome, or one fewer where lower is
        better); optionally bearer, agency, price_year, grade, source.

    Columns of well-known standards (component_id, outcome_id, amount_gbp, tariff_gbp, trigger_rule, ...)
    are read under these names. Study checks the tables; see `money_problems`.
    """

    costs: pd.DataFrame | None = None
    rate_card: pd.DataFrame | None = None
    claims: pd.DataFrame | None = None
    unit_costs: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for name, given in self.given().items():
            table = read_table(given, name)
            used = {old: new for old, new in _ALIASES.items() if old in table.columns and new not in table.columns}
            once = {old: new for i, (old, new) in enumerate(used.items()) if new not in list(used.values())[:i]}
            object.__setattr__(self, name, table.rename(columns=once))

    def table(self, name: str) -> pd.DataFrame | None:
        """One of the tables by name."""
        return getattr(self, name)

    def given(self) -> dict[str, pd.DataFrame]:
        """The tables that are there, by name."""
        tables = {name: getattr(self, name) for name in TABLES}
        return {name: table for name, table in tables.items() if table is not None}

    def keep(self, components: Sequence[str], outcomes: Sequence[str]) -> Money:
        """The rows about some components and outcomes (and about the programme)."""
        known = {"component": [*components, PROGRAMME], "outcome": list(outcomes)}
        kept = self.given()
        for name, table in kept.items():
            for column in known.keys() & set(table.columns):
                kept[name] = kept[name][kept[name][column].isin(known[column])]
        return Money(**kept)

    def __bool__(self) -> bool:
        return bool(self.given())


TABLES = tuple(f.name for f in fields(Money))


def money_of(given: Money | Mapping[str, Table] | None, problems: list[Problem]) -> Money | None:
    """A `Money` from one, a mapping of its tables, or None; what cannot be read piles up in `problems`."""
    if given is None or isinstance(given, Money):
        return given
    if not isinstance(given, Mapping):
        problems.append(Problem(f"money is a {type(given).__name__}", "money", "Give ek.Money(costs=..., ...)."))
        return None
    unknown = [k for k in given if k not in TABLES]
    if unknown:
        problems.append(Problem(f"There is no table {unknown[0]!r}", "money", suggest(unknown[0], TABLES, "It has")))
        return None
    try:
        return Money(**given)
    except StudyError as error:
        problems.append(Problem(str(error).rstrip("."), "money"))
        return None


def money_problems(money: Money | None, components: Sequence[str], outcomes: Sequence[str]) -> list[Problem]:
    """Everything wrong with the tables: table, column and rows (first five).

    Columns that lack; names that the study does not have; amounts that are missing, text, infinite or
    negative; a tariff without a trigger; bearers that are none of the three.
    """
    known = {"component": [*components, PROGRAMME], "outcome": list(outcomes)}
    problems = []
    for name, table in {} if money is None else money.given().items():
        lack = ", ".join(repr(c) for c in _REQUIRED[name] if c not in table.columns)
        if lack:
            advice = f"It needs {', '.join(_REQUIRED[name])}."
            problems.append(Problem(f"There is no column {lack}", f"table {name}", advice))
        names = (found for column in known for found in _wrong_names(table, column, known[column]))
        for column, wrong, what, advice in (*names, *_wrong_amounts(name, table), *_wrong_words(name, table)):
            problems += wrong_rows(table, wrong, what, f"table {name}, column {column!r}", advice)
    return problems


_Wrong = tuple[str, np.ndarray, str, str]
"""A column, whether each row is wrong in it, what is wrong, and what to do."""


def _wrong_names(table: pd.DataFrame, column: str, known: Sequence[str]) -> Iterator[_Wrong]:
    if column not in table.columns:
        return
    for value in table[column].dropna().unique():
        if value not in known:
            advice = suggest(str(value), [str(k) for k in known], f"The {column}s are")
            yield column, (table[column] == value).to_numpy(), f"Unknown {column} {value!r}", advice
    yield column, table[column].isna().to_numpy(), f"The {column} is missing", "Name it in every row."


def _wrong_amounts(name: str, table: pd.DataFrame) -> Iterator[_Wrong]:
    for column in _MONEY[name]:
        if column not in table.columns:
            continue
        number = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
        given = table[column].notna().to_numpy() if column in _OPTIONAL else np.ones(len(table), dtype=bool)
        yield column, ~np.isfinite(number) & given, "Money is missing or not a number", "Write plain numbers."
        advice = "Write 0 or more; take what was paid back off the row it belongs to."
        yield column, np.nan_to_num(number) < 0, "Money is negative", advice


def _wrong_words(name: str, table: pd.DataFrame) -> Iterator[_Wrong]:
    given = {column: table[column].notna().to_numpy() for column in table.columns}
    if name == "rate_card" and "trigger" in given:
        empty = ~given["trigger"] | (table["trigger"].astype(str).str.strip() == "").to_numpy()
        advice = "Say what the payment is for, such as 'six months in a settled home'."
        yield "trigger", empty, "A tariff has no trigger", advice
    if name == "rate_card" and "periods" in given:
        number = pd.to_numeric(table["periods"], errors="coerce")
        whole = ((number >= 1) & (number == number.round())).to_numpy()
        what = "The periods of a payment are not a whole number, 1 or more"
        yield "periods", given["periods"] & ~whole, what, "Give a whole number of periods."
    if name == "claims" and "validated" in given:
        known = pd.to_numeric(table["validated"], errors="coerce").isin([0, 1]).to_numpy()
        advice = "Write 1 for validated, 0 for refused, and nothing where nobody has looked."
        yield "validated", given["validated"] & ~known, "Whether a claim was validated is not 0 or 1", advice
    if "bearer" in given:
        wrong = given["bearer"] & ~table["bearer"].isin(BEARERS).to_numpy()
        named = table["bearer"].to_numpy()[wrong]
        what = f"The bearer {named[0]!r} is not a choice" if len(named) else ""
        yield "bearer", wrong, what, f"Use one of: {', '.join(BEARERS)}."
    if "price_year" in given:
        likely = pd.to_numeric(table["price_year"], errors="coerce").between(1900, 2200).to_numpy()
        yield "price_year", given["price_year"] & ~likely, "The price year is not a year", "Write it like 2024."
