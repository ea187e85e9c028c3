"""Social prescribing in 24 general practices: link workers, welfare advice, groups for women and for men, feedback."""

from __future__ import annotations

from dataclasses import replace

from evalkit.synthetic import spec
from evalkit.synthetic.knobs import Knobs

SPRING = spec.Happening("Hospitals kept clear", 36, 36)
AFTER = spec.Happening("Hospitals fill again", 37, 39)

AE_VISITS = spec.Process(
    "ae_visits",
    "Visits to A&E in the quarter",
    "count",
    {
        "rate": spec.Line(
            -2.55, need=0.35, person_sd=0.7, area_sd=0.1, season=0.14, shocks=(SPRING.moves(-0.6), AFTER.moves(-0.25))
        )
    },
    better="lower",
    matters=0.02,
)
HBA1C = spec.Process(
    "hba1c",
    "Blood sugar (HbA1c, %)",
    "level",
    {"level": spec.Line(7.45, need=0.35, person_sd=1.1, area_sd=0.1)},
    better="lower",
    matters=0.1,
    noise_sd=0.8,
    rho=0.5,
    digits=1,
    bounds=(4, 16),
    response=0.4,
    response_need=0.3,
)
EMERGENCY = spec.Process(
    "emergency",
    "Emergency admissions in the quarter",
    "count",
    {"rate": spec.Line(-3.3, need=0.4, person_sd=0.8, season=0.14, shocks=(SPRING.moves(-0.6),))},
    better="lower",
    in_study=False,
)
STAR = spec.Process(
    "wellbeing_star",
    "Wellbeing star (1 to 5)",
    "level",
    {"level": spec.Line(3.1, need=-0.2, person_sd=0.5)},
    noise_sd=0.5,
    digits=1,
    bounds=(1, 5),
    every=2,
    response=0.45,
    response_need=-0.2,
    in_study=False,
)

LINK_WORKER = spec.Part(
    "link_worker",
    "Link worker",
    "practice",
    spec.Launch((0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12)),
    (
        spec.Effect("hba1c", "level", -0.30, among="attends", ramp=6),
        spec.Effect("wellbeing_star", "level", 0.3, among="attends"),
    ),
    unit_cost=85,
    set_up=5_000,
    description="A worker to whom the practice refers, who helps people to what is on offer nearby.",
    why="Much of what ails people with long-term conditions is not medical",
    who="A worker of a local charity, on referral by the practice",
    how="In talks, at the practice or at home, and by going along",
    how_much="About eight meetings over a year or two",
)
WELFARE = spec.Part(
    "welfare",
    "Welfare rights advice",
    "practice",
    spec.Launch(
        (0, 0, 1, 4, 5, 6, 8, None, None), after="link_worker", apart=(0, 2, 4, 6, 8, 10, 12, None, None, None)
    ),
    (spec.Effect("hba1c", "level", -0.05, ramp=4), spec.Effect("ae_visits", "rate", -0.0726)),
    reach="money_worries",
    unit_cost=30,
    set_up=1_500,
    description="Advice on benefits and debt, in the practice.",
    why="Money worries come before diet",
    who="An adviser of an advice charity",
    how="In the practice, by appointment",
    how_much="As long as a claim or a debt takes",
)
WOMENS = spec.Part(
    "womens_group",
    "Women's knitting group",
    "practice",
    spec.Launch((8, 8, 10, 12, 14, 16, None)),
    (spec.Effect("hba1c", "level", -0.08, among="joins_groups"),),
    reach="woman",
    unit_cost=6,
    volunteers=150,
    description="A group that women set up and run, added while the programme ran.",
    why="Company keeps people coming",
    who="Women who use the service, with a room and wool paid for",
    how="In a group",
    how_much="Once a week",
)
MENS = spec.Part(
    "mens_group",
    "Men's fishing group",
    "practice",
    spec.Launch((8, 9, 11, 12, 15, None, None)),
    (spec.Effect("hba1c", "level", -0.08, among="joins_groups"),),
    reach="man",
    unit_cost=8,
    volunteers=150,
    description="A group that men set up and run, added while the programme ran.",
    why="Men come for something to do",
    who="Men who use the service, with rods and permits paid for",
    how="In a group, outdoors",
    how_much="Once a week in season",
)
FEEDBACK = spec.Part(
    "feedback",
    "Data feedback to link workers",
    "provider",
    spec.Launch((5, 9, None, None)),
    (spec.Effect("hba1c", "level", -0.02),),
    unit_cost=3,
    description="Each provider's link workers see every month how their people fare.",
    why="Who sees the figures can act on them",
    who="An analyst of the partnership",
    how="On a screen, with a talk about it",
    how_much="Once a month",
)

CONTRACT = spec.Contract(
    price_year=2016,
    payments=(
        spec.Payment(
            "hba1c",
            "Blood sugar down",
            "First test {least} points or more below the last one before joining, once",
            250,
            rule="gain",
            least=0.5,
        ),
        spec.Payment(
            "ae_visits",
            "A year without A&E",
            "{periods} quarters running recorded without a visit to A&E since joining, up to {most} times",
            120,
            rule="free",
            periods=4,
            most=2,
        ),
    ),
    management=1_800,
    worths=(
        spec.Worth("hba1c", 25, "fiscal", "NHS", "one point less for a quarter"),
        spec.Worth("hba1c", 100, "social", "the person", "one point less for a quarter"),
        spec.Worth("ae_visits", 160, "fiscal", "NHS"),
    ),
)

REALISTIC = Knobs(crisis="both", crisis_share=0.4, attrition=1.0, late_entry=1.0, missing=1.0, need_shift=0.4)

SOCIAL_PRESCRIBING = spec.Spec(
    name="social_prescribing",
    title="Social prescribing in 24 practices (synthetic)",
    question="Which parts of social prescribing helped people with long-term conditions?",
    story="Thirteen general practices whose link workers come from four providers, beside eleven practices without. "
    "Groups for women and for men were added by the people themselves.",
    places=spec.Places(
        site="practice",
        programme=(200, 170, 150, 140, 130, 120, 110, 100, 90, 80, 60, 45, 30),
        comparison=(160, 140, 130, 110, 100, 90, 80, 70, 50, 40, 30),
        groups={"provider": 4},
        zone="provider",
    ),
    clock=spec.Clock("2011Q2", periods=40, launch=16, step="quarter", column="quarter", burn=0, year=4),
    processes=(HBA1C, AE_VISITS, EMERGENCY, STAR),
    parts=(LINK_WORKER, WELFARE, WOMENS, MENS, FEEDBACK),
    flags=(
        spec.Flag("money_worries", -0.65, 0.4, label="Has worries about money or benefits"),
        spec.Flag("woman", 30.0, sex="female", label="May join groups for women"),
        spec.Flag("man", 30.0, sex="male", label="May join groups for men"),
        spec.Flag("attends", -1.45, 0.3, hidden=True),
        spec.Flag("joins_groups", -1.2, 0.2, hidden=True),
    ),
    selection=spec.Selection("ae_visits", "some", window=2, pool=8),
    leaving=(spec.Leaving("moved", 0.016), spec.Leaving("death", 0.004, need=0.4)),
    missing=0.02,
    ages=(40, 74),
    contract=CONTRACT,
    happenings=(SPRING, AFTER),
    settings={
        "clean": Knobs(tidy=True),
        "realistic": REALISTIC,
        "hard": replace(REALISTIC, gap=1, crisis="one", crisis_share=1.0),
    },
)
