"""One small study, evaluated and reported once for all tests of the report."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import evalkit as ek
from evalkit.cli.starter import write_starter
from evalkit.reporting.plan import make_plan, write_plan

WAIT = 300.0


@dataclass(frozen=True)
class Built:
    """Two reports of the same study file: `first` from an Evaluation, `second` from the file's path."""

    study: Path
    first: Path
    second: Path

    @property
    def page(self) -> str:
        return (self.first / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built by the first worker that asks; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "one-report"
    made = Built(root / "study" / "study.toml", root / "reports" / "first", root / "reports" / "second")
    try:
        root.mkdir()
    except FileExistsError:
        _wait_for(root / "done")
        return made
    write_starter(root / "study")
    study = ek.Study.load(made.study)
    plan = write_plan(make_plan(study), made.study.parent / "plan.json")
    ek.report(ek.evaluate(study), made.first, plan=plan)
    ek.report(made.study, made.second, plan=plan)
    (root / "done").touch()
    return made


def _wait_for(mark: Path) -> None:
    end = time.monotonic() + WAIT
    while not mark.exists():
        if time.monotonic() > end:
            pytest.fail("The worker that builds the report did not finish.")
        time.sleep(0.2)
