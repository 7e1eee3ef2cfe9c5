"""What two readings of the same attempts disagree about. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from uuid import UUID

from scheduler.core.snapshot import Holding, Waiting

_UNTOLD = object()


def differences(known: Mapping[UUID, Waiting | Holding], read: Iterable[Waiting | Holding], what: str) -> Sequence[str]:
    """Attempts that only one has, or of which they say something else: with the names of fields, no values."""
    there = {each.attempt_id: each for each in read}
    found = []
    for attempt_id in sorted(known.keys() | there.keys()):
        ours, theirs = known.get(attempt_id), there.get(attempt_id)
        if ours is None:
            found.append(f"{attempt_id} {what}, and is not known")
        elif theirs is None:
            found.append(f"{attempt_id} is thought to be one that {what}, and is not")
        elif ours != theirs:
            found.append(f"{attempt_id} {what} otherwise: {', '.join(_unlike(ours, theirs))}")
    return found


def _unlike(ours: Waiting | Holding, theirs: Waiting | Holding) -> Sequence[str]:
    names = (each.name for each in fields(ours))
    return [name for name in names if getattr(ours, name) != getattr(theirs, name, _UNTOLD)]
