"""Those to whom something was dealt: arm, group, block, covariates; and how their outcomes are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evalkit.designs.trials import fits
from evalkit.designs.trials.exact import exact_p
from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.study import Study
from evalkit.study.assignment import Dealt, dealt
from evalkit.study.gaps import filled
from evalkit.study.paths import Paths

PRODUCTS = 10
"""People a covariate in the smaller arm from which on slopes may differ by arm: with fewer, their noise costs more than
they save (research: 40 to 500 people)."""
EACH = 3
"""People a covariate in the smaller arm below which covariates are left out."""
SPARE = 4
"""Groups, pairs or blocks to spare beyond arms and covariates below which covariates are left out."""
WORK = 20_000_000
FEWEST_DRAWS = 199


def deal_of(paths: Paths, component: str) -> Dealt:
    """The deal of a component; `OptionError` where chance did not assign it."""
    paths.index(component)
    if component not in paths.randomised:
        words = f"{component!r} was not assigned by chance, as far as the study says. "
        raise OptionError(words + "Say Component(..., assigned='randomised') where it was.")
    return dealt(paths, component)


@dataclass(frozen=True, eq=False)
class Sample:
    """m people (or other units) at one time, in the order of the study. rows: (m,) where they stand in it. t: (m,)
    bool. group: (m,) code of what was dealt to; alone: whether that was each of them. block: (m,) code, or None where
    there are none. x: (m, q) covariates, filled in, with columns that say where they were missing. weight: (m,) or
    None."""

    rows: np.ndarray
    t: np.ndarray
    group: np.ndarray
    alone: bool
    block: np.ndarray | None
    x: np.ndarray
    weight: np.ndarray | None = None

    def take(self, keep: np.ndarray) -> Sample:
        """Some of them."""
        some = {
            n: v[keep] for n in ("rows", "t", "group", "block", "x", "weight") if (v := getattr(self, n)) is not None
        }
        return replace(self, **some)

    def weight_of(self, some: np.ndarray) -> np.ndarray | None:
        """Weights of some of them; None where there are none."""
        return None if self.weight is None else self.weight[some]

    @cached_property
    def paired(self) -> bool:
        """Whether every block is two groups, one with it."""
        if self.block is None:
            return False
        codes = np.unique(np.column_stack([self.block, self.group, self.t]), axis=0)
        size = np.bincount(codes[:, 0])
        return bool(
            (size[size > 0] == 2).all() and (np.bincount(codes[:, 0], weights=codes[:, 2])[size > 0] == 1).all()
        )

    def comparable(self) -> np.ndarray:
        """(m,) those in whose block there are some with it and some without."""
        if self.block is None:
            return np.ones(len(self.t), dtype=bool)
        both = [np.bincount(self.block[a], minlength=self.block.max() + 1) > 0 for a in (self.t, ~self.t)]
        return (both[0] & both[1])[self.block]

    @cached_property
    def adjusts(self) -> bool:
        """Whether covariates are taken into account: there have to be enough people, groups or blocks for that."""
        q = self.x.shape[1]
        if not q:
            return False
        if self.alone and self.block is None:
            return min(self.t.sum(), (~self.t).sum()) >= EACH * q
        groups = len(np.unique(self.group))
        blocks = 0 if self.block is None else len(np.unique(self.block))
        return groups - blocks - 2 - q >= SPARE

    @property
    def how(self) -> str:
        """What is fitted: "people", "clusters", "pairs" or "blocks"; with weights, blocks enter a regression."""
        if self.block is None or self.weight is not None:
            return "people" if self.alone else "clusters"
        return "pairs" if self.paired else "blocks"

    def fit(self, y: np.ndarray) -> fits.Fit:
        """The difference in outcomes (m,) between arms."""
        x = self.x if self.adjusts else self.x[:, :0]
        if self.how in ("people", "clusters"):
            if self.block is not None:
                x = np.hstack([x, (self.block[:, None] == np.unique(self.block)[1:]).astype(float)])
            if self.how == "clusters":
                return fits.of_clusters(y, self.t, x, self.group, self.weight)
            fewest = min(self.t.sum(), (~self.t).sum())
            return fits.of_people(y, self.t, x, bool(x.shape[1]) and fewest >= PRODUCTS * x.shape[1], self.weight)
        fit = fits.of_pairs if self.how == "pairs" else fits.of_blocks
        means, t, block, code = self._dealt(y, x)
        made = fit(means[:, 0], t, means[:, 1:], block)
        return replace(made, parts=(made.parts / np.bincount(code))[code])

    def _dealt(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(G, 1 + q) mean outcome and covariates of each group that was dealt to, arm and block; each row's group."""
        _, first, code = np.unique(self.group, return_index=True, return_inverse=True)
        block = np.zeros(len(first), dtype=int)
        if self.block is not None:
            block = np.unique(self.block[first], return_inverse=True)[1]
        return fits.group_means(np.column_stack([y, x]), code), self.t[first], block, code

    def exact(self, y: np.ndarray, draws: int, seed: int) -> float:
        """p of nothing done to anybody, by dealing again; NaN with weights. Covariates are taken out first, without the
        arm. Many people are dealt again less often: p is then known to half a per cent."""
        if self.weight is not None or draws < 1:
            return float("nan")
        means, t, block, _ = self._dealt(y, self.x if self.adjusts else self.x[:, :0])
        x = means[:, 1:] - fits.group_means(means[:, 1:], block)[block] if means.shape[1] > 1 else means[:, 1:]
        centred = means[:, 0] - fits.group_means(means[:, :1], block)[block, 0]
        left = centred - x @ np.linalg.lstsq(x, centred, rcond=None)[0] if x.shape[1] else centred
        few = int(min(draws, max(FEWEST_DRAWS, WORK // len(left))))
        return exact_p(left, t, block, few, np.random.default_rng(seed))


def gather(study: Study, component: str, names: tuple[str, ...] | None, uncounted: np.ndarray | None = None) -> Sample:
    """Those of a cross-section who were dealt a component. names: covariates; the study's where None. uncounted: (n,)
    those who weigh nothing because nothing was counted of them, and were dealt it all the same."""
    study.paths.need_rows("What chance dealt to people")
    deal = deal_of(study.paths, component)
    rows = np.flatnonzero(deal.of >= 0)
    if study.paths.weights is not None:
        some = study.paths.weights > 0
        rows = rows[(some if uncounted is None else some | uncounted)[rows]]
    group = deal.of[rows]
    t = deal.start[group] == 0
    if t.all() or not t.any():
        raise NotIdentifiedError(f"There is nobody {'without' if t.any() else 'with'} {component!r} to compare.")
    wanted = study.covariates if names is None else names
    x = study.covariate_values(wanted)[rows, 0, :] if wanted else np.zeros((len(rows), 0))
    x = np.hstack([filled(x), others_dealt(study.paths, component, rows)])
    blocks = deal.block[group] if study.paths.randomised[component] else None
    weight = None if study.paths.weights is None else study.paths.weights[rows]
    return Sample(rows, t, group, deal.alone, blocks, independent(x, t), weight)


def others_dealt(paths: Paths, component: str, rows: np.ndarray) -> np.ndarray:
    """(m, r) a 0/1 column for each dose of every other component that chance assigned: what was dealt beside this one.
    What people chose themselves is no covariate, since this one may have led to it."""
    columns = []
    for name in paths.randomised:
        if name != component and name in paths.components:
            state = paths.state[paths.path[rows], 0, paths.index(name)]
            columns += [(state == value).astype(float) for value in np.unique(state[state > 0])]
    return np.column_stack(columns) if columns else np.zeros((len(rows), 0))


def independent(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Columns that add something to those before them and to the arm."""
    kept = np.column_stack([np.ones(len(t)), t / np.sqrt(len(t))])
    kept[:, 0] /= np.sqrt(len(t))
    basis, use = np.linalg.qr(kept)[0], []
    for j in range(x.shape[1]):
        own = x[:, j] - x[:, j].mean()
        length = np.linalg.norm(own)
        left = own - basis @ (basis.T @ own)
        left -= basis @ (basis.T @ left)
        if length > 0 and np.linalg.norm(left) > 1e-7 * length:
            basis = np.column_stack([basis, left / np.linalg.norm(left)])
            use.append(j)
    return x[:, use]
