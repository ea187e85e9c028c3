"""Lots: certificates that bind all they deal, and how many orders of chance a plan has."""

from __future__ import annotations

import json
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import EvalkitError
from evalkit.reporting.blocks import to_html
from evalkit.reporting.rollout_page import blocks_of
from evalkit.rollouts.allocation import OLD_RULE, Allocation, drawn, replay
from evalkit.rollouts.planning import RolloutPlan

PLACES = [f"p{i}" for i in range(8)]


@pytest.fixture(scope="module")
def plan() -> RolloutPlan:
    parts = ek.Planned("a"), ek.Planned("b", everywhere=False, fixed={"p3": "never"})
    return ek.plan_rollout(PLACES, parts, ("2027-01", "2029-12"), effort=0.05)


def changed(file: Path, **parts: Any) -> Path:
    """A certificate written anew with other parts, as consistent as who changes it can make it but for its hash."""
    said = {**tomllib.loads(file.read_text()), **parts}
    rows = said["candidates"][said["drawn"]]
    said["given"] = [{"place": p, **said["rows"][r]} for p, r in zip(said["places"], rows, strict=True)]
    said.pop("made", None)
    tables = {name: said.pop(name) for name in ("given", "rows")}
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    for name, table in tables.items():
        for row in table:
            lines += [f"[[{name}]]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in row.items())]
    other = file.with_name("changed.toml")
    other.write_text("\n".join(lines))
    return other


def test_a_lot_is_bound_to_the_dates_that_it_deals(plan: RolloutPlan, tmp_path: Path) -> None:
    """Rows exchanged after the draw give somebody dates that no lot gave them, though places and allocations stay."""
    file = plan.randomise(3).save(tmp_path)
    said = tomllib.loads(file.read_text())
    assert replay(changed(file)).equals(replay(file))
    first, second, *rest = said["rows"]
    for parts in (
        {"rows": [second, first, *rest]}, {"rows": [{**first, "a": "2028-01"}, second, *rest]},
        {"components": ["a"]}, {"components": ["b", "a"]}, {"blocks": [PLACES]},
    ):  # fmt: skip
        with pytest.raises(EvalkitError, match="not those of the hash"):
            replay(changed(file, **parts))
    for parts in ({"of": 3}, {"possible": "1"}):
        with pytest.raises(EvalkitError, match="another allocation than is written"):
            replay(changed(file, **parts))
    with pytest.raises(EvalkitError, match="rule is not known"):
        replay(changed(file, rule="as we like"))
    file.write_text(file.read_text().replace("drawn = ", "drew = "))
    with pytest.raises(EvalkitError, match="no certificate of an allocation: 'drawn'"):
        replay(file)


def test_certificates_of_the_rule_before_are_drawn_again(plan: RolloutPlan, tmp_path: Path) -> None:
    file = plan.randomise(3).save(tmp_path)
    said = tomllib.loads(file.read_text())
    old = sha256(json.dumps([said["places"], said["candidates"]]).encode()).hexdigest()
    chosen = drawn(3, old, len(said["candidates"]))
    again = replay(changed(file, rule=OLD_RULE, hash=old, drawn=chosen))
    rows = [said["rows"][r] for r in said["candidates"][chosen]]
    assert again["a"].tolist() == [r["a"] for r in rows]


def test_a_lot_says_how_many_orders_a_test_of_one_component_has(plan: RolloutPlan) -> None:
    """By hand: p0, p1 and p2 share the dates of b, and two of them that of a; p3 and p4 share both."""
    rows = pd.DataFrame({
        "place": ["p0", "p1", "p2", "p3", "p4", "p5"], "a": [1, 1, 2, 3, 3, 4], "b": [5, 5, 5, None, None, 6],
    }, dtype=object)  # fmt: skip
    lot = Allocation(rows, rows, (("p0", "p1", "p2", "p3", "p4"),), np.zeros((1, 6), dtype=int), 0, 1, 120)
    assert lot.orders == {"a": 3, "b": 1}
    one = Allocation(rows[["place", "a"]], rows, (("p0", "p1", "p2"), ("p3", "p5")), lot.candidates, 0, 1, 12)
    assert one.orders == {"a": 3 * 2}
    given = plan.randomise(0)
    tables = {"schedule": plan.schedule, "rivals": pd.DataFrame({"rival": []}), "stress": pd.DataFrame({"case": []})}
    assert f"there are {given.orders['a']} for a and" in to_html(blocks_of(plan, tables, given))


def test_a_lot_never_takes_the_place_of_a_study_s_register(plan: RolloutPlan, tmp_path: Path) -> None:
    mine = tmp_path / "adoption.csv"
    mine.write_text("component,place,start,end\nnurse,p0,2026-01,2026-09\n")
    before = mine.read_text()
    with pytest.raises(EvalkitError, match="There is a register already"):
        plan.randomise(3).save(tmp_path / "allocation.toml")
    assert mine.read_text() == before and not (tmp_path / "allocation.toml").exists()
    other = plan.randomise(3).save(tmp_path / "plan")
    assert plan.randomise(4).save(tmp_path / "plan") == other and replay(other).equals(
        plan.randomise(4).schedule.astype(object)
    )
