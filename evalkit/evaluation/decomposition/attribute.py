"""Attribution: what the programme added as a whole, and which part of it each component can be given.

Total = own effects of the components over the people periods for which they are claimed + identified
interactions + what cannot be told apart + what lies beyond what was compared + what is left unexplained,
in people periods of the outcome's unit (design 2.7). Total and pieces use the same cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from evalkit.components.wording import names_of
from evalkit.errors import EvalkitError
from evalkit.evaluation.bundles import BundleRun, together
from evalkit.evaluation.decomposition.cells import Claim, Programme, alike_in_age, claim_of, without
from evalkit.evaluation.decomposition.interactions import Interactions, interaction_tests
from evalkit.evaluation.decomposition.lines import BEYOND, JOINT_CELLS, Ledger
from evalkit.evaluation.evaluate import evaluate
from evalkit.evaluation.evidence import Finding
from evalkit.evaluation.ladder import Choices, Window, width_of, within_words
from evalkit.evaluation.results import Evaluation
from evalkit.inference import Estimate
from evalkit.inference.intervals import critical
from evalkit.show.tables import Table, from_frame
from evalkit.show.words import TIE, count_words, join_words, of_people
from evalkit.study import Outcome, Study
from evalkit.vocabulary import COMBINATION, ESTIMATED

PIECES = ("piece", "kind", "components", "estimate", "std_error", "conf_low", "conf_high", "people_periods", "reason")
UNTOLD = ("bundle_only", "swap_only")
SHAPLEY = "A Shapley share splits what was done together half and half. It is a convention, not a finding."
_MADE: WeakKeyDictionary = WeakKeyDictionary()
_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")


@dataclass(frozen=True, eq=False)
class Attribution:
    """The programme's total and its pieces on one outcome, in people periods of the outcome's unit.

    pieces: piece, kind (own, interaction, bundle, undivided, beyond, unexplained, not_given), components,
        estimate, std_error, conf_low, conf_high, people_periods, reason; estimates add up to `total`; NaN,
        with the reason, where there is no number or no interval.
    total, total_low, total_high: the programme against the outcome expected without it, over the people
        periods that could be compared; NaN with a `reason` where there is nothing to compare with.
    gross: sum of the outcome over the same people periods; expected_without: gross less total.
    estimate: pieces with a number, then the total, with their joint covariance.
    orders: last_in (added with the others as they were) and first_in (added alone) by component.
    shapley: shares of identified sets, a convention. interactions: one row a pair, tested or why not.
    """

    outcome: Outcome
    level: float
    pieces: pd.DataFrame
    total: float
    total_low: float
    total_high: float
    reason: str
    gross: float
    expected_without: float
    people_periods: float
    estimate: Estimate | None
    orders: pd.DataFrame
    shapley: pd.DataFrame
    interactions: pd.DataFrame
    notes: tuple[str, ...]

    def table(self) -> Table:
        """The pieces and the total as an accessible table."""
        total = {
            "piece": "Programme as a whole",
            "estimate": self.total,
            "conf_low": self.total_low,
            "conf_high": self.total_high,
            "people_periods": self.people_periods,
            "reason": self.reason,
        }
        frame = pd.concat([self.pieces, pd.DataFrame([total])], ignore_index=True)
        frame["reason"] = frame["reason"].fillna("").replace("", "given")
        labels = {"piece": "Piece", "estimate": "Added", "conf_low": "Likely from", "conf_high": "Likely to",
                  "people_periods": "People periods", "reason": "Why there is no number or interval"}  # fmt: skip
        return from_frame(frame, f"Where the result came from: {self.outcome.label}", labels, note=" ".join(self.notes))

    def __repr__(self) -> str:
        return self.table().to_text(110)

    def _repr_html_(self) -> str:
        return self.table().to_html()


def attribute(source: Study | Evaluation, outcome: str | Outcome | None = None) -> Attribution:
    """Attribute the programme's total effect on one outcome to its components (design 2.7).

    source: a Study (which is evaluated first) or an Evaluation. outcome: default the first. The total comes
    from outcomes imputed for every exposed cell (Borusyak, Jaravel and Spiess 2024); own effects are the
    headlines over the cells they claim, less identified interactions; what everything claimed leaves of
    the total is split by whether all that was on had been compared ("unexplained"), could not be told
    apart, or was not compared at all ("beyond"). People periods are taken as they are.

    Raises `EvalkitError` for anything but a Study or an Evaluation.
    """
    if isinstance(source, Study):
        source = evaluate(source)
    if not isinstance(source, Evaluation):
        raise EvalkitError(f"attribute needs a Study or an Evaluation; it got {type(source).__name__}.")
    source.check_whole("attribute")
    chosen = source.study.outcome(outcome)
    ledger, tested = ledger_of(source, chosen)
    return _finish(source, chosen, ledger, tested)


def ledger_of(evaluation: Evaluation, outcome: Outcome) -> tuple[Ledger, Interactions]:
    """Claims, programme and interactions of one outcome, before anything is added up."""
    study, paths = evaluation.study, evaluation.study.paths
    claims = claims_of(evaluation, outcome)
    windows = {f.component: f.window for f in evaluation.findings if f.outcome == outcome}
    width = 1 if _came_apart(evaluation, outcome) else None
    tested = interaction_tests(study, outcome, windows, Choices.of(study.settings), evaluation.level, width)
    programme = ledger_programme(evaluation, outcome)
    plain = {c.name for c in claims if len(c.members) == 1 and not c.additive}
    usable = {pair: e for pair, e in tested.estimates.items() if set(pair) <= plain}
    inside = paths.components if programme is None else programme.paths.components
    on = {c: paths.state[:, :, paths.index(c)] > 0 for c in inside}
    groups = _groups(evaluation, {m for c in claims for m in c.members})
    return Ledger(claims, groups, usable, programme, paths.state.shape[:2], on), tested


def claims_of(evaluation: Evaluation, outcome: Outcome) -> tuple[Claim, ...]:
    """Headlines with a number, then bundles run as one component whose members have none; made once."""
    made = _MADE.setdefault(evaluation, {})
    key = ("claims", outcome.column)
    if key not in made:
        made[key] = _claims(evaluation, outcome)
    return made[key]


def _claims(evaluation: Evaluation, outcome: Outcome) -> tuple[Claim, ...]:
    study = evaluation.study
    single = [
        claim_of(study, f.component, [f.component], f.headline, f.window)
        for f in evaluation.findings
        if f.outcome == outcome and f.headline is not None
    ]
    found = [c for c in single if c is not None]
    given = [b for b in evaluation.bundle_runs if b.outcome == outcome and b.run is not None]
    sums = [b for b in given if min(b.evidence.signs) > 0]
    sums.sort(key=lambda b: (b.evidence.additive, len(b.members)))
    return _apart([*found, *(c for c in (_claim_of_sum(study, b) for b in sums) if c is not None)], study)


def _claim_of_sum(study: Study, bundle: BundleRun) -> Claim | None:
    """What members add together, over the cells in which all are on; by regression only where all began together."""
    assert bundle.run is not None
    name, until = join_words(bundle.members, "with"), bundle.evidence.clean_until
    window = Window(bundle.evidence.lag, None if until is None else int(until))
    alike = alike_in_age(study.paths, bundle.members) if bundle.evidence.design == COMBINATION else None
    return claim_of(together(study, bundle.members, name), name, bundle.members, bundle.run, window, alike)


def _apart(claims: Sequence[Claim], study: Study) -> tuple[Claim, ...]:
    """Claims that share no member in any cell: the earlier one keeps it."""
    shape = (study.paths.n_paths, study.paths.n_periods)
    taken = {c: np.zeros(shape, dtype=bool) for c in study.paths.components}
    out = []
    for claim in claims:
        kept = claim.within(~np.any([taken[m] for m in claim.members], axis=0))
        if kept is not None:
            out.append(kept)
            for m in kept.members:
                taken[m] |= kept.by_cell(shape) > 0
    return tuple(out)


def ledger_programme(evaluation: Evaluation, outcome: Outcome) -> Programme | None:
    """The programme without what is absorbed, made once; None where no exposed cell can be imputed."""
    made = _MADE.setdefault(evaluation, {})
    key = ("programme", outcome.column)
    if key not in made:
        made[key] = _programme(evaluation, outcome)
    return made[key]


def _programme(evaluation: Evaluation, outcome: Outcome) -> Programme | None:
    status = evaluation.separability.components.set_index("component")["status"]
    absorbed = [c for c in evaluation.study.paths.components if status[c] == "not_tested"]
    paths = without(evaluation.study.paths, absorbed)
    if not paths.components or paths.n_periods < 2:
        return None
    words = {"outcome": outcome.column, "outcome_unit": outcome.unit}
    made = Programme(paths, evaluation.study.values(outcome), words, 1 if _came_apart(evaluation, outcome) else None)
    return made if len(made.imputed.atoms.mass) else None


def _came_apart(evaluation: Evaluation, outcome: Outcome) -> bool:
    """Whether any answer compares only those who came onto the record together. The total, whose two sides no rule
    has looked at, is then read among those who came in the same period: that leaves no gap, and few out."""
    runs = [f.headline for f in evaluation.findings if f.outcome == outcome]
    runs += [b.run for b in evaluation.bundle_runs if b.outcome == outcome]
    return any(width_of(r) is not None for r in runs)


def _groups(evaluation: Evaluation, claimed: set[str]) -> tuple[tuple[str, ...], ...]:
    """Components that cannot be told apart and have no claim, by what binds them together."""
    table = evaluation.separability.components
    untold = [c for c, s in zip(table["component"], table["status"], strict=True) if s in UNTOLD and c not in claimed]
    groups = [{c} for c in untold]
    for members in evaluation.separability.bundles["members"]:
        bound = [g for g in groups if g & set(members)]
        if len(bound) > 1:
            groups = [g for g in groups if g not in bound] + [set().union(*bound)]
    return tuple(tuple(c for c in untold if c in g) for g in sorted(groups, key=lambda g: min(map(untold.index, g))))


# ---------------------------------------------------------------- adding up


def _finish(evaluation: Evaluation, outcome: Outcome, ledger: Ledger, tested: Interactions) -> Attribution:
    heads, lines = _lines(evaluation.study, ledger)
    given = [i for i, line in enumerate(lines) if line.any()]
    whole = ledger.total() if ledger.programme is not None else None
    estimate, frame = None, pd.DataFrame(columns=[*_NUMBERS, "reason"])
    if given:
        labels = [str(heads[i]["piece"]) for i in given] + (["total"] if whole is not None else [])
        matrix = np.array([*(lines[i] for i in given), *([whole] if whole is not None else [])])
        estimate = _added_up(_contrast(ledger, matrix, labels), whole is not None)
        frame = numbers(ledger, matrix, estimate, evaluation.level)
    pieces = _piece_table(evaluation, outcome, heads, frame, given)
    total = dict(frame.iloc[-1]) if whole is not None else {}
    gross = ledger.programme.gross if ledger.programme is not None else np.nan
    why = str(total.get("reason", "")) if total else "no exposed people period can be set against untreated ones"
    found = float(total.get("estimate", np.nan))
    return Attribution(
        outcome, evaluation.level, pieces, found, float(total.get("conf_low", np.nan)),
        float(total.get("conf_high", np.nan)), why, gross, gross - found,
        ledger.periods(np.ones(ledger.shape)) if ledger.programme is not None else 0.0,
        estimate, _orders(evaluation, ledger), _shapley(evaluation, ledger), tested.table, _notes(evaluation, ledger),
    )  # fmt: skip


def _lines(study: Study, ledger: Ledger) -> tuple[list[dict[str, object]], list[np.ndarray]]:
    """Heads and lines of the pieces, in the register's order."""
    heads: list[dict[str, object]] = []
    lines = []

    def add(piece: str, kind: str, members: Sequence[str], line: np.ndarray, periods: float, reason: str = "") -> None:
        heads.append({"piece": piece, "kind": kind, "components": tuple(members), "people_periods": periods,
                      "reason": reason if not line.any() else ""})  # fmt: skip
        lines.append(line)

    for c in ledger.claims:
        kind, label = ("own", label_of(study, c.members)) if len(c.members) == 1 else ("bundle", _together(study, c))
        outside = "none of the people periods claimed for it lie in the programme's total"
        add(label, kind, c.members, ledger.alone(c.name), ledger.claimed(c.name), outside)
    for pair in ledger.pairs:
        label = f"{label_of(study, pair)} together, beyond the sum"
        add(label, "interaction", pair, ledger.together(pair), ledger.overlap(pair)[2])
    if ledger.programme is None:
        return heads, lines
    for i, group in enumerate(ledger.groups):
        kind = f"group {i}"
        if ledger.periods(ledger.kinds[kind]) > 0:
            label = f"{label_of(study, group)}: cannot be told apart"
            add(label, "undivided", group, ledger.residual(kind), ledger.periods(ledger.kinds[kind]))
    for kind, label, none in _RESIDUALS:
        add(label, kind, (), ledger.residual(kind), ledger.periods(ledger.kinds[kind]), none)
    return heads, lines


