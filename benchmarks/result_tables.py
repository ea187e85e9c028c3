"""Tables of results as lines of Markdown, and where they stand in README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

README = Path(__file__).resolve().parent / "README.md"


def markdown(found: pd.DataFrame, digits: int = 6) -> str:
    """A table as lines of Markdown, numbers to so many digits, nothing where there is no figure."""

    def said(x: object) -> str:
        if isinstance(x, float):
            return "" if np.isnan(x) else f"{x:.{digits}g}"
        return str(x)

    lines = ["| " + " | ".join(found.columns) + " |", "|---" * len(found.columns) + "|"]
    lines += ["| " + " | ".join(map(said, row)) + " |" for row in found.itertuples(index=False)]
    return "\n".join(lines)


def into_readme(start: str, end: str, text: str) -> None:
    """Put a text between two marks in README.md, each of which stands there once."""
    before, rest = README.read_text(encoding="utf-8").split(start)
    README.write_text(f"{before}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")
