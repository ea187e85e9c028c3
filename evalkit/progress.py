"""Progress: long calls say which step they are at, and whoever listens shows it; nobody listens unless asked to.

A call says `step("nurse: checks")`. `told(listener)` hears it; `followed()` hears another process too, through a file
that its environment names.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Listener = Callable[[str], None]
STEPS = "EVALKIT_STEPS"
"""Name of the variable of the environment that holds the path of the file to which steps are written."""
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_OFTEN = 0.2  # seconds between two looks into the file


def step(words: str) -> None:
    """Say at which step a call is; nothing happens where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(words)
    elif file := os.environ.get(STEPS):
        with open(file, "a", encoding="utf-8") as out:
            out.write(words.replace("\n", " ") + "\n")


def heard_here() -> bool:
    """Whether somebody in this thread listens; else what another process says is heard just as well."""
    return _listener.get() is not None


@contextmanager
def told(listener: Listener) -> Iterator[None]:
    """Hear the steps of everything called within, in this thread.

    with ek.progress.told(print):
        ek.evaluate(study)
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def followed() -> Iterator[None]:
    """Hear the steps of processes started within too; nothing is done where nobody listens here."""
    listener = _listener.get()
    if listener is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="evalkit-") as folder:
        file, done = Path(folder) / "steps", threading.Event()
        file.touch()
        thread = threading.Thread(target=_follow, args=(file, listener, done), daemon=True)
        thread.start()
        os.environ[STEPS] = str(file)
        try:
            yield
        finally:
            os.environ.pop(STEPS, None)
            done.set()
            thread.join()


def _follow(file: Path, listener: Listener, done: threading.Event) -> None:
    """Pass on every whole line that is added to a file, until nothing more will come."""
    with file.open(encoding="utf-8") as lines:
        held, last = "", False
        while True:
            held += lines.read()
            *whole, held = held.split("\n")
            for words in whole:
                listener(words)
            if last:
                return
            last = done.wait(_OFTEN)
