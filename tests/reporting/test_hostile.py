"""Words of users that try to be more than words: nothing is run, nothing breaks, no other file is read."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import evalkit as ek
from docs import browser as chromium
from evalkit import reporting
from evalkit.cli import screen
from evalkit.errors import EvalkitError, EvalkitWarning
from evalkit.figures import Picture
from evalkit.figures.style import theme
from evalkit.reporting.blocks import Group, Heading, Listing, Paragraph, Run, Section
from evalkit.reporting.formats import make_notebook, run_notebook, to_page, to_word
from evalkit.show.tables import Cell, csv_text, in_cell, make_table
from evalkit.show.words import file_name, harmless
from evalkit.study.component import CARD
from evalkit.study.schema import TABLES, UNIT_NAMES
from tests.reporting.hostile import CANARY, CORPUS, SPOTS, STEERING, study_of
from tests.reporting.rounds import (
    ALONE,
    ROUNDS,
    SECTIONS,
    Round,
    Seen,
    Words,
    assert_harmless,
    cannot_print,
    notebook_of,
    printed,
    run,
    screened,
)  # fmt: skip

FORMULA = ("=", "+", "-", "@", "\t", "\r")
QUICK = (0,)


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


def test_a_page_that_is_printed_runs_nothing_and_reads_nothing(tmp_path: Path) -> None:
    """Even one that somebody wrote to do so, and that went past every check before."""
    if cannot_print():
        pytest.skip("NOBODY PRINTED THE PAGE: Chromium or pdftotext is not installed.")
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
    words = printed(to_page(notebook_of(gallery())))
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
        for name in "pandas numpy ipykernel ipykernel_launcher matplotlib usercustomize sitecustomize json".split():
            (place / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write(__name__)\n")
    source = "# %%\nimport json, sys\nimport pandas\nprint([p for p in sys.path if p in ('', '.', STUDY)])\n"
    made = run_notebook(make_notebook(str(folder), level=0.95, seed=0, title="x", source=source), folder)
    assert made.cells[0].outputs[0].text == "[]\n" and not mark.exists()


def test_every_place_of_words_holds_its_own() -> None:
    """So that a new one cannot be forgotten: fields of components and outcomes, columns of tables, names of columns."""
    study = study_of({})
    choices = {"part_period", "dates", "kind", "better", "reach", "replaces", "card", "assigned"}
    choices |= {"first_period", "within", "compliance", "neighbours", "per"}  # names of columns, as `exposure` is
    choices |= {"time", "event", "entry", "end", "time_unit"}  # of outcomes that wait, which no panel has
    for parts in (study.components, study.outcomes):
        texts = {f.name for f in fields(parts[0]) if "str" in str(f.type) or "Kind" in str(f.type)} - choices
        said = {(n, getattr(part, n)) for part in parts for n in texts if getattr(part, n)}
        assert {n for n, _ in said} == texts and {words for _, words in said} <= set(SPOTS)
    assert set(CARD) == set(study.components[2].card) and {study.title, study.question} <= set(SPOTS)
    assert {study.unit, study.period, study.cluster, *study.covariates, *study.levels} <= set(SPOTS)
    codes = {"adoption.component", "adoption.certainty", "adoption.moved",
             "costs.component", "costs.bearer", "costs.level_id",
             "rate_card.outcome", "claims.outcome", "unit_costs.outcome", "unit_costs.bearer", "adoption.level_id",
             "links.from", "links.to", "neighbours.place", "neighbours.neighbour", "neighbour_shares.place",
             *(f"claims.{n}" for n in UNIT_NAMES)}  # fmt: skip
    worded = {f"{t}.{c}" for t, s in TABLES.items() for c, rule in s.columns.items() if rule.kind in ("id", "words")}
    assert worded - set(SPOTS) <= codes and codes <= worded


@pytest.mark.parametrize("spot", SPOTS)
def test_no_place_takes_an_escape(spot: str) -> None:
    with pytest.raises(EvalkitError) as refused:
        study_of({spot: "\x1b[31m"})
    assert not [c for c in STEERING if c in screened(str(refused.value))]


NAMED = [spot for spot in SPOTS if spot.startswith(("name", "column score", "linked", "level", "rate_card"))]


@pytest.mark.parametrize(
    "words", [*({spot: "NA"} for spot in NAMED), {s: f"{i:02d}" + "a" * 400 for i, s in enumerate(SPOTS)}]
)
def test_what_is_taken_is_saved_and_read_again_as_the_same(words: dict[str, str], tmp_path: Path) -> None:
    """Words that CSV takes for nothing, and words too long for the name of a file."""
    study = study_of(words)
    again = ek.Study.load(study.save(tmp_path / "study"))
    assert again.components == study.components and again.outcomes == study.outcomes and repr(again) == repr(study)
    assert {p.parent for p in tmp_path.rglob("*") if p.is_file()} == {tmp_path / "study"}


def test_words_are_no_templates() -> None:
    """Braces and per cents of users are what they are in every sentence that is made of them."""
    made = ek.evaluate(study_of({spot: f"{{label}} {{}} %s {spot}" for spot in SPOTS}))
    said = [*made.separability.components["reason"], *made.separability.cure["words"], *made.verdicts["sentence"]]
    said += [*made.checks["words"], *made.decisions.table["sentence"], repr(made)]
    assert "{label} {} %s ids~" in " ".join(map(str, said))


def test_the_rounds_show_every_section() -> None:
    source = (Path(reporting.__file__).parent / "page" / "report.py.txt").read_text(encoding="utf-8")
    called = set(re.findall(r"^reporting\.(\w+)\(", source, re.MULTILINE)) - {"write_tables", "write_pictures"}
    assert called == {*SECTIONS, *ALONE, "contents", "provenance"}


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Browser | None]:
    """One that opens the pages of all slow rounds, where one is installed."""
    if chromium.missing():
        yield None
        return
    with chromium.open_browser() as opened:
        yield opened


GLYPHS = pytest.mark.filterwarnings("ignore:Glyph .* missing from font", "ignore:constrained_layout not applied")


@GLYPHS
@pytest.mark.parametrize("k", QUICK)
def test_a_study_of_such_words_is_reported(k: int, tmp_path: Path) -> None:
    """Each round moves every word on by one place, so that all rounds put every word everywhere."""
    assert run(ROUNDS[k], tmp_path) == Seen()


@GLYPHS
@pytest.mark.slow
@pytest.mark.parametrize("a_round", [r for i, r in enumerate(ROUNDS) if i not in QUICK], ids=lambda r: r.name)
def test_every_round_is_reported(a_round: Round, tmp_path: Path, browser: chromium.Browser | None) -> None:
    paper = not cannot_print() and ROUNDS.index(a_round) % 4 == 0
    assert run(a_round, tmp_path, browser, paper) == Seen()
