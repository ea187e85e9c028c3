"""The cheapest changes to a draft: a few dates moved, looked for two at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from evalkit.rollouts.brief import Brief
from evalkit.rollouts.law import laws
from evalkit.rollouts.search import SMOOTH, Search
from evalkit.rollouts.walk import mean_power
from evalkit.rollouts.worth import LOST
from evalkit.show.words import count_words

FIRST, SECOND = 8, 80
"""First moves of a pair that are followed up, and second moves tried after each."""
COST = 0.002
"""What a place moved by one period counts, as a share of the loss: of moves that tell as much the smallest is taken."""

Move = tuple[int, int, int]
"""Place, group and the period in which it starts then."""


def cheapest_changes(brief: Brief, draft: np.ndarray, dates: int, plan: np.ndarray, weights: str) -> pd.DataFrame:
    """Rows of `RolloutPlan.changes`. Moves are looked for on the screen; a row is one that the laws find better."""
    search, rows, starts = Search(brief, 0, weights), [], draft
    rows.append(_row(brief, draft, starts, weights))
    while (left := dates - _moved(search, draft, starts)) > 0:
        better = _pair(search, draft, starts, left)
        if better is None:
            break
        starts = better
        row = _row(brief, draft, starts, weights)
        if _promised(search, row[0]) < _promised(search, rows[-1][0]):
            rows.append(row)
    rows.append(_row(brief, draft, plan, weights))
    found = pd.DataFrame([r for r, _ in rows])
    found.insert(0, "change", [*(count_words(n, "date") for n in found["dates_moved"][:-1]), "this plan"])
    found.attrs["schedules"] = [brief.frame(s) for _, s in rows]
    return found


def _promised(search: Search, row: dict[str, object]) -> float:
    """What the laws of a row promise, counted as a search counts it: less is better."""
    found = [float(row[f"detectable_{name}"]) for name in search.brief.names]  # type: ignore[arg-type]
    counts = [LOST if np.isnan(d) else min(d / s, LOST) for d, s in zip(found, search.scale, strict=True)]
    return float(mean_power(np.array(counts)[search.brief.asked], SMOOTH))


def _moved(search: Search, draft: np.ndarray, starts: np.ndarray) -> int:
    """Dates that differ: one for each group that starts together."""
    heads = [g[0] for g in search.groups]
    return int((draft[:, heads] != starts[:, heads]).sum())


def _cost(search: Search, draft: np.ndarray, starts: np.ndarray) -> int:
    heads = [g[0] for g in search.groups]
    return int(np.abs(draft[:, heads] - starts[:, heads]).sum())


def _tried(search: Search, draft: np.ndarray, starts: np.ndarray, moves: list[Move]) -> list[tuple[float, Move]]:
    """Moves that are allowed, the best first."""
    out = []
    for move in moves:
        trial = _after(search, starts, move)
        if _fits(search, draft, trial):
            out.append((search.loss(trial) * (1 + COST * _cost(search, draft, trial)), move))
    return sorted(out)


def _fits(search: Search, draft: np.ndarray, trial: np.ndarray) -> bool:
    """Whether what was moved is allowed; what the draft has stays as it is, allowed or not."""
    b, moved = search.brief, draft != trial
    inside = ((trial >= b.low) & (trial <= b.high)) | ((trial == b.T) & b.never)
    if not inside[moved].all():
        return False
    heads = [g[0] for g in search.groups]
    for g in search.groups:
        for t in np.unique(trial[moved[:, g[0]], g[0]]):
            if b.past <= t < b.T and (trial[:, g[0]] == t).sum() > max(b.most[g].min(), (draft[:, g[0]] == t).sum()):
                return False
    for t in np.unique(trial[moved]):
        if b.past <= t < b.T and (trial[:, heads] == t).sum() > max(b.most_in_all, (draft[:, heads] == t).sum()):
            return False
    return True


def _after(search: Search, starts: np.ndarray, move: Move) -> np.ndarray:
    out = starts.copy()
    out[move[0], search.groups[move[1]]] = move[2]
    return out


def _pair(search: Search, draft: np.ndarray, starts: np.ndarray, left: int) -> np.ndarray | None:
    """The best two moves, or one where one is left; None where nothing is better."""
    moves = [(i, v, int(t)) for i, v, t in _every(search, draft, starts)]
    single = _tried(search, draft, starts, moves)
    if not single:
        return None
    now, (value, move) = search.loss(starts) * (1 + COST * _cost(search, draft, starts)), single[0]
    best = (value, _after(search, starts, move))
    if left > 1:
        for _, first in single[:FIRST]:
            then = _after(search, starts, first)
            second = [m for _, m in single[:SECOND] if m[:2] != first[:2]]
            for found, move in _tried(search, draft, then, second)[:1]:
                if found < best[0]:
                    best = (found, _after(search, then, move))
    return best[1] if best[0] < now else None


def _every(search: Search, draft: np.ndarray, starts: np.ndarray) -> Iterator[Move]:
    """Every move of a date that is still as drafted."""
    for i, v in search.free:
        g = search.groups[v]
        if (draft[i, g] == starts[i, g]).all() and draft[i, g[0]] >= search.brief.past:
            yield from ((i, v, int(t)) for t in search.domain[i][v] if t != starts[i, g[0]])


def _row(brief: Brief, draft: np.ndarray, starts: np.ndarray, weights: str) -> tuple[dict[str, object], np.ndarray]:
    found, search = laws(brief, starts, weights), Search(brief, 0, weights)
    values, moves = [*brief.calendar.values.tolist(), "never"], []
    for i, place in enumerate(brief.places):
        moves += [
            f"{place}: {brief.names[g[0]]} {values[draft[i, g[0]]]} to {values[starts[i, g[0]]]}"
            for g in search.groups if draft[i, g[0]] != starts[i, g[0]]
        ]  # fmt: skip
    asked = [law for law, told in zip(found, brief.asked, strict=True) if told]
    row = {
        "dates_moved": len(moves), "place_periods": _cost(search, draft, starts),
        **{f"detectable_{law.component}": law.detectable for law in found},
        "worst": float(np.max([law.detectable for law in asked])),  # NaN where one cannot be told
        **{
            f"status_{name}": law.status if len(names) == 1 else "bundle_only"
            for law, names in zip(found, brief.members, strict=True) for name in names
        },
        "separable": all(law.status == "separable" for law in asked),
        "survives": all(len(law.error) > 0 for law in asked),
        "moves": "; ".join(moves),
    }  # fmt: skip
    return row, starts
