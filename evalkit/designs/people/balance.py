"""Balance: how alike two weighted groups are, covariate by covariate."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.designs.people.people import People


def is_binary(x: np.ndarray) -> np.ndarray:
    """(q,) whether a column holds at most two values, 0 and 1."""
    return ((x == 0) | (x == 1)).all(axis=0)


def weighted_mean(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(q,) weighted means of columns."""
    return w @ x / w.sum()


def weighted_variance(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(q,) weighted variances, unbiased for weights of one; p(1 - p) for binary columns."""
    mean = weighted_mean(x, w)
    total = w.sum()
    divisor = total - (w**2).sum() / total
    spread = w @ (x - mean) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(is_binary(x), mean * (1 - mean), spread / divisor if divisor > 0 else np.nan)


def ks_distances(x: np.ndarray, exposed: np.ndarray, weights: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """(q,) largest gap of the two weighted distribution functions, for each of several weightings."""
    signed = [np.where(exposed, w / w[exposed].sum(), -w / w[~exposed].sum()) for w in weights]
    out = [np.empty(x.shape[1]) for _ in weights]
    for j, binary in enumerate(is_binary(x)):
        if binary:
            for k, s in enumerate(signed):
                out[k][j] = abs(s @ x[:, j])
            continue
        order = np.argsort(x[:, j])
        ordered = x[order, j]
        last = np.append(ordered[1:] != ordered[:-1], True)
        for k, s in enumerate(signed):
            out[k][j] = np.abs(np.cumsum(s[order])[last]).max()
    return out


def effective_size(w: np.ndarray) -> float:
    """How many equally weighted people are worth as much: (sum w)^2 / sum w^2."""
    total = (w**2).sum()
    return float(w.sum() ** 2 / total) if total > 0 else 0.0


def by_id(people: People, weight: np.ndarray) -> pd.Series:
    """Weight of each person, by id."""
    return pd.Series(weight, index=pd.Index(people.ids, name="id"), name="weight")


def sample_table(people: People, weight: np.ndarray, used: str) -> pd.DataFrame:
    """People, people with a weight (in a column called `used`) and effective sample size, by arm."""
    rows = []
    for arm, mine in (("exposed", people.exposed), ("comparison", ~people.exposed)):
        w = weight[mine]
        rows.append((arm, int(mine.sum()), int((w > 0).sum()), effective_size(w)))
    return pd.DataFrame(rows, columns=["arm", "people", used, "effective"])


def dropped_table(people: People, why: np.ndarray) -> pd.DataFrame:
    """Who could have taken part and does not: id, arm, reason. why: (m,) texts, "" for those who do."""
    out = why != ""
    arm = np.where(people.exposed[out], "exposed", "comparison")
    return pd.DataFrame({"id": people.ids[out], "arm": arm, "reason": why[out]})


_WHOM = {
    "ATT": "people who had it",
    "ATC": "people who did not have it",
    "ATE": "everybody",
    "ATO": "people who might as well have had it as not",
}


def speaks_for(estimand: str, kept: int, total: int, who: str) -> str:
    """Whom an answer speaks for, with counts where not all of them can be compared. who: what is so of those who can
    be."""
    whom = _WHOM[estimand]
    if kept == total:
        return whom
    some, lost = "people" if estimand == "ATE" else whom, total - kept
    return f"those {some} who {who}: {kept} of {total}; for the other {lost} these data cannot say"


def balance_table(
    people: People, x: np.ndarray, names: tuple[str, ...], weights: np.ndarray, estimand: str
) -> pd.DataFrame:
    """A row a covariate: means, standardised mean differences (smd), variance ratios, KS distances, before and after.

    The unit of the smd is a standard deviation before matching: of the exposed (ATT), of the
    comparison (ATC), or the root of the mean of both variances (ATE); sqrt(p(1 - p)) where binary.
    x: (m, q) columns called `names`. weights: (m,), 0 for those left out; before, the study's own.
    """
    exposed, own, binary = people.exposed, people.sizes, is_binary(x)
    v1, v0 = weighted_variance(x[exposed], own[exposed]), weighted_variance(x[~exposed], own[~exposed])
    unit = np.sqrt({"ATT": v1, "ATC": v0}.get(estimand, (v1 + v0) / 2))
    out: dict[str, object] = {"covariate": list(names)}
    use = weights > 0
    if not (use & exposed).any() or not (use & ~exposed).any():
        ks = [ks_distances(x, exposed, (own,))[0]]
    else:
        ks = ks_distances(x, exposed, (own, weights))
    for when, w, distance in zip(("before", "after"), (own, weights), [*ks, None], strict=False):
        if distance is None:
            out |= {f"{c}_after": np.nan for c in _COLUMNS}
            continue
        keep = w > 0
        side = exposed[keep]
        one, zero, w1, w0 = x[keep][side], x[keep][~side], w[keep][side], w[keep][~side]
        m1, m0 = weighted_mean(one, w1), weighted_mean(zero, w0)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(binary, np.nan, weighted_variance(one, w1) / weighted_variance(zero, w0))
            smd = np.where(m1 == m0, 0.0, (m1 - m0) / unit)
        out |= {f"{c}_{when}": v for c, v in zip(_COLUMNS, (m1, m0, smd, ratio, distance), strict=True)}
    return pd.DataFrame(out)


_COLUMNS = ("mean_exposed", "mean_comparison", "smd", "variance_ratio", "ks")
