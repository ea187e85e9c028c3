"""What a rollout is asked to do: places, components, dates that are allowed, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, Problem, is_number, is_whole, raise_problems, spelt, suggest
from evalkit.rollouts.dates import is_never, make_calendar_of, place_of
from evalkit.rollouts.noise import Noise
from evalkit.rollouts.together import Planned, fixed_at, group_numbers, merge, reach_key
from evalkit.show.words import join_words
from evalkit.study.calendar import Calendar
from evalkit.study.schema import odd_ids

BASE_WINDOW = 6
"""Periods before a start that a plan leaves free, where dates allow, as headlines read up to so many."""
MOST_PLACES, MOST_COMPONENTS = 200, 10


@dataclass(frozen=True, eq=False)
class Brief:
    """A rollout that is asked for, checked: P places, K components, T periods; a start is a position, T for never.

    people: (P,). share: (P, K) of them whom each component reaches, and `kinds` which components share a reach.
    low, high: (P, K) first and last start allowed; never: (P, K) whether it may stay away. most: (K,) starts a period,
    most_in_all: of all together. groups: (K,) components with the same number start together. past: position before
    which nothing can be changed any more. notes: what was taken for granted. contradictions: sentences on what was
    asked. members: of each component that stands for several, their names. unit_costs: of each of those, by its name.
    asked: (K,) which are to be told.
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
    unit_costs: Mapping[str, float | None] = field(default_factory=dict)
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
        return self.T if is_never(moment) else place_of(self.calendar, moment, "a date of the draft")

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
        if not isinstance(frame, pd.DataFrame):
            raise OptionError("The draft is no table. Give a frame with place and a column a component.")
        _named_once(frame, "The draft")
        table = frame.reset_index() if "place" not in frame and frame.index.name == "place" else frame
        columns = [names[0] for names in self.members]
        missing = [c for c in ("place", *columns) if c not in table]
        if missing:
            raise OptionError(f"The draft has no column {', '.join(missing)}. It needs place and a column a component.")
        named = table["place"].astype(str).tolist()
        if sorted(named) != sorted(self.places):
            raise OptionError("The draft's places are not those of the brief. Give each of them one row.")
        rows = table.set_index(table["place"].astype(str)).loc[list(self.places)]
        for g in np.unique(self.groups):
            joined = [n for k in np.flatnonzero(self.groups == g) for n in self.members[k] if n in rows]
            self._start_as_one(rows[joined])
        return np.array([[self.position(rows.iloc[i][n]) for n in columns] for i in range(len(rows))])

    def _start_as_one(self, rows: pd.DataFrame) -> None:
        """Raise `OptionError` where components that must start together (columns) do not in some place."""
        for place, *dates in rows.itertuples():
            if len({self.position(d) for d in dates}) > 1:
                both = " and ".join(map(repr, rows))
                raise OptionError(f"{both} must start together, but the draft has different dates for them in {place}.")


# ---------------------------------------------------------------- the door


def make_brief(
    places: Sequence[str] | pd.DataFrame, components: Sequence[Planned], periods: Sequence[object] | Calendar,
    noise: Noise, window: int, together: Sequence[Sequence[str]] = (), per_month: int | None = None, now: object = None,
) -> Brief:  # fmt: skip
    """A brief that can be planned from; what contradicts itself is in `contradictions`. Raises `OptionError` with what
    cannot be meant at all: unknown names, dates that are none, numbers out of range. periods: first and last, or all of
    them."""
    raise_problems(
        [*_wrong_components(components), *_wrong_window(window, per_month), *_wrong_groups(together)], OptionError
    )
    calendar = periods if isinstance(periods, Calendar) else make_calendar_of(periods)
    table = places_table(places, noise)
    merged, members, asked = merge(components, together, calendar)
    share, reach_of, notes = _reaches(table, merged)
    names, P, T = table["place"].tolist(), len(table), len(calendar)
    past = place_of(calendar, now, "now") if now is not None else 0
    problems: list[Problem] = []
    low, high = np.empty((P, len(merged)), dtype=np.int64), np.empty((P, len(merged)), dtype=np.int64)
    for k, c in enumerate(merged):
        where = f"of {c.name!r}"
        first = min(BASE_WINDOW, T - 1) if c.earliest is None else place_of(calendar, c.earliest, f"earliest {where}")
        low[:, k] = max(first, past)  # what was not done before now is not done then any more
        last = T - window - c.lag
        high[:, k] = max(last, low[0, k]) if c.latest is None else place_of(calendar, c.latest, f"latest {where}")
        asked += _fix(c, k, calendar, names, low, high, problems)
    raise_problems(problems, OptionError)
    never = np.tile([not c.everywhere for c in merged], (P, 1))
    never &= ~np.array([[n in map(str, c.fixed) for c in merged] for n in names])
    groups = group_numbers(members, together)
    _stay_away_together(groups, low, high, never, T)
    return Brief(
        places=tuple(names), people=table["people"].to_numpy(float), components=merged, share=share, reach_of=reach_of,
        calendar=calendar, noise=noise, window=window, low=low, high=high, never=never,
        most=np.array([P if c.per_month is None else c.per_month for c in merged]),
        most_in_all=P * len(merged) if per_month is None else per_month, groups=groups, past=past, notes=notes,
        contradictions=tuple(asked), members=members, unit_costs={c.name: c.unit_cost for c in components},
    )  # fmt: skip


