"""What a page of a report may hold: a page with anything else in it was written by somebody else, and is refused.

No word of the page is read. A script would not run all the same (each page carries a policy); this says so in words.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from evalkit.errors import EvalkitError

_TAGS = frozenset(
    "a body br caption circle code details div em figcaption figure g h1 h2 h3 h4 head html img li main meta nav ol p"
    " path picture pre rect section source span strong style summary svg table tbody td th thead title tr ul".split()
)
_ATTRIBUTES = frozenset(
    "alt aria-hidden aria-label aria-labelledby charset class content cx cy d data-label fill focusable height href"
    " http-equiv id lang media name r role scope src srcset stroke stroke-width tabindex viewbox width x y".split()
)
_LEADS = re.compile(r"#.*|data:image/svg\+xml;base64,[A-Za-z0-9+/=]*", re.DOTALL)
_BESIDE = re.compile(r"[\w-]+\.(csv|ipynb)")  # a table or the notebook in the report's own folder


class StrictPage(HTMLParser):
    """Reads a page; raises `EvalkitError` at the first thing that no report holds: a script, a frame, a handler of
    events, a link out of the page, anything that is loaded."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        strange = [] if tag in _TAGS else [f"<{tag}>"]
        for name, value in attrs:
            leads = name in ("href", "src", "srcset") and not _LEADS.fullmatch(value or "")
            leads = leads and not (tag == "a" and name == "href" and _BESIDE.fullmatch(value or ""))
            told = name == "http-equiv" and value != "Content-Security-Policy"
            strange += [f"<{tag} {name}={value!r}>"] if leads or told or name not in _ATTRIBUTES else []
        if strange:
            found = f"The page holds {strange[0][:80]}, which no report of evalkit does: somebody changed the report."
            raise EvalkitError(f"{found} Nothing is made from it. Write it again: evalkit run STUDY.")


def strict(page: str) -> bytes:
    """The page as bytes. Raises `EvalkitError` where it holds what no report of evalkit does."""
    reader = StrictPage()
    reader.feed(page)
    reader.close()
    return page.encode()
