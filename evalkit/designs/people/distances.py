"""How far apart two people are: a propensity score or its logit, or covariates measured together.

A `Space` gives everybody a point, so that the distance of two people is the Euclidean distance of
their points, and says how far is too far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from evalkit.designs.people.people import People
from evalkit.designs.people.score import Score, score_of
from evalkit.errors import OptionError, suggest

LINE = ("propensity", "logit")
JOINT = ("mahalanobis", "robust_mahalanobis", "euclidean")
DISTANCES = LINE + JOINT
ROUNDING, DIGITS = 1e-12, 12
"""Distances that differ by less are equal: who is taken must not hang on a machine's rounding."""


def as_near(distance: float) -> float:
    """Largest distance that counts as equal."""
    return distance + ROUNDING * (1 + distance)


@dataclass(frozen=True)
class Fence:
    """A caliper on one variable: people further apart than `width` on `values` are not matched.

    sd: standard deviation of the values over everybody.
    """

    name: str
    values: np.ndarray
    width: float
    sd: float


@dataclass(frozen=True, eq=False)
class Space:
    """Points (m, d) of the people; limit: largest distance of two matched people; fences: further
    calipers; score: the propensity score, where one was fitted; unit: SD of a one-dimensional distance."""

    points: np.ndarray
    limit: float = np.inf
    fences: tuple[Fence, ...] = ()
    score: Score | None = None
    unit: float = 1.0
    named: str = "distance"

    @property
    def line(self) -> bool:
        """Whether everybody stands on one line."""
        return self.points.shape[1] == 1 and not self.fences

    def take(self, order: np.ndarray) -> Space:
        """The same space with its people in another order."""
        fences = tuple(replace(f, values=f.values[order]) for f in self.fences)
        score = self.score
        if score is not None:
            score = replace(score, logit=score.logit[order], value=score.value[order])
        return replace(self, points=self.points[order], score=score, fences=fences)


def make_space(
    people: People,
    distance: str,
    caliper: float | Mapping[str, float] | None,
    columns: tuple[str, ...] | None,
    scored: bool,
) -> Space:
    """The space of a named distance. columns: covariates of a joint distance, all when None.

    scored: whether the propensity score is wanted for the order even so. A number as caliper counts
    standard deviations of the distance (of the covariates, for joint distances); a mapping names
    "propensity", "logit" or covariates.
    """
    named = dict(caliper) if isinstance(caliper, Mapping) else {}
    needs = distance in LINE or scored or bool({"propensity", "logit"} & set(named))
    _need_covariates(people, distance)
    score = score_of(people) if needs else None
    if distance in LINE:
        value = on_line(score, distance)
        points, unit = value[:, None], spread(value)
    else:
        points, unit = _joint(people, distance, columns), 1.0
    limit = np.inf if caliper is None or named else float(caliper) * unit  # type: ignore[arg-type]
    if distance in named:
        limit = named.pop(distance) * unit
    fences = tuple(_fence(people, score, name, width) for name, width in named.items())
    return Space(points, as_near(limit), fences, score, unit, distance)


def on_line(score: Score | None, name: str) -> np.ndarray:
    """(m,) the propensity score, or its logit."""
    assert score is not None
    return score.logit if name == "logit" else score.value


def spread(values: np.ndarray) -> float:
    """Standard deviation over everybody (n - 1)."""
    return float(values.std(ddof=1))


def _need_covariates(people: People, distance: str) -> None:
    if not people.x.shape[1]:
        raise OptionError(
            f"distance={distance!r} needs covariates and this study names none. Give covariates=[...] to the study "
            "or to the design, or use method='exact'."
        )


def _fence(people: People, score: Score | None, name: str, width: float) -> Fence:
    if name in LINE:
        values = on_line(score, name)
    elif name in people.names:
        values = people.x[:, people.names.index(name)]
    else:
        raise OptionError(f"caliper names {name!r}. {suggest(name, [*LINE, *people.names], 'It can name')}")
    sd = spread(values)
    return Fence(name, values, as_near(width * sd), sd)


def _joint(people: People, distance: str, columns: tuple[str, ...] | None) -> np.ndarray:
    x = people.x
    if columns is not None:
        lost = [c for c in columns if c not in people.names]
        if lost:
            raise OptionError(f"distance_on names {lost[0]!r}. {suggest(lost[0], people.names, 'The covariates are')}")
        x = x[:, [people.names.index(c) for c in columns]]
    if distance == "robust_mahalanobis":
        return robust_points(x)
    cov = within_covariance(x, people.exposed)
    return whiten(x, np.diag(np.diag(cov)) if distance == "euclidean" else cov)


def within_covariance(x: np.ndarray, exposed: np.ndarray) -> np.ndarray:
    """(q, q) covariance pooled within the two arms."""
    centred = x - np.where(exposed[:, None], x[exposed].mean(axis=0), x[~exposed].mean(axis=0))
    return centred.T @ centred / (len(x) - 2)


def whiten(x: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """(m, d) points whose Euclidean distance is the Mahalanobis distance for `cov` (generalised inverse).

    Equal rows get exactly equal points.
    """
    scale = np.sqrt(np.diag(cov))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(cov / np.outer(scale, scale))
    keep = values > 1e-9 * values.max()
    root = vectors[:, keep] / np.sqrt(values[keep]) / scale[:, None]
    centred = x - x.mean(axis=0)
    out = np.zeros((len(x), root.shape[1]))
    for j, row in enumerate(root):
        out += centred[:, j, None] * row
    return out


def robust_points(x: np.ndarray) -> np.ndarray:
    """Points of the rank-based Mahalanobis distance of Rosenbaum (2010, section 8.3).

    Ranks in place of values; ties do not shrink a variable's variance.
    """
    ranks = stats.rankdata(x, axis=0)
    cov = np.atleast_2d(np.cov(ranks, rowvar=False))
    grow = np.sqrt(np.arange(1, len(x) + 1).var(ddof=1) / np.diag(cov))
    return whiten(ranks, cov * np.outer(grow, grow))
