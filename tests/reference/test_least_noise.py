"""Weights of least noise against dense generalised least squares on every cell-period, and what they promise."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import evalkit as ek
from evalkit.designs.noise.covariance import Person, fit_person
from evalkit.designs.noise.model import Groups
from evalkit.designs.noise.weighing import Weighing
from evalkit.designs.rollout.sums import Sums
from evalkit.designs.span import span

SITES, PERIODS, PEOPLE = 10, 12, 4
LINE = ["estimate", "std_error", "conf_low", "conf_high", "df", "inference"]


def panel(seed: int = 3, gaps: bool = False) -> pd.DataFrame:
    """People of ten sites with two components, noise that fades, shocks of sites, no effects."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(SITES), PEOPLE)
    shape = (SITES * PEOPLE, PERIODS)
    y = np.cumsum(rng.normal(size=shape), axis=1) * 0.3 + rng.normal(size=shape) * 0.3
    y += (rng.normal(size=(SITES, PERIODS)) * 0.2)[site]
    frame = pd.DataFrame({"person": np.repeat(np.arange(len(y)), PERIODS), "t": np.tile(np.arange(PERIODS), len(y))})
    for name, first in (("a", 4), ("b", 3)):
        start = np.where(rng.random(SITES) < 0.6, rng.integers(first, PERIODS - 2, SITES), 99)
        frame[name] = (np.arange(PERIODS) >= start[site][:, None]).astype(int).ravel()
    frame["site"], frame["y"] = np.repeat(site, PERIODS), y.ravel()
    return frame[rng.random(len(frame)) < 0.9] if gaps else frame


def study(frame: pd.DataFrame) -> ek.Study:
    return ek.Study(frame, unit="person", period="t", outcome="y", cluster="site", better="higher", matters=0.1,
                    components=["a", "b"])  # fmt: skip


def least(frame: pd.DataFrame, **options: object) -> ek.Estimate:
    return ek.StaggeredRollout(weights="least_noise", base_window=3, **options)(study(frame), "a")


def made_by(estimate: ek.Estimate) -> Weighing:
    """What the rows of least noise of an estimate were made by."""
    return estimate.replicate.source.make.refits[0].source.make.__self__


def own(estimate: ek.Estimate) -> ek.Estimate:
    """The rows of least noise alone."""
    return estimate.select((estimate.labels["weights"] == "least noise").to_numpy())


