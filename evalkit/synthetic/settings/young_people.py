"""Hard-to-place young people moving from residential care to family homes: 80 of them, in four authorities.

The right answer is to decline. Magnitudes are plausible, not estimates of any real project.
"""

from __future__ import annotations

from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.spec import (
    PERSON,
    Clock,
    Contract,
    Effect,
    Flag,
    Launch,
    Leaving,
    Line,
    Part,
    Payment,
    Places,
    Process,
    Spec,
    Spending,
    Worth,
)

PLACED = Process(
    "in_placement",
    "Placement in a family home holds",
    "event",
    {"hazard": Line(-2.75, need=0.5, area_sd=0.25)},
    matters=0.1,
)
MISSING = Process(
    "missing_episodes",
    "Times missing from home in four weeks",
    "count",
    {"rate": Line(-1.15, need=0.4, person_sd=0.8)},
    better="lower",
    in_study=False,
)
SDQ = Process(
    "sdq",
    "Difficulties score (SDQ, 0 to 40)",
    "level",
    {"level": Line(19, need=3, person_sd=4)},
    better="lower",
    noise_sd=3,
    digits=0,
    bounds=(0, 40),
    every=6,
    response=0.65,
    in_study=False,
)

DOUBLE_RUNNING = Part(
    "double_running",
    "Double running",
    PERSON,
    Launch(),
    (Effect("in_placement", "hazard", -0.041),),
    bins=(1, 6),
    unit_cost=900,
    description="Weeks in which both placements are paid, so that young person and family can get used to each other.",
    card={
        "why": "A move that can be tried does not have to be fled from",
        "who": "The authority, which pays for both placements",
        "how": "By visits and nights in both homes",
        "how_much": "Nought to twelve weeks, as the worker thinks fit",
    },
)
THERAPIST = Part(
    "therapist",
    "Therapist",
    "authority",
    Launch((0, 6, 12, None)),
    (Effect("in_placement", "hazard", -0.16),),
    unit_cost=420,
    description="A therapist for young person and family.",
    card={
        "why": "What happened before goes along into the new home",
        "who": "A therapist who is trained in trauma",
        "how": "With young person and family, apart and together",
        "how_much": "Once a week",
    },
)
MENTOR = Part(
    "mentor",
    "Mentor",
    "authority",
    Launch((3, 8, None, None)),
    (),
    unit_cost=150,
    description="A mentor outside the family.",
    card={
        "why": "Somebody who belongs to neither home",
        "who": "A trained adult, often care-experienced",
        "how": "In outings",
        "how_much": "Once a week",
    },
)
MATCHING = Part(
    "matching",
    "Careful matching",
    "authority",
    Launch(),
    (Effect("in_placement", "hazard", -0.2),),
    always_on=True,
    unit_cost=300,
    description="Nobody moves before family and young person have met and agreed.",
    card={
        "why": "A family that fits keeps",
        "who": "A social worker of the partnership",
        "how": "By talks, visits and a weekend",
        "how_much": "Over some weeks before the move",
    },
)

CONTRACT = Contract(
    price_year=2017,
    payments=(
        Payment(
            "in_placement",
            "Fifty-two weeks in a family home",
            "{periods} periods of four weeks recorded in the family home since joining, once",
            40_000,
            periods=13,
        ),
    ),
    spending=(
        Spending("therapist", "set-up", 3_000, once=True),
        Spending("mentor", "time of volunteers", 120, bearer="social"),
        Spending("programme", "management", 4_000),
    ),
    worths=(
        Worth(
            "in_placement",
            4_500,
            "fiscal",
            "children's services",
            2017,
            "B",
            "£150,000 a year for residential care less £91,000 for a family placement (The Guardian, 12 October 2017), "
            "a thirteenth of it, rounded",
        ),
    ),
)

YOUNG_PEOPLE = Spec(
    name="young_people",
    title="From residential care to family homes (synthetic)",
    question="Which parts of the support made placements last?",
    story="Four authorities beside six others. Eighty young people moved to families; how long both placements "
    "were paid was a worker's choice.",
    places=Places(site="authority", programme=(30, 24, 16, 10), comparison=(60, 50, 40, 35, 30, 25)),
    clock=Clock("1", periods=52, launch=13, step="number", column="four_weeks", burn=0, year=13),
    processes=(PLACED, MISSING, SDQ),
    parts=(DOUBLE_RUNNING, THERAPIST, MENTOR, MATCHING),
    flags=(Flag("moved_often", -0.3, 0.5, label="Had five or more placements before"),),
    leaving=(Leaving("moved", 0.008), Leaving("came of age", 0.004)),
    arrivals="spread",
    ages=(10, 17),
    women=0.45,
    contract=CONTRACT,
    settings={
        "clean": Knobs(),
        "realistic": Knobs(attrition=1.0, missing=1.0, need_shift=0.3),
        "hard": Knobs(gap=2, attrition=1.0, missing=1.0, need_shift=0.5),
    },
)
