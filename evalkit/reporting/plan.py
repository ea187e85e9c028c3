"""A plan fixed before any outcome is read: outcomes, components, windows and rules, with a hash over all of it.

A result is *planned* when its outcome, its component, its headline design and its window are those of the plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evalkit import __version__
from evalkit.components import separability
from evalkit.components.wording import names_of
from evalkit.errors import EvalkitError
from evalkit.evaluation import Evaluation
from evalkit.evaluation.ladder import Choices, design_of, rule_words, window_of
from evalkit.evaluation.rungs import arrival_width, came_words, gathered_words
from evalkit.folders import put
from evalkit.inference.intervals import check_level
from evalkit.show.words import join_words, quoted
from evalkit.study import Study
from evalkit.study.paths import Paths

FILE = "plan.json"
_OUTCOME = ("column", "label", "kind", "better", "matters")
_COMPONENT = ("assigned_at", "reach", "lag", "always_on")
_WORDS = {
    "design": "the design",
    "window": "the window",
    "arrival": "who is compared with whom",
    "matters": "how much matters",
    "better": "which way is better",
}


def make_plan(study: Study, level: float = 0.95) -> dict[str, Any]:
    """What will be asked of a study and how, from its register and exposures alone. Opens no outcome."""
    check_level(level)
    study = study.as_compared()
    rows = separability(study).components.set_index("component")
    choices, names = Choices.of(study.settings), names_of(study)
    components = []
    for c in study.components:
        window = window_of(rows.loc[c.name], c.lag).within(choices.horizon)
        best = str(rows.loc[c.name, "best_design"])
        arrival = arrival_width(study.paths, c.name, best, choices, window)
        rule = (
            rule_words(design_of(study.paths, c.name, best, bool(study.covariates)), c.label)
            + came_words(names, arrival)
            + gathered_words(study)
        )
        fixed = {name: _plain(getattr(c, name)) for name in _COMPONENT}
        components.append(
            {"name": c.name, "label": c.label, **fixed, "status": str(rows.loc[c.name, "status"]), "design": best,
             "window": [window.lag, window.until], "arrival": arrival, "rule": rule}
        )  # fmt: skip
    body = {
        "evalkit": __version__, "title": study.title, "question": study.question, "level": level,
        "outcomes": [{name: _plain(getattr(o, name)) for name in _OUTCOME} for o in study.outcomes],
        "components": components,
        "settings": {k: _plain(v) for k, v in sorted(study.settings.items()) if k != "report"},
        "exposures": exposure_hash(study.paths),
    }  # fmt: skip
    return {**body, "sha256": plan_hash(body)}


def plan_hash(plan: Mapping[str, Any]) -> str:
    """SHA-256 of everything in a plan but its own hash."""
    body = {k: v for k, v in plan.items() if k != "sha256"}
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def exposure_hash(paths: Paths) -> str:
    """SHA-256 of who was exposed to what and when; no outcome is in it."""
    whole = hashlib.sha256()
    for part in (paths.units.astype(str), np.asarray([str(p) for p in paths.periods])):
        whole.update("\n".join(part.tolist()).encode("utf-8"))
    if paths.heads is not None:
        whole.update(paths.heads.astype("<i8").tobytes())
    whole.update(np.ascontiguousarray(paths.state[paths.path]).astype("<i2").tobytes())
    whole.update(np.ascontiguousarray(paths.reach[paths.path]).tobytes())
    if any(d != (1.0,) for d in paths.doses):
        whole.update("\n".join(" ".join(f"{v:.9g}" for v in d) for d in paths.doses).encode("utf-8"))
    return whole.hexdigest()


def write_plan(plan: Mapping[str, Any], file: Path) -> Path:
    """Write a plan as JSON; refuses to write over one, because a plan that can be rewritten fixes nothing."""
    if file.exists():
        raise EvalkitError(
            f"There is a plan already: {file.name} in {str(file.parent)!r}. Keep it, or name another file."
        )
    return put(file, (json.dumps(plan, indent=2, ensure_ascii=False) + "\n").encode())


def read_plan(file: str | Path) -> dict[str, Any]:
    """A plan from its file. Raises `EvalkitError` when it is not there, is no plan, or was changed afterwards."""
    path = Path(file)
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise EvalkitError(f"{str(file)!r} cannot be read as a plan. Make one: evalkit plan STUDY.") from None
    if not isinstance(plan, dict) or not {"sha256", "outcomes", "components"} <= set(plan):
        raise EvalkitError(f"{str(file)!r} is not a plan. Make one: evalkit plan STUDY.")
    if plan["sha256"] != plan_hash(plan):
        raise EvalkitError(
            f"The plan in {str(file)!r} was changed after it was made: its hash is not that of its words."
        )
    return plan


def plan_tags(plan: Mapping[str, Any] | None, evaluation: Evaluation) -> dict[tuple[str, str], str]:
    """(component, outcome) -> 'planned' or 'not planned: ...'; empty where there was no plan."""
    return {} if not plan else _tags(plan, evaluation.study, evaluation.level)


def plan_sentence(plan: Mapping[str, Any], study: Study, level: float) -> str:
    """What of a study is as it was planned, in a sentence: 'All 3 results were planned.'"""
    tags, labels = _tags(plan, study, level), {c.name: c.label for c in study.components}
    labels |= {o.column: o.label for o in study.outcomes}
    new = {key: why.removeprefix("not planned: ") for key, why in tags.items() if why != "planned"}
    if not new:
        return f"All {len(tags)} results were planned."
    several = len(study.outcomes) > 1
    said = dict[str, list[str]]()
    for (component, outcome), why in new.items():
        said.setdefault(why, []).append(
            quoted(labels[component]) + (f" on {quoted(labels[outcome])}" if several else "")
        )
    which = "; ".join(f"{join_words(names)} ({why})" for why, names in said.items())
    rest = f"The other {len(tags) - len(new)} were planned." if len(new) < len(tags) else "None is as it was planned."
    return f"Not as planned: {which}. {rest}"


def _tags(plan: Mapping[str, Any], study: Study, level: float) -> dict[tuple[str, str], str]:
    now = make_plan(study, level)
    before = {c["name"]: c for c in plan["components"]}
    asked = {o["column"]: o for o in plan["outcomes"]}
    out = {}
    for component in now["components"]:
        for outcome in now["outcomes"]:
            fixed = ("design", "window", "arrival", *_COMPONENT)
            why = _changes(before.get(component["name"]), component, "the component", fixed)
            why += _changes(asked.get(outcome["column"]), outcome, "the outcome", ("kind", "better", "matters"))
            why += [] if plan.get("level") == now["level"] else ["the level was changed"]
            key = (component["name"], outcome["column"])
            out[key] = "planned" if not why else f"not planned: {', '.join(why)}"
    return out


def _changes(before: Mapping[str, Any] | None, now: Mapping[str, Any], what: str, keys: tuple[str, ...]) -> list[str]:
    if before is None:
        return [f"{what} was not in the plan"]
    changed = [k for k in keys if before.get(k) != now.get(k)]
    return [f"{_WORDS.get(k, k.replace('_', ' '))} was changed" for k in changed]


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value
