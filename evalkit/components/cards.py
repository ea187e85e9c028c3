"""Component cards: the twelve TIDieR items of each component, missing items shown (Hoffmann and others 2014)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.show.tables import Table, make_table
from evalkit.show.words import count_words, full_stop
from evalkit.study import Component, Study
from evalkit.study.component import spells_of

MISSING = "not described"
WRITTEN, REGISTER, LACKING = "written", "from the register", "missing"
ITEMS = (
    ("name", "Brief name"),
    ("why", "Why"),
    ("materials", "What: materials"),
    ("procedures", "What: procedures"),
    ("who", "Who provided"),
    ("how", "How"),
    ("where", "Where"),
    ("when_and_how_much", "When and how much"),
    ("tailoring", "Tailoring"),
    ("modifications", "Modifications"),
    ("planned", "How well: planned"),
    ("actual", "How well: actual"),
)


def cards(study: Study) -> pd.DataFrame:
    """Twelve rows a component: component, number (1 to 12), item, text, source.

    source: "written" (the study's own words), "from the register" (worked out from exposures, when nothing
    is written), or "missing" (text: "not described"). No outcome is read."""
    rows = [(c.name, *row) for c in study.components for row in _card(study, c)]
    return pd.DataFrame(rows, columns=["component", "number", "item", "text", "source"])


def card_table(study: Study, component: str) -> Table:
    """One component's card as an accessible table."""
    c = study.component(component)
    rows = [(f"{n}. {item}", full_stop(text), source) for n, item, text, source in _card(study, c)]
    lacking = sum(row[2] == LACKING for row in rows)
    note = f"{count_words(lacking, 'item')} of 12 not described." if lacking else "All twelve items are described."
    return make_table(f"{c.label}: what it is (TIDieR)", ("Item", "What is known", "Where from"), rows, note=note)


def adoption(study: Study) -> pd.DataFrame:
    """Where each component was on: component, place, start, end, certainty, source, one row a spell.

    From the dated spells where there are some (their own dates, certainty and source; "not said" where they
    say neither), else from the exposure column (first and last period on; certainty "observed by period")."""
    parts = []
    for c in study.components:
        if not c.by_spells:
            parts.append(_from_paths(study, c.name))
            continue
        spells = spells_of(c)
        found: dict[str, object] = {"component": c.name, "place": spells["level_id"].to_numpy()}
        for column in ("start", "end", "certainty", "source"):
            names = ("date_certainty", "certainty") if column == "certainty" else (column,)
            given = next((spells[n].to_numpy() for n in names if n in spells.columns), np.full(len(spells), None))
            found[column] = given
            if column in ("certainty", "source"):
                found[column] = ["not said" if v is None or v != v else v for v in given.tolist()]
        parts.append(pd.DataFrame(found).astype(object))
    return pd.concat(parts, ignore_index=True)


def _card(study: Study, c: Component) -> list[tuple[int, str, str, str]]:
    said = {key: words.strip() for key, words in c.card.items() if words.strip()}
    said["name"] = c.label
    said.setdefault("procedures", c.description.strip())
    both = [said.get("when", ""), said.get("how_much", "")]
    said["when_and_how_much"] = "; ".join(w for w in both if w)
    # What exposures say of where, when, changes and what was delivered, for items without words.
    found, known = _on_places(study, c.name), {"actual": "never on in these data"}
    if places := int(found.any(axis=1).sum()):
        when = study.paths.periods[found.any(axis=0)]
        span = f"on from {when[0]} to {when[-1]}"
        where = f"{places} of {count_words(len(found), study.noun_for(study.paths.assigned_at[c.name]))}"
        spells = spells_of(c) if c.by_spells else pd.DataFrame()
        notes = next((spells[n].dropna() for n in ("change_note", "note", "reason") if n in spells.columns), ())
        changes = "; ".join(dict.fromkeys(str(v).strip() for v in notes if str(v).strip()))
        known = {"where": where, "when_and_how_much": span, "modifications": changes, "actual": f"{span} in {where}"}
    rows = []
    for i, (key, item) in enumerate(ITEMS, 1):
        words = [(said.get(key, ""), WRITTEN), (known.get(key, ""), REGISTER), (MISSING, LACKING)]
        rows.append((i, item, *next((text, source) for text, source in words if text)))
    return rows


def _on_places(study: Study, component: str) -> np.ndarray:
    """(L, T) whether any unit of a place was exposed."""
    paths = study.paths
    level = paths.levels[paths.assigned_at[component]]
    on = paths.state[:, :, paths.index(component)] > 0
    out = np.zeros((len(level.names), on.shape[1]), dtype=bool)
    pairs = np.unique(np.column_stack([level.codes, paths.path]), axis=0)
    np.logical_or.at(out, pairs[:, 0], on[pairs[:, 1]])
    return out


def _from_paths(study: Study, component: str) -> pd.DataFrame:
    found, periods = _on_places(study, component), study.paths.periods
    names, rows = study.paths.levels[study.paths.assigned_at[component]].names, []
    for place, line in zip(names, found, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(int)))
        for begin, stop in edges.reshape(-1, 2):
            end = periods[stop] if stop < len(periods) else None
            rows.append((component, place, periods[begin], end, "observed by period", "exposure column"))
    return pd.DataFrame(rows, columns=["component", "place", "start", "end", "certainty", "source"]).astype(object)
