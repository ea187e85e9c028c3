"""Components: what can be told apart, before any outcome is read."""

from evalkit.components.separability import Separability as Separability
from evalkit.components.separability import separability as separability
