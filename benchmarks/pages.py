"""Pages of reports in a browser: how long they are, whether anything is wider than its column, what axe-core finds.

    make demo && python benchmarks/pages.py --write

opens every page in reports/ at 1,280 and 375 pixels, light and dark, as it opens and with everything unfolded, and
writes results/pages.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from docs.browser import Browser, open_browser, violations

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "pages.csv"
SCREENS = {1280: 800, 375: 667}  # width of a window: its height, pixels
_WIDER = """
const inside = e => { for (let p = e.parentElement; p; p = p.parentElement)
  if (p.classList.contains('scroll') || p.tagName === 'PRE') return true; return false; };
return [...document.querySelectorAll('main *, footer *')].filter(e => !inside(e) && !e.closest('svg')
  && e.checkVisibility() && e.getBoundingClientRect().right > e.parentElement.getBoundingClientRect().right + 1
  && getComputedStyle(e).position === 'static').length + (document.documentElement.scrollWidth > innerWidth ? 1 : 0);
"""
_UNFOLD = "document.querySelectorAll('details.fold').forEach(d => d.open = true)"
_OPEN = "document.querySelectorAll('details').forEach(d => d.open = true)"
_TALL = "return document.documentElement.scrollHeight"


def looked_at(browser: Browser, page: Path) -> Iterator[dict[str, object]]:
    """A row a width: heights in pixels and screens, what is too wide, what axe-core finds (light and dark)."""
    for width, screen in SCREENS.items():
        browser.size(width)
        browser.open(page)
        opened = browser.run(_TALL)
        browser.run(_UNFOLD)
        unfolded = browser.run(_TALL)
        browser.run(_OPEN)
        wider, found = browser.run(_WIDER), violations(browser)
        browser.size(width, dark=True)
        browser.open(page)
        found += violations(browser)
        for words in found:
            print(page, width, words)
        yield {
            "page": page.relative_to(ROOT).as_posix(), "megabytes": round(page.stat().st_size / 1e6, 2), "width": width,
            "pixels": opened, "screens": round(opened / screen, 1), "unfolded": unfolded, "wider": wider,
            "axe": len(found),
        }  # fmt: skip


def main() -> None:
    """Print, and with --write keep, what is seen of every page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} into benchmarks/results")
    options = parser.parse_args()
    pages = sorted(ROOT.glob("reports/*/*.html"))
    with open_browser() as browser:
        browser.driver.set_script_timeout(300)
        found = pd.DataFrame([row for page in pages for row in looked_at(browser, page)])
    print(found.to_string(index=False))
    if options.write:
        found.to_csv(RESULTS, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