_RESIDUALS = (
    (BEYOND, "Beyond what was compared", "nothing: all that was on was compared in every people period"),
    (JOINT_CELLS, "Unexplained", "there is no people period in which all that was on was compared"),
)


def label_of(study: Study, members: Sequence[str]) -> str:
    """Labels of components, joined."""
    return join_words(study.component(m).label for m in members)


def _together(study: Study, claim: Claim) -> str:
    return join_words((study.component(m).label for m in claim.members), "with") + ", together"


def _contrast(ledger: Ledger, matrix: np.ndarray, names: Sequence[str]) -> Estimate:
    made = ledger.stacked.contrast(matrix, name="attribution")
    labels = made.labels.assign(
        component=list(names), estimand="sum over people periods", population="as the piece says"
    )
    return replace(made, labels=labels)


def _added_up(made: Estimate, with_total: bool) -> Estimate:
    """The total as the sum of its pieces to the last digit (it is one already, up to rounding)."""
    if not with_total:
        return made
    value = made.value.copy()
    value[-1] = value[:-1].sum()
    return replace(made, value=value)


def numbers(ledger: Ledger, matrix: np.ndarray, estimate: Estimate, level: float) -> pd.DataFrame:
    """estimate, std_error, conf_low, conf_high, df, reason of each line.

    Across levels each row keeps its own standard error, so that a piece that is one headline has that headline's
    interval; rows are joined by their analytic correlation, with the smallest df of the rows in a line (design 2.6).
    """
    frame = estimate.to_frame(level)
    if ledger.stacked.pieces:
        rows = ledger.stacked.to_frame(level)
        own = rows["std_error"].to_numpy(dtype=float)
        se, df = ledger.stacked.joint().of_sums(matrix)
        reach = critical(df, level) * se
        lost = [next((str(r) for r in rows["reason"][(line != 0) & np.isnan(own)]), "") for line in matrix]
        frame = frame.assign(
            std_error=se, conf_low=frame["estimate"] - reach, conf_high=frame["estimate"] + reach, df=df,
            reason=[a or b for a, b in zip(frame["reason"], lost, strict=True)],
        )  # fmt: skip
    return frame[[*_NUMBERS, "df", "reason"]]


