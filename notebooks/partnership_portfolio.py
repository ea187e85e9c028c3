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
# # What worked where: a portfolio of sixteen partnerships
#
# Each delivered its own mix of six components in its own sites, and each is a study of its own. Alone, most of them
# cannot tell. Together they can, if what each hands on says enough: estimates, their covariance, and the refusals.
#
# All of it is made up. The truth lies in an envelope that no estimate ever opens.

# %%
import tempfile
from pathlib import Path

import evalkit as ek

partnership = ek.synthetic.partnership("portfolio", "realistic", seed=1, size=2 / 3)
print(f"{len(partnership.studies)} places, such as {', '.join(list(partnership.studies)[:3])}")

# %% [markdown]
# ## One place alone

# %%
first, *others = partnership.with_card
evaluation = ek.evaluate(partnership.studies[first])
evaluation

# %% [markdown]
# ## What a place hands on: an evidence card
#
# One small JSON. A person says which component is which across places (`terms`). Refusals are rows too. No unit's or
# cluster's value is in it, nor an estimate without one cluster, which would give that cluster's own away.


# %%
def card_of(place: str, evaluation: ek.Evaluation):
    terms = {name: term for name, term in partnership.terms().items() if name in evaluation.study.paths.components}
    return ek.card(evaluation, study=place, terms=terms, population={"place": place})


cards = [card_of(first, evaluation)]
cards += [card_of(place, ek.evaluate(partnership.studies[place])) for place in others]
print(cards[0])

# %% [markdown]
# ## Do it wrong
#
# Count in how many places the programme "worked", and credit every component that was there.

# %%
for name in partnership.terms():
    mine = [r for c in cards if name in c.components for r in c.numbered if r.kind == "programme"]
    worked, mean = sum(r.estimate > 0 for r in mine), sum(r.estimate for r in mine) / max(len(mine), 1)
    print(f"{name:14} “worked” in {worked} of {len(mine)} programmes, which came out {mean:+.2f}")

# %% [markdown]
# Training for work does nothing; it was there when others did.

# %% [markdown]
# ## Do it right
#
# Pool the component estimates that rollouts gave, with their covariance. Places differ, and intervals are by place.

# %%
pooled = ek.pool(cards)
pooled

# %% [markdown]
# What one more place may expect, of one component or of a mix, is a wider range than the average of all.

# %%
for mix in (["key_worker"], ["key_worker", "therapy"]):
    told = pooled.predict(mix)
    print(f"{' with '.join(mix):26} {told.estimate:+.2f} ({told.conf_low:+.2f} to {told.conf_high:+.2f}) {told.reason}")

# %% [markdown]
# ## Open the envelope

# %%
score = partnership.score(pooled.components)
print(
    score[["component", "verdict", "estimate", "conf_low", "conf_high", "truth", "covered"]]
    .round(3)
    .to_string(index=False)
)

# %% [markdown]
# ## Turn one knob until it breaks
#
# Fewer places: with two a component has no pooled range any more, and the places stand side by side.

# %%
for few in (len(cards), len(cards) // 2, 3):
    verdicts = ek.pool(cards[:few]).components["verdict"].value_counts()
    print(few, "cards ->", ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items()))

# %% [markdown]
# ## The page, and the next place
#
# The page stands in a folder with its tables and a prior, which the seventeenth place takes before it spends a pound:
# `ek.decide(evaluation, prior="pool.json")`.

# %%
with tempfile.TemporaryDirectory() as folder:
    page = ek.portfolio(pooled, Path(folder) / "page")
    print(sorted(p.name for p in page.parent.iterdir()))
    prior = page.parent / "pool.json"
    if prior.exists():
        print(
            ek.decide(evaluation, prior=prior)
            .table[["component", "prior", "chance_better", "act"]]
            .to_string(index=False)
        )
