"""Deliveries that nobody can read in one way only, or at all: each must be refused with its reason."""

from __future__ import annotations

GOOD = (
    "person,place,provider,code,value,occurred,recorded\n"
    "1,Place A,North,seen,1,2027-01-03,2027-01-05\n"
    "2,Place B,North,score,4.5,2027-01-04,2027-01-05\n"
)


def swap(old: str, new: str) -> bytes:
    """A delivery of a person's presence and of a value, with one thing else."""
    assert old in GOOD
    return GOOD.replace(old, new).encode()


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "no rows": (GOOD.splitlines()[0].encode() + b"\n", "there is no row"),
    "no code": (swap("provider,code,", "provider,kind,"), "no column 'code'"),
    "no place": (swap("person,place", "person,plaice"), "no column 'place'"),
    "two names": (swap("value,occurred", "code,occurred"), "2 columns called 'code'"),
    "short row": (swap(",2027-01-04,2027-01-05", ",2027-01-04"), "6 cells in row 1"),
    "Latin-1": (swap("Place B", "Plücke").decode().encode("latin-1"), "UTF-8"),
    "NUL": (swap("Place B", "Pla\0e B"), "NUL"),
    "open quote": (swap("Place B", '"Place B'), "quotation mark|cannot be read"),
    "no day": (swap("2027-01-04", "soon"), "occurred 'soon' is no day"),
    "day of a month that has none": (swap("2027-01-04", "2027-02-30"), "is no day"),
    "number for a day": (swap("2027-01-04", "45000"), "is no day"),
    "far day": (swap("2027-01-04", "1027-01-04"), "lies outside|is no day"),
    "day missing": (swap("2027-01-04,", ","), "occurred is missing in 1 row"),
    "person missing": (swap("\n2,", "\n,"), "person is missing in 1 row"),
    "words for a value": (swap("4.5", "four"), "value holds text such as 'four'"),
    "infinite": (swap("4.5", "inf"), "value is infinite"),
    "places alike": (swap("Place B", "place  a"), "ids that look alike"),
    "space": (swap("Place B", "Place B "), "begins or ends with a space"),
    "no Parquet": (b"PAR1 and then nothing", "cannot be read as Parquet"),
}
"""What it is -> what is in the file, and words of the refusal."""
