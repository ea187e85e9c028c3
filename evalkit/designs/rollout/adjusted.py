"""A rollout contrast with covariates: every stratum by regression, weighting, or both, averaged like the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from scipy.special import expit

from evalkit.designs.logit import maximise
from evalkit.designs.protocol import StudyLike
from evalkit.designs.rollout.contrast import Blocks, Contrast, mean_of
from evalkit.designs.rollout.plan import Comparison, Plan
from evalkit.designs.rollout.readers import Within
from evalkit.designs.rollout.rows import Naming, estimate_of, labels, rows_of
from evalkit.designs.rollout.sums import Sums
from evalkit.designs.threads import one_thread
from evalkit.errors import OptionError
from evalkit.inference.estimate import Estimate
from evalkit.inference.replicates import Replicates
from evalkit.inference.sources import Block as InfluenceBlock
from evalkit.inference.sources import BlockSource

COLLINEAR = 1e-12
CLOSE = 1e-10
LARGEST = 1 - 1e-6
TRIM = 0.995


@dataclass(frozen=True, eq=False)
class Covariates:
    """x: (n, T, q) in the row order of the paths, NaN where missing; names: (q,)."""

    x: np.ndarray
    names: tuple[str, ...]

    @cached_property
    def fixed(self) -> bool:
        """Whether every unit's covariates are there, and the same, in every period."""
        return bool((self.x == self.x[:, :1]).all())

    @cached_property
    def usable(self) -> np.ndarray | None:
        """(n, T) no covariate is missing; None when none ever is."""
        if self.fixed:
            return None
        there = ~np.isnan(self.x).any(axis=2)
        return None if there.all() else there

    @cached_property
    def distinct(self) -> np.ndarray:
        """(m, q) values to look at: one row a unit where they are fixed, else all that are whole."""
        if self.fixed:
            return self.x[:, 0]
        return self.x.reshape(-1, len(self.names)) if self.usable is None else self.x[self.usable]


def read_covariates(study: StudyLike, before: tuple[int, int] | None = None) -> Covariates:
    """The study's covariates; `OptionError` when there are none, or one says nothing of its own.

    before: positions of the first and last period of a window, for two windows that both have them as last seen in it.
    """
    names = study.covariate_names() if study.covariates else ()
    if not names:
        raise OptionError(
            "This study has no covariates to adjust for. Give covariates=(...) to the Study, or adjust=None."
        )
    x = study.covariate_values()
    if before is not None:
        x = x[:, before[0] : before[1] + 1]
        for t in range(1, x.shape[1]):
            x[:, t] = np.where(np.isnan(x[:, t]), x[:, t - 1], x[:, t])
        x = np.repeat(x[:, -1:], 2, axis=1)
    covariates = Covariates(x, names)
    seen = covariates.distinct
    there = [True] * len(names) if covariates.usable is None else (~np.isnan(covariates.x)).any(axis=(0, 1))
    absent = [n for n, t in zip(names, there, strict=True) if not t]
    if absent:
        raise OptionError(f"{_listed(absent)} missing in every row. Leave it out, or fill it in.")
    if not len(seen):
        raise OptionError(f"{_listed(list(names))} never all there in one row. Leave some out, or fill them in.")
    constant = [n for n, c in zip(names, seen.T, strict=True) if c.min() == c.max()]
    if constant:
        raise OptionError(f"{_listed(constant)} the same for everybody, so nothing can be adjusted for. Leave it out.")
    tied = _tied(seen)
    if tied:
        raise OptionError(f"{_listed([names[j] for j in tied])} a combination of the other covariates. Leave it out.")
    return covariates


def _tied(seen: np.ndarray) -> list[int]:
    """Columns of (m, q) that the ones before them explain but for a share below 1e-12 of their variance."""
    correlation = np.atleast_2d(np.corrcoef(seen, rowvar=False))
    free: list[int] = []
    tied: list[int] = []
    for j in range(seen.shape[1]):
        known = correlation[np.ix_(free, free)]
        explained = correlation[j, free] @ np.linalg.solve(known, correlation[free, j]) if free else 0.0
        (tied if 1 - explained < COLLINEAR else free).append(j)
    return tied


