"""An econometrician's hands: summaries, names of statsmodels, tables side by side, clones, figures in own axes."""

from __future__ import annotations

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

import evalkit as ek
from evalkit.errors import OptionError
from tests.unit.site_cases import two_by_site


@pytest.fixture(scope="module")
def study() -> ek.Study:
    frame = two_by_site(1.0)
    return ek.Study(frame, unit="site", period="month", outcome="y", components=["a", "b"])


@pytest.fixture(scope="module")
def est(study: ek.Study) -> ek.Estimate:
    return ek.StaggeredRollout()(study, "a")


def test_names_of_statsmodels_say_what_the_table_says(est: ek.Estimate) -> None:
    by_time = est.aggregate("event_time")
    table = by_time.to_frame()
    assert list(by_time.params.index) == [f"event_time={t}" for t in table["event_time"]]
    for mine, column in ((by_time.params, "estimate"), (by_time.bse, "std_error"), (by_time.pvalues, "p_value")):
        np.testing.assert_array_equal(mine.to_numpy(), table[column].to_numpy())
    ends, narrow = by_time.conf_int(), by_time.conf_int(alpha=0.1)
    np.testing.assert_array_equal(ends.to_numpy(), table[["conf_low", "conf_high"]].to_numpy())
    assert (narrow[0] > ends[0])[~ends[0].isna()].all() and list(ends.index) == list(by_time.params.index)
    assert not est.params.index.duplicated().any() and list(est.aggregate().params.index) == ["a"]


def test_aggregate_is_simple_unless_said_otherwise(est: ek.Estimate) -> None:
    assert est.aggregate().value == est.aggregate("simple").value


def test_a_summary_prints_and_is_a_table(est: ek.Estimate) -> None:
    printed = str(est.aggregate().summary(level=0.9))
    row = est.aggregate().to_frame(0.9).iloc[0]
    for words in (f"{row['estimate']:.4g}", f"{row['conf_low']:.4g}", "90% from", "jackknife"):
        assert words.replace("-", "−") in printed
    assert "<caption>" in est.summary().to_html()


def test_stack_takes_a_list(study: ek.Study) -> None:
    both = [ek.StaggeredRollout()(study, c).aggregate() for c in "ab"]
    np.testing.assert_array_equal(ek.stack(both).vcov(), ek.stack(*both).vcov())
    with pytest.raises(ek.EvalkitError, match="str has no contributions"):
        ek.stack([*both, "c"])


def test_an_interval_is_a_row_like_any_other(est: ek.Estimate) -> None:
    frame = ek.Interval(2.0, 1.0, 4.0, "bounds").to_frame()
    assert frame.loc[0, ["estimate", "conf_low", "conf_high", "inference"]].tolist() == [2.0, 1.0, 4.0, "bounds"]
    assert set(frame) <= set(est.to_frame()) and np.isnan(frame.loc[0, "std_error"])


def test_estimates_stand_side_by_side(study: ek.Study, est: ek.Estimate, tmp_path) -> None:
    never = ek.StaggeredRollout(comparison="never")(study, "a")
    made = ek.compare({"not yet": est.aggregate(), "never": never.aggregate()}, ek.Interval(1.0, 0.0, 2.0, "bounds"))
    assert made.names == ("not yet", "never", "(3)") and set(made.to_frame()["row"]) == {"a"}
    wanted = [est.aggregate().value[0], never.aggregate().value[0], 1.0]
    np.testing.assert_array_equal(made.to_frame()["estimate"].to_numpy(), wanted)
    for text in (str(made), made.to_markdown(), made.to_html(), made.to_latex()):
        assert "never" in text and f"{wanted[0]:.2f}" in text
    assert made.to_latex().count("&") == 3 * made.to_latex().count(r"\\") and "_" not in made.to_latex()
    docx = pytest.importorskip("docx")
    cells = [c.text for c in docx.Document(str(made.to_word(tmp_path / "t.docx"))).tables[0].columns[1].cells]
    assert cells[0] == "not yet" and f"{wanted[0]:.2f}" in cells


def test_rows_by_event_time_meet_in_one_row(study: ek.Study, est: ek.Estimate) -> None:
    joint = ek.JointEventStudy()(study, "a").aggregate("event_time")
    table = ek.compare([est.aggregate("event_time"), joint], names=["one", "two"]).to_frame()
    shared = table.groupby("row")["name"].nunique()
    assert shared["event time 0"] == 2 and (table["row"] == "event time 0").sum() == 2


@pytest.mark.parametrize(
    ("given", "names", "words"),
    [((), None, "at least one"), (("x",), None, "str is neither"), ((1,), ["a", "b"], "2 entries for 1")],
)
def test_what_cannot_be_compared_is_refused(est: ek.Estimate, given, names, words) -> None:
    chosen = [est.aggregate() if g == 1 else g for g in given]
    with pytest.raises(ek.EvalkitError, match=words):
        ek.compare(*chosen, names=names)


def test_latex_takes_any_label(study: ek.Study) -> None:
    renamed = study.replace(components=[ek.Component("50%_a & b", exposure="a"), "b"])
    one = ek.StaggeredRollout()(renamed, "50%_a & b").aggregate()
    assert r"50\%\_a \& b" in ek.compare(one).to_latex() and r"a & b" not in ek.compare(one).to_latex()


