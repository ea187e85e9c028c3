"""From cards to rows that can be pooled: columns of components across places; which rows are used, and why not all."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from evalkit.errors import EvalkitError, OptionError, suggest
from evalkit.pooling.card import Card
from evalkit.pooling.model import Block, whiten
from evalkit.pooling.parts import Row, Whom

Use = Literal["rollouts", "programmes", "both"]
USES: tuple[Use, ...] = ("rollouts", "programmes", "both")
CORE = "(always on)"
LEFT_OUT = ("study", "row", "reason")
_KINDS = {"rollouts": ("component", "combination"), "programmes": ("programme",)}
_SAME = (("kind", "another kind of outcome"), ("unit", "another unit"), ("better", "another direction of better"))
Pair = tuple[str, str]
Said = tuple[str, str, str]


@dataclass(frozen=True, eq=False)
class Question:
    """What is pooled: an outcome, about whom, by which rows. interactions: pairs of components by name. convert: turn
    effects on people reached into effects on everybody, or back, by the share that each row says it can reach."""

    outcome: str
    whom: Whom
    use: Use
    interactions: tuple[Pair, ...] = ()
    convert: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of rows that are used."""
        return sum((_KINDS[u] for u in _KINDS if self.use in (u, "both")), ())


@dataclass(frozen=True, eq=False)
class Names:
    """What components are called across places. by_term: term, or name without one -> column. columns: in order."""

    columns: tuple[str, ...]
    by_term: Mapping[str, int]
    aliases: Mapping[str, int]
    labels: Mapping[str, str]

    @classmethod
    def of(cls, cards: Sequence[Card]) -> Names:
        """A component is called what most places call it, or by its term where that would mean two things."""
        local: dict[str, Counter[str]] = defaultdict(Counter)
        labels: dict[str, Counter[str]] = defaultdict(Counter)
        for card in cards:
            for name, part in card.components.items():
                local[part.term or name][name] += 1
                labels[part.term or name][part.label or name] += 1
        terms_of: dict[str, set[str]] = defaultdict(set)
        for term, names in local.items():
            for name in names:
                terms_of[name].add(term)
        columns = []
        for term, names in local.items():
            most = min(names, key=lambda n: (-names[n], n))
            columns.append(most if len(terms_of[most]) == 1 else term)
        aliases = {name: list(local).index(next(iter(t))) for name, t in terms_of.items() if len(t) == 1}
        aliases |= {term: i for i, term in enumerate(local)} | {c: i for i, c in enumerate(columns)}
        said = {c: max(sorted(labels[t]), key=labels[t].__getitem__) for c, t in zip(columns, local, strict=True)}
        return cls(tuple(columns), {t: i for i, t in enumerate(local)}, aliases, said)

    def at(self, name: str) -> int:
        """Column of a component by its name or term. Raises `OptionError` for one that no card has."""
        if name not in self.aliases:
            raise OptionError(f"No card has a component {name!r}. {suggest(name, self.columns, 'The components are')}")
        return self.aliases[name]


@dataclass(frozen=True, eq=False)
class Gathered:
    """Rows to pool, in the order of the blocks. columns: components, then interactions, then what is always on. blocks:
    whitened rows. used: place and row of each. design (N, p), estimate and std_error (N,) of those rows. left_out:
    study, row and reason of every other."""

    question: Question
    cards: tuple[Card, ...]
    names: Names
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    used: tuple[tuple[int, Row], ...]
    design: np.ndarray
    estimate: np.ndarray
    std_error: np.ndarray
    left_out: tuple[Said, ...]

    @property
    def places(self) -> np.ndarray:
        """(N,) place of each row used."""
        return np.array([place for place, _ in self.used], dtype=int)

    @property
    def components(self) -> int:
        """How many of the columns are components."""
        return len(self.names.columns)

    def left_out_table(self) -> pd.DataFrame:
        """What was left out, and why."""
        return pd.DataFrame(self.left_out, columns=list(LEFT_OUT))


