"""The effect on matched people: a weighted regression or matching estimator, each person's part, and refits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalkit.designs.logit import independent
from evalkit.designs.people.distances import Space
from evalkit.designs.people.matching import Matching, alone, both_arms
from evalkit.designs.people.methods import ABADIE_IMBENS
from evalkit.designs.people.nearest import Links, with_replacement
from evalkit.inference.replicates import Replicates
from evalkit.show.words import join_words, of_people

FEWEST = 2


@dataclass(frozen=True, eq=False)
class Fit:
    """An effect. parts: (n,) contributions. columns: of the regression, by which they are scaled; 0 where the squares
    of (m,) people's parts sum to the variance as they are (Abadie and Imbens)."""

    value: float
    parts: np.ndarray
    columns: int = 0


def regression(y: np.ndarray, exposed: np.ndarray, x: np.ndarray | None, w: np.ndarray) -> Fit:
    """Weighted least squares of y on being exposed (and covariates x). Contributions are (X'WX)^-1 x_i w_i e_i, so that
    their squares sum to the HC0 variance."""
    design = _columns(exposed, x, w)
    q, r = np.linalg.qr(design * np.sqrt(w)[:, None])
    beta, bread = np.linalg.solve(r, q.T @ (np.sqrt(w) * y)), np.linalg.inv(r)
    lever, residual = design @ (bread @ bread[1]), y - design @ beta
    return Fit(float(beta[1]), lever * w * residual, design.shape[1])


def _columns(exposed: np.ndarray, x: np.ndarray | None, w: np.ndarray) -> np.ndarray:
    """(n, k) [1, exposed, standardised covariates] without columns that repeat others."""
    design = np.column_stack([np.ones(len(exposed)), exposed.astype(float)])
    if x is None or not x.shape[1]:
        return design
    centred = x - np.average(x, axis=0, weights=w)
    scale = np.sqrt(np.average(centred**2, axis=0, weights=w))
    design = np.column_stack([design, centred / np.where(scale > 0, scale, 1.0)])
    return design[:, independent(design * np.sqrt(w)[:, None])]


def without_each(
    y: np.ndarray, exposed: np.ndarray, x: np.ndarray | None, w: np.ndarray, code: np.ndarray
) -> np.ndarray:
    """(S,) the coefficient of `regression` without the rows of each code 0 to S - 1: the normal equations less the
    code's own part; NaN where no row of an arm is left."""
    design, size = _columns(exposed, x, w), int(code.max()) + 1
    k = design.shape[1]
    gram, right = np.empty((size, k, k)), np.empty((size, k))
    for i in range(k):
        weighed = w * design[:, i]
        right[:, i] = weighed @ y - np.bincount(code, weights=weighed * y, minlength=size)
        for j in range(i, k):
            own = np.bincount(code, weights=weighed * design[:, j], minlength=size)
            gram[:, i, j] = gram[:, j, i] = weighed @ design[:, j] - own
    value = (np.linalg.pinv(gram, rcond=1e-10, hermitian=True)[:, 1] * right).sum(axis=1)
    left = [np.bincount(code, weights=arm, minlength=size) < arm.sum() for arm in (exposed, ~exposed)]
    return np.where(left[0] & left[1], value, np.nan)


def reuse_effect(
    links: tuple[Links, ...],
    y: np.ndarray,
    exposed: np.ndarray,
    bias: np.ndarray | None,
    own_arm: np.ndarray | None = None,
    size: np.ndarray | None = None,
) -> Fit:
    """Mean gap between matched people and their partners.

    V = [sum over focal people of (tau_i - tau)^2 + sum over everybody of s2 (K^2 + 2 K F - K')] / N^2, with
    K and K' the sums of 1/m and 1/m^2 a person serves with, F whether they are focal themselves (both ways: ATE), s2
    half the mean over focal people of the mean over partners of (tau_ij - tau)^2 (theorem 7, one residual variance).
    bias: covariates (m, q) of the bias correction (2011), by regression among partners. own_arm: (m,) residual
    variances from people's own arm instead of s2. size: (m,) people for whom a focal person stands, one each when None;
    partners serve with it. Takes the propensity score, if any, as known."""
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
    residual = np.full(m, float(sum(spread)) / (2 * n)) if own_arm is None else own_arm
    noise = residual * (serves**2 - squares + np.where(focal & (serves > 0), 2 * own * serves, 0.0))
    direct = np.where(focal, own * (tau - value), 0.0)
    side = np.sign(np.where(focal, direct, (y - y.mean()) * np.where(exposed, 1.0, -1.0)))
    return Fit(value, np.where(side == 0, 1.0, side) * (np.sqrt(np.maximum(direct**2 + noise, 0.0)) / n))


