"""From an evaluation to its evidence card: estimates, refusals and one covariance, after disclosure control."""

from __future__ import annotations

import datetime
import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import ValidationError

from evalkit import __version__
from evalkit.decision.case import Case
from evalkit.disclosure.rules import Rules, rules_of
from evalkit.errors import EvalkitError, OptionError, Problem, raise_problems, spelt, suggest
from evalkit.evaluation.decisions import every_case
from evalkit.evaluation.decomposition.pieces import decompose
from evalkit.evaluation.results import Evaluation, safe
from evalkit.inference import Estimate, stack
from evalkit.inference.replicates import NO_REFIT
from evalkit.pooling.card import TIDIER, Card
from evalkit.pooling.parts import MIN_CLUSTERS, Row
from evalkit.pooling.reading import problems_of
from evalkit.study import Component, Outcome, Study
from evalkit.study.money import PROGRAMME, letters_of
from evalkit.verdicts.rules import weaknesses

DIGITS = 3
FEW_CLUSTERS = f"fewer than {MIN_CLUSTERS} places with it or beside it, so that the number would be theirs"
WITHHELD = "withheld by the rules of disclosure of the study"
_BANDS = (50, 100, 200, 300, 400, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
_LONGEST, _LONGEST_ID = 160, 100
_MOST_DF = 9999.0


def card(
    evaluation: Evaluation,
    *,
    study: str | None = None,
    outcome: str | Outcome | None = None,
    outcome_id: str | None = None,
    population: str | Mapping[str, object] | None = None,
    terms: Mapping[str, str] | None = None,
    supersedes: Card | str | None = None,
    before: Study | None = None,
    measured: str = "",
    indigo: str | None = None,
    licence: str | None = None,
    made: str | None = None,
) -> Card:
    """The evidence card of an evaluation on one outcome, refusals included, as the study's rules let it be published.

    study: its id across places, by default made of its title. outcome: a column, default the first; outcome_id: what
    it is called across places, default the column. population: words, or any fields of `Population` (description,
    place, dates, people, baseline). terms: component -> what it is called across places; a person says so. supersedes:
    the earlier card that this one replaces, or its key; before: the study that it was made of, needed where clusters
    were exchanged for others: the card says how many are in one of the two only. indigo: id in an INDIGO register.
    made: date, default today.

    A component with fewer than three exposed or comparison clusters keeps its verdict and loses its number, whatever
    the rules of the study say. Raises `EvalkitError` for anything but an Evaluation as `evaluate` gave it, and
    `OptionError` with everything wrong with what is given.
    """
    if not isinstance(evaluation, Evaluation):
        raise EvalkitError(f"card needs an Evaluation; it got {type(evaluation).__name__}.")
    evaluation.check_whole("card")
    about = _About(evaluation, evaluation.study.outcome(outcome))
    for name, value in (("population", population), ("terms", terms)):
        if not (value is None or isinstance(value, Mapping) or (name == "population" and isinstance(value, str))):
            raise OptionError(
                str(Problem(f"{name}={spelt(value)} is no table", "card", "Give names and what they are."))
            )
    named = _terms(evaluation.study, terms or {})
    given = {"description": population} if isinstance(population, str) else dict(population or {})
    rows, vcov = about.rows
    said: dict[str, Any] = {
        "study": study or _named(evaluation.study.title),
        "supersedes": supersedes.key if isinstance(supersedes, Card) else supersedes,
        "clusters_changed": _changed(evaluation.study, before, supersedes),
        "data_fingerprint": _fingerprint(evaluation.study),
        "cluster_fingerprint": _hashed(["evalkit/evidence-card/clusters", *_clusters(evaluation.study)]),
        "outcome": about.outcome_fields(outcome_id, measured),
        "estimand": about.estimand,
        "population": {**about.population, **given},
        "components": {c.name: _component(c, evaluation.study, named.get(c.name)) for c in evaluation.study.components},
        "rows": rows,
        "covariance": vcov.tolist(),
        "covariance_level": about.level,
        "checks": about.checks,
        "provenance": {
            "evalkit": __version__, "study_file": _hash_of_file(evaluation.study), "plan": _hash_of_plan(evaluation),
            "disclosure": {"profile": about.rules.name, "min_people": about.rules.count, "rounded": DIGITS},
            "indigo": indigo, "licence": licence, "made": made or datetime.date.today().isoformat(),
        },
    }  # fmt: skip
    _check_place(given.get("place"), evaluation.study, about.rules)
    try:
        return Card.model_validate(said)
    except ValidationError as error:
        raise_problems(problems_of(error, "card"), OptionError)
        raise


@dataclass(frozen=True, eq=False)
class _About:
    """What one card is about: an evaluation, as it is and as it may be published, and one of its outcomes."""

    evaluation: Evaluation
    of: Outcome

    @cached_property
    def public(self) -> Evaluation:
        """What may be published; where nothing is ever hidden, all of it."""
        return safe(self.evaluation) if self.rules.active else self.evaluation

    @cached_property
    def rules(self) -> Rules:
        return rules_of(self.evaluation.study)

    @cached_property
    def whole(self) -> Case:
        """The programme as a line to decide on."""
        if self.rules.active:
            return next(d.case for d in self.public.decisions.by_outcome if self._is_whole(d.case))
        return next(c for c in every_case(self.evaluation) if self._is_whole(c))

    def _is_whole(self, case: Case) -> bool:
        return case.name == PROGRAMME and case.outcome == self.of.column

    @cached_property
    def rows(self) -> tuple[list[Row], np.ndarray]:
        """Every row, and the rounded covariance of those with an estimate."""
        made = [*self._components(), *self._combinations(), *self._programme()]
        ready = [(row, one) for row, one, _ in made if one is not None]
        errors = np.array([se for _, one, se in made if one is not None])
        if not ready:
            return [row for row, _, _ in made], np.zeros((0, 0))
        return [row for row, _, _ in made], rounded_vcov(stack(*(one for _, one in ready)).joint().vcov, errors)

    def _components(self) -> Iterator[tuple[Row, Estimate | None, float]]:
        found = {f.component: f for f in self.evaluation.findings if f.outcome == self.of}
        for e, v in self.public.judged:
            if e.outcome != self.of.column:
                continue
            finding = found[e.component]
            one = finding.answer if e.has_interval and math.isfinite(v.estimate) and e.std_error > 0 else None
            until = e.clean_until if e.clean_until is not None else _last_event(finding.rows)
            about = {
                "id": e.component, "kind": "component", "members": {e.component: 1.0}, "verdict": v.verdict,
                "design": e.design, "reach": self._reach(e.component),
                "alongside": self._alongside(e.component, e.lag, until),
                "months": None if until is None or until < e.lag else (e.lag, int(until)),
                "weaknesses": tuple(_short(w.words) for w in weaknesses(e)) if one is not None else (),
            }  # fmt: skip
            clusters = (e.clusters_exposed, e.clusters_comparison)
            reason = next((r for r in (e.reason, *v.reasons) if r), "no likely range can be given")
            if one is None and finding.answer is not None and not math.isfinite(e.estimate):
                reason = e.reason or WITHHELD
            yield self._row(about, one, clusters, reason, (v.estimate, e.std_error, e.df))

    def _combinations(self) -> Iterator[tuple[Row, Estimate | None, float]]:
        shown = self.public.bundles[self.public.bundles["outcome"] == self.of.column]
        mine = [b for b in self.evaluation.bundle_runs if b.outcome == self.of]
        for b, (_, public) in zip(mine, shown.iterrows(), strict=True):
            one = None if b.run is None else b.run.answer
            frame = None if one is None else one.to_frame(self.evaluation.level).iloc[0]
            known = frame is not None and np.isfinite(public["conf_low"]) and frame["std_error"] > 0
            numbers = (math.nan,) * 3 if frame is None else (public["estimate"], frame["std_error"], frame["df"])
            clear = known and not public["conf_low"] <= 0 <= public["conf_high"]
            about = {
                "id": "+".join(b.members), "kind": "combination", "design": b.evidence.design,
                "members": dict(zip(b.members, b.evidence.signs, strict=True)),
                "verdict": "likely" if clear else "cannot_tell",
            }  # fmt: skip
            clusters = (b.evidence.clusters_exposed, b.evidence.clusters_comparison)
            reason = str(public["reason"]) or WITHHELD
            yield self._row(about, one if known else None, clusters, reason, numbers)

    def _programme(self) -> Iterator[tuple[Row, Estimate | None, float]]:
        programme = decompose(self.evaluation, self.of).programme
        if programme is None:
            return
        whole = programme.averages([(programme.mass > 0).astype(float)], [PROGRAMME])
        row = whole.to_frame(self.evaluation.level).iloc[0]
        case = self.whole
        clear = case.ranged and not case.conf_low <= 0 <= case.conf_high and not case.withheld
        about = {
            "id": "programme", "kind": "programme", "members": dict.fromkeys(programme.paths.components, 1.0),
            "verdict": "likely" if clear else "cannot_tell", "design": "Imputation",
        }  # fmt: skip
        clusters = (_count(row["clusters_exposed"]), _count(row["clusters_comparison"]))
        numbers = (case.good * case.estimate, case.std_error, case.df)
        yield self._row(about, whole if case.ranged else None, clusters, case.reason or WITHHELD, numbers)

    def _row(
        self, about: dict[str, Any], one: Estimate | None, clusters: tuple[int, int], reason: str,
        numbers: tuple[float, float, float],
    ) -> tuple[Row, Estimate | None, float]:  # fmt: skip
        """A row with its number; or without it, and why."""
        if one is not None and min(clusters) < MIN_CLUSTERS:
            one, reason = None, FEW_CLUSTERS
        value, error, df = map(float, numbers)
        if one is None:
            if about["verdict"] in ("shown", "no_sign"):  # which rest on a number that may not be said
                about = {**about, "verdict": "cannot_tell"}
            return Row(**about, reason=_short(_unnamed(reason))), None, math.nan
        found: dict[str, Any] = {"estimate": digits(value), "df": digits(min(df, _MOST_DF)), "clusters": clusters}
        return Row(**about, **found), one, error

    def _reach(self, component: str) -> float:
        paths = self.evaluation.study.paths
        share = float(np.average(paths.reach[:, paths.index(component)], weights=_sizes(self.evaluation.study)))
        return max(round(share, 2), 0.01)

    def _alongside(self, component: str, first: int, last: float | None) -> dict[str, float]:
        """Share of a component's exposed cells in its window in which each other was on, to the nearest twentieth."""
        paths = self.evaluation.study.paths
        on = paths.state > 0
        mine = on[:, :, paths.index(component)]
        since = np.arange(paths.n_periods) - np.where(mine.any(axis=1), mine.argmax(axis=1), 0)[:, None]
        inside = mine & (since >= first) & (since <= (np.inf if last is None else last))
        weight = inside * _sizes(self.evaluation.study)[:, None]
        if not weight.sum():
            return {}
        others = (c for c in paths.components if c != component)
        share = {c: float(np.average(on[:, :, paths.index(c)], weights=weight)) for c in others}
        return {c: round(round(s * 20) / 20, 2) for c, s in share.items()}

    def outcome_fields(self, named: str | None, measured: str) -> dict[str, object]:
        o = self.of
        kind = "score" if o.said == "time_to_event" else o.said  # a mean of times, in its own unit
        return {"id": named or o.column, "label": _short(o.label), "kind": kind, "unit": o.unit, "better": o.better,
                "matters": o.matters, "measured": measured}  # fmt: skip

    @property
    def estimand(self) -> dict[str, object]:
        study = self.evaluation.study
        base = (study.settings or {}).get("base_window") or 6
        over_time = study.paths.n_periods > 1
        period = str(study.noun_for(study.period)) if over_time else ""
        return {"whom": "reached", "weights": "adopters and periods", "others": "same", "period": period,
                "base_window": base if over_time else None}  # fmt: skip

    @property
    def population(self) -> dict[str, object]:
        """Who had any of it: a band of people, the calendar, and the outcome before, where many stand behind it."""
        study = self.evaluation.study
        on = (study.paths.state > 0) & ~np.array(study.paths.always_on)
        had = on.any(axis=(1, 2))[study.paths.path]
        units = study.paths.distinct(had)
        if self.rules.active and units < self.rules.count:
            band = f"under {_BANDS[0]}"
        else:
            band = _band(units)
        clusters = len(study.paths.levels[study.paths.cluster].names)
        return {"description": _short(study.title or study.question or "Not described"), "dates": _dates(study),
                "people": band, "baseline": self._before(on, had), "clusters": clusters}  # fmt: skip

    def _before(self, on: np.ndarray, had: np.ndarray) -> float | None:
        """Mean outcome of those who had it before it began, weighed as estimates are; None where they are few."""
        study = self.evaluation.study
        paths, values, weights = study.paths, study.values(self.of), study.weighing(self.of).paths.weights
        started = np.maximum.accumulate(on.any(axis=2), axis=1)[paths.path]
        there = ~started & had[:, None] & np.isfinite(values)
        people = paths.distinct(there.any(axis=1))
        if people < max(50, 3 * self.rules.count):
            return None
        each = np.broadcast_to((paths.counted if weights is None else weights)[:, None], there.shape)[there]
        return digits(float(np.average(values[there], weights=each)), 2) if each.any() else None

    @property
    def level(self) -> str:
        study = self.evaluation.study
        clusters = study.paths.levels[study.paths.cluster]
        return f"{study.noun_for(clusters.name)}, {len(clusters.names)} clusters"

    @property
    def checks(self) -> dict[str, str]:
        """The worst that each check said of any component."""
        order = ("failed", "informational", "passed")
        table = self.public.checks
        mine = table[table["outcome"] == self.of.column]
        return {str(c): min(rows["status"], key=order.index) for c, rows in mine.groupby("check", sort=True)}


def rounded_vcov(vcov: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """A covariance (k, k) of these standard errors in few digits; correlations give way until rounding leaves it
    positive definite."""
    root = np.sqrt(np.diag(vcov))
    correlation = np.nan_to_num(vcov / np.outer(root, root))
    np.fill_diagonal(correlation, 1.0)
    apart = ~np.eye(len(vcov), dtype=bool)
    for keep in (1.0, 0.999, 0.99, 0.95, 0.9, 0.75, 0.5, 0.0):
        made = np.where(apart, keep, 1.0) * correlation * np.outer(errors, errors)
        made = np.array([[digits(v) for v in line] for line in (made + made.T) / 2])
        scale = np.sqrt(np.diag(made))
        if np.linalg.eigvalsh(made / np.outer(scale, scale))[0] > 1e-4:
            break
    return made


def digits(value: float, count: int = DIGITS) -> float:
    """A number in so many significant digits."""
    return float(f"{value:.{count}g}")


def _sizes(study: Study) -> np.ndarray:
    """(P,) people on each path."""
    return np.bincount(study.paths.path, weights=study.paths.counted, minlength=study.paths.n_paths)


def _last_event(rows: Estimate | None) -> float | None:
    if rows is None or "event_time" not in rows.label_columns:
        return None
    there = rows.label_columns["event_time"][(rows.mass > 0) & ~np.isnan(rows.value)]
    return float(there.max()) if len(there) and np.isfinite(there.max()) else None


def _count(value: object) -> int:
    return int(value) if isinstance(value, (int, float, np.number)) and np.isfinite(value) else 0


def _band(count: int) -> str:
    above = next((b for b in _BANDS if count < b), None)
    if above is None:
        return f"{_BANDS[-1]:,} or more"
    return f"under {above}" if above == _BANDS[0] else f"{_BANDS[_BANDS.index(above) - 1]:,} to {above:,}"


def _unnamed(reason: str) -> str:
    """A reason that names no cluster."""
    return f"{NO_REFIT} one of the clusters nothing is left to compare" if reason.startswith(NO_REFIT) else reason


def _named(title: str) -> str:
    """A study's id across places, from its title: words that are left whole, of 100 signs at most."""
    words, out = re.findall(r"[a-z0-9]+", title.lower()), ""
    for word in words:
        if len(out) + len(word) >= _LONGEST_ID:
            break
        out += f"-{word}" if out else word
    return out or "study"


def _short(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1].rsplit(" ", 1)[0] + "…"


def _component(c: Component, study: Study, term: str | None) -> dict[str, Any]:
    tidier = {"what": c.description, **c.card}
    kept = {item: _short(words) for item, words in tidier.items() if item in TIDIER and words.strip()}
    year = (study.settings or {}).get("price_year")
    currency = letters_of(study.currency)
    cost = None
    if c.unit_cost is not None and currency:
        cost = {"amount": float(c.unit_cost), "currency": currency, "price_year": year}
    level = str(study.noun_for(study.paths.assigned_at[c.name]))
    return {"term": term, "label": _short(c.label), "assigned_at": level, "tidier": kept, "unit_cost": cost}


def _terms(study: Study, terms: Mapping[str, str]) -> Mapping[str, str]:
    known = [c.name for c in study.components]
    wrong = [n for n in terms if n not in known]
    where = "terms"
    problems = [Problem(f"There is no component {n!r}", where, suggest(n, known, "The components are")) for n in wrong]
    said = list(terms.values())
    for n, t in terms.items():
        if said.count(t) > 1:
            problems.append(Problem(f"{n!r} has a term {t!r} that another has too", where, "One term, one component."))
    raise_problems(problems, OptionError)
    return terms


def _check_place(place: object, study: Study, rules: Rules) -> None:
    """A place may be named unless it is one of the clusters whose numbers are protected."""
    names: Sequence[object] = [n for level in study.paths.levels.values() for n in level.names]
    if place is not None and rules.active and str(place) in set(map(str, names)):
        advice = "Name the area that holds them all, or leave the place out."
        raise OptionError(
            str(Problem(f"The place {spelt(place)} is one of the study's own clusters", "population", advice))
        )


def _fingerprint(study: Study) -> str:
    """A salted hash of the list of clusters and of the dates: alike for the same places and time, told by nothing."""
    dates = (str(study.paths.periods[i]) for i in (0, -1))
    return _hashed(["evalkit/evidence-card/1", *_clusters(study), *dates])


def _hashed(parts: Sequence[str]) -> str:
    return "sha256:" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def _clusters(study: Study) -> list[str]:
    return sorted(map(str, study.paths.levels[study.paths.cluster].names))


def _changed(study: Study, before: object, supersedes: Card | str | None) -> int | None:
    """How many clusters are in one of two studies only. Raises `OptionError` for what is not the study before."""
    if before is None:
        return None
    if not isinstance(before, Study):
        raise OptionError(f"before={spelt(before)} is no study. Give the ek.Study that the earlier card was made of.")
    if supersedes is None:
        raise OptionError("before goes with supersedes: say which card was made of that study.")
    if isinstance(supersedes, Card) and _fingerprint(before) != supersedes.data_fingerprint:
        raise OptionError("before is not the study that the superseded card was made of: clusters or dates differ.")
    return len(set(_clusters(study)) ^ set(_clusters(before)))


def _dates(study: Study) -> tuple[str, str] | None:
    first, last = (str(study.paths.periods[i])[:10] for i in (0, -1))
    dated = all(len(d) in (7, 10) and d[:4].isdigit() and d[4] == "-" and d[5:7].isdigit() for d in (first, last))
    return (first, last) if dated else None


def _hash_of_file(study: Study) -> str | None:
    """A hash of the study file; None where there is none, or none any more."""
    if not study.inputs or not study.inputs[0].is_file():
        return None
    return "sha256:" + hashlib.sha256(study.inputs[0].read_bytes()).hexdigest()[:16]


def _hash_of_plan(evaluation: Evaluation) -> str | None:
    made = (evaluation.plan or {}).get("sha256")
    return None if made is None else f"sha256:{str(made)[:16]}"
