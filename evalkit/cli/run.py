"""`evalkit run STUDY --out FOLDER`: evaluate a study and write its report."""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.screen import output, steps
from evalkit.errors import OptionError


def run(
    study: Path = typer.Argument(help="A study file, or the folder that holds study.toml."),
    out: Path | None = typer.Option(None, "--out", help="Folder of the report. Default: reports/NAME."),
    level: float = typer.Option(0.95, help="Confidence level of the likely ranges."),
    seed: int = typer.Option(0, help="Seed of every random step."),
    plan: Path | None = typer.Option(None, "--plan", help="A plan made before. Default: plan.json beside the study."),
) -> None:
    """Evaluate a study: verdicts here, notebook, page, tables and figures in a folder."""
    given = plan or beside(study)
    evaluate_and_report(study, out or Path("reports") / study_name(study), level, seed, given)


def beside(study: Path) -> Path | None:
    """plan.json beside a study file, where there is one."""
    found = (study if study.is_dir() else study.parent) / "plan.json"
    return found if found.is_file() else None


def evaluate_and_report(file: Path, out: Path, level: float = 0.95, seed: int = 0, plan: Path | None = None) -> Path:
    """Evaluate the study in `file`, print its verdicts, write its report into `out`; return the page's path."""
    check_folder(out)
    from evalkit.cli.findings import Written, show_verdicts
    from evalkit.reporting import report
    from evalkit.study import Study

    with steps(2) as work:
        work.begin("Reading the study")
        study = Study.load(file)
        for outcome in study.outcomes:
            study.values(outcome)
        work.begin("Estimating, checking and writing the report")
        page = report(study, out, level=level, seed=seed, plan=plan)
        work.done("Done")
    show_verdicts(Written.read(study, page.parent))
    if plan is not None:
        output().print(f"Held against the plan in {_near(plan.resolve())}", markup=False, soft_wrap=True)
    output().print(f"The report: {_near(page)}", markup=False, soft_wrap=True)
    return page


def study_name(file: Path) -> str:
    """A name for the report of a study file: that of its folder."""
    whole = file.resolve()
    return whole.name if whole.is_dir() else whole.parent.name


def check_folder(out: Path) -> None:
    """Raise `OptionError` when `out`, or anything above it, is a file."""
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise OptionError(f"--out {str(out)!r} cannot be a folder: {str(place)!r} is a file. Name another folder.")


def _near(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
