"""Who is compared with whom: the weights of a headline by place and month, their shares, and the picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import recovery_worlds as worlds

import evalkit as ek
from evalkit.designs.rollout.sums import over_base
from evalkit.errors import OptionError
from evalkit.evaluation.compared import compared, shares
from evalkit.evaluation.evidence import Finding
from evalkit.evaluation.ladder import Run, Rung, Window


@pytest.fixture(scope="module")
def world() -> worlds.World:
    return worlds.few(3, 12, 5)


def finding(study: ek.Study, design: ek.StaggeredRollout) -> Finding:
    rows = design(study, "only")
    run = Run(Rung("x", design, headline=True), rows, rows.aggregate("simple"))
    return Finding("only", study.outcome(), "separable", Window(), (run,), run, (), "")


@pytest.mark.parametrize("weights", ["equal", "least_noise"])
def test_weights_by_place_and_month_give_the_estimate_back(world: worlds.World, weights: str) -> None:
    study = world.study()
    f = finding(study, ek.StaggeredRollout(base_window=6, weights=weights))
    table = compared(study, [f])
    y = study.values()[:, :]
    place = pd.Index(study.paths.levels["site"].names).get_indexer(table["cluster"])
    month = pd.Index(study.paths.periods).get_indexer(table["period"])
    assert table["weight"] @ y[place, month] == pytest.approx(f.answer.value[0], abs=1e-10)
    total = table.groupby("side")["weight"].sum()
    assert total["with it"] == pytest.approx(1) and total["before it"] == pytest.approx(-1)
    assert total["beside it"] == pytest.approx(0, abs=1e-9)


def test_shares_count_to_a_hundred_on_either_side(world: worlds.World) -> None:
    study = world.study()
    found = shares(compared(study, [finding(study, ek.StaggeredRollout(weights="least_noise"))]))
    assert found["with_it"].sum() == pytest.approx(100) and found["beside"].sum() == pytest.approx(100)
    started = {c: s for c, s in enumerate(world.starts["only"]) if s < worlds.NEVER}
    since = found.dropna(subset="since").set_index("cluster")["since"]
    assert since.to_dict() == started


def test_a_base_window_is_spread_over_its_periods() -> None:
    cells = pd.DataFrame({"row": 0, "path": 1, "cluster": "a", "period": [5], "base": [2], "window": [2], "sign": 1,
                          "weight": [0.4]})  # fmt: skip
    flat = over_base(cells, np.arange(8)).set_index("at")["weight"]
    assert flat.to_dict() == {5: 0.4, 2: -0.2, 1: -0.2}


def test_the_picture_says_what_it_shows(world: worlds.World) -> None:
    study = world.study()
    table = compared(study, [finding(study, ek.StaggeredRollout(weights="least_noise"))])
    told = ek.plot.describe("compared", table, labels={"only": "The nurse"}, place="site")
    assert told.title.startswith("The nurse: 5 sites with it, ")
    assert "Of what counts with it, out of 100" in told.description
    assert told.svg == ek.plot.describe("compared", table, labels={"only": "The nurse"}, place="site").svg
    with pytest.raises(OptionError, match="one component"):
        ek.plot.compared(pd.concat([table, table.assign(component="other")]))
