"""Checks of a pool: does one place carry it, do programmes agree with rollouts, do all numbers mean the same, is
anything left unreported? Each passes, fails or only informs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc

from evalkit.pooling.model import TAU_METHODS, Block, Fit, fit
from evalkit.pooling.robust import by_place, without_each_place
from evalkit.pooling.rows import Gathered
from evalkit.show.numbers import percent
from evalkit.show.words import count_words, join_words, quoted
from evalkit.vocabulary import CheckStatus

_BEYOND = 1.96
_ALPHA = 0.05
_TESTED_FROM = 20
"""Places from which the test between and within places has its size: .047 at 24, .105 at 12, .26 at 6."""
_SELECTED_FROM = 5
_MISSING = 0.25


@dataclass(frozen=True)
class PoolCheck:
    """What one check of a pool said; component: '' where it is about all of them."""

    check: str
    component: str
    status: CheckStatus
    words: str


def sign_without(fitted: Fit, gathered: Gathered, weights: np.ndarray) -> list[str]:
    """For each combination (k, p): the study without which its sign changes, or ''. At the tau of all places."""
    whole = weights @ fitted.beta
    turned = np.sign(without_each_place(fitted, weights)) * np.sign(whole) < 0
    return [gathered.cards[int(np.argmax(t))].study if t.any() else "" for t in turned.T]


def leave_one_place(names: Sequence[str], places: Sequence[str]) -> Iterator[PoolCheck]:
    """Whether the sign holds without any one place."""
    for name, place in zip(names, places, strict=True):
        words = f"without {place} the sign changes" if place else "the sign is the same without any one place"
        yield PoolCheck("leave_one_place", name, "failed" if place else "passed", words)


def same_estimand(gathered: Gathered) -> PoolCheck:
    """Whether windows, base, others and weights are the same everywhere; what differs is named, not refused."""
    facts: dict[str, set] = {
        "what the others do": {c.estimand.others for c in gathered.cards},
        "the base window": {c.estimand.base_window for c in gathered.cards},
        "weights": {c.estimand.weights for c in gathered.cards},
        "the length of a period": {c.estimand.period for c in gathered.cards},
        "what matters": {c.outcome.matters for c in gathered.cards},
        "how the outcome is measured": {c.outcome.measured for c in gathered.cards},
        "time since the start": {row.months for _, row in gathered.used if row.months is not None},
    }
    differ = [name for name, said in facts.items() if len(said) > 1]
    if not differ:
        return PoolCheck("same_estimand", "", "passed", "windows, base, weights and outcome are the same everywhere")
    return PoolCheck("same_estimand", "", "informational", f"places differ in {join_words(differ)}")


def matched_by_name(gathered: Gathered) -> PoolCheck:
    """Whether components were matched by a term that a person gave."""
    bare = {n for c in gathered.cards for n, part in c.components.items() if part.term is None}
    if not bare:
        return PoolCheck("matched_by_term", "", "passed", "every component has a term that a person gave")
    words = f"matched by name alone, which may mean different things: {join_words(map(quoted, sorted(bare)))}"
    return PoolCheck("matched_by_term", "", "informational", words)


def all_rows_reported(gathered: Gathered) -> tuple[list[PoolCheck], set[str]]:
    """How many registered components have a number; and those of which only numbers that exclude no change are there.

    Failed where at least five numbers all exclude no change and a quarter or more of those that could have one is
    missing: results chosen because they were found make nothing look like .085 (a true nought, 24 places).
    """
    columns, kinds = gathered.names.columns, gathered.question.kinds
    large: dict[int, list[bool]] = {}
    missing = dict.fromkeys(range(len(columns)), 0)
    registered = dict.fromkeys(range(len(columns)), 0)
    for card in gathered.cards:
        own = {next(iter(r.members)): r for r in card.rows if r.kind == "component"}
        at = {r.id: i for i, r in enumerate(card.numbered)}
        for name, part in card.components.items():
            j, row = gathered.names.by_term[part.term or name], own[name]
            registered[j] += 1
            if row.id in at:
                error = card.vcov[at[row.id], at[row.id]] ** 0.5
                large.setdefault(j, []).append(abs(row.estimate or 0.0) > _BEYOND * error)
            elif row.verdict not in ("not_tested", "cannot_tell_apart"):
                missing[j] += 1
    checks, chosen = [], set()
    for j, name in enumerate(columns):
        found, lack = large.get(j, []), missing[j]
        known = len(found) if "component" in kinds else 0
        words = f"{known} of {count_words(registered[j], 'place')} with it give a number"
        bad = len(found) >= _SELECTED_FROM and all(found) and lack >= _MISSING * (len(found) + lack)
        if bad:
            chosen.add(name)
            words += f"; every one excludes no change, and {lack} that could have one are without"
        complete = known == registered[j]
        checks.append(PoolCheck("all_rows_reported", name, "failed" if bad else "passed" if complete else
                                "informational", words))  # fmt: skip
    return checks, chosen


def tau_by_method(fitted: Fit) -> PoolCheck:
    """Whether the spread between places hangs on how it is worked out: 3.5-fold in Baker (2009)."""
    taus = {m: fitted.tau2**0.5 if m == fitted.method else fit(fitted.blocks, m).tau2 ** 0.5 for m in TAU_METHODS}
    words = join_words(f"{tau:.3g} ({name})" for name, tau in taus.items())
    apart = max(taus.values()) ** 2 > 1.5 * min(taus.values()) ** 2
    status: CheckStatus = "informational" if apart else "passed"
    return PoolCheck("tau_by_method", "", status, f"how much places differ (tau): {words}")


def between_within(gathered: Gathered, rollouts: Fit, names: Sequence[str]) -> tuple[list[PoolCheck], bool]:
    """Rollouts against programmes: the difference of each component, and whether all are zero together.

    One fit of both kinds of rows, with columns of programmes of their own, at the tau of the rollouts. Fewer than 20
    places make the test say too much, and it finds little (power .18): it is no licence to pool both.
    """
    kinds = np.array([row.kind == "programme" for _, row in gathered.used])
    if not kinds.any() or kinds.all():
        return [], False
    own = len(names)
    wide = np.concatenate([gathered.design, gathered.design[:, :own] * kinds[:, None]], axis=1)
    fitted = fit(_with_design(gathered, wide), tau2=rollouts.tau2)
    contrasts = np.zeros((own, wide.shape[1]))
    contrasts[np.arange(own), gathered.design.shape[1] + np.arange(own)] = 1.0
    able = np.flatnonzero(fitted.identifies(contrasts))
    if not len(able):
        return [], False
    spread = by_place(fitted, contrasts[able])
    low, high = spread.interval()
    checks = [
        PoolCheck("rollouts_against_programmes", names[j], "failed" if not a <= 0 <= b else "passed",
                  f"programmes less rollouts: {e:+.3g} (likely range {a:+.3g} to {b:+.3g})")
        for j, e, a, b in zip(able.tolist(), spread.estimate, low, high, strict=True) if np.isfinite(a)
    ]  # fmt: skip
    difference = contrasts[able] @ fitted.beta
    cov = contrasts[able] @ fitted.vcov @ contrasts[able].T
    statistic = float(difference @ np.linalg.pinv(cov) @ difference)
    p = float(chdtrc(len(able), statistic))
    places = len(set(gathered.places.tolist()))
    trusted = places >= _TESTED_FROM
    failed = trusted and p < _ALPHA
    words = (
        f"programmes and rollouts agree but for chance in {percent(p)} of such pools or fewer"
        if p < _ALPHA
        else ("programmes and rollouts do not differ by more than chance")
    )
    words += "" if trusted else f"; with {count_words(places, 'place')} the test says too much"
    status: CheckStatus = "failed" if failed else "passed" if trusted else "informational"
    return [*checks, PoolCheck("between_within", "", status, words)], failed


def _with_design(gathered: Gathered, design: np.ndarray) -> list[Block]:
    """The same rows with other columns: whitened designs follow from the raw ones."""
    blocks, at = [], 0
    for block in gathered.blocks:
        n, m = block.y.shape
        raw = design[at : at + n * m].reshape(n, m, -1)
        at += n * m
        blocks.append(replace(block, raw=raw, design=np.linalg.solve(block.back, raw)))
    return blocks
