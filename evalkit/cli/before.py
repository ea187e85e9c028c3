"""`evalkit audit STUDY` and `evalkit plan FILE`: what can be said, fixed and planned before any outcome is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evalkit.cli.screen import Screen, say, steps, titled
from evalkit.errors import OptionError
from evalkit.show.words import count_words, full_stop

LEVEL = 0.95

if TYPE_CHECKING:
    from evalkit.components import Separability
    from evalkit.study import Study


def audit(study: Path = typer.Argument(help="A study file, or the folder that holds study.toml.")) -> None:
    """Say what can be told apart from the dates alone. No outcome is read."""
    with steps(2) as begin:
        begin("Reading the study")
        from evalkit.study import Study

        read = Study.load(study)
        read.check_header()
        begin("Working out what can be told apart")
        from evalkit.components import separability  # after the door: a study that is refused waits for nothing more

        found = separability(read)
    show_separability(read, found)


def show_separability(study: Study, sep: Separability) -> None:
    """What can be told apart, what cannot, and what rollout would have told."""
    from evalkit.components.separability import STATUS_SHAPES, STATUS_WORDS

    screen = Screen()
    labels = {c.name: c.label for c in study.components}
    widths = {"Component": 14, "Status": 16, "Clean switches": 8, "Why": 20}
    table = titled("What can be told apart, from the dates alone", widths)
    for r in sep.components.to_dict("records"):
        status = f"{STATUS_SHAPES.get(r['status'], '')} {STATUS_WORDS.get(r['status'], r['status'])}"
        clean = f"{int(r['clean_switches'])} of {int(r['switches'])}"
        table.add_row(labels.get(r["component"], r["component"]), status, clean, full_stop(str(r["reason"] or "")))
    screen.print(table)
    for sentence in sep.aliased:
        screen.print(full_stop(str(sentence)))
    for r in sep.cure.to_dict("records"):
        screen.print(f"What would let us tell: {full_stop(str(r['words']))}")


def compress(
    study: Path = typer.Argument(help="A study file, or the folder that holds study.toml."),
    out: Path = typer.Option(Path("cells.parquet"), "--out", help="The file of cells."),
) -> None:
    """Add people up into cells that may leave a secure environment; `run` and `audit` take the file for a study."""
    with steps(2) as begin:
        begin("Reading the study")
        from evalkit.disclosure.cells import compress as write
        from evalkit.study import Study

        read = Study.load(study)
        begin("Adding people up")
        made = write(read, out)
    say(f"Wrote {made.file}: {count_words(made.cells, 'cell')}.", made.rules)
    say(*(f"Withheld for {why}: {count_words(n, 'cell')}." for why, n in made.withheld.items() if n))
    if made.pooled:
        say(f"Of {count_words(made.pooled, 'cell')} only the mean of how people differ is there.")
    words = "Answers are those of the rows." if made.exact else "Answers may differ from those of the rows."
    say(words)


def plan(
    study: Path = typer.Argument(help="A study file, the folder that holds study.toml, or the file of a rollout."),
    out: Path | None = typer.Option(
        None, "--out", help="File of the plan (default: plan.json beside the study file); of a rollout, its folder."
    ),
    level: float = typer.Option(LEVEL, help="Confidence level of the likely ranges, of a study's plan."),
) -> None:
    """Fix what will be asked of a study, with a hash; or plan a rollout that will let us tell. No outcome is read."""
    from evalkit.rollouts.file import is_rollout

    if is_rollout(study):
        if level != LEVEL:
            raise OptionError(f"--level {level:g} is for a study's plan: a rollout is planned for intervals of 95%.")
        _plan_rollout(study, out or study.parent / "plan")
        return
    with steps(2) as begin:
        begin("Reading the study")
        from evalkit.study import Study

        read = Study.load(study)
        read.check_header()
        begin("Fixing the plan")
        from evalkit.reporting.plan import FILE, make_plan, write_plan  # after the door, as in `audit`

        made = make_plan(read, level)
    file = write_plan(made, out or (study if study.is_dir() else study.parent) / FILE)
    counts = f"{count_words(len(made['outcomes']), 'outcome')}, {count_words(len(made['components']), 'component')}"
    say(f"Wrote {file}: {counts}.", f"Its hash, to be kept or published: {made['sha256']}")


def _plan_rollout(file: Path, out: Path) -> None:
    """Plan a rollout, show what it would let us tell, and write its folder; refused in words where it is impossible."""
    from evalkit.cli.reports import check_folder
    from evalkit.errors import NotIdentifiedError
    from evalkit.reporting.rollout_page import write_rollout
    from evalkit.rollouts.file import read_rollout, title_of
    from evalkit.rollouts.planning import window_words

    check_folder(out)
    with steps(2) as begin:
        begin("Looking for a rollout")
        made = read_rollout(file)
        if made.impossible:
            raise NotIdentifiedError(f"No rollout can do what {file} asks for. {' '.join(made.impossible)}")
        begin("Holding others beside it")
        page = write_rollout(made, out, title_of(file))
    table = titled("What this rollout would let us tell", {"Component": 14, "Detectable": 10, "Status": 12})
    for r in made.power.to_dict("records"):
        table.add_row(str(r["component"]), f"{r['detectable']:.3g}", str(r["status"]).replace("_", " "))
    Screen().print(table)
    say(
        window_words(made.brief),
        *made.notes,
        f"Wrote {page.parent}: dates, power, rivals, stress, the register and the certificate of the lot.",
    )
