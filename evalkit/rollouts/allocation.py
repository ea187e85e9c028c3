"""Which place gets which row of a plan, by lot, with a certificate from which anybody can draw again."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import factorial, prod
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit import __version__
from evalkit.errors import EvalkitError
from evalkit.folders import put
from evalkit.rollouts.brief import Brief
from evalkit.rollouts.search import Search

NEAR = 1.05
"""How much worse than the best an allocation may be where places differ."""
TRIED = 200
FILE, REGISTER = "allocation.toml", "adoption.csv"


@dataclass(frozen=True, eq=False)
class Allocation:
    """A plan's rows dealt to places. schedule: as that of the plan. blocks: places that may exchange rows.
    candidates: (n, P) which row each place would get in each allocation that could have been drawn; chosen: which of
    them was. possible: how many allocations there are in all."""

    schedule: pd.DataFrame
    rows: pd.DataFrame
    blocks: tuple[tuple[str, ...], ...]
    candidates: np.ndarray
    chosen: int
    seed: int
    possible: int

    @property
    def certificate(self) -> dict[str, object]:
        """What is needed to draw again: the rule, the seed, and the allocations that it draws from, with their hash."""
        places = self.schedule["place"].tolist()
        return {
            "evalkit": __version__, "seed": self.seed,
            "rule": "number of the allocation = SHA-256 of '<seed>:<hash>' modulo how many there are",
            "hash": candidates_hash(places, self.candidates), "drawn": self.chosen, "of": len(self.candidates),
            "possible": str(self.possible), "places": places, "components": self.schedule.columns[1:].tolist(),
            "blocks": [list(b) for b in self.blocks], "candidates": self.candidates.tolist(),
        }  # fmt: skip

    @property
    def register(self) -> pd.DataFrame:
        """The later study's register of adoption: component, level_id, start, end, dose, certainty."""
        rows = [
            (name, place, start, None, 1.0, "month")
            for name in self.schedule.columns[1:]
            for place, start in zip(self.schedule["place"], self.schedule[name], strict=True)
            if start is not None
        ]
        return pd.DataFrame(rows, columns=["component", "level_id", "start", "end", "dose", "certainty"])

    def save(self, file: str | Path) -> Path:
        """Write the certificate, and adoption.csv beside it; returns the certificate's path."""
        path = Path(file)
        path = path if path.suffix == ".toml" else path / FILE
        put(path.parent / REGISTER, self.register.to_csv(index=False).encode())
        return put(path, self.text().encode())

    def text(self) -> str:
        """The certificate as TOML, with the dates that each place was given."""
        lines = ["# Which place starts what, when, by lot. `evalkit.rollouts.allocation.replay` draws it again."]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in self.certificate.items()]
        lines += [f"made = {date.today().isoformat()}", ""]
        for name, table in (("given", self.schedule), ("rows", self.rows.drop(columns="place"))):
            for record in table.to_dict("records"):
                said = (f"{_toml(k)} = {_toml(v)}" for k, v in record.items() if v is not None)
                lines += [f"[[{name}]]", *said, ""]
            lines += [""]
        return "\n".join(lines[:-1])


def _toml(value: object) -> str:
    """A name or a period as TOML has it: numbers as numbers, others in quotes."""
    return json.dumps(value if isinstance(value, (int, float)) else str(value), ensure_ascii=False)


def candidates_hash(places: Sequence[str], candidates: np.ndarray) -> str:
    """SHA-256 over the places and all allocations that could be drawn."""
    return hashlib.sha256(json.dumps([list(places), candidates.tolist()]).encode()).hexdigest()


def drawn(seed: int, hashed: str, of: int) -> int:
    """The number that a seed draws: the same on every machine."""
    return int(hashlib.sha256(f"{seed}:{hashed}".encode()).hexdigest(), 16) % of


def replay(file: str | Path) -> pd.DataFrame:
    """Draw again from a certificate; the schedule that it gives. Raises `EvalkitError` where the certificate does not
    hold: other allocations than its hash says, or another one than the seed draws."""
    try:
        said = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        candidates, places = np.array(said["candidates"]), said["places"]
        chosen = drawn(said["seed"], said["hash"], len(candidates))
        rows, given = said["rows"], said["given"]
        said.setdefault("components", list(dict.fromkeys(k for r in rows for k in r)))  # of an older certificate
        made = [{"place": p, **rows[r]} for p, r in zip(places, candidates[chosen], strict=True)]
    except (OSError, ValueError, LookupError, TypeError, ZeroDivisionError, RecursionError) as error:
        raise EvalkitError(f"{str(file)!r} is no certificate of an allocation: {error}.") from None
    if candidates_hash(places, candidates) != said["hash"]:
        raise EvalkitError(f"{str(file)!r}: the allocations are not those of the hash. Somebody changed the file.")
    if chosen != said["drawn"] or made != given:
        raise EvalkitError(f"{str(file)!r}: the seed draws another allocation than is written. Somebody changed it.")
    found = pd.DataFrame(made, index=places, columns=["place", *said["components"]]).astype(object)
    return found.where(found.notna(), None)


def allocate(brief: Brief, starts: np.ndarray, seed: int) -> Allocation:
    """Deal the rows of a plan to places by lot, within blocks of places for which the same dates are allowed.

    Where places are of one size every allocation tells as much; else those are drawn from that tell within 5% of the
    best (Moulton 2004, Clinical Trials 1, on constrained randomisation). Places with no other row to take keep theirs.
    """
    blocks, P = _blocks(brief), len(brief.places)
    sized = [tuple(sorted(set(brief.people[b]))) for b in blocks]
    even = all(len(s) == 1 for s in sized) and not _shares_differ(brief, blocks)
    made = {tuple(range(P))} if not even else set()
    for n in range(TRIED):
        order = np.arange(P)
        for b in blocks:
            key = [hashlib.sha256(f"{seed}/{n}/{brief.places[i]}".encode()).hexdigest() for i in b]
            order[b] = b[np.argsort(key)]
        made.add(tuple(int(i) for i in order))
    candidates = np.array(sorted(made))
    if not even:
        search = Search(brief, 0)
        loss = np.array([search.loss(starts[c]) for c in candidates])
        candidates = candidates[loss <= NEAR * loss.min()]
    chosen = drawn(seed, candidates_hash(brief.places, candidates), len(candidates))
    rows = [len(b) for b in blocks]
    possible = prod(factorial(n) for n in rows)
    names = tuple(tuple(brief.places[i] for i in b) for b in blocks)
    return Allocation(
        brief.frame(starts[candidates[chosen]]), brief.frame(starts), names, candidates, chosen, seed, possible
    )  # fmt: skip


def _blocks(brief: Brief) -> list[np.ndarray]:
    """Places for which the same is allowed, and nothing is fixed."""
    key = np.concatenate([brief.low, brief.high, brief.never], axis=1)
    _, of = np.unique(key, axis=0, return_inverse=True)
    free = (brief.low < brief.high).any(axis=1) | brief.never.any(axis=1)
    return [b for c in np.unique(of) if len(b := np.flatnonzero((of.ravel() == c) & free)) > 1]


def _shares_differ(brief: Brief, blocks: list[np.ndarray]) -> bool:
    return any(np.ptp(brief.share[b], axis=0).any() for b in blocks)
