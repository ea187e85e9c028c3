"""`make site` lists the reports that exist and copies their pages alone."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from docs import making, pages
from evalkit.reporting.formats import to_page

ROOT = Path(__file__).resolve().parents[2]
BUILD = runpy.run_path(str(ROOT / "docs" / "build_site.py"))["build"]


def test_site_lists_reports_and_copies_pages_only(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "safety"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<title>Laws &amp; roads</title>", encoding="utf-8")
    (folder / "panel.csv").write_text("a,b", encoding="utf-8")
    assert BUILD(tmp_path / "reports", tmp_path / "site") == ["safety"]
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert '<a href="safety/index.html">Laws &amp; roads</a>' in index
    assert [p.name for p in (tmp_path / "site" / "safety").iterdir()] == ["index.html"]


def test_notebooks_are_run_and_shown_with_their_code(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    source = "# %% [markdown]\n# # Twice two\n\n# %%\nprint(2 * 2)\n"
    (tmp_path / "notebooks" / "design_sums.py").write_text(source, encoding="utf-8")
    names = BUILD(tmp_path / "reports", tmp_path / "site", tmp_path / "notebooks")
    assert names == ["notebooks/design_sums"]
    page = (tmp_path / "site" / "notebooks" / "design_sums" / "index.html").read_text(encoding="utf-8")
    assert "<title>Twice two</title>" in page and "print(2 * 2)" in page and '<pre class="out">4' in page
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "Notebooks on designs" in index and "notebooks/design_sums/index.html" in index


def test_each_notebook_has_names_of_its_own_and_shows_what_jupyter_would(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    cells = ["x = 2", "print(x)\nx + 40", "import pandas as pd\npd.DataFrame({'a': [7]})", "None"]
    one = "# %%\n" + "\n\n# %%\n".join(cells) + "\n"
    (tmp_path / "notebooks" / "design_one.py").write_text(one, encoding="utf-8")
    two = "# %%\nfrom pathlib import Path\nprint('x' in globals(), list(Path('.').iterdir()))\n"
    (tmp_path / "notebooks" / "design_two.py").write_text(two, encoding="utf-8")
    BUILD(tmp_path / "reports", tmp_path / "site", tmp_path / "notebooks")
    first, second = (
        (tmp_path / "site" / "notebooks" / f"design_{n}" / "index.html").read_text("utf-8") for n in ("one", "two")
    )
    assert re.findall(r'<pre class="out">(.*?)\n</pre>', first) == ["2"] and "<pre>42</pre>" in first
    assert first.index("<pre>42</pre>") < first.index('class="dataframe"') < first.index("<code>None</code>")
    assert first.count("<pre>") == 1 and "False []" in second


def test_a_notebook_that_stops_is_named(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "design_broken.py").write_text("# %%\n1 / 0\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError) as stopped:
        BUILD(tmp_path / "reports", tmp_path / "site", tmp_path / "notebooks")
    assert stopped.value.__notes__ == ["That was design_broken."]
    assert not (tmp_path / "site").exists()


def test_what_is_begun_first_is_there() -> None:
    assert set(making.FIRST) <= {p.stem for p in (ROOT / "notebooks").glob("*.py")} | set(pages.ORDER)


def test_what_cells_print_and_frames_are_regions_of_their_own() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]})._repr_html_()
    outputs = [nbformat.v4.new_output("stream", text=f"{i}\n") for i in range(2)]
    outputs += [nbformat.v4.new_output("display_data", {"text/html": frame}) for _ in range(2)]
    cells = [nbformat.v4.new_code_cell("1", outputs=[output]) for output in outputs]
    about = {"title": "Two", "language_info": {"name": "python", "mimetype": "text/x-python"}}
    page = to_page(nbformat.v4.new_notebook(cells=cells, metadata=about), show_code=True)
    labels = re.findall(r'aria-label="((?:Printed|Frame)[^"]*)"', page)
    assert labels == ["Printed, part 1", "Printed, part 2", "Frame 1", "Frame 2"]
    assert page.count('class="dataframe"') == 2 and "<th></th>" not in page


def test_without_reports_nothing_is_written(tmp_path: Path) -> None:
    assert BUILD(tmp_path / "reports", tmp_path / "site") == []
    assert not (tmp_path / "site").exists()
