"""Influence: how much each unit moves each number.

Row i of an influence matrix is unit i's addend, so that `estimate - truth ~ influence.sum(axis=0)`. No n stands
in any formula: the covariance is I'I, and S'S with S the cluster sums when clustered.

A `Source` makes columns; an `Influence` is a linear map of one or more sources, so that aggregates and contrasts
cost a small matrix product and unit rows (records about people) are made only when asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.errors import EvalkitError, OptionError

UNIT = "unit"
Lift: TypeAlias = np.ndarray | sparse.csr_array
"""Weights (m, c) of a source's m columns in c numbers; sparse where a number is but one of the columns."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Unit ids and their cluster codes in one table. levels: name -> (codes (n,), names). single: whether each is one
    person."""

    ids: np.ndarray
    levels: Mapping[str, tuple[np.ndarray, np.ndarray]]
    single: bool = True

    def level(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Codes and names of a level; "unit" means one group a unit id."""
        if name in self.levels:
            return self.levels[name]
        if name == UNIT and not self.single:
            raise OptionError("Clustering by unit needs every person's own rows. Open the study with hold='rows'.")
        if name == UNIT:
            names, codes = np.unique(self.ids, return_inverse=True)
            return codes, names
        known = ", ".join([*self.levels, UNIT])
        raise OptionError(f"There is no level {name!r} to cluster by. This estimate knows: {known}.")

    def same(self, other: Rows) -> bool:
        return self is other or self.ids is other.ids


class Source(ABC):
    """Makes influence columns for a set of rows; cluster sums from unit rows, where it knows no quicker way."""

    rows: Rows

    @abstractmethod
    def dense(self, lift: Lift) -> np.ndarray:
        """(n, k) unit influence on the columns `lift` (m, k)."""

    def sums(self, level: str, lift: Lift) -> tuple[np.ndarray, np.ndarray]:
        """Names (G,) and cluster sums (G, k)."""
        codes, names = self.rows.level(level)
        return names, _totals(codes, len(names), self.dense(lift))

    def unit_gram(self, lift: Lift) -> np.ndarray | None:
        """(k, k) I'I by unit row when that needs no unit rows, else None."""
        return None


def _totals(codes: np.ndarray, groups: int, matrix: np.ndarray) -> np.ndarray:
    """(groups, k) sums of the rows of `matrix` (n, k) that share a code."""
    out = np.zeros((groups, matrix.shape[1]))
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    if len(ordered):
        start = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        out[ordered[start]] = np.add.reduceat(np.take(matrix, order, axis=0), start, axis=0)
    return out


@dataclass(frozen=True, eq=False)
class DenseSource(Source):
    """Influence held as it is: matrix (n, m)."""

    rows: Rows
    matrix: np.ndarray

    def dense(self, lift: Lift) -> np.ndarray:
        return np.asarray(self.matrix @ lift)


@dataclass(frozen=True, eq=False)
class Block:
    """Influence of some units on some columns: matrix (m, c); and on `mass_columns` (c,) each unit's own
    weight (m,). Elsewhere the units of the block move nothing."""

    units: np.ndarray
    columns: np.ndarray
    matrix: np.ndarray
    mass_columns: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class BlockSource(Source):
    """Influence that is zero outside a few blocks of units and columns."""

    rows: Rows
    blocks: tuple[Block, ...]

    def dense(self, lift: Lift) -> np.ndarray:
        out = np.zeros((len(self.rows.ids), lift.shape[1]))
        for block in self.blocks:
            part = block.matrix @ lift[block.columns]
            some = np.flatnonzero(block.weight)
            part[some] += block.weight[some, None] * lift[block.mass_columns].sum(axis=0)
            part += np.take(out, block.units, axis=0)
            out[block.units] = part
        return out

    def unit_gram(self, lift: Lift) -> np.ndarray | None:
        matrix = self.dense(lift)
        return np.asarray(matrix.T @ matrix)


