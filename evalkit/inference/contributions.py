"""Contributions: how much each unit moves each number.

Row i of a contribution matrix is unit i's addend, so that
`estimate - truth ~ contributions.sum(axis=0)`. No n stands in any formula: the
covariance is I'I, and S'S with S the cluster sums when clustered.

A `Source` makes columns; a `Contributions` is a linear map of one or more
sources, so that aggregates and contrasts cost a small matrix product and unit
rows (records about people) are made only when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError

UNIT = "unit"


@dataclass(frozen=True, eq=False)
class Rows:
    """Unit ids and their cluster codes in one table. levels: name -> (codes (n,), names)."""

    ids: np.ndarray
    levels: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def level(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Codes and names of a level; "unit" means one group a unit id."""
        if name in self.levels:
            return self.levels[name]
        if name == UNIT:
            names, codes = np.unique(self.ids, return_inverse=True)
            return codes, names
        known = ", ".join([*self.levels, UNIT])
        raise OptionError(f"There is no level {name!r} to cluster by. This estimate knows: {known}.")

    def same(self, other: Rows) -> bool:
        return self is other or self.ids is other.ids

    def frame(self) -> pd.DataFrame:
        """One row a unit: id and the name of its group at each level."""
        columns = {name: names[codes] for name, (codes, names) in self.levels.items()}
        return pd.DataFrame({"id": self.ids, **{f"cluster:{k}": v for k, v in columns.items()}})


