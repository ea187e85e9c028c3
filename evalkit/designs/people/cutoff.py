"""Regression discontinuity: people just on either side of a cut-off that decided who had the component."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.designs.people.estimating import AmongPeople, as_tuples, cluster_level, is_number, wrong_choices
from evalkit.designs.people.people import People, Who
from evalkit.designs.protocol import Traits
from evalkit.errors import NotIdentifiedError, OptionError, Problem, raise_problems, spelt
from evalkit.inference.intervals import Interval, check_level
from evalkit.study import Study

KERNELS = {"triangular": "tri", "epanechnikov": "epa", "uniform": "uni"}
FEWEST = 20
SHARP = 0.999
ROUNDING = 1e-12


@dataclass(frozen=True)
class Jump:
    """A jump at a cut-off. value is bias-corrected, the interval robust (Calonico, Cattaneo and Titiunik 2014).
    bandwidth: how far from the cut-off people count. below, above: people within it. fuzzy: whether the cut-off moved
    the chance of having the component rather than deciding it."""

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
    when rdrobust can make nothing of the data (its words are passed on), and `OptionError` when rdrobust is absent."""

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
    traits = Traits(frozenset({"cutoff"}))

    def __post_init__(self) -> None:
        as_tuples(self, ("covariates",), ("covariates",))
        problems = wrong_choices(self, {"kernel": KERNELS, "compare": ("level", "change")})
        if not (is_number(self.cutoff) and np.isfinite(self.cutoff)):
            advice = "Give the value of the score at which it switches."
            problems.append(Problem(f"cutoff={spelt(self.cutoff)}", next=advice))
        if self.bandwidth is not None and not (is_number(self.bandwidth) and 0 < self.bandwidth < np.inf):
            problems.append(Problem(f"bandwidth={spelt(self.bandwidth)}", next="Give a number above 0, or None."))
        if self.degree not in (0, 1, 2, 3):
            problems.append(Problem(f"degree={spelt(self.degree)}", next="Give 0, 1, 2 or 3."))
        try:
            check_level(self.level)
        except OptionError as error:
            problems.append(Problem(str(error).rstrip(".")))
        raise_problems(problems, OptionError)

    @property
    def who(self) -> Who:
        """Everybody with a score, whatever else they had."""
        return Who("ignored", (), (self.score, *self.covariates), self.outcome_period, self.covariate_period)

    def __call__(self, study: Study, component: str) -> Interval:
        """The effect at the cut-off, with its robust interval."""
        j = self.fit(study, component)
        kind = "fuzzy" if j.fuzzy else "sharp"
        words = f"{kind} regression discontinuity at {self.score} = {self.cutoff:g}: {j.below} people below and "
        words += f"{j.above} above within {j.bandwidth:.4g}; robust bias-corrected interval (rdrobust)"
        return Interval(j.value, j.low, j.high, words)

    def fit(self, study: Study, component: str) -> Jump:
        """The jump of the outcome at the cut-off, as an effect of having the component."""
        found = self.sample(study, component)
        people, score, y, clusters, weight = found.people, found.score, found.y, found.clusters, found.people.weight
        t, z, above = people.exposed.astype(float), people.x[:, 1:], score >= self.cutoff
        for seen in (np.ones(len(y), dtype=bool), np.isfinite(y)):
            _enough(above, seen, self.score, self.cutoff)
        if turn := _switch(t, above):
            return _turned(self.jump(score, y, clusters, weight=weight, z=z), turn)
        if _switch(t, score > self.cutoff):  # a rule with "<="
            following = float(score[score > self.cutoff].min())
            raise NotIdentifiedError(
                f"As to {component!r}, people at {self.score} = {self.cutoff:g} itself are like those below, while a "
                f"cut-off counts them above. Give cutoff={spelt(following)}, the next score there is."
            )
        place = f"The share with {component!r} does not clearly switch at {self.score} = {self.cutoff:g}"
        try:
            moved = self.jump(score, t, clusters, weight=weight, z=z)
        except NotIdentifiedError as error:
            # Nothing varies on either side: it is decided there, if only there, or it does not switch at all.
            jump = self.jump(score, y, clusters, weight=weight, z=z)
            near = np.abs(score - self.cutoff) <= jump.bandwidth
            if turn := _switch(t[near], above[near]):
                return _turned(jump, turn)
            words = f"{place}: near it, {t[near & ~above].mean():.0%} of those below and {t[near & above].mean():.0%} "
            raise NotIdentifiedError(words + f"of those above have it. Check the cut-off. {error}") from error
        if moved.low <= 0 <= moved.high:
            share = f"{moved.low:.2f} to {moved.high:.2f}"
            raise NotIdentifiedError(f"{place} ({share}), so there is nothing to compare there.")
        return self.jump(score, y, clusters, weight=weight, z=z, taken=t)

    def sample(self, study: Study, component: str) -> Sample:
        """The people, their scores, outcomes and clusters: what checks of a cut-off look at."""
        people, level = self.people(study, component), cluster_level(study, component)
        clusters = None if level is None else study.paths.levels[level].codes[people.rows]
        return Sample(people, people.x[:, 0], self.read(study, people), clusters)

    def jump(
        self, score: np.ndarray, y: np.ndarray, clusters: np.ndarray | None, cutoff: float | None = None,
        weight: np.ndarray | None = None, z: np.ndarray | None = None, taken: np.ndarray | None = None,
    ) -> Jump:  # fmt: skip
        """The jump of anything at a cut-off, as it stands: above less below. weight: (m,) of the people, or None. z:
        (m, q) covariates. taken: (m,) who has the component, where the cut-off only shifts the chance of it."""
        c, seen = self.cutoff if cutoff is None else cutoff, np.isfinite(y)
        _enough(score >= c, seen, self.score, c)
        if np.ptp(y[seen]) == 0:
            where = f"at {self.score} = {c:g}"
            raise NotIdentifiedError(f"The outcome {where} is the same for everybody: nothing can jump.")
        options: dict[str, object] = {"c": c, "p": self.degree, "kernel": KERNELS[self.kernel]}
        options["level"] = 100 * self.level
        options |= {} if self.bandwidth is None else {"h": self.bandwidth}
        options |= {} if clusters is None else {"cluster": clusters[seen], "vce": "hc1"}
        columns = {"covs": z if z is not None and z.shape[1] else None, "fuzzy": taken, "weights": weight}
        j = _run(self.score, y[seen], score[seen], options | {k: v[seen] for k, v in columns.items() if v is not None})
        if min(j.below, j.above) < FEWEST:
            raise NotIdentifiedError(
                f"Only {min(j.below, j.above)} people with an outcome stand on one side within {j.bandwidth:.4g} of "
                f"{self.score} = {c:g} ({j.below} below, {j.above} above); at least {FEWEST} are needed on each."
            )
        if not (np.isfinite([j.value, j.low, j.high]).all() and j.high - j.low > ROUNDING * np.abs(y[seen]).max()):
            words = f"There is no standard error for the jump at {self.score} = {c:g}: within {j.bandwidth:.4g} of it "
            raise NotIdentifiedError(words + "the outcome does not vary beyond the line through it.")
        return j

    def expected(self, study: Study, component: str, bins: int = 10) -> pd.DataFrame:
        """Regression to the mean: by tenth of the score, the outcome seen and the outcome to be expected without. The
        line of outcome on score among people without the component is carried to those with it, so that what extreme
        scores would have done anyway is not taken for an effect. Columns: score, people, share_with, outcome, expected,
        extrapolated (no one without it has such a score)."""
        people = self.people(study, component)
        y = self.read(study, people)
        seen = np.isfinite(y)
        score, y, t, weight = people.x[seen, 0], y[seen], people.exposed[seen], people.sizes[seen]
        if not t.any() or len(np.unique(score[~t])) < 2:
            words = f"The line of the outcome on {self.score} needs outcomes of people with {component!r}, "
            raise NotIdentifiedError(words + "and of people without it at two scores or more.")
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
        few = f"Only {fewest} {who} on one side of {score} = {cutoff:g}"
        raise NotIdentifiedError(f"{few}; at least {FEWEST} are needed on each.")


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
            found = rdrobust(y, score, **options)
        except Exception as error:
            # of that very class where no bandwidth can be chosen; of other classes it is a fault
            if type(error) is not Exception and not isinstance(error, (ValueError, np.linalg.LinAlgError)):
                raise
            raise NotIdentifiedError(
                f"The jump at {name} = {options['c']:g} cannot be worked out: rdrobust says "
                f"{str(error).rstrip('.')!r}. Look at the cut-off, the bandwidth, and how many different scores there "
                "are on a side."
            ) from error
    low, high = (float(v) for v in np.asarray(found.ci.loc["Robust"], dtype=float))
    value, p = (float(np.asarray(table.loc["Robust"]).ravel()[0]) for table in (found.coef, found.pv))
    width = float(np.asarray(found.bws.loc["h"], dtype=float).max())
    below, above = (int(n) for n in found.N_h)
    return Jump(value, low, high, p, width, below, above, "fuzzy" in options)


def _turned(j: Jump, turn: int) -> Jump:
    """The effect of having it: the jump itself where it is had above (turn 1), its opposite where below (-1)."""
    return j if turn > 0 else replace(j, value=-j.value, low=-j.high, high=-j.low)
