"""File name patterns of --output and --error: %j %x %A %a and the rest. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

PATTERN = "slurm-%j.out"
ARRAY_PATTERN = "slurm-%A_%a.out"
_SYMBOL = re.compile(r"%(\d*)([%AabJjNnstux])")
_WIDEST = 10
_NO_INDEX = "4294967294"
"""What Slurm itself writes for %a of a job that is no task of an array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the symbols stand for."""

    job: str
    name: str
    user: str
    array: str | None = None
    index: int | None = None


def file_name(pattern: str, facts: Facts) -> str:
    """The file that a pattern means for a job. A name of somebody's choosing never leads into another folder.

    The output of all nodes comes in one piece, so %N %n %s %t name the batch step on the first of them.
    """
    if "\\" in pattern:
        return pattern.replace("\\", "")  # sbatch's own: a backslash takes the meaning from every symbol
    values = {
        "%": "%",
        "A": facts.array or facts.job,
        "a": _NO_INDEX if facts.index is None else str(facts.index),
        "b": "0" if facts.index is None else str(facts.index % 10),
        "J": facts.job,
        "j": facts.job,
        "N": "node0",
        "n": "0",
        "s": "batch",
        "t": "0",
        "u": _safe(facts.user),
        "x": _safe(facts.name),
    }
    return _SYMBOL.sub(lambda found: _padded(values[found[2]], found[1]), pattern)


def default_pattern(*, is_task: bool) -> str:
    """Where sbatch writes when nobody says."""
    return ARRAY_PATTERN if is_task else PATTERN


def _padded(value: str, width: str) -> str:
    return value.zfill(min(int(width), _WIDEST)) if width and value.isdecimal() else value


def _safe(text: str) -> str:
    clean = text.replace("/", "_").replace("\0", "_")
    return "_" * len(clean) if clean in {".", ".."} else clean
