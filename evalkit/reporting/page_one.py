"""Page one: the question, one line a component, what may be said, what would change our mind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evalkit.evaluation.safe import safe
from evalkit.figures.forest import VERDICT_WORDS
from evalkit.figures.picture import Picture
from evalkit.language import templates
from evalkit.language.brief import Brief, brief
from evalkit.reporting.html import Html, bullets, escape, linked, paragraph, verdict_mark
from evalkit.reporting.pictures import picture_html
from evalkit.reporting.register import Names, names_of, spread_words
from evalkit.reporting.spoken import breath, spoken
from evalkit.reporting.worth import costs_of
from evalkit.show.numbers import range_words
from evalkit.show.tables import Cell, Table
from evalkit.show.words import count_words, full_stop, join_words, quoted, sentence_case, sentences

_STRONG = ("shown", "likely", "no_sign")
_EITHER_WAY = ("cannot_tell", "not_tested")
_MOST = 3
_TOLD = ("pre_trend", "leave_one_cluster", "date_rule")
_MORE_DATA = re.compile(
    re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(sentence_case(templates.MIND_MORE_DATA))) + r"\."
)
_NO_COST = (
    '<p class="note">What one more outcome cost is not given for any component, because no effect stands. '
    'What each cost: <a href="#value-for-money">Value for money</a>.</p>'
)
_NO_ANSWER = "No answer was given, so nothing can be overturned."
_BUT = " These checks of the likely ranges failed:"
_P_VALUE = re.compile(r" \(p [=<] ?[\d.]+\)")
_RESTS = re.compile(r"This rests on (.*?\.)(?=\s|$)")


def page_one(evaluation: Any, pictures: Mapping[str, Picture] | None = None, outcome: str | None = None) -> Html:
    """The findings on one page, for a reader with a minute.

    outcome: which one, default the first. Every figure comes from the tables of the
    evaluation and links to the row in which it is worked out.
    """
    evaluation = safe(evaluation)
    study = evaluation.study
    chosen = study.outcome(outcome).column
    rows = spoken(evaluation, chosen).to_dict("records")
    names = names_of(study)
    verdicts = {r["component"]: r["verdict"] for r in rows}
    costs = costs_of(evaluation, verdicts) if chosen == study.outcome().column else {}
    priced = any(words != "not given" for words in costs.values())
    table = findings(rows, briefs_of(evaluation, chosen), names, evaluation.level, costs if priced else {})
    title = study.question or study.title or "Which components made a difference?"
    body = (
        f'<h1 id="question">{escape(title)}</h1>{_data_line(evaluation, chosen)}'
        f'<div class="breath"><p><strong>In one breath.</strong> {escape(breath(rows, names.labels))}</p></div>'
        f"{table.to_html()}{_NO_COST * bool(costs and not priced)}{_others(study, chosen)}"
        f"{_planned(evaluation, rows, names)}"
        f'<div class="middle">{picture_html(pictures or {}, "forest")}'
        f'<div class="say">{_say(rows, names)}</div></div>'
        f'<div class="two"><div class="mind">{_mind(rows, names)}</div>'
        f"<div>{_overturn(evaluation, chosen, names)}</div></div>"
    )
    return Html("page one", f'<section class="page-one" id="page-one" aria-labelledby="question">{body}</section>')


def briefs_of(evaluation: Any, outcome: str) -> dict[str, Brief]:
    """Component -> what was found in short."""
    return {e.component: brief(e, v) for e, v in evaluation.decisions if e.outcome == outcome}


def findings(
    rows: list[dict[str, Any]], briefs: Mapping[str, Brief], names: Names, level: float, costs: Mapping[str, str]
) -> Table:
    """One line a component in the order of the register: verdict, what we found, what it rests on."""
    cells = []
    for row in rows:
        key = row["component"]
        rests = split_rests(row["found"])[1] or rests_words(row, names)
        verdict = Cell(VERDICT_WORDS[row["verdict"]], html=verdict_mark(row["verdict"]))
        found = Cell(briefs[key].text, html=_brief_html(briefs[key], f"#effects-{key}"))
        money = (Cell(costs[key], "#value" if costs[key] != "not given" else ""),) if costs else ()
        cells.append((Cell(names.label(key)), verdict, found, Cell(rests.rstrip(".")), *money))
    note = (
        f"The likely range is the {level:.0%} interval of each component by itself, not adjusted for how many were "
        "looked at; the verdict takes that into account. A place counts as without it until it starts, so the same "
        "place can stand on both sides. Each link leads to where the line was worked out."
    )
    head = ("Component", "Verdict", "What we found", "What it rests on", *(["Cost of one more"] if costs else []))
    keys = tuple(row["component"] for row in rows)
    return Table("What each component did", head, tuple(cells), name="findings", keys=keys, note=note, cards=True)


def _brief_html(found: Brief, href: str) -> str:
    """The finding with its figures as a link; the whole as a link where figures stand nowhere else."""
    if found.figures:
        link = f'<a class="worked" href="{escape(href)}">{escape(found.figures)}</a>'
        return f"{escape(found.before)}{link}{escape(found.after)}"
    return linked(found.text, href)


def _others(study: Any, outcome: str) -> str:
    """Where the other outcomes are."""
    labels = [o.label for o in study.outcomes if o.column != outcome]
    if not labels:
        return ""
    listed = escape(join_words([quoted(label) for label in labels]))
    return f'<p class="note">Other outcomes, under <a href="#estimates">Estimates</a>: {listed}.</p>'


def split_rests(found: str) -> tuple[str, str]:
    """The sentence in two: what was found, and what it rests on, which has a column of its own."""
    match = _RESTS.search(found)
    if match is None:
        return found, ""
    return sentences(found[: match.start()], found[match.end() :]), sentence_case(match[1].replace(" at the time", ""))


def rests_words(row: Mapping[str, Any], names: Names) -> str:
    """'9 states with it, 20 without', or what stands in its place."""
    exposed, others = row["clusters_exposed"], row["clusters_comparison"]
    if not (pd.notna(exposed) and exposed > 0) or row["verdict"] == "not_tested":
        return "Nothing to compare with" if row["verdict"] == "not_tested" else "No clean comparison of its own"
    place = names.place(row["component"])
    return f"{count_words(int(exposed), place)} with it, {int(others):,} without"


def _planned(evaluation: Any, rows: list[dict[str, Any]], names: Names) -> str:
    """Which answers were asked for in a plan made before the outcome was read."""
    plan = getattr(evaluation, "plan", None)
    if not plan:
        return ""
    new = [quoted(names.label(r["component"])) for r in rows if r["planned"] != "planned"]
    first = "Every line was planned" if not new else f"Planned, but for {join_words(new)}: every line"
    said = f"{first}, in the plan {plan['sha256'][:12]} made before any outcome was read."
    return f'<p class="note">{escape(said)} <a href="#planned">What was planned</a></p>'


def _data_line(evaluation: Any, outcome: str) -> str:
    study = evaluation.study
    about = study.outcome(outcome)
    better = f"{about.better} is better"
    spread = spread_words(study)
    told = all(word in study.title for word in re.findall(r"\d[\d-]*", spread))
    parts = [study.title, "" if told else spread, f"{about.label} ({better})"]
    said = " · ".join(escape(p) for p in parts if p)
    return f'<p class="data"><a class="worked" href="#data">{said}</a></p>'


def _say(rows: list[dict[str, Any]], names: Names) -> str:
    strong = [r for r in rows if r["verdict"] in _STRONG][:_MOST]
    may = [linked(r["may_say"], f"#effects-{r['component']}") for r in strong if r.get("may_say")]
    may += [escape(words) for words in _alike([r for r in rows if r["verdict"] not in _STRONG], names)][:_MOST]
    not_may = [escape(_claims(mine, names)) for mine in _by_verdict(rows).values()]
    more = '<p class="note"><a href="#what-may-be-said">For every component</a></p>'
    return (
        f"<div><h2>You may say</h2>{bullets(may)}</div>"
        f"<div><h2>You may not say</h2>{bullets(not_may[:_MOST])}{more}</div>"
    )


def _alike(rows: list[dict[str, Any]], names: Names) -> list[str]:
    """What may be said, once for all components of which the same may be said."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        own = quoted(names.label(row["component"]))
        groups.setdefault(str(row.get("may_say") or "").replace(own, "{it}"), []).append(own)
    return [
        words.replace("{it}", "any of them" if len(who) == len(names.labels) > 2 else join_words(who, "or"))
        for words, who in groups.items()
        if words
    ]


