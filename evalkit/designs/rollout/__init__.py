"""Rollouts: each start beside units not yet exposed, the other components alike."""
