"""From the source of the report to a notebook that was run, and from that to a page."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

from evalkit.errors import EvalkitError
from evalkit.reporting.html import slug

PAGE = files("evalkit.reporting") / "page"
_TIMEOUT = 3600


class ReportError(EvalkitError):
    """A cell of the report's notebook could not be run."""


class OwnKernel(AsyncKernelManager):
    """A kernel in the running interpreter, whether or not one is registered."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
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
    notebook.metadata = _metadata(title)
    return notebook


def lesson(source: str) -> NotebookNode:
    """A notebook of one's own from its py:percent source, not yet run; its first heading is its title."""
    notebook = jupytext.reads(source, fmt="py:percent")
    first = next((c.source for c in notebook.cells if c.cell_type == "markdown"), "")
    notebook.metadata = _metadata(first.partition("\n")[0].lstrip("# ") or "Notebook")
    return notebook


def run_notebook(notebook: NotebookNode, folder: Path, warn: Callable[[str], str] | None = None) -> NotebookNode:
    """Run every cell in `folder` with this interpreter; the same input gives the same notebook, byte for byte.

    warn: what the words of warnings go through before they are kept, to protect people.
    Raises `ReportError` with the words of the error when a cell fails.
    """
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=_TIMEOUT, record_timing=False, resources=resources)
    with tempfile.TemporaryDirectory(prefix="evalkit-") as sockets:
        client.km = _kernel(Path(sockets))
        try:
            client.execute(env=_environment())
        except CellExecutionError as error:
            raise ReportError(f"The report's notebook stopped: {error.ename}: {error.evalue}") from None
    return settled(notebook, warn)


def _kernel(sockets: Path) -> OwnKernel:
    """A kernel reached through files where the system has them, so that no port is opened."""
    manager = OwnKernel()
    if os.name == "posix":
        manager.transport, manager.ip = "ipc", str(sockets / "kernel")
    return manager


def settled(notebook: NotebookNode, warn: Callable[[str], str] | None = None) -> NotebookNode:
    """The notebook without what changes from run to run or names a machine: random ids, times, lines of warnings."""
    warned: list[str] = []
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:03d}"
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            warned += _warnings(cell)
    language = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    notebook.metadata["language_info"] = language
    if warned:
        notebook.metadata["warnings"] = list(dict.fromkeys(map(warn, warned) if warn else warned))
    return notebook


def _warnings(cell: NotebookNode) -> list[str]:
    """The words of warnings that a cell raised; its error stream, which names folders of this machine, is dropped."""
    spoken = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
    cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
    return re.findall(r"^\S+:\d+: \w*Warning: (.+)$", "".join(spoken), re.MULTILINE)


def to_page(notebook: NotebookNode, show_code: bool = False) -> str:
    """The notebook as one HTML page that loads nothing from outside; show_code: with each cell's code."""
    config = Config({"HTMLExporter": {"extra_template_basedirs": [str(PAGE.parent)]}})  # type: ignore[attr-defined]
    exporter = HTMLExporter(template_name="page", exclude_anchor_links=True, config=config)
    css = (PAGE / "page.css").read_text(encoding="utf-8")
    body, _ = exporter.from_notebook_node(notebook, resources={"page_css": css, "show_code": show_code})
    body = re.sub(r"<h2>(.*?)</h2>", lambda found: f'<h2 id="{slug(found[1])}">{found[1]}</h2>', body)
    return "\n".join(line.rstrip() for line in body.splitlines()) + "\n"


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in the current format."""
    path.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")


def _metadata(title: str) -> NotebookNode:
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.from_dict({"kernelspec": kernel, "title": title})


def _environment() -> dict[str, str]:
    """This process's environment, with this very evalkit, one thread and no window for figures."""
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    fixed = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"}
    return {**os.environ, **fixed, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
