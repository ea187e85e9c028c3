"""Value for money: ratios and payments by hand, limits that stay right near zero, and refusals."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.evaluation.programme import value_for_money
from evalkit.evaluation.value.costs import Costs, Prices
from evalkit.evaluation.value.lines import _verdicts, acceptable, draw, ratio
from evalkit.inference import stack
from evalkit.show.words import TIE
from evalkit.verdicts.evidence import CheckOutcome
from evalkit.verdicts.rules import decide
from tests.unit.evidence_cases import NURSE

RATE = 0.035


def panel(effect: float, seed: int = 5, sites: int = 24) -> pd.DataFrame:
    """Three people a site over ten years; one component that begins at three times, in half of the sites."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(sites), 3)
    start = np.resize([2004, 2006, 2007, 9999, 9999, 9999], sites)[site]
    year = np.arange(2001, 2011)
    on = (year >= start[:, None]).astype(int)
    y = rng.normal(size=(len(site), 1)) + rng.normal(size=on.shape) * 0.5 + effect * on
    frame = {
        "person": np.repeat(np.arange(len(site)), 10),
        "site": np.repeat(site, 10),
        "year": np.tile(year, len(site)),
    }
    return pd.DataFrame({**frame, "y": y.ravel(), "a": on.ravel()})


def study_of(frame: pd.DataFrame, unit_cost: float | None = None, **more: object) -> ek.Study:
    fields = {"unit": "person", "period": "year", "cluster": "site", "outcome": "y", "kind": "count",
              "components": [ek.Component("a", exposure="a", unit_cost=unit_cost)]}  # fmt: skip
    return ek.Study(frame, **{**fields, **more})


@pytest.fixture(scope="module")
def good() -> ek.Evaluation:
    return ek.evaluate(study_of(panel(1.0), unit_cost=300.0))


def test_a_unit_cost_alone_gives_cost_over_effect_with_the_limits_of_the_interval(good: ek.Evaluation) -> None:
    row = value_for_money(good, discount=0.0).table.set_index("name").loc["a"]
    verdict = good.verdicts.iloc[0]
    exposed = int(panel(1.0)["a"].sum())
    assert row["cost"] == 300 * exposed
    assert row["people_periods"] == exposed
    assert row["cost_per_outcome"] == pytest.approx(300 / verdict["estimate"])
    assert row["cost_low"] == pytest.approx(300 / verdict["conf_high"], rel=2e-3)
    assert row["cost_high"] == pytest.approx(300 / verdict["conf_low"], rel=2e-3)
    assert row["additional"] == pytest.approx(verdict["estimate"] * exposed)
    assert row["gross"] - row["expected_without"] == pytest.approx(row["additional"])
    assert row["gross"] == pytest.approx(panel(1.0).query("a == 1")["y"].sum())
    assert row["words"].startswith("£") and "likely range" in row["words"]


def test_no_ratio_is_said_where_the_verdict_claims_nothing(good: ek.Evaluation) -> None:
    doubt = replace(good, judged=tuple((e, replace(v, verdict="cannot_tell")) for e, v in good.judged))
    row = value_for_money(doubt).table.iloc[0]
    assert row["words"].startswith("Not given: the evaluation cannot tell")
    assert np.isfinite(row["cost_high"])


def test_discounting_by_hand(good: ek.Evaluation) -> None:
    made = value_for_money(good)
    rows = good.findings[0].rows
    assert rows is not None
    keep = rows.labels["event_time"].to_numpy() >= 0
    fade = (1 + RATE) ** -(rows.labels["period"].to_numpy()[keep] - 2004.0)
    gain = (rows.mass[keep] * rows.value[keep] * fade).sum()
    cost = (300 * rows.mass[keep] * fade).sum()
    assert made.table["cost_per_outcome"].iloc[0] == pytest.approx(cost / gain)
    assert any("3.5% a year" in n for n in made.notes)


