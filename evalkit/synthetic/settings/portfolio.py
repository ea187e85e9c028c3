"""Twenty-four small partnerships, each with a mix of six components, an effect and a standard error."""

from __future__ import annotations

from dataclasses import replace

from evalkit.synthetic import spec
from evalkit.synthetic.knobs import Knobs

SIZES = (150, 140, 130, 120, 110, 100, 95, 90, 85, 80, 75, 70, 65, 60, 55, 50, 45, 40, 40, 35, 35, 30, 30, 25)

OUTCOME = spec.Process(
    "effect",
    "Effect of the partnership, in standard deviations",
    "level",
    {"level": spec.Line(0.0, need=-0.3, person_sd=0.7, area_sd=0.2)},
    matters=0.1,
    noise_sd=0.65,
    digits=4,
)


def _part(
    name: str, label: str, share: int, size: float, description: str, extra: tuple[spec.Effect, ...] = ()
) -> spec.Part:
    """A component that `share` of the 24 partnerships have."""
    effects = (spec.Effect("effect", "level", size), *extra) if size else ()
    launch = spec.Launch((*([0] * share), *([None] * (24 - share))))
    return spec.Part(name, label, "project", launch, effects, description=description)


TOGETHER = (spec.Effect("effect", "level", 0.12, given=("key_worker",)),)

REALISTIC = Knobs(attrition=1.0, missing=1.0, need_shift=0.2)

PORTFOLIO = spec.Spec(
    name="portfolio",
    title="Twenty-four partnerships (synthetic)",
    question="Over many partnerships, which components go with better results?",
    story="Twenty-four small partnerships, each with its own mix of six components and a comparison group of its own.",
    places=spec.Places(site="project", programme=SIZES, comparison=SIZES),
    clock=spec.Clock("1", periods=2, launch=1, step="number", column="wave", burn=0, year=2),
    processes=(OUTCOME,),
    parts=(
        _part("key_worker", "Key worker", 15, 0.15, "One named worker for each person."),
        _part("peer_support", "Peer support", 10, 0.10, "Somebody who has been there goes along."),
        _part("budget", "Personal budget", 8, 0.05, "Money that the person decides about."),
        _part("therapy", "Therapy", 9, 0.15, "Talking therapy, without a waiting list.", TOGETHER),
        _part("training", "Training for work", 12, 0.0, "Courses and placements that lead towards work."),
        _part("advice", "Welfare advice", 7, 0.08, "Advice on benefits and debt."),
    ),
    leaving=(spec.Leaving("lost", 0.15, need=0.3),),
    settings={
        "clean": Knobs(),
        "realistic": REALISTIC,
        "hard": replace(REALISTIC, need_shift=0.4, gap=0, synergy=2.0),
    },
    pairs=True,
)
