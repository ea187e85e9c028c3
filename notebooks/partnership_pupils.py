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
# # Pupils in the bottom fifth
#
# Literacy, maths, counselling and enrichment, for pupils who were chosen by a noisy score.
#
# All of it is made up. The truth lies in an envelope that no estimate ever opens.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("pupils", "realistic", seed=1, size=0.2)
study = partnership.study
study = study.replace(outcomes=study.outcomes[:1])
study

# %% [markdown]
# ## What was delivered

# %%
ek.plot.describe("timeline", study)

# %% [markdown]
# ## What can be told apart, before any outcome is read

# %%
audit = ek.separability(study)
print(audit.components[["component", "status", "clean_switches", "reason"]].to_string(index=False))

# %% [markdown]
# ## Do it wrong
#
# Before and after, in the schools with literacy help.

# %%
panel, adoption = partnership.tables["panel"], partnership.tables["adoption"]
schools = set(adoption.loc[adoption["component"] == "literacy", "level_id"])
people = partnership.tables["people"]
inside = panel.merge(people[people["school"].isin(schools)][["person_id"]])
means = inside.groupby(study.period)["reading"].mean().dropna()
print(f"first term {means.iloc[0]:.1f}, last term {means.iloc[-1]:.1f}: {means.iloc[-1] - means.iloc[0]:+.1f}")

# %% [markdown]
# ## Do it right
#
# Pupils who were not chosen live through the same terms; those chosen by a low score get better by themselves.

# %%
evaluation = ek.evaluate(study)
for sentence in evaluation.verdicts["sentence"]:
    print("-", sentence)

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
# `tidy` keeps each component from waiting for another.

# %%
for knob in ({}, {"tidy": True}):
    turned = ek.synthetic.partnership("pupils", "realistic", seed=1, size=0.2, **knob)
    statuses = ek.separability(turned.study).components["status"].value_counts()
    print(knob, statuses.to_dict())

# %% [markdown]
# Whoever is chosen for being low comes up again. Only a comparison chosen the same way can tell the rest.
