"""Partnerships with known truth: one small engine, a portfolio of whole studies, and one town alone."""

from evalkit.synthetic.feed import event_feed
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.partnership import Partnership, Truth, names, partnership
from evalkit.synthetic.portfolio import Portfolio
from evalkit.synthetic.town import Town

__all__ = ["Knobs", "Partnership", "Portfolio", "Town", "Truth", "event_feed", "names", "partnership"]
