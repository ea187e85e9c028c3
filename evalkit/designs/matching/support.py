"""Where both arms have people: combinations of the other components, before any outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evalkit.designs.matching.people import Who, _others, _periods, _status
from evalkit.study.paths import Paths

THIN = 20


@dataclass(frozen=True, eq=False)
class Support:
    """Which combinations of the other components can be compared.

    table: a row a combination: others (words), one 0/1 column a component, exposed, comparison (people), and
    status "both arms", "thin" (fewer than 20 people in an arm), "exposed only" or "comparison only".
    """

    component: str
    table: pd.DataFrame

    @property
    def share(self) -> float:
        """Share of the exposed who live in a combination with comparison people."""
        t = self.table
        total = t["exposed"].sum()
        return float(t.loc[t["comparison"] > 0, "exposed"].sum() / total) if total else 0.0

    def __len__(self) -> int:
        return int(((self.table["exposed"] > 0) & (self.table["comparison"] > 0)).sum())


def support_of(paths: Paths, component: str, who: Who) -> Support:
    """Count people of each arm in every combination (their path from the covariates' to the outcome's period)."""
    k = paths.index(component)
    base, period = _periods(paths, k, who)
    status, _ = _status(paths, k, base, period)
    codes = _others(paths, component, base, period, replace(who).others)
    mine = codes[paths.path]
    other = [j for j in range(len(paths.components)) if j != k]
    rows = []
    for code in np.unique(mine[(status < 2) & (mine >= 0)]):
        here = mine == code
        path = int(np.flatnonzero(codes == code)[0])
        on = {paths.components[j]: int((paths.state[path, base : period + 1, j] > 0).any()) for j in other}
        words = " and ".join(n for n, v in on.items() if v) or "none of the others"
        exposed, comparison = int((here & (status == 1)).sum()), int((here & (status == 0)).sum())
        rows.append({"others": words if who.others == "same" else "ignored", **on,
                     "exposed": exposed, "comparison": comparison, "status": _say(exposed, comparison)})  # fmt: skip
    columns = ["others", *(paths.components[j] for j in other), "exposed", "comparison", "status"]
    table = pd.DataFrame(rows, columns=columns)
    return Support(component, table.sort_values("exposed", ascending=False, kind="stable", ignore_index=True))


def _say(exposed: int, comparison: int) -> str:
    if min(exposed, comparison) == 0:
        return "exposed only" if exposed else "comparison only"
    return "thin" if min(exposed, comparison) < THIN else "both arms"
