"""Money of a partnership: what it paid for components, what it was paid for outcomes, what outcomes are worth.

Claims are made from what the panel records, so that anybody can make them again from the panel and the rate card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evalkit.study.money import PROGRAMME
from evalkit.synthetic.clock import period_names
from evalkit.synthetic.places import Sites
from evalkit.synthetic.rollout import Rollout
from evalkit.synthetic.spec import PERSON, Contract, Part, Payment, Spec
from evalkit.synthetic.world import World, measured, recorded_dose

COSTS = ["component_id", "level_id", "period", "cost_type", "amount_gbp", "bearer", "price_year"]


def rate_card(contract: Contract) -> pd.DataFrame:
    """What is paid for, and how much: one row a kind of payment."""
    rows = [
        (p.outcome, p.name, p.words, p.tariff, p.tariff * p.most, p.periods, contract.price_year)
        for p in contract.payments
    ]
    names = ["outcome_id", "name", "trigger_rule", "tariff_gbp", "cap_gbp_per_person", "periods", "price_year"]
    return pd.DataFrame(rows, columns=names)


def unit_costs(contract: Contract) -> pd.DataFrame:
    """What one more of an outcome is worth, and to whom."""
    rows = [
        (w.outcome, w.value, w.bearer, w.agency, w.price_year or contract.price_year, w.grade, w.words)
        for w in contract.worths
    ]
    names = ["outcome_id", "value_gbp", "bearer", "agency", "price_year", "grade", "source"]
    return pd.DataFrame(rows, columns=names)


# ---------------------------------------------------------------- costs


def served(world: World) -> dict[str, np.ndarray]:
    """Component -> (S, T) people whom it served in each place and period, times their dose."""
    scene = world.scene
    T, S = scene.spec.clock.periods, len(scene.sites)
    sites = np.broadcast_to(scene.people.sites(T), world.seen.shape)
    cell = np.arange(T)[:, None] * S + sites
    out = {}
    for part in (p for p in scene.spec.parts if p.unit_cost is not None):
        dose = _given(world, part) * (world.seen & scene.inside) * scene.reached(part.name)
        out[part.name] = np.bincount(cell.ravel(), weights=dose.ravel(), minlength=S * T).reshape(T, S).T
    return out


def _given(world: World, part: Part) -> np.ndarray:
    """(T, n) what each person had of a component in each period, as far as the programme pays for it."""
    scene = world.scene
    if part.level == PERSON:
        return np.diff(recorded_dose(world, part), axis=0, prepend=0.0)
    return scene.in_place(_paid_for(part, scene.spec, scene.sites, scene.rollout))


def _paid_for(part: Part, spec: Spec, sites: Sites, rollout: Rollout) -> np.ndarray:
    """(S, T) dose that the programme pays for."""
    there = _under_way(spec, sites)
    return rollout.own[part.name] * there if not part.always_on else there.astype(np.float64)


def _under_way(spec: Spec, sites: Sites) -> np.ndarray:
    """(S, T) where and when the programme is: in its own places, from the launch on."""
    return sites.programme[:, None] & (np.arange(spec.clock.periods) >= spec.clock.launch)


def costs(spec: Spec, contract: Contract, sites: Sites, rollout: Rollout, used: dict[str, np.ndarray]) -> pd.DataFrame:
    """Costs by component, place and period: running costs by the people served, and what else was spent."""
    parts = []
    for part in spec.parts:
        if part.unit_cost is not None:
            parts.append(_rows(spec, sites, part.name, "running", "fiscal", part.unit_cost * used[part.name]))
    for part in (p for p in spec.parts if p.set_up or p.volunteers):
        runs = _paid_for(part, spec, sites, rollout) > 0
        starts = runs & (np.cumsum(runs, axis=1) == 1)
        parts.append(_rows(spec, sites, part.name, "set-up", "fiscal", part.set_up * starts))
        parts.append(_rows(spec, sites, part.name, "time of volunteers", "social", part.volunteers * runs))
    parts.append(_rows(spec, sites, PROGRAMME, "management", "fiscal", contract.management * _under_way(spec, sites)))
    frame = pd.concat([p for p in parts if len(p)], ignore_index=True)
    return frame.assign(price_year=contract.price_year)[COSTS]


def _rows(spec: Spec, sites: Sites, component: str, kind: str, bearer: str, amount: np.ndarray) -> pd.DataFrame:
    """Rows of the cells in which anything was spent, in whole pounds."""
    pounds = np.round(amount).astype(np.int64)
    s, t = np.nonzero(pounds)
    names = sites.frame[spec.places.site].to_numpy(dtype=object)
    fixed = {"component_id": component, "cost_type": kind, "bearer": bearer}
    when = period_names(spec.clock)[t]
    return pd.DataFrame({"level_id": names[s], "period": when, "amount_gbp": pounds[s, t], **fixed})


# ---------------------------------------------------------------- claims


def claims(world: World, contract: Contract) -> pd.DataFrame:
    """Claims for people of the programme since they joined, by the rate card and the recorded outcomes."""
    spec = world.scene.spec
    parts = []
    for payment in contract.payments:
        t, person = np.nonzero(_due(world, payment))
        checked = world.scene.uniform(f"validated {payment.outcome}", spec.clock.periods)[t, person] >= contract.refused
        parts.append(pd.DataFrame({
            "person_id": world.ids[person], "outcome_id": payment.outcome, "period": period_names(spec.clock)[t],
            "amount_gbp": payment.tariff, "validated": checked.astype(np.int8), "t": t,
        }))  # fmt: skip
    frame = pd.concat(parts, ignore_index=True).sort_values(["person_id", "t"], kind="stable", ignore_index=True)
    return frame.drop(columns="t")


def _due(world: World, payment: Payment) -> np.ndarray:
    """(T, n) in which period a payment falls due for whom."""
    scene = world.scene
    value, there = measured(world, scene.spec.process(payment.outcome))
    value = np.round(value.astype(np.float64), scene.spec.process(payment.outcome).digits)
    t = np.arange(scene.spec.clock.periods)[:, None]
    joined = (t >= scene.people.entry) & (t >= scene.spec.clock.launch) & scene.inside
    good = _good(world, payment, value, there, t) & joined & there
    run, paid = np.zeros(good.shape[1], dtype=int), np.zeros(good.shape[1], dtype=int)
    due = np.zeros(good.shape, dtype=bool)
    for i, now in enumerate(good):
        run += now
        if payment.rule == "free":
            run[there[i] & ~now] = 0
        due[i] = (run >= payment.periods) & (paid < payment.most)
        run[due[i]] = 0
        paid += due[i]
    return due


def _good(world: World, payment: Payment, value: np.ndarray, there: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(T, n) whether a period counts towards a payment."""
    sign = 1 if world.scene.spec.process(payment.outcome).better == "higher" else -1
    if payment.rule == "held":
        return value > 0
    if payment.rule == "free":
        return value == 0
    if payment.rule == "reaches":
        return sign * (value - payment.least) >= -1e-9
    return sign * (value - _last_before(value, there & (t < world.scene.people.entry))) >= payment.least - 1e-9


