"""The sections after page one, in the order in which a reader asks."""

from __future__ import annotations

import tomllib
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from evalkit.components import Separability
from evalkit.components.separability import STATUS_WORDS
from evalkit.disclosure.publish import NOTHING_LEFT
from evalkit.evaluation import Evaluation
from evalkit.evaluation.alone import before_and_after
from evalkit.evaluation.compared import shares
from evalkit.evaluation.results import safe
from evalkit.evaluation.rungs import BESIDE_FEW
from evalkit.figures import Picture
from evalkit.figures.timeline import WAYS
from evalkit.language import templates as say
from evalkit.language.one_by_one import one_by_one
from evalkit.reporting.blocks import Block, Group, Heading, Listing, Paragraph, Run, Section, cell, verdict_cell
from evalkit.reporting.names import Names, names_of, spoken_period, statements_of
from evalkit.reporting.strict import PAGE, slug
from evalkit.show.numbers import signed, signed_range, size_words
from evalkit.show.tables import Cell, Table, make_table
from evalkit.show.words import design_title, full_stop, join_words, quoted, sentence_case
from evalkit.study import Outcome

_SECTIONS = tomllib.loads((PAGE / "sections.toml").read_text(encoding="utf-8"))


def headed(name: str, *blocks: Block | None, screen: bool = False) -> Section:
    """A section of the blocks that are there, folded away behind its heading. screen: for the page alone."""
    heading = Heading(2, _SECTIONS[name]["heading"])
    intro = tuple(Run(text, look="em") if i % 2 else text for i, text in enumerate(_SECTIONS[name]["intro"]))
    words = (heading, Paragraph(intro)) if intro else (heading,)
    whole = (*words, *(b for b in blocks if b is not None))
    return Section(name, (Group(whole, "fold", slug(heading.text), screen=screen),))


def contents() -> Section:
    """Links to the sections."""
    links = [(slug(about["heading"]), about["heading"]) for about in _SECTIONS.values()]
    links.append(("code", "The code behind this page"))
    listed = Listing(tuple(Run(words, f"#{anchor}") for anchor, words in links), numbered=True)
    return Section("contents", (Group((listed,), label="Sections of this report", guide=True),))


