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
# # Joint event study: every component in one regression
#
# Where no place switches one component while all else stands still, only an assumption can help: **effects add up**.
# The joint event study gives every component its own months since the start, in one regression.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("rough_sleeping", "clean", seed=2, size=2)
study = partnership.study


def line(words, estimate):
    """Estimate and interval of one row."""
    row = estimate.to_frame().iloc[0]
    print(f"{words:38} {row['estimate']:6.3f}  ({row['conf_low']:6.3f} to {row['conf_high']:6.3f})")


# %% [markdown]
# ## Wrong: one 0/1 column a component
#
# The regression that everybody runs takes effects that are the same from the first month on. Effects here grow.

# %%
for component in ("policy", "nurse", "newsletter"):
    line(f"one column: {component}", ek.TwoWayFixedEffects()(study, component))

# %% [markdown]
# ## Right, if effects add up: months since the start, for every component at once

# %%
joint = {c: ek.JointEventStudy()(study, c).aggregate("simple") for c in ("policy", "nurse", "newsletter")}
for component, estimate in joint.items():
    line(f"joint: {component}", estimate)

# %% [markdown]
# ## Open the envelope

# %%
truth = partnership.reveal_truth()
for component in joint:
    print(f"{component:12} truth, as the others were: {truth.of(component, 'settled'):.3f}")

# %% [markdown]
# ## It says what it assumes

# %%
print(joint["policy"].labels["population"].iloc[0])

# %% [markdown]
# ## Turn one knob until it breaks
#
# `synergy` makes components do more together than the sum of the two. Then effects do not add up.

# %%
for synergy in (0.0, 1.0, 4.0):
    turned = ek.synthetic.partnership("rough_sleeping", "clean", seed=2, size=2, synergy=synergy)
    found = ek.JointEventStudy()(turned.study, "nurse").aggregate("simple").to_frame()["estimate"].iloc[0]
    opened = turned.reveal_truth()
    first, last = (opened.of("nurse", "settled", kind) for kind in ("first_in", "last_in"))
    print(f"synergy {synergy}: joint {found:.3f}; the nurse alone {first:.3f}, with the others there {last:.3f}")

# %% [markdown]
# With synergy, *the* effect of the nurse does not exist: it depends on what else is there. A verdict that rests on
# this design alone is called *likely* at most, and names the assumption.
