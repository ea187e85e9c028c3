"""Lean, chance and act over the stored answers for partnerships: `python benchmarks/decision.py [--write]`.

Headlines of `benchmarks/headlines.py` (results/headlines.csv) are held against their truths, and, with the same
errors and ranges, against five other sets of truths: half zero; thirds (a third reversed, a third zero); half negative;
normal, with a standard deviation of .61 or of 1 of what matters. Everything is in units of what matters, benefit
positive. Prints how often a lean is right, the reliability of chances by tenth, Brier scores of priors, and what rules
of action are worth as a share of knowing the truth; `--write` keeps tables and picture in results/ and the summary in
README.md. About a minute. Answers by equal weights (`benchmarks/partnerships.py`, results/partnerships_*.csv), which
have verdicts too, stand beside them in two lines.

`--inputs N` makes results/decision_inputs.csv again from draws 1 to N: medians by component of degrees of freedom,
which stored answers do not hold, and of what its money comes to (break-even effect, and people periods x what matters x
worth). How often chances are withheld is counted by `benchmarks/decision_allowed.py`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from result_tables import into_readme
from scipy import stats

import evalkit as ek
from evalkit.decision.acts import MOVED, act_at_price, act_without_price
from evalkit.decision.posterior import Posterior, giving_way, posterior, widened
from evalkit.decision.worth import best_after, cost_of_testing, next_variance, rollout_value, rounds_and_places
from evalkit.synthetic.settings import SPECS
from evalkit.verdicts.lean import leans

RESULTS = Path(__file__).parent / "results"
START, END = "<!-- decisions: start -->", "<!-- decisions: end -->"
SETTINGS = ("clean", "realistic", "hard")
STRICT = 1 / stats.norm.ppf(0.95)
PRIORS = {"flat": (0.0, np.inf), "N(0, .61 m)": (0.0, STRICT), "sceptical": (0.0, 1.0), "N(0, 1.5 m)": (0.0, 1.5),
          "N(m/4, m)": (0.25, 1.0)}  # fmt: skip
TRUTHS = ("as stored", "half zero", "thirds", "half negative", "N(0, .61 m)", "N(0, m)")
BREAK_EVENS = (0.1, 0.3, 0.5, 0.8, 1.2)
POINTS, SEED, UNKNOWN_DF = 61, 7, 8.0
SWITCHING = 0.10
LEAST = 60  # lines of a tenth from which its gap counts


def answers(equal: bool = False) -> pd.DataFrame:
    """One row an answer with a range and a truth: partnership, setting, component, and est, low, high, se, df, truth,
    break_even and scale in units of what matters, benefit positive. equal: of equal weights, with their verdicts."""
    found = _equal() if equal else pd.read_csv(RESULTS / "headlines.csv")
    found = found.dropna(subset=["low", "high", "truth"])
    specs = {name: ek.synthetic.partnership(name).study.outcome() for name in found["partnership"].unique()}
    unit = found["partnership"].map({n: (1.0 if o.better == "higher" else -1.0) * o.matters for n, o in specs.items()})
    ends = np.sort(np.column_stack([found["low"] / unit, found["high"] / unit]), axis=1)
    numbers = {"est": found["estimate"] / unit, "truth": found["truth"] / unit, "low": ends[:, 0], "high": ends[:, 1]}
    inputs = pd.read_csv(RESULTS / "decision_inputs.csv").rename(columns={"df": "usual_df"})
    out = found.assign(**numbers).merge(inputs, how="left", on=["partnership", "setting", "component"])
    out["df"] = (out["usual_df"] if equal else out["df"]).fillna(UNKNOWN_DF)
    return out.assign(se=(out["high"] - out["low"]) / 2 / stats.t.ppf(0.975, out["df"]))


def _equal() -> pd.DataFrame:
    """Answers by equal weights, as stored."""
    found = pd.concat(map(pd.read_csv, sorted(RESULTS.glob("partnerships_*.csv"))), ignore_index=True)
    return found[found["method"] == "evalkit"]


def populate(found: pd.DataFrame, truths: str, rng: np.random.Generator) -> pd.DataFrame:
    """The same errors and ranges round other truths."""
    stored, u = found["truth"].to_numpy(), rng.random(len(found))
    new = {
        "as stored": stored,
        "half zero": np.where(u < 0.5, 0, stored),
        "thirds": np.where(u < 1 / 3, -stored, np.where(u < 2 / 3, 0, stored)),
        "half negative": np.where(u < 0.5, -stored, stored),
        "N(0, .61 m)": rng.normal(0, STRICT, len(found)),
        "N(0, m)": rng.normal(0, 1, len(found)),
    }[truths]
    moved = {c: found[c].to_numpy() + (new - stored) for c in ("est", "low", "high", "truth")}
    return found.assign(**moved)


def believed(found: pd.DataFrame, prior: tuple[float, float], at: np.ndarray | None = None) -> Posterior:
    """Posteriors of every answer, the standard error widened as the package does."""
    held = () if at is None else at[:, None]
    wide = widened(found["se"])
    sd = giving_way(found["est"], wide, prior)
    return posterior(found["est"], wide, found["df"], (prior[0], sd), at=held, points=POINTS)


# ---------------------------------------------------------------- lean


def lean_table(worlds: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """truths, setting, lean, lines, share, right: how often the truth is where the word leaves it, or on its side."""
    rows = []
    for truths, world in worlds.items():
        truth = world["truth"].to_numpy()
        words = leans(
            world["low"].to_numpy(), world["high"].to_numpy(), stats.t.cdf(world["est"] / world["se"], world["df"])
        )
        right = {"harm_ruled_out": truth > -1, "benefit_ruled_out": truth < 1, "both_ruled_out": abs(truth) < 1,
                 "leans_better": truth > 1e-9, "leans_worse": truth <= 1e-9}  # fmt: skip
        for setting in SETTINGS:
            here = (world["setting"] == setting).to_numpy()
            for word in (*right, "says_nothing"):
                mine = here & (words == word)
                share = float(right[word][mine].mean()) if word in right and mine.any() else np.nan
                rows.append((truths, setting, word, int(mine.sum()), mine.sum() / here.sum(), share))
    return pd.DataFrame(rows, columns=["truths", "setting", "lean", "lines", "share", "right"])


# ---------------------------------------------------------------- chance


def chances_given(world: pd.DataFrame, prior: tuple[float, float]) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Setting, question, chances given and whether it came true."""
    truth, made = world["truth"].to_numpy(), believed(world, prior)
    came = {"better": truth > 1e-9, "matters": truth >= 1, "harm": truth <= -1}
    said = {"better": made.above(0.0), "matters": made.above(1.0), "harm": 1 - made.above(-1.0)}
    for setting in SETTINGS:
        here = (world["setting"] == setting).to_numpy()
        for question, chance in said.items():
            yield setting, question, chance[here], came[question][here].astype(float)


