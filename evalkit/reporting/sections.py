"""The sections after page one, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evalkit.evaluation.safe import safe
from evalkit.figures.forest import VERDICT_WORDS
from evalkit.figures.matrix import STATUS_WORDS, WAYS
from evalkit.figures.picture import Picture
from evalkit.reporting.html import Html, escape, icon, paragraph, slug, verdict_mark
from evalkit.reporting.pictures import picture_html
from evalkit.reporting.register import Names, names_of, spread_words
from evalkit.reporting.spoken import spoken
from evalkit.show.designs import design_title
from evalkit.show.numbers import MINUS, decimals_for, signed
from evalkit.show.tables import Cell, Table, make_table
from evalkit.show.words import count_words, full_stop, join_words, noun_from_column, quoted, sentence_case

_HEADINGS = (
    "What was delivered",
    "Who is in, and who is missing",
    "What can be told apart",
    "Estimates",
    "Does it hold?",
    "What borrowed what",
    "What it adds up to",
    "Value for money",
    "What may be said",
    "Method",
    "Where this comes from",
    "What was held back",
)


def contents() -> Html:
    """Links to the sections."""
    listed = [(slug(words), words) for words in _HEADINGS] + [("code", "The code behind this page")]
    items = "".join(f'<li><a href="#{anchor}">{escape(words)}</a></li>' for anchor, words in listed)
    return Html("contents", f'<nav aria-label="Sections of this report"><ol>{items}</ol></nav>')


def delivered(evaluation: Any, pictures: Mapping[str, Picture]) -> Html:
    """The timeline and the register."""
    evaluation = safe(evaluation)
    study = evaluation.study
    names = names_of(study)
    rows = [
        (
            c.label,
            names.place(c.name),
            _reach(c),
            "always on" if c.always_on else _lag(c, study),
            c.description or "none",
        )
        for c in study.components
    ]
    head = ("Component", "Decided by", "Can reach", "Can show an effect", "Notes")
    table = make_table("The register of components", head, rows, name="register", cards=True)
    line = f'<p id="data">{escape(full_stop(spread_words(study)))}</p>'
    return Html("delivered", line + picture_html(pictures, "timeline") + table.to_html())


def told_apart(evaluation: Any, pictures: Mapping[str, Picture]) -> Html:
    """The matrix, the reasons, the bundles, and what rollout would have told."""
    evaluation = safe(evaluation)
    sep = evaluation.separability
    names = names_of(evaluation.study)
    parts = [picture_html(pictures, "separability"), status_table(sep, names).to_html()]
    if sep.aliased:
        parts.append("".join(paragraph(full_stop(str(s))) for s in sep.aliased))
    parts.append(f"<details><summary>Every pair as a table</summary>{pair_table(sep, names).to_html()}</details>")
    if len(evaluation.bundles):
        parts.append(_bundle_table(evaluation.bundles, names).to_html())
    if len(sep.cure):
        rows = [(names.label(r["component"]), full_stop(str(r["words"]))) for r in sep.cure.to_dict("records")]
        table = make_table("What rollout would have let us tell", ("Component", "Smallest change"), rows, name="cure")
        parts.append(table.to_html())
    return Html("told apart", "".join(parts))


def status_table(sep: Any, names: Names) -> Table:
    """Status, switches and reason of each component."""
    rows = [
        (
            names.label(r["component"]),
            STATUS_WORDS.get(r["status"], r["status"]),
            _whole(r["switches"]),
            _whole(r["clean_switches"]),
            _whole(r["clean_until"]),
            full_stop(str(r["reason"])) if isinstance(r["reason"], str) and r["reason"] else "nothing to add",
        )
        for r in sep.components.to_dict("records")
    ]
    head = ("Component", "Status", "Switches", "Clean switches", "Clean until period", "Reason")
    right = (False, False, True, True, True, False)
    keys = tuple(sep.components["component"])
    caption = "What can be told apart, before any outcome was read"
    return make_table(caption, head, rows, numeric=right, name="separability", keys=keys, cards=True)


def pair_table(sep: Any, names: Names) -> Table:
    """By what each pair of components is told apart."""
    rows = [
        (
            f"{names.label(r['a'])} and {names.label(r['b'])}",
            "yes" if r["separable"] else "no",
            join_words([word for column, word in WAYS.items() if r[column]]) or "nothing",
            _whole(r["clean_switches_a"]),
            _whole(r["clean_switches_b"]),
        )
        for r in sep.pairs.to_dict("records")
    ]
    head = ("Pair", "Told apart", "Differ by", "Clean switches of the first", "Clean switches of the second")
    return make_table("Pairs of components", head, rows, numeric=(False, False, False, True, True), name="pairs")


def estimates(evaluation: Any, pictures: Mapping[str, Picture]) -> Html:
    """For each component: its event study and every design that was tried; then the other outcomes."""
    evaluation = safe(evaluation)
    names = names_of(evaluation.study)
    parts = []
    for i, outcome in enumerate(evaluation.study.outcomes):
        if i:
            parts.append(f"<h3>{escape(outcome.label)}</h3>{picture_html(pictures, f'forest_{outcome.column}')}")
            parts.append(_verdict_table(evaluation, outcome, names).to_html())
        for component in evaluation.study.components:
            parts.append(_component(evaluation, pictures, component, outcome, first=i == 0))
    return Html("estimates", "".join(parts))


def _component(evaluation: Any, pictures: Mapping[str, Picture], component: Any, outcome: Any, first: bool) -> str:
    effects = evaluation.effects
    rows = effects[(effects["outcome"] == outcome.column) & (effects["component"] == component.name)]
    anchor = f"effects-{component.name}" + ("" if first else f"-{outcome.column}")
    drawn = picture_html(pictures, f"event_study_{component.name}") if first else ""
    heading = f"<h3>{escape(component.label)}</h3>{paragraph(_found(evaluation, component, outcome))}" if first else ""
    if rows.empty:
        why = evaluation.rules.get(component.name, "")
        return f'<div id="{escape(anchor)}">{heading}{paragraph(full_stop(why))}</div>'
    return heading + drawn + effects_table(rows, outcome, component.label, anchor).to_html()


def _found(evaluation: Any, component: Any, outcome: Any) -> str:
    """The verdict on a component in full."""
    rows = spoken(evaluation, outcome.column).set_index("component")["found"]
    return str(rows[component.name]) if component.name in rows else ""


def effects_table(rows: pd.DataFrame, outcome: Any, label: str, name: str) -> Table:
    """Estimates of one component in the outcome's own unit, a row a design; the headline comes first."""
    cells = []
    for r in rows.to_dict("records"):
        given = pd.notna(r["estimate"])
        error = float(r["std_error"])
        numbers = [_alike(float(r[c]), error) for c in ("estimate", "conf_low", "conf_high")]
        spread = _alike(error, error).lstrip("+")
        places = (_whole(r["clusters_exposed"]), _whole(r["clusters_comparison"]))
        reason = str(r["reason"]).replace(f"'{r['component']}'", quoted(label))
        remark = full_stop(sentence_case(reason)) if r["reason"] else str(r["inference"] if given else "not given")
        design = design_title(r["design"]) + (" (headline)" if r["headline"] else "")
        cells.append((design, *numbers, spread, _p(r["p_value"]), *places, remark))
    head = ("Design", "Estimate", "From", "To", "SE", "p value", "With", "Without", "Remarks")
    right = (False, True, True, True, True, True, True, True, False)
    note = f"Effects and standard errors (SE) in {_UNITS[outcome.kind]}. With, without: places that it rests on."
    caption = f"{label}: every design that was tried ({outcome.label})"
    return make_table(caption, head, cells, numeric=right, name=name, note=note)


