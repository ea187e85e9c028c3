"""Regression discontinuity: people just on either side of a cut-off that decided who had the component."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.designs.matching.estimating import cluster_level, outcome_of
from evalkit.designs.matching.people import People, Who, gather
from evalkit.designs.matching.support import Support, support_of
from evalkit.errors import NotIdentifiedError, OptionError, Problem, check_choice, raise_problems
from evalkit.inference.interval import Interval
from evalkit.study import Study
from evalkit.study.paths import Paths

KERNELS = {"triangular": "tri", "epanechnikov": "epa", "uniform": "uni"}
FEWEST = 20
SHARP = 0.999


@dataclass(frozen=True)
class Jump:
    """A jump at a cut-off. value is bias-corrected, the interval robust (Calonico, Cattaneo and Titiunik 2014).

    bandwidth: how far from the cut-off people count. below, above: people within it. fuzzy: whether the cut-off
    moved the chance of having the component rather than deciding it.
    """

    value: float
    low: float
    high: float
    p_value: float
    bandwidth: float
    below: int
    above: int
    fuzzy: bool


@dataclass(frozen=True, eq=False)
class Sample:
    """Who stands where: scores (m,), outcomes (m,), codes of clusters (m,) or None."""

    people: People
    score: np.ndarray
    y: np.ndarray
    clusters: np.ndarray | None


@dataclass(frozen=True)
class RegressionDiscontinuity:
    """The effect at a cut-off of a score, by local polynomials on either side (the package rdrobust).

    score: column, read when covariates are. cutoff: its value at which the component switches.
    bandwidth: None lets rdrobust choose (least mean squared error). kernel: "triangular", "epanechnikov", "uniform".
    degree: of the polynomial. covariates: columns that sharpen the estimate. level: of the interval.
    outcome_period, covariate_period, compare, outcome: as in MatchedComparison.

    Where the cut-off only shifts the chance of having the component, the effect is that on those it shifted (fuzzy).
    Calling gives an `Interval`: there are no contributions behind it. Raises `NotIdentifiedError` when the component
    does not switch at the cut-off or fewer than 20 people stand on a side, and `OptionError` when rdrobust is absent.
    """

    score: str
    cutoff: float
    bandwidth: float | None = None
    kernel: str = "triangular"
    degree: int = 1
    covariates: tuple[str, ...] = ()
    outcome_period: Any = None
    covariate_period: Any = None
    compare: str = "level"
    level: float = 0.95
    outcome: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.covariates, (list, str)):
            chosen = (self.covariates,) if isinstance(self.covariates, str) else tuple(self.covariates)
            object.__setattr__(self, "covariates", chosen)
        problems = []
        for name, allowed in (("kernel", KERNELS), ("compare", ("level", "change"))):
            try:
                check_choice(name, getattr(self, name), allowed)
            except OptionError as error:
                problems.append(Problem(str(error).rstrip(".")))
        if not np.isfinite(self.cutoff):
            problems.append(
                Problem(f"cutoff={self.cutoff!r}", next="Give the value of the score at which it switches.")
            )
        if self.bandwidth is not None and not self.bandwidth > 0:
            problems.append(Problem(f"bandwidth={self.bandwidth!r}", next="Give a number above 0, or None."))
        if self.degree not in (0, 1, 2, 3):
            problems.append(Problem(f"degree={self.degree!r}", next="Give 0, 1, 2 or 3."))
        raise_problems(problems, OptionError)

    def plan(self, paths: Paths, component: str) -> Support:
        """Counts of people with and without it; sees no outcome."""
        return support_of(paths, component, self._who)

    @property
    def _who(self) -> Who:
        return Who("ignored", (), (self.score, *self.covariates), self.outcome_period, self.covariate_period)

    def __call__(self, study: Study, component: str) -> Interval:
        """The effect at the cut-off, with its robust interval."""
        j = self.fit(study, component)
        kind = "fuzzy" if j.fuzzy else "sharp"
        words = (
            f"{kind} regression discontinuity at {self.score} = {self.cutoff:g}: {j.below} people below and {j.above} "
            f"above within {j.bandwidth:.4g}; robust bias-corrected interval (rdrobust)"
        )
        return Interval(j.value, j.low, j.high, words)

    def fit(self, study: Study, component: str) -> Jump:
        """The jump of the outcome at the cut-off, as an effect of having the component."""
        people = gather(study, component, self._who)
        y = outcome_of(study, people, self.outcome, self.compare)
        return self._effect(people, y, _clusters(study, component, people))

    def _effect(self, people: People, y: np.ndarray, clusters: np.ndarray | None) -> Jump:
        score, t = people.x[:, 0], people.exposed.astype(float)
        above = score >= self.cutoff
        _enough(above, self.score, self.cutoff)
        sharp_above = np.mean(t == above) > SHARP
        sharp_below = np.mean(t != above) > SHARP
        if sharp_above or sharp_below:
            jump = self._jump(score, y, people.x[:, 1:], None, clusters)
            return jump if sharp_above else _turned(jump)
        moved = self._jump(score, t, people.x[:, 1:], None, clusters)
        if moved.low <= 0 <= moved.high:
            raise NotIdentifiedError(
                f"The share with {people.component!r} does not clearly switch at {self.score} = {self.cutoff:g} "
                f"({moved.low:.2f} to {moved.high:.2f}), so there is nothing to compare there."
            )
        return self._jump(score, y, people.x[:, 1:], t, clusters)

    def _jump(
        self, score: np.ndarray, y: np.ndarray, z: np.ndarray, taken: np.ndarray | None, clusters: np.ndarray | None,
        cutoff: float | None = None,
    ) -> Jump:  # fmt: skip
        run = _rdrobust()
        seen = np.isfinite(y)
        options: dict[str, Any] = {
            "c": self.cutoff if cutoff is None else cutoff, "p": self.degree, "kernel": KERNELS[self.kernel],
            "level": 100 * self.level,
        }  # fmt: skip
        if self.bandwidth is not None:
            options["h"] = self.bandwidth
        if taken is not None:
            options["fuzzy"] = taken[seen]
        if z.shape[1]:
            options["covs"] = z[seen]
        if clusters is not None:
            options |= {"cluster": clusters[seen], "vce": "hc1"}
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            found = run(y[seen], score[seen], **options)
        interval = np.asarray(found.ci.loc["Robust"], dtype=float)
        value = float(np.asarray(found.coef.loc["Robust"]).ravel()[0])
        p = float(np.asarray(found.pv.loc["Robust"]).ravel()[0])
        width = float(np.asarray(found.bws.loc["h"], dtype=float).max())
        below, above = (int(n) for n in found.N_h)
        return Jump(value, float(interval[0]), float(interval[1]), p, width, below, above, taken is not None)

    def sample(self, study: Study, component: str) -> Sample:
        """The people, their scores, outcomes and clusters: what checks of a cut-off look at."""
        people = gather(study, component, self._who)
        y = outcome_of(study, people, self.outcome, self.compare)
        return Sample(people, people.x[:, 0], y, _clusters(study, component, people))

    def jump(self, score: np.ndarray, y: np.ndarray, clusters: np.ndarray | None, cutoff: float | None = None) -> Jump:
        """The jump of anything at a cut-off, as it stands: above less below."""
        return self._jump(score, y, np.zeros((len(score), 0)), None, clusters, cutoff)

    def expected(self, study: Study, component: str, bins: int = 10) -> pd.DataFrame:
        """Regression to the mean: by tenth of the score, the outcome seen and the outcome to be expected without.

        The line of outcome on score among people without the component is carried to those with it, so that what
        extreme scores would have done anyway is not taken for an effect. Columns: score, people, share_with, outcome,
        expected, extrapolated (no one without it has such a score).
        """
        people = gather(study, component, self._who)
        y = outcome_of(study, people, self.outcome, self.compare)
        seen = np.isfinite(y)
        score, y, t = people.x[seen, 0], y[seen], people.exposed[seen]
        slope, start = np.polyfit(score[~t], y[~t], 1)
        code = np.unique(np.quantile(score, np.linspace(0, 1, bins + 1))[1:-1])
        group = np.searchsorted(code, score, side="right")
        low, high = score[~t].min(), score[~t].max()
        rows = []
        for g in np.unique(group):
            mine = group == g
            centre = float(score[mine].mean())
            rows.append((centre, int(mine.sum()), float(t[mine].mean()), float(y[mine].mean()),
                         start + slope * centre, not low <= centre <= high))  # fmt: skip
        return pd.DataFrame(rows, columns=["score", "people", "share_with", "outcome", "expected", "extrapolated"])


def _enough(above: np.ndarray, score: str, cutoff: float) -> None:
    fewest = min(int(above.sum()), int((~above).sum()))
    if fewest < FEWEST:
        raise NotIdentifiedError(
            f"Only {fewest} people stand on one side of {score} = {cutoff:g}; at least {FEWEST} are needed on each."
        )


def _turned(j: Jump) -> Jump:
    return Jump(-j.value, -j.high, -j.low, j.p_value, j.bandwidth, j.below, j.above, j.fuzzy)


def _clusters(study: Study, component: str, people: People) -> np.ndarray | None:
    level = cluster_level(study, component)
    return None if level is None else study.paths.levels[level].codes[people.rows]


def _rdrobust() -> Any:
    try:
        from rdrobust import rdrobust
    except ImportError:
        raise OptionError(
            "RegressionDiscontinuity uses the package rdrobust. Install it: pip install 'evalkit-components[rd]'."
        ) from None
    return rdrobust
