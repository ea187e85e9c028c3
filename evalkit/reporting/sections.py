"""The sections after page one, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from evalkit.evaluation.disclosure import safe
from evalkit.figures.forest import VERDICT_WORDS
from evalkit.figures.matrix import STATUS_WORDS, WAYS
from evalkit.figures.picture import Picture
from evalkit.reporting.html import Html, escape, icon, paragraph, slug, verdict_mark
from evalkit.reporting.pictures import picture_html
from evalkit.reporting.register import Names, names_of, spread_words
from evalkit.reporting.spoken import spoken
from evalkit.show.designs import design_title
from evalkit.show.numbers import signed
from evalkit.show.tables import Cell, Table, make_table
from evalkit.show.words import full_stop, join_words

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
    heading = f"<h3>{escape(component.label)}</h3>" if first else ""
    if rows.empty:
        why = evaluation.rules.get(component.name, "")
        return f'<div id="{escape(anchor)}">{heading}{paragraph(full_stop(why))}</div>'
    caption = f"{component.label}: every design that was tried ({outcome.label})"
    return heading + drawn + effects_table(rows, outcome, caption, anchor).to_html()


def effects_table(rows: pd.DataFrame, outcome: Any, caption: str, name: str) -> Table:
    """Estimates of one component in the outcome's own unit, a row a design; the headline comes first."""
    cells = []
    for r in rows.to_dict("records"):
        given = pd.notna(r["estimate"])
        numbers = [signed(float(r[c]), 3) for c in ("estimate", "conf_low", "conf_high")]
        spread = signed(float(r["std_error"]), 2).lstrip("+")
        places = (_whole(r["clusters_exposed"]), _whole(r["clusters_comparison"]))
        remark = full_stop(str(r["reason"])) if r["reason"] else str(r["inference"] if given else "not given")
        design = design_title(r["design"]) + (" (headline)" if r["headline"] else "")
        cells.append((design, *numbers, spread, _p(r["p_value"]), *places, remark))
    head = ("Design", "Estimate", "From", "To", "SE", "p value", "With", "Without", "Remarks")
    right = (False, True, True, True, True, True, True, True, False)
    unit = "log points" if outcome.kind == "log" else "the unit of its column"
    note = f"Effects and standard errors (SE) in {unit}; with and without: places that the answer rests on."
    return make_table(caption, head, cells, numeric=right, name=name, note=note)


def held(evaluation: Any, pictures: Mapping[str, Picture]) -> Html:
    """Every check at a glance and in words, and each headline with one place left out."""
    evaluation = safe(evaluation)
    checks = evaluation.checks
    if checks.empty:
        return Html("held", paragraph("There was no estimate to check."))
    names = names_of(evaluation.study)
    rows, keys = [], []
    for r in checks.to_dict("records"):
        status = Cell(r["status"], html=icon(r["status"]) + escape(r["status"]))
        rows.append((names.label(r["component"]), _check_words(r["check"]), status, full_stop(str(r["words"]))))
        keys.append(f"{r['component']}-{r['check']}")
    unique = tuple(k if keys.index(k) == i else f"{k}-{i}" for i, k in enumerate(keys))
    head = ("Component", "Check", "Result", "In words")
    table = make_table("Every check in words", head, rows, name="check", keys=unique, cards=True)
    drawn = picture_html(pictures, "leave_one_out")
    return Html("held", f'<div id="checks">{glance(checks, names).to_html()}</div>{drawn}{table.to_html()}')


def glance(checks: pd.DataFrame, names: Names) -> Table:
    """A row a component, a column a check: passed, failed, informational or not run (first outcome)."""
    own = checks[checks["outcome"] == checks["outcome"].iloc[0]]
    kinds = list(dict.fromkeys(own["check"]))
    status = {(r["component"], r["check"]): r["status"] for r in own.to_dict("records")}
    rows = []
    for component in dict.fromkeys(own["component"]):
        found = [status.get((component, kind), "not run") for kind in kinds]
        marks = [Cell(_BRIEF.get(s, s), html=icon(s) + escape(_BRIEF.get(s, s))) for s in found]
        rows.append((names.label(component), *marks))
    head = ("Component", *(_check_words(kind) for kind in kinds))
    note = "For information: the check has too little power here to count for or against."
    return make_table("Checks at a glance", head, rows, name="glance", note=note)


def _check_words(check: Any) -> str:
    words = str(check).replace("_", " ")
    return words[:1].upper() + words[1:]


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


_BRIEF = {"informational": "for information"}
_KINDS = {"together": "together", "swap": "one in place of another", "sum": "as a sum"}
_SAID = ("You may say", "You may not say", "What would change our mind")


def _bundle_table(bundles: pd.DataFrame, names: Names) -> Table:
    rows = []
    for r in bundles.to_dict("records"):
        members = join_words([names.label(m) for m in r["members"]])
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


def _whole(value: Any) -> str:
    return f"{int(value):,}" if pd.notna(value) else "not given"


def _p(value: Any) -> str:
    if pd.isna(value):
        return "not given"
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _reach(component: Any) -> str:
    return f"those with {component.reach}" if component.reach else "everyone"


def _lag(component: Any, study: Any) -> str:
    return "at once" if not component.lag else f"after {component.lag} periods"
