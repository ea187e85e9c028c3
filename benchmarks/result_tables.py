"""Tables of results as lines of Markdown."""

from __future__ import annotations

import numpy as np
import pandas as pd


def markdown(found: pd.DataFrame, digits: int = 6) -> str:
    """A table as lines of Markdown, numbers to so many digits, nothing where there is no figure."""

    def said(x: object) -> str:
        if isinstance(x, float):
            return "" if np.isnan(x) else f"{x:.{digits}g}"
        return str(x)

    lines = ["| " + " | ".join(found.columns) + " |", "|---" * len(found.columns) + "|"]
    lines += ["| " + " | ".join(map(said, row)) + " |" for row in found.itertuples(index=False)]
    return "\n".join(lines)
