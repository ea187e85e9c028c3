"""Who is independent: how many places the answer is worth, whether one of them decides it, and whether places that
start together, or lie in one group, share shocks that counting places one by one leaves out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from evalkit.checks.headline import ROUNDING, CheckResult, excludes_zero, first_row, moved, numbers
from evalkit.checks.matched import Rollout, matched
from evalkit.checks.noise import Noise, residuals
from evalkit.designs.protocol import StudyLike
from evalkit.designs.rollout.triple import TripleDifference
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import critical
from evalkit.inference.replicates import FEWEST
from evalkit.show.words import join_words, plural
from evalkit.study.frame import match
from evalkit.study.paths import Paths

MOST = 400
"""Clusters above which nobody is asked who is independent."""
HALF = 0.5
"""Share of an answer's variance from which on one place decides it."""
ALPHA, DRAWS, SEED = 0.02, 999, 20_171_001
STARTS = "the time of their start"


@dataclass(frozen=True, eq=False)
class Independence:
    """What an answer owes to each of Q clusters.

    names: (Q,). variance: (Q,) what each adds to the answer's variance, w' R w times its own variance before exposure,
    w its weights by period and R their working correlation. weights: (Q, T). noise: correlation of periods, and (Q,)
    variances. residual, free: (Q, T) outcomes before exposure less place and period effects, and where there are some.
    groups: by what they are called, (Q,) codes of groups that hold more than one cluster somewhere.
    """

    names: np.ndarray
    variance: np.ndarray
    weights: np.ndarray
    noise: Noise
    residual: np.ndarray
    free: np.ndarray
    groups: Mapping[str, np.ndarray]

    @cached_property
    def share(self) -> np.ndarray:
        """(Q,) of the answer's variance that each cluster adds."""
        return np.asarray(self.variance / self.variance.sum())

    @property
    def effective(self) -> float:
        """Clusters that weigh alike and would be worth as much: G / (1 + Gamma), Gamma the squared coefficient of
        variation of what each adds to the variance (Carter, Schnepel and Steigerwald 2017, Review of Economics and
        Statistics 99, equation 7), which is one over the sum of squared shares."""
        return float(1 / (self.share**2).sum())

    @cached_property
    def asked(self) -> tuple[Shared, ...]:
        """What groups share, of each kind of groups that can be asked."""
        found = (_shared(self, name, code) for name, code in self.groups.items())
        return tuple(s for s in found if s is not None)

    @property
    def sure(self) -> tuple[Shared, ...]:
        """Those whose clusters move alike by more than chance (2%, divided among the kinds of groups asked)."""
        return tuple(s for s in self.asked if s.p * len(self.asked) < ALPHA and s.variance > 0)


def independence(study: StudyLike, component: str, design: Rollout, cells: pd.DataFrame | None) -> Independence | None:
    """What an answer of a design, given as the cells that it is a sum of (`over_base`), owes to each cluster; None
    where it is no such sum, or where there are more than 400 clusters."""
    paths, name = study.paths, study.paths.inference_level(component)[0]
    if cells is None or len(paths.levels[name].names) > MOST:
        return None
    found = matched(design, study, component)
    series, clusters = found.series, found.clusters
    weights = _weights(cells, paths, component, clusters, isinstance(design, TripleDifference))
    r, free, _ = residuals(series, *found.before)
    size = np.where(free, series.size[:, None], 0.0).T
    mass = series.by_cluster(size).T
    own = np.divide(series.by_cluster(size * r.T).T, mass, out=np.zeros(mass.shape), where=mass > 0)
    heads = series.by_cluster(series.size)
    spread = series.by_cluster(series.size * found.noise.variance) / np.maximum(heads, 1e-300)
    noise = Noise(found.noise.rho, spread)
    variance = np.einsum("qt,tu,qu->q", weights, noise.correlation(weights.shape[1]), weights) * spread
    if not variance.sum() > 0:
        return None
    groups = _groups(paths, component, name, clusters)
    return Independence(paths.levels[name].names[clusters], variance, weights, noise, own, mass > 0, groups)


def _weights(cells: pd.DataFrame, paths: Paths, component: str, clusters: np.ndarray, eligible: bool) -> np.ndarray:
    """(Q, T) weights of one number on the means of each cluster in each period, the base against the period. eligible:
    of cells whom the component can reach only, where those whom it cannot are taken off."""
    if eligible:
        cells = cells[paths.reach[cells["path"].to_numpy(), paths.index(component)]]
    names = paths.levels[paths.inference_level(component)[0]].names[clusters]
    at = match(cells["cluster"].to_numpy(), names)
    keep = (at >= 0) & (cells["at"].to_numpy() >= 0)
    out = np.zeros((len(names), paths.n_periods))
    np.add.at(out, (at[keep], cells["at"].to_numpy()[keep]), cells["weight"].to_numpy()[keep])
    return out


