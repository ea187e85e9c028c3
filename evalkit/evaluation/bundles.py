"""Bundles and swaps: components that are only identified together, run as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evalkit.components import Separability
from evalkit.components.status import Audit, make_audit, status_of
from evalkit.components.wording import Names, names_of
from evalkit.designs.protocol import StudyLike, View
from evalkit.designs.regression.additive import programme_level
from evalkit.designs.regression.joint import JointCombination
from evalkit.evaluation.ladder import Choices, Run, Rung, Window, run
from evalkit.evaluation.rungs import rungs_for
from evalkit.show.words import join_words
from evalkit.study import Outcome, Study
from evalkit.study.paths import Memo, Paths
from evalkit.verdicts.evidence import BundleEvidence
from evalkit.vocabulary import COMBINATION, CombinationKind, Missing

EITHER = " (either)"


@dataclass(frozen=True, eq=False)
class BundleView(View):
    """The same rows, outcomes and fillings as `study` under the paths of components joined."""

    study: Study
    memo: Memo = field(default_factory=Memo, init=False, repr=False)

    @property
    def missing(self) -> Missing:
        return self.study.missing

    @property
    def filling(self) -> int | None:
        return self.study.filling

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        return self.study.outcomes

    def gaps(self, names: Sequence[str] | None = None) -> np.ndarray:
        return self.study.gaps(names)

    def filled(self, filling: int) -> BundleView:
        return replace(self, study=self.study.filled(filling))


def together(study: Study, members: Sequence[str], name: str) -> BundleView:
    """Members as one component: on where all are on, off where all are off, else neither; for those whom all reach."""
    paths = study.paths
    at = [paths.index(m) for m in members]
    states = paths.state[:, :, at]
    state = np.where(np.asarray((states > 0).all(axis=2)), 1, np.where((states == 0).all(axis=2), 0, -1))
    reach = np.asarray(paths.reach[:, at].all(axis=1))
    return BundleView(study, _with(paths, at, [(name, state, reach)]))


def swap(study: Study, old: str, new: str, name: str) -> BundleView:
    """`new` in place of `old`: the state of `new`, compared where having either is alike."""
    paths = study.paths
    at = [paths.index(old), paths.index(new)]
    states = paths.state[:, :, at]
    either = np.where((states > 0).any(axis=2), 1, np.where((states == 0).all(axis=2), 0, -1))
    reach = np.asarray(paths.reach[:, at].all(axis=1))
    return BundleView(study, _with(paths, at, [(name, states[:, :, 1], reach), (name + EITHER, either, reach)]))


def _with(paths: Paths, drop: list[int], added: list[tuple[str, np.ndarray, np.ndarray]]) -> Paths:
    """Some components replaced by others (name, state, reach), decided at the level within which those nest."""
    keep = [k for k in range(len(paths.components)) if k not in drop]
    names = [n for n, _, _ in added]
    level = dict.fromkeys(names, programme_level(paths, [paths.components[k] for k in drop]))
    lags = {n: max((paths.lags[k] for k in drop), default=0) for n in names}
    kept = {
        paths.components[k]: paths.randomised[paths.components[k]]
        for k in keep
        if paths.components[k] in paths.randomised
    }
    # What was dealt together in the same blocks was dealt as one.
    blocks = {paths.randomised.get(paths.components[k]) for k in drop}
    dealt = dict.fromkeys(names, blocks.pop()) if len(blocks) == 1 and None not in blocks else {}
    return replace(
        paths,
        components=(*(paths.components[k] for k in keep), *names),
        state=np.concatenate([paths.state[:, :, keep], *(s[:, :, None].astype(np.int16) for _, s, _ in added)], axis=2),
        reach=np.column_stack([paths.reach[:, keep], *(r for _, _, r in added)]),
        assigned_at={**{paths.components[k]: paths.assigned_at[paths.components[k]] for k in keep}, **level},
        randomised={**kept, **{n: b for n, b in dealt.items() if b is not None}},
        lags=(*(paths.lags[k] for k in keep), *(lags[n] for n in names)),
        always_on=(*(paths.always_on[k] for k in keep), *(False for _ in names)),
    )


UNEVEN = "its parts do not count alike, so that it is no effect of anything that was done"
GROWING = "it could be told apart only if effects did not grow"


@dataclass(frozen=True, eq=False)
class BundleRun:
    """One identified combination and what its run gave. source: what was run (a view of the study, or the study
    itself); name: what the combination is called there."""

    members: tuple[str, ...]
    outcome: Outcome
    run: Run | None
    evidence: BundleEvidence
    source: StudyLike | None = None
    name: str = ""


def run_bundles(study: Study, sep: Separability, outcome: Outcome, choices: Choices, level: float) -> list[BundleRun]:
    """Each row of `sep.bundles`, by the first way that gives a number."""
    scene = _Scene(study, make_audit(study.paths, names_of(study)), outcome, choices)
    return [_run_bundle(scene, plain, level) for plain in _plain(study, sep)]


def _plain(study: Study, sep: Separability) -> Iterator[BundleEvidence]:
    """Identified combinations without a number yet; of a swap, what starts is gained and what stops is lost."""
    for _, row in sep.bundles.iterrows():
        members, weights = tuple(row["members"]), tuple(float(w) for w in row["weights"])
        kind: CombinationKind = row["kind"]
        if kind == "swap" and len(members) == 2 and newer(study.paths, *members)[0] != positive(members, weights):
            weights = tuple(-w for w in weights)
        labels = tuple(study.component(m).label for m in members)
        yield BundleEvidence(members, labels, kind, weights=weights)


def positive(members: tuple[str, ...], weights: tuple[float, ...]) -> str:
    """The first member with a plus."""
    return next(m for m, w in zip(members, weights, strict=True) if w > 0)


@dataclass(frozen=True, eq=False)
class _Scene:
    """What every combination of one outcome is run on; the audit works out only what is asked for."""

    study: Study
    audit: Audit
    outcome: Outcome
    choices: Choices


@dataclass(frozen=True, eq=False)
class _Way:
    """One way to estimate a combination: a rung on a study, over a window; or the reason why there is none."""

    source: StudyLike
    name: str
    window: Window
    rung: Rung | None
    reason: str = ""


def _run_bundle(scene: _Scene, plain: BundleEvidence, level: float) -> BundleRun:
    """The first way that gives a number; else why the first that could have done did not."""
    reasons = []
    for way in _ways(scene, plain):
        done = None if way.rung is None else run(way.rung, way.source, way.name, way.window)
        if done is not None and done.answer is not None:
            evidence = _evidence(plain, done, way, level)
            return BundleRun(plain.members, scene.outcome, done, evidence, way.source, way.name)
        reasons.append(way.reason if done is None else done.reason)
    reason = next((r for r in reasons if r), UNEVEN)
    return BundleRun(plain.members, scene.outcome, None, replace(plain, reason=reason))


def _ways(scene: _Scene, plain: BundleEvidence) -> Iterator[_Way]:
    """In order of strength; each is made only when the one before gave no number."""
    members, weights = plain.members, plain.weights
    if {abs(w) for w in weights} != {1.0}:
        return
    if min(weights) > 0:
        name = join_words(members, "with")
        yield _as_one(scene, plain, together(scene.study, members, name), name)
    elif len(members) == 2:
        new, old = members if weights[0] > 0 else members[::-1]
        name = f"{new} instead of {old}"
        yield _as_one(scene, plain, swap(scene.study, old, new, name), name)
    if scene.study.paths.n_periods > 1:
        yield _jointly(scene, plain)


def _as_one(scene: _Scene, plain: BundleEvidence, view: View, name: str) -> _Way:
    """As one component of a view, by the design that its own separability supports."""
    study = scene.study
    found = status_of(view.paths, _names(scene, view.paths, plain), name)
    until = found.clean_until if found.clean_until >= 0 and study.paths.n_periods > 1 else None
    window = Window(_lag(study, plain), until).within(scene.choices.horizon)
    rungs = rungs_for(view, name, found.best_design, scene.choices, window, scene.outcome.column)
    reason = "" if found.status in ("bundle_only", "swap_only") else found.reason
    return _Way(view, name, window, next((r for r in rungs if r.headline), None), reason)


def _jointly(scene: _Scene, plain: BundleEvidence) -> _Way:
    """By the joint event study, for as long as the combination lies in its row space."""
    signs = ["-" if w < 0 else "+" if i else "" for i, w in enumerate(plain.weights)]
    name = " ".join(f"{s} {m}" if s else m for s, m in zip(signs, plain.members, strict=True))
    lag = _lag(scene.study, plain)
    until = scene.audit.combination_until(plain.members, plain.weights, lag)
    window = Window(lag, until).within(scene.choices.horizon)
    if until < lag:
        return _Way(scene.study, name, window, None, GROWING)
    design = JointCombination(plain.members, plain.weights, scene.outcome.column)
    return _Way(scene.study, name, window, Rung(COMBINATION, design, headline=True))


def _lag(study: Study, plain: BundleEvidence) -> int:
    return max(study.component(m).lag for m in plain.members)


def _names(scene: _Scene, paths: Paths, plain: BundleEvidence) -> Names:
    """Words for the components of a view: labels of the study, and for what is new those of its parts."""
    labels = dict(zip(scene.study.paths.components, scene.audit.names.labels, strict=True))
    new = join_words(plain.labels, "with") if min(plain.signs) > 0 else "the change from one to the other"
    return replace(scene.audit.names, labels=tuple(labels.get(c, new) for c in paths.components))


def _evidence(plain: BundleEvidence, done: Run, way: _Way, level: float) -> BundleEvidence:
    assert done.answer is not None
    row, basis = done.answer.row(level=level), done.rung.design.traits.rests_on
    return replace(
        plain, estimate=float(row["estimate"]), conf_low=float(row["conf_low"]), conf_high=float(row["conf_high"]),
        std_error=float(row["std_error"]), design=done.rung.name, clusters_exposed=int(row["clusters_exposed"]),
        clusters_comparison=int(row["clusters_comparison"]), clean_until=way.window.until, lag=way.window.lag,
        reason=str(row["reason"]), additive="additivity" in basis and "weighting" not in basis,
    )  # fmt: skip


def newer(paths: Paths, a: str, b: str) -> tuple[str, str]:
    """The two members of a swap: the one that starts as the other stops, then the other."""
    on_a, on_b = (paths.state[:, :, paths.index(m)] > 0 for m in (a, b))
    forward = int((on_a[:, 1:] & ~on_a[:, :-1] & on_b[:, :-1] & ~on_b[:, 1:]).sum())
    back = int((on_b[:, 1:] & ~on_b[:, :-1] & on_a[:, :-1] & ~on_a[:, 1:]).sum())
    return (a, b) if forward >= back else (b, a)
