"""What README.md and its neighbours promise is there: links, pictures, make targets, public names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import evalkit

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "ARCHITECTURE.md", "data/road_safety/README.md")


def words(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_exist(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", words(page))
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", words("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^    )make ([a-z]+)", words(page), re.MULTILINE))
    assert named <= targets


def test_readme_never_tells_to_install_the_other_package() -> None:
    assert not re.search(r"install\s+evalkit(?!-)\b", words("README.md"))


def test_names_in_readme_are_public() -> None:
    named = set(re.findall(r"\bek\.(\w+)", words("README.md") + (evalkit.__doc__ or "")))
    assert len(named) >= 5
    assert sorted(named - set(evalkit.__all__)) == []


def test_version_is_said_once() -> None:
    assert f"version: {evalkit.__version__}\n" in words("CITATION.cff")
    assert f"## {evalkit.__version__}" in words("CHANGELOG.md")
