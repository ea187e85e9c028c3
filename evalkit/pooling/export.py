"""What others can read: FHIR R5 Evidence, one resource an estimate, and rows in the shape that metafor expects.

FHIR has no place for a covariance across rows, nor for a refusal: the export loses both and says so in a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.pooling.parts import CardOutcome
from evalkit.show.tables import csv_text

LOSSY = (
    "Exported from evalkit. The covariance with other components, and components without an estimate with the reasons"
    " why, have no place in this format."
)
_ROLES = "http://hl7.org/fhir/variable-role"
ROWS = ("study", "row", "component", "yi", "vi", "df", "verdict")


@dataclass(frozen=True)
class Exported:
    """One estimate to hand on. studies: how many it rests on. notes: in words."""

    title: str
    outcome: CardOutcome
    population: str
    exposure: str
    estimate: float
    low: float
    high: float
    std_error: float
    level: float
    verdict: str
    studies: int = 1
    notes: tuple[str, ...] = ()
    date: str = ""


def fhir_evidence(one: Exported) -> dict[str, Any]:
    """A FHIR R5 Evidence resource: estimate with its range and standard error, population, exposure, outcome, verdict.

    The verdict stands as a certainty in words, because none of FHIR's codes means the same.
    """
    unit = {"unit": one.outcome.unit}
    certainty = {"description": "evalkit's verdict", "rating": {"text": one.verdict.replace("_", " ")}}
    made = {
        "resourceType": "Evidence",
        "status": "active",
        "title": one.title,
        "note": [{"text": words} for words in (LOSSY, *one.notes)],
        "variableDefinition": [
            _variable("population", one.population),
            _variable("exposure", one.exposure),
            _variable("referenceExposure", f"Without {one.exposure}"),
            _variable("measuredVariable", one.outcome.label),
        ],
        "statistic": [
            {
                "description": "Mean difference" if one.outcome.kind != "log" else "Difference of logs",
                "statisticType": {"text": "Mean difference" if one.outcome.kind != "log" else "Difference of logs"},
                "quantity": {"value": one.estimate, **unit},
                "sampleSize": {"numberOfStudies": one.studies},
                "attributeEstimate": [
                    {
                        "type": {"text": "Confidence interval"},
                        "level": one.level,
                        "range": {"low": {"value": one.low, **unit}, "high": {"value": one.high, **unit}},
                    },
                    {"type": {"text": "Standard error"}, "quantity": {"value": one.std_error, **unit}},
                ],
            }
        ],
        "certainty": [certainty],
    }
    return made | ({"date": one.date} if one.date else {})


def _variable(role: str, words: str) -> dict[str, Any]:
    return {"description": words, "variableRole": {"coding": [{"system": _ROLES, "code": role}]}}


def rows_csv(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV: study, row, component, yi (estimate), vi (its variance), df, verdict."""
    return csv_text(pd.DataFrame([list(r) for r in rows], columns=list(ROWS)))


def matrix_csv(matrix: np.ndarray, names: Sequence[str]) -> str:
    """The covariance of those rows as CSV, for metafor's argument V."""
    return csv_text(pd.DataFrame(matrix, columns=list(names)))