def _piece_table(
    evaluation: Evaluation, outcome: Outcome, heads: list[dict[str, object]], frame: pd.DataFrame, given: list[int]
) -> pd.DataFrame:
    rows = []
    for i, head in enumerate(heads):
        found = frame.iloc[given.index(i)].to_dict() if i in given else {"estimate": 0.0}
        if not head["people_periods"] and head["kind"] in ("own", "bundle"):
            found = {}
        rows.append({**dict.fromkeys(_NUMBERS, np.nan), **head, **{k: v for k, v in found.items() if k in _NUMBERS},
                     "reason": head["reason"] or found.get("reason", "")})  # fmt: skip
    named = {m for h in heads for m in h["components"]}  # type: ignore[attr-defined]
    for f in evaluation.findings:
        if f.outcome == outcome and f.component not in named:
            reason = ("outside the total: " if f.status == "not_tested" else "") + why_none(f)
            rows.append({"piece": evaluation.study.component(f.component).label, "kind": "not_given",
                         "components": (f.component,), "people_periods": 0.0, "reason": reason})  # fmt: skip
    return pd.DataFrame(rows, columns=list(PIECES))


def why_none(finding: Finding) -> str:
    """Why a component has no estimate of its own."""
    if finding.headline is not None:
        return finding.headline.reason or "its headline has no cells that could be added up"
    if finding.status in ESTIMATED:
        return "no design that an evaluation runs could estimate it here"
    return finding.reason


