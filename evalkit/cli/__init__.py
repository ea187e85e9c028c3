"""The `evalkit` command."""

from __future__ import annotations

from evalkit.cli.app import main as main

__all__ = ["main"]
