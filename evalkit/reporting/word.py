"""A report as a Word document: the same blocks as the page, with a contents list, numbered pages and tables as wide as
what is in them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nbformat import NotebookNode

from evalkit.errors import EvalkitError
from evalkit.reporting.manifest import check_files
from evalkit.reporting.strict import BLOCKS
from evalkit.show.words import harmless

if TYPE_CHECKING:
    from docx.document import Document
    from docx.oxml.xmlchemy import BaseOxmlElement
    from docx.text.paragraph import Paragraph

_PAGE_CM, _MARGIN_CM, _PICTURE_CM = (21.0, 29.7), 1.5, 11.0
_BODY, _SMALL = 9.0, 8.0  # points, of text and of tables
_LETTER_CM, _CELL_CM = 0.165, 0.25  # a letter of a table, bold and a little wide; what a cell keeps free at its sides
_LONGEST = 22  # letters of a word beyond which it may be broken
_STEP_CM, _TIE = 0.25, 1e-3  # by which a column is widened at a time; what a line less in a lower cell counts
_SECTION = 2  # level of the headings that the contents list names
_FIXED = datetime(2000, 1, 1)
_LANGUAGE = "en-GB"
_RULE = {"val": "single", "sz": "4", "space": "0", "color": "8A8A8A"}


def to_word(notebook: NotebookNode, place: Path) -> bytes:
    """A report's notebook as .docx; the same notebook gives the same bytes.

    place: the report's folder, which holds the pictures as PNG in figures/. Raises `EvalkitError` where python-docx is
    not installed, and where a picture is not as the report wrote it.
    """
    try:
        import docx
        from docx.image.exceptions import UnrecognizedImageError
    except ImportError:
        raise EvalkitError("Word needs the package python-docx: install evalkit with its extra [word].") from None
    document = docx.Document()
    _prepare(document, harmless(str(notebook.metadata.get("title", "Report")))[:255])  # more is none of Word's titles
    try:
        _fill(document, sections_of(notebook), place)
    except (TypeError, ValueError, IndexError, KeyError, UnrecognizedImageError) as error:
        if isinstance(error, EvalkitError):
            raise
        raise EvalkitError(f"The notebook of this report is not as evalkit makes it: {error}.") from None
    saved, steady = io.BytesIO(), io.BytesIO()
    document.save(saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(steady, "w", zipfile.ZIP_DEFLATED) as new:
        for part in sorted(old.namelist()):  # without the time at which its parts were packed
            info = zipfile.ZipInfo(part, date_time=(2000, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, old.read(part))
    return steady.getvalue()


def blocks_of(notebook: NotebookNode) -> list[dict[str, Any]]:
    """The blocks of every section that a notebook shows, in order, as data (`blocks.as_data`)."""
    return [block for section in sections_of(notebook) for block in section]


def sections_of(notebook: NotebookNode) -> list[list[dict[str, Any]]]:
    """The blocks of each section that a notebook shows."""
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return [[*map(_harmless, o.data[BLOCKS])] for o in outputs if "data" in o and BLOCKS in o.data]


def _harmless(data: Any) -> Any:
    """Words in what JSON holds without control characters, of which a Word file can hold none."""
    if isinstance(data, (list, dict)):
        return [*map(_harmless, data)] if isinstance(data, list) else {k: _harmless(v) for k, v in data.items()}
    return harmless(data) if isinstance(data, str) else data


def _prepare(document: Document, title: str) -> None:
    """Title, language, letters, margins, and the number of each page."""
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml.ns import qn
    from docx.shared import Cm, Pt

    core = document.core_properties
    core.title, core.author, core.comments, core.language = title, "", "", _LANGUAGE
    core.created = core.modified = _FIXED
    for name, size, before in (("Normal", _BODY, 0), ("Heading 1", 17, 0), ("Heading 2", 12, 8), ("Heading 3", 10, 6),
                               ("Heading 4", 9.5, 4), ("Caption", _BODY, 3)):  # fmt: skip
        style = document.styles[name]
        style.font.size = Pt(size)
        style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(before), Pt(3)
    normal = document.styles["Normal"]
    normal.font.name = "Calibri"
    fonts = normal.element.get_or_add_rPr()
    fonts.append(fonts.makeelement(qn("w:lang"), {qn("w:val"): _LANGUAGE}))
    (section,) = document.sections
    section.page_width, section.page_height = map(Cm, _PAGE_CM)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(_MARGIN_CM)
    section.header_distance = section.footer_distance = Cm(_MARGIN_CM / 2)
    foot = section.footer.paragraphs[0]
    foot.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    _field(foot, "PAGE", "1")


def _fill(document: Document, sections: list[list[dict[str, Any]]], place: Path) -> None:
    """Every block in order, and after the first section a contents list that leads to the headings of the others."""
    named = [b["heading"] for blocks in sections[1:] for b in blocks if b.get("level") == _SECTION]
    marks = count(1)
    for i, blocks in enumerate(sections):
        for block in blocks:
            if "heading" in block:
                made = document.add_heading(block["heading"], block["level"])
                if i and block["level"] == _SECTION:
                    _mark(made, next(marks))
            else:
                _put(document, block, place)
        if i == 0 and named:
            _contents(document, named)


def _put(document: Document, block: dict[str, Any], place: Path) -> None:
    """A block that is no heading, as data, at the end of the document."""
    from docx.shared import Cm

    match block:
        case {"paragraph": text}:
            document.add_paragraph(text)
        case {"list": items, "numbered": numbered}:
            for item in items:
                document.add_paragraph(item, style="List Number" if numbered else "List Bullet")
        case {"table": caption, "columns": columns, "rows": rows, "note": note}:
            _table(document, caption, [columns, *rows])
            document.add_paragraph(note)
        case {"picture": name, "alt": alt, "title": title, "description": description}:
            check_files(place, [file := f"figures/{name}.png"])
            about = document.add_picture(str(place / file), width=Cm(_PICTURE_CM))._inline.docPr
            about.set("descr", f"{alt} {' '.join(description.split())}".strip())
            about.set("name", name)
            document.paragraphs[-1].paragraph_format.keep_with_next = True
            document.add_paragraph(title, style="Caption")
        case _:
            raise EvalkitError(f"A block of {', '.join(block)} has no place in a Word document.")


def _made(kind: str, **values: str) -> BaseOxmlElement:
    """An element of a Word file."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    made = OxmlElement(f"w:{kind}")
    for name, value in values.items():
        made.set(qn(f"w:{name}"), value)
    return made


