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
# # Two-way fixed effects: what everybody runs, and what it borrows
#
# A regression with a column a component, and effects of places and months. It is one line of code in every package,
# and its coefficients mix components. evalkit shows it, with what it borrowed, and never makes it a headline.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("rough_sleeping", "clean", seed=2, size=2)
study = partnership.study


def line(words, estimate):
    """Estimate and interval of one row."""
    row = estimate.to_frame().iloc[0]
    print(f"{words:38} {row['estimate']:6.3f}  ({row['conf_low']:6.3f} to {row['conf_high']:6.3f})")


# %% [markdown]
# ## The one line

# %%
for component in ("policy", "nurse", "newsletter"):
    line(f"coefficient of {component}", ek.TwoWayFixedEffects()(study, component))

# %% [markdown]
# ## Whose effects are in it?
#
# Every coefficient is a weighted sum of the effects of **all** components in all places and months. Its own weights
# sum to one, some of them may be negative; those of every other component sum to zero, and cancel only if that other
# effect is the same everywhere and from the first month on.

# %%
weights = ek.TwoWayFixedEffects().contamination(study, "newsletter")
print(weights[["source", "from_component", "sum_of_weights", "positive", "negative"]].round(2).to_string(index=False))

# %%
import pandas as pd

table = pd.concat([ek.TwoWayFixedEffects().contamination(study, c) for c in ("policy", "nurse", "newsletter")])
ek.plot.describe("contamination", table, labels={c.name: c.label for c in study.components})

# %% [markdown]
# ## Right: compare like with like

# %%
line("newsletter, others on the same path", ek.StaggeredRollout(base_window=6)(study, "newsletter").aggregate("simple"))

# %% [markdown]
# ## Open the envelope

# %%
truth = partnership.reveal_truth()
print({c: round(truth.of(c, "settled"), 3) for c in ("policy", "nurse", "newsletter")})

# %% [markdown]
# ## Turn one knob until it breaks
#
# The closer the starts, the less there is to tell them apart by. The regression goes on giving numbers.

# %%
for gap in (12, 3, 1):
    turned = ek.synthetic.partnership("rough_sleeping", "clean", seed=2, gap=gap)
    status = ek.separability(turned.study).components.set_index("component").loc["newsletter", "status"]
    line(f"gap {gap}: newsletter ({status})", ek.TwoWayFixedEffects()(turned.study, "newsletter"))

# %% [markdown]
# A coefficient is a number even when nothing can be told apart. That is the trouble with it.
