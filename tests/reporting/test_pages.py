"""Pages that teach: every block of code on them runs, every name is in the reference, and axe-core finds nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import evalkit as ek
from docs import browser as chromium
from docs import pages
from docs.browser import axe_script, violations

WRITTEN = [name for name in pages.ORDER if name not in ("reference", "gallery", "decisions")]
LONG = ("index", "lesson_2_three_components")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in WRITTEN if pages.blocks(n)]
)
def test_every_block_runs_and_prints(name: str) -> None:
    printed = pages.run_blocks(name)
    assert len(printed) == len(pages.blocks(name)) and any(text.strip() for text in printed)


def test_every_page_is_in_the_order_and_says_a_name_that_is_public() -> None:
    assert {p.stem for p in pages.PAGES.glob("*.md")} == set(WRITTEN)
    named = {n for p in pages.PAGES.glob("*.md") for n in re.findall(r"\bek\.([A-Za-z_]\w*)", p.read_text("utf-8"))}
    assert len(named) > 15 and sorted(named - set(ek.__all__)) == []


def test_the_reference_holds_every_public_name() -> None:
    body = pages.reference().body
    for name in ek.__all__:
        assert name == "__version__" or f'id="ek.{name}"' in body
    assert 'id="ek.plot.event_study"' in body and "<label for=" in body and ".aggregate(" in body


def test_the_reference_explains_each_choice_on_a_line_of_its_own_without_quotes_about_types() -> None:
    part = pages._section("ek.plot.describe", ek.plot.describe)
    assert "figure: Callable[..., Figure] | str, *tables: object" in part and ") -&gt; Picture" in part
    assert "<p><strong>figure</strong>: one of" in part and "<br><strong>tables and options</strong>: what" in part
    assert "The <code>Picture</code> of a figure: figure, title" in part
    assert part.count("<pre") == 2 and '<code>ek.plot.describe(ek.plot.forest, evaluation).save("figures")' in part
    assert "(self" not in pages._section("ek.Estimate", ek.Estimate)


def test_pages_link_to_each_other_and_long_ones_list_their_headings(tmp_path: Path) -> None:
    made = [pages.Page(name, name, "<h1>Title</h1>") for name in pages.ORDER]
    made[4] = pages.rendered("which_design")
    pages.write_pages(tmp_path, made)
    first, second = ((tmp_path / name / "index.html").read_text("utf-8") for name in ("", "lesson_1_one_place"))
    assert 'Next: <a href="lesson_1_one_place/index.html">' in first
    assert 'Next: <a href="../lesson_2_three_components/index.html">' in second and 'href="../index.html"' in second
    assert "Next:" not in (tmp_path / pages.ORDER[-1] / "index.html").read_text("utf-8")
    text = "# Many\n\n[next](glossary.md#a-b) and [start](index.md)\n" + "".join(f"\n## No {i}?\n" for i in range(9))
    body = pages.to_html("from_did", text)
    assert '<a href="../glossary/index.html#a-b">' in body and '<a href="../index.html">' in body
    assert '<nav aria-label="On this page">' in body and '<a href="#no-8">' in body and '<h2 id="no-8">' in body
    assert "On this page" not in pages.to_html("index", text.replace("## No 8?", ""))
    assert 'href="glossary/' in pages.to_html("index", text)


def test_links_between_written_pages_lead_somewhere() -> None:
    for path in pages.PAGES.glob("*.md"):
        for name in re.findall(r"\]\((\w+)\.md", path.read_text("utf-8")):
            assert name in WRITTEN, (path.stem, name)


def test_code_and_tables_are_reached_by_the_keyboard_and_scroll_alone() -> None:
    body = pages.rendered("which_design").body
    assert body.count("<table>") == body.count('role="region" tabindex="0" aria-label="Table') == 1
    assert "<pre>" not in body and body.count('<pre tabindex="0">') + body.count('<pre class="out" tabindex="0">') == 2


def test_which_design_is_a_picture_with_the_words_of_its_table() -> None:
    body = pages.rendered("which_design").body
    assert body.count("<svg") == 1 and body.index("<svg") < body.index("<table>")
    assert body.count("<rect") == 2 * (body.count("<tr>") - 1) > 10
    drawn = body[body.index("<svg") : body.index("</svg>")]
    for words in ("StaggeredRollout(others=", "these data cannot test it", "People seen once"):
        assert (words in drawn) is ("cannot test" not in words)
    assert "; else, One place, nobody else: InterruptedTimeSeries; else, " in drawn


def test_lessons_end_with_an_exercise_and_its_answer() -> None:
    for name in (n for n in WRITTEN if n.startswith("lesson")):
        text = (pages.PAGES / f"{name}.md").read_text("utf-8")
        assert text.index("## Exercise") < text.index("<summary>Answer</summary>") < text.rindex("```python")


@pytest.mark.slow
def test_axe_finds_nothing_on_any_page(tmp_path: Path) -> None:
    if lacking := chromium.missing() or ("" if axe_script() else "axe-core"):
        pytest.skip(f"{lacking} is not installed")
    names = pages.write_pages(tmp_path, [pages.made(name) for name in pages.ORDER])
    with chromium.open_browser() as window:
        for name in names:
            for width in (1280, 375):
                window.size(width)
                window.open(tmp_path / ("" if name == "index" else name) / "index.html")
                assert violations(window) == [], (name, width)
                assert window.run("return document.documentElement.scrollWidth") <= width, (name, width)
