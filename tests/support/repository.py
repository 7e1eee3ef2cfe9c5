"""The repository's own files, for the tests that read code instead of running it."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("accounts", "scheduler", "pricing", "metering", "hpc_adapters", "portal", "infra")
CLIENT = "client/kyoyo"


@cache
def tracked_files() -> tuple[Path, ...]:
    """What git tracks, or is about to: without it (an unpacked archive), every file of ours."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    names = listing.stdout.split("\0")[:-1] if listing.returncode == 0 else _walk()
    return tuple(ROOT / name for name in sorted(set(names)) if (ROOT / name).is_file())


def _walk() -> list[str]:
    skipped = {".venv", "var", "build", "dist", "__pycache__"}
    inside = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
    return [str(path) for path in inside if not skipped & set(path.parts) and not path.parts[0].startswith(".")]


def python_files(*folders: str) -> list[Path]:
    wanted = tuple(ROOT / folder for folder in folders)
    return [
        path for path in tracked_files() if path.suffix == ".py" and any(path.is_relative_to(one) for one in wanted)
    ]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Every string literal, parts of f-strings included, docstrings not."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))
