"""A rollout contrast with covariates: every stratum by `two_group`, averaged like the rest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from evalkit.designs.adjust.two_group import two_group
from evalkit.designs.contrast import Contrast
from evalkit.designs.plan import Plan
from evalkit.designs.protocol import StudyLike
from evalkit.designs.readers import Within
from evalkit.designs.rollout import arms, cell_weights, rows_of
from evalkit.designs.rollout_labels import Naming, labels
from evalkit.designs.sums import Sums
from evalkit.errors import OptionError
from evalkit.inference.contributions import Contributions, DenseSource
from evalkit.inference.estimate import Estimate
from evalkit.inference.jackknife import Replicates

COLLINEAR = 1e-10


@dataclass(frozen=True, eq=False)
class Covariates:
    """x: (n, T, q) in the row order of the paths, NaN where missing; names: (q,)."""

    x: np.ndarray
    names: tuple[str, ...]

    @cached_property
    def fixed(self) -> bool:
        """Whether every unit's covariates are the same, or missing, in every period."""
        low, high = np.fmin.reduce(self.x, axis=1), np.fmax.reduce(self.x, axis=1)
        return bool((np.isnan(low) | (low == high)).all()) and not np.isnan(self.x).any()

    @cached_property
    def usable(self) -> np.ndarray:
        """(n, T) no covariate is missing."""
        return ~np.isnan(self.x).any(axis=2)


def read_covariates(study: StudyLike) -> Covariates:
    """The study's covariates; `OptionError` when there are none, or one says nothing of its own."""
    names = tuple(study.covariates)
    if not names:
        raise OptionError(
            "This study has no covariates to adjust for. Give covariates=(...) to the Study, or adjust=None."
        )
    covariates = Covariates(study.covariate_values(), names)
    flat = covariates.x.reshape(-1, len(names))
    flat = flat[~np.isnan(flat).any(axis=1)]
    constant = [n for n, c in zip(names, flat.T, strict=True) if not len(c) or c.min() == c.max()]
    if constant:
        raise OptionError(f"{_listed(constant)} the same for everybody, so nothing can be adjusted for. Leave it out.")
    scaled = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    _, r = np.linalg.qr(scaled)
    tied = [n for n, v in zip(names, np.abs(np.diag(r)), strict=True) if v < COLLINEAR * np.sqrt(len(flat)) * 1e4]
    if tied:
        raise OptionError(f"{_listed(tied)} a combination of the other covariates. Leave it out.")
    return covariates


def _listed(names: list[str]) -> str:
    return f"Covariate {names[0]!r} is" if len(names) == 1 else f"Covariates {', '.join(map(repr, names))} are"


