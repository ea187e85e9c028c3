"""Blocks: what the page shows and what Word is made from are the same words."""

from __future__ import annotations

import json
import multiprocessing
import pkgutil

import nbformat
import pytest
from joblib import parallel_config

from evalkit import reporting
from evalkit.reporting.blocks import Group, Heading, Listing, Paragraph, Run, as_data, flat, to_html
from evalkit.reporting.drawn import FILES
from evalkit.reporting.sections import headed
from evalkit.reporting.strict import BLOCKS
from evalkit.reporting.word import blocks_of
from evalkit.show.tables import make_table
from tests.reporting import road_fixture as road

PIECE = (
    Heading(2, "Does it hold?"),
    Paragraph(("See ", Run("there", "#there"), ", or ", Run("not", look="em"), "."), "note"),
    Group((Listing(("One <two>", (Run("5%", "#x", "worked"), " lower")), numbered=True),), summary="More"),
    make_table("A table", ("Who", "What"), [("Ann", "a < b")], name="t", note="A note."),
)


def test_blocks_are_data_with_the_same_words() -> None:
    data = [as_data(b) for b in flat(PIECE)]
    assert json.loads(json.dumps(data)) == data
    assert data[:2] == [{"heading": "Does it hold?", "level": 2}, {"paragraph": "See there, or not."}]
    assert as_data(Listing(("One <two>",), numbered=True)) == {"list": ["One <two>"], "numbered": True}
    rows = [["Ann", "a < b"]]  # details folded away within a section are for the page alone
    assert data[2] == {"table": "A table", "columns": ["Who", "What"], "rows": rows, "note": "A note."}


def test_a_page_escapes_and_folds_and_links() -> None:
    page = to_html(PIECE)
    assert page.startswith('<h2 id="does-it-hold">Does it hold?</h2><p class="note">See <a href="#there">there</a>')
    assert "<em>not</em>" in page and "<details><summary>More</summary><ol><li>One &lt;two&gt;</li>" in page
    assert '<a class="worked" href="#x">5%</a> lower' in page and "a &lt; b" in page


def test_links_for_the_page_alone_are_not_for_word() -> None:
    assert list(flat(reporting.contents().blocks)) == []
    assert (
        reporting.contents()
        ._repr_html_()
        .startswith('<nav aria-label="Sections of this report"><ol><li><a href="#the-outcome-')
    )


def test_a_notebook_holds_what_word_is_made_from() -> None:
    made = road.evaluation()
    pictures = reporting.pictures(made)
    shown = [reporting.page_one(made, pictures), reporting.held(made, pictures)]
    data = [{"text/html": s._repr_html_(), **s._repr_mimebundle_()} for s in shown]
    cells = [nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("execute_result", d)]) for d in data]
    blocks = blocks_of(nbformat.v4.new_notebook(cells=cells))
    assert BLOCKS in data[0] and blocks == [as_data(b) for s in shown for b in flat(s.blocks)]
    drawn = [b for b in blocks if "picture" in b]
    assert [b["picture"] for b in drawn] == ["forest", "leave_one_out"] and all(len(b["alt"]) > 40 for b in drawn)
    folded = headed("said", None, *PIECE).blocks[0]
    assert isinstance(folded, Group) and folded.blocks[2:] == PIECE


@pytest.mark.skipif(multiprocessing.get_all_start_methods()[0] != "fork", reason="processes are no forks here")
def test_pictures_are_the_same_drawn_in_forks() -> None:
    made = road.evaluation()
    with parallel_config("multiprocessing", n_jobs=2):
        ahead = reporting.pictures(made)
    later = reporting.pictures(made)
    assert list(ahead) == list(later) and not any(set(FILES) & set(vars(p)) for p in later.values())
    assert all(set(FILES) <= set(vars(p)) for p in ahead.values())
    for name in ("forest", "leave_one_out", "timeline"):
        assert [getattr(ahead[name], kind) for kind in FILES] == [getattr(later[name], kind) for kind in FILES]


def test_a_section_is_folded_behind_its_heading_and_its_link_unfolds_it() -> None:
    page = headed("held", PIECE[1])._repr_html_()
    assert '<details class="fold"><summary><h2 id="does-it-hold-heading">Does it hold?</h2></summary>' in page
    assert page.index("</summary>") < page.index('<div id="does-it-hold">') < page.index("See ")


def test_no_module_takes_the_name_of_what_a_notebook_calls() -> None:
    modules = {m.name for m in pkgutil.iter_modules(reporting.__path__)}
    assert not modules & set(reporting._WHERE)  # else importing the one would hide the other
    assert all(callable(getattr(reporting, name)) for name in reporting._WHERE)
