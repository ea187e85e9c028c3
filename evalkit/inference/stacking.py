"""Rows of several estimates with one joint covariance, units joined by id."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

import numpy as np

from evalkit.errors import EvalkitError
from evalkit.inference.estimate import Estimate
from evalkit.inference.labelled import Labels
from evalkit.inference.replicates import Refits, StackedCells, StackedRefits, stacked_arms
from evalkit.inference.sources import stacked


def stack(*given: Estimate | Iterable[Estimate]) -> Estimate:
    """Rows of several estimates, one by one or in a list, with one joint covariance, units joined by id.

    Raises `EvalkitError` for anything but Estimates, and where a unit's cluster codes conflict. With
    refits at one level the joint covariance is the jackknife's; else analytic, at the coarser level, and each row
    keeps its own interval.
    """
    estimates: tuple[Estimate, ...] = tuple(e for g in given for e in (g if isinstance(g, (list, tuple)) else (g,)))
    for e in estimates:
        if not isinstance(e, Estimate):
            raise EvalkitError(f"stack joins Estimates; {type(e).__name__} has no contributions to join.")
    if not estimates:
        raise EvalkitError("stack needs at least one Estimate.")
    if len(estimates) == 1:
        return estimates[0]
    values, shares = tuple(e.value for e in estimates), tuple(e.mass for e in estimates)
    masses = [e.mass_influence for e in estimates if e.mass_influence is not None]
    arms = [e.arms for e in estimates if e.arms is not None]
    refits = tuple(e.replicate for e in estimates if isinstance(e.replicate, Refits))
    joint = len(refits) == len(estimates) and len({e.level for e in estimates}) == 1
    makes = tuple(e.cells for e in estimates if e.cells is not None)
    return Estimate(
        np.concatenate(values), np.concatenate(shares),
        Labels.joined([e.label_columns for e in estimates]).unread, stacked([e.value_influence for e in estimates]),
        stacked(masses) if len(masses) == len(estimates) else None,
        stacked_arms(arms) if len(arms) == len(estimates) else None,
        StackedRefits(refits, values, shares) if joint else None,
        StackedCells(makes, tuple(map(len, estimates))) if len(makes) == len(estimates) else None,
        pieces=_pieces(estimates),
    )  # fmt: skip


def _pieces(estimates: tuple[Estimate, ...]) -> tuple[Estimate, ...]:
    """Estimates whose rows keep their own inference; none where all are inferred alike. Those alike that come first
    are one piece. A working covariance is an estimate's own, and says nothing of how it moves with another."""
    first = estimates[0]

    def alike(e: Estimate) -> bool:
        same = e.level == first.level and (e.replicate is None) == (first.replicate is None)
        return same and not e.pieces and e.working is None and e.method is None

    run = len(list(takewhile(alike, estimates)))
    if run == len(estimates):
        return ()
    head = stack(*estimates[: max(run, 1)])
    return tuple(piece for e in (head, *estimates[max(run, 1) :]) for piece in (e.pieces or (e,)))