def _groups(paths: Paths, component: str, level: str, clusters: np.ndarray) -> dict[str, np.ndarray]:
    """Codes (Q,) of clusters that started the component at the same time, where those that never did stand alone, and
    of each level within which clusters nest."""
    k, codes = paths.index(component), paths.levels[level].codes
    on = (paths.state[:, :, k] > 0) & paths.reach[:, [k]]
    first = np.where(on.any(axis=1), on.argmax(axis=1), paths.n_periods)[paths.path]
    start = np.full(len(paths.levels[level].names), paths.n_periods)
    np.minimum.at(start, codes, first)
    never = start == paths.n_periods
    start[never] += np.arange(int(never.sum()))
    found = {STARTS: start[clusters]}
    for other in paths.levels.values():
        if other.name != level and paths.nested(level, other.name):
            group = np.zeros(len(start), dtype=np.int64)
            group[codes] = other.codes
            found[other.name] = group[clusters]
    return {name: code for name, code in found.items() if 1 < len(np.unique(code)) < len(code)}


# ---------------------------------------------------------------- shocks that groups share


@dataclass(frozen=True)
class Shared:
    """Shocks that the clusters of a group share. p: of clusters that move no more alike within groups than between,
    over clusters dealt anew to groups; variance, rho: of what is shared, and its correlation of periods; groups: of
    which two clusters or more carry weight."""

    name: str
    p: float
    variance: float
    rho: float
    groups: int


def _shared(found: Independence, name: str, code: np.ndarray) -> Shared | None:
    """None where no group holds two clusters that were seen twice together before the start."""
    inside = found.free.astype(float)
    both = inside @ inside.T
    i, j = np.triu_indices(len(code), 1)
    alike, told = code[i] == code[j], both[i, j] >= 2
    if not (alike & told).any() or not (~alike & told).any():
        return None
    cross = found.residual @ found.residual.T
    scale = np.sqrt(np.outer(found.noise.variance, found.noise.variance) * np.maximum(both, 1))
    score = np.divide(cross, scale, out=np.zeros(cross.shape), where=(both >= 2) & (scale > 1e-300))
    one, other = i[alike], j[alike]
    rng, drawn = np.random.default_rng(SEED), np.empty(DRAWS)
    for d in range(DRAWS):
        dealt = rng.permutation(len(code))
        drawn[d] = score[dealt[one], dealt[other]].sum()
    seen, tied = score[one, other].sum(), ROUNDING * np.abs(score[one, other]).sum()  # in any order of summing
    p = (1 + int((drawn >= seen - tied).sum())) / (1 + DRAWS)
    rho = _rho_of(found, alike & told, (i, j))
    decay = Noise(rho, np.empty(0)).correlation(inside.shape[1])
    expected = both - ((inside[:, None] * inside) @ decay * inside[:, None] * inside).sum(axis=2) / np.maximum(both, 1)
    near, far = (cross[i[at], j[at]].sum() / expected[i[at], j[at]].sum() for at in (alike & told, ~alike & told))
    several = np.unique(code[np.abs(found.weights).sum(axis=1) > 0], return_counts=True)[1] > 1
    return Shared(name, p, max(float(near - far), 0.0), rho, int(several.sum()))


