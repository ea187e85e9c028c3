"""Cards kept together: a folder of files or a DuckDB file, of which only the newest versions are served."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import pandas as pd

from evalkit.errors import EvalkitError, OptionError, Problem, check_choice, raise_problems
from evalkit.folders import make_folder, put
from evalkit.pooling.card import Card, earlier_card
from evalkit.pooling.parts import Withdrawal
from evalkit.pooling.reading import Refused, read_card, text_of
from evalkit.show.tables import Table, make_table
from evalkit.show.words import count_words, file_name

if TYPE_CHECKING:
    import duckdb

OnRefused = Literal["raise", "leave_out"]
DATABASES = (".duckdb", ".db")
_ALREADY = "Keep one of the two; a newer version says which one it supersedes."
_OVERLAP = "Keep one of the two, or say that they hold different people: apart=[({a!r}, {b!r})]."
Pair = tuple[str, str]
Named = tuple[str, Card]
Gone = tuple[str, Withdrawal]


@dataclass(frozen=True, eq=False)
class Cards:
    """The cards that may be pooled. left_out: what was found beside them (study, outcome, file, reason): earlier
    versions, withdrawn studies and, where asked for, refused files. later: fields of later minor versions, by file."""

    cards: tuple[Card, ...]
    left_out: pd.DataFrame = field(default_factory=lambda: _left([]))
    later: tuple[Pair, ...] = ()
    place: Path | None = None

    @classmethod
    def load(cls, path: str | Path, *, on_refused: OnRefused = "raise", apart: Sequence[Pair] = ()) -> Cards:
        """Every card in a folder (*.json) or a DuckDB file.

        Of several versions only the newest is served; a withdrawn study is left out. What cannot be used is refused by
        name, all at once: a file that is no card, the same card twice, two cards of one study and outcome of which
        neither supersedes the other, and two studies that hold the same data (fingerprint, INDIGO id, or place and
        dates). on_refused: "raise" an `EvalkitError`, or "leave_out" the refused cards, which `left_out` then names.
        apart: pairs of studies that a person says hold different people.
        """
        check_choice("on_refused", on_refused, get_args(OnRefused))
        place = Path(path)
        found: list[Named] = []
        gone: list[Gone] = []
        problems: list[tuple[str, str, str, Problem]] = []
        later = []
        for name, given in _texts(place):
            try:
                made, apart_fields = read_card(given if isinstance(given, str) else text_of(given), name)
            except Refused as error:
                problems += [("", "", name, p) for p in error.problems]
                continue
            later += [(name, f) for f in apart_fields]
            if isinstance(made, Card):
                found.append((name, made))
            else:
                gone.append((name, made))
        return _served(found, gone, problems, on_refused, apart, tuple(later), place)

    @classmethod
    def of(cls, cards: Iterable[Card], *, on_refused: OnRefused = "raise", apart: Sequence[Pair] = ()) -> Cards:
        """Cards in memory, held to the same rules."""
        given = list(cards)
        if odd := [c for c in given if not isinstance(c, Card)]:
            advice = "Give cards, or load a folder of them with ek.Cards.load."
            raise OptionError(str(Problem(f"{odd[0]!r} is no card", "cards", advice)))
        named = [(f"card {i} ({c.name})", c) for i, c in enumerate(given, 1)]
        return _served(named, [], [], on_refused, apart, (), None)

    def __len__(self) -> int:
        return len(self.cards)

    def __iter__(self) -> Iterator[Card]:
        return iter(self.cards)

    def save(self, path: str | Path) -> Path:
        """Write every card into a folder or a DuckDB file, each in place of the version that it supersedes."""
        place = Path(path)
        if place.suffix not in DATABASES:
            for card in self.cards:
                card.save(place)
            return place
        make_folder(place.parent)
        with _database(place) as base:
            for card in self.cards:
                for (text,) in base.execute("select card from cards where file = ?", [card.file]).fetchall():
                    before = earlier_card(text, card.file)
                    if before.key != card.key:
                        card.check_follows(before)
                base.execute("delete from cards where file = ?", [card.file])
                base.execute("insert into cards values (?, ?)", [card.file, card.to_json()])
        return place

    def withdraw(self, study: str, outcome: str | None = None, reason: str = "") -> Cards:
        """Without a study's cards, of which a tombstone stays where the cards are kept: pools are to be made again.

        Raises `EvalkitError` for a study of which there is no card.
        """
        mine = [c for c in self.cards if c.study == study and outcome in (None, c.outcome.id)]
        if not mine:
            raise EvalkitError(f"There is no card of the study {study!r} to withdraw.")
        tombstone = Withdrawal(study=study, outcome=outcome, reason=reason, made=date.today().isoformat())
        text = json.dumps(tombstone.model_dump(mode="json", by_alias=True, exclude_none=True))
        name = ".".join([file_name(study), *([file_name(outcome)] if outcome else []), "withdrawn.json"])
        files = [] if self.place is None else _files_of(self.place, study, outcome)
        if self.place is not None and self.place.suffix in DATABASES:
            with _database(self.place) as base:
                base.executemany("delete from cards where file = ?", [[f] for f in [*files, name]])
                base.execute("insert into cards values (?, ?)", [name, text])
        elif self.place is not None:
            put(self.place / name, text.encode())
            for file in files:
                (self.place / file).unlink(missing_ok=True)
        kept = tuple(c for c in self.cards if c not in mine)
        rows = [(c.study, c.outcome.id, c.file, _withdrawn(tombstone)) for c in mine]
        return Cards(kept, pd.concat([self.left_out, _left(rows)], ignore_index=True), self.later, self.place)

    def to_frame(self) -> pd.DataFrame:
        """One row a card and row: study, outcome, row, kind, estimate, std_error, df, verdict, reason."""
        rows = []
        for card in self.cards:
            at = {r.id: i for i, r in enumerate(card.numbered)}
            for r in card.rows:
                se = float(card.vcov[at[r.id], at[r.id]]) ** 0.5 if r.id in at else float("nan")
                rows.append((card.study, card.outcome.id, r.id, r.kind, r.estimate, se, r.df, r.verdict, r.reason))
        names = ["study", "outcome", "row", "kind", "estimate", "std_error", "df", "verdict", "reason"]
        return pd.DataFrame(rows, columns=names).astype({"estimate": float, "df": float})

    def table(self) -> Table:
        """Which studies there are, and how many of their rows have a number."""
        rows = [
            (c.study, c.outcome.label, f"{len(c.numbered)} of {len(c.rows)}", c.population.place or "not given")
            for c in self.cards
        ]
        caption = f"{count_words(len(self.cards), 'card')}, {len(self.left_out)} left out"
        return make_table(caption, ("Study", "Outcome", "Rows with a number", "Place"), rows)

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def __repr__(self) -> str:
        return self.table().to_text(110)


def _texts(place: Path) -> Iterable[tuple[str, str | Path]]:
    """Name of each card that is kept, and its text or the file that holds it."""
    return _from_database(place) if place.suffix in DATABASES else _from_folder(place)


def _files_of(place: Path, study: str, outcome: str | None) -> list[str]:
    """Names under which a study's cards are kept, whatever they are called, and those of every version before them."""
    kept: list[Named] = []
    for name, given in _texts(place):
        try:
            made, _ = read_card(given if isinstance(given, str) else text_of(given), name)
        except Refused:
            continue
        kept += [(name, made)] if isinstance(made, Card) else []
    found: dict[str, Card] = {}
    more = {n: c for n, c in kept if c.study == study and outcome in (None, c.outcome.id)}
    while more:
        found |= more
        before = {c.supersedes for c in more.values()}
        more = {n: c for n, c in kept if c.key in before and n not in found}
    return list(found)


