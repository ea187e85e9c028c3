"""Pieces as lines over one stacked estimate: every piece and the total are weighted sums of the same rows.

A total over cells is people periods times an average. With people periods as they are, pieces are linear
in the averages, so that one joint covariance gives every interval, and they add up by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.evaluation.decomposition.cells import Claim, Programme
from evalkit.inference import Estimate, stack

Pair = tuple[str, str]
JOINT_CELLS, BEYOND = "unexplained", "beyond"
_HERE = 0.5  # a component counts as compared in a cell where more than this share of it is claimed


@dataclass(frozen=True, eq=False)
class Ledger:
    """What goes into an attribution. claims: by name. groups: components that nothing tells apart, without a
    claim. interactions: (a, b) -> one row a unit and period with both. programme: None where no total exists."""

    claims: tuple[Claim, ...]
    groups: tuple[tuple[str, ...], ...]
    interactions: Mapping[Pair, Estimate]
    programme: Programme | None
    shape: tuple[int, int]
    on: Mapping[str, np.ndarray]

    # ------------------------------------------------------------ cells

    @cached_property
    def mass(self) -> np.ndarray:
        """(P, T) people periods of the total; without one, those that any claim has."""
        if self.programme is not None:
            return self.programme.mass
        return np.max([c.by_cell(self.shape) for c in self.claims], axis=0)

    @cached_property
    def share(self) -> dict[str, np.ndarray]:
        """Claim -> (P, T) share of the cell's people periods that it claims."""
        out = {}
        for c in self.claims:
            mine = np.minimum(c.by_cell(self.shape), self.mass)
            out[c.name] = np.divide(mine, self.mass, out=np.zeros(self.shape), where=self.mass > 0)
        return out

    @cached_property
    def cover(self) -> dict[str, np.ndarray]:
        """Component -> (P, T) share of the cell for which a claim speaks for it."""
        out = {c: np.zeros(self.shape) for c in self.on}
        for claim in self.claims:
            out |= {m: np.maximum(out[m], self.share[claim.name]) for m in claim.members if m in out}
        return out

    @cached_property
    def kinds(self) -> dict[str, np.ndarray]:
        """Kind of residual -> (P, T) share of each cell: everything on was compared ("unexplained"), the only
        ones that were not are a group that nothing tells apart (its position), or "beyond"."""
        known = np.ones(self.shape)
        lacking = {}
        for c, on in self.on.items():
            known = np.where(on, np.minimum(known, self.cover[c]), known)
            lacking[c] = on & (self.cover[c] <= _HERE)
        known = np.where(known > 1 - 1e-9, 1.0, known)
        out = {JOINT_CELLS: known * (self.mass > 0)}
        left = (1 - known) * (self.mass > 0)
        for i, group in enumerate(self.groups):
            only = np.any([lacking[c] for c in group if c in lacking] or [np.zeros(self.shape, bool)], axis=0)
            only &= ~np.any([lacking[c] for c in lacking if c not in group] or [np.zeros(self.shape, bool)], axis=0)
            out[f"group {i}"] = left * only
            left = left * ~only
        out[BEYOND] = left
        return out

    def periods(self, share: np.ndarray) -> float:
        """People periods of a share of the cells."""
        return float((self.mass * share).sum())

    # ------------------------------------------------------------ rows of the stack

    @cached_property
    def _built(self) -> tuple[Estimate, dict[tuple[str, str], int]]:
        parts: list[Estimate] = []
        keys: list[tuple[str, str]] = []
        if self.programme is not None:
            names = ["total", *(k for k, s in self.kinds.items() if self.periods(s) > 0)]
            shares = [(self.mass > 0).astype(float), *(self.kinds[k] for k in names[1:])]
            parts.append(self.programme.averages(shares, names))
            keys += [("programme", k) for k in names]
        for key, found in self._averages():
            keys.append(key)
            parts.append(found)
        return stack(*parts), {key: i for i, key in enumerate(keys)}

    @property
    def stacked(self) -> Estimate:
        """Rows of the programme, of each claim by kind of cell, and of each interaction, with one covariance."""
        return self._built[0]

    @property
    def rows(self) -> dict[tuple[str, str], int]:
        """Where each row of `stacked` lies."""
        return self._built[1]

    def _averages(self) -> list[tuple[tuple[str, str], Estimate]]:
        out = []
        for claim in self.claims:
            whole, _ = claim.average(self._inside(claim))
            if whole is None:
                continue
            out.append(((claim.name, "own"), whole))
            for kind in self.kinds if self.programme is not None else ():
                part, n = claim.average(self._inside(claim) * self.kinds[kind])
                if part is not None and 0 < n < self.claimed(claim.name) * (1 - 1e-12):
                    out.append(((claim.name, kind), part))
        out += [(("interaction", " ".join(pair)), e) for pair, e in self.interactions.items() if self.overlap(pair)[2]]
        return out

    def _inside(self, claim: Claim) -> np.ndarray:
        """(P, T) share of the claimed people periods that lies in the total."""
        own = claim.by_cell(self.shape)
        return np.divide(np.minimum(own, self.mass), own, out=np.zeros(self.shape), where=own > 0)

    def claimed(self, name: str, kind: str | None = None) -> float:
        """People periods of a claim in the total, or in one kind of cell."""
        share = self.share[name]
        return self.periods(share if kind is None else share * self.kinds[kind])

    def overlap(self, pair: Pair, kind: str | None = None) -> tuple[float, float, float]:
        """People periods claimed for a with b on, for b with a on, and for either with both on."""
        a, b = pair
        where = np.ones(self.shape) if kind is None else self.kinds[kind]
        both = self.on[a] & self.on[b]
        first, second = self.share[a] * both * where, self.share[b] * both * where
        return self.periods(first), self.periods(second), self.periods(np.maximum(first, second))

    # ------------------------------------------------------------ lines

    def _line(self, parts: Sequence[tuple[tuple[str, str], float]]) -> np.ndarray:
        line = np.zeros(len(self.stacked))
        for key, weight in parts:
            if weight:
                line[self.rows[key]] += weight
        return line

    def last_in(self, name: str) -> np.ndarray:
        """What the claim adds with the others as they were."""
        return self._line([((name, "own"), self.claimed(name))] if (name, "own") in self.rows else [])

    def alone(self, name: str) -> np.ndarray:
        """What it adds less its interactions with those that were on too."""
        line = self.last_in(name)
        for pair in (p for p in self.pairs if name in p):
            line = line - self._line([(("interaction", " ".join(pair)), self.overlap(pair)[pair.index(name)])])
        return line

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs with an interaction that some people periods had."""
        return tuple(p for p in self.interactions if self.overlap(p)[2])

    def together(self, pair: Pair) -> np.ndarray:
        """What two do together beyond the sum."""
        return self._line([(("interaction", " ".join(pair)), self.overlap(pair)[2])])

    def total(self) -> np.ndarray:
        return self._line([(("programme", "total"), self.periods(np.ones(self.shape)))])

    def residual(self, kind: str) -> np.ndarray:
        """The programme in one kind of cell less everything claimed there."""
        if ("programme", kind) not in self.rows:
            return np.zeros(len(self.stacked))
        parts = [(("programme", kind), self.periods(self.kinds[kind]))]
        for claim in self.claims:
            key = (claim.name, kind) if (claim.name, kind) in self.rows else (claim.name, "own")
            if key in self.rows:
                parts.append((key, -self.claimed(claim.name, kind)))
        for pair in self.pairs:
            first, second, either = self.overlap(pair, kind)
            parts.append((("interaction", " ".join(pair)), first + second - either))
        return self._line(parts)
