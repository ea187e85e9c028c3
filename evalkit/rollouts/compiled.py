"""Numba where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_F = TypeVar("_F", bound=Callable)

try:
    from numba import njit
except ImportError:
    njit = None

COMPILED = njit is not None


def quick(function: _F) -> _F:
    """Compiled where numba is installed, and kept beside the module for the next run."""
    return njit(cache=True)(function) if njit is not None else function
