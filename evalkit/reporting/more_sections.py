"""The sections on the whole, on people and on how it was done: what it adds up to, value for money, who is in, what was
held back, method, and where it comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.decision.acts import chance_pays
from evalkit.disclosure.people import STAGES
from evalkit.evaluation import Evaluation
from evalkit.evaluation.deciding import whole_verdict
from evalkit.evaluation.results import safe
from evalkit.figures import Picture
from evalkit.language.decisions import frequency
from evalkit.language.templates import VERDICT_WORDS
from evalkit.reporting.blocks import Block, Group, Heading, Listing, Paragraph, Run, Section, Text
from evalkit.reporting.manifest import inputs, versions
from evalkit.reporting.names import names_of, spoken_period, statements_of
from evalkit.reporting.plan import exposure_hash
from evalkit.reporting.sections import headed
from evalkit.reporting.strict import PAGE
from evalkit.show.numbers import pounds, pounds_outwards, signed_range, size_words
from evalkit.show.tables import Table, make_table
from evalkit.show.words import count_words, design_title, full_stop, join_words, plural, quoted, sentence_case
from evalkit.study.money import PROGRAMME

PRICED = ("shown", "likely")
_WORTHS = 9
_SOURCES = tomllib.loads((PAGE / "sources.toml").read_text(encoding="utf-8"))
_ORDER = (
    "The register of components, their dates and levels was read first.",
    "What can be told apart was worked out from dates alone.",
    "The design of each headline was chosen from that, before any outcome was read.",
    "Estimates and checks followed; verdicts and their sentences come from fixed rules and templates.",
)


def adds_up(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """Where the programme's total on the first outcome came from, piece by piece."""
    made = safe(evaluation).attribution
    if made is None:
        return headed("adds up", Paragraph("No total is given: see what was held back, at the end."))
    total = {"piece": "Programme as a whole", "estimate": made.total, "conf_low": made.total_low,
             "conf_high": made.total_high, "people_periods": made.people_periods, "reason": made.reason}  # fmt: skip
    rows = []
    for r in [*made.pieces.to_dict("records"), total]:
        numbers = signed_range(*(float(r[c]) for c in ("estimate", "conf_low", "conf_high")))
        periods = "not given" if np.isnan(float(r["people_periods"])) else f"{float(r['people_periods']):,.0f}"
        reason = full_stop(r["reason"]) if isinstance(r["reason"], str) else ""
        rows.append((str(r["piece"]), *numbers, periods, reason or "nothing to add"))
    head = ("Piece", "Added", "From", "To", "People periods", "Remarks")
    right = (False, True, True, True, True, False)
    caption = f"Where the result came from: {made.outcome.label}"
    table = make_table(caption, head, rows, numeric=right, name="attribution", cards=True)
    return headed("adds up", pictures.get("waterfall"), table, Listing(tuple(map(full_stop, made.notes))))


def money(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """What each part cost, what one more outcome cost, and how sure that is."""
    made = safe(evaluation).value
    if made is None:
        return headed("money", Paragraph("The register holds no costs, or they were held back: see the end."))
    verdicts, sign = verdicts_of(evaluation, made.outcome.column), evaluation.study.currency
    rows = []
    for r in made.table.to_dict("records"):  # a component whose effect does not stand has no cost of one more outcome
        one_more = cost_words(r, sign) if verdicts.get(r["name"], "shown") in PRICED else "not given"
        cost = pounds(float(r["cost"]), currency=sign) if pd.notna(r["cost"]) else "not stated"
        rows.append((r["label"], cost, one_more, _outside(evaluation, r), full_stop(r["words"])))
    head = ("Part", "Cost", "One more outcome", "What that price leaves out", "In words")
    table = make_table(f"Value for money: {made.outcome.label}", head, rows, name="value", cards=True)
    drawn = (pictures.get("value_plane"), pictures.get("acceptability"))
    notes = Listing(tuple(map(full_stop, made.notes)))
    return headed("money", _spent(evaluation), table, worth_grid(safe(evaluation)), *drawn, notes)


def worth_grid(evaluation: Evaluation) -> Table | None:
    """The chance that each line pays, by what one outcome may be worth; None where nothing can be priced."""
    lines = [d for d in evaluation.decisions.lines if d.case.stake.costed and np.isfinite(d.chance_better)]
    told = [m for d in lines for m in (d.stop_below, d.break_even_worth, d.extend_from, *(d.case.stake.worth or ()))]
    marks = [float(m) for m in told if 0 < m < np.inf]
    if not marks:
        return None
    worth = _round_worths(min(marks) / 2, 2 * max(marks))
    rows = [(d.case.label, *map(frequency, chance_pays(d, worth))) for d in lines]
    head = ("Part", *(pounds(w, currency=evaluation.study.currency) for w in worth))
    unless = "none where a check failed that does not say how far it moves the answer"
    note = f"The worth of {lines[0].case.one}. Chances start from doubt, as under What to do; {unless}."
    return make_table(
        "The chance that it pays, by what one more outcome is worth", head, rows, name="worth-grid", note=note
    )


def _round_worths(low: float, high: float) -> list[float]:
    """At most _WORTHS amounts of 1, 2 or 5 times a power of ten between two, evenly chosen with both ends."""
    tens = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    found = [n * 10.0**k for k in tens for n in (1, 2, 5) if low <= n * 10.0**k <= high] or [float(f"{high:.1g}")]
    return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(len(found), _WORTHS)).round().astype(int))]


