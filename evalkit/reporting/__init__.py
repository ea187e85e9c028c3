"""The report: small functions that a notebook calls, and the one that writes it all."""

from __future__ import annotations

from evalkit.evaluation.results import safe
from evalkit.reporting.blocks import Section
from evalkit.reporting.build import report
from evalkit.reporting.method import method, provenance
from evalkit.reporting.page_one import page_one
from evalkit.reporting.pictures import pictures, write_pictures, write_tables
from evalkit.reporting.plan import read_plan
from evalkit.reporting.sections import borrowed, contents, delivered, estimates, held, said, told_apart
from evalkit.reporting.value_sections import adds_up, held_back, money, who_is_in

__all__ = [
    "Section",
    "adds_up",
    "borrowed",
    "contents",
    "delivered",
    "estimates",
    "held",
    "held_back",
    "method",
    "money",
    "page_one",
    "pictures",
    "provenance",
    "read_plan",
    "report",
    "safe",
    "said",
    "told_apart",
    "who_is_in",
    "write_pictures",
    "write_tables",
]
