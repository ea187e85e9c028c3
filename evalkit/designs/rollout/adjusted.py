"""A rollout contrast with covariates: every stratum by regression, weighting, or both, averaged like the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.special import expit

from evalkit.designs.logit import maximise
from evalkit.designs.protocol import WithCovariates
from evalkit.designs.rollout.contrast import Block, Contrast
from evalkit.designs.rollout.plan import Comparison, Plan
from evalkit.designs.rollout.readers import Within
from evalkit.designs.rollout.rows import Naming, by_cell, estimate_of, labels, rows_of
from evalkit.designs.rollout.sums import Sums
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


def read_covariates(study: WithCovariates) -> Covariates:
    """The study's covariates; `OptionError` when there are none, or one says nothing of its own."""
    names = tuple(study.covariates)
    if not names:
        raise OptionError(
            "This study has no covariates to adjust for. Give covariates=(...) to the Study, or adjust=None."
        )
    covariates = Covariates(study.covariate_values(), names)
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


@dataclass(eq=False)
class _Totals:
    """Running sums over strata, by cohort and period flattened; the strata themselves when they are kept."""

    top: np.ndarray
    mass: np.ndarray
    parts: list[tuple[np.ndarray, Part]] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class AdjustedContrast:
    """A contrast whose strata are adjusted for covariates at base. contrast reads `Within`."""

    contrast: Contrast
    covariates: Covariates
    how: str

    @property
    def sums(self) -> Sums:
        return self.contrast.reader.sums

    def strata(self, blocks: Iterable[tuple[Block, np.ndarray | None]]) -> list[Stratum]:
        """Starts and periods that share groups, covariates and refits; blocks as in `Contrast.refitted`."""
        alone = not self.sums.balanced
        together: dict[tuple, list[Comparison]] = {}
        for b, used in blocks:
            c = b.comparison
            for t in np.flatnonzero(b.ok).tolist():
                refits = None if used is None else used[:, t].tobytes()
                key = (b.line, t, c.match[:, t].tobytes(), int(c.base[t]), int(c.window[t]), c.part, refits)
                together.setdefault(key, []).append(c)
        found: dict[tuple, tuple[Comparison, list[int]]] = {}
        for (line, t, match, base, _, part, refits), some in sorted(together.items(), key=_line_and_period):
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

    def read(self, stratum: Stratum, among: np.ndarray) -> tuple[np.ndarray, ...]:
        """Units (m,) `among` (n,) whom all periods saw, their changes (m, c), a constant and covariates at base
        (m, q), and the share (m,) of each that a part of a comparison has."""
        c, periods = stratum.comparison, stratum.periods
        units = np.flatnonzero(among)
        change, seen = self.sums.changes(units, c, periods)
        if not seen.all():
            whole = seen.all(axis=1)
            units, change = units[whole], change[whole]
        x = np.column_stack([np.ones(len(units)), self.covariates.x[units, c.whole.base[periods[0]]]])
        return units, change, x, self.sums.share(units, c, periods[:1])[:, 0]

    def adjust(self, stratum: Stratum, weights: np.ndarray) -> Part | str | None:
        """One stratum under weights (n,); why it has no number, or None where an arm is empty."""
        path = self.sums.paths.path
        among = (stratum.adopting | stratum.serving)[path] & (weights > 0)
        units, change, x, share = self.read(stratum, among)
        d = stratum.adopting[path[units]]
        if not d.any() or d.all():
            return None
        w = np.where(d, weights[units] * share, weights[units])
        done = two_group(change, d, x, w, self.how)
        if done.reason:
            return done.reason
        rows = done.rows
        rows *= w[d].sum()
        return Part(units, np.where(d, w, 0.0), done.att, rows)

    def run(self) -> _Totals:
        """All strata."""
        size = self.contrast.mass.size
        totals = _Totals(np.zeros(size), np.zeros(size))
        for stratum in self.strata((b, None) for b in self.contrast.blocks):
            done = self.adjust(stratum, self.sums.weights)
            if isinstance(done, str):
                totals.reasons |= dict.fromkeys(stratum.at.tolist(), done)
            elif done is not None:
                n = done.weight.sum()
                totals.top[stratum.at] += n * done.att
                totals.mass[stratum.at] += n
                totals.parts.append((stratum.at, done))
        return totals

    def without_each(self, rows: np.ndarray) -> Replicates:
        """Refits without each cluster, one by one; a stratum is fitted again without clusters of its own only."""
        plain = by_cell(self.contrast).replicates(rows)
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
        return replace(plain, values=_divide(top, mass)[:, rows], masses=mass[:, rows])