def _last_before(value: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n,) the last value known, NaN where there is none: such people never count as better."""
    last = len(value) - 1 - np.argmax(known[::-1], axis=0)
    return np.where(known.any(axis=0), value[last, np.arange(value.shape[1])], np.nan)


@dataclass(frozen=True, eq=False)
class Ledger:
    """What depends on people: component -> (S, T) people served, and claims. Ledgers of parts of the people add up."""

    served: dict[str, np.ndarray]
    claims: pd.DataFrame

    @classmethod
    def of(cls, world: World) -> Ledger | None:
        """The ledger of one world; none where the partnership is not paid by outcomes."""
        contract = world.scene.spec.contract
        return None if contract is None else cls(served(world), claims(world, contract))

    def __add__(self, other: Ledger) -> Ledger:
        both = {c: self.served[c] + other.served[c] for c in self.served}
        return Ledger(both, pd.concat([self.claims, other.claims], ignore_index=True))

    def tables(self, spec: Spec, sites: Sites, rollout: Rollout) -> dict[str, pd.DataFrame]:
        """rate_card, claims, costs, unit_costs."""
        contract = spec.contract
        assert contract is not None
        spent = costs(spec, contract, sites, rollout, self.served)
        return {"rate_card": rate_card(contract), "claims": self.claims, "costs": spent,
                "unit_costs": unit_costs(contract)}  # fmt: skip
