"""From what is wanted and what is there to what is to be done. Pure.

Nothing of somebody else is ever changed: ours is what bears our mark. Accounts and QOS are never removed, for a site's
history of use hangs on them; without its members an account can be used by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hpc_adapters.slurm.models import Account, Qos
from hpc_adapters.slurm.provisioning.model import (
    GPU,
    NO_DECAY,
    Actual,
    Change,
    Doubt,
    Finding,
    Plan,
    Step,
    Strange,
    Wanted,
)

FEW = 5
"""So many removals are never doubtful by their number."""
SHARE = 0.2
"""Nor is this share of the users that are there."""


def plan(wanted: Wanted, actual: Actual, *, remove: int | None = None) -> Plan:
    """`remove`: so many removals are meant, exactly; else a mass removal is withheld."""
    state = _State(wanted, actual)
    changes = [*state.accounts(), *state.limits(), *state.members()]
    removals = [each for each in changes if each.step is Step.REMOVE_USER]
    doubt = _doubt(wanted, actual, len(removals), state.users_there, remove=remove)
    order = list(Step)
    kept = [each for each in changes if not (doubt and each.step is Step.REMOVE_USER)]
    return Plan(
        changes=tuple(sorted(kept, key=lambda each: order.index(each.step))),
        findings=tuple(state.findings()),
        withheld=tuple(removals) if doubt else (),
        doubt=doubt,
    )


def _doubt(wanted: Wanted, actual: Actual, removals: int, there: int, *, remove: int | None) -> Doubt | None:
    if removals == 0:
        return None
    if actual.unreadable:
        return Doubt.VIEW_INCOMPLETE
    if remove is not None:
        return None if remove == removals else Doubt.TOO_MANY
    if not wanted.members:
        return Doubt.NOBODY_WANTED
    return Doubt.TOO_MANY if removals > FEW and removals > SHARE * there else None


class _State:
    """The two sides, side by side."""

    def __init__(self, wanted: Wanted, actual: Actual) -> None:
        self._wanted, self._actual = wanted, actual
        self._accounts = {each.name: each for each in actual.accounts.items}
        self._qos = {each.name: each for each in actual.qos.items}
        self._users = {each.name: each for each in actual.users.items}
        here = [each for each in actual.associations.items if each.cluster == wanted.cluster and not each.partition]
        self._nodes = {each.account: each for each in here if not each.user}
        self._ours = {name for name, each in self._accounts.items() if self._is_ours(each)}
        self._places = {(each.user, each.account): each for each in here if each.user and each.account in self._ours}
        self._needed = sorted({*wanted.gpu_minutes, *wanted.members.values()})
        self.users_there = len(self._places)

    def accounts(self) -> Iterator[Change]:
        """Accounts that are missing, or have no place in the tree of this cluster yet."""
        root = self._wanted.root
        if self._is_foreign(root):
            return
        if self._needed and root not in self._nodes:
            yield Change(step=Step.ADD_ACCOUNT, account=root, parent="root")
        for name in self._needed:
            if name not in self._nodes and not self._is_blocked(name):
                yield Change(step=Step.ADD_ACCOUNT, account=name, parent=root)

    def limits(self) -> Iterator[Change]:
        """QOS that are missing, count again from time to time, or have another limit."""
        for account, minutes in sorted(self._wanted.gpu_minutes.items()):
            there = self._qos.get(self._wanted.qos_of(account))
            if self._is_blocked(account) or (there and not self._is_marked(there)):
                continue
            flags = there.flags if there else ()
            if there is None or NO_DECAY not in flags or there.group_tres_minutes.get(GPU) != minutes:
                yield Change(step=Step.PUT_QOS, account=account, qos=self._qos_with(account, minutes, there))

    def members(self) -> Iterator[Change]:
        """Users to be added, to be given their QOS, and to be removed."""
        for user, account in sorted(self._wanted.members.items()):
            if self._is_blocked(account) or self._is_privileged(user) or not self._has_limit(account):
                continue
            there = self._places.get((user, account))
            if there is None:
                yield Change(step=Step.ADD_USER, account=account, user=user)
            elif there.qos != (qos := (self._wanted.qos_of(account),)) or there.default_qos != qos[0]:
                yield Change(step=Step.SET_USER_QOS, account=account, user=user)
        for user, account in sorted(self._wanted.departed.items()):
            if (user, account) in self._places and self._wanted.members.get(user) != account:
                yield Change(step=Step.REMOVE_USER, account=account, user=user)

    def findings(self) -> Iterator[Finding]:
        """What people have to look at."""
        if self._actual.unreadable:
            yield Finding(kind=Strange.UNREADABLE, name=str(self._actual.unreadable))
        yield from self._strange_accounts()
        yield from self._strange_qos()
        yield from self._strange_users()

    def _strange_accounts(self) -> Iterator[Finding]:
        root = self._wanted.root
        for name in self._needed:
            if self._is_foreign(name) or name == root:
                yield self._in_the_way(name)
        if self._needed and self._is_foreign(root):
            yield self._in_the_way(root)
        for name in sorted(self._ours):
            node = self._nodes.get(name)
            if node and node.parent != ("root" if name == root else root):
                yield Finding(kind=Strange.ACCOUNT_MOVED, name=name, detail=node.parent)
            if name != root and name not in self._needed and name not in self._wanted.departed.values():
                yield Finding(kind=Strange.ACCOUNT_UNKNOWN, name=name)

    def _in_the_way(self, name: str) -> Finding:
        owner = self._accounts[name].organization if name in self._accounts else ""
        return Finding(kind=Strange.ACCOUNT_IN_THE_WAY, name=name, detail=owner)

    def _strange_qos(self) -> Iterator[Finding]:
        for account in self._needed:
            name = self._wanted.qos_of(account)
            there = self._qos.get(name)
            if there and not self._is_marked(there):
                yield Finding(kind=Strange.QOS_IN_THE_WAY, name=name, detail=there.description)
            for strong in self._wanted.preempted_by:
                if name not in (self._qos[strong].preempts if strong in self._qos else ()):
                    command = f"sacctmgr modify qos {strong} set preempt+={name}"
                    yield Finding(kind=Strange.NOT_PREEMPTED, name=name, detail=command)

    def _strange_users(self) -> Iterator[Finding]:
        for user, account in sorted(self._places):
            if account not in (self._wanted.members.get(user), self._wanted.departed.get(user)):
                yield Finding(kind=Strange.USER_UNKNOWN, name=user, detail=account)
        for user in sorted(self._wanted.members):
            if self._is_privileged(user):
                yield Finding(kind=Strange.USER_PRIVILEGED, name=user, detail=self._users[user].admin_level)

    def _is_ours(self, account: Account) -> bool:
        return account.description == self._wanted.mark

    def _is_marked(self, qos: Qos) -> bool:
        return qos.description == self._wanted.mark

    def _is_foreign(self, account: str) -> bool:
        is_there = account in self._accounts or account in self._nodes
        return account == "root" or (is_there and account not in self._ours)

    def _is_blocked(self, account: str) -> bool:
        """It cannot be an organisation's: somebody else has it, or our root, or it is our root."""
        root = self._wanted.root
        return account == root or self._is_foreign(account) or self._is_foreign(root)

    def _is_privileged(self, user: str) -> bool:
        known = self._users.get(user)
        return known is not None and known.admin_level.upper() not in {"NONE", "NOT SET", ""}

    def _has_limit(self, account: str) -> bool:
        """Its QOS is there and ours, or will be before its users: nobody runs without the backstop."""
        there = self._qos.get(self._wanted.qos_of(account))
        return self._is_marked(there) if there else account in self._wanted.gpu_minutes

    def _qos_with(self, account: str, minutes: int, there: Qos | None) -> Qos:
        flags: Sequence[str] = there.flags if there else ()
        return Qos(
            name=self._wanted.qos_of(account),
            description=self._wanted.mark,
            flags=tuple(sorted({*flags, NO_DECAY})),
            group_tres_minutes={GPU: minutes},
            priority=there.priority if there else None,
        )
