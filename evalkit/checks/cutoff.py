"""Checks of a cut-off: do people bunch there, do other things jump there, are there jumps where nothing switches?"""

from __future__ import annotations

import numpy as np
from scipy import stats

from evalkit.checks.result import CheckResult
from evalkit.designs.discontinuity import FEWEST, Jump, RegressionDiscontinuity, Sample
from evalkit.show.words import join_words
from evalkit.study import Study

ALPHA = 0.05


def cutoff_checks(
    design: RegressionDiscontinuity, study: Study, component: str, margin: float | None = None
) -> tuple[CheckResult, ...]:
    """The three checks of one discontinuity. margin: how large a false jump would matter."""
    sample = design.sample(study, component)
    width = design.fit(study, component).bandwidth
    return (
        bunching(sample.score, design.cutoff, width),
        others_at_cutoff(design, study, sample),
        placebo_cutoffs(design, sample, margin),
    )


def bunching(score: np.ndarray, cutoff: float, width: float) -> CheckResult:
    """Are there more people just on one side than chance gives? A binomial test within a fifth of `width` on each side,
    where one half is expected on either (windows as in Cattaneo, Titiunik and Vazquez-Bare 2017)."""
    near = np.abs(score - cutoff) <= width / 5
    below, above = int((near & (score < cutoff)).sum()), int((near & (score >= cutoff)).sum())
    total = below + above
    if total < FEWEST:
        return CheckResult("bunching", "informational", f"Only {total} people stand close to the cut-off.")
    counts = f"{below} people stand just below the cut-off and {above} just above"
    if float(stats.binomtest(below, total).pvalue) < ALPHA:
        words = f"{counts}: more on one side than chance gives, as when people choose their side."
        return CheckResult("bunching", "failed", words, above / total)
    return CheckResult("bunching", "passed", f"{counts}: no sign that people choose their side.", above / total)


def others_at_cutoff(design: RegressionDiscontinuity, study: Study, sample: Sample) -> CheckResult:
    """Other components and covariates as outcomes: nothing else may switch at the cut-off (Bonferroni)."""
    paths, people = study.paths, sample.people
    path = paths.path[people.rows]
    things = {
        c: (paths.state[path, people.period, k] > 0).astype(float)
        for k, c in enumerate(paths.components)
        if c != people.component
    }
    things |= {n: people.x[:, 1 + j] for j, n in enumerate(people.names[1:])}
    found = {n: design.jump(sample.score, v, sample.clusters) for n, v in things.items() if len(np.unique(v)) > 1}
    if not found:
        return CheckResult("others_at_cutoff", "informational", "There is nothing else on record that could jump.")
    said = _worst(found)
    jumping = [n for n, j in found.items() if j.p_value * len(found) < ALPHA]
    if jumping:
        verb = "jumps" if len(jumping) == 1 else "jump"
        words = f"At the cut-off {join_words(jumping)} also {verb}, so what is found there may not be its effect alone."
        return CheckResult("others_at_cutoff", "failed", words, *said)
    words = f"Nothing else on record jumps at the cut-off ({', '.join(found)})."
    return CheckResult("others_at_cutoff", "passed", words, *said)


def placebo_cutoffs(design: RegressionDiscontinuity, sample: Sample, margin: float | None) -> CheckResult:
    """Jumps at the medians of either side, where nothing switches, each among its own side's people."""
    found: dict[str, Jump] = {}
    for name, side in (("above", sample.score >= design.cutoff), ("below", sample.score < design.cutoff)):
        score = sample.score[side]
        middle = float(np.median(score))
        if min((score >= middle).sum(), (score < middle).sum()) >= FEWEST:
            clusters = None if sample.clusters is None else sample.clusters[side]
            found[name] = design.jump(score, sample.y[side], clusters, middle)
    if not found:
        return CheckResult("placebo_cutoffs", "informational", "Too few people to try other cut-offs.")
    said = _worst(found)
    if any(j.p_value * len(found) < ALPHA for j in found.values()):
        words = "The outcome also jumps at a cut-off where nothing switches."
        return CheckResult("placebo_cutoffs", "failed", words, *said)
    inside = margin is not None and all(-margin < j.low and j.high < margin for j in found.values())
    words = "No jump shows where nothing switches" + ("." if inside else ", but one could have been missed.")
    return CheckResult("placebo_cutoffs", "passed" if inside else "informational", words, *said)


def _worst(found: dict[str, Jump]) -> tuple[float, float, float]:
    worst = min(found.values(), key=lambda j: j.p_value)
    return worst.value, worst.low, worst.high
