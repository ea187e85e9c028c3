"""What may be published about people: profiles of rules, the rule that a study asks for, and which of the counts that
add up to hide so that nobody can work out a small one from the others.

"acro" follows the defaults of the ACRO tools for secure data services (Green, Ritchie and Smith 2020): at least 10
people, 10 residual degrees of freedom, no two contributors with 90% of a total, p-ratio of 0.10. "nhs" follows the
rule of NHS England for counts: 1 to 7 hidden, all others rounded to the nearest 5.

Primary suppression hides what is too small; secondary suppression hides further counts until, by linear programming,
every small one could be anything from well below to well above the rule (Fischetti and Salazar 2001 for the attack; a
greedy choice instead of their optimum).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from evalkit.show.words import Count, retold
from evalkit.study import Study
from evalkit.study.settings import read_disclosure


@dataclass(frozen=True)
class Rules:
    """Rules for what is said about people.

    count: fewest people (or events) that a number may rest on; 0 for no rule. df: fewest residual degrees of
    freedom of an estimate. top, share: hidden when the `top` largest contributors hold that share of a total.
    p_ratio: hidden when the rest of a total is less than this share of its largest contributor. zeros: whether
    nought counts as too few. round_to: counts are rounded to multiples of this; 0 for none.
    """

    name: str
    count: int = 0
    df: int = 0
    top: int = 2
    share: float = 1.0
    p_ratio: float = 0.0
    zeros: bool = False
    round_to: int = 0

    @property
    def active(self) -> bool:
        """Whether anything is ever hidden or rounded."""
        return self != Rules(self.name)

    def small(self, counts: ArrayLike) -> np.ndarray:
        """Which counts are too small to be said."""
        given = np.asarray(counts, dtype=float)
        low = given >= 0 if self.zeros else given > 0
        return np.asarray(low & (given < self.count))

    def publish(self, count: Count) -> Count:
        """A number of people as it may be said: withheld where too small, else rounded."""
        if count.value is None or count.withheld:
            return count
        return Count(self.count, withheld=True) if self.small(count.value) else Count(self.shown(count.value))

    def shown(self, count: float) -> int:
        """A count that is not hidden, as it is said."""
        step = self.round_to
        return int(round(count / step) * step) if step else int(count)

    def words(self) -> str:
        """The rules in one sentence."""
        if not self.active:
            return "Nothing is hidden."
        parts = [f"numbers that rest on fewer than {self.count} people are hidden"] if self.count else []
        parts += [f"so are estimates with fewer than {self.df} residual degrees of freedom"] if self.df else []
        parts += [f"counts are rounded to the nearest {self.round_to}"] if self.round_to else []
        parts += [f"so are totals of which {self.top} contributors hold {self.share:.0%}"] if self.share < 1 else []
        said = "; ".join(parts)
        return said[:1].upper() + said[1:] + ". What would give a hidden number away is hidden too."


PROFILES = {
    "none": Rules("none"),
    "acro": Rules("acro", count=10, df=10, share=0.90, p_ratio=0.10, zeros=True),
    "nhs": Rules("nhs", count=8, df=0, round_to=5),
    "custom": Rules("custom"),
}


def rules_for(words: str) -> Rules:
    """The rules that a study file names: 'acro', 'nhs', 'none', or 'custom: count=5, df=5, round_to=5'.

    Raises `OptionError` for another name, or a rule of one's own without a number.
    """
    name, own = read_disclosure(words)
    return replace(PROFILES[name], **own) if own else PROFILES[name]


def rules_of(study: Study) -> Rules:
    """The rules for a study: those it names; else "acro" where its rows are about people (or pupils: members of its
    clusters), and "none" where they are about whole places."""
    named = study.settings.get("disclosure") if study.settings else None
    if named:
        return rules_for(str(named))
    levels = getattr(study.paths, "levels", None)
    places = levels.get(study.paths.cluster) if levels else None
    return PROFILES["acro" if places is not None and study.paths.counted.sum() > len(places.names) else "none"]


def without_small_numbers(study: Study, text: str) -> str:
    """A sentence as the study's rules allow it to be published: its tied numbers of people withheld or rounded."""
    return retold(text, rules_of(study).publish)


def dominated(total: ArrayLike, first: ArrayLike, second: ArrayLike, rules: Rules) -> np.ndarray:
    """Which totals of a positive amount hang on one or two contributors.

    total, first, second: sums of a cell and its largest two contributions. By the rule of shares, and by the p-ratio:
    (total - first - second) / first below `p_ratio` means that the second could work out the first.
    """
    whole, top, next_ = (np.asarray(v, dtype=float) for v in (total, first, second))
    held = top + (next_ if rules.top > 1 else 0.0)
    by_share = (whole > 0) & (held >= rules.share * whole) & (rules.share < 1)
    by_ratio = (top > 0) & (whole - top - next_ < rules.p_ratio * top)
    return np.asarray(by_share | by_ratio)


