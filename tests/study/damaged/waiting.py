"""A second small study, of one file: people who are followed until something happens, and what a careful person reads
in it, with no reader of evalkit."""

from __future__ import annotations

import re
from datetime import date, timedelta

import numpy as np

import evalkit as ek
from tests.study.damaged.plain import KINDS, Cells, Nonsense, Value, rows_of

NAME = "waiting"
TOML = """\
[study]
title = "Two dozen tenants"
panel = "waiting.csv"
unit = "tenant"
missing = "refuse"
family = "all"
hold = "rows"
noun = {unit = ["tenant", "tenants"]}

[outcomes.housed]
kind = "time_to_event"
time = "seen"
event = "settled"
entry = "referred"
end = 2021-12-31
by = 30
effect = "share"
time_unit = "days"
matters = 0.05

[outcomes.moves]
kind = "rate"
per = "tenancies"
better = "lower"
matters = 0.1
harm = true

[components.nurse]
exposure = "nurse"
assigned = "randomised"

[evaluate]
compare = "within"
"""
KINDS[NAME] = {"tenant": "anybody", "nurse": "number 0 inf", "referred": "moment", "seen": "moment",
               "settled": "number 0 1 whole", "moves": "number 0 inf empty", "tenancies": "number 0 inf empty",
               "note": "ignored"}  # fmt: skip


def _cells() -> Cells:
    rng, first = np.random.default_rng(8), date(2021, 1, 5)
    rows = [list(KINDS[NAME])]
    for i in range(24):
        came = first + timedelta(days=int(rng.integers(90)))
        left = came + timedelta(days=int(rng.integers(31, 200)))
        rows.append([f"t{i:02d}", str(i % 2), str(came), str(left), str(rng.integers(2)), str(rng.integers(4)),
                     str(rng.integers(1, 4)), "as told"])  # fmt: skip
    return rows


CELLS = _cells()


def _day(text: Value) -> date:
    """A day as a careful person reads it, of what may be a month or a quarter in other tables."""
    found = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", str(text).strip())
    if found is None:
        raise Nonsense(f"{text!r} is no day")
    return date(int(found[1]), int(found[2]), int(found[3]))


def read_waiting(cells: Cells) -> dict[str, object]:
    """By tenant: how much of a nurse there was, days followed, whether it happened, moves for each tenancy."""
    rows: dict[str, tuple[float | None, ...]] = {}
    for row in rows_of(NAME, cells):
        days = (_day(row["seen"]) - _day(row["referred"])).days
        if days < 0 or _day(row["seen"]) > date(2021, 12, 31) or str(row["tenant"]) in rows:
            raise Nonsense("seen before they came or after the end, or there twice")
        moves, homes = (None if row[c] is None else float(str(row[c])) for c in ("moves", "tenancies"))
        if homes == 0:
            raise Nonsense("divided by nothing")
        each = None if moves is None or homes is None else moves / homes
        rows[str(row["tenant"])] = (float(str(row["nurse"])), float(days), float(str(row["settled"])), each)
    if len({row[0] == 0 for row in rows.values()}) < 2:
        raise Nonsense("nobody to compare")
    return {"rows": rows}


def found_waiting(study: ek.Study) -> dict[str, object]:
    """The same of a Study."""
    paths, waited, moves = study.paths, study.waits("housed").waited, study.values("moves")[:, 0]
    nurse = np.array([0.0, *paths.doses[0]])[paths.state[paths.path][:, 0, 0]]
    each = [None if np.isnan(m) else float(m) for m in moves]
    rows = zip(nurse, waited.time, waited.event.astype(float), each, strict=True)
    return {"rows": {str(who): (float(a), float(b), float(c), d)
                     for who, (a, b, c, d) in zip(paths.units, rows, strict=True)}}  # fmt: skip
