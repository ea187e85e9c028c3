"""Words of users that try to be more than words: nothing is run, nothing breaks, no other file is read."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import warnings
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import evalkit as ek
from docs import browser as chromium
from evalkit import reporting
from evalkit.cli import screen
from evalkit.cli.before import show_separability
from evalkit.cli.findings import show_verdicts
from evalkit.errors import EvalkitError, EvalkitWarning
from evalkit.figures import Picture
from evalkit.figures.style import theme
from evalkit.reporting.blocks import Group, Heading, Listing, Paragraph, Run, Section
from evalkit.reporting.build import read_table
from evalkit.reporting.formats import make_notebook, run_notebook, to_page, to_word
from evalkit.reporting.pdf import to_pdf
from evalkit.reporting.strict import StrictPage
from evalkit.show.tables import Cell, csv_text, in_cell, make_table
from evalkit.show.words import file_name, harmless
from evalkit.study.schema import odd_ids, unprintable
from tests.reporting.hostile import CANARY, CORPUS, STEERING

FORMULA = ("=", "+", "-", "@", "\t", "\r")
ADMITTED = tuple(s for s in CORPUS if not unprintable(s) and not list(odd_ids([f"{s}~0"])) and not set(s) & set("\t\n"))
"""Words that the door of a study lets through."""
ROUNDS = range(len(ADMITTED))
QUICK = (0, 33)


def gallery(strings: tuple[str, ...] = CORPUS) -> Section:
    """Every string in every kind of block, wherever a block holds words."""
    blocks: list[reporting.blocks.Block] = []
    for i, s in enumerate(strings):
        rows = [(s, Cell(s, "#x"))]
        blocks += [
            Heading(3, s, s), Paragraph((s, Run(s, look="strong"), Run(s, "#x", "worked"))), Listing((s,)),
            Group((Paragraph(s, anchor=s),), anchor=s, label=s), Group((Paragraph(s),), summary=s),
            make_table(s, ("Who", s), rows, name=f"t{i}", keys=(s,), note=s, cards=True),
        ]  # fmt: skip
    return Section("gallery", tuple(blocks))


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


def test_there_are_enough_words() -> None:
    assert len(set(CORPUS)) == len(CORPUS) >= 60 and not any(CANARY in s for s in CORPUS)


def test_a_page_shows_every_word_as_it_is() -> None:
    page = to_page(notebook_of(gallery(), title=CORPUS[0]))
    assert_harmless(page)
    shown = " ".join(" ".join(Words(page).words).split())
    assert [s for s in CORPUS if " ".join(harmless(s).split()) not in shown] == []


def test_a_notebook_takes_no_dollar_for_mathematics() -> None:
    (output,) = notebook_of(gallery()).cells[0].outputs
    assert output.data["text/html"].startswith('<div class="tex2jax_ignore mathjax_ignore">')
    assert "mathjax_ignore" not in to_page(notebook_of(gallery()))
    for shown in (make_table("a", ("b",), [("$x$",)]), *[b for b in gallery().blocks if hasattr(b, "to_csv")][:1]):
        assert "mathjax_ignore" in shown._repr_html_()


def test_word_holds_every_word(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    made = docx.Document(io.BytesIO(to_word(notebook_of(gallery(), title="t" * 300), tmp_path)))
    shown = {" ".join(p.text.split()) for p in made.paragraphs}
    assert [s for s in CORPUS if " ".join(harmless(s).split()) not in shown] == []
    cells = {" ".join(c.text.split()) for t in made.tables for row in t.rows for c in row.cells}
    assert [s for s in CORPUS if " ".join(harmless(s).split()) not in cells] == []


def printed(page: str) -> str:
    """The words of a page as PDF."""
    if chromium.missing() or not shutil.which("pdftotext"):
        pytest.skip("NOBODY PRINTED THE PAGE: Chromium or pdftotext is not installed.")
    made = subprocess.run(["pdftotext", "-", "-"], input=to_pdf(page.encode()), capture_output=True, check=True)
    return made.stdout.decode()


def test_a_page_that_is_printed_runs_nothing_and_reads_nothing(tmp_path: Path) -> None:
    """Even one that somebody wrote to do so, and that went past every check before."""
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET-IN-A-FILE")
    (tmp_path / "frame.html").write_text("<p>SECRET-IN-A-FRAME</p>")
    script = "<script>document.body.append('PWN'+'ED')</script>"
    evil = (
        f'<html><head><meta http-equiv="refresh" content="0;url={secret.as_uri()}"><style>@import '
        f'url("{secret.as_uri()}");</style></head><body><p>What is there</p>{script}'
        f'<iframe src="{secret.as_uri()}"></iframe><iframe src="{(tmp_path / "frame.html").as_uri()}"></iframe>'
        f'<iframe srcdoc="{script}"></iframe><object data="{secret.as_uri()}"></object>'
        f"<img src=\"{secret.as_uri()}\" onerror=\"document.body.append('PWN'+'ED')\">"
        f"<svg onload=\"document.body.append('PWN'+'ED')\"></svg></body></html>"
    )
    words = printed(evil)
    assert "What is there" in words and CANARY not in words and "SECRET" not in words
    words = printed(to_page(notebook_of(gallery(CORPUS[:40]))))
    assert CANARY not in words and "Helpline [/pilot]" in words


@pytest.mark.slow
def test_a_browser_runs_nothing(tmp_path: Path) -> None:
    if chromium.missing():
        pytest.skip("NOBODY LOOKED AT THE PAGE: Chromium is not installed.")
    page = tmp_path / "page.html"
    page.write_text(to_page(notebook_of(gallery(), title="quiet")), encoding="utf-8")
    doctored = tmp_path / "doctored.html"
    script = "<script>document.title='PWN'+'ED'</script><img src=x onerror=\"document.title='PWN'+'ED'\">"
    doctored.write_text(page.read_text(encoding="utf-8").replace("<main", script + "<main"), encoding="utf-8")
    with chromium.open_browser() as opened:
        for file in (page, doctored):
            opened.open(file)
            assert opened.run("return document.title") == "quiet"


def test_the_terminal_shows_every_word_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    for s in CORPUS:
        table = screen.titled(s, {"One": 4, s or "Two": 4})
        table.add_row(s, s)
        screen.Screen().print(table)
        screen.Screen(stderr=True).print(s)
        screen.say(s)
        out, err = capsys.readouterr()
        assert not [c for c in STEERING if c in out + err]
        assert "".join(harmless(s).split()) in "".join(out.split())


@pytest.mark.parametrize("s", ["Helpline [/pilot]", "[phase 2]", ":bug:", "[bold]x[/]"])
def test_markup_is_kept_in_a_table(s: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = screen.titled("Title", {"One": 30})
    table.add_row(s)
    screen.Screen().print(table)
    assert s in capsys.readouterr().out


def test_no_cell_of_a_table_is_a_formula() -> None:
    frame = pd.DataFrame({"words": list(CORPUS), "=head": np.arange(len(CORPUS)) - 5.5})
    with pytest.warns(EvalkitWarning, match="apostrophe"):
        text = csv_text(frame)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["words", "'=head"] and not [c for c in STEERING if c in text]
    for (cell, number), s in zip(rows[1:], CORPUS, strict=True):
        assert not cell.startswith(FORMULA) and float(number) == float(number)
        assert cell.removeprefix("'") == harmless(s).removeprefix("'")
    assert [in_cell(v) for v in ("-1.5", "+3", "-", 4.0, None, "a=b")] == ["-1.5", "+3", "'-", 4.0, None, "a=b"]
    table = make_table("t", ("a", "=b"), [(s, s) for s in CORPUS])
    assert not [c for row in csv.reader(io.StringIO(table.to_csv())) for c in row if c.startswith(FORMULA)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        csv_text(pd.DataFrame({"a": ["plain", "-1", "'quoted' words", None]}))


def test_every_name_of_a_file_stays_in_its_folder() -> None:
    names = [file_name(f"event_study_{s}") for s in CORPUS]
    assert len(set(names)) == len(names)
    for name in names:
        assert Path(name).name == name and len(f"{name}.svg".encode()) <= 255 and not set(name) & set("./\\:\n\t")
    assert file_name("event_study_helpline") == "event_study_helpline"


def drawn(strings: tuple[str, ...]) -> Picture:
    with theme():
        figure = Figure()
        axes = figure.subplots()
        for i, s in enumerate(strings):
            axes.text(0, i / len(strings), s)
    words = " ".join(strings)
    return Picture(figure, words, words, words, pd.DataFrame({"a": strings}), file_name(words))


def test_a_figure_draws_words_and_no_mathematics(tmp_path: Path) -> None:
    readable = tuple(s for s in CORPUS if s.isascii() and s.isprintable())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvalkitWarning)
        paths = drawn(readable).save(tmp_path)
    assert [p.parent for p in paths] == [tmp_path] * 4 and not [c for c in STEERING if c in paths[3].read_text("utf-8")]
    assert_harmless(f"<main>{drawn(readable[:5]).to_html()}</main>")


def test_a_report_runs_nothing_that_lies_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what is called like a package, neither there nor in the folder of the command, nor a start-up file."""
    mark = tmp_path / "ran"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ".:" + str(Path(ek.__file__).parents[1]))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "pandas.py"))
    folder = tmp_path / "report"
    folder.mkdir()
    for place in (tmp_path, folder):
        for name in ("pandas", "numpy", "ipykernel_launcher", "matplotlib", "usercustomize", "sitecustomize", "json"):
            (place / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write(__name__)\n")
    source = "# %%\nimport json, sys\nimport pandas\nprint([p for p in sys.path if p in ('', '.', STUDY)])\n"
    made = run_notebook(make_notebook(str(folder), level=0.95, seed=0, title="x", source=source), folder)
    assert made.cells[0].outputs[0].text == "[]\n" and not mark.exists()


def study_of(strings: tuple[str, ...]) -> ek.Study:
    """A small study whose words, wherever users have any, are these."""
    take = iter(strings * 4)
    places = [f"{next(take)}~{i}" for i in range(12)]
    rng = np.random.default_rng(1)
    first = np.array([4, 5, 6, 4, 5, 6, 99, 99, 99, 99, 99, 99])
    second = np.array([99, 6, 7, 99, 99, 99, 6, 7, 5, 99, 99, 99])
    rows = [
        {"place": p, "t": t, "y": rng.normal() + 2 * (t >= first[i]), "one": t >= first[i], "two": t >= second[i]}
        for i, p in enumerate(places)
        for t in range(10)
    ]
    parts = [
        ek.Component(f"{next(take)}_{k}", label=next(take), exposure=k, description=next(take)) for k in ("one", "two")
    ]
    outcome = ek.Outcome("y", label=next(take), kind="score", better="higher", matters=0.5)
    frame = pd.DataFrame(rows).astype({"one": int, "two": int})
    return ek.Study(
        frame, unit="place", period="t", cluster="place", components=parts, outcomes=[outcome],
        title=next(take), question=next(take),
    )  # fmt: skip


@pytest.mark.parametrize("s", [s for s in CORPUS if s not in ADMITTED])
def test_words_that_nobody_can_see_are_refused(s: str) -> None:
    with pytest.raises(EvalkitError, match="cannot be (printed|seen)"):
        study_of((s,) * 20)


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font", "ignore:constrained_layout not applied")
@pytest.mark.parametrize("k", [pytest.param(k, marks=[] if k in QUICK else pytest.mark.slow) for k in ROUNDS])
def test_a_study_of_such_words_is_reported(k: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = study_of(tuple(ADMITTED[(k + 5 * j) % len(ADMITTED)] for j in range(20)))
    made = ek.evaluate(study)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvalkitWarning)
        pictures = reporting.pictures(made)
        reporting.write_tables(made, tmp_path)
        reporting.write_pictures(dict(list(pictures.items())[:2]), tmp_path / "figures")
    sections = (
        reporting.page_one(made, pictures), reporting.delivered(made, pictures), reporting.told_apart(made, pictures),
        reporting.estimates(made, pictures), reporting.held(made, pictures), reporting.said(made),
    )  # fmt: skip
    assert_harmless(to_page(notebook_of(*sections, title=study.title)))
    tables = [read_table(tmp_path / f"{name}.csv", study) for name in ("verdicts", "effects")]
    show_verdicts(study, tables[0].fillna({"direction": ""}), tables[1])
    show_separability(study, made.separability)
    assert not [c for c in STEERING if c in capsys.readouterr().out]
    assert {p.parent for p in tmp_path.rglob("*") if p.is_file()} <= {tmp_path, tmp_path / "figures"}
    for file in tmp_path.glob("*.csv"):
        cells = [c for row in csv.reader(io.StringIO(file.read_text("utf-8"))) for c in row]
        assert not [c for c in cells if c.startswith(("=", "+", "@", "\t"))]
