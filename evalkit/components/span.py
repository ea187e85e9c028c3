"""What a Gram matrix identifies; the numbers are shared with the joint regression, so they live there."""

from evalkit.designs.span import IN_SPAN as IN_SPAN
from evalkit.designs.span import TOLERANCE as TOLERANCE
from evalkit.designs.span import Span as Span
from evalkit.designs.span import span as span
