"""The next rollout of a study that is there: what the places that still can start would let us tell, and its cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, check_periods
from evalkit.rollouts.brief import Brief, Planned, make_brief
from evalkit.rollouts.dates import carried_on
from evalkit.rollouts.impossible import why_unseen
from evalkit.rollouts.noise import Noise
from evalkit.rollouts.planning import RolloutPlan, check_options, search_plan
from evalkit.rollouts.search import Search
from evalkit.study.paths import Paths
from evalkit.study.study import Study

LATER = "{name!r} is on in every place: nothing is left to start."
PART = (
    "{name!r} was decided elsewhere than by {level}: each {level} counts as with it from the first period in which "
    "anybody there has it."
)
STOPPED = "{name!r} stopped somewhere: it is planned as if it had stayed."


def next_rollout(
    study: Study, more: int = 24, *, outcome: str | None = None, noise: Noise | None = None, window: int = 6,
    per_month: int | None = None, seed: int = 0, effort: float = 1.0,
) -> RolloutPlan:  # fmt: skip
    """The rollout of the places that still can start, after a study's last period, that would let us tell most.

    more: further periods in which outcomes are seen, at the step of the study's own (days, weeks, months, quarters,
    years). What was done is kept and counts: its starts serve beside the new
    ones, and no advice is given about it. Effects wanted are those that matter by the study's outcome; noise is that of
    its past unless given. Components that nothing can tell any more are kept as they are, with the reason in `.notes`;
    where nothing is left, `.impossible` says so. `.costs` is what the new starts cost at the study's unit costs.
    """
    if not isinstance(study, Study):
        raise OptionError(f"{type(study).__name__} is no study. Give an ek.Study.")
    check_options(noise, seed, effort)
    check_periods("more", more, 1)
    check_periods("window", window, 1)
    paths, starts, notes = study.paths, history(study.paths), []
    T, asked = paths.n_periods, study.outcome(outcome)
    whole = carried_on(study.calendar, more)
    values = whole.values.tolist()
    level, matters = paths.levels[paths.cluster], asked.matters
    if matters is not None and asked.better == "lower":
        matters = -matters
    table, reaches, planned = _places(paths), _reaches(study), []
    for k, c in enumerate(study.components):
        fixed = {str(p): values[s] for p, s in zip(level.names, starts[:, k], strict=True) if s < T}
        planned.append(Planned(
            c.name, wanted=matters, reach=reaches.get(c.reach), fixed=fixed, everywhere=False, lag=int(c.lag),
            unit_cost=c.unit_cost,
        ))  # fmt: skip
        notes += _notes(paths, k, starts[:, k])
    noise = noise if noise is not None else Noise.from_study(study, outcome)
    noise = replace(noise, reached={reaches[c]: sd for c, sd in noise.reached.items() if c in reaches})
    brief = make_brief(table, planned, whole, noise, window, (), per_month, values[T])
    brief = replace(brief, asked=np.array([bool((starts[:, k] >= T).any()) for k in range(len(planned))]))
    brief, said = _tellable(brief)
    brief = replace(brief, notes=(*notes, *said))
    if not brief.asked.any():
        nothing = np.where(starts >= T, brief.T, starts)
        proof = ("Nothing is left to start that would tell more.", *said)
        return RolloutPlan(brief, nothing, seed, impossible=proof, outcome=asked.column)
    return search_plan(brief, seed, effort=effort, outcome=asked.column)


def history(paths: Paths) -> np.ndarray:
    """(P, K) first period on in each of the study's places, T where a component never began."""
    level, T = paths.levels[paths.cluster], paths.n_periods
    on = paths.state > 0
    first = np.where(on.any(axis=1), on.argmax(axis=1), T)[paths.path]
    out = np.full((len(level.names), len(paths.components)), T)
    np.minimum.at(out, level.codes, first)
    return out


def _reaches(study: Study) -> dict[str | None, str]:
    """The study's columns of reach, and what each is called in the table of places: those that one column reaches are
    the same people."""
    found: dict[str | None, str] = {}
    for c in study.components:
        if c.reach is not None:
            found.setdefault(c.reach, f"reach of {c.name}")
    return found


def _places(paths: Paths) -> pd.DataFrame:
    """place, people in a period, and the share of them whom each component reaches; all where it reaches nobody."""
    level = paths.levels[paths.cluster]
    seen = np.ones((paths.n_units, paths.n_periods)) if paths.seen is None else paths.seen
    here = paths.people
    count = np.bincount(level.codes, weights=here * seen.mean(axis=1), minlength=len(level.names))
    table = pd.DataFrame({"place": [str(n) for n in level.names], "people": np.maximum(np.round(count), 1.0)})
    units = np.bincount(level.codes, weights=here, minlength=len(level.names))
    for k, name in enumerate(paths.components):
        reached = np.bincount(level.codes, weights=here * paths.reach[paths.path, k], minlength=len(units)) / units
        table[f"reach of {name}"] = np.where(reached > 0, reached, 1.0)
    return table


def _notes(paths: Paths, k: int, starts: np.ndarray) -> list[str]:
    name, T = paths.components[k], paths.n_periods
    said = [LATER.format(name=name)] if (starts < T).all() else []
    if paths.assigned_at[name] != paths.cluster:
        said.append(PART.format(name=name, level=paths.cluster))
    on = paths.state[:, :, k] > 0
    if (on[:, :-1] & ~on[:, 1:]).any():
        said.append(STOPPED.format(name=name))
    return said


def _tellable(brief: Brief) -> tuple[Brief, list[str]]:
    """The brief without asking for what nothing can tell, and the sentences that prove it."""
    said: list[str] = []
    search, asked = Search(brief, 0), brief.asked.copy()
    for v, g in enumerate(search.groups):
        if brief.asked[g].any() and (proof := list(why_unseen(brief, search, v))):
            asked[g], said = False, said + proof
    return replace(brief, asked=asked), said
