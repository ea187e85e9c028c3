"""From a Matching and an outcome to an Estimate: value, contributions, arms, refits, labels."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd

from evalkit.designs.people.distances import LINE
from evalkit.designs.people.effect import (
    Fit,
    Levels,
    Multiway,
    Reuse,
    contributions,
    own_arm_variance,
    regression,
    reuse_effect,
    without_each,
)
from evalkit.designs.people.matching import PAIRED, Matching, alone
from evalkit.designs.people.methods import both_arms
from evalkit.designs.people.nearest import Links
from evalkit.designs.people.people import People
from evalkit.designs.people.weighting import Weighed
from evalkit.errors import OptionError
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Arms, Replicates
from evalkit.inference.sources import DenseSource, Influence, Rows
from evalkit.show.words import join_words, of_people
from evalkit.study import Outcome, Study

FEWEST = 2
HC1 = "hc1"
Found = TypeVar("Found", bound=Fit | Reuse | Weighed)


@dataclass(frozen=True)
class Asked:
    """What is asked of a Matching. adjust: None, "reg" or "bias". errors: "set", "hc1" or "abadie_imbens".
    neighbours: people of the own arm from whom residual variances are learnt, 0 for one variance."""

    adjust: str | None = None
    errors: str = "set"
    neighbours: int = 0
    tolerance: float | None = None


def outcome_of(study: Study, people: People, name: str | None, compare: str) -> np.ndarray:
    """(m,) outcome of the people at the outcome's period, or its change since the covariates' period."""
    if compare == "change" and people.base == people.period:
        raise OptionError("compare='change' needs a panel; this study sees people once. Use compare='level'.")
    values = study.values(name)
    y = values[people.rows, people.period]
    return y - values[people.rows, people.base] if compare == "change" else y


def observed(matching: Matching, y: np.ndarray) -> Matching:
    """The matching of those whose outcome was seen: sets that lose an arm fall away."""
    seen = np.isfinite(y)
    if seen.all():
        return matching
    sets = both_arms(np.where(seen, matching.sets, -1), matching.people.exposed)
    links = tuple(_keep(x, seen[x.focal] & seen[x.partner]) for x in matching.links)
    return replace(matching, sets=sets, links=links)


def _keep(links: Links, which: np.ndarray) -> Links:
    return Links(links.focal[which], links.partner[which], links.distance[which])


def why_not(matching: Matching, whole: Matching | None = None) -> str:
    """Why no effect can be given, "" where it can. whole: the matching before those whose outcome was not seen left."""
    used, exposed = matching.used, matching.people.exposed
    counts = int((used & exposed).sum()), int((used & ~exposed).sum())
    if whole is not None and min(counts) == 0 and whole.used.any():
        return f"the outcome was seen in no matched set of the {of_people(int(whole.used.sum()))} matched"
    if min(counts) == 0 and alone(matching.people.strata, exposed).all():
        what = join_words(["other components", *matching.people.exact])
        with_it, without = int(exposed.sum()), int((~exposed).sum())
        return (
            f"nobody is matched: none of {of_people(with_it)} with it has the same {what} as any of "
            f"{of_people(without, 'without')} it"
        )
    if min(counts) == 0:
        total = int(exposed.sum())
        return f"nobody is matched: none of {of_people(total, 'exposed')} people has a partner within what was asked"
    if matching.outside == 1.0:
        most = max(counts)
        return f"the arms do not overlap: nobody in the other arm is as extreme as any of the {of_people(most)} matched"
    if min(counts) < FEWEST:
        arm = "exposed" if counts[0] < FEWEST else "comparison"
        both = f"{of_people(counts[0], 'exposed')}, {of_people(counts[1], 'comparison')}"
        return f"only one {arm} person is matched ({both}): no spread to learn from"
    return ""


def value_of(matching: Matching, y: np.ndarray, asked: Asked) -> float:
    """The estimate alone, NaN where there is none."""
    if why_not(matching):
        return float("nan")
    return _fit(matching, y, asked).value


def _fit(matching: Matching, y: np.ndarray, asked: Asked) -> Fit | Reuse:
    people = matching.people
    if matching.replace and asked.errors == "abadie_imbens":
        own = None
        if asked.neighbours:
            assert matching.space is not None
            own = own_arm_variance(matching.space, np.nan_to_num(y), people.exposed, asked.neighbours,
                                   asked.tolerance or 0.0)  # fmt: skip
        bias = people.regressors if asked.adjust == "bias" else None
        return reuse_effect(matching.links, np.nan_to_num(y), people.exposed, bias, own, people.sizes)
    who, w = _rows(matching)[:2]
    x = people.regressors[who] if asked.adjust == "reg" else None
    return regression(y[who], people.exposed[who], x, w)


def steady(fit: Found, y: np.ndarray) -> Found:
    """The same without numbers that are rounding alone: an outcome that never varies has no effect and no error."""
    dust = 1e-12 * float(np.abs(y).max(initial=0.0))
    value = 0.0 if abs(fit.value) <= dust else fit.value
    parts = np.where(np.abs(fit.parts) <= dust / len(fit.parts), 0.0, fit.parts)
    return replace(fit, value=value, parts=parts)


def _rows(matching: Matching) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the regression: person, weight, matched set. With replacement people stand once a set."""
    if not matching.replace:
        who = np.flatnonzero(matching.used)
        return who, matching.weight[who], matching.sets[who]
    people, weights, sets = [], [], []
    own = matching.people.sizes
    for d, x in enumerate(matching.links):
        count = np.bincount(x.focal, minlength=len(matching.people))
        focal = np.flatnonzero(count)
        people += [focal, x.partner]
        weights += [own[focal], own[x.focal] / count[x.focal]]
        sets += [2 * focal + d, 2 * x.focal + d]
    return np.concatenate(people), np.concatenate(weights), np.concatenate(sets)


