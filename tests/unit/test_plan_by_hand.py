"""Who is compared with whom and when: by plain loops over random rollouts, and on one that is worked out by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from evalkit.designs.rollout.plan import Comparison, Rules, exposure_states
from evalkit.designs.rollout.starts import make_plan
from evalkit.study.paths import OFF, UNKNOWN, Level, Paths

RULES = [
    Rules(comparison, others, base=base, anticipation=anticipation, lookback=lookback, horizon=horizon)
    for (comparison, others, base), (anticipation, lookback, horizon) in zip(
        product(("not_yet", "never"), ("same", "unchanged", "ignored"), ("varying", "universal")),
        [(0, 0, None), (1, 0, 2), (0, 1, None), (1, 1, 1), (0, 0, 0), (0, 2, None)] * 2, strict=True,
    )
]  # fmt: skip


def paths_of(state: np.ndarray, reach: np.ndarray | None = None) -> Paths:
    """Units that are each a cluster and each have a path of their own, from (n, T, K) states."""
    n, n_periods, k = state.shape
    names = tuple("abc"[:k])
    reach = np.ones((n, k), dtype=bool) if reach is None else reach
    return Paths(
        np.arange(n), np.arange(n_periods), names, np.arange(n), state.astype(np.int16), reach,
        {"site": Level("site", np.arange(n), np.arange(n))}, dict.fromkeys(names, "site"), "site",
    )  # fmt: skip


def random_paths(seed: int) -> Paths:
    """Spells that start and stop, part-way and unknown periods, some units out of reach."""
    rng = np.random.default_rng(seed)
    n, n_periods = 16, 9
    first, last = rng.integers(-1, 12, (n, 2)), rng.integers(5, 20, (n, 2))
    t = np.arange(n_periods)[None, :, None]
    state = ((t >= first[:, None]) & (t < last[:, None])).astype(np.int16)
    state[rng.random(state.shape) < 0.03] = -1
    state[rng.random(state.shape) < 0.02] = UNKNOWN
    reach = rng.random((n, 2)) < 0.85
    return paths_of(state * reach[:, None, :].astype(np.int16), reach)


def starts_of(line: np.ndarray) -> list[tuple[int, int]]:
    """(first period on, last period off before it) of each spell that follows a period off."""
    found, last_off = [], None
    for t, state in enumerate(line):
        if state == OFF:
            last_off = t
        elif state > 0 and last_off is not None:
            found.append((t, last_off))
            last_off = None
    return found


def bases(line: np.ndarray, start: tuple[int, int], rules: Rules) -> dict[int, int] | None:
    """Base of every period at which a start can be read; None where its base would lie too early."""
    g, last_off = start
    quiet = last_off
    while quiet > 0 and line[quiet - 1] == OFF:
        quiet -= 1
    quiet += rules.lookback
    base = last_off - rules.anticipation
    if base < quiet:
        return None
    found = {}
    for t in range(len(line)):
        if t >= g and all(line[s] > 0 for s in range(g, t + 1)):
            if rules.horizon is None or t - g <= rules.horizon:
                found[t] = base
        elif quiet <= t <= last_off:
            b = t - 1 if rules.base == "varying" else base
            if b >= quiet and b != t:
                found[t] = b
    return found


def serves(paths: Paths, p: int, q: int, g: int, window: tuple[int, int], rules: Rules) -> bool:
    """Whether unit q may stand beside unit p, which starts at g, from the first to the last period of a window."""
    low, high = window
    own, other = paths.state[paths.path][:, :, 0], paths.state[paths.path][:, :, 1]
    begun = [start for start, _ in starts_of(own[q])] if paths.reach[q, 0] else []
    if p == q or not paths.reach[q, 0] or (begun and begun[0] == g):
        return False
    until = len(own[q]) if rules.comparison == "never" else min(high + rules.anticipation + 1, len(own[q]))
    if any(own[q, s] != OFF for s in range(until)):
        return False
    low = max(low - rules.lookback, 0)
    if rules.others == "ignored":
        return True
    if rules.others == "same":
        return all(other[q, s] == other[p, s] != UNKNOWN for s in range(low, high + 1))
    return all(other[u, s] == other[u, s - 1] != UNKNOWN for u in (p, q) for s in range(low + 1, high + 1))


@pytest.mark.parametrize("rules", RULES, ids=lambda r: f"{r.comparison} {r.others} {r.base}")
def test_plans_are_those_of_plain_loops(rules: Rules) -> None:
    compared = 0
    for seed in range(3):
        paths = random_paths(seed)
        made = {(c.path, c.cohort): c for c in make_plan(exposure_states(paths, "a", rules.others), rules)}
        own = paths.state[:, :, 0]
        expected = {
            (p, start[0]): found
            for p in range(len(own)) if paths.reach[p, 0]
            for start in starts_of(own[p]) if (found := bases(own[p], start, rules)) is not None
        }  # fmt: skip
        assert made.keys() == expected.keys()
        for (p, g), base in expected.items():
            c = made[p, g]
            assert {t: b for t, b in enumerate(c.base.tolist()) if b >= 0} == base
            for t, b in base.items():
                window = min(b, t), max(b, t)
                beside = [q for q in range(len(own)) if serves(paths, p, q, g, window, rules)]
                assert np.flatnonzero(c.match[:, t]).tolist() == beside, (seed, p, g, t)
                compared += len(beside)
    assert compared > 5


def on_from(*first: int, n_periods: int = 8) -> np.ndarray:
    return (np.arange(n_periods)[None, :] >= np.array(first)[:, None]).astype(np.int16)


def only(paths: Paths, rules: Rules) -> Comparison:
    return next(c for c in make_plan(exposure_states(paths, "a", rules.others), rules) if c.path == 0)


def test_one_start_by_hand() -> None:
    """Unit 0 starts at 4; 1 at 5, 2 at 7, 3 never, 4 at 4, 5 from the first period, 6 is part-way at 6."""
    state = on_from(4, 5, 7, 99, 4, 0, 99)
    state[6, 6] = -1
    paths = paths_of(state[:, :, None])
    assert [(c.path, c.cohort) for c in make_plan(exposure_states(paths, "a", "same"), Rules())] == [
        (0, 4),
        (1, 5),
        (2, 7),
        (4, 4),
    ]
    c = only(paths, Rules())
    assert c.base.tolist() == [-1, 0, 1, 2, 3, 3, 3, 3]
    beside = {t: np.flatnonzero(c.match[:, t]).tolist() for t in range(3, 8)}
    assert beside == {3: [1, 2, 3, 6], 4: [1, 2, 3, 6], 5: [2, 3, 6], 6: [2, 3], 7: [3]}
    early = only(paths, Rules(anticipation=1))
    assert early.base.tolist() == [-1, 0, 1, 2, 2, 2, 2, 2]
    assert {t: np.flatnonzero(early.match[:, t]).tolist() for t in (4, 5, 6)} == {4: [2, 3, 6], 5: [2, 3], 6: [3]}
    never = only(paths, Rules(comparison="never"))
    assert np.flatnonzero(never.match[:, 4]).tolist() == [3]
    assert only(paths, Rules(horizon=1)).base.tolist() == [-1, 0, 1, 2, 3, 3, -1, -1]


def test_others_agree_over_the_whole_window_and_the_lookback() -> None:
    """Unit 0 starts a at 4. b: 1 has it from 5, 2 from 2 to 3, 3 never but unknown at 3, 4 never, 5 throughout."""
    a, b = on_from(4, 99, 99, 99, 99, 99), on_from(99, 5, 2, 99, 99, 0)
    b[2, 3:], b[3, 3] = 0, UNKNOWN
    paths = paths_of(np.stack([a, b], axis=2))
    beside = lambda t, **more: np.flatnonzero(only(paths, Rules(**more)).match[:, t]).tolist()  # noqa: E731
    assert beside(4) == [1, 2, 4] and beside(5) == [2, 4]
    assert beside(4, lookback=1) == [1, 4]
    assert beside(4, others="unchanged") == [1, 2, 4, 5] and beside(4, others="unchanged", lookback=1) == [1, 4, 5]
    assert beside(6, others="ignored") == [1, 2, 3, 4, 5]


def test_a_wider_base_window_asks_for_agreement_over_what_it_reads() -> None:
    """b of unit 1 ends at 2, of unit 2 at 3: two base periods (2 and 3) leave both of 1 and 3, three leave only 3."""
    a, b = on_from(4, 99, 99, 99), on_from(99, 99, 99, 99)
    b[1, :2], b[2, :3] = 1, 1
    paths = paths_of(np.stack([a, b], axis=2))
    c = only(paths, Rules(base_window=3))
    assert c.window[4] == 2 and np.flatnonzero(c.match[:, 4]).tolist() == [1, 3]


def test_nobody_is_alike_where_nobody_knows_what_else_went_on() -> None:
    """b of unit 0, which starts a at 4, and of unit 1 are both unknown at 5: alike before, not from 5 on."""
    a, b = on_from(4, 99, 99), on_from(99, 99, 99)
    b[:2, 5] = UNKNOWN
    c = only(paths_of(np.stack([a, b], axis=2)), Rules())
    assert [np.flatnonzero(c.match[:, t]).tolist() for t in (4, 5, 6)] == [[1, 2], [], []]
