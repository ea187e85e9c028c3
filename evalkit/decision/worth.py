"""What an effect is worth beside its cost: net benefit, thresholds, losses, and the worth of knowing more.

A `Stake` is what the cells compared cost and reached; effects are in units of what matters, so that N people periods,
at a worth of w for one outcome, bring N m w theta, and the break-even effect is b = C / (N m w).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from evalkit.decision.posterior import Posterior, widened

#: Extend from this chance that it pays, stop at that one.
EXTEND, STOP = 0.70, 0.30
#: Later rounds for which what the next rollout tells can be used.
ROUNDS = 3
_TEST_FIXED, _TEST_SHARE = 0.02, 0.10
_NORMAL = 1e9  # degrees of freedom from which on a t is a normal


@dataclass(frozen=True)
class Stake:
    """Money about one line: `people_periods` and `cost` of the cells compared, `whole` of all of it, `worth` of one
    outcome (low, high), None where unknown. unpriced: why nothing can be set against the cost, '' where it can.
    conflict: why the amounts do not go together, '' where they do. left_out: what the price leaves out.
    testing: cost of the next rollout where one is planned; NaN for the rule of `cost_of_testing`."""

    people_periods: float = math.nan
    cost: float = math.nan
    whole: float = math.nan
    worth: tuple[float, float] | None = None
    unpriced: str = ""
    conflict: str = ""
    left_out: tuple[str, ...] = ()
    testing: float = math.nan

    @property
    def costed(self) -> bool:
        """Whether there is a cost that falls on people periods compared."""
        return self.cost > 0 and self.people_periods > 0


@dataclass(frozen=True)
class Return:
    """What is to be had at one worth of an outcome: net benefit with its range of 8 in 10, chance that it pays,
    expected losses of keeping and of stopping, and the value of the next rollout (all rounds and places)."""

    worth: float
    break_even: float
    net_benefit: float
    net_benefit_low: float
    net_benefit_high: float
    chance_pays: float
    loss_keep: float
    loss_stop: float
    next_rollout: float
    cost_of_testing: float


def return_at(worth: float, stake: Stake, matters: float, believed: Posterior, again: float, left: bool) -> Return:
    """The return of one line (a posterior of one row) at one worth.

    matters: in the outcome's unit. again: variance of the next rollout, in units of what matters squared. left: whether
    places without it are left, so that as many again could have it.
    """
    scale = stake.people_periods * matters * worth
    effect = stake.cost / scale
    low, high = (float(believed.quantile(q)[0]) * scale - stake.cost for q in (0.1, 0.9))
    rollout = float(rollout_value(believed.mean, believed.sd, again, effect)[0])
    return Return(
        worth, effect, float(believed.mean[0]) * scale - stake.cost, low, high, float(believed.above(effect)[0]),
        float(believed.loss(effect)[0]) * scale, float(believed.gain(effect)[0]) * scale,
        rounds_and_places(left) * rollout * scale,
        stake.testing if math.isfinite(stake.testing) else float(cost_of_testing(effect)) * scale,
    )  # fmt: skip


def rounds_and_places(left: bool) -> int:
    """Rounds in which the next rollout's answer is used, over the places that it is used in."""
    return ROUNDS * (2 if left else 1)


def cost_of_testing(effect: ArrayLike) -> np.ndarray:
    """Cost of one more rollout that is compared, in units of N m w: .02 and a tenth of the cost."""
    return _TEST_FIXED + _TEST_SHARE * np.asarray(effect, dtype=float)


def next_variance(std_error: ArrayLike, df: ArrayLike) -> np.ndarray:
    """Variance of an answer from a rollout as large again, t with `df` (as with 2.5 where there are fewer)."""
    df = np.minimum(np.asarray(df, dtype=float), _NORMAL)  # infinitely many would be infinity over infinity
    return widened(std_error) ** 2 * np.where(df > 2.5, df / np.maximum(df - 2, 0.5), 5.0)


def rollout_value(mean: ArrayLike, sd: ArrayLike, variance: ArrayLike, effect: ArrayLike) -> np.ndarray:
    """Expected value of sample information for each round, in units of N m w: s [phi(z) + z Phi(z)] - max(E - b, 0)
    with s = sd^2 / sqrt(sd^2 + v), z = (E - b) / s (Claxton 1999, Journal of Health Economics 18; normal)."""
    mean, sd, variance, effect = (np.asarray(a, dtype=float) for a in (mean, sd, variance, effect))
    return best_after(mean, sd, variance, effect) - np.maximum(mean - effect, 0.0)


def best_after(mean: ArrayLike, sd: ArrayLike, variance: ArrayLike, effect: ArrayLike) -> np.ndarray:
    """Expectation of what the better of extending and stopping brings once the next rollout is in."""
    mean, sd, variance, effect = (np.asarray(a, dtype=float) for a in (mean, sd, variance, effect))
    spread = sd**2 / np.sqrt(sd**2 + variance)
    z = (mean - effect) / spread
    return spread * (np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi) + z * ndtr(z))


def threshold(stake: Stake, matters: float, believed: Posterior, chance: float) -> float:
    """Worth of one outcome from which it pays with this `chance`: C / (N m q(1 - chance)); infinite where none does."""
    quantile = float(believed.quantile(1 - chance)[0])
    return stake.cost / (stake.people_periods * matters * quantile) if quantile > 0 else math.inf


def break_even_worth(stake: Stake, matters: float, believed: Posterior) -> float:
    """Worth of one outcome at which its expectation pays for the cost; infinite where no benefit is expected."""
    mean = float(believed.mean[0])
    return stake.cost / (stake.people_periods * matters * mean) if mean > 0 else math.inf
