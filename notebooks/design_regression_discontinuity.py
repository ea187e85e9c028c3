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
# # Regression discontinuity: just above and just below the line
#
# Pupils below a score get tutoring, pupils above do not. Just below and just above they are the same pupils but for
# luck.

# %%
import numpy as np
import pandas as pd

import evalkit as ek

rng = np.random.default_rng(11)

# %%
n = 3000
test = rng.normal(100, 15, n)
tutoring = (test < 90).astype(int)
later = 20 + 0.8 * test + 3.0 * tutoring + rng.normal(0, 6, n)
frame = pd.DataFrame({"pupil": np.arange(n), "test": test, "tutoring": tutoring, "later": later})
study = ek.Study(frame, unit="pupil", period=None, outcome="later", components=["tutoring"], covariates=("test",))

# %% [markdown]
# ## Wrong: with tutoring less without
#
# They got it because they were behind.

# %%
means = frame.groupby("tutoring")["later"].mean()
print(f"with less without: {means[1] - means[0]:+.2f}")

# %% [markdown]
# ## Right: the jump at the line

# %%
design = ek.RegressionDiscontinuity("test", cutoff=90)
found = design(study, "tutoring")
print(f"{float(found.value):.2f}  ({float(found.low):.2f} to {float(found.high):.2f})")

# %% [markdown]
# ## What speaks against it? Bunching at the line, other things that jump there, jumps elsewhere

# %%
for check in ek.checks.cutoff_checks(design, study, "tutoring", margin=3.0):
    print(f"{check.check}: {check.status}. {check.words}")

# %% [markdown]
# ## Open the envelope: the truth is 3
#
# ## Is it the bandwidth? Try others

# %%
for bandwidth in (4, 8, 16):
    near = ek.RegressionDiscontinuity("test", cutoff=90, bandwidth=bandwidth)(study, "tutoring")
    print(f"within {bandwidth:2} points: {float(near.value):.2f}  ({float(near.low):.2f} to {float(near.high):.2f})")

# %% [markdown]
# ## A line where nothing happens should show nothing

# %%
placebo = frame.assign(tutoring=(frame["test"] < 105).astype(int))[frame["test"] >= 90]
nothing = ek.Study(placebo, unit="pupil", period=None, outcome="later", components=["tutoring"], covariates=("test",))
moved = ek.RegressionDiscontinuity("test", cutoff=105)(nothing, "tutoring")
print(f"{float(moved.value):.2f}  ({float(moved.low):.2f} to {float(moved.high):.2f})")

# %% [markdown]
# ## Turn one knob until it breaks
#
# Teachers who want a pupil to be tutored mark a little lower. Then those just below are not like those just above.

# %%
for share in (0.0, 0.5, 1.0):
    keen = (
        (test > 90)
        & (test < 94)
        & (rng.uniform(size=n) < share)
        & (later > np.median(later[(test > 90) & (test < 94)]))
    )
    marked = np.where(keen, 89.0 - rng.uniform(0, 1, n), test)
    bent = frame.assign(test=marked, tutoring=(marked < 90).astype(int))
    turned = ek.Study(bent, unit="pupil", period=None, outcome="later", components=["tutoring"], covariates=("test",))
    value = design(turned, "tutoring")
    print(f"share of keen pupils marked down {share}: {float(value.value):.2f}")

# %% [markdown]
# A heap of pupils just under the line is the sign to look for, before any outcome is read.
