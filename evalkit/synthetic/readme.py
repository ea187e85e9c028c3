"""The page beside the tables of a partnership: what the folder is, how to run it, what is sealed."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.synthetic.cutoff import later_period
from evalkit.synthetic.knobs import turned
from evalkit.synthetic.simulated import Simulated

_WHAT = {
    "panel": "one row a person and period: outcomes",
    "people": "one row a person: place, facts, whom each component can reach, when records start and end",
    "sites": "places",
    "links": "which group holds what share of which place",
    "components": "what the partnership delivers",
    "adoption": "when each was switched on, where",
    "background": "other things that went on at the time",
    "rate_card": "which outcomes are paid for, when, and how much",
    "claims": "payments claimed, person by person",
    "costs": "what was spent on each component, by place and period",
    "unit_costs": "what one more of an outcome is taken to be worth, to whom, and where that comes from",
    "cutoff": "everybody in programme places from whom the lowest scores were chosen, with the score",
}
_ROWS = (
    "No row before a person is first seen, none after the person has left. An empty outcome means that nobody wrote it "
    "down; it never means zero."
)
_MONEY = (
    "Claims follow from the panel by the rate card. Amounts are illustrative; `unit_costs.csv` says where each comes "
    "from, or that it was assumed."
)


def readme(made: Simulated, files: Mapping[str, str]) -> str:
    """The page. files: table -> the file that holds it."""
    spec = made.spec
    sections = [
        [f"# {spec.title}"],
        [
            f"{spec.story} **Everything here is simulated: no row is about a real person or place, and no number is an "
            "estimate of a real project.**"
        ],
        [f"Question: {spec.question}"],
        [f"Made by `{command(made)}`; the same seed gives the same tables everywhere."],
        ["## Run it"],
        [_commands()],
        ["or in Python, from this folder:"],
        [_python("rate_card" in files)],
        ["## What is in it"],
        [
            "| File | What |",
            "|---|---|",
            "| `study.toml` | the study, as an evaluator would set it up |",
            *(f"| `{file}` | {_WHAT[name]} |"
              for name, file in files.items()),
            "| `dictionary.csv` | every column of every table |",
            "| `truth/` | the answer, in a sealed envelope: open it when you have yours |",
        ],
        [_ROWS],
        [_MONEY] if "rate_card" in files else [],
        [_at_the_line(made)] if "cutoff" in files else [],
        ["## The envelope"],
        [_envelope(made)],
    ]  # fmt: skip
    return "\n\n".join("\n".join(s) for s in sections if s) + "\n"


def command(made: Simulated) -> str:
    """The command that makes the same folder again."""
    knobs = turned(made.knobs, made.spec.settings[made.setting])
    size = f" --size {knobs.pop('size'):g}" if "size" in knobs else ""
    words = "".join(f" --knob {name}={str(value).lower()}" for name, value in knobs.items())
    return f"evalkit synth {made.name} --setting {made.setting} --seed {made.seed}{size}{words} --out FOLDER"


def call(made: Simulated) -> str:
    """The call that makes the same partnership again."""
    knobs = turned(made.knobs, made.spec.settings[made.setting])
    words = "".join(f", {name}={value!r}" for name, value in knobs.items())
    return f'ek.synthetic.partnership("{made.name}", "{made.setting}", seed={made.seed}{words})'


def _commands() -> str:
    lines = (
        "evalkit audit study.toml                  # what can be told apart, before any outcome is read",
        "evalkit run study.toml --out report       # the whole report; then open report/report.html",
    )
    return "\n".join(f"    {line}" for line in lines)


def _python(paid: bool) -> str:
    """The analysis in ten lines."""
    lines = [
        "import evalkit as ek",
        "",
        'study = ek.Study.load("study.toml")',
        "print(ek.separability(study))  # which components can be told apart",
        "evaluation = ek.evaluate(study)  # each by the strongest design that the rollout supports",
        'for sentence in evaluation.verdicts["sentence"]:',
        '    print("-", sentence)',
        *(["print(evaluation.value)  # what one more outcome cost"] if paid else []),
        'ek.report(evaluation, "report")',
    ]
    return "\n".join(["```python", *lines, "```"])


def _at_the_line(made: Simulated) -> str:
    return (
        f"`cutoff.csv` holds everybody in programme places, chosen or not; `later` is the score in period "
        f"{later_period(made.spec)}. `margin` is below 0 for the lowest scores. What being chosen did at the line: "
        '`ek.RegressionDiscontinuity("margin", cutoff=0)(ek.Study.load("cutoff.toml"), "support")`.'
    )


def _envelope(made: Simulated) -> str:
    return (
        "The truth was made by living the whole history again for every person under every combination of components "
        "on and off, with the same random numbers. `truth/effects.csv` has the averages: `last_in` (as it was, less "
        "without this component), `first_in` (this one alone, less none), `interaction`, `shapley` (a convention), "
        "`path` (by periods since the start), for those reached, everyone and groups. "
        f"`{call(made)}.score(evaluation)` lays estimate, interval, verdict and truth side by side."
    )
