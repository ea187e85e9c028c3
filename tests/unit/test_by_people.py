"""The check by people: what it takes to say that others affect both kinds of people alike."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from evalkit.checks import by_people

MATTERS = 0.05


@dataclass(frozen=True)
class Gap:
    """Stands for a one-row Estimate: only its row is read."""

    estimate: float
    half: float
    exposed: int = 6
    comparison: int = 6

    def row(self) -> dict[str, float]:
        return {
            "estimate": self.estimate, "conf_low": self.estimate - self.half, "conf_high": self.estimate + self.half,
            "clusters_exposed": self.exposed, "clusters_comparison": self.comparison,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("gap", "status"),
    [
        (Gap(0.0, 0.02), "passed"),
        (Gap(0.0, 0.02, exposed=2), "informational"),
        (Gap(0.01, 0.03), "informational"),
        (Gap(0.0, 0.2), "informational"),
        (Gap(0.03, 0.015), "failed"),
        (Gap(-0.03, 0.015), "failed"),
        (None, "informational"),
    ],
)
def test_only_a_gap_well_below_what_matters_passes(gap: Gap | None, status: str):
    assert by_people({"Policy": gap}, MATTERS).status == status


def test_a_gap_of_three_points_never_passes_where_five_matter():
    for half in (0.002, 0.005, 0.01, 0.02, 0.04):
        for error in (-2.0, -1.0, 0.0, 1.0):
            assert by_people({"Policy": Gap(0.03 + error * half / 2, half)}, MATTERS).status != "passed"


def test_words_agree_with_how_many_they_name():
    gaps = {"Policy": Gap(0.0, 0.01), "Court": Gap(0.0, 0.01)}
    assert by_people(gaps, MATTERS).words == "Policy and Court affect the two kinds of people alike."
    assert by_people({"Policy": gaps["Policy"]}, MATTERS).words.startswith("Policy affects")


def test_the_number_is_of_the_gap_that_leads_farthest():
    gaps = {"Policy": Gap(0.01, 0.03), "Court": Gap(-0.02, 0.2), "Nurse": Gap(0.03, 0.06)}
    assert by_people(gaps, MATTERS).estimate == -0.02
    assert by_people({"Policy": Gap(0.03, 0.01), "Court": Gap(-0.06, 0.01)}, MATTERS).estimate == -0.06
