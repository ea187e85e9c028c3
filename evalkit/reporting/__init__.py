"""The report: small functions that a notebook calls, and the one that writes it all."""

from __future__ import annotations

from evalkit.evaluation.results import safe as safe
from evalkit.reporting.blocks import Section as Section
from evalkit.reporting.build import pictures as pictures
from evalkit.reporting.build import report as report
from evalkit.reporting.build import write_pictures as write_pictures
from evalkit.reporting.build import write_tables as write_tables
from evalkit.reporting.more_sections import adds_up as adds_up
from evalkit.reporting.more_sections import held_back as held_back
from evalkit.reporting.more_sections import method as method
from evalkit.reporting.more_sections import money as money
from evalkit.reporting.more_sections import provenance as provenance
from evalkit.reporting.more_sections import who_is_in as who_is_in
from evalkit.reporting.page_one import page_one as page_one
from evalkit.reporting.plan import read_plan as read_plan
from evalkit.reporting.sections import borrowed as borrowed
from evalkit.reporting.sections import contents as contents
from evalkit.reporting.sections import delivered as delivered
from evalkit.reporting.sections import estimates as estimates
from evalkit.reporting.sections import held as held
from evalkit.reporting.sections import said as said
from evalkit.reporting.sections import told_apart as told_apart
