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
# # One town alone: four components, no second town
#
# Northmoor wants fewer people in hospital. Navigators came first, step-down beds a year and a half later, then a
# contract that pays from its thirteenth month on, and two months after that an evening rota. No other town did any of
# it.
#
# All of it is made up. The truth lies in an envelope that no estimate ever opens.

# %%
import pandas as pd

import evalkit as ek

pd.set_option("display.width", 120)
partnership = ek.synthetic.partnership("town", "realistic", seed=1)
study = partnership.study
print(study)

# %% [markdown]
# ## Before any outcome: what can be told apart?
#
# A place alone can tell two components apart only by time. The contract cannot show anything before its thirteenth
# month, and the rota began within those: the two are a bundle.

# %%
separability = ek.separability(study)
print(separability.components[["component", "status", "reason"]].to_string(index=False))
print(*separability.bundles["words"], sep="\n")

# %% [markdown]
# ## Do it wrong
#
# Before and after, each component by itself. Season, memory of the noise, and whatever else began are all in it.

# %%
admissions = study.values("admissions")[0]
for name, start in {"navigator": 40, "beds": 58, "contract": 76, "rota": 78}.items():
    before, after = admissions[start - 12 : start], admissions[start:]
    print(f"{name:10} {after.mean() - before.mean():6.2f}")

# %% [markdown]
# ## Do it right
#
# `evaluate` takes each component as far as its own window goes, and says of the bundle only what both did together.

# %%
evaluation = ek.evaluate(study)
for sentence in evaluation.verdicts["sentence"]:
    print("-", sentence)

# %%
ek.plot.describe("one_place", evaluation.alone.gaps, unit="admissions for every 10,000", period="month")

# %% [markdown]
# ## Open the envelope

# %%
scored = partnership.score(evaluation)
print(scored[["component", "verdict", "estimate", "conf_low", "conf_high", "truth"]].round(1).to_string(index=False))

# %% [markdown]
# ## Turn one knob until it breaks
#
# Something else begins with the navigators: another hospital opens. Nobody writes it down, and nothing in the numbers
# can tell. That is why one place is never called shown. Where the study lists it, the answer is a refusal.

# %%
for listed in (False, True):
    made = ek.synthetic.partnership("town", "realistic", seed=1, event=-4.0, listed=listed)
    found = ek.evaluate(made.study)
    print(f"listed: {listed}:", found.verdicts["sentence"].iloc[0])

# %% [markdown]
# ## What to take away
#
# * Begin things far apart: in one place, time is all that tells them apart.
# * Write down what else began. A listed event is a refusal or a step; an unlisted one is an error.
# * With other towns (`setting="clean"`) the first component has company; the later ones, which nobody else had, do not.
