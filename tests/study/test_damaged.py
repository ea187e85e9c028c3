"""Damaged studies: refused in words, or read as a careful person reads them; never silently something else.

The slow test runs every damage, as `python tests/study/damaged/judge.py --write` does for benchmarks/results.
"""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pytest

import evalkit as ek
from evalkit.study.schema import ALIASES, ROLES, TABLES, UNIT_NAMES, Rule, Schema
from tests.study.damaged import waiting
from tests.study.damaged.damages import ALL, Damage, every_damage, written
from tests.study.damaged.judge import judge, judge_all, lay_out, lean
from tests.study.damaged.plain import KINDS, TOML, found_in, read_plainly
from tests.study.damaged.plain import TABLES as CELLS

DAMAGES = every_damage()
SAMPLE = random.Random(15).sample(range(len(DAMAGES)), 150)
MONEY = ("costs", "rate_card", "claims", "unit_costs")
BAD = ("silent", "moved", "traceback")
ROOT = Path(__file__).resolve().parents[2]


def said(judged: list[tuple[Damage, str, str]]) -> list[str]:
    """What ended badly, in words."""
    return [f"{verdict}: {d.table}, {d.column}, {d.what}: {why[:200]}" for d, verdict, why in judged if verdict in BAD]


def test_the_sound_study_says_what_its_files_say(tmp_path: Path) -> None:
    lay_out(Damage("", "", "", {}), tmp_path / "study")
    assert found_in(ek.Study.load(tmp_path / "study")) == read_plainly(CELLS)


@pytest.mark.parametrize("table", CELLS)
def test_a_study_of_fewer_tables_is_sound_too(tmp_path: Path, table: str) -> None:
    """So that rules of one table can be tried without the others."""
    lay_out(Damage(table, "", "", {"study.toml": lean(table)}), tmp_path / "study")
    made = ek.Study.load(tmp_path / "study")
    assert list(made.money.given() if made.money else ()) == [table] * (table in MONEY)
    assert found_in(made)["rows"] == read_plainly(CELLS)["rows"]


def test_the_study_of_people_who_wait_says_what_its_file_says(tmp_path: Path) -> None:
    lay_out(Damage(waiting.NAME, "", "", {}), tmp_path / "study")
    read = waiting.read_waiting(waiting.CELLS)
    assert waiting.found_waiting(ek.Study.load(tmp_path / "study")) == read and len(read["rows"]) == 24


def test_a_sample_of_damages_is_refused_or_read_rightly(tmp_path: Path) -> None:
    assert len(DAMAGES) >= 1500 and {d.table for d in DAMAGES} == {*ALL, "study.toml"}
    judged = judge_all([DAMAGES[i] for i in SAMPLE], tmp_path)
    assert said(judged) == []
    assert sum(verdict == "refused" for _, verdict, _ in judged) > 80
    for damage, verdict, words in judged:
        assert verdict != "refused" or len(words) < 3000, (damage.table, damage.what)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_damage_is_refused_or_read_rightly(tmp_path: Path, part: int) -> None:
    assert said(judge_all(DAMAGES[part::8], tmp_path)) == []


# ---------------------------------------------------------------- every column has a rule, every rule a damage

BREAKS = {
    "must": None, "filled": "", "low": "-7", "high": "1e9", "whole": "1.5", "options": "nonsense", "of": "nobody",
    "id": " A", "words": "a\x1b[31m", "number": "12k", "moment": "2021-13",
}  # fmt: skip
"""A cell that breaks each part of a rule, and no rule but that one; None takes the column away."""
_DEFAULT = Rule("words")


def parts_of(rule: Rule) -> list[str]:
    """What a rule asks for, by the names of BREAKS."""
    asked = [name for name in ("must", "filled", "low", "high", "whole", "options", "of")
             if getattr(rule, name) != getattr(_DEFAULT, name)]  # fmt: skip
    return asked + ([rule.kind] if rule.kind in BREAKS and not (rule.options and rule.kind == "words") else [])


def own_name(table: str, column: str) -> str | None:
    """The column of the small study that a rule is about."""
    names = {"unit": "person"} if table == "claims" else {}
    name = names.get(column, column)
    return name if name in CELLS[table][0] else None


RULES = [(t, c, part) for t, s in TABLES.items() for c, rule in s.columns.items() for part in parts_of(rule)
         if own_name(t, c)]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "part"), RULES)
