"""Components side by side, in forks or processes of joblib, as `joblib.parallel_config` of the caller says.

With no configuration they are evaluated one after another, here. "multiprocessing" is forks of this process, which
works beside them: they begin with all that it holds, and each takes neighbours; where the system does not fork, nothing
is sent anywhere. Of other processes the first component is evaluated here, which tells whether the rest is worth their
start. Findings are the same to the bit: random steps go by a component's own seed.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing
from dataclasses import fields
from itertools import count
from multiprocessing import get_context
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs, parallel_config

from evalkit.designs.threads import one_thread
from evalkit.draws import forks_asked, forks_named, worth
from evalkit.errors import EvalkitError
from evalkit.progress import heard_here
from evalkit.study import Study
from evalkit.study.paths import Level, Paths

_Task = TypeVar("_Task", contravariant=True)
_Made = TypeVar("_Made", covariant=True)
_Left = TypeVar("_Left")


_Found = tuple[list[Any] | None, list[Warning]]
"""What was found for each of some tasks, None where it was left in their file; and what was warned of meanwhile."""
_Sent = tuple[list[Any] | BinaryIO, list[Warning]]
"""The same, with the file that another process left it in."""
_INHERITED: dict[int, tuple[Callable[[int], Any], Shares]] = {}  # what forks that begin now make, each call its own
_KEYS = count()
MOST_FILES = 64
"""Files, at most, in which forks leave what they found; of more tasks some share one."""
_OFTEN = 0.5  # seconds between two looks at whether the others are still there


class Worker(Protocol[_Task, _Made]):
    """What finds something out for each task, and whose `study` need not be sent back with it."""

    @property
    def study(self) -> Study: ...

    def __call__(self, task: _Task) -> _Made: ...


def side_by_side(work: Worker[_Task, _Made], tasks: Sequence[_Task], say: Callable[[_Task], None]) -> list[_Made]:
    """What `work` gives for each task, in their order; `say` is told of each before it is begun, or, where others make
    it and somebody listens here, once it is there. Warnings of other processes are given here too."""
    database = work.study.paths.spread is not None  # a fork has none of its threads
    if (forks := min(1 if database else forks_asked(), len(tasks))) > 1:
        here, there = (say, _silent) if heard_here() else (_silent, say)
        n, ends = min(len(tasks), MOST_FILES), len(tasks)
        runs = [range(ends * i // n, ends * (i + 1) // n) for i in range(n)]
        with ExitStack() as opened:
            out = [opened.enter_context(_shared_file()) for _ in runs]

            def make(i: int) -> _Found:
                return _made(work, [tasks[j] for j in runs[i]], there)

            def leave(i: int, made: _Found) -> _Found:
                _Packer(out[i], _held(work.study)).dump(made[0])
                out[i].flush()
                return None, made[1]

            made = opened.enter_context(closing(in_forks(make, n, forks, leave)))  # nobody works for who has stopped
            sent = ((runs[i], (out[i] if found is None else found, said)) for i, (found, said) in made)
            return _together(sent, work.study, tasks, here)
    found: list[_Made] = []
    for i, task in enumerate(tasks):
        began = time.process_time()
        say(task)
        found.append(work(task))
        rest = tasks[i + 1 :]
        if len(rest) > 1 and not forks_named() and worth(time.process_time() - began):
            return found + _elsewhere(work, rest, say)
    return found


def in_forks(
    make: Callable[[int], _Left], n: int, forks: int, leave: Callable[[int, _Left], _Left] = lambda _, made: made
) -> Generator[tuple[int, _Left]]:
    """What `make` gives for each of 0 to n - 1, with its number: this process is one of two or more that make a share.
    The others have what it works with as they begin, and send what `leave` makes of theirs. What is shared is kept.
    `EvalkitError` where one is ended from outside."""
    shares = Shares(n, forks := min(forks, n))
    _INHERITED[key := next(_KEYS)] = (lambda i: leave(i, make(i))), shares
    try:
        with ProcessPoolExecutor(forks - 1, get_context("fork"), _begin, (os.getpid(),)) as pool:
            try:
                yield from _beside(make, shares, [pool.submit(_inherited, key) for _ in range(n)])
            except BaseException:  # Ctrl-C among them: the pool would wait for all that it has begun
                for fork in list((pool._processes or {}).values()):
                    fork.kill()
                raise
    except BrokenProcessPool as broken:
        ended = "A process beside this one was ended from outside. Was there too little memory?"
        raise EvalkitError(ended) from broken
    finally:
        del _INHERITED[key]


def _beside(
    make: Callable[[int], _Left], shares: Shares, waiting: list[Future[tuple[int, _Left] | None]]
) -> Generator[tuple[int, _Left]]:
    """What is made here, and then what others made, or had made when something went wrong, here or there."""
    found = list[tuple[int, _Left]]()

    def look() -> None:
        for done in [f for f in waiting if f.done()]:
            waiting.remove(done)
            found.extend([made] if (made := done.result()) is not None else [])

    try:
        while (mine := _next(make, shares, look)) is not None:
            yield mine
            look()
        for _ in as_completed(waiting.copy()):
            look()
    except Exception:
        look()
        yield from found
        raise
    yield from found


class Shares:
    """Which of n tasks a process takes next: of a run of neighbours, so that what is kept with one is there for the
    next, and after these the last of the longest run that is left to another."""

    def __init__(self, n: int, forks: int) -> None:
        ends, fork = [n * i // forks for i in range(forks + 1)], get_context("fork")
        self._runs, self._begun = fork.RawArray("q", [*ends[:-1], *ends[1:]]), fork.RawValue("q", 0)
        self._lock, self._mine = fork.Lock(), -1

    def take(self, failed: Callable[[], None] = lambda: None) -> int | None:
        """The next, or None where all are taken; `failed` raises where another is gone, perhaps as it took one."""
        while not self._lock.acquire(timeout=_OFTEN):
            failed()
        try:
            if self._mine < 0:
                self._mine = self._begun.value
                self._begun.value += 1
            first, end = np.frombuffer(self._runs, np.int64).reshape(2, -1)
            if first[self._mine] < end[self._mine]:
                first[self._mine] += 1
                return int(first[self._mine]) - 1
            if end[longest := (end - first).argmax()] == first[longest]:
                return None
            end[longest] -= 1
            return int(end[longest])
        finally:
            self._lock.release()


def _shared_file() -> BinaryIO:
    """A file without a name that forks write what they found into, and the caller reads: through a pipe it is copied
    three times more. In memory where the system has such."""
    return os.fdopen(os.memfd_create("found"), "w+b") if hasattr(os, "memfd_create") else TemporaryFile()


def _begin(caller: int) -> None:
    """Leave no fork behind, waiting for work, where the process that began it is ended from outside; and let nobody
    collect what it began with, which would copy all of it."""
    gc.freeze()

    def watch() -> None:
        while os.getppid() == caller:
            time.sleep(_OFTEN)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _next(make: Callable[[int], _Left], shares: Shares, failed: Callable[[], None]) -> tuple[int, _Left] | None:
    with parallel_config("sequential"):  # draws within stay in the process
        return None if (i := shares.take(failed)) is None else (i, make(i))


def _inherited(key: int) -> tuple[int, Any] | None:
    try:
        return _next(*_INHERITED[key], lambda: None)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)
        except Exception:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error  # its words and trace can be sent
        raise


def _elsewhere(work: Worker[_Task, _Made], tasks: Sequence[_Task], say: Callable[[_Task], None]) -> list[_Made]:
    """A share of the tasks for each process, so that it reads the study once and is not ended as one that grows."""
    n = min(effective_n_jobs(None), len(tasks))
    sent = pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
    shares = [range(i, len(tasks), n) for i in range(n)]
    made = Parallel()(delayed(_loaded)(sent, [tasks[i] for i in share]) for share in shares)
    read = ((io.BytesIO(found), said) for found, said in made)
    return _together(zip(shares, read, strict=True), work.study, tasks, say)


def _together(
    sent: Iterable[tuple[range, _Sent]], study: Study, tasks: Sequence[_Task], say: Callable[[_Task], None]
) -> list[Any]:
    found, heard, held = dict[int, Any](), dict[int, list[Warning]](), _held(study)
    try:
        for share, (made, said) in sent:
            heard[share.start] = said
            found |= zip(share, made if isinstance(made, list) else _read(made, held), strict=True)
    finally:
        for words in (w for _, said in sorted(heard.items()) for w in said):
            warnings.warn(words, stacklevel=2)
    for task in tasks:
        say(task)
    return [found[i] for i in range(len(tasks))]


def _read(source: BinaryIO, held: dict[str, object]) -> list[Any]:
    with source:
        source.seek(0)
        return _Received(source, held).load()  # type: ignore[no-any-return]


def _loaded(sent: bytes, tasks: Sequence[object]) -> tuple[bytes, list[Warning]]:
    work: Worker[Any, Any] = pickle.loads(sent)  # noqa: S301 (the caller's own)
    found, said = _made(work, tasks)
    _Packer(out := io.BytesIO(), _held(work.study)).dump(found)
    return out.getvalue(), said


def _silent(task: object) -> None:
    """Say nothing of it."""


def _made(work: Worker[Any, Any], tasks: Sequence[_Task], say: Callable[[_Task], None] = _silent) -> _Found:
    """What is found for some tasks beside others, and the warnings that were given."""
    found = []
    with warnings.catch_warnings(record=True) as said, one_thread():
        warnings.simplefilter("always")
        for task in tasks:
            say(task)
            found.append(work(task))
    return found, [w.message for w in said if isinstance(w.message, Warning)]


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


class _Packer(pickle.Pickler):
    def __init__(self, out: BinaryIO, held: dict[str, object]) -> None:
        super().__init__(out, pickle.HIGHEST_PROTOCOL)
        self._held = held
        self._names = {id(x): name for name, x in held.items()}

    def persistent_id(self, obj: object) -> str | None:
        return self._names.get(id(obj))


class _Received(pickle.Unpickler):
    def __init__(self, source: BinaryIO, held: dict[str, object]) -> None:
        super().__init__(source)
        self._held = held

    def persistent_load(self, name: str) -> object:
        return self._held[name]
