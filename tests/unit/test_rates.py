"""Rates: counts over a denominator, by which rows weigh wherever they are averaged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import OptionError, OutcomeError, StudyError
from evalkit.show.numbers import Nouns, scale_for, size_words

PLACES, WARDS, YEARS = 10, 3, 8


def panel(seed: int = 4) -> pd.DataFrame:
    """Deaths in three wards of each of ten places over eight years; half of the places have a law from year 4 on."""
    rng = np.random.default_rng(seed)
    n = PLACES * WARDS
    place, residents = np.repeat(np.arange(PLACES), WARDS), rng.integers(800, 6000, n)
    on = (np.arange(YEARS) >= 4) & (place < 5)[:, None]
    deaths = rng.poisson((0.02 - 0.006 * on) * residents[:, None])
    return pd.DataFrame({
        "ward": np.repeat(np.arange(n), YEARS), "place": np.repeat(place, YEARS), "year": np.tile(np.arange(YEARS), n),
        "deaths": deaths.ravel(), "residents": np.repeat(residents, YEARS), "law": on.astype(int).ravel(),
    })  # fmt: skip


RATE = ek.Outcome("deaths", "Deaths", "rate", "lower", 0.002, per="residents")


def study(frame: pd.DataFrame, unit: str = "ward", **options: object) -> ek.Study:
    return ek.Study(frame, unit=unit, period="year", cluster="place", outcomes=[RATE], components=["law"], **options)


def by_place(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.groupby(["place", "year"], as_index=False).agg(
        deaths=("deaths", "sum"), residents=("residents", "sum"), law=("law", "max")
    )


def test_values_are_counts_over_the_denominator() -> None:
    frame = panel()
    given = (frame["deaths"] / frame["residents"]).to_numpy().reshape(-1, YEARS)
    np.testing.assert_allclose(study(frame).values("deaths"), given, rtol=1e-15)


@pytest.mark.parametrize(
    "design",
    [ek.StaggeredRollout(), ek.StaggeredRollout(compare="cross_sections"), ek.JointEventStudy(), ek.Imputation(),
     ek.TwoWayFixedEffects(), ek.ScaledRollout(scale="log"), ek.DifferenceInDifferences(after=(4, 7)),
     ek.InterruptedTimeSeries()],
)  # fmt: skip
def test_wards_and_the_places_that_they_make_up_have_one_answer(design) -> None:
    """Sums of counts over sums of residents, whatever rows they come in."""
    frame = panel()
    one, whole = design(study(frame), "law"), design(study(by_place(frame), unit="place"), "law")
    np.testing.assert_allclose(one.value, whole.value, atol=1e-12)


def test_a_place_weighs_by_its_residents_and_by_the_weights_of_the_study() -> None:
    frame = by_place(panel())
    plain = frame.assign(rate=frame["deaths"] / frame["residents"])
    asked = {"unit": "place", "period": "year", "components": ["law"]}
    weighed = ek.Study(plain, outcome="rate", weights="residents", **asked)
    one = ek.StaggeredRollout()(study(frame, unit="place"), "law")
    np.testing.assert_allclose(one.value, ek.StaggeredRollout()(weighed, "law").value, atol=1e-15)
    once = study(frame, unit="place", weights="residents")
    np.testing.assert_allclose(one.value, ek.StaggeredRollout()(once, "law").value, atol=1e-15)
    twice = study(frame.assign(w=frame["place"] % 3 + 1.0), unit="place", weights="w")
    both = ek.Study(
        plain.assign(w=(frame["place"] % 3 + 1.0) * frame["residents"]), outcome="rate", weights="w", **asked
    )
    np.testing.assert_allclose(
        ek.StaggeredRollout()(twice, "law").value, ek.StaggeredRollout()(both, "law").value, atol=1e-15
    )


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("residents", 0.0, "is 0"), ("residents", np.nan, "is missing where there is a count"),
     ("residents", -5.0, "above 0"), ("deaths", -1.0, "0 or more")],
)  # fmt: skip
def test_a_denominator_that_cannot_be_divided_by_is_refused_with_its_rows(column, value, said) -> None:
    frame = panel().astype({column: float})
    frame.loc[3, column] = value
    with pytest.raises(OutcomeError, match=said) as caught:
        study(frame).values("deaths")
    assert "3" in str(caught.value) or "year" in str(caught.value)


def test_where_nothing_was_counted_nothing_is_divided() -> None:
    frame = panel().astype({"deaths": float, "residents": float})
    frame.loc[3, ["deaths", "residents"]] = np.nan
    found = study(frame)
    assert np.isnan(found.values("deaths")[0, 3]) and np.isfinite(found.values("deaths")).sum() == len(frame) - 1
    assert np.isfinite(found.weighing("deaths").paths.weights).all()


def test_a_missing_column_is_refused_by_name() -> None:
    with pytest.raises(OutcomeError, match="residents.*rate per"):
        study(panel().drop(columns="residents")).values("deaths")
    with pytest.raises(OutcomeError, match="residents"):
        study(panel().drop(columns="residents")).check_header()


@pytest.mark.parametrize("options", [{"kind": "rate"}, {"kind": "count", "per": "residents"},
                                     {"kind": "rate", "per": "deaths"}])  # fmt: skip
def test_a_rate_is_per_something_and_nothing_else_is(options) -> None:
    with pytest.raises(OptionError, match="per"):
        ek.Outcome("deaths", **options)


def test_the_study_file_says_it_and_gives_it_back(tmp_path) -> None:
    first = study(panel())
    again = ek.Study.load(first.save(tmp_path))
    assert again.outcome() == RATE
    np.testing.assert_array_equal(again.values(), first.values())
    text = (tmp_path / "study.toml").read_text(encoding="utf-8").replace("per = ", "pre = ")
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match="per"):
        ek.Study.load(tmp_path / "study.toml")


def test_shorthand_takes_per() -> None:
    made = ek.Study(panel(), unit="ward", period="year", cluster="place", outcome="deaths", kind="rate",
                    per="residents", components=["law"])  # fmt: skip
    assert made.outcome().per == "residents" and made.outcome().unit == "events for each of residents"


def test_it_is_said_per_what() -> None:
    scale = scale_for([-0.006], "rate", Nouns(whom="residents", period="year"))
    assert scale.effect(-0.006) + scale.tail == "about 6 fewer for every 1,000 residents each year"
    assert size_words(0.00002, "rate", whom="residents") == "2 for every 100,000 residents"
    assert size_words(0.4, "rate", period="month", whom="person years") == "40 for every 100 person years"


def test_an_evaluation_says_a_rate_per_what_and_adds_up_counts() -> None:
    found = ek.evaluate(study(panel()))
    row = found.verdicts.iloc[0]
    assert row["direction"] == "better" and "for every 1,000 residents each year" in row["sentence"]
    programme = found.attribution.total
    counted = panel().query("law == 1")["residents"].sum()
    assert programme == pytest.approx(-0.006 * counted, rel=0.25)


def test_a_rate_is_everywhere_its_values_weighted_by_what_it_is_per() -> None:
    """Whatever an evaluation says of it; the weights of the regression that everybody runs, and its peer's, too."""
    frame = panel().assign(law2=lambda d: ((d["place"] % 3 == 0) & (d["year"] >= 6)).astype(int))
    frame["rate"] = frame["deaths"] / frame["residents"]
    common = {"unit": "ward", "period": "year", "cluster": "place", "components": ["law", "law2"]}
    rate = ek.Study(frame, outcomes=[RATE], **common)
    weighted = ek.Study(frame, outcome="rate", better="lower", matters=0.002, weights="residents", **common)
    one, two = ek.evaluate(rate), ek.evaluate(weighted)
    words = ["outcome", "characteristic", "sentence", "words", "reasons"]
    for name in ("verdicts", "effects", "checks", "over_time", "baseline", "leave_one_out"):
        tables = [getattr(e, name).drop(columns=words, errors="ignore") for e in (one, two)]
        # counts are looked at on their scale too
        tables = [t[t.get("check", "") != "scale"] for t in tables] if name == "checks" else tables
        tables = [t[~t["design"].str.startswith("Scaled")] for t in tables] if name == "effects" else tables
        pd.testing.assert_frame_equal(*(t.reset_index(drop=True) for t in tables), obj=name)
    pd.testing.assert_frame_equal(one.contamination("law"), two.contamination("law"))
    theirs = (ek.TwoWayFixedEffects().panel_ols(s, "place").params["law"] for s in (rate, weighted))
    assert next(theirs) == pytest.approx(next(theirs)) == ek.TwoWayFixedEffects()(rate, "law").value[0]


@pytest.mark.parametrize("design", [ek.MatchedComparison(), ek.WeightedComparison()])
def test_people_of_whom_nothing_was_counted_are_unseen_and_have_no_weight_of_zero(design: object) -> None:
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame({"id": np.arange(n), "x": rng.normal(size=n), "got": np.arange(n) % 2, "days": 100.0})
    frame["visits"] = rng.poisson(8, n).astype(float)
    frame.loc[:14, "visits"] = np.nan
    rate = ek.Outcome("visits", kind="rate", per="days")
    one = ek.Study(frame, unit="id", period=None, components=["got"], outcome=rate, covariates=["x"])
    assert design(one, "got").to_frame()["units_not_seen"].item() == 15  # type: ignore[operator]
    left = design.people(one, "got").left_out  # type: ignore[attr-defined]
    assert dict(zip(left["reason"], left["people"], strict=True)) == {"nothing was counted of them": 15}
