"""Nothing that evalkit answers has moved: the cheap studies here, all of them and their reports by `make frozen`."""

from __future__ import annotations

import copy
from itertools import islice
from typing import Any

import pytest

from tests.frozen import compare
from tests.frozen.make import MOST, check, record_file
from tests.frozen.records import NAMES, page_lines

CHEAP = ("starter", "young_people")


@pytest.mark.parametrize("name", CHEAP)
def test_evaluation_is_as_frozen(name: str) -> None:
    found = check(name, "evaluation")
    assert not found, "\n".join([f"{len(found)} differences from the record of {name}", *islice(found, MOST)])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["evaluation", "report"])
def test_every_study_has_a_record_that_says_something(name: str, kind: str) -> None:
    tables = compare.read(record_file(name, kind))["tables"]
    key = "verdicts" if kind == "evaluation" else "verdicts.csv"
    assert tables[key]["rows"]
    assert kind == "evaluation" or len(tables["page"]["rows"]) > 50


def test_one_number_and_one_word_are_found() -> None:
    old = compare.read(record_file("young_people", "evaluation"))["tables"]
    new = copy.deepcopy(old)
    columns, rows = new["verdicts"]["columns"], new["verdicts"]["rows"]
    number, words = columns.index("estimate"), columns.index("sentence")
    row = next(i for i, r in enumerate(rows) if isinstance(r[number], float) and abs(r[number]) < 1)
    before, sentence = rows[row][number], rows[row][words]
    rows[row][number] = before + 1e-10
    rows[row][words] = sentence.replace(" ", " not ", 1)
    found = list(compare.differences(old, new, compare.SAME_MACHINE))
    assert len(found) == 2
    assert all(line.startswith(f"verdicts, row {row} ({rows[row][0]}") for line in found)
    by_column = {line.split("column ")[1].split(":")[0]: line for line in found}
    assert by_column["estimate"].endswith(f"{before!r} -> {before + 1e-10!r}")
    assert " not " in by_column["sentence"]
    assert [x for x in compare.differences(old, new, compare.OTHER_MACHINE) if "estimate" in x] == []


def test_one_word_of_a_page_is_found_and_lines_after_a_new_one_keep_their_partners() -> None:
    old = compare.read(record_file("starter", "report"))["tables"]
    new = copy.deepcopy(old)
    new["page"]["rows"].insert(3, ["A new line"])
    new["page"]["rows"][20][0] += " indeed"
    found = list(compare.differences(old, new, compare.SAME_MACHINE))
    assert found[0] == "page, row 3, column text: nothing -> 'A new line'"
    assert len(found) == 2
    assert found[1].startswith("page, row 19, column text: ") and found[1].endswith(" indeed'")


def test_a_word_late_in_a_long_text_is_shown() -> None:
    old, new = ({"page": {"columns": ["text"], "rows": [["so " * 200 + word]]}} for word in ("helped", "hindered"))
    (found,) = compare.differences(old, new, compare.SAME_MACHINE)
    assert "so helped' -> ..." in found and found.endswith("so hindered'")
    assert len(found) < 2 * compare.SHOWN


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("checks"), "checks: the table is gone"),
        (lambda t: t.update(more=t["checks"]), "more: the table is new"),
        (lambda t: t["checks"]["rows"].pop(), "rows -> "),
        (lambda t: t["checks"]["columns"].__setitem__(0, "part"), "checks: columns ['component', "),
    ],
)
def test_tables_rows_and_columns_that_come_or_go_are_found(change: Any, said: str) -> None:
    old = compare.read(record_file("starter", "evaluation"))["tables"]
    new = copy.deepcopy(old)
    change(new)
    assert any(said in line for line in compare.differences(old, new, compare.SAME_MACHINE))


@pytest.mark.parametrize(
    ("a", "b", "agree"),
    [
        (float("nan"), float("nan"), True),
        (float("nan"), 0.0, False),
        (float("inf"), float("-inf"), False),
        (None, float("nan"), False),
        (1, 1.0, True),
        (True, 1, False),
        (1e6, 1e6 + 5e-7, True),
        (1e6, 1e6 + 2e-6, False),
        (["a", 1.0], ["a", 1.0 + 1e-11], False),
        ("1", 1, False),
    ],
)
def test_when_two_cells_agree(a: object, b: object, agree: bool) -> None:
    assert compare.same(a, b, compare.SAME_MACHINE) is agree


def test_a_record_is_read_as_it_was_written(tmp_path: Any) -> None:
    table = {"columns": ["a", "b"], "rows": [[0.1 + 0.2, "é"], [float("nan"), [1, None]], [float("inf"), True]]}
    compare.write(tmp_path / "x.json", {"t": table, "none": {"columns": [], "rows": []}})
    record = compare.read(tmp_path / "x.json")
    assert compare.tolerance(record) == compare.SAME_MACHINE
    assert not list(compare.differences({"t": table, "none": {"columns": [], "rows": []}}, record["tables"], 0.0))
    assert compare.tolerance({**record, "blas": ["another"]}) == compare.OTHER_MACHINE


def test_the_text_of_a_page_has_a_block_a_line_and_nothing_of_the_machine() -> None:
    digest, folder = "0123456789abcdef" * 4, "/".join(["", "srv", "ada"])
    page = f"""<html><head><title>no</title></head><body><h1>A <b>head</b></h1><script>no</script>
    <svg><text>no</text></svg>
    <p>File {folder}/study.toml, ../../study.toml, made 2026-11-27T10:00:00 in 3.2 seconds; March 2021, 2021-03-01</p>
    <table><tr><th>What</th><th>Value</th></tr><tr><td>numpy</td><td>2.4.6</td></tr><tr><td>panel.csv</td>
    <td><code>{digest}</code></td></tr></table></body></html>"""
    assert page_lines(page) == [
        "A head",
        "File <folder>/study.toml, <folder>/study.toml, made <time> in <duration>; March 2021, 2021-03-01",
        "What | Value",
        "numpy | <version>",
        "panel.csv | <hash>",
    ]
