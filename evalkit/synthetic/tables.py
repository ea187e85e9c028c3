"""The tables of a partnership: panel, people, sites, links, components, adoption, background."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.study.component import CARD
from evalkit.synthetic.clock import period_names
from evalkit.synthetic.places import Sites, links_frame
from evalkit.synthetic.rollout import Rollout
from evalkit.synthetic.spec import PERSON, Process, Spec
from evalkit.synthetic.world import World, measured, recorded_dose


def panel_frame(world: World) -> pd.DataFrame:
    """One row a person and period that exists, person by person; outcomes missing where nobody wrote them down."""
    scene = world.scene
    spec = scene.spec
    person, t = np.nonzero(world.seen.T)
    columns: dict[str, np.ndarray] = {
        "person_id": world.ids[person],
        spec.clock.column: period_names(spec.clock)[t],
    }
    if scene.people.moves is not None:
        columns |= site_columns(spec, scene.sites, scene.people.sites(spec.clock.periods)[t, person])
    columns["observed"] = world.written[t, person].astype(np.int8)
    for part in (p for p in spec.parts if p.level == PERSON):
        columns[part.name] = recorded_dose(world, part)[t, person]
    for part in (p for p in spec.parts if p.always_on and world.knobs.core):
        columns[part.name] = scene.inside[t if len(scene.inside) > 1 else 0, person].astype(np.int8)
    for process in spec.processes:
        columns[process.name] = _column(world, process, t, person)
    return pd.DataFrame(columns)


def _column(world: World, process: Process, t: np.ndarray, person: np.ndarray) -> np.ndarray:
    value, there = measured(world, process)
    picked, known = value[t, person], there[t, person]
    if process.kind == "level":
        return np.where(known, np.round(picked, process.digits), np.nan)
    if known.all():
        return picked.astype(np.int8)
    return np.where(known, picked.astype(np.float64), np.nan)


def people_frame(world: World) -> pd.DataFrame:
    """One row a person: where, who, which components can reach them, when they came and went."""
    scene = world.scene
    spec, people = scene.spec, scene.people
    names = np.array([*period_names(spec.clock), None], dtype=object)
    frame = {"person_id": world.ids, **site_columns(spec, scene.sites, people.site)}
    frame["in_programme"] = scene.sites.programme[people.site].astype(np.int8)
    frame["sex"] = np.where(people.woman, "female", "male").astype(object)
    frame["age"] = people.age
    noise = scene.normal("need measured")
    frame["need_score"] = np.round(50 + 10 * (0.9 * people.need + 0.44 * noise), 1)
    frame |= {f.name: people.flags[f.name].astype(np.int8) for f in spec.flags if not f.hidden}
    frame["entry"] = names[people.entry]
    frame["first_seen"] = names[people.first_seen]
    frame["exit"] = names[np.minimum(world.exit, spec.clock.periods)]
    frame["exit_reason"] = np.where(world.exit < spec.clock.periods, world.reason, "").astype(object)
    return pd.DataFrame(frame)


def site_columns(spec: Spec, sites: Sites, site: np.ndarray) -> dict[str, np.ndarray]:
    """The site of each person and the groups that it lies in."""
    columns = [spec.places.site, *spec.places.groups]
    return {c: sites.frame[c].to_numpy(dtype=object)[site] for c in columns}


def small_tables(spec: Spec, sites: Sites, rollout: Rollout) -> dict[str, pd.DataFrame]:
    """Tables about places and components, which all parts share."""
    out = {"sites": sites.frame.copy(), "components": _components(spec)}
    if spec.happenings:
        out["background"] = _background(spec)
    links = links_frame(sites, spec.places.site)
    if links is not None:
        out["links"] = links
    if len(rollout.adoption):
        out["adoption"] = rollout.adoption
    return out


def _components(spec: Spec) -> pd.DataFrame:
    rows = [(p.name, p.label, p.level, p.reach or "", int(p.always_on), p.unit_cost, p.description) for p in spec.parts]
    names = ["component_id", "name", "assigned_at", "reaches", "always_on", "unit_cost_gbp", "description"]
    said = [key for key in CARD if any(key in p.card for p in spec.parts)]
    return pd.DataFrame(rows, columns=names).assign(**{key: [p.card.get(key, "") for p in spec.parts] for key in said})


def _background(spec: Spec) -> pd.DataFrame:
    """Other things that went on everywhere, as a study reads them: label, first period, first period after."""
    names = [*period_names(spec.clock), None]
    rows = [(h.label, names[h.first], names[h.last + 1]) for h in spec.happenings]
    return pd.DataFrame(rows, columns=["label", "start", "end"])
