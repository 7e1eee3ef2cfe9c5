"""Some of many, and at the next time others, until all have had their turn. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice


class Turns:
    """Whoever comes or leaves meanwhile is seen, or not, from the next round on."""

    def __init__(self) -> None:
        self._rest: Iterator[int] = iter(())

    def next(self, all_: Collection[int], most: int) -> list[int]:
        """At most so many."""
        found = list(islice(self._rest, most))
        if len(found) < most:
            self._rest = iter(list(all_))
            found += islice(self._rest, most - len(found))
        return found
