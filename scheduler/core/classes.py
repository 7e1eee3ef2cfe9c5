"""The order of the service classes, and who may ever make room for whom.

Only spot work makes room, and spot work asks nobody to: so whoever made room for somebody can never have that one make
room in turn, over however many steps.
"""

from __future__ import annotations

from pricing.model import ServiceClass

PRIORITY = (ServiceClass.RESERVED, ServiceClass.INTERACTIVE, ServiceClass.STANDARD, ServiceClass.SPOT)
"""Each goes before those after it; of the ones between, the policy says within whose work."""
GIVES_WAY = frozenset({ServiceClass.SPOT})


def goes_before(one: ServiceClass, other: ServiceClass) -> bool:
    """Strictly: a total order."""
    return PRIORITY.index(one) < PRIORITY.index(other)


def may_preempt(by: ServiceClass, victim: ServiceClass) -> bool:
    """Whether running work of the class `victim` may have to make room for waiting work of the class `by`."""
    return victim in GIVES_WAY and by not in GIVES_WAY and goes_before(by, victim)
