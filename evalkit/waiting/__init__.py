"""Outcomes that wait for an event: curves, hazards, and what stands for those who were not followed to the end."""
