"""Covariates that are missing: refused, told by a column, or filled several times and joined; never dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.missing import joined
from evalkit.study.gaps import drawn, filled


def people(n: int = 500, seed: int = 0) -> pd.DataFrame:
    """An effect of 1; need is missing more often where the other covariate is high."""
    rng = np.random.default_rng(seed)
    need = rng.normal(size=n)
    other = 0.7 * need + 0.7 * rng.normal(size=n)
    nurse = (rng.random(n) < 1 / (1 + np.exp(-need))).astype(int)
    y = nurse + 2 * need + other + rng.normal(size=n)
    area = pd.Series(np.where(rng.random(n) < 0.4, "north", "south"), dtype=object)
    frame = pd.DataFrame({"id": np.arange(n), "nurse": nurse, "need": need, "other": other, "area": area, "y": y})
    frame.loc[rng.random(n) < 1 / (1 + np.exp(1 - other)), "need"] = np.nan
    frame.loc[:4, "area"] = None
    return frame


def study(frame: pd.DataFrame, **options: object) -> ek.Study:
    said: dict = {"covariates": ("need", "other", "area"), "components": ["nurse"]} | options
    return ek.Study(frame, unit="id", period=None, outcome="y", **said)


DESIGN = ek.WeightedComparison(method="entropy")


def test_by_default_they_are_refused_and_the_key_is_named() -> None:
    with pytest.raises(ek.EvalkitError, match="'need' is missing for .*missing = 'impute' or 'indicator'"):
        DESIGN(study(people()), "nurse")


@pytest.mark.parametrize("missing", ["refuse", "impute", "indicator"])
def test_a_covariate_of_nobody_is_refused_in_words(missing: str) -> None:
    frame = people().assign(need=np.nan)
    with pytest.raises(ek.EvalkitError, match="covariate 'need' is on record for nobody"):
        DESIGN(study(frame, missing=missing), "nurse")


def test_filled_several_times_the_effect_is_found_and_nobody_is_dropped() -> None:
    frame = people(1500)
    found = DESIGN(study(frame, missing="impute"), "nurse").to_frame().iloc[0]
    assert abs(found["estimate"] - 1) < 3 * found["std_error"]
    assert found["inference"] == "multiple imputation"
    assert found["units_exposed"] + found["units_comparison"] == len(frame)
    wrong = DESIGN(study(frame, missing="indicator"), "nurse").to_frame().iloc[0]
    assert abs(wrong["estimate"] - 1) > 3 * wrong["std_error"], "a column that says where is no cure for what it hid"


def test_an_indicator_keeps_everybody_and_names_one_column_a_covariate() -> None:
    made = study(people(), missing="indicator")
    balance = DESIGN(made, "nurse")
    assert balance.to_frame()["units_exposed"].sum() + balance.to_frame()["units_comparison"].sum() == 500
    names = ek.MatchedComparison().match(made, "nurse").balance()["covariate"].tolist()
    assert names[1:] == ["need", "other", "area=north", "need missing", "area missing"]


def test_answers_are_joined_by_rubins_rules() -> None:
    rng = np.random.default_rng(1)
    labels = pd.DataFrame({"component": ["a"], "reason": [""]})
    parts = rng.normal(size=(50, 1))
    answers = [ek.Estimate.from_influence([v], parts, labels) for v in (1.0, 2.0, 4.5)]
    found = joined(answers).to_frame().iloc[0]
    within, between = float((parts**2).sum()), np.var([1.0, 2.0, 4.5], ddof=1)
    total = within + (1 + 1 / 3) * between
    assert found["estimate"] == pytest.approx(2.5)
    assert found["std_error"] == pytest.approx(np.sqrt(total))
    assert found["df"] == pytest.approx(2 * (total / (4 / 3 * between)) ** 2)


def test_an_evaluation_counts_whose_gaps_were_filled() -> None:
    frame = people(90)
    found = ek.evaluate(study(frame, missing="indicator"))
    words = found.checks.set_index("check").loc["filled_in", "words"]
    gone = frame[["need", "area"]].isna().any(axis=1)
    assert f"missing of {(gone & (frame['nurse'] == 1)).sum()}" in words
    told = ek.checks.filled_in(study(frame, missing="impute"), "nurse")
    assert told is not None
    assert "filled 10 times" in told.words
    assert ek.checks.filled_in(study(frame.dropna(), missing="impute"), "nurse") is None
    assert found.verdicts["estimate"].notna().all()


def test_fillings_keep_what_is_known_and_differ_where_it_is_not() -> None:
    frame = people(200)
    x = frame[["need", "other"]].to_numpy()
    one, two = (drawn(x, frame[["nurse", "y"]].to_numpy(float), seed) for seed in (0, 1))
    known = np.isfinite(x)
    np.testing.assert_array_equal(one[known], x[known])
    assert (one[~known] != two[~known]).all()
    assert filled(x).shape == (200, 3)


def test_a_study_file_says_it_and_wrong_words_are_refused(tmp_path: Path) -> None:
    made = study(people(60), missing="indicator")
    made.save(tmp_path)
    assert ek.Study.load(tmp_path).missing == "indicator"
    text = (tmp_path / "study.toml").read_text(encoding="utf-8").replace('missing = "indicator"', 'missing = "drop"')
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ek.EvalkitError, match=r"missing = 'drop'.*'refuse', 'indicator'"):
        ek.Study.load(tmp_path)
    with pytest.raises(ek.EvalkitError, match="missing='drop'"):
        study(people(60), missing="drop")


def test_components_that_went_together_see_gaps_as_their_study_does() -> None:
    frame = people(90).assign(both=lambda f: f["nurse"])
    made = study(frame, missing="indicator", components=["nurse", "both"], covariates=("need", "other"))
    bundle = ek.evaluate(made).bundles.iloc[0]
    assert set(bundle["members"]) == {"nurse", "both"}
    assert np.isfinite(bundle["estimate"])
