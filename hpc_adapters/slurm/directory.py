"""Accounts, users, associations and QOS in slurmdbd: thin typed calls for provisioning.

slurmdbd answers 200 to changes that it did not make, such as an association with an unknown QOS, and 304 to the removal
of what is not there. So nothing here says "done": read again, and compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from hpc_adapters.errors import Rejected
from hpc_adapters.slurm.faults import NOTHING_FOUND, SlurmError
from hpc_adapters.slurm.models import Account, Association, Json, Qos, Records, User, associations
from hpc_adapters.slurm.models.lenient import tres
from hpc_adapters.slurm.rest import Params, Rest
from hpc_adapters.slurm.versions import at_least

_GROUP_MINUTES_SINCE: Final = "v0.0.42"


class Directory:
    """Who may use the cluster. `admin` is the Slurm user that asks and acts; QOS need AdminLevel=Administrator.

    Everything raises Unavailable, and SlurmError when slurmdbd says no (2002: not allowed; 7001: jobs are running).
    """

    def __init__(self, rest: Rest, *, admin: str) -> None:
        self._rest, self._admin = rest, admin

    async def accounts(self) -> Records[Account]:
        """All accounts."""
        return associations.accounts(await self._list("accounts"))

    async def users(self) -> Records[User]:
        """All users."""
        return associations.users(await self._list("users", {"with_assocs": "true"}))  # else no default account is told

    async def associations(self) -> Records[Association]:
        """All associations of all clusters, those of accounts (no user) included."""
        return associations.associations(await self._list("associations"))

    async def qos(self) -> Records[Qos]:
        """All QOS."""
        return associations.qos(await self._list("qos"))

    async def tracked(self) -> frozenset[str]:
        """Resources that the accounting counts, such as 'cpu' and 'gres/gpu'."""
        answer = await self._rest.get("slurmdb/{v}/tres/", user=self._admin)
        return frozenset(tres(answer.body.get("TRES")))

    async def put_accounts(self, *accounts: Account) -> None:
        """Make or change their descriptions. `add_account` puts one into the tree."""
        body = [{"name": a.name, "description": a.description, "organization": a.organization} for a in accounts]
        await self._put("accounts", body)

    async def add_account(self, name: str, *, cluster: str, parent: str, description: str, organization: str) -> None:
        """A new account in its place in the tree; one that has its place already is left as it is.

        Not by `put_associations`: slurmdbd would hang it nowhere (no parent, lineage '/0-/0-/').
        """
        condition = {"accounts": [name], "clusters": [cluster], "association": {"parent": parent}}
        account = {"description": description, "organization": organization}
        await self._add("accounts", {"association_condition": condition, "account": account})

    async def add_user(self, name: str, *, cluster: str, account: str, qos: str) -> None:
        """A user's place in an account, with the one QOS that may be used there. Left as it is where it is there."""
        place = {"qoslevel": [qos], "defaultqos": qos}
        condition = {"accounts": [account], "users": [name], "clusters": [cluster], "association": place}
        await self._add("users", {"association_condition": condition, "user": {}})

    async def put_users(self, *users: User) -> None:
        """Make or change them."""
        body = [{"name": user.name, "default": {"account": user.default_account}} for user in users]
        await self._put("users", body)

    async def put_associations(self, *items: Association) -> None:
        """Make or change users' places in accounts that are in the tree already."""
        await self._put("associations", [associations.association_body(item) for item in items])

    async def put_qos(self, *items: Qos) -> None:
        """Make or change them. Rejected("qos-limits-unsupported"): this version of the API has no GrpTRESMins."""
        version = await self._rest.version()
        if any(item.group_tres_minutes for item in items) and not at_least(version, _GROUP_MINUTES_SINCE):
            raise Rejected("qos-limits-unsupported", version=version)
        await self._put("qos", [associations.qos_body(item) for item in items])

    async def delete_association(self, *, account: str, user: str, cluster: str) -> bool:
        """A user's place in an account. False: it was not there."""
        if not (account and user and cluster):
            raise ValueError("an empty filter would remove more than one association")
        return await self._delete("associations/", {"account": account, "user": user, "cluster": cluster})

    async def delete_account(self, name: str) -> bool:
        """With all associations under it. False: it was not there."""
        return await self._delete(f"account/{_segment(name)}")

    async def delete_user(self, name: str) -> bool:
        """With all its associations. False: it was not there."""
        return await self._delete(f"user/{_segment(name)}")

    async def delete_qos(self, name: str) -> bool:
        """False: it was not there."""
        return await self._delete(f"qos/{_segment(name)}")

    async def _list(self, kind: str, params: Params | None = None) -> object:
        try:
            return (await self._rest.get(f"slurmdb/{{v}}/{kind}/", user=self._admin, params=params)).body.get(kind)
        except SlurmError as error:
            if error.number == NOTHING_FOUND:
                return []
            raise

    async def _put(self, kind: str, items: Sequence[Json]) -> None:
        if items:
            await self._rest.post(f"slurmdb/{{v}}/{kind}/", user=self._admin, body={kind: list(items)})

    async def _add(self, kind: str, body: Json) -> None:
        await self._rest.post(f"slurmdb/{{v}}/{kind}_association/", user=self._admin, body=body)

    async def _delete(self, path: str, params: Params | None = None) -> bool:
        answer = await self._rest.delete(f"slurmdb/{{v}}/{path}", user=self._admin, params=params)
        return not answer.unchanged


def _segment(name: str) -> str:
    if not name:
        raise ValueError("an empty name would be another address")
    return quote(name, safe="")
