"""Pooling against R (metafor, clubSandwich), published figures, pimeta and statsmodels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pimeta
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from evalkit.pooling.combinations import identified_together
from evalkit.pooling.model import Block, Fit, fit, whiten
from evalkit.pooling.places import shrunken, shrunken_over_tau
from evalkit.pooling.robust import Spread, by_model, by_place, without_each_place
from tests.reference.pooling_cases import REFERENCE, as_blocks, cards_blocks, contrasts

BCG = REFERENCE["bcg"]


def error(fitted: Fit) -> np.ndarray:
    return np.sqrt(np.diag(fitted.vcov))


def bcg() -> list[Block]:
    y, v = np.array(BCG["yi"]), np.array(BCG["vi"])
    return [whiten(np.arange(13), y[:, None], v[:, None, None], np.ones((13, 1, 1)))]


@pytest.mark.parametrize("data", ["baker2009", "linde2016"])
def test_additive_components_equal_r(data: str) -> None:
    said = REFERENCE[data]["additive"]
    blocks = as_blocks(contrasts(REFERENCE[data]["pairs"], said["components"]))
    common, dl, reml = fit(blocks, tau2=0.0), fit(blocks, "DL"), fit(blocks, "REML")
    assert (common.q, common.df) == (pytest.approx(said["Q"], abs=1e-9), said["df"])
    for found, theirs, close in ((common, said["common"], 1e-9), (dl, said["random_dl"], 1e-9),
                                 (reml, said["random_reml"], 1e-6)):  # fmt: skip
        np.testing.assert_allclose(found.beta, theirs["estimate"], atol=close)
        np.testing.assert_allclose(error(found), theirs["se"], atol=close)
    assert dl.tau2 == pytest.approx(said["tau2_dl"], abs=1e-10)
    assert reml.tau2 == pytest.approx(said["random_reml"]["tau2"], abs=1e-6)


def test_baker_is_reproduced_to_every_printed_digit() -> None:
    said = REFERENCE["baker2009"]["published"]
    fitted = fit(as_blocks(contrasts(REFERENCE["baker2009"]["pairs"], said["components"])), "DL")
    reach = 1.959964 * error(fitted)
    for found, printed in ((np.exp(fitted.beta), "OR"), (np.exp(fitted.beta - reach), "low"),
                           (np.exp(fitted.beta + reach), "high"), (fitted.beta / error(fitted), "z")):  # fmt: skip
        np.testing.assert_array_equal(np.round(found, 2), said[printed])
    assert (round(fitted.tau2, 4), round(fitted.q, 2), fitted.df) == (said["tau2"], said["Q"], said["df"])


def test_an_interaction_equals_r() -> None:
    said = REFERENCE["baker2009"]["one_interaction"]
    fitted = fit(as_blocks(contrasts(REFERENCE["baker2009"]["pairs"], said["components"])), "DL")
    np.testing.assert_allclose(fitted.beta, said["random_dl"]["estimate"], atol=1e-9)
    assert fitted.q == pytest.approx(said["Q"], abs=1e-8)


@pytest.mark.parametrize("case", ["not_identified", "disconnected"])
def test_what_is_not_identified_gets_no_number(case: str) -> None:
    said = REFERENCE[case]["fit"]
    fitted = fit(as_blocks(contrasts(REFERENCE[case]["pairs"], said["components"])))
    known = fitted.identifies(np.eye(len(said["components"])))
    assert known.tolist() == said["identified"]
    theirs = np.array([np.nan if e is None else e for e in said["common"]["estimate"]])
    np.testing.assert_allclose(fitted.beta[known], theirs[known], atol=1e-9)
    assert fitted.tau2 == 0.0 and fitted.df == 0


def test_identified_differences_are_named() -> None:
    """A, B and D are known only beside each other: their dependency is (1, 1, 0, 1)."""
    said = REFERENCE["not_identified"]["fit"]
    fitted = fit(as_blocks(contrasts(REFERENCE["not_identified"]["pairs"], said["components"])))
    made = identified_together(fitted.basis, [0, 1, 3], [])
    np.testing.assert_array_equal(made, [[1, 0, 0, -1], [0, 1, 0, -1]])
    assert fitted.identifies(made).all()


def test_several_components_a_study_equal_r() -> None:
    said, blocks = REFERENCE["cards"], cards_blocks()
    for found, theirs in ((fit(blocks, tau2=0.0), said["fixed"]), (fit(blocks), said["one_tau"])):
        np.testing.assert_allclose(found.beta, theirs["estimate"], atol=1e-9)
        np.testing.assert_allclose(found.vcov, theirs["vcov"], atol=1e-9)
    assert fit(blocks).tau2 == pytest.approx(said["one_tau"]["tau2"], abs=1e-9)


def test_cr2_equals_clubsandwich_but_for_the_root() -> None:
    """The symmetric root of whitened rows meets the same condition as clubSandwich's Cholesky root."""
    said, found = REFERENCE["cards"]["one_tau_cr2"], by_place(fit(cards_blocks()), np.eye(3))
    np.testing.assert_allclose(found.std_error, said["se"], rtol=4e-4)
    np.testing.assert_allclose(found.df, said["df"], rtol=1e-4)


