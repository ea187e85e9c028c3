"""How it was done and where it comes from: the rules, the sources, the files, the versions."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.reporting.html import Html, bullets, escape, paragraph
from evalkit.reporting.plan import exposure_hash, plan_tags
from evalkit.reporting.register import Names, names_of, period_words
from evalkit.show.tables import make_table

PACKAGES = ("numpy", "pandas", "scipy", "matplotlib", "seaborn")
_SOURCES = (
    "Callaway, B. and Sant'Anna, P. (2021). Difference-in-differences with multiple time periods. Journal of "
    "Econometrics 225(2), 200–230. Estimates by cohort and period, with places not yet exposed to compare with.",
    "Bell, R. and McCaffrey, D. (2002). Bias reduction in standard errors for linear regression with multi-stage "
    "samples. Survey Methodology 28(2), 169–181. The delete-one-cluster jackknife.",
    "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics "
    "6(2), 65–70. The adjustment for the number of components.",
)
_ORDER = (
    "The register of components, their dates and levels was read first.",
    "What can be told apart was worked out from dates alone.",
    "The design of each headline was chosen from that, before any outcome was read.",
    "Estimates and checks followed; verdicts and their sentences come from fixed rules and templates.",
)


def method(evaluation: Any) -> Html:
    """The order of work, which design is the headline of each component and why, and the papers behind them."""
    names = names_of(evaluation.study)
    rows = [(names.label(k), rule) for k, rule in evaluation.rules.items()]
    table = make_table("Which design is the headline, and why", ("Component", "Rule"), rows, name="rules")
    matters = [
        f"{escape(o.label)}: an effect smaller than {o.matters:g} (in the column's own unit) does not matter."
        if o.matters is not None
        else f"{escape(o.label)}: how much would matter was not stated, so an absence of effect is never claimed."
        for o in evaluation.study.outcomes
    ]
    sources = "".join(f"<li>{escape(s)}</li>" for s in _SOURCES)
    body = f"{bullets(map(escape, _ORDER))}{table.to_html()}{_planned(evaluation, names)}{bullets(matters)}"
    body += f"<h3>Sources</h3><ul>{sources}</ul>"
    return Html("method", body)


def _planned(evaluation: Any, names: Names) -> str:
    """What the plan fixed, and whether each result keeps to it."""
    plan = getattr(evaluation, "plan", None)
    if not plan:
        return paragraph("No plan was fixed before the outcomes were read: evalkit plan STUDY makes one.")
    labels = {o.column: o.label for o in evaluation.study.outcomes}
    rows = [(names.label(c), labels[o], tag) for (c, o), tag in plan_tags(plan, evaluation).items()]
    same = plan.get("exposures") == exposure_hash(evaluation.study.paths)
    note = f"Plan {plan['sha256']}, made with evalkit {plan.get('evalkit', '')} before any outcome was read. "
    note += (
        "Units, periods and exposures are those of the plan." if same else "Units, periods or exposures changed since."
    )
    head = ("Component", "Outcome", "Planned")
    return make_table("What was planned", head, rows, name="planned", note=note).to_html()


def provenance(evaluation: Any, study_file: str | Path) -> Html:
    """Every input with its hash, versions, seed, level, and the last period of the data."""
    files = make_table("Inputs", ("File", "SHA-256"), inputs(evaluation.study, study_file), name="inputs")
    facts = make_table("Settings and versions", ("What", "Value"), list(settings(evaluation).items()), name="settings")
    how = paragraph("To make this page again, run the notebook report.ipynb, or: evalkit run STUDY --out FOLDER")
    return Html("provenance", files.to_html() + facts.to_html() + how)


def inputs(study: Any, study_file: str | Path) -> list[tuple[str, str]]:
    """(file, SHA-256) of the study file and of each file that it names, by name within the study's folder."""
    file = Path(study_file)
    file = file / "study.toml" if file.is_dir() else file
    listed: Sequence[Path] = tuple(getattr(study, "inputs", ())) or (file,)
    base = file.resolve().parent
    named = {_inside(Path(p).resolve(), base): Path(p) for p in listed}
    return [(name, sha256(path)) for name, path in sorted(named.items())]


def settings(evaluation: Any) -> dict[str, str]:
    """What the numbers depend on besides the inputs, as words."""
    periods = evaluation.study.paths.periods
    last = period_words(periods[-1]) if evaluation.study.period is not None and len(periods) else "no periods"
    return {
        "Last period of the data": last,
        "Level": f"{evaluation.level:g}",
        "Seed": str(evaluation.seed),
        **{name: found for name, found in versions().items()},
    }


def versions() -> dict[str, str]:
    """Versions of evalkit, Python and the packages that the numbers and figures depend on."""
    return {"evalkit": __version__, "python": platform.python_version(), **{p: _version(p) for p in PACKAGES}}


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _inside(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
