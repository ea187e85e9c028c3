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
# # Staggered rollout: places that wait are the comparison
#
# Components begin in different places at different times, so places that still wait show what would have happened.
# With several components at once, *which* waiting places are used decides everything. This notebook does it wrong,
# sees by how much, does it right, opens the envelope, and turns one knob until it breaks.

# %% [markdown]
# ## A partnership whose truth is known
#
# Ten boroughs helped people who sleep rough. The landlords' newsletter did **nothing** (the simulation says so), but
# it began close to two components that helped.

# %%
import evalkit as ek

partnership = ek.synthetic.partnership("rough_sleeping", "clean", seed=2, size=2)
study = partnership.study


def line(words, estimate):
    """Estimate and interval of one row."""
    row = estimate.to_frame().iloc[0]
    print(f"{words:38} {row['estimate']:6.3f}  ({row['conf_low']:6.3f} to {row['conf_high']:6.3f})")


# %% [markdown]
# ## Before any outcome: what can be told apart

# %%
audit = ek.separability(study)
print(audit.components[["component", "status", "switches", "clean_switches"]].to_string(index=False))
ek.plot.describe("timeline", study)

# %% [markdown]
# ## Wrong: one component at a time
#
# Most software takes one 0/1 treatment. Run on the newsletter, it compares boroughs that began it with boroughs that
# did not, whatever else they had.

# %%
wrong = ek.StaggeredRollout(others="ignored", base_window=6)(study, "newsletter").aggregate("simple")
line("others ignored", wrong)

# %% [markdown]
# The interval excludes zero. Somebody would now print: *the newsletter works*.
#
# ## Right: only places whose other components followed the same path

# %%
right = ek.StaggeredRollout(others="same", base_window=6)(study, "newsletter").aggregate("simple")
line("others on the same path", right)

# %% [markdown]
# ## Open the envelope

# %%
truth = partnership.reveal_truth().of("newsletter", "settled")
print(f"the truth: {truth:.3f}")
error = wrong.to_frame()["estimate"].iloc[0] - truth
print(f"ignoring the others is wrong by {100 * error:.0f} people in every 100")

# %% [markdown]
# ## How much each place and month counts
#
# The published method holds each start against the mean of the months just before it, all alike. People change slowly:
# last month says more than the month a year ago, and the whole history says something. *Weights of least noise* are
# those of the least variance over the same comparisons, made from how people and places vary before the start. No
# effect enters them: add any number to the months with the component, and the weights stay as they are.

# %%
for words, weights in (("equal weights, as published", "equal"), ("weights of least noise", "least_noise")):
    policy = ek.StaggeredRollout(base_window=6, weights=weights)(study, "policy").aggregate("simple")
    line(words, policy)
    truth = partnership.truth_for(policy.weights()).iloc[0]
    print(f"{'':38} {truth:6.3f}  is the truth of these cells")

# %% [markdown]
# Who is compared with whom stays a matter of the rollout, and can be looked at: a row a place, a column a month. Blue
# counts for the answer, rust against it; months with the policy are framed. Every place is set against itself, so that
# its weights before and after cancel, and every month against the same month in places alike.

# %%
evaluation = ek.evaluate(study.replace(outcomes=study.outcomes[:1]))
counts = evaluation.compared[evaluation.compared["component"] == "policy"]
ek.plot.describe("compared", counts, labels={"policy": "Allocation policy"}, place="borough")

# %% [markdown]
# `evaluate` takes these weights for its headlines and keeps the published ones beside them, so that anybody can see
# whether they say something else.

# %%
rows = evaluation.effects.query("component == 'policy' and design.str.startswith('StaggeredRollout(same')")
print(rows[["design", "estimate", "std_error", "inference"]].round(3).to_string(index=False))

# %% [markdown]
# ## Turn one knob until it breaks
#
# `gap` pushes the starts of all components together. At 1 they begin within a month of each other.

# %%
for gap in (None, 6, 1):
    knob = {} if gap is None else {"gap": gap}
    turned = ek.synthetic.partnership("rough_sleeping", "clean", seed=2, **knob)
    row = ek.separability(turned.study).components.set_index("component").loc["newsletter"]
    print(f"gap {gap!s:5} {row['status']:18} {int(row['clean_switches'])} clean switches. {row['reason']}")

# %% [markdown]
# evalkit does not give a number then. It says what would have let us tell: **begin the newsletter some months later
# in two boroughs**. The lesson is about rollouts, not about regressions.
