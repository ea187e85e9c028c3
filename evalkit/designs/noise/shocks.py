"""Shocks of places: their covariance, and variances that are learnt from cell-periods before exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from evalkit.designs.noise.stretches import Noise, Stretch, add_square, alike, filled, shared
from evalkit.designs.noise.untreated import Place, Untreated

SHOCKS = ((0.95, False), (0.5, False), (0.9, True), (0.0, True))
"""Shocks of places: correlation of neighbouring periods, and whether they are a cell's own or common to a place."""
TIED = 100.0
"""Variance of what is common to a place's cells, in units of the rest, up to which it is taken apart."""
OWN = [i for i, (_, own) in enumerate(SHOCKS) if own]
COMMON = [i for i, (_, own) in enumerate(SHOCKS) if not own]


def lags(t: np.ndarray) -> np.ndarray:
    """(..., m, m) periods between those of `t` (..., m)."""
    return np.abs(t[..., :, None] - t[..., None, :])


@dataclass(frozen=True, eq=False)
class Shocks:
    """Shocks with variances (k,), one for each kind, as covariances (T, T) of periods: common to all cells of a place,
    and a cell's own."""

    common: np.ndarray
    own: np.ndarray

    @classmethod
    def of(cls, variances: np.ndarray, T: int) -> Self:
        made, lag = np.zeros((2, T, T)), lags(np.arange(T))
        for variance, (decay, own) in zip(variances, SHOCKS, strict=True):
            made[int(own)] += variance * decay**lag
        return cls(*made)

    def covariance(self, cell: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(m, m) of cell-periods of a place."""
        return self.common[t[:, None], t] + self.apart(cell, t)

    def apart(self, cell: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(m, m) of cell-periods of a place by what is the cells' own."""
        if (cell == cell[0]).all():
            return self.own[t[:, None], t]
        made = np.zeros((len(t), len(t)))
        for at in (np.flatnonzero(cell == c) for c in np.unique(cell)) if self.own.any() else ():
            made[at[:, None], at] = self.own[t[at, None], t[at]]
        return made


def with_shocks(place: Place, shocks: Shocks, where: tuple[np.ndarray, np.ndarray], people: bool) -> Place:
    """The place with shocks added to its covariance; people: whether that has people's noise, so that what is common to
    its cells may be taken apart again. where: cell and period of all it holds."""
    (cell, t), common = where, shocks.common.any()
    if not common and not shocks.own.any():
        return place
    own = tuple(Noise(n.rows, n.V + shocks.apart(cell[n.rows], t[n.rows])) for n in place.noise)
    place = replace(place, noise=own)
    if not common:
        return place
    least, periods = min(part.V.diagonal().min() for part in own), np.unique(t)
    if not (people and len(periods) < place.u and shocks.common[0, 0] < TIED * least):
        return replace(place, noise=shared(place.V + shocks.common[t[:, None], t]))
    F = np.linalg.cholesky(shocks.common[periods[:, None], periods])[np.searchsorted(periods, t)]
    return replace(place, tie=F)


@dataclass(frozen=True, eq=False)
class _Together:
    """K stretches of about one size, filled up with nothing. half: (K, N, N) Omega^(1/2). Z, residual: (K, N, C) and
    (K, N, 1), Omega^(1/2) times columns and residuals. cell, t: (K, N). inverse: (K, C, C) of the columns' information.
    """

    half: np.ndarray
    Z: np.ndarray
    residual: np.ndarray
    cell: np.ndarray
    t: np.ndarray
    inverse: np.ndarray

    @classmethod
    def of(cls, model: Untreated, some: Sequence[_Part]) -> Self:
        made = [part.stretch for part in some]
        at = [part.at for part in some]
        cell, t = (filled([x[i] for x in (part.where for part in some)], -1).astype(np.int64) for i in (0, 1))
        return cls(
            filled([s.inverse - s.basis @ (s.basis.T @ s.inverse) for s in made]), filled([s.Z for s in made]),
            filled([(s.y - s.Z @ model.gamma[own])[:, None] for s, own in zip(made, at, strict=True)]),
            cell, t, filled([model.inverse[own[:, None], own] for own in at]),
        )  # fmt: skip

    def shaken(self, decay: float, *those: np.ndarray) -> tuple[np.ndarray, ...]:
        """Covariance of cells' own shocks with variance one, times each of (K, N, ...)."""
        if not decay:
            return those
        lag = lags(self.t)
        own = np.where(self.cell[:, :, None] == self.cell[:, None, :], (decay ** np.arange(lag.max() + 1))[lag], 0.0)
        return tuple(own @ x for x in those)


@dataclass(frozen=True, eq=False)
class _Part:
    """A stretch of a place; at: its columns among all; where: cell and period of each of its rows."""

    place: int
    stretch: Stretch
    at: np.ndarray
    where: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Quadratics:
    """What shocks of each kind do to quadratic forms of all places, P = Omega less the fit of all places' columns.

    seen: y' P K P y (k,). trace: tr(K P) (k,). gram: tr(K P K' P) (k, k) but for what passes through two places, which
    is made of through: Z' Omega K Omega Z (k, p, p). Of each place, by period, S which period a row is of: G = S' Omega
    S (B, T, T), e = S' Omega y (B, T), Y = Z' Omega S (B, c, T), and under shocks of cells' own, between = S' Omega K
    Omega S (own, B, T, T) and moved = Z' Omega K Omega S (own, B, c, T). Added to as stretches come.
    """

    seen: np.ndarray
    trace: np.ndarray
    gram: np.ndarray
    through: np.ndarray
    G: np.ndarray
    e: np.ndarray
    Y: np.ndarray
    between: np.ndarray
    moved: np.ndarray

    @classmethod
    def none(cls, model: Untreated, T: int) -> Self:
        k, B, own = len(SHOCKS), len(model.places), len(OWN)
        c = max(len(p.at) for p in model.places)
        shapes = (k,), (k,), (k, k), (k, model.columns, model.columns), (B, T, T), (B, T), (B, c, T)
        return cls(*(np.zeros(shape) for shape in (*shapes, (own, B, T, T), (own, B, c, T))))

    def add(self, of: _Together, some: Sequence[_Part]) -> None:
        """What cells' own shocks do in some stretches, and what shocks of the place will need of them."""
        back = of.half.transpose(0, 2, 1)
        Omega, OZ, Oe = back @ of.half, back @ of.Z, back @ of.residual
        S = (of.t[:, :, None] == np.arange(self.G.shape[1])).astype(float)
        OS, ZO = Omega @ S, OZ.transpose(0, 2, 1)
        self._of_periods(some, S.transpose(0, 2, 1) @ OS, (Oe * S).sum(axis=1), ZO @ S)
        M, before = OZ @ of.inverse @ ZO, list[tuple[int, np.ndarray]]()
        for n, i in enumerate(OWN):
            KO, KM, KZ, Ke, KS = of.shaken(SHOCKS[i][0], Omega, M, OZ, Oe, OS)
            through = ZO @ KZ
            self.seen[i] += (Oe * Ke).sum()
            self.trace[i] += np.trace(KO - KM, axis1=1, axis2=2).sum()
            before.append((i, KO))
            for j, other in before:
                self.gram[i, j] += (other * (KO - 2 * KM).transpose(0, 2, 1)).sum()
            between, moved = OS.transpose(0, 2, 1) @ KS, KZ.transpose(0, 2, 1) @ OS
            for m, part in enumerate(some):
                c = len(part.at)
                add_square(self.through[i], part.at, through[m, :c, :c])
                self.between[n, part.place] += between[m]
                self.moved[n, part.place, part.stretch.at] += moved[m, :c]

    def _of_periods(self, some: Sequence[_Part], G: np.ndarray, e: np.ndarray, Y: np.ndarray) -> None:
        for m, part in enumerate(some):
            self.G[part.place] += G[m]
            self.e[part.place] += e[m]
            self.Y[part.place, part.stretch.at] += Y[m, : len(part.at)]

    def add_common(self, model: Untreated) -> None:
        """What shocks common to a place do: the same in all its cells, so that it is periods by periods."""
        G, e, Y = self.G, self.e, self.Y
        N = filled([model.inverse[p.at[:, None], p.at] for p in model.places])
        YN = Y.transpose(0, 2, 1) @ N
        H, before = YN @ Y, []
        for i in COMMON:
            C = SHOCKS[i][0] ** lags(np.arange(G.shape[1]))
            through = Y @ C @ Y.transpose(0, 2, 1)
            self.seen[i] += ((e @ C) * e).sum()
            self.trace[i] += (C * (G - H)).sum()
            before.append((i, C @ G))
            for j, other in before:
                self.gram[i, j] += (other * (C @ (G - 2 * H)).transpose(0, 2, 1)).sum()
            for n, j in enumerate(OWN):
                self.gram[j, i] += (C * (self.between[n] - 2 * YN @ self.moved[n])).sum()
            for place, part in zip(model.places, through, strict=True):
                add_square(self.through[i], place.at, part[: len(place.at), : len(place.at)])


def shock_variances(model: Untreated, where: Sequence[tuple[np.ndarray, np.ndarray]], known: bool) -> np.ndarray:
    """Variances of the shocks of places, by minimum norm quadratic estimation, none negative (Rao 1971).

    where: for each place cell and period of what is not yet exposed. The model's own covariance is the norm; known:
    whether it is noise that is there beside the shocks (people's), and not the norm alone.
    """
    model.work_out()
    parts = [
        _Part(i, s, place.at[s.at], (cell[s.rows], t[s.rows]))
        for i, (place, (cell, t)) in enumerate(zip(model.places, where, strict=True))
        for s in place.stretches
    ]
    found = _Quadratics.none(model, 1 + max(int(t.max(initial=0)) for _, t in where))
    for at in alike([len(part.where[0]) for part in parts]):
        some = [parts[j] for j in at]
        found.add(_Together.of(model, some), some)
    found.add_common(model)
    gram = np.tril(found.gram) + np.tril(found.gram, -1).T
    back = [model.inverse @ m for m in found.through]
    gram += np.array([[np.vdot(a, b) for b in map(np.transpose, back)] for a in back])
    return _nonnegative(gram, found.seen - found.trace * known)


def _nonnegative(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The non-negative solution of gram s = right in the norm of gram."""
    from scipy.optimize import nnls

    size = np.sqrt(np.maximum(np.diag(gram), 0.0))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    scaled = gram * np.outer(scale, scale) + 1e-9 * np.eye(len(gram))
    root = np.linalg.cholesky(scaled)
    found, _ = nnls(root.T, np.linalg.solve(root, right * scale))
    return found * scale