def held(evaluation: Any, pictures: Mapping[str, Picture]) -> Html:
    """Every check at a glance and in words, and each headline with one place left out."""
    evaluation = safe(evaluation)
    checks = evaluation.checks
    if checks.empty:
        return Html("held", paragraph("There was no estimate to check."))
    names = names_of(evaluation.study)
    drawn = picture_html(pictures, "leave_one_out")
    tables = "".join(
        check_table(checks[checks["outcome"] == o.column], names, o, first=i == 0).to_html()
        for i, o in enumerate(evaluation.study.outcomes)
        if (checks["outcome"] == o.column).any()
    )
    return Html("held", f'<div id="checks">{glance(checks, names).to_html()}</div>{drawn}{tables}')


def check_table(checks: pd.DataFrame, names: Names, outcome: Any, first: bool) -> Table:
    """Every check of the answers on one outcome, in words. first: whether page one links to its rows."""
    rows = [
        (names.label(r["component"]), _check_words(r["check"]), _status(r["status"]), full_stop(str(r["words"])))
        for r in checks.to_dict("records")
    ]
    keys = tuple(f"{r['component']}-{r['check']}" for r in checks.to_dict("records"))
    head = ("Component", "Check", "Result", "In words")
    name = "check" if first else f"check-{outcome.column}"
    return make_table(f"Every check in words: {outcome.label}", head, rows, name=name, keys=keys, cards=True)


def _status(status: str) -> Cell:
    """The word for a check's result and its shape, kept on one line."""
    words = _BRIEF.get(status, status)
    return Cell(words, html=f'<span class="result">{icon(status)}{escape(words)}</span>')


