"""What every column of a partnership's folder means, and the page that says what the folder is."""

from __future__ import annotations

import pandas as pd

from evalkit.synthetic.spec import PERSON, Knobs, Process, Spec

_PEOPLE = {
    "person_id": "Number of the person; nobody real",
    "in_programme": "1 in places that take part, 0 in comparison places",
    "sex": "female or male",
    "age": "Age in years when first known",
    "need_score": "Need as a worker scored it (mean about 50, standard deviation about 10): true need with error",
    "entry": "Period in which the person was taken on, or would have been",
    "first_seen": "First period in which anybody kept a record; nothing is known of earlier ones",
    "exit": "Period from which there are no more records; empty if there always are",
    "exit_reason": "Why records end: death, custody, moved, lost and so on",
}
_ADOPTION = {
    "component": "Name of the component",
    "level_id": "The place, group or association that switched it on",
    "start": "First period in which it was on",
    "end": "First period in which it was off again; empty while still on",
    "dose": "How much of it, 1 for all",
    "planned_start": "Start according to the plan",
    "certainty": "How sure the date is",
}
_SITES = {
    "in_programme": "1 for places that take part",
    "deprivation_decile": "1 least deprived, 10 most",
}
_COMPONENTS = {
    "component_id": "Short name, as in study.toml",
    "name": "Words for people",
    "assigned_at": "Level at which somebody decided",
    "reaches": "Column that is 1 for those whom it can reach; empty: everybody",
    "always_on": "1 if it is on wherever and whenever the programme is",
    "unit_cost_gbp": "Illustrative cost of one person for one period, in pounds",
    "description": "What it is",
}
_LINKS = {"from": "Group", "to": "Place", "weight": "Share of the place that belongs to the group"}
_BACKGROUND = {"event": "Number", "start": "First period", "last": "Last period"}


def dictionary(spec: Spec, knobs: Knobs, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a column: file, column, meaning."""
    known = {
        "panel": _project_words(spec) if spec.pairs else _panel_words(spec, knobs),
        "people": {**_PEOPLE, **_place_words(spec), **{f.name: f.label or f.name for f in spec.flags}},
        "sites": {**_SITES, **_place_words(spec)},
        "components": _COMPONENTS,
        "adoption": _ADOPTION,
        "links": _LINKS,
        "background": _BACKGROUND,
    }
    rows = [(f, c, known[f][c]) for f, table in tables.items() for c in table.columns]
    return pd.DataFrame(rows, columns=["table", "column", "meaning"])


def _place_words(spec: Spec) -> dict[str, str]:
    site = spec.places.site
    groups = {c: f"{c.replace('_', ' ').capitalize()} that the {site} lies in" for c in spec.places.groups}
    return {site: f"Invented name of the {site}", **groups}


def _panel_words(spec: Spec, knobs: Knobs) -> dict[str, str]:
    words = {
        "person_id": _PEOPLE["person_id"],
        spec.clock.column: "Period",
        "observed": "1 if outcomes were written down in this row, 0 if the person was known but nobody recorded them",
    }
    words |= {p.name: f"{p.label}: amount so far" for p in spec.parts if p.level == PERSON}
    words |= {p.name: f"{p.label}: 1 in places that have it" for p in spec.parts if p.always_on}
    return words | {p.name: _outcome_words(p) for p in spec.processes}


def _project_words(spec: Spec) -> dict[str, str]:
    words = {
        "project": "Number of the partnership",
        "people": "People seen at both waves in the partnership",
        "comparison_people": "People seen at both waves in its comparison group",
        "effect": "Change of its people less change of its comparison group, in standard deviations",
        "std_error": "Standard error of the effect",
        "weight": "1 / std_error squared",
    }
    return words | {p.name: f"{p.label}: 1 if the partnership has it" for p in spec.parts}


def _outcome_words(process: Process) -> str:
    often = "" if process.every == 1 else f"; measured every {process.every} periods"
    asked = "" if process.response >= 1 else "; many values are missing"
    kind = {"state": "1 or 0", "event": "1 until it ends, then 0", "count": "number", "level": "score"}[process.kind]
    return f"{process.label} ({kind}{often}{asked})"


def readme(spec: Spec, setting: str, seed: int, tables: dict[str, pd.DataFrame]) -> str:
    """The page beside the tables."""
    lines = [
        f"# {spec.title}",
        "",
        f"{spec.story} **Everything here is simulated: no row is about a real person or place, and no number is an "
        "estimate of a real project.**",
        "",
        f"Question: {spec.question}",
        "",
        f"Made by `evalkit synth {spec.name} --setting {setting} --seed {seed} --out FOLDER`; the same seed gives the "
        "same tables everywhere.",
        "",
        "| File | What |",
        "|---|---|",
        "| `study.toml` | the study, as an evaluator would set it up: `evalkit run study.toml --out report` |",
        *(f"| `{name}` | {what} |" for name, what in _files(spec).items() if name.partition(".")[0] in tables),
        "| `dictionary.csv` | every column of every table |",
        "| `truth/` | the answer, in a sealed envelope: open it when you have yours |",
        "",
        *([] if spec.pairs else [_ROWS, ""]),
        "The truth was made by living the whole history again for every person under every combination of components "
        "on and off, with the same random numbers. `truth/effects.csv` has the averages: `last_in` (as it was, less "
        "without this component), `first_in` (this one alone, less none), `interaction`, `shapley` (a convention), "
        "`path` (by periods since the start), for those reached, everyone and groups.",
    ]
    return "\n".join(lines) + "\n"


def _files(spec: Spec) -> dict[str, str]:
    return {**_FILES, "panel.parquet": "one row a project: effect and standard error"} if spec.pairs else _FILES


_ROWS = (
    "No row before a person is first seen, none after the person has left. An empty outcome means that nobody wrote it "
    "down; it never means zero."
)
_FILES = {
    "panel.parquet": "one row a person and period: outcomes",
    "people.csv": "one row a person: place, facts, whom each component can reach, when records start and end",
    "sites.csv": "places",
    "links.csv": "which group holds what share of which place",
    "components.csv": "what the partnership delivers",
    "adoption.csv": "when each was switched on, where",
    "background.csv": "other events of the time that moved outcomes",
}
