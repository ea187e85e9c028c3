"""Kaplan-Meier curves, restricted means and Cox slopes by lifelines, for tests/reference/test_waiting.py.

Run where lifelines is installed (it needs pandas below 3): python lifelines_waiting.py > lifelines_waiting.json
"""

import json

import lifelines
import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time


def main() -> None:
    rng = np.random.default_rng(20261128)
    cases = []
    for tied in (False, True):
        n = 120
        x = rng.normal(size=(n, 2))
        life, gone = rng.exponential(size=n) * np.exp(-0.6 * x[:, 0]) * 10, rng.exponential(size=n) * 14
        if tied:
            life, gone = np.ceil(life), np.ceil(gone)
        time, event = np.minimum(life, gone), life <= gone
        weight = rng.integers(1, 4, size=n)
        frame = pd.DataFrame({"time": time, "event": event, "x0": x[:, 0], "x1": x[:, 1]})
        cox = CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-14, "r_precision": 1e-14})
        by = 8.0
        curves = {}
        for name, w in (("plain", None), ("weighted", weight)):
            fit = KaplanMeierFitter().fit(time, event, weights=w)
            curves[name] = {
                "at": [2.0, 5.0, by],
                "waiting": [float(v) for v in fit.survival_function_at_times([2.0, 5.0, by])],
                "restricted_mean": float(restricted_mean_survival_time(fit, t=by)),
            }
            if w is None:
                ends = fit.confidence_interval_survival_function_
                curves[name]["low"] = [float(ends.iloc[:, 0].asof(t)) for t in (2.0, 5.0, by)]
                curves[name]["high"] = [float(ends.iloc[:, 1].asof(t)) for t in (2.0, 5.0, by)]
        cases.append({
            "time": time.tolist(), "event": event.tolist(), "x": x.tolist(), "weight": weight.tolist(), "by": by,
            "curves": curves, "slopes": cox.params_.tolist(),
        })  # fmt: skip
    versions = {"lifelines": lifelines.__version__, "pandas": pd.__version__, "numpy": np.__version__}
    print(json.dumps({"versions": versions, "cases": cases}))


main()
