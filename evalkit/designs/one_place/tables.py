"""What stands behind an answer from other places, as tables: donors, gaps, each donor left out, tests in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from evalkit.designs.one_place.mixes import Mix
from evalkit.designs.one_place.placebo import Compared, PlaceboSpread, conformal_p
from evalkit.inference.intervals import critical
from evalkit.study.paths import Paths

WIDTHS, GRID = 6.0, 121
"""An interval of tests is sought so many placebo standard errors on either side of the estimate, at so many effects."""


class MixMethod(Protocol):
    """A design's way to a mix."""

    def __call__(self, donors: np.ndarray, exposed: np.ndarray, before: int, claimed: np.ndarray) -> Mix: ...


def _names(paths: Paths, c: Compared) -> tuple[np.ndarray, dict[str, object]]:
    """Names of the donors, and what says which place and start a line is about."""
    level = paths.levels[_level(paths, c)].names
    return level[c.place.donors], {"place": level[c.place.cluster], "cohort": paths.periods[c.place.cohort]}


def _level(paths: Paths, c: Compared) -> str:
    return paths.inference_level(c.place.comparison.component)[0]


def donors(paths: Paths, compared: Sequence[Compared]) -> pd.DataFrame:
    """One line for each donor of each place; without a weight where the place was refused."""
    frames = [pd.DataFrame({"place": [], "cohort": [], "donor": [], "weight": []})]
    for c in compared:
        names, said = _names(paths, c)
        weight = np.full(len(names), np.nan) if c.placebos is None else c.placebos.mix.donors
        frame = pd.DataFrame({"donor": names, "weight": weight}).assign(**said)
        frames.append(frame.sort_values("weight", ascending=False, kind="stable")[frames[0].columns])
    return pd.concat(frames[1:] or frames, ignore_index=True)


def gaps(paths: Paths, compared: Sequence[Compared], level: float = 0.95) -> pd.DataFrame:
    """One line for each place, each donor in its role, and each period read."""
    frames = []
    for c in (c for c in compared if c.placebos is not None):
        assert c.placebos is not None
        names, said = _names(paths, c)
        times = np.arange(c.place.first, c.place.until + 1)
        spread = PlaceboSpread((c.placebos.plain(),), (c.placebos.scaled(),), (c.placebos.names,))(None)
        reach = critical(spread.df, level) * np.sqrt(np.diag(spread.vcov))
        half = np.where(times >= c.place.cohort, reach, np.nan)
        nothing = np.full(len(times), np.nan)
        lines = [("", c.exposed, c.placebos.mix.gap, half)]
        lines += [(str(n), y, g, nothing) for n, y, g in zip(names, c.donors, c.placebos.gaps, strict=True)]
        for who, seen, gap, wide in lines:
            frames.append(pd.DataFrame({
                "who": who, "period": paths.periods[times], "event_time": times - c.place.cohort, "observed": seen,
                "expected": seen - gap, "gap": gap, "conf_low": gap - wide, "conf_high": gap + wide,
            }).assign(**said))  # fmt: skip
    columns = ["place", "cohort", "who", "period", "event_time", "observed", "expected", "gap", "conf_low", "conf_high"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def without_each_donor(paths: Paths, compared: Sequence[Compared], mix: MixMethod) -> pd.DataFrame:
    """One line for each place and donor left out."""
    lines = []
    for c in (c for c in compared if c.placebos is not None and not c.reason):
        assert c.placebos is not None
        names, said = _names(paths, c)
        whole = c.placebos.mix.gap[c.claimed].mean()
        for j, name in enumerate(names):
            found = mix(np.delete(c.donors, j, axis=0), c.exposed, c.place.before, c.claimed).gap[c.claimed].mean()
            lines.append({**said, "donor": name, "estimate": found, "moved": found - whole})
    return pd.DataFrame(lines, columns=["place", "cohort", "donor", "estimate", "moved"])


def conformal(paths: Paths, compared: Sequence[Compared], level: float) -> pd.DataFrame:
    """One line for each place. Ends are NaN where effects as far as were sought could not be ruled out."""
    lines = []
    for c in (c for c in compared if c.placebos is not None and not c.reason):
        assert c.placebos is not None
        centre, spread = c.placebos.mix.gap[c.claimed].mean(), c.placebos.gaps[:, c.claimed].mean(axis=1).std()
        read = [*range(c.place.before), *c.claimed]
        seen = (c.donors[:, read], c.exposed[read], c.place.before)
        grid = centre + WIDTHS * spread * np.linspace(-1, 1, GRID)
        kept = grid[[conformal_p(*seen, effect) > 1 - level for effect in grid]]
        low, high = (np.nan, np.nan) if not len(kept) else (kept.min(), kept.max())
        lines.append({
            **_names(paths, c)[1], "p_value": conformal_p(*seen, 0.0),
            "conf_low": np.nan if low == grid[0] else low, "conf_high": np.nan if high == grid[-1] else high,
        })  # fmt: skip
    return pd.DataFrame(lines, columns=["place", "cohort", "p_value", "conf_low", "conf_high"])
