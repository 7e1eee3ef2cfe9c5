"""What the engine knows of a job: whole numbers only, so that order and time are exact. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

STANDARD: Final = 1
"""The tier of work that is neither hurried nor spare."""
PROMISED: Final = STANDARD - 1
"""That of work which has units of its own: it goes before all order, and never beyond them."""


class _Fields(NamedTuple):
    number: int
    leaf: int
    units: int
    limit_s: int
    submitted_s: int
    machine: int
    shape: int
    tier: int


class Request(_Fields):
    """One job that wants `units` of one machine for at most `limit_s`.

    number: its handle, unique, and the last word of every order. leaf: its place in the share tree. machine: index of
    the machine. submitted_s and all times of the engine: whole seconds since one origin.

    units: how much of the machine it takes, for the shares. shape: what it asks for as the machine itself knows it; of
    a pool of equal units the same number. Jobs of one shape have the same units. tier: a lower one comes first,
    whosever turn it is.
    """

    __slots__ = ()

    def __new__(
        cls,
        number: int,
        leaf: int,
        units: int,
        limit_s: int,
        submitted_s: int,
        machine: int = 0,
        shape: int | None = None,
        tier: int = STANDARD,
    ) -> Self:
        row = (number, leaf, units, limit_s, submitted_s, machine, units if shape is None else shape, tier)
        return tuple.__new__(cls, row)

    def of_units(self, units: int) -> Self:
        """The same job, but for so many units of a pool of equal ones."""
        return self._replace(units=units, shape=units)


Place = tuple[int, int, Request]
"""(rank, number, the job): places compare by rank, then by number; numbers are unique."""
