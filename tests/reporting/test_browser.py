"""Pages in a real browser: axe-core finds nothing, nothing scrolls sideways on a phone, the keyboard reaches all.

Skipped, loudly, where Chromium is not installed; `.ci/run` installs it.
"""

from __future__ import annotations

import base64
import json
import re
import runpy
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docs import browser as chromium
from docs.browser import axe_script, violations
from tests.reporting.conftest import PARTNERSHIPS, Built

ROOT = Path(__file__).resolve().parents[2]
# Each width and each scheme of colours once; the other two pairs are looked at by `make test-slow`.
VIEWS = [(1280, False), (375, True)] + [pytest.param(*v, marks=pytest.mark.slow) for v in ((1280, True), (375, False))]
PAGES = ("report", "site", *PARTNERSHIPS)
TAB = "\ue004"


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Browser]:
    lacking = chromium.missing() or ("" if axe_script() else "axe-core")
    if lacking:
        message = f"NOBODY LOOKED AT THE PAGES: {lacking} is not installed (apt-get install chromium chromium-driver)."
        warnings.warn(message, UserWarning, stacklevel=1)
        pytest.skip(message)
    with chromium.open_browser() as opened:
        opened.driver.set_script_timeout(120)
        yield opened


@pytest.fixture(scope="module")
def site(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    runpy.run_path(str(ROOT / "docs" / "build_site.py"))["build"](built.first.parent, folder)
    return folder / "index.html"


@pytest.fixture(scope="module")
def page_of(built: Built, site: Path, partnership_report: Callable[[str], Path]) -> Callable[[str], Path]:
    own = {"report": built.first / "report.html", "site": site}
    return lambda name: own[name] if name in own else partnership_report(name) / "report.html"


@pytest.mark.parametrize(("width", "dark"), VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(
    browser: chromium.Browser, page_of: Callable[[str], Path], name: str, width: int, dark: bool
) -> None:
    browser.size(width, dark)
    browser.open(page_of(name))
    assert violations(browser) == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_scrolls_sideways_on_a_phone(
    browser: chromium.Browser, page_of: Callable[[str], Path], name: str
) -> None:
    browser.size(375)
    browser.open(page_of(name))
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.run("return document.documentElement.scrollWidth") <= 375
    ends = browser.run("return [...document.querySelectorAll('caption')].map(c => c.getBoundingClientRect().right)")
    assert max(ends, default=0) <= 375, "captions of wide tables end with the screen, and not with their table"


def test_names_of_components_are_not_squeezed_on_a_phone(
    browser: chromium.Browser, page_of: Callable[[str], Path]
) -> None:
    browser.size(375)
    browser.open(page_of("report"))
    widths = browser.run(
        "return [...document.querySelectorAll('tr[id^=findings] th')].map(e => e.getBoundingClientRect().width)"
    )
    assert len(widths) == 3 and min(widths) > 250


@pytest.mark.parametrize("name", ["report", *PARTNERSHIPS])
def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(
    browser: chromium.Browser, page_of: Callable[[str], Path], name: str
) -> None:
    browser.size(1280)
    browser.open(page_of(name))
    browser.run(
        "window.stops = [...document.querySelectorAll("
        "'a[href], summary, button, input, select, [tabindex=\"0\"]')]"
        ".filter(e => !(e.tagName === 'SUMMARY' ? e.parentElement.parentElement : e).closest('details:not([open])'))"
    )
    count = browser.run("return window.stops.length")
    assert count > 20
    body = browser.driver.switch_to.active_element
    reached = []
    for _ in range(count):
        body.send_keys(TAB)
        body = browser.driver.switch_to.active_element
        where, outline = browser.run(
            "const e = document.activeElement;"
            "return [window.stops.indexOf(e), parseFloat(getComputedStyle(e).outlineWidth)]"
        )
        assert outline >= 1
        reached.append(where)
    assert reached == list(range(count))


@pytest.mark.parametrize("name", ["report", *PARTNERSHIPS])
def test_page_one_prints_on_two_sheets(browser: chromium.Browser, page_of: Callable[[str], Path], name: str) -> None:
    browser.size(1280)
    browser.open(page_of(name))
    assert _settled(lambda: max(_sheets_of_page_one(browser)) <= 2, True) is True


def _sheets_of_page_one(browser: chromium.Browser) -> list[int]:
    """How many sheets page one prints on; all else is taken out each time, as a busy machine may still be adding it."""
    browser.run("document.querySelectorAll('main > :not(.page-one), main ~ *').forEach(e => e.remove())")
    sheet = {"preferCSSPageSize": True, "printBackground": False}
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", sheet)["data"]
    return [int(n) for n in re.findall(rb"/Count (\d+)", base64.b64decode(printed))]


def _settled(look: Callable[[], object], wanted: object, seconds: float = 10) -> object:
    """What is seen once it is as wanted, or at last: a busy machine lays a page out late."""
    last = time.monotonic() + seconds
    while (seen := look()) != wanted and time.monotonic() < last:
        time.sleep(0.2)
    return seen


def test_the_search_for_violations_sees_one(browser: chromium.Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<html><body><img src='x'><p style='color:#ccc'>pale</p></body></html>", encoding="utf-8")
    browser.size(1280)
    browser.open(page)
    found = json.dumps(violations(browser))
    assert "image-alt" in found and "color-contrast" in found and "html-has-lang" in found
