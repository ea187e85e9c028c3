"""Gather the reports that were built into one folder with an index page, ready for any web server.

    python docs/build_site.py            # reports/*/report.html -> site/
"""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = """<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>evalkit: reports</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem }}
</style>
</head>
<body><main><h1>Reports</h1>
<ul>
{items}
</ul></main></body>
</html>
"""


def title_of(page: str, otherwise: str) -> str:
    """The words in a page's title element."""
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    return html.unescape(found[1]).strip() if found else otherwise


def build(reports: Path, site: Path) -> list[str]:
    """Copy every report page to `site` and write the index; returns the reports' names. Unit rows are never copied."""
    items, names = [], []
    for page in sorted(reports.glob("*/report.html")):
        name = page.parent.name
        target = site / name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, target / "index.html")
        title = title_of(page.read_text(encoding="utf-8"), name)
        items.append(f'<li><a href="{html.escape(name)}/">{html.escape(title)}</a></li>')
        names.append(name)
    if names:
        (site / "index.html").write_text(PAGE.format(items="\n".join(items)), encoding="utf-8")
    return names


def main() -> None:
    """Build site/ or say what is missing."""
    names = build(ROOT / "reports", ROOT / "site")
    if not names:
        raise SystemExit("No report was built yet. Run `make demo` first.")
    print(f"site/index.html lists {len(names)}: {', '.join(names)}")


if __name__ == "__main__":
    main()
