"""Sites, the groups that they belong to, and the links of levels that cross them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.synthetic.draws import Draws
from evalkit.synthetic.knobs import Knobs
from evalkit.synthetic.spec import Places

# Invented names; any likeness to a real place is chance.
NAMES = """Northmoor Ashdale Wexcombe Tarnford Bellhaven Oakridge Stonely Fernhill Larkwell Brackenside Millward
Harthorpe Eastmere Quarrybank Redfell Saltersby Thornwick Upperlea Valeham Westering Yarnfield Coldbrook Dunmarsh
Elmstead Fairholt Glenwater Highbeck Ivyton Kelderby Longmarsh Merrowby Netherfold Orchardby Penhallow Ravensea
Silverdene Tillerby Underhay Winterby Alderwick""".split()
ELSEWHERE = "Landlords elsewhere"


@dataclass(frozen=True, eq=False)
class Sites:
    """S sites. frame: their table. weights: (S, F) share of each linked group in each site. home: (F,) site of each
    linked group. linked: (F,) names; the last one stands for everybody outside the programme."""

    frame: pd.DataFrame
    size: np.ndarray
    programme: np.ndarray
    weights: np.ndarray | None = None
    home: np.ndarray | None = None
    linked: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.size)

    def groups(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """(S,) code of each site's group and the groups' names, in order of first appearance."""
        codes, names = pd.factorize(self.frame[column])
        return codes, np.asarray(names, dtype=object)


def make_sites(places: Places, knobs: Knobs, draws: Draws) -> Sites:
    """Sites of both sides with people, groups and links; linked groups stay in one zone when launches are close."""
    counts = np.array([*places.programme, *places.comparison])
    n, n_in = len(counts), len(places.programme)
    word = places.site.replace("_", " ").capitalize()
    names = np.array([NAMES[i] if n <= len(NAMES) else f"{word} {i + 1:02d}" for i in range(n)], dtype=object)
    frame = pd.DataFrame({places.site: names, "in_programme": (np.arange(n) < n_in).astype(int)})
    for column, each in places.groups.items():
        first, second = np.arange(n_in) // each, np.arange(n - n_in) // each
        number = np.concatenate([first, second + (first.max() + 1)])
        frame[column] = [f"{column.replace('_', ' ').capitalize()} {i + 1:02d}" for i in number]
    decile = 1 + np.floor(10 * draws.uniform("deprivation", n)).astype(int)
    frame["deprivation_decile"] = np.minimum(decile, 10)
    people = np.maximum(np.floor(counts * knobs.size + 0.5).astype(int), 1)
    if not places.linked:
        return Sites(frame, people, np.arange(n) < n_in)
    close = places.site if knobs.tidy else places.zone if knobs.gap is not None else None
    zone = pd.factorize(frame[close][:n_in])[0] if close else np.zeros(n_in, dtype=np.intp)
    weights, home, linked = _linked(places, n, zone, draws)
    return Sites(frame, people, np.arange(n) < n_in, weights, home, linked)


def _linked(places: Places, n: int, zone: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of linked groups: most at home, `cross` of it elsewhere; comparison sites have others altogether."""
    n_in = len(zone)
    each = places.n_linked // n_in
    home = np.minimum(np.arange(places.n_linked) // each, n_in - 1)
    pull = draws.uniform("stock", n_in, places.n_linked)
    at_home = home[None, :] == np.arange(n_in)[:, None]
    near = np.where(draws.uniform("crossing", n_in, places.n_linked) < 0.3, pull, 0.0)
    near = np.where(zone[home][None, :] == zone[:, None], near, 0.0)
    inner, outer = np.where(at_home, 0.5 + pull, 0.0), np.where(at_home, 0.0, near)
    outer_sum = outer.sum(axis=1, keepdims=True)
    cross = np.where(outer_sum > 0, places.cross, 0.0)
    share = (1 - cross) * inner / inner.sum(axis=1, keepdims=True)
    share += cross * np.divide(outer, outer_sum, out=np.zeros_like(outer), where=outer_sum > 0)
    whole = _to_one(np.floor(share * 1000 + 0.5) / 1000)
    weights = np.zeros((n, places.n_linked + 1))
    weights[:n_in, :-1] = whole
    weights[n_in:, -1] = 1.0
    word = str(places.linked).replace("_", " ").capitalize()
    names = [f"{word} {i + 1:02d}" for i in range(places.n_linked)]
    return weights, home, np.array([*names, ELSEWHERE], dtype=object)


def _to_one(share: np.ndarray) -> np.ndarray:
    """Rounded shares whose largest entry takes up what is missing to one."""
    top = share.argmax(axis=1)
    share[np.arange(len(share)), top] += 1 - share.sum(axis=1)
    return np.round(share, 3)


def links_frame(sites: Sites, site: str) -> pd.DataFrame | None:
    """Links as a study reads them: from, to, weight."""
    if sites.weights is None or sites.linked is None:
        return None
    s, f = np.nonzero(sites.weights)
    names = sites.frame[site].to_numpy()
    return pd.DataFrame({"from": sites.linked[f], "to": names[s], "weight": np.round(sites.weights[s, f], 3)})
