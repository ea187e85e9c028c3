"""Designs in plain words: what is compared with what. One home for sentences, checks, tables and figures."""

from __future__ import annotations

# name -> (as part of a sentence, as the title of a row)
_WORDS = {
    "StaggeredRollout(same)": (
        "places whose other components follow the same path",
        "Places whose other components follow the same path",
    ),
    "StaggeredRollout(same, one base period)": (
        "the same places, measured from one period before the start",
        "The same, measured from one period before",
    ),
    "StaggeredRollout(unchanged)": (
        "places whose other components stand still",
        "Places whose other components stand still",
    ),
    "StaggeredRollout(ignored)": (
        "places not yet exposed, whatever else went on there",
        "Whatever else went on there (shows what goes wrong)",
    ),
    "TripleDifference": (
        "people whom it can reach beside those it cannot",
        "People whom it can reach beside those it cannot",
    ),
    "JointEventStudy": ("one regression on all components", "One regression on all, right if effects add up"),
    "JointEventStudy(dose)": (
        "one regression on all components, by dose",
        "One regression on all, right if effects add up and grow with the dose",
    ),
    "JointCombination": (
        "one regression on all components, effects added up",
        "One regression on all, effects added up",
    ),
    "TwoWayFixedEffects": (
        "the regression that everybody runs",
        "The regression everybody runs (shows what goes wrong)",
    ),
    "Imputation": (
        "what places without any component would predict",
        "What places without any component would predict",
    ),
    "MatchedComparison": ("people matched on what is recorded", "People matched on what is recorded"),
    "MatchedComparison(ignored)": (
        "people matched whatever else they had",
        "People matched, whatever else they had (shows what goes wrong)",
    ),
    "WeightedComparison": ("people weighted to be alike on record", "People weighted to be alike on record"),
    "DifferenceInDifferences": ("two groups before and after", "Two groups before and after"),
    "RegressionDiscontinuity": ("people just above and just below the line", "People just above and below the line"),
}


def design_words(design: str) -> str:
    """What a design compares, as part of a sentence; the name itself when it is a new one."""
    return _WORDS.get(design, (design, design))[0]


def design_title(design: str) -> str:
    """What a design compares, as the title of a row; the name itself when it is a new one."""
    return _WORDS.get(design, (design, design))[1]
