"""Rollouts: who starts what, when, so that each component can be told apart; before any outcome is there."""
