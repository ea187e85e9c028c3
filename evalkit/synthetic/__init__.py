"""Partnerships with known truth: six settings of one small engine."""

from evalkit.synthetic.partnership import Partnership, Truth, names, partnership
from evalkit.synthetic.spec import Knobs

__all__ = ["Knobs", "Partnership", "Truth", "names", "partnership"]
