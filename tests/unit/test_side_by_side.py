"""Components evaluated in processes of joblib are what they are one after another, and share the caller's study."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib import effective_n_jobs, parallel_config

import evalkit as ek
from evalkit.designs.noise.weighing import Made, Weighing
from evalkit.evaluation import side_by_side as side
from evalkit.evaluation.side_by_side import Shares, side_by_side
from evalkit.progress import STEPS, step, told
from tests.study.panels import panel, study

here = os.getpid()
forking = pytest.mark.skipif(multiprocessing.get_all_start_methods()[0] != "fork", reason="processes are no forks here")


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any work is sent out, however short."""
    monkeypatch.setattr("evalkit.draws.WORTH", -1.0)


@dataclass(frozen=True)
class Where:
    """Says which process it ran in, and warns there."""

    study: ek.Study

    def __call__(self, task: int) -> tuple[int, ek.Study, np.ndarray]:
        warnings.warn(f"task {task}", ek.EvalkitWarning, stacklevel=2)
        if task < 0:
            raise ek.EvalkitError(f"task {task} is negative")
        return os.getpid(), self.study, self.study.paths.came  # worked out there, not here


@dataclass(frozen=True)
class Slow(Where):
    """Takes so long that no process does what is another's."""

    def __call__(self, task: int) -> tuple[int, ek.Study, np.ndarray]:
        time.sleep(0.5)
        return super().__call__(task)


@pytest.fixture(scope="module")
def made() -> ek.Study:
    return opened()


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether something becomes true within so many seconds."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def running(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def opened(hold: str = "rows") -> ek.Study:
    return study(panel(gaps=True, people=160, sites=12, periods=8), hold=hold)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_evaluations_are_the_same_and_say_each_step(made: ek.Study, backend: str) -> None:
    alone = ek.evaluate(made)
    steps: list[str] = []
    with parallel_config(backend, n_jobs=2), told(steps.append):
        beside = ek.evaluate(opened())
    for name, frame in alone.frames().items():
        pd.testing.assert_frame_equal(frame, beside.frames()[name], check_exact=True)
    labels = 2 * [c.label for c in made.components]  # of two outcomes
    assert [s.split(":")[0] for s in steps if "comparing" in s] == labels
    last = beside.findings[-1].answer
    assert last is not None and last.weights().equals(alone.findings[-1].answer.weights())


def test_what_cells_weigh_is_sent_and_sent_again(made: ek.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    one = ek.StaggeredRollout(weights="least_noise")(made, made.components[0].name)
    table = one.weights()

    def again(self: Weighing) -> Made:
        raise AssertionError("the model is made again")

    sent = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(one))))
    monkeypatch.setattr(Weighing, "_make", again)
    pd.testing.assert_frame_equal(sent.weights(), table)


def test_others_send_back_what_the_caller_has_as_the_caller_s_own(made: ek.Study) -> None:
    with parallel_config("loky", n_jobs=2), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = side_by_side(Where(made), [1, 2, 3], lambda _: None)
    assert found[0][0] == os.getpid() and os.getpid() not in {p for p, *_ in found[1:]}
    assert all(s is made for _, s, _ in found)
    assert all(np.array_equal(came, made.paths.came) for *_, came in found)
    assert [str(w.message) for w in said if w.category is ek.EvalkitWarning] == ["task 1", "task 2", "task 3"]


@forking
def test_a_fork_works_beside_the_caller_and_gives_back_what_the_caller_has(made: ek.Study) -> None:
    with parallel_config("multiprocessing", n_jobs=2), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = side_by_side(Slow(made), [1, 2, 3], lambda _: None)
    first, second, third = (p for p, *_ in found)
    assert first != second and os.getpid() in {first, second} and third in {first, second}
    assert all(s is made for _, s, _ in found)
    assert [str(w.message) for w in said if w.category is ek.EvalkitWarning] == ["task 1", "task 2", "task 3"]


@forking
def test_a_fork_takes_neighbours_and_then_the_last_that_are_left_to_another() -> None:
    shares = Shares(7, 3)
    assert [shares.take() for _ in range(9)] == [0, 1, 6, 3, 5, 2, 4, None, None]


@forking
def test_who_waits_for_one_that_is_gone_as_it_took_its_next_is_told() -> None:
    def failed() -> None:
        raise ek.EvalkitError("it is gone")

    shares = Shares(7, 3)
    gone = multiprocessing.get_context("fork").Process(target=shares._lock.acquire)
    gone.start()
    gone.join()
    with pytest.raises(ek.EvalkitError, match="it is gone"):
        shares.take(failed)


@dataclass(frozen=True)
class Killed(Where):
    """Is ended from outside where it is a fork; the caller takes its time."""

    def __call__(self, task: int) -> tuple[int, ek.Study, np.ndarray]:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.5)
        return super().__call__(task)


@forking
@pytest.mark.filterwarnings("ignore:task")
def test_a_fork_that_is_ended_from_outside_is_said(made: ek.Study) -> None:
    with parallel_config("multiprocessing", n_jobs=2), pytest.raises(ek.EvalkitError, match="too little memory"):
        side_by_side(Killed(made), list(range(30)), lambda _: None)


@dataclass(frozen=True)
class Lasting(Where):
    """Writes which process it is, and takes a minute."""

    folder: Path

    def __call__(self, task: int) -> tuple[int, ek.Study, np.ndarray]:
        (self.folder / str(os.getpid())).touch()
        time.sleep(60)
        return super().__call__(task)


