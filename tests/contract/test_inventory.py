"""ARCHITECTURE.md's inventory names every module with the first line of its docstring.

Write it again with `make inventory`, or `python tests/contract/test_inventory.py`.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START, END = "<!-- inventory: start (make inventory) -->", "<!-- inventory: end -->"


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
    """The rows that ARCHITECTURE.md has."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition(START)[2].partition(END)[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def test_every_module_says_what_it_is_for() -> None:
    silent = [line for line in expected_lines() if line.endswith("|  |")]
    assert not silent, "modules without a docstring:\n" + "\n".join(silent)


def test_inventory_is_complete() -> None:
    expected, written = expected_lines(), written_lines()
    lines = [f"+ {line}" for line in expected if line not in written]
    lines += [f"- {line}" for line in written if line not in expected]
    assert not lines, "ARCHITECTURE.md's inventory differs; `make inventory` writes it again:\n" + "\n".join(lines)
    assert written == expected, "the inventory's rows are not in order; run `make inventory`"


def write_inventory() -> None:
    """Replace the section of ARCHITECTURE.md, or add it at the end."""
    page = ROOT / "ARCHITECTURE.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    if not rest:
        before, after = text.rstrip() + "\n\n## Inventory\n\n", "\n"
    rows = "\n".join(["| Module | What it is for |", "|---|---|", *expected_lines()])
    page.write_text(f"{before}{START}\n\n{rows}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write_inventory()
