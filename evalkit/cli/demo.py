"""`evalkit demo`: the studies that come with evalkit, from data to report."""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.run import evaluate_and_report
from evalkit.errors import EvalkitError

STUDIES = ("road_safety", "synthetic/rough_sleeping")


def demo(out: Path = typer.Option(Path("reports"), "--out", help="Folder for the reports.")) -> None:
    """Evaluate the studies that come with evalkit: traffic-safety laws in 48 US states, and rough sleeping in ten
    boroughs (synthetic, with a known truth)."""
    for name in STUDIES:
        evaluate_and_report(find_study(name), out / Path(name).name)


def find_study(name: str) -> Path:
    """The study file of that name: in the checkout's data folder, else the copy inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    places = (package.parent / "data" / name / "study.toml", package / "data" / name / "study.toml")
    for place in places:
        if place.is_file():
            return place
    raise EvalkitError(f"The demonstration study {name!r} is not there. Looked for {' and '.join(map(str, places))}.")
