"""A page printed as tagged PDF by Chromium, which runs no script of the page, reads no file and reaches no network."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

from evalkit.errors import EvalkitError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PRINT_TIMEOUT = 300
_BESIDE = re.compile(rb'<a href="[\w-]+\.(?:csv|ipynb)">(.*?)</a>')
_NODES = re.compile(rb"node\d{8}")
_DATES = re.compile(rb"/(CreationDate|ModDate) \(D:\d{14}([+\-Z][^)]*)?\)")
#: What the page may do while it is printed, whatever it says itself: show its own pictures and its own style.
_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_FLAGS = (
    "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-pdf-header-footer", "--export-tagged-pdf",
    "--generate-pdf-document-outline", "--disable-extensions", "--disable-background-networking", "--no-first-run",
    "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip


def to_pdf(page: bytes) -> bytes:
    """A page as tagged PDF (headings, table headers, alternative texts); the same page gives the same bytes.

    Raises `EvalkitError` where no Chromium is installed, or it fails.
    """
    page = _BESIDE.sub(rb"\1", page)  # a file beside the page is not beside a PDF, and no server stays
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise EvalkitError("PDF needs Chromium, which is not installed (Debian, Ubuntu: apt-get install chromium).")
    with tempfile.TemporaryDirectory(prefix="evalkit-") as profile, _served(page) as address:
        drawn = Path(profile) / "report.pdf"
        command = [browser, *_FLAGS, f"--user-data-dir={profile}", f"--print-to-pdf={drawn}", address]
        # Chromium's own sandbox, but where it cannot be: for root, and where the system has no namespaces for users.
        for own in [[], ["--no-sandbox"]][os.name == "posix" and os.geteuid() == 0 :]:
            try:
                # S603 is set aside: every word of the command is of this file, and no shell reads it
                subprocess.run([*command, *own], capture_output=True, timeout=_PRINT_TIMEOUT, check=False)  # noqa: S603
            except (OSError, subprocess.TimeoutExpired) as error:
                raise EvalkitError(f"Chromium could not print the page: {type(error).__name__}.") from None
            if drawn.is_file():
                break
        else:
            raise EvalkitError("Chromium could not print the page: it wrote nothing.")
        return renumbered(undated(drawn.read_bytes()))


@contextmanager
def _served(page: bytes) -> Iterator[str]:
    """The address, known to nobody else, at which the page is served to this machine alone.

    A page of a file could lead to other files (an iframe, a refresh); one that came over HTTP cannot, and brings a
    policy that it has no say in.
    """
    secret = f"/{secrets.token_urlsafe(16)}"

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == secret
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", _POLICY)
            self.end_headers()
            self.wfile.write(page if found else b"")

        def log_message(self, *words: object) -> None:
            """Says nothing on the terminal."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{secret}"
        finally:
            server.shutdown()


def undated(pdf: bytes) -> bytes:
    """The same PDF with its two dates set to one that never changes; the length stays, so that its index holds."""
    return _DATES.sub(lambda found: re.sub(rb"D:\d{14}", b"D:20000101000000", found[0]), pdf)


def renumbered(pdf: bytes) -> bytes:
    """The same PDF with the ids of its structure counted from one, in their own order and at their own length.

    Chromium counts on from wherever its process stands, so two prints of one page differ in these alone.
    """
    ids = sorted(set(_NODES.findall(pdf)))
    fresh = {old: b"node%08d" % (i + 1) for i, old in enumerate(ids)}
    return _NODES.sub(lambda found: fresh[found[0]], pdf)