def test_costs_by_period_fall_on_the_people_exposed_in_that_period() -> None:
    costs = pd.DataFrame({"component": ["a", "a", "programme"], "amount": [900.0, 600.0, 50.0],
                          "period": [2004, 2006, np.nan], "bearer": ["fiscal", "social", "fiscal"]})  # fmt: skip
    study = study_of(panel(1.0), unit_cost=5.0, money={"costs": costs})
    costs = Costs(study, study.outcome(), Prices())
    on = costs.there * costs.on("a")
    whole = costs.cost("a", on)
    assert (whole.whole, whole.compared) == (1500.0, 1500.0)
    assert whole.discounted == pytest.approx(900 + 600 / (1 + RATE) ** 2)
    half = on.copy()
    half[:, study.calendar.values == 2006] /= 2
    assert costs.cost("a", half).compared == pytest.approx(900 + 300)
    fiscal = Costs(study, study.outcome(), Prices(bearers=("fiscal",)))
    assert fiscal.cost("a", on).whole == 900.0
    listed = costs.by_bearer(["a", "programme"])
    assert listed["amount"].tolist() == [900.0, 600.0, 50.0]


def test_prices_of_other_years_are_brought_together() -> None:
    costs = pd.DataFrame({"component": ["a", "a"], "amount": [100.0, 100.0], "price_year": [2020, 2022]})
    study = study_of(panel(1.0), money={"costs": costs})
    costs = Costs(study, study.outcome(), Prices(price_year=2022, inflation=0.1))
    assert costs.cost("a", costs.there).whole == pytest.approx(121.0 + 100.0)


def test_no_upper_limit_where_the_effect_may_be_zero() -> None:
    evaluation = ek.evaluate(study_of(panel(0.02), unit_cost=300.0))
    assert evaluation.verdicts["conf_low"].iloc[0] < 0 < evaluation.verdicts["conf_high"].iloc[0]
    made = evaluation.value
    row = made.table.iloc[0]
    assert np.isinf(row["cost_high"]) and row["cost_low"] > 0
    assert row["words"].startswith("At least £") and "no upper limit" in row["words"]


def test_no_ratio_where_the_outcome_is_worse_and_fewer_can_be_better() -> None:
    frame = panel(-1.0)
    worse = ek.evaluate(study_of(frame, unit_cost=300.0)).value.table.iloc[0]
    assert np.isnan(worse["cost_per_outcome"]) and "worse with it" in worse["words"]
    evaluation = ek.evaluate(study_of(frame, unit_cost=300.0, better="lower"))
    fewer = value_for_money(evaluation, discount=0.0).table.iloc[0]
    assert fewer["cost_per_outcome"] == pytest.approx(-300 / evaluation.verdicts["estimate"].iloc[0])
    assert fewer["expected_without"] == pytest.approx(fewer["gross"] + fewer["additional"])
    assert "avoided" in fewer["words"]


def test_without_an_identified_effect_only_the_cost_and_the_words() -> None:
    frame = panel(1.0).assign(k=1)
    parts = [ek.Component("a", exposure="a"), ek.Component("k", exposure="k", unit_cost=10.0)]
    made = ek.evaluate(study_of(frame, components=parts)).value
    table = made.table.set_index("name")
    assert table.loc["k", "cost"] == 10.0 * len(frame)
    assert table.loc["k", ["cost_per_outcome", "additional", "paid_per_outcome"]].isna().all()
    assert "No effect of it alone is identified" in table.loc["k", "words"]
    assert table.loc["a", "words"] == "No cost is given."
    assert set(made.acceptability["name"]) | set(made.plane["name"]) <= {"programme"}


def test_a_bundle_gets_the_cost_of_its_members_together() -> None:
    frame = panel(1.0).assign(b=lambda f: f["a"])
    parts = [ek.Component(c, exposure=c, unit_cost=cost) for c, cost in (("a", 100.0), ("b", 50.0))]
    evaluation = ek.evaluate(study_of(frame, components=parts))
    table = value_for_money(evaluation, discount=0.0).table.set_index("name")
    together = table[table["kind"] == "bundle"].iloc[0]
    assert together["cost_per_outcome"] == pytest.approx(150 / evaluation.bundles["estimate"].iloc[0])
    assert table.loc[["a", "b"], "cost_per_outcome"].isna().all()


