"""What stacking many small estimates takes of memory."""

from __future__ import annotations

import tracemalloc

import numpy as np

import evalkit as ek
from tests.laws.rollouts import rollout, study_of

MEGABYTES = 10
ROWS = 300


def rows() -> list[ek.Estimate]:
    """300 estimates of one row each: 25 of each of twelve outcomes."""
    names = [f"y{j}" for j in range(12)]
    frame = rollout(3, sites=12, periods=10)
    frame[names] = np.random.default_rng(1).normal(size=(len(frame), len(names)))
    study = study_of(frame, outcome=None, outcomes=names)
    made = [ek.StaggeredRollout(outcome=name)(study, "a") for name in names]
    for est in made:
        est.to_frame()
    return [est.select(np.array([i])) for est in made for i in range(ROWS // len(names))]


def megabytes(some: list[ek.Estimate]) -> float:
    """The most that stacking them and reading the table takes beyond what they hold themselves."""
    tracemalloc.start()
    try:
        frame = ek.stack(*some).to_frame()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(frame) == len(some)
    return peak / 1e6


def test_memory_of_a_stack_does_not_grow_with_the_cube_of_its_rows():
    """60 rows first, within their part of what 300 may take: where 60 take more, 300 would fill the machine."""
    small = rows()
    assert megabytes(small[::5]) < MEGABYTES * 60 / ROWS
    assert megabytes(small) < MEGABYTES
