"""Disclosure control: which counts and people may be published."""
