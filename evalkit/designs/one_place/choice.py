"""Which design one or two exposed places allow, from exposures and periods alone: before any outcome is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.designs.one_place.donors import BesideDonors, DifferenceBesidePlaces, SyntheticDifferenceInDifferences
from evalkit.designs.one_place.interrupted import LEAST, LEAST_WITH_SEASON, InterruptedTimeSeries
from evalkit.designs.one_place.places import ENOUGH, Grouped, Place, alone, find_places
from evalkit.designs.one_place.segments import Shape, changes, lay_out
from evalkit.show.words import count_words
from evalkit.study.calendar import seasons
from evalkit.study.paths import Paths
from evalkit.vocabulary import BESIDE_PLACES, CONTROLLED_SERIES, SERIES, SYNTHETIC_DIFFERENCE, BestDesign

MOST = 2
"""Exposed places up to which they are looked at one by one."""


@dataclass(frozen=True)
class Choice:
    """The design that is chosen, "" for none; the last event time claimed; places with it and beside it; and why.
    bound: where there is none for it alone, components that began too near, and within how many periods of each
    other."""

    design: BestDesign
    until: int = -1
    exposed: int = 0
    comparison: int = 0
    words: str = ""
    bound: tuple[str, ...] = ()
    within: int = 0


def season_of(paths: Paths, before: int, after: int) -> int | None:
    """Periods in a year, where the calendar says so and enough of them lie before and after to take a season out."""
    season = seasons(paths.periods)
    return season if before >= LEAST_WITH_SEASON[0] and after >= LEAST_WITH_SEASON[1] else None


def series_design(paths: Paths, component: str, control: bool) -> InterruptedTimeSeries:
    """The interrupted series of a component, with a season where there is room for one."""
    lag = paths.lags[paths.index(component)] if paths.lags else 0
    places = find_places(SyntheticDifferenceInDifferences().plan(paths, component), grouped_for(paths, component))
    whole = places if control else [alone(p) for p in places]
    room = [(p.before, p.until + 1 - p.cohort - lag) for p in whole]
    season = season_of(paths, min((b for b, _ in room), default=0), min((a for _, a in room), default=0))
    return InterruptedTimeSeries(season=season, control="clean" if control else ())


def grouped_for(paths: Paths, component: str) -> Grouped:
    """The study's people by cluster and path at the component's level."""
    return Grouped(paths, paths.inference_level(component)[0])


_BESIDE: Mapping[BestDesign, type[BesideDonors]] = {
    SYNTHETIC_DIFFERENCE: SyntheticDifferenceInDifferences,
    BESIDE_PLACES: DifferenceBesidePlaces,
}


def _fitting(places: Sequence[Place], design: type[BesideDonors], lag: int) -> list[Place]:
    """Places with enough others beside them and periods on either side for a design."""
    before, after = design.least
    return [p for p in places if len(p.donors) >= ENOUGH and p.before >= before and len(p.claimed(lag)) >= after]


def possible(paths: Paths, component: str, places: Sequence[Place]) -> tuple[BestDesign, ...]:
    """Whether a mix of others, and a place's own past, could say something of at least one of the `places`: from
    exposures and periods alone."""
    lag = paths.lags[paths.index(component)] if paths.lags else 0
    mix = bool(_fitting(places, SyntheticDifferenceInDifferences, lag))
    past = any(not _claimed(paths, component, alone(p), "period")[1] for p in places)
    return (*((SYNTHETIC_DIFFERENCE,) if mix else ()), *((SERIES,) if past else ()))


def choose(paths: Paths, component: str, noun: str = "place", period: str = "period") -> Choice:
    """The strongest of: synthetic difference-in-differences, all other places alike, a control series, the place's own
    past. For each what its best place has: other places clean throughout, periods before, periods after the lag.

    noun, period: what a place and a period are called in the words."""
    lag = paths.lags[paths.index(component)] if paths.lags else 0
    grouped = grouped_for(paths, component)
    places = find_places(SyntheticDifferenceInDifferences().plan(paths, component), grouped)
    if not 0 < len({p.cluster for p in places}) <= MOST:
        return Choice("")
    for name, design in _BESIDE.items():
        fit = _fitting(places, design, lag)
        if fit:
            until, donors = max(p.until - p.cohort for p in fit), max(len(p.donors) for p in fit)
            words = f"{count_words(len(fit), noun)} beside {donors} others that can be followed before and after"
            return Choice(name, until, len({p.cluster for p in fit}), donors, words)
    return _series(paths, component, places, (noun, period))


def _series(paths: Paths, component: str, places: list[Place], nouns: tuple[str, str]) -> Choice:
    found: dict[BestDesign, list[tuple[Place, int]]] = {CONTROLLED_SERIES: [], SERIES: []}
    short = ""
    noun, period = nouns
    near: list[tuple[tuple[str, ...], int]] = []
    for place in places:
        both: dict[BestDesign, Place] = {CONTROLLED_SERIES: place, SERIES: alone(place)}
        for name, one in both.items():
            if name == SERIES or len(one.donors):
                until, why, bound, within = _claimed(paths, component, one, period)
                short = why or short
                if bound:
                    near.append((bound, within))
                if not why:
                    found[name].append((one, until))
    for name, fit in found.items():
        if fit:
            donors = max(len(p.donors) for p, _ in fit)
            beside = f"beside {count_words(donors, f'control {noun}')}" if donors else "beside its own past"
            words = f"{count_words(len(fit), noun)} {beside}"
            return Choice(name, max(u for _, u in fit), len({p.cluster for p, _ in fit}), donors, words)
    bound, within = near[0] if near else ((), 0)
    return Choice("", words=short, bound=bound, within=within)


def _claimed(paths: Paths, component: str, place: Place, period: str) -> tuple[int, str, tuple[str, ...], int]:
    """The last event time that one series claims, or why it claims none; what it is bound to, and within how long."""
    own, others = changes(paths, component, place, 0)
    asked = place.asked[place.asked <= place.until]
    layout = lay_out(own, others, place.first, asked, Shape())
    if layout.reason:
        group = (own, *layout.bound)
        starts = [b.at for b in group]
        bound = tuple(sorted({b.name for b in layout.bound if b.name}, key=paths.components.index))
        room = min(starts) - place.first, int(np.sum(asked >= max(b.live for b in group)))
        whole = all(b.name and b.on for b in layout.bound) and room[0] >= LEAST[0] and room[1] >= LEAST[1]
        return -1, layout.reason, bound if whole else (), max(starts) - min(starts)
    before, after = own.at - max(place.first, layout.first), int(np.sum(asked >= own.live))
    for there, side, least in ((before, "before", LEAST[0]), (after, "after", LEAST[1])):
        if there < least:
            return -1, f"{count_words(there, period)} {side} the start can be used, and {least} are needed", (), 0
    if not len(layout.claimed):
        return -1, "something else began before it could show", (), 0
    return int(layout.claimed[-1] - place.cohort), "", (), 0
