"""Verdicts: from the evidence on a component to one of six words, by fixed rules."""