class Source(Protocol):
    """Makes contribution columns for a set of rows."""

    @property
    def rows(self) -> Rows:
        """Ids and clusters of the units."""

    def dense(self, lift: np.ndarray) -> np.ndarray:
        """(n, k) unit contributions of the columns `lift` (m, k)."""

    def sums(self, level: str, lift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Names (G,) and cluster sums (G, k)."""

    def unit_gram(self, lift: np.ndarray) -> np.ndarray | None:
        """(k, k) I'I by unit row when that needs no unit rows, else None."""


def _sum_dense(rows: Rows, level: str, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    codes, names = rows.level(level)
    out = np.zeros((len(names), matrix.shape[1]))
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    if len(ordered):
        start = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        out[ordered[start]] = np.add.reduceat(np.take(matrix, order, axis=0), start, axis=0)
    return names, out


@dataclass(frozen=True, eq=False)
class DenseSource:
    """Contributions held as they are: matrix (n, m)."""

    rows: Rows
    matrix: np.ndarray

    def dense(self, lift: np.ndarray) -> np.ndarray:
        return self.matrix @ lift

    def sums(self, level: str, lift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _sum_dense(self.rows, level, self.dense(lift))

    def unit_gram(self, lift: np.ndarray) -> np.ndarray | None:
        return None


@dataclass(frozen=True, eq=False)
class Block:
    """Contributions of some units to some columns: matrix (m, c); and to `mass_columns` (c,) each unit's own
    weight (m,). Elsewhere the units of the block contribute nothing."""

    units: np.ndarray
    columns: np.ndarray
    matrix: np.ndarray
    mass_columns: np.ndarray
    weight: np.ndarray

    def add_to(self, out: np.ndarray, lift: np.ndarray) -> None:
        part = self.matrix @ lift[self.columns]
        some = np.flatnonzero(self.weight)
        part[some] += self.weight[some, None] * lift[self.mass_columns].sum(axis=0)
        part += np.take(out, self.units, axis=0)
        out[self.units] = part


@dataclass(frozen=True, eq=False)
class BlockSource:
    """Contributions that are zero outside a few blocks of units and columns."""

    rows: Rows
    blocks: tuple[Block, ...]

    def dense(self, lift: np.ndarray) -> np.ndarray:
        out = np.zeros((len(self.rows.ids), lift.shape[1]))
        for block in self.blocks:
            block.add_to(out, lift)
        return out

    def sums(self, level: str, lift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _sum_dense(self.rows, level, self.dense(lift))

    def unit_gram(self, lift: np.ndarray) -> np.ndarray | None:
        matrix = self.dense(lift)
        return matrix.T @ matrix


@dataclass(frozen=True, eq=False)
class GroupSource:
    """Contributions known as totals of groups that lie within clusters of one level.

    totals: (G, m). level, cluster: the level, and the code (G,) of each group in it. make: () -> (n, m)
    unit rows, made when asked for.
    """

    rows: Rows
    totals: np.ndarray
    level: str
    cluster: np.ndarray
    make: Callable[[], np.ndarray]

    def dense(self, lift: np.ndarray) -> np.ndarray:
        return self.make() @ lift

    def sums(self, level: str, lift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes, names = self.rows.level(level)
        coarser = self._coarser(codes)
        if coarser is None:
            return _sum_dense(self.rows, level, self.dense(lift))
        out = np.zeros((len(names), lift.shape[1]))
        np.add.at(out, coarser[self.cluster], self.totals @ lift)
        return names, out

    def _coarser(self, codes: np.ndarray) -> np.ndarray | None:
        """Code at another level of each cluster of this level, None when they do not nest."""
        own, names = self.rows.level(self.level)
        of_cluster = np.zeros(len(names), dtype=int)
        of_cluster[own] = codes
        return of_cluster if np.array_equal(of_cluster[own], codes) else None

    def unit_gram(self, lift: np.ndarray) -> np.ndarray | None:
        return None


@dataclass(frozen=True, eq=False)
class PathSource:
    """Contributions linear in a unit's own outcomes, with coefficients shared by its path.

    Unit i of path p contributes `coef[p] @ z_i`, z_i = w_i (Y_i - mean of path, 1): coef
    (P, m, T + 1). moments: (P, T + 1, T + 1), the sum of z z' over the units of a path.
    """

    rows: Rows
    path: np.ndarray
    coef: np.ndarray
    moments: np.ndarray
    make_z: Callable[[], np.ndarray]

    def dense(self, lift: np.ndarray) -> np.ndarray:
        coef = np.einsum("pmt,mk->pkt", self.coef, lift)
        z = self.make_z()
        out = np.zeros((len(self.path), lift.shape[1]))
        for p in range(len(coef)):
            mine = self.path == p
            out[mine] = z[mine] @ coef[p].T
        return out

    def sums(self, level: str, lift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _sum_dense(self.rows, level, self.dense(lift))

    def unit_gram(self, lift: np.ndarray) -> np.ndarray | None:
        coef = np.einsum("pmt,mk->pkt", self.coef, lift)
        return np.einsum("pkt,pts,pls->kl", coef, self.moments, coef, optimize=True)


@dataclass(frozen=True, eq=False)
class Contributions:
    """A linear map of sources: `parts` are (source, lift (m, k)) pairs that add up; the columns of
    the result are k numbers. `level` is the level at which they are clustered by default."""

    parts: tuple[tuple[Source, np.ndarray], ...]
    level: str

    @property
    def width(self) -> int:
        return self.parts[0][1].shape[1]

    def map(self, jacobian: np.ndarray) -> Contributions:
        """Columns of `f` for a Jacobian (k', k)."""
        return Contributions(tuple((s, lift @ jacobian.T) for s, lift in self.parts), self.level)

    def gram(self, level: str | None = None) -> np.ndarray:
        """(k, k) sum over clusters of S S'."""
        level = level or self.level
        if len(self.parts) == 1 and self._by_row(level):
            quick = self.parts[0][0].unit_gram(self.parts[0][1])
            if quick is not None:
                return quick
        _, sums = self.sums(level)
        return sums.T @ sums

    def _by_row(self, level: str) -> bool:
        rows = self.parts[0][0].rows
        codes, names = rows.level(level)
        return len(names) == len(codes)

    def sums(self, level: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Names (G,) and cluster sums (G, k), clusters of all sources joined by name."""
        level = level or self.level
        pieces = [source.sums(level, lift) for source, lift in self.parts]
        if len(pieces) == 1:
            return pieces[0]
        if all(len(n) == len(pieces[0][0]) and np.array_equal(n, pieces[0][0]) for n, _ in pieces):
            return pieces[0][0], np.sum([s for _, s in pieces], axis=0)
        names = pd.Index(pieces[0][0])
        for other, _ in pieces[1:]:
            names = names.union(pd.Index(other), sort=False)
        out = np.zeros((len(names), self.width))
        for mine, sums in pieces:
            out[names.get_indexer(pd.Index(mine))] += sums
        return names.to_numpy(), out

    def dense(self) -> tuple[np.ndarray, np.ndarray]:
        """Row ids (n,) and contributions (n, k): records about people."""
        rows = self.parts[0][0].rows
        if all(s.rows.same(rows) for s, _ in self.parts):
            return rows.ids, np.sum([s.dense(lift) for s, lift in self.parts], axis=0)
        frame = pd.concat([pd.DataFrame(s.dense(lift), index=s.rows.ids) for s, lift in self.parts])
        summed = frame.groupby(level=0, sort=False).sum()
        return summed.index.to_numpy(), summed.to_numpy()


def join(a: Contributions, b: Contributions) -> Contributions:
    """Columns of `a` then of `b`; units joined by id, zero where not in a sample.

    Raises `EvalkitError` when a unit carries different cluster codes in the two.
    """
    _check_same_clusters(a, b)
    left, right = a.width, b.width
    parts = tuple((s, np.hstack([lift, np.zeros((len(lift), right))])) for s, lift in a.parts)
    parts += tuple((s, np.hstack([np.zeros((len(lift), left)), lift])) for s, lift in b.parts)
    return Contributions(parts, _joint_level(a, b))


def _check_same_clusters(a: Contributions, b: Contributions) -> None:
    first, second = a.parts[0][0].rows, b.parts[0][0].rows
    if first.same(second):
        return
    both = first.frame().merge(second.frame(), on="id", suffixes=("", " (second)"))
    for name in first.levels.keys() & second.levels.keys():
        differ = both[f"cluster:{name}"] != both[f"cluster:{name} (second)"]
        moved = both.groupby("id")[f"cluster:{name}"].nunique() > 1
        differ &= ~both["id"].isin(moved.index[moved])
        if differ.any():
            who = ", ".join(map(str, both.loc[differ, "id"].head(5)))
            raise EvalkitError(
                f"The two estimates disagree on the {name} of {int(differ.sum())} units ({who}). "
                "Stack estimates that were made from the same panel."
            )


def _knows(parts: Contributions, level: str) -> bool:
    """Whether every source can be clustered by a level (a matched set is known to its own estimate alone)."""
    return level == UNIT or all(level in source.rows.levels for source, _ in parts.parts)


def _joint_level(a: Contributions, b: Contributions) -> str:
    known = [level for level in (a.level, b.level) if _knows(a, level) and _knows(b, level)]
    if a.level == b.level or len(known) < 2:
        return a.level if a.level == b.level else (known or [UNIT])[0]
    rows = a.parts[0][0].rows
    for coarse, fine in ((a.level, b.level), (b.level, a.level)):
        big, small = rows.level(coarse)[0], rows.level(fine)[0]
        pairs = np.unique(np.column_stack([small, big]), axis=0)
        if len(pairs) == len(np.unique(pairs[:, 0])):
            return coarse
    return a.level
