# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One place alone: its own past, or a mix of others
#
# Most of what partnerships want to know happened in one place. Nothing was switched on place by place, so there is no
# group to compare with. Two honest answers remain: the place beside its own past, and the place beside a mix of others
# that moved with it before. This notebook does it wrong, does it right, opens the envelope, and turns one knob until
# it breaks.

# %% [markdown]
# ## A place whose truth is known
#
# Nine towns, forty months, people in work in every hundred. The first town opens a job centre in month 28. We made the
# data, so we know that it adds three. All towns share a slow wave, and each month's luck is partly last month's.

# %%
import numpy as np
import pandas as pd

import evalkit as ek

MONTHS, START, TRUTH = 40, 28, 3.0


def town_panel(seed=8, memory=0.4, bend=0.0, towns=9):
    """Towns by month; `memory` of each month's luck, `bend` of the first town's past."""
    rng = np.random.default_rng(seed)
    wave = np.cumsum(rng.normal(size=MONTHS)) * 0.1
    luck = rng.normal(size=(towns, MONTHS))
    for t in range(1, MONTHS):
        luck[:, t] += memory * luck[:, t - 1]
    y = 50 + 4 * rng.normal(size=(towns, 1)) + rng.uniform(0.6, 1.4, (towns, 1)) * wave + luck
    month = np.arange(MONTHS)
    y[0] += bend * np.minimum(month, START) * (np.minimum(month, START) - START) / 50
    frame = pd.DataFrame({"town": np.repeat([f"Town {i + 1}" for i in range(towns)], MONTHS)})
    frame["month"] = np.tile(month, towns)
    frame["centre"] = ((frame["town"] == "Town 1") & (frame["month"] >= START)).astype(int)
    return frame.assign(in_work=y.ravel() + TRUTH * frame["centre"])


def town_study(frame):
    """The panel as a study."""
    outcome = ek.Outcome("in_work", label="People in work in every 100", matters=2.0)
    return ek.Study(frame, unit="town", period="month", outcomes=[outcome], components=["centre"])


def line(words, estimate):
    """Estimate and interval of one row."""
    row = estimate.to_frame().iloc[0]
    print(f"{words:38} {row['estimate']:6.2f}  ({row['conf_low']:6.2f} to {row['conf_high']:6.2f})")


study = town_study(town_panel())

# %% [markdown]
# ## Before any outcome: what can be told apart

# %%
print(ek.separability(study).components[["component", "status", "best_design", "reason"]].to_string(index=False))

# %% [markdown]
# ## Wrong: before and after
#
# The mean after, less the mean before, with the usual standard error. Whatever else moved is taken for the effect, and
# months that remember each other are counted as if each were news. Where nothing happened, this passes for proof up to
# seven times in ten.

# %%
town = town_panel().query("town == 'Town 1'")
before, after = (town.loc[town["centre"] == on, "in_work"] for on in (0, 1))
change, error = after.mean() - before.mean(), np.sqrt(after.var() / len(after) + before.var() / len(before))
print(f"before {before.mean():.1f}, after {after.mean():.1f}")
print(f"{change:.2f} ({change - 2 * error:.2f} to {change + 2 * error:.2f})")

# %% [markdown]
# ## Right: a mix of places that moved with it
#
# Weights are chosen from the past alone. The interval comes from the towns where nothing began: the same method finds
# this much there.

# %%
beside = ek.SyntheticDifferenceInDifferences()
line("beside a mix of others", beside(study, "centre").over(0))
line("at the mix's own level", ek.SyntheticControl(intercept=False)(study, "centre").over(0))
line("beside its own past", ek.InterruptedTimeSeries()(study, "centre").over(0))
print(beside.donors(study, "centre").head(4).round(2).to_string(index=False))

# %%
ek.plot.describe("one_place", beside.gaps(study, "centre"), unit="people in every 100")

# %%
ek.plot.describe("placebo_places", beside.gaps(study, "centre"), unit="people in every 100")

# %% [markdown]
# ## On the ladder
#
# `evaluate` chooses the design before it reads an outcome. From one place nothing is ever called shown: whatever else
# began then would look the same.

# %%
evaluation = ek.evaluate(study)
print(evaluation.verdicts[["component", "verdict", "sentence"]].to_string(index=False))
print(evaluation.checks[["check", "status"]].to_string(index=False))

# %% [markdown]
# ## Open the envelope
#
# Twenty draws of the same towns. How often does each interval hold the truth?

# %%
for words, design in (("beside a mix of others", beside), ("beside its own past", ek.InterruptedTimeSeries())):
    rows = [design(town_study(town_panel(seed)), "centre").over(0).to_frame().iloc[0] for seed in range(20)]
    held = sum(r["conf_low"] <= TRUTH <= r["conf_high"] for r in rows)
    print(f"{words:26} holds the truth {held} times in 20, mean estimate {np.mean([r['estimate'] for r in rows]):.2f}")

# %% [markdown]
# ## Turn one knob until it breaks
#
# Let the first town's past bend. A straight line through it then leads to expect the wrong thing: the estimate drifts
# from the truth, and only the wider interval shows that something is amiss. The mix of others drifts too, until it says
# that it cannot follow.

# %%
for bend in (0.0, 1.0, 2.0, 3.0):
    bent = town_study(town_panel(bend=bend))
    line(f"bend {bend}: its own past", ek.InterruptedTimeSeries()(bent, "centre").over(0))
    mix = beside(bent, "centre").over(0)
    print(f"{'':10}a mix of others: {mix.labels['reason'].iloc[0] or round(float(mix.value[0]), 2)}")

# %% [markdown]
# ## What to take away
#
# * Say before reading outcomes how large an effect could be seen: in one place it is large.
# * Five clean places are worth more than a longer past.
# * A bent past is the danger for a series; places of unusual kind are the danger for a mix.
