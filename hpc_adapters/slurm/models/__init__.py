"""What Slurm's answers become: frozen records, the same for every version of its API."""

from __future__ import annotations

from hpc_adapters.slurm.models.associations import Account, Association, Qos, User
from hpc_adapters.slurm.models.jobs import DbJob, LiveJob, Step
from hpc_adapters.slurm.models.lenient import Json, NotReadable, Records, Unreadable
from hpc_adapters.slurm.models.machines import Node, Partition

__all__ = [
    "Account",
    "Association",
    "DbJob",
    "Json",
    "LiveJob",
    "Node",
    "NotReadable",
    "Partition",
    "Qos",
    "Records",
    "Step",
    "Unreadable",
    "User",
]
