"""Hostile words in every place of a study and every form of its report: `python -m tests.reporting.rounds --write` runs
all rounds and writes benchmarks/results/hostile.csv.

A round makes a study of words, evaluates it and writes what a report is made of. Rounds of one word a place move every
word on by one place, so that all of them together put every word everywhere; in those of other kinds of study (people
dealt by chance whose outcome waits, people asked anew each month) and of nouns, eight words stand in a place together;
words that the door refuses as names are tried wherever it takes them.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import nbformat

import evalkit as ek
from docs import browser as chromium
from evalkit import reporting
from evalkit.cli import screen
from evalkit.cli.before import show_separability
from evalkit.cli.findings import show_verdicts
from evalkit.errors import EvalkitError, EvalkitWarning
from evalkit.reporting.blocks import Section
from evalkit.reporting.build import read_table
from evalkit.reporting.formats import to_page, to_word
from evalkit.reporting.manifest import write_manifest
from evalkit.reporting.pdf import to_pdf
from evalkit.reporting.plan import make_plan, read_plan, write_plan
from evalkit.reporting.strict import StrictPage
from evalkit.show.words import harmless
from evalkit.study.schema import odd_ids, unprintable
from tests.reporting.hostile import (
    ANEW_SPOTS,
    CANARY,
    CORPUS,
    NOUN_SPOTS,
    PERSON_SPOTS,
    SPOTS,
    STEERING,
    asked_anew,
    of_persons,
    study_of,
)  # fmt: skip

ADMITTED = tuple(s for s in CORPUS if not unprintable(s) and not list(odd_ids([f"{s}~0"])) and not set(s) & set("\t\n"))
"""Words that the door of a study lets through everywhere."""
REFUSED = tuple(s for s in CORPUS if s not in ADMITTED)
TOGETHER = 8
PLACES_OF = {"nouns": NOUN_SPOTS, "dealt by chance, waiting": PERSON_SPOTS, "asked anew": ANEW_SPOTS}
SECTIONS = ("page_one", "delivered", "who_is_in", "told_apart", "estimates", "held", "borrowed", "adds_up", "money")
ALONE = ("itself", "harms", "other_evidence", "said", "data_statement", "standards", "method", "held_back")
TABLE = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "hostile.csv"


@dataclass(frozen=True)
class Round:
    """One study of hostile words. kind: which rounds it is of; words: what stands in which place."""

    kind: str
    name: str
    make: Callable[[Mapping[str, str]], ek.Study]
    words: Callable[[], dict[str, str]]


def moved_on(k: int) -> dict[str, str]:
    """One word a place, every word moved on by k places."""
    return {spot: ADMITTED[(k + 5 * j) % len(ADMITTED)] for j, spot in enumerate(SPOTS)}


def together(k: int, spots: Sequence[str]) -> dict[str, str]:
    """Eight words a place, of which no round but this has the same in the same place."""
    return {spot: " ".join(ADMITTED[(TOGETHER * k + 5 * j + i) % len(ADMITTED)] for i in range(TOGETHER))
            for j, spot in enumerate(spots)}  # fmt: skip


def where_taken(word: str) -> dict[str, str]:
    """A word that is refused somewhere, in all places that take it, numbered so that no two names are one; elsewhere
    it is refused in harmless words."""
    taken = {}
    for j, spot in enumerate(SPOTS):
        try:
            study_of({spot: f"{word}{j:02d}"})
            taken[spot] = f"{word}{j:02d}"
        except EvalkitError as error:
            assert not [c for c in STEERING if c in screened(str(error))], spot
    return taken


def every_round() -> tuple[Round, ...]:
    """All of them, in an order that never changes."""
    found = [Round("one word a place", f"{k}", study_of, lambda k=k: moved_on(k)) for k in range(len(ADMITTED))]
    found += [Round("words that are refused as names", f"refused {i}", study_of, lambda s=s: where_taken(s))
              for i, s in enumerate(REFUSED)]  # fmt: skip
    for (kind, spots), make in zip(PLACES_OF.items(), (study_of, of_persons, asked_anew), strict=True):
        found += [Round(kind, f"{kind} {k}", make, lambda k=k, spots=spots: together(k, spots))
                  for k in range(len(ADMITTED) // TOGETHER)]  # fmt: skip
    return tuple(found)


ROUNDS = every_round()


def notebook_of(*sections: Section, title: str = "x") -> nbformat.NotebookNode:
    shown = [nbformat.v4.new_output("execute_result", s._repr_mimebundle_()) for s in sections]
    cells = [nbformat.v4.new_code_cell(outputs=[s]) for s in shown]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata["title"] = harmless(title)
    return made


class Words(HTMLParser):
    """The words that a page shows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def assert_harmless(page: str) -> None:
    StrictPage().feed(page)
    assert not [c for c in STEERING if c in page]


