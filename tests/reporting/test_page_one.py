"""Page one: every component in order, every number from the verdicts, every number linked."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from evalkit import reporting
from evalkit.evaluation.evidence import verdict_table
from evalkit.language.statement import statement
from evalkit.reporting.blocks import inline, linked
from evalkit.reporting.brief import check_words, findings
from evalkit.reporting.drawn import stated
from evalkit.reporting.names import names_of, spoken_period, statements_of
from evalkit.verdicts.evidence import CheckOutcome
from evalkit.verdicts.rules import decide
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


def test_every_part_has_something_to_do_and_says_how_sure_that_is(page: str) -> None:
    rows = re.findall(r'<tr role="row" id="what-to-do-(\w+)">(.*?)</tr>', re.sub("</?strong>", "", page))
    assert [name for name, _ in rows] == list(road.NAMES)
    for (_, row), said in zip(rows, road.evaluation().decisions.said, strict=True):
        assert said.act and said.act in plain(row) and said.lean in plain(row)
    assert "Harm ruled out" in plain(rows[0][1]) and "in 10" in plain(rows[0][1])


def test_every_verdict_is_a_word_and_a_shape(page: str) -> None:
    marks = re.findall(
        r'<span class="verdict (\w+)"><svg class="icon"[^>]*aria-hidden="true".*?</svg> ([^<]+)</span>', page
    )
    assert [kind for kind, _ in marks] == list(road.verdicts()["verdict"])
    assert ("not_tested", "Not tested") in marks and ("cannot_tell_apart", "Cannot tell apart") in marks


def test_every_number_is_found_in_the_verdicts(page: str) -> None:
    known = " ".join(map(str, stated(road.evaluation()).to_numpy().ravel()))
    known += " ".join(road.evaluation().decisions.table["sentence"])
    study = road.study()
    head = " ".join([study.title, study.outcome().label, "48 1980 2004", *road.LABELS.values(), "95"])
    checks = " ".join(road.checks()["words"]) + " ".join(
        check_words(c, "log") for s in road.statements() for c in s.checks
    )
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
    start = page.index('id="findings-bac08"')
    table = page[start : page.index("</tbody>", start)]
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


def test_what_a_finding_rests_on_has_a_column_of_its_own() -> None:
    rests = {s.component: (s.rests, s.found) for s in road.statements()}
    assert rests["bac08"][0] == "9 states with it and 20 without it"
    assert rests["zerotol"][0] == "9 states with them and 20 without them"
    assert all(f"this rests on {words} at the time." in found.lower() for words, found in rests.values() if words)
    assert rests["sl70plus"][0] == "" and "rests on" not in rests["sl70plus"][1]


def test_links_escape_and_skip_words_without_figures() -> None:
    assert inline(linked("A <b>.", "#x")) == "A &lt;b&gt;."
    assert inline(linked("It is 5% <lower>.", "#x")) == '<a class="worked" href="#x">It is 5% &lt;lower&gt;.</a>'


def test_sections_show_every_component_even_when_refused() -> None:
    evaluation = road.evaluation()
    pictures = reporting.pictures(evaluation)
    page = reporting.estimates(evaluation, pictures)._repr_html_()
    assert all(f'id="effects-{name}"' in page for name in road.NAMES)
    assert "nothing to compare with" in page.lower()


def unsure(**changes: str) -> road.Road:
    """The road evaluation with intervals far too wide, for every component, and checks changed."""
    made = road.evaluation()
    wide = {"status": "separable", "estimate": 0.01, "conf_low": -0.99, "conf_high": 1.01, "std_error": 0.5}
    found = [replace(e, **wide, bundle=None, checks=tuple(replace(c, **changes) for c in e.checks))
             for e, _ in made.judged]  # fmt: skip
    decisions = tuple((e, decide(e)) for e in found)
    statements = tuple(statement(e, v) for e, v in decisions)
    return replace(made, judged=decisions, statements=statements, verdicts=verdict_table(decisions, statements))


def test_where_nothing_was_found_it_says_so_once_and_what_failed() -> None:
    words = f"{next(iter(road.LABELS.values()))} moved before the start (p = 0.018)."
    brief = words.replace(" (p = 0.018)", "")
    page = plain(reporting.page_one(unsure(status="failed", words=words, brief=brief))._repr_html_())
    assert "No part has been shown to make a difference, which does not mean that none did." in page
    assert page.count("These data cannot say whether any of them made a difference") == 1
    assert page.count("nor this of any other") == 1
    assert "No answer was given, so nothing can be overturned. These checks of the likely ranges failed:" in page
    assert f": {brief}" in page and "p =" not in page


def test_what_one_place_left_out_gives_stands_beside_it() -> None:
    words = "It holds with any one place left out."
    check = CheckOutcome("leave_one_cluster", "passed", words, 0.05, 0.041, 0.062)
    assert check_words(check, "share") == "It holds with any one place left out (4.1 to 6.2 more in every 100)."
    assert check_words(replace(check, status="failed", conf_low=0.0, conf_high=1.0), "share") == words


def test_a_cost_of_one_more_is_a_column_only_where_one_is_given() -> None:
    rows, names = statements_of(road.evaluation(), road.OUTCOME)[:1], names_of(road.study())
    some = findings(rows, names, 0.95, {rows[0].component: "£10"})
    assert some.columns[-1] == "Cost of one more" and findings(rows, names, 0.95, {}).columns[-1] != some.columns[-1]


def test_months_are_said_in_words() -> None:
    assert [spoken_period(p) for p in ("2015-12", "2004", "2011Q2", 7)] == ["December 2015", "2004", "2011Q2", "7"]
