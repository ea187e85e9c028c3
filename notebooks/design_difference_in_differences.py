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
# # Difference in differences: two groups, two windows
#
# One component began everywhere at once, for some people and not for others. Two groups, before and after. What could
# go wrong? The *windows*.

# %%
import numpy as np
import pandas as pd

import evalkit as ek

rng = np.random.default_rng(11)

# %% [markdown]
# ## Made-up people, with a dip
#
# People are offered help when things are at their worst. The true effect is 2 points, from month 12 on. In the three
# months before, those who will get it are 3 points lower than is usual for them.

# %%
n, months = 400, np.arange(24)
helped = np.arange(n) < 150
usual = rng.normal(50, 5, n) - 4 * helped
dip = np.where((months >= 9) & (months < 12), -3.0, 0.0)
score = usual[:, None] + 0.1 * months + helped[:, None] * (dip + 2.0 * (months >= 12)) + rng.normal(0, 3, (n, 24))
panel = pd.DataFrame(
    {
        "person": np.repeat(np.arange(n), 24),
        "month": np.tile(months, n),
        "score": score.ravel(),
        "help": (helped[:, None] & (months >= 12)).astype(int).ravel(),
    }
)
study = ek.Study(panel, unit="person", period="month", outcome="score", components=["help"])

# %% [markdown]
# ## Wrong: the months just before, and everybody's level afterwards

# %%
after = panel[panel["month"] >= 12].groupby("help")["score"].mean()
print(f"with help less without, afterwards: {after[1] - after[0]:+.2f}   (they were lower to begin with)")
print(
    ek.DifferenceInDifferences(before=(9, 11), after=(12, 23))(study, "help").to_frame()[
        ["estimate", "conf_low", "conf_high"]
    ]
)

# %% [markdown]
# The first is wrong because the groups were never alike; the second because the months before were not like
# themselves.
#
# ## Right: a window before the dip

# %%
right = ek.DifferenceInDifferences(before=(0, 8), after=(12, 23))(study, "help")
print(right.to_frame()[["estimate", "conf_low", "conf_high"]])

# %% [markdown]
# ## Open the envelope: the truth is 2
#
# How would we have known? Look at every month before the start.

# %%
rows = ek.StaggeredRollout(comparison="never", base="universal", anticipation=3)(study, "help")
events = rows.aggregate("event_time").to_frame()
print(
    events[events["event_time"].between(-8, 2)][["event_time", "estimate", "conf_low", "conf_high"]]
    .round(2)
    .to_string(index=False)
)

# %% [markdown]
# ## Turn one knob until it breaks
#
# The longer the dip, the more of it lies inside the window.

# %%
for length in (3, 6, 12):
    deep = np.where((months >= 12 - length) & (months < 12), -3.0, 0.0)
    y = usual[:, None] + helped[:, None] * (deep + 2.0 * (months >= 12)) + rng.normal(0, 3, (n, 24))
    turned = ek.Study(
        panel.assign(score=y.ravel()), unit="person", period="month", outcome="score", components=["help"]
    )
    found = ek.DifferenceInDifferences(before=(0, 8), after=(12, 23))(turned, "help").to_frame()["estimate"].iloc[0]
    print(f"dip of {length:2} months, window of months 0 to 8: {found:.2f}")

# %% [markdown]
# No window mends a dip that is as long as what we saw. What helps is data from before people were chosen.
