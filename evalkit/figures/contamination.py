"""What borrowed what: how much of the usual regression's coefficient is its own component, a row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from evalkit.errors import NotIdentifiedError, OptionError
from evalkit.evaluation import Evaluation
from evalkit.figures import style
from evalkit.figures.inputs import in_order, labels_of
from evalkit.figures.picture import Words
from evalkit.show.words import count_words

COLUMNS = ("component", "source", "from_component", "positive", "negative")
_OWN: dict[str, Any] = {"facecolor": style.BLUE, "edgecolor": style.BLUE}
_TAKEN: dict[str, Any] = {"facecolor": "white", "edgecolor": style.BLUE, "hatch": "//////"}
_LENT: dict[str, Any] = {"facecolor": "white", "edgecolor": style.RUST, "hatch": "xxxx"}


def contamination_table(source: Evaluation | pd.DataFrame, outcome: str | None = None) -> pd.DataFrame:
    """The weights of every component that the regression can tell from the others (see TwoWayFixedEffects).

    source: an Evaluation, or the table itself. Components without a coefficient have no row.
    """
    if isinstance(source, pd.DataFrame):
        lacking = [c for c in COLUMNS if c not in source]
        if lacking:
            raise OptionError(f"The table of weights lacks the columns {', '.join(lacking)}.")
        return source
    made = []
    for component in source.study.components:
        try:
            made.append(source.contamination(component.name, outcome))
        except NotIdentifiedError:
            continue
    return pd.concat(made, ignore_index=True) if made else pd.DataFrame(columns=list(COLUMNS))


def contamination(
    source: Evaluation | pd.DataFrame,
    *,
    outcome: str | None = None,
    labels: Mapping[str, str] | None = None,
    width: float = style.WIDE,
) -> Figure:
    """Two bars a component: the weights of its own effects, and those borrowed from other components.

    Own weights sum to one; negative ones (hatched) turn effects upside down. Borrowed ones sum to zero: what is
    added for some places and periods is taken away for others, and cancels only if that effect is the same in all.
    source: an Evaluation, or the table of its weights.
    """
    table, names = contamination_table(source, outcome), labels_of(source, labels)
    shown = in_order(table["component"])
    if not shown:
        raise OptionError("There are no weights to draw: the regression can tell no component from the others.")
    phone = style.narrow(width)
    with style.theme():
        words = [names.get(c, c) for c in shown]
        figure = style.new_figure(width, 1.0 + (style.rows_height(words) if phone else len(shown) * 0.5))
        ax = figure.subplots()
        at = style.place_rows(ax, words, phone)
        for i, component in zip(at, shown, strict=True):
            own, taken, lent = parts(table, component)
            bar = {"height": 0.28, "linewidth": 0.8, "zorder": 2}
            ax.barh(i - 0.16, own, **bar, **_OWN)
            ax.barh(i - 0.16, -taken, **bar, **_TAKEN)
            ax.barh(i + 0.16, 2 * lent, left=-lent, **bar, **_LENT)
        ax.axvline(0, color=style.INK, linewidth=0.9, zorder=3)
        ax.axvline(1, color=style.QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        ends = [max(own, taken, lent, 1.0) for own, taken, lent in (parts(table, c) for c in shown)]
        ax.set_xlim(-1.05 * max(ends), 1.05 * max(ends))
        ax.set_xlabel("weight in the coefficient (its own sum to 1)")
        figure.legend(handles=_key(), loc="outside lower left", ncols=1 if phone else 3, frameon=False)
        style.bare(ax)
    return figure


def contamination_words(
    source: Evaluation | pd.DataFrame, *, outcome: str | None = None, labels: Mapping[str, str] | None = None
) -> tuple[Words, pd.DataFrame]:
    """The words and the data of `contamination`, from the same table."""
    table, names = contamination_table(source, outcome), labels_of(source, labels)
    shown = in_order(table["component"])
    much = sum(parts(table, c)[2] > 0.5 for c in shown)
    title = f"In the usual regression {much} of {len(shown)} components borrow heavily from others"
    alt = f"Bars for {count_words(len(shown), 'component')}: weights of its own effects, and of the effects of others, "
    alt += "in the coefficient of a regression with unit and period effects."
    lines = [_line(names, table, c) for c in shown]
    return Words(title, alt, "\n".join(lines)), table.reset_index(drop=True)


def parts(table: pd.DataFrame, component: str) -> tuple[float, float, float]:
    """(own positive weights, size of own negative ones, weights borrowed and given back)."""
    rows = table[table["component"] == component]
    mine = rows["from_component"] == component
    return (
        float(rows.loc[mine, "positive"].sum()),
        float(-rows.loc[mine, "negative"].sum()),
        float(rows.loc[~mine, "positive"].sum()),
    )


def _line(names: Mapping[str, str], table: pd.DataFrame, component: str) -> str:
    own, taken, lent = parts(table, component)
    rows = table[(table["component"] == component) & (table["from_component"] != component)]
    said = f"{names.get(component, component)}: its own effects enter with weights that sum to {own:.2f}"
    said += f", less {taken:.2f} with the sign turned round" if taken >= 0.005 else ""
    if rows.empty or lent < 0.005:
        return f"{said}; next to nothing is borrowed from others."
    most = rows.sort_values("positive", ascending=False, kind="stable").iloc[0]
    who = names.get(most["from_component"], most["from_component"])
    return f"{said}; {lent:.2f} is borrowed from others and given back, most of it from {who} ({most['positive']:.2f})."


def _key() -> list[Patch]:
    return [
        Patch(**_OWN, label="its own effects"),
        Patch(**_TAKEN, label="its own, sign turned round"),
        Patch(**_LENT, label="borrowed from others, and given back"),
    ]
