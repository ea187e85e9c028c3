"""A report in other formats: HTML again and Word from its notebook, tagged PDF from its page by Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from evalkit.errors import EvalkitError, check_choice
from evalkit.reporting.notebook import to_page

FORMATS = ("html", "pdf", "docx")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_TIMEOUT = 300
_NODES = re.compile(rb"node\d{8}")
_DATES = re.compile(rb"/(CreationDate|ModDate) \(D:\d{14}([+\-Z][^)]*)?\)")


def write_formats(folder: str | Path, formats: Iterable[str] = ("html",)) -> tuple[Path, ...]:
    """Write report.html, report.pdf or report.docx into a report's folder; return their paths.

    Page and Word are made from the notebook that was run, the PDF from the page, so that all say the same. Raises
    `EvalkitError` where there is no report, and where what a format needs is not installed.
    """
    place = Path(folder)
    wanted = list(dict.fromkeys(formats))
    for name in wanted:
        check_choice("--to", name, FORMATS)
    page = place / "report.html"
    if "html" in wanted:
        page.write_text(to_page(_notebook(place)), encoding="utf-8")
    _there(page)
    return tuple(_write(page, name) for name in wanted)


def _notebook(place: Path) -> NotebookNode:
    return nbformat.read(_there(place / "report.ipynb"), as_version=4)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise EvalkitError(f"There is no {path.name} in {str(path.parent)!r}. Write it first: evalkit run STUDY.")
    return path


def _write(page: Path, name: str) -> Path:
    if name == "pdf":
        return to_pdf(page, page.with_suffix(".pdf"))
    if name == "docx":
        from evalkit.reporting.word import to_word

        return to_word(_notebook(page.parent), page.with_suffix(".docx"))
    return page


def to_pdf(page: Path, target: Path) -> Path:
    """Print a page as tagged PDF (headings, table headers, alternative texts) with Chromium; no dates inside.

    Raises `EvalkitError` where no Chromium is installed, or it fails.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise EvalkitError("PDF needs Chromium, which is not installed (Debian, Ubuntu: apt-get install chromium).")
    with tempfile.TemporaryDirectory(prefix="evalkit-") as profile:
        drawn = Path(profile) / "report.pdf"
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-pdf-header-footer"]
        command = [browser, *flags, "--export-tagged-pdf", "--generate-pdf-document-outline"]
        command += [f"--user-data-dir={profile}", f"--print-to-pdf={drawn}", page.resolve().as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise EvalkitError(f"Chromium could not print {page.name}: {type(error).__name__}.") from None
        if not drawn.is_file():
            raise EvalkitError(f"Chromium could not print {page.name}: it wrote nothing.")
        target.write_bytes(renumbered(undated(drawn.read_bytes())))
    return target


def undated(pdf: bytes) -> bytes:
    """The same PDF with its two dates set to one that never changes; the length stays, so that its index holds."""

    def still(found: re.Match[bytes]) -> bytes:
        whole = found[0]
        return re.sub(rb"D:\d{14}", b"D:20000101000000", whole)

    return _DATES.sub(still, pdf)


def renumbered(pdf: bytes) -> bytes:
    """The same PDF with the ids of its structure counted from one, in their own order and at their own length.

    Chromium counts on from wherever its process stands, so two prints of one page differ in these alone.
    """
    ids = sorted(set(_NODES.findall(pdf)))
    fresh = {old: b"node%08d" % (i + 1) for i, old in enumerate(ids)}
    return _NODES.sub(lambda found: fresh[found[0]], pdf)
