"""Pieces as weighted sums of the rows of one stacked estimate: every piece and the total are made of the same rows.

A total over cells is people periods times an average. With people periods as they are, pieces are linear
in the averages, so that one joint covariance gives every interval, and they add up by construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from evalkit.evaluation.decomposition.at_once import AtOnce, mix_means
from evalkit.evaluation.decomposition.cells import Claim, Programme, claims_of, share_of, without
from evalkit.evaluation.decomposition.interactions import Interactions, interaction_tests
from evalkit.evaluation.evidence import Evaluated
from evalkit.evaluation.ladder import Choices
from evalkit.evaluation.rungs import width_of
from evalkit.inference import Estimate, stack
from evalkit.study import Outcome

Pair = tuple[str, str]
Key = tuple[str, str]
UNTOLD = ("bundle_only", "swap_only")
ROUNDING = 1e-12
"""Share of the most people periods in a sum up to which others are rounding."""
JOINT_CELLS, BEYOND = "unexplained", "beyond"
_HERE = 0.5  # a component counts as compared in a cell where more than this share of it is claimed


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Claims, programme and interactions on one outcome, and the weights of their rows in every piece."""

    evaluation: Evaluated
    outcome: Outcome

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        """Headlines with a number, then bundles run as one component whose members have none."""
        return claims_of(self.evaluation, self.outcome)

    @cached_property
    def arrival(self) -> int | None:
        """1 where any answer compares only those who came onto the record together, else None. The total, whose two
        sides no rule has looked at, is then read among those who came in the same period: that leaves no gap, and few
        out."""
        runs = [f.headline for f in self.evaluation.findings if f.outcome == self.outcome]
        runs += [b.run for b in self.evaluation.bundle_runs if b.outcome == self.outcome]
        return 1 if any(width_of(r) is not None for r in runs) else None

    @cached_property
    def programme(self) -> Programme | None:
        """The programme without what is absorbed; None where no exposed cell can be imputed."""
        study, table = self.evaluation.study, self.evaluation.separability.components
        paths = without(study.paths, set(table.loc[table["status"] == "not_tested", "component"]))
        if not paths.components or paths.n_periods < 2:
            return None
        words = {"outcome": self.outcome.column, "outcome_unit": self.outcome.unit}
        made = Programme(paths, study.values(self.outcome), words, self.arrival)
        return made if len(made.imputed.atoms.mass) else None

    @cached_property
    def whole(self) -> Programme | AtOnce | None:
        """The programme; where people are seen once, everyone whose mix stands beside people with none."""
        study = self.evaluation.study
        if study.paths.n_periods > 1 or len(study.paths.components) < 2:
            return self.programme
        means = mix_means(study, self.outcome)
        return None if means is None else AtOnce(study, self.outcome, means)

    @property
    def judged(self) -> Programme | AtOnce | None:
        """The programme that is given a verdict: of people seen once only what chance dealt, since nobody attacks the
        sum."""
        return self.whole if all(c.assigned for c in self.evaluation.study.components) else self.programme

    @cached_property
    def tested(self) -> Interactions:
        """Every pair's interaction, or why there is none."""
        ev = self.evaluation
        windows = {f.component: f.window for f in ev.findings if f.outcome == self.outcome}
        return interaction_tests(ev.study, self.outcome, windows, Choices.of(ev.study.settings), ev.level, self.arrival)

    @cached_property
    def interactions(self) -> Mapping[Pair, Estimate]:
        """(a, b) -> one row, where both have a claim of their own that does not rest on effects that add up."""
        plain = {c.name for c in self.claims if len(c.members) == 1 and not c.additive}
        return {pair: e for pair, e in self.tested.estimates.items() if set(pair) <= plain}

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Components that cannot be told apart and have no claim, by what binds them together."""
        table = self.evaluation.separability.components
        claimed = {m for c in self.claims for m in c.members}
        untold = [c for c in table.loc[table["status"].isin(UNTOLD), "component"] if c not in claimed]
        groups = [{c} for c in untold]
        for members in self.evaluation.separability.bundles["members"]:
            bound = [g for g in groups if g & set(members)]
            if len(bound) > 1:
                groups = [g for g in groups if g not in bound] + [set().union(*bound)]
        groups.sort(key=lambda g: min(map(untold.index, g)))
        return tuple(tuple(c for c in untold if c in g) for g in groups)

    @property
    def shape(self) -> tuple[int, int]:
        """Paths and periods."""
        return self.evaluation.study.paths.state.shape[:2]

    @cached_property
    def on(self) -> dict[str, np.ndarray]:
        """Component of the programme -> (P, T) where it is on."""
        paths = self.evaluation.study.paths
        inside = paths.components if self.programme is None else self.programme.paths.components
        return {c: paths.state[:, :, paths.index(c)] > 0 for c in inside}

    @cached_property
    def mass(self) -> np.ndarray:
        """(P, T) people periods of the total; without one, those that any claim has."""
        if self.programme is not None:
            return self.programme.mass
        return np.asarray(np.max([c.by_cell(self.shape) for c in self.claims], axis=0))

    @cached_property
    def share(self) -> dict[str, np.ndarray]:
        """Claim -> (P, T) share of the cell's people periods that it claims."""
        return {c.name: share_of(np.minimum(c.by_cell(self.shape), self.mass), self.mass) for c in self.claims}

    @cached_property
    def kinds(self) -> dict[str, np.ndarray]:
        """Kind of residual -> (P, T) share of each cell: everything on was compared ("unexplained"), the only
        ones that were not are a group that nothing tells apart (its position), or "beyond"."""
        nowhere, known, lacking = np.zeros(self.shape, dtype=bool), np.ones(self.shape), {}
        for c, on in self.on.items():
            cover = np.max([0.0 * known, *(self.share[x.name] for x in self.claims if c in x.members)], axis=0)
            known = np.where(on, np.minimum(known, cover), known)
            lacking[c] = on & (cover <= _HERE)
        known = np.where(known > 1 - 1e-9, 1.0, known)
        out = {JOINT_CELLS: known * (self.mass > 0)}
        left = (1 - known) * (self.mass > 0)
        for i, group in enumerate(self.groups):
            inside, others = ([x for c, x in lacking.items() if (c in group) is w] for w in (True, False))
            only = np.any([nowhere, *inside], axis=0) & ~np.any([nowhere, *others], axis=0)
            out[f"group {i}"] = left * only
            left = left * ~only
        out[BEYOND] = left
        return out

    def periods(self, share: np.ndarray) -> float:
        """People periods of a share of the cells."""
        return float((self.mass * share).sum())

    def claimed(self, name: str, kind: str | None = None) -> float:
        """People periods of a claim in the total, or in one kind of cell."""
        return self.periods(self.share[name] if kind is None else self.share[name] * self.kinds[kind])

    def overlap(self, pair: Pair, kind: str | None = None) -> tuple[float, float, float]:
        """People periods claimed for a with b on, for b with a on, and for either with both on."""
        both = self.on[pair[0]] & self.on[pair[1]]
        where = both if kind is None else both * self.kinds[kind]
        first, second = (self.share[c] * where for c in pair)
        return self.periods(first), self.periods(second), self.periods(np.maximum(first, second))

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs with an interaction that some people periods had."""
        return tuple(p for p in self.interactions if self.overlap(p)[2])

    @cached_property
    def _built(self) -> tuple[Estimate, dict[Key, int]]:
        parts: list[Estimate] = []
        keys: list[Key] = []
        if self.programme is not None:
            kinds = [k for k, s in self.kinds.items() if self.periods(s) > 0]
            shares = [(self.mass > 0).astype(float), *(self.kinds[k] for k in kinds)]
            parts.append(self.programme.averages(shares, ["total", *kinds]))
            keys += [("programme", k) for k in ["total", *kinds]]
        for claim in self.claims:
            own = claim.by_cell(self.shape)
            inside = share_of(np.minimum(own, self.mass), own)
            whole, _ = claim.average(inside)
            if whole is None:
                continue
            keys.append((claim.name, "own"))
            parts.append(whole)
            for kind in self.kinds if self.programme is not None else ():
                part, n = claim.average(inside * self.kinds[kind])
                if part is not None and 0 < n < self.claimed(claim.name) * (1 - 1e-12):
                    keys.append((claim.name, kind))
                    parts.append(part)
        keys += [_of_pair(pair) for pair in self.pairs]
        parts += [self.interactions[pair] for pair in self.pairs]
        return stack(*parts), {key: i for i, key in enumerate(keys)}

    @property
    def stacked(self) -> Estimate:
        """Rows of the programme, of each claim by kind of cell, and of each interaction, with one covariance."""
        return self._built[0]

    @property
    def rows(self) -> dict[Key, int]:
        """Where each row of `stacked` lies."""
        return self._built[1]

    def _weights(self, parts: Mapping[Key, float]) -> np.ndarray:
        """Weights of rows; what is left of people periods that cancel is rounding, and would bring a row's degrees of
        freedom, or its want of an interval, into a sum in which it has no part."""
        weights = np.zeros(len(self.stacked))
        least = ROUNDING * max(map(abs, parts.values()), default=0.0)
        for key, weight in parts.items():
            if abs(weight) > least:
                weights[self.rows[key]] = weight
        return weights

    def total(self) -> np.ndarray:
        """The programme over everything that it covers."""
        return self._weights({("programme", "total"): self.periods(np.ones(self.shape))})

    def last_in(self, name: str) -> np.ndarray:
        """What the claim adds with the others as they were."""
        return self._weights({(name, "own"): self.claimed(name)} if (name, "own") in self.rows else {})

    def alone(self, name: str) -> np.ndarray:
        """What it adds less its interactions with those that were on too."""
        met = {_of_pair(pair): self.overlap(pair)[pair.index(name)] for pair in self.pairs if name in pair}
        return np.asarray(self.last_in(name) - self._weights(met))

    def together(self, pair: Pair) -> np.ndarray:
        """What two do together beyond the sum."""
        return self._weights({_of_pair(pair): self.overlap(pair)[2]})

    def residual(self, kind: str) -> np.ndarray:
        """The programme in one kind of cell less everything claimed there."""
        if ("programme", kind) not in self.rows:
            return np.zeros(len(self.stacked))
        parts = {("programme", kind): self.periods(self.kinds[kind])}
        for claim in self.claims:
            key = (claim.name, kind) if (claim.name, kind) in self.rows else (claim.name, "own")
            if key in self.rows:
                parts[key] = -self.claimed(claim.name, kind)
        for pair in self.pairs:
            first, second, either = self.overlap(pair, kind)
            parts[_of_pair(pair)] = first + second - either
        return self._weights(parts)


def decompose(evaluation: Evaluated, outcome: Outcome) -> Decomposition:
    """The decomposition of one outcome, made once for each Evaluation; of a rate, what is added up are counts, since
    rows weigh by what it is per."""

    def make() -> Decomposition:
        study = evaluation.study.weighing(outcome)
        if study is evaluation.study:
            return Decomposition(evaluation, outcome)
        kept = {f.name: getattr(evaluation, f.name) for f in fields(Evaluated) if f.init}
        return Decomposition(Evaluated(**{**kept, "study": study}), outcome)

    return evaluation.memo.get(("decomposition", outcome.column), make)


def _of_pair(pair: Pair) -> Key:
    return "interaction", " ".join(pair)
