"""Decomposition: the programme's total and what each component adds to it."""
