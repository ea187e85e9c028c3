"""Cards under attack: random evaluations whose cards are searched for a unit's or cluster's value, and bad cards."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

import evalkit as ek
from benchmarks.pooling_worlds import World, draw_cards

_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_DIGITS = 5  # a number of the card that has so many digits, all of them a cell's, gives it away


def leaks(seed: int) -> tuple[list[str], int]:
    """What a card of a random evaluation says that only units or clusters know, and how long it is."""
    rng = np.random.default_rng((77, seed))
    study, frame = _random_study(rng)
    evaluation = ek.evaluate(study)
    made = ek.card(evaluation, study=f"fuzz-{seed}", made="2026-11-27")
    text = made.to_json()
    secret = {str(v) for column in ("site", "person") if column in frame for v in frame[column].unique()}
    found = [name for name in secret if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)]
    cells = frame.groupby("site")["y"].agg(["mean", "sum"]).to_numpy().ravel()
    secrets = np.concatenate([frame["y"], cells, evaluation.leave_one_out["estimate"].dropna()])
    found += [n for n in _NUMBER.findall(text) if _gives_away(n, secrets)]
    return [f"{seed}: {f}" for f in found], len(text.encode())


def _gives_away(said: str, secrets: np.ndarray) -> bool:
    """Whether a number of the card is somebody's, to every digit that it has; of few digits many are."""
    digits = len(said.partition("e")[0].replace("-", "").replace(".", "").lstrip("0"))
    return digits >= _DIGITS and any(float(f"{v:.{digits}g}") == float(said) for v in secrets)


def _random_study(rng: np.random.Generator) -> tuple[ek.Study, pd.DataFrame]:
    """A small study of places or people, with names and values that nothing else holds."""
    sites, periods, parts = int(rng.integers(8, 13)), int(rng.integers(5, 8)), int(rng.integers(1, 3))
    people = int(rng.choice([1, 1, 1, 12]))
    names = [f"S{rng.integers(10**7, 10**8)}" for _ in range(sites)]
    site = np.repeat(np.arange(sites), people * periods)
    time = np.tile(np.arange(periods), sites * people)
    frame = pd.DataFrame({"site": np.array(names)[site], "time": time})
    if people > 1:
        ids = np.array([f"P{rng.integers(10**8, 10**9)}" for _ in range(sites * people)])
        frame["person"] = np.repeat(ids, periods)
    y = rng.normal(size=sites)[site] + rng.normal(size=len(site))
    for part in range(parts):
        start = np.where(rng.random(sites) < 0.5, rng.integers(2, periods - 1, sites), 99)
        start[:3], start[3:6] = np.roll([99] * 3, part), rng.integers(2, 4)
        rng.shuffle(start)
        frame[f"part{part}"] = (time >= start[site]).astype(int)
        y = y + rng.normal() * frame[f"part{part}"].to_numpy()
    frame["y"] = y
    unit = "person" if people > 1 else "site"
    return ek.Study(
        frame, unit=unit, period="time", cluster="site", outcomes=[ek.Outcome("y", matters=0.5)],
        components=[f"part{p}" for p in range(parts)],
        settings={"disclosure": str(rng.choice(["acro", "none", "nhs"]))},
    ), frame  # fmt: skip


def bad_cards() -> dict[str, str]:
    """Name -> the text of a card that has to be refused."""
    return dict(_bad())


def _bad() -> Iterator[tuple[str, str]]:
    good = draw_cards(World(1), 4)[0].as_data()
    first = next(i for i, r in enumerate(good["rows"]) if "estimate" in r)
    name = next(iter(good["components"]))

    def changed(act: Callable[[dict[str, Any]], object]) -> str:
        data = copy.deepcopy(good)
        act(data)
        return json.dumps(data)

    yield "not-json", '{"schema": '
    yield "a-list", "[]"
    yield "another-schema", changed(lambda d: d.update(schema="other/card"))
    yield "version-2", changed(lambda d: d.update(version="2.0"))
    yield "no-version", changed(lambda d: d.pop("version"))
    yield "misspelt-key", changed(lambda d: d["outcome"].update(lable="x"))
    yield "component-without-row", changed(lambda d: d["components"].update(zz={"term": "ek:zz"}))
    yield "stranger-in-row", changed(lambda d: d["rows"][first].update(members={"zz": 1}))
    yield "row-twice", changed(lambda d: d["rows"].append(d["rows"][-1]))
    yield "covariance-too-small", changed(lambda d: d.update(covariance=d["covariance"][:-1]))
    yield "covariance-lopsided", changed(lambda d: d["covariance"][0].__setitem__(1, 0.5))
    yield "covariance-not-positive", changed(lambda d: _cross(d["covariance"]))
    yield "variance-nought", changed(lambda d: d["covariance"][0].__setitem__(0, 0.0))
    yield "no-reason", changed(lambda d: _refuse(d, first, {}))
    yield "shown-without-estimate", changed(lambda d: _refuse(d, first, {"verdict": "shown", "reason": "x"}))
    yield "not-tested-with-estimate", changed(lambda d: d["rows"][first].update(verdict="not_tested"))
    yield "unknown-verdict", changed(lambda d: d["rows"][first].update(verdict="proved"))
    yield "share-beyond-one", changed(lambda d: d["rows"][first].update(estimate=4.0))
    yield "two-clusters", changed(lambda d: d["rows"][first].update(clusters=[2, 9]))
    yield "no-df", changed(lambda d: d["rows"][first].pop("df"))
    yield "infinite", changed(lambda d: d["rows"][first].update(estimate=float("inf")))
    yield "words-for-a-number", changed(lambda d: d["rows"][first].update(estimate="large"))
    yield "reach-of-nought", changed(lambda d: d["rows"][first].update(reach=0))
    yield "months-backwards", changed(lambda d: d["rows"][first].update(months=[6, 0]))
    yield "dates-backwards", changed(lambda d: d["population"].update(dates=["2020-05", "2019-01"]))
    yield "whom-unknown", changed(lambda d: d["estimand"].update(whom="some"))
    yield "tidier-misspelt", changed(lambda d: d["components"][name].update(tidier={"wat": "x"}))
    yield "a-field-of-clusters", changed(lambda d: d["rows"][first].update(delete_one=[0.1, 0.2]))


def _cross(covariance: list[list[float]]) -> None:
    covariance[0][1] = covariance[1][0] = 2 * (covariance[0][0] * covariance[1][1]) ** 0.5


def _refuse(data: dict[str, Any], at: int, said: dict[str, str]) -> None:
    row = data["rows"][at]
    k = sum("estimate" in r for r in data["rows"][:at])
    row.pop("estimate")
    data["covariance"] = [
        [v for j, v in enumerate(line) if j != k] for i, line in enumerate(data["covariance"]) if i != k
    ]
    row.update(said)
