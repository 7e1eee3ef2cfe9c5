"""How large a piece of quantum work may be where a device has nothing but itself. Pure."""

from __future__ import annotations

from hpc_adapters.contract import JobRequest
from hpc_adapters.errors import Rejected


def check_size(request: JobRequest, *, slots: int) -> None:
    """A circuit or a session takes a QPU and nothing else. Rejected: 'invalid-resources', 'too-large',
    'invalid-walltime'.
    """
    for unit, limit in (("gpus", 0), ("cpus", 0), ("memory_mb", 0), ("qpus", slots)):
        asked = getattr(request.resources, unit)
        if asked < 0:
            raise Rejected("invalid-resources", unit=unit, asked=asked)
        if asked > limit:
            raise Rejected("too-large", unit=unit, asked=asked, limit=limit)
    if request.walltime_s <= 0:
        raise Rejected("invalid-walltime", walltime_s=request.walltime_s)
