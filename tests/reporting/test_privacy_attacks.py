"""Counts of people that a profile hides or rounds are attacked with everything that a report writes: none is found.

The attacks know the rules, the calendar and every published number: fractions of which the denominator is a count,
costs divided by what one person costs, and tables that differ by a few people.
"""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit import reporting
from evalkit.disclosure.publish import Guard
from evalkit.disclosure.rounding import Grain, grain_of, nice_step, to_step
from evalkit.disclosure.rules import PROFILES, Rules, rules_for
from evalkit.evaluation.delivered import publishable_recorded
from evalkit.evaluation.results import _protected, safe
from evalkit.figures import Picture, describe
from evalkit.reporting.formats import to_page
from evalkit.reporting.manifest import write_manifest
from evalkit.show.tables import csv_text
from tests.reporting.rounds import ALONE, SECTIONS, notebook_of

MONTHS, START, EACH_COST = 8, 3, 40.0
MULTIPLE = 60
"""Every number of base periods and of periods averaged over divides it."""
RULES = {**{name: PROFILES[name] for name in ("acro", "nhs")}, "custom": rules_for("custom: count=6, round_to=10")}


BESIDE = ("over_time", "baseline", "delivery", "recorded")


def people_study() -> ek.Study:
    """101 people in ten sites, 47 of them in the five sites that begin in month 3; six people have a nurse."""
    rng = np.random.default_rng(11)
    sizes = np.array([9, 10, 8, 11, 9, 10, 12, 9, 11, 12])
    site = np.repeat(np.arange(10), sizes)
    months, person = np.arange(MONTHS), np.arange(len(site))
    on = (site < 5)[:, None] & (months >= START)
    few = np.isin(person, [0, 1, 20, 21, 30, 31])
    y = rng.random((len(site), MONTHS)) < 0.3 + 0.3 * on
    frame = pd.DataFrame({"person": np.repeat(person, MONTHS), "month": np.tile(months, len(site)),
                          "site": np.repeat([f"Site {s}" for s in site], MONTHS), "settled": y.ravel().astype(int),
                          "advice": on.ravel().astype(int), "needs": np.repeat(few.astype(int), MONTHS),
                          "nurse": (few[:, None] & (months >= 5)).ravel().astype(int)})  # fmt: skip
    nurse = ek.Component("nurse", exposure="nurse", reach="needs", assigned_at="person")
    return ek.Study(frame, unit="person", period="month", cluster="site", outcome="settled", kind="share", matters=0.05,
                    components=[ek.Component("advice", exposure="advice", unit_cost=EACH_COST), nurse])  # fmt: skip


@pytest.fixture(scope="module")
def raw() -> ek.Evaluation:
    return ek.evaluate(people_study())


def published(evaluation: ek.Evaluation, rules: Rules | None) -> dict[str, pd.DataFrame]:
    """Every table that a report writes, to the ten digits to which it writes them."""
    made = evaluation if rules is None else _protected(evaluation, rules)
    tables = {**made.frames(), **{name: getattr(made, name) for name in BESIDE}}
    if made.attribution is not None:
        tables["attribution"] = made.attribution.pieces
    if made.value is not None:
        tables |= {name: getattr(made.value, name) for name in ("plane", "acceptability", "sensitivity", "costs")}
        tables["value"] = made.value.table
    cases = [d.case for d in made.decisions.by_outcome]
    tables["cases"] = pd.DataFrame([{**vars(c), **vars(c.stake)} for c in cases])
    return {name: t.map(lambda v: float(f"{v:.10g}") if isinstance(v, float) else v) for name, t in tables.items()}


def effects_of(tables: dict[str, pd.DataFrame], component: str) -> Iterator[float]:
    """Every number that is an effect of a component, or the middle of its range."""
    for name in ("verdicts", "effects", "event_studies", "leave_one_out"):
        table = tables.get(name, pd.DataFrame(columns=["component"]))
        for row in table[table["component"] == component].to_dict("records"):
            yield float(row.get("estimate", np.nan))
            yield (float(row.get("conf_low", np.nan)) + float(row.get("conf_high", np.nan))) / 2


