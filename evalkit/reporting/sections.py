"""The sections after page one, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evalkit.components import Separability
from evalkit.components.separability import STATUS_WORDS
from evalkit.evaluation import Evaluation
from evalkit.evaluation.results import safe
from evalkit.figures.matrix import WAYS
from evalkit.figures.picture import Picture
from evalkit.reporting.blocks import (
    Block,
    Group,
    Heading,
    Listing,
    Paragraph,
    Run,
    Section,
    cell,
    section,
    slug,
    verdict_cell,
)
from evalkit.reporting.names import Names, names_of, spread_words, statements_of
from evalkit.show.numbers import MINUS, decimals_for, signed
from evalkit.show.tables import Cell, Table, make_table
from evalkit.show.words import (
    count_words,
    design_title,
    full_stop,
    join_words,
    noun_from_column,
    quoted,
    sentence_case,
)
from evalkit.study import Component, Outcome, Study

# Name of a section -> its heading, and what stands below it.
_SECTIONS: dict[str, tuple[str, tuple[str | Run, ...]]] = {
    "delivered": (
        "What was delivered",
        ("Each component, where and when it was on. Rows are ordered by when they began. No outcome was read for this "
         "section.",),
    ),
    "who is in": (
        "Who is in, and who is missing",
        ("How many could be reached by each component, had it, and stand behind its answer on the first outcome.",),
    ),
    "told apart": (
        "What can be told apart",
        ("Worked out from the dates alone, before any outcome was read. Two components are told apart ",
         Run("by time", look="em"), " when one began while the other stood still, ", Run("by place", look="em"),
         " when one began where the other never was, ", Run("by people", look="em"), " when one reaches only some of "
         "them, ", Run("by dose", look="em"), " when their strengths differ; each time with others to compare with."),
    ),
    "estimates": (
        "Estimates",
        ("One headline a component, by a rule fixed before the outcome was read, and every other design that could be "
         "tried. Intervals are not adjusted for the number of components; the verdicts are.",),
    ),
    "held": (
        "Does it hold?",
        ("Checks that could sink a result. One that fails is a weakness and is named in the verdict.",),
    ),
    "borrowed": (
        "What borrowed what",
        ("Most analyses put one 0/1 column a component into a regression with effects of places and periods. Its "
         "coefficients mix components wherever an effect grows with time or differs between places. No headline here "
         "rests on it.",),
    ),
    "adds up": (
        "What it adds up to",
        ("The programme's total on the first outcome, over the people and periods that could be compared, and its "
         "pieces: what each component added by itself, what could not be divided, and what nothing explains.",),
    ),
    "money": ("Value for money", ()),
    "said": (
        "What may be said",
        ("For every component: what a careful speaker may say, what these data do not carry, and what would change our "
         "mind.",),
    ),
    "method": ("Method", ()),
    "provenance": ("Where this comes from", ()),
    "held back": ("What was held back", ()),
}  # fmt: skip


def headed(name: str, *blocks: Block | None) -> Section:
    """A section of the blocks that are there, under its heading."""
    heading, intro = _SECTIONS[name]
    words: tuple[Block, ...] = (Heading(2, heading), Paragraph(intro)) if intro else (Heading(2, heading),)
    return section(name, Group(words, "words"), *blocks)


def contents() -> Section:
    """Links to the sections."""
    headings = [heading for heading, _ in _SECTIONS.values()]
    links = [(slug(words), words) for words in headings] + [("code", "The code behind this page")]
    listed = Listing(tuple(Run(words, f"#{anchor}") for anchor, words in links), numbered=True)
    return section("contents", Group((listed,), label="Sections of this report", guide=True))


def delivered(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
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
    line = Paragraph(full_stop(spread_words(study)), anchor="data")
    return headed("delivered", line, pictures.get("timeline"), table)


def told_apart(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """The matrix, the reasons, the bundles, and what rollout would have told."""
    evaluation = safe(evaluation)
    sep = evaluation.separability
    names = names_of(evaluation.study)
    parts: list[Block | None] = [pictures.get("separability"), status_table(sep, names)]
    parts += [Paragraph(full_stop(s)) for s in sep.aliased]
    parts.append(Group((pair_table(sep, names),), summary="Every pair as a table"))
    if len(evaluation.bundles):
        parts.append(_bundle_table(evaluation.bundles, names))
    if len(sep.cure):
        rows = [(names.label(r["component"]), full_stop(str(r["words"]))) for r in sep.cure.to_dict("records")]
        head = ("Component", "Smallest change")
        parts.append(make_table("What rollout would have let us tell", head, rows, name="cure"))
    return headed("told apart", *parts)


def status_table(sep: Separability, names: Names) -> Table:
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


def pair_table(sep: Separability, names: Names) -> Table:
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


def estimates(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """For each component: its event study and every design that was tried; then the other outcomes."""
    evaluation = safe(evaluation)
    parts: list[Block | None] = []
    for i, outcome in enumerate(evaluation.study.outcomes):
        if i:
            parts += [Heading(3, outcome.label), pictures.get(f"forest_{outcome.column}")]
            parts.append(_verdict_table(evaluation, outcome, ("What we found",)))
        found = {s.component: s.found for s in statements_of(evaluation, outcome.column)} if i == 0 else {}
        for component in evaluation.study.components:
            words = (Heading(3, component.label), Paragraph(found.get(component.name, ""))) if i == 0 else ()
            drawn = pictures.get(f"event_study_{component.name}") if i == 0 else None
            parts += _tried(evaluation, component, outcome, words, drawn)
    return headed("estimates", *parts)


def _tried(
    evaluation: Evaluation, component: Component, outcome: Outcome, heading: tuple[Block, ...], drawn: Block | None
) -> list[Block | None]:
    """A component's heading, its event study and every design tried; without one, the rule that left none."""
    effects = evaluation.effects
    rows = effects[(effects["outcome"] == outcome.column) & (effects["component"] == component.name)]
    anchor = f"effects-{component.name}" + ("" if heading else f"-{outcome.column}")
    if rows.empty:
        why = Paragraph(full_stop(evaluation.rules.get(component.name, "")))
        return [Group((*heading, why), anchor=anchor)]
    return [*heading, drawn, effects_table(rows, outcome, component.label, anchor)]


