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
ek.separability(study)

# %% [markdown]
# ## Do it wrong
#
# Reading in the term before pupils joined, and a year later. The comparison schools had none of it.

# %%
people, panel = partnership.tables["people"], partnership.tables["panel"]
prompt = panel.merge(people[people["entry"] == 7], on="person_id")
means = prompt.groupby(["in_programme", "term"])["reading"].mean().unstack()
for side, words in ((1, "programme schools"), (0, "comparison schools")):
    print(f"{words}: {means.loc[side, 6]:.1f} before, {means.loc[side, 9]:.1f} a year later")

# %% [markdown]
# ## Do it right
#
# Both sides were chosen by a low score, and both come up again by themselves; only the difference counts.

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
# ## At the line
#
# `cutoff` holds every pupil of the programme schools, also those just above the line. What did being taken on do for
# those just below it? More pupils make the answer sharper.

# %%
larger = ek.synthetic.partnership("pupils", "realistic", seed=1, size=4)
design = ek.RegressionDiscontinuity("margin", cutoff=0)
jump = design(larger.cutoff_study, "support")
means = larger.cutoff.groupby("chosen")["later"].mean()
truth = larger.reveal_truth().of("support", "reading", "at_cut", "within 5 points")
print(f"chosen less not chosen {means[1] - means[0]:+.1f}")
print(f"at the line {jump.value:+.2f} ({jump.low:+.2f} to {jump.high:+.2f}); the truth there {truth:+.2f}")

# %%
expected = design.expected(larger.cutoff_study, "support", bins=20)
ek.plot.describe("regression_to_mean", expected, score="points above the line", outcome="reading two years later")

# %% [markdown]
# The lowest twentieth were on average 15 points below the line when they were chosen. Even without any help they would
# have been nearer to it two years later: that much is the score's noise.

# %% [markdown]
# ## Turn one knob until it breaks
#
# `crisis="one"`: only the programme chooses by a low score; the comparison schools have pupils of every kind. How much
# better did the programme's pupils do, a year after joining?

# %%
for sides in ("both", "one"):
    turned = ek.synthetic.partnership("pupils", "realistic", seed=1, crisis=sides)
    people, panel = turned.tables["people"], turned.tables["panel"]
    prompt = panel.merge(people[people["entry"] == 7], on="person_id")
    means = prompt.groupby(["in_programme", "term"])["reading"].mean().unstack()
    gain = means[9] - means[6]
    print(f"{sides}: {gain[1]:+.1f} in the programme, {gain[0]:+.1f} beside it, so {gain[1] - gain[0]:+.1f}")

# %% [markdown]
# Whoever is chosen for being low comes up again. Only a comparison chosen the same way can tell the rest.