def set_differences(matching: Matching, y: np.ndarray) -> np.ndarray:
    """(sets,) mean outcome of the exposed less that of the comparison people in each set (or pairing, if reused)."""
    who, w, sets = _rows(matching)
    code = np.unique(sets, return_inverse=True)[1]
    exposed = matching.people.exposed[who]
    means = [
        np.bincount(code, weights=np.where(arm, w * y[who], 0.0)) / np.bincount(code, weights=np.where(arm, w, 0.0))
        for arm in (exposed, ~exposed)
    ]
    return means[0] - means[1]


def estimate(matching: Matching, y: np.ndarray, asked: Asked, study: Study, naming: Naming) -> Estimate:
    """The effect with its contributions: clustered by matched set (and by the study's clusters), Abadie and Imbens
    with replacement, HC1 for few classes. A NaN with its reason where none can be given."""
    whole, matching = matching, observed(matching, y)
    reason = why_not(matching, whole)
    level = cluster_level(study, naming.component)
    value, parts = float("nan"), _nothing(matching.people, study)
    replicate = None
    if not reason:
        fit = _fit(matching, y, asked)
        fit = steady(fit, y[matching.used])
        value = fit.value
        parts = _parts(matching, fit, study, naming.component, level, asked.errors == "set")
        if level is None and isinstance(fit, Fit) and asked.errors == "set" and not matching.replace:
            replicate = lambda: _without_a_set(matching, y, asked)  # noqa: E731
    labels = naming.labels(matching, whole, reason, parts.level).assign(
        adjust=asked.adjust or "none", right_if=right_if(matching, asked.adjust)
    )
    mass = np.array([float((matching.used & _target(matching)).sum())])
    return Estimate(np.array([value]), mass, labels, parts, None, arms(matching, study, level), replicate)


def right_if(matching: Matching, adjust: str | None) -> str:
    """What must hold for the answer to be right, beyond everything that matters being on record."""
    space = matching.space
    on_score = space is not None and space.points.shape[1] == 1 and space.score is not None and space.named in LINE
    if not matching.people.x.shape[1]:
        return "those with it and those without it differ in nothing else"
    near = "the propensity score has the right form" if on_score else "matched people are alike in the covariates"
    return near if adjust is None else f"{near}, or the outcome is linear in the covariates"