def told_apart(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """The matrix, the reasons, the bundles, and what rollout would have told."""
    evaluation = safe(evaluation)
    sep = evaluation.separability
    names = names_of(evaluation.study)
    drawn = pictures.get("separability")
    parts: list[Block | None] = [Group((drawn,), screen=True) if drawn else None, status_table(sep, names)]
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
    rows = []
    for r in sep.components.to_dict("records"):
        counts = (_whole(r[column]) for column in ("switches", "clean_switches", "clean_until"))
        reason = full_stop(str(r["reason"])) if isinstance(r["reason"], str) and r["reason"] else "nothing to add"
        rows.append((names.label(r["component"]), STATUS_WORDS.get(r["status"], r["status"]), *counts, reason))
    head = ("Component", "Status", "Switches", "Clean switches", "Clean until period", "Reason")
    right = (False, False, True, True, True, False)
    keys = tuple(sep.components["component"])
    caption = "What can be told apart, before any outcome was read"
    return make_table(caption, head, rows, numeric=right, name="separability", keys=keys, cards=True)


def pair_table(sep: Separability, names: Names) -> Table:
    """By what each pair of components is told apart."""
    rows = []
    for r in sep.pairs.to_dict("records"):
        pair, apart = f"{names.label(r['a'])} and {names.label(r['b'])}", "yes" if r["separable"] else "no"
        ways = join_words([word for column, word in WAYS.items() if r[column]]) or "nothing"
        rows.append((pair, apart, ways, _whole(r["clean_switches_a"]), _whole(r["clean_switches_b"])))
    head = ("Pair", "Told apart", "Differ by", "Clean switches of the first", "Clean switches of the second")
    return make_table("Pairs of components", head, rows, numeric=(False, False, False, True, True), name="pairs")


def estimates(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """For each component: its event study and every design that was tried; then the other outcomes."""
    evaluation = safe(evaluation)
    outcomes = evaluation.study.outcomes
    each = [_on_outcome(evaluation, o, pictures) for o in outcomes]
    if len(outcomes) == 1:
        return headed("estimates", *each[0])
    parts: list[Block] = []
    for outcome, found in zip(outcomes, each, strict=True):
        anchor = f"outcome-{outcome.column}"
        blocks = (Heading(3, outcome.label, anchor), *(b for b in found if b is not None))
        parts.append(Group(blocks, "outcome", f"on-{outcome.column}", anchor))
    return headed("estimates", *parts)


def _on_outcome(evaluation: Evaluation, outcome: Outcome, pictures: Mapping[str, Picture]) -> list[Block | None]:
    """Estimates on one outcome: event studies of the first, the forest and the verdicts of others, every design."""
    study, effects = evaluation.study, evaluation.effects
    first, level = outcome == study.outcome(), 3 if len(study.outcomes) == 1 else 4
    parts: list[Block | None] = []
    forest, pictures = pictures.get(f"forest_{outcome.column}"), pictures if first else {}
    if not first:
        parts += [forest, _verdict_table(evaluation, outcome, ("What we found",))]
    found = {s.component: s.found for s in statements_of(evaluation, outcome.column)} if first else {}
    mine = effects[effects["outcome"] == outcome.column]
    parts.append(headlines_table(mine, evaluation, outcome, "effects" if first else f"headlines-{outcome.column}"))
    for component in study.components:
        tried = mine[mine["component"] == component.name]
        if first:
            parts += [Heading(level, component.label), Paragraph(found.get(component.name, ""))]
            parts += [pictures.get(f"event_study_{component.name}")] if len(tried) else []
            by_time = evaluation.event_studies.get((component.name, outcome.column))
            if by_time is not None and (by_time["reason"] == NOTHING_LEFT).any():
                parts.append(Paragraph(f"How it came out over time since the start is {NOTHING_LEFT}."))
        parts += _alone(evaluation, component.name, outcome, pictures)
        parts += _compared(evaluation, component.name, outcome, pictures)
        place = names_of(study).place(component.name)
        if alone := one_by_one(tried, BESIDE_FEW, outcome, study.currency, place):
            parts.append(Paragraph(alone))
        if len(tried) > 1:
            anchor = f"designs-{component.name}" + ("" if first else f"-{outcome.column}")
            every = effects_table(tried, outcome, component.label, anchor)
            parts.append(Group((every,), summary=f"{component.label}: every design that was tried"))
    return parts


def _compared(
    evaluation: Evaluation, component: str, outcome: Outcome, pictures: Mapping[str, Picture]
) -> tuple[Block | None, ...]:
    """Who is compared with whom in one headline: the picture, and a row a place; nothing where it has no weights."""
    picture = pictures.get(f"compared_{component}")
    if picture is None:
        return ()
    table = evaluation.compared
    mine = shares(table[(table["component"] == component) & (table["outcome"] == outcome.column)])
    names = names_of(evaluation.study)
    place, label = names.place(component), names.label(component)
    rows = []
    for r in mine.to_dict("records"):
        counts = [f"{r[c]:.0f}" if r[c] >= _HALF else "below 1" if r[c] else "none" for c in ("with_it", "beside")]
        rows.append((str(r["cluster"]), *counts, spoken_period(r["since"]) if pd.notna(r["since"]) else "never"))
    head = (sentence_case(place), "Counts with it, of 100", "Counts beside it, of 100", "Counts with it since")
    made = make_table(f"{label}: how much each {place} counts", head, rows, numeric=(False, True, True, False),
                      name=f"compared-{component}")  # fmt: skip
    return (Group((picture, made), summary=f"How much each {place} counts"),)


_HEAD = ("Design", "Estimate", "From", "To", "SE", "p value", "With", "Without", "Remarks")
_RIGHT = (False, True, True, True, True, True, True, True, False)


def headlines_table(effects: pd.DataFrame, evaluation: Evaluation, outcome: Outcome, name: str) -> Table:
    """The headline of every component on one outcome, a row each; every design of one that has none, and the rule that
    left none where none could be tried. Page one links to the rows of the table named 'effects'."""
    rows, keys = [], []
    for component in evaluation.study.components:
        tried = effects[effects["component"] == component.name]
        head = tried[tried["headline"].astype(bool)]
        shown = [_design_cells(r, component.label) for r in (head if len(head) else tried).to_dict("records")]
        why = full_stop(evaluation.rules.get(component.name, "") or "No estimate")
        shown = shown or [("None", *("not given",) * 5, "none", "none", why)]
        rows += [(component.label, *cells) for cells in shown]
        keys += [component.name if i == 0 else f"{component.name}-{i + 1}" for i in range(len(shown))]
    caption = f"The headline of each component: {outcome.label}"
    return make_table(caption, ("Component", *_HEAD), rows, numeric=(False, *_RIGHT), name=name, keys=tuple(keys),
                      note=_unit_note(outcome), cards=True)  # fmt: skip


def _alone(
    evaluation: Evaluation, component: str, outcome: Outcome, pictures: Mapping[str, Picture]
) -> tuple[Block | None, ...]:
    """What stands behind an answer from one place: seen and expected, others in its role, who they are, and what a
    plain before and after would have said."""
    drawn = [p for name, p in pictures.items() if name.startswith(_ALONE) and _is_of(name, component)]
    gaps, donors = (t[(t["component"] == component) & (t["outcome"] == outcome.column)]
                    for t in (evaluation.alone.gaps, evaluation.alone.donors))  # fmt: skip
    words: list[Block] = []
    for place, own in gaps.groupby("place", sort=False):
        before, after = (
            size_words(x, outcome.said, currency=evaluation.study.currency, time=outcome.unit)
            for x in before_and_after(own)
        )
        words.append(Paragraph(full_stop(say.BEFORE_AFTER.format(place=place, before=before, after=after))))
    parts: list[Block] = [*drawn, *words]
    if len(donors):
        first = donors.loc[donors["weight"].abs().idxmax()]
        rows = [(str(r.donor), f"{r.weight:.3f}") for r in donors.itertuples()]
        made = make_table("Weights of the other places in the mix", ("Place", "Weight"), rows, numeric=(False, True),
                          name=f"donors-{component}")  # fmt: skip
        said = say.MOST_WEIGHT.format(place=first["donor"], weight=f"{first['weight']:.2f}")
        parts += [Paragraph(full_stop(said)), Group((made,), summary="Weights of all the others")]
    return tuple(parts)


def _is_of(name: str, component: str) -> bool:
    return any(name.removeprefix(kind).rstrip("0123456789").rstrip("_") == component for kind in _ALONE)


def effects_table(rows: pd.DataFrame, outcome: Outcome, label: str, name: str) -> Table:
    """Estimates of one component in the outcome's own unit, a row a design; the headline comes first."""
    cells = [_design_cells(r, label) for r in rows.to_dict("records")]
    caption = f"{label}: every design that was tried ({outcome.label})"
    return make_table(caption, _HEAD, cells, numeric=_RIGHT, name=name, note=_unit_note(outcome))


def _unit_note(outcome: Outcome) -> str:
    unit = _UNITS.get(outcome.said, outcome.unit)
    return f"Effects and standard errors (SE) in {unit}. With, without: places that it rests on."


def _design_cells(r: Mapping[Hashable, Any], label: str) -> tuple[str, ...]:
    """One row of the table of effects in words: design, numbers, and what is to be remarked."""
    error = float(r["std_error"])
    estimate, low, high = (float(r[c]) for c in _RANGE)
    numbers = signed_range(estimate, low, high, error)
    p_value = "below 0.001" if r["p_value"] < 0.001 else f"{r['p_value']:.3f}"
    p_value = p_value if pd.notna(r["p_value"]) else "not given"
    spread = signed(error, 2).lstrip("+")
    places = (_whole(r["clusters_exposed"]), _whole(r["clusters_comparison"]))
    reason = str(r["reason"]).replace(f"'{r['component']}'", quoted(label))
    plain = str(r["inference"]) if pd.notna(r["estimate"]) else "not given"
    remark = full_stop(sentence_case(reason)) if r["reason"] else plain
    design = design_title(r["design"]) + (" (headline)" if r["headline"] else "")
    return design, *numbers, spread, p_value, *places, remark


def held(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """Every check at a glance and in words, and each headline with one place left out."""
    evaluation = safe(evaluation)
    checks = evaluation.checks
    if checks.empty:
        return headed("held", Paragraph("There was no estimate to check."))
    names = names_of(evaluation.study)
    tables: list[Block] = []
    for i, o in enumerate(evaluation.study.outcomes):
        mine = checks[checks["outcome"] == o.column]
        if len(failed := mine[mine["status"] == "failed"]):
            tables.append(check_table(failed, names, o, f"failed-{o.column}", "Checks that failed"))
        if len(mine):
            whole = check_table(mine, names, o, "check" if i == 0 else f"check-{o.column}")
            tables.append(Group((whole,), summary=f"Every check in words: {o.label}"))
    at_a_glance = Group((glance(checks, names),), anchor="checks")
    return headed("held", at_a_glance, pictures.get("leave_one_out"), *tables)


def check_table(
    checks: pd.DataFrame, names: Names, outcome: Outcome, name: str, caption: str = "Every check in words"
) -> Table:
    """Checks of the answers on one outcome, in words; page one links to the rows of the table named 'check'."""
    rows = [
        (names.label(r["component"]), _check_words(r["check"]), _status(r["status"]), full_stop(str(r["words"])))
        for r in checks.to_dict("records")
    ]
    keys = tuple(f"{r['component']}-{r['check']}" for r in checks.to_dict("records"))
    head = ("Component", "Check", "Result", "In words")
    return make_table(f"{caption}: {outcome.label}", head, rows, name=name, keys=keys, cards=True)


def _status(status: str) -> Cell:
    """The word for a check's result and its shape, kept on one line."""
    return cell(Run("only informs" if status == "informational" else status, look=status))


def glance(checks: pd.DataFrame, names: Names) -> Table:
    """Passed, failed, informational or not run (first outcome): a row a check, a column a component, or the other way
    round where there are more components than checks."""
    own = checks[checks["outcome"] == checks["outcome"].iloc[0]]
    kinds = list(dict.fromkeys(own["check"]))
    status = {(r["component"], r["check"]): r["status"] for r in own.to_dict("records")}
    components = list(dict.fromkeys(own["component"]))
    found = [[_status(status.get((c, kind), "not run")) for c in components] for kind in kinds]
    side, top = [_check_words(kind) for kind in kinds], [names.label(c) for c in components]
    head = ("Check", *top)
    if len(components) > len(kinds):
        found, side, head = [list(column) for column in zip(*found, strict=True)], top, ("Component", *side)
    rows = [(label, *cells) for label, cells in zip(side, found, strict=True)]
    note = "Only informs: the check cannot count for or against here, mostly because it has too little power."
    return make_table("Checks at a glance", head, rows, name="glance", note=note)


def _check_words(check: str) -> str:
    return _CHECKS.get(check) or sentence_case(check.replace("_", " "))


def borrowed(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """What the regression that everybody runs hands each component of the others' effects (first outcome)."""
    nothing = Paragraph("The regression can tell no component from the others here.")
    return headed("borrowed", pictures.get("contamination", nothing), screen=True)


def said(evaluation: Evaluation) -> Section:
    """For every component and outcome: may say, may not say, what would change our mind."""
    evaluation = safe(evaluation)
    return headed("said", *(_verdict_table(evaluation, o, _SAID) for o in evaluation.study.outcomes), screen=True)


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


_HALF, _ERRORS = 0.5, 4.0  # of a range: standard errors between its ends
_RANGE = ("estimate", "conf_low", "conf_high")
_CHECKS = {
    "pre_trend": "Alike beforehand",
    "drift": "Beside a steady drift",
    "leave_one_cluster": "One place left out",
    "few_clusters": "How many places",
    "rungs": "Other ways of comparing",
    "date_rule": "Other readings of dates",
    "start_dates": "Starts within their bounds",
    "others_still_growing": "Others still growing",
    "growth_taken_out": "Growth taken out",
    "spillover": "Beside untouched places",
    "on_neighbours": "On neighbours without it",
    "effective_clusters": "What the places are worth",
    "dominant_place": "One place that decides",
    "shared_shocks": "Places that move together",
    "score_form": "Squares and products of what is recorded",
    "carry_over": "What was left after its end",
    "stayers": "Who was seen later",
    "composition": "Who was asked",
    "by_people": "Both kinds of people",
    "scale": "In points and in proportion",
    "filled_in": "What was missing beforehand",
    "followed_to": "Who was followed to the date",
    "fit": "Its own past, fitted",
    "bent_trend": "A trend that bends",
    "placebo_date": "A date at which nothing began",
    "placebo_places": "Places where nothing began",
    "placebo_outcome": "An outcome it cannot change",
    "placebo_cutoffs": "Cut-offs where nothing changes",
    "negative_control": "An outcome it cannot change",
    "leave_one_donor": "One place of the mix left out",
    "balance": "Alike as dealt",
    "attrition": "Who was lost",
    "compliance": "Who took it up",
    "bunching": "Crowding at the cut-off",
    "others_at_cutoff": "Others at the cut-off",
    "hidden_bias": "What was not recorded, in pairs",
    "unrecorded": "What was not recorded",
    "calibration": "Who gains, as predicted",
}
_UNITS = {
    "share": "shares of one: 0.05 is 5 people in every 100",
    "log": "log points: −0.05 is about 5% lower",
    "count": "events for each unit and period",
    "rate": "events for each of what it is a rate per: 0.002 is 2 for every 1,000",
    "score": "points",
    "money": "pounds",
}
_ALONE = ("one_place_", "placebo_places_", "donor_weights_")
_KINDS = {"together": "together", "swap": "one in place of another", "sum": "as a sum"}
_SAID = ("You may say", "You may not say", "What would change our mind")


def _bundle_table(bundles: pd.DataFrame, names: Names) -> Table:
    """'Policy and Newsletter' together; 'Groups instead of Education' where the second is taken away."""
    rows = []
    for r in bundles.to_dict("records"):
        both = list(zip(r["members"], [w > 0 for w in r["weights"]] or [True] * len(r["members"]), strict=True))
        gained, lost = (join_words([names.label(m) for m, added in both if added == side]) for side in (True, False))
        members = f"{gained} instead of {lost}" if lost else gained
        estimate, low, high = (float(r[c]) for c in _RANGE)
        numbers = signed_range(estimate, low, high, (high - low) / _ERRORS)
        design, kind = design_title(str(r["design"])) or "none", _KINDS.get(r["kind"], r["kind"])
        outcome = names.outcomes.get(r["outcome"], str(r["outcome"]))
        rows.append((members, outcome, *numbers, design, kind, str(r["reason"] or "nothing to add")))
    head = ("Components", "Outcome", "Estimate", "From", "To", "Design", "How they go", "Remarks")
    right = (False, False, True, True, True, False, False, False)
    return make_table("Combinations that can be judged together", head, rows, numeric=right, name="bundles")


def _whole(value: float) -> str:
    return f"{int(value):,}" if pd.notna(value) else "not given"
