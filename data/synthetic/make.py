"""Make the committed partnerships again: `python data/synthetic/make.py [FOLDER]` (default: here).

Here, the table of knobs in README.md is written again too.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import evalkit as ek
from evalkit.synthetic import partnership
from evalkit.synthetic.knobs import knob_words
from evalkit.synthetic.settings import SPECS
from evalkit.synthetic.town import TOWN, TownKnobs

HERE = Path(__file__).parent
_PLACES = "| `places/` | a folder for each place: `study.toml`, panel and adoption |"
_CARDS = "| `cards/` | the evidence card of each place; the command above writes their studies, in `places/` |"
MARKS = "<!-- knobs: start -->", "<!-- knobs: end -->"


def main(folder: Path) -> None:
    """Write the realistic setting, seed 1, of every partnership, and of the town."""
    for name in (*SPECS, TOWN):
        shutil.rmtree(folder / name, ignore_errors=True)
        print(partnership(name, "realistic", 1).write(folder / name))


def portfolio(folder: Path, cards: bool = True) -> None:
    """Write the portfolio with the cards of its places instead of their 24 studies; cards: evaluate them (a minute)."""
    shutil.rmtree(folder / "portfolio", ignore_errors=True)
    made = partnership("portfolio", "realistic", 1)
    shutil.rmtree(made.write(folder / "portfolio"))
    page = folder / "portfolio" / "README.md"
    said = page.read_text(encoding="utf-8").replace(_PLACES, _CARDS)
    page.write_text(said, encoding="utf-8", newline="\n")
    for place in made.with_card if cards else ():
        study = made.studies[place]
        terms = {name: term for name, term in made.terms().items() if name in study.paths.components}
        card = ek.card(ek.evaluate(study), study=place, terms=terms, population={"place": place}, made="2026-11-27",
                       indigo=made.indigo_id(place), licence="CC0-1.0")  # fmt: skip
        print(card.save(folder / "portfolio" / "cards"))


def write_knobs(page: Path) -> None:
    """Put the table of knobs between its marks; those of the town after the others."""
    before, rest = page.read_text(encoding="utf-8").split(MARKS[0])
    rows = [f"| `{name}` | {words} |" for name, words in knob_words().items()]
    rows += [f"| `{name}` (town) | {words} |" for name, words in knob_words(TownKnobs).items()]
    table = "\n".join(["| Knob | What it does |", "|---|---|", *rows])
    page.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
    portfolio(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
    if len(sys.argv) == 1:
        write_knobs(HERE / "README.md")