def _from_folder(place: Path) -> Iterator[tuple[str, Path]]:
    if not place.is_dir():
        raise EvalkitError(f"There is no folder of cards {str(place)!r}. `evalkit card STUDY --out FOLDER` writes one.")
    for file in sorted(place.glob("*.json")):
        yield file.name, file


def _from_database(place: Path) -> list[Pair]:
    if not place.is_file():
        raise EvalkitError(f"There is no file of cards {str(place)!r}. `Cards.save` writes one.")
    with _database(place) as base:
        return [(str(f), str(t)) for f, t in base.execute("select file, card from cards order by file").fetchall()]


def _database(place: Path) -> duckdb.DuckDBPyConnection:
    try:
        import duckdb
    except ImportError:
        words = "A DuckDB file of cards needs the package duckdb: install evalkit with its extra [store]."
        raise EvalkitError(words) from None
    try:
        base = duckdb.connect(str(place))
        base.execute("create table if not exists cards (file varchar, card varchar)")
    except duckdb.Error as error:
        raise EvalkitError(f"{str(place)!r} cannot be opened as a DuckDB file ({error}).") from None
    return base


def _served(
    found: list[Named], gone: list[Gone], problems: list[tuple[str, str, str, Problem]], on_refused: OnRefused,
    apart: Sequence[Pair], later: tuple[Pair, ...], place: Path | None,
) -> Cards:  # fmt: skip
    """Newest versions of what is neither withdrawn nor refused."""
    left: list[tuple[str, str, str, str]] = []
    kept: list[Named] = []
    for name, card in found:
        stone = next((w for _, w in gone if w.study == card.study and w.outcome in (None, card.outcome.id)), None)
        if stone is None:
            kept.append((name, card))
        else:
            left.append((card.study, card.outcome.id, name, _withdrawn(stone)))
    met = {study for study, *_ in left}
    left += [(w.study, w.outcome or "", name, _withdrawn(w)) for name, w in gone if w.study not in met]
    newest, versions = _newest(kept, {c.supersedes: c for _, c in found if c.supersedes}, left)
    problems = problems + versions + _overlaps(newest, {frozenset(p) for p in apart})
    if on_refused == "raise":
        raise_problems((p for *_, p in problems), EvalkitError)
    refused = {name for _, _, name, _ in problems}
    left += [(study, outcome, name, str(p)) for study, outcome, name, p in problems]
    return Cards(tuple(c for n, c in newest if n not in refused), _left(left), later, place)


