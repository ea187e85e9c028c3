"""One town alone: four components that began in it at different times, beside other towns or nobody. Truth is known.

Months of one outcome, emergency admissions for every 10,000 people, where less is better. A thirteenth-month effect,
a season, noise that is remembered, a past that bends, and something else that began at the same time are knobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from evalkit.errors import OptionError
from evalkit.folders import filled
from evalkit.study import Component, Outcome, Study
from evalkit.synthetic.draws import Draws
from evalkit.synthetic.knobs import MORE, NUMBER, PERIODS, SHARE, YES_NO, knob
from evalkit.synthetic.places import NAMES
from evalkit.synthetic.score import KEEP

TOWN: Final = "town"
MONTHS = tuple(str(m) for m in pd.period_range("2016-01", periods=108, freq="M"))
OUTCOME = Outcome("admissions", "Emergency admissions for every 10,000 people", "score", "lower", 2.0)
THIRTEENTH = 12
_OTHERS, _LEVEL, _NOISE, _WAVE, _SEASON = 8, 62.0, 1.5, 0.15, 3.0


@dataclass(frozen=True)
class Begun:
    """A component of the town. start: its month, counted from 0. effect: on admissions, from its `lag`-th month on."""

    name: str
    label: str
    start: int
    effect: float
    lag: int = 0
    description: str = ""


COMPONENTS = (
    Begun("navigator", "Navigators", 40, -4.0, 0, "Somebody who finds the right door, for those who came in often."),
    Begun("beds", "Step-down beds", 58, 0.0, 0, "Beds in which people get well before they go home."),
    Begun("contract", "Contract by results", 76, -5.0, THIRTEENTH, "Payments begin in the thirteenth month."),
    Begun("rota", "Evening rota", 78, -2.0, 0, "A surgery that is open in the evening."),
)


@dataclass(frozen=True)
class TownKnobs:
    """What may be turned in the town."""

    others: int = knob(_OTHERS, PERIODS, "other towns, in which nothing begins")
    size: float = knob(1.0, MORE, "multiple of the other towns")
    rho: float = knob(0.2, SHARE, "how much of a month's noise is the last one's")
    season: bool = knob(True, YES_NO, "admissions are highest in January")
    bend: float = knob(0.0, NUMBER, "by how many standard deviations of the noise its own past leaves its first slope")
    event: float = knob(0.0, NUMBER, "what something else does to it that began with the navigators")
    listed: bool = knob(False, YES_NO, "the study lists that event")
    thirteenth: bool = knob(True, YES_NO, "the contract does something, from its thirteenth month on")


_SETTINGS = {
    "clean": TownKnobs(season=False),
    "realistic": TownKnobs(others=0, rho=0.4),
    "hard": TownKnobs(others=0, rho=0.6, bend=2.0, event=-4.0),
}


@dataclass(frozen=True, eq=False)
class TownTruth:
    """What nobody knows in real life. effects: component, period, effect there and then. event: the same of what else
    began with the navigators."""

    effects: pd.DataFrame
    event: float


@dataclass(frozen=True, eq=False)
class Town:
    """The partnership `town`. `study` is what an evaluator gets; `reveal_truth()` opens the envelope.

    clean: beside eight other towns. realistic: alone, with a season and noise that is remembered. hard: alone, its past
    bends, and something that nobody wrote down began with the navigators."""

    setting: str
    seed: int
    knobs: TownKnobs
    name: str = TOWN

    @cached_property
    def study(self) -> Study:
        """The study as an evaluator would set it up; nothing in it knows the truth."""
        towns = NAMES[: 1 + round(self.knobs.others * self.knobs.size)]
        rows = {"town": np.repeat(towns, len(MONTHS)), "month": np.tile(MONTHS, len(towns))}
        parts = [Component(c.name, label=c.label, lag=c.lag, description=c.description,
                           adoption=pd.DataFrame({"level_id": [towns[0]], "start": [MONTHS[c.start]]}))
                 for c in COMPONENTS]  # fmt: skip
        event = [("Another hospital opened", MONTHS[COMPONENTS[0].start], None)]
        return Study(
            pd.DataFrame({**rows, OUTCOME.column: np.round(self._outcomes(len(towns)).ravel(), 3)}), unit="town",
            period="month", components=parts, outcomes=[OUTCOME], title=f"{towns[0]} alone (synthetic)",
            question=f"Which parts kept people of {towns[0]} out of hospital?",
            events=event if self.knobs.event and self.knobs.listed else None,
        )  # fmt: skip

    def _outcomes(self, towns: int) -> np.ndarray:
        """(towns, T) admissions; the first town is the one with the components."""
        draws, n, k = Draws(self.seed, TOWN), len(MONTHS), self.knobs
        noise = draws.normal("noise", len(NAMES), n)[:towns]
        for t in range(1, n):
            noise[:, t] = k.rho * noise[:, t - 1] + np.sqrt(1 - k.rho**2) * noise[:, t]
        level = _LEVEL + 4 * draws.normal("level", len(NAMES), 1)[:towns]
        shared = (0.8 + 0.4 * draws.uniform("load", len(NAMES), 1)[:towns]) * np.cumsum(
            _WAVE * draws.normal("wave", 1, n)
        )
        month = np.arange(n)
        season = _SEASON * k.season * np.cos(2 * np.pi * month / 12)
        whole = level + (shared if towns > 1 else 0.0) + season + _NOISE * noise
        whole[0] += k.bend * _NOISE * np.minimum(month / COMPONENTS[0].start, 2) ** 2
        whole[0] += np.sum([self._effect(c) for c in COMPONENTS], axis=0)
        whole[0] += k.event * (month >= COMPONENTS[0].start)
        return np.asarray(whole)

    def _effect(self, c: Begun) -> np.ndarray:
        there = c.lag != THIRTEENTH or self.knobs.thirteenth
        return c.effect * there * (np.arange(len(MONTHS)) >= c.start + c.lag)

    @cached_property
    def _truth(self) -> TownTruth:
        frames = [pd.DataFrame({"component": c.name, "period": MONTHS, "effect": self._effect(c)})[c.start :]
                  for c in COMPONENTS]  # fmt: skip
        return TownTruth(pd.concat(frames, ignore_index=True), self.knobs.event)

    def reveal_truth(self) -> TownTruth:
        """Open the envelope."""
        return self._truth

    def truth_for(self, weights: pd.DataFrame) -> pd.Series:
        """The truth over exactly the cells that an estimate speaks of. weights: what `est.weights()` returns; a
        bundle's truth is that of all that is in it."""
        effects, rows = self._truth.effects, weights[weights["sign"] == 1]
        known = effects.set_index(["component", effects["period"].astype(str)])["effect"]
        names = {c.name for c in COMPONENTS}
        members = rows["component"].map(lambda said: [m for m in str(said).split() if m.strip(",") in names])
        each = [sum(float(known.get((m.strip(","), str(p)), 0.0)) for m in found)
                for found, p in zip(members, rows["period"], strict=True)]  # fmt: skip
        return (rows["weight"] * each).groupby(rows["row"]).sum()

    def score(self, evaluation: Any) -> pd.DataFrame:
        """Estimate, interval, verdict and truth side by side, a row a component, and one for each bundle that was
        run."""
        out = evaluation.verdicts[[c for c in KEEP if c in evaluation.verdicts]].copy()
        out["truth"] = [self._truth_of(evaluation.estimate(str(c))) for c in out["component"]]
        bundles = []
        for b in (b for b in evaluation.bundle_runs if b.run is not None):
            found = {c: getattr(b.evidence, c) for c in ("estimate", "conf_low", "conf_high", "design")}
            about = {"component": b.name, "outcome": OUTCOME.column, "verdict": "together"}
            bundles.append({**about, **found, "truth": self._truth_of(b.run.answer)})
        out = pd.concat([out, pd.DataFrame(bundles)], ignore_index=True)
        out["error"] = out["estimate"] - out["truth"]
        inside = (out["conf_low"] <= out["truth"]) & (out["truth"] <= out["conf_high"])
        out["covered"] = inside.astype(object).where(out["conf_low"].notna() & out["truth"].notna(), np.nan)
        return out.assign(claimed=out["verdict"].isin(["shown", "likely"]))

    def _truth_of(self, answer: Any) -> float:
        return np.nan if answer is None else float(self.truth_for(answer.weights()).iloc[0])

    def write(self, folder: str | Path) -> Path:
        """Write study.toml with its tables, README.md, and truth/ beside; returns the study file."""
        settings = json.dumps(self.said, indent=1) + "\n"
        with filled(Path(folder)) as place:
            self.study.save(place)
            (place / "truth").mkdir(exist_ok=True)
            self._truth.effects.to_csv(place / "truth" / "effects.csv", index=False, lineterminator="\n")
            (place / "truth" / "settings.json").write_text(settings, encoding="utf-8", newline="\n")
            (place / "README.md").write_text(_README.format(**self.said), encoding="utf-8", newline="\n")
        return place / "study.toml"

    @property
    def said(self) -> dict[str, Any]:
        """What makes the same town again."""
        return {"partnership": TOWN, "setting": self.setting, "seed": self.seed, "knobs": asdict(self.knobs)}


def town(setting: str, seed: int, knobs: Mapping[str, Any]) -> Town:
    """The town in a setting, with knobs turned. Raises `OptionError` for more other towns than there are names for."""
    made = replace(_SETTINGS[setting], **knobs)
    if round(made.others * made.size) >= len(NAMES):
        raise OptionError(
            f"others={made.others} at size={made.size:g} is too many: there are names for {len(NAMES) - 1}."
        )
    return Town(setting, seed, made)


_README = """# One town alone (synthetic)

Admissions of a town by month, and four components that began in it at different times. **Everything here is simulated:
no row is about a real place, and no number is an estimate of a real project.**

Made by `evalkit synth {partnership} --setting {setting} --seed {seed} --out FOLDER`; the same seed gives the same
tables everywhere.

| File | What |
|---|---|
| `study.toml` and its tables | the study |
| `truth/` | the answer: what each component did in each month, and the settings |
"""
