"""No sentence anywhere in evalkit claims more than a comparison can: every string that code could print is read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "evalkit"
CLAIMS = re.compile(
    r"\bprov(?:ed|es|en)\b|\bno (?:effect|impact)\b(?! (?:is |can be )?given\b| stands\b| of anything\b| of it alone\b)"
    r"|\bcaused?\b"
    r"|\bsignifican|\bdefinitely\b|\bcertainly\b|\bguarantee|\b(?:best|worst) (?:component|part)\b|\bmost effective\b"
    r"|\bdid not work\b|\b(?:it|which|that|programme|component) worked\b(?! out)|% of the success\b|\bexplains \d",
    re.IGNORECASE,
)


def spoken(tree: ast.AST) -> Iterator[str]:
    """Strings of a module that are no docstrings."""
    docs = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            docs |= {id(first.value)} if isinstance(first, ast.Expr) else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def claims(source: str) -> list[str]:
    return [words for words in spoken(ast.parse(source)) if CLAIMS.search(words)]


def test_no_sentence_claims_too_much() -> None:
    read = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        read += sum(1 for _ in spoken(ast.parse(source)))
        assert claims(source) == [], path
    assert read > 5000


@pytest.mark.parametrize("page", sorted((PACKAGE.parent / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_no_notebook_claims_too_much(page: Path) -> None:
    words = re.sub(r"\*[^*]+\*", "", page.read_text(encoding="utf-8"))  # what is in italics is quoted, often as wrong
    assert CLAIMS.findall(words) == []


@pytest.mark.parametrize(
    "words",
    ["The nurse proved her worth", "It caused 9 of them", "no effect on visits", "a significant rise", "a guarantee",
     "the best component", "the policy explains 40% of it", "It worked", "30% of the success"],
)  # fmt: skip
def test_the_search_sees_a_claim(words: str) -> None:
    assert claims(f"def f():\n    '''It is proved.'''\n    return {words!r}") == [words]


@pytest.mark.parametrize("words", ["no effect given", "because no effect stands", "it was worked out", "because of it"])
def test_the_search_leaves_honest_words_alone(words: str) -> None:
    assert claims(repr(words)) == []
