"""A report: notebook, page, tables, pictures and a manifest in one folder, which is put in place in one step."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pandas as pd

from evalkit.disclosure.rules import without_small_numbers
from evalkit.errors import EvalkitError
from evalkit.folders import aside, replaced
from evalkit.inference.intervals import check_level
from evalkit.progress import followed, step
from evalkit.reporting.formats import make_notebook, run_notebook, to_page
from evalkit.reporting.manifest import NAME, SIGNATURE, read_manifest, sha256, write_manifest
from evalkit.show.tables import in_cell
from evalkit.study import Study

if TYPE_CHECKING:
    from evalkit.evaluation import Evaluation

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
    if isinstance(evaluation, (Study, str, Path)):
        study = evaluation if isinstance(evaluation, Study) else Study.load(evaluation)
        found = None
    else:
        from evalkit.evaluation.results import safe  # what a study file needs no kernel's worth of imports for

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
        from evalkit.reporting.plan import read_plan

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
