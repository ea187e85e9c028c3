"""The evidence card: what one study found about each of its components on one outcome, as one small JSON.

It holds estimates, their covariance at the level of clusters, refusals with their reasons, and what a pool has to know
of outcome, estimand and population. It never holds a unit's row, influence, a cluster's sum, nor an estimate without
one cluster: the last would give back that cluster's own contribution.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.special import stdtrit

from evalkit.errors import EvalkitError, Problem
from evalkit.folders import put
from evalkit.pooling.export import Exported, fhir_evidence, rows_csv
from evalkit.pooling.parts import (
    CardComponent,
    CardOutcome,
    Count,
    Estimand,
    Name,
    Part,
    Population,
    Provenance,
    Row,
    Words,
)
from evalkit.show.numbers import scale_for
from evalkit.show.tables import Table, make_table
from evalkit.show.words import file_name, join_words
from evalkit.study.component import CARD
from evalkit.study.schema import unprintable
from evalkit.vocabulary import CheckStatus

SCHEMA, VERSION = "evalkit/evidence-card", "1.1"
TIDIER = (*CARD, "what")
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")


class Card(Part):
    """An evidence card. Raises `pydantic.ValidationError` with everything that does not hold together.

    clusters_changed: clusters that are in only one of this version and that which it supersedes. data_fingerprint: of
    clusters and dates; cluster_fingerprint: of clusters alone (both of it since version 1.1).
    """

    schema_: Literal["evalkit/evidence-card"] = Field(alias="schema", default="evalkit/evidence-card")
    version: Literal["1.0", "1.1"] = "1.1"
    study: Name
    supersedes: Words | None = None
    clusters_changed: Count | None = None
    data_fingerprint: Name
    cluster_fingerprint: Name | None = None
    outcome: CardOutcome
    estimand: Estimand
    population: Population
    components: Mapping[str, CardComponent] = Field(min_length=1)
    rows: tuple[Row, ...]
    covariance: tuple[tuple[float, ...], ...]
    covariance_level: Words
    checks: Mapping[str, CheckStatus | Literal["not_possible"]] = Field(default_factory=dict)
    provenance: Provenance

    @model_validator(mode="after")
    def _holds_together(self) -> Card:
        if problems := list(_problems(self)):
            raise ValueError("\n".join(problems))
        return self

    @cached_property
    def numbered(self) -> tuple[Row, ...]:
        """Rows with an estimate, in the order of the covariance."""
        return tuple(r for r in self.rows if r.estimate is not None)

    @cached_property
    def vcov(self) -> np.ndarray:
        """(k, k) covariance of the rows with an estimate."""
        k = len(self.numbered)
        return np.array(self.covariance, dtype=float).reshape(k, k)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Card:
        """A copy with some fields changed, held to the same rules as any card."""
        return Card.model_validate({name: getattr(self, name) for name in Card.model_fields} | dict(update or {}))

    @property
    def key(self) -> str:
        """What names this very version: a hash of everything in it."""
        text = json.dumps(self.as_data(), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """How messages name the card: its study and outcome."""
        return f"{self.study}, {self.outcome.id}"

    def as_data(self) -> dict[str, Any]:
        """The card as JSON holds it; what was left empty is left out."""
        return {k: _pruned(v) for k, v in self.model_dump(mode="json", by_alias=True, exclude_none=True).items()}

    def to_json(self) -> str:
        """The card as text, a line for each part and row."""
        return "{" + ",\n ".join(f'"{k}": {_lines(v)}' for k, v in self.as_data().items()) + "}\n"

    @property
    def file(self) -> str:
        """Name of the file that holds the newest version."""
        return f"{file_name(self.study)}.{file_name(self.outcome.id)}.json"

    @property
    def clusters(self) -> int:
        """Clusters of the study, or the most that a row counts."""
        counted = (sum(r.clusters) for r in self.rows if r.clusters is not None)
        return self.population.clusters or max(counted, default=0)

    def save(self, folder: str | Path) -> Path:
        """Write the card into a folder of cards, in place of the version that it supersedes; the file's path.

        Raises `EvalkitError` where another version lies there that it does not supersede, where it adds, drops or
        exchanges so few clusters that the two versions would give them away, and where the study was withdrawn.
        """
        place = Path(folder) / self.file
        for withdrawn in (f"{file_name(self.study)}.withdrawn.json", self.file.replace(".json", ".withdrawn.json")):
            if (place.parent / withdrawn).exists():
                advice = "Take the tombstone away where it is to be shown again."
                raise EvalkitError(str(Problem(f"The card {self.name!r} was withdrawn", withdrawn, advice)))
        if place.exists():
            before = earlier_card(place, self.file)
            if before.key == self.key:
                return place
            self.check_follows(before)
        return put(place, self.to_json().encode())

    def check_follows(self, before: Card) -> None:
        """Raise `EvalkitError` unless this card may take the place of an earlier version."""
        if self.supersedes != before.key:
            advice = f"Make it with supersedes={before.key!r}, or give the study another id."
            raise EvalkitError(str(Problem(f"There is a card of {self.name!r} already", before.file, advice)))
        changed, fewest = self._changed_since(before), self.provenance.disclosure.min_clusters
        if changed is None:
            what = f"The new card of {self.name!r} has as many clusters as the one before, and not the same"
            advice = "Make it with before=, the study of the earlier card (evalkit card --before), which counts them."
            raise EvalkitError(str(Problem(what, before.file, advice)))
        if 0 < changed < fewest:
            what = f"The new card of {self.name!r} differs by {changed} of its clusters, which the two would give away"
            raise EvalkitError(str(Problem(what, before.file, f"Wait until {fewest} or more are added.")))

    def _changed_since(self, before: Card) -> int | None:
        """Clusters that are in one of two versions only, as it says, or at least as their numbers differ by; None where
        some were exchanged for others and nothing says how many."""
        added, ours, theirs = abs(self.clusters - before.clusters), self.cluster_fingerprint, before.cluster_fingerprint
        if self.clusters_changed or added:
            return max(self.clusters_changed or 0, added)
        if ours and theirs:
            return 0 if ours == theirs else None
        dates = self.population.dates  # of cards before 1.1 the one fingerprint tells of clusters where dates are alike
        alike = dates is None or dates != before.population.dates or self.data_fingerprint == before.data_fingerprint
        return 0 if alike else None

    def to_csv(self) -> str:
        """Rows with a number in metafor's shape: study, row, component, yi, vi, df, verdict."""
        return rows_csv(
            (self.study, r.id, "+".join(r.members), r.estimate, float(self.vcov[i, i]), r.df, r.verdict)
            for i, r in enumerate(self.numbered)
        )

    def to_fhir(self, level: float = 0.95) -> list[dict[str, Any]]:
        """A FHIR R5 Evidence resource for each row with a number; refusals and covariance have no place there."""
        out = []
        for i, r in enumerate(self.numbered):
            error, estimate = float(self.vcov[i, i]) ** 0.5, float(r.estimate or 0.0)
            reach = float(stdtrit(r.df or np.inf, (1 + level) / 2)) * error
            what = join_words(self.components[m].label or m for m in r.members)
            title = f"{what}: {self.outcome.label} ({self.study})"
            out.append(fhir_evidence(Exported(
                title, self.outcome, self.population.description, what, estimate,
                estimate - reach, estimate + reach, error, level, r.verdict, notes=r.weaknesses,
                date=self.provenance.made,
            )))  # fmt: skip
        return out

    def table(self) -> Table:
        """What the card says, row by row."""
        scale = scale_for([r.estimate for r in self.numbered if r.estimate is not None], self.outcome.kind)
        rows = [
            (
                r.id,
                r.verdict.replace("_", " "),
                r.reason if r.estimate is None else scale.effect(r.estimate) + scale.tail,
            )
            for r in self.rows
        ]
        return make_table(f"{self.study}: {self.outcome.label}", ("Row", "Verdict", "Found, or why not"), rows)

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def __str__(self) -> str:
        return self.table().to_text(110)

    __repr__ = __str__


