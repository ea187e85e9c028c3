"""What is left of an information matrix without parts of it, by the inverse of the whole.

Without a part n of few columns a, N has the inverse

    W + W_a H W_a',     H = (I - n W_aa)^-1 n,     W = N^- - N^-_l (N^-_ll)^-1 N^-_l',

l the columns that nothing but the part tells, and that go with it (Cook and Weisberg 1982, Residuals and Influence in
Regression, section 2.2): one solution in the columns a, where making N again takes an inverse of all. Parts of about
one size are worked out together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.designs.noise.stretches import alike, filled
from evalkit.designs.span import TOLERANCE, Span

SURE = 1e6
"""Size of H and W_aa, multiplied one by one, up to which a part tells nothing alone but whole columns: without bound
where it does, since the trace of H W_aa is that of (I - n W_aa)^-1, but for a number of columns."""
LARGE = 12
"""Times the cube of a part's columns that the cube of all must come to, so that there is something to gain."""


@dataclass(frozen=True, eq=False)
class Left(Span):
    """The span of N without a part. whole: (P, P) N^-. at: (c,) columns of the part. lost: (d,) which of them go with
    it. back: (d, d) (N^-_ll)^-1. H: (c, c)."""

    whole: np.ndarray
    at: np.ndarray
    lost: np.ndarray
    back: np.ndarray
    H: np.ndarray

    def solve(self, right: np.ndarray) -> np.ndarray:
        y = self._without_lost(self.whole @ right)
        return y + self._without_lost(self.whole[:, self.at] @ (self.H @ y[self.at]))

    def inverse(self) -> np.ndarray:
        return self.solve(np.eye(len(self.whole)))

    def _without_lost(self, y: np.ndarray) -> np.ndarray:
        gone = self.at[self.lost]
        if len(gone):
            y = y - self.whole[:, gone] @ (self.back @ y[gone])
            y[gone] = 0.0
        return y

    def across(self, of_all: np.ndarray, X: np.ndarray, part: np.ndarray) -> np.ndarray:
        """(m, m) B' (N - n)^- B of B (P, m) less a part (c, m) of it, by that of all, B' N^- B, and X = N^- B."""
        own, mine = self.whole[self.at[:, None], self.at], X[self.at]
        y, through = mine - own @ part, part.T @ mine
        made = of_all - through - through.T + part.T @ (own @ part)
        if len(self.lost):
            told = self.back @ y[self.lost]
            made -= y[self.lost].T @ told
            y -= own[:, self.lost] @ told
            y[self.lost] = 0.0
        return np.asarray(made + y.T @ (self.H @ y))


def without_each(
    whole: Span, N: np.ndarray, inverse: np.ndarray, parts: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[Left | None]:
    """What is left of N without each part (columns, and n), by its span and inverse; None where a part is large, or
    tells more alone than whole columns."""
    found: list[Left | None] = [None] * len(parts)
    small = [i for i, (at, _) in enumerate(parts) if LARGE * len(at) ** 3 <= len(N) ** 3]
    for some in alike([len(parts[i][0]) for i in small]):
        mine = [small[j] for j in some]
        try:
            made = _worked_out(np.diag(N), inverse, [parts[i] for i in mine])
        except np.linalg.LinAlgError:
            continue
        for i, part in zip(mine, made, strict=True):
            found[i] = None if part is None else _left(whole, inverse, parts[i][0], *part)
    return found


def _left(whole: Span, inverse: np.ndarray, at: np.ndarray, lost: np.ndarray, back: np.ndarray, H: np.ndarray) -> Left:
    null, none = whole.null, np.zeros((0, 0))
    if len(lost):
        null = np.hstack([null, np.zeros((len(null), len(lost)))])
        null[at[lost], np.arange(len(lost)) - len(lost)] = 1.0
    return Left(whole.rank - len(lost), null, np.nan, none, none, whole.scale, inverse, at, lost, back, H)


def _worked_out(
    size: np.ndarray, inverse: np.ndarray, parts: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray] | None]:
    """Columns lost (d,), (N^-_ll)^-1 (d, d) and H (c, c) of parts, None for one that tells more alone. size: (P,)
    diagonal of N."""
    n, count = filled([x for _, x in parts]), [len(at) for at, _ in parts]
    each, inside = np.arange(n.shape[1]), np.arange(n.shape[1]) < np.array(count)[:, None]
    at = filled([at for at, _ in parts]).astype(np.intp)
    W = inverse[at[:, :, None], at[:, None]] * (inside[:, :, None] & inside[:, None])
    alone = (W[:, each, each] > 0) & (size[at] - n[:, each, each] <= TOLERANCE * size[at])
    lost, back = [np.flatnonzero(x) for x in alone], [np.zeros((0, 0))] * len(parts)
    least = np.ones(len(parts))  # what taking the lost columns out leaves of the others, at least
    for i in np.flatnonzero(alone.any(axis=1)):
        own, gone, before = W[i], lost[i], W[i].diagonal().copy()
        back[i] = np.linalg.inv(own[gone[:, None], gone])
        own -= own[:, gone] @ (back[i] @ own[gone])
        own[gone], own[:, gone] = 0.0, 0.0
        kept = (before > 0) & ~alone[i]
        least[i] = max((own.diagonal()[kept] / before[kept]).min(initial=1.0), 0.0)
    H = np.linalg.solve(np.eye(len(each)) - n @ W, n)
    sure = np.abs(H * W).sum(axis=(1, 2)) < SURE * least  # what cancels there has fewer digits left
    made = zip(lost, back, H, count, sure, strict=True)
    return [(gone, b, h[:c, :c]) if yes else None for gone, b, h, c, yes in made]
