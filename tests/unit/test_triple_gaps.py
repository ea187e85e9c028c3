"""A triple difference where rows are missing and two kinds of ineligible people allow windows of unequal length."""

import numpy as np
import pandas as pd
import pytest

import evalkit as ek

PLACES, PEOPLE, PERIODS, START = 8, 12, 12, 8


@pytest.fixture
def study():
    """A nurse for a third of the people from period 8 on in half of the places; a leaflet for another third from 6
    on everywhere, so that beside them two periods may serve as base, and six beside the rest."""
    unit, t = (x.ravel() for x in np.indices((PLACES * PEOPLE, PERIODS)))
    place, kind = unit // PEOPLE, unit % 3
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({
        "person": unit, "t": t, "place": place, "y": rng.normal(size=unit.size), "needs": kind == 0, "reads": kind == 1,
        "nurse": ((place % 2 == 0) & (t >= START)).astype(int), "leaflet": (t >= 6).astype(int),
    })  # fmt: skip
    early = (t < START - 1) & (kind == 0) & (rng.random(unit.size) < 0.4)
    reach = {"nurse": "needs", "leaflet": "reads"}
    components = [ek.Component(c, reach=r) for c, r in reach.items()]
    return ek.Study(frame[~early], unit="person", period="t", components=components, outcome="y", cluster="place")


def test_everybody_counts_once(study):
    """Everybody is seen from the last base period on; in how many earlier ones differs from person to person."""
    found = ek.TripleDifference(base_window=6)(study, "nurse")
    since = found.labels["event_time"] >= 0
    adopters = PLACES // 2 * PEOPLE // 3
    assert set(found.labels["units_exposed"][since]) == {adopters}
    windows = {c.window[START] for c in ek.TripleDifference(base_window=6).plan(study.paths, "nurse")}
    assert len(windows) == 2
    np.testing.assert_allclose(found.mass[since], adopters)
