"""Greater Manchester: long-term rough sleeping, 10 boroughs, 20 housing associations, 5 court areas.

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

EVERYONE_IN = Happening("Emergency rooms for everybody", 51, 55)
KEPT_CLEAR = Happening("Hospitals kept clear", 51, 53)

SETTLED = Process(
    "settled",
    "In a settled home",
    "state",
    {
        "in": Line(-3.4, need=-0.25, area_sd=0.15, season=0.2, shocks=(EVERYONE_IN.moves(0.9),)),
        "out": Line(-2.9, need=0.3, flags={"dual_diagnosis": 0.25, "court_matters": 0.45}),
    },
    matters=0.05,
    start=0.35,
)
CUSTODY = Process(
    "custody",
    "In custody at some time in the month",
    "state",
    {
        "in": Line(-4.1, need=0.2, flags={"court_matters": 0.9}, depends={"settled": -0.4}),
        "out": Line(-0.4),
    },
    better="lower",
    matters=0.02,
    start=0.05,
    in_study=False,
)
AE_VISITS = Process(
    "ae_visits",
    "Visits to A&E",
    "count",
    {
        "rate": Line(
            -1.45, need=0.25, person_sd=0.5, season=0.05, flags={"dual_diagnosis": 0.25}, depends={"settled": -0.25},
            shocks=(KEPT_CLEAR.moves(-0.5),),
        )
    },
    better="lower",
    matters=0.05,
)  # fmt: skip
CONTACTS = Process(
    "contacts",
    "Times found sleeping rough by outreach workers",
    "count",
    {"rate": Line(0.1, need=0.2, area_sd=0.3, person_sd=0.6, season=-0.15, depends={"settled": -2.5}, programme=0.2)},
    better="lower",
    in_study=False,
)
WELLBEING = Process(
    "wellbeing",
    "Wellbeing score (14 to 70)",
    "level",
    {"level": Line(38, need=-3, person_sd=5, depends={"settled": 3.0})},
    noise_sd=5,
    digits=0,
    bounds=(14, 70),
    every=6,
    response=0.4,
    response_need=-0.3,
    in_study=False,
)

POLICY = Part(
    "policy",
    "Allocation policy",
    "association",
    Launch((1, 3, 4, 6, 9, 10, 12, 15)),
    (Effect("settled", "in", 0.45), Effect("settled", "out", -0.12)),
    bins=(0.25, 0.75),
    unit_cost=35,
    description="Housing associations stop barring people once evicted, and offer a move when a tenancy fails.",
    card={
        "why": "Nobody can settle where every landlord bars them",
        "who": "Lettings officers of the association",
        "how": "In each letting and each failing tenancy",
        "how_much": "As often as a home falls free",
    },
)
NURSE = Part(
    "nurse",
    "Dual-diagnosis nurse",
    "borough",
    Launch((4, 4, 8, 8, 14, 14, 20, 20, None, None)),
    (
        Effect("settled", "out", -0.35),
        Effect("settled", "in", 0.15, given=("policy",)),
        Effect("settled", "out", -0.25, given=("policy",)),
    ),
    reach="dual_diagnosis",
    unit_cost=210,
    description="A nurse who may treat mental health and addiction together, for people who need both.",
    card={
        "why": "Mental health services wait for sobriety, and drug services for calm: people with both fall between",
        "who": "One nurse who is trained in both, for each borough",
        "how": "Face to face, on the street or at home",
        "how_much": "About once a week",
    },
)
COURT = Part(
    "court",
    "Court and probation liaison",
    "court_area",
    Launch((2, 10, 18, None, None)),
    (Effect("settled", "out", -0.45), Effect("custody", "in", -0.36)),
    reach="court_matters",
    unit_cost=120,
    description="Staying with the partnership is accepted instead of custody for earlier minor matters.",
    card={
        "why": "A week in custody for an old fine loses a tenancy",
        "who": "A liaison worker in the magistrates' court and probation",
        "how": "In court, by a letter to the bench and in person",
        "how_much": "At each hearing",
    },
)
NEWSLETTER = Part(
    "newsletter",
    "Landlords' newsletter",
    "borough",
    Launch(
        (1, 2, 3, 1, 2, 3, None, None, None, None),
        after="policy",
        apart=(3, 3, 7, 7, 12, 12, None, None, None, None),
    ),
    (),
    unit_cost=2,
    description="A monthly newsletter to landlords about the partnership.",
    card={
        "why": "Landlords who know of the partnership may let to its people",
        "who": "The partnership's office",
        "how": "By e-mail to landlords",
        "how_much": "Once a month",
    },
)
KEYWORKER = Part(
    "keyworker",
    "Keyworker and peer mentor",
    "borough",
    Launch(),
    (Effect("settled", "in", 0.30), Effect("settled", "out", -0.20)),
    always_on=True,
    unit_cost=420,
    description="A named worker and a mentor who has slept rough, in every place for as long as it takes part.",
    card={
        "why": "One person who stays is worth more than many who change",
        "who": "A keyworker with about ten people, and a mentor who has slept rough",
        "how": "Face to face and by telephone",
        "how_much": "Several times a week at first, then as wished",
    },
)

SURVEY = (
    "Rough Sleeping Questionnaire (housing ministry, December 2020): over £9,000 a year more than other people cost"
)
CONTRACT = Contract(
    price_year=2018,
    payments=(
        Payment(
            "settled",
            "Six months in a settled home",
            "Every {periods} months recorded in a settled home since joining, up to {most} times",
            2_000,
            periods=6,
            most=3,
        ),
        Payment(
            "ae_visits",
            "Half a year without A&E",
            "{periods} months running recorded without a visit to A&E since joining, once",
            500,
            rule="free",
            periods=6,
        ),
    ),
    spending=(
        Spending("policy", "set-up", 4_000, once=True),
        Spending("nurse", "set-up", 6_000, once=True),
        Spending("court", "set-up", 3_000, once=True),
        Spending("keyworker", "time of volunteers", 260, bearer="social"),
        Spending("programme", "management", 2_200),
    ),
    worths=(
        Worth("settled", 750, "fiscal", "councils, NHS, police and others", 2020, "B", f"{SURVEY}, a twelfth of it"),
        Worth("settled", 300, "social", "the person", 2020, "C", "Assumed for teaching"),
        Worth("ae_visits", 180, "fiscal", "NHS", 2020, "C", "Assumed for teaching"),
    ),
)

ROUGH_SLEEPING = Spec(
    name="rough_sleeping",
    title="Rough sleeping in ten boroughs (synthetic)",
    question="Which parts of the partnership helped people into a settled home?",
    story="A partnership for people who have slept rough for long: ten boroughs beside fourteen others, twenty housing "
    "associations whose stock crosses borough lines, and five court areas.",
    places=Places(
        site="borough",
        programme=(150, 55, 50, 40, 35, 30, 30, 25, 20, 15),
        comparison=(190, 150, 125, 110, 100, 90, 80, 75, 65, 55, 50, 40, 35, 25),
        groups={"court_area": 2},
        linked="association",
        n_linked=20,
        cross=0.4,
        zone="court_area",
    ),
    clock=Clock("2015-12", periods=60, launch=24),
    processes=(SETTLED, CUSTODY, AE_VISITS, CONTACTS, WELLBEING),
    parts=(POLICY, NURSE, COURT, NEWSLETTER, KEYWORKER),
    flags=(
        Flag("dual_diagnosis", -0.25, 0.6, label="Needs help with both mental health and addiction"),
        Flag("court_matters", -0.85, label="Has outstanding minor matters in court"),
        Flag("evicted_before", 0.0, 0.3, label="Was evicted from social housing before"),
    ),
    selection=Selection("settled", "none", window=3, pool=4),
    leaving=(
        Leaving("death", 0.0025, need=0.2),
        Leaving("custody", 0.003, need=0.2, outcome=0.3),
        Leaving("moved", 0.002),
        Leaving("lost", 0.015, need=0.3, outcome=0.5),
    ),
    women=0.2,
    contract=CONTRACT,
    happenings=(EVERYONE_IN, KEPT_CLEAR),
    settings={
        "clean": Knobs(tidy=True),
        "realistic": Knobs(
            crisis="both", crisis_share=0.35, attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.35
        ),
        "hard": Knobs(
            gap=2, crisis="one", attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.35, core=True, synergy=2.0
        ),
    },
)
