"""Components side by side, in processes of joblib, wherever `joblib.parallel_config` of the caller sends them.

With no configuration they are evaluated one after another, here; so is the first always, which tells whether the others
are worth the start of processes. Findings are the same to the bit: a component's own seed decides its random steps.
"""

from __future__ import annotations

import io
import pickle
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Protocol, TypeVar

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from evalkit.designs.threads import one_thread
from evalkit.draws import worth
from evalkit.study import Study
from evalkit.study.paths import Level, Paths

_Task = TypeVar("_Task", contravariant=True)
_Made = TypeVar("_Made", covariant=True)


class Worker(Protocol[_Task, _Made]):
    """What finds something out for each task, and whose `study` need not be sent back with it."""

    @property
    def study(self) -> Study: ...

    def __call__(self, task: _Task) -> _Made: ...


def side_by_side(work: Worker[_Task, _Made], tasks: Sequence[_Task], say: Callable[[_Task], None]) -> list[_Made]:
    """What `work` gives for each task, in their order; `say` is told of each before it is begun, or, where others make
    it, once it is there. Warnings of other processes are given here too."""
    found: list[_Made] = []
    for i, task in enumerate(tasks):
        began = time.process_time()
        say(task)
        found.append(work(task))
        rest = tasks[i + 1 :]
        if len(rest) > 1 and worth(time.process_time() - began):
            return found + _elsewhere(work, rest, say)
    return found


def _elsewhere(work: Worker[_Task, _Made], tasks: Sequence[_Task], say: Callable[[_Task], None]) -> list[_Made]:
    """A share of the tasks for each process, so that it reads the study once and is not ended as one that grows."""
    sent, held, n = pickle.dumps(work, pickle.HIGHEST_PROTOCOL), _held(work.study), effective_n_jobs(None)
    found: dict[int, _Made] = {}
    shares = [range(i, len(tasks), n) for i in range(min(n, len(tasks)))]
    jobs = (delayed(_made)(sent, [tasks[i] for i in share]) for share in shares)
    for share, (made, said) in zip(shares, Parallel(return_as="generator")(jobs), strict=True):
        for words in said:
            warnings.warn(words, stacklevel=2)
        found |= zip(share, _Received(io.BytesIO(made), held).load(), strict=True)
    for task in tasks:
        say(task)
    return [found[i] for i in range(len(tasks))]


def _made(sent: bytes, tasks: Sequence[object]) -> tuple[bytes, list[Warning]]:
    """What a process sends back: what it found, without what the caller has, and the warnings that it gave."""
    work, out = pickle.loads(sent), io.BytesIO()  # noqa: S301 (the caller's own)
    with warnings.catch_warnings(record=True) as said, one_thread():
        warnings.simplefilter("always")
        found = [work(task) for task in tasks]
    _Sent(out, _held(work.study)).dump(found)
    return out.getvalue(), [w.message for w in said if isinstance(w.message, Warning)]


def _held(study: Study) -> dict[str, object]:
    """What both sides have: the study, its paths and their arrays, as outcomes read them, by name."""
    found: dict[str, object] = {}
    for outcome in study.outcomes:
        mine = study.weighing(outcome)
        found |= {f"{outcome.column} study": mine, f"{outcome.column} paths": mine.paths}
        found[f"{outcome.column} values"] = mine.values(outcome)
        parts: list[Paths | Level] = [mine.paths, *mine.paths.levels.values()]
        for i, part in enumerate(parts):
            arrays = {f.name: getattr(part, f.name) for f in fields(part)}  # given, not worked out on one side alone
            found |= {f"{outcome.column} {i} {k}": v for k, v in arrays.items() if isinstance(v, np.ndarray)}
    return {"study": study, **found}


class _Sent(pickle.Pickler):
    def __init__(self, out: io.BytesIO, held: dict[str, object]) -> None:
        super().__init__(out, pickle.HIGHEST_PROTOCOL)
        self._held = held
        self._names = {id(x): name for name, x in held.items()}

    def persistent_id(self, obj: object) -> str | None:
        return self._names.get(id(obj))


class _Received(pickle.Unpickler):
    def __init__(self, source: io.BytesIO, held: dict[str, object]) -> None:
        super().__init__(source)
        self._held = held

    def persistent_load(self, name: str) -> object:
        return self._held[name]
