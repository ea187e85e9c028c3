"""Values in refusals stand as people write them: no word of numpy or pandas."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import EvalkitError, check_choice, check_periods, check_whole, spelt

LIBRARY = re.compile(r"\bnp\.|numpy|Timestamp\(|datetime\.|Period\(|array\(")
PLACES = [f"p{i}" for i in range(6)]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.int64(2022), "2022"),
        (np.float64(0.5), "0.5"),
        (np.float32("nan"), "nan"),
        (np.bool_(True), "True"),
        (np.str_("Bury"), "'Bury'"),
        (np.datetime64("2025-08-01T00:00:00"), "'2025-08-01'"),
        (np.datetime64("2025-08-01T12:30"), "'2025-08-01T12:30'"),
        (pd.Timestamp("2025-08-01"), "'2025-08-01'"),
        (pd.Timestamp("2025-08-01 12:30"), "'2025-08-01 12:30:00'"),
        (pd.NaT, "'NaT'"),
        (date(2025, 8, 1), "'2025-08-01'"),
        (datetime(2025, 8, 1), "'2025-08-01'"),
        (pd.Period("2025-08"), "'2025-08'"),
        ((np.int64(1), [np.float64(2.5)]), "(1, [2.5])"),
        ((np.int64(1),), "(1,)"),
        ({np.str_("a"): np.int64(3)}, "{'a': 3}"),
        (np.array([1, 2]), "[1, 2]"),
        ("it's", '"it\'s"'),
        (None, "None"),
    ],
    ids=str,
)
def test_a_value_is_spelt_as_people_write_it(value: object, words: str) -> None:
    assert spelt(value) == words


def a_study(**given: Any) -> ek.Study:
    frame = pd.DataFrame({"place": np.repeat(PLACES, 12), "t": np.tile(np.arange(12), 6), "y": np.arange(72) % 7})
    frame["month"] = pd.period_range("2022-01", periods=12, freq="M").astype(str).to_numpy()[frame["t"]]
    frame["a"] = ((frame["place"] < "p3") & (frame["t"] > 5)).astype(int)
    frame["first"] = np.where(frame["place"] < "p3", 2022, np.nan)
    about = {"unit": "place", "period": "month", "outcome": "y", "kind": "score", "components": ["a"], **given}
    return ek.Study(frame, **about)


def spells(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame([("a", *row) for row in rows], columns=["component", "level_id", "start"])


def by_spells(*rows: tuple[Any, ...]) -> ek.Study:
    return a_study(components=[ek.Component("a", adoption=spells(*rows))])


ONE = ek.Planned("a")
REFUSED: list[Callable[[], Any]] = [
    lambda: by_spells(("p1", 2022)),
    lambda: by_spells(("p1", 2022.5)),
    lambda: by_spells((7, "2022-03"), ("p1", "2022-03")),
    lambda: a_study(components=[ek.Component("a", first_period="first")]),
    lambda: a_study(matters=np.float64(-1)),
    lambda: a_study(components=[ek.Component("a", exposure="a", lag=np.int64(-1))]),
    lambda: a_study(components=[ek.Component("a", exposure="a", unit_cost=np.float64(-2))]),
    lambda: a_study(every=np.float64(-1)),
    lambda: a_study(settings={"base_window": np.int64(-3)}),
    lambda: a_study(events=[(np.int64(3),)]),
    lambda: check_whole("seed", np.int64(-1), 0),
    lambda: check_periods("more", np.float64(1.5), 1),
    lambda: check_choice("how", np.str_("x"), ["y"]),
    lambda: ek.plan_rollout(PLACES, [ONE], (pd.Timestamp("2027-01-01"), pd.Timestamp("2029-01-01"))),
    lambda: ek.plan_rollout(PLACES, [ONE], (np.int64(9), np.int64(3))),
    lambda: ek.plan_rollout(PLACES, [ek.Planned("a", earliest=pd.Timestamp("2031-01-01"))], ("2027-01", "2028-12")),
    lambda: ek.plan_rollout(PLACES, [ek.Planned("a", fixed={"p1": np.int64(4)})], ("2027-01", "2028-12")),
    lambda: ek.plan_rollout(PLACES, [ek.Planned("a", wanted=np.float64(0))], (1, 24)),
    lambda: ek.plan_rollout(PLACES, [ONE], (1, 24), window=np.int64(0)),
    lambda: ek.plan_rollout(PLACES, [ONE], (1, 24), effort=np.float64(-1)),
    lambda: ek.plan_rollout([np.int64(1), np.int64(1)], [ONE], (1, 24)),
    lambda: ek.Noise(rho=np.float64(1.5)),
    lambda: ek.next_rollout(a_study(), np.int64(0)),
    lambda: ek.DifferenceInDifferences(before=np.int64(99), after=np.int64(100))(a_study(), "a"),
    lambda: ek.evaluate(a_study(), level=np.float64(3)),
    lambda: ek.synthetic.partnership("pupils", seed=np.int64(-1)),
    lambda: ek.synthetic.partnership("pupils", size=np.float64(-1)),
]  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED, ids=range(len(REFUSED)))
def test_refusals_name_no_type_of_a_library(refused: Callable[[], Any]) -> None:
    with pytest.raises(EvalkitError) as said:
        refused()
    assert not LIBRARY.search(str(said.value)), said.value
