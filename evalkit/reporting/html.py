"""Blocks as the HTML that a notebook shows and the page keeps."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from evalkit.figures.forest import VERDICT_WORDS
from evalkit.figures.picture import Picture
from evalkit.reporting.blocks import (
    BLOCKS,
    Block,
    Group,
    Heading,
    Listing,
    Paragraph,
    Run,
    Text,
    runs,
    to_data,
    words,
)
from evalkit.show.tables import Cell, Table

_SHAPES = {
    "shown": '<circle cx="8" cy="8" r="6.2" fill="currentColor"/>',
    "likely": '<path d="M8 1.8a6.2 6.2 0 0 0 0 12.4z" fill="currentColor"/>'
    '<circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.5"/>',
    "cannot_tell": '<circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.5"/>',
    "cannot_tell_apart": '<g fill="none" stroke="currentColor" stroke-width="1.5">'
    '<circle cx="5.6" cy="8" r="4.4"/><circle cx="10.4" cy="8" r="4.4"/></g>',
    "no_sign": '<rect x="2.2" y="2.2" width="11.6" height="11.6" fill="none" '
    'stroke="currentColor" stroke-width="1.5"/>',
    "not_tested": '<path d="M3 8h10" stroke="currentColor" stroke-width="2"/>',
}
_CHECK_SHAPES = {
    "passed": '<path d="M3 8.5l3.4 3.5L13 4.5" fill="none" stroke="currentColor" stroke-width="2"/>',
    "failed": '<path d="M4 4l8 8M12 4l-8 8" stroke="currentColor" stroke-width="2"/>',
    "informational": '<circle cx="8" cy="8" r="2.4" fill="currentColor"/>',
}
_TAGS = {"strong": "strong", "em": "em"}


@dataclass(frozen=True)
class Section:
    """A piece of the report: blocks, shown as HTML by a notebook, named by its `name` elsewhere."""

    name: str
    blocks: tuple[Block, ...]

    @property
    def body(self) -> str:
        """The blocks as HTML."""
        return to_html(self.blocks)

    def _repr_html_(self) -> str:
        return self.body

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {BLOCKS: to_data(self.blocks)}

    def __repr__(self) -> str:
        return f"Section({self.name})"


def section(name: str, *blocks: Block | None) -> Section:
    """A section of the blocks that are there."""
    return Section(name, tuple(b for b in blocks if b is not None))


def escape(text: object) -> str:
    """Text as HTML."""
    return html.escape(str(text), quote=True)


def to_html(blocks: Iterable[Block]) -> str:
    """Blocks as HTML, one after another."""
    return "".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case Heading(level, text, anchor):
            ident = anchor or (slug(text) if level == 2 else "")
            return f"<h{level}{_attribute('id', ident)}>{escape(text)}</h{level}>"
        case Paragraph(text, look, anchor):
            inside = inline(text)
            return f"<p{_attribute('id', anchor)}{_attribute('class', look)}>{inside}</p>" if inside else ""
        case Listing(items, numbered):
            tag = "ol" if numbered else "ul"
            listed = "".join(f"<li>{inline(i)}</li>" for i in items)
            return f"<{tag}>{listed}</{tag}>" if items else ""
        case Group():
            return _group(block)
        case Table() | Picture():
            return block.to_html()
        case _:
            raise TypeError(f"{type(block).__name__} has no picture to show.")


def _group(group: Group) -> str:
    inside = to_html(group.blocks)
    if group.summary:
        return f"<details><summary>{escape(group.summary)}</summary>{inside}</details>"
    if group.guide:
        return f"<nav{_attribute('aria-label', group.label)}>{inside}</nav>"
    tag, named = ("section", "aria-labelledby") if group.label else ("div", "")
    about = _attribute("class", group.look) + _attribute("id", group.anchor) + _attribute(named, group.label)
    return f"<{tag}{about}>{inside}</{tag}>"


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escape(value)}"' if value else ""


def inline(text: Text) -> str:
    """Runs of text as HTML: links, looks, and the shapes of marks."""
    return "".join(map(_run, runs(text)))


def _run(run: Run) -> str:
    if run.look in _SHAPES:
        return f'<span class="verdict {run.look}">{icon(run.look)}{escape(run.text)}</span>'
    if run.look in _CHECK_SHAPES:
        return f'<span class="result">{icon(run.look)}{escape(run.text)}</span>'
    if run.href:
        worked = ' class="worked"' if run.look == "worked" else ""
        return f'<a{worked} href="{escape(run.href)}">{escape(run.text)}</a>'
    tag = _TAGS.get(run.look)
    return f"<{tag}>{escape(run.text)}</{tag}>" if tag else escape(run.text)


def cell(text: Text) -> Cell:
    """A cell of a table from runs of text."""
    return Cell(words(text), html=inline(text))


def verdict_cell(verdict: str) -> Cell:
    """Word and shape of a verdict, marked for colour."""
    return cell(Run(VERDICT_WORDS.get(verdict, verdict), look=verdict))


def icon(kind: str) -> str:
    """The shape of a verdict or a check's status; hidden from screen readers, because the word follows."""
    shape = _SHAPES.get(kind) or _CHECK_SHAPES.get(kind, "")
    return f'<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{shape}</svg> '


def linked(text: str, href: str) -> Run:
    """The text as a link to where its figures are worked out; without figures just the text."""
    return Run(text, href, "worked") if any(c.isdigit() for c in text) else Run(text)


def slug(heading: str) -> str:
    """A heading as an anchor: 'Does it hold?' gives 'does-it-hold'."""
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in heading.lower()).split())
