"""Lines for planned looks: how much of alpha each may spend, where its bound lies, and estimates after a crossing.

Looks are a chain of z values; the correlation of each with the one before comes from their joint covariance. Given
that, bounds are solved one after another by the recursion of Armitage, McPherson and Rowe (1969, Journal of the Royal
Statistical Society A 132), with the O'Brien-Fleming-like spending of Lan and DeMets (1983, Biometrika 70).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr, stdtrit

FAR = 9.0
"""A z value that nothing reaches; a bound there is no bound."""
STILL = 0.9999
"""A look correlated with the one before by this much or more brings nothing new."""
_NODES = 4  # of the quadrature for each standard deviation of a step
_PARAMETER = 2.0  # twice what one more parameter must add to a log likelihood
_ROUND = 20  # numbers of nodes are multiples of this, so that few rules of quadrature are worked out
_SEEN = 6.5  # z beyond which there is no density to speak of


def spent(share: float, alpha: float) -> float:
    """Two-sided alpha that may be spent once a `share` of the looks is over: alpha / 2 on each side,
    4 (1 - Phi(z(1 - alpha / 4) / sqrt(share)))."""
    return float(4 * ndtr(-ndtri(1 - alpha / 4) / np.sqrt(min(share, 1.0)))) if share > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Chain:
    """What is left of the paths of z that have crossed nothing yet: density (m,) at nodes with quadrature weights."""

    nodes: np.ndarray
    density: np.ndarray
    weight: np.ndarray

    @property
    def mass(self) -> float:
        """Probability that nothing was crossed so far."""
        return float(self.density @ self.weight)

    def beyond(self, low: float, high: float, step: Step) -> tuple[float, float]:
        """Probabilities that the next look lies below `low`, and above `high`, nothing crossed before."""
        mean, sd = step.correlation * self.nodes, step.sd
        carried = self.density * self.weight
        return float(carried @ ndtr((low - mean) / sd)), float(carried @ ndtr((mean - high) / sd))

    def onwards(self, low: float, high: float, step: Step) -> Chain:
        """The chain after a look at which it stayed between `low` and `high`."""
        nodes, weight = _rule(low, high, step)
        gap = (nodes[:, None] - step.correlation * self.nodes[None, :]) / step.sd
        density = np.exp(-0.5 * gap**2) @ (self.density * self.weight) / (step.sd * np.sqrt(2 * np.pi))
        return Chain(nodes, density, weight)


@dataclass(frozen=True)
class Step:
    """From one look to the next: correlation of their z values, no more than `STILL`."""

    correlation: float

    @property
    def sd(self) -> float:
        return float(np.sqrt(1 - min(self.correlation, STILL) ** 2))


START = Chain(np.zeros(1), np.ones(1), np.ones(1))


@cache
def _legendre(count: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weight = np.polynomial.legendre.leggauss(count)
    return nodes, weight


def _rule(low: float, high: float, step: Step) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.clip((low, high), -_SEEN, _SEEN)
    wanted = int(np.clip(_NODES * (high - low) / step.sd, 60, 700))
    nodes, weight = _legendre(-(-wanted // _ROUND) * _ROUND)
    half = (high - low) / 2
    return (low + high) / 2 + half * nodes, half * weight


def next_bound(correlations: Sequence[float], bounds: Sequence[float], allowed: float) -> float:
    """The bound at which the next look spends `allowed` (two-sided); `FAR` where it may spend nothing.

    correlations: (k,) of each look's z with that of the look before, the first being 0. bounds: (k - 1,) so far.
    """
    chain = START
    for correlation, bound in zip(correlations, bounds, strict=False):
        chain = chain.onwards(-bound, bound, Step(correlation))
    return _solved(chain, Step(correlations[-1]), allowed)


def planned_bounds(shares: Sequence[float], alpha: float) -> np.ndarray:
    """(K,) bounds where information grows as the shares (K,) do and increments are independent, as textbooks have it:
    the line that can be drawn before there is any outcome."""
    steps = [Step(float(r)) for r in (0.0, *np.sqrt(np.divide(shares[:-1], shares[1:])))]
    chain, bounds, before = START, [], 0.0
    for step, share in zip(steps, shares, strict=True):
        now = spent(share, alpha)
        bounds.append(_solved(chain, step, now - before))
        chain, before = chain.onwards(-bounds[-1], bounds[-1], step), now
    return np.array(bounds)


def _solved(chain: Chain, step: Step, allowed: float) -> float:
    if allowed <= 0 or step.correlation >= STILL or sum(chain.beyond(-FAR, FAR, step)) >= allowed:
        return FAR

    def over(bound: float) -> float:
        return sum(chain.beyond(-bound, bound, step)) - allowed

    return float(brentq(over, 0.0, FAR, xtol=1e-8)) if over(0.0) > 0 else 0.0


def z_of(t: float, df: float) -> float:
    """The z value that is as rare as a t value with so many degrees of freedom."""
    if not np.isfinite(df):
        return float(t)
    return float(-np.sign(t) * ndtri(stdtr(df, -abs(t))))


def t_of(z: float, df: float) -> float:
    """The t value that is as rare as a z value: what a bound is in standard errors."""
    return float(z) if not np.isfinite(df) else float(-np.sign(z) * stdtrit(df, ndtr(-abs(z))))


def sequence_bound(information: float, planned: float, alpha: float) -> float:
    """z beyond which a look that nobody planned is notable, whenever it is taken: a confidence sequence by a normal
    mixture that is narrowest at the `planned` information (Robbins 1970, Annals of Mathematical Statistics 41). It
    holds where `planned` is one and the same at all looks."""
    level = -2 * np.log(alpha)
    rho = planned / (level + np.log(level) + 1)
    return float(np.sqrt((1 + rho / information) * (np.log1p(information / rho) + level)))


@dataclass(frozen=True)
class Held:
    """One planned look held against its bound: what it saw, with standard error and the degrees of freedom that lines
    go by, its bound in z, and the correlation of its z with that of the look before."""

    estimate: float
    std_error: float
    df: float
    bound: float
    correlation: float

    def z(self, distance: float) -> float:
        """The z value of an estimate so far from the effect."""
        return z_of(distance / self.std_error, self.df)

    @property
    def line(self) -> float:
        """How far from nought its line is crossed."""
        return t_of(self.bound, self.df) * self.std_error if self.bound < FAR else np.inf


@dataclass(frozen=True)
class Adjusted:
    """An effect after a crossing with the flattery of stopping taken out: median unbiased, with its interval."""

    estimate: float
    low: float
    high: float


def adjusted(looks: Sequence[Held], level: float = 0.95) -> Adjusted:
    """The effect under which it is as likely as not to cross as early or as far as was seen, looks ordered by stage
    (Tsiatis, Rosner and Mehta 1984, Biometrics 40; Grayling and others 2017 for rollouts); and the interval of effects
    under which that is neither too rare nor too common.

    An effect that grew, or came late, is not held to have been there before: see `_moved`. What had been larger is
    taken for chance, so that a range after a crossing leaves out what the line leaves out. With one look it is the
    estimate with its t interval. looks: the planned looks up to that which crossed. Simulated in
    `benchmarks/watch_stopping.py`.
    """
    size, sign, reach = abs(looks[-1].estimate), float(np.sign(looks[-1].estimate)) or 1.0, (1 - level) / 2
    before = [min(sign * moved, 0.0) for moved in _moved(looks)]

    def where(probability: float) -> float:
        return _solve(lambda effect: _as_far(effect, looks, before, size) - probability, size, looks[-1].std_error)

    ends = sorted(sign * where(p) for p in (reach, 1 - reach))
    return Adjusted(sign * where(0.5), ends[0], ends[1])


def _moved(looks: Sequence[Held]) -> list[float]:
    """By how much the effect had been another at each look before the last: what it differed by, d, times
    1 - 2 v / d^2, with v the variance of the difference where the effect is the same; none where that is negative.

    2 is the price of one more parameter (Akaike 1974, IEEE Transactions on Automatic Control 19): differences that
    chance would make count for nothing, those far beyond it whole.
    """
    last, moved, r = looks[-1], [], 1.0
    for look, following in zip(looks[-2::-1], looks[:0:-1], strict=True):
        r *= following.correlation
        variance = look.std_error**2 + last.std_error**2 - 2 * r * look.std_error * last.std_error
        gap = look.estimate - last.estimate
        moved.append(gap - _PARAMETER * variance / gap if gap**2 > _PARAMETER * variance else 0.0)
    return moved[::-1]


def _solve(rising: Callable[[float], float], near: float, step: float) -> float:
    """Where a rising function is nought."""
    low, high, width = near, near, step
    while rising(low) > 0:
        low, width = low - width, 2 * width
    width = step
    while rising(high) < 0:
        high, width = high + width, 2 * width
    return float(brentq(rising, low, high, xtol=1e-5 * step)) if low < high else near


def _as_far(effect: float, looks: Sequence[Held], before: Sequence[float], estimate: float) -> float:
    """Probability under an effect of crossing upwards before the last look, or of reaching the estimate there.

    before: what the effect had been at each look before the last, less the effect. What is carried from look to look
    is how far an estimate lies from the effect, as a z value: standard normal whatever the effect and however few the
    degrees of freedom. Lines move by the effect instead; a look whose lines are out of reach is passed over.
    """
    chain, total, r = START, 0.0, 1.0
    for look, moved in zip(looks, before, strict=False):
        r *= look.correlation
        low, high = (look.z(side * look.line - effect - moved) for side in (-1, 1))
        if -low > _SEEN + 1 < high:
            continue
        total += chain.beyond(low, high, Step(r))[1]
        if min(high, -low) < -_SEEN:
            return total
        chain, r = chain.onwards(low, high, Step(r)), 1.0
    last = looks[-1]
    return total + chain.beyond(-np.inf, last.z(estimate - effect), Step(r * last.correlation))[1]