def _newest(
    named: list[Named], newer: Mapping[str, Card], left: list[tuple[str, str, str, str]]
) -> tuple[list[Named], list[tuple[str, str, str, Problem]]]:
    """Of each study and outcome the version that no other supersedes; a problem for each further one.

    newer: key of a version -> the card that supersedes it, by whatever name: a study may have been renamed.
    """
    by_key: dict[Pair, list[Named]] = defaultdict(list)
    for name, card in named:
        by_key[(card.study, card.outcome.id)].append((name, card))
    out, problems = [], []
    for (study, outcome), versions in by_key.items():
        if len(versions) == 1 and not newer:
            out.append(versions[0])
            continue
        heads = []
        for n, c in versions:
            by = newer.get(c.key)
            if by is None:
                heads.append((n, c))
            else:
                other = "" if (by.study, by.outcome.id) == (study, outcome) else f", {by.name}"
                left.append((study, outcome, n, f"superseded by a newer version{other}"))
        out += heads[:1]
        for name, card in heads[1:]:
            same = "The same card is there twice" if card.key == heads[0][1].key else "There are two cards of one study"
            what = Problem(f"{same}: {card.name}", f"{name} and {heads[0][0]}", _ALREADY)
            problems += [(study, outcome, name, what)]
    return out, problems


def _overlaps(named: list[Named], apart: set[frozenset[str]]) -> list[tuple[str, str, str, Problem]]:
    """A problem for each pair of studies that hold the same data, the later one refused."""
    groups: dict[tuple[str, ...], list[Named]] = defaultdict(list)
    for name, card in named:
        o, population = card.outcome.id, card.population
        groups["fingerprint", o, card.data_fingerprint].append((name, card))
        if card.provenance.indigo:
            groups["INDIGO id", o, card.provenance.indigo].append((name, card))
        if population.place and population.dates:
            groups["place at the same time", o, population.place.strip().casefold()].append((name, card))
    seen: set[frozenset[str]] = set()
    problems = []
    for (why, *_), members in groups.items():
        for (name, card), (other_name, other) in combinations(members, 2):
            pair = frozenset((card.study, other.study))
            if pair in apart or pair in seen or (why.startswith("place") and not _meet(card, other)):
                continue
            seen.add(pair)
            advice = _OVERLAP.format(a=card.study, b=other.study)
            what = Problem(
                f"{card.study!r} and {other.study!r} have the same {why}", f"{name} and {other_name}", advice
            )
            problems.append((other.study, other.outcome.id, other_name, what))
    return problems


def _meet(a: Card, b: Card) -> bool:
    """Whether the dates of two cards overlap; dates of unlike length as far as both go."""
    assert a.population.dates is not None and b.population.dates is not None
    (first_a, last_a), (first_b, last_b) = a.population.dates, b.population.dates
    before = lambda x, y: x[: len(y)] < y[: len(x)]  # noqa: E731
    return not before(last_a, first_b) and not before(last_b, first_a)


def _withdrawn(stone: Withdrawal) -> str:
    return f"withdrawn: {stone.reason}" if stone.reason else "withdrawn"


def _left(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["study", "outcome", "file", "reason"])