def _begun(line: Paragraph, code: str) -> None:
    """A field begun at the end of a paragraph, up to where what it shows stands."""
    instruction = _made("instrText")
    instruction.text = code
    for piece in (_made("fldChar", fldCharType="begin"), instruction, _made("fldChar", fldCharType="separate")):
        line.add_run()._r.append(piece)


def _field(line: Paragraph, code: str, shown: str) -> None:
    """A whole field, and what it shows until Word has worked it out."""
    _begun(line, code)
    line.add_run(shown)
    line.add_run()._r.append(_made("fldChar", fldCharType="end"))


def _contents(document: Document, headings: list[str]) -> None:
    """A contents list whose entries lead to the headings; Word adds the numbers of pages when its field is updated."""
    from docx.shared import Pt

    document.add_paragraph("Contents", style="Caption").paragraph_format.keep_with_next = True
    for i, words in enumerate(headings, 1):
        line = document.add_paragraph()
        line.paragraph_format.space_after = Pt(0)
        if i == 1:
            _begun(line, f'TOC \\o "{_SECTION}-{_SECTION}" \\h \\z \\u')
        link = _made("hyperlink", anchor=_bookmark(i), history="1")
        link.append(line.add_run(words)._r)
        line._p.append(link)
    line.add_run()._r.append(_made("fldChar", fldCharType="end"))


def _bookmark(number: int) -> str:
    return f"_Toc{number:06d}"


def _mark(heading: Paragraph, number: int) -> None:
    """The place that an entry of the contents list leads to."""
    heading._p.append(_made("bookmarkStart", id=str(number), name=_bookmark(number)))
    heading._p.append(_made("bookmarkEnd", id=str(number)))


