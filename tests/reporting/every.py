"""Every number and every range of every report that is made, held against the evidence behind it, in notebook, page,
figures' words, Word, PDF and terminal: `python -m tests.reporting.every --keep FOLDER --write`.

The reports are those of `make demo`, and those of each partnership in each setting. FOLDER keeps what was counted, so
that a run that was stopped, or mended, goes on with the others.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import html
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from unittest.mock import patch

import docx
import nbformat

import evalkit as ek
from evalkit import reporting
from evalkit.cli.findings import show_verdicts
from evalkit.cli.reports import STUDIES, find_study
from evalkit.evaluation.results import safe
from evalkit.reporting.formats import to_page
from evalkit.reporting.manifest import write_manifest
from evalkit.reporting.word import blocks_of, to_word
from evalkit.synthetic.settings import SPECS
from tests.reporting.numbers import Numbers, numbers_of, sections_of
from tests.reporting.rounds import cannot_print, notebook_of, printed
from tests.reporting.statements import Held, answers_of, priced_against, texts, verdicts_said

TABLE = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "statements.csv"
SETTINGS, SEED = ("clean", "realistic", "hard"), 3
HEAD = ("report", "statements", "wrong", "numbers", "wrong_numbers", "seeded_faults", "seen", "printed", "date")


@dataclass(frozen=True)
class Report:
    """A report that can be made: its name, and its study."""

    name: str
    study: Callable[[], ek.Study]


def every_report() -> tuple[Report, ...]:
    """Those of `make demo`, then each partnership in each setting."""
    shown = [Report(f"demo: {Path(name).name}", partial(ek.Study.load, find_study(name))) for name in STUDIES]
    each = ((name, setting) for name in SPECS for setting in SETTINGS)
    return (*shown, *(Report(", ".join(both), partial(_partnership, *both)) for both in each))


def _partnership(name: str, setting: str) -> ek.Study:
    return ek.synthetic.partnership(name, setting, seed=SEED).study


def written(evaluation: ek.Evaluation, folder: Path) -> nbformat.NotebookNode:
    """A report's notebook as a kernel would leave it, without one; figures and a manifest in `folder`."""
    made, file = safe(evaluation), folder / "study.toml"
    file.write_text("", encoding="utf-8")
    pictures = reporting.pictures(made)
    reporting.write_pictures(pictures, folder / "figures")
    title = made.study.title or made.study.question
    notebook = notebook_of(*sections_of(made, pictures, str(file)), title=title or "Report")
    write_manifest(folder, made.study, file, {"study": "x", "title": "x", "level": 0.95, "seed": 0}, made.verdicts)
    return notebook


def hold(evaluation: ek.Evaluation, notebook: nbformat.NotebookNode, folder: Path, paper: bool) -> tuple[Held, Numbers]:
    """Every range and every number of the report in `folder` held against its evaluation. paper: in PDF too."""
    made = safe(evaluation)
    numbers, page = numbers_of(made, str(folder / "study.toml")), to_page(notebook)
    blocks, answers, found = blocks_of(notebook), answers_of(made, numbers.evidence.pictures), Held()
    figures = [p.read_text("utf-8") for p in sorted((folder / "figures").glob("*.txt"))]
    read = {"the notebook": [*texts(blocks)], "figures": figures, "the page": spoken(page)}
    read["Word"] = words_in_word(to_word(notebook, folder))
    read["the terminal"] = [" ".join(terminal_of(made).split())]
    if paper:
        read["PDF"] = [" ".join(printed(page, "-raw").split())]
    for where, every in read.items():
        for text in every:
            found.hold(text, answers)
            numbers.repeat(text, where)
    said = verdicts_said(blocks)
    found.count += sum(map(len, said.values()))
    found.wrong += [*(f"{k}: {sorted(v)}" for k, v in said.items() if len(v) > 1), *priced_against(blocks)]
    return found, numbers


def words_in_word(made: bytes) -> list[str]:
    document = docx.Document(io.BytesIO(made))
    described = [shape._inline.docPr.get("descr") for shape in document.inline_shapes]
    cells = [c.text for t in document.tables for c in t._cells]
    return [p.text for p in document.paragraphs] + cells + described


def spoken(page: str) -> list[str]:
    """The words of every element of a page, links and marks within them left as they are read."""
    inside = re.sub(r"<script>.*?</script>|<style>.*?</style>|<svg.*?</svg>|</?(?:a|span|strong|em)\b[^>]*>", "", page,
                    flags=re.DOTALL)  # fmt: skip
    return [" ".join(html.unescape(words).split()) for words in re.split(r"<[^>]+>", inside) if words.strip()]


def terminal_of(evaluation: ek.Evaluation) -> str:
    wide = {"COLUMNS": "400"}  # so that no cell goes on in the next line, among the words of others
    with contextlib.redirect_stdout(io.StringIO()) as shown, patch.dict(os.environ, wide):
        show_verdicts(evaluation.study, evaluation.verdicts, evaluation.effects)
    return shown.getvalue()


def told(name: str, found: Held, numbers: Numbers) -> str:
    seen = f"{numbers.seen} of {numbers.seeded} seeded faults seen"
    return (
        f"{name}: {found.count} statements held, {len(found.wrong)} wrong; "
        f"{numbers.count} numbers held, {len(numbers.wrong)} wrong; {seen}"
    )


def counted(report: Report, keep: Path) -> list[object]:
    """A report's row of the table; every word that is not so is printed."""
    kept = (keep / re.sub(r"\W+", "-", report.name)).with_suffix(".json")
    if not kept.is_file():
        evaluation, folder = safe(ek.evaluate(report.study())), kept.with_suffix("")
        folder.mkdir(exist_ok=True)
        paper = not cannot_print()
        found, numbers = hold(evaluation, written(evaluation, folder), folder, paper)
        print(told(report.name, found, numbers), *found.wrong, *numbers.wrong, sep="\n  ", flush=True)
        row = [report.name, found.count, len(found.wrong), numbers.count, len(numbers.wrong), numbers.seeded,
               numbers.seen, paper, str(date.today())]  # fmt: skip
        if found.wrong or numbers.wrong:  # is looked at again, once it is mended
            return row
        kept.write_text(json.dumps(row), encoding="utf-8")
    row = json.loads(kept.read_text(encoding="utf-8"))
    assert isinstance(row, list)
    return row


def main() -> None:
    """Print, and with --write keep, how many statements and numbers were held, and how many are not so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, required=True, help="folder for the counts of a run")
    parser.add_argument("--only", default="", help="reports whose name matches this alone")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} into benchmarks/results")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    rows = [counted(r, options.keep) for r in every_report() if re.search(options.only, r.name)]
    print(f"All: {sum(int(str(r[1])) for r in rows):,} statements, {sum(int(str(r[3])) for r in rows):,} numbers.")
    if options.write:
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([HEAD, *rows])


if __name__ == "__main__":
    main()
