"""Reference figures of pooling, as rows to pool. Made by data/pooling/pooling_reference.R (metafor, clubSandwich)."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.pooling.model import Block, whiten

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "pooling" / "pooling-reference.json").read_text(encoding="utf-8")
)
Study = tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def columns_of(treatment: str, names: list[str]) -> np.ndarray:
    """Which columns a treatment such as "A + B" adds up; one named "A*B" is where both are."""
    parts = {p.strip() for p in treatment.split("+")}
    return np.array([float(set(n.split("*")) <= parts) for n in names])


def contrasts(pairs: list[dict[str, Any]], names: list[str]) -> list[Study]:
    """Basic contrasts of each study with their exact covariance; arms of a study share half of tau2."""
    by_study: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for pair in pairs:
        by_study[pair["study"]].append(pair)
    out = []
    for number, mine in enumerate(by_study.values()):
        arms = list(dict.fromkeys([*(p["t1"] for p in mine), *(p["t2"] for p in mine)]))
        value = {(p["t1"], p["t2"]): (p["y"], p["se"] ** 2) for p in mine}
        value |= {(b, a): (-y, v) for (a, b), (y, v) in value.items()}
        base, others = arms[0], arms[1:]
        y = np.array([value[a, base][0] for a in others])
        v = np.diag([value[a, base][1] for a in others]).astype(float)
        for i, a in enumerate(others):
            for j, b in enumerate(others[:i]):
                v[i, j] = v[j, i] = (v[i, i] + v[j, j] - value[a, b][1]) / 2
        x = np.array([columns_of(a, names) - columns_of(base, names) for a in others])
        out.append((number, y, v, x, np.full((len(y), len(y)), 0.5) + 0.5 * np.eye(len(y))))
    return out


def as_blocks(studies: list[Study]) -> list[Block]:
    """Studies of one size together."""
    by_size: dict[int, list[Study]] = defaultdict(list)
    for study in studies:
        by_size[len(study[1])].append(study)
    return [whiten(*(np.array(part) for part in zip(*group, strict=True))) for group in by_size.values()]


def cards_blocks() -> list[Block]:
    """Twelve studies that report several components each, with their covariance."""
    rows, vcov = REFERENCE["cards"]["rows"], np.array(REFERENCE["cards"]["V"])
    names = sorted({r["component"] for r in rows})
    studies = []
    for number in sorted({r["study"] for r in rows}):
        at = [i for i, r in enumerate(rows) if r["study"] == number]
        x = np.array([[float(rows[i]["component"] == n) for n in names] for i in at])
        studies.append((number - 1, np.array([rows[i]["y"] for i in at]), vcov[np.ix_(at, at)], x, x @ x.T))
    return as_blocks(studies)