def effects_table(rows: pd.DataFrame, outcome: Outcome, label: str, name: str) -> Table:
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


def held(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """Every check at a glance and in words, and each headline with one place left out."""
    evaluation = safe(evaluation)
    checks = evaluation.checks
    if checks.empty:
        return headed("held", Paragraph("There was no estimate to check."))
    names = names_of(evaluation.study)
    tables = [
        check_table(checks[checks["outcome"] == o.column], names, o, first=i == 0)
        for i, o in enumerate(evaluation.study.outcomes)
        if (checks["outcome"] == o.column).any()
    ]
    at_a_glance = Group((glance(checks, names),), anchor="checks")
    return headed("held", at_a_glance, pictures.get("leave_one_out"), *tables)


def check_table(checks: pd.DataFrame, names: Names, outcome: Outcome, first: bool) -> Table:
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
    return cell(Run(_BRIEF.get(status, status), look=status))


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


def _check_words(check: str) -> str:
    return _CHECKS.get(check) or sentence_case(check.replace("_", " "))


def borrowed(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """What the regression that everybody runs hands each component of the others' effects (first outcome)."""
    nothing = Paragraph("The regression can tell no component from the others here.")
    return headed("borrowed", pictures.get("contamination", nothing))


def said(evaluation: Evaluation) -> Section:
    """For every component and outcome: may say, may not say, what would change our mind."""
    evaluation = safe(evaluation)
    return headed("said", *(_verdict_table(evaluation, o, _SAID) for o in evaluation.study.outcomes))


def _verdict_table(evaluation: Evaluation, outcome: Outcome, columns: tuple[str, ...]) -> Table:
    """The verdicts on one outcome: with what was found, or with everything that may be said."""
    full = columns == _SAID
    rows = []
    for s in statements_of(evaluation, outcome.column):
        words = (s.may_say.text, s.not_to_be_said, s.would_change.text) if full else (s.found,)
        rows.append((s.label, verdict_cell(s.verdict), *(w or "nothing to add" for w in words)))
    caption = f"{'What may be said' if full else 'Verdicts'}: {outcome.label}"
    name = f"{'said' if full else 'verdicts'}-{outcome.column}"
    return make_table(caption, ("Component", "Verdict", *columns), rows, name=name, cards=True)


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


def _whole(value: float) -> str:
    return f"{int(value):,}" if pd.notna(value) else "not given"


def _p(value: float) -> str:
    if pd.isna(value):
        return "not given"
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _reach(component: Component) -> str:
    return f"those with “{noun_from_column(component.reach)}”" if component.reach else "everyone"


def _lag(component: Component, study: Study) -> str:
    return f"after {count_words(component.lag, noun_from_column(str(study.period)))}" if component.lag else "at once"
