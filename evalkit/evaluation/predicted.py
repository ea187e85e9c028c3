"""Effects predicted from half the people and held against the other half: by groups, and beyond them by covariates.

The learners and the doubly robust scores of the half that was held back are econml's (LinearDRLearner or
ForestDRLearner, DRTester). Its
regression of scores on predictions (Chernozhukov and others 2018, Generic machine learning) knows neither clusters nor
groups to be taken out, so that one is made here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from evalkit.checks.headline import CheckResult
from evalkit.designs.people.distances import standardised
from evalkit.designs.people.people import People
from evalkit.errors import OptionError

if TYPE_CHECKING:
    from econml.validate import DRTester

FEWEST = 25
"""People in either arm of either half, without whom nothing is predicted."""
TREES, LEAF = 200, 20
_QUARTERS = ("1, predicted lowest", "2", "3", "4, predicted highest")


@dataclass(frozen=True, eq=False)
class Scored:
    """People with doubly robust scores psi (m,), whose mean is the average effect; groups: clusters (m,) or None;
    learner: what predicts effects by covariates, a "line" or a "forest"."""

    people: People
    x: np.ndarray
    y: np.ndarray
    psi: np.ndarray
    groups: np.ndarray | None
    learner: str = "line"


def dummies(s: Scored, kinds: dict[str, np.ndarray]) -> np.ndarray:
    """(m, g) 0/1 columns of the groups of every column but its first."""
    columns = [(k == v).astype(float) for k in kinds.values() for v in sorted(set(k))[1:]]
    return np.column_stack([np.empty((len(s.psi), 0)), *columns])


def halves(s: Scored, seed: int) -> np.ndarray:
    """(m,) whether a person is in the half from which effects are predicted; clusters stay whole."""
    unit = np.arange(len(s.psi)) if s.groups is None else np.unique(s.groups, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(unit.max() + 1)
    return np.asarray(order % 2 == 0)[unit]


def calibration_of(s: Scored, groups: np.ndarray, first: np.ndarray, seed: int) -> CheckResult:
    """Effects predicted by group, against the half that was held back: a slope of 1 is right, above 0 in the right
    direction (noise in the predictions pulls it below 1)."""
    if not groups.shape[1]:
        return CheckResult("calibration", "informational", "No groups were compared.")
    tester = _tester(s, groups, first, seed)
    found = None if tester is None else _slope(s, tester, first, np.ones((int((~first).sum()), 1)))
    if found is None:
        return CheckResult("calibration", "informational", "No differences between people are predicted.")
    if found[1] > 0:
        words = "Differences predicted from half the people hold in the rest."
        return CheckResult("calibration", "passed", words, *found)
    if found[2] < 0:
        words = "Differences predicted from half the people turn round in the other half."
        return CheckResult("calibration", "failed", words, *found)
    words = "Differences predicted from half the people are not clearly borne out in the other half."
    return CheckResult("calibration", "informational", words, *found)


def beyond_groups(
    s: Scored, groups: np.ndarray, first: np.ndarray, seed: int
) -> tuple[CheckResult, Scored, np.ndarray, np.ndarray]:
    """Whether covariates tell more of the effect than the groups do: the slope of scores on predictions by covariates
    and groups, once groups are taken out of both. And the half that was held back, with the quarter of the predicted
    effect that each person is in (cut where the first half's quarters are, as econml's calibration is), and the effect
    predicted of each."""
    name, held = "beyond_groups", ~first
    nobody = replace(s, people=s.people.take(np.zeros(len(first), dtype=bool)), psi=s.psi[:0], groups=None)
    tester = _tester(s, np.hstack([groups, standardised(s.people.x)[0][:, 1:]]), first, seed)
    if tester is None:
        words = "Too few people in a half, or covariates that do not vary."
        return CheckResult(name, "informational", words), nobody, np.empty(0, dtype=object), np.empty(0)
    predicted = np.asarray(tester.cate_preds_val_[:, 0])
    cuts = np.quantile(tester.cate_preds_train_[:, 0], [0.25, 0.5, 0.75])
    quarter = np.array(_QUARTERS, dtype=object)[np.searchsorted(cuts, predicted)]
    clusters = None if s.groups is None else s.groups[held]
    half = Scored(s.people.take(held), s.x[held], s.y[held], np.asarray(tester.dr_val_[:, 0]), clusters, s.learner)
    within = np.column_stack([np.ones(int(held.sum())), groups[held]])
    found = _slope(s, tester, first, within)
    if found is not None and found[1] > 0:
        words = "Covariates tell more than these groups: within them, people predicted to gain more do gain more."
        return CheckResult(name, "failed", words, *found), half, quarter, predicted
    words = "No clear sign that covariates tell more than these groups"
    words += ", along a straight line." if s.learner == "line" else ", by a forest."
    return CheckResult(name, "informational", words, *(found or ())), half, quarter, predicted


def _slope(s: Scored, tester: DRTester, first: np.ndarray, within: np.ndarray) -> tuple[float, float, float] | None:
    """Slope of the scores of the half that was held back on its predicted effects, `within` (h, k) taken out of both,
    and its 95% interval, clustered; None where all predictions are alike."""
    both = np.column_stack([tester.cate_preds_val_[:, 0], tester.dr_val_[:, 0]])
    predicted, score = (both - within @ np.linalg.lstsq(within, both, rcond=None)[0]).T
    if np.std(predicted) < 1e-9 * (1 + np.abs(both[:, 0]).max()):
        return None
    slope = float(predicted @ score / (predicted @ predicted))
    gap = predicted * (score - slope * predicted)
    if s.groups is not None:
        gap = np.bincount(np.unique(s.groups[~first], return_inverse=True)[1], weights=gap)
    df = max(len(gap) - within.shape[1] - 1, 1)
    reach = stdtrit(df, 0.975) * float(np.sqrt((gap**2).sum())) / float(predicted @ predicted)
    return slope, slope - reach, slope + reach


def _tester(s: Scored, features: np.ndarray, first: np.ndarray, seed: int) -> DRTester | None:
    """Effects (`cate_preds_val_`) of the half that was held back, by a model learnt on the first, and its scores
    (`dr_val_`); None where an arm of a half has too few people, or no feature varies in the first."""
    had, features = s.people.exposed, features[:, np.ptp(features[first], axis=0) > 0]
    if not features.shape[1] or min((had & half).sum() for had in (had, ~had) for half in (first, ~first)) < FEWEST:
        return None
    try:
        from econml.dr import ForestDRLearner, LinearDRLearner
        from econml.validate import DRTester
    except ImportError:
        raise OptionError(
            "for_whom uses the package econml. Install it: pip install 'evalkit-components[ml]'."
        ) from None
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    score = make_pipeline(StandardScaler(), LogisticRegression(C=1e6, max_iter=1000))
    # The last column is the exposure; without its products with the others every effect would be the same.
    interact = FunctionTransformer(lambda given: np.hstack([given, given[:, :-1] * given[:, -1:]]))
    models = {"model_propensity": score, "model_regression": make_pipeline(interact, LinearRegression())}
    models |= {"min_propensity": 0.01, "cv": 5, "random_state": seed}
    learner = LinearDRLearner(**models)
    if s.learner == "forest":
        learner = ForestDRLearner(n_estimators=TREES, min_samples_leaf=LEAF, n_jobs=1, **models)
    # Beside large numbers least squares drops small ones.
    x, had, held = standardised(s.x)[0][:, 1:], had.astype(int), ~first
    known = np.hstack([features, x])
    learner.fit(s.y[first], had[first], X=features[first], W=x[first], inference=None)
    tester = DRTester(model_regression=LinearRegression(), model_propensity=score, cate=learner, cv=5)
    tester.fit_nuisance(known[held], had[held], s.y[held], known[first], had[first], s.y[first])
    tester.get_cate_preds(features[held], features[first])
    return tester
