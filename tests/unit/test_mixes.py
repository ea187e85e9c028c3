"""Several components in a cross-section: every mix, factorial trials and their aliases, by hand and beside others."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import evalkit as ek
from evalkit.designs.people.folds import deal_folds, stacked
from evalkit.designs.trials.factorial import Alias, aliases


def world(n: int = 1500, seed: int = 0, doses: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    score = np.column_stack([np.zeros(n), -0.3 + 0.6 * x[:, 0], -0.3 + 0.5 * x[:, 1], -0.6 + 0.3 * x.sum(axis=1)])
    chance = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    mix = (rng.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    a, b = np.isin(mix, (1, 3)).astype(int), np.isin(mix, (2, 3)).astype(int)
    a = a * (1 + (rng.random(n) < 0.5)) if doses else a
    y = 0.6 * x[:, 0] + 0.5 * x[:, 1] + 0.5 * a + 0.3 * b - 0.2 * (a > 0) * b + rng.normal(size=n)
    return pd.DataFrame({"person": np.arange(n), "a": a, "b": b, "x0": x[:, 0], "x1": x[:, 1], "y": y})


def study(
    frame: pd.DataFrame, covariates: tuple[str, ...] = ("x0", "x1"), dealt: bool = False, names=("a", "b")
) -> ek.Study:
    how = "randomised" if dealt else None
    return ek.Study(frame, unit="person", period=None, outcome="y", covariates=covariates,
                    components=[ek.Component(c, assigned=how) for c in names])  # fmt: skip


class TestMixes:
    def test_every_identified_effect_is_there_and_holds_the_truth(self):
        table = ek.MixComparison()(study(world(4000))).to_frame().set_index("effect")
        truth = {"b against none": 0.3, "a against none": 0.5, "a and b against none": 0.6, "a where b": 0.3,
                 "b where a": 0.1, "a and b beyond the sum": -0.2}  # fmt: skip
        assert set(table.index) == set(truth)
        for name, value in truth.items():
            assert abs(table.loc[name, "estimate"] - value) < 3 * table.loc[name, "std_error"] < 0.35

    def test_without_covariates_they_are_means_and_hold_together(self):
        frame = world()
        est = ek.MixComparison()(study(frame, ()))
        means = frame.groupby(["a", "b"])["y"].mean()
        rows = list(est.labels["effect"])
        assert est.value[rows.index("a where b")] == pytest.approx(means[1, 1] - means[0, 1])
        one, two, both, beyond = (
            rows.index(r)
            for r in ("a against none", "b against none", "a and b against none", "a and b beyond the sum")
        )
        weights = np.zeros(len(rows))
        weights[[both, one, two, beyond]] = 1, -1, -1, -1
        left = est.contrast(weights, name="both less the sum less what is beyond it")
        assert left.value[0] == pytest.approx(0, abs=1e-12) and left.vcov()[0, 0] == pytest.approx(0, abs=1e-15)

    def test_the_same_as_econml_within_chance(self):
        dr = pytest.importorskip("econml.dr")
        from sklearn.linear_model import LinearRegression, LogisticRegression

        frame = world(3000, 2)
        mix = frame["a"] + 2 * frame["b"]
        other = dr.LinearDRLearner(
            model_propensity=LogisticRegression(C=1e4), model_regression=LinearRegression(), cv=5, random_state=0
        )
        x = frame[["x0", "x1"]].to_numpy()
        other.fit(frame["y"], mix, X=None, W=x)
        theirs = [float(other.ate(T0=0, T1=t)) for t in (1, 2, 3)]
        mine = ek.MixComparison()(study(frame)).to_frame().set_index("effect")
        names = ["a against none", "b against none", "a and b against none"]
        assert np.abs(mine.loc[names, "estimate"].to_numpy() - theirs).max() < 0.5 * mine["std_error"].max()

    def test_doses_stay_doses(self):
        table = ek.MixComparison()(study(world(3000, doses=True))).to_frame().set_index("effect")
        once, twice = (table.loc[f"a at {d} against none", "estimate"] for d in (1, 2))
        assert twice - once == pytest.approx(0.5, abs=0.25)

    def test_doses_are_called_what_they_are_and_not_by_their_rank(self):
        frame = world(3000, doses=True).assign(a=lambda f: 10 * f["a"])
        said = ek.MixComparison()(study(frame)).labels["effect"]
        assert {"a at 10 against none", "a at 20 against none", "b where a at 20"} <= set(said)
        assert not said.str.contains("a at 2 ").any()
        assert {"a at dose 10", "a at dose 20"} <= set(ek.FlexibleComparison().people(study(frame), "b").names)

    def test_one_component_of_several_doses_is_not_on_or_off_in_silence(self):
        frame = world(3000, doses=True)
        ev = ek.evaluate(study(frame, names=("a",)))
        assert list(ev.mixes["effect"]) == ["a at 1 against none", "a at 2 against none"]
        assert "Its two doses count alike here." in ev.verdicts["sentence"][0] and "mixes" in ev.frames()
        assert "doses" not in ek.evaluate(study(frame, names=("b",))).verdicts["sentence"][0]

    def test_small_mixes_are_counted_and_one_component_can_be_asked_for(self):
        frame = world(400)
        keep = ~((frame["a"] == 1) & (frame["b"] == 1)) | (frame.groupby(["a", "b"]).cumcount() < 20)
        est = ek.MixComparison()(study(frame[keep]), "a")
        assert list(est.labels["effect"]) == ["a against none"] and est.labels["not_compared"][0] == 20
        with pytest.raises(ek.EvalkitError, match="Fewer than two mixes"):
            ek.MixComparison()(study(frame[:60]))

    def test_learners_that_cannot_are_refused(self):
        with pytest.raises(ek.EvalkitError, match="score=.*predict_proba"):
            ek.MixComparison(score=object())

    def test_folds_keep_groups_whole_and_weights_are_shares(self):
        rng = np.random.default_rng(0)
        groups = np.repeat(np.arange(20), 7)
        fold = deal_folds(np.zeros(140), 5, rng, groups)
        assert all(len(set(fold[groups == g])) == 1 for g in range(20)) and np.bincount(fold).min() == 28
        y = rng.normal(size=300)
        weights = stacked(np.column_stack([y + rng.normal(size=300), y, np.zeros(300)]), y, np.ones(300))
        assert weights.sum() == pytest.approx(1) and weights[1] == pytest.approx(1, abs=1e-3)


def factorial_frame(k: int, each: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    mixes = np.repeat(np.array(list(product([0, 1], repeat=k))), each, axis=0)
    frame = pd.DataFrame(mixes, columns=list("abcde")[:k]).assign(person=np.arange(len(mixes)))
    return frame.assign(y=frame["a"] * 0.5 + rng.normal(size=len(mixes)))


class TestFactorial:
    def test_the_pilot_plant_of_box_hunter_and_hunter(self):
        runs = np.array(list(product([0, 1], repeat=3)))[:, ::-1]
        frame = pd.DataFrame(runs, columns=["t", "c", "k"]).assign(person=range(8), y=[60, 72, 54, 68, 52, 83, 45, 80])
        est = ek.FactorialComparison()(study(frame, (), True, ("t", "c", "k")))
        assert dict(zip(est.labels["component"], est.value, strict=True)) == pytest.approx(
            {"t": 23, "c": -5, "k": 1.5, "t:c": 1.5, "t:k": 10, "c:k": 0, "t:c:k": 0.5}
        )
        assert (est.to_frame()["reason"].str.contains("as many effects as people")).all()

    def test_the_textbook_fraction_has_its_seven_classes(self):
        base = np.array(list(product([0, 1], repeat=3)))
        a, b, c = base.T
        mixes = np.column_stack([a, b, c, 1 - (a ^ b), 1 - (a ^ c)])
        classes, lost = aliases(mixes)
        words = [cl.words(tuple("ABCDE")) for cl in classes]
        assert len(words) == 7 and words[0].startswith("A = B:D = C:E")
        assert {w.split(" = ")[0] for w in words} == {"A", "B", "C", "D", "E", "B:C", "B:E"}
        assert {"".join("ABCDE"[i] for i in e) for e in lost} == {"ABD", "ACE", "BCDE"}

    def test_equal_to_least_squares_with_effect_coding(self):
        frame = factorial_frame(3, 6)
        est = ek.FactorialComparison()(study(frame, (), True, ("a", "b", "c")))
        z = 2 * frame[["a", "b", "c"]].to_numpy() - 1
        names = [n.split(":") for n in est.labels["component"]]
        columns = np.column_stack([z[:, ["abc".index(c) for c in n]].prod(axis=1) / 2 for n in names])
        fit = sm.OLS(frame["y"], sm.add_constant(columns)).fit(cov_type="HC2")
        table = est.to_frame()
        np.testing.assert_allclose(table["estimate"], fit.params.iloc[1:], atol=1e-12)
        np.testing.assert_allclose(table["std_error"], fit.bse.iloc[1:], rtol=1e-9)
        assert (table["df"] == len(frame) - 8).all()

    def test_a_fraction_names_what_its_numbers_may_be(self):
        frame = factorial_frame(3, 4)
        frame = frame[(frame["a"] + frame["b"] + frame["c"]) % 2 == 1]
        est = ek.FactorialComparison()(study(frame, (), True, ("a", "b", "c")))
        assert list(est.labels["aliases"]) == ["a = b:c", "b = a:c", "c = a:b"] and est.labels["lost"][0] == "a:b:c"
        only = ek.FactorialComparison()(study(frame, (), True, ("a", "b", "c")), "b")
        assert list(only.labels["component"]) == ["b"] and only.value[0] == est.value[1]

    def test_sums_carry_their_range(self):
        est = ek.FactorialComparison()(study(factorial_frame(2, 20), (), True))
        both = est.select(np.array([0, 1])).contrast([1, 1], name="both against none").to_frame().iloc[0]
        assert both["df"] == 76 and both["std_error"] == pytest.approx(np.sqrt(est.vcov()[:2, :2].sum()))

    def test_what_it_is_not_for_is_refused(self):
        with pytest.raises(ek.EvalkitError, match="chance dealt no component"):
            ek.FactorialComparison()(study(world()))
        frame = world(200, doses=True)
        with pytest.raises(ek.EvalkitError, match="a came in doses"):
            ek.FactorialComparison()(study(frame, dealt=True))

    def test_each_component_of_a_factorial_is_shown_by_the_ladder(self):
        frame = factorial_frame(2, 60)
        ev = ek.evaluate(study(frame, (), True).replace(outcomes=[ek.Outcome("y", matters=0.2)]))
        assert list(ev.verdicts["design"]) == ["RandomisedComparison"] * 2
        fit = sm.OLS(frame["y"], sm.add_constant(frame[["a", "b"]])).fit()
        assert list(ev.verdicts["estimate"]) == pytest.approx(list(fit.params[["a", "b"]]))


def test_an_alias_says_its_signs():
    assert Alias(((0,), (1, 2)), (1, -1)).words(("a", "b", "c")) == "a = -b:c"


class TestInAnEvaluation:
    """Numbers from the mixes alone: no learner is run."""

    def test_the_total_is_that_of_mixes_and_its_pieces_add_up(self):
        from evalkit.evaluation.mixed import attribution_of_mixes

        frame = world(3000)
        made = study(frame)
        found = attribution_of_mixes(_evaluated(made), made.outcome())
        rows = found.pieces.set_index("piece")
        assert rows["estimate"].sum() == pytest.approx(found.total)
        both = float(((frame["a"] == 1) & (frame["b"] == 1)).sum())
        for piece, truth in (("a", 0.5 * frame["a"].sum()), ("b", 0.3 * frame["b"].sum()),
                             ("a and b together, beyond the sum", -0.2 * both)):  # fmt: skip
            assert rows.loc[piece, "conf_low"] < truth < rows.loc[piece, "conf_high"]
        assert rows.loc["a", "people_periods"] == frame["a"].sum()
        table = ek.MixComparison()(made).to_frame().set_index("effect")["estimate"]
        alone = frame.groupby(["a", "b"]).size()
        total = sum(alone[m] * table[w] for m, w in (((1, 0), "a against none"), ((0, 1), "b against none"),
                                                     ((1, 1), "a and b against none")))  # fmt: skip
        assert found.total == pytest.approx(total)
        orders = found.orders.set_index(["component", "order"])["estimate"]
        assert orders["a", "last_in"] - orders["a", "first_in"] == pytest.approx(
            rows.loc["a and b together, beyond the sum", "estimate"]
        )
        assert found.shapley["estimate"].sum() == pytest.approx(found.total)
        assert found.gross - found.expected_without == pytest.approx(found.total)

    def test_a_mix_whose_parts_were_not_seen_is_not_divided(self):
        from evalkit.evaluation.mixed import attribution_of_mixes

        frame = world(2000)
        frame = frame[(frame["a"] == frame["b"]) | (frame["b"] == 1)]
        made = study(frame)
        found = attribution_of_mixes(_evaluated(made), made.outcome())
        assert list(found.pieces["kind"]) == ["own", "undivided"]
        assert found.pieces["estimate"].sum() == pytest.approx(found.total)
        nobody = study(frame[(frame["a"] == 1) | (frame["b"] == 1)])
        assert attribution_of_mixes(_evaluated(nobody), nobody.outcome()) is None

    def test_mixes_of_few_people_are_not_told_of(self):
        from evalkit.evaluation.mixed import mixes_table

        made = study(world())
        table = mixes_table(made, 0.95, 0)
        assert len(table) == 6 and table["estimate"].notna().all()
        hidden = mixes_table(made, 0.95, 10_000)
        assert hidden["estimate"].isna().all() and hidden["reason"].str.startswith("too few people").all()


def _evaluated(made: ek.Study):
    from types import SimpleNamespace

    return SimpleNamespace(study=made, level=0.95)


class TestWhatWasDealtOtherwise:
    """Blocks, groups and weights: refused where they are not taken into account, errors of groups where they are."""

    @staticmethod
    def dealt(frame: pd.DataFrame, weights: str | None = None, **how: str) -> ek.Study:
        parts = [ek.Component(c, assigned="randomised", **how) for c in "ab"]
        outcome = ek.Outcome("y", matters=0.3)
        return ek.Study(frame, unit="person", period=None, components=parts, outcome=outcome, weights=weights)

    def test_blocks_and_weights_are_refused_and_no_whole_is_made_of_them(self):
        rng, n = np.random.default_rng(0), 400
        site = np.repeat([0, 1], n // 2)
        had = {c: (rng.random(n) < np.where(site == 1, 0.8, 0.2)).astype(int) for c in "ab"}
        frame = pd.DataFrame({"person": np.arange(n), "site": site, **had, "y": 2.0 * site + rng.normal(size=n)})
        made = self.dealt(frame, within="site")
        weighed = self.dealt(frame.assign(w=1.0 + site), weights="w")
        for study_, words in ((made, "dealt within blocks"), (weighed, "weigh unlike")):
            for design in (ek.FactorialComparison(), ek.MixComparison()):
                with pytest.raises(ek.EvalkitError, match=words):
                    design(study_)
        table = ek.evaluate(made).decisions.table.set_index("component")
        assert np.isnan(table.loc["programme", "chance_better"]) and np.isfinite(table.loc["a", "chance_better"])

    def test_groups_have_errors_of_groups(self):
        found = []
        for seed in range(12):
            rng, schools, each = np.random.default_rng(seed), 16, 20
            had = {c: rng.permutation(np.repeat([0, 1], schools // 2)) for c in "ab"}
            school = np.repeat(np.arange(schools), each)
            y = rng.normal(size=schools)[school] + rng.normal(size=schools * each)
            frame = pd.DataFrame({"person": np.arange(len(y)), "school": school, "y": y})
            made = self.dealt(frame.assign(**{c: v[school] for c, v in had.items()}), assigned_at="school")
            row = ek.MixComparison()(made, "a").to_frame().iloc[0]
            found.append(row["conf_low"] > 0 or row["conf_high"] < 0)
            assert row["inference"] == "clustered" and row["df"] < schools
        assert sum(found) <= 2
        with pytest.raises(ek.EvalkitError, match="dealt to groups"):
            ek.FactorialComparison()(made)
        with pytest.raises(ek.EvalkitError, match="order=0"):
            ek.FactorialComparison(order=0)


def test_a_whole_of_which_chance_dealt_a_part_has_its_range_and_no_chance() -> None:
    frame = world(800)
    frame["a"] = np.random.default_rng(1).integers(0, 2, len(frame))
    money = {
        "costs": pd.DataFrame({"component": ["a", "b"], "amount": [1000.0, 2000.0]}),
        "unit_costs": pd.DataFrame({"outcome": ["y"], "value": [50.0]}),
    }
    parts, outcome = [ek.Component("a", assigned="randomised"), ek.Component("b")], ek.Outcome("y", matters=0.2)
    made = ek.evaluate(ek.Study(frame, unit="person", period=None, covariates=("x0", "x1"), outcome=outcome,
                                components=parts, money=money))  # fmt: skip
    line = next(d for d in made.decisions.lines if d.case.name == "programme")
    row = made.value.table.set_index("name").loc["programme"]
    assert line.act == "hold_and_test" and np.isnan(line.chance_better) and "“b”" in line.case.withheld
    people = row["additional"] / line.case.estimate
    ends = row[["additional_low", "additional_high"]].astype(float) / people
    assert [line.case.conf_low, line.case.conf_high] == pytest.approx(list(ends))