def dense(estimate: ek.Estimate, without: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Values and covariance by one regression on all cell-periods: levels, columns, a free effect each exposed one."""
    model = made_by(estimate).model
    places = [p for p in model.places if p.cluster != without]
    levels = {level: i for i, level in enumerate(np.unique(np.concatenate([p.level for p in places])))}
    exposed = sum(len(p.y) - p.u for p in places)
    X, y, W, at = [], [], np.zeros((exposed, model.k)), 0
    for p in places:
        root = np.linalg.cholesky(p.V)
        block = np.zeros((len(p.y), model.columns + len(levels) + exposed))
        block[:, p.at] = p.steps
        block[np.arange(len(p.y)), model.columns + np.array([levels[x] for x in p.level])] = 1
        e = len(p.y) - p.u
        block[np.arange(p.u, len(p.y)), model.columns + len(levels) + at + np.arange(e)] = 1
        W[at : at + e, p.rows] = p.weight
        at += e
        X.append(np.linalg.solve(root, block))
        y.append(np.linalg.solve(root, p.y))
    whole, outcome = np.vstack(X), np.concatenate(y)
    back = np.linalg.pinv(whole, rcond=1e-11)
    told = np.isclose(np.diag(back @ whole)[-exposed:], 1, atol=1e-6)
    W = W * told[:, None]
    weight = np.where(W.sum(axis=0) > 1e-9, W.sum(axis=0), np.nan)
    effects, covariance = (back @ outcome)[-exposed:], (back @ back.T)[-exposed:, -exposed:]
    return W.T @ effects / weight, W.T @ covariance @ W / np.outer(weight, weight)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("others", ["same", "unchanged", "ignored"])
def test_rows_and_their_covariance_are_those_of_one_big_regression(others: str, gaps: bool) -> None:
    estimate = least(panel(gaps=gaps), others=others)
    value, vcov = dense(estimate)
    np.testing.assert_allclose(own(estimate).value, value, atol=1e-9)
    np.testing.assert_allclose(np.nan_to_num(own(estimate).working), np.nan_to_num(vcov), atol=1e-9)


def test_refits_are_regressions_without_the_cluster() -> None:
    estimate = least(panel())
    for cluster, values in enumerate(own(estimate).replicates.values):
        np.testing.assert_allclose(values, dense(estimate, cluster)[0], atol=1e-9)


@pytest.mark.parametrize("gaps", [False, True])
def test_weights_sum_to_nothing_in_every_cell_and_give_the_rows_back(gaps: bool) -> None:
    frame = panel(gaps=gaps)
    estimate = own(least(frame))
    cells = estimate.weights()
    known = cells[~np.isnan(estimate.value[cells["row"]]) & (cells["window"] == 0)]
    assert known.groupby(["row", "cluster", "path"])["weight"].sum().abs().max() < 1e-9
    if not gaps:
        mean = frame.groupby(["site", "t"])["y"].mean()  # every site has one path
        seen = mean.loc[pd.MultiIndex.from_frame(known[["cluster", "period"]])].to_numpy() * known["weight"]
        rows = seen.groupby(known["row"]).sum()
        np.testing.assert_allclose(rows, estimate.value[rows.index], atol=1e-9)


def test_what_exposure_adds_moves_the_answer_by_exactly_that_and_no_weight() -> None:
    frame = panel()
    before = own(least(frame))
    start = frame[frame["a"] == 1].groupby("site")["t"].min()
    event = (frame["t"] - frame["site"].map(start)).where(frame["a"] == 1)
    added = np.where(frame["a"] == 1, 1.7 + 0.3 * event.fillna(0), 0.0)
    after = own(least(frame.assign(y=frame["y"] + added)))
    moved = 1.7 + 0.3 * after.labels["event_time"]
    np.testing.assert_allclose(
        (after.value - before.value)[~np.isnan(after.value)], moved[~np.isnan(after.value)], atol=1e-9
    )
    pd.testing.assert_frame_equal(before.weights(), after.weights(), atol=1e-9)


def test_influence_of_people_adds_up_to_that_of_clusters() -> None:
    estimate = least(panel(gaps=True))
    _, totals = estimate.value_influence.sums("site")
    by_unit = np.zeros_like(totals)
    site = pd.Series(estimate.units) // PEOPLE
    np.add.at(by_unit, site.to_numpy(), np.nan_to_num(estimate.influence))
    np.testing.assert_allclose(by_unit, totals, atol=1e-9)


@pytest.mark.parametrize("design", [ek.StaggeredRollout, ek.TripleDifference])
def test_eligible_and_ineligible_serve_together_with_a_common_gap(design: type) -> None:
    """People of three kinds in eight places; what moves them is what the model says, and noise that sums to nothing in
    every cell, so that the effect must come out to the digit."""
    rng = np.random.default_rng(5)
    places, people, periods = 8, 6, 12
    unit, t = (x.ravel() for x in np.indices((places * people, periods)))
    place, able = unit // people, unit % people < 3
    begins = np.array([5, 7, 9, 99, 99, 6, 99, 99])[place]
    policy = (t >= np.array([4, 99, 4, 99, 4, 8, 8, 99])[place]).astype(int)
    nurse = (t >= begins) & able
    drift, gap, jump = rng.normal(size=periods), rng.normal(size=periods), 0.4
    pair = (rng.normal(size=(places * people, periods)) * 0.1).reshape(places, 2, 3, periods)
    noise = (pair - pair.mean(axis=2, keepdims=True)).reshape(-1)
    y = rng.normal(size=(places, 2))[place, able.astype(int)] + drift[t] + policy * jump
    y = y + gap[t] * able + 0.7 * nurse + noise
    frame = pd.DataFrame({"person": unit, "t": t, "place": place, "y": y, "able": able, "policy": policy,
                          "nurse": (t >= begins).astype(int)})  # fmt: skip
    made = ek.Study(frame, unit="person", period="t", outcome="y", cluster="place", better="higher", matters=0.1,
                    components=[ek.Component("nurse", reach="able"), "policy"])  # fmt: skip
    found = design(weights="least_noise")(made, "nurse")
    told = (found.labels["weights"] == "least noise").to_numpy() & ~np.isnan(found.value)
    assert told.sum() >= 3 and found.labels.loc[told, "assumption"].str.contains("gap").all()
    np.testing.assert_allclose(found.value[told], 0.7, atol=1e-9)


def lone(gaps: bool, people: int = 40) -> ek.Study:
    """People who are each a cluster, on few paths."""
    rng = np.random.default_rng(2)
    unit, t = (x.ravel() for x in np.indices((people, PERIODS)))
    start = np.array([5, 7, 9, 99, 99])[unit % 5]
    y = np.cumsum(rng.normal(size=(people, PERIODS)), axis=1).ravel()
    frame = pd.DataFrame({"person": unit, "t": t, "y": y, "a": (t >= start).astype(int)})
    frame = frame[~((unit % 7 == 0) & (t == 2)) & ~((unit % 11 == 0) & (t == 8))] if gaps else frame
    return ek.Study(frame, unit="person", period="t", outcome="y", components=["a"], better="higher", matters=0.1)


@pytest.mark.parametrize("gaps", [False, True])
def test_people_alike_in_path_count_as_one_group_and_leave_one_by_one(
    gaps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the same with each person a group, under the same covariance of people."""
    design, made = ek.StaggeredRollout(weights="least_noise"), lone(gaps)
    found = own(design(made, "a"))
    influence, refits = found.influence, found.replicates.values

    def each(sums: Sums) -> Groups:
        n = np.arange(len(sums.of))
        return Groups(n, sums.paths.path, n, np.argsort(sums.of), lone=True)

    monkeypatch.setattr(Groups, "of_sums", each)
    monkeypatch.setattr(Sums, "by_path", False)
    alone = own(design(lone(gaps), "a"))
    np.testing.assert_allclose(found.value, alone.value, atol=1e-9)
    np.testing.assert_allclose(found.working, alone.working, atol=1e-9)
    np.testing.assert_allclose(influence, alone.influence, atol=1e-9)
    np.testing.assert_allclose(refits, alone.replicates.values, atol=1e-9)


def test_moderated_inference_weighs_both_variances_by_their_degrees_of_freedom() -> None:
    answer = least(panel()).aggregate("simple")
    refits, influence = (answer.to_frame(inference=kind).iloc[0] for kind in ("jackknife", "analytic"))
    row = answer.to_frame().iloc[0]
    d = refits["df"]
    assert influence["std_error"] < refits["std_error"]
    assert row["inference"] == "moderated"
    prior = min(row["clusters_exposed"], SITES - row["clusters_exposed"]) - 1  # the smaller arm, less than ten
    assert row["df"] == pytest.approx(prior + d)
    between = refits["std_error"] * influence["std_error"]
    weighed = (prior * answer.working[0, 0] + d * between) / (prior + d)
    assert row["std_error"] ** 2 == pytest.approx(weighed)


def test_places_that_vary_more_before_exposure_count_for_less_and_widen_what_they_carry() -> None:
    """Shocks of the sites that start are made four times as large, before the start and after."""
    frame = panel(5)
    starts = frame.groupby("site")["a"].transform("max") == 1
    shock = np.random.default_rng(8).normal(size=(SITES, PERIODS))[frame["site"], frame["t"]]
    plain, more = (made_by(least(frame.assign(y=frame["y"] + by * starts * shock))).model for by in (0.0, 0.8))
    exposed = np.array([len(p.y) > p.u for p in more.places])
    larger = np.array([np.trace(b.V) / np.trace(a.V) for a, b in zip(plain.places, more.places, strict=True)])
    assert larger[exposed].mean() > 1.05 * larger[~exposed].mean()


def solved(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A^-1 b for a positive definite A, by elimination in extended precision."""
    A, b = A.copy(), b.copy()
    for j in range(len(A)):
        factor = A[j + 1 :, j] / A[j, j]
        A[j + 1 :] -= np.outer(factor, A[j])
        b[j + 1 :] -= np.outer(factor, b[j])
    for j in reversed(range(len(A))):
        b[j] = (b[j] - A[j, j + 1 :] @ b[j + 1 :]) / A[j, j]
    return b


def extended(estimate: ek.Estimate, frame: pd.DataFrame) -> np.ndarray:
    """Rows by one regression on all cell-periods that the model uses, from the people's own outcomes, in extended
    precision and under the same working covariance."""
    made = made_by(estimate)
    model, big = made.model, np.longdouble
    assert np.finfo(big).eps < 1e-18
    kept = model.solver.pivot[: model.solver.rank]
    levels = np.unique(np.concatenate([p.level for p in model.places]))
    exposed = np.cumsum([0, *(len(p.y) - p.u for p in model.places)])
    size = len(kept) + len(levels) + exposed[-1]
    gram, right, W = np.zeros((size, size), big), np.zeros((size, 1), big), np.zeros((exposed[-1], model.k), big)
    y = (frame.set_index(["site", "t"])["y"] - frame["y"].iloc[0]).sort_index()  # exact: they are close to each other
    for p, (cell, t), at in zip(model.places, made.where, exposed, strict=False):
        X = np.zeros((len(p.y), size), big)
        whole = np.zeros((len(p.y), model.columns))
        whole[:, p.at] = p.steps
        X[:, : len(kept)] = whole[:, kept]
        X[np.arange(len(p.y)), len(kept) + np.searchsorted(levels, p.level)] = 1
        e = np.arange(len(p.y) - p.u)
        X[p.u + e, len(kept) + len(levels) + at + e] = 1
        W[at + e[:, None], p.rows] = p.weight
        site = made.groups.cluster[cell]
        own = np.array([y.loc[s, x].to_numpy().astype(big).mean() for s, x in zip(site, t, strict=True)])
        VX = solved(p.V.astype(big), np.hstack([X, own[:, None]]))
        gram += X.T @ VX[:, :-1]
        right += X.T @ VX[:, -1:]
    return (W.T @ solved(gram, right)[-exposed[-1] :, 0] / W.sum(axis=0)).astype(float)


@pytest.mark.parametrize(("level", "scale"), [(0.0, 1.0), (1e9, 1e-3), (-1e9, 1.0), (0.0, 1e-12), (0.0, 1e12)])
def test_no_answer_hangs_on_the_last_digits(level: float, scale: float) -> None:
    frame = panel()
    frame = frame.assign(y=level + scale * frame["y"])
    estimate = least(frame, others="ignored", horizon=2)
    rows = own(estimate)
    told = np.flatnonzero(made_by(estimate).model.weight > 1 - 1e-9)
    np.testing.assert_allclose(rows.value[told], extended(estimate, frame)[told], atol=1e-9 * scale)


def test_scale_and_level_of_the_outcome_do_not_matter() -> None:
    frame = panel()
    plain = least(frame).aggregate("simple").to_frame().iloc[0]
    moved = least(frame.assign(y=1e9 + 1e-3 * frame["y"])).aggregate("simple").to_frame().iloc[0]
    assert moved["estimate"] == pytest.approx(1e-3 * plain["estimate"], abs=1e-8)
    assert moved["std_error"] == pytest.approx(1e-3 * plain["std_error"], rel=1e-2)


def test_an_estimate_of_least_noise_pickles() -> None:
    estimate = least(panel())
    again = pickle.loads(pickle.dumps(estimate))
    pd.testing.assert_frame_equal(again.aggregate("simple").to_frame(), estimate.aggregate("simple").to_frame())


def test_without_noise_to_weigh_by_weights_are_equal_and_say_why() -> None:
    flat = panel().assign(y=5.0)
    found = least(flat)
    assert found.labels["weights"].str.contains("equal: outcomes before exposure do not vary").all()
    equal = ek.StaggeredRollout(base_window=3)(study(flat), "a")
    np.testing.assert_array_equal(found.value, equal.value)


def test_a_panel_too_short_for_a_covariance_keeps_equal_weights_and_says_so() -> None:
    frame = panel()
    short = frame[frame["t"].between(4, 6) & frame["site"].lt(4)]
    found = ek.StaggeredRollout(weights="least_noise")(study(short), "a")
    assert found.labels["weights"].str.startswith("equal: ").all()


@pytest.mark.parametrize("people", ["one on a path", "none with weight"])
def test_cells_of_one_person_and_people_without_weight_leave_numbers(people: str) -> None:
    frame = panel()
    if people == "one on a path":
        frame = frame[(frame["site"] != 2) | (frame["person"] == 2 * PEOPLE)]
    frame = frame.assign(w=np.where((frame["site"] == 2) & (people != "one on a path"), 0.0, 1.0))
    made = ek.Study(frame, unit="person", period="t", outcome="y", cluster="site", better="higher", matters=0.1,
                    components=["a", "b"], weights="w")  # fmt: skip
    row = ek.StaggeredRollout(weights="least_noise", others="ignored")(made, "a").aggregate("simple").to_frame().iloc[0]
    assert row["weights"] == "least noise" and np.isfinite([row["estimate"], row["std_error"]]).all()


def test_rows_before_the_start_are_the_published_ones_with_intervals_of_their_refits() -> None:
    found, equal = least(panel()), ek.StaggeredRollout(base_window=3)(study(panel()), "a")
    pd.testing.assert_frame_equal(found.labels[["cohort", "period"]], equal.labels[["cohort", "period"]])
    leads = (found.labels["event_time"] < 0).to_numpy()
    assert (found.labels["weights"] == np.where(leads, "equal", "least noise")).all()
    np.testing.assert_array_equal(found.value[leads], equal.value[leads])
    mine, theirs = (e.aggregate("event_time").to_frame() for e in (found, equal))
    assert (mine["inference"] == np.where(mine["event_time"] < 0, "jackknife", "moderated")).all()
    before = mine["event_time"] < 0
    pd.testing.assert_frame_equal(mine.loc[before, LINE], theirs.loc[before, LINE], atol=1e-12)


def test_a_difference_that_mixes_leads_and_later_rows_rests_on_refits_alone() -> None:
    events = least(panel()).aggregate("event_time")
    matrix = np.zeros((2, len(events)))
    at = {int(e): i for i, e in enumerate(events.labels["event_time"])}
    matrix[:, at[0]], matrix[0, at[-1]] = 1.0, -1.0
    rows = events.contrast(matrix, name="change").to_frame()
    assert rows["inference"].tolist() == ["jackknife", "moderated"]


def test_stacked_rows_keep_their_own_intervals() -> None:
    found = [
        least(panel()).aggregate("simple"),
        ek.StaggeredRollout(base_window=3)(study(panel()), "b").aggregate("simple"),
    ]
    alone = pd.concat([f.to_frame() for f in found], ignore_index=True)
    pd.testing.assert_frame_equal(ek.stack(*found).to_frame()[LINE], alone[LINE])
    assert ek.stack(*found).contrast([1.0, -1.0], name="a less b").to_frame()["inference"].tolist() == ["jackknife"]


def test_cells_are_signed_by_exposure_and_adopters_weigh_one() -> None:
    estimate = own(least(panel()))
    cells = estimate.weights()
    exposed = cells[cells["sign"] == 1]
    start = estimate.labels["cohort"].to_numpy()[exposed["row"]]
    assert (exposed["period"] >= start).all()
    known = np.flatnonzero(~np.isnan(estimate.value))
    np.testing.assert_allclose(exposed.groupby("row")["weight"].sum().loc[known], 1.0, atol=1e-9)


def test_second_starts_are_read_from_the_last_period_without() -> None:
    frame = panel()
    first = frame[frame["a"] == 1].groupby("site")["t"].min()
    site = first.idxmin()
    gap = frame["site"].eq(site) & frame["t"].between(first[site] + 2, first[site] + 3)
    found = ek.StaggeredRollout(weights="least_noise", base_window=2)(
        study(frame.assign(a=frame["a"].where(~gap, 0))), "a"
    )
    again = found.labels["weights"].str.startswith("equal: it starts again")
    assert again.any() and (found.labels.loc[again, "cohort"] == first[site] + 4).all()
    assert set(found.labels.loc[again, "event_time"] >= 0) == {True}


@pytest.mark.parametrize(
    ("options", "why"), [({"adjust": "reg"}, "covariates"), ({"comparison": "never"}, "exposed later")]
)
def test_options_that_do_not_go_together_leave_equal_weights_that_say_why(options: dict[str, str], why: str) -> None:
    frame = panel().assign(age=lambda f: np.random.default_rng(1).normal(size=SITES * PEOPLE)[f["person"]])
    made = ek.Study(frame, unit="person", period="t", outcome="y", cluster="site", better="higher", matters=0.1,
                    components=["a", "b"], covariates=["age"])  # fmt: skip
    found = ek.StaggeredRollout(weights="least_noise", others="ignored", **options)(made, "a")
    equal = ek.StaggeredRollout(others="ignored", **options)(made, "a")
    assert found.labels["weights"].str.match(f"equal: .*{why}").all()
    np.testing.assert_array_equal(found.value, equal.value)


def test_weights_of_least_noise_set_each_unit_against_itself() -> None:
    with pytest.raises(ek.EvalkitError, match="needs compare='within'"):
        ek.StaggeredRollout(weights="least_noise", compare="cross_sections")


def test_a_persons_covariance_is_found_again() -> None:
    true = Person(0.25, 0.5, 0.9, 0.1)
    lag, pairs = np.arange(40), np.full(40, 500.0)
    found = fit_person((true.level + true.fading * true.decay**lag + true.own * (lag == 0)) * pairs, pairs)
    assert found is not None
    assert [found.level, found.fading, found.decay, found.own] == pytest.approx([0.25, 0.5, 0.9, 0.1], abs=1e-6)


def test_a_span_knows_what_it_cannot_tell_and_solves_the_rest() -> None:
    X, y = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [2.0, 2.0, 0.5]]), np.array([1.0, 2.0, 3.0])
    found = span(X.T @ X)
    told = found.identified(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert told.tolist() == [True, False, True]
    assert X @ found.solve(X.T @ y) == pytest.approx(X @ np.linalg.lstsq(X, y, rcond=None)[0])


def test_cells_of_one_person_with_missing_rows_have_weights_too() -> None:
    """Nobody says how much people vary then, so that all noise is the places': `reach` makes such cells."""
    whole = panel(5, gaps=True)
    frame = whole[whole["person"] % PEOPLE < 2].assign(eligible=lambda d: (d["person"] % 2 == 0).astype(int))
    part = [ek.Component("a", exposure="a", reach="eligible")]
    made = ek.Study(frame, unit="person", period="t", cluster="site", outcome="y", components=part)
    found = ek.StaggeredRollout(weights="least_noise")(made, "a")
    assert made_by(found).person is None and not any(V.any() for V in made_by(found).cells.noise)
    assert (own(found).to_frame()["std_error"] > 0).any()