def earlier_card(found: Path | str, name: str) -> Card:
    """The card that lies where another is to be written, from its file or its text. Raises `EvalkitError` where it is
    none of this version: nothing is written over what cannot be read."""
    try:
        return Card.model_validate_json(found if isinstance(found, str) else found.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # which pydantic's and Unicode's errors are too
        what = "What lies where the card is to be written is no card of this version"
        raise EvalkitError(str(Problem(what, name, "Move it away, or write the card into another folder."))) from None


def _pruned(value: Any) -> Any:
    """Without words, lists and tables that are empty inside another."""
    if isinstance(value, dict):
        return {k: _pruned(v) for k, v in value.items() if v not in ("", [], {})}
    return [_pruned(v) for v in value] if isinstance(value, list) else value


def _lines(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
        return "[\n  " + ",\n  ".join(json.dumps(v, ensure_ascii=False) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of a card (draft 2020-12)."""
    made = Card.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{SCHEMA}/{VERSION}", **made}


def _problems(card: Card) -> Iterator[str]:
    """Everything that pydantic cannot see of a card: what has to go with what."""
    known = set(card.components)
    own = {next(iter(r.members)) for r in card.rows if r.kind == "component" and len(r.members) == 1}
    for name in card.components:
        if name not in own:
            yield f"the registered component {name!r} has no row of its own (a refusal with its reason is a row too)"
    for name, times in Counter(r.id for r in card.rows).items():
        if times > 1:
            yield f"the row id {name!r} is there {times} times"
    for name, part in card.components.items():
        if lack := sorted(set(part.tidier) - set(TIDIER)):
            yield f"components.{name}.tidier has no item {lack[0]!r} (it has {', '.join(sorted(TIDIER))})"
    for row in card.rows:
        yield from (f"row {row.id!r}: {words}" for words in _row_problems(row, known, card))
    yield from _covariance_problems(card)
    if card.population.dates is not None:
        first, last = card.population.dates
        if not (_DATE.fullmatch(first) and _DATE.fullmatch(last)) or first[: len(last)] > last[: len(first)]:
            yield f"population.dates {first!r} to {last!r} are not two dates in order (YYYY, YYYY-MM or YYYY-MM-DD)"
    if not _DATE.fullmatch(card.provenance.made):
        yield f"provenance.made {card.provenance.made!r} is no date"
    if unprintable(card.study) or any(s in card.study for s in "/\\"):
        yield f"study {card.study!r} cannot name a file: leave out slashes and signs that do not print"


def _row_problems(row: Row, known: set[str], card: Card) -> Iterator[str]:
    for what, names in (("members", row.members), ("alongside", row.alongside)):
        if strange := sorted(set(names) - known):
            yield f"{what} names {strange[0]!r}, which is not among the components"
    if not all(np.isfinite(w) and w != 0 for w in row.members.values()):
        yield "a member's weight is 0: leave it out"
    if row.kind == "component" and (len(row.members) != 1 or set(row.members.values()) != {1.0}):
        yield "a row of kind component has one member, with weight 1"
    if row.months is not None and row.months[0] > row.months[1]:
        yield f"months {list(row.months)} are not in order"
    if row.estimate is None:
        if not row.reason.strip():
            yield "there is no estimate, and no reason why"
        if row.verdict in ("shown", "no_sign"):
            yield f"the verdict {row.verdict} needs an estimate"
        return
    if row.df is None:
        yield "an estimate needs its degrees of freedom, df"
    if row.kind == "component" and row.verdict in ("not_tested", "cannot_tell_apart"):
        yield f"the verdict {row.verdict} allows no estimate of the component alone"
    if card.outcome.kind == "share" and abs(row.estimate) > 1:
        yield f"an effect of {row.estimate:g} on a share is not between -1 and 1: 5 percentage points are 0.05"
    fewest = card.provenance.disclosure.min_clusters
    if row.clusters is not None and min(row.clusters) < fewest:
        yield f"an estimate from fewer than {fewest} exposed or comparison clusters would be theirs: leave it out"


def _covariance_problems(card: Card) -> Iterator[str]:
    k = sum(r.estimate is not None for r in card.rows)
    if len(card.covariance) != k or any(len(line) != k for line in card.covariance):
        yield f"covariance is not {k} by {k}, one line for each row with an estimate"
        return
    if k == 0:
        return
    v = np.array(card.covariance)
    scale = np.sqrt(np.maximum(np.diag(v), 0.0))
    if not scale.all():
        yield "covariance has a variance that is not above 0"
    elif not np.allclose(v, v.T, rtol=1e-6, atol=0):
        yield "covariance is not symmetric"
    elif np.linalg.eigvalsh(v / np.outer(scale, scale))[0] < 1e-6:
        yield "covariance is not positive definite (rounding can do that: keep more digits)"
