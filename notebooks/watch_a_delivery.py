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
# # Watch a delivery, and look as often as you like
#
# A programme runs for years, and whoever pays for it wants to know every month how it goes. Whoever looks every month
# at an ordinary interval will one day see it leave zero, although nothing happens. This notebook does it wrong, does it
# right, opens the envelope, and turns one knob until it breaks.

# %%
import numpy as np
import pandas as pd

import evalkit as ek

MONTHS = [f"{2026 + m // 12}-{m % 12 + 1:02d}" for m in range(32)]
PLACES = [f"Place {i + 1:02d}" for i in range(16)]
STARTS = pd.DataFrame({"level_id": PLACES[:8], "start": "2027-01"})


# %% [markdown]
# ## Sixteen places, eight of which start a helpline in January 2027
#
# A month's luck in a place is half of last month's. The helpline adds `effect`: first nothing at all.


# %%
def delivery(effect: float, seed: int, **agreed: object) -> ek.Study:
    """Sixteen places over 32 months as a study, and what was agreed on looks."""
    rng = np.random.default_rng(seed)
    luck = rng.normal(0, 1, (16, len(MONTHS)))
    for t in range(1, len(MONTHS)):
        luck[:, t] = 0.5 * luck[:, t - 1] + np.sqrt(0.75) * luck[:, t]
    luck[:8, 12:] += effect
    place, month = np.divmod(np.arange(luck.size), len(MONTHS))
    rows = pd.DataFrame({"place": np.array(PLACES)[place], "month": np.array(MONTHS)[month], "score": luck.ravel()})
    return ek.Study(
        rows, unit="place", period="month", outcome="score", matters=0.5, settings={"watch": agreed},
        components=[ek.Component("helpline", label="Helpline", adoption=STARTS)],
    )  # fmt: skip


print(ek.separability(delivery(0, seed=1)).components[["component", "status", "reason"]].to_string(index=False))

# %% [markdown]
# ## Do it wrong: look now and then at an ordinary interval
#
# Six looks, a quarter apart, at the published design with its 95% interval. In how many of twelve worlds without any
# effect does one of them leave zero?

# %%
design, false_alarms = ek.StaggeredRollout(base_window=6), 0
for seed in range(12):
    study = delivery(0, seed)
    seen = [design(study.subset(periods=slice(0, last)), "helpline").aggregate("simple") for last in range(15, 33, 3)]
    false_alarms += any(row.to_frame()["p_value"][0] < 0.05 for row in seen)
print(f"{false_alarms} of 12 worlds without an effect raised an alarm at one of six looks")

# %% [markdown]
# ## Do it right: agree on a line first
#
# `ek.watch` takes the looks that are due, each as of the day on which it was due, by the design that `ek.evaluate`
# would use. The line starts far out and draws nearer, so that all looks together raise a false alarm in at most one
# world in twenty. Between looks it shows no new effect.

# %%
agreed = {"first": "2027-03", "last": "2028-06"}
crossed = 0
for seed in range(12):
    crossed += ek.watch(delivery(0, seed, **agreed)).status["status"].eq("crossed the agreed line").any()
print(f"{crossed} of 12 worlds without an effect crossed the agreed line")
for day in ("2027-02-20", "2027-05-01", "2027-06-10"):
    print(day, "-", ek.watch(delivery(1.5, 3, **agreed), as_of=day).status["sentence"][0])

# %% [markdown]
# ## After a crossing
#
# Who stops at the first crossing stops while luck is good. The adjusted estimate takes that flattery out.

# %%
watch = ek.watch(delivery(1.5, 3, **agreed))
print(watch.looks[["through", "estimate", "bound", "z", "crossed"]].round(2).to_string(index=False))
print(watch.status[["estimate", "adjusted", "adjusted_low", "adjusted_high"]].round(2).to_string(index=False))

# %% [markdown]
# ## Open the envelope: a feed with a fault in it
#
# A partnership's feed says when each event occurred, when it was recorded and when it was delivered. Somebody put one
# fault in; we know which. Does the monitor find it, and nothing else?

# %%
partnership = ek.synthetic.partnership("rough_sleeping", size=0.3)
feed = ek.synthetic.event_feed(partnership, fault="exposure_before_start", at=38)
day = feed.when.date() + pd.Timedelta(days=40)
said = ek.watch(
    partnership.study.replace(settings={"watch": {"primary": ["newsletter"], "last": "2018-06", "first": "2018-06"}}),
    feed=feed.events[feed.events["delivered"] <= pd.Timestamp(day)], as_of=day,
)  # fmt: skip
print(said.alarms[["alarm", "where", "what"]].to_string(index=False))

# %% [markdown]
# ## Turn one knob until it breaks
#
# Days from when something occurs until it is recorded. With twelve on average a month is nearly whole a month after its
# end; with ninety it is not, and what is agreed about `settle` has to be longer.

# %%
for delay in (2, 12, 90):
    events = ek.synthetic.event_feed(partnership, delay=delay).events
    month = events[events["occurred"].dt.strftime("%Y-%m") == "2019-05"]
    there = (month["delivered"] <= "2019-06-30").mean()
    print(f"{delay:>3} days on average: {there:.0%} of the events of May were known at the end of June")
