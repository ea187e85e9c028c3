"""A report as a Word document: headings, lists, tables with header rows, pictures with their alternative texts."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag

from evalkit.errors import EvalkitError

_WIDTH_CM = 16.5
_FIXED = datetime(2000, 1, 1)
_SKIP = {"nav", "script", "style", "svg"}
_LANGUAGE = "en-GB"


def to_word(page: Path, target: Path) -> Path:
    """Write a report's page as .docx beside its figures; the same page gives the same bytes.

    Pictures are the PNG files that the report wrote into figures/. Raises `EvalkitError` where python-docx is not
    installed.
    """
    try:
        import docx
    except ImportError:
        raise EvalkitError("Word needs the package python-docx: install evalkit with its extra [word].") from None
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    document = docx.Document()
    _prepare(document, soup.title.get_text() if soup.title else "Report")
    main = soup.find("main") or soup
    for section in main.find_all("section", id="code"):
        section.decompose()
    _blocks(document, main, page.parent / "figures")
    held = io.BytesIO()
    document.save(held)
    target.write_bytes(_settled(held.getvalue()))
    return target


def _prepare(document: Any, title: str) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Cm, Pt

    core = document.core_properties
    core.title, core.author, core.comments, core.language = title, "", "", _LANGUAGE
    core.created = core.modified = _FIXED
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = "Calibri", Pt(10.5)
    fonts = normal.element.get_or_add_rPr()
    language = fonts.makeelement(qn("w:lang"), {qn("w:val"): _LANGUAGE})
    fonts.append(language)
    for section in document.sections:
        section.page_width, section.page_height = Cm(21.0), Cm(29.7)
        section.left_margin = section.right_margin = Cm((21.0 - _WIDTH_CM) / 2)


def _blocks(document: Any, parent: Tag, figures: Path) -> None:
    """Every block of the page in order."""
    for child in parent.children:
        if not isinstance(child, Tag) or child.name in _SKIP:
            continue
        if child.name in ("h1", "h2", "h3", "h4"):
            document.add_heading(_words(child), int(child.name[1]))
        elif child.name == "p":
            _paragraph(document, child)
        elif child.name in ("ul", "ol"):
            for item in child.find_all("li", recursive=False):
                document.add_paragraph(_words(item), style="List Bullet" if child.name == "ul" else "List Number")
        elif child.name == "table":
            _table(document, child)
        elif child.name == "figure":
            _figure(document, child, figures)
        elif child.name == "summary":
            continue
        else:
            _blocks(document, child, figures)


def _words(tag: Tag) -> str:
    return " ".join(tag.get_text(" ", strip=False).split()).replace(" .", ".").replace(" ,", ",").replace(" ;", ";")


def _paragraph(document: Any, tag: Tag) -> None:
    if words := _words(tag):
        document.add_paragraph(words)


def _table(document: Any, tag: Tag) -> None:
    """A table with its caption above, a header row that repeats, and row headers in bold."""
    from docx.oxml.ns import qn

    caption = tag.find("caption")
    if caption:
        document.add_paragraph(_words(caption), style="Caption")
    rows = [[c for c in row.find_all(["th", "td"], recursive=False)] for row in tag.find_all("tr")]
    if not rows:
        return
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Light Grid")
    properties = table.rows[0]._tr.get_or_add_trPr()
    properties.append(properties.makeelement(qn("w:tblHeader"), {qn("w:val"): "true"}))
    if caption:
        described = table._tbl.tblPr
        described.append(described.makeelement(qn("w:tblCaption"), {qn("w:val"): _words(caption)}))
    for cells, made in zip(rows, table.rows, strict=True):
        for cell, place in zip(cells, made.cells, strict=True):
            run = place.paragraphs[0].add_run(_words(cell))
            run.bold = cell.name == "th"
    document.add_paragraph()


def _figure(document: Any, tag: Tag, figures: Path) -> None:
    """A picture with its alternative text, its caption, and the long description as text."""
    from docx.shared import Cm

    name = str(tag.get("id", "")).removeprefix("figure-")
    file = figures / f"{name}.png"
    image, caption = tag.find("img"), tag.find("figcaption")
    if file.is_file() and isinstance(image, Tag):
        shape = document.add_picture(str(file), width=Cm(_WIDTH_CM))
        drawn = shape._inline.docPr
        drawn.set("descr", str(image.get("alt", "")))
        drawn.set("name", name)
    if caption:
        document.add_paragraph(_words(caption), style="Caption")
    for paragraph in tag.select("details p"):
        _paragraph(document, paragraph)


def _settled(document: bytes) -> bytes:
    """The same document without the time at which its parts were packed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(document)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in sorted(old.namelist()):
            info = zipfile.ZipInfo(part, date_time=(2000, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, old.read(part))
    return out.getvalue()
