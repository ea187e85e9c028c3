"""Every figure goes where its reader wants it: into axes of theirs, one a panel, or into a part of their figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import evalkit as ek
from tests.reporting import road_fixture as road
from tests.reporting.test_figures import ARGUMENTS, counts, draws, pieces

PERIODS = list(range(6))


def rows(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def chart() -> pd.DataFrame:
    """Differences of two places in six periods, the last one beyond its limits."""
    places, moved = np.repeat(["Ashby", "Dene"], 6), np.tile([0.1, -0.2, 0.1, 0.3, 0.2, 1.4], 2)
    return rows(place=places, period=PERIODS * 2, difference=moved, smoothed=moved, low=-1.0, high=1.0,
                baseline=[p < 2 for p in PERIODS] * 2, alarm=moved > 1)  # fmt: skip


def looks() -> pd.DataFrame:
    """Two looks at each of two components."""
    return rows(through=["2021", "2022"] * 2, component=np.repeat(["a", "b"], 2), z=[1.0, 2.5, 0.2, 0.1],
                bound=[4.0, 2.1] * 2, crossed=[False, True, False, False])  # fmt: skip


def over_time() -> pd.DataFrame:
    """Both sides of one outcome."""
    return rows(outcome="y", period=PERIODS, groups="ever", started=[0, 0, 3, 6, 6, 6], people_with=6,
                people_without=5, with_it=np.arange(6.0), without=2.0, expected=1.5)  # fmt: skip


def weights() -> pd.DataFrame:
    """How much two places count in an answer."""
    sides = ["before it"] * 3 + ["with it"] * 3 + ["beside"] * 6
    return rows(component="a", cluster=np.repeat(["Ashby", "Dene"], 6), period=PERIODS * 2, side=sides,
                weight=np.repeat([-1, 1, 1, -1], 3))  # fmt: skip


def waits() -> pd.DataFrame:
    """A curve for each of two arms."""
    share = np.tile(np.linspace(0, 0.5, 6), 2)
    return rows(arm=np.repeat(["with it", "without it"], 6), time=PERIODS * 2, share=share, conf_low=share - 0.05,
                conf_high=share + 0.05, at_risk=90, events=2)  # fmt: skip


def bands() -> pd.DataFrame:
    """Scores of both arms."""
    return rows(low=[0.0, 0.5], high=[0.5, 1.0], exposed=[10, 30], comparison=[40, 0])


ESTIMATE = rows(component=["a", "b"], estimate=[1.0, -2.0], conf_low=[0.5, -3.0], conf_high=[1.5, -1.0])
MORE: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "estimates": ((ESTIMATE,), {}),
    "waterfall": ((pieces(),), {}),
    "flow": ((counts(),), {}),
    "value_plane": ((draws(),), {}),
    "acceptability": ((rows(name="a", label="A", worth=[0.0, 9.0, 18.0], chance=[0.1, 0.6, 0.9]),), {}),
    "love": ((rows(covariate=["x", "z"], smd_before=[0.5, -0.3], smd_after=[0.05, 0.0]),), {}),
    "overlap": ((bands(),), {}),
    "regression_to_mean": (
        (rows(score=[1.0, 2.0], people=[5, 5], share_with=[1.0, 0.0], outcome=[3.0, 4.0], expected=[2.0, 4.0],
              extrapolated=[True, False]),), {},
    ),
    "over_time": ((over_time(),), {}),
    "compared": ((weights(),), {}),
    "curves": ((waits(),), {}),
    "logic_model": ((road.study(),), {}),
    "place_charts": ((chart(),), {}),
    "look_lines": ((looks(),), {}),
}  # fmt: skip
EVERY = {**ARGUMENTS, **MORE}
FIGURES = sorted(set(ek.plot.__all__) - {"Picture", "describe"})


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(ax: Axes) -> list[bytes]:
    """What stands in axes: points of lines, and corners of what is filled."""
    lines = [np.asarray(line.get_xydata(), dtype=float) for line in ax.lines]
    filled = [path.vertices for c in ax.collections for path in c.get_paths()]
    boxes = [patch.get_path().vertices for patch in ax.patches]
    pictures = [np.asarray(image.get_array()) for image in ax.images]
    return [np.round(v, 9).tobytes() for v in (*lines, *filled, *boxes, *pictures)]


def test_every_figure_is_here() -> None:
    assert sorted(EVERY) == FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_axes_of_somebodys_hold_what_the_figure_shows(name: str) -> None:
    args, options = EVERY[name]
    own = [ax for ax in getattr(ek.plot, name)(*args, **options).axes if ax.axison or ax.texts]
    before = dict(plt.rcParams)
    figure, axes = plt.subplots(1, len(own) + 1, layout="constrained", squeeze=False)
    mine = axes[0, 0] if len(own) == 1 else list(axes[0, : len(own)])
    assert getattr(ek.plot, name)(*args, **options, ax=mine) is mine
    for ours, theirs in zip(own, np.ravel(np.array(mine, dtype=object)), strict=True):
        assert drawn(ours) == drawn(theirs)
        assert [t.get_text() for t in ours.texts] == [t.get_text() for t in theirs.texts]
    assert drawn(axes[0, -1]) == [] and len(figure.axes) == len(own) + 1 and not figure.legends
    assert dict(plt.rcParams) == before


@pytest.mark.parametrize("name", ["timeline", "separability", "event_study", "look_lines", "one_place", "flow"])
def test_a_part_of_somebodys_figure_holds_all_panels(name: str) -> None:
    args, options = EVERY[name]
    own = getattr(ek.plot, name)(*args, **options)
    left, right = plt.figure(figsize=(15, 4), layout="constrained").subfigures(1, 2)
    assert getattr(ek.plot, name)(*args, **options, ax=left) is left
    assert [drawn(a) for a in left.axes] == [drawn(a) for a in own.axes] and right.axes == []
    assert len(left.legends) == len(own.legends)


@pytest.mark.parametrize(("width", "phone"), [(3.0, True), (9.0, False)])
def test_a_narrow_part_is_laid_out_for_a_telephone(width: float, phone: bool) -> None:
    part = plt.figure(figsize=(2 * width, 4), layout="constrained").subfigures(1, 2)[0]
    ek.plot.estimates(ESTIMATE, ax=part)
    assert (len(part.axes[0].get_yticks()) == 0) is phone


def test_a_forest_of_rows_without_verdicts_is_drawn_too() -> None:
    for source in (ESTIMATE, ek.Interval(2.0, 1.0, 4.0, "bounds")):
        ax = plt.subplots()[1]
        assert ek.plot.forest(source, ax=ax) is ax
        assert drawn(ax) == drawn(ek.plot.estimates(source).axes[0])
    assert ek.plot.describe("forest", ESTIMATE).title == "2 of 2 intervals exclude zero"


def test_axes_that_do_not_fit_are_refused_in_words() -> None:
    _, (left, right) = plt.subplots(1, 2)
    with pytest.raises(ek.EvalkitError, match="nothing to draw into. Give matplotlib axes, a list of them, or"):
        ek.plot.estimates(ESTIMATE, ax="left")
    with pytest.raises(ek.EvalkitError, match=r"ax= holds one panel, and there are 2: 'statuses' and 'the matrix'"):
        ek.plot.separability(road.evaluation(), ax=left)
    with pytest.raises(ek.EvalkitError, match=r"ax= holds 2 panels, and there are 1"):
        ek.plot.estimates(ESTIMATE, ax=[left, right])
    with pytest.raises(ek.EvalkitError, match="nothing to draw into"):
        ek.plot.estimates(ESTIMATE, ax=[])
    assert drawn(left) == []


def test_a_dollar_in_a_label_is_a_dollar_and_their_own_words_stay(tmp_path) -> None:
    figure, ax = plt.subplots()
    ax.set_title(r"$\alpha$")
    ek.plot.love(EVERY["love"][0][0].assign(covariate=["cost $5", "gain $6 to $7"]), ax=ax)
    assert ax.title.get_parse_math() and not any(label.get_parse_math() for label in ax.get_yticklabels())
    figure.savefig(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 1000


def test_describe_makes_a_figure_of_its_own() -> None:
    with pytest.raises(ek.EvalkitError, match=r"takes no ax=. Call ek.plot.estimates\("):
        ek.plot.describe("estimates", ESTIMATE, ax=plt.subplots()[1])


def test_only_public_names_are_listed() -> None:
    assert dir(ek.plot) == sorted(ek.plot.__all__)
    assert set(dir(ek.plot)) <= set(vars(ek.plot)) and {"forest", "describe", "Picture"} <= set(dir(ek.plot))
