"""Regression discontinuity: people just on either side of a cut-off that decided who had the component."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evalkit.designs.people.estimating import AmongPeople, as_tuples, cluster_level, is_number, wrong_choices
from evalkit.designs.people.people import People, Who
from evalkit.designs.protocol import Traits
from evalkit.errors import NotIdentifiedError, OptionError, Problem, raise_problems
from evalkit.inference.intervals import Interval, check_level
from evalkit.study import Study

if TYPE_CHECKING:
    from rdrobust.funs import rdrobust_output as RDRobust

KERNELS = {"triangular": "tri", "epanechnikov": "epa", "uniform": "uni"}
FEWEST = 20
SHARP = 0.999
ROUNDING = 1e-12


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
class RegressionDiscontinuity(AmongPeople):
    """The effect at a cut-off of a score, by local polynomials on either side (the package rdrobust).

    score: column, read when covariates are. cutoff: its value at which the component switches.
    bandwidth: None lets rdrobust choose (least mean squared error). kernel: "triangular", "epanechnikov", "uniform".
    degree: of the polynomial. covariates: columns that sharpen the estimate. level: of the interval.
    outcome_period, covariate_period, compare, outcome: as in MatchedComparison.
    The study's weights multiply those of the kernel.

    Where the cut-off only shifts the chance of having the component, the effect is that on those it shifted (fuzzy).
    Calling gives an `Interval`: there are no contributions behind it. Raises `NotIdentifiedError` when the component
    does not switch at the cut-off, when fewer than 20 people with an outcome stand on a side within the bandwidth, or
    when rdrobust can make nothing of the data (its words are passed on), and `OptionError` when rdrobust is absent.
    """

    score: str
    cutoff: float
    bandwidth: float | None = None
    kernel: str = "triangular"
    degree: int = 1
    covariates: tuple[str, ...] = ()
    outcome_period: object = None
    covariate_period: object = None
    compare: str = "level"
    level: float = 0.95
    outcome: str | None = None

    def __post_init__(self) -> None:
        as_tuples(self, ("covariates",), ("covariates",))
        problems = wrong_choices(self, {"kernel": KERNELS, "compare": ("level", "change")})
        if not (is_number(self.cutoff) and np.isfinite(self.cutoff)):
            problems.append(
                Problem(f"cutoff={self.cutoff!r}", next="Give the value of the score at which it switches.")
            )
        if self.bandwidth is not None and not (is_number(self.bandwidth) and 0 < self.bandwidth < np.inf):
            problems.append(Problem(f"bandwidth={self.bandwidth!r}", next="Give a number above 0, or None."))
        if self.degree not in (0, 1, 2, 3):
            problems.append(Problem(f"degree={self.degree!r}", next="Give 0, 1, 2 or 3."))
        try:
            check_level(self.level)
        except OptionError as error:
            problems.append(Problem(str(error).rstrip(".")))
        raise_problems(problems, OptionError)

    @property
    def traits(self) -> Traits:
        """What its answers rest on."""
        return Traits(frozenset({"cutoff"}))

    @property
    def who(self) -> Who:
        """Everybody with a score, whatever else they had."""
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
        found = self.sample(study, component)
        return self._effect(found.people, found.y, found.clusters)

    def _effect(self, people: People, y: np.ndarray, clusters: np.ndarray | None) -> Jump:
        score, t, z, weight = people.x[:, 0], people.exposed.astype(float), people.x[:, 1:], people.weight
        above = score >= self.cutoff
        _enough(above, np.ones(len(y), dtype=bool), self.score, self.cutoff)
        _enough(above, np.isfinite(y), self.score, self.cutoff)
        turn = _switch(t, above)
        if turn:
            return _turned(self._jump(score, y, z, None, clusters, weight=weight), turn)
        self._not_the_next(people.component, score, t)
        try:
            moved = self._jump(score, t, z, None, clusters, weight=weight)
        except NotIdentifiedError as error:
            # Nothing varies on either side: it is decided there, if only there, or it does not switch at all.
            jump = self._jump(score, y, z, None, clusters, weight=weight)
            near = np.abs(score - self.cutoff) <= jump.bandwidth
            turn = _switch(t[near], above[near])
            if turn:
                return _turned(jump, turn)
            raise NotIdentifiedError(self._no_switch(people.component, t[near], above[near], str(error))) from error
        if moved.low <= 0 <= moved.high:
            raise NotIdentifiedError(
                f"The share with {people.component!r} does not clearly switch at {self.score} = {self.cutoff:g} "
                f"({moved.low:.2f} to {moved.high:.2f}), so there is nothing to compare there."
            )
        return self._jump(score, y, z, t, clusters, weight=weight)

    def _not_the_next(self, component: str, score: np.ndarray, t: np.ndarray) -> None:
        """A rule with "<=": people at the cut-off itself are as those below, so the next score is the cut-off."""
        if _switch(t, score > self.cutoff):
            following = float(score[score > self.cutoff].min())
            raise NotIdentifiedError(
                f"As to {component!r}, people at {self.score} = {self.cutoff:g} itself are like those below, while a "
                f"cut-off counts them above. Give cutoff={following!r}, the next score there is."
            )

    def _no_switch(self, component: str, t: np.ndarray, above: np.ndarray, why: str) -> str:
        return (
            f"The share with {component!r} does not clearly switch at {self.score} = {self.cutoff:g}: near it, "
            f"{t[~above].mean():.0%} of those below and {t[above].mean():.0%} of those above have it. "
            f"Check the cut-off. {why}"
        )

    def _jump(
        self, score: np.ndarray, y: np.ndarray, z: np.ndarray, taken: np.ndarray | None, clusters: np.ndarray | None,
        cutoff: float | None = None, weight: np.ndarray | None = None,
    ) -> Jump:  # fmt: skip
        c, seen = self.cutoff if cutoff is None else cutoff, np.isfinite(y)
        _enough(score >= c, seen, self.score, c)
        if np.ptp(y[seen]) == 0:
            raise NotIdentifiedError(
                f"The outcome at {self.score} = {c:g} is the same for everybody: nothing can jump."
            )
        options: dict[str, object] = {"c": c, "p": self.degree}
        options |= {"kernel": KERNELS[self.kernel], "level": 100 * self.level}
        if self.bandwidth is not None:
            options["h"] = self.bandwidth
        if z.shape[1]:
            options["covs"] = z[seen]
        if clusters is not None:
            options |= {"cluster": clusters[seen], "vce": "hc1"}
        options |= {k: v[seen] for k, v in (("fuzzy", taken), ("weights", weight)) if v is not None}
        jump = _run(self.score, y[seen], score[seen], options)
        self._sound(jump, c, float(np.abs(y[seen]).max()))
        return jump

    def _sound(self, j: Jump, cutoff: float, size: float) -> None:
        """Raise `NotIdentifiedError` for a jump that rests on too few people, or on people who do not vary."""
        if min(j.below, j.above) < FEWEST:
            raise NotIdentifiedError(
                f"Only {min(j.below, j.above)} people with an outcome stand on one side within {j.bandwidth:.4g} of "
                f"{self.score} = {cutoff:g} ({j.below} below, {j.above} above); at least {FEWEST} are needed on each."
            )
        if not (np.isfinite([j.value, j.low, j.high]).all() and j.high - j.low > ROUNDING * size):
            raise NotIdentifiedError(
                f"There is no standard error for the jump at {self.score} = {cutoff:g}: within {j.bandwidth:.4g} of it "
                "the outcome does not vary beyond the line through it."
            )

    def sample(self, study: Study, component: str) -> Sample:
        """The people, their scores, outcomes and clusters: what checks of a cut-off look at."""
        people = self.people(study, component)
        y = self.read(study, people)
        return Sample(people, people.x[:, 0], y, _clusters(study, component, people))

    def jump(
        self, score: np.ndarray, y: np.ndarray, clusters: np.ndarray | None, cutoff: float | None = None,
        weight: np.ndarray | None = None,
    ) -> Jump:  # fmt: skip
        """The jump of anything at a cut-off, as it stands: above less below. weight: (m,) of the people, or None."""
        return self._jump(score, y, np.zeros((len(score), 0)), None, clusters, cutoff, weight)

    def expected(self, study: Study, component: str, bins: int = 10) -> pd.DataFrame:
        """Regression to the mean: by tenth of the score, the outcome seen and the outcome to be expected without.

        The line of outcome on score among people without the component is carried to those with it, so that what
        extreme scores would have done anyway is not taken for an effect. Columns: score, people, share_with, outcome,
        expected, extrapolated (no one without it has such a score).
        """
        people = self.people(study, component)
        y = self.read(study, people)
        seen = np.isfinite(y)
        score, y, t, weight = people.x[seen, 0], y[seen], people.exposed[seen], people.sizes[seen]
        if not t.any() or len(np.unique(score[~t])) < 2:
            raise NotIdentifiedError(
                f"The line of the outcome on {self.score} needs outcomes of people with {component!r}, and of people "
                "without it at two scores or more."
            )
        slope, start = np.polyfit(score[~t], y[~t], 1, w=np.sqrt(weight[~t]))
        code = np.unique(np.quantile(score, np.linspace(0, 1, bins + 1))[1:-1])
        group = np.searchsorted(code, score, side="right")
        low, high = score[~t].min(), score[~t].max()
        rows = []
        for g in np.unique(group):
            mine = group == g
            centre, share, mean = (float(np.average(v[mine], weights=weight[mine])) for v in (score, t, y))
            rows.append((centre, int(mine.sum()), share, mean, start + slope * centre, not low <= centre <= high))
        return pd.DataFrame(rows, columns=["score", "people", "share_with", "outcome", "expected", "extrapolated"])


def _switch(t: np.ndarray, above: np.ndarray) -> int:
    """1 where (all but) everybody above has it and nobody below, -1 the other way round, 0 otherwise."""
    return int(np.mean(t == above) > SHARP) - int(np.mean(t != above) > SHARP)


def _enough(above: np.ndarray, seen: np.ndarray, score: str, cutoff: float) -> None:
    fewest = min(int((above & seen).sum()), int((~above & seen).sum()))
    if fewest < FEWEST:
        who = "people stand" if seen.all() else "people with an outcome stand"
        raise NotIdentifiedError(
            f"Only {fewest} {who} on one side of {score} = {cutoff:g}; at least {FEWEST} are needed on each."
        )


def _run(name: str, y: np.ndarray, score: np.ndarray, options: dict[str, object]) -> Jump:
    """What rdrobust finds. What it says of data that it cannot use becomes a `NotIdentifiedError`."""
    try:
        from rdrobust import rdrobust
    except ImportError:
        raise OptionError(
            "RegressionDiscontinuity uses the package rdrobust. Install it: pip install 'evalkit-components[rd]'."
        ) from None
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            return _read(rdrobust(y, score, **options), "fuzzy" in options)
        except (ValueError, np.linalg.LinAlgError) as error:
            raise _unusable(name, options["c"], error) from error
        except Exception as error:
            if type(error) is not Exception:  # of that very class where no bandwidth can be chosen; else a fault
                raise
            raise _unusable(name, options["c"], error) from error


def _unusable(name: str, cutoff: object, error: Exception) -> NotIdentifiedError:
    return NotIdentifiedError(
        f"The jump at {name} = {cutoff:g} cannot be worked out: rdrobust says {str(error).rstrip('.')!r}. "
        "Look at the cut-off, the bandwidth, and how many different scores there are on a side."
    )


def _read(found: RDRobust, fuzzy: bool) -> Jump:
    low, high = (float(v) for v in np.asarray(found.ci.loc["Robust"], dtype=float))
    value, p = (float(np.asarray(table.loc["Robust"]).ravel()[0]) for table in (found.coef, found.pv))
    width = float(np.asarray(found.bws.loc["h"], dtype=float).max())
    below, above = (int(n) for n in found.N_h)
    return Jump(value, low, high, p, width, below, above, fuzzy)


def _turned(j: Jump, turn: int) -> Jump:
    """The effect of having it: the jump itself where it is had above (turn 1), its opposite where below (-1)."""
    return j if turn > 0 else replace(j, value=-j.value, low=-j.high, high=-j.low)


def _clusters(study: Study, component: str, people: People) -> np.ndarray | None:
    level = cluster_level(study, component)
    return None if level is None else study.paths.levels[level].codes[people.rows]