def _stay_away_together(groups: np.ndarray, low: np.ndarray, high: np.ndarray, never: np.ndarray, periods: int) -> None:
    """Where one of those that start together is fixed never to come, others that may stay away do."""
    for g in np.unique(groups):
        k = np.flatnonzero(groups == g)
        away = (low[:, k] >= periods).any(axis=1) & (never[:, k] | (low[:, k] >= periods)).all(axis=1)
        at = np.ix_(away, k)
        low[at], high[at], never[at] = periods, periods, False


def _fix(
    c: Planned, k: int, calendar: Calendar, names: list[str], low: np.ndarray, high: np.ndarray,
    problems: list[Problem],
) -> list[str]:  # fmt: skip
    """Dates that are fixed go into the columns of `low` and `high`; sentences on those that others rule out."""
    said, last, values = [], int(high[0, k]), calendar.values
    first = 0 if c.earliest is None else place_of(calendar, c.earliest, f"earliest of {c.name!r}")
    if low[0, k] > last:
        said.append(f"{c.name!r} may not start before {values[low[0, k]]} and must have started by {values[last]}.")
    for place, moment in c.fixed.items():
        if str(place) not in names:
            problems.append(
                Problem(f"Unknown place {spelt(place)}", f"fixed of {c.name!r}", suggest(str(place), names, "Places"))
            )
            continue
        i, never = names.index(str(place)), is_never(moment)
        low[i, k] = high[i, k] = fixed_at(c, place, calendar)
        if not never and (low[i, k] < first or (high[i, k] > last and c.latest is not None)):
            bounds = f"{'' if c.earliest is None else values[first]} to {'' if c.latest is None else values[last]}"
            said.append(f"{c.name!r} is fixed at {moment} in {place}, outside the dates that it may have ({bounds}).")
    return said


def _wrong_components(components: Sequence[Planned]) -> list[Problem]:
    """What is wrong with components, one by one."""
    listed = isinstance(components, Sequence) and all(isinstance(c, Planned) for c in components)
    if not listed or not components:
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
        elif hidden := [what for what, _ in odd_ids([c.name])]:
            found.append(Problem(f"The name {hidden[0]}", where, "Mend it."))
        if c.wanted is not None and (not is_number(c.wanted) or not c.wanted):
            found.append(
                Problem(
                    f"wanted={spelt(c.wanted)} leaves nothing to look for",
                    where,
                    "Use a number other than 0, in the outcome's unit.",
                )
            )
        if c.per_month is not None and not is_whole(c.per_month):
            found.append(
                Problem(f"per_month={spelt(c.per_month)} is no number of places", where, "Use a whole number.")
            )
        if not is_whole(c.lag):
            found.append(
                Problem(f"lag={spelt(c.lag)} is no number of periods", where, "Use a whole number, 0 or more.")
            )
        if c.reach is not None and not isinstance(c.reach, str) and not (is_number(c.reach) and 0 < c.reach <= 1):
            found.append(
                Problem(f"reach={spelt(c.reach)} is no share", where, "Use a number above 0 and up to 1, or a column.")
            )
        if not isinstance(c.everywhere, (bool, np.bool_)):
            found.append(
                Problem(f"everywhere={spelt(c.everywhere)} is neither True nor False", where, "Write one of them.")
            )
        if c.unit_cost is not None and not (is_number(c.unit_cost) and c.unit_cost >= 0):
            found.append(Problem(f"unit_cost={spelt(c.unit_cost)} is no cost", where, "Use a number, 0 or more."))
        if not isinstance(c.fixed, Mapping):
            found.append(Problem("fixed is no table of places and periods", where, "Write {'Bury': '2027-06'}."))
    return found


