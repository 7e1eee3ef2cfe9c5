"""Checks a schedule without the engine: nothing before its time, never more than there is. Pure."""

from __future__ import annotations

from scheduler.simulate.replay import Outcome

_NEVER = 1 << 61


def violations(outcome: Outcome) -> list[str]:
    """What is wrong with it, in words; nothing, as it should be."""
    load = outcome.workload
    wrong = [
        f"job {job.number} started before its submission, or never"
        for job, start in zip(load.requests, outcome.starts, strict=True)
        if not job.submitted_s <= start < _NEVER
    ]
    for index, place in enumerate(load.places):
        changes: list[tuple[int, int]] = []
        for job, start, duration in zip(load.requests, outcome.starts, load.durations, strict=True):
            if job.machine == index:
                changes += [(start, job.units), (start + duration, -job.units)]
        changes.sort()
        held = 0
        for at, units in changes:
            held += units
            if held > place.units:
                wrong.append(f"{place.name}: {held} of {place.units} units held at {at} s")
    return wrong
