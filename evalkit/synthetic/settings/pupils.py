"""Pupils in the bottom fifth: literacy, maths, counselling and enrichment in ten schools beside fourteen others."""

from __future__ import annotations

from dataclasses import replace

from evalkit.synthetic import spec
from evalkit.synthetic.knobs import Knobs

NO_TESTS = spec.Happening("No tests", 13, 15)
CLOSED = ((NO_TESTS.first, NO_TESTS.last),)

READING = spec.Process(
    "reading",
    "Reading score",
    "level",
    {"level": spec.Line(103, need=-3, person_sd=11, area_sd=4.5)},
    matters=1.5,
    noise_sd=5.8,
    digits=0,
    response=0.9,
    closed=CLOSED,
)
MATHS = replace(READING, name="maths", label="Maths score")
ATTENDANCE = spec.Process(
    "attendance",
    "Attendance (% of sessions)",
    "level",
    {"level": spec.Line(93.5, need=-1.2, person_sd=4, area_sd=0.8, season=-0.4)},
    noise_sd=3.5,
    digits=1,
    bounds=(0, 100),
    in_study=False,
)
SDQ = spec.Process(
    "sdq",
    "Difficulties score (SDQ, 0 to 40)",
    "level",
    {"level": spec.Line(13, need=2, person_sd=4, area_sd=0.5)},
    better="lower",
    matters=1.0,
    noise_sd=3,
    digits=0,
    bounds=(0, 40),
    response=0.8,
)

LITERACY = spec.Part(
    "literacy",
    "Literacy help",
    "school",
    spec.Launch((0, 0, 3, 3, 6, 6, 9, None, None, None)),
    (spec.Effect("reading", "level", 1.95, ramp=3),),
    reach="needs_literacy",
    unit_cost=140,
    set_up=2_000,
    description="A charity's reading help in school, as far as it had places that year.",
    why="Those who read badly fall behind in everything",
    who="Reading teachers and volunteers of a charity",
    how="Alone or in pairs, in school",
    how_much="Three half-hours a week",
)
MATHS_TUTORING = spec.Part(
    "maths_tutoring",
    "Maths tutoring",
    "school",
    spec.Launch((0, 3, 3, 6, 6, 9, None, None, None, None)),
    (spec.Effect("maths", "level", 1.56, ramp=3),),
    reach="needs_maths",
    unit_cost=160,
    set_up=2_000,
    description="Small groups with a tutor, as far as the charity had places that year.",
    why="Gaps in the basics do not close by themselves",
    who="Tutors of a charity",
    how="In groups of three, in school",
    how_much="Once a week",
)
COUNSELLING = spec.Part(
    "counselling",
    "Counselling",
    "school",
    spec.Launch((0, 0, 3, 6, 6, None, None, None, None, None)),
    (spec.Effect("sdq", "level", -1.2), spec.Effect("attendance", "level", 0.8)),
    reach="needs_counselling",
    unit_cost=220,
    set_up=1_500,
    description="A counsellor in school.",
    why="Who is troubled does not learn",
    who="A counsellor of a charity",
    how="Alone, in a quiet room at school",
    how_much="Once a week for two terms or more",
)
ENRICHMENT = spec.Part(
    "enrichment",
    "Enrichment",
    "school",
    spec.Launch((0, 0, 0, 3, 3, 6, 6, None, None, None)),
    (),
    reach="likes_clubs",
    unit_cost=60,
    volunteers=300,
    description="Clubs and outings, some at weekends.",
    why="Clubs make school a place to be",
    who="Coaches and artists of local groups",
    how="In groups, after school and at weekends",
    how_much="Once or twice a week",
)
LINK_WORKER = spec.Part(
    "link_worker",
    "Link worker",
    "school",
    spec.Launch(),
    (spec.Effect("attendance", "level", 0.5), spec.Effect("reading", "level", 0.5)),
    always_on=True,
    unit_cost=190,
    description="One adult who knows each pupil and brings in the rest.",
    why="Help that is brought together is used",
    who="A link worker with about forty pupils",
    how="In school and by visits to families",
    how_much="Throughout, for two years",
)

CONTRACT = spec.Contract(
    price_year=2016,
    payments=(
        spec.Payment(
            "reading",
            "Reading no longer far behind",
            "First recorded reading score of {least} or more since joining, once",
            500,
            rule="reaches",
            least=92,
        ),
        spec.Payment(
            "maths",
            "Maths no longer far behind",
            "First recorded maths score of {least} or more since joining, once",
            500,
            rule="reaches",
            least=92,
        ),
        spec.Payment(
            "sdq",
            "Fewer difficulties",
            "First recorded difficulties score of {least} or less since joining, once",
            300,
            rule="reaches",
            least=13,
        ),
    ),
    management=2_500,
    worths=(
        spec.Worth("reading", 20, "economic", "the pupil later", "one point for a term"),
        spec.Worth("maths", 20, "economic", "the pupil later", "one point for a term"),
        spec.Worth("sdq", 15, "fiscal", "school and NHS", "one point less for a term"),
    ),
)

REALISTIC = Knobs(crisis="both", attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.2, core=True, above_cut=True)

PUPILS = spec.Spec(
    name="pupils",
    title="The bottom fifth of pupils (synthetic)",
    question="Which kinds of help moved pupils who were behind?",
    story="Ten schools with a link worker and four kinds of help, bought from charities school by school and year by "
    "year, beside fourteen schools without.",
    places=spec.Places(
        site="school",
        programme=(110, 90, 80, 70, 60, 55, 45, 40, 30, 20),
        comparison=(230, 210, 190, 170, 160, 150, 140, 130, 120, 110, 100, 80, 60, 50),
    ),
    clock=spec.Clock("1", periods=18, launch=6, step="number", column="term", burn=0, year=3),
    processes=(READING, MATHS, ATTENDANCE, SDQ),
    parts=(LITERACY, MATHS_TUTORING, COUNSELLING, ENRICHMENT, LINK_WORKER),
    flags=(
        spec.Flag("needs_literacy", -0.2, 0.4, label="Offered literacy help where it is on"),
        spec.Flag("needs_maths", -0.4, 0.4, label="Offered maths tutoring where it is on"),
        spec.Flag("needs_counselling", -0.65, 0.5, label="Offered counselling where it is on"),
        spec.Flag("likes_clubs", 0.4, label="Offered clubs and outings where they are on"),
        spec.Flag("free_meals", -0.6, 0.4, label="Has free school meals"),
    ),
    selection=spec.Selection("reading", "bottom", window=1, share=0.2, pool=5),
    leaving=(spec.Leaving("moved", 0.027, need=0.1),),
    late=0.15,
    missing=0.02,
    ages=(7, 12),
    women=0.45,
    contract=CONTRACT,
    happenings=(NO_TESTS,),
    settings={
        "clean": Knobs(tidy=True),
        "realistic": REALISTIC,
        "hard": replace(REALISTIC, gap=1, crisis="one", above_cut=False),
    },
)
