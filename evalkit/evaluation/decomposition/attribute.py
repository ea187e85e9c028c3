"""Attribution: what the programme added as a whole, and which part of it each component can be given.

Total = own effects of the components over the people periods for which they are claimed + identified
interactions + what cannot be told apart + what lies beyond what was compared + what is left unexplained,
in people periods of the outcome's unit. Total and pieces use the same cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.components.wording import names_of
from evalkit.evaluation.decomposition.pieces import BEYOND, JOINT_CELLS, Decomposition, decompose
from evalkit.evaluation.evidence import Evaluated, Finding
from evalkit.evaluation.rungs import within_words
from evalkit.inference import Estimate
from evalkit.inference.intervals import critical
from evalkit.show.tables import Table, from_frame
from evalkit.show.words import TIE, count_words, join_words, of_people
from evalkit.study import Outcome, Study
from evalkit.vocabulary import ESTIMATED

PIECES = ("piece", "kind", "components", "estimate", "std_error", "conf_low", "conf_high", "people_periods", "reason")
SHAPLEY = "A Shapley share splits what was done together half and half. It is a convention, not a finding."
_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")
_RESIDUALS = (
    (BEYOND, "Beyond what was compared", "nothing: all that was on was compared in every people period"),
    (JOINT_CELLS, "Unexplained", "there is no people period in which all that was on was compared"),
)


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
    shapley: shares of identified sets, a convention. interactions: one row a pair, tested or why not."""

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
        labels = {"piece": "Piece", "estimate": "Added", "conf_low": "Likely from", "conf_high": "Likely to",
                  "people_periods": "People periods", "reason": "Why there is no number or interval"}  # fmt: skip
        total = ("Programme as a whole", self.total, self.total_low, self.total_high, self.people_periods, self.reason)
        frame = pd.concat([self.pieces, pd.DataFrame([total], columns=list(labels))], ignore_index=True)
        frame["reason"] = frame["reason"].fillna("").replace("", "given")
        return from_frame(frame, f"Where the result came from: {self.outcome.label}", labels, note=" ".join(self.notes))

    def __repr__(self) -> str:
        return self.table().to_text(110)

    def _repr_html_(self) -> str:
        return self.table().to_html()


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece of the total before it is worked out. weights: of the rows of the decomposition's stacked estimate.
    reason: why it is nothing, where all weights are 0."""

    label: str
    kind: str
    members: tuple[str, ...]
    weights: np.ndarray
    people_periods: float
    reason: str = ""


def attribution_of(evaluation: Evaluated, outcome: Outcome) -> Attribution:
    """The programme's total on one outcome and its pieces."""
    parts = decompose(evaluation, outcome)
    interactions = parts.tested.table  # made before the pieces, which need them
    programme, pieces = parts.programme, list(_pieces(parts))
    given = [piece for piece in pieces if piece.weights.any()]
    estimate, frame = None, pd.DataFrame(columns=[*_NUMBERS, "reason"])
    if given:
        matrix = np.array([*(g.weights for g in given), *([] if programme is None else [parts.total()])])
        estimate = _contrast(parts, matrix, [*(g.label for g in given), *([] if programme is None else ["total"])])
        if programme is not None:  # the total is the sum of its pieces up to rounding: made so to the last digit
            value = estimate.value.copy()
            value[-1] = value[:-1].sum()
            estimate = replace(estimate, value=value)
        frame = _numbers(parts, matrix, estimate)
    total = {} if programme is None or not given else dict(frame.iloc[-1])
    found, low, high = (float(total.get(n, np.nan)) for n in ("estimate", "conf_low", "conf_high"))
    gross = np.nan if programme is None else programme.gross
    return Attribution(
        outcome, evaluation.level, _piece_table(parts, pieces, frame),
        found, low, high,
        str(total.get("reason", "")) if total else "no exposed people period can be set against untreated ones",
        gross, gross - found, 0.0 if programme is None else parts.periods(np.ones(parts.shape)),
        estimate, _orders(parts), _shapley(parts), interactions, _notes(parts),
    )  # fmt: skip


def label_of(study: Study, members: Sequence[str], last: str = "and") -> str:
    """Labels of components, joined."""
    return join_words((study.component(m).label for m in members), last)


def why_none(finding: Finding) -> str:
    """Why a component has no estimate of its own."""
    if finding.headline is not None:
        return finding.headline.reason or "its headline has no cells that could be added up"
    if finding.status in ESTIMATED:
        return "no design that an evaluation runs could estimate it here"
    return finding.reason


def _pieces(parts: Decomposition) -> Iterator[Piece]:
    """In the register's order."""
    study = parts.evaluation.study
    for c in parts.claims:
        alone = len(c.members) == 1
        label = label_of(study, c.members) if alone else label_of(study, c.members, "with") + ", together"
        outside = "none of the people periods claimed for it lie in the programme's total"
        kind, claimed = "own" if alone else "bundle", parts.claimed(c.name)
        yield Piece(label, kind, c.members, parts.alone(c.name), claimed, outside)
    for pair in parts.pairs:
        label = f"{label_of(study, pair)} together, beyond the sum"
        yield Piece(label, "interaction", pair, parts.together(pair), parts.overlap(pair)[2])
    if parts.programme is None:
        return
    for i, group in enumerate(parts.groups):
        periods = parts.periods(parts.kinds[f"group {i}"])
        if periods > 0:
            label = f"{label_of(study, group)}: cannot be told apart"
            yield Piece(label, "undivided", group, parts.residual(f"group {i}"), periods)
    for kind, label, none in _RESIDUALS:
        yield Piece(label, kind, (), parts.residual(kind), parts.periods(parts.kinds[kind]), none)


