"""Partnerships with known truth: one small engine, and a portfolio of whole studies."""

from evalkit.synthetic.feed import event_feed
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.partnership import Partnership, Truth, names, partnership
from evalkit.synthetic.portfolio import Portfolio

__all__ = ["Knobs", "Partnership", "Portfolio", "Truth", "event_feed", "names", "partnership"]
