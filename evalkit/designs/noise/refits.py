"""Estimates of an untreated model without parts of it, weights made again under the same covariance.

Without a place whose columns Z have information n = Z' Omega Z, coefficients move by N^- Z~' (I - H)^-1 times its own
residuals, Z~ = Omega^(1/2) Z and H = Z~ N^- Z~' its leverage (Cook and Weisberg 1982, Residuals and Influence in
Regression, section 2.2): one small inverse, where making N again takes one of all columns. That is done where the place
is small and nothing is told by it alone; else everything is worked out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from evalkit.designs.noise.untreated import RANK, Place, Untreated, divided
from evalkit.designs.span import Span, less

SURE = 1e6
"""Trace of (I - H)^-1 up to which nothing is told by a place alone."""


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
    s = place.stretches[0]
    at, u = place.at[s.at], place.u
    if len(place.stretches) > 1 or place.tie is not None or 3 * u * (u + len(at)) ** 2 > model.columns**3:
        return None
    rest = np.eye(u) - share * (s.Z @ model.inverse[at[:, None], at] @ s.Z.T)
    root, failed = lapack.dpotrf(rest, lower=1)
    inverse, failed = lapack.dpotri(root, lower=1) if not failed else (root, failed)
    if failed or not np.trace(inverse) < SURE:
        return None
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    y = np.stack([s.y if g.y is None else s.half(g.y[:u]) for g in gone], axis=1)
    return at, share * (s.Z.T @ (inverse @ (y - (s.Z @ model.gamma[at])[:, None])))


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
        left[place.at[:, None], place.at] -= g.share * place.information[0]
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
