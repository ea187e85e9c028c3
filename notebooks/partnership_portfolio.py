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
# # A portfolio of twenty-four partnerships
#
# Each delivered a mix of six components; all that is known of each is its mix, one effect and its standard error.
#
# All of it is made up. The truth lies in an envelope that no estimate ever opens.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("portfolio", "realistic", seed=1)
study = partnership.study
study = study.replace(outcomes=study.outcomes[:1])
study

# %% [markdown]
# ## What was delivered

# %%
print(partnership.tables["panel"].head(8).to_string(index=False))

# %% [markdown]
# ## What can be told apart, before any outcome is read

# %%
ek.separability(study)

# %% [markdown]
# ## Do it wrong
#
# Projects with a component beside projects without it.

# %%
table = partnership.tables["panel"]
for component in study.components:
    means = table.groupby(component.name)["effect"].mean()
    print(f"{component.name:14} {means.iloc[-1] - means.iloc[0]:+.3f}")

# %% [markdown]
# ## Do it right
#
# Twenty-four projects, six components: few mixes differ in one component alone.

# %%
evaluation = ek.evaluate(study)
evaluation

# %%
ek.plot.describe("forest", evaluation)

# %% [markdown]
# ## Open the envelope

# %%
score = partnership.score(evaluation)
print(
    score[["component", "verdict", "estimate", "conf_low", "conf_high", "truth", "covered"]]
    .round(3)
    .to_string(index=False)
)

# %% [markdown]
# ## Turn one knob until it breaks
#
# More people in each project make each effect surer, but not the number of projects.

# %%
for knob in ({}, {"size": 4}):
    turned = ek.synthetic.partnership("portfolio", "realistic", seed=1, **knob)
    statuses = ek.separability(turned.study).components["status"].value_counts()
    print(knob or "as it was", "->", ", ".join(f"{n} {status}" for status, n in statuses.items()))

# %% [markdown]
# What would let us tell: ten more projects whose mixes differ in one component at a time.
