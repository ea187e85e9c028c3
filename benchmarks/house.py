"""The house in numbers: size, circles, walks, types and processor time. `python benchmarks/house.py [--time]`.

Lines and files are those of `evalkit/` without `synthetic/`. A walk counts the files of evalkit that one call on the
study of `evalkit new` enters, their functions, and how many frames of evalkit lie on top of each other at most;
bodies of modules that are imported on the way do not count. `--time` measures processor time (user and system) of
whole processes beside `import pandas, scipy.stats`, in turn, and takes the median of the ratios pair by pair.
`--write` puts the tables into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import ast
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "evalkit"
OWN = f"{PACKAGE}{os.sep}"
START, END = "<!-- house: start -->", "<!-- house: end -->"
BESIDE = "import pandas, scipy.stats"


def modules() -> list[Path]:
    """Every module of evalkit but the synthetic partnerships."""
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.relative_to(PACKAGE).parts[0] != "synthetic"]


def imported(path: Path) -> set[Path]:
    """Modules of evalkit that a module imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("evalkit"):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("evalkit")]
        for name in names:
            file = ROOT.joinpath(*name.split("."))
            found |= {p for p in (file.with_suffix(".py"), file / "__init__.py") if p.exists()}
    return found - {path}


def circles() -> list[set[Path]]:
    """Sets of modules of one folder that import each other in a circle."""
    files = [p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py"]
    beside = {p: {q for q in imported(p) if q.parent == p.parent and q.name != "__init__.py"} for p in files}
    return circles_among(beside)


def circles_among(edges: Mapping[Path, set[Path]]) -> list[set[Path]]:
    """Strongly connected components of more than one module."""
    reach = {}
    for start in edges:
        reach[start], todo = set(), [start]
        while todo:
            new = edges.get(todo.pop(), set()) - reach[start]
            reach[start] |= new
            todo += new
    return [set(g) for g in {frozenset(q for q in reach[p] if p in reach[q]) for p in edges if p in reach[p]}]


def typed_any() -> Iterator[str]:
    """Arguments annotated as `Any`: file:line name."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arg) and isinstance(node.annotation, ast.Name) and node.annotation.id == "Any":
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.arg}"


@dataclass
class Walk:
    """What one call enters: files, functions, and the deepest stack of evalkit's own frames."""

    files: set[str] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    depth: int = 0
    _now: int = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(OWN) or code.co_name == "<module>":
            return
        self._now += 1 if event == "call" else -1
        if event == "call":
            self.files.add(code.co_filename)
            self.functions.add((code.co_filename, code.co_qualname))
            self.depth = max(self.depth, self._now)


def walk(call: Callable[[], Any]) -> tuple[Walk, Any]:
    """The walk of a call, and what it gave."""
    seen = Walk()
    sys.setprofile(seen)
    try:
        given = call()
    finally:
        sys.setprofile(None)
    return seen, given


def walks(study_file: Path) -> list[tuple[str, Walk]]:
    """Load, separability, evaluate and attribute, one after the other on one small study."""
    import evalkit as ek

    ek.attribute(ek.evaluate(ek.Study.load(study_file)))  # what is imported on the way does not count
    load, study = walk(lambda: ek.Study.load(study_file))
    told, _ = walk(lambda: ek.separability(study))
    evaluated, evaluation = walk(lambda: ek.evaluate(study))
    whole, _ = walk(lambda: ek.attribute(evaluation))
    return [("Study.load", load), ("separability", told), ("evaluate", evaluated), ("attribute", whole)]


def processor_seconds(arguments: list[str]) -> float:
    """User and system seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, check=True, capture_output=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratio(arguments: list[str], repeats: int) -> float:
    """Median over pairs of processor time beside `import pandas, scipy.stats`, after one warm-up of each."""
    beside = [sys.executable, "-c", BESIDE]
    processor_seconds(arguments), processor_seconds(beside)
    return statistics.median(processor_seconds(arguments) / processor_seconds(beside) for _ in range(repeats))


def size_table() -> list[str]:
    """Lines, files, circles and arguments of any type, beside what they should stay under."""
    paths = modules()
    lines = sum(p.read_text(encoding="utf-8").count("\n") for p in paths)
    rows = [
        ("lines", lines, "25,500"),
        ("files", len(paths), "165"),
        ("import circles inside a folder", len(circles()), "0"),
        ("arguments typed `Any`", len(list(typed_any())), "40"),
    ]
    return ["| what | now | at most |", "|---|--:|--:|", *(f"| {a} | {b:,} | {c} |" for a, b, c in rows)]


def walk_table(study_file: Path) -> list[str]:
    """One row a call."""
    head = ["| call on the study of `evalkit new` | files | functions | depth |", "|---|--:|--:|--:|"]
    return head + [f"| {n} | {len(w.files)} | {len(w.functions)} | {w.depth} |" for n, w in walks(study_file)]


def time_table(study_file: Path, repeats: int) -> list[str]:
    """Processor time beside `import pandas, scipy.stats`."""
    door = [sys.executable, "-c", "import evalkit; evalkit.Study, evalkit.evaluate"]
    audit = [sys.executable, "-m", "evalkit", "audit", str(study_file)]
    head = [f"| processor time beside `{BESIDE}` | ratio | at most |", "|---|--:|--:|"]
    return [
        *head,
        f"| `import evalkit; evalkit.Study, evalkit.evaluate` | {ratio(door, repeats):.2f} | 1.15 |",
        f"| `evalkit audit` on the study of `evalkit new` | {ratio(audit, repeats):.2f} | 1.60 |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true", help="processor time too (about a minute)")
    parser.add_argument("--any", action="store_true", help="list the arguments typed Any")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "small"
        subprocess.run([sys.executable, "-m", "evalkit", "new", str(new)], check=True, capture_output=True, cwd=ROOT)
        parts = [size_table(), walk_table(new / "study.toml")]
        if chosen.time or chosen.write:
            parts.append(time_table(new / "study.toml", chosen.repeats))
    text = "\n\n".join("\n".join(part) for part in parts)
    print(text)
    if chosen.any:
        print(*typed_any(), sep="\n")
    if chosen.write:
        page = ROOT / "benchmarks" / "README.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(START)
        page.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