def reliability_table(found: pd.DataFrame, rng: np.random.Generator, worlds: int = 10) -> pd.DataFrame:
    """truths, setting, question, tenth, lines, said, true: of the sceptical prior; lines are those of one world of
    truths, shares pooled over `worlds` of them (the truths as stored are one)."""
    rows = []
    for truths in TRUTHS:
        many = 1 if truths == "as stored" else worlds
        sums: dict[tuple[str, str], np.ndarray] = {}
        for _ in range(many):
            for setting, question, p, y in chances_given(populate(found, truths, rng), PRIORS["sceptical"]):
                tenth = np.clip((10 * p).astype(int), 0, 9)
                part = np.array([np.bincount(tenth, v, 10) for v in (np.ones(len(p)), p, y)])
                sums[setting, question] = sums.get((setting, question), 0) + part
        for key, (lines, said, true) in sums.items():
            shares = (said / np.maximum(lines, 1), true / np.maximum(lines, 1))
            rows += [(truths, *key, *row) for row in zip(range(10), lines / many, *shares, strict=True)]
    return pd.DataFrame(rows, columns=["truths", "setting", "question", "tenth", "lines", "said", "true"])


def brier_table(worlds: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """truths, setting, question, prior, brier: mean squared distance of chances from what came true."""
    rows = [
        (truths, setting, question, name, float(np.mean((p - y) ** 2)))
        for truths, world in worlds.items()
        for name, prior in PRIORS.items()
        for setting, question, p, y in chances_given(world, prior)
    ]
    return pd.DataFrame(rows, columns=["truths", "setting", "question", "prior", "brier"])


# ---------------------------------------------------------------- acts


def values_of_acts(
    world: pd.DataFrame, b: np.ndarray, made: Posterior, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """What each act brings over four rounds, as many places again to extend to; a test is one round as it is, then
    extending or stopping on both rollouts."""
    truth, se, df = (world[c].to_numpy() for c in ("truth", "se", "df"))
    second = np.clip(truth + rng.standard_t(np.maximum(df, 1.01)) * se, -50, 50)
    variance = np.clip(next_variance(se, df), 0.05**2, 20.0**2)
    both = (made.mean / made.sd**2 + second / variance) / (1 / made.sd**2 + 1 / variance)
    rounds, net, switch = rounds_and_places(left=True) / 2, truth - b, SWITCHING * b
    return {
        "extend": -switch + 2 * (1 + rounds) * net,
        "keep": (1 + rounds) * net,
        "stop": -switch,
        "test": net - cost_of_testing(b) - switch + np.where(both > b, 2 * rounds * net, 0.0),
    }


def rules_of_action(world: pd.DataFrame, b: np.ndarray, made: Posterior, stored: bool) -> dict[str, np.ndarray]:
    """Rule -> (n,) what it does with each answer. stored: verdicts were given to these very answers."""
    est, se, df, low, high = (world[c].to_numpy() for c in ("est", "se", "df", "low", "high"))
    variance, pays = next_variance(se, df), made.above(b)
    doubt = giving_way(est, widened(se), PRIORS["sceptical"])
    told = rollout_value(made.mean, made.sd, variance, b)
    test, moved = rounds_and_places(left=True) * told > cost_of_testing(b), made.sd <= MOVED * doubt
    words = {"keep_and_extend": "extend", "hold_and_test": "test", "stop": "stop"}
    acts = act_at_price(pays, moved, est < b, test)
    unmoved = act_at_price(pays, np.ones(len(est), bool), est < b, test)
    unknown = act_without_price(made.above(1.0), moved, est < 1)
    strict = believed(world, PRIORS["N(0, .61 m)"]).mean
    rounds, switch = rounds_and_places(left=True) / 2, SWITCHING * b
    after = made.mean - b - cost_of_testing(b) - switch + 2 * rounds * best_after(made.mean, made.sd, variance, b)
    expected = [2 * (1 + rounds) * (made.mean - b) - switch, (1 + rounds) * (made.mean - b), -switch, after]
    out = {name: np.full(len(est), name.split()[0], dtype=object) for name in ("keep all", "stop all", "test all")}
    out |= {
        "p < .05 extend, else stop": np.where(low > 0, "extend", "stop"),
        "p < .05 extend or stop, else keep": np.where(low > 0, "extend", np.where(high < 0, "stop", "keep")),
        "estimate above break-even": np.where(est > b, "extend", "stop"),
        "mean under N(0, .61 m) above break-even": np.where(strict > b, "extend", "stop"),
        "the rule, the data need not move": np.array([words.get(a, "stop") for a in unmoved]),
        "the rule": np.array([words.get(a, "stop") for a in acts]),
        "the rule, pool kept": np.array([words.get(a, "keep") for a in acts]),
        "largest expectation": np.array(["extend", "keep", "stop", "test"])[np.argmax(expected, axis=0)],
        "the rule, worth unknown": np.array([words[a] for a in unknown]),
    }
    if stored and "verdict" in world:
        said = world["verdict"].isin(["shown", "likely"]).to_numpy() & (est > 0)
        out["shown or likely extend, else stop"] = np.where(said, "extend", "stop")
    return out


def act_table(worlds: Mapping[str, pd.DataFrame], rng: np.random.Generator) -> pd.DataFrame:
    """money, truths, setting, rule, share (net benefit as a share of that of knowing the truth), extend, test, stop."""
    rows = []
    for money in ("spread", "own"):
        for truths, world in worlds.items():
            world = world if money == "spread" else world[world["break_even"].notna()].reset_index(drop=True)
            spread = rng.choice(BREAK_EVENS, len(world))
            b = spread if money == "spread" else world["break_even"].to_numpy()
            weight = np.ones(len(world)) if money == "spread" else world["scale"].to_numpy()
            made = believed(world, PRIORS["sceptical"], b)
            value = values_of_acts(world, b, made, rng)
            known = weight * np.maximum.reduce([value[a] for a in ("extend", "keep", "stop")])
            for rule, acts in rules_of_action(world, b, made, truths == "as stored").items():
                brought = weight * np.select([acts == a for a in value], list(value.values()))
                for setting in SETTINGS:
                    here = (world["setting"] == setting).to_numpy()
                    shares = [float((acts[here] == a).mean()) for a in ("extend", "test", "stop")]
                    total = known[here].sum()
                    share = brought[here].sum() / total if total > 0 else np.nan
                    rows.append((money, truths, setting, rule, share, *shares))
    return pd.DataFrame(rows, columns=["money", "truths", "setting", "rule", "share", "extend", "test", "stop"])


# ---------------------------------------------------------------- what degrees of freedom and money come to


def inputs(draws: int) -> pd.DataFrame:
    """Medians over draws by partnership, setting and component."""
    rows = []
    for name in SPECS:
        for setting in SETTINGS:
            for seed in range(1, draws + 1):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ek.EvalkitWarning)
                    found = ek.evaluate(ek.synthetic.partnership(name, setting, seed).study).decisions
                for line in found.lines:
                    case, worth = line.case, line.case.stake.worth
                    if case.ranged and len(case.members) == 1 and case.matters:
                        scale = case.stake.people_periods * case.matters * worth[0] if worth else np.nan
                        rows.append((name, setting, case.name, case.df, case.stake.cost / scale, scale))
    columns = ["partnership", "setting", "component", "df", "break_even", "scale"]
    return pd.DataFrame(rows, columns=columns).groupby(columns[:3], as_index=False).median()


# ---------------------------------------------------------------- page and picture


def draws_stored(every: pd.DataFrame) -> str:
    """How many draws of each partnership and setting the tables are made of: 'carers 200; pupils 8'."""
    many = every.groupby(["partnership", "setting"])["draw"].nunique().unstack()[list(SETTINGS)]
    each = {
        n: f"{row.iloc[0]:.0f}" if len(set(row)) == 1 else " / ".join("–" if np.isnan(d) else f"{d:.0f}" for d in row)
        for n, row in many.iterrows()
    }
    return "; ".join(f"{name.replace('_', ' ')} {words}" for name, words in each.items())


def reaches(reliability: pd.DataFrame, brier: pd.DataFrame, acts: pd.DataFrame, equal: pd.DataFrame) -> list[str]:
    """What was asked beside what is measured, as a table."""
    lines = ["| asked | measured | reached |", "|---|---|---|"]
    mine = reliability[(reliability["truths"] == "N(0, m)") & (reliability["question"] == "better")]
    for setting, most in (("clean", 0.10), ("realistic", 0.15)):
        part = mine[(mine["setting"] == setting) & (mine["lines"] >= LEAST)]
        gap = abs(part["said"] - part["true"]).max()
        words = f"each tenth of the scale within {most:.2f}, truths from the prior, {setting}"
        lines.append(f"| {words} | {gap:.3f} | {'yes' if gap <= most else 'no'} |")
    mean = brier.groupby("prior")["brier"].mean()
    below = f"{1000 * mean['sceptical']:.1f} beside {1000 * mean['flat']:.1f}"
    told = "yes" if mean["sceptical"] < mean["flat"] else "no"
    lines.append(f"| mean Brier score x 1,000 below that of a flat prior | {below} | {told} |")
    for made, asked, by in ((equal, (60, 50, 55), "equal weights"), (acts, (75, 65, 65), "weights of least noise")):
        shares = _shares(made, "the rule")
        enough = all(100 * shares[s] >= v for s, v in zip(SETTINGS, asked, strict=True))
        words = f"acts, of what knowing would be worth, {by}, {' / '.join(map(str, asked))}"
        lines.append(f"| {words} | {_said(shares)} | {'yes' if enough else 'no'} |")
    lines.append(f"| the same of who extends what is shown or likely, else stops, equal weights | "
                 f"{_said(_shares(equal, 'shown or likely extend, else stop'))} | |")  # fmt: skip
    held = pd.read_csv(RESULTS / "decision_withheld.csv")
    share = 100 * held["withheld"].sum() / held["lines"].sum()
    words = (
        f"chances withheld for at most 15 in 100 lines with a range ({held['lines'].sum()} lines, whole evaluations)"
    )
    return [*lines, f"| {words} | {share:.0f} | {'yes' if share <= 15 else 'no'} |"]


def _shares(acts: pd.DataFrame, rule: str) -> pd.Series:
    """What a rule brings by setting, truths as stored, break-even effects spread."""
    mine = (acts["money"] == "spread") & (acts["truths"] == "as stored") & (acts["rule"] == rule)
    return acts[mine].set_index("setting")["share"]


def _said(shares: pd.Series) -> str:
    return " / ".join(f"{100 * shares[s]:.0f}" for s in SETTINGS)


def summary(
    leaned: pd.DataFrame,
    reliability: pd.DataFrame,
    brier: pd.DataFrame,
    acts: tuple[pd.DataFrame, pd.DataFrame],
    every: pd.DataFrame,
) -> str:
    """What README.md says of the tables; acts: on these answers, and on those of equal weights."""
    acts, equal = acts
    stored = f"Draws stored (clean / realistic / hard where they differ): {draws_stored(every)}."
    out = [f"{len(every):,} answers with a range, by weights of least noise; made by `python benchmarks/decision.py "
           f"--write`. {stored} Pupils serve the lean alone. Other truths than the stored ones are drawn with the same "
           "errors and ranges: nothing is evaluated anew.", "", *reaches(reliability, brier, acts, equal), "",
           "Chance that it helps, truths drawn ten times from the prior: in each tenth, lines and how often it helps.",
           "",
           "| setting | " + " | ".join(f"{t / 10:g} to {(t + 1) / 10:g}" for t in range(10)) + " | largest gap |",
           "|---|" + "---|" * 11]  # fmt: skip
    mine = reliability[(reliability["truths"] == "N(0, m)") & (reliability["question"] == "better")]
    for setting, part in mine.groupby("setting", sort=False):
        cells = [f"{r.lines:.0f}: {100 * r.true:.0f}%" for r in part.itertuples()]
        gap = abs(part["said"] - part["true"])[part["lines"] >= LEAST].max()
        out.append(f"| {setting} | {' | '.join(cells)} | {gap:.2f} |")
    out += ["", "Brier scores x 1,000 (mean over settings and questions) under each set of truths.", "",
            "| prior | " + " | ".join(TRUTHS) + " | mean |", "|---|" + "---|" * 7]  # fmt: skip
    mean = (1000 * brier.groupby(["prior", "truths"], sort=False)["brier"].mean()).unstack()[list(TRUTHS)]
    for prior, row in mean.iterrows():
        out.append(f"| {prior} | {' | '.join(f'{v:.0f}' for v in row)} | {row.mean():.1f} |")
    for money, words in (
        ("spread", "break-even effects of .1 to 1.2 of what matters"),
        ("own", "each study's own money"),
    ):
        out += ["", f"Net benefit as a share of knowing the truth, per cent (clean / realistic / hard), {words}.", "",
                "| rule | " + " | ".join(TRUTHS) + " |", "|---|" + "---|" * len(TRUTHS)]  # fmt: skip
        mine = acts[acts["money"] == money]
        for rule in dict.fromkeys(mine["rule"]):
            cells = []
            for truths in TRUTHS:
                part = mine[(mine["rule"] == rule) & (mine["truths"] == truths)].set_index("setting")["share"]
                cells.append(
                    " / ".join(f"{100 * part[s]:.0f}" if part[s] == part[s] else "–" for s in SETTINGS)
                    if len(part)
                    else ""
                )
            out.append(f"| {rule} | {' | '.join(cells)} |")
    out += ["", "How often a lean is right, truths as stored, per cent of lines (per cent right).", "",
            "| setting | harm ruled out | benefit ruled out | both | leans better | leans worse | says nothing |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    order = ["harm_ruled_out", "benefit_ruled_out", "both_ruled_out", "leans_better", "leans_worse", "says_nothing"]
    stored = leaned[leaned["truths"] == "as stored"].set_index(["setting", "lean"])
    for setting in SETTINGS:
        rows = [stored.loc[(setting, word)] for word in order]
        cells = [
            f"{100 * r['share']:.0f}" + (f" ({100 * r['right']:.0f})" if r["right"] == r["right"] else "") for r in rows
        ]
        out.append(f"| {setting} | {' | '.join(cells)} |")
    return "\n".join(out)


def picture(reliability: pd.DataFrame, path: Path) -> None:
    """What was said beside what came true, a panel a setting; the area of a point is its number of lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, setting in zip(axes, SETTINGS, strict=True):
        axis.axline((0, 0), slope=1, color="0.6", linewidth=1)
        for truths, colour, mark in (("N(0, m)", "#0072B2", "o"), ("as stored", "#D55E00", "s")):
            part = reliability[(reliability["truths"] == truths) & (reliability["setting"] == setting)]
            part = part[(part["question"] == "better") & (part["lines"] >= 10)]
            axis.plot(part["said"], part["true"], color=colour, linewidth=1)
            axis.scatter(part["said"], part["true"], s=part["lines"] / 3, color=colour, marker=mark, label=truths)
        axis.set(title=setting, xlabel="chance given", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes[0].set_ylabel("share that helped")
    axes[0].legend(title="truths", loc="upper left", frameon=False, markerscale=0.5)
    figure.savefig(path, dpi=110, metadata={"Software": ""})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--inputs", type=int, metavar="N")
    chosen = parser.parse_args()
    if chosen.inputs:
        inputs(chosen.inputs).to_csv(RESULTS / "decision_inputs.csv", index=False, float_format="%.6g")
    rng = np.random.default_rng(SEED)
    every, equal = answers(), answers(equal=True)
    leaned = lean_table({t: populate(every, t, rng) for t in TRUTHS})
    timed, equal = (found[found["partnership"] != "pupils"].reset_index(drop=True) for found in (every, equal))
    worlds = {t: populate(timed, t, rng) for t in TRUTHS}
    reliability, brier = reliability_table(timed, rng), brier_table(worlds)
    acts, before = act_table(worlds, rng), act_table({"as stored": populate(equal, "as stored", rng)}, rng)
    words = summary(leaned, reliability, brier, (acts, before), every)
    print(words)
    if chosen.write:
        named = {"lean": leaned, "reliability": reliability, "brier": brier, "acts": acts}
        for name, table in named.items():
            table.to_csv(RESULTS / f"decision_{name}.csv", index=False, float_format="%.4f", lineterminator="\n")
        picture(reliability, RESULTS / "decision_reliability.png")
        into_readme(START, END, words)


if __name__ == "__main__":
    main()