def test_every_rule_of_a_table_refuses_what_breaks_it(tmp_path: Path, table: str, column: str, part: str) -> None:
    cells = [list(row) for row in CELLS[table]]
    j = cells[0].index(str(own_name(table, column)))
    new = BREAKS[part]
    if new is None:
        cells = [row[:j] + row[j + 1 :] for row in cells]
    else:
        cells[1][j] = new
    damage = Damage(table, column, part, {f"{table}.csv": written(cells).encode(), "study.toml": lean(table)})
    verdict, words = judge(damage, tmp_path / "study")
    assert verdict == "refused", words
    assert str(own_name(table, column)) in words or part == "filled"


PANEL = [("panel", "person", "unit"), ("panel", "month", "period"), ("panel", "borough", "level"),
         ("panel", "court", "exposure"), ("panel", "settled", "share"), ("people", "needs", "reach"),
         ("people", "weight", "weights"), ("people", "age", "covariate"), ("people", "person", "unit"),
         ("panel", "settled", "neighbours")]  # fmt: skip


PANEL += [("panel", "visits", kind) for kind in ("count", "rate", "per", "score", "log", "money")]


@pytest.mark.parametrize(("table", "column", "role", "part"),
                         [(*c, part) for c in PANEL for part in parts_of(ROLES[c[2]])])  # fmt: skip
def test_every_rule_of_a_role_refuses_what_breaks_it(
    tmp_path: Path, table: str, column: str, role: str, part: str
) -> None:
    cells = [list(row) for row in CELLS[table]]
    j = cells[0].index(column)
    if BREAKS[part] is None:
        cells = [row[:j] + row[j + 1 :] for row in cells]
    else:
        cells[1][j] = str(BREAKS[part])
    whole = TOML if role == "neighbours" else lean(table).decode()
    toml = whole.replace('kind = "count"', f'kind = "{role}"') if column == "visits" else whole
    toml = toml.replace('kind = "rate"', 'kind = "rate"\nper = "court"')
    if role == "per":
        toml = TOML.replace('kind = "share"', 'kind = "rate"\nper = "visits"')
    if role == "neighbours":
        toml = TOML.replace('neighbours = "neighbours.csv"', f'neighbours = ["{column}"]')
    files = {f"{table}.csv": written(cells).encode(), "study.toml": toml.encode()}
    verdict, words = judge(Damage(table, column, part, files), tmp_path / "s")
    assert verdict == "refused" and (column in words or table == "people"), words


TWICE = [(t, s) for t, s in TABLES.items() if s.once or s.dated]


@pytest.mark.parametrize(("table", "schema"), TWICE, ids=[t for t, _ in TWICE])
def test_rows_that_are_there_twice_are_refused(tmp_path: Path, table: str, schema: Schema) -> None:
    """Those alike in what names a row, whatever else they say; where no column does, those alike in everything."""
    head, first, *rows = CELLS[table]
    again = [
        v if not schema.once or c in schema.once else rows[-1][j]
        for j, (c, v) in enumerate(zip(head, first, strict=True))
    ]
    files = {f"{table}.csv": written([head, first, *rows, again]).encode(), "study.toml": lean(table)}
    damage = Damage(table, "", "twice", files)
    verdict, words = judge(damage, tmp_path / "study")
    assert verdict == "refused" and ("there twice" in words or table == "links"), words


@pytest.mark.parametrize("name", UNIT_NAMES)
def test_units_of_claims_are_known_by_each_of_their_names(tmp_path: Path, name: str) -> None:
    head, *rows = [list(row) for row in CELLS["claims"]]
    renamed = [name if c == "person" else c for c in head]
    for who in (rows[0][head.index("person")], "999"):
        rows[0][head.index("person")] = who
        files = {"claims.csv": written([renamed, *rows]).encode(), "study.toml": lean("claims")}
        damage = Damage("claims", name, who, files)
        verdict, words = judge(damage, tmp_path / who)
        assert (verdict == "refused") is (who == "999") and verdict != "traceback", words


def test_every_column_of_every_table_has_a_rule() -> None:
    """Those of the small study, which has every column, and those of the studies in data/, by their own names."""
    assert {
        t: {own_name(t, c) or c for c in s.columns} - {"unit", "person_id", "unit_id"} for t, s in TABLES.items()
    } == {t: set(KINDS[t]) for t in TABLES}
    for folder in sorted((ROOT / "data" / "synthetic").iterdir()):
        for name, schema in TABLES.items():
            file = folder / ("background.csv" if name == "events" else f"{name}.csv")
            if file.is_file():
                columns = {ALIASES.get(c, c) for c in pd.read_csv(file, nrows=0).columns}
                assert columns <= set(schema.columns), (folder.name, name)
    assert {role for *_, role in PANEL} == set(ROLES)
