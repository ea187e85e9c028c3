"""Tables of `benchmarks/power.py`: what was found, what was claimed that is not there, and what each gate took away."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from evalkit.verdicts.rules import ENDS_A_CLAIM

CLAIMS = ("shown", "likely")
DRIFT = {"drift", "drift_untested", "builds_up", "few_leads"}
ENDS = frozenset(ENDS_A_CLAIM)
TARGETS = {
    ("manchester_clean", "policy"): 75, ("manchester_clean", "nurse"): 49, ("manchester_realistic", "policy"): 43,
    ("manchester_realistic", "nurse"): 27,
}  # fmt: skip


def tables(found: pd.DataFrame) -> str:
    """Every table of what is stored."""
    if not len(found):
        return "Nothing is stored."
    full = judged(found)
    parts = [found_table(full), claims_table(full), gates_table(full)]
    return "\n\n".join(p for p in parts if p)


def judged(found: pd.DataFrame) -> pd.DataFrame:
    """With: claimed, excludes (zero), misses (the range misses the truth), false (a claim that misses it), undrifted
    (what would be claimed if no drift apart were asked about)."""
    claimed = found["verdict"].isin(CLAIMS)
    excludes = (found["low"] > 0) | (found["high"] < 0)
    told = found["truth"].notna() & found["low"].notna()
    misses = told & ((found["truth"] < found["low"]) | (found["truth"] > found["high"]))
    undrifted = excludes & np.array([
        _level([x for x in w.split() if x not in DRIFT], [x for x in c.split() if x not in DRIFT]) > 0
        for w, c in zip(found["weaknesses"], found["limits"], strict=True)
    ], dtype=bool)  # fmt: skip
    more = {"misses": misses, "false": claimed & misses, "undrifted": undrifted}
    return found.assign(claimed=claimed, excludes=excludes, told=told, **more)


def found_table(full: pd.DataFrame) -> str:
    """Claims beside what the correctly specified regression finds, over components with an effect, and beside what a
    test would find that knew the spread of these answers over draws and held no gate."""
    rows = full[full["line"].str.startswith("places_")]
    if not len(rows):
        return ""
    lines = ["| places, components | draws | regression finds | spread known | excludes zero | claimed | "
             "but for drift | shown | claimed / found | but for drift |",
             "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    for line, x in rows.groupby("line", sort=False):
        regression = x["found"].astype(str).eq("True").mean()
        excludes, right, but = ((x[c] & (x["estimate"] > 0)).mean() for c in ("excludes", "claimed", "undrifted"))
        shown = (x["verdict"] == "shown").mean()
        _, n, k = line.split("_")
        numbers = (regression, spread_known(x), excludes, right, but, shown, right / regression, but / regression)
        cells = (f"{n}, {k}", str(x["draw"].nunique()), *(f"{v:.2f}" for v in numbers))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread_known(x: pd.DataFrame) -> float:
    """Share of draws in which a two-sided test at .05 of normal answers of this spread excludes zero on the right side:
    the most that intervals around them can."""
    size = [np.sqrt(((mine["estimate"] - mine["truth"]) ** 2).mean()) for _, mine in x.groupby("component")]
    ratio = x.groupby("component")["truth"].mean().to_numpy() / np.array(size)
    return float(stats.norm.cdf(ratio - stats.norm.ppf(0.975)).mean())


def claims_table(full: pd.DataFrame) -> str:
    """Each line and component: claims in 100, false ones, bias in Monte Carlo errors, coverage."""
    lines = ["| world | component | draws | truth | shown | likely | but for drift | wanted | false claims | "
             "bias / error | coverage | width |", "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    for (line, component), x in full.groupby(["line", "component"], sort=False):
        told = x[x["told"]]
        miss = told["estimate"] - told["truth"]
        error = miss.std(ddof=1) / np.sqrt(max(len(miss), 1))
        share = [100 * (x["verdict"] == v).mean() for v in CLAIMS]
        numbers = [
            str(x["draw"].nunique()), f"{told['truth'].mean():.3f}", *(f"{s:.0f}" for s in share),
            f"{100 * x['undrifted'].mean():.0f}", str(TARGETS.get((line, component), "")),
            f"{100 * x['false'].mean():.1f}", f"{miss.mean() / error:+.1f}",
            f"{1 - told['misses'].mean():.3f}", f"{(told['high'] - told['low']).mean():.3f}",
        ]  # fmt: skip
        lines.append(f"| {line} | {component} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def gates_table(full: pd.DataFrame) -> str:
    """Of ranges that exclude zero, true where they hold the truth and false where they miss it: in how many each gate
    says no, and in how many it alone stands between the answer and a claim, or between likely and shown."""
    away = full[full["excludes"] & full["told"]]
    lines = ["| gate | failed, % of all draws | alone blocks a true claim | a false one | of 100 true ranges | of 100 "
             "false | true from shown to likely | false |", "|---|--:|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    true, false = (away["misses"] == wanted for wanted in (False, True))
    for gate in _gates(full):
        failed = _has(full, gate).mean()
        blocks, lowers = _alone(away, gate)
        cells = [f"{100 * failed:.1f}", str((blocks & true).sum()), str((blocks & false).sum())]
        cells += [f"{100 * (blocks & kind).sum() / max(kind.sum(), 1):.1f}" for kind in (true, false)]
        cells += [str((lowers & true).sum()), str((lowers & false).sum())]
        lines.append(f"| {gate} | {' | '.join(cells)} |")
    return f"{true.sum()} true and {false.sum()} false ranges that exclude zero.\n\n" + "\n".join(lines)


def _gates(full: pd.DataFrame) -> list[str]:
    names = full["weaknesses"] + " " + full["limits"]
    return [*sorted({w for text in names for w in text.split()}), "leave_one_cluster (informs)"]


def _has(full: pd.DataFrame, gate: str) -> pd.Series:
    if gate.endswith("(informs)"):
        return full["checks"].str.contains("leave_one_cluster=informational")
    named = full["weaknesses"] + " " + full["limits"]
    return named.str.split().apply(lambda names: gate in names)


def _alone(away: pd.DataFrame, gate: str) -> tuple[pd.Series, pd.Series]:
    """Where the verdict would be a claim without this gate and is none with it; shown instead of likely. A gate that
    only informs: where it would be none if it counted as a weakness."""
    weak, capped = away["weaknesses"].str.split(), away["limits"].str.split()
    now = pd.Series([_level(w, c) for w, c in zip(weak, capped, strict=True)], index=away.index)
    if gate.endswith("(informs)"):
        has = _has(away, gate)
        other = [_level([*w, gate] if h else w, c) for w, c, h in zip(weak, capped, has, strict=True)]
        with_it, without_it = pd.Series(other, index=away.index), now
    else:
        other = [
            _level([x for x in w if x != gate], [x for x in c if x != gate]) for w, c in zip(weak, capped, strict=True)
        ]
        with_it, without_it = now, pd.Series(other, index=away.index)
    return (with_it == 0) & (without_it > 0), (with_it == 1) & (without_it == 2)


def _level(weak: list[str], capped: list[str]) -> int:
    """0 no claim, 1 likely, 2 shown (`evalkit/verdicts/rules.py`)."""
    if len(weak) > 1 or not ENDS.isdisjoint(weak):
        return 0
    return 1 if weak or capped else 2
