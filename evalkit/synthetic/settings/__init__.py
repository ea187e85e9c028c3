"""The partnerships: values for the engine, one file each."""

from __future__ import annotations

from evalkit.synthetic.settings.rough_sleeping import ROUGH_SLEEPING
from evalkit.synthetic.spec import Spec

SPECS: dict[str, Spec] = {s.name: s for s in (ROUGH_SLEEPING,)}
