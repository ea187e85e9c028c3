"""The verdicts as tables for a terminal; wraps well at 80 columns."""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Table

from evalkit.cli.screen import Screen, titled
from evalkit.language.axis import axis_of
from evalkit.language.statement import in_one_breath
from evalkit.language.templates import VERDICT_WORDS
from evalkit.show.words import count_words
from evalkit.study import Outcome, Study

VERDICT_SHAPES = {
    "shown": "●",
    "likely": "◐",
    "cannot_tell": "○",
    "cannot_tell_apart": "∞",
    "no_sign": "□",
    "not_tested": "–",
}


def verdict_table(study: Study, verdicts: pd.DataFrame, tried: pd.DataFrame, outcome: Outcome) -> Table:
    """One row a component: verdict, effect with its likely range, what it rests on. tried: effects of every design."""
    scale = axis_of(outcome)
    rows = verdicts[verdicts["outcome"] == outcome.column]
    heads = tried[tried["headline"].astype(bool) & (tried["outcome"] == outcome.column)]
    errors = dict(zip(heads["component"], heads["std_error"], strict=True))
    widths = {"Component": 14, "Verdict": 13, "Effect (likely range)": 16, "Rests on": 12}
    table = titled(f"{outcome.label} ({outcome.better} is better)", widths)
    for r in rows.to_dict("records"):
        verdict = f"{VERDICT_SHAPES.get(r['verdict'], '')} {VERDICT_WORDS.get(r['verdict'], r['verdict'])}"
        effect = "none given"
        if r["estimate"] == r["estimate"]:
            effect = scale.span(r["estimate"], r["conf_low"], r["conf_high"], errors.get(r["component"], math.nan))
        component = study.component(r["component"])
        place = study.noun_for(study.paths.inference_level(component.name)[0])
        rests = "nothing"
        if r["clusters_exposed"] and r["clusters_exposed"] > 0:
            rests = f"{count_words(int(r['clusters_exposed']), place)} with, {int(r['clusters_comparison'])} without"
        table.add_row(component.label, verdict, effect, rests)
    return table


def show_verdicts(study: Study, verdicts: pd.DataFrame, tried: pd.DataFrame) -> None:
    """The verdicts of every outcome, and of the first in one breath. Tables of an Evaluation, or as published."""
    screen = Screen()
    labels = {c.name: c.label for c in study.components}
    for outcome in study.outcomes:
        screen.print(verdict_table(study, verdicts, tried, outcome))
    first = verdicts[verdicts["outcome"] == study.outcome().column]
    about = f", on “{study.outcome().label}”" if len(study.outcomes) > 1 else ""
    rows = [(r["verdict"], r["direction"], labels[r["component"]]) for r in first.to_dict("records")]
    screen.print(f"In one breath{about}: {in_one_breath(rows)}\n")
