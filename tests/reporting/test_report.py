"""The report as files: the same bytes twice, nothing from outside, readable by a screen reader."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import nbformat
import pandas as pd
import pytest

import evalkit as ek
from evalkit.errors import EvalkitError
from evalkit.reporting.build import study_file
from evalkit.reporting.formats import ReportError, make_notebook, run_notebook, to_page
from evalkit.reporting.manifest import sha256
from evalkit.reporting.strict import SCRIPT, SCRIPT_HASH
from tests.reporting.conftest import PARTNERSHIPS, Built


class Reader(HTMLParser):
    """Tags in order with their attributes, and the ids that links can reach."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module", params=["places", *PARTNERSHIPS])
def page(request: pytest.FixtureRequest, built: Built, partnership_report: Callable[[str], Path]) -> str:
    if request.param == "places":
        return built.page
    return (partnership_report(request.param) / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def reader(page: str) -> Reader:
    return Reader(page)


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_runs_are_the_same_bytes_but_for_the_stated_time(built: Built) -> None:
    first, second = files(built.first), files(built.second)
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name] and name != "manifest.json"] == []
    a, b = json.loads(first["manifest.json"]), json.loads(second["manifest.json"])
    assert {**a, "made_at": ""} == {**b, "made_at": ""}


def test_files_that_the_report_promises(built: Built) -> None:
    names = set(files(built.first))
    assert {"report.html", "report.ipynb", "manifest.json", "verdicts.csv", "effects.csv", "separability.csv"} <= names
    assert {f"figures/forest.{kind}" for kind in ("svg", "png", "csv", "txt")} <= names
    assert not any(name.endswith((".parquet", "panel.csv")) for name in names)


def test_every_table_and_the_notebook_are_one_click_away(built: Built) -> None:
    links = set(re.findall(r'href="([\w-]+\.(?:csv|ipynb))"', built.page))
    assert links == {p.name for p in built.first.iterdir() if p.suffix in (".csv", ".ipynb")}


def test_every_section_is_folded_and_the_way_back_is_there(built: Built) -> None:
    appendix = built.page.partition('aria-label="Sections')[2]
    folded = re.findall(r'<details class="fold( screen)?"><summary><h2 ', appendix)
    assert len(folded) == appendix.count("<h2 ") >= 10
    assert '<a href="#main">Back to the top</a>' in built.page
    assert "details-content { content-visibility: visible" in built.page, "on paper nothing stays folded"


def test_manifest_says_what_the_numbers_rest_on(built: Built) -> None:
    manifest = json.loads((built.first / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"]["study.toml"] == sha256(built.study)
    assert set(manifest["inputs"]) == {"study.toml", "panel.csv", "adoption.csv"}
    assert {"evalkit", "numpy", "pandas", "scipy", "matplotlib", "python"} <= set(manifest["versions"])
    assert manifest["seed"] == 0 and manifest["time_of_data"] == "2024-12"
    assert manifest["files"]["report.html"] == sha256(built.first / "report.html")
    said = {row["component"]: row["verdict"] for row in manifest["verdicts"]}
    assert said == {"helpline": "shown", "visits": "no_sign", "keyworker": "not_tested"}


def test_page_loads_nothing_from_outside(page: str, reader: Reader) -> None:
    for tag, attributes in reader.tags:
        for name in ("src", "srcset", "href", "data", "action", "poster"):
            value = attributes.get(name) or ""
            beside = tag == "a" and re.fullmatch(r"[\w-]+\.(csv|ipynb)", value)  # a file of this report
            assert value == "" or beside or value.startswith(("#", "data:image/svg+xml;base64,")), (tag, value[:80])
    assert reader.all("script") == [{}] and not reader.all("link") and not reader.all("iframe")
    assert page.count(SCRIPT) == 1 and f"script-src '{SCRIPT_HASH}'" in page
    assert "'unsafe" not in page.replace("style-src 'unsafe-inline'", "")
    assert re.search(r"@import|url\(", page) is None


def test_page_can_be_read_aloud_in_order(reader: Reader) -> None:
    assert reader.all("html")[0]["lang"] == "en-GB"
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert reader.tags[[t for t, _ in reader.tags].index("body") + 1][1]["href"] == "#main"
    assert len(reader.all("main")) == 1


def test_every_picture_has_real_alternative_text(reader: Reader) -> None:
    words = [image["alt"] or "" for image in reader.all("img")]
    assert len(words) >= 5
    assert all(len(w) > 40 and "No description" not in w for w in words)
    assert len(set(words)) == len(words)


def test_every_table_has_caption_scopes_and_a_region(page: str, reader: Reader) -> None:
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    assert len(tables) >= 8
    for table in tables:
        assert re.search(r"<caption>[^<]+</caption>", table)
        headers = re.findall(r"<th( [^>]*)>(.*?)</th>", table, re.DOTALL)
        assert all("scope=" in attributes and re.sub(r"<[^>]+>", "", words).strip() for attributes, words in headers)
    regions = [d for d in reader.all("div") if d.get("role") == "region"]
    assert all(d.get("tabindex") == "0" and d.get("aria-label") for d in regions)
    assert len(regions) >= len(tables)


def test_every_link_arrives_and_no_id_is_there_twice(reader: Reader) -> None:
    ids = [str(a["id"]) for _, a in reader.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    links = {str(a["href"])[1:] for a in reader.all("a") if str(a.get("href", "")).startswith("#")}
    assert links - set(ids) == set()


def test_numbers_of_page_one_are_in_the_verdict_file(built: Built) -> None:
    page = built.page[built.page.index('aria-labelledby="question"') : built.page.index('aria-label="Sections')]
    cells = re.findall(r'data-label="What we found"[^>]*>(.*?)</td>', page, re.DOTALL)
    known = (built.first / "verdicts.csv").read_text(encoding="utf-8")
    found = set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"<[^>]+>", "", " ".join(cells))))
    assert len(found) >= 4
    assert {n for n in found if n not in set(re.findall(r"\d+(?:\.\d+)?", known))} == set()


