"""Gather pages that teach, the reports that were built, and the notebooks, run, into one folder that opens without a
server.

python docs/build_site.py            # docs/pages, reports/*/report.html and notebooks/*.py -> site/

A notebook is run again only where it or the package has changed since its page was made.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
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
    from docs import making, pages

    made = {"Reports": _reports(reports, site)}
    paths = sorted(notebooks.glob("*.py")) if notebooks is not None else []
    marks = _marks(paths)
    new = [p for p in paths if not (_mark(site, p).is_file() and _mark(site, p).read_text() == marks[p])]
    taught: dict[str, pages.Page] = {}
    tell = partial(print, file=sys.stderr, flush=True)
    for task, page in making.all_made([*new, *(pages.ORDER if teach else ())], tell):
        if isinstance(page, pages.Page):
            taught[page.name] = page
        else:
            target = site / "notebooks" / task.stem
            target.mkdir(parents=True, exist_ok=True)
            (target / "index.html").write_text(page, encoding="utf-8")
            _mark(site, task).write_text(marks[task])
    made |= _listed(paths, site)
    sections = "".join(_section(heading, links) for heading, links in made.items() if links)
    names = [name for links in made.values() for name, _ in links]
    if teach:
        names = [*pages.write_pages(site, [taught[name] for name in pages.ORDER]), *names]
        index = site / "index.html"
        text = index.read_text(encoding="utf-8").replace("</main>", f"{sections}</main>")
        index.write_text(text, encoding="utf-8")
    elif sections:
        (site / "index.html").write_text(PAGE.format(sections=sections), encoding="utf-8")
    return names


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


def _listed(paths: Sequence[Path], site: Path) -> dict[str, list[tuple[str, str]]]:
    """Heading -> (name, title) of every notebook, of which there is a page."""
    out: dict[str, list[tuple[str, str]]] = {"Notebooks on designs": [], "Notebooks on partnerships": []}
    for path in paths:
        page = (site / "notebooks" / path.stem / "index.html").read_text(encoding="utf-8")
        heading = f"Notebooks on {'partnerships' if path.stem.startswith('partnership') else 'designs'}"
        out[heading].append((f"notebooks/{path.stem}", title_of(page, path.stem)))
    return out


def _marks(paths: Sequence[Path]) -> dict[Path, str]:
    """What the page of each notebook is made from, as one hash."""
    package = _package()
    return {p: hashlib.sha256(p.read_bytes() + package).hexdigest() for p in paths}


def _mark(site: Path, path: Path) -> Path:
    """Where it is kept what a notebook's page was made from."""
    return site / "notebooks" / path.stem / "made_from"


def _package() -> bytes:
    """A hash of everything that notebooks are run with."""
    whole = hashlib.sha256()
    for file in sorted((ROOT / "evalkit").rglob("*.py")):
        whole.update(file.read_bytes())
    return whole.digest()


def _section(heading: str, links: list[tuple[str, str]]) -> str:
    items = "\n".join(
        f'<li><a href="{html.escape(name)}/index.html">{html.escape(title)}</a></li>' for name, title in links
    )
    return f"<h2>{html.escape(heading)}</h2>\n<ul>\n{items}\n</ul>\n"


def main() -> None:
    """Build site/ and say what is in it."""
    site, begun = ROOT / "site", time.monotonic()
    os.environ |= {"PYTHONHASHSEED": "0", "MPLBACKEND": "Agg"}  # the same pages in every run, and no window
    sys.path.insert(0, str(ROOT))
    names = build(ROOT / "reports", site, ROOT / "notebooks", teach=True)
    print(f"site/index.html and {len(names)} pages: {', '.join(names)} ({time.monotonic() - begun:.0f} s)")


if __name__ == "__main__":
    main()
