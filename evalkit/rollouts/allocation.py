"""Which place gets which row of a plan, by lot, with a certificate from which anybody can draw again."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import factorial, prod
from pathlib import Path
from typing import Any

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
RULE = (
    "number of the allocation = SHA-256 of '<seed>:<hash>' modulo how many there are; hash = SHA-256 of places, "
    "components, blocks, rows and candidates"
)
OLD_RULE = "number of the allocation = SHA-256 of '<seed>:<hash>' modulo how many there are"
"""Of certificates whose hash says nothing of dates, so that rows could be exchanged after the draw."""


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
        drawn_from = ground(self.rows, self.blocks, self.candidates)
        return {
            "evalkit": __version__, "seed": self.seed, "rule": RULE, "hash": ground_hash(drawn_from),
            "drawn": self.chosen, "of": len(self.candidates), "possible": str(self.possible),
            **{key: value for key, value in drawn_from.items() if key != "rows"},
        }  # fmt: skip

    @property
    def orders(self) -> dict[str, int]:
        """Of each component, in how many ways its dates could have been dealt among places of a block that share the
        dates of all others: orders by which a test of that component alone could be told from chance."""
        rows, out = self.schedule.set_index("place").map(str), dict[str, int]()
        for name in rows.columns:
            others = pd.Series(map(tuple, rows.drop(columns=name).to_numpy()), rows.index)
            shared = [own for b in self.blocks for _, own in rows[name][list(b)].groupby(others[list(b)])]
            out[str(name)] = prod(factorial(len(s)) // prod(map(factorial, s.value_counts())) for s in shared)
        return out

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
        """Write the certificate, and adoption.csv beside it; returns the path of the first. Raises `EvalkitError` where
        an adoption.csv is there that belongs to no certificate."""
        path = Path(file)
        path = path if path.suffix == ".toml" else path / FILE
        if (path.parent / REGISTER).exists() and not path.exists():
            raise EvalkitError(
                f"There is a register already: {REGISTER} in {str(path.parent)!r}. Keep it, and name another folder."
            )
        put(path.parent / REGISTER, self.register.to_csv(index=False).encode())
        return put(path, self.text().encode())

    def text(self) -> str:
        """The certificate as TOML, with the dates that each place was given."""
        lines = ["# Which place starts what, when, by lot. `evalkit.rollouts.allocation.replay` draws it again."]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in self.certificate.items()]
        lines += [f"made = {date.today().isoformat()}", ""]
        for name, table in (("given", self.schedule), ("rows", self.rows.drop(columns="place"))):
            for record in _records(table):
                said = (f"{_toml(k)} = {_toml(v)}" for k, v in record.items())
                lines += [f"[[{name}]]", *said, ""]
            lines += [""]
        return "\n".join(lines[:-1])


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as a certificate has them: periods that are numbers as numbers, others in words, nothing for never."""
    return [
        {str(k): v if isinstance(v, (int, float)) else str(v) for k, v in record.items() if v is not None}
        for record in table.to_dict("records")
    ]


def _toml(value: object) -> str:
    """A name or a period as TOML has it: numbers as numbers, others in quotes."""
    return json.dumps(value, ensure_ascii=False)


def ground(rows: pd.DataFrame, blocks: Sequence[Sequence[str]], candidates: np.ndarray) -> dict[str, object]:
    """What a lot is drawn from, and all that it decides."""
    return {
        "places": rows["place"].tolist(), "components": rows.columns[1:].tolist(),
        "blocks": [list(b) for b in blocks], "rows": _records(rows.drop(columns="place")),
        "candidates": candidates.tolist(),
    }  # fmt: skip


def ground_hash(drawn_from: Mapping[str, object]) -> str:
    """SHA-256 over the places, components, blocks, dates and all allocations that could be drawn."""
    return hashlib.sha256(json.dumps(drawn_from, sort_keys=True).encode()).hexdigest()


def drawn(seed: int, hashed: str, of: int) -> int:
    """The number that a seed draws: the same on every machine."""
    return int(hashlib.sha256(f"{seed}:{hashed}".encode()).hexdigest(), 16) % of


def replay(file: str | Path) -> pd.DataFrame:
    """Draw again from a certificate; the schedule that it gives. Raises `EvalkitError` where the certificate does not
    hold: other allocations than its hash says, or another one than the seed draws."""
    try:
        said = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        candidates, places = said["candidates"], said["places"]
        chosen = drawn(said["seed"], said["hash"], len(candidates))
        made = [{"place": p, **said["rows"][r]} for p, r in zip(places, candidates[chosen], strict=True)]
        hashed, written = _hash_of(said), [said[key] for key in ("drawn", "of", "possible", "given")]
        drawn_again = [chosen, len(candidates), str(_possible(said["blocks"])), made]
        found = pd.DataFrame(made, index=places, columns=["place", *said["components"]]).astype(object)
    except (OSError, ValueError, LookupError, TypeError, ZeroDivisionError, RecursionError) as error:
        raise EvalkitError(f"{str(file)!r} is no certificate of an allocation: {error}.") from None
    if hashed != said["hash"]:
        raise EvalkitError(
            f"{str(file)!r}: dates and allocations are not those of the hash. Somebody changed the file."
        )
    if written != drawn_again:
        raise EvalkitError(f"{str(file)!r}: the seed draws another allocation than is written. Somebody changed it.")
    return found.where(found.notna(), None)


def _hash_of(said: dict[str, Any]) -> str:
    """The hash that a certificate should have, by the rule that it names."""
    if said["rule"] == RULE:
        return ground_hash({key: said[key] for key in ("places", "components", "blocks", "rows", "candidates")})
    if said["rule"] != OLD_RULE:
        raise ValueError(f"its rule is not known: {said['rule']}")
    said.setdefault("components", list(dict.fromkeys(k for r in said["rows"] for k in r)))
    return hashlib.sha256(json.dumps([said["places"], said["candidates"]]).encode()).hexdigest()


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
    names = tuple(tuple(brief.places[i] for i in b) for b in blocks)
    rows = brief.frame(starts)
    chosen = drawn(seed, ground_hash(ground(rows, names, candidates)), len(candidates))
    return Allocation(brief.frame(starts[candidates[chosen]]), rows, names, candidates, chosen, seed, _possible(blocks))


def _blocks(brief: Brief) -> list[np.ndarray]:
    """Places for which the same is allowed, and nothing is fixed."""
    key = np.concatenate([brief.low, brief.high, brief.never], axis=1)
    _, of = np.unique(key, axis=0, return_inverse=True)
    free = (brief.low < brief.high).any(axis=1) | brief.never.any(axis=1)
    return [b for c in np.unique(of) if len(b := np.flatnonzero((of.ravel() == c) & free)) > 1]


def _possible(blocks: Sequence[Sequence[object] | np.ndarray]) -> int:
    """How many allocations there are in all."""
    return prod(factorial(len(b)) for b in blocks)


def _shares_differ(brief: Brief, blocks: list[np.ndarray]) -> bool:
    return any(np.ptp(brief.share[b], axis=0).any() for b in blocks)