@dataclass(frozen=True, eq=False)
class GroupSource(Source):
    """Influence known as totals of groups that lie within clusters of one level.

    totals: (G, m). level, cluster: the level, and the code (G,) of each group in it. make: () -> (n, m)
    unit rows, made when asked for.
    """

    rows: Rows
    totals: np.ndarray
    level: str
    cluster: np.ndarray
    make: Callable[[], np.ndarray]

    def dense(self, lift: Lift) -> np.ndarray:
        return np.asarray(self.make() @ lift)

    def sums(self, level: str, lift: Lift) -> tuple[np.ndarray, np.ndarray]:
        codes, names = self.rows.level(level)
        own, clusters = self.rows.level(self.level)
        coarser = np.zeros(len(clusters), dtype=int)  # the code at the level asked for of each cluster of this one
        coarser[own] = codes
        if not np.array_equal(coarser[own], codes):  # the two do not nest
            return super().sums(level, lift)
        out = np.zeros((len(names), lift.shape[1]))
        np.add.at(out, coarser[self.cluster], self.totals @ lift)
        return names, out


@dataclass(frozen=True, eq=False)
class PathSource(Source):
    """Influence linear in a unit's own outcomes, with coefficients shared by its path.

    Unit i of path p adds `coef[p] @ z_i`, z_i = w_i (Y_i - mean of path, 1): coef (P, m, T + 1).
    moments: (P, T + 1, T + 1), the sum of z z' over the units of a path.
    """

    rows: Rows
    path: np.ndarray
    coef: np.ndarray
    moments: np.ndarray
    make_z: Callable[[], np.ndarray]

    def dense(self, lift: Lift) -> np.ndarray:
        coef = np.stack([lift.T @ each for each in self.coef])
        z = self.make_z()
        out = np.zeros((len(self.path), lift.shape[1]))
        for p in range(len(coef)):
            mine = self.path == p
            out[mine] = z[mine] @ coef[p].T
        return out

    def unit_gram(self, lift: Lift) -> np.ndarray | None:
        coef = np.stack([lift.T @ each for each in self.coef])
        return np.asarray(np.einsum("pkt,pts,pls->kl", coef, self.moments, coef, optimize=True))


