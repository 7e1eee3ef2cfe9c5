"""What the class of a job makes of it: in which tier it waits, and how it stands to what is guaranteed. Pure."""

from __future__ import annotations

from pricing.model import ServiceClass
from scheduler.core.book.guarantees import Footing
from scheduler.core.classes import GIVES_WAY
from scheduler.core.request import PROMISED, STANDARD
from scheduler.core.snapshot import Holding, Waiting


def footing_of(service_class: ServiceClass, *, is_inside: bool = False, is_call: bool = False) -> Footing:
    """is_inside: it runs in an advance reservation. is_call: a running job waits for it."""
    if is_call or is_inside:
        return Footing.FIRM
    if service_class in GIVES_WAY:
        return Footing.SPARE
    return Footing.WITHIN if service_class is ServiceClass.RESERVED else Footing.FIRM


_TIERS = {Footing.WITHIN: PROMISED, Footing.FIRM: STANDARD, Footing.SPARE: STANDARD + 1}


def tier_of(footing: Footing) -> int:
    """Spare work waits for all other; not so its calls: the GPUs of the job that made them are held and charged."""
    return _TIERS[footing]


def footing(job: Waiting | Holding) -> Footing:
    """Of one that waits, or is with its backend."""
    is_inside = job.inside is not None if isinstance(job, Waiting) else job.reservation_id is not None
    return footing_of(job.service_class, is_inside=is_inside, is_call=job.is_call)
