"""The typed blocks of a report: headings, paragraphs, lists, tables, pictures, and groups of them.

Sections are made of blocks; `html.py` renders them for notebook and page, `word.py` for Word. A notebook keeps them
beside its HTML, as data of the type BLOCKS, so that Word needs neither the page nor the study.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.figures.picture import Picture
from evalkit.show.tables import Cell, Table

BLOCKS = "application/vnd.evalkit.blocks+json"


@dataclass(frozen=True)
class Run:
    """A run of text. href: where it leads. look: 'worked' (a link to where a figure is worked out), 'strong', 'em', or
    the name of a mark (a verdict or a check's status) whose shape stands before the text."""

    text: str
    href: str = ""
    look: str = ""


Text = str | Run | Sequence[str | Run]


def runs(text: Text) -> tuple[Run, ...]:
    """Text as runs."""
    listed = (text,) if isinstance(text, (str, Run)) else text
    return tuple(Run(t) if isinstance(t, str) else t for t in listed)


def words(text: Text) -> str:
    """Text without looks and links."""
    return "".join(r.text for r in runs(text))


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 4; anchor: its id, by default one made of its words."""

    level: int
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; look: 'note' for small print, 'data' for the line about the data."""

    text: Text
    look: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Listing:
    """A list, numbered or not."""

    items: tuple[Text, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Group:
    """Blocks that stand together. look: their place on the page. label: what a region is called, or the id of what
    names it. summary: the words behind which they are folded away. guide: links for the page alone, not for Word."""

    blocks: tuple[Block, ...]
    look: str = ""
    anchor: str = ""
    label: str = ""
    summary: str = ""
    guide: bool = False


@dataclass(frozen=True)
class PictureWords:
    """What a picture says, and the name of its file."""

    name: str
    alt: str
    title: str
    description: str


Block = Heading | Paragraph | Listing | Table | Picture | PictureWords | Group


def flat(blocks: Iterable[Block]) -> Iterator[Block]:
    """Every block in order, out of its groups; guides left out."""
    for block in blocks:
        if not isinstance(block, Group):
            yield block
        elif not block.guide:
            yield from flat(block.blocks)


def to_data(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """The blocks as JSON holds them, groups opened; pictures by the name of their file."""
    return [_data(block) for block in flat(blocks)]


def _data(block: Block) -> dict[str, Any]:
    match block:
        case Heading():
            return {"heading": block.text, "level": block.level}
        case Paragraph():
            return {"paragraph": words(block.text)}
        case Listing():
            return {"list": [words(i) for i in block.items], "numbered": block.numbered}
        case Table():
            rows = [[c.text for c in row] for row in block.rows]
            return {"table": block.caption, "columns": list(block.columns), "rows": rows, "note": block.note}
        case Picture() | PictureWords():
            about = {"alt": block.alt, "title": block.title, "description": block.description}
            return {"picture": block.name, **about}
        case _:
            raise TypeError(f"{type(block).__name__} is not a block that stands alone.")


def from_data(data: Iterable[Mapping[str, Any]]) -> list[Block]:
    """The blocks that `to_data` gave."""
    return [_block(d) for d in data]


def _block(d: Mapping[str, Any]) -> Block:
    if "heading" in d:
        return Heading(d["level"], d["heading"])
    if "paragraph" in d:
        return Paragraph(d["paragraph"])
    if "list" in d:
        return Listing(tuple(d["list"]), d["numbered"])
    if "table" in d:
        rows = tuple(tuple(map(Cell, row)) for row in d["rows"])
        return Table(d["table"], tuple(d["columns"]), rows, note=d["note"])
    return PictureWords(d["picture"], d["alt"], d["title"], d["description"])
