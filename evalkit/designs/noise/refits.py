"""Estimates of an untreated model without parts of it, weights made again under the same covariance.

Without a place whose columns have information n, of all N, and residuals e, coefficients move by -N^- (I + H N^-)
Z' Omega e, with what `leverage.py` gives for it. Where the place is large, or tells something by itself, all is worked
out anew, by what is left without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.designs.noise.leverage import Left, without_each
from evalkit.designs.noise.stretches import add_square
from evalkit.designs.noise.untreated import RANK, Place, Untreated, divided
from evalkit.designs.span import Span, less


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
    for at, left in zip(alike.values(), _each_left(model, list(alike)), strict=True):
        if isinstance(left, Left) and not len(left.lost):
            quick += at
            moved[left.at[:, None], at] = _by_leverage(model, left, [without[i][0] for i in at])
        else:
            for i in at:
                values[i], weights[i] = _anew(model, without[i], left)
    if quick:
        values[quick], weights[quick] = _moved(model, [without[i][0] for i in quick], moved[:, quick])
    return values, weights


def _each_left(model: Untreated, shares: Sequence[Sequence[tuple[int, float]]]) -> Iterator[Span]:
    """What is left without shares of places, for each of some parts."""
    alone = [part[0] for part in shares if len(part) == 1]
    parts = [(model.places[j].at, share * model.places[j].information[0]) for j, share in alone]
    by_place = iter(without_each(model.solver, model.information[0], model.inverse, parts))
    for part in shares:
        left = next(by_place) if len(part) == 1 else None
        yield _left(model, part) if left is None else left


def _by_leverage(model: Untreated, left: Left, gone: Sequence[Gone]) -> np.ndarray:
    """By how much (c, K) parts of one share of a place move coefficients, but for N^-."""
    place, share = model.places[gone[0].place], gone[0].share
    n, v = place.information
    of = [v if g.y is None else place.whitened.T @ g.y[: place.u] for g in gone]
    own = share * (np.stack(of, axis=1) - (n @ model.gamma[place.at])[:, None])
    return np.asarray(own + left.H @ (model.inverse[place.at[:, None], place.at] @ own))


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


def _left(model: Untreated, gone: Sequence[tuple[int, float]]) -> Span:
    """What solves by the information that is left without shares of places."""
    left = model.information[0].copy()
    for j, share in gone:
        add_square(left, model.places[j].at, -share * model.places[j].information[0])
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
