"""Which combinations of components are identified where single ones are not, and which pairs are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from evalkit.components.circuits import Combination, combinations_of
from evalkit.components.crosssection import enough, overlap
from evalkit.components.facts import Facts
from evalkit.components.status import Audit
from evalkit.components.wording import circuit_words, combination_words
from evalkit.show.words import full_stop

PAIR_COLUMNS = (
    "a", "b", "by_time", "by_place", "by_people", "by_dose", "separable", "clean_switches_a", "clean_switches_b",
)  # fmt: skip


def bundle_table(audit: Audit) -> pd.DataFrame:
    """One row for each identified combination: bundle, kind, members, weights, words."""
    rows = []
    for found in _all(audit):
        names = tuple(audit.paths.components[m] for m in found.members)
        rows.append((
            _title(names, found.weights), found.kind, names, found.weights,
            full_stop(combination_words(found.members, found.weights, found.kind, audit.names)),
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=["bundle", "kind", "members", "weights", "words"])


def groups_of(audit: Audit) -> list[set[int]]:
    """Components that are not told apart from each other: circuits that overlap, and swaps."""
    groups = [set(g) for g in audit.exact.groups]
    return groups + [{k, *audit.swaps[k]} for k in _swapped(audit)]


def _all(audit: Audit) -> list[Combination]:
    found = [c for group in audit.exact.groups for c in combinations_of(audit.exact, group)]
    found += [Combination((k, a), (1.0, -1.0), "swap") for k in _swapped(audit) for a in audit.swaps[k]]
    return found + _flat(audit)


def _swapped(audit: Audit) -> list[int]:
    """Components whose status is a swap by rule, not by an exact circuit."""
    bound = {m for group in audit.exact.groups for m in group}
    return [k for k in audit.swaps if k not in bound and audit.statuses[k].status == "swap_only"]


def _flat(audit: Audit) -> list[Combination]:
    """Sums of effects at the lag that are identified among components told apart only if effects do not grow."""
    flat = [k for k, s in enumerate(audit.statuses) if s.flat]
    sets = [*combinations(flat, 2), *([tuple(flat)] if len(flat) > 2 else [])]
    out = []
    for members in sets:
        lag = max(audit.facts[k].lag for k in members)
        ones = (1.0,) * len(members)
        if audit.events.combination_holds([audit.paths.components[k] for k in members], ones, lag):
            out.append(Combination(members, ones, "sum"))
    return out


def combination_until(audit: Audit, members: Sequence[str], weights: Sequence[float], lag: int) -> int:
    """Last event time from `lag` on up to which the joint event study identifies a combination; -1 for none.

    No later than enough clusters have each member, and enough are still without it.
    """
    index = [audit.paths.index(m) for m in members]
    end = min(audit.facts[k].usable.until(lag) for k in index)
    return audit.events.combination_until(members, weights, lag, end)


def _title(names: tuple[str, ...], weights: tuple[float, ...]) -> str:
    signs = ["" if i == 0 and w > 0 else "+" if w > 0 else "-" for i, w in enumerate(weights)]
    return "".join(f"{s}{n}" for s, n in zip(signs, names, strict=True))


def aliased_words(audit: Audit) -> tuple[str, ...]:
    """Exact dependencies, and swaps, as sentences."""
    exact = [circuit_words(c, audit.paths, audit.names) for c in audit.exact.circuits]
    return tuple(full_stop(w) for w in [*exact, *(audit.statuses[k].reason for k in _swapped(audit))])


def pair_table(audit: Audit) -> pd.DataFrame:
    """For every two components: how they are told apart, and whether they are."""
    together = groups_of(audit)
    rows = []
    for a, b in combinations(range(len(audit.facts)), 2):
        first, second = audit.facts[a], audit.facts[b]
        ways = [bool(x) for x in np.logical_or(_ways(first, b), _ways(second, a))]
        by_dose = _by_dose(audit, a, b)
        apart = not any({a, b} <= group for group in together) and _holds(audit, a, b) and _holds(audit, b, a)
        counts = [_clean(first, b), _clean(second, a)]
        rows.append((first.component, second.component, *ways, by_dose, apart, *counts))
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def _ways(fact: Facts, other: int) -> tuple[bool, bool, bool]:
    """By time, by place, by people: seen from one component's switches."""
    if fact.always:
        return False, False, False
    if fact.paths.n_periods == 1:
        return False, enough(overlap(fact, (other,))), False
    people = fact.people_against.same(other).until(fact.lag) >= 0 if fact.people_against is not None else False
    return bool(fact.against.still[other]), bool(fact.against.absent[other]), people


def _clean(fact: Facts, other: int) -> int:
    return 0 if fact.always else fact.against.same(other).clean(fact.lag)


def _holds(audit: Audit, k: int, other: int) -> bool:
    """Whether component k is identified with the effect of `other` free and nothing else in the way."""
    fact = audit.facts[k]
    if fact.always or k in audit.exact.loops:
        return False
    if audit.paths.n_periods == 1:
        return enough(overlap(fact, (other,))) or audit.statuses[k].status in ("separable", "additive_only")
    if fact.against.same(other).until(fact.lag) >= 0:
        return True
    if fact.people_against is not None and fact.people_against.same(other).until(fact.lag) >= 0:
        return True
    mine, theirs = audit.paths.components[k], audit.paths.components[other]
    spans = [audit.events, *([audit.doses] if audit.doses is not None else [])]
    return any(s.holds(mine, fact.lag) or s.only(mine, theirs).holds(mine, fact.lag) for s in spans)


def _by_dose(audit: Audit, a: int, b: int) -> bool:
    """Whether doses differ where both are on."""
    first, second = audit.paths.state[:, :, a], audit.paths.state[:, :, b]
    if max(first.max(initial=0), second.max(initial=0)) <= 1:
        return False
    both = (first > 0) & (second > 0)
    doses = first[both].astype(np.int64) * 2**16 + second[both]
    return bool(len(doses)) and bool((doses != doses[0]).any())
