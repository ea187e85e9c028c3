"""Matching of people: who takes part, distances, one method a file, balance, and the effect."""