def _orders(evaluation: Evaluation, ledger: Ledger) -> pd.DataFrame:
    """last_in and first_in of each component with an effect of its own."""
    rows = []
    for c in (c for c in ledger.claims if len(c.members) == 1 and ledger.claimed(c.name)):
        met = [b for b, on in ledger.on.items() if b != c.name and ledger.periods(ledger.share[c.name] * on) > 0]
        untested = [b for b in met if not any({c.name, b} == set(p) for p in ledger.pairs)]
        names = evaluation.study
        why = f"needs a test of what it does together with {label_of(names, untested)}" if untested else ""
        for order, line, reason in (("last_in", ledger.last_in(c.name), ""), ("first_in", ledger.alone(c.name), why)):
            found = _one(ledger, line, evaluation.level) if not reason else dict.fromkeys(_NUMBERS, np.nan)
            rows.append({"component": c.name, "order": order, **found, "people_periods": ledger.claimed(c.name),
                         "reason": reason or found.get("reason", "")})  # fmt: skip
    return pd.DataFrame(rows, columns=["component", "order", *_NUMBERS, "people_periods", "reason"])


def _one(ledger: Ledger, line: np.ndarray, level: float) -> dict[str, object]:
    return dict(numbers(ledger, line[None], _contrast(ledger, line[None], ["one"]), level).iloc[0])


