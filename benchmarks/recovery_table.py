"""From answers of many draws to one line a method and component: bias, error, coverage, claims."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

LOW, HIGH = 0.92, 0.98
MOST_BIAS, MOST_CLAIMED = 0.10, 0.07


def binomial(hits: int, trials: int, level: float = 0.99) -> tuple[float, float]:
    """Exact (Clopper and Pearson 1934) interval of a share."""
    if trials == 0:
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, trials - hits + 1))
    high = 1.0 if hits == trials else float(stats.beta.ppf(1 - tail, hits + 1, trials - hits))
    return low, high


def summarise(answers: pd.DataFrame) -> pd.DataFrame:
    """One line for each scenario, method and component, in the order in which they came."""
    keys = ["scenario", "method", "component"]
    return pd.DataFrame([_line(name, part) for name, part in answers.groupby(keys, sort=False)])


def _line(name: tuple[str, str, str], part: pd.DataFrame) -> dict[str, object]:
    given = part.dropna(subset=["estimate", "truth"])
    miss = given["estimate"] - given["truth"]
    size = float(given["truth"].mean()) if len(given) else np.nan
    with_interval = given.dropna(subset=["low", "high"])
    covered = (
        (with_interval["low"] <= with_interval["truth"]) & (with_interval["truth"] <= with_interval["high"])
    ).sum()
    low, high = binomial(int(covered), len(with_interval))
    scenario, method, component = name
    return {
        "scenario": scenario, "method": method, "component": component, "draws": len(part),
        "answered": len(with_interval), "truth": size, "bias": float(miss.mean()),
        "bias_error": float(miss.std() / np.sqrt(max(len(miss), 1))),
        "bias_share": float(miss.mean()) / size if abs(size) > 1e-12 else np.nan,
        "rmse": float(np.sqrt((miss**2).mean())), "covered": covered / max(len(with_interval), 1),
        "covered_low": low, "covered_high": high, "claimed": float(part["claimed"].mean()),
    }  # fmt: skip


def flags(line: pd.Series) -> str:
    """Which targets a line misses: bias (beyond its 99% Monte Carlo range), coverage, false claims."""
    out = []
    if abs(line["bias_share"]) >= MOST_BIAS and abs(line["bias"]) > 2.58 * line["bias_error"]:
        out.append("bias")
    if line["covered_high"] < LOW or line["covered_low"] > HIGH:
        out.append("coverage")
    if line["truth"] == 0 and line["claimed"] > MOST_CLAIMED:
        out.append("claims")
    return ", ".join(out)


def markdown(table: pd.DataFrame) -> str:
    """The table as people read it."""
    head = (
        "scenario",
        "method",
        "component",
        "draws",
        "truth",
        "bias",
        "RMSE",
        "coverage (99% interval)",
        "claimed",
        "misses",
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for _, x in table.iterrows():
        cells = (
            x["scenario"], x["method"], x["component"], _draws(x), _number(x["truth"]), _bias(x), _number(x["rmse"]),
            _coverage(x), _share(x["claimed"]), flags(x),
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def coverage_grid(table: pd.DataFrame) -> str:
    """Coverage alone: a line a scenario, a column a method; a star where it misses the target."""
    cells = table.assign(
        cell=[f"{100 * x['covered']:.1f}%{'*' if 'coverage' in flags(x) else ''}" for _, x in table.iterrows()]
    )
    grid = cells.pivot(index="scenario", columns="method", values="cell")
    grid = grid.loc[table["scenario"].unique(), table["method"].unique()]
    lines = ["| scenario | " + " | ".join(grid.columns) + " |", "|---|" + "---|" * len(grid.columns)]
    return "\n".join(
        [
            *lines,
            *(f"| {name} | " + " | ".join(row) + " |" for name, row in zip(grid.index, grid.to_numpy(), strict=True)),
        ]
    )


def _draws(x: pd.Series) -> str:
    return f"{x['draws']}" if x["answered"] == x["draws"] else f"{x['draws']} ({x['answered']} with an interval)"


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:.1f}%"


def _bias(x: pd.Series) -> str:
    if np.isnan(x["bias"]):
        return ""
    share = "" if np.isnan(x["bias_share"]) else f" ({100 * x['bias_share']:+.1f}%)"
    return f"{x['bias']:+.4f}{share}"


def _coverage(x: pd.Series) -> str:
    if not x["answered"]:
        return ""
    return f"{100 * x['covered']:.1f}% ({100 * x['covered_low']:.1f} to {100 * x['covered_high']:.1f})"