def _listed(names: list[str]) -> str:
    return f"Covariate {names[0]!r} is" if len(names) == 1 else f"Covariates {', '.join(map(repr, names))} are"


@dataclass(frozen=True, eq=False)
class Stratum:
    """Starts of one line that share matches and covariates. adopting, serving: flags by path (pair); comparison:
    one of theirs; periods: (c,) at which they are read alike; at: (c,) columns that they add to; used: (K,) whether
    the refit without each cluster uses it, None for all."""

    adopting: np.ndarray
    serving: np.ndarray
    comparison: Comparison
    periods: np.ndarray
    at: np.ndarray
    used: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Part:
    """One adjusted stratum: units (m,), adopters' weights (m,), effects (c,), contributions (m, c) times the sum of
    the weights."""

    units: np.ndarray
    weight: np.ndarray
    att: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Read:
    """Units (m,) of a stratum, their weights (m,) as adopters and as they are, changes (m, c), and a constant and
    covariates at base (m, q)."""

    units: np.ndarray
    own: np.ndarray
    plain: np.ndarray
    change: np.ndarray
    x: np.ndarray


@dataclass(frozen=True, eq=False)
class AdjustedContrast(ABC):
    """A contrast whose strata are adjusted for covariates at base, by regression, weighting or both (`how`)."""

    contrast: Contrast
    covariates: Covariates
    how: str

    @property
    def sums(self) -> Sums:
        return self.contrast.reader.sums

    @abstractmethod
    def among(self, stratum: Stratum) -> np.ndarray:
        """(n,) units that take part."""

    @abstractmethod
    def compare(self, stratum: Stratum, read: Read) -> tuple[np.ndarray, Adjusted] | None:
        """Adopters' weights (m,), zero for all others, and their effects; None where an arm is empty."""

    def adjust(self, stratum: Stratum, weights: np.ndarray) -> Part | str | None:
        """One stratum under weights (n,), among the units whom all its periods saw; why it has no number, or None
        where an arm is empty."""
        c, periods = stratum.comparison, stratum.periods
        units = np.flatnonzero(self.among(stratum) & (weights > 0))
        change, seen = self.sums.changes(units, c, periods)
        if not seen.all():
            whole = seen.all(axis=1)
            units, change = units[whole], change[whole]
        x = np.column_stack([np.ones(len(units)), self.covariates.x[units, c.whole.base[periods[0]]]])
        plain, share = weights[units], self.sums.share(units, c, periods[:1])[:, 0]
        found = self.compare(stratum, Read(units, plain * share, plain, change, x))
        if found is None:
            return None
        weight, done = found
        if done.reason:
            return done.reason
        done.rows[:] *= weight[weight > 0].sum()
        return Part(units, weight, done.att, done.rows)

    def strata(self, blocks: Iterable[Blocks]) -> list[Stratum]:
        """Starts and periods that share groups, covariates and refits; blocks as in `Contrast.refitted`."""
        alone = not self.sums.balanced
        together: dict[tuple, list[Comparison]] = {}
        each = (one for b in blocks for one in zip(b.comparisons, b.line.tolist(), b.ok, b.used, strict=True))
        for c, line, ok, used in each:
            for t in np.flatnonzero(ok).tolist():
                refits = None if used is None else used[:, t].tobytes()
                key = (line, t, c.match[:, t].tobytes(), int(c.base[t]), int(c.window[t]), c.part, refits)
                together.setdefault(key, []).append(c)
        found: dict[tuple, tuple[Comparison, list[int]]] = {}
        for (line, t, match, base, _, part, refits), some in sorted(together.items(), key=lambda item: item[0][:2]):
            paths = tuple(p for c in some for p in (c.path, *c.also))
            shared = None if self.covariates.fixed else base, t if alone else None
            found.setdefault((line, paths, match, part, refits, *shared), (some[0], []))[1].append(t)
        made = []
        for (line, paths, match, _, refits, *_), (c, periods) in found.items():
            serving = np.frombuffer(match, dtype=bool)
            adopting = np.isin(np.arange(len(serving)), paths)
            t = np.array(periods)
            used = None if refits is None else np.frombuffer(refits, dtype=bool)
            made.append(Stratum(adopting, serving, c, t, line * self.contrast.n_periods + t, used))
        return made

    def estimate(self, naming: Naming) -> Estimate:
        """One row for each (cohort, period), adjusted; rows that cannot be say why."""
        top, mass = np.zeros((2, self.contrast.mass.size))
        parts: list[tuple[np.ndarray, Part]] = []
        reasons: dict[int, str] = {}
        for stratum in self.strata(self.contrast.read):
            done = self.adjust(stratum, self.sums.weights)
            if isinstance(done, str):
                reasons |= dict.fromkeys(stratum.at.tolist(), done)
            elif done is not None:
                n = done.weight.sum()
                top[stratum.at] += n * done.att
                mass[stratum.at] += n
                parts.append((stratum.at, done))
        rows, value = np.flatnonzero(self.contrast.possible.ravel()), mean_of(top, mass)
        table = labels(self.contrast, naming, rows)
        unanswered = zip(rows.tolist(), table["reason"], np.isnan(value[rows]), strict=True)
        table = table.assign(mass=mass[rows], reason=[reasons.get(r, old) if nan else "" for r, old, nan in unanswered])
        source = BlockSource(rows_of(self.sums.paths), _blocks(parts, value, mass, rows))
        return estimate_of(self.contrast, rows, value[rows], table, source, partial(self.without_each, rows))

    @one_thread()
    def without_each(self, rows: np.ndarray) -> Replicates:
        """Refits without each cluster, one by one; a stratum is fitted again without clusters of its own only."""
        plain = self.contrast.replicates(rows)
        weights, codes = self.sums.weights, self.sums.paths.levels[self.sums.level].codes
        every = np.arange(len(plain.names))
        top, mass = np.zeros((2, len(every), self.contrast.mass.size))
        for stratum in self.strata(self.contrast.refitted):
            whole = self.adjust(stratum, weights)
            users = every if stratum.used is None else np.flatnonzero(stratum.used)
            own = np.intersect1d(codes[whole.units], users) if isinstance(whole, Part) else users
            refits = ((np.array([g]), self.adjust(stratum, np.where(codes == g, 0.0, weights))) for g in own)
            for who, found in ((np.setdiff1d(users, own), whole), *refits):
                if isinstance(found, Part):
                    n = found.weight.sum()
                    top[np.ix_(who, stratum.at)] += n * found.att
                    mass[np.ix_(who, stratum.at)] += n
        return replace(plain, values=mean_of(top, mass)[:, rows], masses=mass[:, rows])