def _wrong_window(window: int, per_month: int | None) -> list[Problem]:
    found = []
    if not is_whole(window, 1):
        found.append(Problem(f"window={spelt(window)} is no number of periods", "", "Use a whole number, 1 or more."))
    if per_month is not None and not is_whole(per_month):
        found.append(Problem(f"per_month={spelt(per_month)} is no number of starts", "", "Use a whole number."))
    return found


def _wrong_groups(together: object) -> list[Problem]:
    groups = list(together) if isinstance(together, Iterable) and not isinstance(together, str) else [together]
    return [
        Problem(f"together={spelt(members)} joins nothing", "", "Give pairs of names: [('policy', 'nurse')].")
        for members in groups
        if not isinstance(members, (list, tuple)) or len({str(m) for m in members}) < 2
    ]


def _named_once(table: pd.DataFrame, what: str) -> None:
    """Raise `OptionError` where a column stands twice."""
    if len(twice := table.columns[table.columns.duplicated()]):
        raise OptionError(f"{what} has the column {spelt(twice[0])} twice. Keep one of them.")


def places_table(places: Sequence[str] | pd.DataFrame, noise: Noise) -> pd.DataFrame:
    """Names and people of the places. Raises `OptionError` for none, for names twice and for people that are none."""
    if isinstance(places, pd.DataFrame):
        _named_once(places, "places")
        table = places.reset_index() if "place" not in places and places.index.name == "place" else places.copy()
        if "place" not in table:
            raise OptionError(f"places has no column 'place'. It has: {', '.join(map(str, places.columns))}.")
    elif isinstance(places, Mapping) or not isinstance(places, Iterable):
        raise OptionError(f"places={spelt(places)} is no list of names. Give one, or a frame with place and people.")
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
    problems += [
        Problem(f"A place's name {what}: {', '.join(map(spelt, ids[:3]))}", "places", "Write each name one way.")
        for what, ids in odd_ids(named.dropna().astype(str).drop_duplicates().tolist())
        if any(i.strip() for i in ids)
    ]
    if (twice := named[named.astype(str).duplicated()]).size:
        problems.append(Problem(f"The place {spelt(twice.iloc[0])} stands twice", "places", "Give each place one row."))
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
        if not (key := reach_key(c)):
            reach_of.append(-1)
            continue
        if key not in known:
            known.append(key)
        reach_of.append(known.index(key))
        if not isinstance(c.reach, str):
            share[:, k] = c.reach
        elif c.reach in table:
            given = pd.to_numeric(table[c.reach], errors="coerce").to_numpy(float)
            given = given / table["people"].to_numpy() if np.nanmax(given, initial=0.0) > 1 else given
            if not ((given > 0) & (given <= 1)).all():
                raise OptionError(
                    f"places has values in {spelt(c.reach)} that are no shares. Use numbers above 0 and up to 1, "
                    "or how many people they are; leave out places where it reaches nobody."
                )
            share[:, k] = given
        else:
            share[:, k] = 0.5
            notes.append(
                f"places has no column {spelt(c.reach)}: half of the people are taken to be within reach of {c.name!r}."
            )
    notes += [_nearly_nobody(table, c.name, share[:, k]) for k, c in enumerate(components)]
    return share, tuple(reach_of), tuple(n for n in notes if n)


def _nearly_nobody(table: pd.DataFrame, name: str, share: np.ndarray) -> str:
    """What is taken for granted where fewer than half a person is within reach; "" where that is nowhere."""
    few = table["place"][table["people"].to_numpy() * share < 0.5].tolist()
    where = join_words(few[:3] if len(few) <= 3 else [*few[:3], f"{len(few) - 3} more"])
    return f"{name!r} reaches hardly anybody in {where}: one person is reckoned there." if few else ""
