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
# # Imputation: what would have happened without any of it
#
# Fit units and months on the rows in which nothing has begun; predict all other rows; the difference is the
# programme. Then ask how much of it each component can be given.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("rough_sleeping", "clean", seed=2, size=2)
study = partnership.study


def line(words, estimate):
    """Estimate and interval of one row."""
    row = estimate.to_frame().iloc[0]
    print(f"{words:38} {row['estimate']:6.3f}  ({row['conf_low']:6.3f} to {row['conf_high']:6.3f})")


# %% [markdown]
# ## Wrong: compare the programme's people with everybody else, afterwards

# %%
panel, adoption = partnership.tables["panel"], partnership.tables["adoption"]
places = set(adoption.loc[adoption["component"] == "nurse", "level_id"])
late = panel[panel["month"] >= "2020-01"].merge(partnership.tables["people"][["person_id", "borough"]])
means = late.groupby(late["borough"].isin(places))["settled"].mean()
print(f"boroughs with a nurse {means[True]:.3f}, the others {means[False]:.3f}: {means[True] - means[False]:+.3f}")

# %% [markdown]
# They were never alike to begin with.
#
# ## Right: against what their own earlier months predict

# %%
for component in ("policy", "nurse", "newsletter"):
    line(f"imputed: {component}", ek.Imputation()(study, component).aggregate("simple"))

# %% [markdown]
# ## Open the envelope

# %%
truth = partnership.reveal_truth()
for component in ("policy", "nurse", "newsletter"):
    print(f"{component:12} truth: {truth.of(component, 'settled'):.3f}")

# %% [markdown]
# ## Do effects add up? The test that comes with it

# %%
found = ek.Imputation()(study, "policy")
print(f"p of the test of additivity: {found.labels['additivity_p'].iloc[0]:.3f}")

# %% [markdown]
# ## Turn one knob until it breaks
#
# `crisis` lets people join at a crisis. Whoever joins at the worst moment gets better anyway, and earlier months no
# longer predict.

# %%
for crisis in (None, "one"):
    turned = ek.synthetic.partnership("rough_sleeping", "clean", seed=2, size=2, crisis=crisis)
    estimate = ek.Imputation()(turned.study, "policy").aggregate("simple").to_frame()["estimate"].iloc[0]
    opened = turned.reveal_truth().of("policy", "settled")
    print(f"joined at a crisis: {crisis!s:5} imputed {estimate:.3f}, truth {opened:.3f}")

# %% [markdown]
# No design mends that. What helps is to recruit the comparison people the same way (`crisis="both"`): try it.
