"""From the source of the report to a notebook that was run, and from that to a page, tagged PDF and Word."""

from __future__ import annotations

import atexit
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

from evalkit.errors import EvalkitError, check_choice
from evalkit.folders import put
from evalkit.reporting.blocks import BLOCKS, PAGE, Section, slug, to_html
from evalkit.reporting.manifest import check_files
from evalkit.reporting.pdf import to_pdf
from evalkit.reporting.strict import SCRIPT, SCRIPT_HASH, strict
from evalkit.show.words import full_stop, harmless, untypeset

if TYPE_CHECKING:
    from docx.document import Document

_RUN_TIMEOUT = 3600
_PRINTED = re.compile(r'aria-label="Printed"')
_FRAME = re.compile(r'<table border="1" class="dataframe">.*?</table>', re.DOTALL)


class ReportError(EvalkitError):
    """A cell of the report's notebook could not be run."""


class OwnKernel(AsyncKernelManager):
    """A kernel in the running interpreter, whether or not one is registered. It imports nothing from its folder."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-P", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def make_notebook(
    study_file: str, *, level: float, seed: int, title: str, source: str | None = None, plan: str | None = None
) -> NotebookNode:
    """The report's notebook, not yet run. study_file, plan: paths from the notebook's folder."""
    text = source if source is not None else (PAGE / "report.py.txt").read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    fixed = "None" if plan is None else f"reporting.read_plan({plan!r})"
    values = {"STUDY": repr(study_file), "LEVEL": repr(level), "SEED": repr(seed), "PLAN": fixed}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(r"\b(STUDY|LEVEL|SEED|PLAN)\b", lambda found: values[found[0]], cell.source)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "title": harmless(title)})
    return notebook


def run_notebook(notebook: NotebookNode, folder: Path, warn: Callable[[str], str] | None = None) -> NotebookNode:
    """Run every cell in `folder` with this interpreter; the same input gives the same notebook, byte for byte, without
    what changes from run to run or names a machine: random ids, times, lines of warnings.

    warn: what the words of warnings go through before they are kept, to protect people.
    Raises `ReportError` with the words of the error when a cell fails.
    """
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=_RUN_TIMEOUT, record_timing=False, resources=resources)
    with tempfile.TemporaryDirectory(prefix="evalkit-") as sockets:
        client.km = OwnKernel()
        if os.name == "posix":  # reached through files, so that no port is opened
            client.km.transport, client.km.ip = "ipc", str(Path(sockets) / "kernel")
        try:
            # What a kernel that is being ended writes on its way out is for nobody.
            client.execute(env=_environment(sockets), stderr=subprocess.DEVNULL)
        except CellExecutionError as error:
            raise ReportError(f"The report's notebook stopped: {error.ename}: {error.evalue}") from None
        except (CellControlSignal, RuntimeError) as error:
            died = f"The process that runs the report's notebook was ended from outside, or could not start: {error}"
            raise ReportError(f"{full_stop(died)} Was there too little memory?") from None
        finally:
            atexit.unregister(client._cleanup_kernel)  # which nbclient leaves behind where a kernel died as it started
            stopped = getattr(client, "_async_cleanup_kernel_future", None)
            if stopped is not None:  # nbclient keeps Ctrl-C to itself, and ends the kernel
                if stopped.done() and not stopped.cancelled():
                    stopped.exception()  # a second Ctrl-C finds no kernel, and asyncio would say so at the end
                raise KeyboardInterrupt
    spoken: list[str] = []
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:03d}"
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # its error stream names folders of this machine
            streams = [o for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
            cell.outputs = [o for o in cell.outputs if o not in streams]
            spoken.append("".join(o.text for o in streams))
    notebook.metadata["language_info"] = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    warned = [w for text in spoken for w in re.findall(r"^\S+:\d+: \w*Warning: (.+)$", text, re.MULTILINE)]
    if warned:
        notebook.metadata["warnings"] = list(dict.fromkeys(map(warn, warned) if warn else warned))
    return notebook


def to_page(notebook: NotebookNode, show_code: bool = False) -> str:
    """The notebook as one HTML page that loads nothing from outside; show_code: with each cell's code."""
    config = Config({"HTMLExporter": {"extra_template_basedirs": [str(PAGE.parent)]}})  # type: ignore[attr-defined]
    exporter = HTMLExporter(template_name="page", exclude_anchor_links=True, config=config)
    css = (PAGE / "page.css").read_text(encoding="utf-8")
    about = {"page_css": css, "show_code": show_code, "page_script": SCRIPT, "page_script_hash": SCRIPT_HASH}
    body, _ = exporter.from_notebook_node(notebook, resources=about)
    body = re.sub(r"<h2>(.*?)</h2>", lambda found: f'<h2 id="{slug(found[1])}">{found[1]}</h2>', body)
    parts, frames = count(1), count(1)
    body = _PRINTED.sub(lambda found: f'aria-label="Printed, part {next(parts)}"', body)
    body = _FRAME.sub(lambda found: _reachable(found[0], next(frames)), body)
    return "\n".join(line.rstrip() for line in body.splitlines()) + "\n"


