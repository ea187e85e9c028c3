"""What places with it say one at a time, beside a headline that rests on fewer than three of them; as one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evalkit.language import templates as say
from evalkit.show.numbers import NOT_GIVEN, range_words
from evalkit.show.words import design_words, full_stop, plural
from evalkit.study import Outcome


def one_by_one(tried: pd.DataFrame, designs: Sequence[str], outcome: Outcome, currency: str, place: str) -> str:
    """The ranges of `designs` among those that were `tried` of one component, each named as what it is; "" where none
    of them has a range, or one of them is the headline itself."""
    mine = tried[tried["design"].isin(designs)]
    if mine["headline"].any():
        return ""
    spans = [
        (design_words(str(r.design)), range_words(r.conf_low, r.conf_high, outcome.said, currency=currency,
                                                  time=outcome.unit))
        for r in mine.itertuples()
    ]  # fmt: skip
    told = [f"{words}, {span}" for words, span in spans if span != NOT_GIVEN]
    if not told:
        return ""
    found, other = "; ".join(told), say.ON_OTHER_ASSUMPTIONS[len(told) > 1]
    return full_stop(say.ONE_BY_ONE.format(places=plural(place), found=found, other=other))
