"""Cards read from text: messages that name file and place, later minor versions, and what is withdrawn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalkit.errors import Problem, suggest
from evalkit.pooling.card import SCHEMA, VERSION, Card
from evalkit.pooling.parts import Withdrawal
from evalkit.show.words import sentence_case

WITHDRAWN = "evalkit/withdrawn-card"
_MINOR = int(VERSION.partition(".")[2])
_MINOR_VERSION = re.compile("[0-9]{1,9}")


class Refused(Exception):
    """A text that is no card; `problems` say why."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def text_of(file: Path) -> str:
    """What a file of a card holds; raises `Refused` where it cannot be opened."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        what = f"It cannot be opened ({error.strerror})"
        raise Refused([Problem(what, file.name, "Take it out of the folder, or mend it.")]) from None


def read_card(text: str, name: str) -> tuple[Card | Withdrawal, tuple[str, ...]]:
    """The card or withdrawal that a text holds, and the fields that a later minor version has and we do not know.

    name: of the file, for messages. Raises `Refused` with everything that is wrong.
    """
    try:
        said = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Refused([Problem(f"It is not JSON ({error})", name, "Write it again with evalkit card.")]) from None
    if not isinstance(said, dict) or said.get("schema") not in (SCHEMA, WITHDRAWN):
        found = said.get("schema") if isinstance(said, dict) else type(said).__name__
        advice = f'A card says "schema": "{SCHEMA}".'
        raise Refused([Problem(f"It is no evidence card (schema {found!r})", name, advice)])
    major, _, minor = str(said.get("version")).partition(".")
    if major != VERSION.partition(".")[0] or not _MINOR_VERSION.fullmatch(minor):
        advice = f"This evalkit reads versions {VERSION.partition('.')[0]}.x: make the card again, or update evalkit."
        raise Refused([Problem(f"It has version {said.get('version')!r}", name, advice)])
    model = Card if said["schema"] == SCHEMA else Withdrawal
    later, apart = {**said}, []
    if int(minor) > _MINOR or model is Withdrawal:
        later["version"] = model.model_fields["version"].default
    if int(minor) > _MINOR:
        apart = _take_unknown(model, later)
    try:
        return model.model_validate(later), tuple(apart)
    except ValidationError as error:
        raise Refused(problems_of(error, name)) from None


def _take_unknown(model: type[Card] | type[Withdrawal], said: dict[str, Any]) -> list[str]:
    """Take out of a later card the fields that this version does not know; their places, in words."""
    try:
        model.model_validate(said)
    except ValidationError as error:
        unknown = [e["loc"] for e in error.errors() if e["type"] == "extra_forbidden"]
    else:
        return []
    for place in unknown:
        inner: Any = said
        for step in place[:-1]:
            inner = inner[step]
        inner.pop(place[-1])
    return [_place(p) for p in unknown]


def problems_of(error: ValidationError, name: str) -> list[Problem]:
    """Everything that pydantic found, in words."""
    return list(_in_words(error, name))


def _in_words(error: ValidationError, name: str) -> Iterator[Problem]:
    for e in error.errors():
        place, kind = _place(e["loc"]), e["type"]
        if kind == "extra_forbidden":
            known = _siblings(e["loc"])
            yield Problem(f"There is no field {place!r}", name, suggest(str(e["loc"][-1]), known, "The fields are"))
        elif kind == "missing":
            yield Problem(f"The field {place!r} is missing", name, "Write it.")
        elif kind == "value_error":
            yield from (Problem(sentence_case(words), name) for words in str(e["ctx"]["error"]).split("\n"))
        else:
            yield Problem(f"{place} is {_short(e['input'])}", name, f"{e['msg']}.")


def _siblings(place: tuple[int | str, ...]) -> list[str]:
    """Names of the fields beside one, by the published schema."""
    fields = Card.model_fields
    for step in place[:-1]:
        if isinstance(step, str) and step in fields:
            annotation: Any = fields[step].annotation
            inner = [a for a in (annotation, *getattr(annotation, "__args__", ())) if hasattr(a, "model_fields")]
            fields = inner[0].model_fields if inner else fields
    return [f.alias or name for name, f in fields.items()]


def _place(steps: tuple[int | str, ...]) -> str:
    return ".".join(map(str, steps))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {twice!r} is there twice")
    return found
