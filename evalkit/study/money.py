"""Money: what components cost, what outcomes are paid and worth; and what is wrong with the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import pandas as pd

from evalkit.errors import Problem, StudyError, spelt, suggest
from evalkit.study.component import Component, name_by_words, plain
from evalkit.study.frame import Table, read_table
from evalkit.study.schema import ALIASES, TABLE_CELLS, Known, check_table

PROGRAMME = "programme"
_SIGNS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥", "INR": "₹"}


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
            table = read_table(given, name, TABLE_CELLS)
            used = {old: new for old, new in ALIASES.items() if old in table.columns and new not in table.columns}
            once = {old: new for i, (old, new) in enumerate(used.items()) if new not in list(used.values())[:i]}
            object.__setattr__(self, name, table.rename(columns=once))

    def table(self, name: str) -> pd.DataFrame | None:
        """One of the tables by name."""
        return getattr(self, name)

    def given(self) -> dict[str, pd.DataFrame]:
        """The tables that are there, by name."""
        tables = {name: getattr(self, name) for name in TABLES}
        return {name: table for name, table in tables.items() if table is not None}

    def named(self, components: Iterable[Component]) -> Money:
        """The same tables, components by their names where rows have their labels."""
        called, tables, changed = name_by_words(components), self.given(), False
        for name, table in tables.items():
            words = table.get("component")
            read = None if words is None else words.map(lambda v: called.get(plain(v), v) if isinstance(v, str) else v)
            if read is not None and not read.equals(words):
                tables[name], changed = table.assign(component=read), True
        return Money(**tables) if changed else self

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
        problems.append(
            Problem(f"There is no table {spelt(unknown[0])}", "money", suggest(unknown[0], TABLES, "It has"))
        )
        return None
    try:
        return Money(**given)
    except StudyError as error:
        problems.append(Problem(str(error).rstrip("."), "money"))
        return None


def currency_of(settings: Mapping[str, object], money: Money | None) -> str:
    """What stands before an amount: the sign of the currency that [evaluate] names, else of the one that every table of
    money with a column `currency` names, or where they differ of the costs', its letters and a space where it has no
    sign, '£' where nothing is said."""
    tables = {} if money is None else money.given()
    named = {n: {sign_of(str(c)) for c in t["currency"].dropna()} for n, t in tables.items() if "currency" in t}
    if settings.get("currency"):
        return sign_of(str(settings["currency"]))
    found = next(
        (s for s in (set().union(*named.values()), named.get("costs", set())) if len(s) == 1), {sign_of("GBP")}
    )
    return found.pop()


def sign_of(code: str) -> str:
    """What stands before an amount in a currency: its sign, or its letters and a space where it has none."""
    code = code.strip().upper()
    return _SIGNS.get(code, code if len(code) == 1 else f"{code} ")


def letters_of(sign: str) -> str:
    """The three letters of a currency by what stands before an amount; '' for a sign that has none here."""
    letters = next((code for code, its in _SIGNS.items() if its == sign), sign.strip())
    return letters if len(letters) == 3 else ""


def money_problems(money: Money | None, known: Known) -> list[Problem]:
    """Everything wrong with the tables: table, column and rows (first five), by the rules in `schema`.

    known: what components, outcomes, units and dates may be.
    """
    with_programme = {**known.names, "component": [*known.names.get("component", ()), PROGRAMME]}
    problems = []
    for name, table in {} if money is None else money.given().items():
        names = with_programme if name == "costs" else known.names
        problems += check_table(name, table, f"table {name}", replace(known, names=names))
    return problems
