"""From one finding to a decision: chances under a stated prior, returns, and the first of six acts that applies.

Pure: a frozen `Case` goes in, a frozen `Decision` comes out. What is said of it is made in `language/decisions.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.decision.case import Case
from evalkit.decision.posterior import Posterior, believed_before, giving_way, posterior, widened
from evalkit.decision.prior import Prior
from evalkit.decision.worth import EXTEND, STOP, Return, break_even_worth, next_variance, return_at, threshold
from evalkit.verdicts.lean import LEANS_FROM, flat_chance, lean_of_range
from evalkit.vocabulary import Act, Lean

#: The data moved a belief where its spread is at most this share of the prior's.
MOVED = 0.9
#: Where worth is unknown: extend at this chance of an effect that matters, stop at that one.
MATTERS, HARDLY = 0.5, 0.15
#: What has no cost to its name is stopped at this chance of a harm as large as what matters.
HARMS = 0.5


def act_at_price(pays: np.ndarray, moved: np.ndarray, below: np.ndarray, test: np.ndarray) -> np.ndarray:
    """(n,) acts where worth and cost are known: the first of rules 3 to 6 that applies.

    pays: chance that it pays. moved: whether the data moved the prior. below: whether the estimate lies below the
    break-even effect. test: whether the next rollout is worth more than it costs.
    """
    rules = ((pays >= EXTEND) & moved, (pays <= STOP) & moved & below, test)
    return np.select(rules, ("keep_and_extend", "stop", "hold_and_test"), "pool").astype(object)


def act_without_price(matters: np.ndarray, moved: np.ndarray, below: np.ndarray) -> np.ndarray:
    """(n,) acts where nobody has said what an outcome is worth. matters: chance of an effect that matters. below:
    whether the estimate is smaller than that."""
    rules = ((matters >= MATTERS) & moved, (matters <= HARDLY) & moved & below)
    return np.select(rules, ("keep_and_extend", "stop"), "hold_and_test").astype(object)


@dataclass(frozen=True)
class Decision:
    """What was decided on one line, and every number that may be printed.

    Chances that it helps, helps by what matters, harms as much; NaN where withheld. believed: how sure of a benefit one
    must have been to be 9 in 10 sure now. moved: whether the data moved the prior; gave_way: whether they refuted it.
    returns: at each end of the worth. extend_from, stop_below: worth of one outcome. hangs: what decides the act where
    not its chances: 'withheld', 'conflict', 'unstated', 'worth', 'outcomes' or ''. better, worse: labels of outcomes
    that disagree.
    """

    case: Case
    prior: Prior
    lean: Lean
    act: Act
    chance_better: float = math.nan
    chance_matters: float = math.nan
    chance_harm: float = math.nan
    believed: float = math.nan
    moved: bool = False
    gave_way: bool = False
    returns: tuple[Return, ...] = ()
    break_even_worth: float = math.nan
    extend_from: float = math.nan
    stop_below: float = math.nan
    hangs: str = ""
    better: str = ""
    worse: str = ""

    @property
    def priced(self) -> bool:
        """Whether outcomes were set against their cost."""
        return bool(self.returns)


def decide(case: Case, prior: Prior) -> Decision:
    """The first of the six acts that applies (docs/decisions: from a range to an act).

    Rules 1 and 2 need no chance; 3 to 6 come from the returns at each end of the worth, which must agree.
    """
    if not case.ranged:  # whatever the prior speaks of, it is no evidence
        held: tuple[Act, str] = ("hold_and_test", "withheld") if case.withheld else ("no_evidence", "")
        return Decision(case, prior, "", held[0], hangs=held[1])
    withheld = case.withheld or prior.refused(case)
    df = case.df if math.isfinite(case.df) and case.df > 0 else math.inf
    lean = lean_of_range((case.conf_low, case.conf_high), case.matters, flat_chance(case.estimate, case.std_error, df))
    line = Decision(replace(case, withheld=withheld, df=df), prior, lean, "hold_and_test", hangs="withheld")
    if withheld:
        return line
    if case.matters is None:
        return replace(line, hangs="unstated")
    return _by_chances(replace(line, hangs=""), case.matters)


def chance_pays(decision: Decision, worth: Sequence[float]) -> np.ndarray:
    """(w,) chance that a line pays where one outcome is worth so much; NaN where no chance may be given, or nothing is
    known of its cost."""
    stake, matters = decision.case.stake, decision.case.matters
    if matters is None or not stake.costed or not math.isfinite(decision.chance_better):
        return np.full(len(worth), math.nan)
    effects = [stake.cost / (stake.people_periods * matters * w) for w in worth]
    believed = believed_of(decision, effects)
    return np.array([float(believed.above(effect)[0]) for effect in effects])


def believed_of(line: Decision, at: Sequence[float] = ()) -> Posterior:
    """What is believed of the effect of a line with a range, in units of what matters (which must be stated), exact at
    some effects."""
    return _believed(line, line.case.matters or math.nan, at)[0]


def _believed(held: Decision, matters: float, at: Sequence[float]) -> tuple[Posterior, tuple[float, float], float]:
    """What is believed of the effect in units of what matters, exact at some effects; the prior's mean and spread after
    it gave way, and its spread before.

    By how far what is allowed for moves the answer is as likely anywhere between the ends: of where in such a set the
    truth lies data say nothing, so that a prior stays there what it was (Moon and Schorfheide 2012, Econometrica 80).
    """
    case = held.case
    mean, doubt = held.prior.on(case, matters)
    down, up = case.moves
    est = (case.estimate + (down + up) / 2) / matters
    se = math.hypot(case.std_error, case.spread) / matters
    sd = float(giving_way(est, widened(se), (mean, doubt)))
    return posterior(est, widened(se), case.df, (mean, sd), at=at), (mean, sd), doubt


def _by_chances(held: Decision, matters: float) -> Decision:
    case, stake, se = held.case, held.case.stake, held.case.std_error / matters
    at = [stake.cost / (stake.people_periods * matters * w) for w in stake.worth or () if stake.costed]
    believed, (mean, sd), doubt = _believed(held, matters, at)
    better, helps, no_harm = (float(believed.above(x)[0]) for x in (0.0, 1.0, -1.0))
    before = held.prior.better(mean, sd)
    found = replace(
        held, chance_better=better, chance_matters=helps, chance_harm=1.0 - no_harm,
        believed=believed_before(better, before) if 0 < better < 1 and 0 < before < 1 else math.nan,
        gave_way=sd > doubt,
        moved=math.isinf(sd) or float(believed.sd[0]) <= MOVED * sd,
    )  # fmt: skip
    if stake.conflict:
        return replace(found, hangs="conflict")
    if stake.costed:
        found = replace(
            found, break_even_worth=break_even_worth(stake, matters, believed),
            extend_from=threshold(stake, matters, believed, EXTEND),
            stop_below=threshold(stake, matters, believed, STOP),
        )  # fmt: skip
    if not (stake.costed and stake.worth):
        return replace(found, act=_unpriced(found, matters))
    planned = not math.isnan(case.again)
    again = (case.again / matters) ** 2 if planned else float(next_variance(se, case.df))
    again += (case.spread / matters) ** 2  # the next rollout will not say what it is either
    return _priced(found, matters, believed, again)


def _priced(found: Decision, matters: float, believed: Posterior, again: float) -> Decision:
    """Rules 3 to 6 at each end of the worth of one outcome; where they differ, it hangs on the worth."""
    case, worth = found.case, dict.fromkeys(found.case.stake.worth or ())
    returns = tuple(return_at(w, case.stake, matters, believed, again, case.left) for w in worth)
    pays, effect, told, cost = (
        np.array([getattr(r, f) for r in returns])
        for f in ("chance_pays", "break_even", "next_rollout", "cost_of_testing")
    )
    acts = act_at_price(pays, np.array(found.moved), case.estimate / matters < effect, told > cost)
    agreed = (acts == acts[0]).all()
    act: Act = acts[0] if agreed else "hold_and_test"
    return replace(found, returns=returns, act=_where_left(act, case), hangs="" if agreed else "worth")


def _unpriced(found: Decision, matters: float) -> Act:
    """What is done where worth or cost is unknown; what has no cost to its name is stopped only for harm."""
    case = found.case
    below = np.array(case.estimate < matters)
    act: Act = act_without_price(np.array(found.chance_matters), np.array(found.moved), below).item()
    if act == "stop" and not case.stake.costed and found.chance_harm < HARMS:
        return "keep"
    return _where_left(act, case)


def _where_left(act: Act, case: Case) -> Act:
    """Nothing is extended where nowhere is left."""
    return "keep" if act == "keep_and_extend" and not case.left else act


def together(decisions: Sequence[Decision]) -> Decision:
    """One decision on one line from those on each of its outcomes, the first of which has the money.

    Where one outcome is better and another worse, each as surely as a range leans, the line is held: nothing is netted
    out.
    """
    first = decisions[0]
    better = [d for d in decisions if d.moved and d.chance_better >= LEANS_FROM]
    worse = [d for d in decisions if d.moved and d.chance_better <= 1 - LEANS_FROM]
    if not (better and worse):
        return first
    return replace(
        first, act="hold_and_test", hangs="outcomes", better=better[0].case.outcome_label,
        worse=worse[0].case.outcome_label,
    )  # fmt: skip
