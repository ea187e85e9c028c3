"""Shapes over the time since a start beside the untreated model: how much of each there is, by least squares.

Exposed cell-periods take part as well, so that a step at the start is told from a line that runs through all periods.
With X the shapes, Z the columns of the untreated model, and Omega the precision of outcomes less the levels of cells,

    S = X' Omega X - X' Omega Z (Z' Omega Z)^- Z' Omega X,      u the same with y for the second X

(Frisch and Waugh 1933, Econometrica 1; Lovell 1963, JASA 58). Coefficients of shapes A beside each other are
S_AA^- u_A, with covariance S_AA^- if Omega is right. Without a cluster, its own cross-products are taken out of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evalkit.designs.noise.leverage import Left, without_each
from evalkit.designs.noise.refits import Gone
from evalkit.designs.noise.stretches import add_square
from evalkit.designs.noise.untreated import Place, Untreated
from evalkit.designs.noise.weighing import NOT_POSITIVE, NoCovarianceError, Weighing
from evalkit.designs.span import IN_SPAN, TOLERANCE, Span, less, span

MOST_PARTS = 400
"""Clusters above which they are left out in groups (delete-a-group jackknife; Kott 2001)."""


@dataclass(frozen=True, eq=False)
class Combination:
    """One combination of coefficients: its number, its weights (k,) on the score u, and (Q,) its numbers without each
    of Q clusters, NaN where it cannot be told without one."""

    value: float
    on_score: np.ndarray
    without: np.ndarray


@dataclass(frozen=True, eq=False)
class Shapes:
    """S (k, k) and u (k,) of k shapes, both without each of Q clusters, and the size (k,) of shapes in Omega."""

    information: np.ndarray
    score: np.ndarray
    information_without: np.ndarray
    score_without: np.ndarray
    size: np.ndarray

    def combination(self, at: Sequence[int], mix: Sequence[float]) -> Combination | None:
        """A combination of the coefficients of the shapes `at` beside each other; None where it cannot be told."""
        chosen, by = np.asarray(at), np.asarray(mix, dtype=float)
        length = np.sqrt(self.size[chosen])
        if (length <= 0).any():
            return None
        square = chosen[:, None], chosen
        back, told = _back(self.information[square] / length[:, None] / length, by / length)
        if not told:
            return None
        apart, kept = _back(self.information_without[:, *square] / length[:, None] / length, by / length)
        without = np.einsum("qk,qk->q", apart / length, self.score_without[:, chosen])
        on_score = np.zeros(len(self.score))
        on_score[chosen] = back / length
        return Combination(float(on_score @ self.score), on_score, np.where(kept, without, np.nan))

    def covariance(self, one: Combination, other: Combination) -> float:
        """Of two combinations if Omega is right."""
        return float(one.on_score @ self.information @ other.on_score)


def shapes(made: Weighing, values: np.ndarray, inside: np.ndarray) -> Shapes:
    """Shapes (k, C, T) of the groups of a weighing, on the cell-periods `inside` (C, T); `NoCovarianceError` where the
    covariance of a cluster, exposed periods included, is not positive definite."""
    places, kept = _with_shapes(made, values, inside)
    P, k = made.model.columns, len(values)
    N, v = np.zeros((P + k, P + k)), np.zeros(P + k)
    for place in places.values():
        add_square(N, place.at, place.information[0])
        v[place.at] += place.information[1]
    clusters = np.arange(len(made.sums.paths.levels[made.sums.level].names))
    parts = [_Share.of(gone, places, kept) for gone in made.parts(clusters % MOST_PARTS)]
    whole, parts = _Whole(N, v, span(N[:P, :P])), [part for part in parts if part]
    S, u = _taken_out(whole.span, N, v)
    information, score = np.zeros((len(parts), k, k)), np.zeros((len(parts), k))
    for q, (part, left) in enumerate(zip(parts, whole.without_each(parts), strict=True)):
        information[q], score[q] = whole.anew(part) if left is None else whole.less(part[0], left)
    return Shapes(S, u, information, score, np.diag(N)[P:].copy())


@dataclass(frozen=True, eq=False)
class _Share:
    """What a share of a place adds to cross-products: its columns, n (c, c) and v (c,)."""

    at: np.ndarray
    n: np.ndarray
    v: np.ndarray

    @classmethod
    def of(cls, gone: Sequence[Gone], places: dict[int, Place], kept: Sequence[np.ndarray]) -> list[_Share]:
        found = []
        for g in gone:
            if (place := places.get(g.place)) is not None:
                n, v = place.information
                v = v if g.y is None else place.whitened.T @ g.y[kept[g.place]]
                found.append(cls(place.at, n if g.share == 1 else g.share * n, g.share * v))
        return found


@dataclass(frozen=True, eq=False)
class _Whole:
    """Cross-products N (P + k, P + k) and v (P + k,) of P columns and k shapes after them; span: of the columns."""

    N: np.ndarray
    v: np.ndarray
    span: Span

    @cached_property
    def inverse(self) -> np.ndarray:
        return self.span.inverse()

    @cached_property
    def _across(self) -> tuple[np.ndarray, np.ndarray]:
        """B' X and X = N^- B of what columns and shapes share, and columns and outcomes."""
        P = len(self.inverse)
        B = np.column_stack([self.N[:P, P:], self.v[:P]])
        X = self.inverse @ B
        return B.T @ X, X

    def without_each(self, parts: Sequence[Sequence[_Share]]) -> list[Left | None]:
        """What is left of the columns without each part; None where all is worked out anew."""
        P, found = len(self.inverse), list[Left | None]([None] * len(parts))
        alone = [q for q, part in enumerate(parts) if len(part) == 1]
        few = [int((parts[q][0].at < P).sum()) for q in alone]
        own = [(parts[q][0].at[:c], parts[q][0].n[:c, :c]) for q, c in zip(alone, few, strict=True)]
        for q, left in zip(alone, without_each(self.span, self.N[:P, :P], self.inverse, own), strict=True):
            found[q] = left
        return found

    def less(self, part: _Share, left: Left) -> tuple[np.ndarray, np.ndarray]:
        """S and u without a part, by what is left of the columns."""
        P, c, some = len(self.inverse), len(left.at), part.at[len(left.at) :] - len(self.inverse)
        k = len(self.N) - P
        b, own = np.zeros((c, k + 1)), np.column_stack([self.N[P:, P:], self.v[P:]])
        b[:, some], b[:, k] = part.n[:c, c:], part.v[:c]
        own[some[:, None], some] -= part.n[c:, c:]
        own[some, k] -= part.v[c:]
        own -= left.across(*self._across, b)[:k]
        return own[:, :k], own[:, k]

    def anew(self, part: Sequence[_Share]) -> tuple[np.ndarray, np.ndarray]:
        """S and u without a part."""
        P, n, v = len(self.inverse), self.N.copy(), self.v.copy()
        for share in part:
            add_square(n, share.at, -share.n)
            v[share.at] -= share.v
        return _taken_out(less(self.span, self.N[:P, :P], n[:P, :P]), n, v)


