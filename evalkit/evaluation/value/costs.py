"""Costs and payments in cells (path by period), discounted, so that they cover the same people periods as effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, spelt
from evalkit.evaluation.decomposition.cells import people_periods, share_of
from evalkit.show.words import join_words, of_people
from evalkit.study import Outcome, Study
from evalkit.study.money import PROGRAMME, Money, sign_of
from evalkit.study.schema import BEARERS


@dataclass(frozen=True)
class Prices:
    """discount: yearly rate, to the first period with anything on. price_year: year to which amounts are brought
    with `inflation` (yearly rate), None to leave them as they stand. factor: all costs times this."""

    discount: float = 0.035
    price_year: int | None = None
    inflation: float | None = None
    factor: float = 1.0
    bearers: tuple[str, ...] = BEARERS

    @classmethod
    def stated(cls, settings: Mapping[str, object], discount: float = 0.035) -> Prices:
        """Prices as the study file states them: `price_year` and `inflation` of its table [evaluate]."""
        return cls(discount, settings.get("price_year"), settings.get("inflation"))  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        for name, rate in (("discount", self.discount), ("inflation", self.inflation)):
            if rate is not None and not (isinstance(rate, (int, float)) and 0 <= rate < 1):
                raise OptionError(
                    f"{name}={spelt(rate)} is not a yearly rate. Use a number from 0 to 1, such as 0.035."
                )
        if (self.price_year is None) != (self.inflation is None):
            raise OptionError("price_year and inflation go together: the year, and the yearly rate that leads to it.")


@dataclass(frozen=True, eq=False)
class Amount:
    """Money of one component: all of it, and what falls on some cells, as paid and discounted."""

    whole: float
    compared: float
    discounted: float


@dataclass(frozen=True, eq=False)
class Costs:
    """Everything about money and exposure that one study holds, on one outcome. heads: by component, what its unit
    cost is multiplied by where numbers of people are rounded."""

    study: Study
    outcome: Outcome
    prices: Prices
    heads: Mapping[str, float] = field(default_factory=dict)

    @property
    def money(self) -> Money:
        return self.study.money or Money()

    @property
    def rows(self) -> Study:
        """The study of people, where places are compared: payments and claims are about people."""
        return self.study.in_people

    @cached_property
    def there(self) -> np.ndarray:
        """(P, T) people periods with a row."""
        paths = self.study.paths
        seen = np.ones((paths.n_units, paths.n_periods), bool) if paths.seen is None else paths.seen
        return people_periods(paths, seen)

    def on(self, component: str) -> np.ndarray:
        """(P, T) where a component is on; for the programme, where anything is."""
        paths = self.study.paths
        if component == PROGRAMME:
            return np.asarray((paths.state > 0).any(axis=2))
        return paths.state[:, :, paths.index(component)] > 0

    @cached_property
    def years(self) -> np.ndarray | None:
        """(T,) years since the first period with anything on; None where periods have no place in time."""
        calendar = self.study.calendar
        per_year = {"month": 12.0, "quarter": 4.0, "day": 365.25}.get(calendar.kind)
        if calendar.kind == "number" and calendar.start.min() >= 1800 and calendar.start.max() <= 2200:
            per_year = 1.0
        if per_year is None:
            return None
        begun = np.flatnonzero(self.on(PROGRAMME).any(axis=0))
        first = calendar.start[begun[0]] if len(begun) else calendar.start[0]
        return np.asarray(np.maximum(calendar.start - first, 0.0) / per_year)

    @cached_property
    def fade(self) -> np.ndarray:
        """(T,) what one pound, or one outcome, of each period counts for."""
        if self.years is None:
            return np.ones(self.study.paths.n_periods)
        return (1.0 + self.prices.discount) ** -self.years

    def has_cost(self, component: str) -> bool:
        """Whether anything says what it costs."""
        return len(self._table("costs", "component", component)) > 0 or self._unit_cost(component) is not None

    def unlike(self, components: Iterable[str]) -> str:
        """In which currencies their costs are, in words, where these are not the study's alone; '' where they are."""
        found: dict[str, str] = {}
        for component in components:
            rows = self._table("costs", "component", component)
            for code in rows["currency"].dropna().astype(str) if "currency" in rows else ():
                found.setdefault(sign_of(code), code)
        return join_words(sorted(found.values())) if set(found) - {self.study.currency} else ""

    def _table(self, name: str, column: str, value: str) -> pd.DataFrame:
        """The rows of a table of money that are about something; no row where there is no table."""
        table = self.money.table(name)
        return pd.DataFrame() if table is None else table[table[column] == value]

    def _unit_cost(self, component: str) -> float | None:
        return None if component == PROGRAMME else self.study.component(component).unit_cost

    def cost(self, component: str, cells: np.ndarray) -> Amount:
        """Cost of a component; `compared` is the share that falls on `cells` (P, T) of people periods. Rows of the
        table of costs are shared out over the people periods exposed (in their own period where they name one); without
        rows, the unit cost for each unit exposed and period."""
        exposed = self.there * self.on(component)
        each, used = exposed.sum(axis=0), np.minimum(cells, exposed).sum(axis=0)
        rows = self._table("costs", "component", component)
        if not len(rows):
            unit = (self._unit_cost(component) or 0.0) * self.prices.factor if "fiscal" in self.prices.bearers else 0.0
            unit *= self.heads.get(component, 1.0)
            return Amount(unit * each.sum(), unit * used.sum(), unit * float(used @ self.fade))
        when, total, used_up = self._when(rows), each.sum(), used.sum()
        own = (when >= 0) & (each[np.maximum(when, 0)] > 0)
        share = np.full(len(rows), used_up / total if total else 0.0)
        fade = np.full(len(rows), used @ self.fade / used_up if used_up else 1.0)
        share[own], fade[own] = used[when[own]] / each[when[own]], self.fade[when[own]]
        amount = self.amounts(rows)
        parts = np.column_stack([amount, amount * share, amount * share * fade])
        return Amount(*(float(x) for x in parts.sum(axis=0)))

    def amounts(self, rows: pd.DataFrame) -> np.ndarray:
        """Costs that count, in the prices chosen."""
        amount = rows["amount"].to_numpy(dtype=float) * self.prices.factor
        return np.asarray(np.where(_bearer(rows).isin(self.prices.bearers), amount, 0.0) * self.at_prices(rows))

    def at_prices(self, rows: pd.DataFrame) -> np.ndarray:
        """(r,) what brings each row's money to the price year; 1 where none was chosen."""
        p = self.prices
        if p.price_year is None or p.inflation is None or "price_year" not in rows.columns:
            return np.ones(len(rows))
        year = rows["price_year"].astype(float).fillna(p.price_year).to_numpy()
        return np.asarray((1.0 + p.inflation) ** (p.price_year - year))

    @property
    def outside(self) -> int:
        """Rows of the costs that name a period in which nothing of theirs was on, or which the panel does not have."""
        count = 0
        for c in [*self.study.paths.components, PROGRAMME]:
            rows = self._table("costs", "component", c)
            if len(rows) and "period" in rows.columns:
                at, each = self._when(rows), (self.there * self.on(c)).sum(axis=0)
                count += int(((at < 0) | (each[np.maximum(at, 0)] <= 0))[rows["period"].notna().to_numpy()].sum())
        return count

    def _when(self, rows: pd.DataFrame) -> np.ndarray:
        """(r,) position of each row's period, -1 where it names none of the calendar's."""
        if "period" not in rows.columns:
            return np.full(len(rows), -1)
        calendar = self.study.calendar
        place = calendar.place(rows["period"].to_numpy(dtype=object))
        at = np.searchsorted(calendar.start, np.nan_to_num(place, nan=-np.inf), side="right") - 1
        inside = (at >= 0) & (place < calendar.stop[np.maximum(at, 0)])
        return np.where(inside, at, -1)

    def by_bearer(self, components: Sequence[str]) -> pd.DataFrame:
        """component, bearer, amount, from: every cost as it was given."""
        out = []
        for c in components:
            rows = self._table("costs", "component", c)
            if len(rows):
                given = np.where(self.unlike([c]), np.nan, self.amounts(rows))
                amount = pd.Series(given, rows.index).groupby(_bearer(rows), sort=True).sum(min_count=1)
                out += [(c, b, float(a), "table of costs") for b, a in amount.items()]
            elif self._unit_cost(c) is not None:
                whole = self.cost(c, np.zeros(self.there.shape)).whole
                out.append((c, "fiscal", whole, "unit cost times units exposed and periods"))
        return pd.DataFrame(out, columns=["component", "bearer", "amount", "from"])

    @cached_property
    def paid(self) -> tuple[np.ndarray | None, float, str]:
        """(P, T) payments for the outcome by cell (None where they cannot be placed), their total, and where from."""
        claims, card = (self._table(name, "outcome", self.outcome.column) for name in ("claims", "rate_card"))
        if len(claims):
            return self._claimed(claims)
        if not len(card) or self.paid_for is None:
            return None, float("nan"), "no claims, and no rate card that can be counted"
        # A payment for every so many periods with the outcome while anything is on, up to the cap.
        run = np.cumsum(self.paid_for * self.on(PROGRAMME)[self.rows.paths.path], axis=1)
        grid = np.zeros(run.shape)
        for _, row in card.iterrows():
            every = float(row["periods"]) if "periods" in card.columns and pd.notna(row["periods"]) else 1.0
            money = float(row["tariff"]) * (np.floor(run / every + 1e-9) if every > 1 else run)
            if "cap" in card.columns and pd.notna(row["cap"]):
                money = np.minimum(money, float(row["cap"]))
            grid += np.diff(money, axis=1, prepend=0.0)
        return self._cells(grid), float(grid.sum()), "rate card times outcomes recorded while anything was on"

    @property
    def paid_for(self) -> np.ndarray | None:
        """(n, T) what a rate card pays for: the outcome, or a period without it where lower is better; None where that
        cannot be counted (a lower count has nothing to count)."""
        kind, higher = self.outcome.said, self.outcome.better == "higher"
        if kind != "share" and not (kind == "count" and higher):
            return None
        values = self.rows.values(self.outcome)
        return np.nan_to_num(values if higher else 1.0 - values)

    def _claimed(self, claims: pd.DataFrame) -> tuple[np.ndarray | None, float, str]:
        words = "claims"
        if "validated" in claims.columns:
            refused = claims["validated"].astype(float).fillna(1.0).to_numpy() == 0
            claims, words = (
                claims[~refused],
                f"claims validated; {of_people(f'{int(refused.sum()):,}', 'were not')}, and are left out",
            )
        amount = claims["amount"].to_numpy(dtype=float) * self.at_prices(claims)
        unit = next((c for c in (self.study.unit, "unit", "person_id", "unit_id") if c in claims.columns), None)
        when = self._when(claims)
        if unit is None or (when < 0).all():
            return None, float(amount.sum()), words
        rows, seen = pd.Index(self.rows.paths.units), self.rows.paths.seen
        if rows.is_unique:
            at = rows.get_indexer(pd.Index(claims[unit]))
        elif seen is None:
            at = np.full(len(claims), -1)
        else:  # of people who moved, the row seen in that period
            row, period = np.nonzero(seen)
            known = pd.MultiIndex.from_arrays([rows[row], period])
            found = known.get_indexer(pd.MultiIndex.from_arrays([claims[unit], when]))
            at = np.where(found >= 0, row[found], -1)
        good = (at >= 0) & (when >= 0)
        grid = np.zeros((self.rows.paths.n_units, self.rows.paths.n_periods))
        np.add.at(grid, (at[good], when[good]), amount[good])
        lost = int((~good).sum())
        if lost:
            nowhere = of_people(f"{lost:,}", "of them")
            words = f"{words}; {nowhere} name no unit and period of the panel, and count in this sum only"
        return self._cells(grid), float(amount.sum()), words

    def _cells(self, grid: np.ndarray) -> np.ndarray:
        out = np.zeros(self.there.shape)
        np.add.at(out, self.rows.paths.path, grid)
        return out

    def payments(self, cells: np.ndarray) -> tuple[float, float]:
        """Payments for the people periods of `cells` (P, T), as paid and discounted; NaN where they have no place."""
        if self.paid[0] is None:
            return float("nan"), float("nan")
        money = (self.paid[0] * share_of(np.minimum(cells, self.there), self.there)).sum(axis=0)
        return float(money.sum()), float(money @ self.fade)

    @cached_property
    def mean(self) -> np.ndarray:
        """(P, T) mean outcome of those seen."""
        values, paths = self.rows.values(self.outcome), self.rows.paths
        w = np.ones(paths.n_units) if paths.weights is None else paths.weights
        return share_of(self._cells(np.nan_to_num(values) * w[:, None]), people_periods(paths, np.isfinite(values)))


def _bearer(rows: pd.DataFrame) -> pd.Series:
    return rows["bearer"].fillna("fiscal") if "bearer" in rows.columns else pd.Series("fiscal", rows.index)
