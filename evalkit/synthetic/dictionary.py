"""What every column of a partnership's folder means."""

from __future__ import annotations

import pandas as pd

from evalkit.synthetic.cutoff import later_period
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.spec import PERSON, Process, Spec

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
    "source": "Who said so",
    "change_note": "Why it ended, where it did and the register says so",
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
    "unit_cost_gbp": "Illustrative cost of one person for one period, in pounds; of one week where weeks differ",
    "description": "What it is",
    "why": "Why it should help",
    "who": "Who provides it",
    "how": "How it is provided",
    "how_much": "How often, how long",
}
_LINKS = {"from": "Group", "to": "Place", "weight": "Share of the place that belongs to the group"}
_BACKGROUND = {
    "label": "What happened",
    "start": "First period of it",
    "end": "First period after it; empty if it lasts to the end",
}
_RATE_CARD = {
    "outcome_id": "Column of the panel that is paid for",
    "name": "Words for people",
    "trigger_rule": "What has to be recorded for a payment",
    "tariff_gbp": "One payment, in pounds",
    "cap_gbp_per_person": "Most that is paid for one person, in pounds",
    "periods": "Recorded periods that make one payment",
    "price_year": "Year whose prices these are",
}
_CLAIMS = {
    "person_id": "Number of the person, as in the panel",
    "outcome_id": "Column of the panel that is paid for",
    "period": "Period in which the trigger was met",
    "amount_gbp": "Amount claimed, in pounds",
    "validated": "1 if the claim stood when it was checked, 0 if it was turned down and not paid",
}
_COSTS = {
    "component_id": "Name of the component; programme for what belongs to no single one",
    "level_id": "Place in which the money was spent",
    "period": "Period in which it was spent",
    "cost_type": "running, set-up, management, or time of volunteers",
    "amount_gbp": "Amount in pounds",
    "bearer": "Who bears it: fiscal (public money), economic (business and workers) or social (people themselves)",
    "price_year": "Year whose prices these are",
}
_UNIT_COSTS = {
    "outcome_id": "Column of the panel",
    "value_gbp": "Worth in pounds of one more for one person and period; of one fewer where fewer is better",
    "bearer": "To whom it is worth that: fiscal (public money), economic or social",
    "agency": "Whose budget, or whose life",
    "price_year": "Year whose prices these are",
    "grade": "A as published in the source, B worked out from a published figure, C assumed for teaching",
    "source": "Where the figure comes from",
}
_CUTOFF = {
    "person_id": "Number of the person; those who were chosen have the same number in the panel",
    "age": _PEOPLE["age"],
    "chosen": "1 if the programme took the person on, else 0",
    "margin": "Points of the score above the line of the place; below 0 for the lowest, who were to be taken on",
}


def dictionary(spec: Spec, knobs: Knobs, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a column: file, column, meaning."""
    known = {
        "panel": _panel_words(spec, knobs),
        "people": {**_PEOPLE, **_place_words(spec), **{f.name: f.label or f.name for f in spec.flags}},
        "sites": {**_SITES, **_place_words(spec)},
        "components": _COMPONENTS,
        "adoption": _ADOPTION,
        "links": _LINKS,
        "background": _BACKGROUND,
        "rate_card": _RATE_CARD,
        "claims": _CLAIMS,
        "costs": _COSTS,
        "unit_costs": _UNIT_COSTS,
        "cutoff": _cutoff_words(spec) if knobs.above_cut else {},
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
        spec.clock.column: _CLOCKS[spec.clock.column],
        "observed": "1 if outcomes were written down in this row, 0 if the person was known but nobody recorded them",
    }
    words |= {p.name: f"{p.label}: weeks so far" for p in spec.parts if p.level == PERSON}
    if knobs.movers:
        words |= {c: f"{w}, in this period" for c, w in _place_words(spec).items()}
    words |= {p.name: f"{p.label}: 1 in places that have it" for p in spec.parts if p.always_on}
    return words | {p.name: _outcome_words(p) for p in spec.processes}


def _outcome_words(process: Process) -> str:
    often = "" if process.every == 1 else f"; measured every {process.every} periods"
    asked = "" if process.response >= 1 else "; many values are missing"
    kinds = {
        "state": "1 yes, 0 no",
        "event": "1 until it ends, then 0",
        "count": "number in the period",
        "level": "points",
    }
    kind = "percentage" if "%" in process.label else kinds[process.kind]
    return f"{process.label} ({kind}; {process.better} is better{often}{asked})"


def _cutoff_words(spec: Spec) -> dict[str, str]:
    """Words for the table of everybody from whom the lowest scores were chosen."""
    assert spec.selection is not None
    name = spec.process(spec.selection.outcome)
    words = {"score": f"{name.label} in the {spec.clock.column} before joining, by which people were chosen"}
    words |= {"later": f"{name.label} in {spec.clock.column} {later_period(spec)}; empty: not recorded"}
    facts = {f.name: f.label or f.name for f in spec.flags if not f.hidden}
    return {**_CUTOFF, **_place_words(spec), **facts, **words}


_CLOCKS = {
    "month": "Calendar month, YYYY-MM",
    "quarter": "Quarter of a year, such as 2011Q2",
    "half_year": "Half-year, named by its first month, YYYY-MM",
    "term": "School term, counted from 1; three make a year",
    "four_weeks": "Period of four weeks, counted from 1; thirteen make a year",
    "wave": "Wave, 1 before and 2 after",
}


def sealed_dictionary(spec: Spec, effects: pd.DataFrame, regimes: pd.DataFrame) -> pd.DataFrame:
    """One row a column of the tables in the envelope."""
    on = {p.name: f"1 if {p.label} is on wherever it was started, 0 if it never was" for p in spec.parts}
    means = {p.name: f"{p.label}: mean of the people of the programme after the first start" for p in spec.processes}
    known = {"effects": _EFFECTS, "regimes": {**_EFFECTS, **on, **means}}
    rows = [(f, c, known[f][c]) for f, table in (("effects", effects), ("regimes", regimes)) for c in table.columns]
    return pd.DataFrame(rows, columns=["table", "column", "meaning"])


_EFFECTS = {
    "component_set": "Component, or several joined by +",
    "outcome": "Column of the panel",
    "estimand": "Which effect; see the README beside the tables",
    "population": "On whom it is averaged",
    "since_start": "Periods since the component started, for the path of an effect; else empty",
    "value": "The effect, in the outcome's own unit: a share for outcomes that are 1 or 0",
    "mc_se": "Standard error that comes from these being so many people and no more",
    "person_periods": "People and periods averaged over",
}
