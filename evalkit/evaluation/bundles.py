"""Identified combinations of components that cannot be told apart, each run as one component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from evalkit.components import Separability, separability
from evalkit.evaluation.headline import Run, Window, run
from evalkit.evaluation.ladder import Choices, ladder
from evalkit.evaluation.verdicts import BundleEvidence
from evalkit.evaluation.view import View, swap, together
from evalkit.show.words import join_words
from evalkit.study import Outcome, Study
from evalkit.study.paths import Paths


@dataclass(frozen=True, eq=False)
class BundleRun:
    """One identified combination and what its run gave."""

    members: tuple[str, ...]
    outcome: Outcome
    run: Run | None
    evidence: BundleEvidence


def run_bundles(study: Study, sep: Separability, outcome: Outcome, choices: Choices, level: float) -> list[BundleRun]:
    """Each row of `sep.bundles`: members that go together, and swaps, as one component."""
    return [_run_bundle(study, row, outcome, choices, level) for _, row in sep.bundles.iterrows()]


def _run_bundle(study: Study, row: pd.Series, outcome: Outcome, choices: Choices, level: float) -> BundleRun:
    members = tuple(row["members"])
    labels = tuple(study.component(m).label for m in members)
    weights = tuple(float(w) for w in row["weights"])
    if str(row["kind"]) == "swap" and len(members) == 2:
        weights = (1.0, -1.0) if newer(study.paths, *members)[0] == members[0] else (-1.0, 1.0)
    plain = BundleEvidence(members, labels, str(row["kind"]), weights=weights,
                           reason="this combination is not estimated on its own")  # fmt: skip
    view, name = _view(study, row, members)
    if view is None:
        return BundleRun(members, outcome, None, plain)
    audit = separability(view).components.set_index("component").loc[name]
    best = str(audit["best_design"])
    window = Window(max(study.component(m).lag for m in members), _until(audit)).within(choices.horizon)
    chosen = next((r for r in ladder(best, choices, outcome.column, window.lag) if r.headline), None)
    if chosen is None:
        return BundleRun(members, outcome, None, _with_reason(plain, str(audit["reason"])))
    return _finish(members, outcome, run(chosen, view, name, window), plain, window, level)


def _view(study: Study, row: pd.Series, members: Sequence[str]) -> tuple[View | None, str]:
    kind = str(row["kind"])
    if kind == "together":
        name = join_words(members, "with")
        return together(study, members, name), name
    if kind == "swap" and len(members) == 2:
        new, old = newer(study.paths, *members)
        name = f"{new} instead of {old}"
        return swap(study, old, new, name), name
    return None, ""


def newer(paths: Paths, a: str, b: str) -> tuple[str, str]:
    """The two members of a swap: the one that starts as the other stops, then the other."""
    on_a, on_b = (paths.state[:, :, paths.index(m)] > 0 for m in (a, b))
    forward = int((on_a[:, 1:] & ~on_a[:, :-1] & on_b[:, :-1] & ~on_b[:, 1:]).sum())
    back = int((on_b[:, 1:] & ~on_b[:, :-1] & on_a[:, :-1] & ~on_a[:, 1:]).sum())
    return (a, b) if forward >= back else (b, a)


def _until(audit: pd.Series) -> int | None:
    return None if pd.isna(audit["clean_until"]) else int(audit["clean_until"])


def _with_reason(plain: BundleEvidence, reason: str) -> BundleEvidence:
    return BundleEvidence(plain.members, plain.labels, plain.kind, weights=plain.weights, reason=reason)


def _finish(
    members: tuple[str, ...], outcome: Outcome, done: Run, plain: BundleEvidence, window: Window, level: float
) -> BundleRun:
    if done.answer is None:
        return BundleRun(members, outcome, done, _with_reason(plain, done.reason))
    row = done.answer.to_frame(level).iloc[0]
    evidence = BundleEvidence(
        plain.members, plain.labels, plain.kind, float(row["estimate"]), float(row["conf_low"]),
        float(row["conf_high"]), float(row["std_error"]), plain.weights, done.rung.name,
        int(row["clusters_exposed"]), int(row["clusters_comparison"]), window.until, window.lag, str(row["reason"]),
    )  # fmt: skip
    return BundleRun(members, outcome, done, evidence)
