"""What the notebook of a report draws and writes: its pictures, and its tables and pictures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from evalkit.draws import forks_asked
from evalkit.evaluation import Evaluation
from evalkit.evaluation.evidence import write_frames
from evalkit.evaluation.results import safe
from evalkit.evaluation.side_by_side import in_forks
from evalkit.figures import Picture, describe
from evalkit.figures.bars import contamination_table
from evalkit.figures.inputs import labels_of
from evalkit.language.templates import VERDICT_WORDS
from evalkit.reporting.more_sections import PRICED, tables_of, verdicts_of
from evalkit.reporting.names import names_of, statements_of
from evalkit.show.words import file_name
from evalkit.study.money import PROGRAMME

FILES = ("svg", "phone_svg", "png")  # what is kept of a picture once it is drawn


def pictures(evaluation: Evaluation) -> dict[str, Picture]:
    """Name -> Picture: the outcome over time, logic model, timeline, separability, forest (one an outcome), event
    studies, leave one out, flow, contamination; waterfall, value plane and acceptability where there are such numbers.

    A picture that nothing can be drawn in is left out; the tables say why. Under `joblib.parallel_config` with
    "multiprocessing" they are drawn here, in as many forks, and else one by one where they are shown.
    """
    evaluation = safe(evaluation)
    first, period_column = evaluation.study.outcome().column, evaluation.study.period or "period"
    out = {"separability": describe("separability", evaluation)}
    if len(evaluation.over_time) and evaluation.study.paths.n_periods > 1:
        period = evaluation.study.noun_for(period_column)
        whole = VERDICT_WORDS.get(verdicts_of(evaluation, first).get(PROGRAMME, ""), "")
        out["over_time"] = describe("over_time", evaluation, outcome=first, period=period, verdict=whole)
    if any(c.card.get("why") for c in evaluation.study.components):
        out["logic_model"] = describe("logic_model", evaluation)
    named = {c.name for c in evaluation.study.components}
    if evaluation.study.paths.n_periods > 1 and evaluation.separability.withheld < named:
        out["timeline"] = describe("timeline", evaluation)
    for outcome in dict.fromkeys(evaluation.verdicts["outcome"]):
        name = "forest" if outcome == first else f"forest_{outcome}"
        out[name] = describe("forest", evaluation, evaluation.effects, outcome=outcome, name=file_name(name))
    for component in evaluation.study.components:
        table = evaluation.event_studies.get((component.name, first))
        if table is not None and table["estimate"].notna().any():
            name = f"event_study_{component.name}"
            out[name] = describe("event_study", evaluation, component.name, outcome=first, name=file_name(name))
        mine = evaluation.compared[evaluation.compared["component"] == component.name]
        if len(mine := mine[mine["outcome"] == first]):
            place, period = names_of(evaluation.study).place(component.name), evaluation.study.noun_for(period_column)
            about = {"labels": labels_of(evaluation), "place": place, "period": period}
            name = f"compared_{component.name}"
            out[name] = describe("compared", mine, **about, name=file_name(name))
    out |= _of_one_place(evaluation)
    if len(evaluation.leave_one_out):
        out["leave_one_out"] = describe("leave_one_out", evaluation, outcome=first)
    if evaluation.flow is not None and len(evaluation.flow):
        out["flow"] = describe("flow", evaluation)
    made, value = evaluation.attribution, evaluation.value
    if made is not None and made.pieces["estimate"].notna().any():
        out["waterfall"] = describe("waterfall", made)
    if value is not None:
        stand = [name for name, verdict in verdicts_of(evaluation, first).items() if verdict in PRICED]
        sign = evaluation.study.currency  # no price where no effect stands
        if len(plane := value.plane[value.plane["name"].isin(stand)]):
            out["value_plane"] = describe("value_plane", plane, currency=sign, discount=value.discount)
        if len(curves := value.acceptability[value.acceptability["name"].isin(stand)]):
            out["acceptability"] = describe("acceptability", curves, currency=sign)
    weights = contamination_table(evaluation)
    if len(weights):
        out["contamination"] = describe("contamination", weights, labels=labels_of(evaluation))
    _draw_in_forks(list(out.values()))
    return out


def _draw_in_forks(pictures: Sequence[Picture]) -> None:
    if (forks := min(forks_asked(), len(pictures))) > 1:
        for i, made in in_forks(lambda i: [getattr(pictures[i], kind) for kind in FILES], len(pictures), forks):
            vars(pictures[i]).update(zip(FILES, made, strict=True))


def _of_one_place(evaluation: Evaluation) -> dict[str, Picture]:
    """What stands behind answers from one place, on the first outcome: seen and expected, others in its role, who they
    are; a picture each for every place."""
    study, made, out = evaluation.study, evaluation.alone, {}
    about = {"unit": study.outcome().label, "period": study.noun_for(study.period or "period")}
    for component in dict.fromkeys(made.gaps["component"]):
        gaps, donors = (t[(t["component"] == component) & (t["outcome"] == study.outcome().column)]
                        for t in (made.gaps, made.donors))  # fmt: skip
        for i, place in enumerate(dict.fromkeys(gaps["place"])):
            asked: list[tuple[str, pd.DataFrame, dict[str, str]]] = [("one_place", gaps, about)]
            if len(donors):
                asked += [("placebo_places", gaps, about), ("donor_weights", donors, {})]
            for kind, table, said in asked:
                name = f"{kind}_{component}" + (f"_{i + 1}" if i else "")
                out[name] = describe(kind, table, place, **said, name=file_name(name))
    return out


def write_tables(evaluation: Evaluation, folder: str | Path) -> tuple[Path, ...]:
    """Write every table of an evaluation as CSV (UTF-8, ten significant digits) into `folder`; return the paths.

    Only aggregates are written, never rows about units, and only what disclosure control allows.
    """
    evaluation = safe(evaluation)
    return write_frames({**tables_of(evaluation), "verdicts": stated(evaluation)}, folder)


def stated(evaluation: Evaluation) -> pd.DataFrame:
    """The verdicts with everything that may be said about each: brief, found, may_say, may_not_say, would_change,
    planned."""
    rows = [
        {
            "component": s.component, "outcome": s.outcome, "brief": s.brief.text, "found": s.found,
            "may_say": s.may_say.text, "may_not_say": s.not_to_be_said, "would_change": s.would_change.text,
            "planned": s.planned,
        }
        for outcome in dict.fromkeys(evaluation.verdicts["outcome"])
        for s in statements_of(evaluation, outcome)
    ]  # fmt: skip
    return evaluation.verdicts.merge(pd.DataFrame(rows), on=["component", "outcome"], validate="one_to_one")


def write_pictures(pictures: Mapping[str, Picture], folder: str | Path) -> None:
    """Write every picture as SVG, PNG, CSV (its data) and TXT (its words) into `folder`."""
    for picture in pictures.values():
        picture.save(folder)