def _line_and_period(item: tuple[tuple, list[Comparison]]) -> tuple[int, int]:
    return item[0][:2]


def _divide(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.where(below > 0, top / np.where(below > 0, below, 1.0), np.nan)


@dataclass(frozen=True, eq=False)
class AdjustedWithoutEach:
    """Refits of some adjusted rows without each cluster, made when called."""

    found: AdjustedContrast
    rows: np.ndarray

    def __call__(self) -> Replicates:
        return self.found.without_each(self.rows)


def assemble_adjusted(found: AdjustedContrast, naming: Naming) -> Estimate:
    """An Estimate with one row for each (cohort, period), adjusted; rows that cannot be say why."""
    contrast = found.contrast
    rows = np.flatnonzero(contrast.possible.ravel())
    totals = found.run()
    value = _divide(totals.top, totals.mass)[rows]
    table = labels(contrast, naming, rows)
    table["mass"] = totals.mass[rows]
    table["reason"] = [
        totals.reasons.get(int(r), old) if np.isnan(v) else ""
        for r, old, v in zip(rows, table["reason"], value, strict=True)
    ]
    source = BlockSource(rows_of(found.sums.paths), _blocks(totals, rows))
    return estimate_of(contrast, rows, value, table, source, AdjustedWithoutEach(found, rows))


def _blocks(totals: _Totals, rows: np.ndarray) -> tuple[InfluenceBlock, ...]:
    """Contributions of the strata to the values at `rows`, then to their masses, in the strata's own memory."""
    place = np.full(len(totals.mass), -1)
    place[rows] = np.arange(len(rows))
    value = np.nan_to_num(_divide(totals.top, totals.mass))
    out = []
    for at, part in totals.parts:
        some = np.flatnonzero(part.weight)
        if (part.att != value[at]).any():
            part.rows[some] += np.outer(part.weight[some], part.att - value[at])
        np.divide(part.rows, totals.mass[at], out=part.rows)
        columns = place[at]
        out.append(InfluenceBlock(part.units, columns, part.rows, columns + len(rows), part.weight))
    return tuple(out)


def adjusted_estimate(plan: Plan, study: WithCovariates, sums: Sums, how: str, naming: Naming) -> Estimate:
    """The plan's rows, read from `sums`, adjusted for the study's covariates."""
    covariates = read_covariates(study)
    contrast = Contrast(plan, Within(sums.among(covariates.usable)))
    return assemble_adjusted(AdjustedContrast(contrast, covariates, how), naming)


@dataclass(frozen=True, eq=False)
class Logit:
    """score: (n,) fitted probabilities. lean: (n, q) influence on the coefficients. reason: why it
    could not be fitted, "" when it was."""

    score: np.ndarray
    lean: np.ndarray
    reason: str = ""


def fit_logit(d: np.ndarray, x: np.ndarray, w: np.ndarray) -> Logit:
    """Weighted maximum likelihood of d (n,) on x (n, q); unit i has the influence H^-1 x_i w_i (d_i - p_i)."""
    beta = maximise(x, d, w, CLOSE)
    p = expit(x @ beta)
    hessian = (x * (w * p * (1 - p))[:, None]).T @ x
    if np.linalg.cond(hessian) > 1e14:
        return _failed(x, "the covariates separate the two groups or depend on each other")
    lean = np.linalg.solve(hessian, (x * (w * (d - p))[:, None]).T).T
    if np.abs(lean.sum(axis=0)).max() > CLOSE * (1 + np.abs(beta).max()):  # the step that Newton would take next
        return _failed(x, "the covariates separate the two groups perfectly")
    return Logit(np.minimum(p, LARGEST), lean)


def _failed(x: np.ndarray, reason: str) -> Logit:
    return Logit(np.full(len(x), np.nan), np.full(x.shape, np.nan), reason)


@dataclass(frozen=True, eq=False)
class Adjusted:
    """att: (m,) NaN with a reason where it cannot be given. rows: (n, m) contributions."""

    att: np.ndarray
    rows: np.ndarray
    reason: str = ""


def two_group(delta: np.ndarray, d: np.ndarray, x: np.ndarray, w: np.ndarray, how: str) -> Adjusted:
    """ATT of d = 1 on changes `delta` (n, m) given x (n, q, with a constant) and weights (n,)."""
    d = d.astype(float)
    if how in ("reg", "dr") and _rank(x[d == 0], w[d == 0]) < x.shape[1]:
        return _none(delta, "the covariates depend on each other, or are too many, among the comparison units")
    score = fit_logit(d, x, w) if how in ("ipw", "dr") else None
    if score is not None and score.reason:
        return _none(delta, score.reason)
    if score is not None and not ((score.score < TRIM) & (d == 0)).any():
        return _none(delta, "no comparison unit is like the adopters in the covariates")
    outcome = _regression(delta, d, x, w) if how in ("reg", "dr") else None
    return _combine(delta, d, x, w, score, outcome)


def _rank(x: np.ndarray, w: np.ndarray) -> int:
    used = x[w > 0]
    if not len(used):
        return 0
    scaled = used / np.maximum(np.abs(used).max(axis=0), 1e-300)
    return int(np.linalg.matrix_rank(scaled.T @ scaled, tol=1e-10 * len(used)))


def _none(delta: np.ndarray, reason: str) -> Adjusted:
    return Adjusted(np.full(delta.shape[1], np.nan), np.full(delta.shape, np.nan), reason)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Outcome regression among the comparison units: residuals of all (n, m), and (q, q) inverse."""

    residual: np.ndarray
    inverse: np.ndarray


def _regression(delta: np.ndarray, d: np.ndarray, x: np.ndarray, w: np.ndarray) -> _Fitted:
    wx = x * (w * (1 - d))[:, None]
    inverse = np.linalg.inv(wx.T @ x)
    beta = inverse @ (wx.T @ delta)
    return _Fitted(delta - x @ beta, inverse)


def _combine(
    delta: np.ndarray, d: np.ndarray, x: np.ndarray, w: np.ndarray, score: Logit | None, outcome: _Fitted | None
) -> Adjusted:
    """Contributions are each unit's own change times one number, and a product of few columns: those of the two
    means, of the score, and (inside `own`) of the regression."""
    left = delta if outcome is None else outcome.residual
    treat = w * d / (w @ d)
    att = treat @ left
    own, lean, fall = treat, [treat[:, None]], [-att[None]]
    on_beta = x.T @ treat
    if score is not None:
        kept = (score.score < TRIM) | (d == 1)
        odds = np.where(d == 0, kept * w * score.score / (1 - score.score), 0.0)
        odds /= odds.sum()
        centre = odds @ left
        slope = (x * odds[:, None]).T @ left - np.outer(x.T @ odds, centre)
        own = own - odds
        lean, fall = [*lean, odds[:, None], score.lean], [*fall, centre[None], -slope]
        on_beta = on_beta - x.T @ odds
        att = att - centre
    if outcome is not None:
        own = own - (x * (w * (1 - d))[:, None]) @ (outcome.inverse @ on_beta)
    rows = np.hstack(lean) @ np.vstack(fall)
    rows += left * own[:, None]
    return Adjusted(att, rows)
