"""One small study and two partnerships, evaluated and reported once for all tests of the report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import evalkit as ek
from evalkit.cli.starters import write_starter
from evalkit.reporting.plan import make_plan, write_plan

ROOT = Path(__file__).resolve().parents[2]
WAIT = 600.0


@dataclass(frozen=True)
class Built:
    """Two reports of the same study file: `first` from an Evaluation, `second` from the file's path."""

    study: Path
    first: Path
    second: Path

    @classmethod
    def under(cls, root: Path) -> Built:
        """Where they lie in `root`."""
        return cls(root / "study" / "study.toml", root / "reports" / "first", root / "reports" / "second")

    @property
    def page(self) -> str:
        return (self.first / "report.html").read_text(encoding="utf-8")


# The pages of both go through the same lines; the larger one is built and read by `make test-slow`.
PARTNERSHIPS = (pytest.param("rough_sleeping", marks=pytest.mark.slow), "young_people")


def once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """A folder that `build` fills once for all workers: the first that asks builds, the others wait."""
    base = factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    try:
        root.mkdir()
    except FileExistsError:
        _wait_for(root / "done")
        return root
    build(root)
    (root / "done").touch()
    return root


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Two reports of one small study of places."""

    def build(root: Path) -> None:
        made = Built.under(root)
        write_starter(root / "study")
        study = ek.Study.load(made.study)
        plan = write_plan(make_plan(study), made.study.parent / "plan.json")
        ek.report(ek.evaluate(study), made.first, plan=plan)
        ek.report(made.study, made.second, plan=plan)

    return Built.under(once(tmp_path_factory, "one-report", build))


@pytest.fixture(scope="session")
def partnership_report(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The report of a partnership whose rows are about people, made from its study file when first asked for."""

    def find(name: str) -> Path:
        study = ROOT / "data" / "synthetic" / name / "study.toml"
        return once(tmp_path_factory, name, lambda root: ek.report(study, root / "report")) / "report"

    return find


def _wait_for(mark: Path) -> None:
    end = time.monotonic() + WAIT
    while not mark.exists():
        if time.monotonic() > end:
            pytest.fail("The worker that builds the report did not finish.")
        time.sleep(0.2)
