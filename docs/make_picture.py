"""Draw the pictures of docs: page one of the road-safety report and of a small study with all three kinds of answer,
and brief and appendix of a partnership, wide, on a phone and on paper, as a browser shows them; and say on how many
sheets it prints.

make picture      # needs Chromium; writes the reports first where they are missing; Word sheets need LibreOffice
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
SMALL = "starter"
COLOURS, SHEETS, DOTS = 48, 2, 60


def main() -> None:
    """Write the pictures."""
    page, small, shown = map(page_of, ("road_safety", SMALL, SHOWN))
    with open_browser(WIDTH) as browser:
        browser.open(page)
        keep("page-one", browser.picture("#page-one", until=".page-one figure"), PICTURES.parent)
        browser.open(small)
        keep("all-three", browser.picture("#page-one", until="#what-would-let-us-tell", scale=WIDTHS[1280][0]))
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
    """The first sheets of PDF and Word, where poppler and LibreOffice are installed, and how many there are."""
    draw, office = shutil.which("pdftoppm"), shutil.which("soffice")
    if draw is None:
        return
    pdf, word = write_formats(report, ["pdf", "docx"])
    with tempfile.TemporaryDirectory() as scratch:
        printed = {"sheet": pdf}
        if office is not None:
            command = [office, "--headless", f"-env:UserInstallation=file://{scratch}/office", "--convert-to", "pdf",
                       "--outdir", scratch, str(word)]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
            printed["word"] = Path(scratch) / "report.pdf"
        for name, file in printed.items():
            told = subprocess.run(["pdfinfo", str(file)], check=True, capture_output=True, text=True).stdout
            print(f"{name}: {next(line for line in told.splitlines() if line.startswith('Pages'))}")
            command = [draw, "-png", "-r", str(DOTS), "-l", str(SHEETS), str(file), f"{scratch}/{name}"]
            subprocess.run(command, check=True)
            for i, drawn in enumerate(sorted(Path(scratch).glob(f"{name}-*.png")), 1):
                keep(f"{name}-{i}", drawn.read_bytes())


if __name__ == "__main__":
    main()
