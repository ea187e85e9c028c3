"""One piece of work, timed in its own process: `python speed_tasks.py ENGINE WORK FOLDER` prints a line of JSON.

Each function warms up on a small panel of the same kind, then does the work once on the large one, with the clock
running from a pandas frame in memory. Peak memory is that of this process.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

COHORTS = (0, 5, 8, 11, 14, 17)
COVARIATES = ["x1", "x2", "x3"]
COMPONENTS = ["a", "b", "c"]


def staggered(units: int, periods: int = 20, seed: int = 1) -> pd.DataFrame:
    """One staggered component, 40% never exposed, three covariates that are fixed for a unit."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(units, 3))
    lean = np.where(rng.random(units) < 0.4 / (1 + np.exp(0.3 * x[:, 0])) * 2, 0, rng.choice(COHORTS[1:], units))
    first, t = np.repeat(lean, periods), np.tile(np.arange(periods), units)
    exposed = (first > 0) & (t >= first)
    y = np.repeat(rng.normal(size=units), periods) + 0.1 * t + 0.02 * t * np.repeat(x[:, 0], periods)
    y += exposed * (1 + 0.1 * (t - first)) + rng.normal(size=len(t))
    columns = {name: np.repeat(x[:, j], periods) for j, name in enumerate(COVARIATES)}
    return pd.DataFrame({
        "unit": np.repeat(np.arange(units), periods), "time": t, "first": first, "exposed": exposed.astype(int), "y": y,
        **columns,
    })  # fmt: skip


def programme(units: int, sites: int, periods: int = 20, seed: int = 2) -> pd.DataFrame:
    """Three components that start site by site, in bursts."""
    rng = np.random.default_rng(seed)
    site = np.arange(units) % sites
    t = np.tile(np.arange(periods), units)
    y = np.repeat(rng.normal(size=units) + rng.normal(size=sites)[site], periods) + 0.1 * t + rng.normal(size=len(t))
    frame = pd.DataFrame({"unit": np.repeat(np.arange(units), periods), "site": np.repeat(site, periods), "time": t})
    for name, effect in zip(COMPONENTS, (0.5, -0.3, 0.2), strict=True):
        first = np.where(rng.random(sites) < 0.35, 99, rng.choice((5, 8, 11, 14), sites))[site]
        age = t - np.repeat(first, periods)
        frame[name] = (age >= 0).astype(int)
        frame[f"{name}_age"] = age
        y += effect * (age >= 0) * (1 + 0.1 * np.maximum(age, 0))
    return frame.assign(y=y)


PANELS: dict[str, tuple[Callable[[], pd.DataFrame], Callable[[], pd.DataFrame]]] = {
    "staggered": (lambda: staggered(100_000), lambda: staggered(400)),
    "people": (lambda: programme(100_000, 400), lambda: programme(800, 80)),
    "joint": (lambda: programme(100_000, 100_000), lambda: programme(600, 600)),
    "sites": (lambda: programme(48, 48, 36), lambda: programme(48, 48, 36, seed=3)),
}
WORKS = {"event study": "staggered", "covariates": "staggered", "people": "people", "joint": "joint", "sites": "sites"}


def write_panel(name: str, folder: Path) -> None:
    """Each column of the large and the small panel as an .npy file, so that reading takes no extra memory."""
    for size, make in zip(("large", "small"), PANELS[name], strict=True):
        for column, values in make().items():
            np.save(folder / f"{name}.{size}.{column}.npy", values.to_numpy())