def _gaps(links: Links, y: np.ndarray, exposed: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """(r,) exposed less comparison, pair by pair, the partner moved to the focal person's covariates."""
    partner = y[links.partner].astype(float)
    if bias is not None and len(links):
        part, z = 1.0 / np.bincount(links.focal)[links.focal], bias[links.partner]
        design, root = np.column_stack([np.ones(len(z)), z - np.average(z, axis=0, weights=part)]), np.sqrt(part)
        kept = independent(design * root[:, None])
        kept = kept[kept > 0]
        beta = np.linalg.lstsq(design[:, [0, *kept]] * root[:, None], partner * root, rcond=None)[0]
        partner = partner + (bias[links.focal] - z)[:, kept - 1] @ beta[1:]
    return np.where(exposed[links.focal], 1.0, -1.0) * (y[links.focal] - partner)


def own_arm_variance(space: Space, y: np.ndarray, exposed: np.ndarray, neighbours: int, tolerance: float) -> np.ndarray:
    """(m,) residual variance of each person: the sample variance of them and the nearest of their own arm; ties within
    `tolerance` join in, as in R's Matching."""
    m = len(y)
    out, free = np.zeros(m), Space(space.points, np.inf, (), space.score, space.unit)
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


@dataclass(frozen=True)
class Asked:
    """What is asked of a Matching. adjust: None, "reg" or "bias". errors: "set", "hc1" or "abadie_imbens".
    neighbours: people of the own arm from whom residual variances are learnt, 0 for one variance."""

    adjust: str | None = None
    errors: str = "set"
    neighbours: int = 0
    tolerance: float | None = None


def observed(matching: Matching, y: np.ndarray) -> Matching:
    """The matching of those whose outcome was seen: sets that lose an arm fall away."""
    seen = np.isfinite(y)
    if seen.all():
        return matching
    sets = both_arms(np.where(seen, matching.sets, -1), matching.people.exposed)
    return replace(matching, sets=sets, links=_between(matching.links, seen))


def _between(links: tuple[Links, ...], some: np.ndarray) -> tuple[Links, ...]:
    """Links of which both ends are among `some` (m,)."""
    return tuple(x.keep(some[x.focal] & some[x.partner]) for x in links)


def why_not(matching: Matching, whole: Matching | None = None) -> str:
    """Why no effect can be given, "" where it can. whole: the matching before those whose outcome was not seen left."""
    used, exposed = matching.used, matching.people.exposed
    counts = int((used & exposed).sum()), int((used & ~exposed).sum())
    if min(counts) == 0:
        if whole is not None and whole.used.any():
            return f"the outcome was seen in no matched set of the {of_people(int(whole.used.sum()))} matched"
        with_it, without = int(exposed.sum()), int((~exposed).sum())
        if not alone(matching.people).all():
            who = of_people(with_it, "exposed")
            return f"nobody is matched: none of {who} people has a partner within what was asked"
        what = join_words(["other components", *matching.people.exact])
        words = f"nobody is matched: none of {of_people(with_it)} with it has the same {what} as any of "
        return words + f"{of_people(without, 'without')} it"
    if matching.outside == 1.0:
        most = of_people(max(counts))
        return f"the arms do not overlap: nobody in the other arm is as extreme as any of the {most} matched"
    if min(counts) < FEWEST:
        arm = "exposed" if counts[0] < FEWEST else "comparison"
        both = f"{of_people(counts[0], 'exposed')}, {of_people(counts[1], 'comparison')}"
        return f"only one {arm} person is matched ({both}): no spread to learn from"
    return ""


def value_of(matching: Matching, y: np.ndarray, asked: Asked) -> float:
    """The estimate alone, NaN where there is none."""
    return float("nan") if why_not(matching) else fit_matched(matching, y, asked).value


def fit_matched(matching: Matching, y: np.ndarray, asked: Asked) -> Fit:
    """The effect as it is asked for."""
    people = matching.people
    if matching.replace and asked.errors == ABADIE_IMBENS:
        own = None
        if asked.neighbours:
            assert matching.space is not None
            own = own_arm_variance(matching.space, np.nan_to_num(y), people.exposed, asked.neighbours,
                                   asked.tolerance or 0.0)  # fmt: skip
        bias = people.regressors if asked.adjust == "bias" else None
        return reuse_effect(matching.links, np.nan_to_num(y), people.exposed, bias, own, people.sizes)
    who, w, _ = regression_rows(matching)
    return regression(y[who], people.exposed[who], _covariates(matching, asked, who), w)


def _covariates(matching: Matching, asked: Asked, who: np.ndarray) -> np.ndarray | None:
    return matching.people.regressors[who] if asked.adjust == "reg" else None


def regression_rows(matching: Matching) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the regression: person, weight, matched set. With replacement people stand once a set."""
    if not matching.replace:
        who = np.flatnonzero(matching.used)
        return who, matching.weight[who], matching.sets[who]
    people, weights, sets, own = [], [], [], matching.people.sizes
    for d, x in enumerate(matching.links):
        count = np.bincount(x.focal, minlength=len(matching.people))
        focal = np.flatnonzero(count)
        people += [focal, x.partner]
        weights += [own[focal], own[x.focal] / count[x.focal]]
        sets += [2 * focal + d, 2 * x.focal + d]
    return np.concatenate(people), np.concatenate(weights), np.concatenate(sets)


def set_differences(matching: Matching, y: np.ndarray) -> np.ndarray:
    """(sets,) mean outcome of the exposed less that of the comparison people in each set (or pairing, if reused)."""
    who, w, sets = regression_rows(matching)
    code, exposed = np.unique(sets, return_inverse=True)[1], matching.people.exposed[who]
    means = [
        np.bincount(code, weights=np.where(arm, w * y[who], 0.0)) / np.bincount(code, weights=np.where(arm, w, 0.0))
        for arm in (exposed, ~exposed)
    ]
    return means[0] - means[1]


def without_sets(matching: Matching, y: np.ndarray, asked: Asked) -> Replicates:
    """Refits without each matched set in turn, nobody matched again."""
    who, w, sets = regression_rows(matching)
    names, code = np.unique(sets, return_inverse=True)
    values = without_each(y[who], matching.people.exposed[who], _covariates(matching, asked, who), w, code)[:, None]
    serves = np.ones_like(values, dtype=bool)
    return Replicates(names, "matched set", values, np.where(np.isnan(values), 0.0, 1.0), serves, ~serves)


def without_people(matching: Matching, y: np.ndarray, asked: Asked, keep: np.ndarray) -> float:
    """The estimate with some people left out (keep: (m,)) and nobody matched again. Matching is not smooth: one cluster
    less changes partners everywhere, and refits that match again spread four times as far as the estimate does (Abadie
    and Imbens 2008, on the bootstrap). Classes are reweighed, pairs are not."""
    exposed = matching.people.exposed
    if matching.replace and asked.errors == ABADIE_IMBENS:
        return value_of(replace(matching, links=_between(matching.links, keep)), y, asked)
    if not matching.links:
        return value_of(replace(matching, sets=both_arms(np.where(keep, matching.sets, -1), exposed)), y, asked)
    who, w, _ = regression_rows(matching)
    who, w = who[keep[who]], w[keep[who]]
    if not exposed[who].any() or exposed[who].all():
        return float("nan")
    return regression(y[who], exposed[who], _covariates(matching, asked, who), w).value
