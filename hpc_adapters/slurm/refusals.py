"""What Slurm's "no" to a submission means: never (Rejected), or not now (Unavailable). Pure."""

from __future__ import annotations

from typing import Final

from hpc_adapters.errors import BackendError, Rejected, Unavailable
from hpc_adapters.slurm.faults import Fault

_FIRST_OF_REST: Final = 9000
_LAST_OF_REST: Final = 9399

NEVER: Final = {
    2000: "unknown-partition",
    2001: "unknown-partition",
    2002: "user-not-allowed",
    2003: "partition-not-allowed",
    2004: "too-large",
    2005: "too-large",
    2006: "too-large",
    2010: "unknown-user",
    2012: "path-too-long",
    2014: "no-node-fits",
    2015: "no-node-fits",
    2025: "invalid-task-count",
    2029: "unknown-constraint",
    2036: "unsupported-by-site",
    2037: "unsupported-by-site",
    2044: "too-large",
    2045: "unknown-account",
    2048: "unknown-license",
    2051: "walltime-too-long",
    2052: "reservation-not-allowed",
    2053: "unknown-reservation",
    2066: "unknown-qos",
    2069: "too-large",
    2072: "unknown-gpu-type",
    2080: "unknown-reservation",
    2114: "unknown-constraint",
    2115: "unknown-gpu-type",
    2119: "unknown-gpu-type",
    2122: "unknown-gpu-type",
    2129: "reservation-not-allowed",
    2130: "partition-not-allowed",
    2133: "unknown-constraint",
    2134: "too-large",
    2167: "unknown-user",
    2168: "unknown-user",
    2169: "unknown-account",
    8000: "walltime-missing",
}
"""Slurm's number → our code."""

NOT_NOW: Final = {
    2007: "slurm-full",
    2013: "no-room",
    2016: "no-room",
    2020: "slurm-busy",
    2040: "licenses-in-use",
    2050: "site-limit",
    2055: "reservation-busy",
    2056: "reservation-not-usable",
    2061: "slurm-busy",
    2068: "nodes-not-available",
    2070: "partition-down",
    2074: "site-limit",
    2078: "no-room",
    2090: "slurm-internal",
    2101: "partition-down",
    2105: "submissions-disabled",
    2118: "maintenance",
    2120: "nodes-not-available",
    2125: "slurm-busy",
}
"""Nothing was created, and the same request may be taken later: a limit of jobs at once, a partition that is down."""

OTHER: Final = "slurm-refused"
NOT_UNDERSTOOD: Final = "request-not-understood"


def of_submission(fault: Fault) -> BackendError:
    """What to raise. A number that we do not know is a refusal too: slurmctld has answered, and created nothing."""
    if fault.number in NOT_NOW:
        return Unavailable(f"{NOT_NOW[fault.number]}: {fault}", maybe_done=False)
    if _FIRST_OF_REST <= fault.number <= _LAST_OF_REST:
        return Rejected(NOT_UNDERSTOOD, slurm_error=fault.number, slurm_text=fault.text)
    return Rejected(NEVER.get(fault.number, OTHER), slurm_error=fault.number, slurm_text=fault.text)
