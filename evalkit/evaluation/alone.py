"""One place or two alone: what was seen and expected by period, who stands beside them, and before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from evalkit.designs.one_place.donors import BesideDonors
from evalkit.designs.one_place.interrupted import InterruptedTimeSeries
from evalkit.disclosure.people import few_places
from evalkit.disclosure.publish import Guard
from evalkit.evaluation.evidence import Finding
from evalkit.study import Study

KEYS = ["component", "outcome"]
GAPS = (*KEYS, "place", "cohort", "who", "period", "event_time", "observed", "expected", "gap", "conf_low", "conf_high")
DONORS = (*KEYS, "place", "cohort", "donor", "weight")


@dataclass(frozen=True, eq=False)
class Alone:
    """Headlines that rest on one place or two. gaps: a row a place and period, and one for each other place in its role
    (`who`). donors: the others and their weights. Empty where no headline rests on so few."""

    gaps: pd.DataFrame
    donors: pd.DataFrame


def nobody() -> Alone:
    """No tables: no headline rests on so few."""
    return Alone(pd.DataFrame(columns=list(GAPS)), pd.DataFrame(columns=list(DONORS)))


def alone(study: Study, findings: Sequence[Finding]) -> Alone:
    """The tables of every headline of one place or two, by the headline's own design."""
    gaps, donors = [nobody().gaps], [nobody().donors]
    for f in findings:
        design = None if f.headline is None or f.answer is None else f.headline.rung.design
        if isinstance(design, BesideDonors | InterruptedTimeSeries):
            about = {"component": f.component, "outcome": f.outcome.column}
            gaps.append(design.gaps(study, f.component).assign(**about)[list(GAPS)])
            if isinstance(design, BesideDonors):
                donors.append(design.donors(study, f.component).assign(**about)[list(DONORS)])
    return Alone(*(pd.concat(x[1:] or x, ignore_index=True) for x in (gaps, donors)))


def before_and_after(gaps: pd.DataFrame) -> tuple[float, float]:
    """Means of one place as it was seen, over the periods before the start that are read and over those claimed."""
    own = gaps[gaps["who"] == ""]
    before, after = own["event_time"] < 0, (own["event_time"] >= 0) & own["gap"].notna()
    return float(own.loc[before, "observed"].mean()), float(own.loc[after, "observed"].mean())


def publishable_alone(guard: Guard, made: Alone) -> Alone:
    """Under rules of disclosure no period of a single place is shown, and no weight where a place of a few people could
    be worked out from it."""
    if not guard.rules.active or made.gaps.empty:
        return made
    keep = []
    for component, outcome in made.gaps[KEYS].drop_duplicates().itertuples(index=False):
        guard.note("alone", f"{component}, {outcome}", "one place by period", "too few")
        small = few_places(guard.paths, str(component), guard.rules)
        if (component, outcome) not in guard.few and component not in guard.lone and not small.any():
            keep.append((component, outcome))
    shown = [pair in keep for pair in zip(made.donors["component"], made.donors["outcome"], strict=True)]
    return Alone(made.gaps.iloc[:0], made.donors[shown].round({"weight": 2}).reset_index(drop=True))
