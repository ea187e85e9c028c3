"""Sliders for Jupyter: base window, comparison and what matters, beside the forest that they give; by ipywidgets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evalkit.errors import OptionError
from evalkit.evaluation import Evaluation
from evalkit.evaluation.ladder import Choices
from evalkit.evaluation.respecified import beside_what_matters, refitted
from evalkit.figures import Picture, describe
from evalkit.language.decisions import lean_words
from evalkit.language.templates import LEANS
from evalkit.show.tables import from_frame
from evalkit.show.words import count_words
from evalkit.study import Outcome, Study

if TYPE_CHECKING:
    from ipywidgets import VBox

WIDEST = 12
"""Periods of a base window at most that the slider offers."""
BESIDE = {"not_yet": "not yet exposed", "never": "never exposed"}
CAUTION = (
    "Weights are equal, nothing is checked here, and no verdict is given: a verdict rests on choices that were made "
    "before any outcome was read (ek.evaluate). What is turned here shows how much hangs on each choice, no more."
)
_SHOWN = {"component": "Component", "design": "Design", "estimate": "Estimate", "conf_low": "Likely range from",
          "conf_high": "to", "clusters_exposed": "Exposed clusters", "clusters_comparison": "Comparison clusters",
          "said": "What the range leaves out", "reason": "Why there is no number"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Explored:
    """What the sliders of one study and outcome give, without any slider. Fits are kept, so that what matters is turned
    at no cost.

    answers: the table of effects of an evaluation, whose headlines are drawn as ticks below; None for none.
    """

    study: Study
    outcome: Outcome
    level: float = 0.95
    answers: pd.DataFrame | None = None

    @cached_property
    def _fits(self) -> dict[Choices, pd.DataFrame]:
        return {}

    @property
    def usual(self) -> Choices:
        """The study's own choices."""
        return Choices.of(self.study.settings)

    @property
    def widest(self) -> int:
        """The widest base window on offer."""
        return max(min(WIDEST, self.study.paths.n_periods - 1), self.usual.base_window, 1)

    @property
    def most(self) -> float:
        """The largest size of what matters on offer: beyond every interval, in one digit."""
        table = self.table(self.usual.base_window, self.usual.comparison, 0)
        ends = np.abs(table[["conf_low", "conf_high"]].to_numpy(dtype=float))
        top = max(float(np.nanmax(ends, initial=0.0)), 2 * (self.outcome.matters or 0.0)) or 1.0
        digit = 10 ** math.floor(math.log10(top))
        return math.ceil(top / digit) * digit

    def table(self, base_window: int, comparison: str, matters: float) -> pd.DataFrame:
        """The rows of `ek.respecify` under these choices."""
        choices = replace(self.usual, base_window=base_window, comparison=comparison)
        if choices not in self._fits:
            self._fits[choices] = refitted(self.study, choices, self.outcome, self.level)
        return beside_what_matters(self._fits[choices], self.outcome, matters)

    def picture(self, base_window: int, comparison: str, matters: float) -> Picture:
        """The forest under these choices; in place of a verdict it says what each range leaves out."""
        table = self.table(base_window, comparison, matters)
        words = [LEANS[word].partition(":")[0] if word else "Not estimated" for word in table["lean"]]
        ticks = self.answers
        if ticks is not None:
            ticks = ticks[ticks["headline"].astype(bool)].assign(headline=False)
        labels = {c.name: c.label for c in self.study.components}
        scale = replace(self.outcome, matters=matters or None)
        made = describe("forest", table.assign(verdict=words), ticks, labels=labels, scale=scale)
        given = int(table["estimate"].notna().sum())
        title = f"Base of {count_words(base_window, 'period')}, beside those {BESIDE[comparison]}"
        alt = f"Forest plot of {count_words(len(table), 'component')}, {given} with a number. {title}."
        return replace(made, title=title, alt=alt, name="explored")

    def page(self, base_window: int, comparison: str, matters: float) -> str:
        """The forest, its numbers and what they are not, as HTML."""
        table = self.table(base_window, comparison, matters)
        labels = {c.name: c.label for c in self.study.components}
        said = [lean_words(word, matters or None) for word in table["lean"]]
        shown = table.assign(component=[labels[c] for c in table["component"]], said=said)
        headings = {c: words for c, words in _SHOWN.items() if c != "reason" or table["reason"].any()}
        numbers = from_frame(shown, self.outcome.label, headings, note=CAUTION).to_html()
        return self.picture(base_window, comparison, matters).to_html() + numbers


def _explored(source: Study | Evaluation, outcome: str | None, level: float | None) -> Explored:
    if not isinstance(source, Evaluation):
        study = source.as_compared()
        return Explored(study, study.outcome(outcome), level or 0.95)
    source.check_whole("explore")
    chosen = source.study.outcome(outcome)
    mine = source.effects[source.effects["outcome"] == chosen.column]
    return Explored(source.study, chosen, level or source.level, mine)


def explore(source: Study | Evaluation, outcome: str | None = None, *, level: float | None = None) -> VBox:
    """Sliders beside the forest, for Jupyter: base window, comparison, and the smallest effect that matters.

    source: a Study, or an Evaluation, whose headlines are then drawn as ticks below and whose level is used. outcome:
    default the first. What is shown is `ek.respecify` under the choices: no check, no verdict. A move of the first two
    sliders fits again, once for each place that they are moved to; the third only reads the ranges anew.

    Raises `OptionError` where ipywidgets is not installed.
    """
    try:
        import ipywidgets
    except ImportError:
        raise OptionError(
            "explore uses the package ipywidgets. Install it: pip install 'evalkit-components[widget]'. Without it, "
            "ek.respecify(study, base_window=..., comparison=..., matters=...) gives the same numbers as a table."
        ) from None
    made = _explored(source, outcome, level)
    chosen = made.outcome
    look: dict[str, Any] = {"continuous_update": False, "style": {"description_width": "9em"},
                            "layout": {"width": "min(32em, 100%)"}}  # fmt: skip
    options = [(words, name) for name, words in BESIDE.items()]
    sliders = (
        ipywidgets.IntSlider(made.usual.base_window, 1, made.widest, description="Base window", **look),
        ipywidgets.SelectionSlider(
            options=options, value=made.usual.comparison, description="Beside those", **look
        ),
        ipywidgets.FloatSlider(chosen.matters or 0.0, min=0.0, max=made.most, step=made.most / 100,
                               description="What matters", readout_format=".3g", **look),
    )  # fmt: skip
    shown = ipywidgets.HTML()

    def turn(_: object = None) -> None:
        shown.value = made.page(*(slider.value for slider in sliders))

    for slider in sliders:
        slider.observe(turn, names="value")
    turn()
    return ipywidgets.VBox([*sliders, shown])