def read_panel(name: str, size: str, folder: Path, columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({c: np.load(folder / f"{name}.{size}.{c}.npy") for c in columns}, copy=False)


def clock(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    out = work()
    return time.perf_counter() - began, out


def evalkit_event_study(frame: pd.DataFrame, adjust: str | None = None) -> dict[str, float]:
    """Frame to event study with standard errors; the design call alone; bands on top."""
    import evalkit as ek

    def study() -> Any:
        covariates = COVARIATES if adjust else ()
        return ek.Study(frame, unit="unit", period="time", outcome="y", components=["exposed"], covariates=covariates)

    opened, made = clock(study)
    called, estimate = clock(lambda: ek.StaggeredRollout(comparison="never", adjust=adjust)(made, "exposed"))
    told, events = clock(lambda: estimate.aggregate("event_time"))
    shown, _ = clock(events.to_frame)
    bands = min(clock(lambda: events.interval("simultaneous"))[0] for _ in "123")
    again = min(
        clock(lambda: ek.StaggeredRollout(comparison="never", adjust=adjust)(made, "exposed"))[0] for _ in "123"
    )
    return {"seconds": opened + called + told + shown, "call": min(called, again), "bands": bands}


def diff_diff_event_study(frame: pd.DataFrame, adjust: str | None = None) -> dict[str, float]:
    from diff_diff import CallawaySantAnna

    design = CallawaySantAnna(control_group="never_treated", estimation_method="dr", cband=False)
    wanted = {"covariates": COVARIATES} if adjust else {}

    def work() -> Any:
        found = design.fit(frame, outcome="y", unit="unit", time="time", first_treat="first", **wanted)
        return found.aggregate("event_study")

    return {"seconds": clock(work)[0]}


def evalkit_people(frame: pd.DataFrame) -> dict[str, float]:
    """One call a component, with others="same", on a built Study; the slowest of the three."""
    import evalkit as ek

    made = ek.Study(frame, unit="unit", period="time", cluster="site", outcome="y", components=COMPONENTS)
    made.values()
    design = ek.StaggeredRollout(others="same")
    return slowest([least(lambda name=name: design(made, name), 1) for name in COMPONENTS])


def evalkit_sites(frame: pd.DataFrame) -> dict[str, float]:
    """One call with its delete-one-cluster refits and their intervals, the slowest component of three."""
    import evalkit as ek

    made = ek.Study(frame, unit="unit", period="time", outcome="y", components=COMPONENTS)
    design = ek.StaggeredRollout(others="same")
    return slowest([
        least(lambda name=name: design(made, name).aggregate("simple").to_frame(inference="jackknife"), 25)
        for name in COMPONENTS
    ])  # fmt: skip


def least(work: Callable[[], Any], times: int) -> dict[str, float]:
    """Least time by the wall and by the processor, which other programs cannot take away."""
    wall, processor = [], []
    for _ in range(times):
        began = time.process_time()
        wall.append(clock(work)[0])
        processor.append(time.process_time() - began)
    return {"seconds": min(wall), "processor": min(processor)}


def slowest(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: max(f[name] for f in found) for name in found[0]}


def evalkit_joint(frame: pd.DataFrame) -> dict[str, float]:
    import evalkit as ek

    def work() -> Any:
        made = ek.Study(frame, unit="unit", period="time", outcome="y", components=COMPONENTS)
        return [ek.JointEventStudy()(made, name).to_frame(inference="analytic") for name in COMPONENTS]

    return {"seconds": clock(work)[0]}


def pyfixest_joint(frame: pd.DataFrame) -> dict[str, float]:
    """The same event-time indicators, made before the clock starts."""
    import pyfixest

    names, columns = [], {}
    for name in COMPONENTS:
        age = frame[f"{name}_age"].to_numpy()
        for e in range(int(age[age >= 0].max(initial=-1)) + 1):
            names.append(f"{name}_{e}")
            columns[names[-1]] = (age == e).astype(float)
    wide = pd.concat([frame[["unit", "time", "y"]], pd.DataFrame(columns)], axis=1)
    formula = f"y ~ {' + '.join(names)} | unit + time"
    return {"seconds": clock(lambda: pyfixest.feols(formula, wide, vcov={"CRV1": "unit"}).tidy())[0]}


ENGINES: dict[tuple[str, str], tuple[Callable[..., dict[str, float]], list[str]]] = {
    ("evalkit", "event study"): (evalkit_event_study, ["unit", "time", "exposed", "y"]),
    ("diff-diff", "event study"): (diff_diff_event_study, ["unit", "time", "first", "y"]),
    ("evalkit", "covariates"): (lambda f: evalkit_event_study(f, "dr"), ["unit", "time", "exposed", "y", *COVARIATES]),
    ("diff-diff", "covariates"): (
        lambda f: diff_diff_event_study(f, "dr"),
        ["unit", "time", "first", "y", *COVARIATES],
    ),
    ("evalkit", "people"): (evalkit_people, ["unit", "site", "time", "y", *COMPONENTS]),
    ("evalkit", "sites"): (evalkit_sites, ["unit", "site", "time", "y", *COMPONENTS]),
    ("evalkit", "joint"): (evalkit_joint, ["unit", "time", "y", *COMPONENTS]),
    ("pyfixest", "joint"): (pyfixest_joint, ["unit", "time", "y", *(f"{c}_age" for c in COMPONENTS)]),
}  # fmt: skip


def main(engine: str, work: str, folder: Path) -> None:
    run, columns = ENGINES[engine, work]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(read_panel(WORKS[work], "small", folder, columns))
        found = run(read_panel(WORKS[work], "large", folder, columns))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024.0 if sys.platform != "darwin" else 1024.0**2)
    print(json.dumps({**found, "megabytes": peak}))


if __name__ == "__main__":
    if sys.argv[1] == "panel":
        write_panel(sys.argv[2], Path(sys.argv[3]))
    else:
        main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
