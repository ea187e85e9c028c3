"""What the columns of a table look like: how cells are written, what tells rows apart, what switches on, what moves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.errors import KeyNeeded, StudyError, spelt
from evalkit.study.calendar import calendar_kind, make_calendar, period_positions
from evalkit.study.component import plain
from evalkit.study.frame import numbers, open_source, read_table
from evalkit.study.reading import (
    NO,
    YES,
    Cells,
    Reading,
    dates,
    holds_text,
    likely_format,
    plain_numbers,
    possible_formats,
)

_PERIOD = "period month date week quarter year term time wave day yearmonth ym semester season round".split()
_UNIT = "id unit person pupil child patient client household participant student individual user member pid".split()
_PLACE = """cluster site school borough practice district county region area place ward hospital team authority
centre court""".split()
_OUTCOME = "outcome y result score rate".split()
_GIVEN = "treat treated treatment programme program intervention received got had support service scheme".split()
_FIRST = re.compile(r"first|treat|start|cohort|adopt|began|gvar|\bg\b|since|from")
_LOWER = re.compile(
    r"absen|exclu|crime|offen|arrest|death|died|fatal|kill|injur|unemploy|wait|cost|complain|admission|homeless|rough|"
    r"sick|dropout|debt|anxi|depress|symptom|pain|violen|burgl|theft|accident|emission|smok|evict|arrear"
)
_PERCENT = re.compile(r"percent|per cent|pct|%")
_NEARLY = re.compile(r"[£$€<>~]?\s?[+-]?\d[\d,.\s]*\s?[%£$€*]?")
_MONEY = re.compile(r"£|\$|€|gbp|usd|eur|pound|earn|income|wage|price|spend")
FLIPS = 0.25
"""Most switches off for each switch on, in a column of 0 and 1 that is taken for a component."""
FEW_KINDS = 20
FEW_GAPS = 0.2
"""Share of cells at most that are empty, or no number, in a column that was meant to be full of them."""
PLACES = 6
"""Fewest groups of people that are taken for places in which they hang together."""


_NO_PERIOD = (
    "{name!r} is called like a period, and holds {value}, which is none that can be read. Write months (2024-09), "
    "quarters (2024Q3), days (2024-09-30) or whole numbers."
)


@dataclass(frozen=True)
class Part:
    """A component as it is proposed. by: the key that says when it was on. assigned_at: the level of decision."""

    column: str
    by: str = "exposure"
    assigned_at: str | None = None


@dataclass(frozen=True)
class Result:
    """An outcome as it is proposed."""

    column: str
    kind: str
    better: str
    percent: bool = False


def guess_reading(file: Path) -> Reading:
    """The keys by which a file and its cells can be read, as far as they can be seen."""
    reading = Reading()
    try:
        source = open_source(file, file.name)
    except KeyNeeded as needed:
        reading = Reading(**{needed.key: needed.value})  # type: ignore[arg-type]
        source = open_source(file, file.name, Cells(reading))
    table = read_table(source, file.name, Cells(reading, ids=frozenset(source.columns)))
    texts = {name: texts_of(table[name]) for name in table.columns}
    comma = re.compile(r"[+-]?\d+(\.\d{3})*,\d+")
    if any(len(t) and all(re.fullmatch(r"[+-]?[\d.]+(,\d+)?\s?%?", v) for v in t) and any(map(comma.match, t))
           for t in texts.values()):  # fmt: skip
        reading = replace(reading, decimal=",")
    small = [{v.casefold() for v in t} for t in texts.values()]
    words = [
        t for t, s in zip(texts.values(), small, strict=True) if len(t) and s <= {*YES, *NO} and s - {"true", "false"}
    ]
    on = sorted({v for t in words for v in t if v.casefold() in YES})
    off = sorted({v for t in words for v in t if v.casefold() in NO})
    return replace(reading, true_values=tuple(on), false_values=tuple(off))


def texts_of(column: pd.Series) -> list[str]:
    """Distinct texts of a column of text; none where it is anything else."""
    if not holds_text(column):
        return []
    found = pd.unique(column.dropna())
    return [v.strip() for v in found if isinstance(v, str)] if all(isinstance(v, str) for v in found) else []


@dataclass(frozen=True, eq=False)
class Looked:
    """The table, its columns read as numbers where they can be, and what is known of it so far."""

    raw: pd.DataFrame
    reading: Reading
    unit: str = ""
    period: str | None = None

    @classmethod
    def of(cls, file: Path, reading: Reading) -> Looked:
        source = open_source(file, file.name, Cells(reading))
        raw = read_table(source, file.name, Cells(reading, ids=frozenset(source.columns)))
        if not len(raw):
            raise StudyError(f"{file.name} has no rows.")
        return cls(raw, reading)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.raw.columns)

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """(N,) numbers of each column that is numbers throughout; percentages without their sign."""
        found = {}
        for name in self.raw.columns:
            column = self.raw[name]
            if holds_text(column):
                column = column.map(lambda v: v.rstrip(" %") if isinstance(v, str) and v.strip()[:1].isdigit() else v)
                column = plain_numbers(column, replace(self.reading, true_values=YES, false_values=NO), words=True)
                if holds_text(column):
                    column = (
                        pd.to_numeric(column, errors="coerce").where(column.notna()) if _numeric(column) else column
                    )
            if not holds_text(column) and column.dtype.kind != "M":
                read, odd = numbers(column)
                if not len(odd) and np.isfinite(read.astype(float)).any():
                    found[name] = read.astype(np.float64)
        return found

    def keys(self) -> tuple[str | None, str]:
        """The period and the unit: a pair of columns that no two rows share, or a column alone."""
        periods = sorted(self._periods(), key=lambda n: -_score(n, _PERIOD))
        units = [n for n in self.names if self._may_name(n)]
        for period in periods:
            pairs = [u for u in units if u != period and self._apart(u, period)]
            repeats = [u for u in pairs if self.raw[u].nunique() < len(self.raw)]
            if repeats:
                unit = max(repeats, key=lambda n: (_score(n, _UNIT), -self.names.index(n)))
                if not _score(period, _PERIOD) and _score(unit, _PERIOD) and holds_text(self.raw[unit]):
                    raise StudyError(_NO_PERIOD.format(name=unit, value=spelt(self.raw[unit].iloc[0])))
                return period, unit
        alone = [u for u in units if not self.raw[u].duplicated().any()]
        if alone:
            return None, max(alone, key=lambda n: (_score(n, _UNIT), -self.names.index(n)))
        gap = next((n for n in self.names if 0 < self.raw[n].isna().mean() <= FEW_GAPS), None)
        if gap is not None:
            row = int(self.raw[gap].isna().argmax())
            what = f"No column tells the rows apart, and {gap!r} is empty in row {row}"
            raise StudyError(f"{what}. Fill it, or leave out what is no row of the table.")
        if periods and units:
            unit = max(units, key=lambda n: (_score(n, _UNIT), self.raw[n].nunique()))
            what = f"No column tells the rows apart: {unit!r} and {periods[0]!r} come together more than once"
            raise StudyError(f"{what}. Keep one row for each unit and period, and name the unit in a column.")
        raise StudyError("No column tells the rows apart. Add one that names the unit (and one for the period).")

    def keyed(self) -> Looked:
        """The table with its unit and period found, and how the period's dates are written."""
        period, unit = self.keys()
        texts, reading = texts_of(self.raw[period]) if period is not None else [], self.reading
        if texts and not calendar_kind(np.array(texts, dtype=object)):
            reading = replace(reading, date_format=likely_format(texts))
        elif period is not None and (form := _run_together(self.raw[period])):
            reading = replace(reading, date_format=form)
        return replace(self, unit=unit, period=period, reading=reading)

    def _periods(self) -> Iterable[str]:
        """Columns that could be periods: a calendar, or dates by one of the usual ways of writing them."""
        for name in self.names:
            column = self.raw[name]
            distinct = np.asarray(pd.unique(column.dropna()))
            if column.isna().any() or not 1 < len(distinct) <= max(len(column) // 2, 2):
                continue
            if column.dtype.kind == "f" and (distinct % 1 != 0).any():
                continue
            numbered = column.dtype.kind in "iuf"
            if numbered and not _score(name, _PERIOD) and len(distinct) > 1 + np.ptp(distinct.astype(float)) * 2:
                continue
            if calendar_kind(distinct) or possible_formats(list(distinct)[:200]):
                yield name

    def _may_name(self, name: str) -> bool:
        column = self.raw[name]
        if column.isna().any() or column.nunique() < 2 or column.dtype.kind in "bM":
            return False
        return name not in self.values or bool((self.values[name] % 1 == 0).all())

    def _apart(self, unit: str, period: str) -> bool:
        return not self.raw.duplicated([unit, period]).any()

    @cached_property
    def order(self) -> np.ndarray:
        """Rows by unit, and by period within it."""
        unit = pd.factorize(self.raw[self.unit])[0]
        if self.period is None:
            return np.argsort(unit, kind="stable")
        column = dates(self.raw[self.period], self.reading.date_format)
        stamps = np.asarray(pd.unique(column))
        place = column.map(dict(zip(stamps, period_positions(stamps), strict=True))).to_numpy(dtype=float)
        return np.lexsort((place, unit))

    def fixed(self, name: str) -> bool:
        """Whether a column is the same in every row of a unit."""
        return bool((self.raw.groupby(self.unit, sort=False)[name].nunique(dropna=False) == 1).all())

    def homes(self) -> list[str]:
        """Columns of groups of units, the coarsest first: fixed for a unit, with fewer groups than units, and no
        measure of people."""
        units, found = self.raw[self.unit].nunique(), []
        for name in self.names:
            groups = self.raw[name].nunique()
            if name in (self.unit, self.period) or not 2 < groups < units or not self._may_name(name):
                continue
            if self.fixed(name) and (holds_text(self.raw[name]) or _score(name, [*_PLACE, "id"])):
                found.append((groups, name))
        return [name for _, name in sorted(found)]

    def likely_place(self, homes: Sequence[str]) -> str | None:
        """The group that is called like a place, the finest of them."""
        called = [h for h in homes if _score(h, _PLACE) and self.raw[h].nunique() >= PLACES]
        return called[-1] if called else None

    def components(self, homes: Sequence[str]) -> list[Part]:
        """Columns that switch on, and columns of first periods."""
        out = []
        for name, values in self.values.items():
            if name in (self.unit, self.period):
                continue
            known = values[~np.isnan(values)]
            plain01 = bool(np.isin(known, (0, 1)).all()) and len(np.unique(known)) == 2 and len(known) == len(values)
            given = self._switches(values) if self.period is not None else _score(name, _GIVEN) > 0
            if plain01 and given:
                out.append(Part(name, "exposure", self._level(values, homes)))
        for name in self.names if self.period is not None else ():
            if name not in {p.column for p in out} and name not in homes and self._first(name):
                out.append(Part(name, "first_period"))
        if self.period is None and not out:
            out = [Part(n) for n, v in self.values.items() if np.isin(v, (0, 1)).all() and len(np.unique(v)) == 2][:1]
        return out

    def _switches(self, values: np.ndarray) -> bool:
        """Whether a column of 0 and 1 goes on in some units and hardly ever off again."""
        held, unit = values[self.order], pd.factorize(self.raw[self.unit])[0][self.order]
        same, step = unit[1:] == unit[:-1], np.diff(held)
        on, off = int((same & (step > 0)).sum()), int((same & (step < 0)).sum())
        return on > 0 and off <= FLIPS * on

    def _level(self, values: np.ndarray, homes: Sequence[str]) -> str | None:
        """The coarsest group in which it never differs within a period."""
        by = [] if self.period is None else [self.period]
        for home in homes:
            if (self.raw.assign(_v=values).groupby([home, *by], sort=False)["_v"].nunique() == 1).all():
                return home
        return self.unit

    def _first(self, name: str) -> bool:
        """Whether a column holds first periods: fixed for a unit, among the periods or empty, by its name."""
        if name in (self.unit, self.period) or not _FIRST.search(plain(name)) or not self.fixed(name):
            return False
        column, period = self.raw[name], self.raw[str(self.period)]
        distinct = [v for v in pd.unique(column.dropna()) if v not in (0, "0", "0.0") and not _infinite(v)]
        stamps = np.asarray(pd.unique(dates(period, self.reading.date_format)))
        calendar = make_calendar(stamps[np.argsort(period_positions(stamps))])
        read = dates(pd.Series(distinct, dtype=object).infer_objects(), self.reading.date_format)
        place = calendar.place(read.to_numpy(dtype=object)) if distinct else np.array([])
        inside = (place >= calendar.start.min()) & (place < calendar.stop.max())
        return len(distinct) > 0 and bool(np.isfinite(place).all() and inside.any() and (place > 0).all())

    def outcomes(self, taken: set[str | None]) -> list[Result]:
        """Columns of numbers that move within units, those called like an outcome first."""
        found = [
            n for n in self.values if n not in taken and len(np.unique(self.values[n][~np.isnan(self.values[n])])) > 1
        ]
        if self.period is not None:
            found = [n for n in found if not self.fixed(n)]
        else:
            found = sorted(found, key=lambda n: self.names.index(n))[::-1]
        found.sort(key=lambda n: -_score(n, _OUTCOME))
        return [self._result(n) for n in found]

    def nearly_numbers(self) -> str:
        """A column that would be numbers but for how some cells are written, with the first of them; "" for none."""
        for name in self.names:
            column = self.raw[name]
            if name in self.values or not holds_text(column):
                continue
            told = column.dropna().astype(str).str.strip()
            if len(told) and told.str.fullmatch(_NEARLY).mean() >= 1 - FEW_GAPS:
                odd = told[pd.to_numeric(told, errors="coerce").isna()]
                return f"{name!r} would be one, but holds {spelt(odd.iloc[0])} (row {odd.index[0]})"
        return ""

    def _result(self, name: str) -> Result:
        values = self.values[name][~np.isnan(self.values[name])]
        better = "lower" if _LOWER.search(name.casefold()) else "higher"
        low, high, whole = values.min(), values.max(), bool((values % 1 == 0).all())
        written = any("%" in t for t in texts_of(self.raw[name]))
        if low >= 0 and high <= 100 and (written or (_PERCENT.search(name.casefold()) and high > 1)):
            return Result(name, "share", better, percent=True)
        if low >= 0 and high <= 1:
            return Result(name, "share", better)
        if _MONEY.search(name.casefold()):
            return Result(name, "money", better)
        return Result(name, "count" if whole and low >= 0 and "score" not in name.casefold() else "score", better)

    def covariates(self, taken: set[str | None]) -> tuple[str, ...]:
        """Of a cross-section: columns without gaps, numbers or words of few kinds, that differ between people."""
        out = []
        for name in self.names:
            column, kinds = self.raw[name], self.raw[name].nunique()
            if name in taken or column.isna().any() or kinds < 2:
                continue
            if name in self.values or (holds_text(column) and kinds <= FEW_KINDS):
                out.append(name)
        return tuple(out)


def _run_together(column: pd.Series) -> str | None:
    """How whole numbers are written that are months or days (202401, 20240131); None for other numbers."""
    if column.dtype.kind not in "iu":
        return None
    listed = [str(v) for v in pd.unique(column)]
    long = {len(v) for v in listed}
    form = {6: "%Y%m", 8: "%Y%m%d"}.get(long.pop()) if len(long) == 1 else None
    read = (
        pd.to_datetime(pd.Series(listed), format=form, errors="coerce") if form else pd.Series(dtype="datetime64[ns]")
    )
    return form if len(read) and read.notna().all() and read.dt.year.between(1800, 2200).all() else None


def _numeric(column: pd.Series) -> bool:
    texts = column.dropna()
    return bool(pd.to_numeric(texts, errors="coerce").notna().all()) and len(texts) > 0


def _infinite(value: object) -> bool:
    return isinstance(value, (float, np.floating)) and bool(np.isinf(value))


def _score(name: str, words: Sequence[str]) -> int:
    """How much a heading says that it is one of these: the whole heading, a word of it, or nothing."""
    said = plain(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).split()
    return 2 if " ".join(said) in words else 1 if set(said) & set(words) else 0
