"""What a check says: passed, failed, or informational, in words, with its own numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalkit.errors import check_choice

STATUSES = ("passed", "failed", "informational")


@dataclass(frozen=True)
class CheckResult:
    """One check of one component's headline. `estimate` and its range are the check's own number."""

    check: str
    status: str
    words: str
    estimate: float = math.nan
    conf_low: float = math.nan
    conf_high: float = math.nan

    def __post_init__(self) -> None:
        check_choice("status", self.status, STATUSES)
