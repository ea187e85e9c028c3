"""Regressions: unit and period effects, effects that add up, and the regression everybody runs."""
