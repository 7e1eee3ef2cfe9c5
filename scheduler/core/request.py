"""What the engine knows of a job: whole numbers only, so that order and time are exact. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Request(NamedTuple):
    """One job that wants `units` of one machine for at most `limit_s`.

    number: its handle, unique, and the last word of every order. leaf: its place in the share tree. machine: index of
    the machine. submitted_s and all times of the engine: whole seconds since one origin.
    """

    number: int
    leaf: int
    units: int
    limit_s: int
    submitted_s: int
    machine: int = 0
