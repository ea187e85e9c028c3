"""`evalkit new FOLDER` and `evalkit synth NAME`: a study to start from, and one whose truth is known."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

import typer

from evalkit.cli.screen import say
from evalkit.errors import EvalkitError, OptionError, spelt
from evalkit.folders import replaced

if TYPE_CHECKING:
    from evalkit.study.guesses import Part
    from evalkit.study.proposal import Proposal

STARTER = Path(__file__).with_name("starter")


def write_starter(folder: Path) -> Path:
    """Write study.toml, panel.csv and adoption.csv into `folder`; return the study file.

    The numbers are made up: the helpline adds 3 points from its first month, the visits add nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in STARTER.iterdir():
        copyfile(file, folder / file.name)
    return folder / "study.toml"


def new(
    folder: Path = typer.Argument(help="A new folder for the study."),
    table: Path | None = typer.Option(None, "--from", help="Your table: CSV, Excel, Stata, SPSS, Parquet, Feather."),
    starts: Path | None = typer.Option(None, "--starts", help="A second table: when each place began each component."),
    ask: bool = typer.Option(True, "--ask/--no-ask", help="Ask about what was guessed, in a terminal."),
) -> None:
    """Write a commented study.toml: around your own table, or with small made-up ones to start from."""
    _check_new(folder)
    if table is None and starts is not None:
        raise OptionError("--starts belongs to --from: name the table of units and periods too.")
    if table is not None:
        _from_table(folder, table, starts, ask and sys.stdin.isatty() and sys.stdout.isatty())
    else:
        with replaced(folder) as draft:
            write_starter(draft)
        say(f"Wrote {folder / 'study.toml'} and its tables. They run as they are; put your own in their place.")
    file = folder / "study.toml"
    say(
        "Next:",
        f"  evalkit audit {file}    (what can be told apart; reads no outcome)",
        f"  evalkit plan {file}    (fixes what will be asked, before outcomes are read)",
        f"  evalkit run {file} --out reports/{folder.resolve().name}",
    )


def _from_table(folder: Path, table: Path, starts: Path | None, ask: bool) -> None:
    from evalkit.study import Study
    from evalkit.study.proposal import propose

    for file in filter(None, (table, starts)):
        if not file.is_file():
            raise OptionError(f"There is no file {str(file)!r}. Check the path.")
    proposal = propose(table, starts)
    if ask:
        proposal = _asked(proposal)
    with replaced(folder) as draft:
        for file in filter(None, (table, starts)):
            copyfile(file, draft / file.name)
        (draft / "study.toml").write_text("\n".join(study_lines(proposal, table, starts)) + "\n", encoding="utf-8")
        try:
            Study.load(draft)
            wrong = ""
        except EvalkitError as error:
            wrong = str(error)
    say(f"Wrote {folder / 'study.toml'}. What was guessed, to be looked at there:")
    say(*(f"  {guess}" for guess in proposal.guesses))
    if wrong:
        raise EvalkitError(f"the study does not hold together yet. Mend {folder / 'study.toml'}: {wrong}")


def _asked(p: Proposal) -> Proposal:
    """What was guessed, as somebody at a terminal confirms or mends it."""

    def one(words: str, usual: str | None, known: tuple[str, ...]) -> str | None:
        while True:
            said = typer.prompt(words, default=usual or "none").strip()
            if said == "none" or said in known:
                return None if said == "none" else said
            say(f"There is no column {spelt(said)}. The columns are: {', '.join(known)}.")

    say(*(f"  {guess}" for guess in p.guesses), "Press Enter to keep each answer in brackets.")
    unit = one("Who or what is followed (a column)", p.unit, p.columns) or p.unit
    period = one("The period (a column, or none)", p.period, p.columns)
    cluster = one("The places in which people or decisions hang together (a column, or none)", p.cluster, p.columns)
    outcome = one("The outcome (a column)", p.outcomes[0].column, p.columns) or p.outcomes[0].column
    better = typer.prompt("Is higher or lower better", default=p.outcomes[0].better).strip()
    known = [r for r in p.outcomes if r.column == outcome] or [replace(p.outcomes[0], column=outcome, kind="score")]
    first = replace(known[0], better=better if better in ("higher", "lower") else known[0].better)
    said = typer.prompt(
        "The components (columns, separated by commas)", default=", ".join(c.column for c in p.components)
    )
    names = [name.strip() for name in said.split(",") if name.strip()]
    parts = tuple(c for c in p.components if c.column in names)
    outcomes = (first, *(r for r in p.outcomes if r.column != outcome))
    return replace(p, unit=unit, period=period, cluster=cluster, components=parts or p.components, outcomes=outcomes)


