"""Make the pages of the site: each notebook and each page in a process of its own, as many at a time as there are
processors. Where the system can, a process begins as a copy of one that has imported everything.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import chdir
from pathlib import Path

import joblib
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat import NotebookNode
from nbformat.v4 import new_output
from traitlets.config import Config

from docs import pages
from evalkit.reporting.formats import make_notebook, to_page

FIRST = ("partnership_rough_sleeping", "partnership_portfolio", "partnership_social_prescribing", "partnership_town",
         "partnership_pupils", "design_staggered_rollout", "watch_a_delivery", "design_triple_difference",
         "partnership_carers", "design_flexible_comparison", "partnership_young_people", "how_to",
         "gallery")  # fmt: skip
"""What takes longest is begun first, so that no processor waits for another at the end."""
IMPORTED = ["IPython.core.interactiveshell", "duckdb", "evalkit.evaluation.evaluate", "evalkit.figures",
            "evalkit.monitor", "evalkit.reporting.formats", "evalkit.rollouts", "evalkit.synthetic", "mistune",
            "matplotlib.backends.backend_svg", "matplotlib.pyplot", "pyarrow.parquet",
            "sklearn.linear_model", "statsmodels.api"]  # fmt: skip
"""What is imported once for all of them."""

BACK = '<nav aria-label="Pages"><a href="../../index.html">All pages and notebooks</a></nav>'


def all_made(tasks: Sequence[Path | str], tell: Callable[[str], None]) -> Iterator[tuple[Path | str, str | pages.Page]]:
    """Each notebook (a path) and each page that teaches (a name) with what was made of it, as it is done.

    tell: hears each as it is done, with its seconds by the clock and of processor, and of processor all together.
    """
    order = {name: i for i, name in enumerate(FIRST)}
    methods = multiprocessing.get_all_start_methods()
    start = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        start.set_forkserver_preload(IMPORTED)

    def made(task: Path | str) -> tuple[str | pages.Page, float, float]:
        begun = time.monotonic()
        with ProcessPoolExecutor(1, mp_context=start) as one:
            return *one.submit(_made, task).result(), time.monotonic() - begun

    total = 0.0

    tell(f"Making {len(tasks)} pages, {joblib.cpu_count()} at a time")
    with ThreadPoolExecutor(joblib.cpu_count()) as threads:
        waiting = {threads.submit(made, t): t for t in sorted(tasks, key=lambda t: order.get(Path(t).stem, len(FIRST)))}
        for i, done in enumerate(as_completed(waiting)):
            task = waiting[done]
            try:
                page, used, seconds = done.result()
            except BaseException as error:
                threads.shutdown(cancel_futures=True)
                error.add_note(f"That was {Path(task).stem}.")
                raise
            tell(f"  {i + 1} of {len(tasks)}: {Path(task).stem} ({seconds:.0f} s, {used:.1f} of processor)")
            total += used
            yield task, page
    tell(f"{total:.0f} s of processor went into the pages")


def _made(task: Path | str) -> tuple[str | pages.Page, float]:
    """The page of a notebook, run, or one that teaches, and its seconds of processor. In a process of its own."""
    page = _run(task) if isinstance(task, Path) else pages.made(task)
    return page, sum(os.times()[:4])


def _run(path: Path) -> str:
    """The page of a notebook, run in this process and in an empty folder."""
    source = path.read_text(encoding="utf-8")
    heading = next((line for line in source.splitlines() if line.startswith("# # ")), "# # Notebook")
    notebook = make_notebook("", level=0.95, seed=0, title=heading[4:], source=source)
    with tempfile.TemporaryDirectory() as place, chdir(place):
        run_cells(notebook)
    page = to_page(notebook, show_code=True)
    return page.replace('<main id="main">', f'<main id="main">{BACK}', 1)


def run_cells(notebook: NotebookNode) -> None:
    """Run every cell of code in this process, as Jupyter would; its outputs are what it printed, then what it showed.

    Raises what a cell raises.
    """
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            last: list[object] = []
            shell.display_trap.hook = last.append
            with capture_output() as said:
                result = shell.run_cell(cell.source)
            result.raise_error()
            shown = [output.data for output in said.outputs]
            shown += [shell.display_formatter.format(value)[0] for value in last if value is not None]
            cell.outputs = [new_output("stream", text=said.stdout)] if said.stdout else []
            cell.outputs += [new_output("display_data", data) for data in shown]
