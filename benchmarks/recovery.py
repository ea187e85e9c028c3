"""Does evalkit find what is there? Studies with known truth, many draws, one table.

    python benchmarks/recovery.py                       every scenario, 1,000 draws
    python benchmarks/recovery.py --scenario bursts --draws 200

Answers of every draw are kept in benchmarks/results/, so that a run that was stopped goes on where it
was; `--fresh` begins again. Scenarios: bursts, few, together, close, followed, people, matched, and partnerships:
every synthetic partnership in every setting (partnerships.py has more choices), at most 200 draws each.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterable
from pathlib import Path

import matching_recovery as matched
import pandas as pd
import partnerships
import recovery_methods as methods
import recovery_worlds as worlds
import typer
from joblib import Parallel, delayed
from recovery_table import coverage_grid, flags, markdown, summarise
from rich.console import Console
from rich.progress import Progress

import evalkit as ek

RESULTS = Path(__file__).parent / "results"
BATCH = 20
ROLLOUTS, MATCHED, PARTNERSHIPS = "recovery", "matched", "partnerships"
"""Names of the marks in the README between which tables go."""
ALL_DESIGNS = 200
"""Draws in which every component is estimated by every design; in the others only the true zero is asked about."""
ZERO = "third"

BURST_DESIGNS = (methods.SAME1, methods.SAME6, methods.UNCHANGED, methods.JOINT, methods.IGNORED)
FEW_DESIGNS = (methods.SAME1, methods.SAME6, methods.JOINT, methods.IMPUTATION)
FEW = [(n, m) for n in (10, 20, 40) for m in dict.fromkeys((2, 3, 5, n // 2))]


def draw_bursts(seed: int) -> list[dict]:
    """Every component by every design and through `ek.evaluate`; later draws only ask whether the true zero is
    claimed, and run the whole evaluation where its headline interval excludes zero (elsewhere no rule claims)."""
    world = worlds.bursts(seed)
    study = world.study()
    if seed >= ALL_DESIGNS:
        quick = methods.headline(world, study, ZERO)
        return [quick] if quick else [a for a in methods.verdicts(world, ek.evaluate(study)) if a["component"] == ZERO]
    out = list(methods.verdicts(world, ek.evaluate(study)))
    out += [methods.run_design(world, study, m, c) for m in BURST_DESIGNS for c in world.starts]
    return out + list(methods.two_way(world))


def draw_few(clusters: int, exposed: int, seed: int) -> list[dict]:
    """One component in few places: the default interval of each design."""
    world = worlds.few(seed, clusters, exposed)
    study = world.study()
    out = [methods.run_design(world, study, m, "only") for m in FEW_DESIGNS]
    out.append(methods.windows(world, study, "only"))
    people = worlds.few_people(seed, clusters, exposed)
    return [*out, methods.run_design(people, people.study(), methods.TRIPLE, "only")]


def draw_refused(make: Callable[[int], worlds.World], seed: int) -> list[dict]:
    """What `ek.evaluate` says where little can be told apart, bundles included."""
    world = make(seed)
    ev = ek.evaluate(world.study())
    return [*methods.verdicts(world, ev), *methods.bundles(world, ev)]


def one_month(seed: int) -> worlds.World:
    return worlds.together(seed, one_month=True)


def many_months(seed: int) -> worlds.World:
    return worlds.together(seed, one_month=False)


def unequal(seed: int) -> worlds.World:
    """The policy does 0.03 more for the people whom the nurse reaches, so that the nurse's estimate is off by that."""
    return worlds.people(seed, extra=0.03)


SCENARIOS: dict[str, dict[str, tuple]] = {
    "bursts": {"bursts": (draw_bursts,)},
    "few": {f"few {m} of {n}": (draw_few, n, m) for n, m in FEW},
    "together": {
        "together, one month": (draw_refused, one_month), "together, many months": (draw_refused, many_months),
    },
    "close": {"close": (draw_refused, worlds.close)},
    "followed": {"followed": (draw_refused, worlds.followed)},
    "people": {"people": (draw_refused, worlds.people), "people, unequal": (draw_refused, unequal)},
    MATCHED: {f"{MATCHED}, {w}": (matched.answers, w) for w in matched.WORLDS},
}  # fmt: skip


def stored(scenario: str) -> pd.DataFrame:
    """Answers kept from earlier runs."""
    path = RESULTS / f"{scenario}.csv"
    return pd.read_csv(path, keep_default_na=False, na_values=[""]) if path.exists() else pd.DataFrame()


