"""Peers of one place alone: what they claim, and how fast they are. Run in an environment that has them beside evalkit:

    pip install causalpy pysyncon diff-diff
    nice python benchmarks/one_place_peers.py series 40     coverage and power at 36 before and 12 after
    nice python benchmarks/one_place_peers.py speed         50 donors by 40 periods, each with its own inference
    nice python benchmarks/one_place_peers.py deaths        CausalPy's worked example: deaths in England and Wales

`series` draws as many of the worlds of `one_place.py` as are asked for with CausalPy (default priors, fitted to the
past and carried on, as in its examples), and 200 with statsmodels' SARIMAX and UnobservedComponents on the columns of
our design. All move with an effect by just that effect. Each part writes its lines of results/one_place_peers.csv.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from one_place_worlds import AFTER, RHOS, Series
from threadpoolctl import threadpool_limits

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "one_place_peers.csv"
DEATHS = HERE.parent / "data" / "one_place" / "england_wales_deaths.csv"
BEFORE, EFFECT, OTHERS = 36, 2.0, 200
SAMPLED = {"draws": 500, "tune": 500, "chains": 2, "cores": 1, "random_seed": 1, "progressbar": False}
Fit = Callable[[np.ndarray], tuple[float, float, float]]


def columns() -> tuple[np.ndarray, np.ndarray]:
    """(T, 3) trend, level and slope, and (3,) the mean effect."""
    t = np.arange(BEFORE + AFTER)
    on = (t >= BEFORE).astype(float)
    return np.column_stack([t, on, on * (t - BEFORE)]), np.array([0, 1, (AFTER - 1) / 2])


def of_contrast(fit: object, names: list[str], contrast: np.ndarray) -> tuple[float, float, float]:
    """Mean effect and both ends of its normal interval from a fit of statsmodels' state space models."""
    at = [fit.model.param_names.index(n) for n in names]  # type: ignore[attr-defined]
    value = float(contrast @ np.asarray(fit.params)[at])  # type: ignore[attr-defined]
    se = float(np.sqrt(contrast @ np.asarray(fit.cov_params())[np.ix_(at, at)] @ contrast))  # type: ignore[attr-defined]
    return value, value - 1.96 * se, value + 1.96 * se


def sarimax(y: np.ndarray) -> tuple[float, float, float]:
    """AR(1) noise by maximum likelihood."""
    exog, contrast = columns()
    fit = sm.tsa.SARIMAX(y, exog, order=(1, 0, 0), trend="c").fit(disp=0)
    return of_contrast(fit, ["x1", "x2", "x3"], contrast)


def unobserved(y: np.ndarray) -> tuple[float, float, float]:
    """A level and a slope that wander; coefficients as states, whose covariance the smoother gives."""
    exog, contrast = columns()
    fit = sm.tsa.UnobservedComponents(y, "local linear trend", exog=exog[:, 1:], mle_regression=False).fit(disp=0)
    value = float(contrast[1:] @ fit.smoothed_state[-2:, -1])
    se = float(np.sqrt(contrast[1:] @ fit.smoothed_state_cov[-2:, -2:, -1] @ contrast[1:]))
    return value, value - 1.96 * se, value + 1.96 * se


def causalpy(y: np.ndarray, formula: str = "y ~ 1 + t", **more: np.ndarray) -> tuple[float, float, float]:
    """The mean of its impact after the start, and the 95% range of its draws."""
    import causalpy as cp

    frame = pd.DataFrame({"y": y, "t": np.arange(len(y)), **more})
    start = int(more["start"][0]) if "start" in more else BEFORE
    model = cp.pymc_models.LinearRegression(sample_kwargs=SAMPLED)
    impact = cp.InterruptedTimeSeries(frame, start, formula=formula, model=model).post_impact
    drawn = impact.mean([d for d in impact.dims if d not in ("chain", "draw")]).to_numpy().ravel()
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(drawn.mean()), float(low), float(high)


def series(draws: int) -> list[dict[str, object]]:
    """A line for each peer and each memory of the noise, stored as soon as it is done; one with as many draws is not
    made again."""
    lines: list[dict[str, object]] = []
    known = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=["what", "by", "draws"])
    for name, fit, n in (("SARIMAX", sarimax, OTHERS), ("UnobservedComponents", unobserved, OTHERS),
                         ("CausalPy", causalpy, draws)):  # fmt: skip
        for rho in RHOS:
            world = Series(BEFORE, rho)
            stored = known[(known["what"] == world.name) & (known["by"] == name)]
            if len(stored) and stored["draws"].max() >= n:
                continue
            _, low, high = np.array([fit(world.draw(seed)) for seed in range(n)]).T
            lines.append({
                "what": world.name, "by": name, "draws": n, "coverage": ((low <= 0) & (high >= 0)).mean(),
                "found": ((low + EFFECT > 0) | (high + EFFECT < 0)).mean(), "width": np.median(high - low),
            })  # fmt: skip
            print(lines[-1], flush=True)
            store(lines[-1:])
    return []


def store(lines: list[dict[str, object]]) -> None:
    """Lines in the place of those stored of the same."""
    made = pd.DataFrame(lines)
    kept = pd.read_csv(RESULTS) if RESULTS.exists() else made.iloc[:0]
    same = pd.MultiIndex.from_frame(kept[["what", "by"]]).isin(pd.MultiIndex.from_frame(made[["what", "by"]]))
    pd.concat([kept[~same], made], ignore_index=True).to_csv(RESULTS, index=False, float_format="%.4g")


