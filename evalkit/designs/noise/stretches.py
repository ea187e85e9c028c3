"""Stretches of a place: cell-periods before exposure that share noise and levels with no others of the place.

Where nothing shakes all cells of a place alike, its covariance falls apart into its cells, and so does all that is made
of it; a place with one cell is one stretch. Stretches of about one size are worked out together, filled up with cell-
periods that have noise of their own and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.linalg import lapack

ALIKE = 8
"""Sizes are alike when they are the same in units of so many cell-periods."""
TOGETHER = 64
"""How many stretches are worked out together, so that what is at work stays near the processor."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """n cell-periods of a place, `rows`, moved by its columns `at` (c,), with covariance V = R R' and q levels D, their
    codes `levels` (q,).

    inverse: R^-1 (n, n). basis: (n, q) orthonormal, spans R^-1 D. lift: (q, q) L^-1, D' V^-1 D = L L'. Z (n, c),
    y (n,): columns and outcomes times R^-1, with the basis taken out. size: (c,) squared length of columns before that.
    """

    rows: slice
    at: np.ndarray
    levels: np.ndarray
    inverse: np.ndarray
    basis: np.ndarray
    lift: np.ndarray
    Z: np.ndarray
    y: np.ndarray
    size: np.ndarray

    def half(self, x: np.ndarray) -> np.ndarray:
        """Omega^(1/2) x: R^-1 x with the levels taken out."""
        Rx = self.inverse @ x
        return np.asarray(Rx - self.basis @ (self.basis.T @ Rx))

    def precision(self, x: np.ndarray) -> np.ndarray:
        """Omega x: V^-1 x with the levels taken out."""
        return np.asarray(self.inverse.T @ self.half(x))

    def of_levels(self, x: np.ndarray) -> np.ndarray:
        """(n, r) V^-1 D (D' V^-1 D)^-1 x: what each cell-period weighs in levels that are asked for with x (q, r)."""
        return np.asarray(self.inverse.T @ (self.basis @ (self.lift @ x)))

    def scaled(self, root: float) -> Stretch:
        """The same with a covariance `root` squared times as large."""
        shrunk = {name: getattr(self, name) / root for name in ("inverse", "Z", "y")}
        return replace(self, lift=self.lift * root, size=self.size / root**2, **shrunk)


@dataclass(frozen=True, eq=False)
class Noise:
    """Cell-periods of a place, `rows` (n,) in order, that share noise with each other alone, and its covariance V."""

    rows: np.ndarray
    V: np.ndarray

    def only(self, keep: np.ndarray) -> Noise:
        """Those that are kept of the place, by where each of its cell-periods then stands (m,), -1 for nowhere."""
        at = keep[self.rows]
        some = np.flatnonzero(at >= 0)
        some = some[np.argsort(at[some])]
        return Noise(at[some], self.V[some[:, None], some])


def shared(V: np.ndarray) -> tuple[Noise, ...]:
    """Noise (m, m) that all cell-periods of a place share."""
    return (Noise(np.arange(len(V)), V),)


@dataclass(frozen=True, eq=False)
class Before:
    """What a place is before exposure: noise, of rows that stand next to each other, level (m,), steps (m, p) and
    outcomes y (m,)."""

    noise: tuple[Noise, ...]
    level: np.ndarray
    steps: np.ndarray
    y: np.ndarray

    def edges(self) -> np.ndarray:
        """Where its stretches begin, and m."""
        m, reach = len(self.level), np.zeros(len(self.level), dtype=np.int64)
        if m and (self.level[0] == self.level[-1] or (len(self.noise) == 1 and self.noise[0].V[0, -1])):
            return np.array([0, m])
        for part in self.noise:
            reach[part.rows] = part.rows[-1] - (part.V != 0)[:, ::-1].argmax(axis=1)
        of = self.level - self.level.min() if m else self.level
        last = np.zeros(int(of.max(initial=-1)) + 1, dtype=np.int64)
        last[of] = np.arange(m)
        reach = np.maximum.accumulate(np.maximum(reach, last[of]))
        return np.concatenate([[0], np.flatnonzero(reach == np.arange(m)) + 1])

    def pieces(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Its stretches, and the columns that move each."""
        edges = self.edges().tolist()
        if len(edges) > 1:
            moved = np.logical_or.reduceat(self.steps != 0, edges[:-1], axis=0)
            yield from ((slice(*edge), np.flatnonzero(of)) for edge, of in zip(pairwise(edges), moved, strict=True))

    def covariance(self, rows: slice, into: np.ndarray) -> None:
        """Put that of some rows into (n, n)."""
        into[:] = 0.0
        for part in self.noise:
            first = int(part.rows[0])
            low, high = max(rows.start, first), min(rows.stop, first + len(part.rows))
            if low < high:
                own, at = slice(low - first, high - first), slice(low - rows.start, high - rows.start)
                into[at, at] = part.V[own, own]


def stretches_of(places: Sequence[Before]) -> list[tuple[Stretch, ...]]:
    """The stretches of each place; `LinAlgError` where a covariance has no root."""
    found: list[list[Stretch]] = [[] for _ in places]
    pieces = [(i, *piece) for i, p in enumerate(places) for piece in p.pieces()]
    for some in alike([rows.stop - rows.start for _, rows, _ in pieces]):
        mine = [pieces[j] for j in some]
        for (i, *_), made in zip(mine, _worked_out([(places[i], *piece) for i, *piece in mine]), strict=True):
            found[i].append(made)
    return [tuple(sorted(made, key=lambda s: s.rows.start)) for made in found]


def alike(sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """Positions of those of about one size, not too many at a time."""
    size = -(-np.asarray(sizes, dtype=np.int64) // ALIKE)
    for one in np.unique(size):
        at = np.flatnonzero(size == one)
        yield from (at[low : low + TOGETHER] for low in range(0, len(at), TOGETHER))


def add_square(whole: np.ndarray, at: np.ndarray, part: np.ndarray) -> None:
    """Add `part` (c, c) to the rows and columns `at` (c,) of `whole` (P, P), read as one line: in half the time."""
    whole.reshape(-1)[at[:, None] * len(whole) + at] += part


def filled(parts: Sequence[np.ndarray], fill: float = 0.0) -> np.ndarray:
    """(K, ...) parts of different shapes, of one axis or two, side by side, with `fill` beyond each."""
    shape = tuple(map(max, zip(*(p.shape for p in parts), strict=True)))
    out = np.full((len(parts), *shape), fill)
    for i, part in enumerate(parts):  # by numbers alone: slices that are made first take three times as long
        if len(shape) == 1:
            out[i, : len(part)] = part
        else:
            out[i, : part.shape[0], : part.shape[1]] = part
    return out


def _worked_out(pieces: Sequence[tuple[Before, slice, np.ndarray]]) -> Iterator[Stretch]:
    levels, at = [_coded(p.level[rows]) for p, rows, _ in pieces], [use for *_, use in pieces]
    n, c, q = max(len(of) for _, of in levels), max(map(len, at)), max(len(codes) for codes, _ in levels)
    V, X, each = np.zeros((len(pieces), n, n)), np.zeros((len(pieces), n, c + 1 + q)), np.arange(n)
    V[:, each, each] = 1.0  # beyond the end of each
    for own, columns, (p, rows, use), (_, of) in zip(V, X, pieces, levels, strict=True):
        p.covariance(rows, own[: len(of), : len(of)])
        columns[: len(of), : len(use)] = p.steps[rows][:, use]
        columns[: len(of), c] = p.y[rows]
        columns[each[: len(of)], c + 1 + of] = 1.0
    inverse = _inverse_roots(V)
    X = inverse @ X
    ZY, RD = X[:, :, : c + 1], X[:, :, c + 1 :]
    size = (ZY**2).sum(axis=1)
    gram = RD.transpose(0, 2, 1) @ RD
    gram[:, each[:q], each[:q]] += each[:q] >= np.array([[len(codes)] for codes, _ in levels])
    lift = np.linalg.inv(np.linalg.cholesky(gram))
    basis = RD @ lift.transpose(0, 2, 1)
    ZY = ZY - basis @ (basis.transpose(0, 2, 1) @ ZY)
    for i, ((_, rows, use), (codes, of)) in enumerate(zip(pieces, levels, strict=True)):
        n, q = len(of), len(codes)
        yield Stretch(
            rows, use, codes, inverse[i, :n, :n], basis[i, :n, :q], lift[i, :q, :q], ZY[i, :n, : len(use)],
            ZY[i, :n, c], size[i, : len(use)],
        )  # fmt: skip


def _coded(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (q,) of levels (n,), and which of them each is."""
    if (levels == levels[0]).all():  # as a rule, and then there is nothing to sort
        return levels[:1], np.zeros(len(levels), dtype=np.intp)
    codes, of = np.unique(levels, return_inverse=True)
    return codes, of


def _inverse_roots(blocks: np.ndarray) -> np.ndarray:
    """(K, N, N) R^-1 of each block R R'."""
    roots = np.linalg.cholesky(blocks)
    for root in roots:  # LAPACK itself, in place: numpy knows no triangles
        root[:] = lapack.dtrtri(root.T, lower=0)[0].T
    if not np.isfinite(roots).all():
        raise np.linalg.LinAlgError("not positive definite")
    return np.asarray(roots)
