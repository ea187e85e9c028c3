"""The status of each component: the first rule that applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evalkit.components import estimable
from evalkit.components.facts import Facts, dose_until, in_use, overlap
from evalkit.components.reversal import reversal_words
from evalkit.components.switches import ENOUGH, Tally
from evalkit.components.wording import Names, absorbed_words, circuit_words, lone_person
from evalkit.designs.one_place.choice import MOST, choose
from evalkit.designs.regression.additive import Grid, make_grid, spell_ages
from evalkit.designs.span import span
from evalkit.study.assignment import dealt
from evalkit.study.paths import OFF, Paths
from evalkit.study.places import NEW, followed, shared_levels
from evalkit.vocabulary import (
    DOSE,
    ESTIMATED,
    JOINT,
    MATCHED,
    RANDOMISED,
    SAME,
    TRIPLE,
    UNCHANGED,
    WEIGHTED,
    BestDesign,
    Status,
)


def forced_swaps(paths: Paths, facts: Sequence[Facts]) -> dict[int, tuple[int, ...]]:
    """Component -> components that switch off wherever it switches on. Within max(1, lag) periods either side, and only
    when nowhere within its reach does the other stop without it starting: otherwise the stop alone tells what it
    does."""
    begins, ends = np.zeros((2, len(facts), paths.n_paths, paths.n_periods), dtype=bool)
    for k in range(len(facts)):
        state = paths.state[:, :, k]
        begins[k] = spell_ages((state > 0) & paths.reach[:, [k]], state == OFF)[0]
        ends[k] = spell_ages(state == OFF, state > 0)[0]  # first period off after a spell
    out: dict[int, tuple[int, ...]] = {}
    for b, fact in enumerate(facts):
        if fact.always or not begins[b].any():
            continue
        margin = max(1, fact.lag)
        near_start, reach = _near(begins[b], margin), paths.reach[:, b][:, None]
        found = [
            a
            for a in range(len(facts))
            if a != b
            and ends[a].any()
            and not (begins[b] & ~_near(ends[a], margin)).any()
            and not (ends[a] & reach & ~near_start).any()
        ]
        if found:
            out[b] = tuple(found)
    return out


def _near(flags: np.ndarray, margin: int) -> np.ndarray:
    """(P, T) whether there is a flag within `margin` periods."""
    out = flags.copy()
    for shift in range(1, min(margin, flags.shape[1] - 1) + 1):
        out[:, shift:] |= flags[:, :-shift]
        out[:, :-shift] |= flags[:, shift:]
    return out


SEEN_ONCE = (
    "other people were seen each time, and it is not said which place or group they belong to: give cluster, or "
    "assigned_at, the column of those for whom it was decided"
)
OWN_DOSE = "only its dose tells it apart: if effects add up and are in proportion to the dose"
DOSE_OF_OTHERS = (
    "only the dose of others tells it apart: its effect would be what is left if theirs grew in exact proportion to the"
    " dose, which is too little to go by"
)
FEW = 3
ONLY_FLAT = "only if effects do not grow"
TOO_CLOSE = "it began so close to others that room for their effects to grow makes its own more than twice as uncertain"


@dataclass(frozen=True)
class Ruling:
    """One component's row. clean_until: -1 where nothing is claimed. flat: told apart only if effects do not grow.
    bound: components with which it makes the bundle that one place can answer for."""

    status: Status
    reason: str
    best_design: BestDesign = ""
    clean_switches: int = 0
    clean_until: int = -1
    clusters_exposed: int = 0
    clusters_comparison: int = 0
    flat: bool = False
    bound: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Audit:
    """Everything that the rules look at, worked out from paths alone."""

    paths: Paths
    names: Names
    facts: tuple[Facts, ...]

    @cached_property
    def grid(self) -> Grid:
        return make_grid(self.paths, weighted=False)

    @cached_property
    def exact(self) -> estimable.Dependence:
        """Loops and circuits of 0/1 columns; where there are doses, only those that hold for the doses too."""
        if self.paths.n_periods == 1:
            return estimable.cross_dependence(self.paths)
        plain = estimable.dependence(*estimable.level_gram(self.paths, self.grid))
        if not estimable.has_doses(self.paths) or not (plain.loops or plain.circuits):
            return plain
        doses = estimable.dependence(*estimable.level_gram(self.paths, self.grid, dose=True))
        return doses if set(doses.loops) <= set(plain.loops) else plain

    @cached_property
    def events(self) -> estimable.EstimableEvents:
        return estimable.estimable_events(self.paths, self.grid)

    @cached_property
    def doses(self) -> estimable.EstimableEvents | None:
        """Event times with effects linear in the dose; None without doses."""
        return estimable.estimable_events(self.paths, self.grid, dose=True) if estimable.has_doses(self.paths) else None

    @cached_property
    def swaps(self) -> dict[int, tuple[int, ...]]:
        return forced_swaps(self.paths, self.facts)

    @cached_property
    def statuses(self) -> tuple[Ruling, ...]:
        return tuple(decide(self, k) for k in range(len(self.facts)))

    @property
    def curable(self) -> list[int]:
        """Components that cannot be told apart, were on in several periods, and might be after another rollout."""
        told = [s.status in ESTIMATED and s.status != "one_place" for s in self.statuses]
        wanted = [k for k, fact in enumerate(self.facts) if not told[k] and len(fact.ever) and not fact.always]
        return wanted if self.paths.n_periods > 1 else []

    @property
    def swapped(self) -> list[int]:
        """Components whose status is a swap by rule, not by an exact circuit."""
        bound = {m for group in self.exact.groups for m in group}
        return [k for k in self.swaps if k not in bound and self.statuses[k].status == "swap_only"]

    @property
    def inseparable(self) -> list[set[int]]:
        """Groups of components that are not told apart from each other: circuits that overlap, and swaps."""
        return [set(g) for g in self.exact.groups] + [{k, *self.swaps[k]} for k in self.swapped]

    @property
    def readings(self) -> list[estimable.EstimableEvents]:
        """The event-time designs: of exposures, and of doses where there are some."""
        return [self.events, *([self.doses] if self.doses is not None else [])]

    def combination_until(self, members: Sequence[str], weights: Sequence[float], lag: int) -> int:
        """Last event time from `lag` on up to which the joint event study identifies a combination; -1 for none. No
        later than enough clusters have each member, and enough are still without it."""
        end = min(self.facts[self.paths.index(m)].usable.until(lag) for m in members)
        return self.events.combination_until(members, weights, lag, end)


def make_audit(paths: Paths, names: Names) -> Audit:
    """An audit of every component; nothing is worked out before it is asked for."""
    used = in_use(paths)
    return Audit(used, names, tuple(Facts(used, c) for c in paths.components))


def status_of(paths: Paths, names: Names, component: str) -> Ruling:
    """The status of one component alone."""
    return decide(make_audit(paths, names), paths.index(component))


def decide(audit: Audit, k: int) -> Ruling:
    """The first rule that applies to component k; where it was switched off and on again, what that means."""
    found, fact = _first_rule(audit, k), audit.facts[k]
    dealt_out = fact.component in audit.paths.randomised
    if found.status in ("bundle_only", "swap_only", "not_tested") or audit.paths.n_periods == 1 or dealt_out:
        return found
    until = fact.starts if found.best_design in (SAME, UNCHANGED) else ""
    words = reversal_words(audit.paths, fact.component, until, audit.names.at(fact.level))
    return replace(found, reason=f"{found.reason}; {words}") if words else found


def _first_rule(audit: Audit, k: int) -> Ruling:
    fact = audit.facts[k]
    if fact.always or k in audit.exact.loops:
        if alone := _one_place(audit, fact, absorbed=True):
            return alone
        words = absorbed_words(audit.paths, k, fact.always, audit.names)
        if not fact.always and followed(audit.paths) < NEW and shared_levels(audit.paths) is None:
            words = SEEN_ONCE
        return Ruling("not_tested", words, clusters_exposed=len(fact.ever))
    # Rule 2: in a circuit; or wherever it starts another stops, and nowhere does that one stop alone.
    if mine := [c for c in audit.exact.circuits if k in c.members]:
        short = min(mine, key=lambda c: (c.swap, len(c.members)))
        words, swap = circuit_words(short, audit.paths, audit.names), all(c.swap for c in mine)
        bound = Ruling("swap_only", words, "swap") if swap else Ruling("bundle_only", words, "bundle")
        return _with_counts(bound, fact)
    if k in audit.swaps:
        others, stop = audit.names.all(audit.swaps[k]), "stops" if len(audit.swaps[k]) == 1 else "stop"
        words = f"wherever {audit.names.say(k)} starts, {others} {stop}"
        return _with_counts(Ruling("swap_only", words, "swap"), fact)
    if fact.component in audit.paths.randomised:
        return _dealt_status(audit, fact)
    if audit.paths.n_periods == 1:
        return _overlap_status(audit, fact)
    clean = _clean_status(audit, fact)
    if clean is not None and clean.status == "separable":
        return clean
    other = clean or _additive_status(audit, fact) or _one_place(audit, fact)
    if other is None and (flat := _flat_reason(audit, fact)):
        return _with_counts(Ruling("bundle_only", flat, "bundle", flat=True), fact)
    return other or _with_counts(Ruling("too_few_clusters", _few_words(fact, audit.names.at(fact.level))), fact)


def _one_place(audit: Audit, fact: Facts, absorbed: bool = False) -> Ruling | None:
    """One or two places alone, beside other places or their own past, where that is long enough; or the bundle of it
    and what began too near. absorbed: it began everywhere at once, so that why their own past does not do is all there
    is to say."""
    if fact.always or audit.paths.n_periods == 1 or not 0 < len(fact.ever) <= MOST:
        return None
    names = audit.names.at(fact.level)
    found = choose(audit.paths, fact.component, names.place, names.period)
    if found.bound:
        bound = tuple(audit.paths.index(c) for c in found.bound)
        apart = f"within {names.spell(found.within)} of each other" if found.within else f"in the same {names.period}"
        words = f"{names.all(sorted((fact.index, *bound)))} began {apart}, and one {names.place} cannot tell them apart"
        return Ruling("bundle_only", words, "bundle", clusters_exposed=len(fact.ever), bound=bound)
    if not found.design:
        return Ruling("not_tested", found.words, clusters_exposed=len(fact.ever)) if absorbed and found.words else None
    return Ruling("one_place", found.words, found.design, 0, found.until, found.exposed, found.comparison)


def separable(audit: Audit, k: int) -> bool:
    """Whether component k is separable, without the search for circuits that the words of other statuses need."""
    fact = audit.facts[k]
    clean = None if fact.always else _clean_status(audit, fact)
    if clean is None or clean.status != "separable" or k in audit.swaps:
        return False
    if estimable.has_doses(audit.paths):
        return decide(audit, k).status == "separable"
    return bool(span(*estimable.level_gram(audit.paths, audit.grid)).free[k])


def _with_counts(ruling: Ruling, fact: Facts) -> Ruling:
    exposed, comparison = fact.usable.at(fact.lag)
    clean = fact.same.clean(fact.lag)
    return replace(ruling, clean_switches=clean, clusters_exposed=exposed, clusters_comparison=comparison)


def _dealt_status(audit: Audit, fact: Facts) -> Ruling:
    """What chance assigned: by whom it was dealt to, whatever else they had. In a panel it says nothing of one event
    time: the answer is one number over all of them."""
    deal = dealt(audit.paths, fact.component)
    names = audit.names.at(fact.level)
    person = lone_person(audit.paths, fact.level)
    names = replace(names, place=person or names.place)
    ever = deal.start < deal.periods
    waited = ~ever if audit.paths.n_periods == 1 else deal.start > deal.start.min()
    exposed, comparison = int(ever.sum()), int(waited.sum())
    words = f"chance dealt it to {names.count(exposed)} and not, or not yet, to {names.count(comparison)}"
    if audit.paths.n_periods == 1:
        words = f"chance dealt it to {names.count(exposed)} and not to {names.count(comparison)}"
    until = 0 if audit.paths.n_periods == 1 else int(deal.start.max()) - 1 - int(deal.start[deal.start > 0].min())
    if min(exposed, comparison) < ENOUGH:
        return Ruling("too_few_clusters", words, "", 0, -1, exposed, comparison)
    return Ruling("separable", words, RANDOMISED, exposed, until, exposed, comparison)


def _overlap_status(audit: Audit, fact: Facts) -> Ruling:
    """Rules 3 to 5 for a cross-section: by overlap within the values of the other components."""
    counts, whole, names = overlap(fact), overlap(fact, ()), audit.names.at(fact.level)
    person = lone_person(audit.paths, fact.level)
    names = replace(names, place=person or names.place)
    exposed, comparison = (counts if counts.enough else whole).at(0)
    having, lacking = names.count(exposed), names.count(comparison)
    found = f"those with it are found in {having}, those without it in {lacking}"
    if person:
        found = f"{having} had it and {lacking} did not"
    if counts.enough:
        words = f"among people alike in their other components, {found}"
        return Ruling("separable", words, MATCHED, 0, 0, exposed, comparison)
    if whole.enough:
        words = "people with and without it never share their other components; it rests on effects that add up"
        return Ruling("additive_only", words, WEIGHTED, 0, 0, exposed, comparison)
    return Ruling("too_few_clusters", found, "", 0, -1, exposed, comparison)


def _clean_status(audit: Audit, fact: Facts) -> Ruling | None:
    """Rules 4 and 5: by clean comparisons, by people, or by places where the others stand still. Where both clean
    comparisons and people tell it apart, clean comparisons come first, unless they rest on much less: see
    `people_stronger`."""
    lag, names = fact.lag, audit.names.at(fact.level)
    people = fact.people.until(lag) if fact.people is not None else -1
    until = fact.same.until(lag)
    if fact.people is not None and people >= 0 and (until < 0 or people_stronger(fact, fact.people)):
        words = f"those whom it can reach are compared with others in the same {names.place} and {names.period}, "
        words += f"in {names.places} with and without it"
        return _clean("separable", TRIPLE, words, fact.people, people, lag)
    if until >= 0:
        exposed, comparison = map(names.count, fact.same.at(lag))
        first = names.period if until == 0 else names.spell(until + 1)
        words = f"{exposed} switched it on while {comparison} like them had not, in its first {first}"
        return _clean("separable", SAME, words, fact.same, until, lag)
    if (until := fact.unchanged.until(lag)) >= 0:
        words = f"only {names.places} where the other components stand still can be compared, "
        words += "and their other components differ"
        return _clean("additive_only", UNCHANGED, words, fact.unchanged, until, lag)
    return None


def people_stronger(fact: Facts, people: Tally) -> bool:
    """Whether a comparison by people is clearly stronger than clean comparisons, from exposures alone. Twice as many
    exposed clusters; or three and more on both sides where clean comparisons have fewer than three on one, which a
    verdict counts as a weakness; or half the expected noise."""
    clean, others = fact.same.at(fact.lag), people.at(fact.lag)
    if others[0] >= 2 * clean[0] or min(clean) < FEW <= min(others):
        return True
    noise, by_people = fact.noise
    return min(others) >= FEW and 2 * by_people <= noise


def _clean(status: Status, design: BestDesign, words: str, counts: Tally, until: int, lag: int) -> Ruling:
    exposed, comparison = counts.at(lag)
    return Ruling(status, words, design, counts.clean(lag), until, exposed, comparison)


def _additive_status(audit: Audit, fact: Facts) -> Ruling | None:
    """Rule 5: its event times are in the row space of the event-time design, or of the one linear in dose."""
    end = fact.usable.until(fact.lag)
    until = audit.events.until(fact.component, fact.lag, end)
    if until >= 0:
        words = "no clean comparison remains; it can be told apart only if the components' effects add up"
        return _with_counts(Ruling("additive_only", words, JOINT, clean_until=until), fact)
    if audit.doses is None:
        return None
    until = audit.doses.until(fact.component, fact.lag, max(end, dose_until(fact)))
    if until >= 0:
        own = audit.paths.state[:, :, fact.index].max() > 1
        words = OWN_DOSE if own else DOSE_OF_OTHERS
        return _with_counts(Ruling("additive_only", words, DOSE if own else "", clean_until=until), fact)
    return None


def _flat_reason(audit: Audit, fact: Facts) -> str:
    """Rule 2, last part: 0/1 columns are told apart, event times are not, or hardly; "" where they are."""
    if audit.events.design.column(fact.component, fact.lag) < 0:
        return ""
    if any(s.holds(fact.component, fact.lag) for s in audit.readings):
        return ""
    paths, names = audit.paths, audit.names.at(fact.level)
    for j in range(len(audit.facts)):
        both = paths.reach[:, fact.index] & paths.reach[:, j]
        differ = ((paths.state[:, :, fact.index] > 0) != (paths.state[:, :, j] > 0)).any(axis=1) & both
        if j != fact.index and len(np.unique(fact.members.cluster[differ[fact.members.row]])) == 1:
            return f"only one {names.place} tells it from {names.say(j)}; everywhere else they go together"
    return TOO_CLOSE if any(s.is_estimable(fact.component, fact.lag) for s in audit.readings) else ONLY_FLAT


def _few_words(fact: Facts, names: Names) -> str:
    exposed, comparison = fact.usable.at(fact.lag)
    started = len(fact.ever)
    if started < ENOUGH:
        return f"{names.few(started)} ever had it"
    if fact.switches < ENOUGH:
        return f"{names.few(fact.switches)} switched it on after a {names.period} without it"
    if fact.too_late:
        return f"nowhere was it followed long enough: its effect takes {names.spell(fact.lag)} to show"
    after = f" for {names.spell(fact.lag)} after it began elsewhere" if fact.lag else " when it began elsewhere"
    if comparison < ENOUGH:
        return f"{names.few(comparison)} within its reach stayed without it{after}"
    return f"{names.few(exposed)} switched it on while another was still without it"