def printed(page: str, *how: str) -> str:
    """The words of a page as PDF. how: what pdftotext is told; "-raw" for one cell after another."""
    made = subprocess.run(["pdftotext", *how, "-", "-"], input=to_pdf(page.encode()), capture_output=True, check=True)
    return made.stdout.decode()


def cannot_print() -> bool:
    return bool(chromium.missing() or not shutil.which("pdftotext"))


def screened(words: str) -> str:
    """Words as the terminal shows them."""
    shown = io.StringIO()
    made = screen.Screen()
    made.file = shown
    made.print(words)
    return shown.getvalue()


class Watched:
    """Which files this process opens while it is on."""

    def __init__(self) -> None:
        self.on, self.opened = False, set[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.on and event == "open" and isinstance(arguments[0], (str, bytes, Path)):
            self.opened.add(str(arguments[0] if not isinstance(arguments[0], bytes) else arguments[0].decode()))

    @contextlib.contextmanager
    def outside(self, folder: Path, found: list[str]) -> Iterator[None]:
        """Put into `found` what was opened and is neither in `folder` nor Python's, matplotlib's or the system's."""
        own = [folder, TABLE.parents[2], sys.prefix, sys.base_prefix, sys.pycache_prefix or sys.prefix,
               matplotlib.get_cachedir(), matplotlib.get_configdir(), "/usr", "/proc", "/sys", "/dev"]  # fmt: skip
        roots = [Path(p).resolve() for p in own]
        self.opened.clear()
        self.on = True
        try:
            yield
        finally:
            self.on = False
        scratch = str(Path(tempfile.gettempdir()) / "evalkit-")  # folders of our own
        for name in sorted(n for n in self.opened if not n.startswith(scratch)):
            if not any(Path(name).resolve().is_relative_to(root) for root in roots):
                found.append(name)


WATCHED = Watched()


@dataclass(frozen=True)
class Seen:
    """What a round did that it should not: words that ran, and files that were read from outside."""

    ran: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


def run(a_round: Round, folder: Path, browser: chromium.Browser | None = None, paper: bool = False) -> Seen:
    """Everything that a report is made of, from one study of hostile words; raises where anything is not as it should.

    browser: opens the page, scripts and all; paper: prints it too.
    """
    words, seen = a_round.words(), Seen()
    if not words:
        return seen  # refused everywhere
    home = folder / "report"
    with WATCHED.outside(folder, seen.outside), contextlib.redirect_stdout(io.StringIO()) as said:
        study = a_round.make(words)
        file = study.save(folder / "study")
        made, page = _reported(study, home, file)
        _planned(study, folder)
        tables = [read_table(home / f"{name}.csv", study) for name in ("verdicts", "effects")]
        show_verdicts(study, tables[0].fillna({"direction": ""}), tables[1])
        show_separability(study, made.separability)
    assert not [c for c in STEERING if c in said.getvalue()]
    assert {p.parent for p in folder.rglob("*") if p.is_file()} <= {folder, file.parent, home, home / "figures"}
    for table in home.rglob("*.csv"):
        cells = [c for row in csv.reader(io.StringIO(table.read_text("utf-8"))) for c in row]
        assert not [c for c in cells if c.startswith(("=", "+", "@", "\t"))], table.name
    shown = {"page": page, "PDF": printed(page) if paper else ""}
    seen.ran.extend(form for form, text in shown.items() if CANARY in text)
    if browser is not None:
        _opened(page, folder, browser, seen)
    return seen


def _reported(study: ek.Study, home: Path, file: Path) -> tuple[ek.Evaluation, str]:
    """(the evaluation, its page): tables, figures, notebook, page, Word and manifest."""
    made = ek.evaluate(study)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvalkitWarning)
        pictures = reporting.pictures(made)
        reporting.write_tables(made, home)
        reporting.write_pictures(pictures, home / "figures")
    sections = (
        *(getattr(reporting, name)(made, pictures) for name in SECTIONS),
        *(getattr(reporting, name)(made) for name in ALONE), reporting.provenance(made, file),
    )  # fmt: skip
    notebook = notebook_of(*sections, title=study.title or study.question or "")
    page, written = to_page(notebook), nbformat.writes(notebook)
    assert_harmless(page)
    assert not [c for c in STEERING if c in written]
    write_manifest(home, study, file, {"study": "x", "title": study.title, "level": 0.95, "seed": 0}, made.verdicts)
    assert to_word(notebook, home).startswith(b"PK")
    return made, page


