"""The tick that keeps sites' own accounting like ours: `kyoyod site sync` for each of them, from time to time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import structlog
from prometheus_client import Gauge

from hpc_adapters.errors import Unavailable
from hpc_adapters.slurm.provisioning.applying import Outcome
from hpc_adapters.slurm.provisioning.reconciling import Report, reconcile
from infra.db.connection import Lease, Pool, transaction
from portal.bootstrap import OpenDirectory, open_directory
from portal.settings import Settings, SlurmSite
from portal.site.syncing import wanted
from portal.site.telling import report_lines
from scheduler.loops.items import stops_the_loop

_DIFFERS = Gauge("kyoyo_site_differs", "1: a site's accounting is not like ours, and a person must look", ["backend"])
_log = structlog.get_logger("portal.site")


def sites_of(settings: Settings) -> Mapping[str, SlurmSite]:
    """The machines whose accounting can be kept. SettingsWrong."""
    return {name: each for name, each in settings.machines().items() if isinstance(each, SlurmSite)}


async def tick(
    sites: Mapping[str, SlurmSite],
    pool: Pool,
    lease: Lease | None,
    now: datetime,
    *,
    open_site: OpenDirectory = open_directory,
) -> int:
    """How many changes were made. What goes wrong at one site does not stop the others, and is tried again."""
    made = 0
    for backend, site in sites.items():
        try:
            report = await _synchronised(backend, site, pool, lease, now, open_site=open_site)
        except Unavailable as away:
            _log.warning("site not synchronised", backend=backend, problem=str(away))
        except Exception as problem:
            if stops_the_loop(problem):
                raise
            _log.error("site not synchronised", backend=backend, exc_info=problem)
        else:
            made += sum(each.outcome is Outcome.SENT for each in report.done)
            _tell(backend, report)
    return made


async def _synchronised(
    backend: str, site: SlurmSite, pool: Pool, lease: Lease | None, now: datetime, *, open_site: OpenDirectory
) -> Report:
    """Removals in a mass are left to people, who name their number."""
    async with transaction(pool, lease=lease):
        pass  # a snapshot cannot ask whether we still lead
    async with transaction(pool, snapshot=True) as conn:
        wishes = await wanted(conn, backend=backend, site=site, now=now)
    async with open_site(backend, site) as directory:
        return await reconcile(directory, wishes)


def _tell(backend: str, report: Report) -> None:
    is_settled = report.is_settled and not report.plan.findings
    _DIFFERS.labels(backend).set(not is_settled)
    if not is_settled:
        _log.warning("site differs", backend=backend, told=list(report_lines(report)))
    elif report.done:
        _log.info("site synchronised", backend=backend, told=list(report_lines(report)))
