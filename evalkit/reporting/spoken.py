"""The table of verdicts with everything that may be said about each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from evalkit.language.brief import brief
from evalkit.language.verdicts import in_one_breath, may_not_say, may_say, sentence, what_would_change_our_mind
from evalkit.reporting.plan import plan_tags
from evalkit.show.words import quoted


def spoken(evaluation: Any, outcome: str | None = None) -> pd.DataFrame:
    """`evaluation.verdicts` with brief, found, may_say, may_not_say, would_change and planned, for one outcome or all.

    `found` is the sentence without the component's name, for tables that name it already;
    `brief` is what page one has room for.
    """
    words = pd.DataFrame(
        [
            {
                "component": evidence.component,
                "outcome": evidence.outcome,
                "brief": brief(evidence, verdict).text,
                "found": sentence(evidence, verdict, named=False),
                "may_say": may_say(evidence, verdict),
                "may_not_say": may_not_say(evidence, verdict),
                "would_change": what_would_change_our_mind(evidence, verdict),
            }
            for evidence, verdict in evaluation.decisions
        ]
    )
    tags = plan_tags(getattr(evaluation, "plan", None), evaluation)
    words["planned"] = [tags.get(key, "no plan") for key in zip(words["component"], words["outcome"], strict=True)]
    table = evaluation.verdicts.merge(words, on=["component", "outcome"], how="left", validate="one_to_one")
    return table if outcome is None else table[table["outcome"] == outcome]


def breath(rows: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> str:
    """The verdicts in one breath; labels are quoted where one of them would run into the next."""
    listed = list(rows)
    words = [labels.get(row["component"], row["component"]) for row in listed]
    told = [quoted(w) for w in words] if any("," in w or " and " in w for w in words) else words
    return in_one_breath([{**row, "label": word} for row, word in zip(listed, told, strict=True)])
