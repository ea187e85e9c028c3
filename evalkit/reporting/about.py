"""The sections on what the numbers come from and stand beside: the outcome itself, delivery against plan, harm,
evidence that is not a number, data and ethics, and how the study stands on scales that others use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evalkit.evaluation import Evaluation
from evalkit.evaluation.results import safe
from evalkit.figures import Picture
from evalkit.figures.over_time import EXPECTED, SIDES, picked, said, unit_of
from evalkit.language.axis import Axis
from evalkit.language.decisions import lean_words
from evalkit.language.templates import VERDICT_WORDS
from evalkit.reporting.blocks import Block, Group, Heading, Listing, Paragraph, Run, Section, Text
from evalkit.reporting.names import names_of, spoken_period, spread
from evalkit.reporting.scales import checklist, levels
from evalkit.reporting.sections import headed
from evalkit.show.numbers import percent, signed_range
from evalkit.show.tables import Table, make_table
from evalkit.show.words import count_words, full_stop, noun_from_column, plural, quoted, sentence_case
from evalkit.study import Outcome, Study
from evalkit.study.money import PROGRAMME
from evalkit.verdicts.rules import failed_main_checks

NO_PLAN = "No plan was fixed before outcomes were read."
_ABOUT = {"origin": "Where they come from", "missing": "What is missing, and why", "ethics": "Ethics",
          "data_protection": "Data protection"}  # fmt: skip
_UNSAID = {"author": "No author is named.", "date": "It bears no date."}
_NOT_SAID = "Not stated in the study file."
_BESIDE = "It stands beside the verdicts and raises none of them."


def said_of(study: Study) -> Mapping[str, Any]:
    """What the study file says about its report, table [report]."""
    found = study.settings.get("report")
    return found if isinstance(found, Mapping) else {}


def imprint(evaluation: Evaluation) -> str:
    """Who wrote it and when, as far as that is said: 'A. Author · 31 March 2026'."""
    given = said_of(evaluation.study)
    return " · ".join(str(given[key]) for key in ("author", "date") if given.get(key))


def lacking(evaluation: Evaluation) -> str:
    """For the end of page one: that no plan was fixed, how often the authors left one, who is not named, no date."""
    given = said_of(evaluation.study)
    parts = [] if evaluation.plan else [NO_PLAN]
    if many := len(given.get("deviations", ())):
        parts.append(f"Deviations from the plan that the authors name: {many}.")
    parts += [words for key, words in _UNSAID.items() if not given.get(key)]
    return " ".join(parts)


# ---------------------------------------------------------------- the outcome itself


def itself(evaluation: Evaluation) -> Section:
    """Means with and without the programme, period by period, raw and expected; and who began how."""
    evaluation = safe(evaluation)
    parts: list[Block | None] = []
    for outcome in evaluation.study.outcomes:
        mine = evaluation.over_time[evaluation.over_time["outcome"] == outcome.column]
        if len(mine):
            parts += [*over_time_tables(evaluation, outcome, mine)]
    if not parts:
        parts = [Paragraph("Nothing in the programme began while these data were gathered.")]
    return headed("itself", *parts, baseline_table(evaluation))


def over_time_tables(evaluation: Evaluation, outcome: Outcome, rows: pd.DataFrame) -> tuple[Block, ...]:
    """A few periods of one outcome as a table, and every period folded away."""
    few = rows.iloc[picked(rows)]
    anchor = f"over-time-{outcome.column}"
    short: Block = over_time_table(evaluation, outcome, few, anchor)
    if outcome == evaluation.study.outcome() and evaluation.study.paths.n_periods > 1:
        short = Group((short,), screen=True)  # on paper page one has it
    if len(few) == len(rows):
        return (short,)
    period = evaluation.study.noun_for(evaluation.study.period)
    whole = over_time_table(evaluation, outcome, rows, f"{anchor}-all", every=True)
    return short, Group((whole,), summary=f"Every {period} in numbers: {outcome.label}")


def over_time_table(
    evaluation: Evaluation, outcome: Outcome, rows: pd.DataFrame, name: str, every: bool = False
) -> Table:
    """Some periods of one outcome: means with it and without, and what was expected, where that is known."""
    axis = Axis(outcome.said, outcome.label, outcome.better, outcome.matters)
    expected, period = rows["expected"].notna().any(), evaluation.study.noun_for(evaluation.study.period)
    cells = []
    for r in rows.to_dict("records"):
        shown = [said(r["with_it"], axis), said(r["without"], axis), *([said(r["expected"], axis)] if expected else [])]
        people = ["not given" if n != n else f"{n:,.0f}" for n in (r["people_with"], r["people_without"])]
        when = spoken_period(r["period"]) if evaluation.study.period is not None else "At the time"
        cells.append((when, *shown, *people))
    side = SIDES[str(rows["groups"].iloc[0])]
    whom = plural(evaluation.study.noun_for(evaluation.study.unit))
    head = (sentence_case(period) if period else "When", *side, *([EXPECTED] if expected else []),
            *(f"{sentence_case(whom)}: {s.lower()}" for s in side))  # fmt: skip
    note = RAW + (_EXPECTED if expected else "")
    right = (False, *(True,) * (len(head) - 1))
    caption = f"{outcome.label}, {unit_of(axis)}" + (f", every {period}" if every else "")
    return make_table(caption, head, cells, numeric=right, name=name, note="" if every else note)


RAW = "Raw means, before anything is compared: their difference is not what the programme did."
_EXPECTED = (
    " Expected: what those with it would have come to by the imputation behind the programme's total; not given before"
    " anybody began, nor where it stands for fewer than nine in ten of those who had."
)


def baseline_table(evaluation: Evaluation) -> Block:
    """Who ever had each component beside who never had it, before it began."""
    table, names = safe(evaluation).baseline, names_of(evaluation.study)
    if table.empty:
        return Paragraph("Nobody whom a component could reach was without it throughout, or nothing was seen before.")
    labels = {f"{o.label}, before": Axis(o.said, o.label) for o in evaluation.study.outcomes}
    cells = []
    for r in table.to_dict("records"):
        axis = labels.get(str(r["characteristic"]), Axis())
        apart = r["difference"]
        people = ["not given" if n != n else f"{n:,.0f}" for n in (r["people_with"], r["people_without"])]
        numbers = (said(r["with_it"], axis), said(r["without"], axis))
        far = "not given" if apart != apart else f"{apart:+.2f}".replace("-", "−")
        what = str(r["characteristic"])
        what = what if what in labels else what.replace("_", " ")
        cells.append((names.label(str(r["component"])), what, *numbers, far, *people))
    whom = plural(evaluation.study.noun_for(evaluation.study.unit))
    head = ("Component", "Before it began", "Ever had it", "Never had it", "Apart", f"{sentence_case(whom)} with",
            f"{sentence_case(whom)} without")  # fmt: skip
    note = "Apart: difference in standard deviations. Those compared need not be alike in level, but in how they move."
    right = (False, False, *(True,) * 5)
    return make_table("Who began how", head, cells, numeric=right, name="baseline", note=note)


# ---------------------------------------------------------------- delivery


def delivered(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """Logic model, timeline, delivery against plan, and the register."""
    evaluation = safe(evaluation)
    study = evaluation.study
    names = names_of(study)
    rows = []
    for c in study.components:
        reach = f"those with “{noun_from_column(c.reach)}”" if c.reach else "everyone"
        lag = f"after {count_words(c.lag, study.noun_for(study.period))}" if c.lag else "at once"
        shows = "always on" if c.always_on else lag
        rows.append((c.label, names.place(c.name), reach, shows, c.description or "none"))
    head = ("Component", "Decided by", "Can reach", "Can show an effect", "Notes")
    table = make_table("The register of components", head, rows, name="register", cards=True)
    line = Paragraph(full_stop(spread(study)[0]), anchor="data")
    drawn = (pictures.get("logic_model"), pictures.get("timeline"))
    return headed("delivered", line, *drawn, delivery_table(evaluation), table)


def delivery_table(evaluation: Evaluation) -> Table | None:
    """Starts and exposure as planned and as they were, where the register says what was planned."""
    study = evaluation.study
    table = safe(evaluation).delivery
    cards = {c.name: c.card for c in study.components}
    known = table[(table["planned"] > 0) | table["component"].map(lambda c: bool(_planned_words(cards[c])))]
    if known.empty:
        return None
    names, cells = names_of(study), []
    for r in known.to_dict("records"):
        when = "not stated"
        if r["planned"] > 0:
            periods = plural(study.noun_for(study.period)) if r["delay"] != 1 else study.noun_for(study.period)
            when = f"{r['on_plan']:.0f} on plan, {r['earlier']:.0f} earlier, {r['later']:.0f} later; on average "
            when += f"{r['delay']:.1f} {periods} late"
        shares = (r["planned_share"], r["actual_share"])
        had = "not known" if shares[0] != shares[0] else f"{percent(shares[1])} had it, {percent(shares[0])} planned"
        said = _planned_words(cards[r["component"]]) or "nothing more said"
        cells.append((names.label(str(r["component"])), when, had, said))
    head = ("Component", "Starts against the plan", "People and periods since the first planned start", "In words")
    return make_table("Planned and delivered", head, cells, name="delivery", cards=True)


def _planned_words(card: Mapping[str, str]) -> str:
    words = {"planned": "Planned", "actual": "Done", "modifications": "Changed"}
    return " ".join(full_stop(f"{head}: {card[key]}") for key, head in words.items() if card.get(key))


# ---------------------------------------------------------------- harm, and evidence that is not a number


def harms(evaluation: Evaluation) -> Section:
    """For each outcome that is there to catch damage: which harm is ruled out, and by what range."""
    evaluation = safe(evaluation)
    tables = [_harm_table(evaluation, o) for o in evaluation.study.outcomes if o.harm]
    nothing = Paragraph("No outcome was declared a possible harm (harm = true), so none was looked for by itself.")
    return headed("harms", *tables, None if tables else nothing)


def _harm_table(evaluation: Evaluation, outcome: Outcome) -> Table:
    leans = evaluation.verdicts.set_index(["component", "outcome"])["lean"]
    rows = []
    for e, v in evaluation.judged:
        if e.outcome == outcome.column:
            numbers = signed_range(e.estimate, e.conf_low, e.conf_high, e.std_error)
            words = lean_words(leans.get((e.component, e.outcome), ""), e.margin, bool(failed_main_checks(e)))
            rows.append((e.name, VERDICT_WORDS[v.verdict], *numbers, words))
    head = ("Component", "Verdict", "Estimate", "From", "To", "Harm")
    right = (False, False, True, True, True, False)
    caption = f"Possible harm: {outcome.label} ({outcome.better} is better)"
    return make_table(caption, head, rows, numeric=right, name=f"harm-{outcome.column}", cards=True)


def claims(study: Study) -> list[dict[str, str]]:
    """Evidence that is not a number, as the study file gives it."""
    return [dict(claim) for claim in said_of(study).get("evidence", ())]


def other_evidence(evaluation: Evaluation) -> Section:
    """Contribution claims with their source and strength, beside the verdict on each component."""
    study, names = evaluation.study, names_of(evaluation.study)
    found = claims(study)
    if not found:
        nothing = f"None was given (table [[report.evidence]] of the study file). {_BESIDE}"
        return headed("other evidence", Paragraph(nothing))
    verdicts = {s.component: VERDICT_WORDS[s.verdict] for s in safe(evaluation).statements
                if s.outcome == study.outcome().column}  # fmt: skip
    label = {PROGRAMME: "Programme as a whole"}
    rows = [
        (label.get(c["component"], names.label(c["component"])), verdicts.get(c["component"], "None of its own"),
         full_stop(c["claim"]), c["source"], sentence_case(c["strength"])) for c in found
    ]  # fmt: skip
    head = ("Component", "Verdict", "What is claimed", "Source", "Strength, as judged by whoever gathered it")
    made = make_table("Evidence that is not a number", head, rows, name="other-evidence", cards=True, note=_BESIDE)
    return headed("other evidence", made)


# ---------------------------------------------------------------- data, and standards


def data_statement(evaluation: Evaluation) -> Section:
    """Where the data come from, what is missing in numbers, ethics, data protection, and deviations from the plan."""
    evaluation = safe(evaluation)
    given = said_of(evaluation.study)
    listed: list[Text] = [
        (Run(f"{head}: ", look="strong"), full_stop(str(given[key])) if given.get(key) else _NOT_SAID)
        for key, head in _ABOUT.items()
    ]
    who = f"{given.get('author', 'not named')}, {given.get('date', 'undated')}"
    listed.append((Run("Author and date: ", look="strong"), full_stop(who)))
    parts: list[Block | None] = [Listing(tuple(listed)), _missing(evaluation)]
    deviations = tuple(full_stop(d) for d in given.get("deviations", ()))
    if deviations:
        parts += [Heading(3, "Deviations from the plan", "deviations"), Listing(deviations)]
    elif not evaluation.plan:
        parts.append(Paragraph(f"{NO_PLAN} Deviations from one cannot be named.", anchor="deviations"))
    return headed("data", *parts)


def _missing(evaluation: Evaluation) -> Table:
    study, table = evaluation.study, evaluation.recorded
    labels = {o.column: o.label for o in study.outcomes}
    cells = []
    for r in table.to_dict("records"):
        rows, missing, people, last = (float(r[c]) for c in ("rows", "missing", "people", "last"))
        share = f" ({percent(missing / rows)})" if rows > 0 and missing == missing else ""
        counts = ["not given" if n != n else f"{n:,.0f}" for n in (rows, missing, people, last)]
        cells.append((labels[r["outcome"]], sentence_case(r["side"]), counts[0], counts[1] + share, *counts[2:]))
    whom = sentence_case(plural(study.noun_for(study.unit)))
    head = ("Outcome", "Who", "Rows", "Rows without it", whom, f"{whom} with it in the last period")
    right = (False, False, True, True, True, True)
    return make_table("What was recorded", head, cells, numeric=right, name="recorded")


def standards(evaluation: Evaluation) -> Section:
    """Self-assessments by scales that others use, each with its reason, and the Magenta Book's questions."""
    evaluation = safe(evaluation)
    names = names_of(evaluation.study)
    found = levels(evaluation)
    scales, rows = list(dict.fromkeys(level.scale for level in found)), []
    for component in dict.fromkeys(level.component for level in found):
        mine = {level.scale: level for level in found if level.component == component}
        why = " ".join(f"{scale.partition(',')[0]}: {mine[scale].reason}" for scale in scales)
        rows.append((names.label(component), *(mine[scale].level for scale in scales), why))
    head = ("Component", *scales, "Why")
    caption = f"Scales that others use: {evaluation.study.outcome().label}"
    made = make_table(caption, head, rows, name="scales", cards=True)
    asked = [(asks, sentence_case(answer), why) for asks, answer, why in checklist(evaluation)]
    book = make_table("What the Magenta Book asks", ("Question", "Answer", "Why"), asked, name="magenta", cards=True)
    return headed("standards", made, book)


def brief_notes(evaluation: Evaluation) -> Sequence[Block]:
    """For page one: which harm was looked for, and evidence that is not a number, each with a link."""
    study = evaluation.study
    out: list[Block] = []
    if harmful := [quoted(o.label) for o in study.outcomes if o.harm]:
        out.append(Paragraph((f"Looked for as possible harm: {', '.join(harmful)}. ", Run("Harm", "#harm")), "note"))
    if found := claims(study):
        names = names_of(study)
        which = ", ".join(dict.fromkeys(names.label(c["component"]) for c in found))
        link = Run("Evidence that is not a number", "#evidence-that-is-not-a-number")
        out.append(
            Paragraph((f"Beside the numbers there is other evidence on {which}: ", link, f". {_BESIDE}"), "note")
        )
    return out
