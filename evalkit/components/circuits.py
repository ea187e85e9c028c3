"""Which components depend on each other exactly: loops, circuits, bundles and what is identified within them.

A circuit is a minimal set of columns that are dependent once unit and
period-by-reach effects are taken out (a circuit of the linear matroid; Oxley,
Matroid Theory, 2011, chapter 1). Circuits say in words what a singular vector
does not: "A is on exactly when B or C is".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evalkit.designs.regression.estimable import TOLERANCE, Span, span

_MOST = 14
_ZERO = 1e-6


@dataclass(frozen=True)
class Circuit:
    """members: columns. weights: their coefficients in the dependency, the smallest 1 in size, the first positive."""

    members: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def swap(self) -> bool:
        """All signs alike: one starts as another stops."""
        return min(self.weights) > 0


@dataclass(frozen=True)
class Combination:
    """An identified combination of coefficients: its members and their weights."""

    members: tuple[int, ...]
    weights: tuple[float, ...]
    kind: str


@dataclass(frozen=True, eq=False)
class Dependence:
    """Everything exact about K exposure columns.

    loops: columns absorbed by unit and period effects. circuits: among the rest.
    groups: connected components of overlapping circuits. span: of the columns that are not loops, in
    the order of `kept`.
    """

    loops: tuple[int, ...]
    circuits: tuple[Circuit, ...]
    groups: tuple[tuple[int, ...], ...]
    kept: tuple[int, ...]
    span: Span


def dependence(gram: np.ndarray, size: np.ndarray) -> Dependence:
    """Loops, circuits and groups of K columns.

    gram: (K, K) after unit and period effects. size: (K,) squared lengths before.
    """
    alone = np.where(size > 0, gram.diagonal() / np.where(size > 0, size, 1.0), 0.0)
    loops = tuple(int(j) for j in np.flatnonzero(alone <= TOLERANCE))
    kept = tuple(j for j in range(len(gram)) if j not in loops)
    inner, length = gram[np.ix_(kept, kept)], size[list(kept)]
    whole = span(inner, length)
    circuits = tuple(Circuit(tuple(kept[j] for j in m), weights) for m, weights in _circuits(inner, length, whole))
    return Dependence(loops, circuits, _connected(circuits), kept, whole)


def _circuits(gram: np.ndarray, size: np.ndarray, whole: Span) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    bound = np.flatnonzero(~whole.free)
    if len(bound) > _MOST:
        yield from _fundamental(whole)
        return
    found: list[set[int]] = []
    for length in range(2, min(len(bound), whole.rank + 1) + 1):
        for members in combinations((int(j) for j in bound), length):
            if any(circuit <= set(members) for circuit in found):
                continue
            part = span(gram[np.ix_(members, members)], size[list(members)])
            if part.null.shape[1]:
                found.append(set(members))
                yield members, _tidy(part.null[:, 0])


def _fundamental(whole: Span) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    """One circuit for each dependent column with those of the basis: enough to connect every bundle."""
    for vector in whole.null.T:
        members = np.flatnonzero(np.abs(vector) > _ZERO)
        yield tuple(int(j) for j in members), _tidy(vector[members])


def _tidy(vector: np.ndarray) -> tuple[float, ...]:
    """Coefficients with the smallest at 1 in size and the first positive, rounded to whole numbers where they are."""
    scaled = vector / np.abs(vector).min()
    scaled = scaled * (1.0 if scaled[0] > 0 else -1.0)
    rounded = np.round(scaled)
    close = np.abs(scaled - rounded) <= 1e-5 * np.maximum(np.abs(scaled), 1.0)
    return tuple(float(v) for v in np.where(close, rounded, np.round(scaled, 6)))


def _connected(circuits: tuple[Circuit, ...]) -> tuple[tuple[int, ...], ...]:
    groups: list[set[int]] = []
    for circuit in circuits:
        joined = set(circuit.members)
        apart = []
        for group in groups:
            if group & joined:
                joined |= group
            else:
                apart.append(group)
        groups = [*apart, joined]
    return tuple(sorted(tuple(sorted(g)) for g in groups))


def combinations_of(known: Dependence, group: tuple[int, ...]) -> list[Combination]:
    """Combinations identified within a group of components that overlap in circuits.

    First the sum of all when they all go together; else every pair that is identified
    (sums for opposite signs, differences for same signs); then, if those do not say all
    that is identified, what is left.
    """
    null = _null_of(known, group)
    if _all_together(known, group):
        return [Combination(group, (1.0,) * len(group), "together")]
    pairs = [found for i, j in combinations(range(len(group)), 2) if (found := _pair(null, group, i, j)) is not None]
    return pairs + _remaining(null, group, pairs)


def _null_of(known: Dependence, group: tuple[int, ...]) -> np.ndarray:
    rows = [known.kept.index(j) for j in group]
    null = known.span.null[rows]
    return null[:, np.abs(null).max(axis=0, initial=0.0) > _ZERO]


def _all_together(known: Dependence, group: tuple[int, ...]) -> bool:
    pairs = {c.members: c.weights for c in known.circuits if len(c.members) == 2}
    return all(pairs.get(pair) == (1.0, -1.0) for pair in combinations(group, 2))


def _pair(null: np.ndarray, group: tuple[int, ...], i: int, j: int) -> Combination | None:
    """The combination of two coefficients that no null vector moves, if there is one."""
    a, b = null[i], null[j]
    first, second = np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0)
    if first <= _ZERO or second <= _ZERO:
        return None
    at = int(np.abs(a).argmax())
    ratio = b[at] / a[at]
    if abs(ratio) <= _ZERO or np.abs(b - ratio * a).max() > _ZERO * second:
        return None
    weights = _tidy(np.array([ratio, -1.0]))
    return Combination((group[i], group[j]), weights, "sum" if min(weights) > 0 else "swap")


def _remaining(null: np.ndarray, group: tuple[int, ...], pairs: list[Combination]) -> list[Combination]:
    """Combinations that complete the identified space, each as sparse as elimination makes it."""
    listed = np.zeros((len(pairs), len(group)))
    for row, pair in zip(listed, pairs, strict=True):
        row[[group.index(m) for m in pair.members]] = pair.weights
    _, strength, right = np.linalg.svd(null.T, full_matrices=True)
    identified = right[int((strength > _ZERO).sum()) :]
    out: list[Combination] = []
    for vector in _reduced(identified):
        longer = np.vstack([listed, vector])
        if len(listed) and _rank(longer) == _rank(listed):
            continue
        listed = longer
        members = np.flatnonzero(np.abs(vector) > _ZERO)
        weights = _tidy(vector[members])
        kind = "sum" if min(weights) > 0 else "swap"
        out.append(Combination(tuple(group[m] for m in members), weights, kind))
    return out


def _rank(rows: np.ndarray) -> int:
    return int(np.linalg.matrix_rank(rows, tol=_ZERO))


def _reduced(rows: np.ndarray) -> np.ndarray:
    """Reduced row echelon form of independent rows."""
    out = rows.copy()
    done = 0
    for column in range(out.shape[1]):
        if done == len(out):
            break
        best = done + int(np.abs(out[done:, column]).argmax())
        if abs(out[best, column]) <= _ZERO:
            continue
        out[[done, best]] = out[[best, done]]
        out[done] /= out[done, column]
        others = np.arange(len(out)) != done
        out[others] -= np.outer(out[others, column], out[done])
        done += 1
    return out
