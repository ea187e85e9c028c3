"""Pupils in the bottom fifth: literacy, maths, counselling and enrichment in ten schools beside fourteen others.

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
    Selection,
    Spec,
    Spending,
    Worth,
)

NO_TESTS = Happening("No tests", 13, 15)
CLOSED = ((NO_TESTS.first, NO_TESTS.last),)

READING = Process(
    "reading",
    "Reading score",
    "level",
    {"level": Line(103, need=-3, person_sd=11, area_sd=4.5)},
    matters=1.5,
    noise_sd=5.8,
    digits=0,
    response=0.9,
    closed=CLOSED,
)
MATHS = Process(
    "maths",
    "Maths score",
    "level",
    {"level": Line(103, need=-3, person_sd=11, area_sd=4.5)},
    matters=1.5,
    noise_sd=5.8,
    digits=0,
    response=0.9,
    closed=CLOSED,
)
ATTENDANCE = Process(
    "attendance",
    "Attendance (% of sessions)",
    "level",
    {"level": Line(93.5, need=-1.2, person_sd=4, area_sd=0.8, season=-0.4)},
    noise_sd=3.5,
    digits=1,
    bounds=(0, 100),
    in_study=False,
)
SDQ = Process(
    "sdq",
    "Difficulties score (SDQ, 0 to 40)",
    "level",
    {"level": Line(13, need=2, person_sd=4, area_sd=0.5)},
    better="lower",
    matters=1.0,
    noise_sd=3,
    digits=0,
    bounds=(0, 40),
    response=0.8,
)

LITERACY = Part(
    "literacy",
    "Literacy help",
    "school",
    Launch((0, 0, 3, 3, 6, 6, 9, None, None, None)),
    (Effect("reading", "level", 1.95, ramp=3),),
    reach="needs_literacy",
    unit_cost=140,
    description="A charity's reading help in school, as far as it had places that year.",
    card={
        "why": "Those who read badly fall behind in everything",
        "who": "Reading teachers and volunteers of a charity",
        "how": "Alone or in pairs, in school",
        "how_much": "Three half-hours a week",
    },
)
MATHS_TUTORING = Part(
    "maths_tutoring",
    "Maths tutoring",
    "school",
    Launch((0, 3, 3, 6, 6, 9, None, None, None, None)),
    (Effect("maths", "level", 1.56, ramp=3),),
    reach="needs_maths",
    unit_cost=160,
    description="Small groups with a tutor, as far as the charity had places that year.",
    card={
        "why": "Gaps in the basics do not close by themselves",
        "who": "Tutors of a charity",
        "how": "In groups of three, in school",
        "how_much": "Once a week",
    },
)
COUNSELLING = Part(
    "counselling",
    "Counselling",
    "school",
    Launch((0, 0, 3, 6, 6, None, None, None, None, None)),
    (Effect("sdq", "level", -1.2), Effect("attendance", "level", 0.8)),
    reach="needs_counselling",
    unit_cost=220,
    description="A counsellor in school.",
    card={
        "why": "Who is troubled does not learn",
        "who": "A counsellor of a charity",
        "how": "Alone, in a quiet room at school",
        "how_much": "Once a week for two terms or more",
    },
)
ENRICHMENT = Part(
    "enrichment",
    "Enrichment",
    "school",
    Launch((0, 0, 0, 3, 3, 6, 6, None, None, None)),
    (),
    reach="likes_clubs",
    unit_cost=60,
    description="Clubs and outings, some at weekends.",
    card={
        "why": "Clubs make school a place to be",
        "who": "Coaches and artists of local groups",
        "how": "In groups, after school and at weekends",
        "how_much": "Once or twice a week",
    },
)
LINK_WORKER = Part(
    "link_worker",
    "Link worker",
    "school",
    Launch(),
    (Effect("attendance", "level", 0.5), Effect("reading", "level", 0.5)),
    always_on=True,
    unit_cost=190,
    description="One adult who knows each pupil and brings in the rest.",
    card={
        "why": "Help that is brought together is used",
        "who": "A link worker with about forty pupils",
        "how": "In school and by visits to families",
        "how_much": "Throughout, for two years",
    },
)

CONTRACT = Contract(
    price_year=2016,
    payments=(
        Payment(
            "reading",
            "Reading no longer far behind",
            "First recorded reading score of {least} or more since joining, once",
            500,
            rule="reaches",
            least=92,
        ),
        Payment(
            "maths",
            "Maths no longer far behind",
            "First recorded maths score of {least} or more since joining, once",
            500,
            rule="reaches",
            least=92,
        ),
        Payment(
            "sdq",
            "Fewer difficulties",
            "First recorded difficulties score of {least} or less since joining, once",
            300,
            rule="reaches",
            least=13,
        ),
    ),
    spending=(
        Spending("literacy", "set-up", 2_000, once=True),
        Spending("maths_tutoring", "set-up", 2_000, once=True),
        Spending("counselling", "set-up", 1_500, once=True),
        Spending("enrichment", "time of volunteers", 300, bearer="social"),
        Spending("programme", "management", 2_500),
    ),
    worths=(
        Worth("reading", 20, "economic", "the pupil later", 2016, "C", "Assumed for teaching: one point for a term"),
        Worth("maths", 20, "economic", "the pupil later", 2016, "C", "Assumed for teaching: one point for a term"),
        Worth("sdq", 15, "fiscal", "school and NHS", 2016, "C", "Assumed for teaching: one point less for a term"),
    ),
)

PUPILS = Spec(
    name="pupils",
    title="The bottom fifth of pupils (synthetic)",
    question="Which kinds of help moved pupils who were behind?",
    story="Ten schools with a link worker and four kinds of help, bought from charities school by school and year by "
    "year, beside fourteen schools without.",
    places=Places(
        site="school",
        programme=(110, 90, 80, 70, 60, 55, 45, 40, 30, 20),
        comparison=(230, 210, 190, 170, 160, 150, 140, 130, 120, 110, 100, 80, 60, 50),
    ),
    clock=Clock("1", periods=18, launch=6, step="number", column="term", burn=0, year=3),
    processes=(READING, MATHS, ATTENDANCE, SDQ),
    parts=(LITERACY, MATHS_TUTORING, COUNSELLING, ENRICHMENT, LINK_WORKER),
    flags=(
        Flag("needs_literacy", -0.2, 0.4, label="Offered literacy help where it is on"),
        Flag("needs_maths", -0.4, 0.4, label="Offered maths tutoring where it is on"),
        Flag("needs_counselling", -0.65, 0.5, label="Offered counselling where it is on"),
        Flag("likes_clubs", 0.4, label="Offered clubs and outings where they are on"),
        Flag("free_meals", -0.6, 0.4, label="Has free school meals"),
    ),
    selection=Selection("reading", "bottom", window=1, share=0.2, pool=5),
    leaving=(Leaving("moved", 0.027, need=0.1),),
    late=0.15,
    missing=0.02,
    ages=(7, 12),
    women=0.45,
    contract=CONTRACT,
    happenings=(NO_TESTS,),
    settings={
        "clean": Knobs(tidy=True),
        "realistic": Knobs(
            crisis="both", attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.2, core=True, above_cut=True
        ),
        "hard": Knobs(gap=1, crisis="one", attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.2, core=True),
    },
)
