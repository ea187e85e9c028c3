"""Money: what components cost, what outcomes are paid and worth; and what is wrong with the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import Problem, StudyError, first_rows, raise_problems
from evalkit.study.columns import suggest
from evalkit.study.frame import read_table

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
TABLES = tuple(_REQUIRED)


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

    costs: Any = None
    rate_card: Any = None
    claims: Any = None
    unit_costs: Any = None

    def __post_init__(self) -> None:
        for name in TABLES:
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, _named(read_table(given, name)))

    def table(self, name: str) -> pd.DataFrame | None:
        """One of the tables by name."""
        return getattr(self, name)

    def keep(self, components: Sequence[str], outcomes: Sequence[str]) -> Money:
        """The rows about some components and outcomes (and about the programme)."""
        known = {"component": [*components, PROGRAMME], "outcome": list(outcomes)}
        kept = {}
        for name in TABLES:
            table = self.table(name)
            if table is not None:
                for column in known.keys() & set(table.columns):
                    table = table[table[column].isin(known[column])]
            kept[name] = table
        return Money(**kept)

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in TABLES)


def money_of(given: Any, problems: list[Problem]) -> Money | None:
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
    if money is None:
        return []
    return [p for name in TABLES for p in _check(name, money.table(name), components, outcomes)]


def require(money: Money | None, components: Sequence[str], outcomes: Sequence[str]) -> None:
    """Raise one `StudyError` that lists every problem of the tables."""
    raise_problems(money_problems(money, components, outcomes))


def _named(table: pd.DataFrame) -> pd.DataFrame:
    have = set(table.columns)
    used = {old: new for old, new in _ALIASES.items() if old in have and new not in have}
    once = {old: new for i, (old, new) in enumerate(used.items()) if new not in list(used.values())[:i]}
    return table.rename(columns=once)


def _check(
    name: str, table: pd.DataFrame | None, components: Sequence[str], outcomes: Sequence[str]
) -> Iterator[Problem]:
    if table is None:
        return
    lack = [c for c in _REQUIRED[name] if c not in table.columns]
    if lack:
        advice = f"It needs {', '.join(_REQUIRED[name])}."
        yield Problem(f"There is no column {', '.join(map(repr, lack))}", f"table {name}", advice)
    if "component" in table.columns:
        yield from _unknown(name, table, "component", [*components, PROGRAMME])
    if "outcome" in table.columns:
        yield from _unknown(name, table, "outcome", outcomes)
    for column in _MONEY[name]:
        if column in table.columns:
            yield from _amounts(name, table, column)
    if name == "rate_card" and "trigger" in table.columns:
        empty = table["trigger"].isna() | (table["trigger"].astype(str).str.strip() == "")
        if empty.any():
            yield from _problem("A tariff has no trigger", name, table, "trigger", empty.to_numpy(),
                           "Say what the payment is for, such as 'six months in a settled home'.")  # fmt: skip
    if "periods" in table.columns and name == "rate_card":
        number = pd.to_numeric(table["periods"], errors="coerce")
        wrong = (table["periods"].notna() & ~((number >= 1) & (number == number.round()))).to_numpy()
        if wrong.any():
            yield from _problem("The periods of a payment are not a whole number, 1 or more", name, table, "periods", wrong,
                           "Give a whole number of periods.")  # fmt: skip
    yield from _words(name, table)


def _words(name: str, table: pd.DataFrame) -> Iterator[Problem]:
    if name == "claims" and "validated" in table.columns:
        number = pd.to_numeric(table["validated"], errors="coerce")
        wrong = (table["validated"].notna() & ~number.isin([0, 1])).to_numpy()
        if wrong.any():
            yield from _problem("Whether a claim was validated is not 0 or 1", name, table, "validated", wrong,
                           "Write 1 for validated, 0 for refused, and nothing where nobody has looked.")  # fmt: skip
    if "bearer" in table.columns:
        wrong = (table["bearer"].notna() & ~table["bearer"].isin(BEARERS)).to_numpy()
        if wrong.any():
            said = repr(table["bearer"].to_numpy()[wrong][0])
            yield from _problem(f"The bearer {said} is not a choice", name, table, "bearer", wrong,
                           f"Use one of: {', '.join(BEARERS)}.")  # fmt: skip
    if "price_year" in table.columns:
        year = pd.to_numeric(table["price_year"], errors="coerce")
        wrong = (table["price_year"].notna() & ~year.between(1900, 2200)).to_numpy()
        if wrong.any():
            yield from _problem("The price year is not a year", name, table, "price_year", wrong, "Write it like 2024.")


def _unknown(name: str, table: pd.DataFrame, column: str, known: Sequence[str]) -> Iterator[Problem]:
    for value in table[column].dropna().unique():
        if value not in known:
            wrong = (table[column] == value).to_numpy()
            advice = suggest(str(value), [str(k) for k in known], f"The {column}s are")
            yield from _problem(f"Unknown {column} {value!r}", name, table, column, wrong, advice)
    missing = table[column].isna().to_numpy()
    if missing.any():
        yield from _problem(f"The {column} is missing", name, table, column, missing, "Name it in every row.")


def _amounts(name: str, table: pd.DataFrame, column: str) -> Iterator[Problem]:
    number = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    unread = ~np.isfinite(number)
    if column in _OPTIONAL:
        unread &= table[column].notna().to_numpy()
    if unread.any():
        yield from _problem("Money is missing or not a number", name, table, column, unread, "Write plain numbers.")
    negative = np.nan_to_num(number) < 0
    if negative.any():
        yield from _problem("Money is negative", name, table, column, negative,
                       "Write 0 or more; take what was paid back off the row it belongs to.")  # fmt: skip


def _problem(what: str, name: str, table: pd.DataFrame, column: str, wrong: np.ndarray, advice: str) -> Problem:
    rows = np.flatnonzero(wrong)
    return Problem(what, f"table {name}, column {column!r}, {first_rows(table.index[rows[:5]], len(rows))}", advice)
