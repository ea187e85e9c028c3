"""docs/modules.md names every module with the first line of its docstring.

Write it again with `make inventory`, or `python tests/contract/test_inventory.py`.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "modules.md"
HEAD = "# Modules\n\nWhat each module is for, the first line of its docstring. `make inventory` writes this page.\n"


def purpose(source: str) -> str:
    """The first line of a module's docstring, "" where there is none."""
    words = ast.get_docstring(ast.parse(source)) or ""
    return words.partition("\n")[0].strip().rstrip(".").replace("|", "\\|")


def expected_lines() -> list[str]:
    """One table row for each module that holds code."""
    lines = []
    for path in sorted((ROOT / "evalkit").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if source.strip():
            lines.append(f"| `{path.relative_to(ROOT).as_posix()}` | {purpose(source)} |")
    return lines


def written_lines() -> list[str]:
    """The rows that docs/modules.md has."""
    return [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]


def test_every_module_says_what_it_is_for() -> None:
    silent = [line for line in expected_lines() if line.endswith("|  |")]
    assert not silent, "modules without a docstring:\n" + "\n".join(silent)


def test_inventory_is_complete() -> None:
    expected, written = expected_lines(), written_lines()
    lines = [f"+ {line}" for line in expected if line not in written]
    lines += [f"- {line}" for line in written if line not in expected]
    assert not lines, "docs/modules.md differs; `make inventory` writes it again:\n" + "\n".join(lines)
    assert written == expected, "the inventory's rows are not in order; run `make inventory`"


def write_inventory() -> None:
    """Write docs/modules.md."""
    rows = "\n".join(["| Module | What it is for |", "|---|---|", *expected_lines()])
    PAGE.write_text(f"{HEAD}\n{rows}\n", encoding="utf-8")


if __name__ == "__main__":
    write_inventory()
