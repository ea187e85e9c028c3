"""Several questions at once: p values adjusted over a family that was fixed beforehand."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.errors import OptionError


def holm(p: ArrayLike, family: ArrayLike | None = None) -> NDArray[np.float64]:
    """Adjust p values by Holm's step-down rule (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

    `p` (k,): p values, NaN where there is none. `family` (k,) of booleans: members of the family, fixed before
    outcomes were read; a member whose p value is NaN still counts towards its size. By default the family is
    the p values that are not NaN. Returns (k,): adjusted values in [0, 1], NaN for NaN and for non-members.
    Raises OptionError for values outside [0, 1] or a family of another length.
    """
    values = np.atleast_1d(np.asarray(p, dtype=float))
    seen = ~np.isnan(values)
    if np.any((values[seen] < 0) | (values[seen] > 1)):
        raise OptionError("p has values outside 0 to 1. Pass p values, with NaN where there is none.")
    member = seen if family is None else np.atleast_1d(np.asarray(family, dtype=bool))
    if member.shape != values.shape:
        raise OptionError(f"family has {member.size} entries and p has {values.size}. Pass one boolean a p value.")
    adjusted = np.full(values.shape, np.nan)
    chosen = np.flatnonzero(seen & member)
    order = chosen[np.argsort(values[chosen], kind="stable")]
    factors = member.sum() - np.arange(order.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted
