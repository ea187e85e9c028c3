"""Twenty-four partnerships as whole studies: each its own sites and quarters, its own mix of six components.

Site by quarter means of a wellbeing score, in standard deviations. What a component does differs from place to place
around a truth that is known, so that what pooling says of it can be held against something.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from evalkit.errors import OptionError
from evalkit.folders import filled
from evalkit.study import Component, Outcome, Study
from evalkit.synthetic.draws import Draws
from evalkit.synthetic.places import NAMES

PORTFOLIO: Final = "portfolio"
PLACES = 24
OUTCOME = Outcome("wellbeing", "Wellbeing, in standard deviations", "score", "higher", 0.1)
QUARTERS = tuple(str(q) for q in pd.period_range("2018Q1", periods=14, freq="Q"))
_FIRST, _THEN = 5, 4  # quarter of the first starts, and quarters until the next component
_SITES, _BESIDE = 12, 8
_SITE_SD, _QUARTER_SD, _DRIFT_SD, _RHO, _PERSON_SD = 0.15, 0.08, 0.05, 0.5, 0.9


@dataclass(frozen=True)
class Made:
    """One of the six components. tau: standard deviation of its effect between places, in the three settings."""

    name: str
    label: str
    effect: float
    tau: tuple[float, float, float]
    unit_cost: float
    description: str


COMPONENTS = (
    Made("key_worker", "Key worker", 0.15, (0.04, 0.0, 0.04), 190, "One named worker for each person."),
    Made("peer_support", "Peer support", 0.10, (0.04, 0.08, 0.04), 60, "Somebody who has been there goes along."),
    Made("budget", "Personal budget", 0.05, (0.04, 0.0, 0.04), 110, "Money that the person decides about."),
    Made("therapy", "Therapy", 0.15, (0.04, 0.08, 0.04), 240, "Talking therapy, without a waiting list."),
    Made("training", "Training for work", 0.0, (0.04, 0.04, 0.04), 90, "Courses and placements that lead to work."),
    Made("advice", "Welfare advice", 0.08, (0.04, 0.04, 0.04), 30, "Advice on benefits and debt."),
)
SETTINGS = ("clean", "realistic", "hard")
_LACKS = 0.06
"""How much less all else together does in the harder places, which chose the first component; 'hard' alone."""
_MISSING = 0.5


@dataclass(frozen=True)
class PortfolioTruth:
    """What nobody knows in real life. effects: component, truth (of a place that has it) and tau. places: place,
    component, effect there."""

    effects: pd.DataFrame
    places: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Portfolio:
    """The partnership `portfolio`: clean (places differ alike for each component), realistic (some components differ
    twice as much, others not at all), hard (harder places chose the key worker, and half of the cards are missing).

    size: multiple of the places."""

    setting: str
    seed: int
    size: float = 1.0
    name: str = PORTFOLIO

    @cached_property
    def _draws(self) -> Draws:
        return Draws(self.seed, self.name)

    @property
    def count(self) -> int:
        """How many places there are."""
        return max(round(PLACES * self.size), 2)

    @cached_property
    def mixes(self) -> tuple[tuple[str, ...], ...]:
        """Components of each place, in the order in which it took them on; the last two start together in some."""
        sizes = 2 + self._draws.pick("sizes", 3, self.count)
        orders = (self._draws.order(f"mix {i}", len(COMPONENTS)) for i in range(self.count))
        return tuple(tuple(COMPONENTS[j].name for j in order[:k]) for order, k in zip(orders, sizes, strict=True))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the places."""
        return tuple(NAMES[i] for i in range(self.count))

    @cached_property
    def effects(self) -> tuple[Mapping[str, float], ...]:
        """What each component does in each place."""
        at = SETTINGS.index(self.setting)
        own = self._draws.normal("own", self.count, len(COMPONENTS))
        out = []
        for mix, drawn in zip(self.mixes, own, strict=True):
            lack = self._lack(mix)
            out.append({c.name: c.effect + c.tau[at] * float(z) - lack * (c.name != COMPONENTS[0].name)
                        for c, z in zip(COMPONENTS, drawn, strict=True) if c.name in mix})  # fmt: skip
        return tuple(out)

    def _lack(self, mix: tuple[str, ...]) -> float:
        harder = self.setting == "hard" and COMPONENTS[0].name in mix
        return _LACKS / max(len(mix) - 1, 1) if harder else 0.0

    @cached_property
    def studies(self) -> Mapping[str, Study]:
        """Place -> its study, as an evaluator would set it up; nothing in them knows the truth."""
        return {name: self._study(i) for i, name in enumerate(self.names)}

    @cached_property
    def with_card(self) -> tuple[str, ...]:
        """Places that hand on a card."""
        if self.setting != "hard":
            return self.names
        kept = np.sort(self._draws.order("cards", self.count)[: int(self.count * (1 - _MISSING))])
        return tuple(self.names[i] for i in kept)

    def terms(self) -> dict[str, str]:
        """Component -> what it is called across places."""
        return {c.name: f"ek:{c.name.replace('_', '-')}" for c in COMPONENTS}

    def indigo_id(self, place: str) -> str:
        """What the register calls a place."""
        return f"INDIGO-SYN-{self.names.index(place) + 1:04d}"

    def reveal_truth(self) -> PortfolioTruth:
        """Open the envelope."""
        rows = []
        for j, c in enumerate(COMPONENTS):
            lacks = [self._lack(mix) * (j > 0) for mix in self.mixes if c.name in mix]
            rows.append((c.name, c.effect - float(np.mean(lacks or [0.0])), c.tau[SETTINGS.index(self.setting)]))
        own = [(p, c, e) for p, said in zip(self.names, self.effects, strict=True) for c, e in said.items()]
        return PortfolioTruth(
            pd.DataFrame(rows, columns=["component", "truth", "tau"]),
            pd.DataFrame(own, columns=["place", "component", "effect"]),
        )

    def score(self, components: pd.DataFrame) -> pd.DataFrame:
        """Pooled estimate, interval, verdict and truth side by side. components: the table of a pool."""
        keep = ["component", "verdict", "direction", "estimate", "conf_low", "conf_high", "places"]
        out = components[keep].merge(self.reveal_truth().effects, on="component", how="left")
        inside = (out["conf_low"] <= out["truth"]) & (out["truth"] <= out["conf_high"])
        return out.assign(covered=inside.astype(object).where(out["conf_low"].notna(), np.nan),
                          claimed=out["verdict"].isin(["shown", "likely"]))  # fmt: skip

    def write(self, folder: str | Path) -> Path:
        """Write places/NAME (a study each), register/ (an INDIGO project file each), README.md, and truth/ beside.

        Returns the folder of the places.
        """
        with filled(Path(folder)) as place:
            return self._write(place)

    def _write(self, place: Path) -> Path:
        for i, (name, study) in enumerate(self.studies.items()):
            study.save(place / "places" / _slug(name))
            _json(place / "register" / f"{self.indigo_id(name)}.json", self._project(i, name))
        truth = self.reveal_truth()
        (place / "truth").mkdir(parents=True, exist_ok=True)
        for table in ("effects", "places"):
            file = place / "truth" / f"{table}.csv"
            getattr(truth, table).round(6).to_csv(file, index=False, lineterminator="\n")
        _json(place / "truth" / "settings.json", self.said)
        (place / "README.md").write_text(
            _README.format(**self.said, option="" if self.size == 1 else f" --size {self.size:g}"),
            encoding="utf-8",
            newline="\n",
        )
        return place / "places"

    @property
    def said(self) -> dict[str, object]:
        """What makes the same portfolio again."""
        return {"partnership": self.name, "setting": self.setting, "seed": self.seed, "size": self.size}

    def _study(self, number: int) -> Study:
        name, mix = self.names[number], self.mixes[number]
        starts = self._starts(number)
        frame = self._panel(number, starts)
        sites = list(dict.fromkeys(frame["site"]))
        parts = []
        for made in (c for c in COMPONENTS if c.name in mix):
            rows = [(sites[i], QUARTERS[int(t)]) for i, t in enumerate(starts[made.name]) if np.isfinite(t)]
            spells = pd.DataFrame(rows, columns=["level_id", "start"])
            parts.append(Component(made.name, label=made.label, adoption=spells, unit_cost=made.unit_cost,
                                   description=made.description))  # fmt: skip
        return Study(
            frame, unit="site", period="quarter", components=parts, outcomes=[OUTCOME],
            title=f"{name} (synthetic)", question=f"Which parts helped in {name}?",
        )  # fmt: skip

    def _starts(self, number: int) -> dict[str, np.ndarray]:
        """Quarter in which each site starts each component; infinite for never.

        Sites are dealt into as many groups as there are components; each group starts another one first, and half of it
        the next one a year later. In every third place with three or more, the last two always start together.
        """
        mix = self.mixes[number]
        order = self._draws.order(f"sites {number}", _SITES)
        late = self._draws.pick(f"late {number}", 2, _SITES)
        together = number % 3 == 0 and len(mix) > 2
        own = mix[:-1] if together else mix
        starts = {c: np.full(_SITES + _BESIDE, np.inf) for c in mix}
        for position, site in enumerate(order.tolist()):
            group = position % len(own)
            starts[own[group]][site] = _FIRST + late[position]
            if position // len(own) % 2:
                starts[own[(group + 1) % len(own)]][site] = _FIRST + _THEN + late[position]
        if together:
            starts[mix[-1]] = starts[own[-1]].copy()
        return starts

    def _panel(self, number: int, starts: Mapping[str, np.ndarray]) -> pd.DataFrame:
        n, t = _SITES + _BESIDE, len(QUARTERS)
        people = 15 + 5 * self._draws.pick(f"people {number}", 6, n)
        value = _SITE_SD * self._draws.normal(f"site {number}", n, 1) + np.zeros((n, t))
        value += _QUARTER_SD * self._draws.normal(f"quarter {number}", 1, t)
        shock = _DRIFT_SD * self._draws.normal(f"shock {number}", n, t)
        for q in range(1, t):
            shock[:, q] = _RHO * shock[:, q - 1] + np.sqrt(1 - _RHO**2) * shock[:, q]
        value += shock + _PERSON_SD / np.sqrt(people)[:, None] * self._draws.normal(f"people {number} mean", n, t)
        for name, start in starts.items():
            value += self.effects[number][name] * (np.arange(t) >= start[:, None])
        place = self.names[number]
        sites = [f"{place} {i + 1:02d}" for i in range(n)]
        rows = {"site": np.repeat(sites, t), "quarter": np.tile(QUARTERS, n)}
        return pd.DataFrame({**rows, "wellbeing": np.round(value.ravel(), 4)})

    def _project(self, number: int, name: str) -> dict[str, object]:
        """The place as an INDIGO project file."""
        value = lambda v: {"value": v}  # noqa: E731
        provisions = []
        for made in (c for c in COMPONENTS if c.name in self.mixes[number]):
            first = np.min(self._starts(number)[made.name])
            start = pd.Period(QUARTERS[int(first)], freq="Q").start_time.strftime("%Y-%m")
            provisions.append({"id": made.name, "status": "PUBLIC", "intervention": value(made.description),
                               "actual_service": {"start_date": value(start)}})  # fmt: skip
        return {
            "id": self.indigo_id(name), "status": "PUBLIC", "name": value(f"{name} (synthetic)"),
            "purpose_and_classifications": {"policy_sector": value("Health")},
            "service_provisions": provisions,
            "delivery_locations": [{"status": "PUBLIC", "service_provision_id": value(p["id"]),
                                    "location_name": value(name)} for p in provisions],
            "outcome_metrics": [{"id": "wellbeing", "status": "PUBLIC", "definition": value(OUTCOME.label)}],
        }  # fmt: skip


