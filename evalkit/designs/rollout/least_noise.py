"""A staggered rollout with weights of least noise: the rows and masses of the published comparison, other weights.

Which cells are exposed, which serve, and what each row averages is read from the same plan. Weights are those of the
untreated model (`evalkit/designs/noise/untreated.py`) under a working covariance that sees no effect. Rows before the
start, and those that the model has no say in, are the published ones; the label `weights` says which, and why.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evalkit.designs.noise.model import Steps, Targets, untreated_columns
from evalkit.designs.noise.weighing import EQUAL, NoCovarianceError, Weighing, beside, unweighted
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.plan import ExposureStates, Rules
from evalkit.designs.rollout.rows import Naming, assemble, labels, on_mass, source_of
from evalkit.designs.rollout.sums import add_by
from evalkit.inference.estimate import Estimate

UNTOLD = "the weights of least noise cannot tell it: its levels before the start are not seen"
ADJUSTED = "equal: each start is adjusted for covariates among its own matches"
NEVER_ONLY = "equal: those exposed later do not serve, which weights of least noise would have them do"
AGAIN = "equal: it starts again there, and is read from the last period without it"
BOTH = (
    "units whose other components do the same would have moved alike, but for a gap between those whom it can reach "
    "and those whom it cannot that all places share"
)


def least_noise_estimate(
    contrast: Contrast, states: ExposureStates, rules: Rules, naming: Naming, leads: bool = True
) -> Estimate:
    """Rows of a contrast, with weights of least noise from the start on; labels, masses and adopters as published.

    The label `weights` says which they are: equal, and why, where nothing gives a working covariance. leads: whether
    rows before the start are asked for.
    """
    asked = contrast.rows(leads)
    if rules.comparison == "never":
        return unweighted(assemble(contrast, naming, asked), NEVER_ONLY)
    own = np.flatnonzero(modelled(contrast, states).ravel())
    if not len(own):
        return unweighted(assemble(contrast, naming, asked), AGAIN)
    try:
        found = _by_model(contrast, states, rules, own, naming)
    except NoCovarianceError as nothing:
        return unweighted(assemble(contrast, naming, asked), f"{EQUAL}: {nothing}")
    rest = np.setdiff1d(asked, own)
    if not len(rest):
        return found
    published = assemble(contrast, naming, rest)
    later = published.label_columns["event_time"] >= 0
    return beside(found, unweighted(published, np.where(later, AGAIN, EQUAL)), np.argsort(np.concatenate([own, rest])))


def modelled(contrast: Contrast, states: ExposureStates) -> np.ndarray:
    """(H, T) rows from the start on, all of whose adopters start for the first time."""
    return contrast.once("modelled", lambda: _modelled(contrast, states))


def _modelled(contrast: Contrast, states: ExposureStates) -> np.ndarray:
    later = np.arange(contrast.n_periods) >= contrast.cohorts[:, None]
    again = np.zeros(contrast.mass.shape, dtype=bool)
    for b in contrast.read:
        first, cohort = b.terms(contrast.reader)[0], contrast.cohorts[b.line]
        on = states.on[contrast.reader.sums.path[contrast.reader.cells[first.at]]]
        before = (on & (np.arange(contrast.n_periods) < cohort[first.of][:, None])).any(axis=1)
        twice = np.bincount(first.of, before, len(b)) > 0
        again |= add_by((b.ok & twice[:, None]).astype(float), b.line, len(again)) > 0
    return np.asarray(contrast.possible & later & ~again)


def _by_model(contrast: Contrast, states: ExposureStates, rules: Rules, rows: np.ndarray, naming: Naming) -> Estimate:
    """Some rows of a contrast by the untreated model; `NoCovarianceError` where nothing gives a covariance."""
    made = weighing_of(contrast, states, rules)
    frame = labels(contrast, naming, rows)
    frame = frame.assign(
        reason=np.where(np.isnan(made.model.value) & (made.mass > 0), UNTOLD, frame["reason"]),
        share_left_out=1.0 - (1.0 - frame["share_left_out"]) * np.minimum(made.model.weight, 1.0),
    )
    if columns_of(contrast, states, rules).shared:
        frame = frame.assign(assumption=BOTH)
    return made.estimate(frame, on_mass(source_of(contrast, rows), len(rows), made.sums.level))


def weighing_of(contrast: Contrast, states: ExposureStates, rules: Rules, few: bool = False) -> Weighing:
    """The untreated model of a contrast's cells, with all its rows from the start on that the model has a say in. few:
    as in `Weighing`."""
    component, sums = contrast.plan.component, contrast.reader.sums
    rows, columns = np.flatnonzero(modelled(contrast, states).ravel()), columns_of(contrast, states, rules)
    made = Weighing(
        component, sums, columns, targets_of(contrast, rows), contrast.mass.ravel()[rows],
        key=(component, rules.others, rules.anticipation), kept_as=(component, type(contrast.reader), rules.rules),
        few=few,
    )  # fmt: skip
    if not rules.lookback:
        return made
    alone = untreated_columns(states, replace(rules, lookback=0))  # shocks are what they are, whoever stands beside
    return replace(made, learnt_by=replace(made, columns=alone, kept_as=None))


def columns_of(contrast: Contrast, states: ExposureStates, rules: Rules) -> Steps:
    """The columns of the untreated model, made once for all that is read on the same paths."""
    key = ("untreated", contrast.plan.component, rules.others, rules.anticipation, rules.lookback)
    return contrast.paths.memo.get(key, lambda: untreated_columns(states, rules))


def targets_of(contrast: Contrast, rows: np.ndarray) -> Targets:
    """Adopters' shares of each row, as in the published weights."""
    places, found = contrast.places(rows), []
    for b in contrast.read:
        first, (_, unit) = b.terms(contrast.reader)[0], contrast.weights(b)
        share = first.n * unit[first.of] * b.ok[first.of]
        g, t = np.nonzero(share)
        row = places[b.line[first.of[g]], t]
        keep = row >= 0
        found.append((row[keep], contrast.reader.cells[first.at[g[keep]]], t[keep], share[g, t][keep]))
    return Targets(*(np.concatenate(x) for x in zip(*found, strict=True)))
