"""Group-time effects once more, by plain loops: no code shared with evalkit, standard errors by stacked moments.

Every (cohort, period) is a list of moments psi_i(theta) that sum to zero at the solution; unit i then contributes
-(sum of dpsi/dtheta)^-1 psi_i (Newey and McFadden 1994), with derivatives by complex steps, exact to rounding.
Coefficients come from statsmodels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import statsmodels.api as sm

TRIM = 0.995
STEP = 1e-30


@dataclass
class Row:
    """One (cohort, period): effect, contributions by unit, adopters' mass and its contributions."""

    cohort: int
    period: int
    att: float
    parts: dict
    mass: float
    masses: dict


@dataclass
class Choices:
    comparison: str = "not_yet"
    base: str = "varying"
    anticipation: int = 0
    window: int = 1
    method: str | None = None
    covariates: tuple[str, ...] = ()
    within: bool = True


@dataclass
class People:
    """The panel as dictionaries: (unit, time) to values."""

    times: list[int]
    first: dict
    weight: dict
    y: dict = field(default_factory=dict)
    x: dict = field(default_factory=dict)


def read(frame: pd.DataFrame, covariates: tuple[str, ...]) -> People:
    one = frame.drop_duplicates("unit").set_index("unit")
    people = People(sorted(frame["time"].unique().tolist()), one["first"].astype(int).to_dict(), one["w"].to_dict())
    for row in frame.to_dict("records"):
        at = row["unit"], row["time"]
        if not np.isnan(row["y"]):
            people.y[at] = row["y"]
        x = [row[c] for c in covariates]
        if not np.isnan(x).any():
            people.x[at] = [1.0, *x]
    return people


def group_time(frame: pd.DataFrame, o: Choices) -> list[Row]:
    """Every row that can be answered."""
    people = read(frame, o.covariates)
    out = []
    for g in sorted({f for f in people.first.values() if f > 0}):
        last = g - 1 - o.anticipation
        if last < people.times[0]:
            continue
        for t in people.times:
            b = last if t >= g or o.base == "universal" else t - 1
            if b < people.times[0] or t == b:
                continue
            made = one_row(people, o, g, t, b)
            if made is not None:
                out.append(made)
    return out


def serves(first: int, o: Choices, g: int, t: int, b: int) -> bool:
    if first == 0:
        return True
    return o.comparison == "not_yet" and first != g and first > max(t, b) + o.anticipation


def one_row(people: People, o: Choices, g: int, t: int, b: int) -> Row | None:
    if not o.within:
        return cross_sections(people, o, g, t, b)
    before = [s for s in range(b - o.window + 1, b + 1) if s >= people.times[0]]
    found = [f for f in (one_base(people, o, (g, t, b), s, before) for s in before) if f is not None]
    if not found:
        return None
    mass = sum(f.mass for f in found)
    att = sum(f.mass * f.att for f in found) / mass
    row = Row(g, t, att, {}, mass, {})
    for f in found:
        for u, part in f.parts.items():
            row.parts[u] = row.parts.get(u, 0.0) + (f.mass * part + f.masses[u] * (f.att - att)) / mass
            row.masses[u] = row.masses.get(u, 0.0) + f.masses[u]
    return row


def one_base(people: People, o: Choices, when: tuple[int, int, int], s: int, before: list[int]) -> Row | None:
    """Change from base period s; an adopter is divided among the base periods in which it was seen."""
    g, t, b = when
    units, d, change, x, w = [], [], [], [], []
    for u, first in people.first.items():
        if first != g and not serves(first, o, g, t, b):
            continue
        if (u, t) not in people.y or (u, s) not in people.y or (o.covariates and (u, b) not in people.x):
            continue
        units.append(u)
        d.append(float(first == g))
        change.append(people.y[u, t] - people.y[u, s])
        x.append(people.x.get((u, b), [1.0]))
        w.append(people.weight[u] / (sum((u, r) in people.y for r in before) if first == g else 1))
    d, w = np.array(d), np.array(w)
    if not len(d) or not d.any() or d.all():
        return None
    att, parts = two_groups(np.array(change), d, np.array(x), w, o.method)
    return Row(g, t, att, dict(zip(units, parts, strict=True)), w @ d, dict(zip(units, w * d, strict=True)))


