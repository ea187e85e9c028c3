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
# # Eighty placements in four authorities
#
# Double running, a therapist, mentors and matching, for young people who are hard to place. Workers chose who got how
# much.
#
# All of it is made up. The truth lies in an envelope that no estimate ever opens.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("young_people", "realistic", seed=1)
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
# Four authorities cannot carry much. The verdicts say so.

# %%
evaluation = ek.evaluate(study)
evaluation

# %%
ek.plot.describe("forest", evaluation)

# %% [markdown]
# Each placement that held for 52 weeks was paid for. How much of that would have been paid for anyway is what such
# small numbers cannot say.

# %%
print(partnership.tables["claims"].groupby("outcome_id")["amount_gbp"].agg(["size", "sum"]))
for line in evaluation.value.table.itertuples():
    print("-", f"{line.label}: {line.words}")

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
# `size` multiplies the people, not the authorities.

# %%
for knob in ({}, {"size": 3}):
    turned = ek.synthetic.partnership("young_people", "realistic", seed=1, **knob)
    statuses = ek.separability(turned.study).components["status"].value_counts()
    print(knob or "as it was", "->", ", ".join(f"{n} {status}" for status, n in statuses.items()))

# %% [markdown]
# More people in the same four authorities do not make more authorities. Decisions are counted, not people.
