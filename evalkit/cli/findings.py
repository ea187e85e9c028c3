"""The findings as tables for a terminal; wraps well at 80 columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd
from rich import box
from rich.table import Table

from evalkit.cli.screen import output
from evalkit.components import Separability
from evalkit.figures.forest import VERDICT_WORDS
from evalkit.figures.inputs import axis_of
from evalkit.figures.matrix import STATUS_SHAPES, STATUS_WORDS
from evalkit.language.statement import in_one_breath
from evalkit.show.words import count_words, full_stop, noun_from_column
from evalkit.study import Outcome, Study

VERDICT_SHAPES = {
    "shown": "●",
    "likely": "◐",
    "cannot_tell": "○",
    "cannot_tell_apart": "∞",
    "no_sign": "□",
    "not_tested": "–",
}


class Judged(Protocol):
    """A study with its verdicts and every design tried: an Evaluation, or what a report's folder says."""

    @property
    def study(self) -> Study: ...

    @property
    def verdicts(self) -> pd.DataFrame: ...

    @property
    def effects(self) -> pd.DataFrame: ...


@dataclass(frozen=True)
class Written:
    """What a report's folder says of its study: the verdicts and every design tried, as they may be published."""

    study: Study
    verdicts: pd.DataFrame
    effects: pd.DataFrame

    @classmethod
    def read(cls, study: Study, folder: Path) -> Written:
        """From verdicts.csv and effects.csv in `folder`."""
        verdicts, effects = (pd.read_csv(folder / f"{name}.csv") for name in ("verdicts", "effects"))
        return cls(study, verdicts.fillna({"direction": ""}), effects)


def verdict_table(evaluation: Judged, outcome: Outcome) -> Table:
    """One row a component: verdict, effect with its likely range, what it rests on."""
    study = evaluation.study
    scale = axis_of(outcome)
    rows = evaluation.verdicts[evaluation.verdicts["outcome"] == outcome.column]
    tried = evaluation.effects
    heads = tried[tried["headline"].astype(bool) & (tried["outcome"] == outcome.column)]
    errors = dict(zip(heads["component"], heads["std_error"], strict=True))
    table = _table(f"{outcome.label} ({outcome.better} is better)")
    for words, least in (("Component", 14), ("Verdict", 13), ("Effect (likely range)", 16), ("Rests on", 12)):
        table.add_column(words, min_width=least)
    for r in rows.to_dict("records"):
        verdict = f"{VERDICT_SHAPES.get(r['verdict'], '')} {VERDICT_WORDS.get(r['verdict'], r['verdict'])}"
        effect = "none given"
        if r["estimate"] == r["estimate"]:
            effect = scale.span(r["estimate"], r["conf_low"], r["conf_high"], errors.get(r["component"], math.nan))
        component = study.component(r["component"])
        place = noun_from_column(study.paths.inference_level(component.name)[0])
        rests = "nothing"
        if r["clusters_exposed"] and r["clusters_exposed"] > 0:
            rests = f"{count_words(int(r['clusters_exposed']), place)} with, {int(r['clusters_comparison'])} without"
        table.add_row(component.label, verdict, effect, rests)
    return table


def show_verdicts(evaluation: Judged) -> None:
    """The verdicts of every outcome, and the first outcome's in one breath."""
    screen = output()
    labels = {c.name: c.label for c in evaluation.study.components}
    for outcome in evaluation.study.outcomes:
        screen.print(verdict_table(evaluation, outcome))
    first = evaluation.verdicts[evaluation.verdicts["outcome"] == evaluation.study.outcome().column]
    several = len(evaluation.study.outcomes) > 1
    about = f", on “{evaluation.study.outcome().label}”" if several else ""
    rows = [(r["verdict"], r["direction"], labels[r["component"]]) for r in first.to_dict("records")]
    screen.print(f"In one breath{about}: {in_one_breath(rows)}\n", markup=False)


def show_separability(study: Study, sep: Separability) -> None:
    """What can be told apart, what cannot, and what rollout would have told."""
    screen = output()
    labels = {c.name: c.label for c in study.components}
    table = _table("What can be told apart, from the dates alone")
    for words, least in (("Component", 14), ("Status", 16), ("Clean switches", 8), ("Why", 20)):
        table.add_column(words, min_width=least)
    for r in sep.components.to_dict("records"):
        status = f"{STATUS_SHAPES.get(r['status'], '')} {STATUS_WORDS.get(r['status'], r['status'])}"
        clean = f"{int(r['clean_switches'])} of {int(r['switches'])}"
        table.add_row(labels.get(r["component"], r["component"]), status, clean, full_stop(str(r["reason"] or "")))
    screen.print(table)
    for sentence in sep.aliased:
        screen.print(full_stop(str(sentence)), markup=False)
    for r in sep.cure.to_dict("records"):
        screen.print(f"What would let us tell: {full_stop(str(r['words']))}", markup=False)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
