"""Every range of every report that is made is true to the last digit, in the page, Word, PDF, spoken text and terminal,
and no component has two verdicts on one outcome."""

from __future__ import annotations

import html
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest

import evalkit as ek
from evalkit.cli.findings import show_verdicts
from evalkit.reporting.formats import blocks_of, to_page, to_word, write_formats
from tests.reporting.conftest import ROOT, Built
from tests.reporting.statements import Held, Said, answers_of, ranges, texts, verdicts_said

SLOW = ("road_safety", "rough_sleeping", "social_prescribing", "pupils", "carers", "young_people")
LEAST = 30


def held(report: Path, study: Path, terminal: str, formats: bool) -> Held:
    """Every range of one report held against the evaluation of its study file."""
    notebook = nbformat.read(report / "report.ipynb", as_version=4)
    blocks, answers, found = blocks_of(notebook), answers_of(ek.evaluate(ek.Study.load(study))), Held()
    for text in (*texts(blocks), *(p.read_text("utf-8") for p in sorted((report / "figures").glob("*.txt")))):
        found.hold(text, answers)
    for text in spoken(to_page(notebook)):
        found.hold(text, answers)
    docx = pytest.importorskip("docx")
    word = docx.Document(io.BytesIO(to_word(notebook, report)))
    for text in [p.text for p in word.paragraphs] + [c.text for t in word.tables for c in t._cells]:
        found.hold(text, answers)
    found.hold(" ".join(terminal.split()), answers)
    if formats and shutil.which("pdftotext") and shutil.which("chromium"):
        (made,) = write_formats(report, ["pdf"])
        printed = subprocess.run(["pdftotext", "-raw", made, "-"], capture_output=True, text=True, check=True).stdout
        found.hold(" ".join(printed.split()), answers)
    said = verdicts_said(blocks)
    found.count += sum(map(len, said.values()))
    found.wrong += [f"{k}: {sorted(v)}" for k, v in said.items() if len(v) > 1]
    return found


def spoken(page: str) -> list[str]:
    """The words of every element of a page, links and marks within them left as they are read."""
    inside = re.sub(r"<script>.*?</script>|<style>.*?</style>|<svg.*?</svg>|</?(?:a|span|strong|em)\b[^>]*>", "", page,
                    flags=re.DOTALL)  # fmt: skip
    return [" ".join(html.unescape(words).split()) for words in re.split(r"<[^>]+>", inside) if words.strip()]


def terminal_of(evaluation: ek.Evaluation, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    show_verdicts(evaluation.study, evaluation.verdicts, evaluation.effects)
    return capsys.readouterr().out


def test_ranges_of_the_small_report_are_true(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    screen_words = terminal_of(ek.evaluate(ek.Study.load(built.study)), capsys)
    found = held(built.first, built.study, screen_words, formats=False)
    print(f"{found.count} statements held, {len(found.wrong)} wrong")
    assert found.wrong == [] and found.count >= LEAST


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_ranges_of_every_report_are_true(
    name: str, partnership_report: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ROOT / "data" / (name if name == "road_safety" else f"synthetic/{name}") / "study.toml"
    report = ek.report(study, tmp_path / "report").parent if name == "road_safety" else partnership_report(name)
    found = held(report, study, terminal_of(ek.evaluate(ek.Study.load(study)), capsys), formats=True)
    with capsys.disabled():
        print(f"{name}: {found.count} statements held, {len(found.wrong)} wrong")
    assert found.wrong == [] and found.count >= LEAST


def test_a_number_rounded_inwards_or_a_second_verdict_is_seen() -> None:
    answer = np.array([[-0.242, 0.249, 0.004]])
    true, inwards = Held(), Held()
    true.hold("0 (−25 to +25); likely range 25 fewer to 25 more", answer)
    inwards.hold("likely range 24 fewer to 25 more; likely range 20 fewer to 20 more; +0.4 (−24.2 to +24.8)", answer)
    assert true.count == 2 and true.wrong == [] and len(inwards.wrong) == inwards.count == 3
    assert [(s.low, s.high) for s in ranges("likely range 2% to 10% lower, and likely range 2 to 16 more")] == [
        (-10.0, -2.0), (2.0, 16.0),
    ]  # fmt: skip
    log = Said("", -9.0, -3.0, (1.0, 1.0), -6.0, 1.0)
    assert log.true_of(np.log(0.915), np.log(0.965), np.log(0.94))
    assert not replace(log, low=-8.0).true_of(np.log(0.915), np.log(0.965), np.log(0.94))
    table = {"table": "Verdicts: Y", "columns": ["Component", "Verdict"], "rows": [["A", "Shown"], ["A", "Likely"]]}
    assert verdicts_said([table]) == {("Y", "A"): {"shown", "likely"}}
