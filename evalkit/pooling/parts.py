"""The parts of an evidence card: outcome, estimand, population, components, rows, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from evalkit.vocabulary import Better, OutcomeKind, VerdictName

MIN_CLUSTERS = 3

Words = Annotated[str, Field(max_length=400)]
Name = Annotated[str, Field(min_length=1, max_length=120)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
RowKind = Literal["component", "combination", "programme"]
Whom = Literal["reached", "everybody"]


class Part(BaseModel):
    """A frozen part of a card; keys that it does not know are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class CardOutcome(Part):
    """The outcome; matters: the smallest effect worth having, in its unit."""

    id: Name
    label: Words
    kind: OutcomeKind
    unit: Words
    better: Better
    matters: Annotated[float, Field(gt=0)] | None = None
    measured: Words = ""


class Estimand(Part):
    """What the numbers are about. whom: people reached, or everybody; period: what months count."""

    kind: Literal["att", "ate", "itt"] = "att"
    whom: Whom
    weights: Words = ""
    others: Words = ""
    base_window: Annotated[int, Field(ge=1)] | None = None
    period: Words = "month"


class Population(Part):
    """For whom and where. people: a band, never a count. dates: first and last, as YYYY, YYYY-MM or YYYY-MM-DD."""

    description: Words
    place: Name | None = None
    dates: tuple[str, str] | None = None
    people: Words | None = None
    baseline: float | None = None
    clusters: Count | None = None


class UnitCost(Part):
    """What one unit exposed for one period costs."""

    amount: Annotated[float, Field(ge=0)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "GBP"
    price_year: Annotated[int, Field(ge=1900, le=2200)] | None = None


class CardComponent(Part):
    """One registered component. term: what it is called across places; matched by a person. tidier: what it is."""

    term: Name | None = None
    label: Words = ""
    assigned_at: Words = ""
    tidier: Mapping[str, Words] = Field(default_factory=dict)
    unit_cost: UnitCost | None = None


class Row(Part):
    """What was found of one component, a combination or the programme, or why there is no number.

    members: weights by component. alongside: share of the cells in which each other component was on too. months:
    first and last period since the start. clusters: exposed, comparison. reach: share of people it can reach."""

    id: Name
    kind: RowKind
    members: Mapping[str, float] = Field(min_length=1)
    alongside: Mapping[str, Share] = Field(default_factory=dict)
    estimate: float | None = None
    df: Annotated[float, Field(gt=0)] | None = None
    verdict: VerdictName
    reason: Words = ""
    design: Words = ""
    reach: Annotated[float, Field(gt=0, le=1)] | None = None
    months: tuple[int, int] | None = None
    clusters: tuple[Count, Count] | None = None
    weaknesses: tuple[Words, ...] = ()


class CardDisclosure(Part):
    """The rules under which the card was written; rounded: significant digits."""

    profile: Name
    min_people: Count = 0
    min_clusters: Count = MIN_CLUSTERS
    rounded: Annotated[int, Field(ge=1)] = 3


class Provenance(Part):
    """What the card was made from and by."""

    evalkit: Words
    study_file: Words | None = None
    plan: Words | None = None
    disclosure: CardDisclosure
    indigo: Words | None = None
    licence: Words | None = None
    made: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Withdrawal(Part):
    """A tombstone: every version of a study's card on an outcome is withdrawn (outcome None: on all of them)."""

    schema_: Literal["evalkit/withdrawn-card"] = Field(alias="schema", default="evalkit/withdrawn-card")
    version: Literal["1.0"] = "1.0"
    study: Name
    outcome: Name | None = None
    reason: Words = ""
    made: Words = ""
