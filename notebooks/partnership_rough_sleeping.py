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
# # Rough sleeping in ten boroughs
#
# An allocation policy, a nurse, a court liaison worker, a newsletter that did nothing, and a keyworker for everybody.
#
# All of it is made up. The truth lies in an envelope that no estimate ever opens.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("rough_sleeping", "realistic", seed=1)
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
# Each component by the strongest design that the rollout supports; refusals included.

# %%
evaluation = ek.evaluate(study)
evaluation

# %%
ek.plot.describe("forest", evaluation)

# %% [markdown]
# What did one more month in a settled home cost? Costs, rate card, claims and what outcomes are worth lie beside the
# panel.

# %%
evaluation.value

# %% [markdown]
# And what to do next? *Cannot tell* is not the last word: each line says what is ruled out, how likely a benefit is
# when one starts from doubt, and what to do. Nothing is ranked.

# %%
evaluation.decisions

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
# `gap` pushes the starts together; with `movers`, a fifth of the people move to another borough.

# %%
for knob in ({}, {"movers": 0.2}, {"gap": 6}, {"gap": 1}):
    turned = ek.synthetic.partnership("rough_sleeping", "realistic", seed=1, size=0.5, **knob)
    statuses = ek.separability(turned.study).components["status"].value_counts()
    print(
        knob or "as it was",
        "->",
        ", ".join(f"{n} {status}" for status, n in statuses.items()),
        f"{turned.study.movers} people moved",
    )

# %% [markdown]
# With few boroughs, honest ranges are wide. *Cannot tell* is the right answer here, and it comes with what would let
# us tell.
