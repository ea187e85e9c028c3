"""What every test may use."""

from __future__ import annotations

import os

import hypothesis
import numpy as np
import pytest

os.environ["MPLBACKEND"] = "Agg"

# The same drawn cases in every run, and no clock: a slow machine fails no test.
hypothesis.settings.register_profile("evalkit", deadline=None, derandomize=True)
hypothesis.settings.load_profile("evalkit")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed, new for each test."""
    return np.random.default_rng(20)
