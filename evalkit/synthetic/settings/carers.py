"""Unpaid carers in twelve districts: breaks, education that stops as carer-led groups start, digital inclusion.

Magnitudes are plausible, not estimates of any real project.
"""

from __future__ import annotations

from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.spec import (
    Clock,
    Contract,
    Effect,
    Flag,
    Happening,
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

LOCKDOWN = Happening("Lockdown", 3, 4)

QUALITY = Process(
    "quality_of_life",
    "Carer's quality of life (0 to 12)",
    "level",
    {"level": Line(7.5, need=-0.7, person_sd=2.2, area_sd=0.25, shocks=(LOCKDOWN.moves(-0.5),))},
    matters=0.3,
    noise_sd=1.6,
    rho=0.3,
    digits=1,
    bounds=(0, 12),
    response=0.45,
    response_need=-0.2,
)
COPING = Process(
    "caring_on",
    "Still caring at home",
    "event",
    {"hazard": Line(-3.45, need=0.3)},
    matters=0.03,
)
DIGITAL_USE = Process(
    "digital_use",
    "Uses the internet every week",
    "state",
    {"in": Line(-1.7, need=-0.2, trend=0.02), "out": Line(-1.9, need=0.1)},
    start=0.55,
    in_study=False,
    response=0.45,
)

BREAKS = Part(
    "breaks",
    "Breaks from caring",
    "district",
    Launch((0, 1, 1, 2, 3, None, None)),
    (Effect("quality_of_life", "level", 0.35), Effect("caring_on", "hazard", -0.0305)),
    reach="heavy_caring",
    unit_cost=160,
    description="Somebody else takes over for some hours or days.",
    card={
        "why": "Rest keeps people able to care",
        "who": "Paid care workers of a local charity",
        "how": "At home or at a day centre",
        "how_much": "Some hours a week or some days a year",
    },
)
EDUCATION = Part(
    "education",
    "Carer education",
    "district",
    Launch((0, 0, 1, 1, 1, 2, 2), ends_with="groups", apart=(0, 1, 2, 3, 4, None, None)),
    (),
    reach="wants_company",
    unit_cost=40,
    description="Courses on caring. Carers said that they knew how to care, and the courses stopped.",
    card={
        "why": "Those who know more about caring may find it easier",
        "who": "Trainers of a charity",
        "how": "In a course for a group",
        "how_much": "Six half-days",
    },
)
GROUPS = Part(
    "groups",
    "Carer-led groups",
    "district",
    Launch((2, 2, 2, 3, 3, 3, 4), after="education", apart=(1, 2, 3, 4, 5, None, None)),
    (Effect("quality_of_life", "level", 0.25),),
    reach="wants_company",
    replaces="education",
    unit_cost=25,
    description="Groups that carers run themselves around what they like, in place of the courses.",
    card={
        "why": "Carers said that what they lacked was each other",
        "who": "Carers themselves, with a small budget",
        "how": "In a group",
        "how_much": "Every week or two",
    },
)
DIGITAL = Part(
    "digital",
    "Digital inclusion",
    "district",
    Launch((0, 2, 3, 4, 5, None, None)),
    (Effect("quality_of_life", "level", 0.15), Effect("digital_use", "in", 0.9), Effect("digital_use", "out", -0.4)),
    reach="seldom_online",
    unit_cost=55,
    description="A device, a connection and somebody who shows how.",
    card={
        "why": "Much of help and company is online",
        "who": "Volunteers with time to explain",
        "how": "At home, with a device to keep",
        "how_much": "Until it works, about four visits",
    },
)

CONTRACT = Contract(
    price_year=2019,
    payments=(
        Payment(
            "quality_of_life",
            "Life got better",
            "First answer {least} point or more above the last one before joining, once",
            300,
            rule="gain",
            least=1,
        ),
        Payment(
            "caring_on",
            "A year more of caring at home",
            "Every {periods} half-years recorded as still caring at home since joining, up to {most} times",
            400,
            periods=2,
            most=2,
        ),
    ),
    spending=(
        Spending("breaks", "set-up", 8_000, once=True),
        Spending("education", "set-up", 4_000, once=True),
        Spending("groups", "time of volunteers", 600, bearer="social"),
        Spending("digital", "set-up", 5_000, once=True),
        Spending("programme", "management", 6_000),
    ),
    worths=(
        Worth(
            "quality_of_life", 180, "social", "the carer", 2019, "C", "Assumed for teaching: one point for half a year"
        ),
        Worth(
            "caring_on", 9_000, "fiscal", "council", 2019, "C", "Assumed for teaching: half a year of care not bought"
        ),
    ),
)

CARERS = Spec(
    name="carers",
    title="Support for unpaid carers (synthetic)",
    question="Which kinds of support improved carers' lives?",
    story="Seven districts beside five of neighbouring counties. The partnership listened: its courses gave way to "
    "groups that carers lead.",
    places=Places(
        site="district",
        programme=(420, 340, 300, 260, 220, 160, 100),
        comparison=(380, 300, 230, 170, 120),
    ),
    clock=Clock("2018-10", periods=10, launch=3, step="half_year", column="half_year", burn=8, year=2),
    processes=(QUALITY, COPING, DIGITAL_USE),
    parts=(BREAKS, EDUCATION, GROUPS, DIGITAL),
    flags=(
        Flag("heavy_caring", -0.4, 0.5, label="Cares for 50 hours a week or more"),
        Flag("wants_company", -0.85, label="Would join courses or groups"),
        Flag("seldom_online", -1.1, 0.2, label="Seldom or never online at the start"),
    ),
    leaving=(Leaving("bereaved", 0.05), Leaving("moved", 0.02), Leaving("withdrew", 0.03, need=0.2)),
    late=0.25,
    ages=(30, 85),
    women=0.68,
    contract=CONTRACT,
    happenings=(LOCKDOWN,),
    settings={
        "clean": Knobs(tidy=True),
        "realistic": Knobs(attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.3),
        "hard": Knobs(gap=1, attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.3, order="need"),
    },
)
