"""A look: each component by evalkit's own headline, held against the agreed line; and what may be said of it.

Which design speaks, and over which window, is chosen by `evaluation` from exposures alone, as for any study.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit.components import separability
from evalkit.evaluation.ladder import Choices, Run, run, window_of
from evalkit.evaluation.rungs import rungs_for
from evalkit.inference import Estimate
from evalkit.monitor.agreement import Agreement
from evalkit.monitor.bounds import FAR, Adjusted, Held, adjusted, next_bound, sequence_bound, spent, t_of, z_of
from evalkit.monitor.ledger import Ledger
from evalkit.study import Study
from evalkit.vocabulary import ESTIMATED

DIGITS = 10
"""Digits that a look keeps: more depend on the machine."""


@dataclass(frozen=True)
class Seen:
    """What one look saw of one component. influence: what each place added to the estimate. reason: why nothing."""

    estimate: float = math.nan
    std_error: float = math.nan
    df: float = math.nan
    exposed: int = 0
    comparison: int = 0
    design: str = ""
    influence: Mapping[str, float] | None = None
    reason: str = ""

    @property
    def usable(self) -> bool:
        return math.isfinite(self.std_error) and self.std_error > 0

    @property
    def cautious_df(self) -> float:
        """Degrees of freedom for a line: at most twice one less than the places of the smaller arm, and half of what
        all places have. Standard errors of least noise are a little small with few places, and a line that is looked at
        often needs more room than one range (simulated in `benchmarks/watch.py`)."""
        few, all_of_them = min(self.exposed, self.comparison), self.exposed + self.comparison
        return max(min(self.df, 2.0 * (few - 1), (all_of_them - 2) / 2), 1.0)

    def as_data(self) -> dict[str, Any]:
        """As JSON holds it: no value that is none."""
        said = {k: v for k, v in vars(self).items() if v is not None}
        return {k: _digits(v) for k, v in said.items() if not (isinstance(v, float) and not math.isfinite(v))}


def _digits(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _digits(v) for k, v in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def headline(study: Study, row: pd.Series, outcome: str) -> Run | None:
    """The headline of one component as `evaluate` chooses it, run; None where its rollout allows no number.

    row: what separability says of the component."""
    component = str(row["component"])
    if row["status"] not in ESTIMATED:
        return None
    choices = Choices.of(study.settings)
    window = window_of(row, study.component(component).lag, study.paths.n_periods > 1).within(choices.horizon)
    rungs = rungs_for(study, component, str(row["best_design"]), choices, window, outcome)
    chosen = next((r for r in rungs if r.headline), None)
    return None if chosen is None else run(chosen, study, component, window)


def see(study: Study, agreement: Agreement) -> dict[str, Seen]:
    """What a study says now of each component of the agreement."""
    study = study.as_compared()
    rows = separability(study).components.to_dict("records")
    named = {str(r["component"]): pd.Series(r) for r in rows}
    return {c: _seen(study, named[c], agreement.outcome) for c in agreement.components}


def _seen(study: Study, told_apart: pd.Series, outcome: str) -> Seen:
    found = headline(study, told_apart, outcome)
    if found is None:
        return Seen(reason=str(told_apart["reason"]) or "nothing in the rollout can tell yet")
    one = found.answer
    if one is None:
        return Seen(design=found.rung.name, reason=found.reason)
    row = one.row()
    arms = int(row["clusters_exposed"]), _only_comparison(one, int(row["clusters_comparison"]))
    numbers = {k: float(row[k]) for k in ("estimate", "std_error", "df")}
    return Seen(**numbers, exposed=arms[0], comparison=arms[1], design=found.rung.name, influence=_by_place(one),
                reason=str(row["reason"]))  # fmt: skip


def _only_comparison(one: Estimate, all_of_them: int) -> int:
    """Places that serve as comparison only; all of them where there are no refits to tell."""
    if one.replicate is None:
        return all_of_them
    refits = one.replicates
    return int((refits.comparison & ~refits.exposed).any(axis=1).sum())


def _by_place(one: Estimate) -> dict[str, float]:
    """What each place added to the estimate."""
    if one.replicate is None:
        return {}
    refits = one.replicates
    shift = one.value[0] - refits.values[:, 0]
    return {str(n): float(s) for n, s in zip(refits.names, shift, strict=True) if math.isfinite(s) and s != 0}


def data_hash(study: Study, outcome: str) -> str:
    """A name for what a look rests on: who was exposed to what, and the outcome, row by row."""
    whole = hashlib.sha256(np.ascontiguousarray(study.values(outcome)).astype("<f8").tobytes())
    whole.update(np.ascontiguousarray(study.paths.state[study.paths.path]).astype("<i2").tobytes())
    whole.update("\n".join(map(str, study.paths.units.tolist())).encode())
    return whole.hexdigest()


# ---------------------------------------------------------------- against the line


@dataclass(frozen=True)
class Past:
    """Planned looks at one component that gave a number: correlations of each with the one before, bounds, alpha spent
    so far; and what the last one saw."""

    correlations: tuple[float, ...] = ()
    bounds: tuple[float, ...] = ()
    spent: float = 0.0
    last: Mapping[str, float] | None = None
    crossed: str = ""

    @classmethod
    def of(cls, ledger: Ledger, component: str) -> Past:
        """From the ledger."""
        past = cls()
        for look in ledger.looks:
            said = look["components"].get(component, {})
            if look["planned"] and "bound" in said:
                crossed = past.crossed or (look["through"] if said["crossed"] else "")
                past = Past(
                    (*past.correlations, said["correlation"]),
                    (*past.bounds, said["bound"]),
                    said["spent"],
                    said["influence"],
                    crossed,
                )
        return past


def correlation(before: Mapping[str, float] | None, now: Mapping[str, float] | None) -> float:
    """Correlation of two looks at one component: of what each place added to both. 0 for a first look."""
    if not before or not now:
        return 0.0
    places = sorted(set(before) | set(now))
    a, b = (np.array([x.get(p, 0.0) for p in places]) for x in (before, now))
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(a @ b / length, 0.0, 1.0)) if length > 0 else 0.0


def planned_look(ledger: Ledger, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
    """What a planned look says of each component: what was seen, alpha spent, bound, and whether it was crossed.

    Alpha is one purse. Each component that has not crossed yet has an equal part of it; when one crosses, the others
    share its part from this look on (Holm's rule over looks; Maurer and Bretz 2013, Statistics in Biopharmaceutical
    Research 5).
    """
    agreement = ledger.agreement
    assert agreement is not None
    number = sum(look["planned"] for look in ledger.looks) + 1
    final, share = number >= len(agreement.looks), number / len(agreement.looks)
    pasts = {c: Past.of(ledger, c) for c in agreement.components}
    open_ones = [c for c in agreement.components if not pasts[c].crossed]
    said = {c: seen[c].as_data() for c in agreement.components}
    left = list(open_ones)
    while left:
        alpha = agreement.alpha / len(left)
        lines = {c: _line(pasts[c], seen[c], spent(share, alpha), final, agreement) for c in left if seen[c].usable}
        over = [c for c in lines if lines[c]["crossed"]]
        for c in over or left:
            said[c] |= {**lines.get(c, {}), "alpha": _digits(alpha)}
        left = [c for c in left if c not in over] if over else []
    return {c: {k: _digits(v) for k, v in s.items()} for c, s in said.items()}


def _line(past: Past, seen: Seen, may_spend: float, final: bool, agreement: Agreement) -> dict[str, Any]:
    """The line for one component at one look."""
    r = correlation(past.last, seen.influence)
    early = min(seen.exposed, seen.comparison) < agreement.fewest and not final
    bound = FAR if early else next_bound((*past.correlations, r), past.bounds, may_spend - past.spent)
    df = seen.cautious_df
    t = seen.estimate / seen.std_error
    z = z_of(t, df)
    reach = t_of(bound, df) * seen.std_error if bound < FAR else math.nan
    over = bool(abs(z) >= bound < FAR)
    line = {"correlation": r, "bound": bound, "spent": past.spent if bound >= FAR else may_spend, "z": z,
            "information": 1 / seen.std_error**2, "crossed": over}  # fmt: skip
    if math.isfinite(reach):
        line |= {"low": seen.estimate - reach, "high": seen.estimate + reach}
    return line


def unplanned_look(ledger: Ledger, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
    """What a look that nobody planned says: ranges that hold whenever one looks, and no line to cross."""
    agreement = ledger.agreement
    assert agreement is not None
    alpha = agreement.alpha / max(len(agreement.components), 1)
    said = {}
    for c in agreement.components:
        said[c] = seen[c].as_data()
        if seen[c].usable:
            information = 1 / seen[c].std_error ** 2
            first = _first_information(ledger, c) or information
            reach = t_of(sequence_bound(information, first, alpha), seen[c].cautious_df) * seen[c].std_error
            said[c] |= {"information": information, "low": seen[c].estimate - reach, "high": seen[c].estimate + reach}
    return {c: {k: _digits(v) for k, v in s.items()} for c, s in said.items()}


def _first_information(ledger: Ledger, component: str) -> float:
    """The information of the first look at a component that gave a number: what a sequence of looks is narrowest at,
    since that must not move with the looks. 0 where there is none."""
    said = (look["components"].get(component, {}).get("information") for look in ledger.looks)
    return next((float(x) for x in said if x), 0.0)


def after_crossing(ledger: Ledger, component: str) -> Adjusted | None:
    """The adjusted estimate of a component at the look at which it crossed; None where it has not."""
    held = []
    for look in ledger.looks:
        said = look["components"].get(component, {})
        if look["planned"] and "bound" in said:
            held.append(_held(said))
            if said["crossed"]:
                return adjusted(held)
    return None


def _held(said: Mapping[str, Any]) -> Held:
    """A look at one component as the record has it."""
    seen = Seen(**{k: said[k] for k in ("estimate", "std_error", "exposed", "comparison")}, df=said.get("df", math.inf))
    return Held(seen.estimate, seen.std_error, seen.cautious_df, said["bound"], said["correlation"])


LOOKS = ("look", "through", "known", "planned", "component", "estimate", "std_error", "low", "high", "information",
         "spent", "bound", "z", "crossed", "exposed", "comparison", "design", "reason", "data")  # fmt: skip


def look_table(ledger: Ledger) -> pd.DataFrame:
    """A row a look and component."""
    rows = [
        {**{k: v for k, v in look.items() if k != "components"}, "component": name, **said}
        for look in ledger.looks
        for name, said in look["components"].items()
    ]
    table = pd.DataFrame(rows).reindex(columns=list(LOOKS))
    return table.assign(bound=table["bound"].where(table["bound"].astype(float) < FAR))
