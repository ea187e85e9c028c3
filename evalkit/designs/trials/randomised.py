"""Randomised comparison: those to whom chance dealt a component beside those to whom it did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from evalkit.designs.parameters import Parameters
from evalkit.designs.people.people import weighted_variance
from evalkit.designs.protocol import Traits
from evalkit.designs.trials.exact import unlike_p
from evalkit.designs.trials.extras import Compliers, compliers, hedges_g, intra_cluster, lee_bounds
from evalkit.designs.trials.order import Wedge, replay
from evalkit.designs.trials.sample import FEWEST_DRAWS, WORK, Sample, deal_of, gather
from evalkit.errors import OptionError, check_choice, spelt
from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import Spread
from evalkit.inference.replicates import Arms, Method
from evalkit.inference.sources import DenseSource, Influence, Rows
from evalkit.study import Study
from evalkit.study.assignment import Dealt
from evalkit.study.paths import Paths

NORMAL = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Balance:
    """Covariates of the two arms before anything was done. table: covariate, with it, without, difference in standard
    deviations. p: chance of arms at least so unlike under the recorded deal, all covariates together."""

    table: pd.DataFrame
    p: float


@dataclass(frozen=True)
class Attrition:
    """Shares seen with it and without it, p of no difference between these; bounds on the effect among people who would
    have been seen in either arm (Lee 2009), and their range; NaN where everybody was seen."""

    seen: float
    seen_else: float
    p: float
    low: float = float("nan")
    high: float = float("nan")
    conf_low: float = float("nan")
    conf_high: float = float("nan")


@dataclass(frozen=True)
class RandomisedComparison(Parameters):
    """The effect of having been dealt a component that chance assigned (intention to treat).

    By how it was dealt: people one by one (regression on the arm and centred covariates, with their products from ten
    people a covariate in the smaller arm on; Lin 2013; HC2 with Bell and McCaffrey's degrees of freedom), within blocks
    (differences within blocks weighted by people; Neyman's variance, between blocks where those are too small), in
    pairs (differences within pairs), by groups (people of groups, CR2 with Satterthwaite's degrees of freedom; groups
    dealt within blocks or pairs by their means), or in a panel as an order of rollout (each cohort and period beside
    groups still without it; range by replaying the order, for an effect that is the same everywhere). Nobody is left
    out for being unlike. With weights of the study blocks enter a regression instead.

    adjust: "auto" takes covariates into account where there are enough people or groups for them; None does not.
    covariates: names; the study's when None. Where they are missing they are filled in, with a column that says so.
    draws: deals made again for the exact test (label `exact_p`; fewer with many people), 0 for none. seed: for these.
    outcome: name of another outcome than the study's first. weights: of an order of rollout, "equal" (cohorts and
    periods by n1 n0 / (n1 + n0)) or "least_noise" (half so, and half by what each comparison tells: what `evaluate`
    uses).

    Labels: how it was dealt, `adjust`, `exact_p`; `icc` of groups; `hedges_g` with its range; people not seen, and left
    out because their block lost its other arm. Calling raises `OptionError` where chance did not assign the component,
    and `NotIdentifiedError` where an arm is empty."""

    adjust: str | None = "auto"
    covariates: tuple[str, ...] | None = None
    draws: int = 1999
    seed: int = 0
    outcome: str | None = None
    weights: str = "equal"
    traits = Traits(frozenset({"randomisation"}), ("dealt it", "not"), ("balance", "attrition", "compliance"))

    def __post_init__(self) -> None:
        check_choice("adjust", self.adjust, ("auto", None))
        check_choice("weights", self.weights, ("equal", "least_noise"))
        if isinstance(self.covariates, list | str):
            names = (self.covariates,) if isinstance(self.covariates, str) else tuple(self.covariates)
            object.__setattr__(self, "covariates", names)
        if isinstance(self.draws, bool) or not isinstance(self.draws, int) or self.draws < 0:
            raise OptionError(f"draws={spelt(self.draws)} is not a choice. Use a whole number, 0 or more.")

    def plan(self, paths: Paths, component: str) -> Dealt:
        """What was dealt, from exposure paths alone."""
        return deal_of(paths, component)

    def sample(self, study: Study, component: str) -> Sample:
        """Those who were dealt it in a cross-section; no outcome is read."""
        return self._gathered(study, component, None)

    def _gathered(self, study: Study, component: str, values: np.ndarray | None) -> Sample:
        """The same; of a rate with those whose value (n,) is missing, who are in no mean and weigh nothing."""
        names = () if self.adjust is None else self.covariates
        if values is None or study.outcome(self.outcome).kind != "rate":
            return gather(study, component, names)
        return gather(study, component, names, np.isnan(values))

    def __call__(self, study: Study, component: str) -> Estimate:
        """The effect of `component` as an Estimate of one row."""
        study = study.weighing(self.outcome)
        if study.paths.n_periods > 1:
            return self._order(study, component)
        values = study.values(self.outcome)[:, 0]
        whole = self._gathered(study, component, values)
        y, seen = values[whole.rows], np.isfinite(values[whole.rows])
        left = whole.take(seen)
        used, y = left.take(left.comparable()), y[seen][left.comparable()]
        counts = {"units_not_seen": int((~seen).sum()), "units_left_out": int(len(left.t) - len(used.t))}
        if min(used.t.sum(), (~used.t).sum()) < 2:
            reason = "fewer than two people of an arm were seen"
            return self._nothing(study, component, whole, counts, reason)
        fit = used.fit(y)
        error = float(np.sqrt(fit.variance))
        size = hedges_g((fit.value, error, fit.df), y, used.t, None if used.alone else used.group, weight=used.weight)
        labels = counts | {
            "dealt_to": f"{used.how}", "adjust": "covariates" if used.adjusts else "none",
            "exact_p": used.exact(y, self.draws, self.seed),
            "icc": float("nan") if used.alone else intra_cluster(y, used.t, used.group),
            "hedges_g": size.g, "hedges_low": size.low, "hedges_high": size.high,
        }  # fmt: skip
        spread = Spread(np.array([[fit.variance]]), np.array([fit.df]), ("",))
        return self._row(
            study, component, (used.rows, (used.t, ~used.t), fit.parts), fit.value, spread, fit.kind, labels
        )

    def balance(self, study: Study, component: str) -> Balance | None:
        """Covariates by arm, and how likely chance was to make arms so unlike; None where no covariate is recorded. In
        a panel, of each group in the first period: those that began earlier than most beside the rest."""
        paths, deal = study.paths, deal_of(study.paths, component)
        names = study.covariates if self.covariates is None else self.covariates
        if not names:
            return None
        rows = np.flatnonzero(deal.of >= 0)
        x, start = study.covariate_values(names)[rows, 0, :], deal.start[deal.of[rows]]
        t = start <= np.median(deal.start) if paths.n_periods > 1 else start == 0
        t = start < start.max() if t.all() else t
        code = np.unique(deal.of[rows], return_inverse=True)[1]
        mean = np.column_stack([_means(v, code) for v in x.T])
        good = np.isfinite(mean).all(axis=0) & (np.ptp(np.nan_to_num(mean), axis=0) > 0)
        arm = np.zeros(len(deal.start), dtype=bool)
        arm[deal.of[rows]] = t
        draws = int(min(self.draws or FEWEST_DRAWS, max(FEWEST_DRAWS, WORK // len(arm))))
        rng = np.random.default_rng(self.seed)
        p = unlike_p(mean[:, good], arm, deal.block, draws, rng) if good.any() else float("nan")
        return Balance(_balance_table(x, t, names), p)

    def attrition(self, study: Study, component: str) -> Attrition | None:
        """Who was seen in each arm, and what those who were not could hide; None in a panel, or where all were seen."""
        if study.paths.n_periods > 1:
            return None
        study = study.weighing(self.outcome)
        values = study.values(self.outcome)[:, 0]
        whole = replace(self, adjust=None)._gathered(study, component, values)
        y, seen = values[whole.rows], np.isfinite(values[whole.rows])
        if seen.all():
            return None
        whole = replace(whole, weight=_of_all(whole.weight))
        mine, others = (float(np.average(seen[a], weights=whole.weight_of(a))) for a in (whole.t, ~whole.t))
        fit = whole.fit(seen.astype(float))
        test = Spread(np.array([[fit.variance]]), np.array([fit.df]), ("",))
        p = _p(fit.value, test)
        inflate = 1.0
        if not whole.alone and seen.any():
            groups = whole.group[seen]
            rho, each = intra_cluster(y[seen], whole.t[seen], groups), len(groups) / len(np.unique(groups))
            inflate = float(np.sqrt(1 + (each - 1) * max(np.nan_to_num(rho), 0.0)))
        return Attrition(mine, others, p, *lee_bounds(y, whole.t, inflate, whole.weight))

    def compliers(self, study: Study, component: str, level: float = 0.95) -> Compliers | None:
        """The effect on those who took it up because they were dealt it; None where take-up is not recorded, or in a
        panel."""
        column = study.component(component).compliance
        if column is None or study.paths.n_periods > 1:
            return None
        study = study.weighing(self.outcome)
        whole = self.sample(study, component)
        y = study.values(self.outcome)[whole.rows, 0]
        taken = study.covariate_values((column,))[whole.rows, 0, 0]
        seen = np.isfinite(y)
        left = whole.take(seen)
        both = left.comparable()
        used, y, taken = left.take(both), y[seen][both], taken[seen][both]
        if min(used.t.sum(), (~used.t).sum()) < 2:
            return None
        return compliers(used.fit, y, taken, used.t, level, used.weight)

    def _order(self, study: Study, component: str) -> Estimate:
        """An order of rollout: groups and periods."""
        deal = deal_of(study.paths, component)
        rows = np.flatnonzero(deal.of >= 0)
        values = study.values(self.outcome)[rows]
        weight = np.ones(len(rows)) if study.paths.weights is None else study.paths.weights[rows]
        panel = _panel(values, deal.of[rows], weight, len(deal.start))
        lag = study.paths.lags[study.paths.index(component)]
        wedge = Wedge(panel, deal.start, deal.block, lag, self.weights == "least_noise")
        draws = int(min(self.draws or FEWEST_DRAWS, max(FEWEST_DRAWS, WORK // len(deal.start))))
        found = replay(wedge, draws, np.random.default_rng(self.seed))
        (exposed, waited, _), error = wedge.used(), (found.high - found.low) / (2 * NORMAL)
        sides = [side[deal.of[rows]] & np.isfinite(values).any(axis=1) for side in (exposed, waited)]
        counts = {"units_not_seen": int((~np.isfinite(values).any(axis=1)).sum()), "units_left_out": 0}
        labels = counts | {"dealt_to": "order", "adjust": "none", "exact_p": found.p, "icc": float("nan")}
        labels |= dict.fromkeys(("hedges_g", "hedges_low", "hedges_high"), float("nan"))
        parts = wedge.parts(found.value) if np.isfinite(found.value) else np.zeros(len(deal.start))
        if np.isfinite(error) and (total := float(parts @ parts)) > 0:
            parts = parts * error / np.sqrt(total)
        each = (parts / np.maximum(np.bincount(deal.of[rows], minlength=len(parts)), 1))[deal.of[rows]]
        reason = "" if np.isfinite(error) else "no interval: too few other orders could have been dealt"
        spread = Spread(np.array([[error**2]]), np.array([np.inf]), (reason if np.isfinite(found.value) else "",))
        if not np.isfinite(found.value):
            labels["reason"] = "nobody was still without it, or seen before, when others began"
        who = rows, sides, each
        return self._row(study, component, who, found.value, spread, "replayed order", labels)

    def _nothing(self, study: Study, component: str, whole: Sample, counts: dict[str, int], reason: str) -> Estimate:
        names = ("exact_p", "icc", "hedges_g", "hedges_low", "hedges_high")
        labels = counts | {"dealt_to": whole.how, "adjust": "none", **dict.fromkeys(names, np.nan), "reason": reason}
        spread = Spread(np.full((1, 1), np.nan), np.array([np.nan]), ("",))
        return self._row(
            study, component, (whole.rows, (whole.t, ~whole.t), np.zeros(len(whole.t))), np.nan, spread, "none", labels
        )

    def _row(
        self, study: Study, component: str, who: tuple[np.ndarray, Sequence[np.ndarray], np.ndarray], value: float,
        spread: Spread, kind: str, labels: Mapping[str, object],
    ) -> Estimate:  # fmt: skip
        """The Estimate of one number. who: rows of the study; which of them have it, and which stand beside those; and
        what each adds."""
        rows, sides, parts = who
        paths, outcome = study.paths, study.outcome(self.outcome)
        deal = deal_of(paths, component)
        level = "unit" if deal.alone else deal.level
        known = {name: (one.codes[rows], one.names) for name, one in paths.levels.items()}
        influence = Influence(((DenseSource(Rows(paths.units[rows], known), parts[:, None]), np.eye(1)),), level)
        frame = pd.DataFrame([{
            "component": component, "outcome": outcome.column, "period": "", "estimand": "ITT",
            "population": "all to whom it was or was not dealt", "outcome_unit": outcome.unit, "others": "as dealt",
            "inference_level": level, "units_exposed": int(sides[0].sum()), "units_comparison": int(sides[1].sum()),
            "reason": "", **labels,
        }])  # fmt: skip
        return Estimate(
            np.array([value]), np.array([float(sides[0].sum())]), frame, influence, None, _arms(deal, rows, sides),
            method=Method(kind, partial(_of_sums, spread)),
        )  # fmt: skip


def _of_sums(spread: Spread, matrix: np.ndarray | None) -> Spread:
    """The spread of multiples (k', 1) of the one row."""
    if matrix is None:
        return spread
    moved = matrix @ spread.vcov @ matrix.T
    return Spread(moved, np.repeat(spread.df, len(matrix)), spread.reason * len(matrix))


def _of_all(weight: np.ndarray | None) -> np.ndarray | None:
    """(m,) weights; of those of whom nothing was counted, the mean of the others."""
    return weight if weight is None or not weight.any() else np.where(weight > 0, weight, weight[weight > 0].mean())


def _arms(deal: Dealt, rows: np.ndarray, sides: Sequence[np.ndarray]) -> Arms:
    """Groups of each side, or people counted where each was dealt to alone."""
    if deal.alone:
        return Arms(np.array([[True], [False]]), np.array([[False], [True]]), np.array([s.sum() for s in sides]))
    there = [np.bincount(deal.of[rows[s]], minlength=len(deal.names)) > 0 for s in sides]
    return Arms(there[0][:, None], there[1][:, None], np.ones(len(deal.names), dtype=int))


def _p(value: float, spread: Spread) -> float:
    from scipy.stats import t as student

    error = float(np.sqrt(spread.vcov[0, 0]))
    return float(2 * student.sf(abs(value) / error, spread.df[0])) if error > 0 else float("nan")


def _panel(values: np.ndarray, group: np.ndarray, weight: np.ndarray, groups: int) -> np.ndarray:
    """(G, T) weighted means of those seen, NaN where there are none."""
    seen = np.isfinite(values) * weight[:, None]
    total, mass = np.zeros((groups, values.shape[1])), np.zeros((groups, values.shape[1]))
    np.add.at(total, group, np.nan_to_num(values) * seen)
    np.add.at(mass, group, seen)
    return np.divide(total, mass, out=np.full(total.shape, np.nan), where=mass > 0)


def _means(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(G,) means of those seen; the mean of all where a group has none."""
    seen = np.isfinite(values)
    size = np.bincount(group, weights=seen)
    total = np.bincount(group, weights=np.where(seen, values, 0.0))
    return np.where(size > 0, total / np.maximum(size, 1), total.sum() / max(size.sum(), 1))


def _balance_table(x: np.ndarray, t: np.ndarray, names: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for name, values in zip(names, x.T, strict=True):
        sides = [values[a & np.isfinite(values)] for a in (t, ~t)]
        means = [float(s.mean()) if len(s) else float("nan") for s in sides]
        spread = float(np.sqrt(np.mean([weighted_variance(s[:, None], np.ones(len(s)))[0] for s in sides])))
        gap = (means[0] - means[1]) / spread if spread > 0 else float("nan")
        rows.append({"covariate": name, "with_it": means[0], "without": means[1], "difference": gap})
    return pd.DataFrame(rows)
