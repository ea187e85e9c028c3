"""How it was done and where it comes from: the rules, the sources, the files, the versions."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evalkit import __version__
from evalkit.evaluation import Evaluation
from evalkit.reporting.blocks import Block, Heading, Listing, Paragraph
from evalkit.reporting.html import Section
from evalkit.reporting.names import names_of, spoken_period, statements_of
from evalkit.reporting.plan import exposure_hash
from evalkit.reporting.sections import headed
from evalkit.show.numbers import size_words
from evalkit.show.tables import make_table
from evalkit.show.words import noun_from_column, sentence_case
from evalkit.study import Outcome, Study

PACKAGES = ("numpy", "pandas", "scipy", "matplotlib", "seaborn")
_ALWAYS = (
    "Bell, R. and McCaffrey, D. (2002). Bias reduction in standard errors for linear regression with multi-stage "
    "samples. Survey Methodology 28(2), 169–181. The delete-one-cluster jackknife.",
    "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics "
    "6(2), 65–70. The adjustment for the number of components.",
)
_SOURCES = {
    "StaggeredRollout": "Callaway, B. and Sant'Anna, P. (2021). Difference-in-differences with multiple time periods. "
    "Journal of Econometrics 225(2), 200–230. Estimates by cohort and period, with places not yet exposed to compare "
    "with.",
    "TripleDifference": "Olden, A. and Møen, J. (2022). The triple difference estimator. The Econometrics Journal "
    "25(3), 531–553. People whom a component can reach beside people whom it cannot.",
    "JointEventStudy": "Sun, L. and Abraham, S. (2021). Estimating dynamic treatment effects in event studies with "
    "heterogeneous treatment effects. Journal of Econometrics 225(2), 175–199. What a regression on event times needs.",
    "TwoWayFixedEffects": "Goldsmith-Pinkham, P., Hull, P. and Kolesár, M. (2024). Contamination bias in linear "
    "regressions. American Economic Review 114(12), 4015–4051. What the usual regression borrows.",
    "Imputation": "Borusyak, K., Jaravel, X. and Spiess, J. (2024). Revisiting event-study designs: robust and "
    "efficient estimation. Review of Economic Studies 91(6), 3253–3285. The total of the programme.",
    "MatchedComparison": "Abadie, A. and Imbens, G. (2006). Large sample properties of matching estimators for average "
    "treatment effects. Econometrica 74(1), 235–267. People beside people.",
    "WeightedComparison": "Hirano, K., Imbens, G. and Ridder, G. (2003). Efficient estimation of average treatment "
    "effects using the estimated propensity score. Econometrica 71(4), 1161–1189. People weighed until they are alike.",
}
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
    return [*(paper for design, paper in _SOURCES.items() if design in run), *_ALWAYS]


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
    named = {_inside(Path(p).resolve(), base): Path(p) for p in listed}
    return [(name, sha256(path)) for name, path in sorted(named.items())]


def settings(evaluation: Evaluation) -> dict[str, str]:
    """What the numbers depend on besides the inputs, as words."""
    periods = evaluation.study.paths.periods
    last = spoken_period(periods[-1]) if evaluation.study.period is not None and len(periods) else "no periods"
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