def test_figures_are_drawn_from_estimates_and_into_axes(study: ek.Study, est: ek.Estimate) -> None:
    figure, (left, right) = plt.subplots(1, 2)
    assert ek.plot.event_study(est, ax=left) is left and ek.plot.estimates(est.aggregate(), ax=right) is right
    assert ek.plot.event_study(est.aggregate("event_time").to_frame(), ax=right) is right
    heights = np.concatenate([line.get_ydata() for line in left.lines if line.get_marker() == "o"])
    table = est.aggregate("event_time").to_frame()
    assert set(np.round(heights[np.isfinite(heights)], 9)) <= set(np.round(table["estimate"], 9))
    plt.close(figure)
    assert len(est.plot().axes) == 1 and len(est.aggregate().plot().axes) == 1
    picture = ek.plot.describe(ek.plot.estimates, ek.stack([est.aggregate(), est.aggregate("event_time")]))
    assert "interval" in picture.title and len(picture.data) == 1 + len(table)
    both = ek.stack([ek.StaggeredRollout()(study, c).aggregate("event_time") for c in "ab"])
    with pytest.raises(ek.EvalkitError, match="ax= holds one component, and there are 2"):
        ek.plot.event_study(both, ax=right)
    with pytest.raises(ek.EvalkitError, match="no event times"):
        ek.plot.event_study(est.aggregate())


DESIGNS = [
    ek.StaggeredRollout(base_window=3), ek.DifferenceInDifferences(), ek.TripleDifference(horizon=4),
    ek.JointEventStudy(), ek.Imputation(), ek.TwoWayFixedEffects(),
    ek.MatchedComparison(exact=["a"], caliper={"x": 0.2}),
    ek.WeightedComparison(method="entropy"), ek.RegressionDiscontinuity("score", 0.5), ek.InterruptedTimeSeries(),
    ek.SyntheticControl(), ek.SyntheticDifferenceInDifferences(), ek.FlexibleComparison(folds=4),
    ek.RandomisedComparison(draws=99), ek.FactorialComparison(order=2), ek.MixComparison(seed=3),
    ek.ScaledRollout(), ek.Withdrawn(), ek.CarriedOver(),
]  # fmt: skip


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: type(d).__name__)
def test_scikit_learn_clones_every_design(design) -> None:
    again = clone(design)
    assert again == design and again is not design and type(design)(**design.get_params(deep=False)) == design


def test_no_public_design_is_left_out() -> None:
    public = (getattr(ek, name) for name in ek.__all__ if name != "__version__")
    designs = {d for d in public if isinstance(d, type) and d.__module__.startswith("evalkit.designs.")}
    assert designs == {type(d) for d in DESIGNS}


def test_choices_are_set_in_a_design_of_its_own() -> None:
    first = ek.StaggeredRollout()
    assert first.set_params(base_window=4) == ek.StaggeredRollout(base_window=4) and first.base_window == 1
    with pytest.raises(ek.EvalkitError, match=r"no choice 'base_windw'. Did you mean 'base_window'\?"):
        first.set_params(base_windw=4)
    weighted = ek.WeightedComparison(propensity=LogisticRegression(C=1.0))
    assert weighted.set_params(propensity__C=0.1).propensity.C == 0.1 and weighted.propensity.C == 1.0


def test_a_study_gives_its_rows_back(study: ek.Study) -> None:
    frame = study.to_frame()
    assert list(frame) == ["site", "month", "a", "b", "y"] and len(frame) == 240
    again = ek.Study(frame, unit="site", period="month", outcome="y", components=["a", "b"])
    np.testing.assert_array_equal(again.values(), study.values())
    np.testing.assert_array_equal(again.paths.state[again.paths.path], study.paths.state[study.paths.path])
    gap = ek.Study(frame.drop(index=5), unit="site", period="month", outcome="y", components=["a", "b"])
    assert len(gap.to_frame()) == 239


def test_matching_adjusts_unless_told_not_to() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    got = (x.sum(axis=1) + rng.normal(size=400) > 0.8).astype(int)
    frame = pd.DataFrame({"id": np.arange(400), "got": got, "x": x[:, 0], "z": x[:, 1]})
    frame["y"] = 1.5 * got + 2 * x.sum(axis=1) + rng.normal(0, 0.5, 400)
    study = ek.Study(frame, unit="id", period=None, outcome="y", components=["got"], covariates=("x", "z"))
    value = ek.MatchedComparison()(study, "got").value[0]
    plain = ek.MatchedComparison(adjust=None)(study, "got").value[0]
    assert ek.MatchedComparison().adjust == "auto" and abs(value - 1.5) < 0.3 < abs(plain - 1.5)


@pytest.mark.parametrize("method", ["ipw", "entropy", "aipw"])
def test_nobody_is_weighed_by_nothing(study: ek.Study, method: str) -> None:
    design = ek.WeightedComparison(method=method)
    for act in (design, design.weigh):
        with pytest.raises(ek.EvalkitError, match=r"needs covariates and this study names none. Give covariates="):
            act(study, "a")


def test_estimates_and_evaluations_travel(study: ek.Study, est: ek.Estimate) -> None:
    again = pickle.loads(pickle.dumps(est))
    pd.testing.assert_frame_equal(again.to_frame(), est.to_frame())
    evaluation = ek.evaluate(study)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(evaluation)).verdicts, evaluation.verdicts)


@pytest.mark.parametrize("alpha", [0, 1, 95, "x", None, float("nan"), True])
def test_an_alpha_that_is_none_is_refused_by_its_name(est: ek.Estimate, alpha) -> None:
    with pytest.raises(OptionError, match="alpha="):
        est.conf_int(alpha)


@pytest.mark.parametrize("draw", ["estimates", "event_study", "contamination", "place_charts", "look_lines"])
@pytest.mark.parametrize("given", [3, None, "nurse"])
def test_what_cannot_be_drawn_is_refused(draw: str, given) -> None:
    with pytest.raises(OptionError, match="needs a table or an object with"):
        getattr(ek.plot, draw)(given)
