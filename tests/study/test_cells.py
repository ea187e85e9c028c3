"""People added up give the answers of their rows; whatever the rows are in, the same bits come out."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import evalkit as ek
from evalkit.errors import StudyError
from evalkit.study import adding, holding, scan
from evalkit.study.alike import CellSource
from tests.study.panels import apart, panel, study

DESIGNS = [
    ek.StaggeredRollout(),
    ek.StaggeredRollout(base_window=3),
    ek.StaggeredRollout(weights="least_noise"),
    ek.StaggeredRollout(weights="least_noise", arrival=1),
    ek.StaggeredRollout(others="ignored", compare="cross_sections"),
    ek.TripleDifference(),
    ek.TripleDifference(weights="least_noise"),
    ek.JointEventStudy(),
    ek.JointEventStudy(weights="least_noise"),
    ek.DifferenceInDifferences(),
    ek.Imputation(),
]


@pytest.fixture(scope="module", params=[False, True], ids=["balanced", "gaps"])
def both(request: pytest.FixtureRequest) -> tuple[ek.Study, ek.Study]:
    frame = panel(gaps=request.param)
    return study(frame, "rows"), study(frame)


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: f"{type(d).__name__}-{getattr(d, 'weights', '')}")
def test_designs_say_the_same_of_cells(both: tuple[ek.Study, ek.Study], design: Callable) -> None:
    rows, cells = (design(s, "a") for s in both)
    assert both[1].paths.n_units < both[0].paths.n_units
    assert apart(rows.to_frame(), cells.to_frame()) == []
    assert apart(rows.aggregate().to_frame(), cells.aggregate().to_frame()) == []
    jackknife = [e.aggregate().to_frame(inference="jackknife") for e in (rows, cells)]
    assert apart(*jackknife) == []
    assert apart(rows.weights(), cells.weights()) == [] if hasattr(rows, "weights") and rows.cells else True


def test_weights_of_people_are_kept() -> None:
    frame = panel().assign(w=lambda f: 1.0 + f["id"] % 3)
    frame.loc[frame["id"] % 11 == 0, "w"] = 0.0
    found = [
        ek.StaggeredRollout(weights="least_noise")(study(frame, hold, weights="w"), "a") for hold in ("rows", "cells")
    ]
    assert apart(*(e.to_frame() for e in found)) == []


@pytest.mark.parametrize("adjust", ["reg", "dr"])
def test_covariates_of_few_values_are_kept(adjust: str) -> None:
    frame = panel()
    frame["band"], frame["region"] = (
        (frame["id"] + frame["t"] // 3) % 3,
        np.where(frame["id"] % 5 < 2, "North", "South"),
    )
    said = {"covariates": ["band", "region"], "outcomes": ["y"]}
    rows, cells = (study(frame, hold, **said) for hold in ("rows", "cells"))
    for design in (ek.StaggeredRollout(adjust=adjust), ek.TripleDifference(adjust=adjust)):
        found = [design(s, "a") for s in (rows, cells)]
        assert apart(*(e.to_frame().drop(columns="reason") for e in found)) == []
        assert apart(*(e.aggregate().to_frame(inference="jackknife") for e in found)) == []


def test_evaluate_says_the_same_of_cells() -> None:
    frame = panel(people=240, sites=16)
    rows, cells = (ek.evaluate(study(frame, hold, outcomes=["y"])) for hold in ("rows", "cells"))
    for name in ("effects", "verdicts", "leave_one_out"):
        assert apart(getattr(rows, name), getattr(cells, name)) == [], name
    words = {"stayers"} if (cells.checks["status"] != rows.checks["status"]).any() else set()
    keep = [~t["check"].isin(words) for t in (rows.checks, cells.checks)]
    assert apart(rows.checks[keep[0]], cells.checks[keep[1]]) == []
    assert rows.study.paths.distinct() == cells.study.paths.distinct()


def _sources(frame: pd.DataFrame, folder: Path) -> dict[str, object]:
    (folder / "parts").mkdir()
    for i, part in frame.groupby(frame["id"] % 3):
        part.to_parquet(folder / "parts" / f"part-{i}.parquet", index=False)
    frame.to_parquet(folder / "one.parquet", index=False)
    frame.to_csv(folder / "one.csv", index=False)
    base = duckdb.connect()
    base.execute(f"CREATE TABLE p AS SELECT * FROM read_parquet('{folder / 'one.parquet'}')")
    return {
        "file": folder / "one.parquet", "folder": folder / "parts", "glob": str(folder / "parts" / "*.parquet"),
        "csv": folder / "one.csv", "arrow": pa.table(frame), "frame": frame, "relation": base.table("p"),
    }  # fmt: skip


def test_every_kind_of_rows_gives_the_same_bits(tmp_path: Path) -> None:
    frame = panel()
    made = {name: study(rows) for name, rows in _sources(frame, tmp_path).items()}
    first = made["frame"]
    for name, other in made.items():
        assert isinstance(other.source, CellSource), name
        if name == "csv":  # whose ids are text until they are read, and so in another order
            continue
        assert np.array_equal(first.values("y"), other.values("y"), equal_nan=True), name
        assert np.array_equal(
            first.paths.spread.within(first.values("y")), other.paths.spread.within(other.values("y"))
        )
    answers = [ek.StaggeredRollout(weights="least_noise")(s, "a").to_frame() for s in made.values()]
    assert all(apart(answers[0], a) == [] for a in answers[1:])


def test_the_same_bits_whatever_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel(people=3000).to_parquet(tmp_path / "p.parquet", index=False, row_group_size=500)
    connect, found = duckdb.connect, []
    for threads in (1, 4):
        monkeypatch.setattr(duckdb, "connect", lambda config, n=threads: connect(config={**config, "threads": n}))
        made = study(tmp_path / "p.parquet")
        found.append((made.values("y"), made.paths.spread.within(made.values("y")), made.paths.heads))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*found, strict=True))


def _ids(kind: str, numbers: pd.Series) -> pd.Series:
    """Ids of a kind, in the order of their numbers."""
    made = {
        "number": numbers * 3 - 7, "text": "it's " + numbers.astype(str).str.zfill(5),
        "date": pd.Timestamp("2001-01-01") + pd.to_timedelta(numbers, unit="D"),
    }  # fmt: skip
    return made[kind]


@pytest.mark.parametrize("kind", ["number", "text", "date"])
@pytest.mark.parametrize("where", ["frame", "file", "relation"])
def test_a_part_of_the_units_at_a_time_is_the_same(
    kind: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = panel(gaps=True).assign(id=lambda f: _ids(kind, f["id"])).sample(frac=1, random_state=1)
    frame.to_parquet(file := tmp_path / "p.parquet", index=False)
    base = duckdb.connect()
    rows = {"frame": frame, "file": file, "relation": base.read_parquet(str(file))}[where]
    whole = study(rows)
    monkeypatch.setattr(adding, *(("PART", 37 * 8 * frame["t"].nunique()) if where == "relation" else ("UNITS", 37)))
    parts = study(rows)
    session, n = parts.source.within.session, -(-frame["id"].nunique() // 37)
    kept = [session.frame(f"SELECT * FROM {session.kept(f'units-{i}')}")["who"] for i in range(n)]
    assert max(map(len, kept)) <= 37 and set(pd.concat(kept)) == set(frame["id"])
    assert np.array_equal(whole.values("y"), parts.values("y"), equal_nan=True)
    assert np.array_equal(whole.paths.heads, parts.paths.heads)
    one, other = (s.paths.spread.within(s.values("y")) for s in (whole, parts))
    assert np.abs(one - other).max() < 1e-12 * np.abs(one).max()


def test_what_cannot_be_cut_is_gone_through_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "UNITS", 37)
    made = study(panel().assign(id=lambda f: f["id"].astype(str).astype("category")))
    assert made.source.within._parts == ["TRUE"]


def test_digits_below_an_outlier_are_kept() -> None:
    frame = panel(gaps=False)
    frame["y"] /= 1e6
    frame.loc[0, "y"] = 1e9
    rows, cells = (study(frame, hold) for hold in ("rows", "cells"))
    others = np.flatnonzero(np.abs(cells.values("y")).max(axis=1) < 1)
    one = cells.paths.cells("site")
    for cell in others[:5]:
        alike = (rows.paths.levels["site"].codes == cells.paths.levels["site"].codes[cell]) & (
            rows.paths.reach[rows.paths.path, 0] == cells.paths.reach[cells.paths.path[cell], 0]
        )
        expected = rows.values("y")[alike].mean(axis=0)
        assert np.allclose(cells.values("y")[cell], expected, rtol=1e-12, atol=0)
    assert len(one) == cells.paths.n_units


def test_pickles_copies_and_parts(both: tuple[ek.Study, ek.Study]) -> None:
    rows, cells = both
    design = ek.StaggeredRollout(weights="least_noise")
    expected = design(cells, "a").to_frame()
    assert apart(expected, design(pickle.loads(pickle.dumps(cells)), "a").to_frame()) == []
    assert apart(expected, pickle.loads(pickle.dumps(design(cells, "a"))).to_frame()) == []
    part = cells.subset(None, slice(0, 7))
    assert apart(design(rows.subset(None, slice(0, 7)), "a").to_frame(), design(part, "a").to_frame()) == []
    assert cells.replace(title="New").source is cells.source
    assert cells.replace(hold="rows").paths.n_units == rows.paths.n_units
    assert cells.replace(components=["b"]).paths.distinct() == cells.paths.distinct()


def test_what_needs_rows_says_so() -> None:
    cells = study(panel())
    for asked in (
        cells.to_frame,
        partial(cells.covariate_values, ["height"]),
        partial(ek.MatchedComparison(), cells, "a"),
    ):
        with pytest.raises(ek.EvalkitError, match="hold='rows'"):
            asked()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"cluster": None, "components": ["b"]}, "cluster of its own"),
        ({"covariates": ["height"]}, "'height'"),
        ({"hold": "sells"}, "sells"),
        ({"memory": "lots"}, "no amount of memory"),
    ],
)
def test_why_people_cannot_be_added_up(more: dict, why: str) -> None:
    with pytest.raises(ek.EvalkitError, match=why):
        study(panel(), **more)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: pd.concat([f, f.iloc[:1]]), "repeat a unit and period"),
        (lambda f: f.assign(site=f["site"].where(f["t"] < 7, "S00")), "units change in"),
        (lambda f: f.assign(id=f["id"].where(f["t"] > 0)), "'id' is missing"),
        (lambda f: f.assign(y=f["y"].where(f["t"] > 0, np.inf)), "infinite"),
        (lambda f: f.assign(y=f["y"].astype(str)), "holds varchar"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.assign(A=1), "capital letters"),
    ],
)
def test_rows_that_cannot_be_added_up(change: Callable, why: str) -> None:
    with pytest.raises(StudyError, match=why):
        study(change(panel()))


def test_many_rows_are_added_up_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = panel()
    assert study(frame, "auto").paths.heads is None
    monkeypatch.setattr(holding, "LARGE", 1000)
    assert study(frame, "auto").paths.heads is not None
    assert study(frame, "auto", cluster=None, components=["b"]).paths.heads is None
    with pytest.raises(StudyError, match="rows repeat"):  # in the words of rows, which name them
        study(pd.concat([frame, frame.iloc[:1]], ignore_index=True), "auto")
    monkeypatch.setattr(holding, "TOO_MANY", 2000)
    with pytest.raises(StudyError, match="cluster of its own.*hold='rows'"):
        study(frame, "auto", cluster=None, components=["b"])


def test_more_kinds_of_people_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "MOST", 100)
    with pytest.raises(StudyError, match=r"make [\d,]+ kinds .* Coarser periods"):
        study(panel())


def test_names_with_quotes_spaces_and_sql(tmp_path: Path) -> None:
    odd = {"id": 'who"; DROP TABLE cells; --', "t": "p.t' or 1=1", "y": "panel_rows", "site": "cell", "a": "count(*)"}
    frame = panel().rename(columns=odd)
    frame.to_parquet(tmp_path / "it's [1] a*.parquet", index=False)
    said = {"unit": odd["id"], "period": odd["t"], "cluster": "cell", "outcome": "panel_rows", "hold": "cells"}
    made = [
        ek.Study(rows, components=[ek.Component("a", exposure="count(*)", reach="can"), "b"], **said)
        for rows in (frame, tmp_path / "it's [1] a*.parquet")
    ]
    expected = ek.StaggeredRollout()(study(panel()), "a").aggregate().value
    assert all(np.allclose(ek.StaggeredRollout()(s, "a").aggregate().value, expected) for s in made)


def test_temporary_files_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan.tempfile, "tempdir", str(tmp_path))
    made = study(panel())
    made.paths.spread.within(made.values("y"))
    assert len(list(tmp_path.iterdir())) == 1
    del made
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StudyError, match="units change"):
        study(panel().assign(site=lambda f: f["t"].astype(str)))
    gc.collect()
    assert list(tmp_path.iterdir()) == []