def test_headline_on_the_page_is_the_estimate(built: Built) -> None:
    evaluation = ek.evaluate(ek.Study.load(built.study))
    verdicts = pd.read_csv(built.first / "verdicts.csv").set_index("component")
    value = float(evaluation.estimate("helpline").value[0])
    assert verdicts.loc["helpline", "estimate"] == pytest.approx(value, rel=1e-9)
    assert f"about {value:.1f} points higher" in verdicts.loc["helpline", "sentence"]
    assert f"about {value:.1f} points higher" in built.page


def test_an_evaluation_shows_itself_in_the_words_of_its_register(built: Built) -> None:
    evaluation = ek.evaluate(ek.Study.load(built.study))
    for shown in (repr(evaluation), evaluation._repr_html_()):
        assert "Home visits" in shown and "no sign" in shown and "no_sign" not in shown


def test_notebook_recomputes_from_the_study_file_with_public_names(built: Built) -> None:
    notebook = nbformat.read(built.first / "report.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    assert "ek.Study.load('../../study/study.toml')" in code
    assert "ek.evaluate(study, level=0.95, seed=0, plan=reporting.read_plan('../../study/plan.json'))" in code
    assert all(not part.startswith("_") for part in re.findall(r"reporting\.(\w+)", code))
    assert [c["id"] for c in notebook.cells] == [f"cell-{i:03d}" for i in range(len(notebook.cells))]


def test_a_study_in_memory_is_saved_beside_the_report_and_named_by_content(built: Built, tmp_path: Path) -> None:
    study = ek.Study.load(built.study).replace(title="Another title")
    reports = tmp_path / "reports"
    reports.mkdir()
    (tmp_path / "elsewhere").mkdir()
    file = study_file(study, reports / "mine")
    assert file.parent.parent == tmp_path and file == study_file(study, reports / "yours" / "second")
    assert ek.Study.load(file).title == "Another title"
    assert list(reports.iterdir()) == []
    assert study_file(study, tmp_path / "elsewhere" / "mine").parent.parent == tmp_path / "elsewhere"


def test_a_report_of_a_changed_file_is_refused(built: Built, tmp_path: Path) -> None:
    from evalkit.reporting.build import _same_verdicts

    after = pd.read_csv(built.first / "verdicts.csv")
    before = after.assign(verdict=["cannot_tell", *after["verdict"][1:]])
    with pytest.raises(EvalkitError, match=r"differs: helpline"):
        _same_verdicts(before, after, built.study)


def test_a_cell_that_fails_says_why(tmp_path: Path) -> None:
    notebook = make_notebook("none.toml", level=0.95, seed=0, title="x", source="# %%\nraise ValueError(STUDY)\n")
    with pytest.raises(ReportError, match="ValueError: none.toml"):
        run_notebook(notebook, tmp_path)


def test_temporary_files_of_a_notebook_go_with_it(tmp_path: Path) -> None:
    source = "# %%\nimport tempfile\nprint(tempfile.mkdtemp())"
    made = run_notebook(make_notebook("x.toml", level=0.95, seed=0, title="x", source=source), tmp_path)
    assert not Path(made.cells[0].outputs[0].text.strip()).exists()


def test_warnings_reach_the_page_without_the_folders_of_this_machine(tmp_path: Path) -> None:
    source = "# %%\nimport warnings\nwarnings.warn('Weights are not used.')\n"
    notebook = run_notebook(make_notebook("x.toml", level=0.95, seed=0, title="x", source=source), tmp_path)
    page = to_page(notebook)
    assert "<li>Weights are not used.</li>" in page
    assert "ipykernel" not in page and "stderr" not in nbformat.writes(notebook)


def test_figures_take_a_study_and_an_audit(built: Built) -> None:
    study = ek.Study.load(built.study)
    whole = ek.plot.describe("timeline", study)
    assert "Helpline: on in 12 of 24 places, first in 2023-09" in whole.description
    assert "Keyworker: on in 24 of 24 places, everywhere in the same period" in whole.description
    assert "helpline: on in 12 of" in ek.plot.describe("timeline", ek.separability(study)).description
    assert len(ek.plot.separability(ek.separability(study)).axes) == 2
