"""One series with its columns: estimates of contrasts and their spread, what is expected, counts on the log scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalkit.designs.one_place.segments import Layout
from evalkit.designs.one_place.series_noise import SeriesNoise, series_noise
from evalkit.designs.one_place.usual import Errors, Usual, usual
from evalkit.inference.intervals import Spread

STEPS = 25  # of iterated least squares, which needs about six


@dataclass(frozen=True, eq=False)
class Fitted:
    """One series with its layout. response: (n,) outcome, or the working response of a log-linear mean; weight: (n,)
    its standard deviation beside the others; floor: by how much the interval is widened so as to be no narrower than a
    Poisson count allows. errors: whose intervals."""

    layout: Layout
    response: np.ndarray
    weight: np.ndarray
    floor: float = 1.0
    errors: Errors = "own"

    @property
    def noise(self) -> SeriesNoise:
        return series_noise(self.layout.columns, self.weight)

    def estimate(self, contrasts: np.ndarray) -> tuple[np.ndarray, Spread]:
        """Contrasts (r, k) of the coefficients, and their spread."""
        if self.errors != "own":
            made, rows = self._usual(), len(contrasts)
            spread = Spread(contrasts @ made.vcov @ contrasts.T, np.full(rows, made.df), ("",) * rows)
            return contrasts @ made.coefficients, spread
        value, spread, _ = self.noise.estimate(self.response, contrasts)
        return value, replace(spread, vcov=spread.vcov * self.floor**2)

    def fitted(self) -> np.ndarray:
        """(n,) what the model gives for each period."""
        if self.errors != "own":
            return np.asarray(self.layout.columns @ self._usual().coefficients)
        fits = self.noise.ar1.fit(self.response[:, None])
        return np.asarray(self.layout.columns @ fits.coefficients[int(fits.best[0]), :, 0])

    def pull(self) -> np.ndarray:
        """(r, n) weight of each period in each claimed effect."""
        if self.errors != "own":
            return np.asarray(self.layout.contrasts @ self._usual().solve)
        best = int(self.noise.ar1.fit(self.response[:, None]).best[0])
        return np.asarray(self.layout.contrasts @ self.noise.ar1.solve[best])

    def _usual(self) -> Usual:
        return usual(self.errors, self.layout.columns, self.response)


def working(layout: Layout, counts: np.ndarray, offset: np.ndarray) -> Fitted:
    """The working response of a log-linear mean of counts (n,), its weights, and its least spread: dispersion as
    estimated, and not below that of Poisson counts."""
    columns, level = layout.columns, np.log(np.maximum(counts, 0.5))
    for _ in range(STEPS):
        mean = np.exp(level)
        response, root = level - offset + (counts - mean) / mean, np.sqrt(mean)
        fitted = columns @ np.linalg.lstsq(columns * root[:, None], response * root, rcond=None)[0] + offset
        moved, level = np.abs(fitted - level).max(), fitted
        if moved < 1e-10:
            break
    mean = np.exp(level)
    response = level - offset + (counts - mean) / mean
    dispersion = ((counts - mean) ** 2 / mean).sum() / (len(counts) - columns.shape[1])
    return Fitted(layout, response, 1 / np.sqrt(mean), float(np.sqrt(1 / min(max(dispersion, 1e-12), 1.0))))
