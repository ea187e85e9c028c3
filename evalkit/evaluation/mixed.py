"""Several components at one time: what every mix did, with one joint covariance, and from that the programme's total
and its pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from evalkit.designs.people.mixes import FEWEST, MixComparison, MixMeans
from evalkit.errors import NotIdentifiedError, OptionError, StudyError
from evalkit.evaluation.decomposition.at_once import mix_means
from evalkit.evaluation.decomposition.attribute import PIECES, SHAPLEY, Attribution, attribution_of, label_of
from evalkit.evaluation.decomposition.interactions import COLUMNS
from evalkit.evaluation.evidence import Evaluated
from evalkit.inference import Estimate
from evalkit.show.words import of_people
from evalkit.study import Outcome, Study

MIXES = ("outcome", "effect", "kind", "estimate", "std_error", "conf_low", "conf_high", "p_value", "reason")
_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")
_ATE = "Effects are those that everybody in the mixes compared would have had, times the people who had each mix."


def asks(study: Study) -> bool:
    """Whether mixes can be asked for: several components, or one of several doses, and people seen once."""
    paths = study.paths
    return paths.n_periods == 1 and (len(paths.components) > 1 or any(len(d) > 1 for d in paths.doses))


def mixes_table(study: Study, level: float, fewest: int) -> pd.DataFrame:
    """Every effect that the mixes identify, on every outcome: each mix against none, each component at each value of
    the others, and what two do beyond their sum. A row with its reason where there are none. fewest: people of a mix
    below which it is not told of."""
    tables = []
    for outcome in study.outcomes:
        found, why = _asked(study, outcome)
        if found is None:
            tables.append(pd.DataFrame([{"outcome": outcome.column, "reason": why}], columns=list(MIXES)))
            continue
        table = found.to_frame(level)
        hidden = (table["smallest_mix"] < fewest).to_numpy()
        table.loc[hidden, [*_NUMBERS, "p_value"]] = np.nan
        table.loc[hidden, "reason"] = "too few people had one of its mixes"
        tables.append(table[list(MIXES)])
    return pd.concat([t.astype(object) for t in tables], ignore_index=True).infer_objects()


def _asked(study: Study, outcome: Outcome) -> tuple[Estimate | None, str]:
    try:
        return MixComparison(outcome=outcome.column)(study), ""
    except (NotIdentifiedError, OptionError, StudyError) as error:
        return None, str(error)


def attribution_on(evaluation: Evaluated, outcome: Outcome) -> Attribution:
    """The programme's total on one outcome and its pieces: by mixes where several components are seen at one time."""
    paths = evaluation.study.paths
    at_once = paths.n_periods == 1 and len(paths.components) > 1
    made = attribution_of_mixes(evaluation, outcome) if at_once else None
    return attribution_of(evaluation, outcome) if made is None else made


@dataclass(frozen=True, eq=False)
class _Sum:
    """A piece: weights (G,) of the means of mixes."""

    label: str
    kind: str
    members: tuple[str, ...]
    weights: np.ndarray
    people: float


def attribution_of_mixes(evaluation: Evaluated, outcome: Outcome) -> Attribution | None:
    """The total over all who had something, and its pieces: what each component did alone, what sets of them did beyond
    that, and what mixes without their parts leave undivided. None where no mix stands beside people with none."""
    study = evaluation.study
    means = mix_means(study, outcome)
    if means is None:
        return None
    pieces = list(_pieces(means, study))
    total = np.sum([p.weights for p in pieces], axis=0)
    whole = [
        *pieces,
        _Sum("total", "total", (), total, float(means.people.sum() - means.people[means.mixes.index(means.none)])),
    ]
    estimate = means.estimate(study, np.array([p.weights for p in whole]), _labels(whole, outcome))
    frame = estimate.to_frame(evaluation.level)
    rows = [
        {"piece": p.label, "kind": p.kind, "components": p.members, **{c: float(r[c]) for c in _NUMBERS},
         "people_periods": p.people, "reason": ""}
        for p, r in zip(pieces, frame.to_dict("records"), strict=False)
    ]  # fmt: skip
    value, low, high = (float(frame[c].iloc[-1]) for c in ("estimate", "conf_low", "conf_high"))
    had = means.mix != means.mixes.index(means.none)
    gross = float(study.values(outcome)[means.use[had], 0].sum())
    return Attribution(
        outcome, evaluation.level, pd.DataFrame(rows, columns=list(PIECES)), value, low, high, "", gross, gross - value,
        whole[-1].people, estimate,
        _orders(pieces, (means, study), evaluation.level, outcome),
        _shapley(pieces, (means, study), evaluation.level, outcome),
        pd.DataFrame(columns=list(COLUMNS)), _notes(means, study),
    )  # fmt: skip


def _labels(sums: Sequence[_Sum], outcome: Outcome) -> pd.DataFrame:
    return pd.DataFrame({
        "component": [p.label for p in sums], "outcome": outcome.column, "estimand": "sum over people",
        "population": "as the piece says", "outcome_unit": outcome.unit, "reason": "",
    })  # fmt: skip


