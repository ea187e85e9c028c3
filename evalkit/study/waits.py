"""Outcomes that wait for an event, at the door: how long each person was followed, whether it happened, and by when
people are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from evalkit.errors import OutcomeError, Problem, raise_problems, spelt, suggest
from evalkit.show.words import join_words
from evalkit.study.component import Outcome
from evalkit.study.frame import Source, numbers, say_rows
from evalkit.study.gaps import filled
from evalkit.study.index import Index
from evalkit.study.paths import Paths
from evalkit.study.reading import advise_dates, holds_text
from evalkit.study.schema import Rule, check_column
from evalkit.waiting.curves import kaplan_meier
from evalkit.waiting.standing import Standing, Waited, stand_ins

FOLLOWED = 10
"""People as good as followed to the date, below which a group is not compared at it."""
OWN = 20
"""People of one mix of components from which on it has hazards of its own; smaller ones share theirs."""
_GIVE = "Give each person the time until the event, or until last seen with event = 0 where it had not happened."


class Read(Protocol):
    """What reading the times of a study needs of it."""

    @property
    def paths(self) -> Paths: ...
    @property
    def source(self) -> Source: ...
    @property
    def period(self) -> str | None: ...
    def covariate_values(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Waits:
    """How long people waited, in the row order of `paths`.

    waited: times, events, the date and what is compared. group: (n,) whose hazards are theirs: a mix of components.
    standing: what stands for each. values: (n, 1) the same, read-only.
    """

    waited: Waited
    group: np.ndarray
    standing: Standing

    @property
    def by(self) -> float:
        """The time after which people are compared."""
        return self.waited.by

    @property
    def values(self) -> np.ndarray:
        """(n, 1) what stands for each person."""
        out = self.standing.values[:, None].view()
        out.flags.writeable = False
        return out


def read_waits(outcome: Outcome, study: Read, index: Index) -> Waits:
    """Times and events of an outcome, and what stands for those who were lost from sight before the date.

    Hazards of being lost and of the event are those of people with the same mix of components, by the study's
    covariates; mixes of fewer than 20 people share theirs. Raises `OutcomeError` that lists everything wrong.
    """
    if study.period is not None:
        words = f"Outcome {outcome.column!r} waits for an event, and this study is a panel. "
        raise OutcomeError(words + "Give a table with a row a person and no period, or a 0/1 outcome for each period.")
    time, event = _read(outcome, study.source)
    where = index.grid(np.arange(len(time), dtype=np.float64))[:, 0].astype(np.intp)
    time, event = time[where], event[where]
    group = _groups(study.paths)
    if outcome.by is None:
        by = min(_longest(time[group == g], event[group == g]) for g in np.unique(group))
    else:
        by = float(outcome.by)
        raise_problems(_too_few(outcome, by, time, event, group, study.paths), OutcomeError)
    if not by > 0:
        raise OutcomeError(f"Outcome {outcome.column!r}: nobody was followed for any time. {_GIVE}")
    waited = Waited(time, event, by, outcome.effect == "share")
    weight = study.paths.weights
    weight = weight if weight is None or not weight.any() else weight / weight.mean()
    return Waits(waited, group, stand_ins(waited, group, filled(study.covariate_values()[:, 0, :]), weight))


def _groups(paths: Paths) -> np.ndarray:
    """(n,) codes of mixes of components; those of too few people have one code together."""
    size = np.bincount(paths.path, minlength=paths.n_paths)
    return np.where(size[paths.path] >= OWN, paths.path, -1)


def _read(outcome: Outcome, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Waiting times and events in the rows of the panel."""
    absent = [n for n in outcome.columns if n not in source.columns]
    if absent:
        known = suggest(absent[0], [str(c) for c in source.columns], "The columns are")
        raise OutcomeError(f"There is no outcome column {absent[0]!r}. {known}")
    event_rule = Rule("number", filled=True, options=(0, 1), advice="Write 1 where it had happened, else 0.")
    event = source.column(str(outcome.event))
    problems = check_column(event, event_rule, f"event {outcome.event!r}", lambda rows: say_rows(source, rows))
    moments = {n: _moments(source.column(n), n, source, problems) for n in (outcome.time, outcome.entry) if n}
    raise_problems(problems, OutcomeError)
    time, kind = moments[str(outcome.time)]
    entry, other = moments[outcome.entry] if outcome.entry else (np.zeros(len(time)), kind)
    raise_problems(_wrong_clock(outcome, kind, other), OutcomeError)
    end = np.inf if outcome.end is None else _end(outcome, kind)
    raise_problems(_wrong_times(outcome, source, time, entry, end), OutcomeError)
    return time - entry, numbers(event)[0].astype(bool)


