"""evalkit: several components switched on together; which of them made a difference?

    import evalkit as ek

    study = ek.Study.load("study.toml")     # what the components are, where and when each was switched on
    ek.separability(study)                  # what can be told apart, before any outcome is read
    evaluation = ek.evaluate(study)         # estimates, checks, verdicts in plain words
    ek.report(evaluation, "reports/mine")   # a notebook and a page that anyone can make again

Names are published one by one and imported when first used, so that `import evalkit` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> where it lives: "module:name", or "module" for a module.
_PUBLIC = {
    "Cards": "evalkit.pooling.store:Cards",
    "CarriedOver": "evalkit.designs.rollout.reversals:CarriedOver",
    "Component": "evalkit.study:Component",
    "DifferenceInDifferences": "evalkit.designs.rollout.did:DifferenceInDifferences",
    "Estimate": "evalkit.inference:Estimate",
    "Evaluation": "evalkit.evaluation:Evaluation",
    "EvalkitError": "evalkit.errors:EvalkitError",
    "EvalkitWarning": "evalkit.errors:EvalkitWarning",
    "FlexibleComparison": "evalkit.designs.people.flexible:FlexibleComparison",
    "FactorialComparison": "evalkit.designs.trials.factorial:FactorialComparison",
    "Imputation": "evalkit.designs.regression.imputation:Imputation",
    "InterruptedTimeSeries": "evalkit.designs.one_place.interrupted:InterruptedTimeSeries",
    "Interval": "evalkit.inference:Interval",
    "Links": "evalkit.study.register:Links",
    "MatchedComparison": "evalkit.designs.people.matched:MatchedComparison",
    "MixComparison": "evalkit.designs.people.mixes:MixComparison",
    "Money": "evalkit.study.money:Money",
    "Noise": "evalkit.rollouts.noise:Noise",
    "Outcome": "evalkit.study:Outcome",
    "Planned": "evalkit.rollouts.brief:Planned",
    "JointEventStudy": "evalkit.designs.regression.joint:JointEventStudy",
    "RandomisedComparison": "evalkit.designs.trials.randomised:RandomisedComparison",
    "RegressionDiscontinuity": "evalkit.designs.people.cutoff:RegressionDiscontinuity",
    "ScaledRollout": "evalkit.designs.rollout.scaled:ScaledRollout",
    "Separability": "evalkit.components:Separability",
    "StaggeredRollout": "evalkit.designs.rollout.staggered:StaggeredRollout",
    "Study": "evalkit.study:Study",
    "SyntheticControl": "evalkit.designs.one_place.donors:SyntheticControl",
    "SyntheticDifferenceInDifferences": "evalkit.designs.one_place.donors:SyntheticDifferenceInDifferences",
    "TripleDifference": "evalkit.designs.rollout.triple:TripleDifference",
    "TwoWayFixedEffects": "evalkit.designs.regression.twoway:TwoWayFixedEffects",
    "Withdrawn": "evalkit.designs.rollout.reversals:Withdrawn",
    "WeightedComparison": "evalkit.designs.people.weighted:WeightedComparison",
    "Reading": "evalkit.study.reading:Reading",
    "attribute": "evalkit.evaluation.programme:attribute",
    "card": "evalkit.pooling.making:card",
    "checks": "evalkit.checks",
    "compare": "evalkit.inference.compare:compare",
    "compress": "evalkit.disclosure.cells:compress",
    "curves": "evalkit.designs.people.curves:curves",
    "decide": "evalkit.evaluation.programme:decide",
    "evaluate": "evalkit.evaluation:evaluate",
    "explore": "evalkit.reporting.explore:explore",
    "for_whom": "evalkit.evaluation.for_whom:for_whom",
    "honest_intervals": "evalkit.inference.honest:honest_intervals",
    "next_rollout": "evalkit.rollouts.following:next_rollout",
    "plan_rollout": "evalkit.rollouts.planning:plan_rollout",
    "plot": "evalkit.figures",
    "pool": "evalkit.pooling.pool:pool",
    "portfolio": "evalkit.reporting.across:portfolio",
    "read_indigo": "evalkit.pooling.indigo:read_indigo",
    "progress": "evalkit.progress",
    "report": "evalkit.reporting:report",
    "respecify": "evalkit.evaluation.respecified:respecify",
    "separability": "evalkit.components:separability",
    "stack": "evalkit.inference:stack",
    "synthetic": "evalkit.synthetic",
    "watch": "evalkit.monitor.watch:watch",
    "value_for_money": "evalkit.evaluation.programme:value_for_money",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'evalkit' has no attribute {name!r}. Public names: {', '.join(sorted(_PUBLIC))}.")
    module, _, attribute = _PUBLIC[name].partition(":")
    found = import_module(module)
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