Sums = Sequence[tuple[int, Sequence[int]]]


@dataclass(frozen=True, eq=False)
class Hidden:
    """Which counts are hidden: primary (too small) and secondary (would give a small one away), each (c,)."""

    primary: np.ndarray
    secondary: np.ndarray

    @property
    def any(self) -> np.ndarray:
        """(c,) hidden for either reason."""
        return self.primary | self.secondary


def hide(counts: Sequence[float], sums: Sums, rules: Rules, structural: Sequence[int] = ()) -> Hidden:
    """What to hide among counts that add up.

    counts: (c,) non-negative. sums: (total, parts) positions, each saying that the parts add up to the total.
    structural: positions of noughts that everybody knows. Hides ever more, smallest first, until no attack that
    knows `sums` and every count shown gets nearer to a small one than the rule; at worst all is hidden.
    """
    values = np.asarray(counts, dtype=float)
    known = np.isin(np.arange(len(values)), np.asarray(structural, dtype=int))
    primary = rules.small(values) & ~known
    hidden = primary.copy()
    for _ in range(len(values)):
        small = np.flatnonzero(primary).tolist()
        bare = next((i for i in small if not covered(values, hidden, sums, rules, i)), None)
        more = None if bare is None else _next(values, hidden, sums, rules, bare, known)
        if more is None:
            break
        hidden[more] = True
    return Hidden(primary, hidden & ~primary)


def covered(values: np.ndarray, hidden: np.ndarray, sums: Sums, rules: Rules, cell: int) -> bool:
    """Whether a hidden count could, for all that is shown, be large, and its range is as wide as the rule."""
    low, high = attack(values, hidden, sums, rules, cell)
    return bool(high >= rules.count and high - low >= rules.count)


def attack(values: np.ndarray, hidden: np.ndarray, sums: Sums, rules: Rules, cell: int) -> tuple[float, float]:
    """Least and most that a count could be, given the sums and the counts shown (as rounded)."""
    from scipy.optimize import linprog

    half = rules.round_to / 2
    published = [rules.shown(v) if half else v for v in values]
    bounds = [(0.0, None) if h else (max(v - half, 0.0), v + half) for h, v in zip(hidden, published, strict=True)]
    matrix = np.zeros((len(sums), len(values)))
    for row, (total, parts) in enumerate(sums):
        matrix[row, total] -= 1.0
        matrix[row, list(parts)] += 1.0
    ends = []
    for sign in (1.0, -1.0):
        goal = np.zeros(len(values))
        goal[cell] = sign
        found = linprog(goal, A_eq=matrix, b_eq=np.zeros(len(sums)), bounds=bounds, method="highs")
        ends.append(sign * found.fun if found.status == 0 else (0.0 if sign > 0 else np.inf))
    return float(ends[0]), float(ends[1])


def _next(values: np.ndarray, hidden: np.ndarray, sums: Sums, rules: Rules, cell: int, known: np.ndarray) -> int | None:
    """The smallest count that covers `cell` when hidden; else the smallest in a sum with something hidden."""
    started = {cell, *np.flatnonzero(hidden).tolist()}
    near = {i for total, parts in sums if started & {total, *parts} for i in (total, *parts)}
    candidates = sorted((i for i in near if not hidden[i] and not known[i]), key=lambda i: (values[i], i))
    for i in candidates:
        trial = hidden.copy()
        trial[i] = True
        if covered(values, trial, sums, rules, cell):
            return i
    return candidates[0] if candidates else None


def at_least_two(hidden: np.ndarray, sizes: np.ndarray, eligible: np.ndarray | None = None) -> np.ndarray:
    """Hide one more where exactly one is hidden and a published total would give it away: the smallest left."""
    can = np.ones(len(hidden), dtype=bool) if eligible is None else eligible
    if int((hidden & can).sum()) != 1:
        return hidden
    left = np.flatnonzero(can & ~hidden)
    out = hidden.copy()
    if len(left):
        out[left[np.argmin(np.where(np.isnan(sizes[left]), np.inf, sizes[left]))]] = True
    return out


def apart(counts: Sequence[float], rules: Rules) -> np.ndarray:
    """Which counts of nested groups may be shown, in order: none too small, none within the rule of one shown before.

    Two such counts that differ by a few would say how many people make the difference.
    """
    kept: list[float] = []
    out = np.zeros(len(counts), dtype=bool)
    for i, count in enumerate(np.asarray(counts, dtype=float)):
        near = any(0 < abs(count - k) < rules.count for k in kept)
        out[i] = np.isfinite(count) and count > 0 and not rules.small(count) and not near
        if out[i]:
            kept.append(float(count))
    return out
