"""One thread for linear algebra on small matrices, where waiting for a second one costs more than it brings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS use one thread inside, and as many as before afterwards; a context, or a decorator of a function.

    Products of small matrices take microseconds: where the cores are busy with other work, threads that wait for
    each other make them many times slower, and nowhere faster.
    """
    with _pools().limit(limits=1, user_api="blas"):
        yield