def two_groups(y: np.ndarray, d: np.ndarray, x: np.ndarray, w: np.ndarray, how: str | None) -> tuple:
    q = x.shape[1]
    gamma, beta = np.zeros(q), np.zeros(q)
    if how in ("ipw", "dr"):
        logit = sm.GLM(d, x, family=sm.families.Binomial(), freq_weights=w)
        gamma = logit.fit(tol=1e-14, maxiter=50, tol_criterion="params").params
    if how in ("reg", "dr"):
        beta = sm.WLS(y[d == 0], x[d == 0], weights=w[d == 0]).fit().params
    keep = d + (1 - d) * (1 / (1 + np.exp(-x @ gamma)) < TRIM if how in ("ipw", "dr") else 1.0)

    def left(theta: np.ndarray) -> np.ndarray:
        return y - x @ theta[q : 2 * q]

    def odds(theta: np.ndarray) -> np.ndarray:
        return np.exp(x @ theta[:q]) if how in ("ipw", "dr") else np.ones(len(y))

    def moments(theta: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-x @ theta[:q]))
        first = x * (w * (d - p))[:, None] if how in ("ipw", "dr") else np.tile(theta[:q], (len(y), 1))
        second = x * (w * (1 - d) * left(theta))[:, None] if how in ("reg", "dr") else np.tile(
            theta[q : 2 * q], (len(y), 1)
        )  # fmt: skip
        treated = w * d * (left(theta) - theta[2 * q])
        others = w * (1 - d) * keep * odds(theta) * (left(theta) - theta[2 * q + 1])
        if how == "reg":
            others = np.tile(theta[2 * q + 1], len(y))
        return np.column_stack([first, second, treated, others])

    start = np.concatenate([gamma, beta, [0.0, 0.0]])
    mean1 = np.average(left(start)[d == 1], weights=w[d == 1])
    own = w * (1 - d) * keep * odds(start)
    mean0 = 0.0 if how == "reg" else own @ left(start) / own.sum()
    theta = np.concatenate([gamma, beta, [mean1, mean0]])
    lean = -np.linalg.solve(derivative(lambda s: moments(s).sum(axis=0), theta), moments(theta).T).T
    return mean1 - mean0, lean[:, -2] - lean[:, -1]


def cross_sections(people: People, o: Choices, g: int, t: int, b: int) -> Row | None:
    att, parts, mass, masses = 0.0, {}, 0.0, {}
    for arm, sign in ((True, 1), (False, -1)):
        for when, side in ((t, 1), (b, -1)):
            there = [
                u for u, first in people.first.items()
                if (u, when) in people.y and (first == g if arm else serves(first, o, g, t, b))
            ]  # fmt: skip
            if not there:
                return None
            total = sum(people.weight[u] for u in there)
            mean = sum(people.weight[u] * people.y[u, when] for u in there) / total
            att += sign * side * mean
            for u in there:
                parts[u] = parts.get(u, 0.0) + sign * side * people.weight[u] * (people.y[u, when] - mean) / total
            if arm and when == t:
                mass, masses = total, {u: people.weight[u] for u in there}
    return Row(g, t, att, parts, mass, masses)


def derivative(f: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> np.ndarray:
    """Jacobian by complex steps."""
    columns = []
    for j in range(len(at)):
        moved = at.astype(complex)
        moved[j] += 1j * STEP
        columns.append(np.imag(f(moved)) / STEP)
    return np.array(columns).T


def average(rows: list[Row], kind: str) -> dict[int | str, tuple[float, float]]:
    """Estimates and standard errors by key of the kind, and "overall"."""
    k = len(rows)
    att, mass = np.array([r.att for r in rows]), np.array([r.mass for r in rows])
    units = sorted({u for r in rows for u in (*r.parts, *r.masses)})
    lean = np.array([[*(r.parts.get(u, 0.0) for r in rows), *(r.masses.get(u, 0.0) for r in rows)] for u in units])
    later = [i for i, r in enumerate(rows) if r.period >= r.cohort]
    key = {"event_time": lambda r: r.period - r.cohort, "cohort": lambda r: r.cohort, "period": lambda r: r.period,
           "simple": lambda r: 0}[kind]  # fmt: skip
    chosen = range(k) if kind == "event_time" else later
    keys = sorted({key(rows[i]) for i in chosen})

    def means(theta: np.ndarray) -> np.ndarray:
        values, sizes = theta[:k], theta[k:]
        out, share = [], []
        for name in keys:
            mine = [i for i in chosen if key(rows[i]) == name]
            if kind == "cohort":
                out.append(sum(values[mine]) / len(mine))
                share.append(sum(sizes[mine]) / len(mine))
            else:
                out.append(sum(sizes[mine] * values[mine]) / sum(sizes[mine]))
        if kind == "cohort":
            whole = sum(s * v for s, v in zip(share, out, strict=True)) / sum(share)
        else:
            later_keys = [v for name, v in zip(keys, out, strict=True) if kind != "event_time" or name >= 0]
            whole = sum(later_keys) / len(later_keys)
        return np.array([*out, whole])

    theta = np.concatenate([att, mass])
    parts = lean @ derivative(means, theta).T
    found = zip([*keys, "overall"], np.real(means(theta)), np.sqrt((parts**2).sum(axis=0)), strict=True)
    return {name: (value, se) for name, value, se in found}
