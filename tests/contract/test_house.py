"""No circle of imports inside a folder; what is declared is used, and what is used declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks.house import ROOT, circles, circles_among, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULE_OF = {"scikit-learn": "sklearn", "python-docx": "docx", "ibis-framework": "ibis"}
"""Distributions whose module has another name."""
RUN_BY_NAME = {
    "ipykernel": "the kernel of the notebook, started by nbclient",
    "openpyxl": "pandas.read_excel",
    "odfpy": "pandas.read_excel",
    "sqlglot": "ibis, which makes statements with it",
}
"""Distributions that nothing imports, and what needs them."""


def distributions(extra: str | None = None) -> set[str]:
    """Names that pyproject.toml declares, of the package or of one extra."""
    listed = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return {re.split(r"[<>=\[ ;]", line)[0].lower() for line in listed}


EXTRAS = ("ml", "rd", "word", "store", "plan", "watch", "files", "scale", "spark", "postgres", "widget")
"""Extras whose modules evalkit imports where they are installed."""


def modules_of(names: Iterable[str]) -> set[str]:
    return {MODULE_OF.get(name, name.replace("-", "_")) for name in names}


def imported_from_outside() -> set[str]:
    """Top-level modules other than the standard library that evalkit imports, inside functions too."""
    found = set()
    for path in [*modules(), *(ROOT / "evalkit" / "synthetic").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"evalkit"}


def test_no_circle_of_imports_inside_a_folder() -> None:
    assert [sorted(str(p.relative_to(ROOT)) for p in group) for group in circles()] == []


def test_a_circle_is_found() -> None:
    a, b, c = (Path(f"x/{name}.py") for name in "abc")
    assert circles_among({a: {b}, b: {c}, c: set()}) == []
    assert circles_among({a: {b}, b: {c}, c: {a}}) == [{a, b, c}]


def test_what_is_declared_is_used() -> None:
    used = imported_from_outside()
    extras = set().union(*map(distributions, EXTRAS))
    unused = [n for n in distributions() | extras if n not in RUN_BY_NAME and not modules_of([n]) & used]
    assert sorted(unused) == []


def test_what_is_used_is_declared() -> None:
    declared = distributions() | set().union(*map(distributions, EXTRAS))
    assert sorted(imported_from_outside() - modules_of(declared)) == []


@pytest.mark.parametrize("name", sorted(RUN_BY_NAME))
def test_what_is_run_by_name_is_declared(name: str) -> None:
    assert name in distributions() | set().union(*map(distributions, EXTRAS))
