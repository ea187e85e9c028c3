"""Charts of places: what is charted, how often they alarm where nothing happens, and what they find."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.monitor.charts import BUDGET, Series, autoregressive, beside_not_yet, charts_of, limit, smooth
from tests.monitor import worlds


def test_a_place_is_held_against_the_others_where_nothing_is_on() -> None:
    value = np.array([[1.0, 2.0], [3.0, 6.0], [5.0, 7.0]])
    on = np.array([[False, True], [False, False], [False, False]])
    found = beside_not_yet(value, on)
    assert found[0] == pytest.approx([1 - 4.0, 2 - 6.5])
    assert found[1] == pytest.approx([3 - 3.0, 6 - 7.0])
    assert np.isnan(beside_not_yet(value, np.ones_like(on))).all()


def test_gaps_leave_what_is_charted_where_it_was() -> None:
    found = smooth(np.array([np.nan, 1.0, np.nan, 1.0]))
    assert np.isnan(found[0]) and found[1:] == pytest.approx([0.4, 0.4, 0.64])


def drawn(rho: float, draws: int, shift: float) -> list[float]:
    """Shares of charts that alarm within 24 months, and within 6 months of a shift (in standard deviations)."""
    rng, periods, start = np.random.default_rng([7, int(100 * rho)]), 48, 24
    quiet, found = [], []
    for _ in range(draws):
        x = autoregressive(rng.standard_normal((24, periods)), rho) + 2 * np.sin(np.arange(periods) / 2)
        on = np.zeros(x.shape, dtype=bool)
        on[:12, start:] = True
        for values, out, last in ((x, quiet, periods), (x + shift * on * (np.arange(periods) >= 30), found, 36)):
            series = Series(np.arange(24), np.arange(periods), values, np.full(x.shape, 50.0),
                            beside_not_yet(values, on), np.where(np.arange(24) < 12, start, periods))  # fmt: skip
            table = charts_of(series)
            table = table[(table["place"] < 12) & (table["period"] < last)]
            table = table if out is quiet else table[table["period"] >= 30]
            out.append(table.groupby("place")["alarm"].any().mean())
    return [float(np.mean(quiet)), float(np.mean(found))]


def test_the_budget_is_kept_and_a_shift_is_found() -> None:
    quiet, found = drawn(0.3, 12, 2.0)
    assert quiet < 0.15 and found > 0.5


def test_limits_grow_with_what_hangs_together_and_with_a_smaller_budget() -> None:
    assert limit(0.5, 24, BUDGET) > 1.2 * limit(0.0, 24, BUDGET)
    assert limit(0.0, 24, 0.01) > limit(0.0, 24, 0.2)
    assert limit(0.0, 12, BUDGET) > limit(0.0, 36, BUDGET)


def test_a_place_that_falls_behind_is_named_and_few_people_make_no_chart() -> None:
    import evalkit as ek

    rows = worlds.panel()
    late = (rows["place"] == "Place L") & (rows["month"] >= "2027-06")
    study = worlds.study_of().replace(panel=rows.assign(score=rows["score"] - 2.0 * late))
    charts = ek.watch(study, as_of="2027-12-25").charts
    assert set(charts.loc[charts["alarm"], "place"]) >= {"Place L"}
    few = study.replace(settings={**study.settings, "disclosure": "custom: count=11"})
    hidden = ek.watch(few, as_of="2027-12-25").charts
    assert hidden["value"].isna().all() and not hidden["alarm"].any()
