"""Knobs: what may be turned in a partnership, one by one; what each does and which values it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from evalkit.errors import OptionError, check_choice, spelt

YES_NO, SHARE, TIMES, MORE = "yes or no", "0 to 1", "0 or more", "above 0, up to 10,000"
PERIODS, NUMBER = "whole number, 0 or more", "number"


def knob(default: Any, takes: str | tuple[str, ...], means: str) -> Any:
    """A field whose meaning and values are said once, here, and read by checks, command and README."""
    return field(default=default, metadata={"takes": takes, "means": means})


@dataclass(frozen=True)
class Knobs:
    """What may be turned, one by one (each is off by default). `knob_words()` says what each does."""

    gap: int | None = knob(
        None, PERIODS, "every component starts within this many periods of one date in each zone of the programme"
    )
    order: str = knob("random", ("random", "need"), '"need": the neediest places start first')
    crisis: str | None = knob(
        None, ("one", "both"), 'people are taken on at a crisis: in programme places alone ("one") or on both sides'
    )
    crisis_share: float = knob(
        1.0, SHARE, "share of the people taken on at the crisis; the others come from a list of all who are known"
    )
    spillover: float = knob(0.0, SHARE, "share of a neighbouring place's dose that leaks over, unregistered")
    date_error: int = knob(0, PERIODS, "registered start dates are wrong by up to this many periods")
    recording: float = knob(
        0.0, SHARE, "share of programme rows before the launch whose outcomes nobody wrote down: recording starts with "
        "payment",
    )  # fmt: skip
    gaming: float = knob(
        0.0, SHARE, "chance that a lost outcome is still reported for one period, in programme places after the launch"
    )
    movers: float = knob(
        0.0, SHARE, "share of the people who move to another place once, and have what is on there from then on"
    )
    attrition: float = knob(0.0, TIMES, "people leave: multiple of the partnership's own rates, 0 for nobody")
    late_entry: float = knob(0.0, TIMES, "people are known late and join late: multiple of the partnership's share")
    missing: float = knob(0.0, TIMES, "outcomes nobody wrote down: multiple of the partnership's share")
    need_shift: float = knob(0.0, NUMBER, "more need in programme places, in standard deviations")
    core: bool = knob(
        False, YES_NO, "programme places alone get the part that is always on, at the launch; else everybody always has"
        " it",
    )  # fmt: skip
    tidy: bool = knob(
        False, YES_NO, "no component waits for another; linked groups cross no border, and those of one place move "
        "together",
    )  # fmt: skip
    synergy: float = knob(1.0, TIMES, "multiple of the effects that need several components at once")
    above_cut: bool = knob(
        False, YES_NO, "a table of everybody in programme places from whom the lowest scores were chosen: compare "
        "at the cut-off",
    )  # fmt: skip
    size: float = knob(1.0, MORE, "multiple of the people")


def knob_words(of: type[Any] = Knobs) -> dict[str, str]:
    """Knob -> what it does, with the values that it takes; of: the class whose fields are the knobs."""
    return {f.name: f"{f.metadata['means']} ({_values(f.metadata['takes'])})" for f in fields(of)}


def check_knobs(given: Mapping[str, Any], of: type[Any] = Knobs) -> dict[str, Any]:
    """Values by knob, as the engine takes them. Raises `OptionError` for unknown knobs and values that none takes."""
    known = {f.name: f for f in fields(of)}
    for name in given:
        check_choice("knob", name, tuple(known))
    return {name: _checked(name, value, known[name].metadata["takes"], known[name].default)
            for name, value in given.items()}  # fmt: skip


def read_knobs(said: list[str], of: type[Any] = Knobs) -> dict[str, Any]:
    """Knobs from words such as "gap=2"; `OptionError` says what cannot be read."""
    known = {f.name: f for f in fields(of)}
    out: dict[str, Any] = {}
    for one in said:
        name, equals, value = (part.strip() for part in one.partition("="))
        if not equals:
            raise OptionError(f"--knob {spelt(one)} is not a choice. Write NAME=VALUE, such as gap=2.")
        check_choice("knob", name, tuple(known))
        out[name] = _read(value, known[name].metadata["takes"])
    return check_knobs(out, of)


def turned(knobs: Knobs, base: Knobs) -> dict[str, Any]:
    """The knobs that differ from those of a setting."""
    pairs = {f.name: (getattr(knobs, f.name), getattr(base, f.name)) for f in fields(Knobs)}
    return {name: now for name, (now, was) in pairs.items() if now != was}


def _values(takes: str | tuple[str, ...]) -> str:
    return takes if isinstance(takes, str) else " or ".join(takes)


def _read(text: str, takes: str | tuple[str, ...]) -> Any:
    """Words as a value; what is no number stays words, and is refused by the check."""
    if isinstance(takes, tuple):
        return None if text.lower() == "none" else text
    lower = text.lower()
    if lower in ("none", "yes", "true", "no", "false"):
        return {"none": None}.get(lower, lower in ("yes", "true"))
    try:
        return int(text) if takes == PERIODS else float(text)
    except ValueError:
        return text


def _checked(name: str, value: Any, takes: str | tuple[str, ...], default: Any) -> Any:
    if isinstance(takes, tuple):
        if value is None and default is None:
            return None
        check_choice(name, value, takes)
        return value
    if takes == YES_NO:
        fits = isinstance(value, bool)
    elif value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        fits = value is None and default is None
    else:
        fits = _fits(value, takes)
    if not fits:
        raise OptionError(f"{name}={spelt(value)} is not a choice. Use {_values(takes)}.")
    return value


def _fits(value: float, takes: str) -> bool:
    low, high = {SHARE: (0, 1), NUMBER: (-100, 100)}.get(takes, (0, 10_000))
    return low <= value <= high and (takes != MORE or value > 0) and (takes != PERIODS or value == int(value))
