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
# # Social prescribing in 24 practices
#
# Link workers, welfare advice, groups for women and for men, and feedback to practices; tests are taken more often
# from those who are worse.
#
# All of it is made up. The truth lies in an envelope that no estimate ever opens.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("social_prescribing", "realistic", seed=1, size=0.5)
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
ek.separability(study)

# %% [markdown]
# ## Do it wrong
#
# Count what was paid for: a first test half a point below the last one before joining. Nobody paid for the comparison
# practices; how many there would have met the same trigger?

# %%
people, panel = partnership.tables["people"], partnership.tables["panel"]
tests = panel.merge(people[["person_id", "in_programme", "entry"]], on="person_id").dropna(subset="hba1c")
before = tests[tests["quarter"] < tests["entry"]].groupby("person_id")["hba1c"].last()
best = tests[tests["quarter"] >= tests["entry"]].groupby("person_id")["hba1c"].min()
met = (before - best >= 0.5).groupby(people.set_index("person_id")["in_programme"]).mean()
print(f"met the trigger: {met[1]:.0%} in the programme, {met[0]:.0%} without it")

# %% [markdown]
# The regression that everybody runs: one 0/1 column a component, effects of people and periods.

# %%
for component in study.components:
    try:
        row = ek.TwoWayFixedEffects()(study, component.name).to_frame().iloc[0]
    except ek.EvalkitError as refused:
        print(f"{component.name:16} {refused}")
        continue
    if row["reason"]:
        print(f"{component.name:16} {row['reason']}")
        continue
    print(f"{component.name:16} {row['estimate']:7.3f}  ({row['conf_low']:7.3f} to {row['conf_high']:7.3f})")

# %% [markdown]
# ## Do it right
#
# Groups for women and for men are told apart by whom they can reach.

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
# `gap` pushes the starts together.

# %%
for knob in ({}, {"gap": 4}, {"gap": 1}):
    turned = ek.synthetic.partnership("social_prescribing", "realistic", seed=1, size=0.2, **knob)
    statuses = ek.separability(turned.study).components["status"].value_counts()
    print(knob or "as it was", "->", ", ".join(f"{n} {status}" for status, n in statuses.items()))

# %% [markdown]
# Reach tells components apart that start on the same day. Register who can be reached by what.
