"""Numba where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

_F = TypeVar("_F", bound=Callable)

COMPILED = find_spec("numba") is not None


def quick(function: _F) -> _F:
    """Compiled where numba is installed, and kept beside the module for the next run; others may run beside it."""
    if not COMPILED:
        return function
    from numba import njit

    return cast(_F, njit(cache=True, nogil=True)(function))


def wait_for(function: Any) -> str:
    """What makes a first search long, in words: loops that were never compiled here, or no numba; "" where neither."""
    if not COMPILED:
        return "The search goes on without numba, sixty times as long: install evalkit with its extra [plan]"
    if not hasattr(function, "stats"):  # numba is told to compile nothing (NUMBA_DISABLE_JIT)
        return ""
    kept = Path(function.stats.cache_path)
    known = function.signatures or any(kept.glob(f"*.{function.__name__}-*.nbi"))
    return "" if known else "The search is compiled first, once: up to a minute"
