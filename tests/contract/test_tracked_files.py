"""No tracked text file names a folder of somebody's machine or the host of a package registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Written in pieces, so that this file passes its own test.
FOLDERS = "|".join(["work", "tmp", "root", "home", "Users", "mnt", "private", "var/folders"])
HOSTS = "|".join(re.escape(".".join(parts)) for parts in (
    ("pypi", "org"), ("pythonhosted", "org"), ("pypi", "python", "org"), ("registry", "npmjs", "org"),
    ("anaconda", "org"), ("crates", "io"), ("proxy", "golang", "org"),
))  # fmt: skip
MACHINE = re.compile(rf"(?<![\w.~)}}\]-])/(?:{FOLDERS})/\w|\b[A-Z]:\\Users\\", re.ASCII)
REGISTRY = re.compile(rf"(?<![\w-])(?:\w+\.)*(?:{HOSTS})\b|--(?:extra-)?index-{'url'}", re.ASCII)
PICTURES = {".png", ".parquet", ".gz", ".pdf", ".ico", ".woff2"}


def tracked_files() -> list[Path]:
    """Files under version control; all files of the package and its tests where git is not at hand."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        paths = [ROOT / name for name in listed.split("\0") if name]
    else:
        folders = ("evalkit", "tests", "data", "benchmarks", "notebooks")
        paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    return [path for path in paths if path.is_file() and path.suffix not in PICTURES]


def leaks(text: str) -> list[str]:
    """Lines of `text`, with their numbers, that name a machine's folder or a registry's host."""
    if not (MACHINE.search(text) or REGISTRY.search(text)):
        return []
    lines = enumerate(text.splitlines(), 1)
    return [f"{n}: {line.strip()[:120]}" for n, line in lines if MACHINE.search(line) or REGISTRY.search(line)]


def test_no_machine_path_and_no_registry_host() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in tracked_files()
        for line in leaks(path.read_bytes().decode("utf-8", errors="replace"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("pieces", "leak"),
    [
        (("File ", "/", "tmp/ipykernel_3/a.py"), True),
        (("open('", "/", "home/ada/panel.csv')"), True),
        (("C:", "\\Users\\ada"), True),
        (("https://files.python", "hosted.org/packages"), True),
        (("numpy==2 --index", "-url x"), True),
        (("https://example.org", "/", "home/page"), False),
        (("aiohttp==3.1",), False),
        (("tests", "/", "work/shared"), False),
    ],
)
def test_the_search_sees_what_it_should(pieces: tuple[str, ...], leak: bool) -> None:
    assert bool(leaks("".join(pieces))) == leak


def test_pinned_versions_hold_no_address_and_no_lock_file_exists() -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert len(pinned) > 80
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]*==\S+( ; .+)?", line) for line in pinned)
    assert not any("://" in line for line in pinned)
    assert not {path.name for path in tracked_files()} & {"uv.lock", "pylock.toml", "poetry.lock"}
