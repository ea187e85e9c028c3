"""What `evaluate` found: tables for people, and the estimates behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from evalkit.components import Separability
from evalkit.designs import TwoWayFixedEffects
from evalkit.errors import EvalkitError
from evalkit.evaluation import tables
from evalkit.evaluation.bundles import BundleRun
from evalkit.evaluation.evidence import Finding
from evalkit.inference import Estimate
from evalkit.study import Study
from evalkit.verdicts.rules import Evidence, Verdict

if TYPE_CHECKING:
    from evalkit.evaluation.decomposition.attribute import Attribution
    from evalkit.evaluation.value.money import Value


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything `evaluate` found; every number traces to an Estimate.

    effects: every design tried, a row each. verdicts: one row a component and outcome. bundles:
    identified combinations. checks: one row a check. event_studies: a frame for each (component,
    outcome). leave_one_out: headlines without each cluster. rules: which design is the headline, why.
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
    bundle_runs: tuple[BundleRun, ...] = ()

    def estimate(self, component: str, outcome: str | None = None) -> Estimate | None:
        """The headline Estimate behind a verdict, None where there is none."""
        name = self.study.outcome(outcome).column
        for f in self.findings:
            if (f.component, f.outcome.column) == (component, name):
                return f.answer
        raise EvalkitError(f"There is no component {component!r} in this evaluation.")

    def contamination(self, component: str, outcome: str | None = None) -> pd.DataFrame:
        """What two-way fixed effects would hand `component` of the others' effects (weights, no outcome model)."""
        return TwoWayFixedEffects(outcome=self.study.outcome(outcome).column).contamination(self.study, component)

    @cached_property
    def attribution(self) -> Attribution:
        """What each component can be given of the programme's total, on the first outcome; made when asked for."""
        from evalkit.evaluation.decomposition.attribute import attribute

        return attribute(self)

    @cached_property
    def value(self) -> Value:
        """Value for money on the first outcome; worked out when asked for."""
        from evalkit.evaluation.value.money import value_for_money

        return value_for_money(self)

    def save(self, folder: str, *, raw: bool = False) -> None:
        """Write every frame as CSV into `folder`, as the study's rules of disclosure allow; never unit rows.

        raw: the frames as they are, for those who may see them; small counts of people may stand in them.
        """
        from evalkit.evaluation.safe import safe

        tables.write(tables.frames(self if raw else safe(self)), folder)

    def __repr__(self) -> str:
        return tables.summary(self.study, self.verdicts).to_text()

    def _repr_html_(self) -> str:
        return tables.summary(self.study, self.verdicts).to_html()
