"""What a site's accounting is to hold, out of our database."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from accounts import service as accounts
from accounts.model import CustomerClass
from hpc_adapters.slurm.provisioning.model import Wanted
from infra.db.connection import Conn
from metering import service as metering
from portal.settings import SlurmSite
from portal.site.budget import gpu_minutes, lowest_price
from pricing import service as pricing


async def wanted(conn: Conn, *, backend: str, site: SlurmSite, now: datetime) -> Wanted:
    """Whom we mapped, whom we took back, and the limit of each account. One snapshot: transaction(…, snapshot=True)."""
    users = await accounts.list_site_users(conn, backend=backend)
    used = await metering.gpu_seconds(conn, backend=backend)
    offered = [await pricing.offerings(conn, customer_class=each, now=now) for each in CustomerClass]
    price = lowest_price(offered, backend=backend)
    minutes: dict[str, int] = {}
    for account, organisation_id in {each.account: each.organisation_id for each in users}.items():
        balance = await pricing.balance(conn, organisation_id, now=now)
        minutes[account] = gpu_minutes(
            used_gpu_s=used.get(organisation_id, Decimal(0)),
            payable_micro_yen=balance.available_micro_yen + balance.held_micro_yen,
            micro_yen_per_gpu_s=price,
        )
    return Wanted(
        cluster=site.cluster,
        root=site.root_account,
        gpu_minutes=minutes,
        members={each.unix_user: each.account for each in users if each.removed_at is None},
        departed={each.unix_user: each.account for each in users if each.removed_at is not None},
        preempted_by=site.preempted_by,
    )
