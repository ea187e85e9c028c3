"""Gather pages that teach, the reports that were built, and the notebooks, run, into one folder that opens without a
server.

python docs/build_site.py            # docs/pages, reports/*/report.html and notebooks/*.py -> site/

A notebook is run again only where it or the package has changed since its page was made.
"""

from __future__ import annotations

import hashlib
import html
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = """<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>evalkit: reports and notebooks</title>
<style>
:root {{ --ink: #1a1a1a; --paper: #fff; --link: #00527f }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #ececec; --paper: #16181a; --link: #8fc9f2 }} }}
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word }}
a {{ color: var(--link) }} a:focus-visible {{ outline: 3px solid var(--link); outline-offset: 2px }}
</style>
</head>
<body><main><h1>evalkit</h1>
<p>Several components switched on together: which of them made a difference?</p>
{sections}
</main></body>
</html>
"""


def title_of(page: str, otherwise: str) -> str:
    """The words in a page's title element."""
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    return html.unescape(found[1]).strip() if found else otherwise


def build(reports: Path, site: Path, notebooks: Path | None = None, teach: bool = False) -> list[str]:
    """Copy every report page to `site`, run every notebook into a page, write the index; returns the pages' names.

    teach: whether the pages of docs/pages are written too; the index is theirs then, with the lists at its end. Unit
    rows are never copied. Nothing is written where there is neither a report nor a notebook.
    """
    made = {"Reports": _reports(reports, site)}
    if notebooks is not None:
        made |= _notebooks(notebooks, site)
    sections = "".join(_section(heading, links) for heading, links in made.items() if links)
    names = [name for links in made.values() for name, _ in links]
    if teach:
        from docs.pages import write_pages

        _tell("Pages that teach")
        names = [*write_pages(site, _tell), *names]
        index = site / "index.html"
        text = index.read_text(encoding="utf-8").replace("</main>", f"{sections}</main>")
        index.write_text(text, encoding="utf-8")
    elif sections:
        (site / "index.html").write_text(PAGE.format(sections=sections), encoding="utf-8")
    return names


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _reports(reports: Path, site: Path) -> list[tuple[str, str]]:
    """(name, title) of every report whose page was copied."""
    links = []
    for page in sorted(reports.glob("*/report.html")):
        name = page.parent.name
        target = site / name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, target / "index.html")
        links.append((name, title_of(page.read_text(encoding="utf-8"), name)))
    return links


def _notebooks(folder: Path, site: Path) -> dict[str, list[tuple[str, str]]]:
    """Heading -> (name, title) of every notebook that was run and turned into a page, two at a time."""
    out: dict[str, list[tuple[str, str]]] = {"Notebooks on designs": [], "Notebooks on partnerships": []}
    package, paths = _package(), sorted(folder.glob("*.py"))
    marks = {p: hashlib.sha256(p.read_bytes() + package).hexdigest() for p in paths}
    old = [p for p in paths if _mark(site, p).is_file() and _mark(site, p).read_text() == marks[p]]
    new = [p for p in paths if p not in old]
    with ThreadPoolExecutor(2) as pool:
        for path, page in zip(new, pool.map(_run, new), strict=True):
            _tell(f"  {path.stem}")
            target = site / "notebooks" / path.stem
            target.mkdir(parents=True, exist_ok=True)
            (target / "index.html").write_text(page, encoding="utf-8")
            _mark(site, path).write_text(marks[path])
    for path in paths:
        page = (site / "notebooks" / path.stem / "index.html").read_text(encoding="utf-8")
        heading = f"Notebooks on {'partnerships' if path.stem.startswith('partnership') else 'designs'}"
        out[heading].append((f"notebooks/{path.stem}", title_of(page, path.stem)))
    return out


def _mark(site: Path, path: Path) -> Path:
    """Where it is kept what a notebook's page was made from."""
    return site / "notebooks" / path.stem / "made_from"


def _package() -> bytes:
    """A hash of everything that notebooks are run with."""
    whole = hashlib.sha256()
    for file in sorted((ROOT / "evalkit").rglob("*.py")):
        whole.update(file.read_bytes())
    return whole.digest()


def _run(path: Path) -> str:
    """The page of a notebook, run."""
    from evalkit.reporting.formats import make_notebook, run_notebook, to_page

    source = path.read_text(encoding="utf-8")
    heading = next((line for line in source.splitlines() if line.startswith("# # ")), "# # Notebook")
    notebook = make_notebook("", level=0.95, seed=0, title=heading[4:], source=source)
    with tempfile.TemporaryDirectory() as place:
        return to_page(run_notebook(notebook, Path(place)), show_code=True)


def _section(heading: str, links: list[tuple[str, str]]) -> str:
    items = "\n".join(
        f'<li><a href="{html.escape(name)}/index.html">{html.escape(title)}</a></li>' for name, title in links
    )
    return f"<h2>{html.escape(heading)}</h2>\n<ul>\n{items}\n</ul>\n"


def main() -> None:
    """Build site/ and say what is in it."""
    site, begun = ROOT / "site", time.monotonic()
    sys.path.insert(0, str(ROOT))
    names = build(ROOT / "reports", site, ROOT / "notebooks", teach=True)
    print(f"site/index.html and {len(names)} pages: {', '.join(names)} ({time.monotonic() - begun:.0f} s)")


if __name__ == "__main__":
    main()
