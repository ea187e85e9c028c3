"""Unpaid carers in twelve districts: breaks, education that stops as carer-led groups start, digital inclusion."""

from __future__ import annotations

from dataclasses import replace

from evalkit.synthetic import spec
from evalkit.synthetic.knobs import Knobs

LOCKDOWN = spec.Happening("Lockdown", 3, 4)

QUALITY = spec.Process(
    "quality_of_life",
    "Carer's quality of life (0 to 12)",
    "level",
    {"level": spec.Line(7.5, need=-0.7, person_sd=2.2, area_sd=0.25, shocks=(LOCKDOWN.moves(-0.5),))},
    matters=0.3,
    noise_sd=1.6,
    rho=0.3,
    digits=1,
    bounds=(0, 12),
    response=0.45,
    response_need=-0.2,
)
COPING = spec.Process(
    "caring_on",
    "Still caring at home",
    "event",
    {"hazard": spec.Line(-3.45, need=0.3)},
    matters=0.03,
)
DIGITAL_USE = spec.Process(
    "digital_use",
    "Uses the internet every week",
    "state",
    {"in": spec.Line(-1.7, need=-0.2, trend=0.02), "out": spec.Line(-1.9, need=0.1)},
    start=0.55,
    in_study=False,
    response=0.45,
)

BREAKS = spec.Part(
    "breaks",
    "Breaks from caring",
    "district",
    spec.Launch((0, 1, 1, 2, 3, None, None)),
    (spec.Effect("quality_of_life", "level", 0.35), spec.Effect("caring_on", "hazard", -0.0305)),
    reach="heavy_caring",
    unit_cost=160,
    set_up=8_000,
    description="Somebody else takes over for some hours or days.",
    why="Rest keeps people able to care",
    who="Paid care workers of a local charity",
    how="At home or at a day centre",
    how_much="Some hours a week or some days a year",
)
EDUCATION = spec.Part(
    "education",
    "Carer education",
    "district",
    spec.Launch((0, 0, 1, 1, 1, 2, 2), ends_with="groups", apart=(0, 1, 2, 3, 4, None, None)),
    (),
    reach="wants_company",
    unit_cost=40,
    set_up=4_000,
    description="Courses on caring. Carers said that they knew how to care, and the courses stopped.",
    why="Those who know more about caring may find it easier",
    who="Trainers of a charity",
    how="In a course for a group",
    how_much="Six half-days",
)
GROUPS = spec.Part(
    "groups",
    "Carer-led groups",
    "district",
    spec.Launch((2, 2, 2, 3, 3, 3, 4), after="education", apart=(1, 2, 3, 4, 5, None, None)),
    (spec.Effect("quality_of_life", "level", 0.25),),
    reach="wants_company",
    replaces="education",
    unit_cost=25,
    volunteers=600,
    description="Groups that carers run themselves around what they like, in place of the courses.",
    why="Carers said that what they lacked was each other",
    who="Carers themselves, with a small budget",
    how="In a group",
    how_much="Every week or two",
)
DIGITAL = spec.Part(
    "digital",
    "Digital inclusion",
    "district",
    spec.Launch((0, 2, 3, 4, 5, None, None)),
    (
        spec.Effect("quality_of_life", "level", 0.15),
        spec.Effect("digital_use", "in", 0.9),
        spec.Effect("digital_use", "out", -0.4),
    ),
    reach="seldom_online",
    unit_cost=55,
    set_up=5_000,
    description="A device, a connection and somebody who shows how.",
    why="Much of help and company is online",
    who="Volunteers with time to explain",
    how="At home, with a device to keep",
    how_much="Until it works, about four visits",
)

CONTRACT = spec.Contract(
    price_year=2019,
    payments=(
        spec.Payment(
            "quality_of_life",
            "Life got better",
            "First answer {least} point or more above the last one before joining, once",
            300,
            rule="gain",
            least=1,
        ),
        spec.Payment(
            "caring_on",
            "A year more of caring at home",
            "Every {periods} half-years recorded as still caring at home since joining, up to {most} times",
            400,
            periods=2,
            most=2,
        ),
    ),
    management=6_000,
    worths=(
        spec.Worth("quality_of_life", 180, "social", "the carer", "one point for half a year"),
        spec.Worth("caring_on", 9_000, "fiscal", "council", "half a year of care not bought"),
    ),
)

REALISTIC = Knobs(attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.3)

CARERS = spec.Spec(
    name="carers",
    title="Support for unpaid carers (synthetic)",
    question="Which kinds of support improved carers' lives?",
    story="Seven districts beside five of neighbouring counties. The partnership listened: its courses gave way to "
    "groups that carers lead.",
    places=spec.Places(
        site="district",
        programme=(420, 340, 300, 260, 220, 160, 100),
        comparison=(380, 300, 230, 170, 120),
    ),
    clock=spec.Clock("2018-10", periods=10, launch=3, step="half_year", column="half_year", burn=8, year=2),
    processes=(QUALITY, COPING, DIGITAL_USE),
    parts=(BREAKS, EDUCATION, GROUPS, DIGITAL),
    flags=(
        spec.Flag("heavy_caring", -0.4, 0.5, label="Cares for 50 hours a week or more"),
        spec.Flag("wants_company", -0.85, label="Would join courses or groups"),
        spec.Flag("seldom_online", -1.1, 0.2, label="Seldom or never online at the start"),
    ),
    leaving=(spec.Leaving("bereaved", 0.05), spec.Leaving("moved", 0.02), spec.Leaving("withdrew", 0.03, need=0.2)),
    late=0.25,
    ages=(30, 85),
    women=0.68,
    contract=CONTRACT,
    happenings=(LOCKDOWN,),
    settings={
        "clean": Knobs(tidy=True),
        "realistic": REALISTIC,
        "hard": replace(REALISTIC, gap=1, order="need"),
    },
)
