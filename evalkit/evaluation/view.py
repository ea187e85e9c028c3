"""A study seen with some components merged, so that a bundle or a swap runs as one component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.designs.imputation import programme_level
from evalkit.study import Outcome, Study
from evalkit.study.paths import Paths

EITHER = " (either)"


@dataclass(frozen=True, eq=False)
class View:
    """The same rows and outcomes as `study` under other `paths`."""

    study: Study
    paths: Paths

    def values(self, outcome: str | None = None) -> np.ndarray:
        return self.study.values(outcome)

    @property
    def covariates(self) -> tuple[str, ...]:
        return self.study.covariates

    def covariate_values(self, names: Sequence[str] | None = None) -> np.ndarray:
        return self.study.covariate_values(names)

    @property
    def unit(self) -> str:
        return self.study.unit

    def outcome(self, name: str | None = None) -> Outcome:
        return self.study.outcome(name)


def together(study: Study, members: Sequence[str], name: str) -> View:
    """Members as one component: on where all are on, off where all are off, else neither; for those whom all reach."""
    paths = study.paths
    at = [paths.index(m) for m in members]
    states = paths.state[:, :, at]
    state = np.where(np.asarray((states > 0).all(axis=2)), 1, np.where((states == 0).all(axis=2), 0, -1))
    reach = np.asarray(paths.reach[:, at].all(axis=1))
    return View(study, _with(paths, at, [(name, state, reach)]))


def swap(study: Study, old: str, new: str, name: str) -> View:
    """`new` in place of `old`: the state of `new`, compared where having either is alike."""
    paths = study.paths
    at = [paths.index(old), paths.index(new)]
    states = paths.state[:, :, at]
    either = np.where((states > 0).any(axis=2), 1, np.where((states == 0).all(axis=2), 0, -1))
    reach = np.asarray(paths.reach[:, at].all(axis=1))
    return View(study, _with(paths, at, [(name, states[:, :, 1], reach), (name + EITHER, either, reach)]))


def _with(paths: Paths, drop: list[int], added: list[tuple[str, np.ndarray, np.ndarray]]) -> Paths:
    """Some components replaced by others (name, state, reach), decided at the level within which those nest."""
    keep = [k for k in range(len(paths.components)) if k not in drop]
    names = [n for n, _, _ in added]
    level = dict.fromkeys(names, programme_level(paths, [paths.components[k] for k in drop]))
    lags = {n: max((paths.lags[k] for k in drop), default=0) for n in names}
    return replace(
        paths,
        components=(*(paths.components[k] for k in keep), *names),
        state=np.concatenate(
            [paths.state[:, :, keep], *(s[:, :, None].astype(np.int16) for _, s, _ in added)], axis=2
        ),
        reach=np.column_stack([paths.reach[:, keep], *(r for _, _, r in added)]),
        assigned_at={**{paths.components[k]: paths.assigned_at[paths.components[k]] for k in keep}, **level},
        lags=(*(paths.lags[k] for k in keep), *(lags[n] for n in names)),
        always_on=(*(paths.always_on[k] for k in keep), *(False for _ in names)),
        _cells={},
    )
