"""What a site still lacks, as far as REST tells, for `kyoyod site check`. The rest is in the package's README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hpc_adapters.errors import BackendError
from hpc_adapters.jobhead.spool import Spool
from hpc_adapters.slurm import accounting
from hpc_adapters.slurm.calls import Ping, Slurm
from hpc_adapters.slurm.faults import SlurmError
from hpc_adapters.slurm.models.lenient import mapping
from hpc_adapters.slurm.rest import Rest
from hpc_adapters.slurm.settings import SlurmSettings
from hpc_adapters.slurm.versions import at_least

_CONFIGURATION_SINCE: Final = "v0.0.45"
_SKEW_AT_MOST_S: Final = 5.0
_MIN_JOB_AGE_S: Final = 300


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that a site should change. `code` is stable and kebab-case; `told` is what was found."""

    code: str
    told: str = ""
    is_serious: bool = True
    """Jobs, money or secrets are at risk; else it is advice."""


async def check_site(settings: SlurmSettings, *, rest: Rest, spool: Spool) -> list[Lack]:
    """Everything that could be looked at; what could not be is a Lack of its own. Raises nothing of Slurm's.

    Users, accounts and QOS are `provisioning.checking`'s.
    """
    slurm = Slurm(rest, service_user=settings.service_user)
    found = [*_folder(settings, spool)]
    try:
        ping = await slurm.ping()
    except BackendError as away:
        return [*found, Lack("slurmctld-unreachable", str(away))]
    found += _of_ping(ping, settings)
    for looking in (_partition(slurm, settings), _configuration(rest, ping, settings)):
        try:
            found += await looking
        except (BackendError, SlurmError) as wrong:
            found.append(Lack("not-told", str(wrong)))
    return found


@dataclass(frozen=True, slots=True)
class _Rule:
    """An option of slurm.conf, and which words in its value are wanted or are not."""

    option: str
    code: str
    wants: str = ""
    shuns: tuple[str, ...] = ()
    is_serious: bool = True

    def is_broken_by(self, value: str) -> bool:
        said = value.lower()
        return bool(self.wants and self.wants not in said) or any(word in said for word in self.shuns)


_RULES: Final = (
    _Rule("PrivateData", "private-data", wants="jobs"),
    _Rule("AccountingStorageEnforce", "limits-not-enforced", wants="limits"),
    _Rule("AccountingStorageTRES", "gpus-not-counted", wants="gres/gpu"),
    _Rule("AccountingStoreFlags", "stores-programs", shuns=("job_env", "job_script")),
    _Rule("JobRequeue", "job-requeue", shuns=("1", "true", "yes"), is_serious=False),
    _Rule("ProctrackType", "proctrack", shuns=("linuxproc", "pgid"), is_serious=False),
)


def of_configuration(conf: Mapping[str, object]) -> Iterator[Lack]:
    """From slurm.conf as REST shows it; what it does not show is not judged. Pure."""
    for rule in _RULES:
        if rule.option in conf and rule.is_broken_by(value := _text(conf[rule.option])):
            yield Lack(rule.code, f"{rule.option}={value}", is_serious=rule.is_serious)
    age = _text(conf.get("MinJobAge"))
    if age.isdigit() and int(age) < _MIN_JOB_AGE_S:
        yield Lack("min-job-age", f"MinJobAge={age}", is_serious=False)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return _text(value.get("number"))
    if isinstance(value, list):
        return ",".join(_text(each) for each in value)
    return "" if value is None else str(value)


def _folder(settings: SlurmSettings, spool: Spool) -> Iterator[Lack]:
    try:
        spool.require_usable()
    except OSError as error:
        yield Lack("folder-unusable", f"{settings.folder}: {error}")


def _of_ping(ping: Ping, settings: SlurmSettings) -> Iterator[Lack]:
    if ping.cluster and ping.cluster != settings.cluster:
        yield Lack("another-cluster", ping.cluster)
    if abs(ping.skew_s) > _SKEW_AT_MOST_S:
        yield Lack("clock-skew", f"{ping.skew_s:+.1f} s")


async def _partition(slurm: Slurm, settings: SlurmSettings) -> list[Lack]:
    partitions = (await slurm.partitions()).items
    ours = next((each for each in partitions if each.name == settings.partition), None)
    if ours is None:
        return [Lack("unknown-partition", settings.partition)]
    found = [] if ours.state == ("UP",) else [Lack("partition-down", " ".join(ours.state))]
    if ours.max_time_s is not None and ours.max_time_s < settings.max_walltime_s:
        found.append(Lack("walltime-over-partition", f"{settings.max_walltime_s} s > {ours.max_time_s} s"))
    if settings.gpu_type and f"gres/gpu:{settings.gpu_type}" not in ours.tres:
        nodes = (await slurm.nodes()).items
        if not any(f"gres/gpu:{settings.gpu_type}" in node.tres for node in nodes):
            found.append(Lack("unknown-gpu-type", settings.gpu_type))
    if settings.qpu_tres:
        nodes = (await slurm.nodes()).items
        if not any(accounting.qpus(node.tres, settings.qpu_tres) for node in nodes):
            found.append(Lack("qpus-not-counted", f"no node tells of {settings.qpu_tres}"))
    return found


async def _configuration(rest: Rest, ping: Ping, settings: SlurmSettings) -> list[Lack]:
    if not at_least(ping.version, _CONFIGURATION_SINCE):
        return [Lack("configuration-not-told", f"{ping.version} cannot show slurm.conf", is_serious=False)]
    answer = await rest.get("slurm/{v}/conf", user=settings.service_user)
    return list(of_configuration(mapping(answer.body, "slurm_conf")))
