"""Numba where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar, cast

_F = TypeVar("_F", bound=Callable)

COMPILED = find_spec("numba") is not None


def quick(function: _F) -> _F:
    """Compiled where numba is installed, and kept beside the module for the next run."""
    if not COMPILED:
        return function
    from numba import njit

    return cast(_F, njit(cache=True)(function))
