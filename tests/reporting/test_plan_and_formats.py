"""Plans fixed before outcomes are read, reports made again, and the same report in other formats."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

import evalkit as ek
from docs import browser as chromium
from evalkit.errors import EvalkitError
from evalkit.reporting.formats import write_formats
from evalkit.reporting.manifest import sha256
from evalkit.reporting.pdf import renumbered, undated
from evalkit.reporting.plan import make_plan, plan_hash, plan_sentence, plan_tags, read_plan, write_plan
from evalkit.reporting.scales import checklist
from evalkit.reporting.verify import compare, other_formats, verify
from tests.reporting.conftest import Built
from tests.reporting.test_cli import call


@pytest.fixture
def study(built: Built) -> ek.Study:
    return ek.Study.load(built.study)


def test_a_plan_reads_no_outcome(built: Built, study: ek.Study, tmp_path: Path) -> None:
    plan = make_plan(study)
    shutil.copytree(built.study.parent, tmp_path / "study")
    panel = pd.read_csv(tmp_path / "study" / "panel.csv").assign(wellbeing="not yet known")
    panel.to_csv(tmp_path / "study" / "panel.csv", index=False)
    assert make_plan(ek.Study.load(tmp_path / "study" / "study.toml")) == plan
    assert [c["design"] for c in plan["components"]][:2] == ["StaggeredRollout(same)"] * 2
    assert plan["outcomes"][0]["matters"] == 1.5 and plan["sha256"] == plan_hash(plan)


def test_a_plan_is_never_written_over_and_a_changed_one_is_refused(study: ek.Study, tmp_path: Path) -> None:
    file = write_plan(make_plan(study), tmp_path / "plan.json")
    assert read_plan(file) == make_plan(study)
    with pytest.raises(EvalkitError, match="a plan already"):
        write_plan(make_plan(study), file)
    file.write_text(file.read_text(encoding="utf-8").replace("1.5", "0.5"), encoding="utf-8")
    with pytest.raises(EvalkitError, match="changed after it was made"):
        read_plan(file)
    with pytest.raises(EvalkitError, match="cannot be read as a plan"):
        read_plan(tmp_path / "none.json")


def test_results_are_tagged_planned_or_not(study: ek.Study) -> None:
    evaluation = ek.evaluate(study)
    plan = make_plan(study)
    assert set(plan_tags(plan, evaluation).values()) == {"planned"}
    plan["components"] = [c for c in plan["components"] if c["name"] != "visits"]
    plan["outcomes"][0]["matters"] = 3.0
    tags = plan_tags(plan, evaluation)
    assert tags["helpline", "wellbeing"] == "not planned: how much matters was changed"
    assert tags["visits", "wellbeing"].startswith("not planned: the component was not in the plan")
    assert plan_tags(None, evaluation) == {}
    said = plan_sentence(plan, study, 0.95)
    assert said.startswith("Not as planned: ") and said.endswith("None is as it was planned.")
    assert said.count("(how much matters was changed)") == 1 and said.count("“") == len(tags)
    assert plan_sentence(make_plan(study), study, 0.95) == f"All {len(tags)} results were planned."
    asked = {q: (answer, why) for q, answer, why in checklist(replace(evaluation, plan=plan))}
    assert asked["Was it set beforehand how much would matter?"] == ("no", "For no outcome.")
    assert ("Was it set beforehand how much would matter?", "yes", "For every outcome.") in list(checklist(evaluation))


def test_the_page_says_what_was_planned(built: Built) -> None:
    assert "Every line was planned, in the plan" in built.page
    assert 'id="planned"' in built.page
    verdicts = pd.read_csv(built.first / "verdicts.csv")
    assert (verdicts["planned"] == "planned").all()
    manifest = json.loads((built.first / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["plan"] == "../../study/plan.json"


def test_verify_makes_the_report_again_as_it_was_made(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made again is put there by hand; that it would be the same is held by the two reports of `built`."""
    given: list[dict[str, object]] = []
    edited = ""

    def again(study: ek.Study, folder: Path, **options: object) -> None:
        given.append(options)
        shutil.copytree(built.second, folder, dirs_exist_ok=True)
        page = folder / "report.html"
        page.write_text(page.read_text(encoding="utf-8") + edited, encoding="utf-8")

    monkeypatch.setattr(sys.modules["evalkit.reporting.verify"], "write_report", again)
    found = verify(built.second)
    assert found.lines() == [] and found.same
    assert not list(built.second.parent.glob(".evalkit-*"))
    edited = "one line more"
    found = verify(built.second)
    assert not found.same and any("report.html" in line for line in found.files)
    assert not list(built.second.parent.glob(".evalkit-*"))
    plan = given[0].pop("plan")
    assert isinstance(plan, Path) and plan.resolve() == (built.study.parent / "plan.json").resolve()
    manifest = json.loads((built.second / "manifest.json").read_text(encoding="utf-8"))
    assert given[0] == {"level": manifest["level"], "seed": manifest["seed"]} and len(given) == 2