def fits(value: float, counts: tuple[int, int], slack: float) -> bool:
    """Whether a number is, within `slack`, a difference of means over so many people each."""
    scale = counts[0] * counts[1] * MULTIPLE
    return abs(value * scale - round(value * scale)) <= slack * scale


def by_fractions(values: list[float], near: tuple[range, range]) -> set[tuple[int, int]]:
    """Pairs of counts that a number singles out among all pairs that are near."""
    steps = [factor * 10.0**-k for k in range(11) for factor in (1.0, 0.5, 0.2)]
    step = next((s for s in steps if np.abs(to_step(values, s) - values).max() < s / 1e3), 1e-10)
    found = set()
    for value in values:
        left = [pair for pair in product(*near) if fits(value, pair, step / 2)]
        found |= set(left) if len(left) == 1 else set()
    return found


def near(count: int, rules: Rules) -> range:
    """What a count could be, for all that is said of it."""
    step = rules.round_to or 1
    shown = round(count / step) * step
    return range(max(1, shown - step // 2), shown + step // 2 + 1)


def test_enough_digits_give_the_counts_away_where_nothing_is_rounded(raw: ek.Evaluation) -> None:
    values = [v for v in effects_of(published(raw, None), "advice") if np.isfinite(v)]
    assert (47, 54) in by_fractions(values, (near(47, RULES["nhs"]), near(54, RULES["nhs"])))


@pytest.mark.parametrize("name", ["nhs", "custom"])
def test_no_count_is_found_from_fractions_where_counts_are_rounded(raw: ek.Evaluation, name: str) -> None:
    rules = RULES[name]
    values = [v for v in effects_of(published(raw, rules), "advice") if np.isfinite(v)]
    assert values and (47, 54) not in by_fractions(values, (near(47, rules), near(54, rules)))


@pytest.mark.parametrize("name", ["nhs", "custom"])
def test_people_added_up_are_no_finer_than_their_rows(name: str) -> None:
    """A mean of a cell is in no steps, whatever its people answer: the steps are those of their sum."""
    held = [
        people_study().replace(hold=hold, components=[ek.Component("advice", exposure="advice")])
        for hold in ("rows", "cells")
    ]
    assert held[1].paths.n_units < held[0].paths.n_units
    rows, cells = (published(ek.evaluate(s), RULES[name])["verdicts"] for s in held)
    ends = ["estimate", "conf_low", "conf_high"]
    assert np.isfinite(rows[ends].to_numpy(dtype=float)).all() and rows[ends].equals(cells[ends])


def test_no_count_that_is_hidden_is_found_from_fractions(raw: ek.Evaluation) -> None:
    """Six of the 47 could not be compared after month 5: with all digits, the 41 left show in a denominator."""
    hidden, known = range(38, 47), range(54, 55)
    for rules, found in ((None, True), (RULES["acro"], False)):
        values = [v for v in effects_of(published(raw, rules), "advice") if np.isfinite(v)]
        assert ((41, 54) in by_fractions(values, (hidden, known))) is found


def by_denominator(values: Iterable[float], near_to: range, whole: int = 1) -> set[int]:
    """Counts that a mean of so many people in whole numbers singles out among all that are near; `whole`: what else may
    stand below the line."""
    listed = [v for v in values if np.isfinite(v)]
    steps = [factor * 10.0**-k for k in range(11) for factor in (1.0, 0.5, 0.2)]
    step = next((s for s in steps if listed and np.abs(to_step(listed, s) - listed).max() < s / 1e3), 1e-10)
    slack = step / 2 + 1e-9
    left = [[n for n in near_to if abs(v * n * whole - round(v * n * whole)) <= slack * n * whole] for v in listed]
    return {n[0] for n in left if len(n) == 1}


def means_of(tables: dict[str, pd.DataFrame]) -> dict[tuple[str, str, int], list[float]]:
    """Means of either side in the outcome over time and in the baseline, and in how many months each was taken."""
    return {(name, side, months): tables[name][side].dropna().tolist()
            for name, months in (("over_time", 1), ("baseline", START)) for side in ("with_it", "without")}  # fmt: skip


def test_means_over_time_and_before_give_counts_away_where_nothing_is_rounded(raw: ek.Evaluation) -> None:
    found = {key[:2]: by_denominator(v, near(dict(with_it=47, without=54)[key[1]], RULES["nhs"]), key[2])
             for key, v in means_of(published(raw, None)).items()}  # fmt: skip
    assert all(47 in found[name, "with_it"] and 54 in found[name, "without"] for name in ("over_time", "baseline"))


@pytest.mark.parametrize("name", ["nhs", "custom"])
def test_means_over_time_and_before_give_no_count_away(raw: ek.Evaluation, name: str) -> None:
    rules = RULES[name]
    for (table, side, months), values in means_of(published(raw, rules)).items():
        count = dict(with_it=47, without=54)[side]
        assert values and count not in by_denominator(values, near(count, rules), months), (table, side)


@pytest.mark.parametrize("name", RULES)
def test_no_weight_is_left_of_a_place_that_is_too_few(raw: ek.Evaluation, name: str) -> None:
    """Under acro some sites are of fewer than ten people: no weight is told, with a name or without."""
    table = published(raw, RULES[name])["compared"]
    assert not table.isna().to_numpy().any() and table.empty is (name == "acro")


@pytest.mark.parametrize("name", RULES)
def test_rows_of_people_who_are_there_all_along_tell_no_number_of_people(raw: ek.Evaluation, name: str) -> None:
    """Whoever divides rows by months finds the number that is said, whichever number near it is true."""
    rules = RULES[name]
    guard, table = Guard(raw.study, rules), raw.recorded
    least = rules.round_to or rules.count
    for shown in range(2 * least, 12 * least, least):
        near_to = [n for n in range(shown - least, shown + least) if np.round(n / least) * least == shown]
        said = [publishable_recorded(guard, table.assign(rows=MONTHS * n, missing=0.0, people=n, last=n))
                for n in map(float, near_to)]  # fmt: skip
        assert len(near_to) >= least - 1 and all(s.equals(said[0]) for s in said)
        assert (said[0]["rows"] == MONTHS * shown).all() and (said[0]["people"] == shown).all()


@pytest.mark.parametrize("name", RULES)
def test_rows_that_are_missing_tell_no_number_of_people(raw: ek.Evaluation, name: str) -> None:
    """People without an outcome in any month lack as many rows as there are months: several numbers look alike."""
    rules = RULES[name]
    least, guard = rules.round_to or rules.count, Guard(raw.study, rules)
    said = {n: publishable_recorded(guard, raw.recorded.assign(missing=float(MONTHS * n)))["missing"][0]
            for n in range(4 * least)}  # fmt: skip
    for people in range(1, 3 * least):
        alike = [n for n, m in said.items() if m == said[people] or np.isnan([m, said[people]]).all()]
        assert len(alike) >= least // 2, people
    assert said[0] == 0 and 0 not in [said[n] for n in range(1, 4 * least)]


def from_money(tables: dict[str, pd.DataFrame], rules: Rules) -> set[int]:
    """Counts of people that costs and people periods single out: each had it in every month from the start."""
    found = set()
    effect = tables["verdicts"].set_index("component").loc["advice", "estimate"]
    for row in tables.get("value", pd.DataFrame()).to_dict("records"):
        sums = (row["people_periods"], row["cost"] / EACH_COST, row["cost_compared"] / EACH_COST,
                row["additional"] / effect)  # fmt: skip
        found |= {n for n in near(47, rules) for amount in sums if abs(amount / (MONTHS - START) - n) < 1e-6}
    return found


def test_costs_give_no_count_away(raw: ek.Evaluation) -> None:
    assert 47 in from_money(published(raw, None), RULES["nhs"])
    for name in ("nhs", "custom"):
        assert 47 not in from_money(published(raw, RULES[name]), RULES[name]), name


def of_other_tables(tables: dict[str, pd.DataFrame]) -> list[float]:
    """Numbers of people that figures of value, costs by bearer and decisions come to, each had it from the start."""
    each = {"plane": ("cost",), "costs": ("amount",), "cases": ("cost", "whole", "people_periods")}
    found = []
    for name, columns in each.items():
        table = tables.get(name, pd.DataFrame())
        mine = table[table["component" if name == "costs" else "name"] == "advice"] if len(table) else table
        for column in columns if len(mine) else ():
            heads = 1.0 if column == "people_periods" else EACH_COST
            found += [float(v) / heads / (MONTHS - START) for v in mine[column].dropna().unique()]
    return found


def of_other_effects(tables: dict[str, pd.DataFrame]) -> list[float]:
    """Effects of the component on which decisions and value for money rest."""
    cases, value = (tables[name].query("name == 'advice'") for name in ("cases", "value"))
    found = [*cases["estimate"], *cases["conf_low"], *cases["conf_high"]]
    for column in ("additional", "additional_low", "additional_high"):
        found += list(value[column] / value["people_periods"])
    return [float(v) for v in found if np.isfinite(v)]


@pytest.mark.parametrize("name", ["nhs", "custom"])
def test_figures_of_value_and_decisions_give_no_count_away(raw: ek.Evaluation, name: str) -> None:
    rules = RULES[name]
    open_, safe = published(raw, None), published(raw, rules)
    assert 47.0 in of_other_tables(open_) and of_other_tables(safe)
    assert not [v for v in of_other_tables(safe) if abs(v - 47) < 1e-6]
    step = float(nice_step(rules.round_to / 2 / rules.shown(47)))
    assert np.abs(np.array(of_other_effects(open_)) % step).min() > 1e-6
    assert to_step(of_other_effects(safe), step) == pytest.approx(of_other_effects(safe), abs=1e-9)


@pytest.mark.parametrize("name", ["nhs", "custom"])
def test_sums_say_no_more_than_the_count_that_is_said(name: str) -> None:
    """A sum that counts heads is the same whichever count near it is true: intersecting the two finds nothing."""
    rules = RULES[name]
    for shown in range(10, 700, rules.round_to):
        counts = [n for n in near(shown, rules) if rules.shown(n) == shown]
        sums = {float(g.amounts(5 * n * g.heads)) for n in counts for g in [Grain(n, shown, rules.round_to)]}
        assert len(sums) == 1 and len(counts) >= rules.round_to - 1


@pytest.mark.parametrize("name", RULES)
def test_nobody_decides_on_what_is_hidden(raw: ek.Evaluation, name: str) -> None:
    cases = published(raw, RULES[name])["cases"].query("name == 'nurse'")
    assert len(cases) == 1 and (
        RULES[name].count <= 6 or cases[["estimate", "conf_low", "std_error"]].isna().to_numpy().all()
    )


@pytest.mark.parametrize("name", RULES)
def test_no_small_count_stands_in_a_table_or_between_two(raw: ek.Evaluation, name: str) -> None:
    rules, tables = RULES[name], published(raw, RULES[name])
    for component in ("advice", "nurse"):
        flow, effects = (tables[name][tables[name]["component"] == component] for name in ("flow", "effects"))
        within = flow[flow["stage"].isin(["all", "reached", "had", "used"])]
        counts = [*within["count"].dropna(), *effects["units_exposed"].dropna()]
        assert not [n for n in (*counts, *flow["count"].dropna()) if n > 0 and rules.small(n)]
        gaps = np.array([abs(a - b) for a, b in combinations(counts, 2) if a != b])
        assert not (gaps % rules.round_to).any() if rules.round_to else not rules.small(gaps).any()


@pytest.mark.parametrize("name", RULES)
def test_nothing_is_said_of_six_people(raw: ek.Evaluation, name: str) -> None:
    tables = published(raw, RULES[name])
    if RULES[name].count > 6:
        assert not [v for v in effects_of(tables, "nurse") if np.isfinite(v)]
    flow = tables["flow"].set_index(["component", "stage"])["count"]
    assert np.isnan(flow["nurse", "had"]) or RULES[name].count <= 6


def test_steps_are_wide_enough_for_every_count_near() -> None:
    """In every step of an effect lies a fraction of each count that is near: none can be told from another."""
    for people in (8, 23, 47, 101, 640, 5003):
        step = float(nice_step(5 / 2 / people))
        assert step >= 1 / (people - 2.5) / 2 and step <= 6.3 / people
        for value in np.arange(20) * step:
            for count in near(people, PROFILES["nhs"]):
                assert abs(value * count - round(value * count)) / count <= step / 2 + 1e-12


def test_grains_and_steps_by_hand() -> None:
    assert [grain_of(np.array(v)) for v in ([0.0, 1.0], [0.5, 2.0], [0.25, np.nan], [1 / 3])] == [1.0, 0.1, 0.01, 0.0]
    assert nice_step([0.0, 0.01, 0.011, 0.03, 0.06, 3.0]).tolist() == [0.0, 0.01, 0.02, 0.05, 0.1, 5.0]
    assert to_step([0.137, -0.31, np.nan], [0.05, 0.1, 0.1]).tolist()[:2] == [0.15, -0.3]
    assert to_step([0.137], 0.0).tolist() == [0.137]


# ---------------------------------------------------------------- what lies beside the tables: figures, words, metadata


@dataclass(frozen=True)
class Shown:
    """A report's figures, page, notebook and manifest under one profile."""

    pictures: dict[str, Picture]
    page: str
    notebook: nbformat.NotebookNode
    folder: Path

    @property
    def words(self) -> dict[str, str]:
        """Alternative texts and descriptions by figure, and the words of the page."""
        said = {name: f"{p.title} {p.alt} {p.description}" for name, p in self.pictures.items()}
        return {**said, "page": re.sub(r"<style.*?</style>|<[^>]+>|data:[^\"]+", " ", self.page, flags=re.DOTALL)}


@pytest.fixture(scope="module")
def shown(raw: ek.Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Shown]:
    """The report under a profile; "none": before any protection."""

    @functools.cache
    def make(name: str) -> Shown:
        words = {"custom": "custom: count=6, round_to=10"}.get(name, name)
        made = safe(replace(raw, study=raw.study.replace(settings={"disclosure": words})))
        made = _protected(raw, PROFILES["none"]) if name == "none" else made
        folder = tmp_path_factory.mktemp(name)
        found = reporting.pictures(made) if name != "none" else {"flow": describe("flow", made)}
        if name == "none":
            return Shown(found, "", notebook_of(), folder)
        reporting.write_pictures({n: found[n] for n in ("flow", "forest", "waterfall")}, folder / "figures")
        sections = [getattr(reporting, s)(made, found) for s in SECTIONS] + [getattr(reporting, s)(made) for s in ALONE]
        notebook = notebook_of(*sections, title="Advice")
        (folder / "study.toml").write_text("")
        facts: dict[str, object] = {"study": "study.toml", "title": "Advice", "level": 0.95, "seed": 0}
        write_manifest(folder, raw.study, folder / "study.toml", facts, made.verdicts)
        return Shown(found, to_page(notebook), notebook, folder)

    return make


def from_bars(svg: bytes, whole: float) -> list[float]:
    """Counts that the lengths of a figure's bars come to, read off its paths; whole: what the longest row counts."""
    number = r"(-?[\d.]+)"
    corners = re.findall(rf'd="M{number} {number}L{number} {number}L{number} {number}L{number} {number}z', svg.decode())
    bars = [(float(c[0]), float(c[2]), round(float(c[1]), 1)) for c in corners if c[0] != c[2] and c[1] == c[3]]
    rows: dict[float, list[float]] = {}
    for left, right, height in bars:
        rows.setdefault(height, []).append(right - left)
    longest = max((sum(r) for r in rows.values() if len(r) > 1), default=1.0)
    return [wide / longest * whole for row in rows.values() for wide in row]


def test_bars_give_counts_away_where_they_are_drawn_of_them(shown: Callable[[str], Shown]) -> None:
    found = from_bars(shown("none").pictures["flow"].svg, 101)
    assert any(abs(n - 47) < 0.05 for n in found) and any(abs(n - 6) < 0.05 for n in found)


@pytest.mark.parametrize("name", RULES)
def test_no_bar_is_as_long_as_a_count_that_is_not_said(shown: Callable[[str], Shown], name: str) -> None:
    rules, made = RULES[name], shown(name)
    said = made.pictures["flow"].data["count"].dropna()
    for n in from_bars(made.pictures["flow"].svg, float(said.max())):
        assert abs(n - 6) > 0.05 and (not rules.round_to or abs(n - 47) > 0.05)


@pytest.mark.parametrize("name", RULES)
def test_data_of_figures_give_no_count_away(shown: Callable[[str], Shown], name: str) -> None:
    rules, made = RULES[name], shown(name)
    frames = {n: pd.read_csv(io.StringIO(csv_text(p.data))) for n, p in made.pictures.items()}
    assert {"flow", "forest", "event_study_advice", "contamination", "waterfall", "over_time"} <= set(frames)
    assert ("compared_advice" in frames) is (name != "acro")  # under which places of eight or nine may not be told
    for stem, frame in frames.items():
        mine = frame[frame["component"] == "advice"] if "component" in frame else frame
        values = mine.select_dtypes("number").to_numpy(dtype=float).ravel()
        values = [float(v) for v in values if np.isfinite(v) and abs(v) < 1 and v % 0.01]
        if values and rules.round_to and stem not in ("acceptability", "value_plane"):
            assert (47, 54) not in by_fractions(values, (near(47, rules), near(54, rules))), stem
        for column in [c for c in frame if re.search("count$|people|units", c)]:
            counts = frame[column].dropna()
            assert not rules.small(counts[counts > 0]).any(), (stem, column)
    lent = frames["contamination"]
    assert rules.count <= 6 or "nurse" not in {*lent["component"], *lent["from_component"]}
    assert ((lent[["positive", "negative"]] * 100) % 1 == 0).all(axis=None) and "cells" not in lent


@pytest.mark.parametrize("name", RULES)
def test_no_sentence_tells_a_count_that_is_hidden(shown: Callable[[str], Shown], name: str) -> None:
    rules = RULES[name]
    counted = r"(?<![\d.,+−])(?<!fewer than )([\d,]+) (?:people|persons?|of them)\b(?! in every)"
    for where, words in shown(name).words.items():
        said = [float(n.replace(",", "")) for n in re.findall(counted, words)]
        assert not rules.small([n for n in said if n > 0]).any(), where
        assert not rules.round_to or not (np.array(said) % rules.round_to).any(), where
        assert rules.count <= 6 or not re.search(r"\b6 (?:can|did|never|stand)\b", words), where
    raw = shown("none").words
    assert re.search(r"\b6 (?:can|did)\b", raw["flow"]) and re.search(r"\b47 did\b", raw["flow"])


@pytest.mark.parametrize("name", RULES)
def test_metadata_tell_no_count(shown: Callable[[str], Shown], name: str) -> None:
    made = shown(name)
    assert set(made.notebook.metadata) == {"title"} and not [c for c in made.notebook.cells if c.metadata or c.source]
    manifest = json.loads((made.folder / "manifest.json").read_text(encoding="utf-8"))
    loose = {k: v for k, v in manifest.items() if k not in ("files", "inputs", "versions", "made_at")}
    assert not re.search(r"\b(?:6|41|47|54|101)\b", json.dumps(loose))
    for picture in (made.folder / "figures").glob("*.png"):
        kinds = re.findall(rb"(IHDR|tEXt|iTXt|zTXt|eXIf|tIME|pHYs)", picture.read_bytes()[:4000])
        assert set(kinds) <= {b"IHDR", b"pHYs"}, picture.name
    for svg in (made.folder / "figures").glob("*.svg"):
        told = re.sub(r"<rdf:RDF.*?</rdf:RDF>", "", svg.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"<(?:title|desc|text)\b", told), svg.name
