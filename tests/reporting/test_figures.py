"""Figures: pure, the same bytes every time, with words made from the same numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

import evalkit as ek
from evalkit.errors import OptionError
from evalkit.figures import Picture, style
from evalkit.language.axis import Axis
from tests.reporting import road_fixture as road


def place_alone() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Gaps and donors of one place beside six others."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"place": np.repeat(list("abcdefg"), 30), "t": np.tile(np.arange(30), 7)})
    frame["c"] = ((frame["place"] == "a") & (frame["t"] >= 20)).astype(int)
    frame["y"] = rng.normal(size=210) + 3 * frame["c"]
    study = ek.Study(frame, unit="place", period="t", outcomes=["y"], components=["c"])
    design = ek.SyntheticDifferenceInDifferences()
    return design.gaps(study, "c"), design.donors(study, "c")


GAPS, DONORS = place_alone()
ARGUMENTS = {
    "timeline": ((road.timeline(),), {"labels": road.LABELS, "periods": road.PERIODS, "places": road.PLACES}),
    "separability": ((road.evaluation(),), {}),
    "forest": ((road.evaluation(), road.effects()), {}),
    "event_study": ((road.evaluation(),), {}),
    "leave_one_out": ((road.evaluation(),), {}),
    "contamination": ((road.evaluation(),), {}),
    "one_place": ((GAPS,), {"unit": "points"}),
    "placebo_places": ((GAPS,), {}),
    "donor_weights": ((DONORS,), {}),
}


LONG = "Liaison with courts and probation, and a mentor who has been through it, together, beyond the sum"


def pieces() -> pd.DataFrame:
    """Pieces of a total, one of them with a long name."""
    columns = ["piece", "kind", "estimate", "conf_low", "conf_high", "people_periods"]
    rows = [
        ("Nurse", "own", 40.0, 5.0, 75.0, 900), (LONG, "interaction", -12.0, -30.0, 6.0, 300),
        ("Unexplained", "unexplained", 7.0, -9.0, 23.0, 500), ("Keyworker", "outside", np.nan, np.nan, np.nan, 0),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def draws() -> pd.DataFrame:
    """A thousand draws of additional outcomes for each of five parts."""
    spread = np.random.default_rng(4).normal(50, 20, (5, 1000))
    rows = [{"name": f"p{i}", "label": f"Part {i}", "cost": 900.0 * (i + 1)} for i in range(5)]
    return pd.concat([pd.DataFrame({**r, "additional": d}) for r, d in zip(rows, spread, strict=True)])


def counts() -> pd.DataFrame:
    """Who is in, for two components."""
    stages = {"all": 900, "outside": 300, "reached": 600, "never": 400, "had": 200, "left": 50, "used": 150}
    rows = [(c, s, float(n)) for c in ("nurse", LONG) for s, n in stages.items()]
    return pd.DataFrame(rows, columns=["component", "stage", "count"])


def crowded() -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """The figures with a row a component, where every label is long."""
    labels = dict.fromkeys(road.LABELS, LONG)
    return {
        "forest": ((road.evaluation(), road.effects()), {"labels": labels}),
        "leave_one_out": ((road.evaluation(),), {"labels": labels}),
        "contamination": ((road.evaluation(),), {"labels": labels}),
        "waterfall": ((pieces(),), {}),
        "flow": ((counts(),), {"labels": {"nurse": LONG}}),
    }


@pytest.mark.parametrize("name", list(crowded()))
def test_no_word_is_cut_on_a_narrow_screen(name: str) -> None:
    args, options = crowded()[name]
    figure = getattr(ek.plot, name)(*args, width=style.NARROW, **options)
    figure.canvas.draw()
    edge = figure.bbox
    said = [t for ax in figure.axes for t in (*ax.texts, ax.xaxis.label)]
    said += [t for legend in figure.legends for t in legend.get_texts()]
    assert any(LONG[:20] in t.get_text() for t in said)
    for text in said:
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.x1 <= edge.x1 + 1, text.get_text()
        assert box.y0 >= -1 and box.y1 <= edge.y1 + 1, text.get_text()


def test_forest_on_a_narrow_screen_keeps_its_numbers() -> None:
    args, options = ARGUMENTS["forest"]
    wide, phone = (ek.plot.forest(*args, width=w, **options) for w in (style.WIDE, style.NARROW))
    spans = re.findall(r"[+−][\d.]+% \([^)]+\)", texts(wide))
    assert len(spans) == 4 and re.findall(r"[+−][\d.]+% \([^)]+\)", texts(phone)) == spans


def test_an_interval_far_wider_than_the_rest_ends_in_an_arrow() -> None:
    verdicts = road.verdicts()
    usual = np.ptp(ek.plot.forest(verdicts, scale=road.study().outcome()).axes[0].get_xlim())
    drawn = verdicts.index[verdicts["estimate"].notna()][0]
    verdicts.loc[drawn, ["conf_low", "conf_high"]] = [-4.0, 4.0]
    ax = ek.plot.forest(verdicts, scale=road.study().outcome()).axes[0]
    assert np.ptp(ax.get_xlim()) < 4 * usual
    assert [m for m in ("<", ">") if any(line.get_marker() == m for line in ax.lines)] == ["<", ">"]


def test_a_thousand_draws_and_hatching_weigh_little() -> None:
    assert len(ek.plot.describe("value_plane", draws()).svg) < 90_000
    assert len(ek.plot.describe("waterfall", pieces()).svg) < 70_000


@pytest.fixture(scope="module")
def pictures() -> dict[str, Picture]:
    return {name: ek.plot.describe(name, *args, **options) for name, (args, options) in ARGUMENTS.items()}


def texts(figure: object) -> str:
    return "\n".join(t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["forest", "event_study"])
def test_two_drawings_are_the_same_bytes(pictures: dict[str, Picture], name: str) -> None:
    args, options = ARGUMENTS[name]
    again = ek.plot.describe(name, *args, **options)
    assert again.svg == pictures[name].svg
    assert style.to_png(again.figure, 60) == style.to_png(pictures[name].figure, 60)
    assert re.search(rb"<dc:date>|matplotlib\.org", again.svg) is None


@pytest.mark.parametrize("name", list(ARGUMENTS))
def test_words_say_something(pictures: dict[str, Picture], name: str) -> None:
    picture = pictures[name]
    assert 4 <= len(picture.title.split()) <= 16
    assert 40 <= len(picture.alt) <= 600
    assert len(picture.description.splitlines()) >= 4
    assert len(picture.data) >= 4


@pytest.mark.parametrize("name", list(ARGUMENTS))
def test_html_needs_nothing_from_outside(pictures: dict[str, Picture], name: str) -> None:
    page = pictures[name].to_html()
    assert set(re.findall(r'(?:src|srcset)="([^,]*),', page)) == {"data:image/svg+xml;base64"}
    assert re.search(r'<img alt="[^"]{40,}"', page)
    assert "<figcaption>" in page and "<details>" in page


def test_files_are_written_with_words_and_data(pictures: dict[str, Picture], tmp_path: Path) -> None:
    paths = pictures["forest"].save(tmp_path)
    assert [p.suffix for p in paths] == [".svg", ".png", ".csv", ".txt"]
    assert b"Software" not in paths[1].read_bytes()
    assert list(pd.read_csv(paths[2])["component"]) == list(road.NAMES)


def test_forest_has_a_row_for_every_component_and_says_what_is_refused(pictures: dict[str, Picture]) -> None:
    words = texts(pictures["forest"].figure)
    assert all(label in words for label in road.LABELS.values())
    assert words.count("no effect given") == 3
    assert "Not tested: no effect given" in words
    assert [line.split(":")[0] for line in pictures["forest"].description.splitlines()] == list(road.LABELS.values())


def test_refused_component_never_shows_a_number() -> None:
    verdicts = road.verdicts()
    hidden = verdicts["verdict"] == "not_tested"
    verdicts.loc[hidden, ["estimate", "conf_low", "conf_high"]] = [-0.777, -0.888, -0.666]
    picture = ek.plot.describe("forest", verdicts, labels=road.LABELS, scale=road.study().outcome())
    assert "54" not in picture.description.splitlines()[-1]
    assert "no effect is given" in picture.description.splitlines()[-1]


def test_forest_draws_log_effects_as_per_cent() -> None:
    scale = Axis("log", matters=0.05)
    assert scale.show([np.log(0.9)])[0] == pytest.approx(-10)
    assert scale.span(np.log(0.9), np.log(0.8), np.log(1.1)) == "−10% (−20% to +10%)"
    assert Axis("share").span(0.092, 0.02, 0.16) == "+9 (+2 to +16)"
    assert Axis("share").span(0.092, np.nan, np.nan) == "+9.2 (no range)"


def test_timeline_words_count_places(pictures: dict[str, Picture]) -> None:
    assert "Zero tolerance under 21: on in 48 of 48 places" in pictures["timeline"].description
    assert "Blood alcohol limit of 0.08: on in 17 of 48 places" in pictures["timeline"].description


def test_timeline_of_hundreds_of_people_is_no_taller_than_a_page() -> None:
    many = [f"person {i}" for i in range(400)]
    lane = pd.DataFrame({"component": "nurse", "cluster": many, "start": 3, "end": np.nan, "state": "on"})
    figure = ek.plot.timeline(lane, periods=range(10), places=many)
    assert figure.get_size_inches()[1] < 4


def test_timeline_marks_background_bands() -> None:
    options = {
        "labels": road.LABELS,
        "periods": road.PERIODS,
        "places": road.PLACES,
        "bands": (("Fuel crisis", 1990, 1992),),
    }
    picture = ek.plot.describe("timeline", road.timeline(), **options)
    assert "In the background: Fuel crisis, 1990 to 1992." in picture.description
    assert "Fuel crisis" in [t.get_text() for t in picture.figure.legends[0].get_texts()]


def test_matrix_cells_carry_words_not_colour_alone(pictures: dict[str, Picture]) -> None:
    words = texts(pictures["separability"].figure)
    assert words.count("time\nplace") == 2 * int(road.separability().pairs["separable"].sum())
    assert "⇄ only as a swap" in words and "– cannot be tested" in words


def test_event_study_marks_what_is_not_its_own_and_what_is_missing() -> None:
    picture = ek.plot.describe("event_study", road.evaluation(), "bac08")
    assert "not its own" in texts(picture.figure)
    assert "After period 4 the effect can no longer be told" in picture.description
    assert "No number at 7 to 8: only one state left to compare." in picture.description
    assert set(picture.data["component"]) == {"bac08"}


def test_event_study_of_a_refused_component_is_an_error_in_words() -> None:
    with pytest.raises(OptionError, match="no event study of 'zerotol'"):
        ek.plot.event_study(road.evaluation(), "zerotol")


def test_one_wide_interval_does_not_flatten_the_rest() -> None:
    table = road.event_study("bac08")
    table.loc[table["event_time"] == 6, ["conf_low", "conf_high"]] = [-5.0, 5.0]
    figure = ek.plot.event_study(table, scale=road.study().outcome())
    assert np.ptp(figure.axes[0].get_ylim()) < 120


def test_contamination_says_what_is_its_own_and_what_is_borrowed(pictures: dict[str, Picture]) -> None:
    first = pictures["contamination"].description.splitlines()[0]
    assert "weights that sum to 1.20, less 0.20 with the sign turned round; 1.80 is borrowed" in first
    assert pictures["contamination"].title == "In the usual regression 7 of 7 components borrow heavily from others"
    assert "borrowed from others" in texts(pictures["contamination"].figure)


def test_labels_round_sensibly_beside_what_matters() -> None:
    scale = Axis("log", matters=0.05)
    assert scale.span(np.log(1.0513), np.log(0.999), np.log(1.11), 0.028) == "+5.13% (−1% to +11%)"


def test_leave_one_out_names_the_extremes() -> None:
    table = pd.DataFrame(
        {"component": "a", "outcome": "y", "cluster": ["Ohio", "Iowa", "Utah"], "estimate": [1.0, -0.4, 2.0]}
    )
    picture = ek.plot.describe("leave_one_out", table)
    assert picture.title == "For 1 component one place decides the direction"
    assert "without Iowa" in picture.description and "without Utah" in picture.description


def test_wrong_tables_and_widths_are_refused_in_words() -> None:
    with pytest.raises(OptionError, match="lacks the columns"):
        ek.plot.forest(pd.DataFrame({"component": ["a"]}))
    with pytest.raises(OptionError, match="inches"):
        ek.plot.forest(road.evaluation(), width=75)
    with pytest.raises(OptionError, match="figure='pie'"):
        ek.plot.describe("pie", road.evaluation())


def luminance(colour: str) -> float:
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colour", [style.INK, style.QUIET, style.RULE, style.BLUE, style.GREEN, style.RUST])
def test_lines_and_words_stand_out_from_white(colour: str) -> None:
    least = 4.5 if colour in (style.INK, style.QUIET, style.RUST) else 3.0
    assert 1.05 / (luminance(colour) + 0.05) >= least


def test_figures_leave_no_trace_in_matplotlib() -> None:
    import matplotlib as mpl
    from matplotlib import pyplot

    before = dict(mpl.rcParams)
    ek.plot.leave_one_out(road.evaluation())
    assert dict(mpl.rcParams) == before
    assert pyplot.get_fignums() == []
