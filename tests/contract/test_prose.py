"""Prose is made from typed fields and never read back: no pattern reads a sentence of ours, no page is parsed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import evalkit as ek
from evalkit import reporting
from tests.laws.kinds import known

PACKAGE = Path(__file__).resolve().parents[2] / "evalkit"
PARTS = ("verdicts", "disclosure", "language", "evaluation", "show", "reporting", "cli")
# File -> what its regular expressions read, which is no prose.
READS = {
    "cli/starters.py": "which keys of TOML need quotation marks",
    "reporting/formats.py": "placeholders in code, the kernel's warnings, tags of a page",
    "reporting/pdf.py": "dates and ids in a PDF",
    "reporting/strict.py": "where a link leads",
    "reporting/verify.py": "numbers, ids and figures in two files that ought to be the same",
    "show/tables.py": "the first sign of a cell of a CSV file",
    "show/words.py": "control characters, and signs that no name of a file may have",
}
GUARDS = {"strict.py"}  # reads tags and attributes, to refuse what no report holds
PARSERS = {"bs4", "lxml", "html.parser", "html5lib"}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    return found | {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}


def test_patterns_are_laid_over_settings_code_and_bytes_only() -> None:
    files = [p for part in PARTS for p in (PACKAGE / part).rglob("*.py")]
    assert len(files) > 30
    assert {p.relative_to(PACKAGE).as_posix() for p in files if "re" in imported(p)} == set(READS)


def test_no_page_is_parsed() -> None:
    assert [p.name for p in PACKAGE.rglob("*.py") if imported(p) & PARSERS and p.name not in GUARDS] == []


@pytest.mark.parametrize("kind", ["replaced", "two_and_two"])
def test_every_table_says_what_the_statement_says(kind: str) -> None:
    evaluation = ek.evaluate(known(kind, 1, noise=0.3).study)
    for made in (evaluation, reporting.safe(evaluation)):
        assert made.verdicts["sentence"].tolist() == [s.sentence for s in made.statements]
        assert [s.component for s in made.statements] == [e.component for e, _ in made.judged]
        assert type(made) is ek.Evaluation
        said = {(s.component, c.check): c.words for s in made.statements for c in s.checks}
        table = {(r["component"], r["check"]): r["words"] for r in made.checks.to_dict("records")}
        assert said == table
