"""What nobody recorded: the published figures of Darfur, and what they mean, by simulation of the thing itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import evalkit as ek
from evalkit import checks
from evalkit.checks.sensitivity import adjusted_for, as_strong_as, robustness_value, sensitivity

DARFUR = (0.09731581928496041, 0.0232565378098112, 783.0)
FEMALE = (0.009081065190329793, 0.10903391542784102)


def test_darfur_as_published():
    t = DARFUR[0] / DARFUR[1]
    assert round(robustness_value(t, 783), 4) == 0.1388 and round(robustness_value(t, 783, alpha=0.05), 4) == 0.0763
    found = [as_strong_as(DARFUR, *FEMALE, times) for times in (1, 2, 3)]
    assert [round(f["estimate"], 4) for f in found] == [0.0752, 0.0529, 0.0304]
    assert [round(f["t"], 2) for f in found] == [3.44, 2.6, 1.63]


def test_something_as_strong_as_the_robustness_value_takes_it_all_away():
    strength = robustness_value(4.0, 300)
    assert adjusted_for((0.4, 0.1, 300), strength, strength)[0] == pytest.approx(0, abs=1e-12)
    half = robustness_value(4.0, 300, share=0.5)
    assert adjusted_for((0.4, 0.1, 300), half, half)[0] == pytest.approx(0.2)
    limit = robustness_value(4.0, 300, alpha=0.05)
    value, se = adjusted_for((0.4, 0.1, 300), limit, limit)
    from scipy import stats

    assert value / se == pytest.approx(stats.t.ppf(0.975, 299), rel=1e-6)
    assert robustness_value(1.0, 300, alpha=0.05) == 0


def test_it_says_what_a_recorded_covariate_would_have_done():
    """Leave out a covariate and give its own partial R2: the answer is that of the regression with it."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 400))
    d = (0.5 * x + 0.8 * z + rng.normal(size=400) > 0).astype(float)
    y = x + z + 0.2 * d + rng.normal(size=400)
    short = sm.OLS(y, np.column_stack([d, np.ones(400), x])).fit()
    full = sm.OLS(y, np.column_stack([d, np.ones(400), x, z])).fit()
    on_d = sm.OLS(d, np.column_stack([np.ones(400), x, z])).fit()
    r2 = [f.tvalues[j] ** 2 / (f.tvalues[j] ** 2 + f.df_resid) for f, j in ((on_d, 2), (full, 3))]
    value, se = adjusted_for((short.params[0], short.bse[0], short.df_resid), *r2)
    assert value == pytest.approx(full.params[0]) and se == pytest.approx(full.bse[0])


def test_through_a_study_it_informs_and_names_the_strongest():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"person": range(300), "need": rng.normal(size=300), "age": rng.normal(size=300)})
    frame["t"] = (frame["need"] + rng.normal(size=300) > 0).astype(int)
    frame["y"] = frame["need"] + 0.5 * frame["t"] + rng.normal(size=300)
    study = ek.Study(frame, unit="person", period=None, outcome="y", components=["t"], covariates=("need", "age"))
    found = checks.sensitivity_of(study, "t")
    assert set(found.benchmarks["covariate"]) == {"need", "age"} and found.contours().iloc[0, 0] == found.value
    assert found.contours().iloc[-1, -1] < found.value
    said = checks.unrecorded(found)
    assert said.status == "informational" and "as strong as need" in said.words
    assert "through the same record" in checks.unrecorded(found, bends=True).words
    assert checks.unrecorded(None) is None
    assert checks.sensitivity_of(study.replace(covariates=()), "t") is None


def test_weights_of_a_study_are_those_of_the_regression():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"person": range(300), "need": rng.normal(size=300), "weight": rng.integers(0, 5, 300)})
    frame["t"] = (frame["need"] + rng.normal(size=300) > 0).astype(int)
    frame["y"] = frame["need"] + 0.2 * frame["weight"] * frame["t"] + rng.normal(size=300)
    made = ek.Study(frame, unit="person", period=None, outcome="y", components=["t"], covariates=("need",),
                    weights="weight")  # fmt: skip
    found, used = checks.sensitivity_of(made, "t"), frame[frame["weight"] > 0]
    fit = sm.WLS(used["y"], sm.add_constant(used[["t", "need"]]), weights=used["weight"]).fit()
    said = (found.value, found.std_error, found.df)
    assert said == pytest.approx((fit.params["t"], fit.bse["t"], fit.df_resid))
    row = found.benchmarks.iloc[0]
    on_t = sm.WLS(used["t"], sm.add_constant(used[["need"]]), weights=used["weight"]).fit().rsquared
    of_y = fit.tvalues["need"] ** 2 / (fit.tvalues["need"] ** 2 + fit.df_resid)
    assert row["estimate"] == pytest.approx(as_strong_as(said, on_t, of_y)["estimate"])


def test_a_regression_that_tells_nothing_is_refused():
    with pytest.raises(ek.EvalkitError, match="cannot tell"):
        sensitivity(np.arange(4.0), np.array([1, 0, 1, 0]), np.array([[1.0], [0], [1], [0]]), ["same"])
    with pytest.raises(ek.EvalkitError, match="df=1"):
        robustness_value(2.0, 1)
