"""A new design is one file and touches no other: one that is defined here runs as a rung, is checked and is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.protocol import Basis, Check, Design, StudyLike, Traits
from evalkit.evaluation.attacking import Target, falsify
from evalkit.evaluation.evidence import Finding, decide_all, effect_table
from evalkit.evaluation.ladder import Rung, Window, run
from evalkit.inference.replicates import Arms
from evalkit.study.paths import Paths
from evalkit.verdicts.evidence import Evidence

NAME = "LastPeriod"
SITES, PERIODS, EFFECT = 16, 8, 3.0
ALWAYS = ["leave_one_cluster", "few_clusters", "rungs", "date_rule"]


@dataclass(frozen=True)
class LastPeriod:
    """Places that had a component beside those that never had it, by what is seen in the last period."""

    basis: tuple[Basis, ...] = ()
    invites: tuple[Check, ...] = ()

    @property
    def traits(self) -> Traits:
        return Traits(frozenset(self.basis), arms=("drawn", "not drawn"), checks=self.invites)

    def plan(self, paths: Paths, component: str) -> np.ndarray:
        """Who ever had it."""
        return (paths.state[paths.path, :, paths.index(component)] > 0).any(axis=1)

    def __call__(self, study: StudyLike, component: str) -> ek.Estimate:
        had, last = self.plan(study.paths, component), study.values()[:, -1]
        centred = last - np.where(had, last[had].mean(), last[~had].mean())
        share = np.where(had, 1 / had.sum(), -1 / (~had).sum())
        labels = pd.DataFrame({
            "component": [component], "outcome": [study.outcome().column], "estimand": ["last period"],
            "population": ["everybody"], "reason": [""], "stay_exposed": [1.0], "stay_comparison": [0.5],
            "event_time": [3],
        })  # fmt: skip
        units, pull = study.paths.units, (centred * share)[:, None]
        made = ek.Estimate.from_influence([share @ last], pull, labels, ids=units, clusters=units)
        return replace(made, arms=Arms(had[:, None], ~had[:, None], np.ones(len(had))))


@pytest.fixture(scope="module")
def study() -> ek.Study:
    site, month = np.repeat(np.arange(SITES), PERIODS), np.tile(np.arange(PERIODS), SITES)
    on = (site % 2 == 0) & (month >= 3 + site % 3)
    y = 0.1 * np.sin(7.0 * site + 3.0 * month) + EFFECT * on
    frame = pd.DataFrame({"site": site, "month": month, "talk": on.astype(int), "y": y})
    outcome = ek.Outcome("y", matters=1.0)
    return ek.Study(frame, unit="site", period="month", cluster="site", outcomes=[outcome], components=["talk"])


def judged(study: ek.Study, design: Design) -> tuple[Finding, Evidence, str]:
    """The finding of a design as the headline beside the usual one, what a verdict rests on, and the verdict."""
    sep, window = ek.separability(study), Window()
    rungs = (Rung(NAME, design, headline=True), Rung("StaggeredRollout(same)", ek.StaggeredRollout()))
    runs = tuple(run(r, study, "talk", window) for r in rungs)
    first = runs[0]
    assert first.rows is not None and first.answer is not None
    target = Target(study, "talk", design, first.rows, first.answer, window, 1.0, runs, {})
    finding = Finding("talk", study.outcome(), sep.status("talk"), window, runs, first, falsify(target), "")
    [(evidence, verdict)] = decide_all(study, sep, [finding], (), 0.95)
    return finding, evidence, verdict.verdict


def test_a_new_design_is_run_checked_and_judged(study: ek.Study) -> None:
    finding, evidence, verdict = judged(study, LastPeriod())
    assert evidence.estimate == pytest.approx(EFFECT, abs=0.2) and evidence.design == NAME
    assert [c.check for c in finding.checks] == ALWAYS
    words = {c.check: c.words for c in finding.checks}
    assert "8 places drawn and 8 not drawn" in words["few_clusters"]
    assert "places whose other components follow the same path" in words["rungs"]
    assert not (evidence.rests_on_additivity or evidence.rests_on_matching or evidence.rests_on_dose)
    assert verdict == "shown"
    effects = effect_table([finding], 0.95).set_index("design")
    assert effects.loc[NAME, "headline"] and effects.loc[NAME, "estimate"] == evidence.estimate


@pytest.mark.parametrize(("basis", "field"), [
    ("additivity", "rests_on_additivity"), ("matching", "rests_on_matching"), ("weighting", "rests_on_matching"),
])  # fmt: skip
def test_what_it_rests_on_counts_against_it(study: ek.Study, basis: Basis, field: str) -> None:
    _, evidence, verdict = judged(study, LastPeriod((basis,)))
    assert getattr(evidence, field) and verdict != "shown"


def test_it_is_put_to_the_checks_that_it_invites(study: ek.Study) -> None:
    finding, _, verdict = judged(study, LastPeriod(invites=("stayers",)))
    assert [c.check for c in finding.checks] == [*ALWAYS, "stayers"]
    found = finding.checks[-1]
    assert found.status == "passed" and found.estimate == pytest.approx(
        0.5
    )  # the effect is larger than any of those missing
    assert found.conf_low < EFFECT < found.conf_high and verdict == "shown"
