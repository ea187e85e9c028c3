"""The table writer: captions, scopes, row headers, a region for the keyboard; text that fits; CSV."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import OptionError
from evalkit.show.tables import Cell, Table, display_width, from_frame, make_table, plain


def small(**options: object) -> Table:
    rows = [("Nurse & co", 1.25, Cell("9 more", "#effects-nurse")), ("Court", float("nan"), "none")]
    return make_table("What each did", ("Component", "Effect", "Where"), rows, **options)


def test_every_header_has_scope_and_words() -> None:
    page = small().to_html()
    headers = re.findall(r"<th( [^>]*)>(.*?)</th>", page)
    assert len(headers) == 3 + 2
    assert all('scope="col"' in a or 'scope="row"' in a for a, _ in headers)
    assert all(words.strip() for _, words in headers)
    assert "<caption>What each did</caption>" in page


def test_wide_tables_scroll_in_a_named_region() -> None:
    assert '<div class="scroll" role="region" aria-label="What each did" tabindex="0">' in small().to_html()


def test_text_is_escaped_and_numbers_link() -> None:
    page = small().to_html()
    assert "Nurse &amp; co" in page and "Nurse & co" not in page
    assert '<a href="#effects-nurse">9 more</a>' in page


def test_rows_have_ids_when_the_table_has_a_name() -> None:
    assert '<tr id="effects-nurse">' in small(name="effects", keys=("nurse", "court")).to_html()


def test_cards_keep_their_roles_when_css_takes_the_table_apart() -> None:
    page = small(cards=True).to_html()
    assert page.count('role="row"') == 3
    assert 'role="rowheader"' in page and 'data-label="Effect"' in page


def test_empty_headers_and_ragged_rows_are_refused() -> None:
    with pytest.raises(OptionError, match="name for every column"):
        make_table("Caption", ("Component", " "), [("a", "b")])
    with pytest.raises(OptionError, match="needs 2 cells"):
        make_table("Caption", ("Component", "Effect"), [("a",)])
    with pytest.raises(OptionError, match="caption"):
        make_table("", ("Component",), [("a",)])


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_text_fits_the_width_and_keeps_every_word(width: int) -> None:
    words = "in its first fourteen months the likely range is from two to sixteen more in every hundred people"
    table = make_table("A caption", ("Component", "What we found"), [("Dual-diagnosis nurse", words)])
    text = table.to_text(width)
    assert max(display_width(line) for line in text.splitlines()) <= width
    assert sorted(re.findall(r"\w+", text)) == sorted(
        re.findall(r"\w+", f"A caption Component What we found Dual-diagnosis nurse {words}")
    )


def test_csv_reads_back() -> None:
    rows = list(csv.reader(io.StringIO(small().to_csv())))
    assert rows == [
        ["Component", "Effect", "Where"],
        ["Nurse & co", "1.25", "9 more"],
        ["Court", "not available", "none"],
    ]


def test_from_frame_chooses_labels_and_formats() -> None:
    frame = pd.DataFrame({"component": ["a"], "std_error": [0.5], "hidden": [1]})
    table = from_frame(
        frame, "Effects", {"component": "Component", "std_error": "SE"}, {"std_error": lambda v: f"{v:.2f}"}
    )
    assert table.columns == ("Component", "SE")
    assert [c.text for c in table.rows[0]] == ["a", "0.50"]
    with pytest.raises(OptionError, match="wrong"):
        from_frame(frame, "Effects", {"wrong": "Wrong"})


@pytest.mark.parametrize(
    ("value", "words"),
    [(True, "yes"), (np.bool_(False), "no"), (-0.25, "−0.25"), (3.0, "3"), (None, "not available"), (("a", 2), "a; 2")],
)
def test_plain_words(value: object, words: str) -> None:
    assert plain(value) == words
