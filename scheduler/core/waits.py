"""What waits in the engine, by number: as it was told, or as rows that came all at once. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scheduler.core.backlog import Backlog
from scheduler.core.request import Place
from scheduler.core.rows import Rows


class Waits(Mapping[int, Place]):
    """A step for each backlog, and O(log n) in it."""

    def __init__(self) -> None:
        self._told: dict[int, Place] = {}
        self._loaded: list[tuple[Backlog, Rows]] = []

    def __len__(self) -> int:
        return len(self._told) + sum(rows.left for _, rows in self._loaded)

    def __iter__(self) -> Iterator[int]:
        yield from self._told
        for backlog, rows in self._loaded:
            yield from backlog.number[rows.here()].tolist()

    def __contains__(self, number: object) -> bool:
        if number in self._told:
            return True
        return isinstance(number, int) and any(rows.find(number) is not None for _, rows in self._loaded)

    def __getitem__(self, number: int) -> Place:
        told = self._told.get(number)
        if told is not None:
            return told
        for backlog, rows in self._loaded:
            row = rows.find(number)
            if row is not None:
                return backlog.place(row)
        raise KeyError(number)

    def load(self, backlog: Backlog) -> None:
        """They all wait."""
        self._loaded.append((backlog, Rows(backlog.number)))

    def add(self, place: Place) -> None:
        self._told[place[1]] = place

    def pop(self, number: int) -> Place:
        """KeyError: it does not wait."""
        told = self._told.pop(number, None)
        if told is not None:
            return told
        for backlog, rows in self._loaded:
            row = rows.drop(number)
            if row is not None:
                return backlog.place(row)
        raise KeyError(number)
