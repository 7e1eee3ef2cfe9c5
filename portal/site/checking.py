"""`kyoyod site check`: whether jobs can be sent to a site."""

from __future__ import annotations

import pwd
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from hpc_adapters.contract import Capacity, Health
from hpc_adapters.errors import Unavailable
from hpc_adapters.slurm.provisioning.checking import Missing, check
from hpc_adapters.slurm.site_check import Lack
from portal.bootstrap import open_backend, open_directory, site_lacks
from portal.settings import Settings, SlurmSite


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """health: of the site as a backend. unknown_users: mapped, and this machine does not know them."""

    health: Health
    capacity: Capacity | None
    missing: Sequence[Missing]
    lacks: Sequence[Lack]
    unknown_users: Sequence[str]

    @property
    def is_good(self) -> bool:
        """Whether nothing is missing."""
        is_set_up = not self.missing and not self.unknown_users and not any(lack.is_serious for lack in self.lacks)
        return self.health.ok and self.capacity is not None and is_set_up

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{'ok' if self.health.ok else 'not ok'}: {self.health.detail}"
        if self.capacity is not None:
            total = self.capacity.total
            yield f"in service: {total.gpus} GPUs, {total.cpus} CPUs, {total.memory_mb} MB"
        else:
            yield "in service: not known"
        yield from (f"missing: {each.lack.value}: {each.remedy}" for each in self.missing)
        yield from (f"missing: unix-user: this machine does not know {each}" for each in self.unknown_users)
        for lack in self.lacks:
            yield f"{'missing' if lack.is_serious else 'advice'}: {lack.code}: {lack.told}"
        if self.lacks:
            yield "see hpc_adapters/slurm/README.md, What a site must have"
        yield "nothing is missing" if self.is_good else "jobs cannot be sent there yet"

    def as_json(self) -> dict[str, object]:
        total = self.capacity.total if self.capacity else None
        return {
            "ok": self.is_good,
            "health": {"ok": self.health.ok, "detail": self.health.detail},
            "gpus": total.gpus if total else None,
            "missing": [each.as_json() for each in self.missing],
            "unknown_users": list(self.unknown_users),
            "lacks": [asdict(lack) for lack in self.lacks],
        }


async def checked(settings: Settings, backend: str, site: SlurmSite, unix_users: Iterable[str]) -> Checked:
    """Asks the site itself, and this machine for its users. SettingsWrong, Unavailable."""
    async with open_backend(settings, backend) as opened:
        health = await opened.health()
        try:
            capacity = await opened.capacity()
        except Unavailable:
            capacity = None
    async with open_directory(backend, site) as directory:
        admin = site.admin_user or site.service_user
        missing = await check(directory, service_user=site.service_user, admin_user=admin)
    unknown = [user for user in unix_users if user not in site.uids and not _is_known(user)]
    lacks = await site_lacks(backend, site)
    return Checked(health=health, capacity=capacity, missing=missing, lacks=lacks, unknown_users=unknown)


def _is_known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
