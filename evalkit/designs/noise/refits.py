"""Estimates of an untreated model without parts of it, weights made again under the same covariance.

Without a place whose columns have information n, of all N, and residuals e, coefficients move by -N^- (I - n N^-)^-1
Z' Omega e (Cook and Weisberg 1982, Residuals and Influence in Regression, section 2.2). With K K' the part of N^- that
is of its own columns, (I - n N^-)^-1 = I + n K (I - K' n K)^-1 K': one inverse of its columns, where making N again
takes one of all. That is done where it has few of all columns and tells nothing by itself; else all is worked out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from evalkit.designs.noise.stretches import add_square
from evalkit.designs.noise.untreated import RANK, Place, Untreated, divided
from evalkit.designs.span import Span, less

SURE = 1e6
"""Trace of (I - K' n K)^-1 up to which nothing is told by a place alone."""
LARGE = 12
"""Times the cube of a place's columns that the cube of all must come to, so that there is something to gain."""


@dataclass(frozen=True, eq=False)
class Gone:
    """A part of a place that is left out: its share, and its own outcomes (m + e,), None for all of the place."""

    place: int
    share: float = 1.0
    y: np.ndarray | None = None

    def outcomes(self, place: Place) -> np.ndarray:
        return place.y if self.y is None else self.y


def refits(model: Untreated, without: Sequence[Sequence[Gone]]) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and weights (K, k) without each of some parts of places, their exposed cell-periods too."""
    values, weights = np.full((len(without), model.k), np.nan), np.zeros((len(without), model.k))
    alike: dict[tuple, list[int]] = {}  # the same shares of the same places leave the same information
    for i, gone in enumerate(without):
        alike.setdefault(tuple((g.place, g.share) for g in gone), []).append(i)
    quick, moved = [], np.zeros((model.columns, len(without)))
    for at in alike.values():
        found = _by_leverage(model, [without[i][0] for i in at]) if len(without[at[0]]) == 1 else None
        if found is None:
            solver = _left(model, without[at[0]])
            for i in at:
                values[i], weights[i] = _anew(model, without[i], solver)
        else:
            quick += at
            moved[found[0][:, None], at] = found[1]
    if quick:
        values[quick], weights[quick] = _moved(model, [without[i][0] for i in quick], moved[:, quick])
    return values, weights


def _by_leverage(model: Untreated, gone: Sequence[Gone]) -> tuple[np.ndarray, np.ndarray] | None:
    """Columns (c,) of a place, and by how much (c, K) parts of it move coefficients, but for N^-; None where the place
    is large, or tells something that no other tells. gone: parts of one share of one place."""
    place, share = model.places[gone[0].place], gone[0].share
    at, (n, v) = place.at, place.information
    back = model.inverse[at[:, None], at]
    kept = np.flatnonzero(back.diagonal() > 0)
    if LARGE * len(at) ** 3 > model.columns**3 or not len(kept):
        return None
    K, failed = lapack.dpotrf(back[kept[:, None], kept], lower=1, clean=1)
    if failed:
        return None
    nK = n[:, kept] @ K
    root, failed = lapack.dpotrf(np.eye(len(kept)) - share * (K.T @ nK[kept]), lower=1)
    inverse, failed = lapack.dpotri(root, lower=1) if not failed else (root, failed)
    if failed or not np.trace(inverse) < SURE:
        return None
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    of = [v if g.y is None else place.whitened.T @ g.y[: place.u] for g in gone]
    own = share * (np.stack(of, axis=1) - (n @ model.gamma[at])[:, None])
    return at, own + share * (nK @ (inverse @ (K.T @ own[kept])))


def _moved(model: Untreated, gone: Sequence[Gone], moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and weights (K, k) without parts that move coefficients by -N^- times `moved` (P, K)."""
    Ay, G, weight = model.sums
    total, weights = (Ay - G.T @ model.gamma) + moved.T @ model.back, np.tile(weight, (len(gone), 1))
    for i, g in enumerate(gone):
        place, told = model.places[g.place], model.kept[g.place]
        if told.any():
            gamma = model.gamma[place.at] - model.inverse[place.at] @ moved[:, i]
            own = g.outcomes(place) @ place.A[:, told] - gamma @ place.g[:, told]
            total[i, place.rows[told]] -= g.share * own
            weights[i, place.rows[told]] -= g.share * place.weight[:, told].sum(axis=0)
    return _told(model, total, weights)


def _left(model: Untreated, gone: Sequence[Gone]) -> Span:
    """What solves by the information that is left."""
    left = model.information[0].copy()
    for g in gone:
        place = model.places[g.place]
        add_square(left, place.at, -g.share * place.information[0])
    return less(model.solver, model.information[0], left)


def _anew(model: Untreated, gone: Sequence[Gone], solver: Span) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and weights (k,) without the parts, by what solves without them."""
    (Ay, G, weight), kept, v = (x.copy() for x in model.sums), model.kept, model.information[1].copy()
    if solver.rank != model.solver.rank:
        whole = np.concatenate(kept)
        lost = whole & ~model.told(solver)
        if lost.any():
            kept, untold = model.by_place(whole & ~lost), model.by_place(lost)
            Ay, G, weight = (x - y for x, y in zip((Ay, G, weight), model.sums_of(untold), strict=True))
    for g in gone:
        place, told = model.places[g.place], kept[g.place]
        v[place.at] -= g.share * (place.information[1] if g.y is None else place.whitened.T @ g.y[: place.u])
        rows = place.rows[told]
        Ay[rows] -= g.share * (g.outcomes(place) @ place.A[:, told])
        G[place.at[:, None], rows] -= g.share * place.g[:, told]
        weight[rows] -= g.share * place.weight[:, told].sum(axis=0)
    return _told(model, Ay - G.T @ solver.solve(v), weight)


def _told(model: Untreated, total: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimates, and weights but for what is rounding of the model's own."""
    weight = np.where(weight > RANK * np.maximum(model.weight, RANK), weight, 0.0)
    return divided(total, weight), weight
