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
# # Plan a rollout that will let us tell
#
# Which of several components made a difference is decided before any of them begins: by who starts what, when. This
# notebook does it wrong, does it right, opens the envelope, and turns one knob until it breaks.

# %% [markdown]
# ## Eight boroughs, two components, three years
#
# A policy and a nurse. At most two starts in a month. Before anything has begun we can only guess how outcomes will
# vary: shocks of a borough of 5 points that half fade from month to month, twenty people a borough and month.

# %%
import numpy as np
import pandas as pd

import evalkit as ek

BOROUGHS = ["Bolton", "Bury", "Oldham", "Rochdale", "Salford", "Stockport", "Tameside", "Wigan"]
PERIODS = ("2027-01", "2029-12")
noise = ek.Noise(place=0.05, rho=0.5, person=0.45, people=20)
parts = [ek.Planned("policy", wanted=0.15), ek.Planned("nurse", wanted=0.15, earliest="2027-09")]

# %% [markdown]
# ## Do it wrong: both at once
#
# Whoever starts both together in every borough will know what the two do together, and never what either does. No
# data will mend that, and the planner says so before a pound is spent.

# %%
wrong = ek.plan_rollout(BOROUGHS, parts, PERIODS, noise=noise, together=[("policy", "nurse")])
print(wrong)

# %% [markdown]
# ## Do it right: let them part
#
# The plan is searched for: each start has a borough beside it that does the same in everything else and still waits.
# What is promised is about the interval that the later report will print, not about a standard error.

# %%
plan = ek.plan_rollout(BOROUGHS, parts, PERIODS, noise=noise, per_month=2, seed=1, effort=0.3)
print(plan)

# %% [markdown]
# Beside it, what people think of first. "Told apart" is the share of orders in which both can be told over the whole
# window of six months.

# %%
print(plan.rivals[["rival", "worst", "told_apart"]].round(3).to_string(index=False))

# %% [markdown]
# A board has its own draft, in which the nurse starts with the policy in six of eight boroughs. How many dates would
# have to move? The first row is the draft as it is.

# %%
draft = plan.schedule.copy()
together = draft["place"].isin(BOROUGHS[:6])
draft.loc[together, "nurse"] = draft.loc[together, "policy"].clip(lower="2027-09")
moves = plan.changes(draft, dates=4)
shown = moves[["change", "dates_moved", "place_periods", "worst", "separable"]].round(3)
print(shown.to_string(index=False, na_rep="not told"))

# %% [markdown]
# ## Open the envelope
#
# Now we make the data that such a rollout would have given, with effects that we know: 15 points of the policy, none of
# the nurse. The plan promised how often an effect of 15 points is found; here is one draw of it.

# %%
months = list(pd.period_range(*PERIODS, freq="M").astype(str))
rng = np.random.default_rng(3)
rows = []
for place, dates in zip(plan.schedule["place"], plan.schedule[["policy", "nurse"]].to_numpy(), strict=True):
    on = np.array([[m >= d for d in dates] for m in months], dtype=int)
    shock = rng.normal(size=len(months)) * 0.05
    for t in range(1, len(months)):
        shock[t] = 0.5 * shock[t - 1] + np.sqrt(0.75) * shock[t]
    for person in range(20):
        y = 0.15 * on[:, 0] + shock + 0.45 * rng.normal(size=len(months))
        rows.append(
            pd.DataFrame(
                {
                    "person": f"{place} {person}",
                    "borough": place,
                    "month": months,
                    "settled": y,
                    "policy": on[:, 0],
                    "nurse": on[:, 1],
                }
            )
        )
study = ek.Study(
    pd.concat(rows),
    unit="person",
    period="month",
    cluster="borough",
    outcome="settled",
    better="higher",
    matters=0.15,
    components=["policy", "nurse"],
)
for name in ("policy", "nurse"):
    rollout = ek.StaggeredRollout(base_window=6, horizon=5, weights="least_noise")
    line = rollout(study, name).over(0, 5).to_frame().iloc[0]
    print(f"{name}: {line.estimate:+.3f}, likely range {line.conf_low:+.3f} to {line.conf_high:+.3f}")
print(plan.power[["component", "detectable", "power"]].round(3).to_string(index=False))

# %% [markdown]
# ## By lot, so that nobody chose
#
# The plan fixes the rows of dates; chance decides which borough gets which row. The certificate lets anybody draw
# again.

# %%
given = plan.randomise(seed=20270104)
print(given.schedule.to_string(index=False))
print(f"drawn: number {given.chosen} of {len(given.candidates)}; register of {len(given.register)} starts")

# %% [markdown]
# ## Turn one knob until it breaks
#
# The noise was a guess. How large an effect could still be found if it were larger?

# %%
for factor in (0.5, 1.0, 2.0, 4.0):
    louder = ek.Noise(place=0.05 * factor, rho=0.5, person=0.45 * factor, people=20)
    again = ek.plan_rollout(BOROUGHS, parts, PERIODS, noise=louder, per_month=2, seed=1, effort=0.05)
    print(
        f"noise times {factor:g}: detectable {again.power['detectable'].max():.2f}, "
        f"power at 15 points {again.power['power'].min():.2f}"
    )

# %% [markdown]
# Twice the noise needs twice the effect: no order of rollout mends that, and only more places or people do. Look at
# `plan.stress()` too, where dates slip, and take the noise from your own past where there is one:
# `ek.Noise.from_study(study)`.
