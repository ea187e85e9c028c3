"""Page one: every component in order, every number from the verdicts, every number linked."""

from __future__ import annotations

import re

import pytest

from evalkit import reporting
from evalkit.reporting.html import linked
from evalkit.reporting.page_one import split_rests
from evalkit.reporting.spoken import spoken
from tests.reporting import road_fixture as road


@pytest.fixture(scope="module")
def page() -> str:
    return reporting.page_one(road.evaluation())._repr_html_()


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[.,]\d+)*", text))


def test_components_stand_in_the_order_of_the_register(page: str) -> None:
    rows = re.findall(r'<tr role="row" id="findings-(\w+)">', page)
    assert rows == list(road.NAMES)


def test_every_verdict_is_a_word_and_a_shape(page: str) -> None:
    marks = re.findall(
        r'<span class="verdict (\w+)"><svg class="icon"[^>]*aria-hidden="true".*?</svg> ([^<]+)</span>', page
    )
    assert [kind for kind, _ in marks] == list(road.verdicts()["verdict"])
    assert ("not_tested", "Not tested") in marks and ("cannot_tell_apart", "Cannot tell apart") in marks


def test_every_number_is_found_in_the_verdicts(page: str) -> None:
    known = " ".join(map(str, spoken(road.evaluation()).to_numpy().ravel()))
    study = road.study()
    head = " ".join([study.title, study.outcome().label, "48 1980 2004", *road.LABELS.values(), "95"])
    checks = " ".join(road.checks()["words"]) + " 11 15"  # checks passed, of how many
    assert numbers(plain(page)) <= numbers(f"{known} {head} {checks}")


def test_every_finding_leads_to_its_row_by_its_figures(page: str) -> None:
    cells = re.findall(r'<td role="cell" data-label="What we found">(.*?)</td>', page)
    assert len(cells) == len(road.NAMES)
    for name, cell in zip(road.NAMES, cells, strict=True):
        links = re.findall(r'<a class="worked" href="([^"]+)">(.*?)</a>', cell)
        assert {href for href, _ in links} <= {f"#effects-{name}"}
        ranges = re.findall(r"likely range [^,.)]*\d", plain(cell).lower())
        assert len(ranges) == len([words for _, words in links if "likely range" in words.lower()])


def test_page_one_names_the_outcome_once(page: str) -> None:
    table = page[page.index("<tbody") : page.index("</tbody>")]
    assert "Traffic deaths" not in table and "Traffic deaths per 100,000 people" in page
    assert max(len(plain(c).split()) for c in re.findall(r'What we found">(.*?)</td>', table)) <= 60


def test_the_same_need_for_data_is_one_line(page: str) -> None:
    items = re.findall(r"<li>(To see a change of .*?)</li>", page)
    assert len(items) <= 1


def test_it_says_what_may_not_be_said_and_what_would_tell(page: str) -> None:
    words = plain(page)
    for heading in ("You may say", "You may not say", "What would let us tell", "What could overturn this"):
        assert heading in words
    assert "start it two years later in two states" in words
    assert "the pre_trend check in words" in words


@pytest.mark.parametrize("claim", [r"\bproved\b", r"\bno effect\b(?! given)", r"caused \d+", r"p ?[<=] ?0"])
def test_it_never_claims_too_much(page: str, claim: str) -> None:
    assert re.search(claim, plain(page)) is None


def test_split_rests_takes_one_sentence_out() -> None:
    found = "A change. About 0.5 points. This rests on 9 states with it and 20 without it at the time. One weakness: x."
    assert split_rests(found) == ("A change. About 0.5 points. One weakness: x.", "9 states with it and 20 without it.")
    assert split_rests("Not tested.") == ("Not tested.", "")


def test_links_escape_and_skip_sentences_without_figures() -> None:
    assert linked("A <b>. It is 5% lower.", "#x") == 'A &lt;b&gt;. <a class="worked" href="#x">It is 5% lower.</a>'


def test_sections_show_every_component_even_when_refused() -> None:
    evaluation = road.evaluation()
    pictures = reporting.pictures(evaluation)
    page = reporting.estimates(evaluation, pictures)._repr_html_()
    assert all(f'id="effects-{name}"' in page for name in road.NAMES)
    assert "nothing to compare with" in page.lower()
