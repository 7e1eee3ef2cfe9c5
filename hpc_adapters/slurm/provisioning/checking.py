"""What a site lacks before jobs can be sent there under their owners' names, each with what helps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hpc_adapters.slurm.directory import Directory
from hpc_adapters.slurm.faults import SlurmError
from hpc_adapters.slurm.provisioning.model import GPU

_READS = frozenset({"OPERATOR", "ADMINISTRATOR"})
_MAKES_QOS = frozenset({"ADMINISTRATOR"})


class Lack(StrEnum):
    """The kinds."""

    NOT_ALLOWED = "not-allowed"
    """The user with whom we ask may not see the accounting."""
    SERVICE_USER = "service-user"
    """The service user may not see everybody's jobs: they would look forgotten."""
    ADMIN_USER = "admin-user"
    """The administrator may not make QOS: there would be no backstop."""
    GPU_NOT_TRACKED = "gpu-not-tracked"
    """Without GPUs in its accounting the site counts, and limits, no GPU-minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One of them, and the command or setting that helps."""

    lack: Lack
    remedy: str

    def as_json(self) -> dict[str, object]:
        return {"lack": self.lack.value, "remedy": self.remedy}


async def check(directory: Directory, *, service_user: str, admin_user: str) -> list[Missing]:
    """Everything that is missing. Unavailable."""
    try:
        levels = {each.name: each.admin_level.upper() for each in (await directory.users()).items}
        tracked = await directory.tracked()
    except SlurmError as refused:
        return [Missing(lack=Lack.NOT_ALLOWED, remedy=f"{_grant(admin_user, 'Administrator')} ({refused})"[:200])]
    missing = []
    if levels.get(service_user) not in _READS:
        missing.append(Missing(lack=Lack.SERVICE_USER, remedy=_grant(service_user, "Operator")))
    if levels.get(admin_user) not in _MAKES_QOS:
        missing.append(Missing(lack=Lack.ADMIN_USER, remedy=_grant(admin_user, "Administrator")))
    if GPU not in tracked:
        missing.append(Missing(lack=Lack.GPU_NOT_TRACKED, remedy=f"slurm.conf: AccountingStorageTRES={GPU}"))
    return missing


def _grant(user: str, level: str) -> str:
    return f"sacctmgr modify user {user} set adminlevel={level}"