def _by_verdict(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row.get("may_not_say"):
            groups.setdefault(row["verdict"], []).append(row)
    return groups


def _claims(rows: list[dict[str, Any]], names: Names) -> str:
    """What may not be said of the first component with a verdict, and of which others neither."""
    said = str(rows[0]["may_not_say"]).rstrip(".").split("; ")
    claims = join_words(said[:2] if rows[0]["verdict"] in _EITHER_WAY else said[:1], "or")
    others = [quoted(names.label(r["component"])) for r in rows[1:]]
    which = "any other" if len(rows) == len(names.labels) > 2 else join_words(others, "or")
    return full_stop(f"{claims}; nor this of {which}" if others else claims)


def _mind(rows: list[dict[str, Any]], names: Names) -> str:
    """What would let us tell, one line for components with the same answer."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        words = str(row.get("would_change") or "")
        if words and row["verdict"] in ("cannot_tell", "cannot_tell_apart", "not_tested"):
            groups.setdefault(words, []).append(quoted(names.label(row["component"])))
    items = [
        *_more_data(groups),
        *(
            f"{join_words(who)}: {_lower(words, names)}"
            for words, who in groups.items()
            if not _MORE_DATA.fullmatch(words)
        ),
    ]
    listed = bullets(map(escape, items))
    return f"<h2>What would let us tell</h2>{listed or paragraph('Every component has an answer.')}"


def _more_data(groups: Mapping[str, list[str]]) -> list[str]:
    """'To see a change of 5% we would need more states, or ...: about three times as many for ...'"""
    asked: dict[tuple[str, str], list[str]] = {}
    for words, who in groups.items():
        if found := _MORE_DATA.fullmatch(words):
            each = asked.setdefault((found["margin"], found["units"]), [])
            each.append(f"{found['times']} times as many for {join_words(who)}")
    return [
        f"To see a change of {margin} we would need more {units}, with it and without it, or an outcome that varies "
        f"less: about {join_words(each)}."
        for (margin, units), each in asked.items()
    ]


def _overturn(evaluation: Any, outcome: str, names: Names) -> str:
    """What could overturn the answers that were given: failed checks first, then what held."""
    own = evaluation.verdicts[evaluation.verdicts["outcome"] == outcome]
    given = own[own["verdict"].isin(_STRONG)]["component"]
    checks = evaluation.checks[evaluation.checks["outcome"] == outcome]
    checks = checks[checks["component"].isin(given)] if len(given) else checks
    ordered = sorted(checks.to_dict("records"), key=lambda r: (*_TOLD, r["check"]).index(r["check"]))
    failed = [r for r in ordered if r["status"] == "failed"]
    told = [r for r in ordered if r["status"] != "failed" and r["check"] in _TOLD and pd.notna(r["estimate"])]
    kind = evaluation.study.outcome(outcome).kind
    items = _grouped([*failed, *(told if len(given) else [])], names, kind)[: _MOST + 1]
    passed, only = (int((checks["status"] == s).sum()) for s in ("passed", "informational"))
    if len(checks):
        what = "the answers given" if len(given) else "the likely ranges above"
        rest = f"; {only} cannot pass or fail and only inform" if only else ""
        items.append(linked(f"{passed} of {len(checks)} checks of {what} passed{rest}.", "#checks"))
    lead = "" if len(given) else paragraph(_NO_ANSWER + _BUT * bool(failed))
    return f"<h2>What could overturn this</h2>{lead}{bullets(items)}"


def _grouped(rows: list[dict[str, Any]], names: Names, kind: str) -> list[str]:
    """One line for each thing that checks said, with every component of which they said it."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_with_range(row, kind), []).append(row)
    return [
        f"{escape(join_words([quoted(names.label(r['component'])) for r in members]))}: "
        f"{linked(_lower(full_stop(words), names), '#check-' + _anchor(members[0]))}"
        for words, members in groups.items()
    ]


def _with_range(row: Mapping[str, Any], kind: str) -> str:
    """What a check said, without p values; with the answers from which one place was left out, if they held."""
    words = _P_VALUE.sub("", str(row["words"]))
    low, high = float(row["conf_low"]), float(row["conf_high"])
    if row["check"] != "leave_one_cluster" or row["status"] != "passed" or not low < high:
        return words
    return f"{words.rstrip('.')} ({range_words(low, high, kind)})."


def _lower(text: str, names: Names) -> str:
    """The text as it goes on after a colon; a component's name keeps its capital."""
    return text if text.startswith(tuple(names.labels.values())) else text[:1].lower() + text[1:]


def _anchor(row: Mapping[str, Any]) -> str:
    return f"{row['component']}-{row['check']}"
