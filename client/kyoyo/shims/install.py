"""Writes and removes the small files that are named like Slurm's commands. Never touches a file that is not ours."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from kyoyo.errors import UsageError

NAMES = ("sbatch", "squeue", "scancel", "sacct", "sinfo", "sshare")
_MARK = "# Made by `kyoyo shims install`; `kyoyo shims remove` takes it away.\n"
_MODE = 0o755


def install(folder: Path, *, python: str) -> Sequence[Path]:
    """One file a command, for this Python. UsageError: one of the names is taken by a file that is not ours."""
    paths = [folder / name for name in NAMES]
    for path in paths:
        if _exists(path) and not _is_ours(path):
            raise UsageError(key="wrong.foreign", path=path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            _write(path, f'#!/bin/sh\n{_MARK}exec {shlex.quote(python)} -m kyoyo.shims.{path.name} "$@"\n')
    except OSError as unwritable:
        raise UsageError(key="wrong.unwritable", path=folder) from unwritable
    return paths


def remove(folder: Path) -> Sequence[Path]:
    """Takes ours away and leaves every other file; what was removed."""
    ours = [path for name in NAMES if _is_ours(path := folder / name)]
    for path in ours:
        path.unlink()
    return ours


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(_MODE)
    draft.replace(path)


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        return _MARK in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
