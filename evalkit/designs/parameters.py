"""Choices of a design by name, as scikit-learn asks for them: `sklearn.base.clone` and searches over options work."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Self, cast

from evalkit.errors import OptionError, spelt, suggest


class Parameters:
    """`get_params` and `set_params` for designs, which are frozen dataclasses."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The choices by name. deep: those of scikit-learn estimators among them too, as name__choice."""
        found = {f.name: getattr(self, f.name) for f in fields(cast(Any, self)) if f.init}
        for name, value in list(found.items()) if deep else ():
            if hasattr(value, "get_params") and not isinstance(value, type):
                found |= {f"{name}__{key}": held for key, held in value.get_params().items()}
        return found

    def set_params(self, **changes: object) -> Self:
        """A design with some choices changed; this one stays as it is, since designs are never changed.

        Raises `OptionError` for a choice that the design does not have.
        """
        own, inner = dict[str, object](), dict[str, dict[str, object]]()
        known = self.get_params(deep=False)
        for name, value in changes.items():
            first, _, rest = name.partition("__")
            if first not in known:
                raise OptionError(
                    f"{type(self).__name__} has no choice {spelt(first)}. {suggest(first, known, 'It has')}"
                )
            if rest:
                inner.setdefault(first, {})[rest] = value
            else:
                own[first] = value
        for name, held in inner.items():
            from sklearn.base import clone  # a second to import, and needed only here

            own[name] = clone(own.get(name, known[name])).set_params(**held)
        return cast(Self, replace(cast(Any, self), **own))
