"""The record of looks: one line of JSON each, only ever added to, each holding the hash of the line before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.folders import put
from evalkit.monitor.agreement import Agreement

FILE = "looks.jsonl"
_START = "0" * 64
_NEEDED: dict[str, type | tuple[type, ...]] = {
    "look": int, "through": str, "known": str, "data": str, "planned": bool, "components": dict, "at": (int, float),
}  # fmt: skip


@dataclass(frozen=True)
class Ledger:
    """agreement: its first line, None before it is made. lines: all lines as they are in the file."""

    agreement: Agreement | None = None
    lines: tuple[Mapping[str, Any], ...] = ()

    @property
    def of(self) -> str:
        """The study file whose record it is; "" where nobody says."""
        return str(self.lines[0].get("study", "")) if self.lines else ""

    @property
    def looks(self) -> tuple[Mapping[str, Any], ...]:
        """The looks, first to last."""
        return self.lines[1:]

    def plus(self, body: Mapping[str, Any]) -> Ledger:
        """The ledger with one more line: the agreement first, then looks."""
        line = {**body, "before": self.lines[-1]["sha256"] if self.lines else _START}
        line["sha256"] = _hash(line)
        made = self.agreement or Agreement.from_data(body["agreed"])
        return Ledger(made, (*self.lines, line))

    def text(self) -> str:
        """The file's words."""
        return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in self.lines)


def read_ledger(file: Path | None) -> Ledger:
    """The ledger in a file; an empty one where there is none. Raises `EvalkitError` where a line is no JSON, lacks
    something, or was changed, added or taken away afterwards."""
    if file is None or not file.exists():
        return Ledger()
    try:
        text = file.read_text(encoding="utf-8").removesuffix("\n")
        # Not splitlines: what people write may hold other signs at which a line could end.
        lines = [json.loads(line) for line in text.split("\n")] if text else []
    except (OSError, ValueError, RecursionError) as error:
        raise EvalkitError(f"{_named(file)} cannot be read: {str(error).splitlines()[0]}. {_ADVICE}") from None
    if not lines:
        raise EvalkitError(f"{_named(file)} is empty. {_ADVICE}")
    before = _START
    for number, line in enumerate(lines, 1):
        what = _wrong(line, number, before) or (_missing(line, lines[0]) if number > 1 else "")
        if what:
            raise EvalkitError(f"{_named(file)}, line {number}: {what}. {_ADVICE}")
        before = line["sha256"]
    try:
        agreement = Agreement.from_data(lines[0]["agreed"])
    except TypeError as error:
        raise EvalkitError(f"{_named(file)}, line 1: {error}. {_ADVICE}") from None
    return Ledger(agreement, tuple(lines))


_ADVICE = "Put the file back as it was: looks count only where their record is whole."


def _wrong(line: Any, number: int, before: str) -> str:
    if not isinstance(line, dict):
        return "it is no look"
    if number == 1 and not isinstance(line.get("agreed"), dict):
        return "the agreement is missing"
    lack = [k for k, kind in _NEEDED.items() if number > 1 and not isinstance(line.get(k), kind)]
    if lack:
        return f"{', '.join(lack)} is missing"
    if line.get("before") != before:
        return "it does not follow the line before: one was added or taken away"
    return "" if line.get("sha256") == _hash({k: v for k, v in line.items() if k != "sha256"}) else "it was changed"


def _missing(line: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """Which components of the agreement a look says nothing of."""
    said = line["components"]
    lack = [str(c) for c in first["agreed"].get("components", ()) if not isinstance(said.get(c), dict)]
    return f"{', '.join(lack)} is missing" if lack else ""


def _hash(line: Mapping[str, Any]) -> str:
    text = json.dumps(line, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _named(file: Path) -> str:
    return f"The record of looks {str(file)!r}"


def add_to(file: Path, ledger: Ledger, seen: Sequence[Mapping[str, Any]]) -> None:
    """Write the ledger in one step. Raises `EvalkitError` where somebody has added to the file since it was `seen`."""

    def unchanged() -> None:
        if read_ledger(file).lines != tuple(seen):
            raise EvalkitError(f"{_named(file)} was added to by another watch meanwhile. Run this one again.")

    put(file, ledger.text().encode(), first=unchanged)
