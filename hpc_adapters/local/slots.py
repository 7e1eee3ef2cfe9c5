"""Who has which units of this machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hpc_adapters.confined.model import RunState
from hpc_adapters.contract import Resources


@dataclass(frozen=True, slots=True)
class Booking:
    """What one run that is not over occupies, `gpu_units` by their indices."""

    resources: Resources
    gpu_units: tuple[int, ...]

    def facts(self) -> dict[str, object]:
        """As kept with the run."""
        taken = self.resources
        return {
            "gpus": taken.gpus,
            "cpus": taken.cpus,
            "memory_mb": taken.memory_mb,
            "gpu_units": list(self.gpu_units),
        }


def booking_of(state: RunState) -> Booking:
    """From the facts kept with the run."""
    facts = state.facts
    taken = Resources(**{name: _whole(facts.get(name, 0)) for name in ("gpus", "cpus", "memory_mb")})
    units = facts.get("gpu_units", [])
    assert isinstance(units, list)
    return Booking(taken, tuple(units))


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def booked(states: Iterable[RunState]) -> list[Booking]:
    """Of all runs that are not over, the accepted that have not started included."""
    return [booking_of(state) for state in states if not state.is_over]


def free(total: Resources, bookings: Iterable[Booking]) -> Resources:
    """What is left."""
    taken = list(bookings)
    return Resources(
        gpus=total.gpus - sum(booking.resources.gpus for booking in taken),
        cpus=total.cpus - sum(booking.resources.cpus for booking in taken),
        memory_mb=total.memory_mb - sum(booking.resources.memory_mb for booking in taken),
    )


def book(total: Resources, bookings: Iterable[Booking], asked: Resources) -> Booking | None:
    """The lowest free units. None: no room now."""
    taken = list(bookings)
    if not asked.fits(free(total, taken)):
        return None
    used = {unit for booking in taken for unit in booking.gpu_units}
    units = [unit for unit in range(total.gpus) if unit not in used]
    return Booking(asked, tuple(units[: asked.gpus]))
