"""A report: notebook, page, tables, pictures and a manifest in one folder; made again, to say what differs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.evaluation import Evaluation
from evalkit.evaluation.evidence import write_frames
from evalkit.evaluation.results import safe, without_small_numbers
from evalkit.figures import Picture, describe
from evalkit.figures.bars import contamination_table
from evalkit.figures.inputs import labels_of
from evalkit.reporting.formats import FORMATS, make_notebook, run_notebook, to_page, write_formats
from evalkit.reporting.more_sections import inputs, sha256, versions
from evalkit.reporting.names import names_of, period_words, statements_of
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
    given = evaluation if isinstance(evaluation, Evaluation) else None
    if isinstance(evaluation, Evaluation):
        study, level, seed = evaluation.study, evaluation.level, evaluation.seed
    else:
        study = evaluation if isinstance(evaluation, Study) else Study.load(evaluation)
    file = study_file(study, place)
    title = study.title or study.question or "Report"
    relative = Path(os.path.relpath(file, place)).as_posix()
    fixed = None if plan is None else Path(os.path.relpath(Path(plan).resolve(), place)).as_posix()
    if plan is not None:
        read_plan(plan)
    made = make_notebook(relative, level=level, seed=seed, title=title, plan=fixed)
    notebook = run_notebook(made, place, partial(without_small_numbers, study))
    (place / "report.ipynb").write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")
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
    base = next((place.parent for place in reversed(folder.parents) if place.name == "reports"), folder.parent)
    with tempfile.TemporaryDirectory(dir=base, prefix=".study-") as draft:
        study.save(Path(draft))
        whole = hashlib.sha256()
        for path in sorted(p for p in Path(draft).rglob("*") if p.is_file()):
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


_KEYS = ["component", "outcome", "design", "check", "event_time", "cluster", "stage", "piece", "name"]


@dataclass(frozen=True)
class Verification:
    """What differs between a report and the same one made again; nothing at all when `same`.

    inputs: files that are not what they were. versions: packages that are not what they were. tables: numbers and
    words that differ. files: other files whose bytes differ.
    """

    inputs: tuple[str, ...]
    versions: tuple[str, ...]
    tables: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every file is the same, byte for byte, the time line excepted."""
        return not (self.inputs or self.tables or self.files)

    def lines(self) -> list[str]:
        """What differs, a line each."""
        return [*self.inputs, *self.versions, *self.tables, *self.files]


def verify(folder: str | Path) -> Verification:
    """Make a report again beside itself, compare every file (PDF and Word too, where there are), and remove the copy.

    Raises `EvalkitError` where there is no manifest or the study file is gone.
    """
    place = Path(folder).resolve()
    if not (place / "manifest.json").is_file():
        raise EvalkitError(f"There is no manifest.json in {str(place)!r}. Name the folder of a report.")
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    file = (place / manifest["study"]).resolve()
    if not file.is_file():
        gone = f"The study file of this report is not there any more: {manifest['study']} (from its folder)."
        raise EvalkitError(gone)
    again = Path(tempfile.mkdtemp(dir=place.parent, prefix=".verify-"))
    try:
        plan = None if manifest.get("plan") is None else place / manifest["plan"]
        report(Study.load(file), again, level=manifest["level"], seed=manifest["seed"], plan=plan)
        made = json.loads((again / "manifest.json").read_text(encoding="utf-8"))
        tables, files = _compare(place, again, manifest, made)
        files += _other_formats(place, again)
    finally:
        shutil.rmtree(again)
    changed = _inputs(manifest["inputs"], dict(inputs(Study.load(file), file)))
    is_now = {n: versions().get(n, "not there") for n in manifest["versions"]}
    packages = [f"{n}: was {v}, is {is_now[n]}" for n, v in manifest["versions"].items() if is_now[n] != v]
    return Verification(tuple(changed), tuple(packages), tuple(tables), tuple(files))


def _other_formats(old: Path, new: Path) -> list[str]:
    """PDF and Word that lie beside the page, made again."""
    found = []
    for name in (n for n in FORMATS if n != "html" and (old / f"report.{n}").is_file()):
        try:
            (made,) = write_formats(new, [name])
        except EvalkitError as error:
            found.append(f"report.{name} could not be made again: {error}")
            continue
        if sha256(made) != sha256(old / made.name):
            found.append(f"{made.name} differs from what the report gives now")
    return found


