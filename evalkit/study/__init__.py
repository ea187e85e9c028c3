"""The study: register, panel, the two doors, exposure paths."""

from evalkit.study.component import Component as Component
from evalkit.study.component import Outcome as Outcome
from evalkit.study.study import Study as Study
