"""Outcomes that wait for an event: who was lost from sight before people are compared, and who stands for them."""

from __future__ import annotations

import numpy as np

from evalkit.checks.headline import CheckResult
from evalkit.study.waits import Waits
from evalkit.waiting.standing import MOST


def followed_to(waits: Waits, arms: tuple[np.ndarray, np.ndarray], unit: str = "") -> CheckResult:
    """Failed where somebody who was followed would have to stand for more than twenty people; passed where everybody's
    outcome is known, else informational: it rests on those lost being like those of their kind.

    arms: (n,) bool each, exposed and comparison people. estimate: the larger share lost of either arm."""
    when = f"{waits.by:g} {unit}".strip()
    lost = [float((~waits.waited.known[arm]).mean()) if arm.any() else 0.0 for arm in arms]
    if not any(lost):
        words = f"Everybody was followed until it happened, or to {when}."
        return CheckResult("followed_to", "passed", words, 0.0)
    shares = [f"{round(100 * share)} in 100" for share in lost]
    words = (
        f"Compared at {when}. Before that {shares[0]} of those with it were lost from sight, {shares[1]} of the others"
    )
    cut = waits.standing.cut[arms[0] | arms[1]].any()
    if cut:
        words += f"; some of those who were followed would have to stand for more than {MOST:.0f} others each."
        return CheckResult("followed_to", "failed", words, max(lost))
    words += "; what those like them came to stands for them, right if nothing else decided who was lost."
    return CheckResult("followed_to", "informational", words, max(lost))
