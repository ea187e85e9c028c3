"""Seeded faults: changes of the package's source that the tests must catch, found by their text wherever it stands."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ROOMS = ("inference", "components", "verdicts", "rollout designs", "decision", "checks", "planned rollouts", "pooling",
         "monitor", "study", "waiting", "designs", "evaluation", "reporting")  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One change: `find` becomes `put`. why: what a user would get. tests: files below tests/ likely to catch it."""

    name: str
    room: str
    find: str
    put: str
    why: str
    tests: tuple[str, ...]

    @property
    def pattern(self) -> re.Pattern[str]:
        """`find` with any run of blanks and line ends where it has one."""
        return re.compile(r"\s+".join(re.escape(word) for word in self.find.split()))

    def places(self, package: Path) -> list[tuple[Path, int]]:
        """Files below `package` that hold the text, and how often; none twice."""
        found = []
        for path in sorted(package.rglob("*.py")):
            count = len(self.pattern.findall(path.read_text(encoding="utf-8")))
            if count:
                found.append((path, count))
        return found

    def apply(self, package: Path) -> Path:
        """Change the one file below `package` that holds the text, and return it.

        Line ends within `put` take the indentation that they have in the source. Raises `ValueError` where the text
        occurs nowhere or more than once, or where the changed file is no Python.
        """
        places = self.places(package)
        if [count for _, count in places] != [1]:
            raise ValueError(f"found {sum(count for _, count in places)} times")
        path = places[0][0]
        changed = self.pattern.sub(self._put, path.read_text(encoding="utf-8"))
        try:
            compile(changed, str(path), "exec")
        except SyntaxError as error:
            raise ValueError(f"the changed file is no Python: {error}") from error
        path.write_text(changed, encoding="utf-8")
        return path

    def _put(self, match: re.Match[str]) -> str:
        ends = iter(re.findall(r"\s*\n\s*", match.group()))
        return re.sub(r"\s*\n\s*", lambda _: next(ends, "\n"), self.put.strip())


def read_faults(path: Path = HERE / "faults.toml") -> tuple[Fault, ...]:
    """Every fault in the list, in its order."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
    return tuple(Fault(**{**entry, "tests": tuple(entry["tests"])}) for entry in listed)
