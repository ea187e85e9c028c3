"""Folders written aside: whatever stops the work, what was there is whole; what killed makers left is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalkit import folders, synthetic
from evalkit.errors import EvalkitError
from evalkit.folders import aside, filled, make_folder, put, replaced

SLEEPER = "import sys, time; from pathlib import Path; from evalkit.folders import replaced\n"


def write(place: Path, **files: str) -> None:
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")


def content(place: Path) -> dict[str, str]:
    return {p.relative_to(place).as_posix(): p.read_text("utf-8") for p in sorted(place.rglob("*")) if p.is_file()}


def _read(name: str, folder: int) -> bytes:
    handle = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(handle, 9)
    finally:
        os.close(handle)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    place = tmp_path / "reports" / "mine"
    with replaced(place) as fresh:
        write(fresh, page="first", table="first")
    return place


def test_a_folder_is_put_in_place_as_a_whole(report: Path) -> None:
    with replaced(report, ["page", "table"]) as fresh:
        write(fresh, page="second")
        assert content(report) == {"page": "first", "table": "first"}
    assert content(report) == {"page": "second"} and os.listdir(report.parent) == ["mine"]


def test_files_of_others_are_kept(report: Path) -> None:
    (report / "notes").mkdir()
    write(report / "notes", mine="kept")
    (report / "link").symlink_to("notes")
    with replaced(report, ["page", "table"]) as fresh:
        write(fresh, page="second")
    assert (report / "link").is_symlink() and (report / "notes" / "mine").read_text() == "kept"
    assert (report / "page").read_text() == "second" and not (report / "table").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, EvalkitError("no")])
def test_an_error_leaves_what_was_there(report: Path, error: BaseException) -> None:
    with pytest.raises(BaseException) as raised, replaced(report, ["page"]) as fresh:
        write(fresh, page="second")
        raise error
    assert not isinstance(raised.value, OSError)
    assert content(report) == {"page": "first", "table": "first"} and os.listdir(report.parent) == ["mine"]


def test_what_the_system_refuses_is_said_in_words(report: Path) -> None:
    full = pytest.raises(EvalkitError, match=r"No space left on device \(x\.csv\)\. What was there is as it was")
    with full, replaced(report) as fresh:
        write(fresh, page="second")
        raise OSError(28, "No space left on device", "x.csv")
    assert content(report)["page"] == "first"
    (report.parent / "file").write_text("")
    with pytest.raises(EvalkitError, match="Nothing can be written in"), aside(report.parent / "file" / "deeper"):
        pass


def test_a_system_without_exchange_takes_two_steps(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders.sys, "platform", "other")
    with replaced(report, ["page", "table"]) as fresh:
        write(fresh, page="second")
    assert content(report) == {"page": "second"} and os.listdir(report.parent) == ["mine"]
    report.rename(report.with_name(".evalkit-mine.before"))  # killed between the two
    with replaced(report, ["page"]) as fresh:
        write(fresh, page="third")
    assert content(report) == {"page": "third"} and os.listdir(report.parent) == ["mine"]


@pytest.mark.parametrize("inside", [True, False])
def test_where_the_folder_cannot_be_replaced_its_files_are(
    report: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    """The command stands in it; or it is a disk of its own."""
    number = report.stat().st_ino
    if inside:
        monkeypatch.chdir(report)
    else:
        monkeypatch.setattr(folders, "_swap", lambda *_: (_ for _ in ()).throw(OSError(16, "Device or resource busy")))
    write(report, mine="kept")
    with replaced(report, ["page", "table"]) as fresh:
        (fresh / "figures").mkdir()
        write(fresh, page="second")
        write(fresh / "figures", one="1")
    assert content(report) == {"figures/one": "1", "mine": "kept", "page": "second"}
    assert report.stat().st_ino == number and os.listdir(report.parent) == ["mine"]


def test_a_killed_maker_leaves_the_folder_whole_and_the_next_one_tidies_up(report: Path) -> None:
    code = SLEEPER + "with replaced(Path(sys.argv[1])) as f:\n    (f / 'page').write_text('new')\n"
    maker = subprocess.Popen(
        [sys.executable, "-c", f"{code}    print(1, flush=True)\n    time.sleep(60)\n", report],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert maker.stdout is not None and maker.stdout.readline() == "1\n"
    (left,) = [p for p in report.parent.iterdir() if p != report]
    with aside(report.parent):
        assert left.is_dir()  # its maker lives
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    maker.stdout.close()
    assert content(report) == {"page": "first", "table": "first"} and left.is_dir()
    with aside(report.parent):
        assert not left.exists()
    assert os.listdir(report.parent) == ["mine"]


def test_two_makers_at_once_leave_one_whole_folder(report: Path) -> None:
    code = SLEEPER + (
        "for i in range(40):\n    with replaced(Path(sys.argv[1]), ['page', 'table']) as f:\n"
        "        [(f / n).write_text(sys.argv[2] + str(i)) for n in ('page', 'table')]\n"
    )
    makers = [subprocess.Popen([sys.executable, "-c", code, report, name]) for name in "ab"]
    seen = set()
    while any(m.poll() is None for m in makers):
        here = os.open(report, os.O_RDONLY)  # one folder, whatever takes its place meanwhile
        try:
            both = {_read(n, here) for n in ("page", "table")}
            seen.add(len(both))
        except FileNotFoundError:  # this one was just removed
            pass
        finally:
            os.close(here)
        time.sleep(0.01)
    assert [m.wait() for m in makers] == [0, 0] and seen == {1}
    assert len(set(content(report).values())) == 1 and os.listdir(report.parent) == ["mine"]


def test_a_file_is_whole_or_as_before(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from evalkit.folders import put\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); put(Path(sys.argv[1]), b'x' * 5000)\n"
    )
    file = tmp_path / "page"
    put(file, b"first")
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True)
    assert done.returncode == 1 and "EvalkitError" in done.stderr and "File too large" in done.stderr
    assert file.read_bytes() == b"first" and os.listdir(tmp_path) == ["page"]


def test_a_file_is_never_taken_away_for_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text("mine")
    with pytest.raises(EvalkitError, match="is a file, and a folder is to stand there"), replaced(file) as made:
        (made / "a.csv").write_text("x")
    assert file.read_text() == "mine" and [p.name for p in tmp_path.iterdir()] == ["study.toml"]


def test_a_file_where_a_folder_is_to_be_made_is_said_in_words(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("mine")
    for place in (file, file / "below"):
        with pytest.raises(EvalkitError, match="cannot be a folder"):
            make_folder(place)
    make_folder(tmp_path / "b" / "c")
    make_folder(tmp_path / "b" / "c")
    assert (tmp_path / "b" / "c").is_dir() and file.read_text() == "mine"


@pytest.mark.parametrize("name", ["rough_sleeping", "town", "portfolio"])
def test_a_partnership_is_not_written_where_a_file_stands(name: str, tmp_path: Path) -> None:
    made, file = synthetic.partnership(name), tmp_path / "a.txt"
    file.write_text("mine")
    with pytest.raises(EvalkitError, match="cannot be a folder"):
        made.write(file)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "truth").write_text("mine")
    with pytest.raises(EvalkitError, match=r"could not be written: File exists \(.*truth\)"):
        made.write(tmp_path / "b")
    assert file.read_text() == (tmp_path / "b" / "truth").read_text() == "mine"


def test_what_is_put_in_place_later_is_named_by_who_does(tmp_path: Path) -> None:
    with (
        pytest.raises(EvalkitError, match=r"/there' could not be written"),
        replaced(tmp_path / "there") as made,
        filled(made / "in") as place,
    ):
        (place / "a.csv" / "b.csv").write_text("x")
    assert list(tmp_path.iterdir()) == []
