"""What the untreated model works out by parts of places, against the same by whole matrices."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.designs.noise import leverage
from evalkit.designs.noise import refits as by_parts
from evalkit.designs.noise.shocks import SHOCKS, Shocks, lags, shock_variances, with_shocks
from evalkit.designs.noise.stretches import Noise, shared
from evalkit.designs.noise.untreated import Place, Untreated

T, CELLS, PLACES = 6, 3, 4
Where = tuple[np.ndarray, np.ndarray]


def one_place(rng: np.random.Generator, cluster: int, tied: bool) -> tuple[Place, Where]:
    """Three cells with levels of their own, the last exposed from period 4 on, moved by steps that all share; and one
    column that only passes where its level begins, so that levels take all of it."""
    cell, t = (x.ravel() for x in np.indices((CELLS, T)))
    order = np.argsort((cell == CELLS - 1) & (t >= 4), kind="stable")
    cell, t, u = cell[order], t[order], CELLS * T - 2
    steps = (t[:, None] >= np.arange(1, T)).astype(float)
    steps = np.hstack([steps, rng.normal(size=(len(t), 2)), np.full((len(t), 1), 1 / 3)])
    V = np.zeros((len(t), len(t)))
    for c in range(CELLS):
        at = np.flatnonzero(cell == c)
        V[at[:, None], at] = rng.uniform(0.5, 2) * (0.3 + 0.6 ** lags(t[at]) + np.eye(len(at)))
    weight = np.array([[0.5, 0.0], [0.5, 1.0]])
    noise = tuple(Noise(at, V[np.ix_(at, at)]) for at in (np.flatnonzero(cell == c) for c in range(CELLS)))
    plain = Place(
        cluster, u, rng.normal(size=len(t)), steps, np.arange(T + 2), 10 * cluster + cell, noise, weight, np.arange(2)
    )
    shocks = Shocks.of(np.array([0.2, 0.1, 0.3, 0.1]) if tied else np.zeros(len(SHOCKS)), T)
    return with_shocks(plain, shocks, (cell, t), people=True), (cell[:u], t[:u])


def model_of(tied: bool, seed: int = 1) -> tuple[Untreated, list[Where]]:
    rng = np.random.default_rng(seed)
    places, where = zip(*(one_place(rng, c, tied) for c in range(PLACES)), strict=True)
    return Untreated(places, T + 2, 2), list(where)


def omega(place: Place) -> np.ndarray:
    """V^-1 of a place before exposure with its levels taken out, by whole matrices."""
    inverse = np.linalg.inv(place.V[: place.u, : place.u])
    D = (place.level[: place.u, None] == np.unique(place.level)).astype(float)
    return inverse - inverse @ D @ np.linalg.solve(D.T @ inverse @ D, D.T @ inverse)


@pytest.mark.parametrize("tied", [False, True])
def test_a_place_in_stretches_is_the_place_as_a_whole(tied: bool) -> None:
    place = model_of(tied)[0].places[0]
    assert len(place.stretches) == CELLS and (place.tie is not None) == tied
    u, whole, x = place.u, omega(place), np.random.default_rng(3).normal(size=place.u)
    np.testing.assert_allclose(place.precision(x), whole @ x, atol=1e-12)
    np.testing.assert_allclose(place.whitened, whole @ place.steps[:u], atol=1e-12)
    np.testing.assert_allclose(place.information[0], place.steps[:u].T @ whole @ place.steps[:u], atol=1e-12)
    gamma = np.arange(T + 2.0)
    left = place.y[:u] - place.steps[:u] @ gamma
    assert place.misses(gamma) == pytest.approx(left @ whole @ left)
    larger = place.scaled(4.0)
    np.testing.assert_allclose(larger.precision(x), whole @ x / 4, atol=1e-12)
    np.testing.assert_allclose(larger.A, place.A, atol=1e-12)
    inverse = np.linalg.inv(place.V[:u, :u])
    D, E = ((place.level[at, None] == np.unique(place.level)).astype(float) for at in (slice(u), slice(u, None)))
    lift = inverse @ D @ np.linalg.solve(D.T @ inverse @ D, E.T @ place.weight)
    np.testing.assert_allclose(place.A[:u], -(whole @ place.V[:u, u:] @ place.weight + lift), atol=1e-12)


def test_a_column_that_levels_take_all_of_is_not_told_by_its_rounding() -> None:
    model, _ = model_of(tied=True)
    assert model.solver.rank == T + 1 and not model.solver.free[-1]
    assert not model.information[0][-1].any()


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_variances_of_shocks_are_those_of_whole_matrices(
    known: bool, ties: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minimum norm quadratic estimation with all matrices written out (Rao 1971). ties: no place falls apart."""
    model, where = model_of(tied=False)
    if ties:
        places = tuple(Place(**{**vars_of(p), "noise": shared(p.V + 0.2)}) for p in model.places)
        model = Untreated(places, model.columns, model.k)
    u = model.places[0].u
    O, Z = np.zeros((PLACES * u, PLACES * u)), np.vstack([p.steps[:u] for p in model.places])
    K = np.zeros((len(SHOCKS), *O.shape))
    for i, (place, (cell, t)) in enumerate(zip(model.places, where, strict=True)):
        at = slice(i * u, (i + 1) * u)
        O[at, at] = omega(place)
        for kind, (decay, own) in zip(K, SHOCKS, strict=True):
            kind[at, at] = np.where((cell[:, None] == cell) | (not own), decay ** lags(t), 0.0)
    P = O - O @ Z @ np.linalg.pinv(Z.T @ O @ Z, rcond=1e-10) @ Z.T @ O
    y = np.concatenate([p.y[:u] for p in model.places])
    gram = np.array([[np.trace(a @ P @ b @ P) for b in K] for a in K])
    right = np.array([y @ P @ k @ P @ y - known * np.trace(k @ P) for k in K])
    asked: list[tuple[np.ndarray, np.ndarray]] = []
    monkeypatch.setattr("evalkit.designs.noise.shocks._nonnegative", lambda *x: asked.append(x))
    shock_variances(model, where, known)
    np.testing.assert_allclose(asked[0][0], gram, rtol=1e-10)
    np.testing.assert_allclose(asked[0][1], right, rtol=1e-9, atol=1e-10)


def vars_of(place: Place) -> dict[str, object]:
    return {name: getattr(place, name) for name in place.__dataclass_fields__}


@pytest.mark.parametrize("tied", [False, True])
def test_refits_by_what_a_place_moves_are_refits_made_anew(tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = model_of(tied)
    y = np.random.default_rng(9).normal(size=len(model.places[2].y))
    without = [
        [by_parts.Gone(0)],
        [by_parts.Gone(1, 0.4)],
        [by_parts.Gone(2, 0.3, y)],
        [by_parts.Gone(0), by_parts.Gone(3)],
    ]
    monkeypatch.setattr(leverage, "LARGE", np.inf)
    anew = by_parts.refits(model, without)
    monkeypatch.setattr(leverage, "LARGE", 0)
    parts = [(p.at, p.information[0]) for p in model.places]
    assert all(leverage.without_each(model.solver, model.information[0], model.inverse, parts))
    for quick, slow in zip(by_parts.refits(model, without), anew, strict=True):
        np.testing.assert_allclose(quick, slow, rtol=1e-11)
