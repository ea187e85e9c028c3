"""What the user said about a study, before any row is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.errors import Problem
from evalkit.study.columns import Columns, suggest
from evalkit.study.component import Component
from evalkit.study.levels import Links


@dataclass(frozen=True, eq=False)
class Register:
    """Column names and components, as given."""

    unit: str
    period: str | None
    cluster: str | None
    components: tuple[Component, ...]
    covariates: tuple[str, ...]
    weights: str | None
    links: Mapping[str, Links]
    every: Any

    def level_of(self, component: Component) -> str:
        """Name of the level at which a component was decided."""
        return component.assigned_at or self.cluster or self.unit

    def home_of(self, component: Component) -> str:
        """The column that tells which group of that level (or which group linked to it) a unit is in."""
        level = self.level_of(component)
        return self.links[level].to if level in self.links else level

    def columns(self, columns: Columns) -> list[str]:
        """Every column that the first door reads: no outcome and no covariate."""
        return [name for name, _ in _columns_needed(self, columns) if name not in self.covariates]

    def exposure_of(self, component: Component, columns: Columns) -> str | None:
        """Column of a component's exposure: named, or the column of its own name."""
        if component.exposure is not None or component.by_spells or component.always_on:
            return component.exposure
        return component.name if columns.in_panel(component.name) else None


def check_register(register: Register, columns: Columns) -> list[Problem]:
    """Problems that can be seen without reading a row: names, columns, contradictions."""
    problems = _check_components(register, columns)
    for name, role in _columns_needed(register, columns):
        if not columns.has(name):
            problems.append(columns.absent(name, role))
    exposures = [(register.exposure_of(c, columns), f"exposure of component {c.name!r}") for c in register.components]
    for name, role in ((register.unit, "unit"), (register.period, "period"), *exposures):
        if name is not None and columns.in_people(name) and not columns.in_panel(name):
            problems.append(columns.absent(name, role))
    if register.every is not None and not _positive(register.every):
        problems.append(
            Problem(f"every={register.every!r}", "calendar", "Give the number of steps between periods, above 0.")
        )
    return problems


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _check_components(register: Register, columns: Columns) -> list[Problem]:
    if not register.components:
        return [
            Problem("There are no components", "components", "Name at least one, for example components=['nurse'].")
        ]
    problems = []
    names = [c.name for c in register.components]
    for name in sorted({n for n in names if names.count(n) > 1}):
        problems.append(
            Problem(f"Component {name!r} is there {names.count(name)} times", "components", "Give each its own name.")
        )
    for c in register.components:
        where = f"component {c.name!r}"
        if c.replaces is not None and c.replaces not in names:
            problems.append(
                Problem(
                    f"It replaces {c.replaces!r}, which is not a component",
                    where,
                    suggest(str(c.replaces), names, "The components are"),
                )
            )
        if c.replaces is not None and c.replaces == c.name:
            problems.append(Problem("It replaces itself", where, "Name the component that it takes over from."))
        if register.exposure_of(c, columns) is None and not c.by_spells and not c.always_on:
            problems.append(
                Problem("It has neither exposure nor adoption", where, "Name a 0/1 column or give dated spells.")
            )
    return problems


def _columns_needed(register: Register, columns: Columns) -> list[tuple[str, str]]:
    needed: list[tuple[str | None, str]] = [
        (register.unit, "unit"),
        (register.period, "period"),
        (register.cluster, "cluster"),
    ]
    needed += [(register.weights, "weights"), *((c, "covariates") for c in register.covariates)]
    for c in register.components:
        where = f"component {c.name!r}"
        needed.append((register.exposure_of(c, columns), f"exposure of {where}"))
        needed.append((c.reach, f"reach of {where}"))
        if c.assigned_at is not None:
            role = (
                f"assigned_at of {where}"
                if register.home_of(c) == c.assigned_at
                else f"level {c.assigned_at!r} leads to it"
            )
            needed.append((register.home_of(c), role))
    return list(dict.fromkeys((name, role) for name, role in needed if name is not None))
