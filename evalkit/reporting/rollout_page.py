"""The page of a planned rollout: who starts what, when, what it would let us tell, and what else could be done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.folders import replaced
from evalkit.reporting.blocks import Block, Heading, Listing, Paragraph, to_html
from evalkit.reporting.strict import PAGE, strict
from evalkit.rollouts.allocation import FILE, REGISTER, Allocation
from evalkit.rollouts.planning import RolloutPlan, window_words
from evalkit.show.tables import Table, csv_text, make_table
from evalkit.show.words import escaped, join_words

MADE = ("schedule.csv", "power.csv", "rivals.csv", "stress.csv", "plan.html", FILE, REGISTER)
_FRAME = """<!DOCTYPE html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{css}
</style>
</head>
<body>
<main id="main">
{body}
</main>
</body>
</html>
"""
_RIVALS = {"rival": "Rollout", "worst": "Hardest to tell", "told_apart": "Share told apart throughout"}
_STRESS = {
    "case": "Case", "component": "Component", "detectable": "Detectable (median)",
    "worst": "9 in 10 are better than", "told_apart": "Share told apart",
}  # fmt: skip
_COSTS = {
    "component": "Component", "starts": "Places that start", "person_periods": "Periods of people",
    "waiting": "Periods of waiting", "cost": "Cost",
}  # fmt: skip
_WAIT = (
    "Periods of waiting are those by which places start later than they might, added up: what the answer costs the "
    "people there."
)
_WHOLE = (
    "Told apart throughout means over the whole window. Where only its beginning can be told, the detectable effect is "
    "about that."
)
_ORDERS = (
    "Whole rows were dealt, so that a test by the orders of chance is of all components at once. Of one alone it needs "
    "orders that leave all other dates as they are: there are {each}. From 20 on such a test can tell at 5 in 100."
)
_NOT = (
    "A detectable effect is the smallest that the 95% interval of the later report would tell from zero with a chance "
    "of 8 in 10, under the noise assumed. That noise is a guess or read from the past: look at the table of what could "
    "go otherwise before relying on one figure."
)
_LOT = (
    "The dates of the table were dealt to places by lot among {of} allocations; {file} holds what is needed to draw "
    "again. A date that is moved later should be noted with its reason: moved because of results, it biases the answer."
)


def write_rollout(plan: RolloutPlan, folder: Path, title: str = "A rollout that will let us tell") -> Path:
    """Dates, power, rivals, stress, page, the register of the later study and the certificate of the lot, put in place
    in one step; nothing is written where no rollout is possible (`NotIdentifiedError`). Returns the page."""
    given = plan.randomise(plan.seed)
    dealt = RolloutPlan(plan.brief, plan.brief.starts(given.schedule), plan.seed, plan.weights)
    tables = {
        "schedule": dealt.schedule,
        "power": dealt.power,
        "rivals": dealt.rivals,
        "stress": dealt.stress(draws=100),
    }
    page = _page(title, blocks_of(dealt, tables, given))
    with replaced(folder, MADE) as made:
        for name, table in tables.items():
            (made / f"{name}.csv").write_text(csv_text(table), encoding="utf-8")
        (made / REGISTER).write_text(csv_text(given.register), encoding="utf-8")
        (made / FILE).write_text(given.text(), encoding="utf-8")
        (made / "plan.html").write_bytes(page)
    return folder / "plan.html"


def blocks_of(plan: RolloutPlan, tables: Mapping[str, pd.DataFrame], given: Allocation) -> list[Block]:
    """The page's blocks."""
    blocks: list[Block] = [
        Heading(2, "Who starts what, when"),
        _table(tables["schedule"], "First period of each component in each place", {"place": "Place"}),
        Paragraph(_LOT.format(of=len(given.candidates), file=FILE)),
        Paragraph(_ORDERS.format(each=join_words(f"{n:,} for {name}" for name, n in given.orders.items()))),
        Heading(2, "What it would let us tell"),
        plan.table(),
        Paragraph(window_words(plan.brief)),
        Paragraph(_NOT),
        Heading(2, "What it takes"),
        _table(_takes(plan.costs), "Starts, and how long people have it or wait for it", _COSTS),
        Paragraph(_WAIT),
        Heading(2, "Beside other ways to roll out"),
        _table(tables["rivals"], "Detectable effects of other rollouts", _RIVALS),
        Paragraph(_WHOLE),
        Heading(2, "What could go otherwise"),
        _table(tables["stress"], "Detectable effects when things go otherwise", _STRESS),
    ]  # fmt: skip
    return [*blocks, Heading(2, "Taken for granted"), Listing(plan.notes)] if plan.notes else blocks


def _takes(costs: pd.DataFrame) -> pd.DataFrame:
    """The costs as the page has them: in whole numbers, and no column of costs where nobody has said any."""
    shown = costs[list(_COSTS)].astype({"person_periods": object, "cost": object})
    for name in ("person_periods", "cost"):
        shown[name] = ["not said" if np.isnan(v) else f"{v:,.0f}" for v in costs[name]]
    return shown if costs["cost"].notna().any() else shown.drop(columns="cost")


def _table(frame: pd.DataFrame, caption: str, labels: Mapping[str, str]) -> Table:
    heads = [labels.get(c, c.replace("detectable_", "")) for c in frame.columns]
    rows = [[_shown(v) for v in row] for row in frame.itertuples(index=False)]
    return make_table(caption, heads, rows, numeric=[frame[c].dtype.kind == "f" for c in frame.columns])


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "not told" if value != value else f"{value:.3g}"
    return "never" if value is None else str(value)


def _page(title: str, blocks: list[Block]) -> bytes:
    css = (PAGE / "page.css").read_text(encoding="utf-8")
    return strict(_FRAME.format(title=escaped(title), css=css, body=to_html([Heading(1, title), *blocks])))