def _contrast(parts: Decomposition, matrix: np.ndarray, names: Sequence[str]) -> Estimate:
    made = parts.stacked.contrast(matrix, name="attribution")
    words = {"component": list(names), "estimand": "sum over people periods", "population": "as the piece says"}
    return made.with_labels(**words)


def _numbers(parts: Decomposition, matrix: np.ndarray, estimate: Estimate) -> pd.DataFrame:
    """estimate, std_error, conf_low, conf_high, df, reason of each sum of rows. Across levels each row keeps its own
    standard error, so that a piece that is one headline has that headline's interval; rows are joined by their analytic
    correlation, with the smallest df of the rows in a sum."""
    level = parts.evaluation.level
    frame = estimate.to_frame(level)
    if parts.stacked.pieces:
        rows = parts.stacked.to_frame(level)
        own = rows["std_error"].to_numpy(dtype=float)
        se, df = parts.stacked.joint().of_sums(matrix)
        reach = critical(df, level) * se
        lost = [next((str(r) for r in rows["reason"][(weights != 0) & np.isnan(own)]), "") for weights in matrix]
        frame = frame.assign(
            std_error=se, conf_low=frame["estimate"] - reach, conf_high=frame["estimate"] + reach, df=df,
            reason=[a or b for a, b in zip(frame["reason"], lost, strict=True)],
        )  # fmt: skip
    return frame[[*_NUMBERS, "df", "reason"]]


def _piece_table(parts: Decomposition, pieces: Sequence[Piece], frame: pd.DataFrame) -> pd.DataFrame:
    """The pieces, with the rows of `frame` (numbers of those with weights, in their order); then what is not given."""
    numbers, rows = iter(frame.to_dict("records")), []
    for piece in pieces:
        given = bool(piece.weights.any())
        found = next(numbers) if given else {"estimate": 0.0, "reason": piece.reason}
        if not piece.people_periods and piece.kind in ("own", "bundle"):
            found = {"reason": found["reason"]}
        rows.append({"piece": piece.label, "kind": piece.kind, "components": piece.members, **found,
                     "people_periods": piece.people_periods})  # fmt: skip
    named, study = {m for piece in pieces for m in piece.members}, parts.evaluation.study
    for f in parts.evaluation.findings:
        if f.outcome == parts.outcome and f.component not in named:
            reason = ("outside the total: " if f.status == "not_tested" else "") + why_none(f)
            rows.append({"piece": study.component(f.component).label, "kind": "not_given",
                         "components": (f.component,), "people_periods": 0.0, "reason": reason})  # fmt: skip
    return pd.DataFrame(rows, columns=list(PIECES))


def _orders(parts: Decomposition) -> pd.DataFrame:
    """last_in and first_in of each component with an effect of its own."""
    rows = []
    for c in (c for c in parts.claims if len(c.members) == 1 and parts.claimed(c.name)):
        met = [b for b, on in parts.on.items() if b != c.name and parts.periods(parts.share[c.name] * on) > 0]
        untested = [b for b in met if not any({c.name, b} == set(p) for p in parts.pairs)]
        why = f"needs a test of what it does together with {label_of(parts.evaluation.study, untested)}"
        for order, weights in (("last_in", parts.last_in(c.name)), ("first_in", parts.alone(c.name))):
            given = order == "last_in" or not untested
            found = _one(parts, weights) if given else {"reason": why}
            rows.append({"component": c.name, "order": order, **found, "people_periods": parts.claimed(c.name)})
    return pd.DataFrame(rows, columns=["component", "order", *_NUMBERS, "people_periods", "reason"])


def _shapley(parts: Decomposition) -> pd.DataFrame:
    """Own effect and half of each interaction, for components and bundles that are identified."""
    rows = []
    for c in (c for c in parts.claims if parts.claimed(c.name)):
        weights = parts.alone(c.name)
        for pair in (p for p in parts.pairs if c.name in p):
            weights = weights + parts.together(pair) / 2
        rows.append({"components": c.members, **_one(parts, weights), "note": SHAPLEY})
    return pd.DataFrame(rows, columns=["components", *_NUMBERS, "reason", "note"])


def _one(parts: Decomposition, weights: np.ndarray) -> dict[str, object]:
    return dict(_numbers(parts, weights[None], _contrast(parts, weights[None], ["one"])).iloc[0])


def _notes(parts: Decomposition) -> tuple[str, ...]:
    out, study, programme = [], parts.evaluation.study, parts.programme
    for c in parts.claims if programme is not None else ():
        whole = float(c.mass.sum())
        if round(parts.claimed(c.name)) < round(whole):
            periods = count_words(round(whole), "people period").replace(" ", TIE, 1)
            claimed = of_people(f"{parts.claimed(c.name):,.0f}", "of")
            out.append(f"{label_of(study, c.members)}: {claimed} {periods} lie in the total; "
                       "for the rest nobody untreated was left to compare with.")  # fmt: skip
    if programme is not None and programme.arrival is not None:
        within = within_words(names_of(study), programme.arrival)
        out.append(f"What would have been without the programme is read among those who came onto the record {within}.")
    if programme is not None and parts.outcome.kind == "log":
        out.append("The outcome is a logarithm: divided by people periods and times 100, a sum is about per cent.")
    table = parts.evaluation.separability.components
    outside = table.loc[table["status"] == "not_tested", "component"].tolist()
    if outside:
        out.append(f"Outside the total: {label_of(study, outside)}, which nothing here can test.")
    return tuple(out)
