"""What would have let us tell: places are named, single people never."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import reporting


def study_of(level: str) -> ek.Study:
    """240 people in 12 boroughs; advice and nurse always begin together, person by person or borough by borough."""
    rng = np.random.default_rng(1)
    person, t = np.repeat(np.arange(240), 10), np.tile(np.arange(10), 240)
    start = np.array([3, 4, 5, 6, 99, 99])[(person if level == "person" else person // 20) % 6]
    frame = pd.DataFrame({
        "person": [f"Jo {i:03d}" for i in person], "borough": [f"Ham {i:02d}" for i in person // 20], "month": t,
        "score": rng.normal(size=2400), "advice": (t >= start).astype(int), "nurse": (t >= start).astype(int),
    })  # fmt: skip
    parts = ["advice", "nurse"]
    return ek.Study(frame, unit="person", period="month", cluster=level, outcome="score", components=parts,
                    settings={"disclosure": "acro"})  # fmt: skip


@pytest.mark.parametrize(("level", "name", "named"), [("person", "Jo", False), ("borough", "Ham", True)])
def test_single_people_are_not_named(level: str, name: str, named: bool) -> None:
    raw = ek.evaluate(study_of(level))
    assert raw.separability.cure["words"].str.contains(f"{name} ").all() and len(raw.separability.cure) == 2
    safe = reporting.safe(raw)
    cure = safe.separability.cure
    said = [*cure["words"], *cure["unnamed"], *map(str, cure["places"]), *(e.cure for e, _ in safe.judged)]
    assert all(cure["words"].str.startswith("Delaying"))
    assert any(f"{name} " in s for s in said) == named
