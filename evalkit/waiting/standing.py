"""What stands for each person whose outcome waits for an event: the outcome where it is known, and what those like them
came to where they were lost from sight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.waiting.hazards import Hazards, fit_hazards

MOST = 20.0
"""The most people for whom one who was followed may stand."""
CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class Waited:
    """How long people waited. time: (n,) until the event or until last seen; event: (n,) bool; by: the date; share:
    whether the outcome is that it happened by then, else the time until it or `by`."""

    time: np.ndarray
    event: np.ndarray
    by: float
    share: bool

    @property
    def known(self) -> np.ndarray:
        """(n,) those of whom the outcome is known."""
        return np.asarray(self.event | (self.time >= self.by))

    @property
    def outcome(self) -> np.ndarray:
        """(n,) the outcome of those of whom it is known."""
        if self.share:
            return np.asarray(self.event & (self.time <= self.by), dtype=float)
        return np.minimum(self.time, self.by)


@dataclass(frozen=True, eq=False)
class Standing:
    """values: (n,) what stands for each. weight: (n,) for how many each of the known stands, 0 of the others. cut:
    (n,) whether that was cut."""

    values: np.ndarray
    weight: np.ndarray
    cut: np.ndarray


def stand_ins(waited: Waited, group: np.ndarray, x: np.ndarray, weight: np.ndarray | None = None) -> Standing:
    """What stands for each person, so that means of it within a group are means of the outcome.

    The doubly robust transformation of censored outcomes (Rubin and van der Laan 2007, International Journal of
    Biostatistics 3; Robins and Rotnitzky 1992): the outcome of the known over their chance of being followed, and
    for every time of loss what was expected of those still waiting then. Right if the hazard of being lost is, or that
    of the event. Without covariates the mean is Kaplan and Meier's, and its error Greenwood's but for n - 1.

    group: (n,) codes; both hazards are those of the group. x: (n, q) covariates. weight: (n,) how many each counts for
    in the hazards, and in every mean that is taken; None where they count alike.
    """
    n = len(waited.time)
    made = Standing(np.empty(n), np.zeros(n), np.zeros(n, dtype=bool))
    for g in np.unique(group):
        mine = np.flatnonzero(group == g)
        part = Waited(waited.time[mine], waited.event[mine], waited.by, waited.share)
        found = _of_group(part, x[mine], None if weight is None else weight[mine])
        for whole, one in zip((made.values, made.weight, made.cut), found, strict=True):
            whole[mine] = one
    return made


def leaving_order(time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """(n,) order in which people leave: an event comes before whoever was last seen at that time."""
    return np.asarray(2 * np.unique(time, return_inverse=True)[1] + ~event)


def _of_group(waited: Waited, x: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, early = len(waited.time), waited.time < waited.by
    order = leaving_order(waited.time, waited.event)
    lost = early & ~waited.event
    if not lost.any():
        return waited.outcome, np.ones(n), np.zeros(n, dtype=bool)
    # who waits to the date or longer leaves neither way before it
    loss = fit_hazards(order, lost, x, weight)
    happened = fit_hazards(order, waited.event & (waited.time <= waited.by), x, weight)
    columns = len(loss.at) + len(happened.at)
    out = np.empty(n), np.empty(n), np.empty(n, dtype=bool)
    step = max(1, CELLS // max(columns, 1))
    for first in range(0, n, step):
        rows = slice(first, min(first + step, n))
        part = Waited(waited.time[rows], waited.event[rows], waited.by, waited.share)
        for whole, one in zip(out, _of_some(part, order[rows], x[rows], loss, happened, waited), strict=True):
            whole[rows] = one
    return out


def _of_some(
    part: Waited, order: np.ndarray, x: np.ndarray, loss: Hazards, happened: Hazards, whole: Waited
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.arange(len(order))
    with np.errstate(divide="ignore"):
        stands = 1 / np.cumprod(loss.staying(loss.risk(x)), axis=1)
    over = stands > MOST
    stands = np.column_stack([np.ones(len(order)), np.minimum(stands, MOST)])  # before the first loss, after each
    gone = np.searchsorted(loss.at, order, side="left")  # losses before the own exit
    known = part.known
    expected = _still_expected(part, x, loss, happened, whole)
    taken = np.column_stack([np.zeros(len(order)), np.cumsum(np.diff(stands, axis=1) * expected, axis=1)])
    # Who is lost has for an outcome what is expected of them, and stands for as many as those followed until then.
    at = np.minimum(gone, expected.shape[1] - 1)
    own = np.where(known, part.outcome, expected[rows, at])
    value = own * stands[rows, gone] - taken[rows, gone]
    cut = known & (gone > 0) & over[rows, np.maximum(gone - 1, 0)]
    return value, np.where(known, stands[rows, gone], 0.0), cut


def _still_expected(part: Waited, x: np.ndarray, loss: Hazards, happened: Hazards, whole: Waited) -> np.ndarray:
    """(n, m) outcome expected of each, were they still waiting just after each time of loss."""
    times = np.unique(whole.time)
    lost_at, event_at = times[loss.at // 2], times[happened.at // 2]
    left = np.cumprod(happened.staying(happened.risk(x)), axis=1)
    left = np.column_stack([np.ones(len(x)), left])  # (n, 1 + e): share still waiting after each event time
    after = np.searchsorted(event_at, lost_at, side="right")
    now = np.maximum(left[:, after], 1e-12)
    if whole.share:
        return np.asarray(1 - np.minimum(left[:, -1:] / now, 1.0))
    edges = np.r_[event_at, whole.by]
    area = np.column_stack(
        [np.zeros(len(x)), np.cumsum(left[:, 1:] * np.diff(edges), axis=1)]
    )  # from the first event on
    whole_area = area[:, -1:]
    # from the loss to the next event, then on
    next_event = edges[np.minimum(after, len(edges) - 1)]
    reached = area[:, np.minimum(after, area.shape[1] - 1)]
    rest = now * (next_event - lost_at) + (whole_area - reached)
    return np.asarray(np.minimum(lost_at + rest / now, whole.by))