def _pieces(means: MixMeans, study: Study) -> Iterator[_Sum]:
    """Own effects in the register's order, then sets of components, then mixes of which a part was never seen alone."""
    names, at = study.paths.components, {m: i for i, m in enumerate(means.mixes)}
    found: dict[tuple[int, ...], np.ndarray] = {}
    size: dict[tuple[int, ...], float] = {}
    rest: dict[tuple[int, ...], np.ndarray] = {}
    for mix, people in zip(means.mixes, means.people.astype(float), strict=True):
        on = tuple(k for k, v in enumerate(mix) if v)
        if not on:
            continue
        left = _unit(at, mix) - _unit(at, (0,) * len(mix))
        for of in range(1, len(on) + 1):
            for group in combinations(on, of):
                if (beyond := _beyond(at, mix, group)) is not None:
                    found[group] = found.get(group, 0.0) + people * beyond
                    size[group] = size.get(group, 0.0) + people
                    left = left - beyond
        if np.abs(left).max() > 1e-9:
            rest[on] = rest.get(on, 0.0) + people * left
            size[*on, -1] = size.get((*on, -1), 0.0) + people
    for group in sorted(found, key=lambda g: (len(g), g)):
        members = tuple(names[k] for k in group)
        words = label_of(study, members) + ("" if len(group) == 1 else " together, beyond the sum")
        yield _Sum(words, "own" if len(group) == 1 else "interaction", members, found[group], size[group])
    for on, weights in rest.items():
        members = tuple(names[k] for k in on)
        alone = len(on) == 1
        words = label_of(study, members) + (": not seen alone" if alone else ": cannot be divided further")
        yield _Sum(words, "undivided", members, weights, size[*on, -1])


def _unit(at: dict[tuple[int, ...], int], mix: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.arange(len(at)) == at[mix], dtype=float)


def _beyond(at: dict[tuple[int, ...], int], mix: tuple[int, ...], group: tuple[int, ...]) -> np.ndarray | None:
    """What a group of the mix's components did beyond all its smaller groups, as weights of means; None where a smaller
    one was never seen."""
    out = np.zeros(len(at))
    for of in range(len(group) + 1):
        for some in combinations(group, of):
            part = tuple(v if k in some else 0 for k, v in enumerate(mix))
            if part not in at:
                return None
            out[at[part]] += (-1.0) ** (len(group) - of)
    return out


def _sets_with(piece: _Sum, pieces: Sequence[_Sum]) -> list[_Sum]:
    """What the component of an own effect did together with others."""
    return [q for q in pieces if q.kind == "interaction" and set(piece.members) <= set(q.members)]


def _numbers_of(sums: Sequence[_Sum], of: tuple[MixMeans, Study], level: float, outcome: Outcome) -> pd.DataFrame:
    means, study = of
    if not sums:
        return pd.DataFrame(columns=list(_NUMBERS))
    matrix = np.array([p.weights for p in sums])
    return means.estimate(study, matrix, _labels(sums, outcome)).to_frame(level)[list(_NUMBERS)]


def _orders(pieces: Sequence[_Sum], of: tuple[MixMeans, Study], level: float, outcome: Outcome) -> pd.DataFrame:
    """last_in (added with the others as they were) and first_in (added alone), of components seen alone."""
    sums = []
    for p in (p for p in pieces if p.kind == "own"):
        last = np.sum([p.weights, *(q.weights for q in _sets_with(p, pieces))], axis=0)
        sums += [replace(p, kind="last_in", weights=last), replace(p, kind="first_in")]
    frame = _numbers_of(sums, of, level, outcome)
    named = {"component": [p.members[0] for p in sums], "order": [p.kind for p in sums]}
    made = frame.assign(**named, people_periods=[p.people for p in sums], reason="")
    return made[["component", "order", *_NUMBERS, "people_periods", "reason"]]


def _shapley(pieces: Sequence[_Sum], of: tuple[MixMeans, Study], level: float, outcome: Outcome) -> pd.DataFrame:
    """Own effect and an equal part of what it did together with others, for components seen alone."""
    sums = []
    for p in (p for p in pieces if p.kind == "own"):
        parts = [q.weights / len(q.members) for q in _sets_with(p, pieces)]
        sums.append(replace(p, weights=np.sum([p.weights, *parts], axis=0)))
    frame = _numbers_of(sums, of, level, outcome)
    made = frame.assign(components=[p.members for p in sums], reason="", note=SHAPLEY)
    return made[["components", *_NUMBERS, "reason", "note"]]


def _notes(means: MixMeans, study: Study) -> tuple[str, ...]:
    left = study.paths.n_units - len(means.use)
    if not left:
        return (_ATE,)
    return _ATE, f"Left out: {of_people(f'{left:,}')} of mixes of fewer than {FEWEST}, or not seen."
