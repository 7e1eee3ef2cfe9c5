"""How far beyond its nominal share of each machine an organisation may go, and what of its own it lends. Pure.

Nominal share of a machine: weight ÷ sum of all weights that are set × its size. It is a matter of contract, so it
does not change with who has work. In exact whole numbers: amounts are held × SCALE, with SCALE = 100 · sum of weights,
so that every percent of every share is whole. A machine that cannot be divided (one GPU, one QPU) is shared in time
alone: no share of it would hold anything, and it is not limited here.

    may hold  (100 + max_borrow) % of the nominal share
    keeps     (100 − max_lend) % of the nominal share: what it does not hold of that is kept from borrowers
    borrows   who is beyond its nominal share after a start: only beside all that the others keep

Within its nominal share nobody is held up here, and has its turn and its reservations as if nothing were limited. So
it may take what a third keeps, where its own is lent; then nobody borrows until as much has come back, which is within
the longest limit. Where nobody lends anything, nobody is ever beyond its nominal share. What is held on nodes that
drain takes nothing from the machine, which is without them; it counts as held by its organisation until it has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from scheduler.core.quotas import Refused
from scheduler.core.reasons import Why

_PERCENT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Nominal:
    """What is set of an organisation. Percent of its nominal share; None: no limit."""

    weight: int
    max_borrow_percent: int | None = None
    """So much beyond it may hold."""
    max_lend_percent: int | None = None
    """So much of it others may hold while it is idle."""


_NONE: Final = Nominal(weight=0)
"""Of an organisation whose weight nobody has set: it has no nominal share, and lives on what others lend."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a machine: in milli-NU per hour, and in how many pieces (GPUs or QPUs) it can be held."""

    units: int
    pieces: int


class Borrowing:
    """Of machines by their index. A look, a start and an end cost a few steps each, however many organisations."""

    def __init__(self, sizes: Sequence[Size]) -> None:
        self._sizes = tuple(sizes)
        self._jobs: dict[int, tuple[UUID, int, int]] = {}
        self._draining = [0] * len(self._sizes)
        self._set({})

    def settle(self, nominal: Mapping[UUID, Nominal]) -> None:
        """What is set from now on; if it is other than it was, all that runs is counted again."""
        if nominal != self._nominal:
            self._set(nominal)

    def _set(self, nominal: Mapping[UUID, Nominal]) -> None:
        self._nominal = dict(nominal)
        self._scale = _PERCENT * sum(each.weight for each in nominal.values())
        self.is_limited = any(
            each.max_borrow_percent is not None or each.max_lend_percent is not None for each in nominal.values()
        )
        self._held: list[dict[UUID, int]] = [{} for _ in self._sizes]
        self._all_held = [0] * len(self._sizes)
        self._kept = [sum(self._keeps(each, machine) for each in nominal) for machine in range(len(self._sizes))]
        """What is idle and stays so for those whose it is: of all organisations, scaled."""
        for organisation, machine, units in self._jobs.values():
            self._count(organisation, machine, units)

    def drains(self, machine: int, units: int) -> None:
        """So much is held there on nodes that are out of service."""
        self._draining[machine] = units

    def started(self, number: int, organisation: UUID, machine: int, units: int) -> None:
        self._jobs[number] = organisation, machine, units
        self._count(organisation, machine, units)

    def ended(self, number: int) -> None:
        """One that was never counted changes nothing."""
        job = self._jobs.pop(number, None)
        if job is not None:
            organisation, machine, units = job
            self._count(organisation, machine, -units)

    def allows(self, organisation: UUID, machine: int, units: int) -> bool:
        """Whether a job of so many milli-NU per hour may start there, as far as this is concerned."""
        return not self.is_limited or self._why_not(organisation, machine, units) is None

    def refusal(self, organisation: UUID, machine: int, units: int) -> Refused | None:
        """Why it may not, in pieces of the machine. Of the others it tells nothing."""
        why = self._why_not(organisation, machine, units) if self.is_limited else None
        if why is None:
            return None
        facts: dict[str, object] = {
            "held": self._pieces(machine, self._scale * self.held(organisation, machine)),
            "asked": self._pieces(machine, self._scale * units),
            "nominal": self._pieces(machine, self._nominal_of(organisation, machine)),
        }
        most = self._most(organisation, machine)
        if why is Why.BORROW_LIMIT and most is not None:
            facts["max"] = self._pieces(machine, most)
        return why, facts

    def held(self, organisation: UUID, machine: int) -> int:
        """In milli-NU per hour."""
        return self._held[machine].get(organisation, 0)

    def borrowed(self) -> int:
        """What all organisations hold beyond their nominal shares, in milli-NU per hour. 0 where no weight is set."""
        if not self._scale:
            return 0
        beyond = (
            max(0, self._scale * held - self._nominal_of(organisation, machine))
            for machine, of_machine in enumerate(self._held)
            if self._is_divided(machine)
            for organisation, held in of_machine.items()
        )
        return sum(beyond) // self._scale

    # -- inside --------------------------------------------------------------------------------------------------------

    def _why_not(self, organisation: UUID, machine: int, units: int) -> Why | None:
        if not self._is_divided(machine):
            return None
        after = self._scale * (self.held(organisation, machine) + units)
        if after <= self._nominal_of(organisation, machine):
            return None
        most = self._most(organisation, machine)
        if most is not None and after > most:
            return Why.BORROW_LIMIT
        others_keep = self._kept[machine] - self._keeps(organisation, machine)
        in_service = max(0, self._all_held[machine] - self._draining[machine])
        after_all = self._scale * (in_service + units) + others_keep
        is_kept = others_keep and after_all > self._scale * self._sizes[machine].units
        return Why.KEPT_SHARE if is_kept else None

    def _is_divided(self, machine: int) -> bool:
        return self._sizes[machine].pieces > 1

    def _nominal_of(self, organisation: UUID, machine: int) -> int:
        return _PERCENT * self._nominal.get(organisation, _NONE).weight * self._sizes[machine].units

    def _most(self, organisation: UUID, machine: int) -> int | None:
        beyond = self._nominal.get(organisation, _NONE).max_borrow_percent
        if beyond is None:
            return None
        return self._nominal_of(organisation, machine) * (_PERCENT + beyond) // _PERCENT

    def _own(self, organisation: UUID, machine: int) -> int:
        """What it never lends."""
        lends = self._nominal.get(organisation, _NONE).max_lend_percent
        return 0 if lends is None else self._nominal_of(organisation, machine) * (_PERCENT - lends) // _PERCENT

    def _keeps(self, organisation: UUID, machine: int) -> int:
        """What it never lends and does not hold."""
        return max(0, self._own(organisation, machine) - self._scale * self.held(organisation, machine))

    def _count(self, organisation: UUID, machine: int, units: int) -> None:
        kept = self._keeps(organisation, machine)
        self._held[machine][organisation] = self.held(organisation, machine) + units
        self._all_held[machine] += units
        self._kept[machine] += self._keeps(organisation, machine) - kept

    def _pieces(self, machine: int, scaled: int) -> float:
        size = self._sizes[machine]
        return round(scaled * size.pieces / (self._scale * size.units), 2)
