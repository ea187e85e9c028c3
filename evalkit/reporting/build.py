"""A report: notebook, page, tables, figures and a manifest in one folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.evaluation import Evaluation
from evalkit.evaluation.safe import safe, without_small_numbers
from evalkit.reporting.method import inputs, sha256, versions
from evalkit.reporting.names import period_words
from evalkit.reporting.notebook import make_notebook, run_notebook, to_page, write_notebook
from evalkit.reporting.plan import read_plan
from evalkit.study import Study


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
    the study file no longer gives the verdicts of the evaluation handed over.
    """
    place = Path(folder).resolve()
    place.mkdir(parents=True, exist_ok=True)
    study, given = _study_of(evaluation)
    if given is not None:
        level, seed = given.level, given.seed
    file = study_file(study, place)
    title = study.title or study.question or "Report"
    relative = Path(os.path.relpath(file, place)).as_posix()
    fixed = None if plan is None else Path(os.path.relpath(Path(plan).resolve(), place)).as_posix()
    if plan is not None:
        read_plan(plan)
    made = make_notebook(relative, level=level, seed=seed, title=title, plan=fixed)
    notebook = run_notebook(made, place, partial(without_small_numbers, study))
    write_notebook(notebook, place / "report.ipynb")
    page = place / "report.html"
    page.write_text(to_page(notebook), encoding="utf-8")
    verdicts = pd.read_csv(place / "verdicts.csv")
    if given is not None:
        _same_verdicts(safe(given).verdicts, verdicts, file)
    facts = {"study": relative, "title": title, "level": level, "seed": seed, "plan": fixed}
    _write_manifest(place, study, file, facts, verdicts)
    return page


def study_file(study: Study, folder: Path) -> Path:
    """The file that gives `study`: the one it was read from, else one saved beside `folder`, named by content.

    Never under a folder called reports, because the rows are about units.
    """
    if study.inputs:
        return Path(study.inputs[0]).resolve()
    base = _outside(folder)
    with tempfile.TemporaryDirectory(dir=base, prefix=".study-") as draft:
        study.save(Path(draft))
        whole = hashlib.sha256()
        for path in sorted(p for p in Path(draft).rglob("*") if p.is_file()):
            whole.update(f"{path.relative_to(draft).as_posix()} {sha256(path)}\n".encode())
        place = base / f"study-{whole.hexdigest()[:12]}"
        shutil.copytree(draft, place, dirs_exist_ok=True)
    return place / "study.toml"


def _outside(folder: Path) -> Path:
    """Where rows about units may lie: beside `folder`, and outside of any folder "reports" above it."""
    for place in reversed(folder.parents):
        if place.name == "reports":
            return place.parent
    return folder.parent


def _study_of(given: Evaluation | Study | str | Path) -> tuple[Study, Evaluation | None]:
    """(study, evaluation or None) from whatever was handed over."""
    if isinstance(given, (str, Path)):
        return Study.load(given), None
    return (given.study, given) if isinstance(given, Evaluation) else (given, None)


def _same_verdicts(before: pd.DataFrame, after: pd.DataFrame, file: Path) -> None:
    key = ["component", "outcome", "verdict"]
    a, b = (set(map(tuple, frame[key].astype(str).to_numpy())) for frame in (before, after))
    if a != b:
        changed = ", ".join(sorted({row[0] for row in a ^ b}))
        raise EvalkitError(
            f"{file.name} does not give the verdicts of this evaluation any more (differs: {changed}). "
            "Evaluate the study again, then write the report."
        )


def _write_manifest(place: Path, study: Study, file: Path, facts: dict[str, object], verdicts: pd.DataFrame) -> None:
    periods = study.paths.periods
    made = sorted(p for p in place.rglob("*") if p.is_file() and p.name != "manifest.json")
    manifest = {
        **facts,
        "made_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "time_of_data": period_words(periods[-1]) if study.period is not None and len(periods) else None,
        "inputs": dict(inputs(study, file)),
        "versions": versions(),
        "verdicts": verdicts[["component", "outcome", "verdict"]].to_dict("records"),
        "files": {p.relative_to(place).as_posix(): sha256(p) for p in made},
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    (place / "manifest.json").write_text(text + "\n", encoding="utf-8")
