"""Matching estimators with replacement and their standard errors (Abadie and Imbens 2006, 2011)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.designs.matching.distances import Space
from evalkit.designs.matching.nearest import Links
from evalkit.designs.matching.replacing import with_replacement
from evalkit.designs.matching.score import independent


@dataclass(frozen=True, eq=False)
class Reuse:
    """An estimate and (m,) contributions whose squares sum to the Abadie-Imbens variance."""

    value: float
    parts: np.ndarray


def reuse_effect(
    links: tuple[Links, ...],
    y: np.ndarray,
    exposed: np.ndarray,
    bias: np.ndarray | None,
    own_arm: np.ndarray | None = None,
    size: np.ndarray | None = None,
) -> Reuse:
    """Mean gap between matched people and their partners.

    V = [sum over focal people of (tau_i - tau)^2 + sum over everybody of s2 (K^2 + 2 K F - K')] / N^2, with
    K and K' the sums of 1/m and 1/m^2 a person serves with, F whether they are focal themselves (both ways: ATE), s2
    half the mean over focal people of the mean over partners of (tau_ij - tau)^2 (theorem 7, one residual variance).
    bias: covariates (m, q) of the bias correction (2011), by regression among partners. own_arm: (m,) residual
    variances from people's own arm instead of s2. size: (m,) people for whom a focal person stands, one each when None;
    partners serve with it. Takes the propensity score, if any, as known.
    """
    m = len(y)
    own = np.ones(m) if size is None else size
    gaps = [_gaps(x, y, exposed, bias) for x in links]
    share = [1.0 / np.bincount(x.focal, minlength=m)[x.focal] for x in links]
    tau, focal = np.zeros(m), np.zeros(m, dtype=bool)
    serves, squares = np.zeros(m), np.zeros(m)
    for x, gap, part in zip(links, gaps, share, strict=True):
        tau += np.bincount(x.focal, weights=gap * part, minlength=m)
        focal[x.focal] = True
        part = own[x.focal] * part
        serves += np.bincount(x.partner, weights=part, minlength=m)
        squares += np.bincount(x.partner, weights=part**2, minlength=m)
    n = float(own[focal].sum())
    value = float((own * tau)[focal].sum() / n)
    spread = [(own[x.focal] * (g - value) ** 2 * p).sum() for x, g, p in zip(links, gaps, share, strict=True)]
    s2 = float(sum(spread)) / (2 * n)
    residual = np.full(m, s2) if own_arm is None else own_arm
    both = focal & (serves > 0)
    noise = residual * (serves**2 - squares + np.where(both, 2 * own * serves, 0.0))
    direct = np.where(focal, own * (tau - value), 0.0)
    side = np.sign(np.where(focal, direct, (y - y.mean()) * np.where(exposed, 1.0, -1.0)))
    parts = np.sqrt(np.maximum(direct**2 + noise, 0.0)) / n
    return Reuse(value, np.where(side == 0, 1.0, side) * parts)


def _gaps(links: Links, y: np.ndarray, exposed: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """(r,) exposed less comparison, pair by pair, the partner moved to the focal person's covariates."""
    partner = y[links.partner].astype(float)
    if bias is not None and len(links):
        part = 1.0 / np.bincount(links.focal)[links.focal]
        z = bias[links.partner]
        centre = np.average(z, axis=0, weights=part)
        design = np.column_stack([np.ones(len(z)), z - centre])
        root = np.sqrt(part)
        kept = independent(design * root[:, None])
        kept = kept[kept > 0]
        beta = np.linalg.lstsq(design[:, [0, *kept]] * root[:, None], partner * root, rcond=None)[0]
        partner = partner + (bias[links.focal] - z)[:, kept - 1] @ beta[1:]
    sign = np.where(exposed[links.focal], 1.0, -1.0)
    return sign * (y[links.focal] - partner)


def own_arm_variance(space: Space, y: np.ndarray, exposed: np.ndarray, neighbours: int, tolerance: float) -> np.ndarray:
    """(m,) residual variance of each person: the sample variance of them and the nearest of their own arm.

    Equal to J/(J+1) (Y - mean of the J nearest)^2 for one neighbour; ties within `tolerance` join in, as in R's
    Matching.
    """
    m = len(y)
    out = np.zeros(m)
    free = Space(space.points, np.inf, (), space.score, space.unit)
    for arm in (exposed, ~exposed):
        who = np.flatnonzero(arm)
        if len(who) < 2:
            continue
        links = with_replacement(free, who, who, neighbours + 1, tolerance)
        count = np.bincount(links.focal, minlength=m)
        mean = np.bincount(links.focal, weights=y[links.partner], minlength=m) / np.maximum(count, 1)
        square = np.bincount(links.focal, weights=(y[links.partner] - mean[links.focal]) ** 2, minlength=m)
        out[who] = (square / np.maximum(count - 1, 1))[who]
    return out
