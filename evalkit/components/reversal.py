"""Components that are switched off and on again: what kind of rollout that is, in words."""

from __future__ import annotations

import numpy as np

from evalkit.components.wording import Names
from evalkit.study.paths import OFF, Paths

CROSSOVER = "a crossover: {began} took it up as {ended} gave it up"
UNTIL = ", and they are compared only until then"
BESIDE = ", and can be set against each other only if nothing of it is left afterwards"
FIRST = "{again} switched it off and on again, of whom only the first start is compared"
ALL = "{again} switched it off and on again, and what was left of it then is in what later starts are compared with"


def reversal_words(paths: Paths, component: str, starts: str, names: Names) -> str:
    """What is to be known of a component that crosses over or begins again, as a clause; "" for any other.

    starts: whether "all" starts are compared or only the "first" of each place; "" where starts are not compared.
    """
    on, off = _by_place(paths, component)
    begins = on[:, 1:] & off[:, :-1]
    ended = off[:, 1:] & on[:, :-1]
    both = np.flatnonzero(begins.any(axis=0) & ended.any(axis=0))
    crossed = begins[:, both].any(axis=1), ended[:, both].any(axis=1)
    if min(c.sum() for c in crossed) >= 2 and 2 * ended[:, both].sum() >= ended.sum():
        began, gave = (names.count(int(c.sum())) for c in crossed)
        return CROSSOVER.format(began=began, ended=gave) + (UNTIL if starts else BESIDE)
    again = int((begins & (np.cumsum(on, axis=1)[:, :-1] > 0)).any(axis=1).sum())
    return (FIRST if starts == "first" else ALL).format(again=names.count(again)) if again else ""


def _by_place(paths: Paths, component: str) -> tuple[np.ndarray, np.ndarray]:
    """(G, T) each: places where it is on for somebody whom it can reach; and where it is plainly off for all such."""
    k, level = paths.index(component), paths.levels[paths.inference_level(component)[0]]
    reach = paths.reach[paths.path, k]
    place, path = level.codes[reach], paths.path[reach]
    on, busy = np.zeros((2, len(level.names), paths.n_periods), dtype=bool)
    np.logical_or.at(on, place, paths.state[path, :, k] > 0)
    np.logical_or.at(busy, place, paths.state[path, :, k] != OFF)
    return on, ~busy
