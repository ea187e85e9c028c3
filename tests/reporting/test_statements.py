"""Every range and every number of every report that is made is true to the last digit, in the page, Word, PDF, spoken
text and terminal, and no component has two verdicts on one outcome."""

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
from evalkit.evaluation.results import safe
from evalkit.reporting.formats import to_page, write_formats
from evalkit.reporting.word import blocks_of, to_word
from evalkit.synthetic.settings import SPECS
from tests.reporting.conftest import ROOT, Built
from tests.reporting.known import Known, Number
from tests.reporting.numbers import Numbers, numbers_of
from tests.reporting.statements import Held, Said, answers_of, ranges, texts, verdicts_said

SLOW = ("road_safety", "rough_sleeping", "social_prescribing", "pupils", "carers", "young_people")
LEAST, SEEN = 30, 0.5


def held(report: Path, study: Path, capsys: pytest.CaptureFixture[str], formats: bool) -> tuple[Held, Numbers]:
    """Every range and every number of one report held against the evaluation of its study file."""
    evaluation = safe(ek.evaluate(ek.Study.load(study)))
    notebook = nbformat.read(report / "report.ipynb", as_version=4)
    blocks, answers, found = blocks_of(notebook), answers_of(evaluation), Held()
    numbers = numbers_of(evaluation, str(study))
    figures = [p.read_text("utf-8") for p in sorted((report / "figures").glob("*.txt"))]
    read = {"the notebook": [*texts(blocks)], "figures": figures, "the page": spoken(to_page(notebook))}
    read["Word"] = words_in_word(to_word(notebook, report))
    read["the terminal"] = [" ".join(terminal_of(evaluation, capsys).split())]
    if formats and shutil.which("pdftotext") and shutil.which("chromium"):
        (made,) = write_formats(report, ["pdf"])
        printed = subprocess.run(["pdftotext", "-raw", made, "-"], capture_output=True, text=True, check=True).stdout
        read["PDF"] = [" ".join(printed.split())]
    for where, every in read.items():
        for text in every:
            found.hold(text, answers)
            numbers.repeat(text, where)
    said = verdicts_said(blocks)
    found.count += sum(map(len, said.values()))
    found.wrong += [f"{k}: {sorted(v)}" for k, v in said.items() if len(v) > 1]
    return found, numbers


def words_in_word(made: bytes) -> list[str]:
    docx = pytest.importorskip("docx")
    document = docx.Document(io.BytesIO(made))
    described = [shape._inline.docPr.get("descr") for shape in document.inline_shapes]
    cells = [c.text for t in document.tables for c in t._cells]
    return [p.text for p in document.paragraphs] + cells + described


def told(name: str, found: Held, numbers: Numbers) -> str:
    seen = f"{numbers.seen} of {numbers.seeded} seeded faults seen"
    return (
        f"{name}: {found.count} statements held, {len(found.wrong)} wrong; "
        f"{numbers.count} numbers held, {len(numbers.wrong)} wrong; {seen}"
    )


def spoken(page: str) -> list[str]:
    """The words of every element of a page, links and marks within them left as they are read."""
    inside = re.sub(r"<script>.*?</script>|<style>.*?</style>|<svg.*?</svg>|</?(?:a|span|strong|em)\b[^>]*>", "", page,
                    flags=re.DOTALL)  # fmt: skip
    return [" ".join(html.unescape(words).split()) for words in re.split(r"<[^>]+>", inside) if words.strip()]


def terminal_of(evaluation: ek.Evaluation, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    show_verdicts(evaluation.study, evaluation.verdicts, evaluation.effects)
    return capsys.readouterr().out


def test_every_number_of_the_small_report_is_true(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    found, numbers = held(built.first, built.study, capsys, formats=False)
    print(told("starter", found, numbers))
    assert found.wrong == [] and numbers.wrong == []
    assert found.count >= LEAST and numbers.count >= 10 * LEAST and numbers.seen > SEEN * numbers.seeded


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_every_number_of_every_report_is_true(
    name: str, partnership_report: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ROOT / "data" / (name if name == "road_safety" else f"synthetic/{name}") / "study.toml"
    report = ek.report(study, tmp_path / "report").parent if name == "road_safety" else partnership_report(name)
    found, numbers = held(report, study, capsys, formats=True)
    with capsys.disabled():
        print(told(name, found, numbers))
    assert found.wrong == [] and numbers.wrong == []
    assert found.count >= LEAST and numbers.seen > SEEN * numbers.seeded


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["clean", "realistic", "hard"])
@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_number_is_true_in_every_setting(name: str, setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = safe(ek.evaluate(ek.synthetic.partnership(name, setting, seed=3).study))
    numbers = numbers_of(evaluation, "study.toml")
    with capsys.disabled():
        print(told(f"{name}, {setting}", Held(), numbers))
    assert numbers.wrong == [] and numbers.seen > SEEN * numbers.seeded


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


def test_a_number_is_read_and_rounded_as_it_is_claimed() -> None:
    low, near, up = Known(-0.187, "down", "share"), Known(4_473_625.0), Known(0.161, "up", "share")
    assert [Number.read(w).is_of(low) for w in ("−19", "19", "18", "+19", "−18.7")] == [True, True, False, False, True]
    said = ("£4.47 million", "£4.48 million", "4,473,625", "£4,470,000", "£4,473,620")
    assert [Number.read(w).is_of(near) for w in said] == [True, False, True, True, True]
    assert [Number.read(w).is_of(up) for w in ("17", "16", "16.1")] == [True, False, True]
    assert Number.read("less than 0.1%").is_of(Known(0.0004, "near", "share"))
