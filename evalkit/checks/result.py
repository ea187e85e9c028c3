"""What a check says: passed, failed, or informational, in words; and when an answer has changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from evalkit.errors import check_choice
from evalkit.inference.estimate import Estimate
from evalkit.vocabulary import CHECK_STATUSES, CheckStatus


@dataclass(frozen=True)
class CheckResult:
    """One check of one component's headline. `estimate` and its range are the check's own number; `brief` is what it
    says without a p value, where `words` hold one."""

    check: str
    status: CheckStatus
    words: str
    estimate: float = math.nan
    conf_low: float = math.nan
    conf_high: float = math.nan
    brief: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        check_choice("status", self.status, CHECK_STATUSES)


def first_row(estimate: Estimate) -> pd.Series:
    """The first row of an estimate, with its interval."""
    return estimate.to_frame().iloc[0]


def numbers(row: pd.Series) -> tuple[float, float, float]:
    """Estimate and both ends of its interval."""
    return float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"])


def excludes_zero(row: pd.Series) -> bool:
    """Whether the interval lies wholly on one side of zero."""
    return bool(row["conf_low"] > 0 or row["conf_high"] < 0)


def moved(headline: Estimate, others: np.ndarray, matters: float | None) -> np.ndarray:
    """Which of `others` (m,) are another answer than the headline's.

    Where the headline's interval excludes zero: the sign flips, or the estimate moves by over half. Where
    it does not, the estimate is near zero and any sign is chance: then only a move by over half of what
    matters counts (by over one standard error where nobody has said what matters).
    """
    row = first_row(headline)
    value = float(row["estimate"])
    if excludes_zero(row):
        return (np.sign(others) != np.sign(value)) | (np.abs(others - value) > abs(value) / 2)
    margin = matters / 2 if matters is not None else float(row["std_error"])
    return np.abs(others - value) > margin
