"""Sets of people alike in classes: exactly alike, alike after coarsening, or alike in the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.designs.matching.people import People, joint_codes
from evalkit.errors import OptionError, check_choice
from evalkit.study.columns import suggest

CUTS = ("sturges", "scott", "fd")


def exact_sets(people: People) -> np.ndarray:
    """(m,) one code for each combination of the variables named in `exact`; of every covariate when none is."""
    if people.exact:
        return people.strata
    return joint_codes([people.strata, *people.x.T])


def coarsened_sets(people: People, cutpoints: str | Mapping[str, Sequence[float]]) -> np.ndarray:
    """(m,) coarsened exact matching (Iacus, King and Porro 2012): one code for each box of covariates.

    cutpoints: rule for equal bins ("sturges", "scott", "fd"), or cut points by covariate; a value
    equal to a cut point falls above it. Covariates without cut points keep their values.
    """
    if isinstance(cutpoints, str):
        check_choice("cutpoints", cutpoints, CUTS)
        return joint_codes([people.strata, *(_equal_bins(x, cutpoints) for x in people.x.T)])
    lost = [c for c in cutpoints if c not in people.names]
    if lost:
        raise OptionError(f"cutpoints name {lost[0]!r}. {suggest(lost[0], people.names, 'The covariates are')}")
    coded = [
        np.searchsorted(np.sort(cutpoints[name]), x, side="right") if name in cutpoints else x
        for name, x in zip(people.names, people.x.T, strict=True)
    ]
    return joint_codes([people.strata, *coded])


def _equal_bins(x: np.ndarray, rule: str) -> np.ndarray:
    """Bins of one width between the extremes."""
    count = _bin_count(x, rule)
    edges = np.linspace(x.min(), x.max(), count + 1)
    return np.searchsorted(edges, x, side="right").clip(1, count)


def _bin_count(x: np.ndarray, rule: str) -> int:
    n, span = len(x), float(np.ptp(x))
    if rule == "sturges":
        return int(np.ceil(np.log2(n) + 1))
    if rule == "scott":
        width = 3.5 * x.std(ddof=1) * n ** (-1 / 3)
    else:
        width = 2 * float(np.subtract(*np.percentile(x, [75, 25]))) * n ** (-1 / 3)
    return max(int(np.ceil(span / width)), 1) if width > 0 else int(np.ceil(np.log2(n) + 1))


def score_sets(people: People, score: np.ndarray, count: int, estimand: str) -> np.ndarray:
    """(m,) classes between quantiles of the score: of the exposed for ATT, of the comparison for ATC, of all for ATE.

    Rosenbaum and Rubin (1984). Quantiles interpolate linearly; a class starts at its lower edge.
    """
    of = {"ATT": people.exposed, "ATC": ~people.exposed, "ATE": np.ones(len(people), bool)}[estimand]
    edges = np.quantile(score[of], np.linspace(0, 1, count + 1))
    classes = np.searchsorted(edges, score, side="right").clip(1, count)
    return joint_codes([people.strata, classes])


def both_arms(sets: np.ndarray, exposed: np.ndarray) -> np.ndarray:
    """(m,) the sets with somebody in each arm, numbered from 0; -1 elsewhere."""
    if len(sets) and sets.min() >= -1 and sets.max() < 4 * len(sets):
        code = sets + 1
    else:
        code = np.unique(sets, return_inverse=True)[1]
    size = np.bincount(code)
    with_it = np.bincount(code, weights=exposed)
    good = (with_it > 0) & (with_it < size)
    good[code[sets < 0]] = False
    number = np.where(good, np.cumsum(good) - 1, -1)
    return np.where(sets < 0, -1, number[code])
