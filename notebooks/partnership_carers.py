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
# # Unpaid carers in twelve districts
#
# Breaks, education, carer-led groups and digital inclusion. Education stops in a district as its groups start.
#
# All of it is made up. The truth lies in an envelope that no estimate ever opens.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("carers", "realistic", seed=1, size=0.5)
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
# Groups take the place of education: only the swap can be measured, and evalkit says so.

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
# `tidy` keeps each component from waiting for another; `movers` lets people move between districts.

# %%
for knob in ({}, {"tidy": True}, {"tidy": True, "movers": 0.2}):
    turned = ek.synthetic.partnership("carers", "realistic", seed=1, size=0.5, **knob)
    statuses = ek.separability(turned.study).components["status"].value_counts()
    print(knob or "as it was", "->", ", ".join(f"{n} {status}" for status, n in statuses.items()))

# %% [markdown]
# One component in place of another is a question of its own: *is B better than A?* It is not *does B work?*
