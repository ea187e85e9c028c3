"""Cells that may leave a secure environment: a study's people added up, without cells of too few."""

from __future__ import annotations

import tempfile
from base64 import b64encode
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.disclosure.rounding import grain_of, nice_step, to_step, two_digits
from evalkit.disclosure.rules import Rules, dominated, rules_of
from evalkit.errors import StudyError
from evalkit.folders import put
from evalkit.study import Outcome, Study
from evalkit.study.alike import CellSource
from evalkit.study.cellfile import Kept, write_cells
from evalkit.study.formats import is_parquet

FEW, HANGS, POOLED = "fewer people than the rules allow", "outcomes hang on a few people", "differences pooled"
LEAST_POOLED = 3
"""Cells over which cross-products are pooled, at least."""


@dataclass(frozen=True)
class Compressed:
    """What `compress` wrote. cells: how many left; withheld: how many did not, by reason; pooled: of how many only the
    mean cross-products of their kind left. rules: by which it was controlled, in words; rounded: whether they round."""

    file: Path
    cells: int
    withheld: dict[str, int]
    pooled: int
    rules: str
    rounded: bool = False

    @property
    def exact(self) -> bool:
        """Whether nothing was withheld or rounded, so that answers are those of the rows."""
        return not self.pooled and not self.rounded and not any(self.withheld.values())


def compress(study: Study, out: str | Path, rules: Rules | None = None) -> Compressed:
    """Write a study's people, added up into cells and controlled for disclosure, as one Parquet file that a study takes
    in place of rows: `Study.load(out)`, `evalkit run out`, or `panel = "cells.parquet"` in a study file.

    Withheld are cells of fewer people than `rules` allow (default: those of the study), and cells in which an amount or
    a number of events in some period hangs on a few, or all but a few have an event. The cross-products of the
    deviations of people (what a covariance is made of) leave only with as many degrees of freedom as the rules ask for,
    else as the mean of cells seen in the same periods. Where the rules round, counts are rounded, and means and
    cross-products are as coarse as they. Where nothing was withheld or rounded, answers are those of the rows.

    Raises `StudyError` where people cannot be added up, where no cell is left, and where there is a file already or its
    name does not end in .parquet.
    """
    out = Path(out)
    if not is_parquet(out):
        raise StudyError(f"Cells are a Parquet file, and {out.name!r} does not end in .parquet.")
    if out.exists():
        raise StudyError(f"There is a file {out.name!r} in {str(out.parent)!r} already. Name another, or move it.")
    whole = study if study.paths.heads is not None else study.replace(hold="cells")
    used = rules or rules_of(study)
    source, withheld, pooled = controlled(whole, used)
    outcomes = [o.column for o in whole.outcomes if o.column in source.columns]
    counts = {why: int(n) for why, n in withheld.items()}
    said = {"rules": used.words(), "withheld": counts, POOLED: pooled, "study": _study_files(whole)}
    with tempfile.TemporaryDirectory() as draft:
        file = write_cells(source, (whole.unit, str(whole.period)), outcomes, Path(draft) / "cells.parquet", said)
        put(out, file.read_bytes())
    return Compressed(out, len(source.heads), counts, pooled, used.words(), bool(used.round_to))