def portfolio(setting: str, seed: int, knobs: Mapping[str, object]) -> Portfolio:
    """The portfolio in a setting. Raises `OptionError` for any knob but `size`, here a multiple of the places."""
    if others := [k for k in knobs if k != "size"]:
        raise OptionError(
            f"The portfolio has no knob {others[0]!r}: its settings and `size` are all that can be turned."
        )
    size = float(str(knobs.get("size", 1.0)))
    if PLACES * size > len(NAMES):
        raise OptionError(f"size={size:g} is too large for the portfolio: there are names for {len(NAMES)} places.")
    return Portfolio(setting, seed, size)


def _slug(name: str) -> str:
    return name.lower().replace(" ", "_")


def _json(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


_README = """# Twenty-four partnerships (synthetic)

Twenty-four small partnerships, each with its own sites, quarters and mix of six components, as whole studies.
**Everything here is simulated: no row is about a real person or place, and no number is an estimate of a real
project.**

Made by `evalkit synth {partnership} --setting {setting} --seed {seed}{option} --out FOLDER`; the same seed gives the
same tables everywhere.

    for place in places/*; do evalkit card $place --out cards; done     # a card from each place
    evalkit pool cards --register register --out page                   # what worked where; then open page/report.html

| File | What |
|---|---|
| `places/` | a folder for each place: `study.toml`, panel and adoption |
| `register/` | a project file of the INDIGO data standard for each place |
| `truth/` | the answer: what each component does on average and how much places differ, and what it did in each place |
"""
