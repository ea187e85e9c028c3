"""Every notebook runs from top to bottom with public names only, and is of a size that a student reads."""

from __future__ import annotations

import ast
from pathlib import Path

import jupytext
import pytest

import evalkit as ek

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
SMALL = 0.2
STEPS = ("wrong", "right", "open the envelope", "turn one knob until it breaks")


def cells(path: Path, kind: str) -> list[str]:
    return [c.source for c in jupytext.read(path).cells if c.cell_type == kind]


def test_there_is_one_for_each_design_and_each_partnership() -> None:
    code = {path.stem: "\n".join(cells(path, "code")) for path in NOTEBOOKS}
    public = {name: getattr(ek, name) for name in ek.__all__}
    named = [
        name for name, made in public.items()
        if isinstance(made, type) and made.__module__.startswith("evalkit.designs.")
    ]  # fmt: skip
    assert len(named) >= 9
    for name in named:
        assert any(stem.startswith("design_") and f"ek.{name}(" in text for stem, text in code.items()), name
    assert {f"partnership_{name}" for name in ek.synthetic.names()} <= set(code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_is_written_for_the_student(path: Path) -> None:
    words = "\n".join(cells(path, "markdown")).lower()
    whole = jupytext.read(path).cells
    assert 10 <= len(whole) <= 20
    assert all(step in words or (step == "wrong" and "the one line" in words) for step in STEPS)
    assert whole[0].source.startswith("# ")
    assert "import evalkit as ek" in "\n".join(cells(path, "code"))
    assert "from evalkit" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
@pytest.mark.parametrize("size", [SMALL, pytest.param(1.0, marks=pytest.mark.slow)], ids=["small", "whole"])
@pytest.mark.filterwarnings("ignore::evalkit.errors.EvalkitWarning")
def test_it_runs(path: Path, size: float, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line, with partnerships of fewer people than the notebook asks for, and as it stands."""
    whole = ek.synthetic.partnership
    shrunk = lambda *a, **options: whole(*a, **{**options, "size": size * options.get("size", 1.0)})  # noqa: E731
    monkeypatch.setattr(ek.synthetic, "partnership", shrunk)
    names: dict[str, object] = {"__name__": path.stem}
    for source in cells(path, "code"):
        exec(compile(ast.parse(source), str(path), "exec"), names)
    said = capsys.readouterr().out
    assert len(said.splitlines()) >= 4 and "nan  (   nan" not in said