def test_a_log_outcome_has_no_cost_for_one_more() -> None:
    made = ek.evaluate(study_of(panel(1.0), unit_cost=300.0, kind="log")).value
    assert made.table["cost_per_outcome"].isna().all() and "per cent" in made.table["words"].iloc[0]


def test_claims_by_hand_and_what_would_have_happened_anyway() -> None:
    frame = panel(1.0).assign(y=lambda f: f["y"] + 2)
    paid = frame[frame["a"] == 1].head(40)
    claims = pd.DataFrame({"person": paid["person"], "year": paid["year"], "outcome": "y", "amount": 70.0,
                           "validated": [1] * 36 + [0] * 4})  # fmt: skip
    evaluation = ek.evaluate(study_of(frame, money={"claims": claims}))
    made = value_for_money(evaluation, discount=0.0)
    row = made.table.iloc[0]
    assert row["paid"] == 36 * 70.0
    assert row["paid_per_outcome"] == pytest.approx(36 * 70.0 / row["additional"])
    assert row["paid_anyway"] == pytest.approx(36 * 70.0 * row["expected_without"] / row["gross"])
    assert row["paid_anyway_low"] < row["paid_anyway"] < row["paid_anyway_high"]
    assert any("4 were not, and are left out" in n.replace(TIE, " ") for n in made.notes)


def test_a_rate_card_pays_every_so_many_periods_up_to_its_cap() -> None:
    frame = panel(0.0).assign(y=lambda f: ((f["year"] % 2) == 0).astype(int))
    card = {"outcome": ["y"], "trigger": ["two years in work"], "tariff": [100.0], "periods": [2], "cap": [150.0]}
    study = study_of(frame, kind="share", money={"rate_card": pd.DataFrame(card)})
    costs = Costs(study, study.outcome(), Prices())
    exposed = frame[frame["a"] == 1].groupby("person")["y"].sum()
    assert costs.paid[1] == np.minimum(np.floor(exposed / 2) * 100.0, 150.0).sum()
    assert costs.payments(costs.there)[0] == pytest.approx(costs.paid[1])


def test_benefits_set_the_worth_of_outcomes_beside_their_cost() -> None:
    worth = pd.DataFrame({"outcome": ["y", "y"], "value": [200.0, 50.0], "bearer": ["fiscal", "social"], "grade": "b"})
    evaluation = ek.evaluate(study_of(panel(1.0), unit_cost=300.0, money={"unit_costs": worth}))
    made = value_for_money(evaluation, discount=0.0)
    mine = made.benefits[made.benefits["name"] == "a"].set_index("bearer")
    assert mine.loc["fiscal", "benefit"] == pytest.approx(200 * made.table["additional"].iloc[0])
    assert mine.loc["fiscal", "benefit"] == pytest.approx(4 * mine.loc["social", "benefit"])


def test_draws_keep_each_interval_and_the_joint_correlation(good: ek.Evaluation) -> None:
    one = good.estimate("a")
    assert one is not None
    pair = stack(one, one.contrast([-2.0], name="twice the other way"))
    made = draw(pair, 9999, 0.95, seed=3)
    frame = pair.to_frame()
    np.testing.assert_allclose(np.quantile(made, 0.025, axis=0), frame["conf_low"], rtol=3e-3)
    assert np.corrcoef(made.T)[0, 1] == pytest.approx(-1.0, abs=1e-6)
    assert np.array_equal(made, draw(pair, 9999, 0.95, seed=3))
    assert not np.array_equal(made, draw(pair, 9999, 0.95, seed=4))


