"""Page one: the question, one line a component, what may be said, what would change our mind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from evalkit.evaluation import Evaluation
from evalkit.evaluation.deciding import whole_verdict
from evalkit.evaluation.decisions import Decisions
from evalkit.evaluation.results import safe
from evalkit.evaluation.value.lines import WHOLE
from evalkit.figures import Picture
from evalkit.figures.over_time import picked
from evalkit.language.statement import Statement, in_one_breath
from evalkit.reporting.about import RAW, brief_notes, imprint, lacking, over_time_table
from evalkit.reporting.blocks import Group, Heading, Listing, Paragraph, Run, Section, Text, cell, linked, verdict_cell
from evalkit.reporting.more_sections import costs_of, money_spent, of_every
from evalkit.reporting.names import Names, names_of, spread, statements_of
from evalkit.reporting.plan import plan_sentence
from evalkit.show.numbers import Nouns, pounds, range_words, scale_for
from evalkit.show.tables import Cell, Table
from evalkit.show.words import count_words, full_stop, join_words, quoted, sentence_case
from evalkit.study import Outcome
from evalkit.study.money import PROGRAMME
from evalkit.verdicts.evidence import CheckOutcome

T = TypeVar("T")

_STRONG = ("shown", "likely", "no_sign")
_EITHER_WAY = ("cannot_tell", "not_tested")
_UNANSWERED = ("cannot_tell", "cannot_tell_apart", "not_tested")
_MOST = 3
_TOLD = ("pre_trend", "leave_one_cluster", "date_rule")
_NO_COST = (
    "What one more outcome cost is not given for any component, because no effect stands. What each cost: ",
    Run("Value for money", "#value-for-money"),
    ".",
)
_NO_ANSWER = "No answer was given, so nothing can be overturned."
_KEY = "pre_trend"
_TESTED = "The key assumption, that both sides would have moved alike, was tested on the time before each start."
_UNTESTED = "The key assumption, that both sides would have moved alike without it, could not be tested{of}."
_ON_THE_PAGE = (
    "What follows is what a reader needs. The page report.html holds more: every period of the outcome, every design "
    "that was tried, every check in words, every pair of components, what may be said of each, and what the usual "
    "regression borrows. The CSV files beside it hold every number."
)
_LEADS = ("Promising", "Worth extending", "Keep it", "Hold", "Stop", "Do not evaluate it again alone")  # of acts
_BUT = " These checks of the likely ranges failed:"


def page_one(
    evaluation: Evaluation, pictures: Mapping[str, Picture] | None = None, outcome: str | None = None
) -> Section:
    """The findings on one page, for a reader with a minute.

    outcome: which one, default the first. Every figure comes from the statements of the evaluation and links to the
    row in which it is worked out.
    """
    evaluation = safe(evaluation)
    study = evaluation.study
    chosen = study.outcome(outcome).column
    rows, names = statements_of(evaluation, chosen), names_of(study)
    costs = costs_of(evaluation, {s.component: s.verdict for s in rows}) if chosen == study.outcome().column else {}
    priced = any(words != "not given" for words in costs.values())
    title = study.question or study.title or "Which components made a difference?"
    breath = in_one_breath((s.verdict, s.direction, s.label) for s in rows)
    link = Run("Estimates", "#estimates")
    others = join_words([quoted(o.label) for o in study.outcomes if o.column != chosen])
    forest = (pictures or {}).get("forest")
    about, (told, figures) = study.outcome(chosen), spread(study)
    whose = "" if all(figure in study.title for figure in figures) else told
    data = " · ".join(filter(None, (study.title, whose, f"{about.label} ({about.better} is better)")))
    parts = (
        Heading(1, title, "question"),
        Paragraph((f"{data} · ", Run("Who is in", "#who-is-in-and-who-is-missing")), "data"),
        Paragraph(imprint(evaluation), "data"),
        Group((Paragraph((Run("In one breath.", look="strong"), f" {breath}")),), "breath"),
        what_to_do(evaluation.decisions) if chosen == study.outcome().column else None,
        findings(
            [_with_end(evaluation, s) for s in rows],
            names,
            evaluation.level,
            costs if priced else {},
        ),
        the_whole(evaluation, chosen, costs.get(PROGRAMME, "not given") if priced else ""),
        Paragraph(f"Cost of one more: of {evaluation.decisions.lines[0].case.one}.", "note") if priced else None,
        nothing_known(evaluation) if chosen == study.outcome().column else None,
        Paragraph(_NO_COST, "note") if costs and not priced else None,
        Paragraph(("Other outcomes, under ", link, f": {others}."), "note") if others else None,
        _planned(evaluation, rows),
        Paragraph((f"{lacking(evaluation)} ".lstrip(), Run("Data and ethics", "#data-and-ethics")), "note"),
        *(brief_notes(evaluation) if chosen == study.outcome().column else ()),
        _over_time(evaluation, pictures or {}, chosen),
        Group((*([forest] if forest else []), Group(_say(rows, names), "say")), "middle"),
        Group((_mind(rows, names), _overturn(rows, names, about, study.currency)), "two"),
        Paragraph(_ON_THE_PAGE, "paper"),
    )
    whole = Group(tuple(p for p in parts if p is not None), "page-one", "page-one", "question")
    return Section("page one", (whole,))


def what_to_do(decisions: Decisions) -> Table:
    """What to do about each part, combination and the programme, and how sure that is; in the order of the register."""
    rows = []
    for line, said in zip(decisions.lines, decisions.said, strict=True):
        act = " ".join(filter(None, (said.act, said.pays)))
        sure = " ".join(filter(None, (said.lean, said.chance, said.doubt, said.left_out)))
        lead = next((words for words in _LEADS if act.startswith(words)), "")
        first = (Run(lead, look="strong"), act.removeprefix(lead)) if lead else (act,)
        rows.append((Cell(line.case.label), cell(first), Cell(sure)))
    note = (
        "Chances start from doubt: before the data, a change as large as what matters was given one chance in six, for "
        "better and for worse. A line is held where a check failed that chances cannot allow for. This is no ranking: "
        "what a part costs, whom it reaches and what nobody measured are for you to weigh."
    )
    keys = tuple(line.case.name for line in decisions.lines)
    head = ("Part", "What to do", "How sure that is")
    return Table("What to do", head, tuple(rows), name="what-to-do", keys=keys, note=note, cards=True)


def _with_end(evaluation: Evaluation, s: Statement) -> Statement:
    """The statement with how many places stand behind the last period that is claimed, where those are fewer."""
    table = evaluation.event_studies.get((s.component, s.outcome))
    if table is None or not s.rests or not {"claimed", "clusters_exposed"} <= set(table):
        return s
    mine = table[table["claimed"].astype(bool) & table["estimate"].notna() & (table["event_time"] >= 0)]
    ends = mine.sort_values("event_time")[["clusters_exposed", "clusters_comparison"]].dropna().to_numpy(dtype=int)
    if not len(ends) or ends[-1, 0] >= ends[0, 0]:
        return s
    few = ": too few to say much of that time" if 3 * ends[-1, 0] < ends[0, 0] else ""
    place = next(e.place for e, _ in evaluation.judged if (e.component, e.outcome) == (s.component, s.outcome))
    words = f"; by its last period {count_words(int(ends[-1, 0]), place)} and {ends[-1, 1]}{few}"
    return replace(s, rests=s.rests + words)


def the_whole(evaluation: Evaluation, outcome: str, cost: str) -> Table | None:
    """The programme as a whole, below its parts: verdict, what was found, what it rests on; None where there is one
    component only, or the outcome is not the first."""
    study = evaluation.study
    cases = [line.case for line in evaluation.decisions.lines if line.case.name == PROGRAMME]
    if not cases or len(study.components) < 2 or outcome != study.outcome().column:
        return None
    case, verdict = cases[0], whole_verdict(cases[0])
    left_out = [quoted(c.label) for c in study.components if c.name not in case.members]
    rests = f"{len(case.members)} of {count_words(len(study.components), 'part')}"
    rests += f"; leaves out {join_words(left_out)}" if left_out else ""
    found: Text = full_stop(verdict[2])
    if case.ranged:
        ends = sorted((case.good * case.conf_low, case.good * case.conf_high))
        numbers = (case.good * case.estimate, *ends)
        matters = case.matters if case.matters is not None else float("nan")
        nouns = Nouns(study.noun_for(study.unit), currency=study.currency, time=case.unit)
        scale = scale_for((*numbers, matters), case.kind, nouns, case.std_error, (matters, -matters))
        said = sentence_case(f"{scale.effect(numbers[0])}{scale.tail} (likely range {scale.span(*ends)})")
        found = (Run(said, "#attribution", "worked"), f". {full_stop(verdict[2])}")
    row = (Cell(WHOLE), verdict_cell(verdict[0]), cell(found), Cell(rests), *([Cell(cost)] if cost else []))
    head = ("Programme", "Verdict", "Found over its parts", "Holds", *(["Cost of one more"] if cost else []))
    return Table("What they came to together", head, (row,), name="whole", cards=True)


def nothing_known(evaluation: Evaluation) -> Paragraph | None:
    """How much of the money went to what these data do not test, where that is most of it."""
    money = money_spent(evaluation)
    untested = {s.component for s in evaluation.statements if s.verdict == "not_tested"}
    total = sum(money.values())
    lost = sum(amount for name, amount in money.items() if name in untested)
    if not total > 0 or lost < total / 2:
        return None
    sign = evaluation.study.currency
    words = f"{pounds(lost, currency=sign)}, {of_every(lost / total, sign)}, went to what these data do not test."
    return Paragraph((Run(words, "#spent", "worked"),), "note")


def findings(statements: Sequence[Statement], names: Names, level: float, costs: Mapping[str, str]) -> Table:
    """One line a component in the order of the register: verdict, what we found, what it rests on."""
    rows = []
    for s in statements:
        brief, worked = s.brief, f"#effects-{s.component}"
        found: Text = (brief.before, Run(brief.figures, worked, "worked"), brief.after)
        if not brief.figures:  # then the whole is the link
            found = linked(brief.text, worked)
        cost = costs.get(s.component, "")
        money = (Cell(cost, "#value" if cost != "not given" else ""),) if costs else ()
        rests, (exposed, others) = s.rests, s.clusters
        if not rests and s.verdict == "not_tested":
            rests = "Nothing to compare with"
        elif not rests:
            with_it = f"{count_words(exposed, names.place(s.component))} with it, {others:,} without"
            rests = with_it if exposed > 0 else "No clean comparison of its own"
        rows.append((Cell(s.label), verdict_cell(s.verdict), cell(found), Cell(rests), *money))
    note = (
        f"The likely range is the {level:.0%} interval of each component by itself, not adjusted for how many were "
        "looked at; the verdict takes that into account. A place counts as without it until it starts, so the same "
        "place can stand on both sides. Each link leads to where the line was worked out."
    )
    head = (
        "Component",
        "Verdict",
        "What we found",
        "What it rests on",
        *(["Cost of one more"] if costs else []),
    )
    keys = tuple(s.component for s in statements)
    return Table("What each component did", head, tuple(rows), name="findings", keys=keys, note=note, cards=True)


def _over_time(evaluation: Evaluation, pictures: Mapping[str, Picture], outcome: str) -> Group | None:
    """The outcome itself, as a figure beside a few periods in numbers; None where nothing is seen over time."""
    rows = evaluation.over_time[evaluation.over_time["outcome"] == outcome]
    drawn = pictures.get("over_time") if outcome == evaluation.study.outcome().column else None
    if drawn is None or len(rows) < len(picked(rows)) or rows.empty:
        return None
    table = over_time_table(evaluation, evaluation.study.outcome(outcome), rows.iloc[picked(rows, 4)], "over-time")
    return Group((drawn, replace(table, caption=f"The outcome itself: {table.caption}", note=RAW)), "over")


def _planned(evaluation: Evaluation, statements: Sequence[Statement]) -> Paragraph | None:
    """Which answers were asked for in a plan made before the outcome was read."""
    if not evaluation.plan:
        return None
    which = f"the plan {str(evaluation.plan['sha256'])[:12]} made before any outcome was read"
    if all(s.planned == "planned" for s in statements):
        words = f"Every line was planned, in {which}. "
    else:
        words = f"{plan_sentence(evaluation.plan, evaluation.study, evaluation.level)} It was held against {which}. "
    return Paragraph((words, Run("What was planned", "#planned")), "note")


def _say(statements: Sequence[Statement], names: Names) -> tuple[Group, Group]:
    """What may be said: of each component with an answer, and once for all others of which the same may be said; what
    may not: of the first component with a verdict, and of which others neither."""
    strong = [s for s in statements if s.verdict in _STRONG][:_MOST]
    may: list[Text] = [linked(s.may_say.text, f"#effects-{s.component}") for s in strong]
    unsure = (s for s in statements if s.verdict not in _STRONG)
    for mine in _grouped(unsure, lambda s: (s.may_say.before, s.may_say.after))[:_MOST]:
        every = len(mine) == len(names.labels) > 2
        may.append(mine[0].may_say.of("any of them" if every else join_words([s.may_say.name for s in mine], "or")))
    not_may = []
    for first, *rest in _grouped(statements, lambda s: s.verdict)[:_MOST]:
        claims = join_words(first.may_not_say[: 2 if first.verdict in _EITHER_WAY else 1], "or")
        which = "any other" if 1 + len(rest) == len(names.labels) > 2 else _labels(rest, "or")
        not_may.append(full_stop(f"{claims}; nor this of {which}" if rest else claims))
    more = Paragraph(Run("For every component", "#what-may-be-said"), "note")
    return (
        Group((Heading(2, "You may say"), Listing(tuple(may)))),
        Group((Heading(2, "You may not say"), Listing(tuple(not_may)), more)),
    )


def _grouped(items: Iterable[T], key: Callable[[T], object]) -> list[list[T]]:
    """Items with the same key together, in the order in which each key comes first."""
    groups: dict[object, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _labels(statements: Iterable[Statement], last: str = "and") -> str:
    return join_words([quoted(s.label) for s in statements], last)


def _mind(statements: Sequence[Statement], names: Names) -> Group:
    """What would let us tell, one line for components with the same answer; first those that need more of the same:
    'To see a change of 5% a next rollout would need more states, or ...: about three times as many for ...'"""
    asked: dict[tuple[str, str], list[str]] = {}
    others = []
    unanswered = (s for s in statements if s.verdict in _UNANSWERED)
    for mine in _grouped(unanswered, lambda s: s.would_change.text):
        change = mine[0].would_change
        if change.times:
            each = asked.setdefault((change.margin, change.units), [])
            each.append(f"{change.times} times as many for {_labels(mine)}")
        else:
            others.append(f"{_labels(mine)}: {_lower(change.text, names)}")
    items = [
        f"To see a change of {margin} a next rollout would need more {units}, with it and without it, or an outcome "
        f"that varies less: about {join_words(each)}."
        for (margin, units), each in asked.items()
    ]
    listed = Listing((*items, *others)) if items or others else Paragraph("Every component has an answer.")
    return Group((Heading(2, "What would let us tell"), listed), "mind")


def _overturn(statements: Sequence[Statement], names: Names, about: Outcome, currency: str) -> Group:
    """What could overturn the answers that were given: failed checks first, then what held; one line for each thing
    that checks said, with every component of which they said it."""
    said = partial(check_words, kind=about.said, currency=currency, time=about.unit)
    given = [s for s in statements if s.verdict in _STRONG]
    checks = [(s, c) for s in given or statements for c in s.checks]
    ordered = sorted(checks, key=lambda pair: (*_TOLD, pair[1].check).index(pair[1].check))
    failed = [pair for pair in ordered if pair[1].status == "failed"]
    held = [(s, c) for s, c in ordered if c.status != "failed" and c.check in _TOLD and c.estimate == c.estimate]
    items: list[Text] = []
    for mine in _grouped([*failed, *(held if given else [])], lambda pair: said(pair[1]))[: _MOST + 1]:
        first, check = mine[0]
        words = _lower(full_stop(said(check)), names)
        anchor = f"#check-{first.component}-{check.check}"
        items.append((f"{_labels(s for s, _ in mine)}: ", linked(words, anchor)))
    items += _key_assumption(given or statements)
    lead = [] if given else [Paragraph(_NO_ANSWER + _BUT * bool(failed))]
    return Group((Heading(2, "What could overturn this"), *lead, Listing(tuple(items))))


def _key_assumption(statements: Sequence[Statement]) -> list[Text]:
    """Of which answers the key assumption, that both sides would have moved alike, was tested; never a tally."""
    asked = [(s, {c.status for c in s.checks if c.check == _KEY}) for s in statements if s.checks]
    untested = [s for s, found in asked if not found & {"passed", "failed"}]
    if not asked or not untested:
        return [Run(_TESTED, "#checks", "worked")] if asked else []
    of = "" if len(untested) == len(asked) else f" for {_labels(untested)}"
    return [Run(_UNTESTED.format(of=of), "#checks", "worked")]


def check_words(check: CheckOutcome, kind: str, **units: str) -> str:
    """What a check said, without p values; with the answers from which one place was left out, if they held. units:
    currency and time, as `range_words` takes them."""
    words = check.brief or check.words
    if check.check != "leave_one_cluster" or check.status != "passed" or not check.conf_low < check.conf_high:
        return words
    return f"{words.rstrip('.')} ({range_words(check.conf_low, check.conf_high, kind, **units)})."


def _lower(text: str, names: Names) -> str:
    """The text as it goes on after a colon; a component's name keeps its capital."""
    return text if text.startswith(tuple(names.labels.values())) else text[:1].lower() + text[1:]