@dataclass(eq=False)
class _Totals:
    """Running sums over strata, by cohort and period flattened."""

    top: np.ndarray
    mass: np.ndarray
    rows: np.ndarray | None
    members: np.ndarray | None
    reasons: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class AdjustedContrast:
    """A contrast whose strata are adjusted for covariates at base. contrast reads `Within`."""

    contrast: Contrast
    covariates: Covariates
    how: str

    @property
    def sums(self) -> Sums:
        return self.contrast.reader.sums  # type: ignore[attr-defined]

    def strata(self) -> list[tuple[int, tuple[int, ...], bytes, np.ndarray]]:
        """(line, adopting paths, matches, periods) that share groups and covariates."""
        found: dict[tuple, list[int]] = {}
        alone = not self.sums.balanced
        for line in range(len(self.contrast.cohorts)):
            blocks = [b for b in self.contrast.blocks if b.line == line]
            for t in range(self.contrast.n_periods):
                at: dict[tuple, list[int]] = {}
                for b in blocks:
                    if b.ok[t]:
                        c = b.comparison
                        at.setdefault((c.match[:, t].tobytes(), int(c.base[t]), int(c.window[t])), []).append(c.path)
                for (match, base, _), paths in at.items():
                    key = (line, tuple(paths), match, None if self.covariates.fixed else base, t if alone else None)
                    found.setdefault(key, []).append(t)
        return [(k[0], k[1], k[2], np.array(t)) for k, t in found.items()]

    def add(self, totals: _Totals, stratum: tuple, weights: np.ndarray) -> None:
        """Adjust one stratum and add it in."""
        line, adopting, match, periods = stratum
        serve = np.frombuffer(match, dtype=bool)
        path = self.sums.paths.path
        mine = np.zeros(len(serve), dtype=bool)
        mine[list(adopting)] = True
        block = next(b.comparison for b in self.contrast.blocks if b.line == line and b.comparison.path == adopting[0])
        units = np.flatnonzero((mine | serve)[path] & (weights > 0))
        change, seen = self.sums.changes(units, block.base[periods], block.window[periods], periods)
        whole = seen.all(axis=1)
        units, change = units[whole], change[whole]
        d, w = mine[path[units]], weights[units]
        at = line * self.contrast.n_periods + periods
        if not d.any() or d.all():
            return
        x = self.covariates.x[units, block.base[periods[0]]]
        done = two_group(change, d, np.column_stack([np.ones(len(x)), x]), w, self.how)
        if done.reason:
            totals.reasons |= dict.fromkeys(at.tolist(), done.reason)
            return
        n = w[d].sum()
        totals.top[at] += n * done.att
        totals.mass[at] += n
        if totals.rows is not None and totals.members is not None:
            totals.rows[np.ix_(units, at)] += n * done.rows + np.where(d, w, 0.0)[:, None] * done.att
            totals.members[np.ix_(units, at)] += np.where(d, w, 0.0)[:, None]

    def run(self, weights: np.ndarray, with_rows: bool) -> _Totals:
        """All strata; unit rows only when asked for."""
        size, n = self.contrast.mass.size, self.sums.paths.n_units
        rows = np.zeros((n, size)) if with_rows else None
        totals = _Totals(np.zeros(size), np.zeros(size), rows, np.zeros((n, size)) if with_rows else None)
        for stratum in self.strata():
            self.add(totals, stratum, weights)
        return totals

    def without_each(self, rows: np.ndarray) -> Replicates:
        """Refits without each cluster, one by one."""
        plain = self.contrast.replicates(rows) if not self.sums.by_path else self._split().replicates(rows)
        values, masses = np.full(plain.values.shape, np.nan), np.zeros(plain.masses.shape)
        codes = self.sums.paths.levels[self.sums.level].codes
        for g in range(len(plain.names)):
            totals = self.run(np.where(codes == g, 0.0, self.sums.weights), with_rows=False)
            masses[g] = totals.mass[rows]
            values[g] = _divide(totals.top, totals.mass)[rows]
        return replace(plain, values=values, masses=masses)

    def _split(self) -> Contrast:
        return Contrast(self.contrast.plan, Within(self.sums.split()))


def _divide(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.where(below > 0, top / np.where(below > 0, below, 1.0), np.nan)


def assemble_adjusted(found: AdjustedContrast, naming: Naming) -> Estimate:
    """An Estimate with one row for each (cohort, period), adjusted; rows that cannot be say why."""
    contrast = found.contrast
    rows = np.flatnonzero(contrast.possible.ravel())
    totals = found.run(found.sums.weights, with_rows=True)
    value, mass = _divide(totals.top, totals.mass)[rows], totals.mass[rows]
    table = labels(contrast, naming, rows)
    table["mass"] = mass
    table["reason"] = [
        totals.reasons.get(int(r), old) if np.isnan(v) else ""
        for r, old, v in zip(rows, table["reason"], value, strict=True)
    ]
    assert totals.rows is not None and totals.members is not None
    members = totals.members[:, rows]
    matrix = (totals.rows[:, rows] - members * np.nan_to_num(value)) / np.where(mass > 0, mass, 1.0)
    source = DenseSource(rows_of(found.sums.paths), np.hstack([matrix, members]))
    k, level = len(rows), found.sums.level
    return Estimate(
        value=value, mass=mass, labels=table,
        value_parts=Contributions(((source, np.eye(2 * k)[:, :k]),), level),
        mass_parts=Contributions(((source, np.eye(2 * k)[:, k:]),), level),
        arms=arms(contrast, rows), replicate=lambda: found.without_each(rows),
        cells=lambda: cell_weights(found._split(), rows),
    )  # fmt: skip


def adjusted_estimate(plan: Plan, study: StudyLike, data: tuple[str, np.ndarray], how: str, naming: Naming) -> Estimate:
    """The plan's rows adjusted for the study's covariates. data: level of inference and (n, T) outcome."""
    level, values = data
    covariates = read_covariates(study)
    usable = None if covariates.usable.all() else covariates.usable
    contrast = Contrast(plan, Within(Sums(study.paths, level, values, usable=usable)))
    return assemble_adjusted(AdjustedContrast(contrast, covariates, how), naming)
