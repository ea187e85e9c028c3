"""One place in a report: its pictures, the words beside them, and nothing of it where rules hold it back."""

from __future__ import annotations

from dataclasses import replace

import pytest

import evalkit as ek
from evalkit import reporting
from evalkit.reporting.blocks import Paragraph, Section
from evalkit.reporting.drawn import _of_one_place
from evalkit.show.tables import Table
from tests.unit.test_one_place import panel


def study(places: int = 8, **more: object) -> ek.Study:
    frame = panel(places=places, a={"p0": 26})
    outcome = ek.Outcome("y", label="Warmth", kind="score", better="higher", matters=1.0)
    return ek.Study(frame, unit="place", period="month", outcomes=[outcome], components=["a"], **more)


def blocks(section: Section, kind: type) -> list:
    """All blocks of a kind, however deep."""
    found, left = [], list(section.blocks)
    while left:
        block = left.pop(0)
        if isinstance(block, kind):
            found.append(block)
        left = [*getattr(block, "blocks", ()), *left]
    return found


def texts(section: Section) -> str:
    return " ".join(str(p.text) for p in blocks(section, Paragraph))


@pytest.fixture(scope="module")
def mix() -> ek.Evaluation:
    return ek.evaluate(study())


def test_a_mix_is_drawn_with_its_words(mix: ek.Evaluation) -> None:
    drawn = _of_one_place(mix)
    assert list(drawn) == ["one_place_a", "placebo_places_a", "donor_weights_a"]
    assert "months since the start" not in drawn["one_place_a"].alt and drawn["one_place_a"].title.startswith("p0: ")
    page = reporting.estimates(mix, drawn)
    said = texts(page)
    assert "This cannot carry a claim" in said and "up to 7 times in 10" in said and "Most weight in the mix" in said
    weights = next(t for t in blocks(page, Table) if t.caption.startswith("Weights of the other places"))
    assert len(weights.rows) == 7
    tried = next(t for t in blocks(page, Table) if "every design" in t.caption)
    names = [str(r[0]) for r in tried.rows]
    assert any("Before and after, which cannot carry a claim" in n for n in names)
    assert any("iterated least squares (claims too often)" in n for n in names)


def test_a_series_has_no_others(mix: ek.Evaluation) -> None:
    alone = ek.evaluate(study(places=1))
    assert list(_of_one_place(alone)) == ["one_place_a"]
    assert len(alone.alone.donors) == 0 and "one_place" in alone.frames() and "donors" not in alone.frames()
    assert set(mix.frames()) >= {"one_place", "donors"}


def test_rules_hold_back_every_period_of_the_place(mix: ek.Evaluation) -> None:
    held = reporting.safe(replace(mix, study=mix.study.replace(settings={"disclosure": "nhs"})))
    assert not _of_one_place(held)
    assert "This cannot carry a claim" not in texts(reporting.estimates(held, {}))
    assert "one place by period" in held.protection.log.to_string()