def _rho_of(found: Independence, within: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> float:
    """Correlation of neighbouring periods of what pairs of clusters share, given back its bias in short panels."""
    i, j = (side[within] for side in pairs)
    r, free = found.residual, found.free
    both = free[i, 1:] & free[i, :-1] & free[j, 1:] & free[j, :-1]
    now = ((r[i, 1:] * r[j, 1:] + r[i, :-1] * r[j, :-1]) * both).sum() / 2
    later = ((r[i, 1:] * r[j, :-1] + r[i, :-1] * r[j, 1:]) * both).sum() / 2
    r1 = float(later / now) if now > 0 else 0.0
    long = float((free[i] & free[j]).sum(axis=1).mean())
    return float(np.clip(r1 + (1 + 3 * r1) / max(long, 1.0), 0.0, 0.9))


def counted_by(found: Independence, shared: Shared, one: Estimate, level: float = 0.95) -> tuple[float, float]:
    """Ends of the answer's interval once clusters of a group share shocks: its variance and that of their products,
    sigma^2 sum_g sum_(i != j in g) w_i' R w_j, with degrees of freedom by Satterthwaite (1946), those of what is shared
    one less than the groups of which two carry weight. Never narrower than the answer's own."""
    row = one.row(level=level)
    code, w = found.groups[shared.name], found.weights
    decay = Noise(shared.rho, np.empty(0)).correlation(w.shape[1])
    sums = np.array([w[code == c].sum(axis=0) for c in np.unique(code)])
    products = float(np.einsum("gt,tu,gu->", sums, decay, sums) - np.einsum("qt,tu,qu->", w, decay, w))
    own, more = float(row["std_error"]) ** 2, shared.variance * max(products, 0.0)
    df = (own + more) ** 2 / (own**2 / float(row["df"]) + more**2 / max(shared.groups - 1, 1))
    reach = float(critical(np.array([df]), level)[0]) * math.sqrt(own + more)
    value = float(row["estimate"])
    low, high = min(value - reach, float(row["conf_low"])), max(value + reach, float(row["conf_high"]))
    return low, high


# ---------------------------------------------------------------- what the checks say


def effective_clusters(found: Independence, place: str) -> CheckResult:
    """Informational: how many clusters carry the answer, and how many that weigh alike they are worth."""
    carry = int((found.variance > 0).sum())
    worth = found.effective
    words = f"{carry} {plural(place)} carry the answer; they are worth about {worth:.0f} that weigh alike."
    return CheckResult("effective_clusters", "informational", words, worth)


def dominant_place(found: Independence, one: Estimate, matters: float | None, place: str) -> CheckResult:
    """Failed where one cluster adds more than half of the answer's variance, and the answer is another one without it
    (see `moved`); its number is the largest share. With fewer than three on a side it informs: `few_clusters` says so.
    """
    at, row = int(found.share.argmax()), first_row(one)
    share, name = float(found.share[at]), found.names[at]
    if min(row["clusters_exposed"], row["clusters_comparison"]) < FEWEST:
        words = f"On a side with fewer than three {plural(place)} each of them decides the answer."
        return CheckResult("dominant_place", "informational", words, share)
    of_hundred = f"{100 * share:.0f} in 100"
    if share <= HALF:
        words = f"No {place} decides the answer by itself: none carries more than {of_hundred} of what makes it unsure."
        return CheckResult("dominant_place", "passed", words, share)
    carries = f"One {place}, {name}, carries {of_hundred} of what makes the answer unsure"
    refits = one.replicates
    rest = refits.values[np.flatnonzero(refits.names == name), 0]
    if len(rest) == 1 and np.isfinite(rest[0]) and not moved(one, rest, matters)[0]:
        return CheckResult("dominant_place", "passed", f"{carries}, but without it the answer is much the same.", share)
    return CheckResult("dominant_place", "failed", f"{carries}, and without it the answer is not the same.", share)


def shared_shocks(
    found: Independence, one: Estimate, matters: float | None, places: str, nouns: Mapping[str, str]
) -> CheckResult:
    """Failed where clusters that start together, or lie in one group, moved alike before the start by more than chance,
    and the answer says something else once they are counted so. Its numbers are then the answer and its range counted
    so. nouns: what levels are called."""
    if not found.asked:
        words = f"Too few {places} begin together, or lie in one group, to ask whether they share shocks."
        return CheckResult("shared_shocks", "informational", words)
    if not found.sure:
        words = f"Before the start, {places} that begin together or lie in one group moved no more alike than others."
        return CheckResult("shared_shocks", "passed", words)
    row = first_row(one)
    value, low, high = numbers(row)
    ends = np.array([counted_by(found, s, one) for s in found.sure])
    wide = float(ends[:, 0].min()), float(ends[:, 1].max())
    kinds = ["that begin together" if s.name == STARTS else f"in the same {nouns[s.name]}" for s in found.sure]
    words = f"Before the start, {places} {join_words(kinds)} moved more alike than others, as if they shared shocks"
    if excludes_zero(row):
        decides = wide[0] <= 0 <= wide[1]
    else:
        decides = matters is not None and (low > -matters >= wide[0] or high < matters <= wide[1])
    tail = "counted so, the likely range is too wide for it" if decides else "counted so, the answer says the same"
    return CheckResult("shared_shocks", "failed" if decides else "passed", f"{words}; {tail}.", value, *wide)
