"""A report: notebook, page, tables, pictures and a manifest in one folder, which is put in place in one step."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import nbformat
import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.evaluation import Evaluation
from evalkit.evaluation.evidence import write_frames
from evalkit.evaluation.results import safe, without_small_numbers
from evalkit.figures import Picture, describe
from evalkit.figures.bars import contamination_table
from evalkit.figures.forest import VERDICT_WORDS
from evalkit.figures.inputs import labels_of
from evalkit.folders import aside, replaced
from evalkit.inference.intervals import check_level
from evalkit.progress import followed, step
from evalkit.reporting.formats import make_notebook, run_notebook, to_page
from evalkit.reporting.manifest import NAME, SIGNATURE, read_manifest, write_manifest
from evalkit.reporting.more_sections import PRICED, sha256, tables_of, verdicts_of
from evalkit.reporting.names import names_of, statements_of
from evalkit.reporting.plan import read_plan
from evalkit.show.tables import in_cell
from evalkit.show.words import file_name
from evalkit.study import Study
from evalkit.study.money import PROGRAMME

LATER = ("report.pdf", "report.docx", SIGNATURE)  # made from a report once it is there


def report(
    evaluation: Evaluation | Study | str | Path,
    folder: str | Path,
    *,
    level: float = 0.95,
    seed: int = 0,
    plan: str | Path | None = None,
) -> Path:
    """Write report.html, report.ipynb, tables, figures and manifest.json into `folder`; return the page's path.

    evaluation: an Evaluation, a Study, or the path of a study file. The notebook works
    everything out again from the study file. A Study made in memory is saved first,
    beside the folder (or beside "reports") and never in it, because it holds rows about units. level and
    seed: used when there is no Evaluation to take them from. plan: file of a plan made
    before the outcomes were read; each result is then tagged planned or not planned. Raises `EvalkitError` when
    the study file no longer gives the verdicts of the evaluation handed over, and in words where something cannot be
    written. The folder takes its place in one step at the end: until then, whatever happens, an earlier report stays
    whole. Files in the folder that no report wrote are kept; PDF and Word of an earlier report go with it.
    """
    place = Path(folder).resolve()
    check_level(level)
    if not isinstance(evaluation, Evaluation):
        study = evaluation if isinstance(evaluation, Study) else Study.load(evaluation)
        found = None
    else:
        study, level, seed = evaluation.study, evaluation.level, evaluation.seed
        found = safe(evaluation).verdicts
    before = [NAME, *LATER]
    with suppress(EvalkitError):  # without a manifest that can be read, nothing but what is made again is replaced
        before += read_manifest(place)["files"]
    with replaced(place, before) as fresh:
        write_report(study, fresh, level=level, seed=seed, plan=plan, found=found)
    return place / "report.html"


def write_report(
    study: Study, place: Path, *, level: float, seed: int, plan: str | Path | None, found: pd.DataFrame | None = None
) -> None:
    """Write a report as `report` does into an empty folder. found: the verdicts that it has to come to."""
    file = study_file(study, place)
    title = study.title or study.question or "Report"
    relative = Path(os.path.relpath(file, place)).as_posix()
    fixed = None if plan is None else Path(os.path.relpath(Path(plan).resolve(), place)).as_posix()
    if plan is not None:
        read_plan(plan)
    made = make_notebook(relative, level=level, seed=seed, title=title, plan=fixed)
    with followed():
        notebook = run_notebook(made, place, partial(without_small_numbers, study))
    step("Writing the page")
    (place / "report.ipynb").write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")
    (place / "report.html").write_text(to_page(notebook), encoding="utf-8")
    verdicts = read_table(place / "verdicts.csv", study)
    if found is not None:
        _same_verdicts(found, verdicts, file)
    facts = {"study": relative, "title": title, "level": level, "seed": seed, "plan": fixed}
    write_manifest(place, study, file, facts, verdicts)


def read_table(file: Path, study: Study) -> pd.DataFrame:
    """A table that a report wrote, with components and outcomes named as the study names them."""
    texts = dict.fromkeys(("component", "outcome", "direction"), str)
    table = pd.read_csv(file, dtype=texts, keep_default_na=False, na_values=[""])
    own = {in_cell(name): name for name in [*(c.name for c in study.components), *(o.column for o in study.outcomes)]}
    return table.assign(**{k: table[k].map(lambda name: own.get(name, name)) for k in ("component", "outcome")})


def study_file(study: Study, folder: Path) -> Path:
    """The file that gives `study`: the one it was read from, else one saved beside `folder`, named by content.

    Never under a folder called reports, because the rows are about units.
    """
    if study.inputs:
        return Path(study.inputs[0]).resolve()
    base = next((place.parent for place in reversed(folder.parents) if place.name == "reports"), folder.parent)
    with aside(base) as draft:
        study.save(draft)
        whole = hashlib.sha256()
        for path in sorted(p for p in draft.rglob("*") if p.is_file()):
            whole.update(f"{path.relative_to(draft).as_posix()} {sha256(path)}\n".encode())
        place = base / f"study-{whole.hexdigest()[:12]}"
        shutil.copytree(draft, place, dirs_exist_ok=True)
    return place / "study.toml"


def _same_verdicts(before: pd.DataFrame, after: pd.DataFrame, file: Path) -> None:
    key = ["component", "outcome", "verdict"]
    a, b = (set(map(tuple, frame[key].astype(str).to_numpy())) for frame in (before, after))
    if a != b:
        changed = ", ".join(sorted({row[0] for row in a ^ b}))
        raise EvalkitError(
            f"{file.name} does not give the verdicts of this evaluation any more (differs: {changed}). "
            "Evaluate the study again, then write the report."
        )


def pictures(evaluation: Evaluation) -> dict[str, Picture]:
    """Name -> Picture: the outcome over time, logic model, timeline, separability, forest (one an outcome), event
    studies, leave one out, flow, contamination; waterfall, value plane and acceptability where there are such numbers.

    A picture that nothing can be drawn in is left out; the tables say why.
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
        if table is not None and len(table):
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
    return out


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
