"""The scenario of matched people in small: adjusted matches find the truth, a score of the wrong form is doubted."""

from __future__ import annotations

import matching_recovery as matched
import pandas as pd
import pytest
from recovery_methods import as_frame
from recovery_table import flags, summarise


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    draws = [as_frame(matched.answers(w, s), f"matched, {w}", s) for w in ("plain", "bent score") for s in range(15)]
    return pd.concat(draws, ignore_index=True)


def test_what_is_adjusted_or_weighted_holds_the_truth_but_for_a_score_of_the_wrong_form(found):
    lines = summarise(found).set_index(["scenario", "method"])
    mended = [m for m in matched.designs() if m.endswith(matched.ADJUSTED) or m in ("entropy", "aipw")]
    for world in ("plain", "bent score"):
        mine = lines.loc[f"matched, {world}"].loc[mended]
        assert mine["covered"].mean() > 0.88
        assert mine["bias"].abs().max() < 0.12
        assert not any("coverage" in flags(x) for _, x in mine.iterrows())
    assert lines.loc[("matched, bent score", "ipw"), "bias"] > 0.05


def test_the_wrong_score_is_doubted_and_the_table_says_so(found):
    doubted = found[found["note"] == matched.DOUBTED].groupby(["scenario", "method"]).size()
    said = doubted.index.get_level_values("method")
    assert not any(m.endswith(matched.ADJUSTED) or m in ("entropy", "aipw") for m in said)
    assert doubted["matched, bent score", "mahalanobis"] >= 13  # far partners, whose plain difference is off
    assert doubted["matched, bent score", "ipw"] >= 11
    table = matched.grid(found)
    (line,) = [x for x in table.splitlines() if x.startswith("| ipw")]
    assert "doubted" in line.split("|")[3]
    assert len(table.splitlines()) == 2 + len(matched.designs())
