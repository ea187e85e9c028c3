"""What nobody recorded: how strong it would have to be to take a straight-line answer away"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from evalkit.checks.headline import CheckResult
from evalkit.errors import OptionError, spelt
from evalkit.study import Study
from evalkit.study.gaps import filled
from evalkit.study.paths import Paths

TIMES = (1.0, 2.0, 3.0)


def robustness_value(t: float, df: float, share: float = 1.0, alpha: float | None = None) -> float:
    """Partial R2 that something unrecorded would need with exposure and outcome to take away `share` of an effect
    whose t is `t` with `df` degrees of freedom; with alpha, to bring its interval to zero. Cinelli and Hazlett (2020),
    Making sense of sensitivity, JRSS B 82, equations 18 and 19. In [0, 1]. Raises `OptionError` for df or a share that
    make no sense."""
    if not df > 1 or not 0 < share <= 1:
        raise OptionError(f"df={spelt(df)}, share={spelt(share)}: df is above 1, share above 0 and no more than 1.")
    f = share * abs(t) / np.sqrt(df)
    if alpha is not None:
        critical = abs(stdtrit(df - 1, alpha / 2)) / np.sqrt(df - 1)
        whole, f = f, f - critical
        if f <= 0:
            return 0.0
        if whole > 1 / critical:  # exposure alone, without the outcome, would not be enough
            return float((whole**2 - critical**2) / (1 + whole**2))
    return float((np.sqrt(f**4 + 4 * f**2) - f**2) / 2)


def adjusted_for(effect: tuple[float, float, float], r2_exposure: float, r2_outcome: float) -> tuple[float, float]:
    """Estimate, nearer to zero, and standard error, had something been recorded with these partial R2 with exposure and
    outcome. effect: value, standard error, df of the regression that was run."""
    value, error, df = effect
    bias = error * np.sqrt(df) * np.sqrt(r2_outcome * r2_exposure / (1 - r2_exposure))
    se = error * np.sqrt((1 - r2_outcome) / (1 - r2_exposure)) * np.sqrt(df / (df - 1))
    return float(value - np.copysign(bias, value)), float(se)


def as_strong_as(
    effect: tuple[float, float, float], r2_exposure: float, r2_outcome: float, times: float = 1.0
) -> dict[str, float]:
    """Estimate, standard error and t had something been recorded `times` as strong as a covariate whose partial R2 are
    given: with the exposure (given the other covariates), and with the outcome (given those and the exposure). The
    bounds of Cinelli and Hazlett (2020), section 4.4. Raises `OptionError` where nothing can be so strong."""
    r2_z = times * r2_exposure / (1 - r2_exposure)
    crossed = times * r2_exposure**2 / ((1 - times * r2_exposure) * (1 - r2_exposure))
    if r2_z >= 1 or times * r2_exposure >= 1 or crossed >= 1:
        raise OptionError(f"Nothing can be {times:g} times as strong with the exposure: it would explain all of it.")
    r2_y = ((np.sqrt(times) + np.sqrt(crossed)) / np.sqrt(1 - crossed)) ** 2 * r2_outcome / (1 - r2_outcome)
    r2_y = min(float(r2_y), 1.0)
    value, se = adjusted_for(effect, r2_z, r2_y)
    return {"times": times, "r2_exposure": r2_z, "r2_outcome": r2_y, "estimate": value, "std_error": se,
            "t": value / se if se > 0 else float(np.copysign(np.inf, value))}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """A straight-line answer and what nobody recorded. value, std_error, df of the regression. robust, robust_alpha:
    robustness values, of the whole effect and of its interval at 5%. benchmarks: covariate, times, partial R2 with
    exposure and outcome, estimate, std_error, t had something so strong been recorded."""

    value: float
    std_error: float
    df: float
    robust: float
    robust_alpha: float
    benchmarks: pd.DataFrame

    def contours(self, most: float = 0.4, steps: int = 41) -> pd.DataFrame:
        """Estimates over a grid of partial R2 with exposure (rows) and outcome (columns), from 0 to `most`."""
        grid = np.linspace(0, most, steps)
        effect = (self.value, self.std_error, self.df)
        table = [[adjusted_for(effect, float(d), float(y))[0] for y in grid] for d in grid]
        return pd.DataFrame(table, index=pd.Index(grid, name="r2_exposure"), columns=pd.Index(grid, name="r2_outcome"))


def sensitivity(
    y: np.ndarray, exposed: np.ndarray, x: np.ndarray, names: Sequence[str], times: Sequence[float] = TIMES,
    weight: np.ndarray | None = None,
) -> Sensitivity:  # fmt: skip
    """Robustness of the regression of y on exposure and covariates x (n, q) called `names`, with weights (n,) above 0
    that of weighted least squares. Raises `OptionError` where the regression has nothing left to tell (no degrees of
    freedom, exposure explained by covariates)."""
    root = np.ones(len(y)) if weight is None else np.sqrt(weight / np.mean(weight))
    y, d = np.asarray(y, dtype=float) * root, np.asarray(exposed, dtype=float) * root
    columns = np.column_stack([d, root, x * root[:, None]])
    df = len(y) - np.linalg.matrix_rank(columns)
    if df < 2 or np.linalg.matrix_rank(columns) < columns.shape[1]:
        raise OptionError("The regression cannot tell exposure and covariates apart, or has no people to spare.")
    slopes, errors = _least_squares(y, columns)
    on_exposure, its_errors = _least_squares(d, columns[:, 1:])
    rows = []
    for j, name in enumerate(names):
        with_d = _partial(on_exposure[1 + j] / its_errors[1 + j], df + 1)
        with_y = _partial(slopes[2 + j] / errors[2 + j], df)
        for k in times:
            try:
                rows.append({"covariate": name, **as_strong_as((slopes[0], errors[0], df), with_d, with_y, k)})
            except OptionError:
                continue  # no such thing can exist, so that there is nothing to show
    t = float(slopes[0] / errors[0])
    columns_of = ["covariate", "times", "r2_exposure", "r2_outcome", "estimate", "std_error", "t"]
    values = robustness_value(t, df), robustness_value(t, df, alpha=0.05)
    return Sensitivity(float(slopes[0]), float(errors[0]), float(df), *values, pd.DataFrame(rows, columns=columns_of))


def sensitivity_of(study: Study, component: str, outcome: str | None = None) -> Sensitivity | None:
    """The same of a cross-section of people and its covariates: of those of whom nothing is missing, or with means in
    gaps where the study fills them. None where there are no covariates, or the regression tells nothing."""
    paths: Paths = study.paths
    if paths.n_periods > 1 or not study.covariates:
        return None
    k = paths.index(component)
    x = study.covariate_values()[:, 0, :]
    x = x if study.missing == "refuse" else filled(x)[:, : x.shape[1]]
    y, state = study.values(outcome)[:, 0], paths.state[paths.path, 0, k]
    seen = np.isfinite(y) & np.isfinite(x).all(axis=1) & paths.reach[paths.path, k] & (state >= 0)
    weight = None
    if paths.weights is not None:
        seen &= paths.weights > 0
        weight = paths.weights[seen]
    try:
        return sensitivity(y[seen], state[seen] > 0, x[seen], study.covariates, weight=weight)
    except OptionError:
        return None


def unrecorded(found: Sensitivity | None, bends: bool = False) -> CheckResult | None:
    """Informational: what would have to be unrecorded to take the straight-line answer away. bends: whether the
    headline is another answer than a straight line's."""
    if found is None:
        return None
    whose = "A straight line through the same record" if bends else "The straight-line answer"
    words = f"{whose} ({found.value:.3g}) would be taken away by something unrecorded that explained "
    words += f"{found.robust:.1%} of what is left of both exposure and outcome; its range would reach no change at "
    words += f"{found.robust_alpha:.1%}."
    once = found.benchmarks[found.benchmarks["times"] == 1]
    if len(once):
        worst = once.loc[(once["estimate"] * np.sign(found.value)).idxmin()]
        words += f" Something as strong as {worst['covariate']} would leave {worst['estimate']:.3g}."
    return CheckResult("unrecorded", "informational", words, found.robust)


def _partial(t: float, df: float) -> float:
    return float(t**2 / (t**2 + df))


def _least_squares(y: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and classical standard errors."""
    bread = np.linalg.inv(columns.T @ columns)
    slopes = bread @ (columns.T @ y)
    left = y - columns @ slopes
    return slopes, np.sqrt(left @ left / (len(y) - columns.shape[1]) * np.diag(bread))
