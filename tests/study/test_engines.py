"""Tables of ibis are added up in their engine: the answers of the same rows in a frame, and errors in words."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import StudyError
from evalkit.study import adding, engines
from evalkit.study.alike import CellSource
from tests.study.panels import apart, panel, study
from tests.study.warehouse import drop, table

ibis = pytest.importorskip("ibis")


def three(frame: pd.DataFrame) -> pd.DataFrame:
    """A panel with a third component, ids and periods that are text, and a covariate that moves."""
    late = frame["site"].str[1:].astype(int) % 3 + 4
    more = {"c": (frame["t"] >= late).astype(bool), "band": (frame["id"] % 2 + frame["t"] // 4).astype(str) + ",;'!"}
    return frame.assign(**more, id="p" + frame["id"].astype(str), t=2001 + frame["t"])


def test_evaluate_says_the_same_of_a_table() -> None:
    frame = three(panel(people=48, sites=6, periods=6))
    said = {"outcomes": [ek.Outcome("y", matters=0.2)], "components": ["a", "b", "c"]}
    rows, cells = (ek.evaluate(study(p, "auto", **said)) for p in (frame, table(frame)))
    assert cells.study.paths.heads is not None
    for name in ("effects", "verdicts", "leave_one_out"):
        assert apart(getattr(rows, name), getattr(cells, name)) == [], name


@pytest.mark.parametrize(
    ("design", "more"),
    [
        (ek.StaggeredRollout(weights="least_noise"), {}),
        (ek.StaggeredRollout(adjust="dr"), {"covariates": ["band"], "outcomes": ["y"]}),
        (ek.JointEventStudy(weights="least_noise"), {"weights": "w"}),
    ],
    ids=["gaps", "covariate", "weights"],
)
def test_designs_say_the_same_of_a_table(design: ek.StaggeredRollout | ek.JointEventStudy, more: dict) -> None:
    frame = three(panel()).assign(w=lambda f: 1.0 + (f["id"].str[1:].astype(int) % 3))
    rows, cells = (study(p, "auto", **more) for p in (frame, table(frame)))
    assert cells.paths.n_units < rows.paths.n_units
    for outcome in rows.outcomes:
        answers = [replace(design, outcome=outcome.column)(s, "a") for s in (rows, cells)]
        assert apart(*(e.aggregate().to_frame(inference="jackknife") for e in answers)) == [], outcome.column
        assert apart(*(e.to_frame().drop(columns="reason", errors="ignore") for e in answers)) == [], outcome.column


def test_cells_are_those_of_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = panel(people=90, sites=6)
    frame["y"] += 1e6
    one, other = study(frame), study(table(frame))
    assert np.array_equal(one.paths.heads, other.paths.heads)
    assert np.array_equal(one.paths.path, other.paths.path)
    assert np.allclose(one.values("y"), other.values("y"), rtol=1e-15, atol=0, equal_nan=True)
    monkeypatch.setattr(engines, "TERMS", 7)  # as many queries as a long panel needs
    products = [s.paths.spread.within(s.values("y")) for s in (one, other)]
    assert np.abs(products[0]).max() > 1
    assert np.allclose(*products, rtol=1e-9, atol=1e-9 * np.abs(products[0]).max())


@pytest.mark.parametrize(
    ("change", "values"),
    [
        (lambda f: f.assign(t=pd.Timestamp("2020-01-01") + pd.to_timedelta(f["t"] * 7, unit="D")), "moments"),
        (lambda f: f.assign(t=pd.to_datetime(dict(year=2001 + f["t"], month=1, day=1)).dt.date), "days"),
        (lambda f: f.assign(y=f["y"].where(f["id"] % 40 > 0), a=f["a"] > 0), "gaps and yes or no"),
        (
            lambda f: f.assign(z=f["z"].map(lambda v: None if v != v else Decimal(int(v))), b=f["b"].map(Decimal)),
            "decimals",
        ),
        (lambda f: f.assign(id=f["id"].astype(float), site=f["site"].str[1:].astype("int8")), "other kinds"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_kinds_of_columns(change: Callable, values: str) -> None:
    frame = change(panel(people=120, sites=8))
    rows, cells = (study(p, "auto") for p in (frame, table(frame)))
    assert apart(*(ek.StaggeredRollout()(s, "a").aggregate().to_frame() for s in (rows, cells))) == []


def test_names_with_quotes_spaces_and_sql() -> None:
    odd = {"id": 'who"; DROP TABLE cells; --', "t": "p.t' or `1`=1", "y": "first", "site": "who", "a": "count(*)"}
    frame = panel().rename(columns=odd)
    said = {"unit": odd["id"], "period": odd["t"], "cluster": "who", "outcome": "first"}
    there = ek.Study(
        table(frame, 'the "rows"; DROP'), components=[ek.Component("a", exposure="count(*)", reach="can"), "b"], **said
    )
    expected = ek.StaggeredRollout()(study(panel()), "a").aggregate().value
    assert np.allclose(ek.StaggeredRollout()(there, "a").aggregate().value, expected)


def test_texts_that_could_be_meant_for_others_stay_apart() -> None:
    frame = panel(gaps=False, people=90, sites=6)
    kind = (frame["id"] - 7) // 6 % 5  # in every place
    frame["one"] = kind.map({0: "a,b", 1: "a", 2: "1:a", 3: "a,1:b", 4: ""})
    frame["two"] = kind.map({0: "c", 1: "b,c", 2: "!;", 3: "", 4: None})
    made = study(table(frame), covariates=["one", "two"], outcomes=["y"])
    assert made.paths.distinct() == 90
    assert len(made.source.frame[["one", "two"]].drop_duplicates()) == 5
    assert made.paths.n_units == len(frame[["site", "can", "one", "two"]].drop_duplicates())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: pd.concat([f, f.iloc[:1]]), "repeat a unit and period"),
        (lambda f: f.assign(site=f["site"].where(f["t"] < 7, "S00")), "units change in"),
        (lambda f: f.assign(id=f["id"].astype(str).where(f["t"] > 0, None)), "'id' is missing in"),
        (lambda f: f.assign(y=f["y"].where(f["t"] > 0, np.inf)), "infinite"),
        (lambda f: f.assign(y=f["y"].astype(str)), "'y' holds string"),
        (lambda f: f[f["t"] == 3], "one period only"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.drop(columns="b"), "no column 'b'"),
    ],
)
def test_rows_that_cannot_be_added_up(change: Callable, why: str) -> None:
    with pytest.raises(StudyError, match=rf"{why}.*collect the table first"):
        study(table(change(panel(people=30, sites=3))), "auto")


def test_what_needs_rows_says_to_collect_them(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = panel(people=60, sites=6)
    rows = table(frame)
    with pytest.raises(StudyError, match="stay in their engine.*collect the table first"):
        study(rows, "rows")
    with pytest.raises(StudyError, match="cluster of its own.*collect the table first"):
        study(rows, "auto", cluster=None, components=["b"])
    for asked in (study(rows, "auto").to_frame, partial(ek.MatchedComparison(), study(rows, "auto"), "a")):
        with pytest.raises(ek.EvalkitError, match="hold='rows'"):
            asked()
    with pytest.raises(StudyError, match="'b' is negative"):  # what is wrong, and not that rows cannot be had
        study(table(frame.assign(b=frame["b"] - 3)), "auto")
    monkeypatch.setattr(adding, "MOST", 50)
    with pytest.raises(StudyError, match=r"make [\d,]+ kinds .*collect the table first"):
        study(rows, "auto")
    monkeypatch.setattr(engines, "PERIODS", 5)
    with pytest.raises(StudyError, match="more than 5 periods"):
        study(rows, "auto")


def test_an_engine_that_fails_midway() -> None:
    rows = table(panel(people=60, sites=6))
    made = study(rows, "auto")
    drop(rows)
    with pytest.raises(StudyError, match=r"cannot be added up where it is \(.*Is its connection open"):
        ek.StaggeredRollout(weights="least_noise")(made, "a")
    with pytest.raises(StudyError, match="cannot be added up where it is"):
        study(rows, "auto")
    with pytest.raises(StudyError, match="cannot be added up where it is"):
        study(ibis.table({c: "int64" for c in ("id", "t", "site", "can", "a", "b", "y", "z")}), "auto")


def test_a_study_of_a_table_is_pickled_changed_and_saved(tmp_path: Path) -> None:
    made = study(table(panel(people=60, sites=6)), "auto", outcomes=["y"])
    design = ek.StaggeredRollout(weights="least_noise")
    expected = design(made, "a").to_frame()
    assert apart(expected, design(pickle.loads(pickle.dumps(made)), "a").to_frame()) == []
    changed = made.replace(outcomes=["z"])  # whose column the cells do not have
    assert isinstance(changed.source, CellSource)
    assert np.isfinite(ek.StaggeredRollout()(changed, "a").aggregate().value).all()
    made.save(tmp_path / "saved")
    assert apart(expected, design(ek.Study.load(tmp_path / "saved"), "a").to_frame()) == []


def test_without_ibis_frames_are_read_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ibis", None)
    assert study(panel(people=30, sites=3)).paths.distinct() == 30
