"""Checks of a cut-off: do people bunch there, do other things jump there, are there jumps where nothing switches?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evalkit.checks.headline import ALPHA, CheckResult
from evalkit.designs.people.cutoff import FEWEST, Jump, RegressionDiscontinuity, Sample
from evalkit.errors import NotIdentifiedError
from evalkit.show.words import join_words, of_people
from evalkit.study import Study


def cutoff_checks(
    design: RegressionDiscontinuity, study: Study, component: str, margin: float | None = None
) -> tuple[CheckResult, ...]:
    """The three checks of one discontinuity. margin: how large a false jump would matter."""
    sample = design.sample(study, component)
    width = design.fit(study, component).bandwidth
    return (
        bunching(sample.score, design.cutoff, width),
        others_at_cutoff(design, study, sample, width),
        placebo_cutoffs(design, sample, margin),
    )


def bunching(score: np.ndarray, cutoff: float, width: float) -> CheckResult:
    """Are there more people just on one side than chance gives? A binomial test within a fifth of `width` on each side,
    where one half is expected on either (windows as in Cattaneo, Titiunik and Vazquez-Bare 2017).

    Whoever chooses a side is one person, so the study's weights play no part: people are counted."""
    from scipy import stats

    near = np.abs(score - cutoff) <= width / 5
    below, above = int((near & (score < cutoff)).sum()), int((near & (score >= cutoff)).sum())
    total = below + above
    if total < FEWEST:
        return CheckResult("bunching", "informational", f"Only {of_people(total)} stand close to the cut-off.")
    counts = f"{of_people(below)} stand just below the cut-off and {of_people(above, 'just')} above"
    if float(stats.binomtest(below, total).pvalue) < ALPHA:
        words = f"{counts}: more on one side than chance gives, as when people choose their side."
        return CheckResult("bunching", "failed", words, above / total)
    return CheckResult("bunching", "passed", f"{counts}: no sign that people choose their side.", above / total)


def others_at_cutoff(
    design: RegressionDiscontinuity, study: Study, sample: Sample, width: float | None = None
) -> CheckResult:
    """Other components and covariates as outcomes: nothing else may switch at the cut-off (Bonferroni).

    width: the bandwidth of the effect itself, so that a thing which only varies further off, or only at the cut-off,
    is judged where the effect is."""
    things = {n: v for n, v in _things(study, sample).items() if len(np.unique(v)) > 1}
    tried = {n: _other(design, sample, v, width) for n, v in things.items()}
    found, unknown = {n: j for n, j in tried.items() if j is not None}, [n for n, j in tried.items() if j is None]
    jumping = [n for n, j in found.items() if j.p_value * len(found) < ALPHA]
    if jumping:
        verb = "jumps" if len(jumping) == 1 else "jump"
        words = f"At the cut-off {join_words(jumping)} also {verb}, so what is found there may not be its effect alone."
        return CheckResult("others_at_cutoff", "failed", words, *_worst(found))
    if unknown:
        words = f"Whether {join_words(unknown)} also {'jumps' if len(unknown) == 1 else 'jump'} cannot be worked out."
        return CheckResult("others_at_cutoff", "informational", words, *(_worst(found) if found else ()))
    if not found:
        return CheckResult("others_at_cutoff", "informational", "There is nothing else on record that could jump.")
    words = f"Nothing else on record jumps at the cut-off ({', '.join(found)})."
    return CheckResult("others_at_cutoff", "passed", words, *_worst(found))


def _things(study: Study, sample: Sample) -> dict[str, np.ndarray]:
    """(m,) each other component (0 or 1) and covariate of the people."""
    paths, people = study.paths, sample.people
    path = paths.path[people.rows]
    things = {
        c: (paths.state[path, people.period, k] > 0).astype(float)
        for k, c in enumerate(paths.components)
        if c != people.component
    }
    return things | {n: people.x[:, 1 + j] for j, n in enumerate(people.names[1:])}


def _other(design: RegressionDiscontinuity, sample: Sample, values: np.ndarray, width: float | None) -> Jump | None:
    """The jump of another thing: known exactly where it varies on neither side; None where it cannot be worked out."""
    score, weight = sample.score, sample.people.weight
    if width is not None:
        near, above = np.abs(score - design.cutoff) <= width, score >= design.cutoff
        low, high = values[near & ~above], values[near & above]
        if len(low) and len(high) and np.ptp(low) == 0 and np.ptp(high) == 0:
            gap = float(high[0] - low[0])
            return Jump(gap, gap, gap, 0.0 if gap else 1.0, width, len(low), len(high), False)
    for form in (design, replace(design, bandwidth=width or design.bandwidth)):
        try:
            return form.jump(score, values, sample.clusters, weight=weight)
        except NotIdentifiedError:
            continue  # by its own bandwidth it cannot be told: by the effect's bandwidth, then
    return None


def placebo_cutoffs(design: RegressionDiscontinuity, sample: Sample, margin: float | None) -> CheckResult:
    """Jumps at the medians of either side, where nothing switches, each among its own side's people."""
    sides = (("above", sample.score >= design.cutoff), ("below", sample.score < design.cutoff))
    tried = {name: _placebo(design, sample, side) for name, side in sides}
    found = {name: j for name, j in tried.items() if j is not None}
    if not found:
        words = "Too few people, or people too alike, to try other cut-offs."
        return CheckResult("placebo_cutoffs", "informational", words)
    said = _worst(found)
    if any(j.p_value * len(found) < ALPHA for j in found.values()):
        words = "The outcome also jumps at a cut-off where nothing switches."
        return CheckResult("placebo_cutoffs", "failed", words, *said)
    inside = margin is not None and all(-margin < j.low and j.high < margin for j in found.values())
    words = "No jump shows where nothing switches" + ("." if inside else ", but one could have been missed.")
    return CheckResult("placebo_cutoffs", "passed" if inside else "informational", words, *said)


def _placebo(design: RegressionDiscontinuity, sample: Sample, side: np.ndarray) -> Jump | None:
    """The jump of the outcome at the median score of one side; None where the people are too few or too alike."""
    score = sample.score[side]
    clusters = None if sample.clusters is None else sample.clusters[side]
    weight = None if sample.people.weight is None else sample.people.weight[side]
    try:
        return design.jump(score, sample.y[side], clusters, float(np.median(score)), weight)
    except NotIdentifiedError:
        return None  # the check then says that no other cut-off could be tried


def _worst(found: dict[str, Jump]) -> tuple[float, float, float]:
    worst = min(found.values(), key=lambda j: j.p_value)
    return worst.value, worst.low, worst.high
