"""Why an attempt waits: one machine word, part of the API. Its sentences are in explain.py.

Any reason may have the fact vendor_queue: how many jobs, everybody's, wait at the vendor of a quantum device. Those of
ANSWERED may have the fact would: what would start the job now (core/book/answers.py, in words: remedies.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Why(StrEnum):
    NOT_PLANNED_YET = "NOT_PLANNED_YET"
    """The next cycle will look at it. Facts: none."""
    NO_CAPACITY = "NO_CAPACITY"
    """It does not fit in what is free. Facts: position, needed, free; earliest when it is the first in line."""
    RESERVED_FOR_EARLIER = "RESERVED_FOR_EARLIER"
    """It would fit, and would delay one that is before it. Facts: position, needed, until."""
    RUNNING_QUOTA = "RUNNING_QUOTA"
    """Its organisation, project or user has as many jobs with backends as it may. Facts: position, level
    ('organisation', 'project', 'user'), on (a backend, or '*': in total), running, max."""
    GPU_QUOTA = "GPU_QUOTA"
    """The same of GPUs in use. Facts: position, level, on, used, asked, max."""
    NU_QUOTA = "NU_QUOTA"
    """The same of normalised units in this month of Japan's calendar, running jobs at their full size. Facts: position,
    level, on, used, asked, max."""
    BORROW_LIMIT = "BORROW_LIMIT"
    """Its organisation would hold more than it may beyond its nominal share of the machine. Facts, in GPUs (or QPUs) of
    it: held, asked, nominal, max."""
    KEPT_SHARE = "KEPT_SHARE"
    """What is free is part of nominal shares that are not lent. Facts, as above: held, asked, nominal."""
    RESERVED_SHARE = "RESERVED_SHARE"
    """Work of class reserved holds what its organisation has for that class on the machine. Facts, as above: held,
    asked, max."""
    KEPT_FOR_RESERVED = "KEPT_FOR_RESERVED"
    """What is free is kept for work of class reserved, of its own organisation or another. Facts: asked, own (idle of
    its own organisation)."""
    NEXT_CYCLE = "NEXT_CYCLE"
    """It starts in a moment: one cycle starts only so many. Facts: position."""
    BACKEND_OFFLINE = "BACKEND_OFFLINE"
    """The machine takes no jobs now. Facts: backend; condition of a quantum device."""
    DEVICE_WINDOW = "DEVICE_WINDOW"
    """A quantum device is, or soon will be, calibrated or worked on, and the job might not end before. Facts: backend,
    since, until, kind ('calibrating', 'maintenance', 'offline')."""
    WALL = "WALL"
    """It could still run when something begins that nothing may run into. Facts: kind, at; 'reservation' (somebody has
    reserved units that it would hold): position, needed, earliest when it is the first in line; 'eligibility': its
    organisation's declaration ends; 'fiscal_year'."""
    RESERVATION_AHEAD = "RESERVATION_AHEAD"
    """Its reservation has not begun. Facts: reservation, until."""
    EXCEEDS_MACHINE = "EXCEEDS_MACHINE"
    """It is larger than what is now in service. Facts: needed, total."""
    NOT_ELIGIBLE = "NOT_ELIGIBLE"
    """Its organisation may start nothing now. Facts: code (of the refusal)."""
    RETRY_LATER = "RETRY_LATER"
    """A hand-over failed and is tried again. Facts: until."""
    DEPENDENCY = "DEPENDENCY"
    """It waits for other jobs, as was asked. Facts: jobs (numbers or ids)."""
    BEGIN_TIME = "BEGIN_TIME"
    """It was asked not to start earlier. Facts: until."""
    ARRAY_THROTTLE = "ARRAY_THROTTLE"
    """As many tasks of its array run as may at a time. Facts: running, max."""
    STAGING = "STAGING"
    """Its input files are being brought to the machine. Facts: problem, where there was one."""
    CANCEL_PENDING = "CANCEL_PENDING"
    """It is about to be cancelled. Facts: none."""
    PARKED = "PARKED"
    """Something is wrong with this very job on our side; somebody looks at it. Facts: until, problem."""


CONTEST: Final = frozenset({Why.NO_CAPACITY, Why.RESERVED_FOR_EARLIER, Why.NEXT_CYCLE, Why.NOT_PLANNED_YET})
"""Who waits for one of these waits for its turn, and for nothing else."""
FORESEEN: Final = CONTEST | {Why.DEVICE_WINDOW, Why.RUNNING_QUOTA}
"""Of whoever waits for one of these it can be foreseen when it starts (loops/forecasting.py)."""
WOULD: Final = "would"
ANSWERED: Final = CONTEST - {Why.NEXT_CYCLE, Why.NOT_PLANNED_YET} | {
    Why.RUNNING_QUOTA,
    Why.GPU_QUOTA,
    Why.NU_QUOTA,
    Why.BORROW_LIMIT,
    Why.KEPT_SHARE,
    Why.RESERVED_SHARE,
    Why.KEPT_FOR_RESERVED,
    Why.BACKEND_OFFLINE,
    Why.DEVICE_WINDOW,
    Why.WALL,
    Why.EXCEEDS_MACHINE,
}
"""It is worth asking whether another request would start now."""