def cluster_level(study: Study, component: str) -> str | None:
    """The level at which people hang together, None where everybody is alone."""
    name, _ = study.paths.inference_level(component)
    return None if len(study.paths.levels[name].names) == study.paths.n_units else name


def _target(matching: Matching) -> np.ndarray:
    exposed = matching.people.exposed
    return {"ATT": exposed, "ATC": ~exposed}.get(matching.estimand, np.ones(len(exposed), bool))


def _nothing(people: People, study: Study) -> Influence:
    rows = Rows(people.ids, study_levels(study, people.rows))
    return Influence(((DenseSource(rows, np.zeros((len(people), 1))), np.eye(1)),), "unit")


def study_levels(study: Study, rows: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Cluster codes and names of some rows at every level of the study."""
    return {name: (level.codes[rows], level.names) for name, level in study.paths.levels.items()}


def _parts(
    matching: Matching, fit: Fit | Reuse, study: Study, component: str, level: str | None, by_set: bool
) -> Influence:
    people = matching.people
    if isinstance(fit, Reuse):
        rows = Rows(people.ids, study_levels(study, people.rows))
        return Influence(((DenseSource(rows, fit.parts[:, None]), np.eye(1)),), level or "unit")
    who, _, sets = _rows(matching)
    levels: Levels = study_levels(study, people.rows[who])
    by: tuple[str, ...] = ()
    if by_set:
        found, codes = np.unique(sets, return_inverse=True)
        name = _set_level(component, people.ids[who], codes)
        levels = {**levels, name: (codes, found)}
        by = (name,)
    if matching.replace:
        names, codes = np.unique(people.ids[who], return_inverse=True)
        levels = {**levels, "person": (codes, names)}
        by = (*by, "person")
    if level is not None:
        by = (*[b for b in by if not _nested(levels[b][0], levels[level][0])], level)
    return contributions(people.ids[who], fit.parts, fit.columns, levels, by)


def _set_level(component: str, ids: np.ndarray, codes: np.ndarray) -> str:
    """Name of the level of matched sets. Each matching has its own, so that two can be stacked."""
    mark = zlib.crc32(codes.astype(np.int64).tobytes() + "".join(map(str, ids[:1000])).encode())
    return f"matched set of {component} {mark:08x}"


def said_level(level: str) -> str:
    """A level as people read it, without the marks that keep matchings apart."""
    return re.sub(r"(matched set) of .+? [0-9a-f]{8}", r"\1", level)


def _nested(fine: np.ndarray, coarse: np.ndarray) -> bool:
    pairs = np.unique(np.column_stack([fine, coarse]), axis=0)
    return len(pairs) == len(np.unique(fine))


def arms(matching: Matching, study: Study, level: str | None) -> Arms:
    """Who stands behind the estimate: the clusters of a level in each arm, or people counted when None."""
    used, people = matching.used, matching.people
    if level is None:
        size = np.array([int((used & people.exposed).sum()), int((used & ~people.exposed).sum())])
        return Arms(np.array([[True], [False]]), np.array([[False], [True]]), size)
    known = study.paths.levels[level]
    codes = known.codes[people.rows]
    sides = (people.exposed, ~people.exposed)
    counts = [np.bincount(codes[used & side], minlength=len(known.names)) > 0 for side in sides]
    return Arms(counts[0][:, None], counts[1][:, None], np.ones(len(known.names), dtype=int))


def _without_a_set(matching: Matching, y: np.ndarray, asked: Asked) -> Replicates:
    """The estimate without each matched set in turn, nobody matched again."""
    who, w, sets = _rows(matching)
    people = matching.people
    x = people.regressors[who] if asked.adjust == "reg" else None
    names, code = np.unique(sets, return_inverse=True)
    values = without_each(y[who], people.exposed[who], x, w, code)[:, None]
    there = np.ones_like(values, dtype=bool)
    masses = np.where(np.isnan(values), 0.0, 1.0)
    return Replicates(names, "matched set", values, masses, there, ~there)


def value_without(matching: Matching, y: np.ndarray, asked: Asked, keep: np.ndarray) -> float:
    """The estimate with some people left out (keep: (m,)) and nobody matched again.

    Matching is not smooth: one cluster less changes partners everywhere, and refits that match again spread four times
    as far as the estimate does (Abadie and Imbens 2008, on the bootstrap). Classes are reweighed, pairs are not.
    """
    people = matching.people
    if matching.replace and asked.errors == "abadie_imbens":
        links = tuple(_keep(x, keep[x.focal] & keep[x.partner]) for x in matching.links)
        return value_of(replace(matching, links=links), y, asked)
    if matching.method not in PAIRED:
        sets = both_arms(np.where(keep, matching.sets, -1), people.exposed)
        return value_of(replace(matching, sets=sets), y, asked)
    who, w, _ = _rows(matching)
    here = keep[who]
    who, w = who[here], w[here]
    exposed = people.exposed[who]
    if not exposed.any() or exposed.all():
        return float("nan")
    return regression(y[who], exposed, people.regressors[who] if asked.adjust == "reg" else None, w).value


def cluster_refits(
    again: Callable[[np.ndarray], float], est: Estimate, study: Study, people: People, level: str, pairs: bool = True
) -> Estimate:
    """The estimate with delete-one-cluster refits. again: (who is left (m,)) -> estimate.

    Where matched sets run across clusters, a refit that loses one of a pair moves more than the pair's difference
    does; moves are scaled to the variance clustered in both ways. Refits of classes weigh them anew and need none.
    pairs: whether matched sets are pairs.
    """
    known = study.paths.levels[level]
    codes = known.codes[people.rows]
    arms = est.arms
    assert arms is not None

    def make() -> Replicates:
        used = np.flatnonzero(arms.exposed[:, 0] | arms.comparison[:, 0])
        values = np.array([[again(codes != c)] for c in used])
        values = est.value + (_crossing(est.value_parts, level) if pairs else 1.0) * (values - est.value)
        masses = np.where(np.isnan(values), 0.0, 1.0)
        return Replicates(known.names[used], level, values, masses, arms.exposed[used], arms.comparison[used])

    return replace(est, replicate=make)


def _crossing(parts: Influence, level: str) -> float:
    """Standard error clustered in all ways, over that clustered at the study's level alone."""
    if not isinstance(parts, Multiway):
        return 1.0
    factor = dict(parts.ways)[level]
    return float(np.sqrt(parts.gram()[0, 0] / (factor * parts.gram(level)[0, 0])))


@dataclass(frozen=True)
class Naming:
    """The words on the row of an estimate."""

    component: str
    outcome: Outcome
    estimand: str
    period: object
    event_time: int
    others: str

    def labels(self, matching: Matching, whole: Matching, reason: str, level: str) -> pd.DataFrame:
        """One row: what was compared, for whom, and what is missing."""
        used, exposed = matching.used, matching.people.exposed
        target = _target(matching)
        total, kept = int(target.sum()), int((used & target).sum())
        return pd.DataFrame([{
            "component": self.component, "outcome": self.outcome.column, "period": self.period,
            "event_time": self.event_time, "estimand": self.estimand, "population": matching.question,
            "outcome_unit": self.outcome.unit, "others": self.others, "inference_level": said_level(level),
            "units_exposed": int((used & exposed).sum()), "units_comparison": int((used & ~exposed).sum()),
            "units_left_out": total - kept, "units_not_seen": int((whole.used & ~used).sum()),
            "share_left_out": (total - kept) / total if total else 0.0,
            "largest_distance": matching.largest_distance, "share_outside": matching.outside,
            "mass": float(kept), "reason": reason,
        }])  # fmt: skip
