"""The partnerships: values for the engine, one file each.

Magnitudes are plausible, not estimates of any real project. To add one: copy the file nearest to it, fill in its
outcomes, components, money and `Spec` (`evalkit/synthetic/spec.py` says what each value means), name it below, and
run `data/synthetic/make.py`.
"""

from __future__ import annotations

from evalkit.synthetic.settings.carers import CARERS
from evalkit.synthetic.settings.pupils import PUPILS
from evalkit.synthetic.settings.rough_sleeping import ROUGH_SLEEPING
from evalkit.synthetic.settings.social_prescribing import SOCIAL_PRESCRIBING
from evalkit.synthetic.settings.young_people import YOUNG_PEOPLE
from evalkit.synthetic.spec import Spec

SPECS: dict[str, Spec] = {s.name: s for s in (ROUGH_SLEEPING, SOCIAL_PRESCRIBING, CARERS, YOUNG_PEOPLE, PUPILS)}
