"""What there is to see on a day, its tables, and one static page, the same bytes whenever the same day is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import pandas as pd

from evalkit.disclosure.rules import rules_of
from evalkit.errors import OptionError
from evalkit.figures import describe
from evalkit.folders import replaced
from evalkit.monitor.agreement import Agreement
from evalkit.monitor.charts import BUDGET, HORIZON
from evalkit.monitor.ledger import Ledger
from evalkit.monitor.looks import DIGITS, look_table
from evalkit.monitor.status import range_of, status_table
from evalkit.reporting.blocks import Block, Group, Heading, Paragraph, Section
from evalkit.reporting.formats import page_of
from evalkit.show.numbers import NOT_GIVEN, percent
from evalkit.show.tables import Table, csv_text, make_table
from evalkit.show.words import Count, Noun, count_words, full_stop, join_words, plural, retold, sentence_case
from evalkit.study import Study

PAGE = "watch.html"
_TABLES = ("status", "alarms", "delivery", "delays", "looks", "charts")
_CHARTS = (
    "Each panel is one place: its difference to places where nothing is on yet, smoothed. Limits know how periods hang "
    "together; where nothing happens, a chart goes beyond them within {horizon} periods with a chance of {budget}, so "
    "that about {expected} of these {charts} would by accident. What goes beyond is a reason to ask the place. It is "
    "not an answer, and not a look: whoever decides on an effect after seeing a chart has looked."
)
_LINE = (
    "{alpha} of false alarms are shared by {components} over {looks}, through {first} to {last}. The line starts far "
    "out and draws nearer (O'Brien-Fleming-like spending); it is solved anew at each look from how looks hang "
    "together. A period enters once {settle} days have passed since its end. With fewer than {fewest} places in either "
    "arm the line cannot be crossed before the last look. This page may be made again on any day: it shows new "
    "effects only on the days of looks."
)


@dataclass(frozen=True, eq=False, repr=False)
class Watch:
    """What there is to see on a day.

    study: as it was known. as_of: the day (or number). alarms: about the feed, a row each. charts: places beside those
    not yet, a row a place and period. looks: every look until then, a row each and component. status: what may be said,
    a row a component. delivery: a row a component and place. delays: from occurring to being recorded.
    """

    study: Study
    as_of: date | float
    agreement: Agreement
    ledger: Ledger
    alarms: pd.DataFrame
    charts: pd.DataFrame
    delivery: pd.DataFrame
    delays: pd.DataFrame
    next_look: str
    look_today: bool

    @cached_property
    def looks(self) -> pd.DataFrame:
        """Every look until then."""
        return look_table(self.ledger)

    @cached_property
    def status(self) -> pd.DataFrame:
        """What may be said of each component: component, status, verdict, sentence, the last look and its numbers."""
        return status_table(self.study, self.ledger, self.agreement, self.delivery, self.next_look, self.look_today)

    def save(self, folder: str | Path) -> Path:
        """Write the page and its tables into a folder, in one step; returns the page's path."""
        return write_page(self, Path(folder))

    def __repr__(self) -> str:
        lines = [f"Watch of {self.study.title or 'a study'}, as of {self.as_of}", *self.status["sentence"]]
        alarms = [f"  {r.alarm}: {r.where}: {r.what}" for r in published(self).itertuples()]
        return "\n".join([*lines, f"Alarms: {len(alarms) or 'none'}", *alarms])


def write_page(watch: Watch, folder: Path) -> Path:
    """Write watch.html and its tables as CSV into a folder, in one step; return the page's path."""
    made = {PAGE: page_of(tuple(sections(watch)), watch.study.title or "Watch")}
    made |= {f"{name}.csv": csv_text(rounded(table)) for name, table in tables(watch).items()}
    with replaced(folder, [PAGE, *(f"{name}.csv" for name in _TABLES)]) as fresh:
        for name, text in made.items():
            (fresh / name).write_text(text, encoding="utf-8", newline="\n")
    return folder / PAGE


