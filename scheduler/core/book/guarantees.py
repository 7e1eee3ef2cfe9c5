"""Nominal shares of class reserved: units of a machine that an organisation has for that class, whoever waits. Pure.

    within     what of class reserved holds of its organisation's share there, by its GPUs or QPUs whatever else comes
               with them; it never goes beyond
    idle       Σ (share − within) over organisations: what is kept for them
    firm       all that does not have to make room, within the shares or not

Spot work may hold what is idle: it makes room. Firm work may not: it starts where firm + its own + idle ≤ the machine,
so what is idle can be had back as soon as spot work has left, and nobody waits for the end of a borrower's limit.
Jobs in advance reservations are firm, and are not stopped; a machine that cannot be divided can be kept as a whole.
What is held on nodes that drain is in no machine any more: so much firm work takes nothing from what is in service. As
nobody tells whose it is, spot work is taken to hold it first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

from scheduler.core.quotas import Refused
from scheduler.core.reasons import Why

GuaranteeOf = tuple[UUID, int]
"""An organisation, and a machine by its index."""


class Footing(IntEnum):
    """How a job stands to what is guaranteed."""

    FIRM = 0
    WITHIN = 1
    """Of class reserved, and in no advance reservation."""
    SPARE = 2
    """It makes room."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a machine: all its units, and those of one GPU or QPU."""

    units: int
    piece: int


class Guarantees:
    """Of machines by their index. Units are those of requests. A look, a start and an end cost a step or two."""

    def __init__(self, sizes: Sequence[Size]) -> None:
        self._sizes: Final = tuple(sizes)
        self._shares: dict[GuaranteeOf, int] = {}
        self._within: Counter[GuaranteeOf] = Counter()
        self._firm, self._spare = [0] * len(self._sizes), [0] * len(self._sizes)
        self._draining = [0] * len(self._sizes)
        self._jobs: dict[int, tuple[GuaranteeOf, int, Footing, int]] = {}
        self._idle = [0] * len(self._sizes)
        self.is_limited = False

    def settle(self, pieces: Mapping[GuaranteeOf, int]) -> None:
        """What is set from now on, in GPUs or QPUs. What runs goes on, also beyond it."""
        self._shares = {of: count * self._sizes[of[1]].piece for of, count in pieces.items() if count}
        self.is_limited = bool(self._shares)
        self._idle = [0] * len(self._sizes)
        for of in self._shares:
            self._idle[of[1]] += self._left(of)

    def drains(self, machine: int, units: int) -> None:
        """So much is held there on nodes that are out of service."""
        self._draining[machine] = units

    def started(self, number: int, of: GuaranteeOf, units: int, footing: Footing, count: int = 0) -> None:
        """count: its GPUs or QPUs, which is what a share is of; 0: it has none, and its units say what it takes."""
        self._jobs[number] = of, units, footing, count
        self._count(of, units, footing, self._of_share(of, units, count))

    def ended(self, number: int) -> None:
        """One that was never counted changes nothing."""
        job = self._jobs.pop(number, None)
        if job is not None:
            of, units, footing, count = job
            self._count(of, -units, footing, -self._of_share(of, units, count))

    def allows(self, of: GuaranteeOf, units: int, footing: Footing, count: int = 0) -> bool:
        """Whether a job of so many units may start, as far as this is concerned."""
        if footing is Footing.WITHIN:
            return self._of_share(of, units, count) <= self._shares.get(of, 0) - self._within[of]
        if footing is Footing.SPARE or not self.is_limited:
            return True
        idle = self._idle[of[1]]
        return not idle or self._in_service(of[1]) + units + idle <= self._sizes[of[1]].units

    def refusal(self, of: GuaranteeOf, units: int, footing: Footing, count: int = 0) -> Refused | None:
        """Why it may not, in GPUs or QPUs of its organisation's own. Of the others it tells nothing."""
        if self.allows(of, units, footing, count):
            return None
        facts: dict[str, object] = {"asked": self._pieces(of, units)}
        if footing is Footing.WITHIN:
            facts = {"asked": self._pieces(of, self._of_share(of, units, count))}
            facts |= {"held": self._pieces(of, self._within[of]), "max": self._pieces(of, self._shares.get(of, 0))}
            return Why.RESERVED_SHARE, facts
        return Why.KEPT_FOR_RESERVED, facts | {"own": self._pieces(of, self._left(of))}

    def _in_service(self, machine: int) -> int:
        """At most so much of the firm work is on nodes that do not drain."""
        firm = self._firm[machine]
        return firm - min(firm, max(0, self._draining[machine] - self._spare[machine]))

    def _left(self, of: GuaranteeOf) -> int:
        """Idle of one share."""
        return max(0, self._shares.get(of, 0) - self._within[of])

    def _of_share(self, of: GuaranteeOf, units: int, count: int) -> int:
        """As at submission, where nobody knows the machine's own proportions."""
        return count * self._sizes[of[1]].piece or units

    def _count(self, of: GuaranteeOf, units: int, footing: Footing, of_share: int) -> None:
        if footing is Footing.SPARE:
            self._spare[of[1]] += units
            return
        self._firm[of[1]] += units
        if footing is Footing.WITHIN:
            before = self._left(of)
            self._within[of] += of_share
            self._idle[of[1]] += self._left(of) - before

    def _pieces(self, of: GuaranteeOf, units: int) -> float:
        return round(units / self._sizes[of[1]].piece, 2)
