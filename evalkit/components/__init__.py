"""Components: what can be told apart, before any outcome is read."""

from evalkit.components.cards import adoption as adoption
from evalkit.components.cards import card_table as card_table
from evalkit.components.cards import cards as cards
from evalkit.components.separability import Separability as Separability
from evalkit.components.separability import separability as separability
