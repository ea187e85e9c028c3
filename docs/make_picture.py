"""Draw the pictures of docs: page one of the road-safety report, and brief and appendix of a partnership, wide, on a
phone and on paper, as a browser shows them.

make picture      # needs Chromium; writes the reports first where they are missing
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

from browser import Browser, open_browser
from PIL import Image

from evalkit.cli.reports import evaluate_and_report, find_study
from evalkit.reporting.formats import write_formats

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 1000
PICTURES = ROOT / "docs" / "pictures"
SHOWN = "rough_sleeping"
WIDTHS = {1280: (0.6, 0.42), 375: (0.8, 0.44)}  # window: scales of the brief, and of the appendix unfolded
COLOURS, SHEETS, DOTS = 48, 2, 60


def main() -> None:
    """Write the pictures."""
    page, shown = page_of("road_safety"), page_of(SHOWN)
    with open_browser(WIDTH) as browser:
        browser.open(page)
        keep("page-one", browser.picture("#page-one", until=".page-one figure"), PICTURES.parent)
        for width, (brief, appendix) in WIDTHS.items():
            browser.size(width)
            browser.open(shown)
            keep(f"brief-{width}", browser.picture("#page-one", scale=brief))
            unfold(browser)
            keep(f"appendix-{width}", browser.picture("details.fold", until="main", scale=appendix))
    sheets(shown.parent)


def page_of(study: str) -> Path:
    """The page of a report, made where it is not there."""
    page = ROOT / "reports" / study / "report.html"
    if not page.is_file():
        evaluate_and_report(find_study(study), page.parent)
    return page


def unfold(browser: Browser) -> None:
    """Open every section, and nothing within one."""
    browser.run("document.querySelectorAll('details.fold').forEach(d => d.open = true)")


def keep(name: str, png: bytes, folder: Path = PICTURES) -> None:
    """A picture in few colours, so that it weighs little."""
    folder.mkdir(exist_ok=True)
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    file = folder / f"{name}.png"
    image.save(file, optimize=True)
    print(f"Wrote {file.relative_to(ROOT)}, {file.stat().st_size / 1000:.0f} kB")


def sheets(report: Path) -> None:
    """The first sheets of the PDF, where poppler is installed."""
    draw = shutil.which("pdftoppm")
    if draw is None:
        return
    (pdf,) = write_formats(report, ["pdf"])
    with tempfile.TemporaryDirectory() as scratch:
        command = [draw, "-png", "-r", str(DOTS), "-l", str(SHEETS), str(pdf), f"{scratch}/sheet"]
        subprocess.run(command, check=True)
        for i, drawn in enumerate(sorted(Path(scratch).glob("*.png")), 1):
            keep(f"sheet-{i}", drawn.read_bytes())


if __name__ == "__main__":
    main()
