"""An Evaluation with the shape of the road-safety study; its study is a stand-in, and its numbers are made up."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from evalkit.decision.case import Case
from evalkit.decision.prior import prior_of
from evalkit.disclosure.people import FLOW
from evalkit.disclosure.publish import LOG
from evalkit.disclosure.rules import PROFILES
from evalkit.evaluation.compared import COMPARED
from evalkit.evaluation.decisions import Decisions, decisions_on
from evalkit.evaluation.results import Evaluation, Protection
from evalkit.language.statement import Statement, statement
from evalkit.show.words import noun_from_column
from evalkit.verdicts.evidence import BundleEvidence, CheckOutcome, Evidence, Verdict
from evalkit.verdicts.rules import decide

LABELS = {
    "bac08": "Blood alcohol limit of 0.08",
    "perse": "Licence suspension at the roadside",
    "zerotol": "Zero tolerance under 21",
    "gdl": "Graduated licences",
    "sbprim": "Primary seat belt enforcement",
    "sbsecon": "Secondary seat belt enforcement",
    "sl70plus": "Speed limit of 70 or more",
}
NAMES = tuple(LABELS)
OUTCOME = "log_fatality_rate"
PLACES = tuple(f"S{i:02d}" for i in range(1, 49))
PERIODS = tuple(range(1980, 2005))
STATUS = dict(
    zip(NAMES, "separable separable bundle_only separable separable swap_only not_tested".split(), strict=True)
)
ESTIMATE = dict(zip(NAMES, (-0.062, -0.041, np.nan, -0.018, 0.004, np.nan, np.nan), strict=True))
P_ADJUSTED = dict(zip(NAMES, (0.01, 0.02, np.nan, 0.6, 0.6, np.nan, np.nan), strict=True))
HALF = dict(zip(NAMES, (0.028, 0.032, np.nan, 0.071, 0.021, np.nan, np.nan), strict=True))


def study() -> SimpleNamespace:
    outcome = SimpleNamespace(
        column=OUTCOME,
        label="Traffic deaths per 100,000 people (log)",
        kind="log",
        said="log",
        better="lower",
        matters=0.05,
        harm=False,
        unit="per cent",
    )
    components = tuple(
        SimpleNamespace(
            name=n,
            label=LABELS[n],
            always_on=False,
            lag=0,
            assigned_at="state",
            description="",
            card={},
            unit_cost=None,
            reach=None,
            replaces="sbsecon" if n == "sbprim" else None,
        )
        for n in NAMES
    )
    lookup = {c.name: c for c in components}
    return SimpleNamespace(
        title="Road safety laws (made-up numbers)",
        question="Which road safety laws saved lives?",
        unit="state",
        period="year",
        cluster="state",
        outcomes=(outcome,),
        components=components,
        paths=SimpleNamespace(
            periods=np.array(PERIODS),
            n_periods=len(PERIODS),
            n_units=48,
            units=np.array(PLACES),
            heads=None,
            distinct=lambda: len(PLACES),
            inference_level=lambda _: ("state", False),
        ),
        component=lookup.__getitem__,
        outcome=lambda name=None: outcome,
        settings={},
        currency="£",
        noun_for=noun_from_column,
        source=None,
    )


def timeline() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    rows = []
    for k, name in enumerate(NAMES):
        adopters = rng.permutation(48)[: (17, 41, 48, 30, 20, 31, 27)[k]]
        for i in adopters:
            start = int(rng.integers(1982 + 2 * k % 9, 2003))
            if rng.random() < 0.4:
                rows.append((name, PLACES[i], start, start + 1, "part"))
                start += 1
            stop = start + 6 if name == "sbsecon" and rng.random() < 0.4 else 2005
            rows.append((name, PLACES[i], start, min(stop, 2005), "on"))
    return pd.DataFrame(rows, columns=["component", "cluster", "start", "end", "state"])


def separability() -> SimpleNamespace:
    components = pd.DataFrame(
        {
            "component": NAMES,
            "status": [STATUS[n] for n in NAMES],
            "switches": (17, 41, 48, 30, 20, 31, 27),
            "clean_switches": (9, 12, 0, 8, 6, 0, 0),
            "clean_until": [4, 5, np.nan, 3, 6, np.nan, np.nan],
            "clusters_exposed": (9, 12, 0, 8, 6, 0, 0),
            "clusters_comparison": (21, 9, 0, 13, 17, 0, 0),
            "best_design": ["StaggeredRollout(same)"] * 2 + ["bundle", "StaggeredRollout(same)"] * 2 + [""],
            "reason": [
                "",
                "",
                "starts with graduated licences in every state",
                "",
                "",
                "stops where primary starts",
                "everywhere in the same year",
            ],
        }
    )
    rng = np.random.default_rng(1)
    pairs = []
    for i, a in enumerate(NAMES):
        for b in NAMES[i + 1 :]:
            both = STATUS[a] == STATUS[b] == "separable"
            pairs.append((a, b, both, both or rng.random() < 0.2, False, False, both, 5 * both, 4 * both))
    columns = "a b by_time by_place by_people by_dose separable clean_switches_a clean_switches_b".split()
    bundles = pd.DataFrame(
        {
            "bundle": ["zerotol+gdl", "sbprim-sbsecon"],
            "kind": ["together", "swap"],
            "members": [("zerotol", "gdl"), ("sbprim", "sbsecon")],
            "weights": [(1.0, 1.0), (1.0, -1.0)],
            "words": ["They began in the same year everywhere.", "Secondary enforcement stops where primary starts."],
        }
    )
    cure = pd.DataFrame(
        {
            "component": ["zerotol"],
            "words": ["Start zero tolerance two years later in two states."],
            "clusters": [2],
            "periods": [2],
        }
    )
    return SimpleNamespace(
        components=components,
        pairs=pd.DataFrame(pairs, columns=columns),
        bundles=bundles,
        aliased=("Zero tolerance and graduated licences always start together.",),
        cure=cure,
        timeline=timeline(),
        withheld=frozenset(),
    )


def event_study(name: str) -> pd.DataFrame:
    times = np.arange(-6, 9)
    est = np.where(times >= 0, ESTIMATE[name] * (1 + times / 6), 0.008 * np.cos(times))
    est = np.where(times == -1, 0.0, est)
    half = np.where(times == -1, 0.0, 0.02 + 0.004 * np.abs(times))
    frame = pd.DataFrame(
        {
            "component": name,
            "outcome": OUTCOME,
            "design": "StaggeredRollout(same)",
            "event_time": times,
            "estimate": est,
            "conf_low": est - 2 * half,
            "conf_high": est + 2 * half,
            "band_low": est - 2.9 * half,
            "band_high": est + 2.9 * half,
            "clusters_exposed": 9,
            "clusters_comparison": 20,
            "reason": "",
        }
    )
    gone = frame.event_time.isin([7, 8])
    frame.loc[gone, ["estimate", "conf_low", "conf_high", "band_low", "band_high"]] = np.nan
    frame.loc[gone, "reason"] = "only one state left to compare"
    return frame


def evidence(name: str) -> Evidence:
    kept = ("check", "status", "words", "estimate", "conf_low", "conf_high")
    checks = tuple(CheckOutcome(**{k: row[k] for k in kept}) for row in checks_of(name))
    est, half = ESTIMATE[name], HALF[name]
    bundle = None
    if STATUS[name] in ("bundle_only", "swap_only"):
        members = ("zerotol", "gdl") if name == "zerotol" else ("sbprim", "sbsecon")
        kind = "together" if name == "zerotol" else "swap"
        weights = (1.0, 1.0) if name == "zerotol" else (1.0, -1.0)
        bundle = BundleEvidence(
            members,
            tuple(LABELS[m] for m in members),
            kind,
            -0.05,
            -0.09,
            -0.01,
            0.02,
            weights,
            "StaggeredRollout(same)",
            9,
            20,
            4,
        )
    return Evidence(
        name,
        OUTCOME,
        STATUS[name],
        label=LABELS[name],
        outcome_label="Traffic deaths per 100,000 people (log)",
        kind="log",
        better="lower",
        matters=0.05,
        estimate=est,
        conf_low=est - half,
        conf_high=est + half,
        std_error=half / 2,
        df=9.0,
        p_adjusted=P_ADJUSTED[name],
        design="StaggeredRollout(same)",
        clusters_exposed=9,
        clusters_comparison=20,
        checks=checks,
        bundle=bundle,
        clean_until=4,
        unit="state",
        period="year",
        place="state",
        cure="Start it two years later in two states" if name == "zerotol" else "",
    )


def decisions() -> tuple[tuple[Evidence, Verdict], ...]:
    return tuple((e, decide(e)) for e in map(evidence, NAMES))


def statements() -> tuple[Statement, ...]:
    return tuple(statement(e, v) for e, v in decisions())


def verdicts() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "component": e.component,
                "outcome": e.outcome,
                "verdict": v.verdict,
                "direction": v.direction,
                "sentence": statement(e, v).sentence,
                "estimate": v.estimate,
                "conf_low": v.conf_low,
                "conf_high": v.conf_high,
                "p_adjusted": v.p_adjusted,
                "design": e.design,
                "clusters_exposed": e.clusters_exposed,
                "clusters_comparison": e.clusters_comparison,
                "smallest_detectable": v.smallest_detectable,
                "reasons": v.reasons,
            }
            for e, v in decisions()
        ]
    )


def effects() -> pd.DataFrame:
    rows = []
    for n in NAMES:
        for design in ("StaggeredRollout(same)", "StaggeredRollout(unchanged)", "JointEventStudy"):
            est, half = ESTIMATE[n], HALF[n]
            rows.append(
                {
                    "component": n,
                    "outcome": OUTCOME,
                    "design": design,
                    "headline": design.endswith("(same)"),
                    "estimate": est,
                    "std_error": half / 2,
                    "conf_low": est - half,
                    "conf_high": est + half,
                    "p_value": 0.02,
                    "df": 7.5,
                    "inference": "jackknife",
                    "clusters_exposed": 9,
                    "clusters_comparison": 20,
                    "units_exposed": 9,
                    "population": "",
                    "reason": "" if est == est else "nothing to compare with",
                }
            )
    return pd.DataFrame(rows)


def checks_of(name: str) -> list[dict[str, object]]:
    kinds = ("pre_trend", "leave_one_cluster", "few_clusters", "rungs", "date_rule")
    if ESTIMATE[name] != ESTIMATE[name]:
        return []
    status = {("perse", "pre_trend"): "failed", (name, "few_clusters"): "informational"}
    return [
        {
            "component": name,
            "outcome": OUTCOME,
            "check": c,
            "status": status.get((name, c), "passed"),
            "words": f"the {c} check in words with the figure {k + 2}",
            "estimate": -0.01,
            "conf_low": -0.03,
            "conf_high": 0.01,
        }
        for k, c in enumerate(kinds)
    ]


def checks() -> pd.DataFrame:
    return pd.DataFrame([row for n in NAMES for row in checks_of(n)])


def leave_one_out() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    rows = [
        (n, OUTCOME, p, ESTIMATE[n] + 0.006 * rng.normal())
        for n in NAMES
        if ESTIMATE[n] == ESTIMATE[n]
        for p in PLACES[:30]
    ]
    return pd.DataFrame(rows, columns=["component", "outcome", "cluster", "estimate"])


def contamination(component: str, outcome: str | None = None) -> pd.DataFrame:
    rows = [(component, "own", component, 30, 1.2, 1.2, 0.0)]
    rows += [(component, "own, negative", component, 4, -0.2, 0.0, -0.2)]
    rows += [(component, "borrowed", n, 20, 0.0, 0.3, -0.3) for n in NAMES if n != component]
    columns = "component source from_component cells sum_of_weights positive negative".split()
    return pd.DataFrame(rows, columns=columns)


def decided() -> Decisions:
    """Decisions on the made-up answers, a fall in deaths being a benefit."""
    cases = [
        Case(
            n, LABELS[n], OUTCOME, study().outcomes[0].label, (n,), "log", "", good=-1.0, estimate=-ESTIMATE[n],
            conf_low=-ESTIMATE[n] - HALF[n], conf_high=HALF[n] - ESTIMATE[n], std_error=HALF[n] / 2.01, df=47.0,
            matters=0.05, reason="" if ESTIMATE[n] == ESTIMATE[n] else "nobody without it was left",
        )
        for n in NAMES
    ]  # fmt: skip
    return decisions_on(cases, prior_of("sceptical"))


class Road(Evaluation):
    """An Evaluation that can say its weights without paths."""

    def contamination(self, component: str, outcome: str | None = None) -> pd.DataFrame:
        return contamination(component, outcome)


def evaluation() -> Road:
    bundles = pd.DataFrame(
        {
            "members": [("zerotol", "gdl")],
            "weights": [(1.0, 1.0)],
            "outcome": [OUTCOME],
            "estimate": [-0.05],
            "conf_low": [-0.09],
            "conf_high": [-0.01],
            "design": ["StaggeredRollout(same)"],
            "kind": ["together"],
            "reason": [""],
        }
    )
    nothing, who, log = (pd.DataFrame(columns=list(c)) for c in (FLOW, COMPARED, LOG))
    return Road(
        study=study(),  # type: ignore[arg-type]
        separability=separability(),  # type: ignore[arg-type]
        level=0.95,
        seed=0,
        plan=None,
        effects=effects(),
        event_studies={(n, OUTCOME): event_study(n) for n in NAMES if ESTIMATE[n] == ESTIMATE[n]},
        verdicts=verdicts(),
        bundles=bundles,
        checks=checks(),
        leave_one_out=leave_one_out(),
        findings=(),
        judged=decisions(),
        statements=statements(),
        rules={n: "Clean comparisons exist, so the like-for-like design is the headline." for n in NAMES},
        protection=Protection(PROFILES["none"], nothing, who, log, None, None, decided()),
    )