def study_lines(p: Proposal, table: Path, starts: Path | None) -> Iterator[str]:
    """The lines of a study file, each key with what it is for."""
    yield "# Guessed from the table: look at every line. Lines that begin with # say nothing yet."
    yield ""
    yield "[study]"
    keys = {"title": _title(table.stem), "panel": table.name, "unit": p.unit, "period": p.period, "cluster": p.cluster}
    notes = {
        "title": "say what this is, in a line",
        "unit": "who or what is followed",
        "period": "one row for each unit and period",
        "cluster": "the groups in which people or decisions hang together",
        "true_values": "words for 1 in columns of 0 and 1",
        "date_format": "how dates are written: %d the day, %m the month, %Y the year",
        "decimal": "the sign before decimals",
    }
    for key, value in {**keys, **p.reading.said()}.items():
        if value is not None and value != ():
            yield _line(key, value, notes.get(key, ""))
    if p.covariates:
        yield _line("covariates", p.covariates, "what people are matched and adjusted on; leave out what came after")
    yield '# question = "Which parts helped?"'
    yield '# noun = {unit = "person", place = "borough"}    # what they are called in sentences'
    for i, r in enumerate(p.outcomes):
        mark = "" if i == 0 else "# "
        yield ""
        yield f"{mark}[outcomes.{_key(r.column)}]" + ("" if i == 0 else "    # another outcome: take the # away")
        yield mark + _line("label", _title(r.column))
        yield mark + _line("kind", r.kind, "share (0 to 1), count, score, log or money" if i == 0 else "")
        if r.percent:
            yield mark + _line("percent", True, "the column holds 45 or 45% for a share of 0.45")
        yield mark + _line("better", r.better, "or lower" if r.better == "higher" else "or higher")
        if i == 0:
            yield "# matters = 0.05    # the smallest effect worth having, in the outcome's unit; set it before you run"
    for c in p.components:
        yield ""
        yield from _component_lines(c, starts)


def _component_lines(c: Part, starts: Path | None) -> Iterator[str]:
    yield f"[components.{_key(_short(c.column) if c.by == 'adoption' else ' '.join(c.column.split()))}]"
    yield _line("label", _title(c.column) if c.by != "adoption" else c.column)
    notes = {"exposure": "0 while off, 1 while on", "first_period": "empty (or 0) for never", "adoption": "start dates"}
    yield _line(c.by, starts.name if c.by == "adoption" and starts is not None else c.column, notes[c.by])
    if c.assigned_at is not None:
        yield _line("assigned_at", c.assigned_at, "the level at which somebody decided")
    yield '# reach = "column"    # 0/1: whom it can reach at all, where that is not everybody'
    yield "# lag = 1               # periods before an effect can show"
    yield "# unit_cost = 100       # for one unit and period with it"


def _line(key: str, value: object, note: str = "") -> str:
    said = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return f"{key} = {said}" + (f"    # {note}" if note else "")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _short(words: str) -> str:
    return re.sub(r"\W+", "_", words.strip().casefold()).strip("_") or words


def _title(words: str) -> str:
    from evalkit.study.proposal import label_of

    return label_of(words)


def _list_knobs(wanted: bool) -> None:
    if wanted:
        from evalkit.synthetic.knobs import knob_words

        say(*(f"{name}: {words}" for name, words in knob_words().items()))
        raise typer.Exit


def synth(
    name: str = typer.Argument(
        help="rough_sleeping, social_prescribing, carers, young_people, pupils, portfolio or town."
    ),
    setting: str = typer.Option("realistic", "--setting", help="clean, realistic or hard."),
    seed: int = typer.Option(1, "--seed", help="The same seed gives the same tables everywhere."),
    size: float = typer.Option(1.0, "--size", help="Multiple of the people."),
    knob: list[str] = typer.Option([], "--knob", help="NAME=VALUE, once for each: --knob gap=2 --knob movers=0.1."),
    knobs: bool = typer.Option(False, "--knobs", callback=_list_knobs, is_eager=True, help="List the knobs and stop."),
    feed: bool = typer.Option(False, "--feed", help="An event feed too, for `evalkit watch`."),
    fault: str | None = typer.Option(None, "--fault", help="What goes wrong in the feed, such as late_provider."),
    out: Path = typer.Option(..., "--out", help="A new folder for the study and, beside it, the truth."),
) -> None:
    """Write a made-up partnership whose true effects are known."""
    _check_new(out)
    from evalkit.synthetic import partnership
    from evalkit.synthetic.feed import WATCHED, event_feed, write_feed
    from evalkit.synthetic.knobs import Knobs, read_knobs
    from evalkit.synthetic.portfolio import PORTFOLIO
    from evalkit.synthetic.town import TOWN, TownKnobs

    said = read_knobs([*knob, *([] if size == 1 else [f"size={size}"])], TownKnobs if name == TOWN else Knobs)
    made = partnership(name, setting, seed, **said)
    with replaced(out) as draft:
        file = out / made.write(draft).relative_to(draft)
        watched = []
        if feed or fault is not None:
            events = event_feed(made, fault=fault)
            write_feed(events, made, draft)
            day = f"--as-of {events.seen:%Y-%m-%d}"
            watched = [f"  evalkit watch {out / WATCHED} {day} --out reports/{out.resolve().name}-watch"]
    if name == PORTFOLIO:
        count = len(list(file.iterdir()))
        say(f"Wrote {count} studies into {file}. The truth lies sealed in {out / 'truth'}.", "Next:",
            f"  evalkit card {file}/PLACE --out cards    (for each place)",
            f"  evalkit pool cards --register {out / 'register'} --out page")  # fmt: skip
        return
    say(
        f"Wrote {file} and its tables. The truth lies sealed in {out / 'truth'}.",
        "Next:",
        f"  evalkit audit {file}",
        f"  evalkit run {file} --out reports/{out.resolve().name}",
        *watched,
    )


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{str(folder)!r} is there already and is not empty. Name a new folder.")