def controlled(study: Study, rules: Rules) -> tuple[CellSource, dict[str, int], int]:
    """The cells of a study that may leave, how many may not by reason, and of how many differences are pooled."""
    source = study.source
    if not isinstance(source, CellSource) or source.within is None:
        raise StudyError("The people of this study are not added up. Open it with hold='cells'.")
    products = {o.column: source.within(o.column) for o in study.outcomes if o.column in source.columns}
    few = source.heads < rules.count
    hangs = np.zeros(len(few), dtype=bool)
    for outcome in study.outcomes:
        if outcome.column in products and rules.active:
            hangs |= _hangs(outcome, study.values(outcome), source.heads, products[outcome.column], rules)
    keep = ~few & ~hangs
    if not keep.any():
        small, rare = int(few.sum()), int((hangs & ~few).sum())
        why = f"of {len(few):,}, {small:,} hold too few people, and {rare:,} too few events"
        advice = "Coarser periods, places or doses make larger cells; a rare outcome can be left out."
        raise StudyError(f"No cell may leave: {why} or amounts that hang on a few. {advice}")
    made, pooled = {}, np.zeros(int(keep.sum()), dtype=bool)
    for outcome in study.outcomes:
        if outcome.column in products:
            seen = np.isfinite(study.values(outcome))[keep]
            kept, mean = _pooled(products[outcome.column][keep], source.heads[keep], seen, rules)
            made[outcome.column], pooled = kept, pooled | mean
    heads = source.heads[keep]
    cell = pd.factorize(source.frame[study.unit])[0]
    frame = source.frame[keep[cell]].reset_index(drop=True)
    frame[study.unit] = (np.cumsum(keep) - 1)[cell[keep[cell]]]
    if rules.round_to:
        shown = np.array([rules.shown(n) for n in heads.tolist()])
        frame = _coarse_means(frame, list(made), study.unit, heads, rules)
        made = {name: _coarse_products(products, heads, shown) for name, products in made.items()}
        heads = shown
    left = replace(source, frame=frame, heads=heads, within=Kept(made), origin=None, _read={})
    return left, {FEW: int(few.sum()), HANGS: int((hangs & ~few).sum())}, int(pooled.sum())


def _coarse_means(frame: pd.DataFrame, names: list[str], unit: str, heads: np.ndarray, rules: Rules) -> pd.DataFrame:
    """Means of cells to steps within which every count near theirs has a fraction: with all its digits, a mean of yes
    and no tells the count below its line. heads: (n,) counts as they are."""
    cell, out = frame[unit].to_numpy(), frame.copy()
    behind = np.array([max(rules.shown(n), 1) for n in heads.tolist()])[cell]
    for name in names:
        values = frame[name].to_numpy(dtype=float)
        out[name] = to_step(values, nice_step(rules.round_to / 2 * grain_of(values * heads[cell]) / behind))
    return out


def _coarse_products(within: np.ndarray, heads: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Cross-products (n, T, T) of as many people as are said, their mean to two digits: they are fractions too."""
    mean = within / heads[:, None, None]
    return np.asarray(to_step(mean, two_digits(mean)) * shown[:, None, None])


def _hangs(outcome: Outcome, values: np.ndarray, heads: np.ndarray, within: np.ndarray, rules: Rules) -> np.ndarray:
    """(n,) cells of which some period's total is of too few events, or of all but too few, or could hang on one or two
    people: nobody is further from the mean than the root of the sum of all squares."""
    total = np.nan_to_num(np.abs(values)) * heads[:, None]
    if outcome.kind == "share":
        events = total.round()
        others = np.where(np.isfinite(values), heads[:, None] - events, 0)  # who they are is told as well
        return np.asarray(((rules.small(events) & (events > 0)) | (rules.small(others) & (others > 0))).any(axis=1))
    if outcome.kind not in ("count", "money"):
        return np.zeros(len(heads), dtype=bool)
    most = np.minimum(np.nan_to_num(np.abs(values)) + np.sqrt(np.diagonal(within, axis1=1, axis2=2)), total)
    return np.asarray(dominated(total, most, np.minimum(most, total - most), rules).any(axis=1))


def _pooled(within: np.ndarray, heads: np.ndarray, seen: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Cross-products (n, T, T) that may leave: those of cells with too few degrees of freedom as the mean of all such
    cells seen in the same periods, NaN where even that is of too few; and which cells (n,) those are."""
    free = heads - 1 - seen.sum(axis=1)
    few = (free < rules.df) & (heads > 1) & bool(rules.active)
    out = within.copy()
    _, kind = np.unique(seen, axis=0, return_inverse=True)
    for k in np.unique(kind[few]):
        mine = np.flatnonzero(few & (kind.ravel() == k))
        degrees = heads[mine] - 1
        enough = len(mine) >= LEAST_POOLED and degrees.sum() - seen[mine[0]].sum() >= rules.df
        mean = within[mine].sum(axis=0) / degrees.sum() if enough else np.full(within.shape[1:], np.nan)
        out[mine] = degrees[:, None, None] * mean
    return out, few


def _study_files(study: Study) -> dict[str, str]:
    """The study file and its small tables, in base64; the panel is left out."""
    with tempfile.TemporaryDirectory() as folder:
        study.save(folder, panel=False)
        return {file.name: b64encode(file.read_bytes()).decode() for file in sorted(Path(folder).iterdir())}
