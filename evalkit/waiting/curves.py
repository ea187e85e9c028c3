"""Kaplan-Meier curves by weights: who is still waiting at each time, restricted mean time, and their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Curve:
    """Share still waiting over time (Kaplan and Meier 1958, JASA 53).

    times: (m,) distinct times of events, rising. waiting: (m,) share still waiting just after each. at_risk, events:
    (m,) weights of those who waited until then, and of those to whom it happened then. log_variance: (m,) of the
    logarithm of `waiting`, from each person's part in it: Greenwood's (1926) where all weigh alike, and right for
    weights too; infinite once nobody waits.
    """

    times: np.ndarray
    waiting: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray
    log_variance: np.ndarray

    def at(self, when: np.ndarray | float) -> np.ndarray:
        """Share still waiting just after `when`."""
        return np.asarray(np.r_[1.0, self.waiting][np.searchsorted(self.times, when, side="right")])

    def restricted_mean(self, by: float) -> float:
        """Mean time until the event or `by`, whichever came first: the area under the curve."""
        until = self.times < by
        return float(np.r_[1.0, self.waiting[until]] @ np.diff(np.r_[0.0, self.times[until], by]))

    def ranges(self, quantile: float) -> tuple[np.ndarray, np.ndarray]:
        """(m,) ends of the range of the share still waiting, on the scale log(-log) where it stays between 0 and 1."""
        share = self.waiting
        inside = (share > 1e-12) & (share < 1)
        safe = np.where(inside, share, 0.5)
        reach = np.exp(quantile * np.sqrt(np.where(inside, self.log_variance, 0.0)) / -np.log(safe))
        return np.where(inside, safe**reach, share), np.where(inside, safe ** (1 / reach), share)


def kaplan_meier(time: np.ndarray, event: np.ndarray, weight: np.ndarray | None = None) -> Curve:
    """The curve of people who waited `time` (n,) until the `event` (n,) or until nobody followed them any more; who was
    last seen at the time of an event was at risk of it. weight: (n,) above 0, ones by default."""
    mass = np.ones(len(time)) if weight is None else weight
    times = np.unique(time[event])
    order = np.argsort(time, kind="stable")
    t, w = time[order], mass[order]
    total = np.cumsum(w[::-1])[::-1]
    at_risk = total[np.searchsorted(t, times, side="left")]
    events = np.bincount(np.searchsorted(times, time[event]), weights=mass[event], minlength=len(times))
    ends = events >= at_risk * (1 - 1e-12)
    left = np.where(ends, 0.0, 1 - events / at_risk)
    return Curve(
        times, np.cumprod(left), at_risk, events, _log_variance(t, event[order], w, times, at_risk, events, ends)
    )


def _log_variance(
    t: np.ndarray, event: np.ndarray, w: np.ndarray, times: np.ndarray, at_risk: np.ndarray, events: np.ndarray,
    ends: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(m,) sum of squares of what people in the order of their times (n,) add to log(waiting) at each time: w times
    (event / at risk then, less what was expected of the person until then), and until the end of one's own time."""
    left = np.where(ends, 1.0, at_risk - events)  # people at risk and events, as Greenwood pairs them
    drift = np.r_[0.0, np.cumsum(np.where(ends, 0.0, events / (at_risk * left)))]
    own = np.searchsorted(times, t, side="right")
    jump = np.where(event, 1 / left[np.maximum(own - 1, 0)], 0.0) if len(times) else np.zeros(len(t))
    over = np.r_[0.0, np.cumsum(w**2 * (jump - drift[own]) ** 2)]
    after = np.searchsorted(t, times, side="right")
    waiting = np.sum(w**2) - np.r_[0.0, np.cumsum(w**2)][after]
    return np.where(np.cumsum(ends) > 0, np.inf, over[after] + drift[1:] ** 2 * waiting)
