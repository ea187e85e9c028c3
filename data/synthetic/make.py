"""Make the committed partnerships again: `python data/synthetic/make.py [FOLDER]` (default: here)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from evalkit.synthetic import names, partnership


def main(folder: Path) -> None:
    """Write the realistic setting, seed 1, of every partnership."""
    for name in names():
        shutil.rmtree(folder / name, ignore_errors=True)
        print(partnership(name, "realistic", 1).write(folder / name))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
