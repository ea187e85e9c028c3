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
# # People beside people where nothing is a straight line
#
# Who gets help, and what becomes of people without it, seldom follows a straight line. Learners that may bend are the
# headline of a cross-section; matched and weighted answers stand beside it.

# %%
import numpy as np
import pandas as pd

import evalkit as ek

rng = np.random.default_rng(3)


def people(bend=1.0, n=1000):
    """Help goes to people at both ends of a scale of need, who do worse anyway; the true effect is half a point."""
    need, age = rng.normal(size=(2, n))
    odd = bend * np.abs(need) + (1 - bend) * need
    helped = (rng.uniform(size=n) < 1 / (1 + np.exp(-(1.5 * odd - 1.5)))).astype(int)
    y = 0.5 * helped - 1.5 * odd + 0.3 * age + rng.normal(size=n)
    return pd.DataFrame({"person": np.arange(n), "need": need, "age": age, "helped": helped, "y": y})


def study_of(frame, components=("helped",)):
    return ek.Study(
        frame, unit="person", period=None, outcome=ek.Outcome("y", matters=0.3), components=list(components),
        covariates=["need", "age"],
    )  # fmt: skip


study = study_of(people())


def line(words, design, of=study):
    row = design(of, "helped").to_frame().iloc[0]
    print(f"{words:28} {row['estimate']:+.2f}  ({row['conf_low']:+.2f} to {row['conf_high']:+.2f})")


# %% [markdown]
# ## Wrong: weights that balance what was recorded, on average
#
# The mean need of both sides is alike, and the answer has the wrong sign.

# %%
line("entropy balance", ek.WeightedComparison(method="entropy"))

# %% [markdown]
# ## Right: learners that may bend
#
# The score and what would have been without help are learnt from people whose own outcomes they are not used for.

# %%
line("learners that may bend", ek.FlexibleComparison())

# %% [markdown]
# ## Open the envelope: the truth is half a point
#
# `evaluate` takes the flexible answer, asks other ways of comparing the same people, and says how much would have to be
# unrecorded to take it away.

# %%
evaluation = ek.evaluate(study)
evaluation.verdicts[["component", "verdict", "estimate", "conf_low", "conf_high", "design"]]

# %%
evaluation.checks[["check", "status", "words"]]

# %% [markdown]
# ## Several components at once
#
# With two components there are four mixes. Each is compared with nobody, and each component at each value of the other.

# %%
frame = people(bend=0.0, n=1600)
frame["call"] = (rng.uniform(size=len(frame)) < 0.4).astype(int)
frame["y"] += 0.3 * frame["call"]
both = study_of(frame, ("helped", "call"))
ek.MixComparison()(both).to_frame()[["component", "estimand", "estimate", "conf_low", "conf_high"]].round(2)

# %% [markdown]
# ## Turn one knob until it breaks
#
# `bend` at 0 is a straight line: then both say the same, and the straight line with a narrower range.

# %%
for bend in (0.0, 0.5, 1.0):
    of = study_of(people(bend=bend))
    line(f"bend {bend}: balance", ek.WeightedComparison(method="entropy"), of)
    line(f"bend {bend}: learners", ek.FlexibleComparison(), of)
