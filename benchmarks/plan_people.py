"""Why the plan of Manchester says what it says of noise: `python -m benchmarks.plan_people [--draws 1500] [--write]`.

The plan's weights over people's noise as the plan has it, and as people of the partnership make it: standard deviations
of each estimate, in points, with the plan's people unless said. Then what is printed in the first 200 partnerships.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.plan import Partnership, launched, ten_boroughs
from benchmarks.result_tables import into_readme, markdown
from evalkit.designs.rollout.staggered import StaggeredRollout
from evalkit.designs.rollout.triple import TripleDifference
from evalkit.rollouts.brief import Brief
from evalkit.rollouts.kernel import spread_of
from evalkit.rollouts.law import Law, _model, _weights, laws, paths_of
from evalkit.rollouts.movers import moved_covariance
from evalkit.rollouts.planning import search_plan
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.places import NAMES as SITES
from evalkit.synthetic.simulate import Regimes, run_process
from evalkit.synthetic.spec import Spec
from evalkit.synthetic.world import make_pool
from evalkit.vocabulary import TRIPLE

FILE = Path(__file__).resolve().parent / "results" / "plan_people.csv"
START, END = "<!-- plan people: start -->", "<!-- plan people: end -->"
FIRST, PRINTED = 50_000, 200
"""First seed of people; partnerships in which intervals are printed."""
Covariance = Callable[[int, int], np.ndarray]


class Simulated:
    """People of the partnership in places (P, in the plan's order) of kinds (R): without the components that the plan
    begins, and under it. heads: (N, P, R). sums: (2, N, P, R, T). mean: (2, P, R, T). covariance: (2, P, R, T, T)."""

    def __init__(self, spec: Spec, knobs: Knobs, b: Brief, draws: int) -> None:
        names = tuple(p.name for p in spec.parts if p.effects)
        regimes = Regimes(names, np.array([[c not in b.names for c in names], [True] * len(names)]))
        (P, R), T = b.heads.shape, b.T
        order = np.array([b.places.index(name) for name in SITES[:P]])
        self.heads, self.sums = np.zeros((draws, P, R)), np.zeros((2, draws, P, R, T))
        products = np.zeros((2, P, R, T, T))
        for i in range(draws):
            pool = make_pool(spec, knobs, FIRST + i)
            scene = pool.scene.keep(pool.chosen)
            made = run_process(spec.process("settled"), scene, regimes, {}).astype(float)
            has = np.stack([scene.people.flag(b.components[k].reach) > 0 for k in _reaching(b)], axis=1)
            kinds = b.kinds[:, _reaching(b)]
            of = order[scene.people.site] * R + (has[:, None] == kinds).all(axis=2).argmax(axis=1)
            self.heads[i] = np.bincount(of, minlength=P * R).reshape(P, R)
            for cell in np.unique(of):
                y = made[:, :, of == cell]
                self.sums.reshape(2, draws, P * R, T)[:, i, cell] = y.sum(axis=2)
                products.reshape(2, P * R, T, T)[:, cell] += y @ y.transpose(0, 2, 1)
        people = np.maximum(self.heads.sum(axis=0), 1)[..., None]
        self.mean = self.sums.sum(axis=1) / people
        self.covariance = products / people[..., None] - self.mean[..., :, None] * self.mean[..., None, :]


def _reaching(b: Brief) -> list[int]:
    """Components that reach some people only."""
    return [k for k, c in enumerate(b.components) if c.reach is not None]


def weights_of(b: Brief, starts: np.ndarray, law: Law) -> np.ndarray:
    """(P, R, T) weights of a component's estimate in the plan."""
    paths = paths_of(b, starts)
    model, where = _model(b, paths, law.component, law.design, (0, law.until - 1))
    assert model is not None
    out, cells = np.zeros((b.heads.size, b.T)), paths.cells("place")
    for w, (cell, t) in zip(_weights(model), where, strict=True):
        np.add.at(out, (cells.path[cell], t), w)
    return out.reshape(*b.heads.shape, b.T)


def deviations(b: Brief, starts: np.ndarray, law: Law, people: Simulated) -> dict[str, float]:
    """What -> standard deviation of a component's estimate, of people alone."""
    W = weights_of(b, starts, law)
    on = (np.arange(b.T)[:, None] >= starts[:, None, :])[:, None] & b.kinds[:, None, :]
    wanted = on @ np.array([float(c.wanted or 0.0) for c in b.components])
    grown, p = people.mean[1] - people.mean[0], b.noise.share
    person, ratio, left = b.noise.of_person(b.T), spread_of(b), people.covariance[0]

    def told(part: float) -> Covariance:
        return lambda i, r: replace(b.noise, lasting=part).moved(ratio[r] * person, wanted[i, r])

    def good(effects: np.ndarray) -> Covariance:
        return lambda i, r: moved_covariance(left[i, r], effects[i, r], p, 1.0)

    made: dict[str, Covariance] = {
        "plan: nobody moves": lambda i, r: ratio[r] * person,
        "plan: moved for good": told(1.0),
        f"plan: lasting as read, {b.noise.lasting:.2f}": told(b.noise.lasting),
        "partnership: nothing on": lambda i, r: left[i, r],
        "the same people, moved for good and at once by effects wanted": good(wanted),
        "the same people, moved for good by effects as they build up": good(grown),
        "partnership: under the plan": lambda i, r: people.covariance[1, i, r],
    }
    there = [(i, r) for i, r in np.ndindex(b.heads.shape) if b.heads[i, r]]
    out = {what: float(np.sqrt(sum(W[c] @ of(*c) @ W[c] / b.heads[c] for c in there))) for what, of in made.items()}
    heads = people.heads[..., None]
    means = np.where(heads > 0, people.sums[1] / np.maximum(heads, 1), people.mean[1])
    out["partnership: under the plan, as many people of each kind as there happen to be"] = float(
        np.einsum("prt,nprt->n", W, means).std()
    )
    return out


def printed(spec: Spec, knobs: Knobs, told: list[Law], draws: int) -> pd.DataFrame:
    """Estimates and half-widths of intervals of partnerships."""
    lines = []
    for seed in range(draws):
        study = Partnership(spec, "clean", 1000 + seed, knobs).study
        for law in told:
            family = TripleDifference if law.design == TRIPLE else StaggeredRollout
            one = family(base_window=6, horizon=5, weights="least_noise")(study, law.component).over(0, law.until - 1)
            line = one.to_frame().iloc[0]
            lines.append((law.component, line["estimate"], (line["conf_high"] - line["conf_low"]) / 2))
    return pd.DataFrame(lines, columns=["component", "estimate", "half"])


def table(draws: int) -> pd.DataFrame:
    """A row a piece, a column a component, in points."""
    spec, knobs, b, _ = ten_boroughs()
    starts = search_plan(b, 1).starts
    spec, told = launched(spec, starts, b), list(laws(b, starts))
    people, lines = Simulated(spec, knobs, b, draws), printed(spec, knobs, told, PRINTED)
    good = laws(replace(b, noise=replace(b.noise, lasting=1.0)), starts)
    out = {}
    for law, before in zip(told, good, strict=True):
        mine, rows = lines[lines["component"] == law.component], deviations(b, starts, law, people)
        rows[f"estimates of {PRINTED} partnerships, standard deviation"] = float(mine["estimate"].std())
        rows["half the range, mean, plan: moved for good"] = float(before.half.mean())
        rows["half the range, mean, plan: lasting as read"] = float(law.half.mean())
        rows[f"half the range, mean of {PRINTED} partnerships"] = float(mine["half"].mean())
        out[law.component] = {what: round(100 * value, 2) for what, value in rows.items()}
    return pd.DataFrame(out).rename_axis("points").reset_index()


def main() -> None:
    """Work the table out, keep it, print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1500, help="partnerships whose people are looked at")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    given = parser.parse_args()
    found = table(given.draws)
    found.to_csv(FILE, index=False)
    print(found.to_string())
    if given.write:
        into_readme(START, END, markdown(found))


if __name__ == "__main__":
    main()
