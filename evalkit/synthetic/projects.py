"""A portfolio seen from above: one row a project, its mix of components, its effect and standard error."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evalkit.synthetic.world import World, measured


def projects_frame(world: World) -> pd.DataFrame:
    """One row a project: people, which components it has, effect (difference in differences), std_error, weight."""
    scene = world.scene
    names = scene.sites.frame[scene.spec.places.site].to_numpy(dtype=object)[scene.sites.programme]
    value, there = measured(world, scene.spec.processes[0])
    both = there[0] & there[-1]
    change = np.where(both, value[-1] - value[0], 0.0)
    inside = _moments(change, both, scene.people.site, np.arange(len(names)))
    beside = _moments(change, both, scene.people.site, np.arange(len(names)) + len(names))
    error = np.sqrt(inside[2] / inside[0] + beside[2] / beside[0])
    frame = pd.DataFrame(
        {"project": names, "people": inside[0].astype(int), "comparison_people": beside[0].astype(int)}
    )
    for part in scene.spec.parts:
        frame[part.name] = (scene.rollout.dose[part.name][: len(names), -1] > 0).astype(np.int8)
    frame["effect"] = np.round(inside[1] - beside[1], 4)
    frame["std_error"] = np.round(error, 4)
    frame["weight"] = np.round(1 / error**2, 2)
    return frame


def project_effects(world: World, outcome: str, off: list[str]) -> np.ndarray:
    """(J, 1) true effect of components on each project's people who were seen at both waves."""
    scene = world.scene
    effect = world.values[outcome][-1][-1] - world.without(outcome, *off)[-1]
    _, there = measured(world, scene.spec.process(outcome))
    sites = np.arange(int(scene.sites.programme.sum()))
    return _moments(effect, there[0] & there[-1], scene.people.site, sites)[1][:, None]


def _moments(value: np.ndarray, used: np.ndarray, site: np.ndarray, sites: np.ndarray) -> tuple[np.ndarray, ...]:
    """People, mean and variance of the used values in each site."""
    size = int(site.max()) + 1
    n = np.bincount(site[used], minlength=size)[sites].astype(np.float64)
    mean = np.bincount(site[used], weights=value[used], minlength=size)[sites] / np.maximum(n, 1)
    square = np.bincount(site[used], weights=value[used] ** 2, minlength=size)[sites] / np.maximum(n, 1)
    return n, mean, (square - mean**2) * n / np.maximum(n - 1, 1)
