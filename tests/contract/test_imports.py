"""Each part of evalkit imports only the parts above it in ARCHITECTURE.md; public names resolve and hide nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import evalkit

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "evalkit"
LINE = re.compile(r"^    evalkit/(\w+)(?:\.py|/)\s+(.*)$", re.MULTILINE)
ONLY = re.compile(r"imports ([\w, ]+?) only\b")


def listed_parts() -> dict[str, str]:
    """Part -> what ARCHITECTURE.md says of it, in the order of its list."""
    return dict(LINE.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))


def allowed_parts() -> dict[str, set[str]]:
    """Part -> the parts that it may import: those above it, fewer where its line says "imports x and y only"."""
    order = listed_parts()
    allowed: dict[str, set[str]] = {}
    for part, words in order.items():
        above = set(allowed)
        if only := ONLY.search(words):
            above &= set(re.findall(r"\w+", only[1])) | {"errors"}
        allowed[part] = above | {part}
    return allowed


def modules_imported(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Dotted names of everything imported anywhere in a module that lies in `package`, relative imports resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "evalkit":
                yield from (f"evalkit.{alias.name}" for alias in node.names)
            else:
                yield module


def parts_imported(source: str, package: list[str]) -> set[str]:
    """Parts of evalkit that a module imports; "front door" for evalkit's own public names."""
    parts = set()
    for name in modules_imported(ast.parse(source), package):
        top, _, rest = name.partition(".")
        part = rest.partition(".")[0]
        if top != "evalkit" or part == "__version__":
            continue
        parts.add(part if part in listed_parts() else "front door")
    return parts


def breaches(part: str, source: str, package: list[str]) -> set[str]:
    """Parts that `source`, a module of `part`, may not import but does."""
    return parts_imported(source, package) - allowed_parts()[part]


def test_every_part_is_listed_and_every_listed_part_exists() -> None:
    found = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p.is_dir() and any(p.rglob("*.py")))}
    assert found - {"__init__", "__main__"} <= set(listed_parts())
    assert {"errors", "study", "designs", "cli"} <= set(listed_parts())


def test_imports_point_upwards() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(ROOT).with_suffix("").parts
        if inside[1] in {"__init__", "__main__"}:
            continue
        found = breaches(inside[1], path.read_text(encoding="utf-8"), list(inside[:-1]))
        wrong += [f"{path.relative_to(ROOT)} may not import {part}" for part in sorted(found)]
    assert wrong == []


@pytest.mark.parametrize(
    ("part", "source", "found"),
    [
        ("study", "from evalkit.designs.rollout.plan import Plan", {"designs"}),
        ("study", "def f():\n    import evalkit.figures", {"figures"}),
        ("study", "from evalkit import reporting", {"reporting"}),
        ("study", "from ..show import tables", set()),
        ("study", "from ..cli import main", {"cli"}),
        ("inference", "from evalkit.study import Study", {"study"}),
        ("synthetic", "from evalkit.designs import plan", {"designs"}),
        ("cli", "from evalkit import evaluate", {"front door"}),
        ("cli", "from evalkit import __version__\nimport numpy", set()),
    ],
)
def test_the_rule_sees_what_it_should(part: str, source: str, found: set[str]) -> None:
    assert breaches(part, source, ["evalkit", part]) == found


@pytest.mark.parametrize("name", evalkit.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(evalkit, name) is not None
    assert name in dir(evalkit)


def test_no_part_hides_a_public_function() -> None:
    hidden = {name for name in set(listed_parts()) & set(evalkit.__all__) if callable(getattr(evalkit, name))}
    assert hidden == set()


def test_unknown_public_name_is_refused_with_the_list() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'sepability'.*EvalkitError"):
        evalkit.sepability  # noqa: B018


def test_import_is_light() -> None:
    program = "import sys, evalkit; sys.exit(any(m in sys.modules for m in ('pandas', 'matplotlib', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
