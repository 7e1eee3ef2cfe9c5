"""Arrays that may run so many tasks at a time: which of their tasks take part in the contest. Pure."""

from __future__ import annotations

import heapq


class Throttle:
    """Of one array. What runs or takes part counts; whoever takes part goes on to."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.running: set[int] = set()
        self._in: set[int] = set()
        self._out: set[int] = set()
        self._by_index: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        return bool(self.running or self._in or self._out)

    def waits(self, number: int, index: int) -> None:
        """It would take part."""
        if number not in self._out and number not in self._in:
            self._out.add(number)
            heapq.heappush(self._by_index, (index, number))

    def gone(self, number: int) -> None:
        """It neither waits nor runs."""
        for numbers in (self._out, self._in, self.running):
            numbers.discard(number)

    def runs(self, number: int) -> None:
        self.gone(number)
        self.running.add(number)

    def is_out(self, number: int) -> bool:
        """It waits, and takes no part yet."""
        return number in self._out

    def let_in(self) -> list[int]:
        """Who takes part from now on: of those that wait the lowest indices."""
        entered = []
        while self._out and len(self.running) + len(self._in) < self.most:
            _, number = heapq.heappop(self._by_index)
            if number in self._out:
                self._out.remove(number)
                self._in.add(number)
                entered.append(number)
        return entered
