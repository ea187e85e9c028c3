"""What a rollout is asked to do: places, components, dates that are allowed, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, Problem, is_number, raise_problems, suggest
from evalkit.rollouts.noise import Noise
from evalkit.study.calendar import Calendar, calendar_kind, complete, make_calendar

BASE_WINDOW = 6
"""Periods before a start that a plan leaves free, where dates allow, as headlines read up to so many."""
MOST_PLACES, MOST_COMPONENTS, MOST_PERIODS = 200, 10, 240


@dataclass(frozen=True)
class Planned:
    """A component to be rolled out.

    earliest, latest: first and last period in which it may start. wanted: effect that is to be found, in the outcome's
    unit. reach: share of the people whom it can reach, or the column of `places` that holds it (None: everybody).
    per_month: most places that may start it in one period. fixed: place -> the period in which it starts there, None
    for never. everywhere: whether every place must get it by `latest`. lag: periods before an effect can show.
    unit_cost: of one person and period.
    """

    name: str
    earliest: object = None
    latest: object = None
    wanted: float | None = None
    reach: str | float | None = None
    per_month: int | None = None
    fixed: Mapping[str, object] = field(default_factory=dict)
    everywhere: bool = True
    lag: int = 0
    unit_cost: float | None = None


@dataclass(frozen=True, eq=False)
class Brief:
    """A rollout that is asked for, checked: P places, K components, T periods; a start is a position, T for never.

    people: (P,). share: (P, K) of them whom each component reaches, and `kinds` which components share a reach.
    low, high: (P, K) first and last start allowed; never: (P, K) whether it may stay away. most: (K,) starts a period,
    most_in_all: of all together. groups: (K,) components with the same number start together. past: position before
    which nothing can be changed any more. notes: what was taken for granted. contradictions: sentences on what was
    asked. members: of each component that stands for several, their names. asked: (K,) which are to be told.
    """

    places: tuple[str, ...]
    people: np.ndarray
    components: tuple[Planned, ...]
    share: np.ndarray
    reach_of: tuple[int, ...]
    calendar: Calendar
    noise: Noise
    window: int
    low: np.ndarray
    high: np.ndarray
    never: np.ndarray
    most: np.ndarray
    most_in_all: int
    groups: np.ndarray
    past: int = 0
    notes: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    members: tuple[tuple[str, ...], ...] = ()
    asked: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __post_init__(self) -> None:
        if not len(self.asked):
            object.__setattr__(self, "asked", np.ones(len(self.components), dtype=bool))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.components)

    @cached_property
    def T(self) -> int:
        return len(self.calendar)

    @cached_property
    def lags(self) -> np.ndarray:
        """(K,) periods before an effect can show."""
        return np.array([c.lag for c in self.components])

    @property
    def wanted(self) -> np.ndarray:
        """(K,) effects to be found; NaN where nobody has said."""
        return np.array([np.nan if c.wanted is None else abs(float(c.wanted)) for c in self.components])

    @cached_property
    def kinds(self) -> np.ndarray:
        """(R, K) kinds of people: whether each component can reach them."""
        reaches = sorted({r for r in self.reach_of if r >= 0})
        found = [dict(zip(reaches, on, strict=True)) for on in product((True, False), repeat=len(reaches))]
        return np.array([[r < 0 or kind[r] for r in self.reach_of] for kind in found])

    @cached_property
    def heads(self) -> np.ndarray:
        """(P, R) people of each kind in each place, whole ones: reaches fall on people independently."""
        reaches = sorted({r for r in self.reach_of if r >= 0})
        at = [self.reach_of.index(r) for r in reaches]
        out = np.ones((len(self.places), len(self.kinds)))
        for r, kind in enumerate(self.kinds):
            for k in at:
                out[:, r] *= self.share[:, k] if kind[k] else 1 - self.share[:, k]
        found = out * self.people[:, None]
        return np.where(found > 0, np.maximum(np.round(found), 1), 0)

    def position(self, moment: object) -> int:
        """Where a period stands on the calendar; T for never. Raises `OptionError` for what is none of its periods."""
        if moment is None or moment is pd.NaT or (isinstance(moment, float) and np.isnan(moment)) or moment == "":
            return self.T
        return place_of(self.calendar, moment, "a date of the draft")

    def frame(self, starts: np.ndarray) -> pd.DataFrame:
        """(P, K) starts as a table: a row a place, a column a component; None for never."""
        values = [*self.calendar.values.tolist(), None]
        columns = {
            name: pd.Series([values[s] for s in starts[:, k]], dtype=object, index=list(self.places))
            for k, names in enumerate(self.members)
            for name in names
        }
        return pd.DataFrame({"place": list(self.places), **columns}, index=list(self.places))

    def starts(self, frame: pd.DataFrame) -> np.ndarray:
        """(P, K) positions from such a table. Raises `OptionError` where places or components differ."""
        table = frame.reset_index() if "place" not in frame and frame.index.name == "place" else frame
        columns = [names[0] for names in self.members]
        missing = [c for c in ("place", *columns) if c not in table]
        if missing:
            raise OptionError(f"The draft has no column {', '.join(missing)}. It needs place and a column a component.")
        named = table["place"].astype(str).tolist()
        if sorted(named) != sorted(self.places):
            raise OptionError("The draft's places are not those of the brief. Give each of them one row.")
        rows = table.set_index(table["place"].astype(str)).loc[list(self.places)]
        return np.array([[self.position(rows.iloc[i][n]) for n in columns] for i in range(len(rows))])


def place_of(calendar: Calendar, moment: object, what: str) -> int:
    """Position of a period on a calendar. Raises `OptionError` for what is none of its periods."""
    where = calendar.place(np.array([moment], dtype=object))[0]
    found = np.flatnonzero((calendar.start <= where) & (where < calendar.stop))
    if not len(found):
        first, last = calendar.values[0], calendar.values[-1]
        raise OptionError(f"{what} is {moment!r}, which is no period from {first} to {last}. Write it like {first!r}.")
    return int(found[0])


def make_calendar_of(periods: Sequence[object]) -> Calendar:
    """All periods from the first to the last. Raises `OptionError` for what makes no calendar."""
    try:
        first, last = periods
    except (TypeError, ValueError):
        raise OptionError("periods needs two values, (first, last), such as ('2027-01', '2029-12').") from None
    kind = np.array([first, last]) if all(is_number(p) for p in (first, last)) else np.array([first, last], object)
    every = 1.0
    if not calendar_kind(kind) or calendar_kind(kind) == "day":
        raise OptionError(f"periods={tuple(periods)!r} are no months, quarters or whole numbers. Write '2027-01'.")
    ends = make_calendar(kind).start
    if not ends[1] > ends[0]:
        raise OptionError(f"periods={tuple(periods)!r}: the last period must come after the first.")
    if ends[1] - ends[0] >= MOST_PERIODS:
        raise OptionError(f"periods={tuple(periods)!r} are more than {MOST_PERIODS} periods. Plan fewer at a time.")
    found = complete(kind, every)
    assert found is not None
    return make_calendar(found[0].astype(kind.dtype) if kind.dtype != object else found[0])


# ---------------------------------------------------------------- the door


def make_brief(
    places: Sequence[str] | pd.DataFrame, components: Sequence[Planned], periods: Sequence[object], noise: Noise,
    window: int, together: Sequence[Sequence[str]] = (), per_month: int | None = None, now: object = None,
) -> Brief:  # fmt: skip
    """A brief that can be planned from; what contradicts itself is in `contradictions`. Raises `OptionError` with what
    cannot be meant at all: unknown names, dates that are none, numbers out of range."""
    raise_problems([*_wrong_components(components), *_wrong_window(window, per_month)], OptionError)
    table, calendar = places_table(places, noise), make_calendar_of(periods)
    merged, asked = merge(components, together)
    share, reach_of, notes = _reaches(table, merged)
    names, P, T = table["place"].tolist(), len(table), len(calendar)
    past = place_of(calendar, now, "now") if now is not None else 0
    problems: list[Problem] = []
    low, high = np.empty((P, len(merged)), dtype=np.int64), np.empty((P, len(merged)), dtype=np.int64)
    for k, c in enumerate(merged):
        where = f"of {c.name!r}"
        first, last = max(min(BASE_WINDOW, T - 1), past), T - window - c.lag
        low[:, k] = first if c.earliest is None else place_of(calendar, c.earliest, f"earliest {where}")
        high[:, k] = max(last, low[0, k]) if c.latest is None else place_of(calendar, c.latest, f"latest {where}")
        asked += _fix(c, k, calendar, names, low, high, problems)
    raise_problems(problems, OptionError)
    never = np.tile([not c.everywhere for c in merged], (P, 1))
    never &= ~np.array([[n in c.fixed for c in merged] for n in names])
    return Brief(
        places=tuple(names), people=table["people"].to_numpy(float), components=merged, share=share, reach_of=reach_of,
        calendar=calendar, noise=noise, window=window, low=low, high=high, never=never,
        most=np.array([P if c.per_month is None else c.per_month for c in merged]),
        most_in_all=P * len(merged) if per_month is None else per_month, groups=_groups(merged, together), past=past,
        notes=notes, contradictions=tuple(asked), members=tuple(tuple(c.name.split("+")) for c in merged),
    )  # fmt: skip


def _fix(
    c: Planned, k: int, calendar: Calendar, names: list[str], low: np.ndarray, high: np.ndarray,
    problems: list[Problem],
) -> list[str]:  # fmt: skip
    """Dates that are fixed go into the columns of `low` and `high`; sentences on those that others rule out."""
    said, first, last, values = [], int(low[0, k]), int(high[0, k]), calendar.values
    if first > last:
        said.append(f"{c.name!r} may not start before {values[first]} and must have started by {values[last]}.")
    for place, moment in c.fixed.items():
        if str(place) not in names:
            problems.append(
                Problem(f"Unknown place {place!r}", f"fixed of {c.name!r}", suggest(str(place), names, "Places"))
            )
            continue
        i, never = names.index(str(place)), moment is None or moment == ""
        low[i, k] = high[i, k] = (
            len(calendar) if never else place_of(calendar, moment, f"fixed of {c.name!r} in {place!r}")
        )
        if not never and (
            (low[i, k] < first and c.earliest is not None) or (high[i, k] > last and c.latest is not None)
        ):
            bounds = f"{'' if c.earliest is None else values[first]} to {'' if c.latest is None else values[last]}"
            said.append(f"{c.name!r} is fixed at {moment} in {place}, outside the dates that it may have ({bounds}).")
    return said


def merge(components: Sequence[Planned], together: Sequence[Sequence[str]]) -> tuple[tuple[Planned, ...], list[str]]:
    """Components that start together and reach the same people are one, 'a+b': no rollout tells them apart. Sentences
    on those that were asked for one by one, or whose dates contradict each other."""
    groups, out, said = _groups(components, together), [], []
    for g in np.unique(groups):
        members = [c for c, own in zip(components, groups, strict=True) if own == g]
        if len(members) == 1 or len({str(c.reach) for c in members}) > 1:
            out += members
            continue
        labels, wanted = (
            " and ".join(repr(c.name) for c in members),
            [c.wanted for c in members if c.wanted is not None],
        )
        if len(wanted) > 1:
            said.append(
                f"{labels} must start together everywhere and reach the same people, so that no rollout can tell one "
                "from the other; yet an effect of each is wanted. Want one effect, of both together, or let them part."
            )
        fixed: dict[str, object] = {}
        for c in members:
            said += [f"{labels} must start together, but have different dates fixed in {p}." for p, m in c.fixed.items()
                     if fixed.get(p, m) != m]  # fmt: skip
            fixed |= c.fixed
        earliest, latest = (
            [getattr(c, n) for c in members if getattr(c, n) is not None] for n in ("earliest", "latest")
        )
        most = [c.per_month for c in members if c.per_month is not None]
        out.append(replace(
            members[0], name="+".join(c.name for c in members), wanted=wanted[0] if wanted else None, fixed=fixed,
            earliest=max(earliest, key=str, default=None), latest=min(latest, key=str, default=None),
            per_month=min(most, default=None), everywhere=all(c.everywhere for c in members),
            lag=max(c.lag for c in members),
        ))  # fmt: skip
    return tuple(out), said


def _wrong_components(components: Sequence[Planned]) -> list[Problem]:
    """What is wrong with components, one by one."""
    if not components or not all(isinstance(c, Planned) for c in components):
        return [Problem("components must be a list of ek.Planned(...), at least one")]
    names = [c.name for c in components]
    found = [
        Problem(f"The component {n!r} is named twice", "", "Give each its own name.")
        for n in {*names}
        if names.count(n) > 1
    ]
    if len(components) > MOST_COMPONENTS:
        found.append(Problem(f"{len(components)} components", "", f"Plan at most {MOST_COMPONENTS} at a time."))
    for c in components:
        where = f"Planned({c.name!r})"
        if not isinstance(c.name, str) or not c.name.strip() or c.name == "place":
            found.append(Problem(f"{c.name!r} is no name of a component", where, "Use a word."))
        if c.wanted is not None and (not is_number(c.wanted) or not c.wanted):
            found.append(
                Problem(
                    f"wanted={c.wanted!r} leaves nothing to look for",
                    where,
                    "Use a number other than 0, in the outcome's unit.",
                )
            )
        if c.per_month is not None and (
            isinstance(c.per_month, bool) or not isinstance(c.per_month, int) or c.per_month < 0
        ):
            found.append(Problem(f"per_month={c.per_month!r} is no number of places", where, "Use a whole number."))
        if not _whole(c.lag):
            found.append(Problem(f"lag={c.lag!r} is no number of periods", where, "Use a whole number, 0 or more."))
        if c.reach is not None and not isinstance(c.reach, str) and not (is_number(c.reach) and 0 < c.reach <= 1):
            found.append(
                Problem(f"reach={c.reach!r} is no share", where, "Use a number above 0 and up to 1, or a column.")
            )
        if not isinstance(c.fixed, Mapping):
            found.append(Problem("fixed is no table of places and periods", where, "Write {'Bury': '2027-06'}."))
    return found


def _whole(number: object) -> bool:
    """Whether something is a whole number, 0 or more."""
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _wrong_window(window: int, per_month: int | None) -> list[Problem]:
    found = []
    if not _whole(window) or not window:
        found.append(Problem(f"window={window!r} is no number of periods", "", "Use a whole number, 1 or more."))
    if per_month is not None and not _whole(per_month):
        found.append(Problem(f"per_month={per_month!r} is no number of starts", "", "Use a whole number."))
    return found


def places_table(places: Sequence[str] | pd.DataFrame, noise: Noise) -> pd.DataFrame:
    """Names and people of the places. Raises `OptionError` for none, for names twice and for people that are none."""
    if isinstance(places, pd.DataFrame):
        table = places.reset_index() if "place" not in places and places.index.name == "place" else places.copy()
        if "place" not in table:
            raise OptionError(f"places has no column 'place'. It has: {', '.join(map(str, places.columns))}.")
    else:
        listed = [places] if isinstance(places, str) else list(places)
        table = pd.DataFrame({"place": pd.Series(listed, dtype=object)})
    if "people" not in table:
        table["people"] = float(noise.people)
    named, people = table["place"], pd.to_numeric(table["people"], errors="coerce")
    problems = []
    if not len(table):
        problems.append(Problem("There are no places", "places", "Name those that could start."))
    if len(table) > MOST_PLACES:
        problems.append(Problem(f"{len(table):,} places", "places", f"Plan at most {MOST_PLACES}; group small ones."))
    if named.isna().any() or (named.astype(str).str.strip() == "").any():
        problems.append(Problem("A place has no name", "places", "Name every place."))
    if (twice := named[named.astype(str).duplicated()]).size:
        problems.append(Problem(f"The place {twice.iloc[0]!r} stands twice", "places", "Give each place one row."))
    if not (np.isfinite(people) & (people > 0)).all():
        row = int(np.flatnonzero(~(np.isfinite(people) & (people > 0)))[0])
        problems.append(
            Problem(f"people is {table['people'].iloc[row]}", f"places, row {row + 1}", "Use a number above 0.")
        )
    raise_problems(problems, OptionError)
    return table.assign(place=named.astype(str), people=people.astype(float))


def _reaches(table: pd.DataFrame, components: Sequence[Planned]) -> tuple[np.ndarray, tuple[int, ...], tuple[str, ...]]:
    """(P, K) shares reached, which reach each component has (-1: everybody), and what was taken for granted."""
    share, reach_of, notes = np.ones((len(table), len(components))), [], []
    known: list[str] = []
    for k, c in enumerate(components):
        if c.reach is None or c.reach == 1:
            reach_of.append(-1)
            continue
        key = c.reach if isinstance(c.reach, str) else f"{c.name} {c.reach}"
        if key not in known:
            known.append(key)
        reach_of.append(known.index(key))
        if not isinstance(c.reach, str):
            share[:, k] = c.reach
        elif c.reach in table:
            given = pd.to_numeric(table[c.reach], errors="coerce").to_numpy(float)
            given = given / table["people"].to_numpy() if np.nanmax(given, initial=0.0) > 1 else given
            if not ((given > 0) & (given <= 1)).all():
                raise OptionError(f"places has values in {c.reach!r} that are no shares. Use numbers from 0 to 1.")
            share[:, k] = given
        else:
            share[:, k] = 0.5
            notes.append(
                f"places has no column {c.reach!r}: half of the people are taken to be within reach of {c.name!r}."
            )
    return share, tuple(reach_of), tuple(notes)


def _groups(components: Sequence[Planned], together: Sequence[Sequence[str]]) -> np.ndarray:
    """(K,) one number for all that start together. A component may stand for several: 'a+b'."""
    group = np.arange(len(components))
    names = {m: k for k, c in enumerate(components) for m in c.name.split("+")}
    for members in together:
        if isinstance(members, str) or len(members) < 2:
            raise OptionError(f"together={members!r} joins nothing. Give pairs of names: [('policy', 'nurse')].")
        for m in members:
            if m not in names:
                raise OptionError(f"together names {m!r}. {suggest(str(m), names, 'Components')}")
        at = [names[m] for m in members]
        group[np.isin(group, group[at])] = group[at].min()
    return group
