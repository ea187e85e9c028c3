"""Separability reads no outcome: shuffled, deleted or forbidden, it says the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import evalkit as ek

COMPONENTS = ("policy", "nurse")


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n, periods = 24, 14
    first = np.column_stack([rng.integers(3, 18, n), rng.integers(3, 18, n)])
    made = pd.DataFrame({"site": np.repeat(np.arange(n), periods), "month": np.tile(np.arange(periods), n)})
    for k, name in enumerate(COMPONENTS):
        made[name] = (made["month"].to_numpy() >= first[made["site"], k]).astype(int)
    made["settled"] = rng.normal(size=len(made)) + made["policy"]
    return made.drop(index=rng.choice(len(made), 20, replace=False))


def study(frame: pd.DataFrame, **more: Any) -> ek.Study:
    return ek.Study(frame, unit="site", period="month", cluster="site", components=list(COMPONENTS), **more)


def same(one: ek.Separability, two: ek.Separability) -> None:
    for table in ("components", "pairs", "bundles", "cure", "timeline"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(two, table))
    assert one.aliased == two.aliased


def test_a_shuffled_or_deleted_outcome_changes_nothing(frame: pd.DataFrame) -> None:
    known = ek.separability(study(frame, outcome="settled"))
    shuffled = frame.assign(settled=np.random.default_rng(2).permutation(frame["settled"]))
    same(known, ek.separability(study(shuffled, outcome="settled")))
    same(known, ek.separability(study(frame.assign(settled=np.nan), outcome="settled")))
    same(known, ek.separability(study(frame.drop(columns="settled"))))


def test_it_never_opens_the_outcome(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the outcome was opened")

    monkeypatch.setattr(ek.Study, "values", forbidden)
    monkeypatch.setattr(ek.Study, "covariate_values", forbidden)
    with pytest.raises(AssertionError, match="opened"):
        study(frame, outcome="settled").values()
    assert len(ek.separability(study(frame, outcome="settled")).components) == 2