def _blocks(
    parts: list[tuple[np.ndarray, Part]], value: np.ndarray, mass: np.ndarray, rows: np.ndarray
) -> tuple[InfluenceBlock, ...]:
    """Contributions of the strata to the values at `rows`, then to their masses, in the strata's own memory."""
    place = np.full(len(mass), -1)
    place[rows] = np.arange(len(rows))
    out = []
    for at, part in parts:
        some, away = np.flatnonzero(part.weight), part.att - value[at]
        if away.any():
            part.rows[some] += np.outer(part.weight[some], away)
        np.divide(part.rows, mass[at], out=part.rows)
        columns = place[at]
        out.append(InfluenceBlock(part.units, columns, part.rows, columns + len(rows), part.weight))
    return tuple(out)


@dataclass(frozen=True, eq=False)
class AdjustedWithin(AdjustedContrast):
    """Adopters beside their matches. contrast reads `Within`."""

    def among(self, stratum: Stratum) -> np.ndarray:
        return (stratum.adopting | stratum.serving)[self.sums.paths.path]

    def compare(self, stratum: Stratum, read: Read) -> tuple[np.ndarray, Adjusted] | None:
        d = stratum.adopting[self.sums.paths.path[read.units]]
        if not d.any() or d.all():
            return None
        w = np.where(d, read.own, read.plain)
        return np.where(d, w, 0.0), two_group(read.change, d, read.x, w, self.how)


def adjusted_estimate(plan: Plan, covariates: Covariates, sums: Sums, how: str, naming: Naming) -> Estimate:
    """The plan's rows, read from `sums`, adjusted for covariates."""
    return AdjustedWithin(Contrast(plan, Within(sums.among(covariates.usable))), covariates, how).estimate(naming)


