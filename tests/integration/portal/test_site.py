"""`kyoyod site` as processes: our database on one side, real Slurm on the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from accounts import service as accounts
from accounts.model import OrgRole
from infra.db.connection import Role, transaction
from infra.slurm.cluster import Cluster
from tests.integration.portal import test_kyoyod
from tests.support import slurm as clusters
from tests.support.database import Database
from tests.support.people import AYA, KEN, NOW, ORG, join, populate

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300), pytest.mark.takes(25)]
ADMIN = "kyoyo-admin"


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody at the server's command line."""

    folder: Path
    database: Database

    async def __call__(self, *arguments: str, code: int = 0) -> str:
        ended, out, err = await test_kyoyod.kyoyod(
            self.folder, "site", *arguments, KYOYO_DATABASE_URL=self.database.url, LANG="en_US.UTF-8"
        )
        assert ended == code, out + err
        return out + err

    async def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(await self(*arguments, "--json", code=code))


@pytest.fixture
async def operator(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Operator:
    await populate(database)
    monkeypatch.setattr(test_kyoyod, "MACHINES", '[backends.gpu-site]\nkind = "simulated"\n')
    return Operator(tmp_path, database)


@pytest.fixture
def slurm() -> Iterator[Cluster]:
    with clusters.start("site", "24.11", nodes=1, users=("aya", "ken", "alpha", ADMIN), accounts={}) as one:
        command = ("sacctmgr", "-i", "add", "user", ADMIN, "account=site-services", "adminlevel=Administrator")
        one.exec(*command, check=True)
        yield one


def machine(folder: Path, slurm: Cluster) -> str:
    key = folder / "jwt.key"
    key.write_bytes(slurm.jwt_key)
    told = {
        "kind": "slurm",
        "cluster": slurm.name,
        "url": slurm.url,
        "jwt_key_file": str(key),
        "folder": str(slurm.shared),
        "service_user": slurm.service_user,
        "admin_user": ADMIN,
        "root_account": "kyoyo-hpc",
    }
    return "[backends.gpu-site]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())


async def test_users_are_mapped_listed_and_taken_back(operator: Operator) -> None:
    assert await operator("map", "gpu-site", "alpha", "alpha") == "alpha alpha\n"
    assert await operator("map", "gpu-site", "alpha", "aya", "--person", f"{AYA.int}@EXAMPLE.jp") == "aya alpha\n"
    await operator("unmap", "gpu-site", "alpha")
    told = await operator.json("list", "gpu-site")
    assert [(each["unix_user"], each["organisation"], each["person"]) for each in told["items"]] == [
        ("alpha", "alpha", None),
        ("aya", "alpha", "彩"),
    ]
    assert [each["removed_at"] is None for each in told["items"]] == [False, True]
    assert "(every other member)" in await operator("list", "gpu-site")
    async with transaction(operator.database.owner) as conn:
        assert await accounts.verify_audit_chain(conn) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("map", "nowhere", "alpha", "aya"), "there is no backend nowhere"),
        (("map", "gpu-site", "nobody", "aya"), "organisation"),
        (("map", "gpu-site", "alpha", "root"), "“root” cannot be a user of a site"),
        (("map", "gpu-site", "alpha", "ken", "--person", f"{KEN.int}@example.jp"), "member"),
        (("unmap", "gpu-site", "aya"), "not a user in force"),
        (("sync", "gpu-site"), "is no Slurm site"),
    ],
)
async def test_each_no_is_a_sentence(operator: Operator, arguments: tuple[str, ...], sentence: str) -> None:
    told = await operator(*arguments, code=2)
    assert sentence in told
    assert "Traceback" not in told


@pytest.mark.slurm
async def test_a_member_comes_and_goes_on_the_real_site(
    operator: Operator, slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_kyoyod, "MACHINES", machine(operator.folder, slurm))
    async with transaction(operator.database.owner) as conn:
        await join(conn, KEN, OrgRole.MEMBER)
    for user, email in (("aya", AYA), ("ken", KEN)):
        await operator("map", "gpu-site", "alpha", user, "--person", f"{email.int}@example.jp")

    dry = await operator.json("sync", "gpu-site", "--dry-run", code=1)
    assert [each["step"] for each in dry["changes"]] == [
        "add-account",
        "add-account",
        "put-qos",
        "add-user",
        "add-user",
    ]
    assert "both sides agree" in await operator("sync", "gpu-site")
    assert (await operator.json("sync", "gpu-site"))["changes"] == []
    assert users_of(slurm) == ["aya|ky-alpha", "ken|ky-alpha"]

    async with transaction(operator.database.portal, role=Role.TENANT, organisation_id=ORG) as conn:
        await accounts.end_membership(conn, actor=None, organisation_id=ORG, person_id=KEN, now=NOW)
    assert [each["step"] for each in (await operator.json("sync", "gpu-site"))["done"]] == ["remove-user"]
    assert users_of(slurm) == ["aya|ky-alpha"]


@pytest.mark.slurm
async def test_a_site_is_told_what_it_lacks(
    operator: Operator, slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_kyoyod, "MACHINES", machine(operator.folder, slurm))
    assert "nothing is missing" in await operator("check", "gpu-site")
    await operator("map", "gpu-site", "alpha", "stranger")
    lowered = ("sacctmgr", "-i", "modify", "user", slurm.service_user, "set", "adminlevel=None")
    slurm.exec(*lowered, check=True)
    told = await operator.json("check", "gpu-site", code=1)
    assert told["unknown_users"] == ["stranger"]
    assert "service-user" in [each["lack"] for each in told["missing"]]


@pytest.mark.slurm
async def test_an_emptied_house_removes_nobody_unless_the_number_is_named(
    operator: Operator, slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_kyoyod, "MACHINES", machine(operator.folder, slurm))
    await operator("map", "gpu-site", "alpha", "aya")
    await operator("sync", "gpu-site")
    await operator("unmap", "gpu-site", "aya")
    assert "withheld, nobody-wanted: 1 removals" in await operator("sync", "gpu-site", code=1)
    assert users_of(slurm) == ["aya|ky-alpha"]
    await operator("sync", "gpu-site", "--remove", "1")
    assert users_of(slurm) == []


def users_of(slurm: Cluster) -> list[str]:
    fields = ("sacctmgr", "-n", "-P", "show", "assoc", "account=alpha", "format=user,qos")
    lines = slurm.exec(*fields, check=True).stdout.splitlines()
    return sorted(line for line in lines if not line.startswith("|"))
