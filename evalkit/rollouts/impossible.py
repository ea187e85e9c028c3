"""Why no rollout can do what a brief asks for: proofs in words, from what is allowed alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evalkit.components.switches import ENOUGH
from evalkit.rollouts.brief import Brief
from evalkit.rollouts.search import Search
from evalkit.show.words import count_words, number_in_words


def why_impossible(brief: Brief, search: Search) -> tuple[str, ...]:
    """Sentences, each of which alone rules every rollout out; none where nothing was proved."""
    if brief.contradictions:
        return brief.contradictions
    if said := tuple(_apart(brief, search)):
        return said
    told = [v for v, g in enumerate(search.groups) if brief.asked[g].any()]
    return tuple([*_crowded(brief, search), *(s for v in told for s in why_unseen(brief, search, v))])


def _when(brief: Brief, position: int) -> object:
    return brief.calendar.values[min(position, brief.T - 1)]


def _apart(brief: Brief, search: Search) -> Iterator[str]:
    """Components that must start together where their dates do not meet."""
    for g, v in ((g, v) for v, g in enumerate(search.groups) if len(g) > 1):
        for i, place in enumerate(brief.places):
            if not len(search.domain[i][v]):
                names = " and ".join(repr(brief.names[k]) for k in g)
                yield f"{names} must start together, but no date is allowed for both in {place}."


def _crowded(brief: Brief, search: Search) -> Iterator[str]:
    """More starts that must fall between two periods than may (Hall's condition on intervals)."""
    T = brief.T
    must = [(v, d) for row in search.domain for v, d in enumerate(row) if d[-1] < T and d[0] >= brief.past]
    for v, g in enumerate(search.groups):
        name = " and ".join(repr(brief.names[k]) for k in g)
        if said := _too_many([d for w, d in must if w == v], int(brief.most[g].min()), brief, f"{name} must start in"):
            yield said
            return
    if said := _too_many([d for _, d in must], brief.most_in_all, brief, "All components together must make"):
        yield said


def _too_many(must: list[np.ndarray], most: int, brief: Brief, what: str) -> str:
    count = np.zeros((brief.T, brief.T), dtype=np.int64)
    for d in must:
        count[: d[0] + 1, d[-1] :] += 1
    length = np.arange(brief.T) - np.arange(brief.T)[:, None] + 1
    over = np.argwhere((count > most * length) & (length > 0))
    if not len(over):
        return ""
    a, b = over[np.argmin(over[:, 1] - over[:, 0])]
    things = "places" if what.endswith("in") else "starts"
    return (
        f"{what} {count[a, b]} {things} between {_when(brief, a)} and {_when(brief, b)}, but at most {most} may start "
        f"in a period, which makes {most * length[a, b]}."
    )


def why_unseen(brief: Brief, search: Search, v: int) -> Iterator[str]:
    """A component that no two places could show for as long as is asked, whatever the rest does."""
    g, T = search.groups[v], brief.T
    name, lag = " and ".join(repr(brief.names[k]) for k in g), int(brief.lags[g].max())
    span, domain = lag + brief.window, [row[v] for row in search.domain]
    ever = [d for d in domain if d[0] < T]
    window = count_words(brief.window, "period")
    if (n := len(brief.places)) <= ENOUGH:
        there = "There is one place" if n == 1 else f"There are {number_in_words(n)} places"
        yield (
            f"{there}. {name} needs at least three: two that start it, "
            "and one that waits beside either, so that the answer does not hang on a single place."
        )
    elif len(ever) < ENOUGH:
        yield f"{name} may start in {count_words(len(ever), 'place')} only: nothing shows what is that place's own."
    elif not any(((d >= 1) & (d + span <= T)).any() for d in domain):
        first = min(int(d[0]) for d in ever)
        if first + span > T:
            yield (
                f"{name} starts in {_when(brief, first)} at the earliest, and its effect is wanted over {window}; "
                f"outcomes end in {_when(brief, T - 1)}, before that."
            )
        else:
            yield f"{name} starts in the first period everywhere: there is no period before it to compare with."
    elif (last := max(int(d[-1]) for d in domain)) < (first := min(int(d[0]) for d in ever)) + span:
        yield (
            f"Every place has {name} by {_when(brief, last)}. Where it starts first, in {_when(brief, first)} at the "
            f"earliest, its effect is wanted over {window}, and by then no place is still waiting to stand beside it."
        )
    elif not (brief.share[:, g] < 1).any():
        starts, waits = _pairs(brief, search, v, span)
        if starts < ENOUGH or waits < ENOUGH:
            yield (
                f"{name} can be seen alone in {count_words(starts, 'place')} at most, beside {waits} that wait: "
                f"elsewhere something else starts within {window} of it, or it has no place beside it whose other "
                "components do the same. Two on either side are needed."
            )


def _pairs(brief: Brief, search: Search, v: int, span: int) -> tuple[int, int]:
    """Places that could start beside another that waits and whose other components could do the same, or do not reach
    everybody in either, and places that could wait so."""
    P, T = len(brief.places), brief.T
    may = np.zeros((P, len(search.groups), T + 1), dtype=bool)
    for i, row in enumerate(search.domain):
        for w, d in enumerate(row):
            may[i, w, d] = True
    others = [w for w in range(len(search.groups)) if w != v]
    spared = [(brief.share[:, search.groups[w]] < 1).all(axis=1) for w in range(len(search.groups))]
    good = np.zeros((P, P), dtype=bool)
    for g in range(1, T - span + 1):
        pair = may[:, v, g][:, None] & may[:, v, g + span :].any(axis=1)
        for w in others:
            early, late = may[:, w, :g].any(axis=1), may[:, w, g + span :].any(axis=1)
            middle = may[:, w, g : g + span].astype(int)
            same = (middle @ middle.T) > 0
            pair &= np.outer(early, early) | np.outer(late, late) | same | np.outer(spared[w], spared[w])
        good |= pair
    np.fill_diagonal(good, False)
    return int(good.any(axis=1).sum()), int(good.any(axis=0).sum())
