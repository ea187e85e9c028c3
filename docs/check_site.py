"""Every page of site/ as its readers meet it: axe-core at both widths, and nothing that scrolls sideways.

python docs/check_site.py            # after `make site`; exit code 1 where anything is found
python docs/check_site.py --write    # benchmarks/results/site.csv too
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SITE, RESULTS = ROOT / "site", ROOT / "benchmarks" / "results" / "site.csv"
WIDTHS = (1280, 375)


def looked_at(site: Path) -> list[dict[str, object]]:
    """A row a page and width: what axe-core finds, and by how many pixels the page is wider than its window."""
    from docs.browser import open_browser, violations

    rows: list[dict[str, object]] = []
    with open_browser() as window:
        window.driver.set_script_timeout(300)
        for page in sorted(site.rglob("index.html")):
            for width in WIDTHS:
                window.size(width)
                window.open(page)
                found = violations(window)
                wide = int(window.run("return document.documentElement.scrollWidth")) - width
                name = page.parent.relative_to(site).as_posix()
                rows.append({"page": name, "width": width, "violations": len(found), "too_wide": max(wide, 0)})
                print(f"{name} at {width}: {'; '.join(found) or 'clean'}{f', {wide} too wide' if wide > 0 else ''}",
                      flush=True)  # fmt: skip
    return rows


def main() -> None:
    """Look at every page of site/, say what is wrong with it, and exit with 1 where anything is."""
    sys.path.insert(0, str(ROOT))
    rows = looked_at(SITE)
    if not rows:
        sys.exit("There is no page in site/. Run `make site` first.")
    if "--write" in sys.argv:
        with RESULTS.open("w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            out.writeheader()
            out.writerows(rows)
    bad = [r for r in rows if r["violations"] or r["too_wide"]]
    print(f"{len(rows) // len(WIDTHS)} pages at {len(WIDTHS)} widths, {len(bad)} with something wrong")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
