"""Noise that a plan reckons with: shocks of places that fade, and what people add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from scipy.optimize import nnls

from evalkit.designs.noise.covariance import Person
from evalkit.designs.noise.model import make_places, untreated_columns
from evalkit.designs.noise.weighing import NoCovarianceError, Weighing
from evalkit.designs.protocol import StudyLike
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.least_noise import targets_of
from evalkit.designs.rollout.plan import exposure_states
from evalkit.designs.rollout.readers import Within
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.designs.rollout.sums import Sums
from evalkit.errors import NotIdentifiedError, OptionError, is_number, spelt
from evalkit.rollouts.movers import FEWEST, moved_covariance, moved_part, read_lasting
from evalkit.study.paths import Paths
from evalkit.study.study import Study

LEAST = 0.1
"""Of the variance of all people, what those outside a reach have at least."""


@dataclass(frozen=True)
class Noise:
    """Standard deviations in the outcome's unit.

    place: shock of a place in a period; rho: its correlation from one period to the next. person: one person in one
    period, about the person's own level (of a share p: sqrt(p (1 - p)), with everybody's effects added to p). people: a
    place and period, where `places` does not say. fading, decay: the part of `person` that a person keeps from one
    period to the next (standard deviation and correlation; 0 for none). slow: further shocks of places that fade by a
    twentieth a period. effect: by how much effects differ between places. reached: column of reach -> the standard
    deviation of those whom it names, where it is another than `person`, that of all people. share: of people for whom
    the outcome is one while nothing is on (0: it is no share); where something is on, so many more or fewer of them
    have moved as the effects wanted come to. lasting: how far those who have moved in one period are the same people as
    in another: 1 for good, 0 for others in each period.
    """

    place: float = 0.05
    rho: float = 0.5
    person: float = 0.45
    people: float = 20
    fading: float = 0.0
    decay: float = 0.0
    slow: float = 0.0
    effect: float = 0.0
    reached: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.0
    lasting: float = 1.0

    def __post_init__(self) -> None:
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "reached"}
        if not isinstance(self.reached, Mapping):
            raise OptionError(f"Noise(reached={spelt(self.reached)}) is no table. Write {{'dual_diagnosis': 0.48}}.")
        for name, value in {**numbers, **{f"reached of {c}": sd for c, sd in self.reached.items()}}.items():
            if not is_number(value) or value < 0:
                raise OptionError(f"Noise({name}={spelt(value)}) is not a choice. Use a number, 0 or more.")
        for name in ("rho", "decay", "share"):
            if getattr(self, name) >= 1:
                raise OptionError(
                    f"Noise({name}={spelt(getattr(self, name))}) is not a choice. Use 0 or more, below 1."
                )
        if self.lasting > 1:
            raise OptionError(f"Noise(lasting={spelt(self.lasting)}) is not a choice. Use a share, 0 to 1.")
        if not self.people > 0:
            raise OptionError("Noise(people=0) is not a choice. Say how many people a place has in a period.")
        if self.fading > self.person:
            raise OptionError("Noise(fading=...) is a part of person, so it cannot be larger.")
        if not self.place and not self.person and not self.slow:
            raise OptionError("Noise() without any noise is not a choice: everything could be told.")

    def of_place(self, periods: int) -> np.ndarray:
        """(T, T) covariance of the shocks of a place."""
        lag = np.abs(np.subtract.outer(np.arange(periods), np.arange(periods)))
        return np.asarray(self.place**2 * self.rho**lag + self.slow**2 * 0.95**lag)

    def of_person(self, periods: int) -> np.ndarray:
        """(T, T) covariance of one person about the own level."""
        return Person(0.0, self.fading**2, self.decay, max(self.person**2 - self.fading**2, 0.0)).matrix(periods)

    def by_kind(self, columns: Sequence[str], within: np.ndarray, share: np.ndarray) -> np.ndarray:
        """(R,) variance of one person of each kind over that of all. columns: of reach, C of them. within: (R, C) whom
        each names; share: (C,) of all people. Those outside have what leaves the variance of all as it is."""
        out = np.ones(len(within))
        for c, name in enumerate(columns):
            if name in self.reached and self.person and 0 < share[c] < 1:
                inside = (self.reached[name] / self.person) ** 2
                out *= np.where(within[:, c], inside, max((1 - share[c] * inside) / (1 - share[c]), LEAST))
        return out

    def moved(self, covariance: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """(m, m) covariance of one person's periods where effects (m,) are added to a share, from that without
        (`moved_covariance`). It is the same where nothing is added, and where the outcome is no share."""
        if not self.share or not effects.any():
            return covariance
        # what people keep, of which `person` knows nothing
        own = max(self.share * (1 - self.share) - self.person**2, 0.0)
        return moved_covariance(covariance + own, effects, self.share, self.lasting) - own

    def shaken(self, shocks: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """(m, m) covariance of a place's shocks in cells where effects (m,) are added to a share, from that without: of
        those who have moved no shock moves any, so that of a shock (1 - q) is left."""
        if not self.share or not effects.any():
            return shocks
        _, moved = moved_part(effects, self.share)
        return np.asarray(shocks * np.outer(1 - moved, 1 - moved))

    @classmethod
    def from_study(cls, study: Study, outcome: str | None = None, effects: float = 0.0) -> Noise:
        """Noise of a study's own past, by which `evaluate` weighs: people from deviations within places, places from
        what is not yet exposed. Of the components the one that shows most is read. Of a share people's noise is that of
        the share where nothing is on, to which effects wanted are then added; whether those whom they move have moved
        for good is read from people's changes across starts, and where there are too few they have (`lasting`).

        effects: where they are not wanted one by one, what all components are expected to add to a share, on average
        over those who are compared: people's noise is then that of the share with it added. Raises `NotIdentifiedError`
        where no component's past shows any noise, `OptionError` for effects on what is no share, or that lead out of 0
        to 1.
        """
        if not isinstance(study, Study):
            raise OptionError(f"{type(study).__name__} is no study. Give an ek.Study.")
        found = [w for c in study.paths.components if (w := weighing_of(study, c, outcome)) is not None]
        if not found:
            raise NotIdentifiedError(
                "The study's past shows no noise to plan by: too few places and periods before anything began. "
                "Say it instead: Noise(place=..., rho=..., person=..., people=...)."
            )
        made = max((_read(w) for w in found), key=lambda n: n.place**2 + n.slow**2)
        values, kind = study.values(outcome), study.outcome(outcome).kind
        ratios = _reached(study, values)
        whole, off = (
            _mean_of(study.paths, values, ~np.isnan(values)),
            _untouched(study, values) if kind == "share" and not effects else 0.0,
        )
        added = off - whole if off else effects
        factor = _with_effects(whole, kind, added) if added else 1.0
        reached = {
            column: ratio * made.person * (_with_effects(mean, kind, added) if added else 1.0)
            for column, (ratio, mean) in ratios.items()
        }
        fading = factor * made.fading
        lasting = read_lasting(study, values) if off else 1.0
        return replace(made, person=factor * made.person, fading=fading, reached=reached, share=off, lasting=lasting)


def _untouched(study: StudyLike, values: np.ndarray) -> float:
    """The share where nothing is on but what always is; 0 where there is no such period, or nothing varies."""
    paths = study.paths
    rolled = ~np.asarray(paths.always_on, dtype=bool)
    off = ~(paths.state[:, :, rolled] != 0).any(axis=2)[paths.path] & ~np.isnan(values)
    share = _mean_of(paths, values, off) if off.any() else 0.0
    return share if 0 < share < 1 else 0.0


def _mean_of(paths: Paths, values: np.ndarray, which: np.ndarray) -> float:
    """Mean of some outcomes (n, T), each as of the people behind it."""
    return float(np.average(values[which], weights=np.broadcast_to(paths.people[:, None], values.shape)[which]))


def _reached(study: Study, values: np.ndarray) -> dict[str, tuple[float, float]]:
    """Column of reach -> standard deviation of those whom it names over that of all people, about the mean of their
    place and period among their like, and their mean. Nothing where rows stand for several people, or too few."""
    paths = study.paths
    out: dict[str, tuple[float, float]] = {}
    columns = {c.reach: paths.index(c.name) for c in study.components if c.reach}
    if paths.heads is not None and (paths.heads > 1).any():
        return out
    cluster = paths.levels[paths.cluster].codes
    for column, k in columns.items():
        inside = np.asarray(paths.reach[paths.path, k], dtype=bool)
        parts = [_within(values[m], cluster[m]) for m in (inside, ~inside)]
        if min(n for _, n in parts) >= FEWEST:
            pooled = sum(s for s, _ in parts) / sum(n for _, n in parts)
            mean = float(np.nanmean(values[inside]))
            if pooled > 0:
                out[column] = float(np.sqrt(parts[0][0] / parts[0][1] / pooled)), mean
    return out


def _within(values: np.ndarray, cluster: np.ndarray) -> tuple[float, int]:
    """Sum of squares of values (n, T) about the mean of their cluster and period, and its degrees of freedom."""
    at = cluster[:, None] * values.shape[1] + np.arange(values.shape[1])
    seen = ~np.isnan(values)
    x, where = values[seen], at[seen]
    people = np.bincount(where)
    mean = np.bincount(where, x) / np.maximum(people, 1)
    return float(((x - mean[where]) ** 2).sum()), int((people[people > 0] - 1).sum())


def _with_effects(share: float, kind: str, effects: float) -> float:
    """By what people's standard deviation about a share grows when effects are added to it."""
    if kind != "share" or not is_number(effects) or not 0 < share + effects < 1:
        raise OptionError(
            f"Noise.from_study(effects={spelt(effects)}) is not a choice for an outcome of kind {kind} with a mean of "
            f"{share:.3g}. Say what is added to a share, or leave it out."
        )
    return float(np.sqrt((share + effects) * (1 - share - effects) / (share * (1 - share))))