def keep(scenario: str, answers: pd.DataFrame) -> None:
    """Write all answers of a scenario; a run stopped in between leaves the old file whole."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{scenario}.csv"
    answers.round(5).to_csv(path.with_suffix(".part"), index=False, lineterminator="\n")
    path.with_suffix(".part").replace(path)


def run_task(name: str, task: tuple, seed: int) -> pd.DataFrame:
    """One draw of one part of a scenario."""
    function, *rest = task
    return methods.as_frame(function(*rest, seed), name, seed)


def missing(answers: pd.DataFrame, parts: Iterable[str], draws: int) -> list[tuple[str, int]]:
    """(part, seed) that have not been run."""
    done = set() if answers.empty else set(zip(answers["scenario"], answers["draw"], strict=True))
    return [(p, s) for s in range(draws) for p in parts if (p, s) not in done]


def simulate(scenario: str, draws: int, jobs: int, fresh: bool) -> pd.DataFrame:
    """All answers of a scenario up to `draws`, run where they are missing."""
    answers = pd.DataFrame() if fresh else stored(scenario)
    parts = SCENARIOS[scenario]
    todo = missing(answers, parts, draws)
    with Progress(console=Console(stderr=True), transient=True) as bar, Parallel(n_jobs=jobs) as pool:
        line = bar.add_task(scenario, total=len(todo))
        for low in range(0, len(todo), BATCH):
            batch = todo[low : low + BATCH]
            made = pool(delayed(run_task)(name, parts[name], seed) for name, seed in batch)
            answers = pd.concat([answers, *made], ignore_index=True)
            keep(scenario, answers)
            bar.advance(line, len(batch))
    return answers[answers["draw"] < draws]


def write_readme(text: str, mark: str) -> None:
    """Put tables between their marks in the README."""
    readme = RESULTS.parent / "README.md"
    start, end = f"<!-- {mark}: start -->", f"<!-- {mark}: end -->"
    before, rest = readme.read_text().split(start)
    readme.write_text(f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}")


def in_full(table: pd.DataFrame) -> str:
    """Every line; of few clusters, coverage alone."""
    few = table["scenario"].str.startswith("few")
    text = markdown(table[~few])
    if few.any():
        draws = int(table.loc[few, "draws"].min())
        text += f"\n\nCoverage in few places, {draws} draws each:\n\n" + coverage_grid(table[few])
    return text


def main(
    draws: int = typer.Option(1000, help="draws of each scenario"),
    scenario: str = typer.Option("all", help=f"{', '.join(SCENARIOS)}, {PARTNERSHIPS}, or all"),
    jobs: int = typer.Option(2, help="processes"),
    fresh: bool = typer.Option(False, help="begin again instead of adding to what is stored"),
    stored_only: bool = typer.Option(False, help="run nothing: the table of what is stored"),
    write: bool = typer.Option(False, help="put the table into the README"),
) -> None:
    """Simulate studies with known truth and print how well it is found."""
    known = (*SCENARIOS, PARTNERSHIPS)
    if scenario != "all" and scenario not in known:
        raise typer.BadParameter(f"There is no scenario {scenario!r}. Use one of: {', '.join(known)}, all.")
    if scenario in ("all", PARTNERSHIPS):
        few = min(draws, partnerships.DRAWS)
        partnerships.tell(partnerships.all_answers(partnerships.every(), few, jobs, fresh, False, stored_only), write)
    if scenario != PARTNERSHIPS:
        wanted = [n for n in SCENARIOS if scenario in ("all", n)]
        tell({n: stored(n) if stored_only else simulate(n, draws, jobs, fresh) for n in wanted}, write)


def tell(found: dict[str, pd.DataFrame], write: bool) -> None:
    """Print the tables of what was found, and put them into the README where asked."""
    found = {n: a for n, a in found.items() if len(a)}
    table = pd.concat([summarise(a) for a in found.values()], ignore_index=True)
    texts = {MATCHED: matched.grid(found[MATCHED])} if MATCHED in found else {}
    rollouts = ~table["scenario"].str.startswith(MATCHED)
    if rollouts.any():
        print(markdown(table[rollouts]))
        texts[ROLLOUTS] = in_full(table[rollouts])
    print(texts.get(MATCHED, ""))
    for mark, text in texts.items() if write else ():
        write_readme(text, mark)
    missed = [x for _, x in table.iterrows() if flags(x)]
    typer.echo(f"{len(missed)} of {len(table)} lines miss a target.", err=True)


if __name__ == "__main__":
    typer.run(main)
