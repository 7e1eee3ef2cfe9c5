"""A queue that came as columns, of which a row becomes a request only when somebody looks at it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.core.columns import Columns
from scheduler.core.request import STANDARD, Place, Request


class Backlog:
    """Of one machine, in ascending order of the jobs' numbers. Nothing of it ever changes. rank: see Order.rank."""

    def __init__(self, columns: Columns, machine: int, rank: NDArray[np.int64]) -> None:
        number = columns.number
        order = np.argsort(number, kind="stable") if (number[1:] < number[:-1]).any() else slice(None)
        self.machine = machine
        self.number, self.leaf, self.units = number[order], columns.leaf[order], columns.units[order]
        self.limit_s, self.submitted_s = columns.limit_s[order], columns.submitted_s[order]
        self.shape = self.units if columns.shape is None else columns.shape[order]
        self.tier = np.full(len(number), STANDARD) if columns.tier is None else columns.tier[order]
        self.rank = rank[order]

    def __len__(self) -> int:
        return len(self.number)

    def request(self, row: int) -> Request:
        return Request(
            self.number.item(row),
            self.leaf.item(row),
            self.units.item(row),
            self.limit_s.item(row),
            self.submitted_s.item(row),
            self.machine,
            self.shape.item(row),
            self.tier.item(row),
        )

    def requests(self, rows: NDArray[np.intp]) -> list[Request]:
        columns = self.number, self.leaf, self.units, self.limit_s, self.submitted_s
        told = [column[rows].tolist() for column in columns]
        told += [[self.machine] * len(rows), self.shape[rows].tolist(), self.tier[rows].tolist()]
        return list(map(Request._make, zip(*told, strict=True)))

    def place(self, row: int) -> Place:
        """In its line."""
        return self.rank.item(row), self.number.item(row), self.request(row)

    def places(self, rows: NDArray[np.intp]) -> list[Place]:
        """As place()."""
        return list(zip(self.rank[rows].tolist(), self.number[rows].tolist(), self.requests(rows), strict=True))


@dataclass(frozen=True, slots=True)
class Unread:
    """Rows of a backlog that nobody has looked at."""

    backlog: Backlog
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self) -> list[Place]:
        return self.backlog.places(self.rows)