def _with_shapes(made: Weighing, values: np.ndarray, inside: np.ndarray) -> tuple[dict[int, Place], list[np.ndarray]]:
    """Places of which every cell-period inside counts as seen, by their number, with shapes as further columns; and
    which cell-periods of each are inside, cell by cell."""
    places, kept = {}, []
    for j, (place, (cell, t)) in enumerate(zip(made.model.places, made.where, strict=True)):
        order, X = np.lexsort((t, cell)), values[:, cell, t].T
        use = order[inside[cell, t][order]]
        if len(use) == place.u == len(place.y) and not X.any():
            use, places[j] = np.arange(place.u), place
        elif len(use):
            some, at = np.flatnonzero(X.any(axis=0)), np.full(len(place.y), -1)
            at[use] = np.arange(len(use))
            noise = (part.only(at) for part in place.noise)
            places[j] = replace(
                place, u=len(use), y=place.y[use], steps=np.hstack([place.steps, X[:, some]])[use],
                at=np.concatenate([place.at, made.model.columns + some]), level=place.level[use],
                noise=tuple(part for part in noise if len(part.rows)), weight=np.zeros((0, 0)),
                rows=np.zeros(0, dtype=np.int64), tie=None if place.tie is None else place.tie[use],
            )  # fmt: skip
        kept.append(use)
    if not Untreated(tuple(places.values()), made.model.columns + len(values), 0).positive:
        raise NoCovarianceError(NOT_POSITIVE)
    return places, kept


def _taken_out(solver: Span, N: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S and u of what follows the columns of a solver."""
    P = len(solver.scale)
    back = solver.solve(np.column_stack([N[:P, P:], v[:P]]))
    across = N[P:, :P] @ back
    return N[P:, P:] - across[:, :-1], v[P:] - across[:, -1]


def _back(A: np.ndarray, mix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A^- mix (..., k) of scaled information (..., k, k), and whether the combination is identified."""
    root, vectors = np.linalg.eigh(A)
    there = root > TOLERANCE
    part = vectors * there[..., None, :]
    along = np.einsum("...ij,i->...j", part, mix)
    back = np.einsum("...ij,...j->...i", part, along / np.where(there, root, 1.0))
    missed = np.abs(np.einsum("...ij,...j->...i", part, along) - mix).max(axis=-1)
    return back, missed <= IN_SPAN * np.abs(mix).max()
