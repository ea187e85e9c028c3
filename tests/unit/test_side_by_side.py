"""Components evaluated in processes of joblib are what they are one after another, and share the caller's study."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config

import evalkit as ek
from evalkit.evaluation.side_by_side import side_by_side
from evalkit.progress import told
from tests.study.panels import panel, study

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


def test_others_send_back_what_the_caller_has_as_the_caller_s_own(made: ek.Study) -> None:
    with parallel_config("loky", n_jobs=2), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = side_by_side(Where(made), [1, 2, 3], lambda _: None)
    assert found[0][0] == os.getpid() and os.getpid() not in {p for p, *_ in found[1:]}
    assert all(s is made for _, s, _ in found)
    assert all(np.array_equal(came, made.paths.came) for *_, came in found)
    assert [str(w.message) for w in said if w.category is ek.EvalkitWarning] == ["task 1", "task 2", "task 3"]


@forking
def test_forks_take_a_stretch_each_and_give_back_what_the_caller_has(made: ek.Study) -> None:
    with parallel_config("multiprocessing", n_jobs=2), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = side_by_side(Slow(made), [1, 2, 3], lambda _: None)
    first, second, third = (p for p, *_ in found)
    assert second == third and len({first, second, os.getpid()}) == 3
    assert all(s is made for _, s, _ in found)
    assert [str(w.message) for w in said if w.category is ek.EvalkitWarning] == ["task 1", "task 2", "task 3"]


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
@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_what_goes_wrong_elsewhere_is_raised_here(made: ek.Study, backend: str) -> None:
    with parallel_config(backend, n_jobs=2), pytest.raises(ek.EvalkitError, match="task -3 is negative"):
        side_by_side(Where(made), [1, 2, -3], lambda _: None)


@pytest.mark.filterwarnings("ignore:task")
def test_nothing_is_sent_out_unless_the_caller_says_so(made: ek.Study) -> None:
    assert {p for p, *_ in side_by_side(Where(made), [1, 2, 3], lambda _: None)} == {os.getpid()}