def gather(cards: Sequence[Card], question: Question) -> Gathered:
    """The rows of cards that speak to a question, whitened, and everything that does not, with its reason.

    Raises `EvalkitError` where no card is about the outcome.
    """
    left: list[Said] = []
    mine = list(_about(cards, question, left))
    if not mine:
        known = sorted({c.outcome.id for c in cards})
        raise EvalkitError(f"No card can be pooled on {question.outcome!r}. Outcomes with cards: {', '.join(known)}.")
    names = Names.of(mine)
    pairs = [tuple(names.columns[names.at(n)] for n in pair) for pair in question.interactions]
    core = (CORE,) if question.use != "rollouts" else ()
    columns = (*names.columns, *(" with ".join(p) for p in pairs), *core)
    layout = _Layout(names, tuple((names.at(a), names.at(b)) for a, b in pairs), len(columns), bool(core))
    by_size: dict[int, list[_Place]] = defaultdict(list)
    for place, card in enumerate(mine):
        found = _of_place(place, card, question, layout, left)
        if found is not None:
            by_size[len(found.rows)].append(found)
    blocks, used = [], []
    for size in sorted(by_size):
        group = by_size[size]
        numbers, of = np.array([p.place for p in group]), np.array
        blocks.append(whiten(numbers, of([p.y for p in group]), of([p.vcov for p in group]),
                             of([p.design for p in group]), of([p.shared for p in group])))  # fmt: skip
        used += [(p.place, row) for p in group for row in p.rows]
    flat = [p for size in sorted(by_size) for p in by_size[size]]
    design = np.concatenate([p.design for p in flat]) if flat else np.zeros((0, len(columns)))
    y = np.concatenate([p.y for p in flat]) if flat else np.zeros(0)
    errors = np.concatenate([np.sqrt(np.diag(p.vcov)) for p in flat]) if flat else np.zeros(0)
    return Gathered(question, tuple(mine), names, columns, tuple(blocks), tuple(used), design, y, errors, tuple(left))


def _about(cards: Sequence[Card], question: Question, left: list[Said]) -> Iterator[Card]:
    """Cards on the outcome whose numbers mean the same; the others are named."""
    mine = [c for c in cards if c.outcome.id == question.outcome]
    usual = {f: Counter(getattr(c.outcome, f) for c in mine).most_common(1)[0][0] for f, _ in _SAME} if mine else {}
    for card in mine:
        unlike = next((w for f, w in _SAME if getattr(card.outcome, f) != usual[f]), "")
        if unlike:
            left.append((card.study, "", f"it has {unlike} than most of the cards"))
        elif card.estimand.kind != "att":
            left.append((card.study, "", f"its estimand is {card.estimand.kind}, not the effect on those who had it"))
        elif card.estimand.whom != question.whom and not question.convert:
            whom = f"its effects are on {_on(card.estimand.whom)}, not on {_on(question.whom)}"
            left.append((card.study, "", f"{whom}; converting by the share reached must be asked for"))
        else:
            yield card


def _on(whom: str) -> str:
    return "people reached" if whom == "reached" else whom


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where columns lie. pairs: columns of each interaction's two components. core: whether the last column is what
    is always on."""

    names: Names
    pairs: tuple[tuple[int, int], ...]
    width: int
    core: bool


@dataclass(frozen=True, eq=False)
class _Place:
    place: int
    rows: tuple[Row, ...]
    y: np.ndarray
    vcov: np.ndarray
    design: np.ndarray
    shared: np.ndarray


def _of_place(place: int, card: Card, question: Question, layout: _Layout, left: list[Said]) -> _Place | None:
    at, rows, lines, factors, place_of = [], [], [], [], {}
    for i, row in enumerate(card.numbered):
        place_of[row.id] = i
    for row in card.rows:
        if row.kind not in question.kinds:
            continue
        if row.estimate is None:
            left.append((card.study, row.id, row.reason))
            continue
        line, unknown = _line(card, row, layout)
        factor, lacking = _factor(card, row, question)
        if unknown or lacking:
            left.append((card.study, row.id, unknown or lacking))
            continue
        at.append(place_of[row.id])
        rows.append(row)
        lines.append(line)
        factors.append(factor)
    if not rows:
        return None
    scale = np.array(factors)
    y = scale * np.array([r.estimate for r in rows])
    design = np.array(lines)
    vary = design.copy()
    first = len(layout.names.columns)
    vary[:, first : first + len(layout.pairs)] = 0.0  # interactions do not vary by place
    return _Place(place, tuple(rows), y, card.vcov[np.ix_(at, at)] * np.outer(scale, scale), design, vary @ vary.T)


def _line(card: Card, row: Row, layout: _Layout) -> tuple[np.ndarray, str]:
    """What a row adds up of each column, and why that is not known, where it is not."""
    line = np.zeros(layout.width)
    where = {layout.names.by_term[card.components[n].term or n]: n for n in card.components}
    for name, weight in row.members.items():
        line[layout.names.by_term[card.components[name].term or name]] = weight
    if layout.core and row.kind == "programme":
        line[-1] = 1.0
    for k, (a, b) in enumerate(layout.pairs, len(layout.names.columns)):
        if line[a] and line[b]:
            line[k] = max(line[a] * line[b], 0.0)
        elif line[a] or line[b]:
            other = where.get(b if line[a] else a)
            if other is not None and other not in row.alongside:
                return line, "it does not say how much of the other component stood beside it"
            line[k] = (line[a] or line[b]) * (row.alongside[other] if other is not None else 0.0)
    return line, ""


def _factor(card: Card, row: Row, question: Question) -> tuple[float, str]:
    """What turns a row into the effect on those whom the question is about."""
    if card.estimand.whom == question.whom:
        return 1.0, ""
    if row.reach is None:
        return math.nan, "it does not say which share of people it can reach, so that it cannot be converted"
    return (1 / row.reach if question.whom == "reached" else row.reach), ""
