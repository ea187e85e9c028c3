"""Where each answer stands on scales that others use, worked out from what the design and its checks are; each with its
reason. A self-assessment: nobody else has looked."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from evalkit.evaluation import Evaluation
from evalkit.reporting.strict import PAGE
from evalkit.verdicts.evidence import Evidence, Verdict
from evalkit.verdicts.rules import smallest_detectable

_WORDS = tomllib.loads((PAGE / "standards.toml").read_text(encoding="utf-8"))
_DETECTABLE = (0.6, 0.5, 0.4, 0.3, 0.2)
_LOST = (0.5, 0.4, 0.3, 0.2, 0.1)
_OWN_PAST = ("InterruptedTimeSeries",)


@dataclass(frozen=True)
class Level:
    """Where one answer stands on one scale. component: its name, or '' for the whole study. level: as the scale counts,
    or 'not rated'."""

    component: str
    scale: str
    level: str
    reason: str


def levels(evaluation: Evaluation) -> list[Level]:
    """The answers on the first outcome on the Maryland scale, the EEF's padlocks and Nesta's standards, in the order of
    the register."""
    first, study = evaluation.study.outcome(), evaluation.study
    spread = float(np.nanstd(study.values(first))) if len(study.paths.units) else math.nan
    paths = study.paths
    people = paths.n_units > len(paths.levels[paths.cluster].names) and paths.heads is None
    why = "places" if paths.heads is None else "added"
    lost = _lost(evaluation)
    found: list[Level] = []
    for e, v in evaluation.judged:
        if e.outcome == first.column:
            found.append(_maryland(e, study.paths.n_periods))
            found.append(_padlocks(e, spread if people else math.nan, lost, paths.n_periods, why))
            found.append(_nesta(e, v, study.component(e.component).card, study.component(e.component).description))
    return found


def basis_of(e: Evidence, periods: int) -> str:
    """What kind of comparison an answer rests on: 'chance', 'own past', 'places over time', 'people over time', 'people
    once', 'unrecorded' or 'none'."""
    if e.estimate != e.estimate:
        return "none"
    if e.rests_on_chance:
        return "chance"
    if e.design in _OWN_PAST:
        return "own past"
    if e.rests_on_matching:
        return "unrecorded" if e.unrecorded else "people over time" if periods > 1 else "people once"
    return "places over time"


def _failed(e: Evidence, *checks: str) -> list[str]:
    return [c.check for c in e.checks if c.status == "failed" and c.check in checks]


def _maryland(e: Evidence, periods: int) -> Level:
    basis = basis_of(e, periods)
    level, reason = _WORDS["maryland"][basis]
    if basis == "chance" and _failed(e, "balance", "attrition"):
        level, reason = "4", _WORDS["maryland"]["damaged"]
    elif basis in ("places over time", "people over time") and _failed(e, "pre_trend", "fit", "placebo_places"):
        level, reason = "2", _WORDS["maryland"]["apart"]
    return Level(e.component, "Maryland scale, 1 to 5", level, reason)


def _padlocks(e: Evidence, spread: float, lost: float, periods: int, why: str = "places") -> Level:
    """The lowest of design, what could have been seen and what was lost, less one where a check of it failed. why: why
    there is no spread of people."""
    basis, scale = basis_of(e, periods), "EEF padlocks, 0 to 5"
    if basis == "none" or not spread > 0:
        return Level(e.component, scale, "not rated", _WORDS["eef"]["none" if basis == "none" else why])
    seen = smallest_detectable(e.std_error, e.df) / spread
    if not math.isfinite(seen):
        return Level(e.component, scale, "not rated", _WORDS["eef"]["open"])
    each = {"design": int(_WORDS["eef"]["design"][basis]), "seen": _locks(seen, _DETECTABLE)}
    if lost == lost:
        each["lost"] = _locks(lost, _LOST)
    less = bool(_failed(e, "balance", "attrition", "pre_trend", "drift", "stayers", "by_people"))
    level = max(min(each.values()) - less, 0)
    reason = _WORDS["eef"]["reason"].format(**{"lost": "?", **each}, size=f"{math.ceil(100 * seen) / 100:.2f}")
    reason += _WORDS["eef"]["lost" if "lost" in each else "not_counted"].format(lost=each.get("lost"))
    return Level(e.component, scale, str(level), reason + (_WORDS["eef"]["less"] if less else ""))


def _locks(value: float, limits: tuple[float, ...]) -> int:
    """How many of the limits, from the loosest to the tightest, a value keeps to."""
    return sum(value <= limit for limit in limits)


def _nesta(e: Evidence, v: Verdict, card: Mapping[str, str], description: str) -> Level:
    if e.estimate == e.estimate and v.verdict in ("shown", "likely") and v.direction == "better":
        level = "3"
    else:
        level = "2" if e.estimate == e.estimate else "1" if card.get("why") or description else "0"
    return Level(e.component, "Nesta standards, 1 to 5", level, _WORDS["nesta"][level])


def _lost(evaluation: Evaluation) -> float:
    """Share of the rows of the first outcome that are missing; NaN where that is not published."""
    table = evaluation.recorded
    mine = table[table["outcome"] == evaluation.study.outcome().column]
    rows, missing = (float(mine[c].sum(skipna=False)) for c in ("rows", "missing"))
    return missing / rows if rows > 0 else math.nan


def checklist(evaluation: Evaluation) -> Iterator[tuple[str, str, str]]:
    """Question, answer ('yes', 'partly', 'no') and reason of each item that the Magenta Book asks of an evaluation and
    that a study file can answer."""
    study = evaluation.study
    about = study.settings.get("report")
    given = about if isinstance(about, Mapping) else {}
    why = [bool(c.card.get("why")) for c in study.components]
    planned = (evaluation.plan or {}).get("outcomes")
    fixed = {o["column"]: o["matters"] for o in planned} if isinstance(planned, list) else {}
    matters = [o.matters is not None and fixed.get(o.column, o.matters) == o.matters for o in study.outcomes]
    answered = [s.verdict not in ("not_tested", "cannot_tell_apart") for s in evaluation.statements]
    parts = {
        "question": [bool(study.question)], "theory": why, "described": [bool(c.description) for c in study.components],
        "matters": matters, "plan": [bool(evaluation.plan)], "comparison": answered,
        "harm": [any(o.harm for o in study.outcomes)], "cost": [evaluation.value is not None],
        "process": [bool(given.get("evidence"))], "ethics": [bool(given.get(k)) for k in ("ethics", "data_protection")],
        "open": [True],
    }  # fmt: skip
    for key, known in parts.items():
        item = _WORDS["magenta"][key]
        answer = "yes" if all(known) else "partly" if any(known) else "no"
        yield item["asks"], answer, item[answer].format(n=sum(known), of=len(known))
