"""What chance dealt: by hand, by the procedure, through a study and its file, and what is refused at the door."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evalkit as ek
from evalkit import checks
from evalkit.designs.trials import exact, extras, fits
from evalkit.designs.trials.order import Wedge, replay
from evalkit.designs.trials.randomised import Attrition, Balance


def none(n: int) -> np.ndarray:
    return np.zeros((n, 0))


def people(n: int = 120, seed: int = 0) -> pd.DataFrame:
    """Blocks of four, two of each with it; pairs; schools; what was taken up."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"person": np.arange(n), "block": np.arange(n) // 4, "pair": np.arange(n) // 2})
    frame["school"], frame["x"] = np.arange(n) % 12, rng.normal(size=n)
    frame["t"], frame["p"] = 0, 0
    for b in range(n // 4):
        frame.loc[rng.choice(np.arange(4 * b, 4 * b + 4), 2, replace=False), "t"] = 1
    frame.loc[2 * np.arange(n // 2) + rng.integers(0, 2, n // 2), "p"] = 1
    frame["c"] = (frame["school"] % 2 == 0).astype(int)
    frame["took"] = frame["t"] * (rng.random(n) < 0.7)
    frame["y"] = frame["x"] + frame["t"] + rng.normal(size=n)
    return frame


def study(frame: pd.DataFrame, component: ek.Component, **more) -> ek.Study:
    said = {"unit": "person", "period": None, "outcome": ek.Outcome("y", matters=0.3), "covariates": ("x",)} | more
    return ek.Study(frame, components=[component], **said)


def randomised(name: str = "t", **said) -> ek.Component:
    return ek.Component(name, assigned="randomised", **said)


class TestByHand:
    def test_people_without_covariates_are_welchs_difference(self):
        f = people()
        y, t = f["y"].to_numpy(), f["t"].to_numpy() == 1
        fit = fits.of_people(y, t, none(len(y)), False)
        assert fit.value == pytest.approx(y[t].mean() - y[~t].mean())
        assert fit.variance == pytest.approx(y[t].var(ddof=1) / t.sum() + y[~t].var(ddof=1) / (~t).sum())
        assert fit.parts @ fit.parts == pytest.approx(fit.variance)

    def test_unequal_arms_have_the_degrees_of_freedom_of_bell_and_mccaffrey(self):
        t = np.array([True] * 3 + [False] * 9)
        fit = fits.of_people(np.random.default_rng(0).normal(size=12), t, none(12), False)
        v = np.array([1 / 3, 1 / 9])  # of each arm's mean when all have one variance
        assert fit.df == pytest.approx(v.sum() ** 2 / (v[0] ** 2 / 2 + v[1] ** 2 / 8))

    def test_pairs_are_the_paired_t_test(self):
        f = people()
        t = f["p"].to_numpy() == 1
        fit = fits.of_pairs(f["y"].to_numpy(), t, none(len(f)), f["pair"].to_numpy())
        wide = f.pivot(index="pair", columns="p", values="y")
        test = stats.ttest_rel(wide[1], wide[0])
        assert fit.value / np.sqrt(fit.variance) == pytest.approx(test.statistic) and fit.df == pytest.approx(59)

    def test_blocks_weigh_by_their_people(self):
        y = np.array([1.0, 2, 4, 8, 3, 5, 9, 1, 2, 7])
        t = np.array([1, 0, 1, 0, 1, 1, 0, 0, 0, 1]) == 1
        block = np.array([0] * 4 + [1] * 6)
        fit = fits.of_blocks(y, t, none(10), block)
        gaps, variances = [], []
        for b in (0, 1):
            one, zero = y[(block == b) & t], y[(block == b) & ~t]
            gaps.append(one.mean() - zero.mean())
            variances.append(one.var(ddof=1) / len(one) + zero.var(ddof=1) / len(zero))
        assert fit.value == pytest.approx(0.4 * gaps[0] + 0.6 * gaps[1])
        assert fit.variance == pytest.approx(0.16 * variances[0] + 0.36 * variances[1])

    def test_blocks_of_one_with_it_vary_between_blocks(self):
        rng = np.random.default_rng(2)
        block, t = np.repeat(np.arange(8), 3), np.tile([True, False, False], 8)
        y = rng.normal(size=24)
        fit = fits.of_blocks(y, t, none(24), block)
        gap = np.array([y[(block == b) & t].mean() - y[(block == b) & ~t].mean() for b in range(8)])
        assert fit.variance == pytest.approx(gap.var(ddof=1) / 8) and fit.df == pytest.approx(7)

    def test_groups_of_one_are_people(self):
        f = people(40)
        y, t = f["y"].to_numpy(), f["t"].to_numpy() == 1
        x = f[["x"]].to_numpy()
        one, two = fits.of_clusters(y, t, x, np.arange(40)), fits.of_people(y, t, x, False)
        assert (one.value, one.variance, one.df) == pytest.approx((two.value, two.variance, two.df))

    def test_the_exact_test_is_that_of_every_deal(self):
        y = np.array([1.0, 3, 2, 7, 8, 9])
        t = np.array([False, False, False, True, True, True])
        p = exact.exact_p(y, t, np.zeros(6, int), 5_000, np.random.default_rng(0))
        found = [abs(_welch(y, np.isin(np.arange(6), c))) for c in combinations(range(6), 3)]
        assert p == pytest.approx(np.mean(np.array(found) >= abs(_welch(y, t)) - 1e-9), abs=0.02)

    @pytest.mark.parametrize(("y", "one"), [
        ([0.1] * 4 + [0.7] * 4, 4),  # two deals part them, and nobody varies within an arm but for rounding
        ([9e-10, 1e-10, 2e-10, 3e-10, 4e-10, 5e-10, 6e-10], 1),  # a gap that is not studentised, of a tiny outcome
    ])  # fmt: skip
    def test_deals_are_as_extreme_on_any_scale_and_whatever_rounding_leaves(self, y, one):
        t = np.arange(len(y)) < one
        gaps = [abs(np.mean(np.delete(y, c)) - np.mean(np.take(y, c))) for c in combinations(range(len(y)), one)]
        p = exact.exact_p(np.array(y), t, np.zeros(len(y), int), 20_000, np.random.default_rng(0))
        assert p == pytest.approx(np.mean(np.array(gaps) >= max(gaps) * (1 - 1e-9)), abs=0.005)

    def test_deals_keep_the_numbers_of_each_block(self):
        block = np.repeat([0, 1], [4, 6])
        t = np.array([1, 0, 0, 0, 1, 1, 1, 0, 0, 0]) == 1
        (dealt,) = exact.deals(t, block, 50, np.random.default_rng(0))
        assert (np.sort(block[dealt], axis=1) == [0, 1, 1, 1]).all() and len(np.unique(dealt, axis=0)) > 20

    def test_an_order_of_one_start_is_the_difference_of_changes(self):
        rng = np.random.default_rng(1)
        panel, start = rng.normal(size=(10, 4)), np.repeat([2, 4], 5)
        wedge = Wedge(panel, start, np.zeros(10, int))
        change = panel[:, 2:].mean(axis=1) - panel[:, :2].mean(axis=1)
        assert wedge.statistic(start[None])[0] == pytest.approx(change[:5].mean() - change[5:].mean())
        assert wedge.parts(0.0).sum() == pytest.approx(0, abs=1e-12)

    def test_an_effect_is_shifted_into_the_range(self):
        rng = np.random.default_rng(4)
        panel, start = rng.normal(size=(12, 5)), rng.permutation(np.arange(12) % 4 + 1)
        on = np.arange(5) >= start[:, None]
        one, two = (
            replay(Wedge(panel + v * on, start, np.zeros(12, int)), 399, np.random.default_rng(0)) for v in (0.0, 3.0)
        )
        assert (two.value - 3, two.low - 3, two.high - 3) == pytest.approx((one.value, one.low, one.high), abs=1e-6)
        assert two.p < 0.05 < one.p

    def test_an_order_weighs_by_what_comparisons_tell_and_leaves_no_period_out(self):
        rng = np.random.default_rng(5)
        panel, start = rng.normal(size=(12, 5)), rng.permutation(np.arange(12) % 4 + 1)
        usual, least = (Wedge(panel, start, np.zeros(12, int), least_noise=v) for v in (False, True))
        assert set(least.weights) == set(usual.weights)
        assert sum(least.weights.values()) == pytest.approx(1)
        assert all(least.weights[k] >= w / 2 - 1e-12 for k, w in usual.weights.items())
        noise = rng.normal(size=(400, 12, 5))
        spread = [np.std([w.statistic(start[None], y)[0] for y in noise]) for w in (usual, least)]
        assert spread[1] < 0.95 * spread[0]
        on = np.where(np.arange(5) >= start[:, None], 2.0, 0.0)
        assert least.statistic(start[None], on)[0] == pytest.approx(2.0)
        assert least.statistic(start[None])[0] == pytest.approx(
            sum(w * _cell(panel, start, s, t) for (_, s, t), w in least.weights.items())
        )

    def test_an_effect_that_shows_late_is_not_sought_before(self):
        start = np.arange(12) % 4 + 1
        on = (np.arange(5) >= start[:, None] + 1).astype(float)
        wedge = Wedge(on, start, np.zeros(12, int), lag=1)
        assert wedge.statistic(start[None])[0] == pytest.approx(1.0)
        assert min(t - s for _, s, t in wedge.weights) == 1
        assert replay(wedge, 199, np.random.default_rng(0)).value == pytest.approx(1.0)


def _cell(panel: np.ndarray, start: np.ndarray, first: int, period: int) -> float:
    change = panel[:, period] - panel[:, :first].mean(axis=1)
    return float(change[start == first].mean() - change[start > period].mean())


def _welch(y: np.ndarray, t: np.ndarray) -> float:
    return float(stats.ttest_ind(y[t], y[~t], equal_var=False).statistic)


class TestBeside:
    def test_no_likeness_in_groups_of_strangers(self):
        rng = np.random.default_rng(0)
        group, t = np.repeat(np.arange(200), 10), np.repeat(np.arange(200) % 2 == 0, 10)
        own = rng.normal(size=200)[group]
        assert extras.intra_cluster(rng.normal(size=2000), t, group) == pytest.approx(0, abs=0.03)
        assert extras.intra_cluster(own + rng.normal(size=2000), t, group) == pytest.approx(0.5, abs=0.06)

    def test_effect_size_of_people_is_hedges(self):
        rng = np.random.default_rng(0)
        y, t = rng.normal(size=30), np.arange(30) < 15
        y[t] += 1
        gap = y[t].mean() - y[~t].mean()
        pooled = np.sqrt((14 * y[t].var(ddof=1) + 14 * y[~t].var(ddof=1)) / 28)
        size = extras.hedges_g((gap, pooled * np.sqrt(2 / 15), 28.0), y, t, None)
        assert size.g == pytest.approx((1 - 3 / (4 * 28 - 1)) * gap / pooled) and size.low < size.g < size.high

    def test_weak_take_up_says_nothing(self):
        rng = np.random.default_rng(0)
        y, t = rng.normal(size=60), np.arange(60) % 2 == 0
        fit = lambda v: fits.of_people(v, t, none(60), False)  # noqa: E731
        same = (rng.random(60) < 0.5).astype(float)
        assert extras.compliers(fit, y, same, t).shape in ("everything", "outside")
        whole = extras.compliers(fit, y, t.astype(float), t)
        made = fit(y)
        reach = stats.t.ppf(0.975, made.df) * np.sqrt(made.variance)
        assert (whole.low, whole.high) == pytest.approx((made.value - reach, made.value + reach))

    def test_bounds_hold_the_effect_that_dropping_out_hides(self):
        rng = np.random.default_rng(3)
        n = 4000
        t, u = rng.random(n) < 0.5, rng.normal(size=n)
        seen = (u > -0.5) | (t & (u > -1))
        y = np.where(seen, u + 0.3 * t + rng.normal(size=n), np.nan)
        low, high, conf_low, conf_high = extras.lee_bounds(y, t)
        assert conf_low < low <= 0.3 <= high < conf_high
        flipped = extras.lee_bounds(y, ~t)
        assert (-flipped[1], -flipped[0]) == pytest.approx((low, high))

    def test_weights_count_as_so_many_people_in_everything_beside_an_answer(self):
        f = people(240).assign(w=lambda d: 1 + d["person"] % 3, took=lambda d: d["took"] * (d["person"] % 7 > 0))
        f.loc[(f["person"] * 7) % 10 < 2 + 2 * (1 - f["t"]), "y"] = np.nan
        many = f.loc[f.index.repeat(f["w"])].assign(person=lambda d: np.arange(len(d)))
        design, part = ek.RandomisedComparison(draws=0), randomised(compliance="took")
        one, rows = study(f, part, weights="w"), study(many, part)
        found, wanted = design.attrition(one, "t"), design.attrition(rows, "t")
        assert (found.seen, found.seen_else) == pytest.approx((wanted.seen, wanted.seen_else))
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.04)
        assert found.conf_low < wanted.conf_low and found.conf_high > wanted.conf_high  # fewer know less
        found, wanted = design.compliers(one, "t"), design.compliers(rows, "t")
        assert (found.taken, found.taken_else) == pytest.approx((wanted.taken, wanted.taken_else))
        sizes = [design(s, "t").to_frame()["hedges_g"].item() for s in (one, rows)]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
        alike = design.attrition(study(f.assign(w=5.0), part, weights="w"), "t")
        assert vars(alike) == pytest.approx(vars(design.attrition(study(f, part), "t")))

    def test_a_covariate_in_large_numbers_leaves_the_answer(self):
        f = people(60)
        y, t = f["y"].to_numpy(), f["t"].to_numpy() == 1
        for fit in (fits.of_people(y, t, f[["x"]].to_numpy() * s, True) for s in (1e-10, 1e10)):
            wanted = fits.of_people(y, t, f[["x"]].to_numpy(), True)
            assert (fit.value, fit.variance, fit.df) == pytest.approx((wanted.value, wanted.variance, wanted.df))


class TestThroughAStudy:
    def test_blocks_are_said_and_shown(self):
        ev = ek.evaluate(study(people(), randomised(within="block", compliance="took")))
        row, said = ev.verdicts.iloc[0], ev.checks.set_index("check")
        assert row["verdict"] == "shown" and row["design"] == "RandomisedComparison"
        assert "alike" not in row["sentence"] and "as chance dealt it" in row["sentence"]
        assert row["clusters_exposed"] == row["clusters_comparison"] == 60
        assert list(said.index) == ["date_rule", "balance", "attrition", "compliance"]
        assert said.loc["compliance", "estimate"] > row["estimate"]
        assert "to whom chance dealt it" in ev.rules["t"]

    def test_take_up_that_the_deal_did_not_raise_says_nothing_of_those_who_took_it_up(self):
        f = people()
        for took in (0, 1 - f["t"]):
            said = ek.evaluate(study(f.assign(took=took), randomised(compliance="took"))).checks.set_index("check")
            assert np.isnan(said.loc["compliance", "estimate"])
            assert "nothing can be said of those who took it up" in said.loc["compliance", "words"]

    def test_counts_of_a_rate_that_are_missing_are_counted_as_unseen(self):
        f = people().assign(n=lambda d: 3.0 + d["person"] % 5, people=lambda d: 100.0 + d["person"])
        f.loc[(f["t"] == 0) & (f["person"] % 3 == 0), ["n", "people"]] = np.nan
        rate = ek.Outcome("n", kind="rate", per="people", matters=0.01)
        one = study(f, randomised(compliance="took"), outcome=rate)
        lost, ev = int(f["n"].isna().sum()), ek.evaluate(one)
        assert ek.RandomisedComparison(draws=0)(one, "t").to_frame()["units_not_seen"].item() == lost > 10
        said = ev.checks.set_index("check").loc["attrition", "words"]
        assert said.startswith("Of those dealt it 100 in 100 were seen, of the others ")

    def test_those_who_took_it_up_weigh_as_the_rate_does(self):
        f = people().assign(n=lambda d: 3.0 + d["person"] % 5, people=lambda d: 20.0 + d["person"] ** 2)
        one = study(f, randomised(compliance="took"), outcome=ek.Outcome("n", kind="rate", per="people"), covariates=())
        arms = [f[f["t"] == a] for a in (1, 0)]
        gap = np.subtract(*(a["n"].sum() / a["people"].sum() for a in arms))
        taken = np.subtract(*(np.average(a["took"], weights=a["people"]) for a in arms))
        assert ek.RandomisedComparison().compliers(one, "t").value == pytest.approx(gap / taken)

    def test_a_dose_that_was_taken_up_is_no_share_of_people(self):
        f = people().assign(took=lambda d: 3 * d["took"])
        said = ek.evaluate(study(f, randomised(compliance="took"))).checks.set_index("check").loc["compliance"]
        mean = f.loc[f["t"] == 1, "took"].mean()
        assert f"took up {mean:.3g} of it on average, the others 0." in said["words"] and "in 100" not in said["words"]

    def test_pairs_are_the_regression_with_a_level_for_each_pair(self):
        f = people()
        y, t, x = f["y"].to_numpy(), f["p"].to_numpy() == 1, f[["x"]].to_numpy()
        fit = fits.of_pairs(y, t, x, f["pair"].to_numpy())
        levels = (f["pair"].to_numpy()[:, None] == np.unique(f["pair"])).astype(float)
        columns = np.hstack([t[:, None], x, levels])
        bread = np.linalg.inv(columns.T @ columns)
        left, df = y - columns @ bread @ columns.T @ y, len(y) - columns.shape[1]
        error = (left @ left / df * bread[0, 0]) ** 0.5
        assert (fit.value, fit.variance**0.5, fit.df) == pytest.approx(((bread @ columns.T @ y)[0], error, df))
        assert (fit.parts**2).sum() == pytest.approx(fit.variance)

    def test_estimate_is_that_of_the_fit_and_can_be_stacked(self):
        f = people()
        one = ek.RandomisedComparison(draws=0)(study(f, randomised("p", within="pair")), "p")
        fit = fits.of_pairs(f["y"].to_numpy(), f["p"].to_numpy() == 1, f[["x"]].to_numpy(), f["pair"].to_numpy())
        row = one.to_frame().iloc[0]
        assert (row["estimate"], row["std_error"], row["df"]) == pytest.approx((fit.value, fit.variance**0.5, fit.df))
        assert row["inference"] == "pairs"
        both = ek.stack(one, one).contrast([1, -1], name="nothing")
        assert both.value[0] == 0 and np.isnan(both.to_frame()["std_error"][0])

    def test_clusters_have_their_likeness_and_size(self):
        f = people()
        f["y"] += np.random.default_rng(1).normal(size=12)[f["school"]]
        row = ek.RandomisedComparison()(study(f, randomised("c", assigned_at="school")), "c").to_frame().iloc[0]
        assert row["inference"] == "CR2" and row["clusters_exposed"] == 6 and row["units_exposed"] == 60
        assert 0.1 < row["icc"] < 0.8 and row["hedges_low"] < row["hedges_g"] < row["hedges_high"]

    def test_groups_dealt_within_blocks_are_compared_by_their_means(self):
        f = people()
        f["area"], f["c"] = f["school"] // 4, np.isin(f["school"], [0, 1, 4, 6, 9, 10]).astype(int)
        made = study(f, randomised("c", assigned_at="school", within="area"), covariates=())
        row = ek.RandomisedComparison()(made, "c").to_frame().iloc[0]
        means = f.groupby(["area", "school", "c"])["y"].mean().groupby(["area", "c"]).mean().unstack()
        assert row["estimate"] == pytest.approx((means[1] - means[0]).mean()) and row["dealt_to"] == "blocks"

    def test_an_order_rests_on_those_who_waited(self):
        rng = np.random.default_rng(1)
        start = rng.permutation(np.arange(12) % 5 + 1)
        f = pd.DataFrame([(s, m) for s in range(12) for m in range(6)], columns=["site", "month"])
        f["a"] = (f["month"] >= start[f["site"]]).astype(int)
        f["y"] = rng.normal(size=12)[f["site"]] + 0.8 * f["a"] + 0.3 * rng.normal(size=len(f))
        made = ek.Study(f, unit="site", period="month", outcome=ek.Outcome("y", matters=0.2),
                        components=[ek.Component("a", assigned="randomised")])  # fmt: skip
        row = ek.evaluate(made).verdicts.iloc[0]
        assert row["verdict"] == "shown" and row["conf_low"] < 0.8 < row["conf_high"]
        assert "in its first four months" in row["sentence"].lower()
        found = ek.RandomisedComparison()(made, "a")
        assert found.to_frame()["inference"][0] == "replayed order" and found.labels["exact_p"][0] < 0.05

    def test_missing_covariates_leave_nobody_out_and_missing_outcomes_are_counted(self):
        f = people()
        f.loc[:9, "x"], f.loc[20:24, "y"] = np.nan, np.nan
        one = ek.RandomisedComparison()(study(f, randomised(within="block")), "t").to_frame().iloc[0]
        gone = f[f["y"].isna()]
        rest = f[f["y"].notna()].groupby("block")["t"].agg(["mean", "size"])
        alone = int(rest.loc[rest["mean"].isin([0, 1]), "size"].sum())
        assert one["units_not_seen"] == len(gone) and one["units_left_out"] == alone
        assert one["units_exposed"] + one["units_comparison"] + one["units_not_seen"] + one["units_left_out"] == len(f)

    def test_weights_stand_for_people(self):
        f = people(60)
        f["w"] = np.arange(60) % 3 + 1
        one = ek.RandomisedComparison(adjust=None)(study(f, randomised(), weights="w"), "t")
        mean = f.groupby("t").apply(lambda g: np.average(g["y"], weights=g["w"]))
        assert one.value[0] == pytest.approx(mean[1] - mean[0])

    def test_a_study_file_says_it_too(self, tmp_path):
        made = study(people(), randomised(within="block", compliance="took"))
        back = ek.Study.load(made.save(tmp_path))
        assert back.components == made.components and back.paths.randomised == {"t": "block"}
        (tmp_path / "study.toml").write_text((tmp_path / "study.toml").read_text().replace("randomised", "at will"))
        with pytest.raises(ek.EvalkitError, match="assigned"):
            ek.Study.load(tmp_path)


class TestTheDoor:
    @pytest.mark.parametrize(
        ("said", "frame", "words"),
        [
            ({"within": "block"}, lambda f: f.assign(t=f["t"].where(f["block"] > 1, 0)), "2 blocks with one.*rows 0"),
            ({"within": "block", "assigned_at": "pair"}, lambda f: f.assign(t=f["pair"] % 2, block=(f.index + 1) // 4),
             "more than one block"),
            ({"assigned_at": "school"}, lambda f: f, "differs within one 'school'"),
            ({}, lambda f: f.assign(t=1), "Everybody had it"),
            ({}, lambda f: f.assign(t=0), "Nobody had it"),
            ({"within": "nowhere"}, lambda f: f, "no column 'nowhere'"),
            ({"compliance": "x"}, lambda f: f, "compliance 'x' is negative"),
        ],
    )  # fmt: skip
    def test_a_deal_that_cannot_be_is_refused_with_rows(self, said, frame, words):
        with pytest.raises(ek.EvalkitError, match=words):
            study(frame(people()), randomised(**said))

    def test_words_that_mean_nothing_are_refused(self):
        with pytest.raises(ek.EvalkitError, match="assigned='drawn'"):
            ek.Component("t", assigned="drawn")
        with pytest.raises(ek.EvalkitError, match="chance did not assign"):
            ek.Component("t", within="block")

    def test_a_person_in_two_groups_and_one_that_is_switched_off_again(self):
        f = pd.DataFrame([(i, m, i % 6) for i in range(24) for m in range(4)], columns=["person", "month", "site"])
        f["t"] = (f["month"] >= 1 + f["site"] % 2).astype(int)
        f["y"] = 0.0
        said = {"unit": "person", "period": "month", "cluster": "site", "outcome": "y"}
        with pytest.raises(ek.EvalkitError, match="switched off again.*rows"):
            ek.Study(f.assign(t=f["t"].where(f["month"] < 3, 0)), components=[randomised()], **said)
        moved = f.assign(site=f["site"].where((f["person"] != 3) | (f["month"] < 3), 5))
        with pytest.raises(ek.EvalkitError, match="1 unit in two sites"):
            ek.Study(moved, components=[randomised()], **said)

    def test_what_chance_did_not_assign_is_no_trial(self):
        with pytest.raises(ek.EvalkitError, match="not assigned by chance"):
            ek.RandomisedComparison()(study(people(), ek.Component("t")), "t")
        with pytest.raises(ek.EvalkitError, match="draws=-1"):
            ek.RandomisedComparison(draws=-1)


class TestChecks:
    def test_arms_that_chance_would_not_make_are_doubted(self):
        f = people(400)
        f["t"] = (f["x"] > 0).astype(int)
        ev = ek.evaluate(study(f, randomised()))
        assert ev.checks.set_index("check").loc["balance", "status"] == "failed"
        assert "less alike beforehand than chance" in " ".join(ev.verdicts["reasons"][0])
        assert checks.balance(None).status == "informational"
        table = pd.DataFrame({"covariate": ["x"], "difference": [0.1]})
        assert checks.balance(Balance(table, 0.4)).status == "passed"

    def test_dropping_out_ends_a_claim_only_where_it_could_make_it(self):
        est = ek.RandomisedComparison(draws=0)(study(people(), randomised()), "t")
        assert checks.attrition(est, None).status == "passed"
        lost = {"seen": 0.9, "seen_else": 0.7, "low": 0.2, "high": 0.9}
        assert checks.attrition(est, Attrition(p=0.2, conf_low=-1, conf_high=1, **lost)).status == "passed"
        assert checks.attrition(est, Attrition(p=0.01, conf_low=0.1, conf_high=1, **lost)).status == "informational"
        assert checks.attrition(est, Attrition(p=0.01, conf_low=-1, conf_high=1, **lost)).status == "failed"
