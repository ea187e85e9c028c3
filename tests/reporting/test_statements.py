"""Every range and every number of every report that is made is true to the last digit, in the page, Word, PDF, spoken
text and terminal, and no component has two verdicts on one outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest

import evalkit as ek
from tests.reporting.conftest import ROOT, Built
from tests.reporting.every import Report, every_report, hold, told, written
from tests.reporting.known import Known, Number
from tests.reporting.numbers import Numbers
from tests.reporting.rounds import cannot_print
from tests.reporting.statements import Held, Said, priced_against, ranges, verdicts_said

LEAST, SEEN = 30, 0.5


def held(report: Path, study: Path, paper: bool) -> tuple[Held, Numbers]:
    """A report as a kernel made it, held against the evaluation of its study file."""
    notebook = nbformat.read(report / "report.ipynb", as_version=4)
    return hold(ek.evaluate(ek.Study.load(study)), notebook, report, paper)


def all_is_so(name: str, found: Held, numbers: Numbers, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(told(name, found, numbers))
    assert found.wrong == [] and numbers.wrong == []
    given = int(numbers.evidence.evaluation.verdicts["conf_low"].notna().sum())  # young people: one, or none
    assert found.count >= min(10 * max(given, 1), LEAST)
    assert numbers.count >= 10 * LEAST and numbers.seen > SEEN * numbers.seeded


def test_every_number_of_the_small_report_is_true(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    all_is_so("starter", *held(built.first, built.study, paper=False), capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rough_sleeping", "young_people"])
def test_every_number_of_a_report_that_a_kernel_made_is_true(
    name: str, partnership_report: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    study = ROOT / "data" / "synthetic" / name / "study.toml"
    all_is_so(name, *held(partnership_report(name), study, paper=not cannot_print()), capsys)


@pytest.mark.slow
@pytest.mark.parametrize("report", every_report(), ids=lambda r: r.name)
def test_every_number_of_every_report_is_true(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = ek.evaluate(report.study())
    notebook = written(evaluation, tmp_path)
    all_is_so(report.name, *hold(evaluation, notebook, tmp_path, paper=not cannot_print()), capsys)


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
    rows = [["A", "not given", "£1,410 for each (likely range £795 to £6,040)."], ["B", "not given", "At least £15."]]
    assert len(priced_against([{"table": "V", "columns": ["Part", "One more outcome", "In words"], "rows": rows}])) == 1


def test_a_number_is_read_and_rounded_as_it_is_claimed() -> None:
    low, near, up = Known(-0.187, "down", "share"), Known(4_473_625.0), Known(0.161, "up", "share")
    assert [Number.read(w).is_of(low) for w in ("−19", "19", "18", "+19", "−18.7")] == [True, True, False, False, True]
    said = ("£4.47 million", "£4.48 million", "4,473,625", "£4,470,000", "£4,473,620")
    assert [Number.read(w).is_of(near) for w in said] == [True, False, True, True, True]
    assert [Number.read(w).is_of(up) for w in ("17", "16", "16.1")] == [True, False, True]
    assert Number.read("less than 0.1%").is_of(Known(0.0004, "near", "share"))