def verdicts_of(evaluation: Evaluation, outcome: str) -> dict[str, str]:
    """Component, and the programme as a whole, -> verdict on one outcome."""
    found = {s.component: s.verdict for s in safe(evaluation).statements if s.outcome == outcome}
    cases = (line.case for line in safe(evaluation).decisions.lines if line.case.outcome == outcome)
    return found | {c.name: whole_verdict(c)[0] for c in cases if c.name == PROGRAMME}


def money_spent(evaluation: Evaluation) -> dict[str, float]:
    """Component, or the programme for what belongs to no single one, -> all that was spent, every pound once; empty
    where nothing may be told."""
    made = safe(evaluation).value
    if made is None:
        return {}
    known = dict(zip(made.table["name"], made.table["cost"].astype(float), strict=True))
    out = {c.name: known[c.name] for c in evaluation.study.components if np.isfinite(known.get(c.name, np.nan))}
    common = made.costs.loc[made.costs["component"] == PROGRAMME, "amount"].sum() if PROGRAMME in known else 0.0
    return out | ({PROGRAMME: float(common)} if common > 0 else {})


def _spent(evaluation: Evaluation) -> Table | None:
    """All the money, every pound once, beside what is known of what it did."""
    money, study, sign = money_spent(evaluation), evaluation.study, evaluation.study.currency
    if not money:
        return None
    verdicts, total = verdicts_of(evaluation, study.outcome().column), sum(money.values())
    rows = []
    for name, label in [*((c.name, c.label) for c in study.components), (PROGRAMME, "Belongs to no single part")]:
        if name in money:
            share = of_every(money[name] / total, sign).split(" of ")[0] if total > 0 else "none"
            verdict = VERDICT_WORDS.get(verdicts.get(name, ""), "") if name != PROGRAMME else "None of its own"
            rows.append((label, f"{sign}{money[name]:,.0f}", share, verdict or "None"))
        elif name != PROGRAMME:
            rows.append((label, "not given", "not given", VERDICT_WORDS.get(verdicts.get(name, ""), "None")))
    whole, every = of_every(1.0, sign).split(" of ")
    spent = f"{sign}{sum(round(m) for m in money.values()):,.0f}"
    rows.append(("All of it", spent, whole, "See the programme as a whole"))
    head = ("Part", "Spent", f"Of {every}", "Verdict")
    right = (False, True, True, False)
    note = "All that was spent stands here once. Shares are cut, not rounded up, so that they come to 100 at most."
    return make_table("What was spent", head, rows, numeric=right, name="spent", note=note)


def _outside(evaluation: Evaluation, row: Mapping[Any, Any]) -> str:
    """What a price leaves out: money spent where nothing was compared, and parts that are not in it."""
    cost, compared = float(row["cost"]), float(row["cost_compared"])
    parts = []
    if np.isfinite(compared) and cost - compared > 0.005 * cost:
        left = pounds(cost - compared, currency=evaluation.study.currency)
        parts.append(f"{left} spent where nothing was compared")
    if row["name"] == PROGRAMME:
        left = [quoted(c.label) for c in evaluation.study.components if c.name not in row["components"]]
        parts += [f"all of {join_words(left)}"] if left else []
    return full_stop(join_words(parts)) if parts else "Nothing." if np.isfinite(compared) else "No price is given."


