"""Files of about 200 lines and functions of about 20 are the aim; over 400 and 40 is reported, much more is refused."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.report import REPORT
from tests.support.repository import PACKAGES, parsed, python_files, shown

LONG_FILE, LONGEST_FILE = 400, 500
LONG_FUNCTION, LONGEST_FUNCTION = 40, 60


@dataclass(frozen=True, slots=True)
class Piece:
    where: str
    lines: int


def _files() -> list[Piece]:
    return [
        Piece(shown(path), len(path.read_text(encoding="utf-8").splitlines()))
        for path in python_files(*PACKAGES, "client", "tests")
    ]


def _functions() -> list[Piece]:
    """Lines of code of each function: without its docstring, which should not be saved on."""
    return [
        Piece(f"{shown(path)}:{node.lineno} {node.name}", _length(node))
        for path in python_files(*PACKAGES, "client", "tests")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    assert body[-1].end_lineno is not None
    return body[-1].end_lineno - body[0].lineno + 1


@pytest.mark.parametrize(
    ("pieces", "long", "longest"),
    [(_files, LONG_FILE, LONGEST_FILE), (_functions, LONG_FUNCTION, LONGEST_FUNCTION)],
    ids=["files", "functions"],
)
def test_nothing_is_too_long(
    pieces: Callable[[], list[Piece]], long: int, longest: int, record_property: Callable[[str, object], None]
) -> None:
    report = sorted((piece for piece in pieces() if piece.lines > long), key=lambda piece: -piece.lines)
    for piece in report:
        record_property(REPORT, f"{piece.lines} lines: {piece.where}")
    assert [piece for piece in report if piece.lines > longest] == []
