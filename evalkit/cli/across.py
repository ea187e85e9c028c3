"""`evalkit card STUDY` and `evalkit pool CARDS`: evidence handed on, and what worked where."""

from __future__ import annotations

import tomllib
from pathlib import Path

import typer

from evalkit.cli.reports import check_folder
from evalkit.cli.screen import Screen, say, steps, titled
from evalkit.errors import EvalkitError, OptionError


def card(
    study: Path = typer.Argument(help="A study file, or the folder that holds study.toml."),
    out: Path = typer.Option(Path("cards"), "--out", help="Folder of cards."),
    outcome: str | None = typer.Option(None, "--outcome", help="Column of the outcome. Default: the first."),
    about: Path | None = typer.Option(
        None, "--about", help="TOML with study, outcome_id, measured, indigo, licence, [population] and [terms]."
    ),
    supersedes: str | None = typer.Option(None, "--supersedes", help="Key of the earlier card that this one replaces."),
    before: Path | None = typer.Option(None, "--before", help="The study of that card, where clusters were exchanged."),
    level: float = typer.Option(0.95, help="Confidence level of the likely ranges."),
    seed: int = typer.Option(0, help="Seed of every random step."),
) -> None:
    """Evaluate a study and write its evidence card: a small JSON without any unit's or cluster's values."""
    check_folder(out)
    said = _about(about)
    from evalkit.evaluation import evaluate
    from evalkit.pooling.making import card as make
    from evalkit.study import Study

    with steps(2) as begin:
        begin("Reading the study")
        read, earlier = Study.load(study), None if before is None else Study.load(before)
        begin("Evaluating it")
        evaluated = evaluate(read, level=level, seed=seed)
        made = make(evaluated, outcome=outcome, supersedes=supersedes, before=earlier, **said)
    file = made.save(out)
    say(f"Wrote {file}: {len(made.numbered)} of {len(made.rows)} rows with a number.", f"Its key: {made.key}")


_ABOUT = {
    "study": str,
    "outcome_id": str,
    "measured": str,
    "indigo": str,
    "licence": str,
    "population": dict,
    "terms": dict,
}


def _about(file: Path | None) -> dict:
    """What a file says of a card. Raises `OptionError` for keys that there are not."""
    if file is None:
        return {}
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise OptionError(f"--about {str(file)!r} cannot be read ({error}).") from None
    for key, value in said.items():
        if key not in _ABOUT or not isinstance(value, _ABOUT[key]):
            raise OptionError(f"--about {str(file)!r}: {key!r} cannot be used. It may say: {', '.join(_ABOUT)}.")
    return said


def pool(
    cards: Path = typer.Argument(help="A folder of cards, or a DuckDB file of them."),
    out: Path = typer.Option(..., "--out", help="Folder of the page."),
    outcome: str | None = typer.Option(None, "--outcome", help="Which outcome, where cards have several."),
    whom: str = typer.Option("reached", "--whom", help="reached or everybody."),
    use: str = typer.Option("rollouts", "--use", help="rollouts, programmes or both."),
    register: Path | None = typer.Option(None, "--register", help="Folder of INDIGO project files: the denominator."),
    leave_out: bool = typer.Option(False, "--leave-out", help="Leave out cards that are refused, and name them."),
) -> None:
    """Pool evidence cards, and write the page "what worked where" with a prior for the next study."""
    check_folder(out)
    from evalkit.pooling.indigo import read_indigo
    from evalkit.pooling.pool import pool as pool_cards
    from evalkit.pooling.store import Cards
    from evalkit.reporting.across import portfolio

    if register is not None and not register.is_dir():
        raise EvalkitError(f"--register {str(register)!r} is no folder. Name one that holds INDIGO project files.")
    with steps(2) as begin:
        begin("Reading the cards")
        served = Cards.load(cards, on_refused="leave_out" if leave_out else "raise")
        projects = [read_indigo(f) for f in sorted(register.glob("*.json"))] if register else []
        begin("Pooling, and writing the page")
        pooled = pool_cards(served, outcome, whom, use)  # type: ignore[arg-type]
        page = portfolio(pooled, out, register=projects)
    table = titled(
        f"What worked where: {pooled.outcome.label}", {"Component": 14, "Verdict": 12, "What may be said": 30}
    )
    for r in pooled.components.to_dict("records"):
        table.add_row(r["label"], str(r["verdict"]).replace("_", " "), r["sentence"])
    Screen().print(table)
    say(f"The page: {page}", f"A prior for the next study: {page.parent / 'pool.json'}")
