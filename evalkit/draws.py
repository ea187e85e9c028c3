"""Draws made side by side by joblib, wherever `joblib.parallel_config` of the caller sends them: the same everywhere.

Nothing here says how many are made at a time: with no configuration they are made one after another, in this process.
The first always are, which tells whether the others are worth the start of processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice
from multiprocessing import get_all_start_methods, get_start_method
from typing import TypeVar

from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import DEFAULT_MP_CONTEXT, MultiprocessingBackend, get_active_backend

_Task = TypeVar("_Task")
_Made = TypeVar("_Made")
BLOCK = 16
"""Draws that are sent out together."""
WORTH = 1.5
"""Seconds of work from which it is sent out: about what a new process takes to begin."""


def worth(seconds: float) -> bool:
    """Whether work of so many seconds of processor time is to be sent out, and the caller says where to."""
    if seconds <= WORTH or effective_n_jobs(None) == 1:
        return False
    return forks_asked() > 1 or not forks_named()


def forks_named() -> bool:
    """Whether the caller asks for "multiprocessing", forks of this process, and no processes that begin anew."""
    return isinstance(get_active_backend()[0], MultiprocessingBackend)


def forks_asked() -> int:
    """How many forks the caller asks for; 1 where none are named, and where the system does not fork."""
    begun = get_start_method(allow_none=True) or get_all_start_methods()[0]
    begun = begun if DEFAULT_MP_CONTEXT is None else DEFAULT_MP_CONTEXT.get_start_method()
    return effective_n_jobs(None) if forks_named() and begun == "fork" else 1


def in_parallel(make: Callable[[_Task], _Made], tasks: Iterable[_Task]) -> list[_Made]:
    """What `make` gives for each task, in their order. Each task holds all that its draw depends on (its order, or a
    seed of its own, spawned), so that where and when it is made changes nothing."""
    began, all_tasks = time.process_time(), list(tasks)
    first, rest = _block(make, tuple(all_tasks[:BLOCK])), iter(all_tasks[BLOCK:])
    if not worth((time.process_time() - began) / BLOCK * (len(all_tasks) - BLOCK)):
        return [*first, *map(make, rest)]
    blocks = Parallel()(delayed(_block)(make, block) for block in iter(lambda: tuple(islice(rest, BLOCK)), ()))
    return [*first, *(made for block in blocks for made in block)]


def _block(make: Callable[[_Task], _Made], tasks: tuple[_Task, ...]) -> list[_Made]:
    return [make(task) for task in tasks]
