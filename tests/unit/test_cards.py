"""Component cards, adoption with its certainty, background events, and the tables of money at the door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.components import adoption, card_table, cards
from evalkit.study.money import Money


def panel() -> pd.DataFrame:
    """Six places over eight months; a nurse in four of them."""
    frame = pd.DataFrame({"place": np.repeat(list("ABCDEF"), 8), "month": np.tile(np.arange(8), 6)})
    start = frame["place"].map({"A": 3, "B": 4, "C": 5, "D": 5}).fillna(99)
    frame["nurse"] = (frame["month"] >= start).astype(int)
    return frame.assign(y=frame["month"] * 0.1)


SPELLS = pd.DataFrame({
    "component": "court", "level_id": ["A", "E"], "start": [2, 4], "end": [5, np.nan],
    "certainty": ["month", "guessed"], "source": ["minutes", None], "change_note": ["moved to remote hearings", None],
})  # fmt: skip


def study(**changes: object) -> ek.Study:
    nurse = ek.Component("nurse", label="Nurse", description="Visits at home", card={"who": "One nurse", "why": "Need"})
    court = ek.Component("court", adoption=SPELLS)
    fields = {"unit": "place", "period": "month", "cluster": "place", "outcome": "y", "components": [nurse, court]}
    return ek.Study(panel(), **{**fields, **changes})


def test_every_component_has_twelve_items_and_what_lacks_is_shown() -> None:
    table = cards(study())
    assert (table.groupby("component").size() == 12).all()
    nurse = table[table["component"] == "nurse"].set_index("item")
    assert nurse.loc["Who provided", "text"] == "One nurse"
    assert nurse.loc["What: procedures", "text"] == "Visits at home"
    assert nurse.loc["Tailoring", ["text", "source"]].tolist() == ["not described", "missing"]
    assert nurse.loc["Where", ["text", "source"]].tolist() == ["4 of 6 places", "from the register"]
    assert nurse.loc["When and how much", "text"] == "on from 3 to 7"
    court = table[table["component"] == "court"].set_index("item")
    assert court.loc["Modifications", "text"] == "moved to remote hearings"
    assert (court["source"] == "missing").sum() == 7
    html = card_table(study(), "court").to_html()
    assert 'scope="row"' in html and "7 items of 12 not described" in html


def test_adoption_keeps_source_and_certainty() -> None:
    table = adoption(study())
    court = table[table["component"] == "court"].set_index("place")
    assert court["certainty"].tolist() == ["month", "guessed"]
    assert court["source"].tolist() == ["minutes", "not said"]
    nurse = table[table["component"] == "nurse"].set_index("place")
    assert nurse.loc["A", ["start", "end"]].tolist() == [3, None]
    assert list(nurse.index) == ["A", "B", "C", "D"]


def test_a_card_with_a_misspelt_item_is_refused() -> None:
    with pytest.raises(ek.EvalkitError, match="no item 'whom'"):
        ek.Component("nurse", card={"whom": "x"})


def test_background_events_are_bands_of_the_timeline() -> None:
    made = study(events=[("Winter beds", 2, 5), {"label": "Lockdown", "start": 6}])
    picture = ek.plot.describe("timeline", made)
    assert "In the background: Winter beds, 2 to 5." in picture.description
    assert "In the background: Lockdown, from 6." in picture.description
    with pytest.raises(ek.EvalkitError, match=r"ends before it starts \(table events, row 1"):
        study(events=[("Winter beds", 5, 2)])
    with pytest.raises(ek.EvalkitError, match="not an event"):
        study(events=[{"name": "Winter beds"}])


BAD = {
    "costs": pd.DataFrame({"component": ["nurse", "nusre", "court"], "amount": [10, 20, -5.0]}),
    "rate_card": pd.DataFrame({"outcome": ["y", "y"], "trigger": ["six months", " "], "tariff": [100, 200]}),
}


def test_bad_money_names_the_table_and_the_rows_all_at_once() -> None:
    with pytest.raises(ek.EvalkitError) as caught:
        study(money=BAD)
    said = str(caught.value)
    assert "Unknown component 'nusre' (table costs, row 1). Did you mean 'nurse'?" in said
    assert "amount is negative (table costs, row 2)" in said
    assert "trigger is empty (table rate_card, row 1). Say what the payment is for" in said


@pytest.mark.parametrize(
    ("table", "frame", "said"),
    [
        ("costs", {"component": ["nurse"], "amount": ["much"]}, "amount holds text such as 'much'"),
        ("costs", {"component": ["nurse"], "amount": [1], "bearer": ["us"]}, "bearer 'us' is not a choice"),
        ("costs", {"amount": [1]}, "no column 'component'"),
        ("rate_card", {"outcome": ["y"], "tariff": [1]}, "no column 'trigger'"),
        ("claims", {"outcome": ["z"], "amount": [1]}, "Unknown outcome 'z'"),
        ("unit_costs", {"outcome": ["y"], "value": [1], "price_year": [18]}, "price_year is below 1900"),
    ],
)
def test_each_table_is_checked(table: str, frame: dict, said: str) -> None:
    with pytest.raises(ek.EvalkitError, match=said):
        study(money={table: pd.DataFrame(frame)})


TOML = """
[study]
panel = "panel.csv"
unit = "place"
period = "month"
cluster = "place"
[outcomes.y]
kind = "share"
[components.nurse]
label = "Nurse"
who = "One nurse"
[costs]
table = "costs.csv"
[rate_card.y]
trigger = "a month in a settled home"
tariff = 1200
[[events]]
label = "Winter beds"
start = 2
end = 5
"""


def test_the_study_file_carries_money_cards_and_events(tmp_path: Path) -> None:
    panel().to_csv(tmp_path / "panel.csv", index=False)
    pd.DataFrame({"component_id": ["nurse"], "amount_gbp": [52_000]}).to_csv(tmp_path / "costs.csv", index=False)
    (tmp_path / "study.toml").write_text(TOML)
    made = ek.Study.load(tmp_path / "study.toml")
    again = ek.Study.load(made.save(tmp_path / "copy"))
    for one in (made, again):
        assert isinstance(one.money, Money)
        assert one.money.costs[["component", "amount"]].to_numpy().tolist() == [["nurse", 52_000]]
        assert one.money.rate_card["tariff"].tolist() == [1200]
        assert one.component("nurse").card == {"who": "One nurse"}
        assert [(e.label, e.start, e.end) for e in one.events] == [("Winter beds", 2, 5)]
    (tmp_path / "study.toml").write_text(TOML.replace("[rate_card.y]", "[rate_card.z]"))
    with pytest.raises(ek.EvalkitError, match=r"study.toml: Unknown outcome 'z' \(table rate_card"):
        ek.Study.load(tmp_path / "study.toml")


def test_a_study_with_fewer_components_keeps_the_money_of_those_left() -> None:
    made = study(money={"costs": pd.DataFrame({"component": ["nurse", "court", "programme"], "amount": [1, 2, 3]})})
    left = made.with_components(["nurse"])
    assert left.money is not None and left.money.costs["component"].tolist() == ["nurse", "programme"]
