"""Every number that a report prints, traced to the typed evidence at the rounding that is claimed.

A text is read in its place: what it says of a component is held against what is known of that component and topic
alone. Ends of ranges may be rounded outwards only, sizes that are needed up only, everything else to the nearest;
chances in tenths to the nearest tenth, and at the ends as limits. What is no number of the evaluation must stand in
VOCABULARY, or come word for word from the study file or from a list of sources.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from evalkit import reporting
from evalkit.decision.acts import chance_pays
from evalkit.evaluation import Evaluation
from evalkit.figures import Picture
from evalkit.reporting.blocks import Block, Group, Section, as_data
from evalkit.reporting.names import spoken_period
from evalkit.show.tables import Table
from tests.reporting.evidence import Evidence
from tests.reporting.known import TOKEN, Known, Number

#: Words with a number that is none of the evaluation's: what a frequency is out of, and fixed sentences.
VOCABULARY = (
    r"(?:in|for) every 1(?:00|,000|0,000|00,000)\b", r"\bof 100\b", r"at most 100\b|100 at most\b",
    r"(?<!\.)\b[01] to 5\b",
    r"fewer than 50 people who had it",
    r"\bseed=\d+",
    r"\b0/1 column\b", r"0\.05 is 5 people in every 100", r"−0\.05 is about 5% lower", r"below 0\.001",
    r"of every 100 spent", r"0\.05 or more", r"at the 5% level",
)  # fmt: skip
_CHANCE = re.compile(r"(fewer than |more than |just over |nearly )?(\d+)(?: to (\d+))? in (10|20)\b", re.IGNORECASE)
#: What a text speaks of: topic -> what stands above it, or the beginning of its figure's name; 'found' where none does.
TOPICS = {
    "designs": ("The headline of each", "every design that was tried", "Combinations that"),
    "checks": ("Checks", "Every check in words", "What could overturn", "Does it hold"),
    "flow": ("Numbers of", " flow", "Who is in"),
    "baseline": ("Who began how",),
    "delivery": ("Planned and delivered",),
    "apart": ("What can be told apart", "separability", "Pairs", "What rollout would", "Which design is the headline",
              "Method", "What would let us tell"),
    "money": ("What was spent", "Value for money", "What each component did", "What they came to together"),
    "grid": ("The chance that it pays",),
    "data": ("What was recorded", "Data and ethics", "What was held back"),
    "pieces": ("Where the result came from", "What it adds up to", "waterfall"),
    "compared": ("counts",),
    "settings": ("Settings",),
    "standards": ("Scales that others use", "What the Magenta Book asks"),
    "found": ("Checks", "What could overturn", "Scales that others use", "What would let us tell",
              "What they came to together", "What each component did"),
}  # fmt: skip
_EPS = 1e-6


def _true_chance(words: str, tenths: tuple[int, ...], out_of: int, chance: float) -> bool:
    word = words.strip().lower()
    if out_of == 20:
        return (word, tenths[0]) in (("fewer than", 1), ("more than", 19)) and (
            chance < 0.05 + _EPS if tenths[0] == 1 else chance > 0.95 - _EPS
        )
    if word == "just over":
        return 0.3 - _EPS <= chance <= 0.35 + _EPS
    if word == "nearly":
        return 0.65 - _EPS <= chance <= 0.7 + _EPS
    return any(abs(chance - t / 10) <= 0.05 + _EPS for t in tenths)


# ---------------------------------------------------------------- the texts of a report, in their place


@dataclass(frozen=True)
class Piece:
    """A text, and where it stands: heading or caption above it, the row that it is of, and the picture."""

    text: str
    above: str = ""
    row: str = ""
    picture: str = ""


def every_block(blocks: Iterable[Block]) -> Iterator[Block]:
    """Every block, what is folded away and what is for the page alone too."""
    for block in blocks:
        if isinstance(block, Group):
            yield from every_block(block.blocks)
            if block.summary:
                yield Group((), summary=block.summary)
        else:
            yield block


def pieces(blocks: Iterable[Block]) -> Iterator[Piece]:
    """Every text of the blocks in its place."""
    part = outcome = ""
    for block in every_block(blocks):
        if isinstance(block, Group):
            yield Piece(block.summary, f"{outcome} {part}")
            continue
        data = as_data(block)
        if "heading" in data:
            if data["level"] <= 3:
                outcome = data["heading"]
            part = data["heading"]
            yield Piece(part)
        elif isinstance(block, Table):
            above = f"{data['table']} {outcome}"
            yield from (Piece(t, above) for t in (data["table"], data["note"], *data["columns"]))
            yield from (Piece(t, above, row[0]) for row in data["rows"] for t in row)
        elif "picture" in data:
            texts = (data["title"], data["alt"], *data["description"].split("\n"))
            yield from (Piece(t, f"{outcome} {part}", picture=data["picture"]) for t in texts)
        else:
            yield from (Piece(t, f"{outcome} {part}") for t in data.get("list", [data.get("paragraph", "")]))


@dataclass
class Numbers:
    """How many numbers were held, which are not so, and of seeded faults how many were seen."""

    evidence: Evidence
    count: int = 0
    seeded: int = 0
    seen: int = 0
    wrong: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def hold(self, piece: Piece, seed: bool = True) -> None:
        """Hold every number of a text against what is known of what it is about."""
        text = self._own(piece.text)
        if piece.text == piece.row and self._series(piece):  # the row's period
            self.tokens |= set(TOKEN.findall(text))
            text = ""
        about = self._about(piece)
        for found in _CHANCE.finditer(text):
            self._chance(found, about, piece)
        pool = self._pool(piece, about)
        for words in TOKEN.findall(_CHANCE.sub("~", text)):
            number = Number.read(words)
            self.count += 1
            self.tokens.add(words)
            if not any(number.is_of(k) for k in pool):
                self.wrong.append(f"{words}  in: {piece.text[:300]}  [{piece.row or piece.picture or piece.above}]")
            elif seed:
                self._seed(number, pool)

    def _own(self, text: str) -> str:
        """A text without words that are not the evaluation's, and fixed words."""
        text = re.sub("|".join((*VOCABULARY, r"\b[0-9a-f]{12,64}\b", "SHA-256")), "~", text)
        for words in self.evidence.verbatim:
            text = re.sub(rf"(?<![\d.,]){re.escape(words)}(?!\d|[.,]\d)", "~", text, flags=re.IGNORECASE)
        return text

    def repeat(self, text: str, where: str) -> None:
        """Hold the numbers of a text that says nothing new: each was held in its place, or is the register's."""
        known = self.tokens | {w for words in self.evidence.verbatim for w in TOKEN.findall(words)}
        for words in TOKEN.findall(_CHANCE.sub("~", self._own(text))):
            self.count += 1
            if words not in known:
                at = text.find(words)
                self.wrong.append(f"{words}  in {where}: ...{text[max(at - 60, 0) : at + 60]}...")

    def _seed(self, number: Number, pool: list[Known]) -> None:
        """A fault in the last digit or two: is it seen?"""
        for moved in (number.value + 2 * number.unit, abs(number.value - 2 * number.unit), 1.3 * number.value):
            self.seeded += 1
            other = Number(number.words, moved, number.unit, number.sign, "")
            self.seen += not any(other.is_of(k) for k in pool)

    def _chance(self, found: re.Match[str], about: set[str], piece: Piece) -> None:
        self.count += 1
        tenths = tuple(int(t) for t in found.group(2, 3) if t)
        known = [p for name in about for p in self.evidence.chances.get(name, ())]
        known += self._grid(piece)
        each = [any(_true_chance(found[1] or "", (t,), int(found[4]), p) for p in known) for t in tenths]
        if not all(each):
            self.wrong.append(f"{found[0]}  in: {piece.text[:200]}  [{piece.row or piece.above}]")

    def _grid(self, piece: Piece) -> list[float]:
        if not piece.above.startswith("The chance that it pays"):
            return []
        made = [d for d in self.evidence.evaluation.decisions.lines if d.case.label == piece.row]
        grid = [n * 10.0**k for k in range(-3, 10) for n in (1, 2, 5)]
        return [float(p) for d in made for p in chance_pays(d, grid) if math.isfinite(p)]

    def _about(self, piece: Piece) -> set[str]:
        """Components that a text names, else its row, else its heading."""
        for words in (piece.text, piece.row, piece.picture, piece.above):
            found, left = set(), words
            for label, name in self.evidence.labels.items():
                if label in left:
                    found.add(name)
                    left = left.replace(label, "~")
            if piece.row and words is piece.text:
                found |= {n for label, n in self.evidence.labels.items() if label in piece.row}
            if found:
                return found
        return set()

    def _series(self, piece: Piece) -> bool:
        """Whether it is of the outcome itself, over time: then a row is a period."""
        labels = [o.label for o in self.evidence.evaluation.study.outcomes]
        series = tuple(w for label in labels for w in (label, f"The outcome itself: {label}"))
        return piece.picture == "over_time" or piece.above.startswith(series)

    def _pool(self, piece: Piece, about: set[str]) -> list[Known]:
        pools, outcomes = self.evidence.pools, self.evidence.evaluation.study.outcomes
        place = f"{piece.above} {piece.picture}"
        named = {o.column for o in outcomes if o.label in f"{place} {piece.text}" or o.column in piece.picture}
        named = {"", *(named or {outcomes[0].column})}
        named |= {o.column for o in outcomes if "Combinations that" in place}
        topics = {"study", piece.picture, *(t for t, marks in TOPICS.items() if any(m in place for m in marks))}
        topics |= {"found"} if topics <= {"study", "", piece.picture} else set()
        out = [k for (name, outcome, topic), known in pools.items()
               if topic in topics and name in {"", *about} and outcome in named for k in known]  # fmt: skip
        if self._series(piece):
            told = piece.row or piece.text
            out += [k for (name, _, topic), known in pools.items() if topic == "over_time"
                    and any(w in told for w in {spoken_period(name), name}) for k in known]  # fmt: skip
        return out


def sections_of(evaluation: Evaluation, pictures: Mapping[str, Picture], study_file: str) -> tuple[Section, ...]:
    """Every section of a report."""
    both = (evaluation, pictures)
    return (
        reporting.page_one(*both), reporting.contents(), reporting.itself(evaluation), reporting.delivered(*both),
        reporting.who_is_in(*both), reporting.told_apart(*both), reporting.estimates(*both), reporting.held(*both),
        reporting.borrowed(*both), reporting.adds_up(*both), reporting.money(*both), reporting.harms(evaluation),
        reporting.other_evidence(evaluation), reporting.said(evaluation), reporting.data_statement(evaluation),
        reporting.standards(evaluation), reporting.method(evaluation), reporting.provenance(evaluation, study_file),
        reporting.held_back(evaluation),
    )  # fmt: skip


def numbers_of(evaluation: Evaluation, study_file: str) -> Numbers:
    """Every number of every section of a report, held. evaluation: what `safe` returns. study_file: a file that is."""
    pictures = reporting.pictures(evaluation)
    held = Numbers(Evidence(evaluation, pictures))
    for section in sections_of(evaluation, pictures, study_file):
        for piece in pieces(section.blocks):
            held.hold(piece)
    return held