def _moments(column: pd.Series, name: str, source: Source, problems: list[Problem]) -> tuple[np.ndarray, str]:
    """A column as numbers or as days, and which; what is neither, or empty, piles up."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        made, kind = _days(column), "days"
    else:
        made, text = numbers(column)
        made, kind = made.astype(np.float64), "numbers"
        if len(text) and holds_text(column):
            read = pd.to_datetime(column.astype(object).map(str), format="%Y-%m-%d", errors="coerce")
            if read.notna().sum() * 2 >= column.notna().sum():
                made, kind = _days(read), "days"
                text = np.flatnonzero(read.isna().to_numpy() & column.notna().to_numpy())
        if len(text):
            advice = advise_dates(column.iloc[text].unique()[:50]) or "Write numbers, or dates as 2024-12-31."
            what = f"time {name!r} holds text such as {spelt(column.iloc[text[0]])}"
            problems.append(Problem(what, say_rows(source, text), advice))
            return made, kind
    gone = np.flatnonzero(~np.isfinite(made))
    if len(gone):
        problems.append(
            Problem(f"time {name!r} is empty or infinite", say_rows(source, gone), f"Empty is not never. {_GIVE}")
        )
    return made, kind


def _days(column: pd.Series) -> np.ndarray:
    """Days since 1970, NaN where there is no date."""
    days = column.to_numpy(dtype="datetime64[s]").astype(np.int64) / 86_400
    return np.where(column.isna().to_numpy(), np.nan, days)


def _end(outcome: Outcome, kind: str) -> float:
    if kind == "numbers":
        found = pd.to_numeric(pd.Series([outcome.end], dtype=object), errors="coerce").iloc[0]
    else:
        moment = None if isinstance(outcome.end, (int, float)) else pd.to_datetime(str(outcome.end), errors="coerce")
        found = (
            np.nan
            if moment is None or pd.isna(moment)
            else moment.to_datetime64().astype("datetime64[s]").astype(int) / 86_400
        )
    if pd.isna(found):
        what = "a date such as 2024-12-31" if kind == "days" else "a number"
        raise OutcomeError(f"Outcome {outcome.column!r}: end={spelt(outcome.end)} is not {what}, as its times are.")
    return float(found)


def _wrong_clock(outcome: Outcome, kind: str, entry: str) -> Iterator[Problem]:
    where = f"outcome {outcome.column!r}"
    if kind != entry:
        yield Problem(
            f"{outcome.time!r} and {outcome.entry!r} are not both dates, or both numbers", where, "Write both alike."
        )
    elif kind == "days" and not outcome.entry:
        advice = "Name the column of the date from which each was followed: entry='referred_on'."
        yield Problem(f"{outcome.time!r} holds dates, and nothing says from when time runs", where, advice)


def _wrong_times(
    outcome: Outcome, source: Source, time: np.ndarray, entry: np.ndarray, end: float
) -> Iterator[Problem]:
    name = f"time {outcome.time!r}"
    negative, late = (np.flatnonzero(wrong) for wrong in (time < entry, time > end))
    if len(negative):
        what = f"lies before entry {outcome.entry!r}" if outcome.entry else "is negative"
        advice = "Mend the dates; what happened before a person's time ran is no outcome: leave those people out."
        yield Problem(f"{name} {what}", say_rows(source, negative), advice if outcome.entry else _GIVE)
    if len(late):
        advice = f"Nobody was followed after it: give {outcome.end} with event = 0, or mend the end."
        yield Problem(f"{name} lies after the end, {outcome.end}", say_rows(source, late), advice)


def _full(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times of loss, and how many fully followed people a group is as good as before the first and after each."""
    codes = 2 * np.unique(time, return_inverse=True)[1] + ~event
    lost = kaplan_meier(codes.astype(float), ~event)
    return np.sort(np.unique(time[~event])), len(time) * np.r_[1.0, lost.waiting]


def _longest(time: np.ndarray, event: np.ndarray) -> float:
    """The longest time to which a group is as good as ten people followed, or all of a smaller one."""
    lost, full = _full(time, event)
    enough = full >= min(FOLLOWED, len(time))
    return float(time.max()) if enough.all() else float(lost[int(enough.argmin()) - 1])


def _too_few(
    outcome: Outcome, by: float, time: np.ndarray, event: np.ndarray, group: np.ndarray, paths: Paths
) -> Iterator[Problem]:
    for g in np.unique(group):
        mine = group == g
        lost, full = _full(time[mine], event[mine])
        left = full[np.searchsorted(lost, by, side="left")]
        if left < min(FOLLOWED, mine.sum()) * (1 - 1e-9):
            states = paths.state[g, 0] if g >= 0 else np.zeros(0)
            mix = join_words([n for n, v in zip(paths.components, states, strict=False) if v > 0]) or "none of them"
            who = f"{int(mine.sum())} people with {mix if g >= 0 else 'rare mixes'}"
            what = f"Too few are followed to {by:g}: {who} are as good as {left:.0f} followed that long"
            longest = _longest(time[mine], event[mine])
            advice = f"Give by={longest:g} or less." if longest > 0 else "Give times above 0 of more of them."
            yield Problem(what, f"outcome {outcome.column!r}", advice)
