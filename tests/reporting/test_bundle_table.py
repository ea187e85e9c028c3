"""The report's table of combinations says which stands instead of which, and what holds only if effects add up."""

from __future__ import annotations

import numpy as np

import evalkit as ek
from evalkit import reporting
from tests.laws.kinds import known


def test_a_swap_names_what_replaces_what() -> None:
    evaluation = ek.evaluate(known("replaced", 1, noise=0.3).study)
    page = reporting.told_apart(evaluation, reporting.pictures(evaluation))._repr_html_()
    assert "b instead of a" in page and "one in place of another" in page


def test_a_sum_from_the_joint_regression_says_what_it_rests_on() -> None:
    evaluation = ek.evaluate(known("two_and_two", 6, noise=0.3).study)
    adds, seen = "only if the effects of the components simply add up", set()
    rows = evaluation.verdicts.to_dict("records")
    for s, (e, _), row in zip(evaluation.statements, evaluation.judged, rows, strict=True):
        if e.bundle is not None and np.isfinite(e.bundle.conf_low):
            assert (adds in row["sentence"]) == (adds in s.brief.text) == e.bundle.additive
            seen.add(e.bundle.additive)
    assert seen == {True, False}