@dataclass(frozen=True, eq=False)
class Influence:
    """A linear map of sources onto k numbers.

    parts: (source, lift (m, c)) pairs. columns: the numbers (c,) that each part moves; None where each moves
        all k. Parts that move the same number add up.
    level: at which units are clustered by default.
    """

    parts: tuple[tuple[Source, Lift], ...]
    level: str
    columns: tuple[np.ndarray, ...] | None = field(default=None, kw_only=True)

    @property
    def width(self) -> int:
        if self.columns is None:
            return int(self.parts[0][1].shape[1])
        return 1 + max(int(moved.max(initial=-1)) for moved in self.columns)

    def _moved(self) -> Sequence[np.ndarray | slice]:
        return [slice(None)] * len(self.parts) if self.columns is None else self.columns

    def map(self, jacobian: np.ndarray) -> Influence:
        """Influence on numbers f of these numbers, for a Jacobian (k', k)."""
        pairs = zip(self.parts, self._moved(), strict=True)
        return replace(self, parts=tuple((s, lift @ jacobian[:, moved].T) for (s, lift), moved in pairs), columns=None)

    def select(self, index: np.ndarray) -> Influence:
        """Influence on the numbers at some positions."""
        if self.columns is not None:
            return self.map(np.eye(self.width)[index])
        return replace(self, parts=tuple((source, lift[:, index]) for source, lift in self.parts))

    def plus(self, other: Influence) -> Influence:
        """Sum of two influences on the same numbers, neither of them stacked; one source's lifts are merged."""
        parts = list(self.parts)
        for source, lift in other.parts:
            at = next((i for i, (mine, _) in enumerate(parts) if mine is source), None)
            if at is None:
                parts.append((source, lift))
            else:
                parts[at] = (source, parts[at][1] + lift)
        return Influence(tuple(parts), self.level)

    def gram(self, level: str | None = None) -> np.ndarray:
        """(k, k) sum over clusters of S S'."""
        level = level or self.level
        if len(self.parts) == 1:
            source, lift = self.parts[0]
            codes, names = source.rows.level(level)
            if len(names) == len(codes) and (quick := source.unit_gram(lift)) is not None:
                return quick
        _, sums = self.sums(level)
        return np.asarray(sums.T @ sums)

    def sums(self, level: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Names (G,) and cluster sums (G, k), clusters of all sources joined by name."""
        level = level or self.level
        pieces = [source.sums(level, lift) for source, lift in self.parts]
        return pieces[0] if len(pieces) == 1 else self._joined(pieces)

    def dense(self) -> tuple[np.ndarray, np.ndarray]:
        """Row ids (n,) and influence (n, k): records about people."""
        rows = self.parts[0][0].rows
        if all(s.rows.same(rows) for s, _ in self.parts):
            out = np.zeros((len(rows.ids), self.width))
            for (source, lift), moved in zip(self.parts, self._moved(), strict=True):
                out[:, moved] += source.dense(lift)
            return rows.ids, out
        return self._joined([(source.rows.ids, source.dense(lift)) for source, lift in self.parts])

    def _joined(self, pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Names and sums of what every part says (names, matrix), rows joined by name."""
        names, codes = joined_names([names for names, _ in pieces])
        out = np.zeros((len(names), self.width))
        for (_, matrix), at, moved in zip(pieces, codes, self._moved(), strict=True):
            out[:, moved] += _totals(at, len(names), matrix)
        return names, out


def joined_names(names: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """All names, each once, in the order in which they come first; and where each of `names` stands among them."""
    first = names[0]
    if all(n is first or np.array_equal(n, first) for n in names[1:]) and pd.Index(first).is_unique:
        return first, [np.arange(len(first))] * len(names)
    index = pd.Index(first).append([pd.Index(n) for n in names[1:]]).unique()
    return index.to_numpy(), [index.get_indexer(pd.Index(n)) for n in names]


def stacked(pieces: Sequence[Influence]) -> Influence:
    """Numbers of several influences side by side; units joined by id, zero where not in a sample.

    Raises `EvalkitError` when a unit carries another cluster code than in the first.
    """
    first, seen = pieces[0].parts[0][0].rows, set()
    for piece in pieces[1:]:
        rows = piece.parts[0][0].rows
        if id(rows.ids) not in seen and not first.same(rows):
            _check_same_clusters(first, rows)
        seen.add(id(rows.ids))
    moved, start, level = [], 0, pieces[0].level
    for i, piece in enumerate(pieces):
        own = piece.columns or [np.arange(piece.width)] * len(piece.parts)
        moved += [columns + start for columns in own]
        start += piece.width
        if piece.level != level:
            level = _coarser(pieces[: i + 1], level, piece.level)
    parts = tuple(part for piece in pieces for part in piece.parts)
    return Influence(parts, level, columns=tuple(moved))


def _check_same_clusters(first: Rows, second: Rows) -> None:
    levels = [name for name in first.levels if name in second.levels]
    at = [{name: rows.levels[name] for name in levels} for rows in (first, second)]
    mine, theirs = (
        {f"cluster:{name}": np.take(names, codes) for name, (codes, names) in known.items()} for known in at
    )
    if np.array_equal(first.ids, second.ids) and all(np.array_equal(mine[key], theirs[key]) for key in mine):
        return
    frames = (pd.DataFrame({"id": rows.ids, **known}) for rows, known in ((first, mine), (second, theirs)))
    both = next(frames).merge(next(frames), on="id", suffixes=("", " (second)"))
    for name in levels:
        differ = both[f"cluster:{name}"] != both[f"cluster:{name} (second)"]
        moved = both.groupby("id")[f"cluster:{name}"].nunique() > 1
        differ &= ~both["id"].isin(moved.index[moved])
        if differ.any():
            who = ", ".join(map(str, both.loc[differ, "id"].head(5)))
            raise EvalkitError(
                f"The two estimates disagree on the {name} of {int(differ.sum())} units ({who}). "
                "Stack estimates that were made from the same panel."
            )


def _coarser(pieces: Sequence[Influence], a: str, b: str) -> str:
    """The coarser of two levels, of those every source knows (a matched set is known to its own estimate alone)."""
    sources = [source for piece in pieces for source, _ in piece.parts]
    known = [x for x in (a, b) if x == UNIT or all(x in source.rows.levels for source in sources)]
    if len(known) < 2:
        return (known or [UNIT])[0]
    rows = sources[0].rows
    for coarse, fine in ((a, b), (b, a)):
        big, small = rows.level(coarse)[0], rows.level(fine)[0]
        pairs = np.unique(np.column_stack([small, big]), axis=0)
        if len(pairs) == len(np.unique(pairs[:, 0])):
            return coarse
    return a