def of_every(share: float, sign: str) -> str:
    """A share of all that was spent, cut: '72p of every pound', '72 of every 100 spent'."""
    return f"{int(100 * share)}p of every pound" if sign == "£" else f"{int(100 * share)} of every 100 spent"


def cost_words(row: Mapping[Any, Any], sign: str = "£") -> str:
    """'£18,400 (£9,900 to £71,000)', or 'not given' where the effect may be nothing."""
    value, low, high = (float(row[c]) for c in ("cost_per_outcome", "cost_low", "cost_high"))
    if not np.isfinite(value):
        return "not given"
    found = pounds(value, currency=sign)
    if np.isfinite(high):
        return f"{found} ({pounds_outwards(low, False, sign)} to {pounds_outwards(high, True, sign)})"
    return f"{found} ({pounds_outwards(low, False, sign)} or more)" if np.isfinite(low) else found


def costs_of(evaluation: Evaluation, verdicts: Mapping[str, str]) -> dict[str, str]:
    """Component -> its cost of one more outcome in words, for page one; empty where nothing has a cost.

    verdicts: component -> verdict. Without an effect that stands there is no such cost.
    """
    made = safe(evaluation).value
    if made is None or not np.isfinite(made.table["cost"].to_numpy(dtype=float)).any():
        return {}
    found = {r["name"]: cost_words(r, evaluation.study.currency) for r in made.table.to_dict("records")}
    whole = {c: v for c, v in verdicts_of(evaluation, made.outcome.column).items() if c == PROGRAMME}
    return {c: found.get(c, "not given") if v in PRICED else "not given" for c, v in {**verdicts, **whole}.items()}


def who_is_in(evaluation: Evaluation, pictures: Mapping[str, Picture]) -> Section:
    """How many could be reached by each component, had it, and stand behind its answer (first outcome)."""
    made = safe(evaluation)
    if made.flow is None or made.flow.empty:
        return headed("who is in", Paragraph("Nothing was counted."))
    names, unit = names_of(made.study), plural(made.study.noun_for(made.study.unit))
    rows = []
    for component, mine in made.flow.groupby("component", sort=False):
        given = zip(mine["stage"], mine["count"], strict=True)
        counts = {stage: f"{n:,.0f}" if n == n else "not published" for stage, n in given}
        rows.append((names.label(str(component)), *(counts.get(stage, "no answer") for stage in STAGES)))
    head = ("Component", *map(sentence_case, STAGES.values()))
    right = (False, *(True,) * len(STAGES))
    table = make_table(f"Numbers of {unit}", head, rows, numeric=right, name="flow", cards=True)
    return headed("who is in", pictures.get("flow"), table)


def held_back(evaluation: Evaluation) -> Section:
    """The rules of disclosure control that apply, and each thing that they hid; never the number."""
    made = safe(evaluation)
    if made.protection is None or not made.protection.rules.active:
        return headed("held back", Paragraph("The rows of this study are about places, so nothing was held back."))
    rules, log = made.protection.rules, made.protection.log
    intro = Paragraph(f"Rules “{rules.name}”: {rules.words()}")
    if log.empty:
        return headed("held back", intro, Paragraph("Nothing had to be hidden."))
    labels = {**STAGES, **names_of(made.study).labels, **{o.column: o.label for o in made.study.outcomes}}
    rows = []
    for r in log.to_dict("records"):  # 'nurse, settled, StaggeredRollout(same)' as people say it
        component, *more = r["row"].split(", ", 2)
        spoken = [*(labels.get(w, w) for w in (component, *more[:1])), *map(design_title, more[1:])]
        rows.append((r["table"], ", ".join(spoken), r["hidden"], r["rule"]))
    head = ("Table", "Row", "Hidden", "Why")
    table = make_table("What was held back", head, rows, name="held-back")
    many = f"{count_words(len(rows), 'thing')} held back, one by one"
    return headed("held back", intro, Group((table,), summary=many))


