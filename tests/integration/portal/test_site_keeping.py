"""The worker's own `site sync`: our database on one side, an accounting in memory on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY

from accounts import service as accounts
from accounts.model import OrgRole
from hpc_adapters.errors import Unavailable
from hpc_adapters.slurm.directory import Directory
from hpc_adapters.slurm.models import Account, Association, Qos, Records, User
from infra.clock import utc_now
from infra.db.connection import Lease, Role, transaction
from infra.runner import Loop, Pace, run
from portal.settings import SlurmSite
from portal.site import keeping
from portal.worker import loops
from tests.support.database import Database
from tests.support.people import AYA, KEN, LATER, NOW, ORG, join, populate

SITE, OTHER = "gpu-site", "other-site"


class FakeDirectory(Directory):
    """Slurmdbd in memory, with one cluster that has nobody of ours. An unknown QOS is silently no user."""

    def __init__(self) -> None:
        self.looks = 0
        self.is_away = False
        self.known_qos: dict[str, Qos] = {}
        self.known_accounts = {"root": Account(name="root")}
        self.places = {("root", ""): Association(account="root", cluster="c")}

    async def accounts(self) -> Records[Account]:
        self.looks += 1
        if self.is_away:
            raise Unavailable("slurmdbd is away", maybe_done=False)
        return Records(tuple(self.known_accounts.values()))

    async def users(self) -> Records[User]:
        return Records(tuple(User(name=user) for _, user in self.places if user))

    async def associations(self) -> Records[Association]:
        return Records(tuple(self.places.values()))

    async def qos(self) -> Records[Qos]:
        return Records(tuple(self.known_qos.values()))

    async def add_account(self, name: str, *, cluster: str, parent: str, description: str, organization: str) -> None:
        self.known_accounts[name] = Account(name=name, description=description, organization=organization)
        self.places[name, ""] = Association(account=name, cluster=cluster, parent=parent)

    async def add_user(self, name: str, *, cluster: str, account: str, qos: str) -> None:
        if qos in self.known_qos:
            place = Association(account=account, user=name, cluster=cluster, qos=(qos,), default_qos=qos)
            self.places[account, name] = place

    async def put_associations(self, *items: Association) -> None:
        self.places |= {(each.account, each.user): each for each in items}

    async def put_qos(self, *items: Qos) -> None:
        self.known_qos |= {each.name: each for each in items}

    async def delete_association(self, *, account: str, user: str, cluster: str) -> bool:
        return self.places.pop((account, user), None) is not None

    def members(self) -> list[tuple[str, str]]:
        return sorted((account, user) for account, user in self.places if user)


class Site:
    """Two sites, each with its own accounting."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.directories = {SITE: FakeDirectory(), OTHER: FakeDirectory()}
        machine = SlurmSite(kind="slurm", cluster="c", url="http://x", jwt_key_file=Path("/x"), folder=Path("/x"))
        self.sites: Mapping[str, SlurmSite] = dict.fromkeys(self.directories, machine)

    @asynccontextmanager
    async def open(self, backend: str, _site: SlurmSite) -> AsyncIterator[Directory]:
        yield self.directories[backend]

    async def tick(self, lease: Lease | None = None) -> int:
        return await keeping.tick(self.sites, self.database.worker, lease, LATER, open_site=self.open)

    async def map(self, unix_user: str, person: object, *, backend: str = SITE) -> None:
        async with transaction(self.database.portal, role=Role.OPERATOR) as conn:
            await accounts.map_site_user(
                conn,
                actor=None,
                backend=backend,
                organisation_id=ORG,
                person_id=person,
                unix_user=unix_user,
                account="alpha",
                now=NOW,
            )

    async def unmap(self, unix_user: str) -> None:
        async with transaction(self.database.portal, role=Role.OPERATOR) as conn:
            await accounts.unmap_site_user(conn, actor=None, backend=SITE, unix_user=unix_user, now=LATER)


