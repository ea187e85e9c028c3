"""Words that try to be more than words: markup, scripts, mathematics, formulas, paths, control characters; and a study
that holds them wherever users have words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

import evalkit as ek
from evalkit.study.component import CARD

CANARY = "PWN" + "ED"  # what a script or a formula of the corpus would write, never written whole in it

CORPUS = (
    # HTML and scripts
    "<script>document.title='PWN'+'ED'</script>", "<img src=x onerror=\"document.title='PWN'+'ED'\">",
    "<svg onload=document.title='PWN'+'ED'>", "</td></tr></table><script>document.title='PWN'+'ED'</script>",
    "\"><script>document.title='PWN'+'ED'</script>", "' onmouseover='document.title=1' x='",
    "</title><script>document.title='PWN'+'ED'</script>", "</style><script>document.title='PWN'+'ED'</script>",
    "<iframe src=file:///etc/hostname></iframe>", "<object data=file:///etc/hostname></object>",
    "<meta http-equiv=refresh content=0;url=file:///etc/hostname>", "<base href=https://example.org/>",
    "<link rel=stylesheet href=https://example.org/x.css>", "<!-- not closed", "--><b>bold", "]]><b>",
    "&lt;script&gt;", "&amp;amp;", "&#60;b&#62;", "javascript:document.title=1", "data:text/html,<b>x",
    "{{ 7 * 7 }}", "{% for x in y %}", "${7*7}", "#{7*7}", "{label}", "{0.__class__}", "%s %d %(x)s", "%n%n",
    # terminal and its markup
    "Helpline [/pilot]", "[phase 2]", "[bold red]loud[/]", "[link=https://example.org]here[/link]", ":bug: :warning:",
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "over\rwritten", "bell\x07", "back\x08space", "\x7f",
    # mathematics
    "$\\frac$", "($5 or $6 a day)", "$x^2$", "$$\\int$$", "\\(x\\)", "\\[x\\]", "\\begin{align}x", "_a_ ^b^ \\alpha",
    # formulas
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=HYPERLINK(\"https://example.org\",\"x\")", "\t=1+1", "=cmd|'/c calc'!A0",
    # paths and names of files
    "a/b", "../../outside", "/etc/passwd", "..", "C:\\x\\y", "CON", "a" * 400, "name\u2028line", ".hidden",
    # writing
    "\u202eright to left", "\u2066hidden\u2069", "e\u0301 \u00e9", "\U0001f6a8 \u65e5\u672c\u8a9e", "zero\u200bwidth",
    "\u0645\u0631\u062d\u0628\u0627", "\ufeffmark", "a, b; c\td",
    "\"quoted\" 'twice'", "two\nlines", "NA", "nan", "007",
)  # fmt: skip

#: Characters that no file, page or terminal may get from a word.
STEERING = [chr(c) for c in (*range(9), 11, 12, *range(14, 32), *range(127, 160), 0x202A, 0x202E, 0x2066, 0x2069)]

PLACES, MONTHS = 12, 10
COLUMNS = ("place", "month", "region", "one", "two", "score", "cost", "age")
"""Columns of the panel, of which each may be called anything."""
SPOTS = (
    *(f"column {c}" for c in COLUMNS), "title", "question", "ids", "level", "linked", "events.label",
    *(f"{part} {k}" for k in ("one", "two", "three") for part in ("name", "label", "description")),
    *(f"card.{key}" for key in CARD), "label score", "label cost", "adoption.source", "adoption.change_note",
    "costs.grade", "costs.type", "rate_card.trigger", "rate_card.name", "unit_costs.agency",
    "unit_costs.grade", "unit_costs.source", *(f"report.{key}" for key in (
        "author", "date", "origin", "missing", "ethics", "data_protection", "deviations", "claim", "source"
    )),
)  # fmt: skip
"""Wherever a string of users can be."""
NOUN_SPOTS = tuple(f"noun {role}{many}" for role in ("unit", "place", "period") for many in ("", "s"))
"""What a study may call its rows, instead of what their columns are called."""


def nouns_in(words: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """(one, many) of units, places and periods, where words are given for them."""
    roles = [spot.removeprefix("noun ") for spot in NOUN_SPOTS[::2] if spot in words]
    return {role: (words[f"noun {role}"], words[f"noun {role}s"]) for role in roles}


def study_of(words: Mapping[str, str]) -> ek.Study:
    """Twelve places in ten months and three components, of which `words` says what stands where; by SPOTS."""
    said = {spot: words.get(spot, spot) for spot in SPOTS}
    ids = [f"{said['ids']}~{i}" for i in range(PLACES)]
    rng, month = np.random.default_rng(1), np.arange(MONTHS)
    first, second = np.array([[4, 5, 6, 4, 5, 6, *[99] * 6], [99, 6, 7, 99, 99, 99, 6, 7, 5, *[99] * 3]])
    on, also = (month >= start[:, None] for start in (first, second))
    panel = {
        "place": np.repeat(ids, MONTHS), "month": np.tile(month, PLACES),
        "region": np.repeat([f"{said['ids']}~r{i % 6}" for i in range(PLACES)], MONTHS), "one": on.ravel().astype(int),
        "two": also.ravel().astype(int), "score": (rng.normal(size=on.shape) + 2 * on).ravel(),
        "cost": rng.normal(size=on.size), "age": np.repeat(rng.normal(size=PLACES), MONTHS),
    }  # fmt: skip
    column = {c: said[f"column {c}"] for c in COLUMNS}
    name, level = {k: said[f"name {k}"] for k in ("one", "two", "three")}, said["level"]
    spells = {"level_id": f"{said['linked']}~1", "start": 6}
    spells |= {c: said[f"adoption.{c}"] for c in ("source", "change_note")}
    card = {key: said[f"card.{key}"] for key in CARD}
    more = {k: {"exposure": column[k], "assigned_at": column["place"]} for k in ("one", "two")}
    more["three"] = {"adoption": pd.DataFrame([spells]), "assigned_at": level, "card": card}
    links = {"from": [f"{said['linked']}~{i}" for i in range(6)], "to": [f"{said['ids']}~r{i}" for i in range(6)]}
    score, each = column["score"], {c: said[f"costs.{c}"] for c in ("grade", "type")}
    worth = {c: said[f"unit_costs.{c}"] for c in ("agency", "grade", "source")}
    money = {
        "costs": pd.DataFrame([{"component": name["one"], "amount": 900.0, **each}]),
        "rate_card": pd.DataFrame([{"outcome": score, "trigger": said["rate_card.trigger"], "tariff": 5.0,
                                    "name": said["rate_card.name"]}]),
        "unit_costs": pd.DataFrame([{"outcome": score, "value": 7.0, **worth}]),
        "claims": pd.DataFrame([{"outcome": score, "amount": 5.0, "unit": ids[0]}]),
    }  # fmt: skip
    words = ("author", "date", "origin", "missing", "ethics", "data_protection")
    about: dict[str, object] = {key: said[f"report.{key}"] for key in words}
    claim = {"component": name["one"], "strength": "weak", **{k: said[f"report.{k}"] for k in ("claim", "source")}}
    about |= {"deviations": [said["report.deviations"]], "evidence": [claim]}
    return ek.Study(
        pd.DataFrame({column[c]: panel[c] for c in COLUMNS}), unit=column["place"], period=column["month"],
        cluster=column["region"], covariates=[column["age"]], title=said["title"], question=said["question"],
        components=[ek.Component(name[k], said[f"label {k}"], description=said[f"description {k}"], **more[k])
                    for k in ("one", "two", "three")],
        outcomes=[ek.Outcome(score, said["label score"], kind="score", better="higher", matters=0.5),
                  ek.Outcome(column["cost"], said["label cost"], kind="money", better="lower", matters=0.5, harm=True)],
        levels={level: ek.Links(pd.DataFrame(links).assign(weight=1.0), to=column["region"])},
        events=[(said["events.label"], 3, None)], money=money, settings={"report": about}, noun=nouns_in(words),
    )  # fmt: skip


PERSON_SPOTS = (
    "title", "question", *(f"column {c}" for c in ("id", "block", "nurse", "age", "weeks", "settled")), "name nurse",
    "label nurse", "column wait", "label wait", "time_unit", "noun unit", "noun units",
)  # fmt: skip
"""Wherever a string can be in a study of people dealt by chance, whose outcome waits for an event."""
ANEW_SPOTS = (
    "title", "ids", *(f"column {c}" for c in ("person", "month", "place", "shop", "age", "score")), "name shop",
    "label shop", "label score",
    *NOUN_SPOTS,
)  # fmt: skip
"""The same in a study that asks other people each month."""


def of_persons(words: Mapping[str, str]) -> ek.Study:
    """Forty-eight people in blocks of four, half of each dealt a nurse, followed until something happens or is lost."""
    said = {spot: words.get(spot, spot) for spot in PERSON_SPOTS}
    rng, n = np.random.default_rng(4), 48
    nurse, life = np.tile([1, 0, 0, 1], n // 4), rng.exponential(8, n)
    weeks = np.ceil(np.minimum(life * (1 - 0.4 * nurse), 14))
    data = {"id": np.arange(n), "block": np.arange(n) // 4, "nurse": nurse, "age": rng.normal(size=n), "weeks": weeks,
            "settled": (weeks < 14).astype(int)}  # fmt: skip
    column = {c: said[f"column {c}"] for c in data}
    wait = ek.Outcome(said["column wait"], said["label wait"], kind="time_to_event", time=column["weeks"],
                      event=column["settled"], by=10, time_unit=said["time_unit"], matters=0.05)  # fmt: skip
    dealt = {"exposure": column["nurse"], "assigned": "randomised", "within": column["block"]}
    return ek.Study(
        pd.DataFrame({column[c]: v for c, v in data.items()}), unit=column["id"], period=None, outcomes=[wait],
        components=[ek.Component(said["name nurse"], said["label nurse"], **dealt)], covariates=[column["age"]],
        title=said["title"], question=said["question"], noun=nouns_in(said),
    )  # fmt: skip


def asked_anew(words: Mapping[str, str]) -> ek.Study:
    """Eight people in each of twelve places and seven months, never the same ones; half of the places get a shop."""
    said = {spot: words.get(spot, spot) for spot in ANEW_SPOTS}
    rng = np.random.default_rng(5)
    place, month = (x.ravel() for x in np.meshgrid(np.repeat(range(12), 8), range(7)))
    shop = (month >= np.array([3, 4, 5, 3, 4, 5, *[99] * 6])[place]).astype(int)
    data = {"person": np.arange(len(place)), "month": month, "place": [f"{said['ids']}~{i}" for i in place],
            "shop": shop, "age": rng.normal(size=len(place)), "score": rng.normal(size=len(place)) + shop}  # fmt: skip
    column = {c: said[f"column {c}"] for c in data}
    return ek.Study(
        pd.DataFrame({column[c]: v for c, v in data.items()}), unit=column["person"], period=column["month"],
        cluster=column["place"], title=said["title"], covariates=[column["age"]],
        components=[ek.Component(said["name shop"], said["label shop"], exposure=column["shop"])],
        outcomes=[ek.Outcome(column["score"], said["label score"], kind="score", matters=0.5)], noun=nouns_in(said),
    )  # fmt: skip