def _shapley(evaluation: Evaluation, ledger: Ledger) -> pd.DataFrame:
    """Own effect and half of each interaction, for components and bundles that are identified."""
    rows = []
    for c in (c for c in ledger.claims if ledger.claimed(c.name)):
        line = ledger.alone(c.name)
        for pair in (p for p in ledger.pairs if c.name in p):
            line = line + ledger.together(pair) / 2
        rows.append({"components": c.members, **_one(ledger, line, evaluation.level), "note": SHAPLEY})
    return pd.DataFrame(rows, columns=["components", *_NUMBERS, "reason", "note"])


def _notes(evaluation: Evaluation, ledger: Ledger) -> tuple[str, ...]:
    out = []
    for c in ledger.claims:
        whole = float(c.mass.sum())
        if ledger.programme is not None and round(ledger.claimed(c.name)) < round(whole):
            label = label_of(evaluation.study, c.members)
            periods = count_words(round(whole), "people period").replace(" ", TIE, 1)
            out.append(f"{label}: {of_people(f'{ledger.claimed(c.name):,.0f}', 'of')} {periods} lie in the total; "
                       "for the rest nobody untreated was left to compare with.")  # fmt: skip
    if ledger.programme is not None and ledger.programme.arrival is not None:
        within = within_words(names_of(evaluation.study), ledger.programme.arrival)
        out.append(f"What would have been without the programme is read among those who came onto the record {within}.")
    always = evaluation.separability.components
    outside = always.loc[always["status"] == "not_tested", "component"].tolist()
    if ledger.programme is not None and evaluation.study.outcome(ledger.programme.words["outcome"]).kind == "log":
        out.append("The outcome is a logarithm: divided by people periods and times 100, a sum is about per cent.")
    if outside:
        out.append(f"Outside the total: {label_of(evaluation.study, outside)}, which nothing here can test.")
    return tuple(out)
