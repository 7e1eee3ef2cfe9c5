"""Why a job does not start now on what is free: the facts of the sentence that it is told. Pure."""

from __future__ import annotations

from collections.abc import Callable

from hpc_adapters.contract import Resources
from scheduler.core.reasons import Why
from scheduler.core.resources import plain
from scheduler.core.space import Space
from scheduler.core.vectors import Vector, fits, resources, vector
from scheduler.core.walls import RESERVATION

Facts = dict[str, object]
Refusal = tuple[Why, Facts]
When = Callable[[int], object]
"""A moment of the engine as it stands in facts."""


def refusal_of(space: Space, needs: Resources, limit_s: int, number: int, when: When) -> Refusal | None:
    """None: it could start. earliest is among the facts of a job that has a reservation."""
    asked = vector(needs)
    if not fits(asked, space.free):
        return no_capacity(space, needs, space.free, number, when)
    at_s = space.runs_into(asked, limit_s)
    if at_s is not None:
        facts: Facts = {"kind": RESERVATION, "at": when(at_s), "needed": plain(needs)}
        return Why.WALL, facts | _earliest(space, number, when)
    at_s = space.in_the_way_of(asked, limit_s, number)
    if at_s is not None:
        return Why.RESERVED_FOR_EARLIER, {"needed": plain(needs), "until": when(at_s)}
    return None


def no_capacity(space: Space, needs: Resources, free: Vector, number: int, when: When) -> Refusal:
    facts: Facts = {"needed": plain(needs), "free": plain(resources(free), asked=needs)}
    return Why.NO_CAPACITY, facts | _earliest(space, number, when)


def _earliest(space: Space, number: int, when: When) -> Facts:
    at_s = next((kept.at_s for kept in space.kept if kept.number == number), None)
    return {} if at_s is None else {"earliest": when(at_s)}
