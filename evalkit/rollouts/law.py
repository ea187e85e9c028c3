"""What a rollout will let us tell: the law of an estimate and of the interval that will be printed about it.

Weights of least noise do not depend on outcomes once the covariance is given, and neither do those of every refit
without one place and of the influence of each place: all are linear in outcomes. Under a planning covariance they are
jointly normal, so that the chance that the printed interval leaves out zero follows without one outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from scipy.special import stdtrit

from evalkit.components.status import Ruling, make_audit
from evalkit.components.wording import Names
from evalkit.designs.noise.model import CellMeans, make_places, untreated_columns, with_noise
from evalkit.designs.noise.untreated import Place, Untreated
from evalkit.designs.noise.weighing import NOTHING
from evalkit.designs.rollout.contrast import Contrast
from evalkit.designs.rollout.least_noise import targets_of
from evalkit.designs.rollout.plan import Rules, exposure_states
from evalkit.designs.rollout.readers import Reader, Within
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.designs.rollout.sums import Sums
from evalkit.designs.rollout.triple import PairReader, TripleDifference
from evalkit.designs.span import less
from evalkit.inference.intervals import PRIOR_DF, symmetric_root
from evalkit.inference.replicates import satterthwaite
from evalkit.rollouts.brief import BASE_WINDOW, Brief
from evalkit.rollouts.kernel import Cells, Screen, spread_of
from evalkit.study.paths import Level, Paths
from evalkit.vocabulary import SAME, TRIPLE

LEVEL, POWER = 0.95, 0.80
DRAWS, SEED = 8000, 20270104
BY_PEOPLE = "people tell it, and equal weights are planned for comparisons of starts only"
MOST_STEPS, CLOSE = 20, 1e-3
"""Steps to the effect that is detected under the noise that it makes itself, and when it is near enough."""
MOST_UNITS = 4000


def paths_of(brief: Brief, starts: np.ndarray) -> Paths:
    """Exposure paths of everybody under (P, K) starts: kinds of people in places, a unit a person."""
    P, R = brief.heads.shape
    scale = min(1.0, MOST_UNITS / brief.heads.sum())
    count = np.where(brief.heads > 0, np.maximum(np.round(brief.heads * scale), 1), 0).astype(int)
    count = count * 2 if count.sum() == P else count  # people, not places, are the units
    on = np.arange(brief.T)[:, None] >= starts[:, None, :]
    state = (on[:, None] & brief.kinds[None, :, None, :]).astype(np.int16).reshape(P * R, brief.T, -1)
    path = np.repeat(np.arange(P * R), count.ravel())
    place = Level("place", path // R, np.array(brief.places, dtype=object))
    return Paths(
        units=np.arange(len(path)), periods=brief.calendar.values, components=brief.names, path=path, state=state,
        reach=np.tile(brief.kinds, (P, 1)), levels={"place": place}, assigned_at=dict.fromkeys(brief.names, "place"),
        cluster="place", lags=tuple(int(x) for x in brief.lags), always_on=(False,) * len(brief.names),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Law:
    """One component's estimate under a plan. status, until: as separability says. exposed, comparison: places on either
    side. se: standard deviation of the estimate. draws: (n,) errors and half-widths of intervals; empty where no
    interval can be given, for the reason. design: that of its headline. moved: the same draws where its own effect is
    another than that wanted; None where noise does not hang on it."""

    component: str
    status: str
    until: int
    exposed: int
    comparison: int
    se: float = np.nan
    error: np.ndarray = field(default_factory=lambda: np.empty(0))
    half: np.ndarray = field(default_factory=lambda: np.empty(0))
    reason: str = ""
    design: str = ""
    moved: Callable[[float], tuple[np.ndarray, np.ndarray]] | None = None

    def power(self, effect: float) -> float:
        """Chance that the printed interval leaves out zero when the effect is this large, under the noise of effects
        as large as are wanted."""
        if not len(self.error) or not np.isfinite(effect):
            return np.nan if not np.isfinite(effect) else 0.0
        found = abs(effect) > self.half - self.error
        return float((found | (abs(effect) < -self.half - self.error)).mean())

    @cached_property
    def detectable(self) -> float:
        """Smallest effect that is found with a chance of 8 in 10: where it moves people of a share, under the noise of
        those whom it moves itself."""
        if not len(self.error):
            return np.nan
        found = float(np.quantile(self.half - self.error, POWER))
        for _ in range(MOST_STEPS if self.moved is not None else 0):
            before, (error, half) = found, self.moved(found)  # type: ignore[misc]
            found = float(np.quantile(half - error, POWER))
            if abs(found - before) <= CLOSE * before:
                break
        return found


def laws(brief: Brief, starts: np.ndarray, weights: str = "least_noise", only: int | None = None) -> tuple[Law, ...]:
    """The law of every component under (P, K) starts, or of `only` one. weights: those of the headline, or "equal", as
    published, with its jackknife (comparisons of starts only)."""
    paths = paths_of(brief, starts)
    audit = make_audit(paths, Names(brief.names, "place", "period"))
    screen = Screen.of(brief) if weights == "equal" else None
    asked = enumerate(audit.statuses) if only is None else [(only, audit.statuses[only])]
    return tuple(law_of(brief, paths, k, r, screen, starts) for k, r in asked)


def law_of(brief: Brief, paths: Paths, k: int, ruling: Ruling, screen: Screen | None, starts: np.ndarray) -> Law:
    """The law of one component, by the design that would be its headline; by the published weights where a `screen`
    reads them."""
    name, lag = brief.names[k], int(brief.lags[k])
    until = min(ruling.clean_until, lag + brief.window - 1)
    sides = ruling.clusters_exposed, ruling.clusters_comparison
    law = Law(name, ruling.status, until - lag + 1, *sides, design=ruling.best_design)
    if ruling.status != "separable" or ruling.best_design not in (SAME, TRIPLE):
        return replace(law, until=0, reason=ruling.reason)
    if screen is not None and ruling.best_design == TRIPLE:
        return replace(law, until=0, reason=BY_PEOPLE)
    if screen is None:
        forms = make_forms(brief, paths, name, ruling.best_design, (lag, until))
    else:
        forms = published_forms(brief, screen, screen.cells(starts), k)
    if forms is None:
        return replace(law, reason="without one place there is nothing left to compare")
    error, half = forms.draw()
    return replace(law, se=forms.se, error=error, half=half, moved=forms.drawn_with if brief.noise.share else None)


@dataclass(frozen=True, eq=False)
class Forms:
    """Linear forms in outcomes, (G, 1 + 2 G) parts: for each place, what its outcomes add to the estimate, to the shift
    of each refit, and to the influence of each place; as a covariance.

    covary: their covariance where the component's own effect is as wanted (None) or another. covariance: of estimate,
    shifts and influences, as wanted. working: variance of the estimate by the model. exposed, only: (G,) places that
    serve as exposed, and only as comparison.
    """

    covary: Callable[[float | None], np.ndarray]
    working: float
    exposed: np.ndarray
    only: np.ndarray
    moderated: bool = True

    @cached_property
    def covariance(self) -> np.ndarray:
        return self.covary(None)

    @property
    def se(self) -> float:
        return float(np.sqrt(self.covariance[0, 0]))

    def drawn_with(self, effect: float) -> tuple[np.ndarray, np.ndarray]:
        """The same draws where the component's own effect is so large."""
        return self.draw(self.covary(effect))

    def draw(
        self, covariance: np.ndarray | None = None, n: int = DRAWS, seed: int = SEED
    ) -> tuple[np.ndarray, np.ndarray]:
        """(n,) errors of the estimate and half-widths of its moderated intervals (`inference/estimate.py`)."""
        root = symmetric_root(self.covariance if covariance is None else covariance)
        z = np.random.default_rng(seed).standard_normal((n // 2, len(root))) @ root
        z = np.concatenate([z, -z])
        G, used = len(self.exposed), self.exposed | self.only
        clusters = used.sum()
        square = z[:, 1 : 1 + G] ** 2 * (clusters - 1) / clusters
        v1, v0 = square[:, self.exposed].sum(axis=1), square[:, self.only].sum(axis=1)
        n1, n0 = self.exposed.sum(), self.only.sum()
        df = satterthwaite(v1, v0, np.full(len(v1), n1), np.full(len(v0), n0))
        most = square[:, used].sum(axis=1)
        if not self.moderated:
            return z[:, 0], stdtrit(df, 0.5 + LEVEL / 2) * np.sqrt(most)
        least = (z[:, 1 + G :] ** 2).sum(axis=1)
        prior = np.clip(min(n1, n0) - 1.0, 1.0, PRIOR_DF)
        ratio = np.where(most > least, least / np.maximum(most, 1e-300), 1.0)
        variance = (prior * self.working + df * most * np.sqrt(ratio)) / (prior + df)
        return z[:, 0], stdtrit(prior + df, 0.5 + LEVEL / 2) * np.sqrt(variance)


def make_forms(brief: Brief, paths: Paths, name: str, best_design: str, window: tuple[int, int]) -> Forms | None:
    """Forms of the headline of one component; None where some refit leaves nothing to compare."""
    model, where = _model(brief, paths, name, best_design, window)
    if model is None:
        return None
    G = len(model.places)
    parts = [np.zeros((len(p.y), 1 + 2 * G)) for p in model.places]
    for part, weights in zip(parts, _weights(model), strict=True):
        part[:, 0] = weights
    N = model.information[0]
    for s, gone in enumerate(model.places):
        rest = Untreated(model.places[:s] + model.places[s + 1 :], model.columns, model.k)
        n = N.copy()
        n[np.ix_(gone.at, gone.at)] -= gone.information[0]
        vars(rest)["solver"] = less(model.solver, N, n)  # what the place took part in, without working all out anew
        if not rest.weight.sum() > NOTHING:
            return None
        others = _weights(rest)
        others.insert(s, np.zeros(len(gone.y)))
        for part, weights in zip(parts, others, strict=True):
            part[:, 1 + s] = weights - part[:, 0]
    _influences(model, parts)
    exposed = np.array([p.weight[:, told].size > 0 for p, told in zip(model.places, model.kept, strict=True)])
    serves = np.array([(np.abs(part[:, 0]) > NOTHING).any() for part in parts])
    covary = partial(_covary, brief, paths, name, tuple(zip(model.places, parts, where, strict=True)))
    share = model.weight / model.weight.sum()
    working = float(share @ np.nan_to_num(model.vcov()) @ share)
    return Forms(covary, working, exposed, serves & ~exposed)


def _covary(
    brief: Brief, paths: Paths, name: str, forms: Sequence[tuple[Place, np.ndarray, tuple[np.ndarray, np.ndarray]]],
    effect: float | None,
) -> np.ndarray:  # fmt: skip
    """Covariance of forms, (m, 1 + 2 G) parts of each place's cell-periods; effect: of one component, as wanted where
    none is said."""
    brief = brief if effect is None else wanting(brief, name, effect)
    return np.sum([part.T @ _varying(brief, paths, place, at) @ part for place, part, at in forms], axis=0)


def wanting(brief: Brief, name: str, effect: float) -> Brief:
    """The brief, of one of whose components another effect is wanted, in the direction that was."""
    parts = (
        replace(c, wanted=float(np.copysign(effect, c.wanted or 1.0))) if c.name == name else c
        for c in brief.components
    )
    return replace(brief, components=tuple(parts))


def _model(
    brief: Brief, paths: Paths, name: str, best_design: str, window: tuple[int, int]
) -> tuple[Untreated | None, list[tuple[np.ndarray, np.ndarray]]]:
    """The untreated model of a component under the planning covariance, with a row for each start and period of the
    window, as the estimator has them: without a place some of them are lost, and others of the same start are not."""
    rules = Rules(base_window=BASE_WINDOW, horizon=window[1])
    sums = Sums.of_outcome(paths, "place", np.zeros((paths.n_units, paths.n_periods)))
    reader: Reader = Within(sums)
    design = StaggeredRollout(base_window=BASE_WINDOW, horizon=window[1])
    plan = design.plan(paths, name)
    if best_design == TRIPLE:
        triple = TripleDifference(base_window=BASE_WINDOW, horizon=window[1])
        pairs, plan = triple._pairs_and_plan(paths, name)
        assert pairs is not None
        reader = PairReader(sums.split(), pairs)
    contrast = Contrast(plan, reader)
    event = np.arange(contrast.n_periods) - contrast.cohorts[:, None]
    rows = np.flatnonzero(((contrast.mass > 0) & (event >= window[0]) & (event <= window[1])).ravel())
    if not len(rows):
        return None, []
    mass = contrast.mass.ravel()[rows]
    asked = targets_of(contrast, rows)
    targets = replace(asked, weight=asked.weight * mass[asked.row] / mass.sum())
    columns = untreated_columns(exposure_states(paths, name, "same"), rules)
    cells = paths.cells("place")
    heads, person = brief.heads.ravel()[cells.path], brief.noise.of_person(brief.T)
    means = CellMeans(cells.path, cells.cluster, np.zeros((len(cells), brief.T)), tuple(person / h for h in heads))
    places, where = make_places(means, columns, targets)
    shocks = brief.noise.of_place(brief.T)
    noise = [p.V + shocks[np.ix_(t, t)] for p, (_, t) in zip(places, where, strict=True)]
    model = Untreated(with_noise(places, noise), columns.count, len(rows))
    return (model if model.weight.sum() > NOTHING else None), where


def _weights(model: Untreated) -> list[np.ndarray]:
    """For each place, (m + e,) weights of its cell-periods in the average of all that can be told."""
    back, out = model.solver.solve(model.sums[1].sum(axis=1)), []
    for place, told in zip(model.places, model.kept, strict=True):
        weights = place.A[:, told].sum(axis=1)
        weights[: place.u] -= place.fitted(back[place.at][:, None])[:, 0]
        out.append(weights / model.weight.sum())
    return out


def _influences(model: Untreated, parts: list[np.ndarray]) -> None:
    """What outcomes add to the influence of each place: its residuals by its weights, less its share of the value."""
    G, back = len(model.places), [p.whitened for p in model.places]
    for i, place in enumerate(model.places):
        own = parts[i][:, 0].copy()
        if not own.any():
            continue
        share = float(place.weight[:, model.kept[i]].sum() / model.weight.sum())
        passed = np.zeros(model.columns)
        passed[place.at] = place.steps.T @ own
        pull = model.solver.solve(passed)
        for j, (other, part) in enumerate(zip(model.places, parts, strict=True)):
            part[: other.u, 1 + G + i] -= back[j] @ pull[other.at]
            part[:, 1 + G + i] -= share * part[:, 0]
        parts[i][:, 1 + G + i] += own


def published_forms(brief: Brief, screen: Screen, cells: Cells, k: int) -> Forms | None:
    """Forms of the published comparison, equal weights, over the window; None where a refit has nothing to compare."""
    W, seen = screen.weights(cells, k)
    P, maps = len(brief.places), [W]
    for s in range(P):
        without, left = screen.weights(cells, k, s)
        if not left.any():
            return None
        maps.append(without - W)
    exposed, serves = (np.asarray(seen[:, side].any(axis=0)) for side in (0, 1))
    covary = partial(_covary_published, brief, screen, cells, brief.names[k], np.stack(maps, axis=-1))
    return Forms(covary, np.nan, exposed, serves & ~exposed, moderated=False)


def _covary_published(
    brief: Brief, screen: Screen, cells: Cells, name: str, L: np.ndarray, effect: float | None
) -> np.ndarray:
    """Covariance of forms (C, T, 1 + P) of the published comparison; effect: of one component, as wanted where none is
    said."""
    brief = brief if effect is None else wanting(brief, name, effect)
    P, T = len(brief.places), brief.T
    covariance = np.zeros((1 + P, 1 + P))
    on = np.arange(T)[:, None] >= cells.start[:, None, :]
    for i in range(P):
        mine = np.flatnonzero(screen.place == i)
        part = L[mine].reshape(len(mine) * T, -1)
        shown = on[mine].reshape(len(mine) * T, -1).astype(float)
        V = brief.noise.shaken(np.kron(np.ones((len(mine), len(mine))), screen.shocks), _added(brief, shown))
        for j, kind in enumerate(mine):
            own = slice(j * T, (j + 1) * T)
            V[own, own] += _moved(brief, screen.more[kind] * screen.person, shown[own]) / screen.heads[kind]
        covariance += part.T @ (V + brief.noise.effect**2 * (shown @ shown.T)) @ part
    return covariance


def _varying(brief: Brief, paths: Paths, place: Place, at: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The planning covariance of a place's cell-periods, with effects that differ between places and people who vary
    more, or less, than all. Weights know neither."""
    V, (cell, t) = place.V, at
    path = paths.cells("place").path[cell]  # one a place and kind
    on = (paths.state[path, t] > 0).astype(float)
    ratio = spread_of(brief)[path % brief.heads.shape[1]]
    person = brief.noise.of_person(brief.T)[np.ix_(t, t)]
    moved = _moved(brief, person * np.sqrt(np.outer(ratio, ratio)), on)
    shocks = brief.noise.of_place(brief.T)[np.ix_(t, t)]
    V = V + np.equal.outer(cell, cell) * (moved - person) / brief.heads.ravel()[path]
    V = V + brief.noise.shaken(shocks, _added(brief, on)) - shocks
    if brief.noise.effect:
        V = V + brief.noise.effect**2 * (on @ on.T)
    return np.asarray(V)


def _moved(brief: Brief, person: np.ndarray, on: np.ndarray) -> np.ndarray:
    """(m, m) covariance of one person in cells where components (m, K) are on, with the effects wanted added."""
    return brief.noise.moved(person, _added(brief, on))


def _added(brief: Brief, on: np.ndarray) -> np.ndarray:
    """(m,) effects wanted, added up, in cells where components (m, K) are on."""
    return np.asarray(on @ np.array([float(c.wanted or 0.0) for c in brief.components]))
