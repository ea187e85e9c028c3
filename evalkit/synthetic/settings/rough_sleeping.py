"""Greater Manchester: long-term rough sleeping, 10 boroughs, 20 housing associations, 5 court areas."""

from __future__ import annotations

from dataclasses import replace

from evalkit.synthetic import spec
from evalkit.synthetic.knobs import Knobs

EVERYONE_IN = spec.Happening("Emergency rooms for everybody", 51, 55)
KEPT_CLEAR = spec.Happening("Hospitals kept clear", 51, 53)

SETTLED = spec.Process(
    "settled",
    "In a settled home",
    "state",
    {
        "in": spec.Line(-3.4, need=-0.25, area_sd=0.15, season=0.2, shocks=(EVERYONE_IN.moves(0.9),)),
        "out": spec.Line(-2.9, need=0.3, flags={"dual_diagnosis": 0.25, "court_matters": 0.45}),
    },
    matters=0.05,
    start=0.35,
)
CUSTODY = spec.Process(
    "custody",
    "In custody at some time in the month",
    "state",
    {
        "in": spec.Line(-4.1, need=0.2, flags={"court_matters": 0.9}, depends={"settled": -0.4}),
        "out": spec.Line(-0.4),
    },
    better="lower",
    matters=0.02,
    start=0.05,
    in_study=False,
)
AE_VISITS = spec.Process(
    "ae_visits",
    "Visits to A&E",
    "count",
    {
        "rate": spec.Line(
            -1.45, need=0.25, person_sd=0.5, season=0.05, flags={"dual_diagnosis": 0.25}, depends={"settled": -0.25},
            shocks=(KEPT_CLEAR.moves(-0.5),),
        )
    },
    better="lower",
    matters=0.05,
)  # fmt: skip
CONTACTS = spec.Process(
    "contacts",
    "Times found sleeping rough by outreach workers",
    "count",
    {
        "rate": spec.Line(
            0.1, need=0.2, area_sd=0.3, person_sd=0.6, season=-0.15, depends={"settled": -2.5}, programme=0.2
        )
    },
    better="lower",
    in_study=False,
)
WELLBEING = spec.Process(
    "wellbeing",
    "Wellbeing score (14 to 70)",
    "level",
    {"level": spec.Line(38, need=-3, person_sd=5, depends={"settled": 3.0})},
    noise_sd=5,
    digits=0,
    bounds=(14, 70),
    every=6,
    response=0.4,
    response_need=-0.3,
    in_study=False,
)

POLICY = spec.Part(
    "policy",
    "Allocation policy",
    "association",
    spec.Launch((1, 3, 4, 6, 9, 10, 12, 15)),
    (spec.Effect("settled", "in", 0.45), spec.Effect("settled", "out", -0.12)),
    bins=(0.25, 0.75),
    unit_cost=35,
    set_up=4_000,
    description="Housing associations stop barring people once evicted, and offer a move when a tenancy fails.",
    why="Nobody can settle where every landlord bars them",
    who="Lettings officers of the association",
    how="In each letting and each failing tenancy",
    how_much="As often as a home falls free",
)
NURSE = spec.Part(
    "nurse",
    "Dual-diagnosis nurse",
    "borough",
    spec.Launch((4, 4, 8, 8, 14, 14, 20, 20, None, None)),
    (
        spec.Effect("settled", "out", -0.35),
        spec.Effect("settled", "in", 0.15, given=("policy",)),
        spec.Effect("settled", "out", -0.25, given=("policy",)),
    ),
    reach="dual_diagnosis",
    unit_cost=210,
    set_up=6_000,
    description="A nurse who may treat mental health and addiction together, for people who need both.",
    why="Mental health services wait for sobriety, and drug services for calm: people with both fall between",
    who="One nurse who is trained in both, for each borough",
    how="Face to face, on the street or at home",
    how_much="About once a week",
)
COURT = spec.Part(
    "court",
    "Court and probation liaison",
    "court_area",
    spec.Launch((2, 10, 18, None, None)),
    (spec.Effect("settled", "out", -0.45), spec.Effect("custody", "in", -0.36)),
    reach="court_matters",
    unit_cost=120,
    set_up=3_000,
    description="Staying with the partnership is accepted instead of custody for earlier minor matters.",
    why="A week in custody for an old fine loses a tenancy",
    who="A liaison worker in the magistrates' court and probation",
    how="In court, by a letter to the bench and in person",
    how_much="At each hearing",
)
NEWSLETTER = spec.Part(
    "newsletter",
    "Landlords' newsletter",
    "borough",
    spec.Launch(
        (1, 2, 3, 1, 2, 3, None, None, None, None),
        after="policy",
        apart=(3, 3, 7, 7, 12, 12, None, None, None, None),
    ),
    (),
    unit_cost=2,
    description="A monthly newsletter to landlords about the partnership.",
    why="Landlords who know of the partnership may let to its people",
    who="The partnership's office",
    how="By e-mail to landlords",
    how_much="Once a month",
)
KEYWORKER = spec.Part(
    "keyworker",
    "Keyworker and peer mentor",
    "borough",
    spec.Launch(),
    (spec.Effect("settled", "in", 0.30), spec.Effect("settled", "out", -0.20)),
    always_on=True,
    unit_cost=420,
    volunteers=260,
    description="A named worker and a mentor who has slept rough, in every place for as long as it takes part.",
    why="One person who stays is worth more than many who change",
    who="A keyworker with about ten people, and a mentor who has slept rough",
    how="Face to face and by telephone",
    how_much="Several times a week at first, then as wished",
)