def _inputs(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    changed = [f"input {n} was changed" for n in before if n in now and now[n] != before[n]]
    changed += [f"input {n} is not named any more" for n in before if n not in now]
    return changed + [f"input {n} is new" for n in now if n not in before]


def _compare(old: Path, new: Path, before: Mapping[str, Any], made: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Differences in tables, in words; and other files that differ."""
    tables: list[str] = []
    files: list[str] = []
    for name in sorted({*before["files"], *made["files"]}):
        a, b = old / name, new / name
        if not a.is_file():
            files.append(f"{name} is missing from the report" if name in before["files"] else f"{name} is new")
        elif sha256(a) != before["files"].get(name, sha256(a)):
            files.append(f"{name} was changed after the report was written")
        elif not b.is_file():
            files.append(f"{name} is not made any more")
        elif sha256(a) != sha256(b):
            (tables if name.endswith(".csv") and "/" not in name else files).append(_difference(name, a, b))
    return tables, files


def _difference(name: str, a: Path, b: Path) -> str:
    """Where two tables differ first, in words; just that they differ for other files."""
    if a.suffix != ".csv":
        return f"{name} differs"
    before, now = (pd.read_csv(p, dtype=str, keep_default_na=False) for p in (a, b))
    if list(before) != list(now) or len(before) != len(now):
        return f"{name}: {len(before)} rows, now {len(now)}" if list(before) == list(now) else f"{name}: other columns"
    apart = before.ne(now)
    row = int(apart.any(axis=1).to_numpy().argmax())
    column = str(apart.columns[apart.iloc[row].to_numpy().argmax()])
    which = ", ".join(before[k].iloc[row] for k in _KEYS if k in before)
    cells = int(apart.to_numpy().sum())
    was, now_is = before[column].iloc[row], now[column].iloc[row]
    return f"{name}: {cells} cells differ, first {column} of {which} (was {was}, is {now_is})"


def pictures(evaluation: Evaluation) -> dict[str, Picture]:
    """Name -> Picture: timeline, separability, forest (one an outcome), event studies, leave one out, flow,
    contamination, and waterfall, value plane and acceptability where there are such numbers.

    A picture that nothing can be drawn in is left out; the tables say why.
    """
    evaluation = safe(evaluation)
    first = evaluation.study.outcome().column
    out = {"separability": describe("separability", evaluation)}
    named = {c.name for c in evaluation.study.components}
    if evaluation.study.paths.n_periods > 1 and evaluation.separability.withheld < named:
        out["timeline"] = describe("timeline", evaluation)
    for outcome in dict.fromkeys(evaluation.verdicts["outcome"]):
        name = "forest" if outcome == first else f"forest_{outcome}"
        out[name] = describe("forest", evaluation, evaluation.effects, outcome=outcome, name=name)
    for component in evaluation.study.components:
        table = evaluation.event_studies.get((component.name, first))
        if table is not None and len(table):
            name = f"event_study_{component.name}"
            out[name] = describe("event_study", evaluation, component.name, outcome=first, name=name)
        mine = evaluation.compared[evaluation.compared["component"] == component.name]
        if len(mine := mine[mine["outcome"] == first]):
            about = {"labels": labels_of(evaluation), "place": names_of(evaluation.study).place(component.name)}
            name = f"compared_{component.name}"
            out[name] = describe("compared", mine, **about, name=name)
    if len(evaluation.leave_one_out):
        out["leave_one_out"] = describe("leave_one_out", evaluation, outcome=first)
    if evaluation.flow is not None and len(evaluation.flow):
        out["flow"] = describe("flow", evaluation)
    made, value = evaluation.attribution, evaluation.value
    if made is not None and made.pieces["estimate"].notna().any():
        out["waterfall"] = describe("waterfall", made)
    if value is not None and len(value.plane):
        out["value_plane"] = describe("value_plane", value)
    if value is not None and len(value.acceptability):
        out["acceptability"] = describe("acceptability", value)
    weights = contamination_table(evaluation)
    if len(weights):
        out["contamination"] = describe("contamination", weights, labels=labels_of(evaluation))
    return out


def write_tables(evaluation: Evaluation, folder: str | Path) -> tuple[Path, ...]:
    """Write every table of an evaluation as CSV (UTF-8, ten significant digits) into `folder`; return the paths.

    Only aggregates are written, never rows about units, and only what disclosure control allows.
    """
    evaluation = safe(evaluation)
    named = {**evaluation.frames(), "verdicts": stated(evaluation)}
    if evaluation.attribution is not None:
        named["attribution"] = evaluation.attribution.pieces
    if evaluation.value is not None:
        named["value"] = evaluation.value.table
    return write_frames(named, folder)


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
