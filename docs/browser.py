"""A headless Chromium for pictures of pages, for tests that read them, and for axe-core; by selenium, chromedriver."""

from __future__ import annotations

import base64
import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
_HEIGHT = 900
ROOT = Path(__file__).resolve().parents[1]


def missing() -> str:
    """What is not installed, in words; '' when a browser can be started."""
    if not (shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")):
        return "Chromium"
    return "" if shutil.which("chromedriver") else "chromedriver"


class Browser:
    """A page in a window of a given width, light or dark."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def size(self, width: int, dark: bool = False) -> None:
        """Set the window's width in CSS pixels and the reader's preference for dark pages."""
        measures = {"width": width, "height": _HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", measures)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})

    def open(self, page: Path) -> None:
        """Open a page from a file."""
        self.driver.get(page.resolve().as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def picture(self, element: str = "body", until: str = "", scale: float = 1.0) -> bytes:
        """PNG of an element (a CSS selector), down to the end of `until` where that is given."""
        box = self.run(
            "const e=document.querySelector(arguments[0]).getBoundingClientRect();"
            "const u=arguments[1]?document.querySelector(arguments[1]).getBoundingClientRect():e;"
            "return {x:0,y:Math.max(e.top+scrollY-16,0),width:innerWidth,height:u.bottom-e.top+32}",
            element,
            until,
        )
        options = {"captureBeyondViewport": True, "clip": {**box, "scale": scale}}
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"])


@contextmanager
def open_browser(width: int = 1280, dark: bool = False) -> Iterator[Browser]:
    """A browser that is closed afterwards; raises `SystemExit` in words where none is installed."""
    if lacking := missing():
        raise SystemExit(f"{lacking} is not installed (Debian, Ubuntu: apt-get install chromium chromium-driver).")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    options.binary_location = next(path for path in found if path)
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    try:
        browser = Browser(driver)
        browser.size(width, dark)
        yield browser
    finally:
        driver.quit()


def axe_script() -> Path | None:
    """axe-core from npm where `make test` could fetch it, else the copy of the test extra."""
    fetched = ROOT / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
    if fetched.is_file():
        return fetched
    found = importlib.util.find_spec("axe_core_python")
    bundled = Path(str(found.origin)).parent / "axe.min.js" if found and found.origin else None
    return bundled if bundled is not None and bundled.is_file() else None


def violations(browser: Browser) -> list[str]:
    """What axe-core finds on the page that is open, with everything unfolded."""
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    source = axe_script()
    assert source is not None
    browser.run(source.read_text(encoding="utf-8"))
    found: dict[str, Any] = browser.driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']}).then(r => done({found: r.violations.map("
        "v => v.id + ' x' + v.nodes.length + ': ' + v.nodes[0].html.slice(0, 160)), passed: r.passes.length}))"
        ".catch(e => done({found: [String(e)], passed: 0}))"
    )
    assert found["found"] or found["passed"] > 10
    return [str(v) for v in found["found"]]
