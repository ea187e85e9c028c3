"""Money of the synthetic partnerships: claims follow from the panel, costs from those served, values have sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.evaluation.value.costs import Costs, Prices
from evalkit.show.numbers import pounds
from evalkit.synthetic import partnership
from evalkit.synthetic.contract import unit_costs
from evalkit.synthetic.partnership import Partnership
from evalkit.synthetic.settings import SPECS

PAID = ("rough_sleeping", "social_prescribing", "carers", "young_people", "pupils")


@pytest.fixture(scope="module", params=PAID)
def paid(request: pytest.FixtureRequest) -> Partnership:
    return partnership(request.param, "realistic", 1, size=0.4)


def recorded(p: Partnership, outcome: str) -> pd.DataFrame:
    """Recorded rows of programme people since they joined, person by person."""
    t = p.tables
    clock = p.spec.clock.column
    rows = t["panel"].merge(t["people"][["person_id", "in_programme", "entry"]], on="person_id")
    rows = rows[(rows["in_programme"] == 1) & (rows[clock] >= rows["entry"])]
    return rows[["person_id", clock, outcome]].dropna().rename(columns={clock: "period", outcome: "value"})


def test_claims_for_months_held_follow_from_panel_and_rate_card() -> None:
    p = partnership("rough_sleeping", "realistic", 1)
    rows, card = recorded(p, "settled"), p.tables["rate_card"].set_index("outcome_id").loc["settled"]
    rows = rows.assign(run=rows.groupby("person_id")["value"].cumsum())
    hit = rows[(rows["value"] == 1) & (rows["run"] % card["periods"] == 0)]
    hit = hit[hit["run"] <= card["periods"] * card["cap_gbp_per_person"] / card["tariff_gbp"]]
    claims = p.tables["claims"].query("outcome_id == 'settled'")
    assert list(zip(claims["person_id"], claims["period"], strict=True)) == list(
        zip(hit["person_id"], hit["period"], strict=True)
    )
    assert len(hit) > 300 and (claims["amount_gbp"] == card["tariff_gbp"]).all()


def test_claims_for_a_gain_compare_with_the_last_value_before_joining() -> None:
    p = partnership("social_prescribing", "realistic", 1)
    panel = p.tables["panel"].merge(p.tables["people"][["person_id", "in_programme", "entry"]], on="person_id")
    tests = panel[panel["in_programme"] == 1].dropna(subset="hba1c")
    base = tests[tests["quarter"] < tests["entry"]].groupby("person_id")["hba1c"].last()
    after = tests[tests["quarter"] >= tests["entry"]]
    better = after[after["hba1c"] - after["person_id"].map(base) <= -0.5 + 1e-9]
    first = better.groupby("person_id")["quarter"].first()
    claims = p.tables["claims"].query("outcome_id == 'hba1c'").set_index("person_id")["period"]
    pd.testing.assert_series_equal(claims, first, check_names=False)


def test_a_visit_breaks_a_run_without_visits() -> None:
    p = partnership("social_prescribing", "realistic", 1)
    rows, found = recorded(p, "ae_visits"), []
    for person, mine in rows.groupby("person_id"):
        run = paid = 0
        for period, visits in zip(mine["period"], mine["value"], strict=True):
            run = run + 1 if visits == 0 else 0
            if run == 4 and paid < 2:
                found.append((person, period))
                run, paid = 0, paid + 1
    claims = p.tables["claims"].query("outcome_id == 'ae_visits'")
    assert found == list(zip(claims["person_id"], claims["period"], strict=True))


def test_pupils_who_were_low_by_chance_are_paid_for_though_nothing_was_on() -> None:
    p = partnership("pupils", "realistic", 1)
    claims = p.tables["claims"].query("outcome_id == 'reading'").merge(p.tables["people"], on="person_id")
    spells = p.tables["adoption"].query("component == 'literacy'")["level_id"]
    assert (~claims["school"].isin(spells)).sum() > 30


def test_nobody_is_paid_for_twice_over_the_cap_nor_outside_the_programme(paid: Partnership) -> None:
    t = paid.tables
    claims = t["claims"].merge(t["people"][["person_id", "in_programme"]], on="person_id")
    assert len(claims) and (claims["in_programme"] == 1).all()
    spent = claims.groupby(["outcome_id", "person_id"])["amount_gbp"].sum().groupby("outcome_id").max()
    assert (spent <= t["rate_card"].set_index("outcome_id")["cap_gbp_per_person"].reindex(spent.index)).all()
    assert set(t["rate_card"]["outcome_id"]) <= {o.column for o in paid.study.outcomes}


def test_some_claims_are_turned_down() -> None:
    claims = partnership("social_prescribing", "realistic", 1).tables["claims"]
    assert 0.02 < 1 - claims["validated"].mean() < 0.06


def test_running_costs_are_unit_cost_times_people_served(paid: Partnership) -> None:
    t, clock = paid.tables, paid.spec.clock.column
    site = paid.spec.places.site
    one = next(p for p in paid.spec.parts if p.level == site and not p.always_on)
    people = t["people"].set_index("person_id")
    rows = t["panel"].assign(site=t["panel"]["person_id"].map(people[site]))
    rows = rows[rows["person_id"].map(people[one.reach] == 1)] if one.reach else rows
    spells = t["adoption"].query("component == @one.name")
    expected = {}
    for spell in spells.itertuples():
        there = rows[(rows["site"] == spell.level_id) & (rows[clock] >= spell.start)]
        there = there if pd.isna(spell.end) else there[there[clock] < spell.end]
        expected |= {(spell.level_id, k): one.unit_cost * n for k, n in there.groupby(clock).size().items()}
    costs = t["costs"].query("component_id == @one.name and cost_type == 'running'")
    found = dict(zip(zip(costs["level_id"], costs["period"], strict=True), costs["amount_gbp"], strict=True))
    assert found == expected and found


@pytest.mark.parametrize(("name", "part"), [("rough_sleeping", "keyworker"), ("pupils", "link_worker")])
def test_what_is_always_on_costs_nothing_in_comparison_places(name: str, part: str) -> None:
    p = partnership(name, "realistic", 1)
    costs, sites = p.tables["costs"], p.tables["sites"].set_index(p.spec.places.site)
    assert (sites.loc[costs["level_id"], "in_programme"] == 1).all()
    table = Costs(p.study, p.study.outcomes[0], Prices()).by_bearer([part])
    assert table["amount"].sum() == costs.query("component_id == @part")["amount_gbp"].sum() > 0
    assert set(table["from"]) == {"table of costs"}


def test_set_up_is_paid_once_a_place_and_volunteers_are_no_public_money(paid: Partnership) -> None:
    costs = paid.tables["costs"]
    once = costs.query("cost_type == 'set-up'").groupby(["component_id", "level_id"]).size()
    assert (once == 1).all() and len(once)
    assert set(costs["bearer"]) == {"fiscal", "social"}
    assert set(costs[costs["bearer"] == "social"]["cost_type"]) == {"time of volunteers"}
    assert set(costs["component_id"]) == {"programme", *(p.name for p in paid.spec.parts)}


def test_leaks_over_borders_are_not_paid_for() -> None:
    plain, leaky = (partnership("rough_sleeping", "clean", 2, size=0.3, spillover=s) for s in (0.0, 0.4))
    of = [p.tables["costs"].query("component_id == 'nurse'")["level_id"].unique() for p in (plain, leaky)]
    assert set(of[0]) == set(of[1])


def test_every_value_says_where_it_comes_from() -> None:
    for name in PAID:
        contract = SPECS[name].contract
        assert contract is not None and 2000 < contract.price_year < 2026
        for worth in unit_costs(contract).itertuples():
            assert worth.grade in "ABC" and worth.price_year > 2000 and worth.bearer in ("fiscal", "economic", "social")
            assert worth.source.startswith("Assumed") == (worth.grade == "C")


def test_value_for_money_works_from_the_folder(tmp_path: Path) -> None:
    p = partnership("young_people", "realistic", 1)
    value = ek.evaluate(ek.Study.load(p.write(tmp_path / "made"))).value
    claims, costs = p.tables["claims"], p.tables["costs"]
    stood = claims.query("validated == 1")["amount_gbp"].sum()
    assert stood > 0 and any(pounds(stood) in note for note in value.notes)
    assert value.costs["amount"].sum() == pytest.approx(costs["amount_gbp"].sum())
    assert set(value.costs["bearer"]) == {"fiscal", "social"}
    programme = value.table.set_index("name").loc["programme"]
    assert programme["paid"] > 0 and programme["cost"] > 0
    assert "fiscal costs only" in set(value.sensitivity["scenario"])


def test_claims_of_people_who_moved_are_paid_where_they_lived_then() -> None:
    p = partnership("carers", "realistic", 1, size=0.3, movers=0.5)
    assert p.study.movers > 100
    grid, total, words = Costs(p.study, p.study.outcomes[0], Prices()).paid
    assert grid is not None and grid.sum() == total > 0 and "name no unit" not in words
    claims = p.tables["claims"].query("outcome_id == 'quality_of_life' and validated == 1")
    assert total == claims["amount_gbp"].sum()
    rows = p.tables["panel"].merge(claims, left_on=["person_id", "half_year"], right_on=["person_id", "period"])
    inside = p.tables["sites"].query("in_programme == 1")["district"]
    assert len(rows) == len(claims) and rows["district"].isin(inside).all()


def test_money_does_not_touch_people_outcomes_or_exposures() -> None:
    p = partnership("rough_sleeping", "realistic", 4, size=0.2)
    without = p.study_of({k: v for k, v in p.tables.items() if k not in ("costs", "claims", "rate_card", "unit_costs")})
    assert without.money is None and p.study.money is not None
    np.testing.assert_array_equal(without.paths.state, p.study.paths.state)
    assert ek.separability(without).components.equals(ek.separability(p.study).components)
