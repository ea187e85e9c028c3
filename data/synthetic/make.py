"""Make the committed partnerships again: `python data/synthetic/make.py [FOLDER]` (default: here).

Here, the table of knobs in README.md is written again too.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from evalkit.synthetic import names, partnership
from evalkit.synthetic.knobs import knob_words

HERE = Path(__file__).parent
MARKS = "<!-- knobs: start -->", "<!-- knobs: end -->"


def main(folder: Path) -> None:
    """Write the realistic setting, seed 1, of every partnership."""
    for name in names():
        shutil.rmtree(folder / name, ignore_errors=True)
        print(partnership(name, "realistic", 1).write(folder / name))


def write_knobs(page: Path) -> None:
    """Put the table of knobs between its marks."""
    before, rest = page.read_text(encoding="utf-8").split(MARKS[0])
    rows = [f"| `{name}` | {words} |" for name, words in knob_words().items()]
    table = "\n".join(["| Knob | What it does |", "|---|---|", *rows])
    page.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
    if len(sys.argv) == 1:
        write_knobs(HERE / "README.md")
