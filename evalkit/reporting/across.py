"""The page "what worked where": components down, places across, and what a place that has none of it may expect."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError
from evalkit.evaluation.evidence import write_frames
from evalkit.figures import Picture, describe
from evalkit.folders import replaced
from evalkit.pooling.indigo import Indigo, without_card
from evalkit.pooling.pool import Pool
from evalkit.reporting.blocks import (
    Block,
    Group,
    Heading,
    Listing,
    Paragraph,
    Run,
    Section,
    cell,
    to_html,
    verdict_cell,
)
from evalkit.reporting.strict import PAGE, strict
from evalkit.show.numbers import pounds, range_words
from evalkit.show.tables import Cell, Table, from_frame, make_table
from evalkit.show.words import count_words, escaped, full_stop, join_words, sentence_case
from evalkit.study import Outcome

MOST_PLACES = 60
"""Columns of the table of places; further places stand in places.csv alone."""
_NAMED = 12
_CAUTIONS = (
    "Nothing here is ranked, and the verdicts of places are not counted: shown in one place and cannot tell in another"
    " may be one and the same effect.",
    "Places that began in steps, so that a component could be told apart there, may differ from places that did not."
    " Nothing in the cards shows it.",
    "Pooled effects are averages over places that differ. What one more place would see is the wider range beside it.",
)
_HOW = {
    "rollouts": "effects of components that rollouts told apart within places, with their joint covariance",
    "programmes": "whole programmes beside each other, with a column for what is always on",
    "both": "rollouts within places and whole programmes beside each other, together",
}
FILES = (
    "report.html", "components.csv", "places.csv", "together.csv", "checks.csv", "left_out.csv", "pool.json",
    "rows.csv", "V.csv", "evidence.json",
)  # fmt: skip


def portfolio(pooled: Pool, folder: str | Path, *, register: Sequence[Indigo] = (), title: str = "") -> Path:
    """Write the page "what worked where" and its tables into `folder`; the page's path.

    register: the partnerships that are known of, from `ek.read_indigo`; those without a card are counted and named. The
    folder holds report.html, the tables as CSV, rows.csv and V.csv for metafor, evidence.json (FHIR R5), and pool.json,
    which a new study takes as its prior. It takes its place in one step; other files in it are kept.
    """
    if not isinstance(pooled, Pool):
        raise OptionError(f"portfolio needs a pool, from ek.pool; it got {type(pooled).__name__}.")
    place = Path(folder).resolve()
    if pooled.cards.place is not None and pooled.cards.place.resolve() == place:
        raise EvalkitError(
            f"{str(folder)!r} is the folder of the cards, where each file is a card. Name another folder."
        )
    heading = title or f"What worked where: {pooled.outcome.label}"
    page = Template((PAGE / "across.html").read_text(encoding="utf-8")).substitute(
        title=escaped(heading),
        css=(PAGE / "page.css").read_text(encoding="utf-8"),
        body=to_html(across(pooled, register, heading).blocks),
    )
    with replaced(place, FILES) as fresh:
        write_frames({"components": pooled.components, "places": pooled.places, "together": pooled.together,
                      "checks": pooled.checks, "left_out": pooled.left_out}, fresh)  # fmt: skip
        pooled.to_csv(fresh)
        evidence = json.dumps(pooled.to_fhir(), indent=1, ensure_ascii=False)
        (fresh / "evidence.json").write_text(evidence + "\n", encoding="utf-8")
        if np.isfinite(pooled.components["predict_low"]).any():
            pooled.save_prior(fresh / "pool.json")
        (fresh / "report.html").write_bytes(strict(page))
    return place / "report.html"


def across(pooled: Pool, register: Sequence[Indigo] = (), title: str = "") -> Section:
    """What worked where, as blocks."""
    blocks: list[Block] = [
        Heading(1, title or f"What worked where: {pooled.outcome.label}"),
        Paragraph(_about(pooled), "data"),
        *_missing(pooled, register),
        _pooled_table(pooled),
    ]
    if (forest := _forest(pooled)) is not None:
        blocks.append(forest)
    blocks += [Heading(2, "What may be said"), *_sentences(pooled), *_together(pooled)]
    blocks += [Heading(2, "Place by place"), _places_table(pooled), Paragraph(_places_note(pooled), "note")]
    blocks += [Heading(2, "Before relying on it"), Listing(_CAUTIONS), _checks(pooled), *_left_out(pooled)]
    return Section("what worked where", tuple(blocks))


def _about(pooled: Pool) -> str:
    g = pooled.gathered
    places = len(set(g.places.tolist()))
    better = f"{pooled.outcome.label} ({pooled.outcome.better} is better)"
    rows = f"{count_words(len(g.used), 'number')} from {count_words(places, 'place')}"
    return f"{better} · {count_words(len(g.cards), 'card')}, {rows} · Pooled: {_HOW[g.question.use]}"


def _missing(pooled: Pool, register: Sequence[Indigo]) -> Iterator[Block]:
    """How many registered partnerships have no card."""
    if not register:
        return
    lacking = without_card(register, [c.provenance.indigo for c in pooled.cards])
    words = f"{len(lacking)} of {len(register)} have no card: what they found is not known here"
    named = join_words([p.name for p in lacking[:_NAMED]])
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    yield Paragraph(
        (Run(f"Of the registered partnerships, {words}.", look="strong"), f" {named}{more}." if named else "")
    )


def _pooled_table(pooled: Pool) -> Table:
    o, rows = pooled.outcome, []
    for r in pooled.components.to_dict("records"):
        rows.append((
            r["label"], verdict_cell(r["verdict"]), _range(r["conf_low"], r["conf_high"], o.kind),
            _range(r["predict_low"], r["predict_high"], o.kind), str(r["places"]), _cost(pooled, r["component"]),
        ))  # fmt: skip
    columns = ("Component", "How sure", "Over all places", "In a new place", "Places", "Cost a person")
    note = f"Likely ranges at {pooled.level:.0%}. The range of a new place is for one more place like these."
    return make_table("What the places found together", columns, rows, name="pooled", note=note, cards=True)


def _range(low: float, high: float, kind: str) -> str:
    return range_words(low, high, kind) if np.isfinite(low) else "not known"


def _cost(pooled: Pool, component: str) -> str:
    """What one person and period of a component costs, from the least to the most that a card says, by currency."""
    g, found = pooled.gathered, []
    for card in g.cards:
        for name, part in card.components.items():
            if part.unit_cost is not None and g.names.columns[g.names.by_term[part.term or name]] == component:
                found.append((part.unit_cost.currency, part.unit_cost.amount, part.unit_cost.price_year))
    said = []
    for currency in sorted({c for c, *_ in found}):
        amounts = sorted(a for c, a, _ in found if c == currency)
        years = sorted({y for c, _, y in found if c == currency and y is not None})
        sign = "£" if currency == "GBP" else f"{currency} "
        ends = dict.fromkeys(pounds(a, currency=sign) for a in (amounts[0], amounts[-1]))
        prices = f" (prices of {' to '.join(map(str, dict.fromkeys((years[0], years[-1]))))})" if years else ""
        said.append(" to ".join(ends) + prices)
    return "; ".join(said) or "not known"


def _forest(pooled: Pool) -> Picture | None:
    """Pooled effects and refusals as a picture; none where there is no range."""
    table, o = pooled.components, pooled.outcome
    if not table["conf_low"].notna().any():
        return None
    frame = table[["component", "verdict", "direction", "estimate", "conf_low", "conf_high"]].assign(outcome=o.id)
    scale = Outcome(o.id, o.label, o.kind, o.better, o.matters)
    return describe("forest", frame, labels=dict(zip(table["component"], table["label"], strict=True)), scale=scale)


def _sentences(pooled: Pool) -> Iterator[Block]:
    for r in pooled.components.to_dict("records"):
        yield Heading(3, str(r["label"]))
        yield Paragraph(r["sentence"])


def _together(pooled: Pool) -> Iterator[Block]:
    table, o = pooled.together, pooled.outcome
    if not len(table):
        return
    yield Heading(2, "Known only together")
    items = []
    for r in table.to_dict("records"):
        known = f"likely range {range_words(r['conf_low'], r['conf_high'], o.kind)}"
        few = "no likely range: fewer than three places"
        items.append(f"{sentence_case(r['words'])}: {known if np.isfinite(r['conf_low']) else few}")
    yield Listing(tuple(items))


def _places_table(pooled: Pool) -> Table:
    """Components down, places across: the verdict there and the effect drawn towards what all found, or why not."""
    g, table = pooled.gathered, pooled.places
    studies = [c.study for c in g.cards][:MOST_PLACES]
    cells: dict[tuple[str, str], Cell] = {}
    for r in table[table["component"] != ""].to_dict("records"):
        cells[str(r["component"]), str(r["study"])] = _place_cell(r, pooled.outcome.kind)
    rows = [
        (g.names.labels[name], *(cells.get((name, s), Cell("not there")) for s in studies)) for name in pooled.names
    ]
    return make_table("What each place found, drawn towards what all found", ("Component", *studies), rows)


def _place_cell(row: dict[Any, Any], kind: str) -> Cell:
    if np.isfinite(row["shrunken_low"]):
        words = f"{range_words(row['shrunken_low'], row['shrunken_high'], kind)}"
    else:
        words = str(row["reason"])
    mark = verdict_cell(str(row["verdict"]))
    return cell((Run(mark.text, look=str(row["verdict"])), f": {words}"))


def _places_note(pooled: Pool) -> str:
    beyond = len(pooled.gathered.cards) - MOST_PLACES
    more = f" {beyond} further places stand in places.csv." if beyond > 0 else ""
    return f"The word is the verdict of the place itself; the range is drawn towards what all places found.{more}"


def _checks(pooled: Pool) -> Table:
    labels = {**pooled.gathered.names.labels, "": "all"}
    rows = [
        (sentence_case(str(r["check"]).replace("_", " ")), labels.get(r["component"], r["component"]),
         cell(Run(str(r["status"]), look=str(r["status"]))), full_stop(str(r["words"])))
        for r in pooled.checks.to_dict("records")
    ]  # fmt: skip
    return make_table("Checks", ("Check", "Component", "Result", "What it found"), rows, name="checks", cards=True)


def _left_out(pooled: Pool) -> Iterator[Block]:
    table: pd.DataFrame = pooled.left_out.assign(row=pooled.left_out["row"].replace("", "whole card"))
    if len(table):
        labels = {"study": "Study", "row": "Row", "reason": "Why it is not pooled"}
        yield Group((from_frame(table, "What was not pooled", labels),), summary="What was not pooled, and why")