def panel() -> tuple[np.ndarray, pd.DataFrame]:
    """51 places by 40 periods, the last of which begins in period 28; wide, and long."""
    rng = np.random.default_rng(0)
    wide = 3 * rng.standard_normal((51, 1)) + rng.standard_normal((51, 2)) @ np.cumsum(
        0.3 * rng.standard_normal((2, 40)), axis=1
    )
    wide = wide + rng.standard_normal((51, 40))
    wide[-1, 28:] += EFFECT
    frame = pd.DataFrame({"place": np.repeat(np.arange(51), 40), "t": np.tile(np.arange(40), 51), "y": wide.ravel()})
    return wide, frame.assign(ever=(frame["place"] == 50).astype(int))


def by_evalkit(frame: pd.DataFrame, name: str) -> float:
    """From frame to interval, the study included."""
    import evalkit as ek

    made = frame.assign(a=((frame["ever"] == 1) & (frame["t"] >= 28)).astype(int)).drop(columns="ever")
    study = ek.Study(made, unit="place", period="t", outcome="y", components=["a"])
    return float(getattr(ek, name)()(study, "a").over(0).to_frame()["estimate"].iloc[0])


def by_diff_diff(frame: pd.DataFrame, draws: int) -> float:
    """Its synthetic difference-in-differences with placebo errors from so many draws."""
    from diff_diff import SyntheticDiD

    fit = SyntheticDiD(variance_method="placebo", n_bootstrap=draws, seed=1)
    return float(fit.fit(frame, "y", "ever", "place", "t", post_periods=list(range(28, 40))).att)


def by_pysyncon(wide: np.ndarray) -> float:
    """Its synthetic control of past outcomes alike in weight, for the place and for each donor in its role."""
    from pysyncon import Synth

    past = pd.DataFrame(wide[:, :28].T, columns=[str(i) for i in range(51)])
    found = 0.0
    for j in range(51):
        donors = [c for c in past if c not in (str(j), "50")]
        fit = Synth()
        given = {"X0": past[donors], "X1": past[str(j)], "Z0": past[donors], "Z1": past[str(j)]}
        fit.fit(**given, custom_V=np.ones(28) / 28)
        found = float((wide[j, 28:] - fit.W @ wide[[int(c) for c in donors], 28:]).mean())
    return found


def speed() -> list[dict[str, object]]:
    """Least of three, one thread, in one run."""
    wide, frame = panel()
    tasks: dict[str, Callable[[], float]] = {
        "evalkit, SyntheticDifferenceInDifferences": lambda: by_evalkit(frame, "SyntheticDifferenceInDifferences"),
        "evalkit, SyntheticControl": lambda: by_evalkit(frame, "SyntheticControl"),
        "diff-diff, SyntheticDiD, 50 placebo draws": lambda: by_diff_diff(frame, 50),
        "diff-diff, SyntheticDiD, 200 placebo draws": lambda: by_diff_diff(frame, 200),
        "pysyncon, Synth, V given, 50 placebo places": lambda: by_pysyncon(wide),
    }  # fmt: skip
    lines = []
    for name, task in tasks.items():
        seconds, value = [], np.nan
        for _ in range(3):
            clock = time.process_time()
            value = task()
            seconds.append(time.process_time() - clock)
        lines.append({"what": "50 donors x 40 periods", "by": name, "estimate": value, "seconds": min(seconds)})
        print(lines[-1], flush=True)
    return lines


def deaths() -> list[dict[str, object]]:
    """CausalPy with a trend and months, and our design with two pairs of waves: mean deaths a month beyond what was
    expected from 2020 on. Its priors want standardised numbers, as its example has them."""
    import evalkit as ek

    frame = pd.read_csv(DEATHS)
    y, on = frame["deaths"].to_numpy(float), frame["from_2020"].to_numpy() == 1
    size, month = y[~on].std(), frame["month"].str[-2:].to_numpy()
    level = y[~on].mean()
    ranges = causalpy((y - level) / size, "y ~ 1 + t + C(month)", month=month, start=np.full(len(y), (~on).sum()))
    study = ek.Study(frame.assign(place="England and Wales"), unit="place", period="month", outcome="deaths",
                     components=["from_2020"])  # fmt: skip
    row = ek.InterruptedTimeSeries(season=12)(study, "from_2020").over(0).to_frame().iloc[0]
    own = (row["estimate"], row["conf_low"], row["conf_high"])
    named, what = ("estimate", "low", "high"), "deaths in England and Wales from 2020"
    lines = [{"what": what, "by": by, **dict(zip(named, x, strict=True))}
             for by, x in (("CausalPy", size * np.array(ranges)), ("InterruptedTimeSeries", own))]  # fmt: skip
    print(lines)
    return lines


def main() -> None:
    """One part; its lines take the place of those stored."""
    part, *rest = sys.argv[1:] or [""]
    parts: dict[str, Callable[[], list[dict[str, object]]]] = {
        "series": lambda: series(int(rest[0]) if rest else 40), "speed": speed, "deaths": deaths,
    }  # fmt: skip
    if part not in parts:
        sys.exit(__doc__)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if lines := parts[part]():
            store(lines)


if __name__ == "__main__":
    main()
