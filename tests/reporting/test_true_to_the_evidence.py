"""What a report says is so: captions follow verdicts, sums stand on zero, reasons fit, no tally reassures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import reporting
from evalkit.decision.case import Case
from evalkit.evaluation.deciding import whole_verdict
from evalkit.evaluation.value.lines import acceptable, thresholds
from evalkit.language.axis import Axis
from evalkit.language.statement import statement
from evalkit.reporting.brief import _UNTESTED, _key_assumption, _with_end
from evalkit.reporting.word import column_widths, least_width
from evalkit.show.words import noun_from_column, plural
from evalkit.study import Outcome
from evalkit.verdicts.evidence import CheckOutcome
from evalkit.verdicts.rules import decide
from tests.reporting import road_fixture as road
from tests.unit.evidence_cases import NURSE

PIECES = pd.DataFrame(
    {
        "piece": ["Nurse", "Court"], "kind": ["own", "own"], "estimate": [10.0, -2.0], "conf_low": [1.0, -4.5],
        "conf_high": [19.0, 5.4], "people_periods": [50.0, 40.0],
    }
)  # fmt: skip
WHOLE = Case("programme", "Whole", "y", "Y", ("a", "b"), "share", "", estimate=0.1, conf_low=0.02, conf_high=0.18,
             std_error=0.04, df=12.0, matters=0.05)  # fmt: skip


def test_no_tally_of_checks_but_whether_the_key_assumption_was_tested() -> None:
    assert "checks of" not in reporting.page_one(road.evaluation())._repr_html_()
    (asked, *_) = [s for s in road.statements() if s.component == "bac08"]
    blind = replace(asked, checks=(CheckOutcome("pre_trend", "informational", "too little power"),))
    assert [r.text for r in _key_assumption([blind])] == [_UNTESTED.format(of="")]
    assert "could not be tested for “Blood alcohol" in _key_assumption([asked, blind])[0].text
    assert "was tested" in _key_assumption([asked])[0].text and _key_assumption([replace(asked, checks=())]) == []


def test_intervals_of_the_pieces_stand_on_their_own_range() -> None:
    ax = ek.plot.waterfall(PIECES).axes[0]
    spans = [tuple(line.get_xdata()) for line in ax.lines if line.get_marker() == "|"]
    assert spans == [(1.0, 19.0), (-4.5, 5.4)] and [p.get_x() for p in ax.patches][:2] == [0.0, 0.0]


def test_an_event_study_stays_within_what_is_possible_and_is_binned_where_there_are_many() -> None:
    times = np.arange(-40, 40)
    table = pd.DataFrame(
        {
            "component": "a", "event_time": times, "estimate": 0.1, "conf_low": -3.0, "conf_high": 4.0,
            "band_low": -5.0, "band_high": 5.0, "reason": "",
        }
    )  # fmt: skip
    picture = ek.plot.describe("event_study", table, scale=Outcome("y", kind="share", better="lower", matters=0.05))
    ax = picture.figure.axes[0]
    assert len(ax.lines) and max(len(line.get_xdata()) for line in ax.lines if line.get_marker() == "o") <= 20
    assert ax.get_ylim()[0] >= -140 and ax.get_ylim()[1] <= 140
    assert "400" not in picture.description and "(−100 to +100)" in picture.description
    assert "worse ↑" in ax.get_ylabel() and "every three" in str(picture.figure._supxlabel.get_text())
    assert Axis("share").possible([-3.0, 0.5]).tolist() == [-1.0, 0.5] and Axis("score").possible(7.0) == 7.0


def test_titles_come_from_the_verdict_and_from_the_check() -> None:
    made = road.evaluation()
    title = ek.plot.describe("event_study", made, "bac08").title
    assert title.endswith("(shown as a whole)") and "clear change" not in title
    assert ek.plot.describe("leave_one_out", made).title == "4 of 4 answers hold with any one place left out"
    checks = made.checks.assign(
        status=made.checks["status"].where(made.checks["check"] != "leave_one_cluster", "failed")
    )
    assert ek.plot.describe("leave_one_out", replace(made, checks=checks)).title.startswith("0 of 4 answers")


def test_places_behind_the_last_period_claimed_are_named_where_they_are_fewer() -> None:
    made = road.evaluation()
    table = road.event_study("bac08").assign(claimed=lambda t: t["event_time"].between(0, 4))
    table.loc[table["event_time"] == 4, ["clusters_exposed", "clusters_comparison"]] = [2, 14]
    (said, *_) = [s for s in road.statements() if s.component == "bac08"]
    fewer = replace(made, event_studies={("bac08", road.OUTCOME): table})
    rests = _with_end(fewer, said).rests
    assert rests.endswith("by its last period 2 states and 14: too few to say much of that time")
    assert _with_end(made, said) == said


@pytest.mark.parametrize(
    ("case", "found"),
    [
        (WHOLE, ("likely", "better")),
        (replace(WHOLE, withheld="checks failed for 1 of the 2 parts"), ("cannot_tell", "better")),
        (replace(WHOLE, conf_low=-0.02), ("cannot_tell", "")),
        (replace(WHOLE, estimate=0.0, conf_low=-0.04, conf_high=0.04), ("no_sign", "")),
        (replace(WHOLE, estimate=-0.1, conf_low=-0.18, conf_high=-0.02), ("likely", "worse")),
        (replace(WHOLE, estimate=math.nan, reason="nobody was without it"), ("not_tested", "")),
    ],
)
def test_the_programme_has_a_verdict_that_is_never_shown(case: Case, found: tuple[str, str]) -> None:
    *verdict, why = whole_verdict(case)
    assert tuple(verdict) == found and why
    assert why in ("checks failed for 1 of the 2 parts", "nobody was without it", "the sum was not attacked by itself")


def test_thresholds_of_worth_are_solved_not_read_off_a_grid() -> None:
    draws = np.random.default_rng(1).normal(4.0, 3.0, 999)
    even, most = thresholds(100.0, draws, 0.5, 0.8)
    for worth, chance in ((even, 0.5), (most, 0.8)):
        at, below = acceptable(100.0, draws, np.array([worth, worth * (1 - 1e-9)]))
        assert at >= chance > below
    assert thresholds(100.0, draws - 9.0, 0.5) == [] and thresholds(0.0, draws, 0.5) == []


def test_reasons_fit_what_is_there() -> None:
    alone = replace(NURSE, status="bundle_only", bundle=None, tied=())
    assert "other components" not in statement(alone, decide(alone)).found
    tied = replace(alone, tied=("Court",))
    assert "cannot be told apart from “Court”" in statement(tied, decide(tied)).found
    small = replace(NURSE, estimate=0.04, conf_low=0.01, conf_high=0.07)
    assert "the figure itself is smaller than what matters" in statement(small, decide(small)).found.lower()
    wide = replace(NURSE, estimate=0.03, conf_low=-0.15, conf_high=0.21, std_error=0.09)
    assert "times as many" not in statement(wide, decide(wide)).would_change.text, "no rollout that can be made"
    none = replace(NURSE, estimate=0.0, conf_low=-0.03, conf_high=0.03, std_error=0.015)
    assert "on average over that time" in statement(none, decide(none)).found
    always = replace(none, by_time=(-0.04, 0.04))
    assert decide(always).verdict == "no_sign" and "on average" not in statement(always, decide(always)).found
    chance = replace(NURSE, p_adjusted=0.2)
    assert decide(chance).verdict == "likely" and "chance" not in statement(chance, decide(chance)).found


@pytest.mark.parametrize(
    ("column", "nouns"),
    [
        ("School Name", "schools"), ("Month (start)", "months"), ("sch_id", "units"), ("g", "units"),
        ("GP practice", "GP practices"), ("person_id", "people"), ("court_area", "court areas"),
    ],
)  # fmt: skip
def test_nouns_are_words(column: str, nouns: str) -> None:
    assert plural(noun_from_column(column)) == nouns


def test_columns_of_a_word_table_are_as_wide_as_they_need() -> None:
    few = [["Part", "n", "In words"], ["Nurse", "3", "a long sentence that wants most of the room " * 4]]
    part, number, words = column_widths(few, 18.0)
    assert part + number + words == pytest.approx(18.0) and words > 4 * part > 4 * number > 1.0
    assert least_width(few) < 6.0 < 26.0 < least_width([["Respectability"] * 12])
    both = column_widths([["a", "words " * 50, "words " * 50]], 18.0)
    assert both[1] == pytest.approx(both[2], abs=0.5) and both[1] > 5 * both[0]