def glance(checks: pd.DataFrame, names: Names) -> Table:
    """A row a component, a column a check: passed, failed, informational or not run (first outcome)."""
    own = checks[checks["outcome"] == checks["outcome"].iloc[0]]
    kinds = list(dict.fromkeys(own["check"]))
    status = {(r["component"], r["check"]): r["status"] for r in own.to_dict("records")}
    rows = []
    for component in dict.fromkeys(own["component"]):
        found = [status.get((component, kind), "not run") for kind in kinds]
        rows.append((names.label(component), *map(_status, found)))
    head = ("Component", *(_check_words(kind) for kind in kinds))
    note = "Only informs: the check cannot count for or against here, mostly because it has too little power."
    return make_table("Checks at a glance", head, rows, name="glance", note=note)


def _check_words(check: Any) -> str:
    return _CHECKS.get(str(check)) or sentence_case(str(check).replace("_", " "))


def borrowed(evaluation: Any, pictures: Mapping[str, Picture]) -> Html:
    """What the regression that everybody runs hands each component of the others' effects (first outcome)."""
    if "contamination" not in pictures:
        return Html("borrowed", paragraph("The regression can tell no component from the others here."))
    return Html("borrowed", picture_html(pictures, "contamination"))


def said(evaluation: Any) -> Html:
    """For every component and outcome: may say, may not say, what would change our mind."""
    evaluation = safe(evaluation)
    parts = [_verdict_table(evaluation, o, names_of(evaluation.study), full=True) for o in evaluation.study.outcomes]
    tables = "".join(t.to_html() for t in parts)
    return Html("said", tables)


def _verdict_table(evaluation: Any, outcome: Any, names: Names, full: bool = False) -> Table:
    rows = []
    for r in spoken(evaluation, outcome.column).to_dict("records"):
        verdict = Cell(VERDICT_WORDS[r["verdict"]], html=verdict_mark(r["verdict"]))
        words = ("may_say", "may_not_say", "would_change") if full else ("found",)
        rows.append((names.label(r["component"]), verdict, *(str(r.get(w) or "nothing to add") for w in words)))
    head = ("Component", "Verdict", *(_SAID if full else ("What we found",)))
    caption = f"{'What may be said' if full else 'Verdicts'}: {outcome.label}"
    name = f"{'said' if full else 'verdicts'}-{outcome.column}"
    return make_table(caption, head, rows, name=name, cards=True)


_BRIEF = {"informational": "only informs"}
_CHECKS = {
    "pre_trend": "Alike beforehand",
    "leave_one_cluster": "One place left out",
    "few_clusters": "How many places",
    "rungs": "Other ways of comparing",
    "date_rule": "Other readings of dates",
    "others_still_growing": "Others still growing",
    "growth_taken_out": "Growth taken out",
    "score_form": "Squares and products of what is recorded",
    "stayers": "Who was seen later",
    "by_people": "Both kinds of people",
}
_UNITS = {
    "share": "shares of one: 0.05 is 5 people in every 100",
    "log": "log points: −0.05 is about 5% lower",
    "count": "events for each unit and period",
    "score": "points",
    "money": "pounds",
}
_KINDS = {"together": "together", "swap": "one in place of another", "sum": "as a sum"}
_SAID = ("You may say", "You may not say", "What would change our mind")


def _bundle_table(bundles: pd.DataFrame, names: Names) -> Table:
    rows = []
    for r in bundles.to_dict("records"):
        members = _combined(r["members"], r["weights"], names)
        numbers = [signed(float(r[c]), 3) for c in ("estimate", "conf_low", "conf_high")]
        rows.append(
            (
                members,
                *numbers,
                design_title(str(r["design"])) or "none",
                _KINDS.get(r["kind"], r["kind"]),
                str(r["reason"] or "nothing to add"),
            )
        )
    head = ("Components", "Estimate", "From", "To", "Design", "How they go", "Remarks")
    right = (False, True, True, True, False, False, False)
    return make_table("Combinations that can be judged together", head, rows, numeric=right, name="bundles")


def _combined(members: Sequence[str], weights: Sequence[float], names: Names) -> str:
    """'Policy and Newsletter'; 'Groups instead of Education' where the second is taken away."""
    signs = [w > 0 for w in weights] or [True] * len(members)
    both = list(zip(members, signs, strict=True))
    gained, lost = ([names.label(m) for m, sign in both if sign == plus] for plus in (True, False))
    return join_words(gained) + (f" instead of {join_words(lost)}" if lost else "")


def _alike(value: float, error: float) -> str:
    """A number with its sign, to the second digit of the standard error."""
    if not (np.isfinite(value) and np.isfinite(error) and error > 0):
        return signed(value, 3)
    return f"{value:+,.{max(decimals_for(error), 0)}f}".replace("-", MINUS)


def _whole(value: Any) -> str:
    return f"{int(value):,}" if pd.notna(value) else "not given"


def _p(value: Any) -> str:
    if pd.isna(value):
        return "not given"
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _reach(component: Any) -> str:
    return f"those with “{noun_from_column(component.reach)}”" if component.reach else "everyone"


def _lag(component: Any, study: Any) -> str:
    return f"after {count_words(component.lag, noun_from_column(str(study.period)))}" if component.lag else "at once"