def evaluating(study: ek.Study, folder: Path) -> None:
    """Evaluates in forks, and forks once more meanwhile, for something else."""
    later = threading.Timer(1.0, multiprocessing.Process(target=time.sleep, args=(20,)).start)
    later.start()
    with parallel_config("multiprocessing", n_jobs=2):
        side_by_side(Lasting(study, folder), [1, 2], lambda _: None)


@forking
def test_no_fork_outlives_who_began_it(made: ek.Study, tmp_path: Path) -> None:
    caller = multiprocessing.Process(target=evaluating, args=(made, tmp_path))
    caller.start()
    assert within(30, lambda: len(list(tmp_path.iterdir())) == 2)
    forks = {int(p.name) for p in tmp_path.iterdir()} - {caller.pid}
    caller.kill()
    caller.join()
    assert len(forks) == 1 and within(10, lambda: not any(map(running, forks)))


@forking
@pytest.mark.filterwarnings("ignore:task")
def test_what_forks_are_at_is_written_as_they_begin(
    made: ek.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEPS, str(file := tmp_path / "steps"))
    with parallel_config("multiprocessing", n_jobs=2):
        side_by_side(Slow(made), [1, 2, 3], lambda task: step(f"task {task}"))
    assert sorted(file.read_text().splitlines()) == ["task 1", "task 2", "task 3"]


@forking
@pytest.mark.filterwarnings("ignore:task")
def test_calls_of_two_threads_keep_their_own(made: ek.Study) -> None:
    other, found = opened(), {}

    def call(study: ek.Study) -> None:
        with parallel_config("multiprocessing", n_jobs=2):
            found[id(study)] = [s for _, s, _ in side_by_side(Slow(study), [1, 2], lambda _: None)]

    threads = [threading.Thread(target=call, args=(s,)) for s in (made, other)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(s is made for s in found[id(made)]) and all(s is other for s in found[id(other)])


@forking
@pytest.mark.filterwarnings("ignore:task")
def test_a_study_that_may_still_ask_a_database_is_not_forked() -> None:
    with parallel_config("multiprocessing", n_jobs=2):
        first, *_ = side_by_side(Where(opened("cells")), [1, 2, 3], lambda _: None)
    assert first[0] == os.getpid()


@pytest.mark.filterwarnings("ignore:task")
def test_where_the_system_does_not_fork_one_process_does_it_all(
    made: ek.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.draws.get_start_method", lambda **_: "spawn")
    with parallel_config("multiprocessing", n_jobs=2):
        assert {p for p, *_ in side_by_side(Where(made), [1, 2, 3], lambda _: None)} == {here}


class Unsendable(Exception):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


@dataclass(frozen=True)
class Failing(Where):
    """Fails at once in a fork, in words that cannot be sent; the caller takes a second for each task."""

    def __call__(self, task: int) -> tuple[int, ek.Study, np.ndarray]:
        if os.getpid() != here:
            raise Unsendable("the real", "reason")
        time.sleep(1)
        return super().__call__(task)


@forking
@pytest.mark.filterwarnings("ignore:task")
def test_what_goes_wrong_in_a_fork_is_said_at_once_in_its_own_words(made: ek.Study) -> None:
    began, said = time.monotonic(), (RuntimeError, Unsendable)  # as itself where something sends every exception
    with parallel_config("multiprocessing", n_jobs=2), pytest.raises(said, match="the real reason"):
        side_by_side(Failing(made), list(range(60)), lambda _: None)
    assert time.monotonic() - began < 30


@dataclass(frozen=True)
class Drawing(Where):
    """Says how many processes draws within it would take."""

    def __call__(self, task: int) -> int:  # type: ignore[override]
        return effective_n_jobs(None)


@forking
def test_draws_stay_in_the_fork_that_makes_them(made: ek.Study) -> None:
    with parallel_config("multiprocessing", n_jobs=2):
        assert side_by_side(Drawing(made), [1, 2, 3], lambda _: None) == [1, 1, 1]


@pytest.mark.filterwarnings("ignore:task")
@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_what_goes_wrong_elsewhere_is_raised_here(made: ek.Study, backend: str) -> None:
    with parallel_config(backend, n_jobs=2), pytest.raises(ek.EvalkitError, match="task -3 is negative"):
        side_by_side(Where(made), [1, 2, -3], lambda _: None)


@pytest.mark.filterwarnings("ignore:task")
def test_nothing_is_sent_out_unless_the_caller_says_so(made: ek.Study) -> None:
    assert {p for p, *_ in side_by_side(Where(made), [1, 2, 3], lambda _: None)} == {os.getpid()}


@dataclass(frozen=True)
class FailingLate(Where):
    """Fails at its last task, when the others are done."""

    def __call__(self, task: int) -> tuple[int, ek.Study, np.ndarray]:
        if task == 3:
            time.sleep(1.0)
            raise ek.EvalkitError("task 3 fails")
        return super().__call__(task)


@forking
def test_what_was_warned_of_is_said_though_a_task_fails(made: ek.Study) -> None:
    with parallel_config("multiprocessing", n_jobs=2), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(ek.EvalkitError, match="task 3 fails"):
            side_by_side(FailingLate(made), [1, 2, 3], lambda _: None)
    assert [str(w.message) for w in said] == ["task 1", "task 2"]


@forking
@pytest.mark.filterwarnings("ignore:task")
def test_many_tasks_need_no_more_files_than_few(made: ek.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, real = [], side.MOST_FILES
    monkeypatch.setattr(side, "_shared_file", lambda make=side._shared_file: opened.append(1) or make())
    with parallel_config("multiprocessing", n_jobs=2):
        found = side_by_side(Where(made), list(range(real + 30)), lambda _: None)
    assert len(found) == real + 30 and len(opened) == real
