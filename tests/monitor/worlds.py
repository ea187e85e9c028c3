"""Small feeds and studies to watch: twelve places, six of which start a part; ten people each, a score a month."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import evalkit as ek

PLACES = [f"Place {c}" for c in "ABCDEFGHIJKL"]
MONTHS = [f"{2026 + m // 12}-{m % 12 + 1:02d}" for m in range(21)]
START = "2027-01"
STUDY = """
[study]
title = "A small delivery"
people = "people.csv"
unit = "person"
period = "month"
cluster = "place"

[outcomes.score]
label = "Score"
kind = "score"
better = "higher"
matters = 0.5

[components.part]
label = "The part"
adoption = "adoption.csv"
assigned_at = "place"
reach = "eligible"

[watch]
feed = "feed/*.csv"
looks = "quarter"
first = "2027-03"
last = "2027-09"
settle = 20
"""


def people() -> pd.DataFrame:
    """Ten people a place."""
    ids = np.arange(10 * len(PLACES))
    return pd.DataFrame({"person": ids + 1, "place": np.repeat(PLACES, 10), "eligible": 1})


def adoption(**columns: Any) -> pd.DataFrame:
    """The first six places start the part."""
    table = pd.DataFrame({"component": "part", "level_id": PLACES[:6], "start": START})
    return table.assign(**columns)


def events(effect: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """A row of the roster and a score for everybody in every month, recorded some days later."""
    rng = np.random.default_rng(seed)
    who = people()
    frames = []
    for month in MONTHS:
        on = who["place"].isin(PLACES[:6]) & (month >= START)
        days = pd.Timestamp(month) + pd.to_timedelta(rng.integers(0, 28, len(who)), unit="D")
        shock = pd.Series(rng.normal(0, 0.2, len(PLACES)), PLACES)
        score = 5 + rng.normal(0, 1, len(who)) + who["place"].map(shock) + effect * on
        base = who[["person", "place"]].assign(provider=np.where(who.index % 2, "North", "South"), occurred=days)
        frames += [base.assign(code="seen", value=1.0), base.assign(code="score", value=score.round(2))]
        frames.append(base[on].assign(code="part", value=1.0))
    whole = pd.concat(frames, ignore_index=True)
    recorded = whole["occurred"] + pd.to_timedelta(rng.integers(0, 12, len(whole)), unit="D")
    whole = whole.assign(recorded=recorded, delivered=recorded + pd.offsets.MonthEnd(0))
    return whole.assign(event_id=[f"e{i}" for i in range(len(whole))])


def write(folder: Path, rows: pd.DataFrame | None = None, study: str = STUDY, **register: Any) -> Path:
    """A study with a feed, a file for each delivery; returns the study file."""
    (folder / "feed").mkdir(parents=True, exist_ok=True)
    people().to_csv(folder / "people.csv", index=False)
    adoption(**register).to_csv(folder / "adoption.csv", index=False)
    for day, part in (events() if rows is None else rows).groupby("delivered"):
        part.drop(columns="delivered").to_csv(folder / "feed" / f"events-{day:%Y-%m-%d}.csv", index=False)
    (folder / "study.toml").write_text(study, encoding="utf-8")
    return folder / "study.toml"


def panel(effect: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """The same as rows of people and months, without a feed."""
    rows = events(effect, seed)
    rows = rows[rows["code"] == "score"].assign(month=lambda t: t["occurred"].dt.strftime("%Y-%m"))
    return rows[["person", "place", "month", "value"]].rename(columns={"value": "score"})


def study_of(effect: float = 0.0, watch: dict[str, Any] | None = None, **register: Any) -> ek.Study:
    """The panel as a study in memory."""
    said = {"looks": "quarter", "first": "2027-03", "last": "2027-09", "settle": 20} | (watch or {})
    return ek.Study(
        panel(effect), unit="person", period="month", cluster="place", outcome="score", kind="score", matters=0.5,
        components=[ek.Component("part", label="The part", adoption=adoption(**register), assigned_at="place")],
        settings={"watch": said}, title="A small delivery",
    )  # fmt: skip
