"""Pooling components over places, held against its goals. `python -m benchmarks.pooling [PART ...] [--draws N]`.

Parts: reference (R and published figures), speed, coverage and limits (portfolios of cards with known truth), cards
(sizes, refusals, and what a fuzz of evaluations writes into cards), portfolio (24 whole studies, which are evaluated,
and their cards pooled). Each writes its rows into results/pooling.csv, and the table of all into README.md.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

import evalkit as ek
from benchmarks.pooling_fuzz import bad_cards, leaks
from benchmarks.pooling_worlds import EFFECTS, NAMES, World, draw_cards
from evalkit.pooling.card import Card
from evalkit.pooling.model import fit
from tests.reference.pooling_cases import REFERENCE, as_blocks, cards_blocks, contrasts

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "pooling.csv"
README = HERE / "README.md"
MARKS = ("<!-- pooling: start -->", "<!-- pooling: end -->")
COLUMNS = ("part", "what", "goal", "measured", "met", "draws")
UNEQUAL = (0.0, 0.06, 0.0, 0.06, 0.03, 0.03)
TAUS = {"0": (0.0,) * 6, ".03": (0.03,) * 6, ".06": (0.06,) * 6, "unequal": UNEQUAL}
BENEFITS = [j for j, e in enumerate(EFFECTS) if e > 0]
Row = tuple[str, str, str, bool, int]


def reference(draws: int) -> Iterator[Row]:
    """Figures of R and of papers."""
    baker = REFERENCE["baker2009"]
    names = baker["additive"]["components"]
    blocks = as_blocks(contrasts(baker["pairs"], names))
    for method, key, goal in (("DL", "random_dl", 1e-9), ("REML", "random_reml", 1e-6)):
        fitted, theirs = fit(blocks, method), baker["additive"][key]
        gap = float(
            np.max(np.abs(np.append(fitted.beta - theirs["estimate"], np.sqrt(np.diag(fitted.vcov)) - theirs["se"])))
        )
        yield f"Baker 2009, {method}: largest difference from R", f"{goal:g}", f"{gap:.1e}", gap <= goal, 0
    published, fitted = baker["published"], fit(blocks, "DL")
    error = np.sqrt(np.diag(fitted.vcov))
    ratio, z = np.exp(fitted.beta), fitted.beta / error
    low, high = np.exp(fitted.beta - 1.959964 * error), np.exp(fitted.beta + 1.959964 * error)
    found = {"OR": ratio, "low": low, "high": high, "z": z}
    printed = [pair for k, v in found.items() for pair in zip(np.round(v, 2), published[k], strict=True)]
    printed += [(round(fitted.tau2, 4), published["tau2"]), (round(fitted.q, 2), published["Q"])]
    same = sum(abs(a - b) < 1e-9 for a, b in printed)
    yield "Baker 2009: printed figures reproduced", "all", f"{same} of {len(printed)}", same == len(printed), 0
    fitted, theirs = fit(cards_blocks()), REFERENCE["cards"]["one_tau"]
    gap = float(np.max(np.abs(np.append(fitted.beta - theirs["estimate"], fitted.tau2 - theirs["tau2"]))))
    yield "12 studies with their covariance, REML: largest difference from R", "1e-6", f"{gap:.1e}", gap <= 1e-6, 0


@dataclass
class Tally:
    """Hits and tries by component."""

    hit: np.ndarray
    tried: np.ndarray

    @classmethod
    def new(cls) -> Tally:
        return cls(np.zeros(6), np.zeros(6))

    def add(self, j: int, hit: bool) -> None:
        self.hit[j] += hit
        self.tried[j] += 1

    @property
    def share(self) -> np.ndarray:
        return self.hit[self.tried > 0] / self.tried[self.tried > 0]

    @property
    def mean(self) -> float:
        return float(self.hit.sum() / self.tried.sum())


def coverage(draws: int) -> Iterator[Row]:
    """Intervals, predictions and claims over portfolios of cards; means are held to their goals within two Monte Carlo
    errors."""
    for places in (6, 12, 24, 50):
        for label in TAUS:
            yield from of_setting(places, label, draws)


def of_setting(places: int, label: str, draws: int) -> Iterator[Row]:
    """So many places, whose components differ between them by one of TAUS."""
    tau = TAUS[label]
    inside, new, zero, found = (Tally.new() for _ in range(4))
    rng = np.random.default_rng(places)
    for draw in range(draws):
        table = ek.pool(draw_cards(World(places, tau), (places, draw))).components
        for r in table.to_dict("records"):
            j = NAMES.index(r["component"])
            claimed = r["verdict"] in ("shown", "likely")
            if j == 3:
                zero.add(j, claimed)
            if np.isfinite(r["conf_low"]):
                inside.add(j, r["conf_low"] <= EFFECTS[j] <= r["conf_high"])
                there = EFFECTS[j] + tau[j] * rng.standard_normal()
                new.add(j, r["predict_low"] <= there <= r["predict_high"])
            if j in BENEFITS:
                found.add(j, claimed and r["direction"] == "better")
    where = f"{places} places, tau {label}"
    for what, tally, low, worst in (("coverage", inside, 0.93, 0.92), ("a new place", new, 0.92, 0.85)):
        slack = 2 * (0.05 * 0.95 / tally.tried.sum()) ** 0.5
        met = low - slack <= tally.mean <= 0.98 + slack and tally.share.min() >= worst
        goal = f"{low:.2f} to .98, worst {worst:.2f}".replace("0.", ".")
        shown = f"{tally.mean:.3f}, {tally.share.min():.3f}"
        yield f"{where}: {what}, mean and worst component", goal, shown, met, draws
    yield f"{where}: true nought claimed", "at most .06", f"{zero.mean:.3f}", zero.mean <= 0.06, draws
    yield f"{where}: true benefits found", "", f"{found.mean:.3f}", True, draws


def limits(draws: int) -> Iterator[Row]:
    """What is not identified, and traps: harder places, and results chosen because they were found."""
    yield from _together(draws)
    yield from _traps(draws)


def _together(draws: int) -> Iterator[Row]:
    """The first two bought and told apart together only; where every place has them, not even their sum is told from
    what is always on, and the draw is left out."""
    numbers = named = tried = 0
    for draw in range(draws):
        drawn = draw_cards(World(24, together=True), (7, draw))
        if all("a" in c.components for c in drawn):
            continue
        tried += 1
        pooled = ek.pool(drawn, use="both")
        table = pooled.components.set_index("component")
        numbers += int(np.isfinite(table.loc[["a", "b"], "estimate"]).any())
        named += ("a", "b") in {tuple(sorted(m)) for m in pooled.together["members"]}
    yield "bought together: components given a number", "0", f"{numbers} of {tried}", numbers == 0, tried
    yield "bought together: their sum named", "all", f"{named} of {tried}", named == tried, tried


def _traps(draws: int) -> Iterator[Row]:
    for use in ("rollouts", "both", "programmes"):
        inside = Tally.new()
        for draw in range(draws):
            table = ek.pool(draw_cards(World(24, harder=-0.06), (8, draw)), use=use).components.set_index("component")
            if np.isfinite(table.loc["a", "conf_low"]):
                inside.add(0, table.loc["a", "conf_low"] <= EFFECTS[0] <= table.loc["a", "conf_high"])
        goal = ".93 to .98" if use == "rollouts" else ""
        met = use != "rollouts" or 0.93 <= inside.mean <= 0.98
        yield f"harder places chose the first component: its coverage by {use}", goal, f"{inside.mean:.3f}", met, draws
    claimed = warned = 0
    for draw in range(draws):
        pooled = ek.pool(draw_cards(World(24, only_shown=True), (9, draw)))
        table = pooled.components.set_index("component")
        claimed += "d" in table.index and table.loc["d", "verdict"] == "shown"
        checks = pooled.checks[pooled.checks["check"] == "all_rows_reported"]
        warned += (checks["status"] == "failed").any()
    yield "only results that were found exported: pools that a check fails", "", f"{warned} of {draws}", True, draws
    yield (
        "only results that were found exported: true nought called shown",
        "at most .06",
        f"{claimed / draws:.3f}",
        claimed / draws <= 0.06,
        draws,
    )


def speed(draws: int) -> Iterator[Row]:
    """Seconds of this processor, the best of several."""
    cards = draw_cards(World(5_000), 1)
    for count, goal, times in ((50, 0.010, 30), (5_000, 1.0, 5)):
        best = min(_seconds(lambda: ek.pool(cards[:count]).numbers) for _ in range(times))  # noqa: B023
        yield f"{count:,} cards, REML and CR2: seconds", f"{goal:g}", f"{best:.4f}", best <= goal, times


def _seconds(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


def cards(draws: int) -> Iterator[Row]:
    """What cards hold and what is refused."""
    with tempfile.TemporaryDirectory() as folder:
        refused = named = 0
        for name, text in bad_cards().items():
            file = Path(folder) / name / f"{name}.json"
            file.parent.mkdir()
            file.write_text(text, encoding="utf-8")
            try:
                ek.Cards.load(file.parent)
            except ek.EvalkitError as error:
                refused, named = refused + 1, named + (file.name in str(error))
        yield "bad cards refused", "20 of 20", f"{refused} of {len(bad_cards())}", refused == len(bad_cards()) >= 20, 0
        yield "bad cards named", "20 of 20", f"{named} of {len(bad_cards())}", named == len(bad_cards()), 0
    found, largest = [], 0
    for leaked, size in Parallel(-1, return_as="generator")(delayed(leaks)(seed) for seed in range(draws)):
        found += leaked
        print(*leaked, sep="\n", end="\n" if leaked else "")
        largest = max(largest, size)
    yield "evaluations that wrote a unit's or cluster's value into a card", "0", f"{len(found)}", not found, draws
    yield "largest card, bytes", "8,000", f"{largest:,}", largest < 8_000, draws
    yield from _twice()


def _twice() -> Iterator[Row]:
    made = draw_cards(World(2), 3)
    newer = made[0].model_copy(update={"supersedes": made[0].key})
    overlapping = made[1].model_copy(update={"data_fingerprint": made[0].data_fingerprint})
    newest = ek.Cards.of([made[0], newer])
    told = [_raises([made[0], made[0]]), _raises([made[0], overlapping]), newest.cards == (newer,)]
    yield "same card twice, overlapping data, superseded version refused", "3 of 3", f"{sum(told)} of 3", all(told), 0


def _raises(given: list[Card]) -> bool:
    try:
        ek.Cards.of(given)
    except ek.EvalkitError as error:
        return given[1].study in str(error)
    return False


def portfolio(draws: int) -> Iterator[Row]:
    """24 whole studies, evaluated, carded and pooled, in three settings."""
    for setting in ("clean", "realistic", "hard"):
        yield from of_portfolio(setting, draws)


def of_portfolio(setting: str, draws: int) -> Iterator[Row]:
    """One setting of the portfolio."""
    inside, zero, found, single, seconds = [], [], [], [], []
    for seed in range(1, draws + 1):
        made = ek.synthetic.partnership("portfolio", setting, seed=seed)
        start = time.process_time()
        handed = list(cards_of(made))
        pooled = ek.pool(handed)
        with tempfile.TemporaryDirectory() as folder:
            ek.portfolio(pooled, Path(folder) / "page")
        seconds.append(time.process_time() - start)
        score = made.score(pooled.components)
        inside += score["covered"].dropna().tolist()
        zero += score.loc[score["component"] == "training", "claimed"].tolist()
        true = score[score["truth"] > 0]
        found += (true["claimed"] & (true["direction"] == "better")).tolist()
        rows = [r for c in handed for r in c.rows if r.kind == "component" and r.id != "training"]
        single += [r.verdict in ("shown", "likely") and (r.estimate or 0) > 0 for r in rows]
    n, apart = len(inside), f"{setting}: "
    cover, share, alone = float(np.mean(inside)), float(np.mean(found)), float(np.mean(single))
    yield (
        f"{apart}24 studies to the page, seconds of processor",
        "60",
        f"{max(seconds):.1f}",
        max(seconds) < 60,
        draws,
    )
    yield (
        f"{apart}pooled coverage ({n} intervals)",
        ".93 to .98",
        f"{cover:.3f}",
        0.93 - 2 * (0.05 / n) ** 0.5 <= cover,
        draws,
    )
    yield (
        f"{apart}true nought claimed",
        "at most .06",
        f"{sum(zero)} of {len(zero)}",
        sum(zero) <= 0.06 * len(zero),
        draws,
    )
    yield (f"{apart}true effects found, against single studies", "3 times", f"{share:.2f} against {alone:.2f}",
           share >= 3 * alone, draws)  # fmt: skip


def cards_of(made: ek.synthetic.Portfolio) -> Iterator[Card]:
    """The cards that the places of a portfolio hand on."""
    for place in made.with_card:
        study = made.studies[place]
        terms = {name: term for name, term in made.terms().items() if name in study.paths.components}
        yield ek.card(ek.evaluate(study), study=place, terms=terms, population={"place": place}, made="2026-11-27",
                      indigo=made.indigo_id(place))  # fmt: skip


PARTS: dict[str, tuple[Callable[[int], Iterator[Row]], int]] = {
    "reference": (reference, 0), "speed": (speed, 0), "coverage": (coverage, 400),
    "limits": (limits, 400), "cards": (cards, 1000),
    "portfolio": (portfolio, 4),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}; default all")
    parser.add_argument("--draws", type=int, help="draws of each part, instead of its own")
    given = parser.parse_args()
    for part in given.parts or PARTS:
        make, draws = PARTS[part]
        rows = []
        for row in make(draws if given.draws is None else given.draws):
            rows.append((part, *row))
            print(*row, sep=" | ", flush=True)
        write(part, rows)


def write(part: str, rows: list[tuple]) -> None:
    """Put the rows of one part in place of its earlier ones, and the table of all into the README."""
    before = pd.read_csv(RESULTS, keep_default_na=False).values.tolist() if RESULTS.exists() else []
    kept = [r for r in before if r[0] != part] + [list(r) for r in rows]
    kept.sort(key=lambda r: list(PARTS).index(r[0]))
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *kept])
    page = README.read_text(encoding="utf-8")
    start, end = page.index(MARKS[0]) + len(MARKS[0]), page.index(MARKS[1])
    lines = ["| What | Goal | Measured | Met | Draws |", "|---|---|---|---|---|"]
    lines += [f"| {r[0]}: {r[1]} | {r[2]} | {r[3]} | {_met(r)} | {r[5]} |" for r in kept]
    README.write_text(page[:start] + "\n" + "\n".join(lines) + "\n" + page[end:], encoding="utf-8", newline="\n")


def _met(row: list) -> str:
    return "" if row[2] == "" else "yes" if str(row[4]) == "True" else "no"


if __name__ == "__main__":
    main()
