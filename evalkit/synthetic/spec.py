"""What a partnership is made of: places, people, components, outcomes. Values only, no behaviour.

Every partnership is one `Spec`; the three settings and the knobs change values in it, never the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.study.component import Better, OutcomeKind
from evalkit.synthetic.knobs import Knobs

PERSON = "person"


@dataclass(frozen=True)
class Flag:
    """A 0/1 fact of a person, with log odds base + need x `need`.

    sex: only "female" or "male". within: only people with that flag. hidden: never published.
    """

    name: str
    base: float
    need: float = 0.0
    sex: str | None = None
    within: str | None = None
    hidden: bool = False
    label: str = ""


@dataclass(frozen=True)
class Line:
    """A linear predictor: logit for "in", "out" and "hazard", log for "rate", the outcome's own scale for "level".

    flags, depends: coefficients of flags and of earlier outcomes in the same period. area_sd, person_sd: standard
    deviation of place and person effects. season: amplitude, highest in the first period of the year. shocks:
    (first period, last period, size). programme: added in programme places. trend: added each period.
    """

    base: float
    need: float = 0.0
    flags: Mapping[str, float] = field(default_factory=dict)
    depends: Mapping[str, float] = field(default_factory=dict)
    area_sd: float = 0.0
    person_sd: float = 0.0
    season: float = 0.0
    shocks: tuple[tuple[int, int, float], ...] = ()
    programme: float = 0.0
    trend: float = 0.0


@dataclass(frozen=True)
class Process:
    """An outcome and how it moves.

    kind: "state" (in and out hazards), "count" (Poisson), "level" (autoregressive noise) or "event" (1 until it
    happens, then 0). start: share in the state before the burn-in. noise_sd, rho: of the level's noise. every,
    response, response_need: measured each so many periods, with that probability (logit slope on need).
    """

    name: str
    label: str
    kind: str
    lines: Mapping[str, Line]
    better: Better = "higher"
    matters: float | None = None
    in_study: bool = True
    start: float = 0.5
    noise_sd: float = 1.0
    rho: float = 0.0
    digits: int = 2
    bounds: tuple[float, float] | None = None
    every: int = 1
    response: float = 1.0
    response_need: float = 0.0
    closed: tuple[tuple[int, int], ...] = ()

    @property
    def study_kind(self) -> OutcomeKind:
        """The kind of outcome as `ek.Outcome` names it."""
        kinds: dict[str, OutcomeKind] = {"state": "share", "event": "share", "count": "count", "level": "score"}
        return kinds[self.kind]


@dataclass(frozen=True)
class Effect:
    """What a component does to a line of an outcome, per unit of dose.

    among: only people with this flag. given: only while these components are on too. ramp: periods until it is
    fully there (mean dose of that many periods).
    """

    outcome: str
    line: str
    size: float
    among: str | None = None
    given: tuple[str, ...] = ()
    ramp: int = 1


@dataclass(frozen=True)
class Launch:
    """When the places of a level start. offsets: periods after the launch (None: never), dealt in random order.

    after: each offset counts from the start of that component in the same site instead. ends_with: stops as that
    component starts.
    lasts: periods until it ends again. at: offsets of the programme's groups in their own order, not dealt. apart:
    dealt instead, with nothing that follows or ends another, when the setting is tidy.
    """

    offsets: tuple[int | None, ...] = ()
    after: str | None = None
    ends_with: str | None = None
    lasts: int | None = None
    apart: tuple[int | None, ...] = ()
    at: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Part:
    """A component of the programme. level: a column of the sites, the name of a linked level, or "person" (a dose
    that somebody chose for each person). always_on: wherever the programme is. weeks: most dose of a person.

    description, why, who, how, how_much: what TIDieR asks. unit_cost: pounds a person and period. set_up: pounds once,
    as it starts in a place. volunteers: pounds that the time of volunteers would cost, a place and period while it
    runs."""

    name: str
    label: str
    level: str
    launch: Launch = Launch()
    effects: tuple[Effect, ...] = ()
    reach: str | None = None
    lag: int = 0
    bins: tuple[float, ...] | None = None
    always_on: bool = False
    replaces: str | None = None
    unit_cost: float | None = None
    set_up: int = 0
    volunteers: int = 0
    description: str = ""
    why: str = ""
    who: str = ""
    how: str = ""
    how_much: str = ""
    weeks: int = 12

    @property
    def card(self) -> dict[str, str]:
        """What is said of it beyond its description, by item of TIDieR."""
        items = {"why": self.why, "who": self.who, "how": self.how, "how_much": self.how_much}
        return {item: words for item, words in items.items() if words}


@dataclass(frozen=True)
class Places:
    """Sites and what they belong to. programme, comparison: people a site. groups: sites of one group, by column.

    linked: name of a level reached by links and how many groups it has; cross: share of a site's weight that
    belongs to groups at home elsewhere. zone: the column of groups that start together when launches are close.
    """

    site: str
    programme: tuple[int, ...]
    comparison: tuple[int, ...]
    groups: Mapping[str, int] = field(default_factory=dict)
    linked: str | None = None
    n_linked: int = 0
    cross: float = 0.0
    zone: str | None = None


@dataclass(frozen=True)
class Clock:
    """The calendar: periods from `first` in `step`s. burn: periods run before, so that nobody starts off balance."""

    first: str
    periods: int
    launch: int
    step: str = "month"
    column: str = "month"
    burn: int = 36
    year: int = 12


@dataclass(frozen=True)
class Selection:
    """Whom the programme takes on: of a pool, those who meet a rule on `outcome` in the `window` periods before entry.

    rule: "none" (never in the state), "some" (at least `least` events) or "bottom" (the lowest share of a noisy
    score). who: "both" sides or the programme "one".
    """

    outcome: str
    rule: str
    window: int = 3
    least: int = 1
    share: float = 0.2
    noise: float = 0.0
    pool: int = 4


@dataclass(frozen=True)
class Leaving:
    """Why people leave: hazard a period, and how it hangs on need and on the first outcome."""

    reason: str
    hazard: float
    need: float = 0.0
    outcome: float = 0.0


@dataclass(frozen=True)
class Payment:
    """An outcome that is paid for, to people of the programme since they joined.

    rule: "held" (every `periods` recorded periods with the outcome), "free" (`periods` recorded periods running
    without any), "gain" (`least` better than the last value before joining) or "reaches" (`least` or better).
    trigger: the same in words, where {periods}, {least} and {most} are filled in. most: payments for one person.
    """

    outcome: str
    name: str
    trigger: str
    tariff: int
    rule: str = "held"
    periods: int = 1
    least: float = 0.0
    most: int = 1

    @property
    def words(self) -> str:
        """The trigger in words."""
        return self.trigger.format(periods=self.periods, least=f"{self.least:g}", most=self.most)


@dataclass(frozen=True)
class Worth:
    """What one more of an outcome for one person and period is worth. each: one more of what, where that needs saying.

    grade: "A" as published in the source, "B" worked out from a published figure, "C" assumed for teaching.
    price_year: None for that of the contract."""

    outcome: str
    value: int
    bearer: str
    agency: str
    each: str = ""
    grade: str = "C"
    source: str = "Assumed for teaching"
    price_year: int | None = None

    @property
    def words(self) -> str:
        """Where the value comes from."""
        return f"{self.source}: {self.each}" if self.each else self.source


@dataclass(frozen=True)
class Contract:
    """The money of a partnership. management: pounds a place and period that belong to no single component. refused:
    share of claims that the check of a claim turns down."""

    price_year: int
    payments: tuple[Payment, ...]
    worths: tuple[Worth, ...]
    management: int
    refused: float = 0.04


@dataclass(frozen=True)
class Happening:
    """Something else that went on everywhere, from the first to the last period (counted from 0)."""

    label: str
    first: int
    last: int

    def moves(self, size: float) -> tuple[int, int, float]:
        """The shock that it was to a line of an outcome."""
        return self.first, self.last, size


@dataclass(frozen=True)
class Spec:
    """One partnership: everything that the engine needs to know.

    arrivals: people enter at the "launch" (late ones in the year after it), or "spread" over the calendar.
    """

    name: str
    title: str
    question: str
    story: str
    places: Places
    clock: Clock
    processes: tuple[Process, ...]
    parts: tuple[Part, ...]
    flags: tuple[Flag, ...] = ()
    selection: Selection | None = None
    leaving: tuple[Leaving, ...] = ()
    late: float = 0.35
    arrivals: str = "launch"
    missing: float = 0.03
    ages: tuple[int, int] = (18, 75)
    women: float = 0.5
    settings: Mapping[str, Knobs] = field(default_factory=dict)
    evaluate: Mapping[str, object] = field(default_factory=dict)
    contract: Contract | None = None
    happenings: tuple[Happening, ...] = ()

    def part(self, name: str) -> Part:
        """The component of that name."""
        return next(p for p in self.parts if p.name == name)

    def process(self, name: str) -> Process:
        """The outcome of that name."""
        return next(p for p in self.processes if p.name == name)
