"""Every range that a report prints, held against the typed evidence: read back from words and signs, and compared
with what was found. True is a range whose ends lie outwards of an answer, by less than a unit of their last digit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from evalkit.evaluation import Evaluation
from evalkit.evaluation.results import safe
from evalkit.figures import Picture

_NUMBER = r"[−+-]?[£€$]?\d[\d,]*(?:\.\d+)?"
_SIGNED = re.compile(rf"([−+]?{_NUMBER})(%?) \(([−+]?{_NUMBER})%? to ([−+]?{_NUMBER})%?\)")
_SPOKEN = re.compile(rf"[Ll]ikely range(?: is)? ({_NUMBER})([^\d()]*?) to ({_NUMBER})([^\d().,;:]*)")
_DOWN = ("fewer", "lower", "less")
_FACTORS = (1.0, 100.0, 1_000.0, 10_000.0)
_EPS = 1e-6


@dataclass(frozen=True)
class Said:
    """A range as printed: its ends, and the unit of the last digit of each; the estimate beside it and its unit."""

    words: str
    low: float
    high: float
    units: tuple[float, float]
    estimate: float = math.nan
    unit: float = math.nan

    def true_of(self, low: float, high: float, estimate: float) -> bool:
        """Whether it is this answer's range, in the outcome's unit, in every 100 and so on, or as per cent of a log."""
        shown = [[factor * v for v in (low, high, estimate)] for factor in _FACTORS]
        shown.append([100 * math.expm1(min(v, 50.0)) for v in (low, high, estimate)])
        return any(self._outwards(*three) for three in shown)

    def _outwards(self, low: float, high: float, estimate: float) -> bool:
        ends = -_EPS <= low - self.low < self.units[0] + _EPS and -_EPS <= self.high - high < self.units[1] + _EPS
        return ends and (math.isnan(self.estimate) or abs(self.estimate - estimate) <= self.unit / 2 + _EPS)


def _value(text: str) -> tuple[float, float]:
    """A printed number and the unit of its last digit; whole numbers may have been cut to tens or hundreds."""
    plain = re.sub(r"[,£€$+]", "", text).replace("−", "-")
    digits = plain.lstrip("-")
    unit = (
        10.0 ** -len(digits.partition(".")[2])
        if "." in digits
        else 10.0 ** (len(digits) - len(digits.rstrip("0") or "0"))
    )
    return float(plain), unit if float(plain) else 1.0


def ranges(text: str) -> Iterator[Said]:
    """Every range in a text: '+3.1 (+2.8 to +3.5)', 'likely range 0.4 points lower to 0.8 points higher'."""
    for found in _SIGNED.finditer(text):
        (value, unit), (low, one), (high, other) = (_value(found[i]) for i in (1, 3, 4))
        yield Said(found[0], low, high, (one, other), value, unit)
    for found in _SPOKEN.finditer(text):
        (first, one), (last, other) = _value(found[1]), _value(found[3])
        signs = [any(w in found[i] for w in _DOWN) for i in (2, 4)]
        alone = not re.search(r"more|higher|" + "|".join(_DOWN), found[2])
        if alone and signs[1]:
            first, last, one, other = -last, -first, other, one
        elif signs[0]:
            first, last = -first, -last if signs[1] else last
        yield Said(found[0], first, last, (one, other))


@dataclass
class Held:
    """How many statements were held against the evidence, and which of them are not so."""

    count: int = 0
    wrong: list[str] = field(default_factory=list)

    def hold(self, text: str, answers: np.ndarray) -> None:
        """Hold every range of a text against answers (a, 3): low, high, estimate."""
        for said in ranges(text):
            self.count += 1
            if not any(said.true_of(*row) for row in answers):
                self.wrong.append(f"{said.words}  in: {text[:120]}")


def answers_of(evaluation: Evaluation, pictures: Mapping[str, Picture] | None = None) -> np.ndarray:
    """(a, 3) low, high and estimate of everything that was found and may be published. pictures: of the report."""
    made = safe(evaluation)
    frames = [made.effects, made.bundles, *made.event_studies.values()]
    if made.attribution is not None:
        frames.append(made.attribution.pieces)
    rows = [f[list(ends)].to_numpy(dtype=float) for f in frames for ends in (_ENDS, _BANDS) if set(ends) <= set(f)]
    for e, _ in made.judged:
        found = [e, *e.checks, *([e.bundle] if e.bundle else [])]
        rows += [np.array([[x.conf_low, x.conf_high, x.estimate] for x in found])]
        rows += [np.array([[e.drift.low, e.drift.high, e.drift.estimate]])] if e.drift else []
    for c in (d.case for d in made.decisions.by_outcome):
        rows.append(np.array([[*sorted((c.good * c.conf_low, c.good * c.conf_high)), c.good * c.estimate]]))
    if made.attribution is not None:
        rows.append(np.array([[made.attribution.total_low, made.attribution.total_high, made.attribution.total]]))
    if made.value is not None:
        table = made.value.table
        rows += [table[list(c)].to_numpy(dtype=float) for c in _MONEY]
    if plane := (pictures or {}).get("value_plane"):
        rows.append(plane.data[["low", "high", "middle"]].to_numpy(dtype=float))
    whole = np.vstack(rows)
    return whole[np.isfinite(whole[:, :2]).all(axis=1)]


_ENDS, _BANDS = ("conf_low", "conf_high", "estimate"), ("band_low", "band_high", "estimate")
_MONEY = (
    ("cost_low", "cost_high", "cost_per_outcome"), ("additional_low", "additional_high", "additional"),
    ("paid_low", "paid_high", "paid_per_outcome"),
)  # fmt: skip


def texts(blocks: Iterable[dict]) -> Iterator[str]:
    """Every sentence, cell and description of a report's blocks."""
    for block in blocks:
        yield from (str(block[k]) for k in ("heading", "paragraph", "title", "alt", "note") if block.get(k))
        yield from block.get("list", ())
        yield from str(block.get("description", "")).split("\n")
        for row in block.get("rows", ()):
            yield from map(str, row)


def verdicts_said(blocks: Iterable[dict]) -> dict[tuple[str, str], set[str]]:
    """(Outcome or '', component) -> verdicts that tables give it; one in each set, or they contradict each other."""
    found: dict[tuple[str, str], set[str]] = {}
    for block in blocks:
        if "table" in block and "Verdict" in block["columns"]:
            k, outcome = block["columns"].index("Verdict"), block["table"].partition(": ")[2]
            for row in block["rows"]:
                found.setdefault((outcome, row[0]), set()).add(row[k].lower())
    return found


def priced_against(blocks: Iterable[dict]) -> list[str]:
    """Rows of tables of value that give no price in one cell and one, with its range, in the next."""
    found = []
    for block in blocks:
        if {"One more outcome", "In words"} <= set(block.get("columns", ())):
            price, words = (block["columns"].index(c) for c in ("One more outcome", "In words"))
            given = (r for r in block["rows"] if r[price] == "not given")
            found += [f"no price, and: {r[words]}" for r in given if re.match(rf"{_NUMBER}.*\(likely range", r[words])]
    return found
