"""Labels of rollout rows, the head counts behind them, and the cells that each row uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.designs.contrast import Block, Contrast, Reader
from evalkit.designs.pairs import Pairs

NO_MATCH = "nobody to compare with: no unit off this component shares the others' path"
NOT_SEEN = "no adopter was observed at both periods"
NO_COVARIATES = "no adopter was observed at both periods with its covariates at base"
NO_BASE = "no base: it would lie before the panel, or before an earlier spell has ended"
NO_WEIGHT = "all adopters have weight 0"


@dataclass(frozen=True)
class Naming:
    """The words that label every row of an estimate. nobody: why adopters without a match have no number."""

    component: str
    outcome: str
    outcome_unit: str
    population: str
    estimand: str = "ATT(g,t)"
    assumption: str = "the two groups would have moved alike"
    nobody: str = NO_MATCH


@dataclass(frozen=True, eq=False)
class Heads:
    """(H, T) people: adopters used, adopters seen, adopters not seen, matches, and shares that stay."""

    used: np.ndarray
    seen: np.ndarray
    missing: np.ndarray
    matches: np.ndarray
    stay_exposed: np.ndarray
    stay_comparison: np.ndarray


def labels(contrast: Contrast, naming: Naming, rows: np.ndarray) -> pd.DataFrame:
    """One row of words and counts for each (cohort, period)."""
    periods, heads = contrast.reader.paths.periods, count_heads(contrast)
    line, t = np.divmod(rows, contrast.n_periods)
    cohort = contrast.cohorts[line]
    at = lambda x: x.ravel()[rows]  # noqa: E731
    mass, left = at(contrast.mass), at(contrast.left_out)
    outside = _outside(contrast)
    return pd.DataFrame({
        "component": naming.component, "outcome": naming.outcome, "cohort": periods[cohort], "period": periods[t],
        "event_time": t - cohort, "estimand": naming.estimand, "population": naming.population,
        "outcome_unit": naming.outcome_unit, "assumption": naming.assumption,
        "inference_level": contrast.reader.level,
        "units_exposed": whole(at(heads.used)), "units_comparison": whole(at(heads.matches)),
        "units_left_out": whole(at(heads.seen) - at(heads.used)), "units_not_seen": whole(at(heads.missing)), **outside,
        "stay_exposed": at(heads.stay_exposed), "stay_comparison": at(heads.stay_comparison),
        "share_left_out": np.divide(left, mass + left, out=np.zeros(len(rows)), where=mass + left > 0),
        "mass": mass, "reason": _reasons(contrast, heads, naming.nobody).ravel()[rows],
    })  # fmt: skip


def whole(heads: np.ndarray) -> np.ndarray:
    return heads.round().astype(int)


def _reasons(contrast: Contrast, heads: Heads, nobody_like: str) -> np.ndarray:
    """(H, T) why a row has no number, "" where it has one. nobody_like: words for adopters without a match."""
    sums = getattr(contrast.reader, "sums", None)
    unseen = NOT_SEEN if sums is None or sums.usable is None else NO_COVARIATES
    nobody = heads.seen + heads.missing == 0
    checks = [contrast.mass > 0, nobody, heads.seen == 0, contrast.without_base == heads.seen]
    return np.select(checks, np.array(["", NO_WEIGHT, unseen, NO_BASE], dtype=object), nobody_like)


def _outside(contrast: Contrast) -> dict[str, int]:
    """People outside every row: those who had it from their first known period on, and those without weight."""
    plan, paths = contrast.plan, contrast.reader.paths
    found = {}
    if plan.without_base:
        found["units_exposed_throughout"] = contrast.reader.people(np.array(plan.without_base))
    if paths.weights is not None and (paths.weights == 0).any():
        found["units_without_weight"] = int((paths.weights == 0).sum())
    return found


def count_heads(contrast: Contrast) -> Heads:
    """People behind each row; a comparison unit that serves several starts of a cohort counts once."""
    shape = contrast.mass.shape
    used, seen, missing, matches = (np.zeros(shape) for _ in range(4))
    seen += contrast.without_base
    kept, began = np.zeros((2, *shape)), np.zeros((2, *shape))
    size = np.asarray(contrast.reader.size)
    serving: dict[int, np.ndarray] = {}
    for c, line, ok in contrast.starts:
        heads, base = contrast.reader.heads(c), contrast.reader.heads_at_base(c)
        mine, serve = np.isin(contrast.reader.path, c.adopters), c.match[contrast.reader.path]
        adopters = heads[mine].sum(axis=0)
        used[line] += np.where(ok, adopters, 0)
        seen[line] += np.where(c.possible, adopters, 0)
        missing[line] += np.where(c.possible, size[mine].sum() - adopters, 0)
        at = np.flatnonzero(serve.any(axis=1))
        serve = serve[at]
        most = serving.setdefault(line, np.zeros(heads.shape))
        most[at] = np.maximum(most[at], heads[at] * (serve & ok))
        for into, count in ((kept, heads), (began, base)):
            into[0, line] += np.where(ok, count[mine].sum(axis=0), 0)
            into[1, line] += np.where(ok, (count[at] * serve).sum(axis=0), 0) * len(c.adopters)
    for line, most in serving.items():
        matches[line] = most.sum(axis=0)
    share = np.divide(kept, began, out=np.full(kept.shape, np.nan), where=began > 0)
    return Heads(used, seen, missing, matches, share[0], share[1])


_CELL = ("row", "path", "cluster", "period", "base", "window", "sign")


def cell_weights(contrast: Contrast, rows: np.ndarray, matrix: np.ndarray | None = None) -> pd.DataFrame:
    """The cells each row uses: row, component, path, cluster, period, base, window, sign, weight.

    Adopters' weights sum to one in a row, comparison weights to minus one. `cluster` is the name at
    the estimate's level; `path` the index in `study.paths`. Pairs are opened into their two paths: the
    eligible of exposed clusters are the adopters, all others comparison. matrix: (k', k) combinations of the rows
    in their place, with each cell once.
    """
    at = np.full(contrast.mass.size, -1)
    at[rows] = np.arange(len(rows))
    sides = _sides(contrast.reader)
    pieces = [piece for b in contrast.blocks for piece in _block_cells(contrast, b, at, sides)]
    joined = [np.concatenate(x) for x in zip(*pieces, strict=True)] if pieces else [np.empty(0, int)] * 8
    keys, weight = np.stack(joined[:-1]).astype(np.int64), joined[-1].astype(float)
    if matrix is not None:
        keys, weight = _combined(keys, weight, matrix)
    frame = pd.DataFrame(dict(zip(_CELL, keys, strict=True))).assign(weight=weight)
    frame.insert(1, "component", contrast.plan.component)
    paths = contrast.reader.paths
    names = paths.levels[contrast.reader.level].names
    return frame.assign(
        cluster=names[frame["cluster"].to_numpy()], period=paths.periods[frame["period"].to_numpy()],
        base=paths.periods[frame["base"].to_numpy()],
    )  # fmt: skip


def _combined(keys: np.ndarray, weight: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys (7, n) and weights of cells, for rows of `matrix` (k', k) in place of the k rows; each cell once."""
    low = keys.min(axis=1, initial=0)[:, None]
    shape = tuple(int(x) for x in keys.max(axis=1, initial=0) - low[:, 0] + 1)
    out: list[tuple[np.ndarray, np.ndarray]] = []
    for new, line in enumerate(matrix):
        factor = line[keys[0]]
        use = factor != 0
        cell = keys[:, use] - low
        cell[0] = 0
        codes, of = np.unique(np.ravel_multi_index(tuple(cell), shape), return_inverse=True)
        found = np.stack(np.unravel_index(codes, shape)) + low
        found[0] = new
        out.append((found, np.bincount(of, weights=(weight * factor)[use], minlength=len(codes))))
    return np.concatenate([k for k, _ in out], axis=1), np.concatenate([w for _, w in out])


@dataclass(frozen=True, eq=False)
class _Side:
    """Lines of a reader as cells of paths. path, cluster: (c,) of each cell; gather: (c, lines) which lines a cell
    sums; taken_off: whether it is the ineligible of pairs, who are taken off the eligible."""

    path: np.ndarray
    cluster: np.ndarray
    gather: sparse.csc_array
    taken_off: bool = False


def _sides(reader: Reader) -> list[_Side]:
    """Cells as they are, or pairs as the eligible and the ineligible: many pairs share a path, and add up."""
    pairs: Pairs | None = getattr(reader, "pairs", None)
    if pairs is None:
        return [_Side(reader.path, reader.cluster, sparse.eye_array(len(reader.path), format="csc"))]
    out = []
    for of, taken_off in ((pairs.eligible, False), (pairs.ineligible, True)):
        both = np.stack([of[reader.path], reader.cluster])
        (path, cluster), code = np.unique(both, axis=1, return_inverse=True)
        lines = np.arange(both.shape[1])
        gather = sparse.csc_array((np.ones(len(lines)), (code.ravel(), lines)), shape=(len(path), len(lines)))
        out.append(_Side(path, cluster, gather, taken_off))
    return out


def _block_cells(contrast: Contrast, b: Block, at: np.ndarray, sides: list[_Side]) -> list[tuple]:
    """Columns of the cells of one block: row, path, cluster, period, base, window, sign, weight."""
    c, (share, _) = b.comparison, contrast.weights(b)
    columns = at[b.line * contrast.n_periods : (b.line + 1) * contrast.n_periods]
    out = []
    for term in b.terms:
        if term.what == "base":
            continue
        weight = term.inside[0] * np.where(b.ok, share / np.where(b.ok, term.total[0], 1.0), 0.0) * term.sign
        weight = weight * (columns >= 0)
        for side in sides:
            sums = side.gather[:, term.at] @ weight * (-1 if side.taken_off else 1)
            g, t = np.nonzero(sums)
            sign = np.full(len(g), -1 if side.taken_off else term.sign)
            out.append((columns[t], side.path[g], side.cluster[g], t, c.base[t], c.window[t], sign, sums[g, t]))
    return out
