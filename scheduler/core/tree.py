"""The share tree: organisation → project → user, with weights; what each node holds and has used. Pure.

Amounts are in NU-rates: units × the machine's rate (milli-NU per unit and hour), so that GPUs and QPUs add up. Use
decays (growth.py) and includes, up to now, all that runs: nothing is charged late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.core.growth import Growth


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the tree as it is configured. parent: index of a node before it; None: at the top.

    weight: above 0; below the top, 0 is for who goes before all its siblings.
    """

    name: str
    weight: int = 1
    parent: int | None = None


_MICRO = 1_000_000
_LN2_MICRO = 693_147
"""ln 2: G(t) = 2^(t/H) grows by G(t)·ln 2 ÷ H in a second."""


class Tree:
    """Running totals of every node. A start or an end costs one step per level."""

    def __init__(self, nodes: Sequence[Node], *, half_life_s: int) -> None:
        self.weights: list[int] = []
        self.tops: list[int] = []
        self.held: list[int] = []
        self._used: list[int] = []
        self._growth = Growth(half_life_s)
        self._half_life_s = half_life_s
        self.paths: list[tuple[int, ...]] = []
        for node in nodes:
            self.add(node)

    def add(self, node: Node) -> int:
        """Its index. It has held and used nothing."""
        index = len(self.paths)
        above = () if node.parent is None else self.paths[node.parent]
        self.paths.append((*above, index))
        if node.parent is None:
            self.tops.append(index)
        self.weights.append(node.weight)
        for amounts in (self.held, self._used):
            amounts.append(0)
        return index

    def started(self, leaf: int, rate: int, now_s: int) -> None:
        since = rate * self._growth(now_s)
        for node in self.paths[leaf]:
            self.held[node] += rate
            self._used[node] -= since

    def ended(self, leaf: int, rate: int, now_s: int) -> None:
        until = rate * self._growth(now_s)
        for node in self.paths[leaf]:
            self.held[node] -= rate
            self._used[node] += until

    def corrected(self, leaf: int, rate: int, told: tuple[int, int], ran: tuple[int, int]) -> None:
        """What has ended was said to have run at one time, (since, until), and really ran at another."""
        more = self._between(ran) - self._between(told)
        for node in self.paths[leaf]:
            self._used[node] += rate * more

    def supposed(self, leaf: int, rate: int, now_s: int) -> None:
        """As if so much more were held from now on; less, to take a supposition back."""
        since = rate * self._growth(now_s)
        for node in self.paths[leaf]:
            self.held[node] += rate
            self._used[node] -= since

    def used_before(self, node: int, amount: int, now_s: int) -> None:
        """Use of the past of this node, in milli-NU-seconds as decayed to now: as if it were used at this instant."""
        self._used[node] += amount * self._growth(now_s) * _LN2_MICRO // (_MICRO * self._half_life_s)

    def remembers(self, node: int, past: int) -> None:
        """What `past` said of the same branch in another tree of the same clock and half-life."""
        self._used[node] += past

    def _between(self, span: tuple[int, int]) -> int:
        since_s, until_s = span
        return self._growth(until_s) - self._growth(since_s)

    def used(self, node: int, now_s: int) -> int:
        """Decayed use up to now, in units that are the same for all nodes at this moment."""
        return self._used[node] + self.held[node] * self._growth(now_s)

    def past(self, node: int) -> int:
        """What of `used` does not grow by itself."""
        return self._used[node]

    def worth(self, now_s: int) -> int:
        """What one milli-NU per hour, held for ever until now, would have used: the scale of `used`."""
        return self._growth(now_s)