@dataclass(frozen=True, eq=False)
class Adjusted:
    """att: (m,) NaN with a reason where it cannot be given. rows: (n, m) contributions."""

    att: np.ndarray
    rows: np.ndarray
    reason: str = ""


def two_group(delta: np.ndarray, d: np.ndarray, x: np.ndarray, w: np.ndarray, how: str) -> Adjusted:
    """ATT of d = 1 on changes `delta` (n, m) given x (n, q, with a constant) and weights (n,)."""
    d = d.astype(float)
    reason, score, regression = "", None, None
    if how in ("reg", "dr") and _rank(x[d == 0], w[d == 0]) < x.shape[1]:
        reason = "the covariates depend on each other, or are too many, among the comparison units"
    elif how in ("ipw", "dr"):
        score = fit_logit(d, x, w)
        reason = score if isinstance(score, str) else ""
        if not isinstance(score, str) and not ((score[0] < TRIM) & (d == 0)).any():
            reason = "no comparison unit is like the adopters in the covariates"
    if reason or isinstance(score, str):
        return Adjusted(np.full(delta.shape[1], np.nan), np.full(delta.shape, np.nan), reason)
    if how in ("reg", "dr"):
        wx = x * (w * (1 - d))[:, None]
        inverse = np.linalg.inv(wx.T @ x)
        regression = wx, inverse
        delta = delta - x @ (inverse @ (wx.T @ delta))
    return _combine(delta, d, x, w, score, regression)


def _rank(x: np.ndarray, w: np.ndarray) -> int:
    used = x[w > 0]
    if not len(used):
        return 0
    scaled = used / np.maximum(np.abs(used).max(axis=0), 1e-300)
    return int(np.linalg.matrix_rank(scaled.T @ scaled, tol=1e-10 * len(used)))


Fit = tuple[np.ndarray, np.ndarray]


def fit_logit(d: np.ndarray, x: np.ndarray, w: np.ndarray) -> Fit | str:
    """Weighted maximum likelihood of d (n,) on x (n, q): probabilities (n,) and influence on the coefficients (n, q),
    H^-1 x_i w_i (d_i - p_i) of unit i; or why it cannot be fitted."""
    beta = maximise(x, d, w, CLOSE)
    p = expit(x @ beta)
    hessian = (x * (w * p * (1 - p))[:, None]).T @ x
    if np.linalg.cond(hessian) > 1e14:
        return "the covariates separate the two groups or depend on each other"
    lean = np.linalg.solve(hessian, (x * (w * (d - p))[:, None]).T).T
    if np.abs(lean.sum(axis=0)).max() > CLOSE * (1 + np.abs(beta).max()):  # the step that Newton would take next
        return "the covariates separate the two groups perfectly"
    return np.minimum(p, LARGEST), lean


def _combine(
    left: np.ndarray, d: np.ndarray, x: np.ndarray, w: np.ndarray, score: Fit | None, regression: Fit | None
) -> Adjusted:
    """Contributions are each unit's own change times one number, and a product of few columns: those of the two
    means, of the score, and (inside `own`) of the regression.

    left: (n, m) changes, or residuals. score: as `fit_logit` gives it. regression: (n, q) weighted covariates of the
    comparison units, and the inverse of their cross-products.
    """
    treat = w * d / (w @ d)
    att = treat @ left
    own, lean, fall = treat, [treat[:, None]], [-att[None]]
    on_beta = x.T @ treat
    if score is not None:
        p, influence = score
        odds = np.where(d == 0, ((p < TRIM) | (d == 1)) * w * p / (1 - p), 0.0)
        odds /= odds.sum()
        centre = odds @ left
        slope = (x * odds[:, None]).T @ left - np.outer(x.T @ odds, centre)
        own = own - odds
        lean, fall = [*lean, odds[:, None], influence], [*fall, centre[None], -slope]
        on_beta = on_beta - x.T @ odds
        att = att - centre
    if regression is not None:
        own = own - regression[0] @ (regression[1] @ on_beta)
    rows = np.hstack(lean) @ np.vstack(fall)
    rows += left * own[:, None]
    return Adjusted(att, rows)