def test_ratios_by_hand() -> None:
    even = np.linspace(-1, 1, 2001)
    bounded = ratio(100.0, 4.0, 4 + even, 0.95)
    assert (bounded.value, bounded.kind) == (25.0, "bounded")
    assert (bounded.low, bounded.high) == pytest.approx((100 / 4.95, 100 / 3.05), rel=1e-3)
    assert ratio(100.0, 0.5, 0.5 + even, 0.95).high == np.inf
    assert ratio(100.0, -0.5, -0.5 + even, 0.95).kind == "unclear"
    assert ratio(100.0, -4.0, -4 + even, 0.95).kind == "worse"
    assert ratio(np.nan, 4.0, 4 + even, 0.95).kind == "none"
    chance = acceptable(100.0, 4 + even, np.array([0.0, 20.0, 25.0, 40.0]))
    assert chance[0] == 0 and chance[2] == pytest.approx(0.5, abs=1e-3) and chance[3] == 1
    assert (np.diff(chance) >= 0).all()


def test_sensitivity_changes_one_choice_at_a_time(good: ek.Evaluation) -> None:
    table = good.value.sensitivity
    mine = table[table["name"] == "a"].set_index("scenario")["cost_per_outcome"]
    assert mine["costs higher by a fifth"] == pytest.approx(1.2 * mine["as chosen"])
    assert mine["discounted at 0% a year"] == pytest.approx(value_for_money(good, discount=0.0).table.iloc[0, 12])


def test_pictures_say_what_they_show(good: ek.Evaluation) -> None:
    plane, curve = (ek.plot.describe(n, good) for n in ("value_plane", "acceptability"))
    assert "2 of 2 parts: more of the outcome" in plane.title and "better in 100% of draws" in plane.description
    assert "an even chance of being worth its cost from £" in curve.description
    fall = ek.plot.describe("waterfall", good)
    assert "Programme as a whole: +" in fall.description and fall.svg.startswith(b"<?xml")
    seen = ek.plot.describe("waterfall", good, gross=True)
    assert seen.description.startswith("Expected without the programme")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"discount": 3.5}, "not a yearly rate"),
        ({"price_year": 2020}, "go together"),
        ({"draws": 3}, "100 or more"),
        ({"worth": [-1.0]}, "0 or more"),
    ],
)
def test_choices_that_make_no_sense_are_refused(good: ek.Evaluation, options: dict, said: str) -> None:
    with pytest.raises(ek.EvalkitError, match=said):
        value_for_money(good, **options)


def rough(effect: float) -> pd.DataFrame:
    """A share that should be lower: six in ten without the component."""
    frame = panel(0.0)
    rng = np.random.default_rng(2)
    return frame.assign(y=(rng.random(len(frame)) < 0.6 - effect * frame["a"]).astype(int))


def test_a_rate_card_pays_for_periods_without_what_should_be_lower() -> None:
    frame = rough(0.3)
    card = pd.DataFrame({"outcome": ["y"], "trigger": ["a year off the street"], "tariff": [100.0]})
    study = study_of(frame, kind="share", better="lower", money={"rate_card": card})
    row = value_for_money(ek.evaluate(study), discount=0.0).table.set_index("name").loc["a"]
    good = (1 - frame.loc[frame["a"] == 1, "y"]).sum()
    assert row["paid"] == pytest.approx(100.0 * good)
    assert row["paid_anyway"] == pytest.approx(100.0 * (good - row["additional"]))
    assert 0 < row["paid_anyway_low"] < row["paid_anyway"] < row["paid_anyway_high"] < row["paid"]


@pytest.mark.parametrize(
    ("kind", "better"), [("count", "lower"), ("score", "higher"), ("money", "higher"), ("log", "lower")]
)
def test_what_cannot_be_counted_is_not_paid_by_a_rate_card(kind: str, better: str) -> None:
    card = pd.DataFrame({"outcome": ["y"], "trigger": ["each"], "tariff": [100.0]})
    study = study_of(panel(1.0), kind=kind, better=better, money={"rate_card": card})
    row = value_for_money(ek.evaluate(study), discount=0.0).table.iloc[0]
    assert np.isnan([row["paid"], row["paid_per_outcome"], row["paid_anyway"]]).all()


