"""Draws made side by side by joblib, wherever `joblib.parallel_config` of the caller sends them: the same everywhere.

Nothing here says how many are made at a time: with no configuration they are made one after another, in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from joblib import Parallel, delayed

_Task = TypeVar("_Task")
_Made = TypeVar("_Made")
BLOCK = 16
"""Draws that are sent out together."""


def in_parallel(make: Callable[[_Task], _Made], tasks: Iterable[_Task]) -> list[_Made]:
    """What `make` gives for each task, in their order. Each task holds all that its draw depends on (its order, or a
    seed of its own, spawned), so that where and when it is made changes nothing."""
    rest = iter(tasks)
    blocks = Parallel()(delayed(_block)(make, block) for block in iter(lambda: tuple(islice(rest, BLOCK)), ()))
    return [made for block in blocks for made in block]


def _block(make: Callable[[_Task], _Made], tasks: tuple[_Task, ...]) -> list[_Made]:
    return [make(task) for task in tasks]
