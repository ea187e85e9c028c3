"""Folders written aside and put in place in one step, so that whatever stops the work leaves what was there whole.

What is being made lies beside its place, in a folder that holds a lock for as long as its maker lives. A maker that was
killed leaves a folder without a lock, which the next one that works there removes (compare SQLite's rollback journal).
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evalkit.errors import EvalkitError

if sys.platform != "win32":
    import fcntl

_START, _END = ".evalkit-", ".part"
_HERE, _SWAP = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)


def os_words(error: OSError) -> str:
    """'No space left on device (reports/mine/verdicts.csv)'."""
    what = error.strerror or str(error) or type(error).__name__
    return f"{what} ({error.filename})" if error.filename else what


def make_folder(place: Path) -> None:
    """Make a folder where there is none yet. Raises `EvalkitError` in words where that cannot be, as at a file."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvalkitError(f"{str(place)!r} cannot be a folder: {os_words(error)}.") from None


@contextmanager
def filled(place: Path) -> Iterator[Path]:
    """A folder to write files into, made if need be. Raises `EvalkitError` in words where it cannot be, and where a
    file in it cannot be written."""
    make_folder(place)
    try:
        yield place
    except OSError as error:
        if any(map(_is_aside, place.parts)):  # whoever puts it in place names where it was to stand
            raise
        raise EvalkitError(f"{str(place)!r} could not be written: {os_words(error)}.") from None


@contextmanager
def aside(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, removed at the end; what makers that were killed left there is removed first.

    Raises `EvalkitError` in words where nothing can be written there.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent):
            for left in parent.glob(f"{_START}*{_END}"):
                with suppress(OSError), _locked(left, wait=False):
                    shutil.rmtree(left, ignore_errors=True)
            folder = parent / f"{_START}{secrets.token_hex(4)}{_END}"
            folder.mkdir()
            held = _lock(folder)
    except OSError as error:
        raise EvalkitError(f"Nothing can be written in {str(parent)!r}: {error.strerror or error}.") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


@contextmanager
def replaced(place: Path, made_before: Collection[str] = ()) -> Iterator[Path]:
    """A new folder that takes the place of `place` in one step once all is written; until then `place` stays as it is.

    made_before: names, from `place`, of the files that go with what was there; all other files there are kept. Where
    the folder cannot be replaced as a whole, because the command stands in it or it is a disk of its own, its files
    are, one by one. Raises `EvalkitError` in words where something cannot be written, as on a full disk, and where a
    file stands there: it is nobody's to take away.
    """
    place = place.resolve()
    if place.exists() and not place.is_dir():
        raise EvalkitError(f"{str(place)!r} is a file, and a folder is to stand there. Name another folder.")
    with aside(place.parent) as folder:
        try:
            yield folder
            with _locked(place.parent):
                if not Path.cwd().is_relative_to(place):
                    _take_along(place, folder, made_before)
                    with suppress(OSError):
                        _swap(folder, place)
                        return
                _fill(folder, place, made_before)
        except OSError as error:
            kept = " What was there is as it was." if place.exists() else ""
            raise EvalkitError(f"{str(place)!r} could not be written: {os_words(error)}.{kept}") from None


def put(file: Path, content: bytes, first: Callable[[], object] | None = None) -> Path:
    """Write a file in one step: whatever stops the work, it is as before or whole. Raises `EvalkitError` in words.

    first: asked once nobody else can put anything there, and what it raises leaves the file as it is."""
    with aside(file.parent) as folder:
        try:
            (folder / file.name).write_bytes(content)
            with _locked(file.parent):
                if first is not None:
                    first()
                os.replace(folder / file.name, file)
        except OSError as error:
            raise EvalkitError(f"{str(file)!r} could not be written: {os_words(error)}.") from None
    return file


def _lock(folder: Path, wait: bool = True) -> int:
    """A handle that holds the lock on a folder until it is closed. Raises `BlockingIOError` where another has it."""
    if sys.platform == "win32":
        return os.open(os.devnull, os.O_RDONLY)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held


def _is_aside(name: str) -> bool:
    return name.startswith(_START) and name.endswith(_END)


@contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[None]:
    if wait and _is_aside(folder.name):  # then its maker holds the lock already: this process
        yield
        return
    held = _lock(folder, wait)
    try:
        yield
    finally:
        os.close(held)


def _take_along(old: Path, new: Path, left: Collection[str]) -> None:
    """Every file in `old` but those `left` and those made again, as links to the same bytes where that can be."""
    if old.is_dir():
        shutil.copymode(old, new)
    for root, folders, files in os.walk(old):
        folders[:] = [f for f in folders if not _is_aside(f)]
        linked = [f for f in folders if Path(root, f).is_symlink()]
        for file in (Path(root, name) for name in (*files, *linked)):
            target = new / file.relative_to(old)
            if file.relative_to(old).as_posix() in left or os.path.lexists(target):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, target, follow_symlinks=False)
            except OSError:
                shutil.copy2(file, target, follow_symlinks=False)


def _fill(new: Path, place: Path, left: Collection[str]) -> None:
    """Move the files of `new` into `place` in the order in which they were written; then remove what is `left` over."""
    with aside(place) as near:
        shutil.copytree(new, near, dirs_exist_ok=True)
        files = sorted((p for p in near.rglob("*") if p.is_file()), key=lambda p: p.stat().st_mtime_ns)
        made = [p.relative_to(near) for p in files]
        for name in made:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(near / name, place / name)
        for name in set(left) - {p.as_posix() for p in made}:
            (place / name).unlink(missing_ok=True)


def _swap(new: Path, place: Path) -> None:
    """Put `new` at `place`; what was there comes to lie where `new` was. One step where the system has one."""
    before = place.with_name(f"{_START}{place.name}.before")
    if before.exists() and not place.exists():  # killed between the two steps below
        os.rename(before, place)
    if not place.exists():
        os.rename(new, place)
        return
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if rename is not None and rename(_HERE, os.fsencode(new), _HERE, os.fsencode(place), _SWAP) == 0:
        return
    os.rename(place, before)
    os.rename(new, place)
    os.rename(before, new)
