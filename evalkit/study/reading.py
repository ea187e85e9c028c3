"""How cells are written: decimal sign, dates, words for yes and no; cells read by it, and advice where they are not.

Nothing is guessed here: text that no key speaks of stays text, and the door that meets it names the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, Problem, raise_problems, spelt

YES = ("yes", "y", "true", "t", "on", "oui", "ja", "si", "sí")
NO = ("no", "n", "false", "f", "off", "non", "nein")
"""Words for on and off that files hold most often, in small letters; taken where only the others are named."""
DELIMITERS = (",", ";", "\t", "|")
DATE_FORMATS = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d/%m/%y",
                "%m/%d/%y", "%d %B %Y", "%d %b %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%b-%y", "%b %Y", "%B %Y",
                "%b-%Y", "%m/%Y", "%m.%Y", "%Y/%m", "%Y%m%d", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
                "%m/%d/%Y %H:%M")  # fmt: skip
"""Ways of writing dates that are tried when one is proposed."""
_GROUPED = {",": r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?|[+-]?\d+(?:,\d+)?(?:[eE][+-]?\d+)?",
            ".": r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|[+-]?\.\d+"}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How files and their cells are written; the keys stand in [study] of a study file.

    delimiter: between the columns of a CSV file; found in the file when not given.
    encoding: of a CSV file, such as "cp1252"; UTF-8 or UTF-16 when not given.
    sheet: which sheet of a spreadsheet; needed where several hold something.
    decimal: "." or ",": the sign before the decimals of numbers written as text.
    date_format: how dates are written, such as "%d/%m/%Y".
    true_values, false_values: words for 1 and 0 in columns of numbers, such as ["Yes"] and ["No"].

    Raises `OptionError` that lists everything wrong with the choices.
    """

    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    decimal: str = "."
    date_format: str | None = None
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        for name in ("true_values", "false_values"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given or ()))
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n\0'):
            problems.append(Problem(f"delimiter={self.delimiter!r}", next='Give one sign, such as ";" or "\\t".'))
        if self.decimal not in _GROUPED:
            problems.append(Problem(f"decimal={self.decimal!r}", next='Use "." or ",".'))
        if self.delimiter is not None and self.delimiter == self.decimal == ",":
            problems.append(Problem("delimiter and decimal are both ','", next="One sign cannot be both."))
        if self.date_format is not None and not re.search(r"%[yYGxcDF]", self.date_format):
            advice = 'It needs a year, as in "%d/%m/%Y".'
            problems.append(Problem(f"date_format={self.date_format!r}", next=advice))
        both = {w.casefold() for w in self.true_values} & {w.casefold() for w in self.false_values}
        if both:
            problems.append(Problem(f"{min(both)!r} is in true_values and in false_values", next="Name it once."))
        if self.encoding is not None and not _is_encoding(self.encoding):
            problems.append(Problem(f"encoding={self.encoding!r}", next='Give a name such as "cp1252" or "utf-8".'))
        raise_problems(problems, OptionError)

    def said(self) -> dict[str, object]:
        """The keys that differ from their defaults, for a study file."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    @property
    def words(self) -> dict[str, float]:
        """What words stand for in columns of numbers; none where no key names any."""
        if not self.true_values and not self.false_values:
            return {}
        on = {w.strip().casefold(): 1.0 for w in self.true_values or YES}
        off = {w.strip().casefold(): 0.0 for w in self.false_values or NO}
        return {**{w: v for w, v in off.items() if w not in on}, **on}

    @property
    def as_text(self) -> bool:
        """Whether a CSV file is to be read as text first, since its numbers are not written as a computer does."""
        return self.decimal != "."


def reading_of(given: Reading | Mapping[str, object] | None) -> Reading:
    """A `Reading` from one, or from its keys; `OptionError` for a key that it does not have."""
    if isinstance(given, Reading):
        return given
    known = [f.name for f in fields(Reading)]
    if odd := [k for k in given or {} if k not in known]:
        raise OptionError(f"reading has no key {spelt(odd[0])}. The keys are: {', '.join(known)}.")
    return Reading(**(given or {}))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Cells:
    """How the cells of a table are read: `reading`, and which columns hold names, moments and numbers."""

    reading: Reading = field(default_factory=Reading)
    ids: frozenset[str] = frozenset()
    moments: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()

    def changes(self, name: str) -> bool:
        """Whether a column of a frame may be read as something else than it holds."""
        form = self.reading
        dated = form.date_format is not None and name in self.moments
        return name not in self.ids and (dated or form.as_text or bool(form.words and name in self.numbers))

    def read(self, name: str, column: pd.Series) -> pd.Series:
        """A column as it is meant; cells that cannot be read stay as they are, for the door to name."""
        if name in self.ids:
            return column
        if name in self.moments:
            return dates(column, self.reading.date_format)
        if not holds_text(column):
            return column
        known = plain_numbers(column, self.reading, words=name in self.numbers)
        return known if name in self.numbers or not holds_text(known) else column


def holds_text(column: pd.Series) -> bool:
    """Whether cells of a column may be text."""
    kind = column.dtype
    return kind == np.dtype(object) or pd.api.types.is_string_dtype(kind) or isinstance(kind, pd.CategoricalDtype)


def plain_numbers(column: pd.Series, reading: Reading, words: bool) -> pd.Series:
    """Text cells as numbers where they are written as `reading` says; float64 where that is every cell."""
    means = reading.words if words else {}
    if not means and not reading.as_text:
        return column
    pattern = re.compile(_GROUPED[reading.decimal])

    def one(cell: object) -> object:
        if not isinstance(cell, str):
            return cell
        text = cell.strip()
        if text.casefold() in means:
            return means[text.casefold()]
        if not pattern.fullmatch(text):
            return cell
        return float(text.replace(".", "").replace(",", ".") if reading.decimal == "," else text)

    distinct = pd.unique(column.dropna())
    meant = {cell: one(cell) for cell in distinct if one(cell) is not cell}
    if not meant:
        return column
    out = column.astype(object).map(lambda cell: meant.get(cell, cell) if isinstance(cell, str) else cell)
    left = out[out.notna()]
    whole = all(isinstance(v, (bool, int, float, np.number, np.bool_)) for v in pd.unique(left))
    return out.astype(np.float64) if whole else out


def dates(column: pd.Series, form: str | None) -> pd.Series:
    """Text (and whole numbers, for a form such as %Y%m) as dates in the order year-month-day; a form without days gives
    months. Cells that are written otherwise stay as they are."""
    if form is None or not (holds_text(column) or ("%Y%m" in form and _whole(column))):
        return column
    given, number = column.astype(object), not holds_text(column)
    tail = re.compile(r"(?<=\d)\.0+$" if "%Y%m" in form else r"$^")  # of a number, where others are missing
    texts = given.map(
        lambda v: tail.sub("", v.strip()) if isinstance(v, str) else f"{v:.0f}" if number and pd.notna(v) else None
    )
    read = pd.to_datetime(texts, format=form, errors="coerce")
    written = re.search(r"%[djUWxcDF]", form)
    said = read.dt.strftime("%Y-%m-%d" if written else "%Y-%m" if re.search("%[mbB]", form) else "%Y")
    return said.astype(object).where(read.notna(), given.where(given.notna(), None))


def _whole(column: pd.Series) -> bool:
    """Whether a column is of whole numbers, with gaps or without."""
    if pd.api.types.is_float_dtype(column.dtype):
        return bool((column.dropna() % 1 == 0).all())
    return pd.api.types.is_integer_dtype(column.dtype)


def advise_numbers(cells: Sequence[object], kind: str = "") -> str:
    """What to do about text where numbers are meant, from the cells themselves: the key to write, if one helps."""
    texts = [str(c).strip() for c in cells if isinstance(c, str)]
    small = {t.casefold() for t in texts}
    if texts and small <= {*YES, *NO, "yes/no", "ja", "nein", "x"}:
        on = sorted({t for t in texts if t.casefold() in (*YES, "x")})
        off = sorted({t for t in texts if t.casefold() in NO})
        keys = [f"{key} = {_list(v)}" for key, v in (("true_values", on), ("false_values", off)) if v]
        return f"Write 1 and 0, or {' and '.join(keys)} in [study]."
    if any(re.fullmatch(r"[+-]?[\d.,]+\s*%", t) for t in texts):
        how = "percent = true in its table [outcomes]" if kind == "share" else "shares from 0 to 1 (20% is 0.2)"
        return f"Write {how}."
    if any(re.fullmatch(r"[+-]?\d+(\.\d{3})*,\d+", t) for t in texts):
        return 'Write plain numbers with a point, or decimal = "," in [study].'
    return "Write plain numbers only."


def _list(words: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{w}"' for w in words) + "]"


def possible_formats(texts: Iterable[object]) -> list[str]:
    """The usual ways of writing dates by which every one of these texts can be read, in order of use."""
    listed = [str(t).strip() for t in texts]
    found = []
    for form in DATE_FORMATS if listed else ():
        read = pd.to_datetime(pd.Series(listed, dtype="str"), format=form, errors="coerce")
        if read.notna().all() and read.dt.year.between(1800, 2200).all():
            found.append(form)
    return found


def likely_format(texts: Iterable[object]) -> str | None:
    """Of the ways by which all of these can be read, the one that makes the most even steps; else the day first."""
    listed = list(dict.fromkeys(str(t) for t in texts))

    def uneven(form: str) -> float:
        days = np.sort(pd.to_datetime(pd.Series(listed, dtype="str"), format=form).to_numpy()).astype("datetime64[D]")
        steps = np.diff(days.astype(np.int64))
        steps = steps[steps > 0]
        return float(steps.max() / steps.min()) if len(steps) else 1.0

    return min(possible_formats(listed), key=lambda form: round(uneven(form), 1), default=None)


def advise_dates(texts: Iterable[object]) -> str:
    """The key that would let these dates be read; "" where there is none."""
    found = possible_formats(dict.fromkeys(texts))
    if not found:
        return ""
    first = found[0]
    if len(found) > 1 and {"%d", "%m"} <= {first[:2], found[1][:2]}:
        return f'Write date_format = "{first}" in [study] where the day comes first, "{found[1]}" where the month does.'
    return f'Write date_format = "{first}" in [study].'


def _is_encoding(name: str) -> bool:
    import codecs

    try:
        "".encode(codecs.lookup(name).name)
    except (LookupError, ValueError):  # codecs between bytes, and names that are none
        return False
    return True
