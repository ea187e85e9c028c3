"""Draw docs/page-one.png: page one of the road-safety report as a browser shows it.

make picture      # needs Chromium; writes the report first where it is missing
"""

from __future__ import annotations

from pathlib import Path

from browser import open_browser

from evalkit.cli.reports import evaluate_and_report, find_study

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 1000


def main() -> None:
    """Write the picture."""
    page = ROOT / "reports" / "road_safety" / "report.html"
    if not page.is_file():
        evaluate_and_report(find_study("road_safety"), page.parent)
    with open_browser(WIDTH) as browser:
        browser.open(page)
        target = ROOT / "docs" / "page-one.png"
        target.write_bytes(browser.picture("#page-one", until=".page-one figure"))
    print(f"Wrote {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
