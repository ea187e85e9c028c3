"""The report: small functions that a notebook calls, and the one that writes it all."""

from __future__ import annotations

from evalkit.evaluation.results import safe
from evalkit.reporting.about import data_statement, delivered, harms, itself, other_evidence, standards
from evalkit.reporting.blocks import Section
from evalkit.reporting.build import pictures, report, write_pictures, write_tables
from evalkit.reporting.more_sections import adds_up, held_back, method, money, provenance, who_is_in
from evalkit.reporting.page_one import page_one
from evalkit.reporting.plan import read_plan
from evalkit.reporting.sections import borrowed, contents, estimates, held, said, told_apart
