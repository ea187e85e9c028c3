"""Covariates that are missing: answers over several fillings joined into one (Rubin 1987)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from evalkit.inference.estimate import Estimate
from evalkit.inference.intervals import Spread
from evalkit.inference.replicates import Method
from evalkit.study import Study

TIMES = 10
"""How often gaps are filled."""


_Call = TypeVar("_Call", bound=Callable[..., Estimate])


def over_fillings(call: _Call) -> _Call:
    """The call of a design with covariates: where a study imputes and there are gaps, over ten fillings, joined. Of
    splits that are repeated, each filling has one, of its own."""

    @wraps(call)
    def again(design: Any, study: Study, component: str | None = None) -> Estimate:
        if study.missing != "impute" or study.filling is not None or isinstance(design.covariates, str):
            return call(design, study, component)
        if not study.gaps(design.covariates).any():
            return call(design, study, component)
        splits = hasattr(design, "repeats") and getattr(design, "method", "aipw") == "aipw"
        own = [replace(design, seed=design.seed + t, repeats=1) if splits else design for t in range(TIMES)]
        return joined([call(one, study.filled(t), component) for t, one in enumerate(own)])

    return cast(_Call, again)


@dataclass(frozen=True, eq=False)
class _Moved:
    spread: Spread

    def __call__(self, matrix: np.ndarray | None) -> Spread:
        if matrix is None:
            return self.spread
        _, df = self.spread.of_sums(matrix)
        reasons = tuple(
            next((r for r, w in zip(self.spread.reason, row, strict=True) if w and r), "") for row in matrix
        )
        return Spread(matrix @ self.spread.vcov @ matrix.T, df, reasons)


def joined(answers: Sequence[Estimate]) -> Estimate:
    """One estimate of several, each on covariates filled once: their mean, with the mean of their covariances and
    (1 + 1/m) times that of the answers between them (Rubin 1987, chapter 3); degrees of freedom by Barnard and Rubin
    (1999, Biometrika 86). Contributions are those of the answer in the middle, made as large as that."""
    m, values = len(answers), np.array([a.value for a in answers])
    mean = values.mean(axis=0)
    within = np.mean([_covariance(a) for a in answers], axis=0)
    between = np.atleast_2d(np.cov(values, rowvar=False)) * (1 + 1 / m)
    total = within + between
    complete = np.min([a.to_frame()["df"].to_numpy(dtype=float) for a in answers], axis=0)
    df = _degrees(np.diag(between), np.diag(total), complete, m)
    middle = answers[int(np.abs(values[:, 0] - mean[0]).argmin())]
    own = np.diag(_covariance(middle))
    grow = np.sqrt(np.divide(np.diag(total), own, out=np.ones(len(mean)), where=own > 0))
    reasons = tuple(str(r) for r in middle.label_columns["reason"])
    spread = Spread(total, df, reasons)
    return replace(
        middle, value=mean, value_influence=middle.value_influence.map(np.diag(grow)), replicate=None, working=None,
        method=Method("multiple imputation", _Moved(spread)),
    )  # fmt: skip


def _covariance(answer: Estimate) -> np.ndarray:
    """(k, k) covariance with the standard errors that are printed."""
    errors = answer.to_frame()["std_error"].to_numpy(dtype=float)
    if len(errors) == 1:
        return errors[:, None] ** 2
    own = answer.vcov()
    plain = np.sqrt(np.diag(own))
    scale = np.divide(errors, plain, out=np.zeros(len(plain)), where=plain > 0)
    return np.asarray(own * np.outer(scale, scale))


def _degrees(between: np.ndarray, total: np.ndarray, complete: np.ndarray, m: int) -> np.ndarray:
    share = np.divide(between, total, out=np.zeros(len(total)), where=total > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (m - 1) / share**2
        seen = np.where(np.isfinite(complete), (complete + 1) / (complete + 3) * complete, np.inf) * (1 - share)
        return np.asarray(np.where(share > 0, 1 / (1 / drawn + 1 / seen), complete))
