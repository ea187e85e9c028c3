"""Partnerships with known truth: six settings of one small engine."""

from evalkit.synthetic.feed import event_feed
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.partnership import Partnership, Truth, names, partnership

__all__ = ["Knobs", "Partnership", "Truth", "event_feed", "names", "partnership"]
