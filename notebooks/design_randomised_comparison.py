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
# # When chance decided: one component, and three at once
#
# Where a lottery decided who had a component, say so. Nothing has to be assumed about who is like whom then: nobody is
# matched, nobody is left out, and the test replays the lottery.

# %%
import numpy as np
import pandas as pd

import evalkit as ek

rng = np.random.default_rng(4)


def school_trial(effect=3.0, schools=24, pupils=12):
    """Half of the pupils of each school are dealt tutoring; schools differ, and one in four does not turn up."""
    frame = pd.DataFrame({"school": np.repeat(np.arange(schools), pupils)})
    frame["pupil"] = np.arange(len(frame))
    frame["before"] = rng.normal(0, 8, len(frame)) + rng.normal(0, 6, schools)[frame["school"]]
    order = frame.groupby("school")["pupil"].transform(lambda p: rng.permutation(len(p)))
    frame["dealt"] = (order < pupils // 2).astype(int)
    frame["came"] = frame["dealt"] * (rng.uniform(size=len(frame)) < 0.75)
    frame["score"] = 50 + 0.7 * frame["before"] + effect * frame["came"] + rng.normal(0, 5, len(frame))
    return frame


frame = school_trial()

# %% [markdown]
# ## Wrong: those who came beside those who did not
#
# Here coming is by chance; in life it is not, and the comparison is then of willing with unwilling.

# %%
came = frame.groupby("came")["score"].mean()
print(f"came less did not come: {came[1] - came[0]:+.2f}")

# %% [markdown]
# ## Right: say how it was dealt
#
# `within` is the column of blocks, here the school. `compliance` is what was taken up.

# %%
tutoring = ek.Component("tutoring", exposure="dealt", assigned="randomised", within="school", compliance="came")
study = ek.Study(
    frame, unit="pupil", period=None, outcome=ek.Outcome("score", matters=2.0), components=[tutoring],
    covariates=["before"],
)  # fmt: skip
ek.RandomisedComparison()(study, "tutoring").to_frame().iloc[0][["estimate", "conf_low", "conf_high"]]

# %% [markdown]
# ## Open the envelope
#
# Three points for whoever came, and three in four of those dealt it came: being dealt it is worth 2.25. The verdict
# rests on the lottery, and the checks ask whether it was kept: are the arms alike, and who is missing?

# %%
evaluation = ek.evaluate(study)
evaluation.verdicts[["component", "verdict", "estimate", "conf_low", "conf_high"]]

# %%
evaluation.checks[["check", "status", "words"]]

# %% [markdown]
# ## Three components dealt at once
#
# A factorial trial tells each from the others with the same people: everybody serves in every comparison.

# %%
parts = ("letter", "visit", "call")
many = pd.DataFrame({"person": np.arange(800)})
for name in parts:
    many[name] = rng.permutation(np.arange(800) % 2)
many["y"] = 0.5 * many["letter"] + 0.3 * many["visit"] - 0.2 * many["letter"] * many["visit"] + rng.normal(size=800)
trial = ek.Study(
    many, unit="person", period=None, outcome="y",
    components=[ek.Component(n, assigned="randomised") for n in parts],
)  # fmt: skip
ek.FactorialComparison(order=2)(trial).to_frame()[["component", "estimate", "conf_low", "conf_high"]].round(2)

# %% [markdown]
# The first two are .4 and .2: half the people had the other as well, and together the two do .2 less than their sum.

# %% [markdown]
# ## Turn one knob until it breaks
#
# With four schools a range is wide, whatever the pupils: what is dealt within schools is told within schools.

# %%
for schools in (24, 8, 4):
    few = study.replace(panel=school_trial(schools=schools))
    row = ek.RandomisedComparison()(few, "tutoring").to_frame().iloc[0]
    print(f"{schools:3} schools: {row['estimate']:.1f} ({row['conf_low']:.1f} to {row['conf_high']:.1f})")