SURVEY = (
    "Rough Sleeping Questionnaire (housing ministry, December 2020): over £9,000 a year more than other people cost"
)
CONTRACT = spec.Contract(
    price_year=2018,
    payments=(
        spec.Payment(
            "settled",
            "Six months in a settled home",
            "Every {periods} months recorded in a settled home since joining, up to {most} times",
            2_000,
            periods=6,
            most=3,
        ),
        spec.Payment(
            "ae_visits",
            "Half a year without A&E",
            "{periods} months running recorded without a visit to A&E since joining, once",
            500,
            rule="free",
            periods=6,
        ),
    ),
    management=2_200,
    worths=(
        spec.Worth(
            "settled",
            750,
            "fiscal",
            "councils, NHS, police and others",
            grade="B",
            source=f"{SURVEY}, a twelfth of it",
            price_year=2020,
        ),
        spec.Worth("settled", 300, "social", "the person", price_year=2020),
        spec.Worth("ae_visits", 180, "fiscal", "NHS", price_year=2020),
    ),
)

REALISTIC = Knobs(crisis="both", crisis_share=0.35, attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.35)

ROUGH_SLEEPING = spec.Spec(
    name="rough_sleeping",
    title="Rough sleeping in ten boroughs (synthetic)",
    question="Which parts of the partnership helped people into a settled home?",
    story="A partnership for people who have slept rough for long: ten boroughs beside fourteen others, twenty housing "
    "associations whose stock crosses borough lines, and five court areas.",
    places=spec.Places(
        site="borough",
        programme=(150, 55, 50, 40, 35, 30, 30, 25, 20, 15),
        comparison=(190, 150, 125, 110, 100, 90, 80, 75, 65, 55, 50, 40, 35, 25),
        groups={"court_area": 2},
        linked="association",
        n_linked=20,
        cross=0.4,
        zone="court_area",
    ),
    clock=spec.Clock("2015-12", periods=60, launch=24),
    processes=(SETTLED, CUSTODY, AE_VISITS, CONTACTS, WELLBEING),
    parts=(POLICY, NURSE, COURT, NEWSLETTER, KEYWORKER),
    flags=(
        spec.Flag("dual_diagnosis", -0.25, 0.6, label="Needs help with both mental health and addiction"),
        spec.Flag("court_matters", -0.85, label="Has outstanding minor matters in court"),
        spec.Flag("evicted_before", 0.0, 0.3, label="Was evicted from social housing before"),
    ),
    selection=spec.Selection("settled", "none", window=3, pool=4),
    leaving=(
        spec.Leaving("death", 0.0025, need=0.2),
        spec.Leaving("custody", 0.003, need=0.2, outcome=0.3),
        spec.Leaving("moved", 0.002),
        spec.Leaving("lost", 0.015, need=0.3, outcome=0.5),
    ),
    women=0.2,
    contract=CONTRACT,
    happenings=(EVERYONE_IN, KEPT_CLEAR),
    evaluate={"price_year": 2020, "inflation": 0.013},
    settings={
        "clean": Knobs(tidy=True),
        "realistic": REALISTIC,
        "hard": replace(REALISTIC, gap=2, crisis="one", crisis_share=1.0, core=True, synergy=2.0),
    },
)
