"""Kaplan-Meier curves by weights: who is still waiting at each time, restricted mean time, and their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Curve:
    """Share still waiting over time (Kaplan and Meier 1958, JASA 53).

    times: (m,) distinct times of events, rising. waiting: (m,) share still waiting just after each. at_risk, events:
    (m,) weights of those who waited until then, and of those to whom it happened then.
    """

    times: np.ndarray
    waiting: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray

    def at(self, when: np.ndarray | float) -> np.ndarray:
        """Share still waiting just after `when`."""
        return np.r_[1.0, self.waiting][np.searchsorted(self.times, when, side="right")]

    def restricted_mean(self, by: float) -> float:
        """Mean time until the event or `by`, whichever came first: the area under the curve."""
        until = self.times < by
        return float(np.r_[1.0, self.waiting[until]] @ np.diff(np.r_[0.0, self.times[until], by]))

    def log_variance(self) -> np.ndarray:
        """(m,) Greenwood's (1926) variance of log(waiting) just after each time; infinite once nobody waits."""
        with np.errstate(divide="ignore", invalid="ignore"):
            step = self.events / (self.at_risk * (self.at_risk - self.events))
        return np.asarray(np.cumsum(np.where(self.events < self.at_risk, step, np.inf)))


def kaplan_meier(time: np.ndarray, event: np.ndarray, weight: np.ndarray | None = None) -> Curve:
    """The curve of people who waited `time` (n,) until the `event` (n,) or until nobody followed them any more; who was
    last seen at the time of an event was at risk of it. weight: (n,), ones by default."""
    mass = np.ones(len(time)) if weight is None else weight
    times = np.unique(time[event])
    order = np.argsort(time, kind="stable")
    before = np.r_[0.0, np.cumsum(mass[order])]
    at_risk = before[-1] - before[np.searchsorted(time[order], times, side="left")]
    events = np.bincount(np.searchsorted(times, time[event]), weights=mass[event], minlength=len(times))
    left = np.maximum(1 - np.divide(events, at_risk, out=np.zeros(len(times)), where=at_risk > 0), 0.0)
    return Curve(times, np.cumprod(left), at_risk, events)


def ranges(curve: Curve, quantile: float) -> tuple[np.ndarray, np.ndarray]:
    """(m,) ends of the range of the share still waiting, on the scale log(-log) where it stays between 0 and 1."""
    share = curve.waiting
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        reach = quantile * np.sqrt(curve.log_variance()) / np.abs(np.log(share))
        low, high = share ** np.exp(reach), share ** np.exp(-reach)
    inside = (share > 0) & (share < 1)
    return np.where(inside, low, share), np.where(inside, high, share)
