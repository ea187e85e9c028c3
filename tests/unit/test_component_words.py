"""Sentences about exposures: each case as it should read, and no awkward one over rollouts of every kind."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.components.wording import Names, combination_words
from tests.laws.kinds import KINDS, known

NAMES = Names(("policy", "nurse", "court"), "borough", "month")
AWKWARD = (
    r"\bonly 0\b", r"\b0 sites", r"\b1 (sites|months|periods)\b", r"  ", r"\.\.", r"\bnan\b", "None", " ,", r"\( ",
)  # fmt: skip


def sentences(found: ek.Separability) -> list[str]:
    return [*found.components["reason"], *found.aliased, *found.bundles["words"], *found.cure["words"],
            *found.cure["unnamed"]]  # fmt: skip


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_no_sentence_is_awkward(kind: str, seed: int) -> None:
    for lags in ((), (1, 2, 0, 3)):
        for said in sentences(ek.separability(known(kind, seed, lags=lags).study)):
            assert said.strip() and not any(re.search(p, said) for p in AWKWARD), said


def frame(first: list[int], periods: int = 10) -> dict[str, object]:
    site, month = np.repeat(np.arange(len(first)), periods), np.tile(np.arange(periods), len(first))
    return {"site": site, "month": month, "a": (month >= np.array(first)[site]).astype(int)}


@pytest.mark.parametrize(
    ("first", "lag", "said"),
    [
        ([4, 99, 99, 99], 0, "only 1 site ever had it"),
        ([0, 0, 5, 99], 0, "only 1 site switched it on after a month without it"),
        ([0, 0, 99, 5, 5, 5], 0, "only 1 site within its reach stayed without it when it began elsewhere"),
        ([4, 4, 4, 99], 0, "only 1 site within its reach stayed without it when it began elsewhere"),
        ([4, 4, 5, 5], 2, "no site within its reach stayed without it for 2 months after it began elsewhere"),
        ([4, 5, 99, 99], 8, "nowhere was it followed long enough: its effect takes 8 months to show"),
        ([4, 4, 99, 99], 0, "2 sites switched it on while 2 sites like them had not, in its first 6 months"),
        ([4, 4, 5, 5], 0, "2 sites switched it on while 2 sites like them had not, in its first month"),
        ([3, 3, 3, 3], 0, "it began in the same month everywhere (month 3)"),
        ([0, 0, 99, 99], 0, "it never switched on or off: each site had it throughout or not at all"),
    ],
)
def test_reasons_as_they_should_read(first: list[int], lag: int, said: str) -> None:
    study = ek.Study(pd.DataFrame(frame(first)), unit="site", period="month", cluster="site",
                     components=[ek.Component("a", exposure="a", lag=lag)])  # fmt: skip
    assert ek.separability(study).components["reason"].iloc[0] == said


def test_nouns_are_those_of_the_level_that_decided() -> None:
    assert NAMES.at("court_area").count(3) == "3 court areas" and NAMES.at("court_area").few(0) == "no court area"
    assert (NAMES.few(1), NAMES.few(2), NAMES.when(3), NAMES.when("2020-03")) == (
        "only 1 borough", "only 2 boroughs", "month 3", "2020-03",
    )  # fmt: skip


def test_letters_that_make_no_word_are_called_by_what_they_stand_for() -> None:
    frame = pd.DataFrame({"id": [1, 1, 2, 2], "lk": [1, 1, 2, 2], "q": [1, 2, 1, 2], "t": [0, 1, 0, 0], "y": 1.0})
    study = ek.Study(frame, unit="id", period="q", outcome="y", components=["t"], cluster="lk")
    assert study.noun_for("q") == "period" and study.noun_for("lk") == "place"


def test_combinations_as_they_should_read() -> None:
    say = lambda m, w, kind: combination_words(m, w, kind, NAMES)  # noqa: E731
    assert say((0, 1), (1.0, 1.0), "together") == "only “policy” and “nurse” together can be judged"
    assert say((0, 1), (1.0, 1.0), "sum") == "the effects of “policy” and “nurse” added together can be judged"
    assert say((0, 1), (-1.0, 1.0), "swap") == "“nurse” instead of “policy” can be judged"
    assert say((0, 1, 2), (1.0, 2.0, 1.0), "sum").startswith("only a mixture of the effects")


def test_what_ties_four_components_is_said_in_a_clause() -> None:
    found = ek.separability(known("two_and_two", 1).study)
    assert found.aliased == ("“a” or “b” is on exactly when “c” or “d” is.",)
    three = ek.separability(known("sum_of_three", 1).study)
    assert three.aliased == ("“a” is on exactly when “b”, “c” or “d” is.",)
