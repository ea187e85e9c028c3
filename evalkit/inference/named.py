"""Estimates by the names that statsmodels has for them, as a printed summary and as a figure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module

import numpy as np
import pandas as pd

from evalkit.errors import OptionError, is_number, spelt
from evalkit.inference import labels as row_labels
from evalkit.inference.labelled import Labels
from evalkit.show.tables import Summary, from_frame
from evalkit.show.words import count_words


class Named(ABC):
    """What an `Estimate` gives to those who come from other packages; nothing is stored."""

    value: np.ndarray
    label_columns: Labels

    @abstractmethod
    def to_frame(self, level: float = 0.95, inference: str = "auto") -> pd.DataFrame:
        """A row a number, as an Estimate gives it."""

    @property
    def params(self) -> pd.Series:
        """Estimates by what they are of, as statsmodels calls them."""
        return self._by_name(self.value)

    @property
    def bse(self) -> pd.Series:
        """Standard errors by what they are of."""
        return self._by_name(self.to_frame()["std_error"])

    @property
    def pvalues(self) -> pd.Series:
        """Two-sided p values by what they are of."""
        return self._by_name(self.to_frame()["p_value"])

    def conf_int(self, alpha: float = 0.05) -> pd.DataFrame:
        """Ends of the pointwise intervals of level 1 - alpha, columns 0 and 1, by what they are of."""
        if not is_number(alpha) or not 0 < alpha < 1:
            raise OptionError(f"alpha={spelt(alpha)} is not a choice. Use a number between 0 and 1, such as 0.05.")
        frame = self.to_frame(1 - alpha)
        ends = {i: self._by_name(frame[c]) for i, c in enumerate(("conf_low", "conf_high"))}
        return pd.DataFrame(ends)

    def _by_name(self, values: Sequence[float] | pd.Series) -> pd.Series:
        return pd.Series(np.array(values, dtype=float), index=row_labels.row_names(self.label_columns.frame))

    def summary(self, level: float = 0.95, inference: str = "auto") -> Summary:
        """A table for people: estimate, standard error, interval, p value, clusters, and how they were made."""
        frame = self.to_frame(level, inference)
        kept = {"Effect of": row_labels.row_names(self.label_columns.frame), "Estimate": frame["estimate"],
                "Standard error": frame["std_error"], f"{level:.0%} from": frame["conf_low"],
                "to": frame["conf_high"], "p": frame["p_value"], "df": frame["df"],
                "Exposed clusters": frame["clusters_exposed"], "Comparison clusters": frame["clusters_comparison"],
                "Inference": frame["inference"]}  # fmt: skip
        note = " ".join(row_labels.reasons_in_words(frame))
        headings = {c: c for c in kept}
        made = from_frame(pd.DataFrame(kept), f"Estimate of {count_words(len(self.value), 'row')}", headings, note=note)
        return Summary(made.caption, made.columns, made.rows, made.numeric, note=note)

    def plot(self, **options: object) -> object:
        """A figure of the rows: an event study where they are of event times, else a forest; as `ek.plot` draws them.

        options: those of `ek.plot.event_study` or `ek.plot.estimates`, such as `ax=`.
        """
        figures = import_module("evalkit.figures")  # they stand above and are asked for by name
        by_time = "event_time" in self.label_columns and pd.Series(self.label_columns["event_time"]).nunique() > 1
        return (figures.event_study if by_time else figures.estimates)(self, **options)
