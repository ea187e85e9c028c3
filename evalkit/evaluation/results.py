"""What `evaluate` found: tables for people, and the estimates behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from evalkit.components import Separability
from evalkit.designs import TwoWayFixedEffects
from evalkit.disclosure.rules import Rules
from evalkit.errors import EvalkitError
from evalkit.evaluation import tables
from evalkit.evaluation.bundles import BundleRun
from evalkit.evaluation.evidence import Finding
from evalkit.inference import Estimate
from evalkit.language.statement import Statement
from evalkit.study import Study
from evalkit.verdicts.rules import Evidence, Verdict

if TYPE_CHECKING:
    from evalkit.evaluation.decomposition.attribute import Attribution
    from evalkit.evaluation.value.money import Value


@dataclass(frozen=True, eq=False)
class Protection:
    """What disclosure control left of an evaluation, under which rules.

    flow: who is in and who is missing. log: what was hidden and why, never the number. attribution, value: what is left
    of the whole, None where it would give a hidden effect away.
    """

    rules: Rules
    flow: pd.DataFrame
    log: pd.DataFrame
    attribution: Attribution | None
    value: Value | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything `evaluate` found; every number traces to an Estimate.

    effects: every design tried, a row each. verdicts: one row a component and outcome. bundles:
    identified combinations. checks: one row a check. event_studies: a frame for each (component,
    outcome). leave_one_out: headlines without each cluster. rules: which design is the headline, why.
    decisions, statements: evidence, verdict and what may be said, of each component and outcome.
    protection: None but for what `reporting.safe` returns, whose evidence and tables are as they may be
    published and which holds no findings.
    """

    study: Study
    separability: Separability
    level: float
    seed: int
    plan: Mapping[str, object] | None
    effects: pd.DataFrame
    verdicts: pd.DataFrame
    bundles: pd.DataFrame
    checks: pd.DataFrame
    event_studies: Mapping[tuple[str, str], pd.DataFrame]
    leave_one_out: pd.DataFrame
    rules: Mapping[str, str]
    findings: tuple[Finding, ...]
    decisions: tuple[tuple[Evidence, Verdict], ...]
    statements: tuple[Statement, ...]
    bundle_runs: tuple[BundleRun, ...] = ()
    protection: Protection | None = None

    def estimate(self, component: str, outcome: str | None = None) -> Estimate | None:
        """The headline Estimate behind a verdict, None where there is none."""
        self.check_whole("estimate")
        name = self.study.outcome(outcome).column
        for f in self.findings:
            if (f.component, f.outcome.column) == (component, name):
                return f.answer
        raise EvalkitError(f"There is no component {component!r} in this evaluation.")

    def contamination(self, component: str, outcome: str | None = None) -> pd.DataFrame:
        """What two-way fixed effects would hand `component` of the others' effects (weights, no outcome model)."""
        weights = TwoWayFixedEffects(outcome=self.study.outcome(outcome).column).contamination(self.study, component)
        hidden = self.protection is not None and self.protection.rules.active
        return weights.drop(columns="cells", errors="ignore") if hidden else weights

    def check_whole(self, what: str) -> None:
        """Raise `EvalkitError` where disclosure control took out what `what` is worked out from."""
        if self.protection is not None:
            raise EvalkitError(f"{what} needs the Evaluation that `evaluate` gave, not what may be published of it.")

    @property
    def flow(self) -> pd.DataFrame | None:
        """Who is in and who is missing, as it may be published; None before disclosure control."""
        return None if self.protection is None else self.protection.flow

    def frames(self) -> dict[str, pd.DataFrame]:
        """Name -> frame of everything, as `save` writes them."""
        sep = self.separability
        out = {
            "verdicts": self.verdicts, "effects": self.effects, "separability": sep.components, "pairs": sep.pairs,
            "cure": sep.cure, "checks": self.checks, "bundles": self.bundles, "leave_one_out": self.leave_one_out,
        }  # fmt: skip
        if self.event_studies:
            out["event_studies"] = pd.concat(list(self.event_studies.values()), ignore_index=True)
        if self.protection is not None:
            out |= {"flow": self.protection.flow, "disclosure": self.protection.log}
        return out

    @cached_property
    def attribution(self) -> Attribution | None:
        """What each component can be given of the programme's total, on the first outcome; made when asked for.
        None where disclosure control holds it back."""
        if self.protection is not None:
            return self.protection.attribution
        from evalkit.evaluation.decomposition.attribute import attribute

        return attribute(self)

    @cached_property
    def value(self) -> Value | None:
        """Value for money on the first outcome; worked out when asked for. None where disclosure control holds it
        back, or nothing has a cost."""
        if self.protection is not None:
            return self.protection.value
        from evalkit.evaluation.value.money import value_for_money

        return value_for_money(self)

    def save(self, folder: str, *, raw: bool = False) -> None:
        """Write every frame as CSV into `folder`, as the study's rules of disclosure allow; never unit rows.

        raw: the frames as they are, for those who may see them; small counts of people may stand in them.
        """
        from evalkit.evaluation.safe import safe

        tables.write((self if raw else safe(self)).frames(), folder)

    def __repr__(self) -> str:
        return tables.summary(self.study, self.verdicts).to_text()

    def _repr_html_(self) -> str:
        return tables.summary(self.study, self.verdicts).to_html()
