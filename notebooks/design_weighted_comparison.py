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
# # Weighted comparison: make the others look like those who had it
#
# Instead of picking partners, give everybody without it a weight, so that together they look like those with it.

# %%
import numpy as np
import pandas as pd

import evalkit as ek

rng = np.random.default_rng(11)


def people(hidden=0.0, n=1500):
    """People with a need that is on record, and one that is not (`hidden`); the true effect is 2 points."""
    need, unseen = rng.normal(size=(2, n))
    age = rng.uniform(20, 70, n)
    chance = 1 / (1 + np.exp(-(-1.0 + 1.0 * need + hidden * unseen)))
    support = (rng.uniform(size=n) < chance).astype(int)
    score = 50 - 3 * need - 3 * hidden * unseen + 0.05 * age + 2.0 * support + rng.normal(0, 3, n)
    frame = pd.DataFrame({"person": np.arange(n), "need": need, "age": age, "support": support, "score": score})
    return ek.Study(
        frame, unit="person", period=None, outcome="score", components=["support"], covariates=("need", "age")
    ), frame


study, frame = people()

# %% [markdown]
# ## Wrong: with less without

# %%
means = frame.groupby("support")["score"].mean()
print(f"with less without: {means[1] - means[0]:+.2f}   (those with support were in greater need)")

# %% [markdown]
# ## Right: three ways to weigh


# %%
def line(words, design, of=None):
    row = design(study if of is None else of, "support").to_frame().iloc[0]
    print(f"{words:24} {row['estimate']:.2f}  ({row['conf_low']:.2f} to {row['conf_high']:.2f})")


line("inverse probability", ek.WeightedComparison(method="ipw"))
line("entropy balance", ek.WeightedComparison(method="entropy"))
line("doubly robust", ek.WeightedComparison(method="aipw", folds=2, repeats=1))

# %% [markdown]
# ## Look at the overlap before any outcome
#
# Where nobody without it looks like somebody with it, weights explode.

# %%
matching = ek.MatchedComparison(method="nearest").match(study, "support")
ek.plot.describe("overlap", matching)

# %% [markdown]
# ## Open the envelope: the truth is 2
#
# Whom it speaks for is a choice too: those who had it (ATT), everybody (ATE), or those who could have gone either way
# (ATO). Here the effect is the same for all.

# %%
for estimand in ("ATT", "ATE", "ATO"):
    line(estimand, ek.WeightedComparison(method="ipw", estimand=estimand))

# %% [markdown]
# ## What must be right?
#
# Every answer says what it rests on. Let need count by its square: weights of a straight score leave the square unlike,
# so weighting by the score alone is off. The answer says so itself, without having seen the outcome.

# %%
need = rng.normal(size=3000)
chance = 1 / (1 + np.exp(-(0.5 * need + 0.6 * (need**2 - 1) - 1.0)))
support = (rng.uniform(size=3000) < chance).astype(int)
score = 50 - 3 * need + 2.0 * support + rng.normal(0, 3, 3000)
curved = ek.Study(
    pd.DataFrame({"person": range(3000), "need": need, "support": support, "score": score}),
    unit="person", period=None, outcome="score", components=["support"], covariates=("need",),
)  # fmt: skip
for method in ("ipw", "entropy"):
    line(method, ek.WeightedComparison(method=method), curved)
    labels = ek.WeightedComparison(method=method)(curved, "support").labels.iloc[0]
    print(f"  right if {labels['right_if']}\n  doubt: {labels['doubt']}")

# %% [markdown]
# ## Turn one knob until it breaks

# %%
for hidden in (0.0, 0.5, 1.0):
    turned, _ = people(hidden)
    line(f"hidden need {hidden}", ek.WeightedComparison(method="entropy"), turned)

# %% [markdown]
# Means on record agree exactly in every line, and the last is wrong all the same. Balance is no proof.
