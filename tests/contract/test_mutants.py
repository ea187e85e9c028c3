"""Every seeded fault can still be seeded: the source that it changes stands in the package exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.faults import ROOMS, ROOT, Fault, read_faults

FAULTS = read_faults()


@pytest.fixture(scope="module")
def package() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted((ROOT / "evalkit").rglob("*.py"))]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_the_source_of_every_fault_occurs_once(fault: Fault, package: list[str]) -> None:
    found = sum(len(fault.pattern.findall(text)) for text in package)
    assert found == 1, f"{fault.find!r} occurs {found} times: change tests/mutants/faults.toml with the source"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_every_fault_says_where_why_and_which_tests_may_catch_it(fault: Fault) -> None:
    assert fault.room in ROOMS and len(fault.why) > 10 and fault.find.split() != fault.put.split()
    assert any((ROOT / "tests" / name).exists() for name in fault.tests), fault.tests


def test_names_are_different_and_every_room_has_faults() -> None:
    assert len({f.name for f in FAULTS}) == len(FAULTS) >= 45
    assert {f.room for f in FAULTS} == set(ROOMS)


def test_a_fault_is_put_in_with_the_indentation_of_the_source(tmp_path: Path) -> None:
    source = tmp_path / "deep" / "a.py"
    source.parent.mkdir()
    source.write_text("if True:\n        a = 1\n        b = 2\n", encoding="utf-8")
    fault = Fault("x", "inference", "a = 1 b = 2", "a = 3\n    b = 4", "why", ())
    assert fault.apply(tmp_path) == source
    assert source.read_text(encoding="utf-8") == "if True:\n        a = 3\n        b = 4\n"
    with pytest.raises(ValueError, match="found 0 times"):
        fault.apply(tmp_path)
    with pytest.raises(ValueError, match="no Python"):
        Fault("y", "inference", "b = 4", "b =", "why", ()).apply(tmp_path)