def _reachable(frame: str, number: int) -> str:
    """A table as pandas writes it, without empty headers, in a region of its own that the keyboard can scroll."""
    region = f'<div class="scroll" role="region" aria-label="Frame {number}" tabindex="0">'
    return f"{region}{frame.replace('<th></th>', '<td></td>')}</div>"


def page_of(sections: Sequence[Section], title: str) -> str:
    """Sections as one HTML page that loads nothing from outside, without a notebook behind it."""
    cells = []
    for i, section in enumerate(sections):
        output = nbformat.v4.new_output("display_data", {"text/html": untypeset(to_html(section.blocks))})
        cells.append(nbformat.v4.new_code_cell("", outputs=[output], id=f"cell-{i:03d}"))
    about = {"title": harmless(title), "language_info": {"name": "python", "mimetype": "text/x-python"}}
    return to_page(nbformat.v4.new_notebook(cells=cells, metadata=about), show_code=True)


def _environment(scratch: str) -> dict[str, str]:
    """This process's environment, with this very evalkit, one thread and no window for figures; nothing is imported
    from a folder named from here (PYTHONPATH=.), and no start-up file of Python or IPython is run."""
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(os.path.isabs, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    fixed = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"}
    safe = {"PYTHONSAFEPATH": "1", "PYTHONSTARTUP": "", "IPYTHONDIR": f"{scratch}/ipython"}
    return {**os.environ, **fixed, **safe, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


FORMATS = ("html", "pdf", "docx")


def write_formats(folder: str | Path, formats: Iterable[str] = ("html",)) -> tuple[Path, ...]:
    """Write report.html, report.pdf or report.docx into a report's folder; return their paths.

    Page and Word are made from the notebook that was run, the PDF from the page, so that all say the same. Raises
    `EvalkitError` where there is no report, where one of its files is not as it was written, and where what a format
    needs is not installed.
    """
    place = Path(folder)
    wanted = list(dict.fromkeys(formats))
    for name in wanted:
        check_choice("--to", name, FORMATS)
    made: dict[str, Path] = {}
    for name in sorted(wanted, key=FORMATS.index):
        page = place / "report.html"
        if name == "docx":
            content = to_word(_read(place), place)
        elif name == "html":
            content = strict(to_page(_read(place)))
        else:
            check_files(place, [] if "html" in made else [page.name])
            content = to_pdf(strict(page.read_text(encoding="utf-8")))
        made[name] = put(place / f"report.{name}", content)
    return tuple(made[name] for name in wanted)


def _read(place: Path) -> NotebookNode:
    check_files(place, ["report.ipynb"])
    try:
        return nbformat.read(place / "report.ipynb", as_version=4)
    except (ValueError, KeyError, AttributeError, RecursionError):
        words = f"{str(place / 'report.ipynb')!r} is not a notebook. Write the report again: evalkit run STUDY."
        raise EvalkitError(words) from None


_WIDTH_CM, _PICTURE_CM, _MARGIN_CM = 18.0, 11.5, 1.8
_SECTION = 2  # level of the headings before the first of which the contents stand
_BODY, _SMALL = 9.0, 9.0  # points
_LEAST_SHARE, _MOST_LETTERS = 0.06, 60  # of a table's width for a column; letters beyond which a cell wraps anyway
_FIXED = datetime(2000, 1, 1)
_LANGUAGE = "en-GB"


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
    listed = False
    _prepare(document, harmless(str(notebook.metadata.get("title", "Report")))[:255])  # more is none of Word's titles
    try:
        for block in blocks_of(notebook):
            if block.get("level") == _SECTION and not listed:
                listed = True
                _contents(document)
            _put(document, block, place)
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
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return [_harmless(block) for o in outputs if "data" in o and BLOCKS in o.data for block in o.data[BLOCKS]]


def _harmless(data: Any) -> Any:
    """Words in what JSON holds without control characters, of which a Word file can hold none."""
    if isinstance(data, (list, dict)):
        return [*map(_harmless, data)] if isinstance(data, list) else {k: _harmless(v) for k, v in data.items()}
    return harmless(data) if isinstance(data, str) else data


def _prepare(document: Document, title: str) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Cm, Pt

    core = document.core_properties
    core.title, core.author, core.comments, core.language = title, "", "", _LANGUAGE
    core.created = core.modified = _FIXED
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = "Calibri", Pt(_BODY)
    normal.paragraph_format.space_after = Pt(3)
    fonts = normal.element.get_or_add_rPr()
    fonts.append(fonts.makeelement(qn("w:lang"), {qn("w:val"): _LANGUAGE}))
    for section in document.sections:
        section.page_width, section.page_height = Cm(21.0), Cm(29.7)
        section.left_margin = section.right_margin = Cm((21.0 - _WIDTH_CM) / 2)
        section.top_margin = section.bottom_margin = Cm(_MARGIN_CM)


def _put(document: Document, block: dict[str, Any], place: Path) -> None:
    """A block, as data, at the end of the document."""
    from docx.shared import Cm

    match block:
        case {"heading": text, "level": level}:
            document.add_heading(text, level)
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
            document.add_paragraph(title, style="Caption")
        case _:
            raise EvalkitError(f"A block of {', '.join(block)} has no place in a Word document.")


def _contents(document: Document) -> None:
    """A contents list before the first section, which Word fills in when it opens the file."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    line = document.add_paragraph().add_run()
    for kind, words in (("begin", ""), ("", 'TOC \\o "1-2" \\h \\z \\u'), ("separate", ""), ("end", "")):
        piece = OxmlElement("w:fldChar" if kind else "w:instrText")
        if kind:
            piece.set(qn("w:fldCharType"), kind)
        else:
            piece.text = words
        line._r.append(piece)


def _table(document: Document, caption: str, rows: list[list[str]]) -> None:
    """A table with its caption above, a header row that repeats, row headers in bold, columns as wide as they need."""
    from docx.oxml.ns import qn
    from docx.shared import Cm, Pt

    document.add_paragraph(caption, style="Caption")
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Light Grid")
    table.autofit = False
    widths = [Cm(_WIDTH_CM * share) for share in column_shares(rows)]
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    properties = table.rows[0]._tr.get_or_add_trPr()
    properties.append(properties.makeelement(qn("w:tblHeader"), {qn("w:val"): "true"}))
    described = table._tbl.tblPr
    described.append(described.makeelement(qn("w:tblCaption"), {qn("w:val"): caption}))
    for i, (row, made) in enumerate(zip(rows, table.rows, strict=True)):
        for j, (text, place) in enumerate(zip(row, made.cells, strict=True)):
            run = place.paragraphs[0].add_run(text)
            run.bold, run.font.size, place.width = i == 0 or j == 0, Pt(_SMALL), widths[j]
            place.paragraphs[0].paragraph_format.space_after = Pt(0)


def column_shares(rows: list[list[str]]) -> list[float]:
    """Share of a table's width for each column: by its longest word, and by how much there is to read in it."""
    columns = [*zip(*rows, strict=True)]
    words = [max(len(w) for text in column for w in [*text.split(), ""]) for column in columns]
    read = [min(sum(len(t) for t in column) / len(column), _MOST_LETTERS) for column in columns]
    wanted = [max(w, r) for w, r in zip(words, read, strict=True)]
    shares = [max(w / max(sum(wanted), 1), _LEAST_SHARE) for w in wanted]
    return [s / sum(shares) for s in shares]
