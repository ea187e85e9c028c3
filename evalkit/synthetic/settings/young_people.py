"""Hard-to-place young people moving from residential care to family homes: 80 of them, in four authorities.

The right answer is to decline.
"""

from __future__ import annotations

from dataclasses import replace

from evalkit.synthetic import spec
from evalkit.synthetic.knobs import Knobs

PLACED = spec.Process(
    "in_placement",
    "Placement in a family home holds",
    "event",
    {"hazard": spec.Line(-2.75, need=0.5, area_sd=0.25)},
    matters=0.1,
)
MISSING = spec.Process(
    "missing_episodes",
    "Times missing from home in four weeks",
    "count",
    {"rate": spec.Line(-1.15, need=0.4, person_sd=0.8)},
    better="lower",
    in_study=False,
)
SDQ = spec.Process(
    "sdq",
    "Difficulties score (SDQ, 0 to 40)",
    "level",
    {"level": spec.Line(19, need=3, person_sd=4)},
    better="lower",
    noise_sd=3,
    digits=0,
    bounds=(0, 40),
    every=6,
    response=0.65,
    in_study=False,
)

DOUBLE_RUNNING = spec.Part(
    "double_running",
    "Double running",
    spec.PERSON,
    spec.Launch(),
    (spec.Effect("in_placement", "hazard", -0.041),),
    bins=(1, 6),
    unit_cost=900,
    description="Weeks in which both placements are paid, so that young person and family can get used to each other.",
    why="A move that can be tried does not have to be fled from",
    who="The authority, which pays for both placements",
    how="By visits and nights in both homes",
    how_much="Nought to twelve weeks, as the worker thinks fit",
)
THERAPIST = spec.Part(
    "therapist",
    "Therapist",
    "authority",
    spec.Launch((0, 6, 12, None)),
    (spec.Effect("in_placement", "hazard", -0.16),),
    unit_cost=420,
    set_up=3_000,
    description="A therapist for young person and family.",
    why="What happened before goes along into the new home",
    who="A therapist who is trained in trauma",
    how="With young person and family, apart and together",
    how_much="Once a week",
)
MENTOR = spec.Part(
    "mentor",
    "Mentor",
    "authority",
    spec.Launch((3, 8, None, None)),
    (),
    unit_cost=150,
    volunteers=120,
    description="A mentor outside the family.",
    why="Somebody who belongs to neither home",
    who="A trained adult, often care-experienced",
    how="In outings",
    how_much="Once a week",
)
MATCHING = spec.Part(
    "matching",
    "Careful matching",
    "authority",
    spec.Launch(),
    (spec.Effect("in_placement", "hazard", -0.2),),
    always_on=True,
    unit_cost=300,
    description="Nobody moves before family and young person have met and agreed.",
    why="A family that fits keeps",
    who="A social worker of the partnership",
    how="By talks, visits and a weekend",
    how_much="Over some weeks before the move",
)

CONTRACT = spec.Contract(
    price_year=2017,
    payments=(
        spec.Payment(
            "in_placement",
            "Fifty-two weeks in a family home",
            "{periods} periods of four weeks recorded in the family home since joining, once",
            40_000,
            periods=13,
        ),
    ),
    management=4_000,
    worths=(
        spec.Worth(
            "in_placement",
            4_500,
            "fiscal",
            "children's services",
            grade="B",
            source="£150,000 a year for residential care less £91,000 for a family placement (The Guardian, 12 October "
            "2017), a thirteenth of it, rounded",
        ),
    ),
)

REALISTIC = Knobs(attrition=1.0, missing=1.0, need_shift=0.3)

YOUNG_PEOPLE = spec.Spec(
    name="young_people",
    title="From residential care to family homes (synthetic)",
    question="Which parts of the support made placements last?",
    story="Four authorities beside six others. Eighty young people moved to families; how long both placements "
    "were paid was a worker's choice.",
    places=spec.Places(site="authority", programme=(30, 24, 16, 10), comparison=(60, 50, 40, 35, 30, 25)),
    clock=spec.Clock("1", periods=52, launch=13, step="number", column="four_weeks", burn=0, year=13),
    processes=(PLACED, MISSING, SDQ),
    parts=(DOUBLE_RUNNING, THERAPIST, MENTOR, MATCHING),
    flags=(spec.Flag("moved_often", -0.3, 0.5, label="Had five or more placements before"),),
    leaving=(spec.Leaving("moved", 0.008), spec.Leaving("came of age", 0.004)),
    arrivals="spread",
    ages=(10, 17),
    women=0.45,
    contract=CONTRACT,
    settings={
        "clean": Knobs(),
        "realistic": REALISTIC,
        "hard": replace(REALISTIC, gap=2, need_shift=0.5),
    },
)