def weighing_of(study: StudyLike, component: str, outcome: str | None = None) -> Weighing | None:
    """The working covariance behind a component's headline; None where nothing gives one."""
    design = StaggeredRollout(base_window=6, outcome=outcome)
    plan = design.plan(study.paths, component)
    if not len(plan):
        return None
    level, _ = study.paths.inference_level(component)
    contrast = Contrast(plan, Within(Sums.of_outcome(study.paths, level, study.values(outcome))))
    event = np.arange(contrast.n_periods) - contrast.cohorts[:, None]
    rows = np.flatnonzero(((contrast.mass > 0) & (event >= 0)).ravel())
    if not len(rows):
        return None
    columns = untreated_columns(exposure_states(study.paths, component, "same"), design)
    made = Weighing(component, contrast.reader.sums, columns, targets_of(contrast, rows), contrast.mass.ravel()[rows])
    try:
        return made if made.person is not None and made.model.places else None
    except NoCovarianceError:
        return None


def _read(made: Weighing) -> Noise:
    """Noise from a working covariance: what it has beyond people is shocks of places, fitted by lag."""
    person, groups = made.person, made.groups
    assert person is not None
    _, where = make_places(made.cells, made.columns, replace(made.targets, cell=groups.cell[made.targets.cell]))
    sums, seen = made.sums, np.isfinite(made.values)
    T, paths = sums.paths.n_periods, sums.paths
    own = replace(person, level=0.0).matrix(T)
    there = seen.mean(axis=1) / seen.any(axis=0).mean()
    weight, squares = (
        np.bincount(groups.of, w * there, minlength=len(groups.path)) for w in (sums.weights, paths.squares)
    )
    total, pairs = np.zeros(T), np.zeros(T)
    for place, (cell, t) in zip(made.model.places, where, strict=True):
        for c in np.unique(cell[: place.u]):
            at = np.flatnonzero(cell[: place.u] == c)
            lag = np.abs(np.subtract.outer(t[at], t[at])).ravel()
            more = place.V[np.ix_(at, at)] - own[np.ix_(t[at], t[at])] * squares[c] / weight[c] ** 2
            total += np.bincount(lag, more.ravel(), minlength=T)
            pairs += np.bincount(lag, minlength=T)
    shock, rho, slow = _fading(total, pairs)
    # where everybody is a place, a group is of all that are alike
    places = int(seen.any(axis=1).sum()) if groups.lone else len(np.unique(groups.cluster))
    people = (seen * paths.people[:, None]).sum(axis=0)[seen.any(axis=0)].mean() / places
    return Noise(
        place=shock, rho=rho, slow=slow, person=float(np.sqrt(person.fading + person.own)), decay=person.decay,
        fading=float(np.sqrt(person.fading)), people=float(people),
    )  # fmt: skip


def _fading(total: np.ndarray, pairs: np.ndarray) -> tuple[float, float, float]:
    """Standard deviation and correlation of one shock, and standard deviation of slow ones, that fit sums of products
    by lag best, beside what never changes and so cancels."""
    lag = np.flatnonzero(pairs)
    root, found = np.sqrt(pairs[lag]), total[lag] / pairs[lag]
    best = (np.inf, 0.0, 0.0, 0.0)
    for rho in np.arange(0.0, 0.91, 0.1):
        part, miss = nnls(np.column_stack([rho**lag, 0.95**lag, np.ones(len(lag))]) * root[:, None], found * root)
        if miss < best[0]:
            best = (miss, float(np.sqrt(part[0])), float(rho), float(np.sqrt(part[1])))
    return best[1:]
