"""Factorial trials: several components dealt at once, effects by effect coding, and which cannot be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from evalkit.designs.parameters import Parameters
from evalkit.designs.protocol import Traits
from evalkit.designs.trials.sample import independent
from evalkit.errors import NotIdentifiedError, OptionError, check_whole
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import Spread
from evalkit.inference.replicates import Method
from evalkit.inference.sources import DenseSource, Influence, Rows
from evalkit.show.words import join_words
from evalkit.study import Study
from evalkit.study.assignment import in_groups, uneven
from evalkit.study.gaps import filled
from evalkit.study.paths import Paths

Several = tuple[int, ...]
"""Components by position: (0,) is the effect of the first, (0, 1) what the first two do beyond each other."""


@dataclass(frozen=True)
class Alias:
    """Effects that the mixes dealt cannot tell apart, the shortest first; signs: +1 where one adds to the first, -1
    where it takes away."""

    effects: tuple[Several, ...]
    signs: tuple[int, ...]

    def words(self, names: tuple[str, ...]) -> str:
        """'A = -B:C': everything that the number may be."""
        said = [
            ("" if s > 0 else "-") + ":".join(names[i] for i in e)
            for e, s in zip(self.effects, self.signs, strict=True)
        ]
        return " = ".join(said)


def contrasts(mixes: np.ndarray) -> dict[Several, np.ndarray]:
    """Columns of -1 and +1 for every set of components, shortest first; mixes: (m, K) of 0 and 1."""
    coded = 2.0 * np.asarray(mixes) - 1
    sets = [s for size in range(1, coded.shape[1] + 1) for s in combinations(range(coded.shape[1]), size)]
    return {s: coded[:, list(s)].prod(axis=1) for s in sets}


def aliases(mixes: np.ndarray) -> tuple[tuple[Alias, ...], tuple[Several, ...]]:
    """Classes of effects whose columns are equal or opposite over the mixes that exist (m, K), and effects that are
    lost in the mean (Box, Hunter and Hunter 2005, chapter 6)."""
    classes: list[tuple[np.ndarray, list[tuple[Several, int]]]] = []
    lost = []
    for effect, column in contrasts(np.unique(mixes, axis=0)).items():
        if np.ptp(column) == 0:
            lost.append(effect)
            continue
        same = next((c for c in classes if abs(column @ c[0]) == len(column)), None)
        if same is None:
            classes.append((column, [(effect, 1)]))
        else:
            same[1].append((effect, 1 if column[0] == same[0][0] else -1))
    made = tuple(Alias(tuple(e for e, _ in c), tuple(s for _, s in c)) for _, c in classes)
    return made, tuple(lost)


@dataclass(frozen=True)
class FactorialComparison(Parameters):
    """Effects of several components that chance dealt at once, in a cross-section: mean with it less mean without it,
    the others' values weighing alike, and what pairs (and more) do beyond that.

    A row each class of effects that the mixes dealt can tell apart, named by its shortest; the label `aliases` names
    everything else that the number may be, `lost` what no mix can show. Regression on effect coding and centred
    covariates, HC2, t of what is left (Neter and others 1996; Freedman 2008); as many effects as people have numbers
    and no ranges. `contrast` makes sums: both against none is A + B, beyond the sum 2 A:B, A where the others are off
    A - A:B - A:C + A:B:C.

    order: the largest number of components in an effect; all when None (effects of a class whose shortest is longer
    are taken to be nothing). Raises `OptionError` for a panel, doses, a component that chance did not deal, and what
    was dealt in blocks or to groups, or is weighted: `RandomisedComparison` takes those into account."""

    order: int | None = None
    covariates: tuple[str, ...] | None = None
    outcome: str | None = None
    traits = Traits(frozenset({"randomisation"}), ("dealt it", "not"))

    def __post_init__(self) -> None:
        if self.order is not None:
            check_whole("order", self.order, 1)

    def plan(self, paths: Paths, component: str = "") -> tuple[Alias, ...]:
        """Which effects can be told apart, from what was dealt alone."""
        del component
        return aliases(_mixes(paths)[1])[0]

    def __call__(self, study: Study, component: str | None = None) -> Estimate:
        """The effects, a row each; of those that hold `component`, where one is named."""
        names, mixes = _mixes(study.paths)
        paths = study.weighing(self.outcome).paths
        if why := uneven(paths, names) or in_groups(paths, names):
            raise OptionError(
                f"FactorialComparison counts people one by one, and here {why}. Use RandomisedComparison."
            )
        classes, lost = aliases(mixes)
        wanted = [a for a in classes if len(a.effects[0]) <= (self.order or len(names))]
        y = study.values(self.outcome)[:, 0]
        seen = np.isfinite(y)
        coded = contrasts(mixes)
        columns = np.column_stack([np.ones(len(y)), *(coded[a.effects[0]] / 2 for a in wanted)])[seen]
        x = study.covariate_values(study.covariates if self.covariates is None else self.covariates)[seen, 0, :]
        if x.shape[1]:
            x = independent(filled(x), columns[:, 1] > 0)
            columns = np.hstack([columns, x - x.mean(axis=0)])
        if np.linalg.matrix_rank(columns) < columns.shape[1]:
            words = "The people seen do not tell these effects apart, once covariates are taken into account. "
            raise NotIdentifiedError(words + "Lower order=, or leave covariates out.")
        keep = np.arange(len(wanted))
        if component is not None:
            at = names.index(component) if component in names else _unknown(component)
            keep = np.array([i for i, a in enumerate(wanted) if at in a.effects[0]])
        return self._estimate(study, (columns, y[seen], seen), [wanted[i] for i in keep], 1 + keep, names, lost)

    def _estimate(
        self, study: Study, data: tuple[np.ndarray, np.ndarray, np.ndarray], wanted: list[Alias], at: np.ndarray,
        names: tuple[str, ...], lost: tuple[Several, ...],
    ) -> Estimate:  # fmt: skip
        columns, y, seen = data
        bread = np.linalg.inv(columns.T @ columns)
        slopes = bread @ (columns.T @ y)
        df = len(y) - columns.shape[1]
        leverage = np.einsum("ij,jk,ik->i", columns, bread, columns)
        left = y - columns @ slopes
        pull = (columns @ bread)[:, at]
        alone = leverage > 1 - 1e-9  # fitted exactly, so that nothing says how far off they are
        parts = pull * np.where(alone, 0.0, left / np.sqrt(np.where(alone, 1.0, 1 - leverage)))[:, None]
        reason = (
            "" if df > 0 and not alone.any() else "no interval: a mix had one person only, or as many effects as people"
        )
        vcov = parts.T @ parts if not reason else np.full((len(at), len(at)), np.nan)
        spread = Spread(vcov, np.full(len(at), float(max(df, 1))), (reason,) * len(at))
        outcome, rows = study.outcome(self.outcome), np.flatnonzero(seen)
        known = {n: (one.codes[rows], one.names) for n, one in study.paths.levels.items()}
        labels = pd.DataFrame({
            "component": [":".join(names[i] for i in a.effects[0]) for a in wanted], "outcome": outcome.column,
            "estimand": "effect over the others' values", "population": "all who were dealt a mix",
            "outcome_unit": outcome.unit, "aliases": [a.words(names) for a in wanted],
            "lost": join_words([":".join(names[i] for i in e) for e in lost]),
            "units_not_seen": int((~seen).sum()), "reason": "",
        })  # fmt: skip
        influence = Influence(((DenseSource(Rows(study.paths.units[rows], known), parts), np.eye(len(at))),), "unit")
        method = Method("HC2", partial(_moved, spread))
        return Estimate(slopes[at], np.full(len(at), float(len(y))), labels, influence, method=method)


def _moved(spread: Spread, matrix: np.ndarray | None) -> Spread:
    if matrix is None:
        return spread
    reason = next((r for r in spread.reason if r), "")
    return Spread(matrix @ spread.vcov @ matrix.T, np.full(len(matrix), spread.df.min()), (reason,) * len(matrix))


def _unknown(component: str) -> int:
    raise OptionError(f"{component!r} is not one of the components that chance dealt.")


def _mixes(paths: Paths) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the components that chance dealt, and (n, K) who had which."""
    names = tuple(c for c in paths.components if c in paths.randomised)
    if paths.n_periods > 1 or not names:
        what = "this study is a panel" if names else "chance dealt no component of this study"
        raise OptionError(f"FactorialComparison is for components that chance dealt at one time; {what}.")
    state = paths.state[paths.path, 0, :][:, [paths.index(c) for c in names]]
    if (state > 1).any():
        doses = [c for j, c in enumerate(names) if (state[:, j] > 1).any()]
        raise OptionError(
            f"{join_words(doses)} came in doses; FactorialComparison is of on and off. Use MixComparison."
        )
    return names, np.asarray(state > 0, dtype=float)
