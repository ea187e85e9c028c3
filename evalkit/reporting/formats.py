"""From the source of the report to a notebook that was run, and from that to a page, and the formats beside it."""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

from evalkit.errors import EvalkitError, check_choice
from evalkit.folders import put
from evalkit.reporting.manifest import check_files
from evalkit.reporting.pdf import to_pdf
from evalkit.reporting.strict import PAGE, SCRIPT, SCRIPT_HASH, slug, strict
from evalkit.reporting.word import to_word
from evalkit.show.words import full_stop, harmless, untypeset

if TYPE_CHECKING:
    from evalkit.reporting.blocks import Section

_RUN_TIMEOUT = 3600
# Everything that an evaluation holds is looked through ten times less often than by default: that found nothing, and
# took a second.
_KERNEL = "import gc; gc.set_threshold(700, 10, 100); from ipykernel.kernelapp import main; main()"
_PRINTED = re.compile(r'aria-label="Printed"')
_FRAME = re.compile(r'<table border="1" class="dataframe">.*?</table>', re.DOTALL)


class ReportError(EvalkitError):
    """A cell of the report's notebook could not be run."""


class OwnKernel(AsyncKernelManager):
    """A kernel in the running interpreter, whether or not one is registered. It imports nothing from its folder."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-P", "-c", _KERNEL, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def make_notebook(
    study_file: str, *, level: float, seed: int, title: str, source: str | None = None, plan: str | None = None
) -> NotebookNode:
    """The report's notebook, not yet run. study_file, plan: paths from the notebook's folder."""
    import jupytext  # a page without a notebook, as that of a watch, need not wait for it

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
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, CellExecutionError

    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=_RUN_TIMEOUT, record_timing=False, resources=resources)
    client.shutdown_kernel = "immediate"  # asked to end, it would wait seconds for helpers of joblib
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
    """A table as pandas writes it, its nameless headers called row, in a region that the keyboard can scroll."""
    region = f'<div class="scroll" role="region" aria-label="Frame {number}" tabindex="0">'
    return f"{region}{frame.replace('<th></th>', '<th>row</th>')}</div>"


def page_of(sections: Sequence[Section], title: str) -> str:
    """Sections as one HTML page that loads nothing from outside, without a notebook behind it."""
    cells = []
    for i, section in enumerate(sections):
        output = nbformat.v4.new_output("display_data", {"text/html": untypeset(section._repr_html_())})
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
    safe |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch)  # goes with it, as a kernel that is killed clears nothing
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
