"""The manifest of a report: what it was made from and by, and a hash of every file that was written."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_info

from evalkit import __version__
from evalkit.errors import EvalkitError
from evalkit.show.words import period_words
from evalkit.study import Study

NAME, SIGNATURE = "manifest.json", "manifest.json.sig"
PACKAGES = ("numpy", "pandas", "scipy", "matplotlib", "seaborn")
_NEEDED = {"study": str, "level": float, "seed": int, "inputs": dict, "versions": dict, "files": dict}


def processor() -> str:
    """The machine, and the kernels of linear algebra that were chosen for it: on these the last digits depend."""
    kernels = {str(found.get("architecture")) for found in threadpool_info() if found["user_api"] == "blas"}
    return " ".join([platform.machine(), *sorted(kernels)])


def write_manifest(place: Path, study: Study, file: Path, facts: dict[str, object], verdicts: pd.DataFrame) -> None:
    """Write manifest.json into the folder of a report that is otherwise complete."""
    periods = study.paths.periods
    made = sorted(p for p in place.rglob("*") if p.is_file() and p.name != NAME)
    manifest = {
        **facts,
        "made_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "time_of_data": period_words(periods[-1]) if study.period is not None and len(periods) else None,
        "inputs": dict(inputs(study, file)),
        "versions": versions(),
        "processor": processor(),
        "verdicts": verdicts[["component", "outcome", "verdict"]].to_dict("records"),
        "files": {p.relative_to(place).as_posix(): sha256(p) for p in made},
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    (place / NAME).write_text(text + "\n", encoding="utf-8")


def read_manifest(place: Path) -> dict[str, Any]:
    """The manifest of the report in `place`. Raises `EvalkitError` where there is none, or it is none of a report's."""
    file = place / NAME
    if not file.is_file():
        raise EvalkitError(f"There is no manifest.json in {str(place)!r}. Name the folder of a report.")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict):
        raise EvalkitError(f"{str(file)!r} is not JSON as a report has it. Write the report again: evalkit run STUDY.")
    wrong = [k for k, kind in _NEEDED.items() if not isinstance(manifest.get(k), kind)]
    named = manifest["files"] if "files" not in wrong else {}
    outside = [n for n in named if PurePosixPath(n).is_absolute() or ".." in PurePosixPath(n).parts]
    if wrong or outside:
        what = f"lacks {', '.join(wrong)}" if wrong else f"names {outside[0]!r}, which is not in its folder"
        raise EvalkitError(f"{str(file)!r} {what}. Write the report again: evalkit run STUDY.")
    return manifest


def check_files(place: Path, names: Iterable[str]) -> None:
    """Raise `EvalkitError` unless each of these files in a report's folder is as the report wrote it."""
    for name in names:
        if not (place / name).is_file():
            raise EvalkitError(f"There is no {name} in {str(place)!r}. Write it first: evalkit run STUDY.")
        if sha256(place / name) != read_manifest(place)["files"].get(name):
            raise EvalkitError(
                f"{name} in {str(place)!r} is not the file that its manifest names: it was changed after the report "
                "was written. Nothing is made from it. Write the report again: evalkit run STUDY."
            )


def inputs(study: Study, study_file: str | Path) -> list[tuple[str, str]]:
    """(file, SHA-256) of the study file and of each file that it names, by name within the study's folder."""
    file = Path(study_file)
    file = file / "study.toml" if file.is_dir() else file
    listed: Sequence[Path] = tuple(study.inputs) or (file,)
    base = file.resolve().parent
    named = {p.relative_to(base).as_posix() if p.is_relative_to(base) else p.name: p
             for p in (Path(given).resolve() for given in listed)}  # fmt: skip
    return [(name, sha256(path)) for name, path in sorted(named.items())]


def versions() -> dict[str, str]:
    """Versions of evalkit, Python and the packages that the numbers and figures depend on."""
    return {"evalkit": __version__, "python": platform.python_version(), **{p: version(p) for p in PACKAGES}}


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
