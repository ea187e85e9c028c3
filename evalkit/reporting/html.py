"""Pieces of HTML that a notebook shows and the page keeps."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from evalkit.figures.forest import VERDICT_WORDS

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z“])")
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


@dataclass(frozen=True)
class Html:
    """A piece of the report: shown as HTML by a notebook, named by its `name` elsewhere."""

    name: str
    body: str

    def _repr_html_(self) -> str:
        return self.body

    def __repr__(self) -> str:
        return f"Html({self.name})"


def escape(text: object) -> str:
    """Text as HTML."""
    return html.escape(str(text), quote=True)


def icon(kind: str) -> str:
    """The shape of a verdict or a check's status; hidden from screen readers, because the word follows."""
    shape = _SHAPES.get(kind) or _CHECK_SHAPES.get(kind, "")
    return f'<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{shape}</svg> '


def verdict_mark(verdict: str) -> str:
    """Shape and word of a verdict, marked for colour."""
    words = escape(VERDICT_WORDS.get(verdict, verdict))
    return f'<span class="verdict {escape(verdict)}">{icon(verdict)}{words}</span>'


def linked(text: str, href: str) -> str:
    """The text with every sentence that holds a figure linked to where the figure is worked out."""
    parts = _SENTENCE.split(text)
    return " ".join(
        f'<a class="worked" href="{escape(href)}">{escape(p)}</a>' if re.search(r"\d", p) else escape(p) for p in parts
    )


def paragraph(text: str, css: str = "") -> str:
    """A paragraph of plain text, or nothing."""
    kind = f' class="{css}"' if css else ""
    return f"<p{kind}>{escape(text)}</p>" if text else ""


def bullets(items: Iterable[str]) -> str:
    """A list of HTML items, or nothing."""
    listed = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{listed}</ul>" if listed else ""


def slug(words: str) -> str:
    """A heading as an anchor: 'Does it hold?' gives 'does-it-hold'."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
