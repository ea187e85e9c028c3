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
# # In points or in proportion, and what happens when it is taken away
#
# Two questions that a staggered rollout leaves open. Places that start at different levels cannot move alike both in
# points and in proportion: which did the comparison take for granted? And where a component ends in some places, is its
# effect gone with it? This notebook asks both of data whose truth is known, and turns one knob until it breaks.

# %% [markdown]
# ## Twenty-four places, a growing town, and a helpline that does nothing
#
# All counts grow by six per cent a month. Places with the helpline started with three times as many.

# %%
import numpy as np
import pandas as pd

import evalkit as ek

rng = np.random.default_rng(5)


def towns(effect=0.0, stays=1.0, factor=3.0):
    """Counts of 24 places in 18 months; the helpline runs in 12 of them from month 8, and ends in 6 at month 13."""
    place, month = np.repeat(np.arange(24), 18), np.tile(np.arange(18), 24)
    had = (place < 12) & (month >= 8)
    on = had & ((place >= 6) | (month < 13))
    level = np.where(place < 12, 40.0 * factor, 40.0)
    mean = level * 1.06**month * (1 + effect * np.where(on, 1.0, stays * had))
    frame = pd.DataFrame({"place": place, "month": month, "helpline": on.astype(int), "calls": rng.poisson(mean)})
    return ek.Study(
        frame, unit="place", period="month", components=["helpline"],
        outcome=ek.Outcome("calls", kind="count", better="lower", matters=5),
    )  # fmt: skip


def line(words, estimate):
    """Estimate and interval of one row."""
    row = estimate.to_frame().iloc[0]
    print(f"{words:34} {row['estimate']:7.2f}  ({row['conf_low']:7.2f} to {row['conf_high']:7.2f})")


# %% [markdown]
# ## Wrong: in points
#
# Large places gain more calls a month than small ones, whatever the helpline does.

# %%
grown = towns()
line("in points", ek.StaggeredRollout(starts="first", base_window=4)(grown, "helpline").over(0, 4))

# %% [markdown]
# ## Right: in proportion
#
# The same comparison, had places moved by the same proportion. `evaluate` runs both, and claims nothing whose sign or
# size hangs on the choice.

# %%
line("in proportion", ek.ScaledRollout(scale="log", starts="first")(grown, "helpline").over(0, 4))

# %% [markdown]
# ## When it ends
#
# Now the helpline takes a fifth of the calls away. `Withdrawn` sets places that give it up beside those that go on;
# `CarriedOver` sets the months after its end beside the months before it first began.

# %%
for stays in (0.0, 1.0):
    told = towns(effect=-0.2, stays=stays, factor=1.0)
    print("what it did is gone with it" if stays == 0 else "what it did stays")
    line("  taken away", ek.Withdrawn(base_window=3)(told, "helpline").aggregate("simple"))
    line("  left after its end", ek.CarriedOver(base_window=4)(told, "helpline").aggregate("simple"))

# %% [markdown]
# ## The knob
#
# With equal levels points and proportion agree; the further apart places start, the less they do.

# %%
for factor in (1.0, 1.5, 3.0):
    study = towns(factor=factor)
    points = ek.StaggeredRollout(starts="first", base_window=4)(study, "helpline").over(0, 4)
    scaled = ek.ScaledRollout(scale="log", starts="first")(study, "helpline").over(0, 4)
    print(f"levels {factor:g} to 1: {points.value[0]:6.2f} in points, {scaled.value[0]:6.2f} in proportion")
