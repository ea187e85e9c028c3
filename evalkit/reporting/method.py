"""How it was done and where it comes from: the rules, the sources, the files, the versions."""

from __future__ import annotations

import hashlib
import platform
import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evalkit import __version__
from evalkit.evaluation import Evaluation
from evalkit.reporting.blocks import PAGE, Block, Heading, Listing, Paragraph, Section
from evalkit.reporting.names import names_of, spoken_period, statements_of
from evalkit.reporting.plan import exposure_hash
from evalkit.reporting.sections import headed
from evalkit.show.numbers import size_words
from evalkit.show.tables import make_table
from evalkit.show.words import noun_from_column, sentence_case
from evalkit.study import Outcome, Study

PACKAGES = ("numpy", "pandas", "scipy", "matplotlib", "seaborn")
_SOURCES = tomllib.loads((PAGE / "sources.toml").read_text(encoding="utf-8"))
_ORDER = (
    "The register of components, their dates and levels was read first.",
    "What can be told apart was worked out from dates alone.",
    "The design of each headline was chosen from that, before any outcome was read.",
    "Estimates and checks followed; verdicts and their sentences come from fixed rules and templates.",
)


def method(evaluation: Evaluation) -> Section:
    """The order of work, which design is the headline of each component and why, and the papers behind them."""
    names = names_of(evaluation.study)
    labels = {k: names.label(k) for k in evaluation.rules}
    rows = [(labels[k], sentence_case(r.removeprefix(f"{labels[k]}: "))) for k, r in evaluation.rules.items()]
    table = make_table("Which design is the headline, and why", ("Component", "Rule"), rows, name="rules")
    matters = Listing(tuple(_matters(o, evaluation.study) for o in evaluation.study.outcomes))
    sources = (Heading(3, "Sources"), Listing(tuple(sources_of(evaluation))))
    return headed("method", Listing(_ORDER), table, _planned(evaluation), matters, *sources)


def _matters(outcome: Outcome, study: Study) -> str:
    """How large an effect would matter, as somebody said before."""
    if outcome.matters is None:
        return f"{outcome.label}: how much would matter was not stated, so an absence of effect is never claimed."
    signed = outcome.matters if outcome.better == "higher" else -outcome.matters
    unit, period = (noun_from_column(str(c)) if c else "" for c in (study.unit, study.period))
    size = size_words(signed, outcome.kind, unit, period=period)
    return f"{outcome.label}: an effect smaller than {size} does not matter."


def sources_of(evaluation: Evaluation) -> list[str]:
    """The papers behind the designs that were run, and behind every interval and verdict."""
    run = " ".join([*evaluation.effects["design"].astype(str), *evaluation.bundles["design"].astype(str)])
    if evaluation.attribution is not None:
        run += " Imputation"
    return [*(paper for design, paper in _SOURCES["designs"].items() if design in run), *_SOURCES["every"]]


def _planned(evaluation: Evaluation) -> Block:
    """What the plan fixed, and whether each result keeps to it."""
    plan = evaluation.plan
    if not plan:
        return Paragraph("No plan was fixed before the outcomes were read: evalkit plan STUDY makes one.")
    stated = {o: statements_of(evaluation, o.column) for o in evaluation.study.outcomes}
    rows = [(mine[k].label, o.label, mine[k].planned)
            for k in range(len(evaluation.study.components)) for o, mine in stated.items()]  # fmt: skip
    same = plan.get("exposures") == exposure_hash(evaluation.study.paths)
    note = f"Plan {plan['sha256']}, made with evalkit {plan.get('evalkit', '')} before any outcome was read. "
    note += (
        "Units, periods and exposures are those of the plan." if same else "Units, periods or exposures changed since."
    )
    head = ("Component", "Outcome", "Planned")
    return make_table("What was planned", head, rows, name="planned", note=note)


def provenance(evaluation: Evaluation, study_file: str | Path) -> Section:
    """Every input with its hash, versions, seed, level, and the last period of the data."""
    files = make_table("Inputs", ("File", "SHA-256"), inputs(evaluation.study, study_file), name="inputs")
    facts = make_table("Settings and versions", ("What", "Value"), list(settings(evaluation).items()), name="settings")
    how = Paragraph("To make this page again, run the notebook report.ipynb, or: evalkit run STUDY --out FOLDER")
    return headed("provenance", files, facts, how)


def inputs(study: Study, study_file: str | Path) -> list[tuple[str, str]]:
    """(file, SHA-256) of the study file and of each file that it names, by name within the study's folder."""
    file = Path(study_file)
    file = file / "study.toml" if file.is_dir() else file
    listed: Sequence[Path] = tuple(study.inputs) or (file,)
    base = file.resolve().parent
    named = {p.relative_to(base).as_posix() if p.is_relative_to(base) else p.name: p
             for p in (Path(given).resolve() for given in listed)}  # fmt: skip
    return [(name, sha256(path)) for name, path in sorted(named.items())]


def settings(evaluation: Evaluation) -> dict[str, str]:
    """What the numbers depend on besides the inputs, as words."""
    periods = evaluation.study.paths.periods
    last = spoken_period(periods[-1]) if evaluation.study.period is not None and len(periods) else "no periods"
    level, seed = f"{evaluation.level:g}", str(evaluation.seed)
    return {"Last period of the data": last, "Level": level, "Seed": seed, **versions()}


def versions() -> dict[str, str]:
    """Versions of evalkit, Python and the packages that the numbers and figures depend on."""
    return {"evalkit": __version__, "python": platform.python_version(), **{p: _version(p) for p in PACKAGES}}


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