def tables(watch: Watch) -> dict[str, pd.DataFrame]:
    """The tables of a watch as they may be published."""
    safe = {"alarms": published, "delays": published_delays}
    return {name: safe[name](watch) if name in safe else getattr(watch, name) for name in _TABLES}


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers with as many digits as a look keeps."""
    floats = table.select_dtypes("float").columns
    return table.assign(**{c: [v if v != v else float(f"{v:.{DIGITS}g}") for v in table[c]] for c in floats})


def published(watch: Watch) -> pd.DataFrame:
    """The alarms with counts as the rules of disclosure have them, as words."""
    rules = rules_of(watch.study)
    counts = ["" if n < 0 else rules.publish(Count(int(n))).words for n in watch.alarms["count"]]
    return watch.alarms.assign(count=counts, what=[retold(words, rules.publish) for words in watch.alarms["what"]])


def published_delays(watch: Watch) -> pd.DataFrame:
    """The delays with numbers of events as the rules of disclosure have them; as words where one is withheld."""
    rules = rules_of(watch.study)
    counts = [rules.publish(Count(int(n))) for n in watch.delays["events"]]
    said = [c.words for c in counts] if any(c.withheld for c in counts) else [c.value for c in counts]
    return watch.delays.assign(events=said)


def sections(watch: Watch) -> Iterator[Section]:
    """The sections of the page, in the order in which somebody asks who comes to it every week."""
    labels = {c.name: c.label for c in watch.study.components}
    yield _headed(
        "said", watch.study.title or "Watch", 1, Paragraph(f"As of {watch.as_of}.", "data"), _status(watch, labels)
    )
    yield _headed("feed", "Is the feed right?", 2, *_feed(watch))
    yield _headed("plan", "Is delivery on plan?", 2, *_delivery(watch, labels))
    yield _headed("charts", "Has a place moved apart?", 2, *_charts(watch))
    yield _headed("line", "The agreed line", 2, *_line(watch, labels))


def _headed(name: str, heading: str, level: int, *blocks: Block | None) -> Section:
    words = Group((Heading(level, heading),), "words")
    return Section(name, (words, *(b for b in blocks if b is not None)))


def _status(watch: Watch, labels: dict[str, str]) -> Table:
    rows = [(labels[r.component], sentence_case(r.status), r.sentence) for r in watch.status.itertuples()]
    return make_table("What may be said today", ("Component", "Status", "In words"), rows, name="status", cards=True)


def _feed(watch: Watch) -> Iterator[Block]:
    found = published(watch)
    if len(found):
        rows = [(sentence_case(r.alarm.replace("_", " ")), r.where, full_stop(sentence_case(r.what)), r.count, r.next)
                for r in found.itertuples()]  # fmt: skip
        head = ("Alarm", "Where", "What", "How many", "What to do")
        yield make_table("Alarms about the feed", head, rows, name="alarms", cards=True)
    else:
        yield Paragraph("No alarm. Twelve things that go wrong with feeds were looked for.")
    if len(watch.delays):
        delays = published_delays(watch)
        rows = [(r.provider or "all", r.events, r.median, r.most, r.recent) for r in delays.itertuples()]
        period = watch.study.noun_for(watch.study.period)[0]
        head = ("Provider", "Events", "Days, median", "Days, 95 in 100", f"Days, last complete {period}")
        yield make_table("From occurring to being recorded", head, rows, name="delays")


def _delivery(watch: Watch, labels: dict[str, str]) -> Iterator[Block]:
    table = watch.delivery
    if not len(table):
        yield Paragraph("Starts are read from the rows: there is no register of dates to hold them against.")
        return
    period = watch.study.noun_for(watch.study.period)
    for name, mine in table.groupby("component", sort=False):
        on, late, ended = (mine.loc[mine["state"] == s, "place"].nunique() for s in ("on", "late", "ended"))
        behind = f", {_beside_plan(mine, period)} on average" if on else ""
        over = f"; ended in {ended}" if ended else ""
        places = count_words(mine["place"].nunique(), "place")
        yield Paragraph(full_stop(f"{labels[str(name)]}: on in {on} of {places}{behind}{over}; {late} late"))
    moved = table[table["moved"].notna() | (table["state"] == "late")]
    rows = [(labels[r.component], r.place, _or(r.planned_start), _or(r.start), _or(r.moved), _or(r.note))
            for r in moved.itertuples()]  # fmt: skip
    if rows:
        head = ("Component", "Place", "Planned", "Now", "Moved because of", "Note")
        yield make_table("Dates that are late or were moved", head, rows, name="moved")


def _beside_plan(delivery: pd.DataFrame, period: Noun) -> str:
    """By how much starts that were made lie beside the plan, in the mean."""
    late = round(float(delivery.loc[delivery["state"] == "on", "late"].fillna(0.0).mean()), 1)
    return f"{abs(late):.1f} {plural(period)} {'before' if late < 0 else 'after'} plan"


def _or(value: object) -> str:
    return "" if pd.isna(value) else str(value)


def _charts(watch: Watch) -> Iterator[Block]:
    try:
        picture = describe("place_charts", watch.charts, unit=watch.study.outcome(watch.agreement.outcome).unit)
    except OptionError as error:
        yield Paragraph(str(error))
        return
    said = watch.study.settings.get("watch")
    budget = said.get("budget", BUDGET) if isinstance(said, dict) else BUDGET
    charts = int(watch.charts.groupby("place")["low"].any().sum())
    yield picture
    words = {"horizon": HORIZON, "budget": percent(budget), "expected": f"{budget * charts:.1f}", "charts": charts}
    yield Paragraph(_CHARTS.format(**words), "note")


def _line(watch: Watch, labels: dict[str, str]) -> Iterator[Block]:
    agreed = watch.agreement
    yield Paragraph(_LINE.format(
        alpha=percent(agreed.alpha), components=join_words([labels[c] for c in agreed.components]),
        looks=count_words(len(agreed.looks), "look"), first=agreed.looks[0], last=agreed.looks[-1],
        settle=agreed.settle, fewest=agreed.fewest,
    ))  # fmt: skip
    planned = watch.looks[watch.looks["planned"].astype(bool)] if len(watch.looks) else watch.looks
    if len(planned) and planned["z"].notna().any():
        yield describe("look_lines", planned, labels=labels)
    for r in watch.looks[~watch.looks["planned"].astype(bool)].itertuples() if len(watch.looks) else ():
        held = range_of(watch.study, agreed, r.low, r.high)
        ruled = "there was no number" if held == NOT_GIVEN else f"what is not ruled out, whenever one looks, is {held}"
        words = f"Not planned: a look through {r.through} at {labels[r.component]}. It has no line to cross; {ruled}."
        yield Paragraph(words)
    last = watch.ledger.lines[-1]["sha256"]
    yield Paragraph(f"The record of looks, looks.jsonl, ends with the hash {last}.", "note")
