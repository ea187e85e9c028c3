"""The typed blocks of a report: headings, paragraphs, lists, tables, pictures, and groups of them; as HTML and as data.

Sections are made of blocks. A notebook keeps them beside their HTML, as data of the type BLOCKS, so that Word
(`formats.py`) needs neither the page nor the study.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.figures import Picture
from evalkit.language.templates import VERDICT_WORDS
from evalkit.reporting.strict import BLOCKS, PAGE, slug
from evalkit.show.tables import Cell, Table
from evalkit.show.words import escaped, untypeset

_SHAPES = tomllib.loads((PAGE / "shapes.toml").read_text(encoding="utf-8"))


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
    """A paragraph; look: 'note' for small print, 'data' for the line about the data, 'paper' for print and Word."""

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
    """Blocks that stand together. look: their place on the page, or 'fold': folded away behind their own first heading.
    label: what a region is called, or the id of what names it. summary: the words behind which they are folded away, on
    the page alone: neither PDF nor Word shows them. screen: in sight, but for the page alone too.
    guide: links for the page alone, not for Word."""

    blocks: tuple[Block, ...]
    look: str = ""
    anchor: str = ""
    label: str = ""
    summary: str = ""
    guide: bool = False
    screen: bool = False


Block = Heading | Paragraph | Listing | Table | Picture | Group


def flat(blocks: Iterable[Block]) -> Iterator[Block]:
    """Every block in order, out of its groups; what is for the page alone is left out."""
    for block in blocks:
        if not isinstance(block, Group):
            yield block
        elif not (block.guide or block.summary or block.screen):
            yield from flat(block.blocks)


def as_data(block: Block) -> dict[str, Any]:
    """A block as JSON holds it; a picture by the name of its file."""
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
        case Picture():
            about = {"alt": block.alt, "title": block.title, "description": block.description}
            return {"picture": block.name, **about}
        case _:
            raise TypeError(f"{type(block).__name__} is not a block that stands alone.")


@dataclass(frozen=True)
class Section:
    """A piece of the report: blocks, shown as HTML by a notebook, named by its `name` elsewhere."""

    name: str
    blocks: tuple[Block, ...]

    def _repr_html_(self) -> str:
        return to_html(self.blocks)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/html": untypeset(self._repr_html_()), BLOCKS: list(map(as_data, flat(self.blocks)))}

    def __repr__(self) -> str:
        return f"Section({self.name})"


def to_html(blocks: Iterable[Block]) -> str:
    """Blocks as HTML, one after another."""
    return "".join(map(_as_html, blocks))


def _as_html(block: Block) -> str:
    match block:
        case Heading(level, text, anchor):
            ident = anchor or (slug(text) if level == 2 else "")
            return f"<h{level}{_attribute('id', ident)}>{escaped(text)}</h{level}>"
        case Paragraph(text, look, anchor):
            inside = inline(text)
            return f"<p{_attribute('id', anchor)}{_attribute('class', look)}>{inside}</p>" if inside else ""
        case Listing(items, numbered):
            tag = "ol" if numbered else "ul"
            listed = "".join(f"<li>{inline(i)}</li>" for i in items)
            return f"<{tag}>{listed}</{tag}>" if items else ""
        case Group((Heading() as head, *rest), "fold", anchor, screen=screen):
            named = f'<h{head.level} id="{escaped(anchor)}-heading">{escaped(head.text)}</h{head.level}>'
            inside = f'<div id="{escaped(anchor)}">{to_html(rest)}</div>'
            look = "fold screen" if screen else "fold"
            return f'<details class="{look}"><summary>{named}</summary>{inside}</details>'
        case Group(blocks, look, anchor, label, summary, guide, screen):
            inside = to_html(blocks)
            if summary:
                return f"<details><summary>{escaped(summary)}</summary>{inside}</details>"
            if guide:
                return f"<nav{_attribute('aria-label', label)}>{inside}</nav>"
            tag, named = ("section", "aria-labelledby") if label else ("div", "")
            look = f"{look} screen".strip() if screen else look
            about = _attribute("class", look) + _attribute("id", anchor) + _attribute(named, label)
            return f"<{tag}{about}>{inside}</{tag}>"
    return block.to_html()


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escaped(value)}"' if value else ""


def inline(text: Text) -> str:
    """Runs of text as HTML: links, looks, and the shapes of marks, hidden from screen readers as the word follows."""
    return "".join(map(_run, runs(text)))


def _run(run: Run) -> str:
    text, look = escaped(run.text), run.look
    for kind, mark in (("verdicts", f"verdict {look}"), ("checks", "result")):
        if shape := _SHAPES[kind].get(look):
            icon = f'<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{shape}</svg>'
            return f'<span class="{mark}">{icon} {text}</span>'
    if run.href:
        worked = ' class="worked"' if look == "worked" else ""
        return f'<a{worked} href="{escaped(run.href)}">{text}</a>'
    return f"<{look}>{text}</{look}>" if look in ("strong", "em") else text


def cell(text: Text) -> Cell:
    """A cell of a table from runs of text."""
    return Cell(words(text), html=inline(text))


def verdict_cell(verdict: str) -> Cell:
    """Word and shape of a verdict, marked for colour."""
    return cell(Run(VERDICT_WORDS.get(verdict, verdict), look=verdict))


def linked(text: str, href: str) -> Run:
    """The text as a link to where its figures are worked out; without figures just the text."""
    return Run(text, href, "worked") if any(c.isdigit() for c in text) else Run(text)
