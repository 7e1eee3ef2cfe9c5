"""Weights as a file: org, share and, for a tree of more levels, parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from scheduler.simulate.errors import TraceUnreadable
from scheduler.simulate.files import rows_of, text_of
from scheduler.simulate.numbers import Where, counted
from scheduler.simulate.rows import TraceJob

MAX_WEIGHT: Final = 1_000_000


class Share(NamedTuple):
    """The weight of one node. parent '': at the top."""

    name: str
    weight: int
    parent: str = ""


def read_shares(path: Path) -> list[Share]:
    """shares.csv, in the file's order: names once, weights above 0, parents that are there, no node above itself."""
    header, rows = rows_of(path.name, text_of(path), ("org", "share"))
    name_at, weight_at = header.index("org"), header.index("share")
    parent_at = header.index("parent") if "parent" in header else None
    shares: list[Share] = []
    numbers: dict[str, int] = {}
    for number, row in rows:
        where = Where(path.name, number)
        where.require(len(row) >= len(header), header[min(len(row), len(header) - 1)], "missing_value")
        name = row[name_at].strip()
        where.require(name, "org", "missing_value")
        where.require(name not in numbers, "org", "repeated", value=name)
        weight = counted(where, "share", row[weight_at].strip(), MAX_WEIGHT)
        where.require(weight, "share", "weight_zero", value=name)
        shares.append(Share(name, weight, "" if parent_at is None else row[parent_at].strip()))
        numbers[name] = number
    if not shares:
        raise TraceUnreadable(source=path.name, problem="no_rows", columns=[])
    _require_a_tree(path.name, shares, numbers)
    return shares


def equal_shares(jobs: Iterable[TraceJob]) -> list[Share]:
    """Weight 1 for everybody."""
    return [Share(org, 1) for org in sorted({job.org for job in jobs})]


def _require_a_tree(source: str, shares: Iterable[Share], numbers: Mapping[str, int]) -> None:
    parents = {share.name: share.parent for share in shares}
    for share in shares:
        where = Where(source, numbers[share.name])
        above, seen = share.parent, {share.name}
        while above:
            where.require(above in parents, "parent", "unknown_parent", value=above)
            where.require(above not in seen, "parent", "cycle", value=share.name)
            seen.add(above)
            above = parents[above]
