"""Least squares with few clusters: CR0, CR1, CR2 covariances and Satterthwaite degrees of freedom.

With b = M X'Wy, M = (X'WX)^-, H = X M X'W and e = y - Xb, the covariance of c'b is the sum over
clusters g of (u_g'e_g)^2, u_g = A_g W_g X_g M c. CR0: A_g = I. CR1: A_g = I, times G/(G-1). CR2: A_g is
the symmetric root that makes u_g'e_g unbiased when the working variances Phi are true,
A_g = D B^{+1/2} D with D = Phi_g^{1/2} and B = D (I-H)_g Phi (I-H)_g' D (Bell and McCaffrey 2002, Survey
Methodology 28; generalised inverse for absorbed effects: Pustejovsky and Tipton 2018, JBES 36).
Degrees of freedom: tr(P)^2 / tr(P^2), P_gh = u_g'(I-H)_g Phi (I-H)_h' u_h.

Under an identity working model B is the identity less a matrix of rank at most 2p, so that no block wider
than p is made; memory grows with rows times columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from evalkit.errors import OptionError, Problem, check_choice, first_rows, raise_problems
from evalkit.inference.intervals import check_level, critical, p_values, std_errors

KINDS = ("CR0", "CR1", "CR1p", "CR1S", "CR2")
_SINGULAR = 1e-10
_IN_SPAN = 1e-6


@dataclass(frozen=True, eq=False)
class Regression:
    """One weighted least squares whose rows hang together in clusters.

    X: (n, p) dense or sparse; columns may be collinear. y: (n,). cluster: (n,) any labels.
    weights: (n,) positive, or None.
    nested: (n,) labels of effects to be taken out of X and y first (units within clusters), or None.
        They must lie within clusters, and weights may not vary within one: then the result equals that
        with a column for each. Effects that cross clusters (periods) belong into X.
    variance: (n,) working variances Phi up to scale, None for equal ones. With it each cluster makes one
        square block of its own rows. A generalised linear model is its last weighted step on the scale of
        the outcome: X and working response times dmu/deta, weights 1/V(mu), variance V(mu).

    Raises `OptionError` listing every problem at once.
    """

    X: np.ndarray | sparse.csr_matrix
    y: np.ndarray
    cluster: np.ndarray
    weights: np.ndarray | None = None
    nested: np.ndarray | None = None
    variance: np.ndarray | None = None

    def __post_init__(self) -> None:
        X = sparse.csr_matrix(self.X) if sparse.issparse(self.X) else np.asarray(self.X, dtype=float)
        object.__setattr__(self, "X", X[:, None] if X.ndim == 1 else X)
        for name in ("y", "weights", "variance"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float).ravel())
        for name in ("cluster", "nested"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, pd.factorize(np.asarray(getattr(self, name)))[0])
        raise_problems(_problems(self), OptionError)

    @property
    def n_columns(self) -> int:
        return int(self.X.shape[1])

    @cached_property
    def n_clusters(self) -> int:
        return int(self.cluster.max(initial=-1)) + 1

    @cached_property
    def n_parameters(self) -> int:
        """Rank of X and the effects taken out."""
        absorbed = 0 if self.nested is None else int(self.nested.max(initial=-1)) + 1
        return self._bread[1].shape[1] + absorbed

    @cached_property
    def _rows(self) -> list[np.ndarray]:
        order = np.argsort(self.cluster, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.cluster, minlength=self.n_clusters))[:-1])

    def blocks(self) -> Iterator[Block]:
        """One cluster's rows at a time, effects taken out."""
        for rows in self._rows:
            Z = self.X[rows].toarray() if sparse.issparse(self.X) else self.X[rows]
            both = np.column_stack([Z, self.y[rows]])
            if self.nested is not None:
                both = _within(both, self.nested[rows])
            w = np.ones(len(rows)) if self.weights is None else self.weights[rows]
            phi = None if self.variance is None else self.variance[rows]
            yield Block(both[:, :-1], both[:, -1], w, phi)

    @cached_property
    def gram(self) -> np.ndarray:
        """(p, p) X'WX after effects are taken out."""
        return np.sum([b.Z.T @ (b.Z * b.w[:, None]) for b in self.blocks()], axis=0)

    @cached_property
    def _bread(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Generalised inverse M (p, p), basis of the row space (p, r), and of the null space (p, d)."""
        return _pinv(self.gram, self._size)

    @cached_property
    def _size(self) -> np.ndarray:
        """(p,) weighted squared length of each column before effects are taken out."""
        w = np.ones(self.X.shape[0]) if self.weights is None else self.weights
        squares = self.X.power(2) if isinstance(self.X, sparse.csr_matrix) else self.X**2
        return np.asarray(squares.T @ w).ravel()

    @property
    def bread(self) -> np.ndarray:
        """(p, p) generalised inverse of `gram`."""
        return self._bread[0]

    @cached_property
    def meat_of_model(self) -> np.ndarray:
        """(p, p) X'W Phi WX."""
        return np.sum([b.Z.T @ (b.Z * (b.w**2 * b.spread)[:, None]) for b in self.blocks()], axis=0)

    @cached_property
    def coefficients(self) -> np.ndarray:
        """(p,) one solution of the normal equations; combinations that are not identified are arbitrary."""
        return self.bread @ np.sum([b.Z.T @ (b.w * b.y) for b in self.blocks()], axis=0)

    def identified(self, contrasts: np.ndarray) -> np.ndarray:
        """(q,) whether each row of (q, p) lies in the row space."""
        null = self._bread[2]
        if not null.shape[1]:
            return np.ones(len(contrasts), dtype=bool)
        size = np.maximum(np.abs(contrasts).max(axis=1), 1e-300)
        return np.abs(contrasts @ null).max(axis=1) / size <= _IN_SPAN


@dataclass(frozen=True, eq=False)
class Block:
    """One cluster's rows: Z (m, p) and y (m,) with effects taken out, weights w, working variances or None."""

    Z: np.ndarray
    y: np.ndarray
    w: np.ndarray
    phi: np.ndarray | None

    @property
    def spread(self) -> np.ndarray:
        return np.ones(len(self.w)) if self.phi is None else self.phi


@dataclass(frozen=True, eq=False)
class ClusterCovariance:
    """Contrasts of a regression: estimate (q,), vcov (q, q), Satterthwaite df (q,). NaN where not identified."""

    kind: str
    estimate: np.ndarray
    vcov: np.ndarray
    df: np.ndarray
    clusters: int

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """estimate, std_error, conf_low, conf_high, p_value, df by t(df)."""
        check_level(level)
        se = std_errors(self.vcov)
        reach = critical(self.df, level) * se
        return pd.DataFrame({
            "estimate": self.estimate, "std_error": se, "conf_low": self.estimate - reach,
            "conf_high": self.estimate + reach, "p_value": p_values(self.estimate, se, self.df), "df": self.df,
        })  # fmt: skip


def cluster_covariance(
    regression: Regression, kind: str = "CR2", contrasts: np.ndarray | None = None
) -> ClusterCovariance:
    """Covariance and Satterthwaite degrees of freedom of each coefficient, or of the rows of `contrasts` (q, p).

    kind: "CR0"; "CR1" with G/(G-1); "CR1p" with G/(G-p); "CR1S" with G(n-1)/((G-1)(n-p)); "CR2". p counts the
    effects taken out too. Raises `OptionError` for another kind, contrasts of another width, or one cluster.
    """
    check_choice("kind", kind, KINDS)
    r = regression
    C = np.eye(r.n_columns) if contrasts is None else np.atleast_2d(np.asarray(contrasts, dtype=float))
    if C.shape[1] != r.n_columns:
        raise OptionError(
            f"contrasts have {C.shape[1]} columns and the regression {r.n_columns}. Give one weight each."
        )
    if r.n_clusters < 2:
        raise OptionError("A clustered covariance needs two clusters at least; there is one.")
    scores, sums = [], []
    for block in r.blocks():
        u = _directions(r, block, C, kind)
        scores.append(u.T @ (block.y - block.Z @ r.coefficients))
        phi_u = block.spread[:, None] * u
        sums.append((block.Z.T @ u, block.Z.T @ (block.w[:, None] * phi_u), (u * phi_u).sum(axis=0)))
    S = np.array(scores)
    vcov = _factor(r, kind) * S.T @ S
    df = _satterthwaite(r, *(np.array(x) for x in zip(*sums, strict=True)))
    lost = ~r.identified(C)
    vcov[lost, :] = vcov[:, lost] = np.nan
    value = np.where(lost, np.nan, C @ r.coefficients)
    return ClusterCovariance(kind, value, vcov, np.where(lost, np.nan, df), r.n_clusters)


def _directions(r: Regression, block: Block, C: np.ndarray, kind: str) -> np.ndarray:
    """(m, q) u_g of each contrast."""
    plain = block.w[:, None] * (block.Z @ (r.bread @ C.T))
    if kind != "CR2":
        return plain
    return _adjust_equal(r, block, plain) if block.phi is None else _adjust_by(r, block, plain)


def _adjust_equal(r: Regression, block: Block, plain: np.ndarray) -> np.ndarray:
    """A_g u under equal working variances: B = N - L K L', L = [Z, WZ], so only L's span is touched."""
    M, Z = r.bread, block.Z
    if r.weights is None:
        L, K = Z, M
    else:
        L = np.hstack([Z, block.w[:, None] * Z])
        K = np.block([[-M @ r.meat_of_model @ M, M], [M, np.zeros_like(M)]])
    # Columns of one length each, so that the span does not hang on their units.
    length = np.linalg.norm(L, axis=0)
    scale = np.where(length > 0, length, 1.0)
    basis, values, rotate = np.linalg.svd(L / scale, full_matrices=False)
    keep = values > 1e-12 * max(values.max(initial=0.0), 1e-300)
    basis, R = basis[:, keep], (values[keep, None] * rotate[keep]) * scale
    return basis @ (_root(np.eye(len(R)) - R @ K @ R.T) @ (basis.T @ plain))


def _adjust_by(r: Regression, block: Block, plain: np.ndarray) -> np.ndarray:
    """A_g u under given working variances, by the cluster's own square block."""
    M, Z, phi = r.bread, block.Z, block.spread
    cross = Z @ M @ (Z * (block.w * phi)[:, None]).T
    inner = np.diag(phi) - cross - cross.T + Z @ (M @ r.meat_of_model @ M) @ Z.T
    D = np.sqrt(phi)
    return D[:, None] * (_root(D[:, None] * inner * D) @ (D[:, None] * plain))


def _root(B: np.ndarray) -> np.ndarray:
    """Symmetric square root of the generalised inverse."""
    values, vectors = np.linalg.eigh((B + B.T) / 2)
    keep = values > _SINGULAR * max(values.max(initial=0.0), 1e-300)
    return (vectors[:, keep] / np.sqrt(values[keep])) @ vectors[:, keep].T


def _satterthwaite(r: Regression, s: np.ndarray, t: np.ndarray, d: np.ndarray) -> np.ndarray:
    """(q,) tr(P)^2 / tr(P^2). s, t: (G, p, q) X'u and X'W Phi u of each cluster. d: (G, q) u'Phi u."""
    M = r.bread
    C = np.block([[M @ r.meat_of_model @ M, -M], [-M, np.zeros_like(M)]])
    df = np.full(d.shape[1], np.nan)
    for j in range(d.shape[1]):
        F = np.hstack([s[:, :, j], t[:, :, j]])
        FC = F @ C
        low = (FC * F).sum(axis=1)
        square = C @ (F.T @ F)
        trace = d[:, j].sum() + low.sum()
        below = (d[:, j] ** 2).sum() + 2 * (d[:, j] * low).sum() + np.trace(square @ square)
        if below > 1e-300:
            df[j] = trace**2 / below
    return df


def _factor(r: Regression, kind: str) -> float:
    n, G, p = len(r.y), r.n_clusters, r.n_parameters
    if kind == "CR1":
        return G / (G - 1)
    if kind == "CR1p":
        return G / (G - p) if p < G else float("nan")
    if kind == "CR1S":
        return G * (n - 1) / ((G - 1) * (n - p)) if n > p else float("nan")
    return 1.0


def _pinv(gram: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scale = 1 / np.sqrt(np.where(size > 0, size, 1.0))
    values, vectors = np.linalg.eigh(gram * scale[:, None] * scale)
    keep = values > _SINGULAR * max(values.max(initial=0.0), 1e-300)
    kept = vectors[:, keep]
    inverse = (kept / values[keep]) @ kept.T
    return inverse * scale[:, None] * scale, kept, scale[:, None] * vectors[:, ~keep]


def _within(matrix: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Each column less its mean in each group."""
    _, local = np.unique(codes, return_inverse=True)
    collect = sparse.csr_matrix((np.ones(len(local)), (local, np.arange(len(local)))))
    means = (collect @ matrix) / np.bincount(local)[:, None]
    return matrix - means[local]


def _problems(r: Regression) -> list[Problem]:
    n, found = r.X.shape[0], []
    for name in ("y", "cluster", "weights", "nested", "variance"):
        given = getattr(r, name)
        if given is not None and len(given) != n:
            found.append(Problem(f"{name} has {len(given)} entries and X has {n} rows", name, "Give one entry a row."))
    if found:
        return found
    if n == 0:
        return [Problem("The regression has no rows", "X", "Give at least one row in each of two clusters.")]
    entries = r.X.data if sparse.issparse(r.X) else r.X
    bad = ~np.isfinite(r.y)
    if bad.any() or not np.isfinite(entries).all():
        where = first_rows(np.flatnonzero(bad)) if bad.any() else "X"
        found.append(Problem("X or y holds missing or infinite values", where, "Leave those rows out."))
    for name in ("weights", "variance"):
        given = getattr(r, name)
        if given is not None and not (np.isfinite(given) & (given > 0)).all():
            rows = first_rows(np.flatnonzero(~(np.isfinite(given) & (given > 0))))
            found.append(Problem(f"{name} must be positive", rows, "Leave rows of weight zero out."))
    if r.nested is not None:
        found += _nested_problems(r)
    return found


def _nested_problems(r: Regression) -> list[Problem]:
    frame = pd.DataFrame({"nested": r.nested, "cluster": r.cluster, "w": 1.0 if r.weights is None else r.weights})
    counts = frame.groupby("nested").nunique()
    found = []
    if (counts["cluster"] > 1).any():
        found.append(Problem("nested effects reach over several clusters", "nested", "Give them as columns of X."))
    if (counts["w"] > 1).any():
        found.append(Problem("weights vary within a nested effect", "weights", "Give these effects as columns of X."))
    if r.variance is not None:
        found.append(Problem("variance is given with nested effects", "variance", "Give the effects as columns of X."))
    return found