def _planned(study: ek.Study, folder: Path) -> None:
    plan = write_plan(make_plan(study), folder / "plan.json")
    assert read_plan(plan)["components"] and not [c for c in STEERING if c in plan.read_text(encoding="utf-8")]


def _opened(page: str, folder: Path, browser: chromium.Browser, seen: Seen) -> None:
    """What a browser with scripts makes of the page."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    browser.open(file)
    text, title = (browser.run(f"return document.{what}") for what in ("body.innerText", "title"))
    loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    seen.ran.extend(where for where, said in (("body", text), ("title", title)) if CANARY in said)
    seen.outside.extend(name for name in loaded if not name.startswith("data:"))


def _main(folder: Path, chosen: Sequence[Round]) -> list[list[object]]:
    """The rows of the table: kinds of rounds, and how they ended."""
    ended: dict[str, list[int]] = {}
    with chromium.open_browser() as browser, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, a_round in enumerate(chosen):
            start, place = time.process_time(), folder / f"{i}"
            place.mkdir()
            crashed, seen = False, Seen()
            try:
                seen = run(a_round, place, browser, paper=i % 4 == 0)
            except Exception as error:
                crashed = True
                print(f"{a_round.name}: {type(error).__name__}: {str(error)[:1000]}", flush=True)
            row = ended.setdefault(a_round.kind, [0] * 5)
            for j, n in enumerate((1, i % 4 == 0, len(seen.ran), crashed, len(seen.outside))):
                row[j] += n
            print(
                f"{a_round.name}: {time.process_time() - start:.1f} s {seen.ran or ''} {seen.outside or ''}", flush=True
            )
            shutil.rmtree(place)
    strings = {kind: len(REFUSED) if "refused" in kind else len(ADMITTED) for kind in ended}
    return [[kind, strings[kind], len(PLACES_OF.get(kind, SPOTS)), *row, date.today()] for kind, row in ended.items()]


def main() -> None:
    """Print, and with --write keep, how the rounds ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="rounds whose kind or name matches this alone; the others stay as written"
    )
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} into benchmarks/results")
    options = parser.parse_args()
    chosen = [r for r in ROUNDS if re.search(options.only, f"{r.kind}: {r.name}")]
    with tempfile.TemporaryDirectory() as folder:
        fresh = {str(row[0]): list(map(str, row)) for row in _main(Path(folder), chosen)}
    head = ["kind", "strings", "places", "rounds", "printed", "executed", "crashed", "files_from_outside", "date"]
    with TABLE.open(newline="", encoding="utf-8") as file:
        kept = {row[0]: row for row in csv.reader(file)}
    kinds = dict.fromkeys(r.kind for r in ROUNDS)
    rows = [head, *(row for kind in kinds if (row := fresh.get(kind, kept.get(kind))))]
    for row in rows:
        print(" | ".join(row))
    if options.write:
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