def method(evaluation: Evaluation) -> Section:
    """The order of work, which design is the headline of each component and why, and the papers behind them."""
    names = names_of(evaluation.study)
    labels = {k: names.label(k) for k in evaluation.rules}
    rows = [(labels[k], sentence_case(r.removeprefix(f"{labels[k]}: "))) for k, r in evaluation.rules.items()]
    table = make_table("Which design is the headline, and why", ("Component", "Rule"), rows, name="rules")
    unit, period = map(evaluation.study.noun_for, (evaluation.study.unit, evaluation.study.period))
    matters = []
    for o in evaluation.study.outcomes:
        words = "how much would matter was not stated, so an absence of effect is never claimed"
        if o.matters is not None:
            mine = {"whom": o.per_words, "currency": evaluation.study.currency, "time": o.unit}
            size = size_words(o.matters * (1 if o.better == "higher" else -1), o.said, unit, period=period, **mine)
            words = f"an effect smaller than {size} does not matter"
        matters.append(f"{o.label}: {words}.")
    run = " ".join([*evaluation.effects["design"].astype(str), *evaluation.bundles["design"].astype(str)])
    if evaluation.attribution is not None:
        run += " Imputation"
    made, checked = set(evaluation.effects["inference"].dropna().astype(str)), set(evaluation.checks["check"])
    papers = [
        *(paper for design, paper in _SOURCES["designs"].items() if design in run),
        *(paper for check, paper in _SOURCES["checks"].items() if check in checked),
        *(paper for way, paper in _SOURCES["inference"].items() if any(way in words for words in made)),
        *_SOURCES["standards"].values(), *_SOURCES["every"],
    ]  # fmt: skip
    sources = (Heading(3, "Sources"), Listing(tuple(dict.fromkeys(papers))))
    return headed("method", Listing(_ORDER), table, _planned(evaluation), Listing(tuple(matters)), *sources)


def _planned(evaluation: Evaluation) -> Block:
    """What the plan fixed, and whether each result keeps to it."""
    plan = evaluation.plan
    if not plan:
        return Paragraph("No plan was fixed before the outcomes were read: evalkit plan STUDY makes one.")
    stated = {o: statements_of(evaluation, o.column) for o in evaluation.study.outcomes}
    rows = [(mine[k].label, o.label, mine[k].planned)
            for k in range(len(evaluation.study.components)) for o, mine in stated.items()]  # fmt: skip
    same = plan.get("exposures") == exposure_hash(evaluation.study.paths)
    note = f"Plan {plan['sha256']}, made with evalkit {plan.get('evalkit', '')} before any outcome was read. "
    note += f"Units, periods {'and exposures are those of the plan' if same else 'or exposures changed since'}."
    return make_table("What was planned", ("Component", "Outcome", "Planned"), rows, name="planned", note=note)


def provenance(evaluation: Evaluation, study_file: str | Path) -> Section:
    """Every input with its hash, versions, seed, level, and the last period of the data."""
    files = make_table("Inputs", ("File", "SHA-256"), inputs(evaluation.study, study_file), name="inputs")
    periods = evaluation.study.paths.periods
    last = spoken_period(periods[-1]) if evaluation.study.period is not None and len(periods) else "no periods"
    run = {"Last period of the data": last, "Level": f"{evaluation.level:g}", "Seed": str(evaluation.seed)}
    settings = list({**run, **versions()}.items())
    facts = make_table("Settings and versions", ("What", "Value"), settings, name="settings")
    how = Paragraph("To make this page again, run the notebook report.ipynb, or: evalkit run STUDY --out FOLDER")
    beside: list[Text] = [(Run(name, href=name), f": {what}") for name, what in _beside(evaluation)]
    listed = (Heading(3, "Files beside this page"), Listing(tuple(beside)))
    return headed(
        "provenance", how, Group((files, facts, *listed), summary="Files, their hashes, settings and versions")
    )


def _beside(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Every table that a report writes, and its notebook."""
    names = list(tables_of(evaluation))
    return [
        *((f"{name}.csv", name.replace("_", " ")) for name in names),
        ("report.ipynb", "the notebook behind it all"),
    ]


def tables_of(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Name -> table of everything that a report writes as CSV, as it may be published."""
    made = safe(evaluation)
    named = dict(made.frames())
    named |= {"over_time": made.over_time, "baseline": made.baseline, "delivery": made.delivery}
    named["recorded"] = made.recorded
    if made.attribution is not None:
        named["attribution"] = made.attribution.pieces
    if made.value is not None:
        named["value"] = made.value.table
    return named
