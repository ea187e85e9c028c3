"""`evalkit run`, `report`, `sign`, `verify` and `demo`: from a study file to a report, to other formats, and back."""

from __future__ import annotations

from pathlib import Path

import typer

from evalkit.cli.screen import say, steps
from evalkit.errors import EvalkitError, OptionError

STUDIES = ("starter", "road_safety", "synthetic/rough_sleeping")


def run(
    study: Path = typer.Argument(help="A study file, or the folder that holds study.toml."),
    out: Path | None = typer.Option(None, "--out", help="Folder of the report. Default: reports/NAME."),
    level: float = typer.Option(0.95, help="Confidence level of the likely ranges."),
    seed: int = typer.Option(0, help="Seed of every random step."),
    plan: Path | None = typer.Option(None, "--plan", help="A plan made before. Default: plan.json beside the study."),
) -> None:
    """Evaluate a study: verdicts here, notebook, page, tables and figures in a folder."""
    home = study if study.is_dir() else study.parent
    lying = home / "plan.json"
    given = plan or (lying if lying.is_file() else None)
    evaluate_and_report(study, out or Path("reports") / home.resolve().name, level, seed, given)


def evaluate_and_report(file: Path, out: Path, level: float = 0.95, seed: int = 0, plan: Path | None = None) -> Path:
    """Evaluate the study in `file`, print its verdicts, write its report into `out`; return the page's path."""
    check_folder(out)
    from evalkit.cli.findings import show_verdicts
    from evalkit.reporting.build import read_table, report
    from evalkit.reporting.plan import plan_sentence, read_plan
    from evalkit.study import Study

    with steps(2) as begin:
        begin("Reading the study")
        study = Study.load(file)
        study.open_outcomes()
        begin("Estimating, checking and writing the report")
        page = report(study, out, level=level, seed=seed, plan=plan)
    verdicts, tried = (read_table(page.parent / f"{name}.csv", study) for name in ("verdicts", "effects"))
    show_verdicts(study, verdicts.fillna({"direction": ""}), tried)
    if plan is not None:
        say(f"Held against the plan in {_near(plan.resolve())}: {plan_sentence(read_plan(plan), study, level)}")
    say(f"The report: {_near(page)}")
    return page


def check_folder(out: Path) -> None:
    """Raise `OptionError` when `out`, or anything above it, is a file."""
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise OptionError(f"--out {str(out)!r} cannot be a folder: {str(place)!r} is a file. Name another folder.")


def _near(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def report(
    folder: Path = typer.Argument(help="The folder of a report."),
    to: str = typer.Option("html,pdf,docx", "--to", help="Formats, separated by commas: html, pdf, docx."),
) -> None:
    """Write a report that was made already as HTML, PDF or Word."""
    from evalkit.reporting.formats import write_formats

    for path in write_formats(folder, [name.strip() for name in to.split(",") if name.strip()]):
        say(f"Wrote {path}")


def sign(
    folder: Path = typer.Argument(help="The folder of a report."),
    key: Path = typer.Option(help="A private SSH key."),
) -> None:
    """Sign a report: who has your public key can see that it is yours, and that no file was changed."""
    from evalkit.reporting.signing import sign as sign_report

    say(f"Wrote {sign_report(folder, key)}")


def verify(
    folder: Path = typer.Argument(help="The folder of a report."),
    signers: Path | None = typer.Option(None, help="Whose signature it must bear: a list of allowed signers of SSH."),
) -> None:
    """Run a report again from its study file; exit code 1 where anything differs."""
    from evalkit.reporting.signing import check_signature
    from evalkit.reporting.verify import verify as run_again

    if signers is not None:
        say(f"Signed by {check_signature(folder, signers)}, and every file is as it was signed.")
    with steps(1) as begin:
        begin("Making the report again")
        found = run_again(folder)
    say(*found.lines())
    if found.same:
        few = "The same but for the last digits of numbers, to one part in a million: processors round apart."
        say(few if found.digits else "The same, byte for byte, but for the time at which it was made.")
        return
    say("This is not the report that the study file gives now.")
    raise typer.Exit(1)


def demo(out: Path = typer.Option(Path("reports"), "--out", help="Folder for the reports.")) -> None:
    """Evaluate the studies that come with evalkit: a small one in which something is found, something is ruled out and
    something cannot be told; traffic-safety laws in 48 US states; rough sleeping in ten boroughs. The first and the
    last are synthetic."""
    for name in STUDIES:
        evaluate_and_report(find_study(name), out / Path(name).name)


def find_study(name: str) -> Path:
    """The study file of that name: in the checkout's data folder, else inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    folders = (package.parent / "data", package / "data", package / "cli")
    places = tuple(folder / name / "study.toml" for folder in folders)
    for place in places:
        if place.is_file():
            return place
    raise EvalkitError(f"The demonstration study {name!r} is not there. Looked for {' and '.join(map(str, places))}.")