@pytest.fixture
async def site(database: Database) -> Site:
    await populate(database)
    async with transaction(database.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    return Site(database)


def differs(backend: str = SITE) -> float | None:
    return REGISTRY.get_sample_value("kyoyo_site_differs", {"backend": backend})


async def test_members_come_and_go_by_themselves(site: Site) -> None:
    there = site.directories[SITE]
    assert await site.tick() == 0
    assert list(there.known_accounts) == ["root"], "nobody is mapped: the site is left as it is"
    await site.map("aya", AYA)
    await site.map("ken", KEN)
    assert await site.tick() == 5
    assert there.members() == [("alpha", "aya"), ("alpha", "ken")]
    assert there.known_qos["ky-alpha"].group_tres_minutes == {"gres/gpu": 60}
    assert await site.tick() == 0
    await site.unmap("ken")
    assert await site.tick() == 1
    assert there.members() == [("alpha", "aya")]
    assert differs() == 0


async def test_what_somebody_changed_there_is_repaired(site: Site) -> None:
    there = site.directories[SITE]
    await site.map("aya", AYA)
    await site.tick()
    there.known_qos["ky-alpha"] = replace(there.known_qos["ky-alpha"], group_tres_minutes={}, flags=())
    assert await site.tick() == 1
    assert there.known_qos["ky-alpha"].group_tres_minutes == {"gres/gpu": 60}


async def test_a_mass_removal_is_left_to_people(site: Site) -> None:
    await site.map("aya", AYA)
    await site.tick()
    await site.unmap("aya")
    assert await site.tick() == 0
    assert site.directories[SITE].members() == [("alpha", "aya")]
    assert differs() == 1


async def test_a_site_that_is_away_or_wrong_does_not_stop_the_others(site: Site) -> None:
    await site.map("aya", AYA)
    await site.map("aya2", AYA, backend=OTHER)
    site.directories[SITE].is_away = True
    assert await site.tick() == 4
    assert site.directories[OTHER].members() == [("alpha", "aya2")]
    site.directories[SITE].is_away = False
    assert await site.tick() == 4

    @asynccontextmanager
    async def broken(backend: str, _site: SlurmSite) -> AsyncIterator[Directory]:
        if backend == SITE:
            raise ValueError("a defect")
        yield site.directories[backend]

    await site.unmap("aya")
    site.directories[OTHER].places.pop(("alpha", "aya2"))
    assert await keeping.tick(site.sites, site.database.worker, None, LATER, open_site=broken) == 1


async def test_who_no_longer_leads_changes_nothing(site: Site) -> None:
    await site.map("aya", AYA)
    async with transaction(site.database.owner) as conn:
        await conn.execute("INSERT INTO infra.leader VALUES ('sites', 2, 'another', now(), now())")
    with pytest.raises(asyncpg.PostgresError, match="stale leader"):
        await site.tick(Lease("sites", 1))
    assert site.directories[SITE].looks == 0
    assert await site.tick(Lease("sites", 2)) == 4


async def test_of_two_workers_one_keeps_the_sites(site: Site) -> None:
    await site.map("aya", AYA)
    done, stop = asyncio.Queue[Lease | None](), asyncio.Event()

    async def tick(lease: Lease | None, _now: object) -> int:
        made = await site.tick(lease)
        done.put_nowait(lease)
        return made

    def worker(holder: str) -> asyncio.Task[None]:
        loop = Loop("sites", tick, every_s=0.05)
        pace = Pace(lease_s=3.0)
        url = site.database.url
        running = run([loop], url=url, user="kyoyo_worker", clock=utc_now, stop=stop, pace=pace, holder=holder)
        return asyncio.create_task(running)

    async with asyncio.timeout(90):
        workers = [worker("a"), worker("b")]
        leases = [await done.get() for _ in range(5)]
        stop.set()
        await asyncio.gather(*workers)
    assert set(leases) == {Lease("sites", 1)}
    assert site.directories[SITE].members() == [("alpha", "aya")]


@pytest.mark.parametrize(("every_s", "has_it"), [(300, True), (0, False)])
async def test_the_worker_keeps_sites_unless_it_is_told_not_to(site: Site, every_s: int, *, has_it: bool) -> None:
    found = {each.name: each for each in loops(site.database.worker, {}, sites=site.sites, site_sync_s=every_s)}
    assert ("sites" in found) is has_it
    assert not has_it or (found["sites"].every_s == every_s and found["sites"].led)
    assert "sites" not in {each.name for each in loops(site.database.worker, {}, site_sync_s=every_s)}