def test_cr2_is_the_plain_form_with_whole_matrices() -> None:
    blocks = cards_blocks()
    fitted = fit(blocks)
    w = 1 / (1 + fitted.tau2 * fitted.spread)
    x, y = fitted.design * np.sqrt(w)[:, None], fitted.y * np.sqrt(w)
    place = np.concatenate([np.repeat(b.place, b.y.shape[1]) for b in blocks])
    a = np.linalg.inv(x.T @ x)
    whole = np.eye(len(y)) - x @ a @ x.T
    aim = fitted.basis.T  # combinations of the unit vectors
    pieces = []
    for s in np.unique(place):
        mine = place == s
        values, vectors = np.linalg.eigh(whole[np.ix_(mine, mine)])
        root = (vectors / np.sqrt(values)) @ vectors.T
        pieces.append(np.array([aim @ a @ x[mine].T @ root @ whole[mine]]).reshape(3, -1))  # (k, N) of each place
    forms = np.array(pieces)
    variance = np.sum((forms @ y) ** 2, axis=0)
    found = by_place(fitted, np.eye(3))
    np.testing.assert_allclose(found.std_error**2, variance, rtol=1e-10)
    for j in range(3):
        gram = forms[:, j] @ forms[:, j].T
        assert found.df[j] == pytest.approx(np.trace(gram) ** 2 / np.sum(gram**2), rel=1e-9)


def test_leaving_a_place_out_is_a_fit_without_it() -> None:
    blocks, fitted = cards_blocks(), fit(cards_blocks())
    found = without_each_place(fitted, np.eye(3))
    for place in (0, 5, 11):
        kept = []
        for b in blocks:
            keep = b.place != place
            kept.append(Block(*(getattr(b, n)[keep] for n in ("place", "y", "design", "spread", "back", "raw"))))
        np.testing.assert_allclose(found[place], fit(kept, tau2=fitted.tau2).beta, atol=1e-12)


def test_shrunken_places_equal_r() -> None:
    said, rows = REFERENCE["cards"]["shrunken_one_tau"]["estimate"], REFERENCE["cards"]["rows"]
    blocks = cards_blocks()
    order = [i for b in blocks for p in b.place for i, r in enumerate(rows) if r["study"] == p + 1]
    np.testing.assert_allclose(shrunken(fit(blocks)).estimate, np.array(said)[order], atol=1e-8)
    alone = shrunken(fit(bcg()))
    np.testing.assert_allclose(alone.estimate, BCG["blup_reml"]["pred"], atol=1e-6)
    np.testing.assert_allclose(alone.sd, BCG["blup_reml"]["se"], atol=1e-6)


def test_over_tau_is_wider_and_without_spread_the_same() -> None:
    fitted = fit(cards_blocks())
    over, plug = shrunken_over_tau(fitted, 0.05), shrunken(fitted)
    assert np.mean(over.sd > plug.sd) > 0.5
    narrow = shrunken_over_tau(fit(cards_blocks(), tau2=0.0), 1e-9)
    np.testing.assert_allclose(narrow.estimate, shrunken(fit(cards_blocks(), tau2=0.0)).estimate, atol=1e-6)


@pytest.mark.parametrize(("method", "close"), [("DL", 1e-9), ("REML", 1e-6), ("PM", 1e-4)])
def test_one_component_equals_r(method: Any, close: float) -> None:
    said, fitted = BCG["fits"][method], fit(bcg(), method)
    assert fitted.tau2 == pytest.approx(said["z"]["tau2"], rel=1e-4, abs=close)
    np.testing.assert_allclose(np.ravel(by_model(fitted, np.ones((1, 1))).interval()), said["adhoc"]["ci"], atol=close)
    plain = Spread(fitted.beta, error(fitted), np.array([np.inf]))
    np.testing.assert_allclose(np.ravel(plain.interval()), said["z"]["ci"], atol=close)
    np.testing.assert_allclose(np.ravel(plain.interval(extra=fitted.tau2)), said["z"]["pi"], atol=close)


def test_statsmodels_agrees_on_one_component() -> None:
    theirs = combine_effects(np.array(BCG["yi"]), np.array(BCG["vi"]), method_re="dl")
    fitted = fit(bcg(), "DL")
    assert fitted.tau2 == pytest.approx(theirs.tau2, abs=1e-10)
    assert fitted.beta[0] == pytest.approx(theirs.mean_effect_re, abs=1e-10)


def test_pimeta_agrees_on_components_of_a_network() -> None:
    pairs = REFERENCE["baker2009"]["pairs"]
    plain = [{**p, **{t: p[t].replace("+", " + ") for t in ("t1", "t2")}} for p in pairs]
    theirs = pimeta.discomb(
        [p["y"] for p in plain], [p["se"] for p in plain], [p["t1"] for p in plain], [p["t2"] for p in plain],
        [str(p["study"]) for p in plain], inactive="Placebo",
    )  # fmt: skip
    names = REFERENCE["baker2009"]["additive"]["components"]
    fitted = fit(as_blocks(contrasts(pairs, names)), "DL")
    at = [list(theirs.comps).index(n) for n in names]
    np.testing.assert_allclose(fitted.beta, np.asarray(theirs.Comp_random)[at], atol=1e-9)


def test_pimeta_agrees_on_several_components_a_study() -> None:
    rows, vcov = REFERENCE["cards"]["rows"], np.array(REFERENCE["cards"]["V"])
    names = sorted({r["component"] for r in rows})
    mods = np.array([[float(r["component"] == n) for n in names] for r in rows])
    data = {"study": [str(r["study"]) for r in rows], "component": [r["component"] for r in rows]}
    theirs = pimeta.rma_mv(
        [r["y"] for r in rows], V=vcov, mods=mods, data=data, random="~ component | study", struct="CS", rho=0.0,
        intercept=False,
    )  # fmt: skip
    np.testing.assert_allclose(fit(cards_blocks()).beta, np.ravel(theirs.beta), atol=1e-6)
