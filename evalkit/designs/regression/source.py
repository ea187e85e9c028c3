"""Contributions of units to the coefficients of a joint event study, made only as far as they are asked for.

Unit i contributes S^- (X_i - Z_i lift)' w_i e_i to the coefficients, e its residuals less their mean; and
X_i' w_i r_i to the masses. Both are a row of T numbers times a matrix that its path shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalkit.designs.regression.moments import Cells, Panel, make_cells
from evalkit.designs.rollout.sums import add_by
from evalkit.inference.sources import Rows

_NUMBERS = 2_000_000


@dataclass(frozen=True, eq=False)
class JointSource:
    """Contributions to p coefficients, then to their p masses."""

    rows: Rows
    panel: Panel

    @cached_property
    def residual(self) -> np.ndarray:
        """(n, T) weighted residuals, unit effects taken out."""
        panel, found = self.panel, self.panel.solution
        paths, T = panel.columns.known.shape
        fitted = np.asarray(panel.columns.matrix @ found.beta).reshape(paths, T)
        fitted = fitted + found.effects[panel.columns.pattern]
        if panel.whole:
            known = panel.columns.known
            mean = np.where(known, fitted, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
            centred = np.where(known, fitted - mean[:, None], 0.0)
            return panel.change - centred[panel.path] * panel.weights[:, None]
        mine = np.where(panel.seen, fitted[panel.path], 0.0)
        mine -= (mine.sum(axis=1) / panel.size)[:, None]
        return panel.change - np.where(panel.seen, mine, 0.0) * panel.weights[:, None]

    @cached_property
    def present(self) -> np.ndarray:
        """(n, T) weight of each row."""
        return self.panel.seen * self.panel.weights[:, None]

    def dense(self, lift: np.ndarray) -> np.ndarray:
        sums = self._of_cells(make_cells(self.panel.path, np.arange(len(self.panel.path))), lift)
        order = np.argsort(self.panel.path, kind="stable")
        out = np.empty_like(sums)
        out[order] = sums
        return out

    def sums(self, level: str, lift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes, names = self.rows.level(level)
        cells = make_cells(self.panel.path, codes)
        sums = self._of_cells(cells, lift)
        return names, add_by(sums, codes[cells.order[cells.start[:-1]]], len(names))

    def unit_gram(self, lift: np.ndarray) -> np.ndarray | None:
        paths = self.panel.by_path
        if len(paths) * 4 > len(self.panel.path):
            return None
        p, out = self.panel.columns.width, np.zeros((lift.shape[1], lift.shape[1]))
        both = bool(lift[p:].any())
        moments = self._moments_of_both if both else self._moments
        for chosen, on_value, on_mass in self._coefficients(paths, lift):
            coef = np.concatenate([on_value, on_mass], axis=1) if both else on_value
            half = moments[chosen] @ coef
            out += coef.reshape(-1, coef.shape[2]).T @ half.reshape(-1, coef.shape[2])
        return out

    @cached_property
    def _moments(self) -> np.ndarray:
        """(C, T, T) cross-products of the residuals of each path's units."""
        return _cross(self.residual, self.panel.by_path)

    @cached_property
    def _moments_of_both(self) -> np.ndarray:
        """(C, 2T, 2T) cross-products of residuals and weights."""
        return _cross(np.hstack([self.residual, self.present]), self.panel.by_path)

    def _of_cells(self, cells: Cells, lift: np.ndarray) -> np.ndarray:
        """(C, k) contributions summed in cells."""
        alone = len(cells) == len(self.panel.path)
        collect = lambda x: x[cells.order] if alone else add_by(x, cells.of, len(cells), cells.order)  # noqa: E731
        p = self.panel.columns.width
        parts = [collect(self.residual) if lift[:p].any() else None, collect(self.present) if lift[p:].any() else None]
        out = np.zeros((len(cells), lift.shape[1]))
        path, first = np.unique(cells.path, return_index=True)
        stops = np.append(first, len(cells))
        unique = Cells(cells.of, path, cells.order, stops)
        for chosen, *coefs in self._coefficients(unique, lift):
            for i, c in enumerate(chosen):
                mine = slice(stops[c], stops[c + 1])
                for part, coef in zip(parts, coefs, strict=True):
                    if part is not None:
                        out[mine] += part[mine] @ coef[i]
        return out

    def _coefficients(self, cells: Cells, lift: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Blocks of cells with (c, T, k) coefficients on residuals, and on weights."""
        columns, found = self.panel.columns, self.panel.solution
        p, T, k = columns.width, columns.known.shape[1], lift.shape[1]
        value = found.span.inverse().T @ lift[:p]
        periods = found.lift @ value
        step = max(_NUMBERS // max(T * k, 1), 1)
        for low in range(0, len(cells), step):
            chosen = np.arange(low, min(low + step, len(cells)))
            paths = cells.path[chosen]
            X = columns.rows(paths)
            on_value = (X @ value).reshape(len(paths), T, k) - periods[columns.pattern[paths]]
            yield chosen, on_value, (X @ lift[p:]).reshape(len(paths), T, k)


def _cross(rows: np.ndarray, cells: Cells) -> np.ndarray:
    """(C, m, m) cross-products of (n, m) rows within cells."""
    out = np.zeros((len(cells), rows.shape[1], rows.shape[1]))
    for c in range(len(cells)):
        mine = rows[cells.order[cells.start[c] : cells.start[c + 1]]]
        out[c] = mine.T @ mine
    return out
