"""Lines for planned looks: how much of alpha each may spend, where its bound lies, and estimates after a crossing.

Looks are a chain of z values; the correlation of each with the one before comes from their joint covariance. Given
that, bounds are solved one after another by the recursion of Armitage, McPherson and Rowe (1969, Journal of the Royal
Statistical Society A 132), with the O'Brien-Fleming-like spending of Lan and DeMets (1983, Biometrika 70).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr, stdtrit

FAR = 9.0
"""A z value that nothing reaches; a bound there is no bound."""
STILL = 0.9999
"""A look correlated with the one before by this much or more brings nothing new."""
_NODES = 4  # of the quadrature for each standard deviation of a step
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

    def beyond(self, bound: float, step: Step) -> tuple[float, float]:
        """Probabilities that the next look lies below -bound, and above bound, nothing crossed before."""
        mean, sd = step.mean(self.nodes), step.sd
        carried = self.density * self.weight
        return float(carried @ ndtr((-bound - mean) / sd)), float(carried @ ndtr((mean - bound) / sd))

    def onwards(self, bound: float, step: Step) -> Chain:
        """The chain after a look at which it stayed within `bound`."""
        nodes, weight = _rule(min(bound, _SEEN + abs(step.after)), step)
        gap = (nodes[:, None] - step.mean(self.nodes)[None, :]) / step.sd
        density = np.exp(-0.5 * gap**2) @ (self.density * self.weight) / (step.sd * np.sqrt(2 * np.pi))
        return Chain(nodes, density, weight)


@dataclass(frozen=True)
class Step:
    """From one look to the next: correlation of their z values, and their means under a drift."""

    correlation: float
    before: float = 0.0
    after: float = 0.0

    @property
    def sd(self) -> float:
        return float(np.sqrt(1 - min(self.correlation, STILL) ** 2))

    def mean(self, z: np.ndarray) -> np.ndarray:
        """Mean of the next z where the last one was `z`."""
        return self.after + self.correlation * (z - self.before)


START = Chain(np.zeros(1), np.ones(1), np.ones(1))


def _rule(bound: float, step: Step) -> tuple[np.ndarray, np.ndarray]:
    count = int(np.clip(_NODES * 2 * bound / step.sd, 60, 700))
    nodes, weight = np.polynomial.legendre.leggauss(count)
    return bound * nodes, bound * weight


def next_bound(correlations: Sequence[float], bounds: Sequence[float], allowed: float) -> float:
    """The bound at which the next look spends `allowed` (two-sided); `FAR` where it may spend nothing.

    correlations: (k,) of each look's z with that of the look before, the first being 0. bounds: (k - 1,) so far.
    """
    chain = START
    for correlation, bound in zip(correlations, bounds, strict=False):
        chain = chain.onwards(bound, Step(correlation))
    return _solved(chain, Step(correlations[-1]), allowed)


def planned_bounds(shares: Sequence[float], alpha: float) -> np.ndarray:
    """(K,) bounds where information grows as the shares (K,) do and increments are independent, as textbooks have it:
    the line that can be drawn before there is any outcome."""
    steps = [Step(float(r)) for r in (0.0, *np.sqrt(np.divide(shares[:-1], shares[1:])))]
    chain, bounds, before = START, [], 0.0
    for step, share in zip(steps, shares, strict=True):
        now = spent(share, alpha)
        bounds.append(_solved(chain, step, now - before))
        chain, before = chain.onwards(bounds[-1], step), now
    return np.array(bounds)


def _solved(chain: Chain, step: Step, allowed: float) -> float:
    if allowed <= 0 or step.correlation >= STILL or sum(chain.beyond(FAR, step)) >= allowed:
        return FAR

    def over(bound: float) -> float:
        return sum(chain.beyond(bound, step)) - allowed

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
    mixture that is narrowest at the `planned` information (Robbins 1970, Annals of Mathematical Statistics 41)."""
    level = -2 * np.log(alpha)
    rho = planned / (level + np.log(level) + 1)
    return float(np.sqrt((1 + rho / information) * (np.log1p(information / rho) + level)))


@dataclass(frozen=True)
class Adjusted:
    """An effect after a crossing with the flattery of stopping taken out: median unbiased, with its interval."""

    estimate: float
    low: float
    high: float


def adjusted(correlations: Sequence[float], bounds: Sequence[float], z: float, std_errors: Sequence[float],
             level: float = 0.95) -> Adjusted:  # fmt: skip
    """The effect under which it is as likely as not to cross as early or as far as was seen, looks ordered by stage
    (Tsiatis, Rosner and Mehta 1984, Biometrics 40; Grayling and others 2017 for rollouts); and the interval of effects
    under which that is neither too rare nor too common.

    z: the value at the last look, beyond its bound. correlations, bounds, std_errors: (k,) until then.
    """
    sign = float(np.sign(z)) or 1.0
    size, reach = abs(z) * std_errors[-1], (1 - level) / 2

    def as_far(effect: float) -> float:
        return _as_far(effect, correlations, bounds, abs(z), std_errors)

    def where(probability: float) -> float:
        low, high = size - FAR * std_errors[0], size + FAR * std_errors[-1]
        if as_far(low) > probability:  # an earlier look, of another size, would have been crossed all the more
            low = -FAR * max(std_errors)
        return float(brentq(lambda e: as_far(e) - probability, low, high, xtol=1e-6 * max(size, 1e-12)))

    ends = sorted(sign * where(p) for p in (reach, 1 - reach))
    return Adjusted(sign * where(0.5), ends[0], ends[1])


def _as_far(effect: float, correlations: Sequence[float], bounds: Sequence[float], z: float,
            std_errors: Sequence[float]) -> float:  # fmt: skip
    """Probability of crossing upwards before the last look, or of reaching z there."""
    chain, total, mean = START, 0.0, 0.0
    for k, (correlation, bound, se) in enumerate(zip(correlations, bounds, std_errors, strict=True)):
        step = Step(min(correlation, STILL), mean, effect / se)
        if k == len(bounds) - 1:
            return total + chain.beyond(z, step)[1]
        total += chain.beyond(bound, step)[1]
        chain, mean = chain.onwards(bound, step), effect / se
    return total
