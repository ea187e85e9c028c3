"""How an effect grew: estimates by periods since the start, a panel a component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.errors import OptionError
from evalkit.figures import style
from evalkit.figures.estimates import event_table
from evalkit.figures.inputs import Labels, check_has, frame_of, in_order, labels_of
from evalkit.inference import Estimate
from evalkit.language.axis import Axis, axis_of
from evalkit.language.templates import VERDICT_WORDS
from evalkit.show.words import count_words, join_words

if TYPE_CHECKING:
    from evalkit.evaluation import Evaluation
    from evalkit.study import Outcome

_COLUMNS = ("component", "event_time", "estimate", "conf_low", "conf_high", "band_low", "band_high", "reason")
_LEADS = 12  # event times before the start that are drawn at most
_MOSTLY = 0.7  # of the event times must have their band inside the picture for it to be shaded

_BINNED_FROM, _BIN = 30, 3  # more event times than that are drawn in threes
_RANGES = ("estimate", "conf_low", "conf_high", "band_low", "band_high")

Panels = list[tuple[str, pd.DataFrame, float, str]]
"""Label, event-time rows, last clean event time and verdict in words ('' where it is not known) of each panel."""


def event_study(
    source: Evaluation | Estimate | pd.DataFrame,
    component: str | None = None,
    *,
    outcome: str | None = None,
    clean_until: Mapping[str, float] | None = None,
    labels: Labels = None,
    scale: Outcome | None = None,
    width: float = style.WIDE,
    ax: style.Given = None,
) -> Figure:
    """A panel a component: estimate, pointwise interval (bars) and simultaneous band (shaded) by event time.

    source: an Evaluation, an Estimate by event time (or by cohort and period), or its table. component: one of them,
    default all. clean_until: component -> last event time with clean comparisons; later ones have an open marker and
    lie beyond a dashed line. Rows without a number are a cross at the foot of the panel; an interval that goes beyond
    it ends in an arrow, and the band is shaded only if it mostly fits in. Up to twelve event times before the start are
    drawn; of more than thirty in all, every three stand as one mark, at the means of their estimates and of their ends
    (too wide rather than too narrow). Nothing is drawn beyond what the outcome can do. The title comes from the
    verdict, never from single periods. ax: axes to draw into, one for each component, which are given back."""
    until, found = dict(clean_until or {}), dict[str, str]()
    if isinstance(source, (pd.DataFrame, Estimate)):
        frame = frame_of(event_table(source), "", _COLUMNS)
        tables = {c: frame[frame["component"] == c] for c in in_order(frame["component"])}
    else:
        check_has(source, "event_studies")
        outcome = outcome if outcome is not None else source.study.outcome().column
        tables = {c: frame_of(t, "", _COLUMNS) for (c, o), t in source.event_studies.items() if o == outcome and len(t)}
        known = source.separability.components
        until = {**dict(zip(known["component"], known["clean_until"], strict=True)), **until}
        own = source.verdicts[source.verdicts["outcome"] == outcome]
        found = {c: VERDICT_WORDS.get(v, str(v)) for c, v in zip(own["component"], own["verdict"], strict=True)}
    tables = {c: t for c, t in tables.items() if component in (None, c)}
    if not tables:
        which = f" of {component!r}" if component is not None else ""
        raise OptionError(f"There is no event study{which} to draw: no design could give its event times.")
    names, unit = labels_of(source, labels), axis_of(scale if scale is not None else source, outcome)
    panels = [
        (names.get(c, c), t.assign(**{n: unit.possible(t[n]) for n in _RANGES}), until.get(c, np.nan), found.get(c, ""))
        for c, t in tables.items()
    ]
    return style.drawn(_draw, _say, (panels, unit), width, ax)


def _draw(panels: Panels, unit: Axis, where: style.Where) -> Axes:
    columns = 1 if style.narrow(where) or len(panels) == 1 else 2
    rows = -(-len(panels) // columns)
    names, tall = [label for label, *_ in panels], rows * (2.6 if columns == 1 else 2.2) + 0.45
    axes, shaded = style.new_panels(where, tall, names, (rows, columns), noun="component"), False
    for ax, (label, table, until, _) in zip(axes, panels, strict=True):
        shaded |= _panel(ax, _drawn_rows(table, until), until, unit)
        if len(panels) > 1 or style.given(where):
            ax.set_title(label, wrap="$" not in label)  # wrapped words are measured as mathematics
        up = f"\n{unit.ways[1]} ↑   {unit.ways[0]} ↓" if unit.better else ""
        ax.set_ylabel(f"{unit.unit}{up}")
    key = "dot: estimate; line: likely range" + ("; shaded: all of them at once" if shaded else "")
    key += "; dashed: what matters" if unit.edges else ""
    key += "\nevery three periods as one" if any(_many(table) for _, table, _, _ in panels) else ""
    rounded = [_coarse(table, unit) for _, table, _, _ in panels]
    key += "".join(f"\n{words}" for words in in_order(rounded) if words)
    style.words_below(where, axes, f"periods since the start\n{key}")
    return axes[0]


def _say(panels: Panels, unit: Axis) -> style.Told:
    title = f"{count_words(len(panels), 'component')}: what was found by periods since the start"
    if len(panels) == 1:
        verdict = f" ({panels[0][3].lower()} as a whole)" if panels[0][3] else ""
        title = f"{panels[0][0]}: what was found by periods since the start{verdict}"
    who = join_words(label for label, *_ in panels)
    alt = f"Event study of {who}: estimates in {unit.unit} by periods since the start, with intervals."
    lines = [line for label, table, until, _ in panels for line in _lines(label, table, until, unit)]
    data = pd.concat([table for _, table, _, _ in panels], ignore_index=True)
    return title, f"{alt} {lines[0]}", "\n".join(lines), data


def _clean(table: pd.DataFrame, until: float) -> np.ndarray:
    times = table["event_time"].to_numpy(dtype=np.float64)
    return np.ones(len(times), dtype=bool) if until != until else times <= until


def _many(table: pd.DataFrame) -> bool:
    return int(table["estimate"].notna().sum()) > _BINNED_FROM


def _drawn_rows(table: pd.DataFrame, until: float) -> pd.DataFrame:
    """The rows as they are drawn: of many, every three as one, none across the start or the end of what is its own."""
    if not _many(table):
        return table
    given = table[table["estimate"].notna()].sort_values("event_time", kind="stable")
    last = until if until == until else np.inf
    side = np.select([given["event_time"] < 0, given["event_time"] <= last], [0, 1], 2)
    at = given["event_time"].to_numpy(dtype=float)
    bins = np.where(side == 2, np.floor((at - last - 1) / _BIN) if np.isfinite(last) else 0, np.floor(at / _BIN))
    return (
        given.groupby([side, bins], sort=False)[["event_time", *_RANGES]]
        .mean()
        .assign(reason="")
        .reset_index(drop=True)
    )


def _panel(ax: Axes, table: pd.DataFrame, until: float, unit: Axis) -> bool:
    """Draw one component; whether its simultaneous band fits in and is shaded."""
    table = table.sort_values("event_time", kind="stable")
    numbered = table.loc[table["estimate"].notna(), "event_time"]
    first, last = (numbered.min(), numbered.max()) if len(numbered) else (0, 0)
    table = table[table["event_time"].between(max(first, -_LEADS), last + 3)]
    time = table["event_time"].to_numpy(dtype=np.float64)
    value, low, high, band_low, band_high = (unit.show(table[c]) for c in _COLUMNS[2:7])
    given, clean = np.isfinite(value), _clean(table, until)
    ax.axhline(0, color=style.INK, linewidth=0.9, zorder=2)
    for edge in unit.edges:
        ax.axhline(edge, color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    ax.axvline(-0.5, color=style.RULE, linewidth=0.9, linestyle=":")
    ax.vlines(time, low, high, color=style.BLUE, linewidth=1.6, zorder=3)
    for mask, face in ((given & clean, style.BLUE), (given & ~clean, "white")):
        ax.plot(time[mask], value[mask], "o", color=style.BLUE, markerfacecolor=face, markersize=5, zorder=4)
    _limits(ax, [low, high], unit)
    bottom, top = ax.get_ylim()
    band = np.isfinite(band_low) & np.isfinite(band_high)
    fits = bool(band.any() and ((band_low >= bottom) & (band_high <= top))[band].mean() >= _MOSTLY)
    if fits:
        ax.fill_between(time, band_low, band_high, where=band, color=style.PALE, linewidth=0, zorder=1)
    for mask, edge, marker in ((high > top, top, "^"), (low < bottom, bottom, "v")):
        if mask.any():  # an interval goes beyond the panel
            look = {"color": style.BLUE, "markersize": 5, "clip_on": False, "linestyle": "none", "zorder": 5}
            ax.plot(time[mask], np.full(int(mask.sum()), edge), marker, **look)
    _marks(ax, time, given, clean, until)
    ax.xaxis.get_major_locator().set_params(integer=True)
    style.bare(ax, keep=("bottom", "left"))
    return fits


def _limits(ax: Axes, ends: list[np.ndarray], unit: Axis) -> None:
    """Limits that most intervals fit in; one far wider interval must not flatten the rest."""
    edge, points = [0.0, *unit.edges], np.concatenate([e[np.isfinite(e)] for e in ends])
    reach = max(2.5 * np.quantile(np.abs(points), 0.7) if len(points) else 1.0, 1.2 * max(np.abs(edge)), 1e-9)
    low, high = max(min([*points, *edge]), -reach), min(max([*points, *edge]), reach)
    room = (high - low or 1.0) * 0.08
    ax.set_ylim(low - 2 * room, high + room)


def _marks(ax: Axes, time: np.ndarray, given: np.ndarray, clean: np.ndarray, until: float) -> None:
    """Say where the comparison is no longer clean, and where there is no number."""
    foot, missing = ax.get_ylim()[0], time[~given]
    if len(missing):
        ax.plot(missing, np.full(len(missing), foot), "x", color=style.RUST, markersize=6, clip_on=False, zorder=5)
    if until == until and (~clean).any():
        ax.axvline(until + 0.5, color=style.RUST, linewidth=1.1, linestyle="--")
        right = until > time.mean()
        said = "not its own →" if right else "not its own from here →"
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top"}
        ax.annotate(said, (until + 0.5, 1), xytext=(-3 if right else 3, -2), ha="right" if right else "left",
                    fontsize=8, color=style.RUST, **where)  # fmt: skip


def _coarse(table: pd.DataFrame, unit: Axis) -> str:
    """To what its numbers are rounded, where few people stand behind some of them; '' where nothing is."""
    step = float(table["rounded_to"].max()) if "rounded_to" in table else 0.0
    words = f"{float(f'{unit.show(step):.2g}'):,g}"  # a hundred is no 1e+02
    return f"rounded to steps of {words}, as few stand behind some of them" if step > 0 else ""


def _lines(label: str, table: pd.DataFrame, until: float, unit: Axis) -> list[str]:
    after = table[(table["event_time"] >= 0) & _clean(table, until) & table["estimate"].notna()]
    before = table[(table["event_time"] < 0) & table["estimate"].notna()]
    out = [f"{label}: no event time from the start on could be estimated with a clean comparison."]
    if len(after):
        first, last = (unit.span(*(float(after[c].iloc[i]) for c in _RANGES[:3])) for i in (0, -1))
        begin, end = after["event_time"].iloc[0], after["event_time"].iloc[-1]
        out = [f"{label}: {first}{unit.after} at period {begin:.0f}, {last} at period {end:.0f}, ranges in brackets."]
    if len(before):
        low, high = unit.say(before["estimate"].min(), before["estimate"].max())
        out.append(f"Before the start: between {low} and {high}{unit.after}.")
    if until == until and not _clean(table, until).all():
        out.append(f"After period {until:.0f} the effect can no longer be told from the others' (open markers).")
    if len(after) and after[["band_low", "band_high"]].notna().all(axis=None):
        low, high = unit.say(after["band_low"].median(), after["band_high"].median(), ways=("down", "up"))
        out.append(f"All event times from the start on at once: typically between {low} and {high}{unit.after}.")
    out += [f"{words[:1].upper()}{words[1:]}." for words in [_coarse(table, unit)] if words]
    gone = table[table["estimate"].isna()]
    if len(gone):
        reasons = join_words([r for r in in_order(gone["reason"]) if r])
        times = np.sort(gone["event_time"].to_numpy(dtype=int))
        runs = np.split(times, np.flatnonzero(np.diff(times) != 1) + 1)
        said = join_words([str(g[0]) if len(g) == 1 else f"{g[0]} to {g[-1]}" for g in runs])  # '3 to 21 and 24'
        out.append(f"No number at {said}{': ' + reasons if reasons else ''}.")
    return out