@pytest.mark.slow
def test_verify_finds_the_same_report_again(built: Built) -> None:
    found = verify(built.second)
    assert found.lines() == [] and found.same
    assert not list(built.second.parent.glob(".evalkit-*"))


def test_verify_says_what_differs(built: Built, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(built.first, old)
    shutil.copytree(built.first, new)
    effects = pd.read_csv(new / "effects.csv")
    effects.loc[0, "estimate"] += 1
    effects.to_csv(new / "effects.csv", index=False)
    (old / "report.html").write_text("edited by hand", encoding="utf-8")
    manifest = json.loads((old / "manifest.json").read_text(encoding="utf-8"))
    tables, files, _ = compare(old, new, manifest)
    assert files == ["report.html was changed after the report was written"]
    assert len(tables) == 1 and "effects.csv: " in tables[0] and "estimate of helpline, wellbeing" in tables[0]


def rewritten(file: Path, old: str, new: str) -> None:
    """A file of a report changed, and its hash in the manifest with it."""
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    manifest = file.parent / "manifest.json"
    said = json.loads(manifest.read_text(encoding="utf-8"))
    said["files"][file.name] = sha256(file)
    manifest.write_text(json.dumps(said), encoding="utf-8")


def test_verify_looks_at_the_other_formats_too(built: Built, tmp_path: Path) -> None:
    pytest.importorskip("docx")
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(built.first, old)
    shutil.copytree(built.first, new)
    assert other_formats(old, new, set()) == []
    write_formats(old, ["docx"])
    assert other_formats(old, new, set()) == []
    notebook = new / "report.ipynb"
    rewritten(notebook, "Helpline", "Phone line")
    assert other_formats(old, new, set()) == ["report.docx differs from what the report gives now"]
    notebook.unlink()
    assert other_formats(old, new, set())[0].startswith("report.docx could not be made again: There is no report.ipynb")


def test_verify_needs_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("verify", tmp_path) == 2
    assert "no manifest.json" in " ".join(capsys.readouterr().err.split())


def test_the_plan_command(built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("plan", built.study, "--out", tmp_path / "plan.json") == 0
    said = capsys.readouterr().out
    assert read_plan(tmp_path / "plan.json")["sha256"] in said and "1 outcome, 3 components" in said
    assert call("plan", built.study, "--out", tmp_path / "plan.json") == 2


def test_word_keeps_headings_headers_and_alternative_texts(built: Built, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    folder = tmp_path / "report"
    shutil.copytree(built.first, folder)
    (path,) = write_formats(folder, ["docx"])
    first = path.read_bytes()
    write_formats(folder, ["docx"])
    assert path.read_bytes() == first
    document = docx.Document(str(path))
    headings = [p.text for p in document.paragraphs if p.style.name.startswith("Heading")]
    assert headings[0] == "Which parts of the partnership raised wellbeing?" and "Estimates" in headings
    described = [shape._inline.docPr.get("descr") for shape in document.inline_shapes]
    page = (folder / "report.html").read_text(encoding="utf-8")
    shown = {unescape(words) for words in re.findall(r'<img [^>]*alt="([^"]*)"', page)}
    assert len(described) > 6 and all(any(d.startswith(words[:25]) for words in shown) for d in described)
    assert all(len(words) > 40 for words in described)
    assert 15 < len(document.tables) <= page.count("<table")  # what is folded away by itself stays on the page alone
    with zipfile.ZipFile(path) as parts:
        body = parts.read("word/document.xml").decode("utf-8")
    assert body.count("w:tblHeader") == len(document.tables)


def test_pdf_is_tagged_and_the_same_twice(built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if chromium.missing():
        pytest.skip("NOBODY PRINTED THE PAGE: Chromium is not installed.")
    folder = tmp_path / "report"
    shutil.copytree(built.first, folder)
    assert call("report", folder, "--to", "html,pdf") == 0
    first = (folder / "report.pdf").read_bytes()
    assert (folder / "report.html").read_bytes() == (built.first / "report.html").read_bytes()
    write_formats(folder, ["pdf"])
    assert (folder / "report.pdf").read_bytes() == first
    assert b"/StructTreeRoot" in first and b"/Lang" in first and b"/MarkInfo" in first
    assert b"D:20000101000000" in first


def test_dates_in_a_pdf_keep_their_length() -> None:
    before = b"/CreationDate (D:20261124130000+00'00')/ModDate (D:20261124130001Z)"
    after = undated(before)
    assert len(after) == len(before) and re.findall(rb"D:(\d{8})", after) == [b"20000101"] * 2


def test_ids_in_a_pdf_are_counted_from_one_in_their_own_order() -> None:
    before = b"/ID (node00000040) /Headers [(node00000039) (node00000040)]"
    assert renumbered(before) == b"/ID (node00000002) /Headers [(node00000001) (node00000002)]"


def test_unknown_formats_and_missing_reports_are_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(EvalkitError, match="--to='odt'"):
        write_formats(tmp_path, ["odt"])
    with pytest.raises(EvalkitError, match=r"no report\.html"):
        write_formats(tmp_path, ["pdf"])
