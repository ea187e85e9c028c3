"""The report: small functions that a notebook calls, and the one that writes it all.

Each is imported when it is first asked for (PEP 562): the process that starts the notebook draws nothing, and the
notebook's own needs no converter of notebooks.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "safe": "evalkit.evaluation.results",
    **dict.fromkeys(
        ("data_statement", "delivered", "harms", "itself", "other_evidence", "standards"), "evalkit.reporting.about"
    ),
    "Section": "evalkit.reporting.blocks",
    "report": "evalkit.reporting.build",
    **dict.fromkeys(("pictures", "write_pictures", "write_tables"), "evalkit.reporting.drawn"),
    **dict.fromkeys(
        ("adds_up", "held_back", "method", "money", "provenance", "who_is_in"), "evalkit.reporting.more_sections"
    ),
    "page_one": "evalkit.reporting.brief",
    "read_plan": "evalkit.reporting.plan",
    **dict.fromkeys(("borrowed", "contents", "estimates", "held", "said", "told_apart"), "evalkit.reporting.sections"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'evalkit.reporting' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_WHERE[name]), name)
    return value
