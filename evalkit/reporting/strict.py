"""What a page of a report may hold: a page with anything else in it was written by somebody else, and is refused.

No word of the page is read. The one script of a page is ours to the letter, known by its hash, and hangs on nothing
that anybody wrote; another would not run all the same (each page carries a policy); this says so in words.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from importlib.resources import files

from evalkit.errors import EvalkitError

BLOCKS = "application/vnd.evalkit.blocks+json"
PAGE = files("evalkit.reporting") / "page"
SCRIPT = "\n" + (PAGE / "page.js").read_text(encoding="utf-8")
SCRIPT_HASH = "sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode("ascii")

_TAGS = frozenset(
    "a body br caption circle code details div em figcaption figure g h1 h2 h3 h4 head html img li main meta nav ol p"
    " path picture pre rect script section source span strong style summary svg table tbody td th thead title tr"
    " ul".split()
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

    def __init__(self) -> None:
        super().__init__()
        self._scripts = 0
        self._script: list[str] | None = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self._script.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._ours()

    def close(self) -> None:
        super().close()
        self._ours()

    def _ours(self) -> None:
        """Refuse a script that is not ours, to the letter, or a second one."""
        if self._script is None:
            return
        found, self._script = "".join(self._script), None
        self._scripts += 1
        if found != SCRIPT or self._scripts > 1:
            raise self._refused(f"<script>{found}")

    def _refused(self, what: str) -> EvalkitError:
        said = f"The page holds {what[:80]}, which no report of evalkit does: somebody changed the report."
        return EvalkitError(f"{said} Nothing is made from it. Write it again: evalkit run STUDY.")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self._script = []
        strange = [] if tag in _TAGS else [f"<{tag}>"]
        for name, value in attrs:
            leads = name in ("href", "src", "srcset") and not _LEADS.fullmatch(value or "")
            leads = leads and not (tag == "a" and name == "href" and _BESIDE.fullmatch(value or ""))
            told = name == "http-equiv" and value != "Content-Security-Policy"
            odd = leads or told or name not in _ATTRIBUTES or tag == "script"
            strange += [f"<{tag} {name}={value!r}>"] if odd else []
        if strange:
            raise self._refused(strange[0])


def strict(page: str) -> bytes:
    """The page as bytes. Raises `EvalkitError` where it holds what no report of evalkit does."""
    reader = StrictPage()
    reader.feed(page)
    reader.close()
    return page.encode()


def slug(heading: str) -> str:
    """A heading as an anchor: 'Does it hold?' gives 'does-it-hold'."""
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in heading.lower()).split())