def test_nothing_added_is_no_harm() -> None:
    assert ratio(100.0, 0.0, np.zeros(500), 0.95).kind == "nothing"
    frame = panel(0.0).assign(y=1.0)
    words = ek.evaluate(study_of(frame, unit_cost=300.0)).value.table.set_index("name").loc["a", "words"]
    assert "worse" not in words and "£300" not in words


def test_worth_of_another_price_year_is_brought_to_the_year_chosen(good: ek.Evaluation) -> None:
    worth = pd.DataFrame({"outcome": ["y", "y"], "value": [200.0, 200.0], "price_year": [2008, 2010]})
    evaluation = ek.evaluate(study_of(panel(1.0), unit_cost=300.0, money={"unit_costs": worth}))
    made = value_for_money(evaluation, discount=0.0, price_year=2010, inflation=0.1)
    mine = made.benefits[made.benefits["name"] == "a"]["value"].tolist()
    assert mine == pytest.approx([242.0, 200.0])


def test_money_without_a_place_in_the_panel_is_said() -> None:
    claims = pd.DataFrame({"person": [0, 0, 1], "year": [2005, 1990, 1990], "outcome": "y", "amount": 10.0})
    costs = pd.DataFrame({"component": "a", "amount": [90.0, 10.0], "period": [2004, 1990]})
    evaluation = ek.evaluate(study_of(panel(1.0), money={"claims": claims, "costs": costs}))
    made = value_for_money(evaluation, discount=0.0)
    notes = " ".join(made.notes).replace(TIE, " ")
    assert "2 of them name no unit and period of the panel" in notes and "£30 in all" in notes
    assert "In 1 row of the costs nothing was on in the period named" in notes
    assert made.table.set_index("name").loc["a", "cost"] == 100.0


@pytest.mark.parametrize(
    ("table", "rows", "said"),
    [
        ("costs", {"component": ["a", "a"], "amount": [5.0, -2.0]}, r"amount is negative \(table costs, row 1"),
        (
            "costs",
            {"component": ["a", "nurze"], "amount": [5.0, 2.0]},
            "Unknown component 'nurze' .table costs, row 1",
        ),
        ("costs", {"component": ["a"], "amount": ["12k"]}, r"amount holds text such as '12k' \(table costs, row 0"),
        ("rate_card", {"outcome": ["y"], "tariff": [5.0]}, r"no column 'trigger' \(table rate_card"),
        (
            "rate_card",
            {"outcome": ["y", "y"], "tariff": [5.0, 6.0], "trigger": ["x", " "]},
            "trigger is empty .*row 1",
        ),
        ("rate_card", {"outcome": ["y"], "tariff": [5.0], "trigger": ["x"], "periods": [1.5]}, "whole number"),
        ("claims", {"outcome": ["y", "y"], "amount": [1.0, 1.0], "validated": [1, "yes"]}, r"validated is not .*row 1"),
        ("unit_costs", {"outcome": ["y"], "value": [1.0], "bearer": ["council"]}, r"'council' .*unit_costs, .*row 0"),
    ],
)
def test_bad_money_names_the_table_and_the_rows(table: str, rows: dict, said: str) -> None:
    with pytest.raises(ek.EvalkitError, match=said):
        study_of(panel(1.0), money={table: pd.DataFrame(rows)})


def test_a_cost_that_stands_in_two_lines_is_said_to() -> None:
    """a is on exactly when b or c is: a + b and a + c are lines of their own, each with all of what a cost."""
    frame = panel(1.0)
    frame = frame.assign(b=frame["a"] * (frame["site"] % 4 < 2), c=frame["a"] * (frame["site"] % 4 >= 2))
    parts = [ek.Component(c, exposure=c, unit_cost=100.0) for c in "abc"]
    made = ek.evaluate(study_of(frame, components=parts)).value
    lines = made.table[made.table["kind"] == "bundle"].set_index("name")
    assert len(lines) == 2
    assert lines.loc["a with b", "cost_compared"] == pytest.approx(200.0 * lines.loc["a with b", "people_periods"])
    assert "a is part of several lines, each of which shows all of its cost." in made.notes


