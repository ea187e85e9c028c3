"""The report: small functions that a notebook calls, and the one that writes it all."""

from __future__ import annotations

from evalkit.reporting.build import report
from evalkit.reporting.export import write_pictures, write_tables
from evalkit.reporting.html import Html
from evalkit.reporting.method import method, provenance
from evalkit.reporting.page_one import page_one
from evalkit.reporting.pictures import pictures
from evalkit.reporting.sections import borrowed, contents, delivered, estimates, held, said, told_apart

__all__ = [
    "Html",
    "borrowed",
    "contents",
    "delivered",
    "estimates",
    "held",
    "method",
    "page_one",
    "pictures",
    "provenance",
    "report",
    "said",
    "told_apart",
    "write_pictures",
    "write_tables",
]