def _table(document: Document, caption: str, rows: list[list[str]]) -> None:
    """A table with its caption above, a header row that repeats, and columns as wide as they need; on a page turned on
    its side where its longest words find no room on one that stands."""
    wide = least_width(rows) > _room(0)
    if wide:
        _turned(document, True)
    document.add_paragraph(caption, style="Caption").paragraph_format.keep_with_next = True
    _rows(document, caption, rows, _room(1 if wide else 0))
    if wide:
        _turned(document, False)


def _room(side: int) -> float:
    return _PAGE_CM[side] - 2 * _MARGIN_CM


def _turned(document: Document, wide: bool) -> None:
    """A new page, on its side or upright again."""
    from docx.enum.section import WD_ORIENT, WD_SECTION
    from docx.shared import Cm

    section = document.add_section(WD_SECTION.NEW_PAGE)
    section.orientation = WD_ORIENT.LANDSCAPE if wide else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = map(Cm, _PAGE_CM[::-1] if wide else _PAGE_CM)


def _rows(document: Document, caption: str, rows: list[list[str]], room: float) -> None:
    from docx.shared import Cm, Pt

    table = document.add_table(rows=len(rows), cols=len(rows[0]))
    table.autofit = False
    widths = [Cm(w) for w in column_widths(rows, room)]
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    table.rows[0]._tr.get_or_add_trPr().append(_made("tblHeader", val="true"))
    _framed(table._tbl.tblPr)
    table._tbl.tblPr.append(_made("tblCaption", val=caption))
    for i, (row, made) in enumerate(zip(rows, table.rows, strict=True)):
        made._tr.get_or_add_trPr().append(_made("cantSplit", val="true"))
        for j, (text, cell) in enumerate(zip(row, made.cells, strict=True)):
            run = cell.paragraphs[0].add_run(text)
            run.bold, run.font.size, cell.width = i == 0 or j == 0, Pt(_SMALL), widths[j]
            cell.paragraphs[0].paragraph_format.space_after = Pt(0)
            if i == 0:
                cell._tc.get_or_add_tcPr().append(_made("shd", val="clear", color="auto", fill="EEF4F9"))


def _framed(about: BaseOxmlElement) -> None:
    """Thin lines above, below and between rows, and cells with narrow sides."""
    lines, sides = _made("tblBorders"), _made("tblCellMar")
    for side in ("top", "bottom", "insideH"):
        lines.append(_made(side, **_RULE))
    for side in ("left", "right"):
        sides.append(_made(side, w="60", type="dxa"))
    layout = about.find(_made("tblLayout").tag)
    for made in (lines, sides):  # the file format asks for an order: lines, layout, sides
        if made is lines and layout is not None:
            layout.addprevious(made)
        else:
            about.append(made)


def least_width(rows: list[list[str]]) -> float:
    """How wide a table must be for every column to hold its longest word, in cm."""
    return sum(_least(rows))


def column_widths(rows: list[list[str]], room: float) -> list[float]:
    """The width of each column in cm, `room` in all: its longest word, and what is left bit by bit to the column that
    makes the table least high by it."""
    letters = _LETTER_CM * np.array([[len(text) for text in row] for row in rows], dtype=float)
    widths = np.array([*_least(rows)])
    if widths.sum() > room:
        return list(room * widths / widths.sum())
    steps = int((room - widths.sum()) / _STEP_CM)
    for _ in range(steps):
        lines = np.maximum(letters / (widths - _CELL_CM), 1.0)
        less = np.maximum(letters / (widths - _CELL_CM + _STEP_CM), 1.0)
        each = np.where(np.eye(len(widths), dtype=bool)[:, None], less, lines)  # one column at a time made wider
        gains = lines.max(axis=1).sum() - each.max(axis=2).sum(axis=1)
        gains += _TIE * (lines - less).sum(axis=0)  # where two columns are as high, both have to give way
        if gains.max() <= 0:  # then everything stands on one line
            break
        widths[int(np.argmax(gains))] += _STEP_CM
    return list(room * widths / widths.sum())


def _least(rows: list[list[str]]) -> Iterator[float]:
    for column in zip(*rows, strict=True):
        longest = max(len(word) for text in column for word in [*text.split(), ""])
        yield min(longest, _LONGEST) * _LETTER_CM + _CELL_CM