@pytest.mark.parametrize(("cost", "said"), [(40.0, True), (None, False)])
def test_the_cost_of_what_nobody_was_without_is_said_to_be_left_out(cost: float | None, said: bool) -> None:
    parts = [ek.Component("a", exposure="a", unit_cost=100.0), ek.Component("b", exposure="b", unit_cost=cost)]
    made = ek.evaluate(study_of(panel(1.0).assign(b=1), components=parts)).value
    line = made.table.set_index("name").loc["programme"]
    assert line["cost"] == pytest.approx(100 * panel(1.0)["a"].sum())
    assert any("the cost of b is not in its line" in n for n in made.notes) is said


class TestPeopleSeenOnce:
    """Several components at one time: a line is what its headline says times the people who had it."""

    @staticmethod
    def trial(n: int = 320, untreated: bool = True) -> ek.Study:
        rng = np.random.default_rng(4)
        frame = pd.DataFrame({"person": np.arange(n), "a": rng.random(n) < 0.5, "b": rng.random(n) < 0.5}).astype(int)
        frame["y"] = 1.0 * frame["a"] + 0.5 * frame["b"] + rng.normal(size=n)
        frame = frame if untreated else frame[(frame["a"] + frame["b"]) > 0]
        costs = pd.DataFrame({"component": ["a", "b"], "amount": [10_000.0, 8_000.0]})
        return ek.Study(
            frame, unit="person", period=None, outcome=ek.Outcome("y", better="higher", matters=0.2),
            money=ek.Money(costs=costs),
            components=[ek.Component(c, assigned="randomised") for c in "ab"],
        )  # fmt: skip

    def test_lines_are_headlines_times_people_and_the_whole_is_that_of_mixes(self):
        evaluation = ek.evaluate(self.trial())
        table = value_for_money(evaluation, draws=500).table.set_index("name")
        told, had = evaluation.verdicts.set_index("component"), self.trial().to_frame() > 0
        for name in "ab":
            assert table.loc[name, "additional"] == pytest.approx(told.loc[name, "estimate"] * had[name].sum())
        total = ek.attribute(evaluation)
        assert table.loc["programme", "additional"] == pytest.approx(total.total)
        assert table.loc["programme", "people_periods"] == total.people_periods == (had["a"] | had["b"]).sum()

    def test_a_whole_that_chance_dealt_is_judged(self):
        whole = ek.evaluate(self.trial()).decisions.table.set_index("component").loc["programme"]
        assert whole["chance_better"] > 0.95

    def test_without_people_who_had_nothing_the_whole_says_so(self):
        line = value_for_money(ek.evaluate(self.trial(untreated=False)), draws=500).table.set_index("name")
        assert "no mix of several components stands beside people with none" in line.loc["programme", "words"]
        assert np.isfinite(line.loc["a", "additional"])


@pytest.mark.parametrize(("status", "chosen", "whole"), [
    ("failed", False, "cannot_tell"), ("passed", True, "cannot_tell"), ("passed", False, None),
])  # fmt: skip
def test_a_programme_is_priced_only_where_none_of_it_is_held_back(status: str, chosen: bool, whole: str | None) -> None:
    part = replace(NURSE, checks=(CheckOutcome("pre_trend", status),))
    told, programme = [(part, decide(part))], SimpleNamespace(paths=SimpleNamespace(components=(part.component,)))
    parts = SimpleNamespace(
        evaluation=SimpleNamespace(judged=told), outcome=SimpleNamespace(column=part.outcome), whole=programme,
        judged=None if chosen else programme,
    )  # fmt: skip
    assert _verdicts(parts).get("programme") == whole
    parts.whole = None
    assert _verdicts(parts)["programme"] == told[0][1].verdict, "it is its one component"
