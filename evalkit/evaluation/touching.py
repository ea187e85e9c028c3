"""Who is touched, of one headline: it beside untouched places, what it does to those touched, and what both say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from evalkit import checks
from evalkit.checks import CheckResult
from evalkit.checks.spillover import Around
from evalkit.designs.protocol import StudyLike
from evalkit.designs.touched import BesideUntouched, OnNeighbours, rings, touched
from evalkit.evaluation.ladder import Run, Rung, Window, average_over
from evalkit.inference import Estimate
from evalkit.vocabulary import BESIDE_UNTOUCHED, ON_NEIGHBOURS


def touched_rungs(study: StudyLike, component: str, headline: Rung) -> tuple[Rung, ...]:
    """Beside the headline, where neighbours are known and some places without the component are touched: the same
    comparison beside untouched places only, and what it does to those touched, in all and by ring."""
    if not touched(study.paths, component):
        return ()
    each = rings(study.paths, component)
    around = [(ON_NEIGHBOURS, 0), *((f"{ON_NEIGHBOURS}(ring {r})", r) for r in each if len(each) > 1)]
    return (
        Rung(BESIDE_UNTOUCHED, BesideUntouched(headline.design), fair=False),
        *(Rung(name, OnNeighbours(headline.design, ring), fair=False) for name, ring in around),
    )


def touched_results(
    study: StudyLike, component: str, runs: Sequence[Run], window: Window, matters: float | None
) -> list[CheckResult]:
    """The headline, among `runs`, beside untouched places, and what is done to those touched; nothing where no
    neighbours are known."""
    headline = next(r for r in runs if r.rung.headline)
    assert headline.rows is not None and headline.answer is not None
    if component not in study.paths.near:
        return []
    if not touched(study.paths, component):
        return [checks.spillover(headline.answer, None, matters)]
    made = {r.rung.name: r for r in runs}
    beside, on_others = made[BESIDE_UNTOUCHED], made[ON_NEIGHBOURS]
    alike = None if beside.rows is None else _over_same(headline.rows, beside.rows, window)
    around = Around(beside.answer, alike, on_others.answer, (beside.reason, on_others.reason))
    on = checks.on_neighbours(around)
    if study.paths.near[component].one_way:
        on = replace(on, words=f"{on.words} {checks.ONE_WAY}")
    return [checks.spillover(headline.answer, around, matters), on]


def _over_same(rows: Estimate, beside: Estimate, window: Window) -> Estimate | None:
    """The headline's rows over the cohorts and periods that `beside` has an answer for, averaged."""
    by = [c for c in ("cohort", "period") if c in beside.labels and c in rows.labels]
    if not by:
        return average_over(rows, window)
    told = np.isfinite(beside.value) & (beside.mass > 0)
    same = pd.MultiIndex.from_frame(beside.labels.loc[told, by])
    keep = pd.MultiIndex.from_frame(rows.labels[by]).isin(same)
    return average_over(rows.select(keep), window) if keep.any() else None
