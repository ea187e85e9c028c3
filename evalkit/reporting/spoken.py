"""The table of verdicts with everything that may be said about each."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evalkit.evaluation.words import may_not_say, may_say, sentence, what_would_change_our_mind


def spoken(evaluation: Any, outcome: str | None = None) -> pd.DataFrame:
    """`evaluation.verdicts` with found, may_say, may_not_say and would_change, for one outcome or all.

    `found` is the sentence without the component's name, for tables that name it already.
    """
    words = pd.DataFrame(
        [
            {
                "component": evidence.component,
                "outcome": evidence.outcome,
                "found": sentence(evidence, verdict, named=False),
                "may_say": may_say(evidence, verdict),
                "may_not_say": may_not_say(evidence, verdict),
                "would_change": what_would_change_our_mind(evidence, verdict),
            }
            for evidence, verdict in evaluation.decisions
        ]
    )
    table = evaluation.verdicts.merge(words, on=["component", "outcome"], how="left", validate="one_to_one")
    return table if outcome is None else table[table["outcome"] == outcome]
