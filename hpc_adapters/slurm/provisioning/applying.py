"""Reading a site's accounting, and making the changes of a plan one by one.

Each change is one call that may be repeated, so a run that was cut off anywhere is healed by the next. slurmdbd says
"done" to some things that it did not do (an unknown QOS, a resource that it does not track): whoever applies a plan
reads again and plans again, and what is still to do was not taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.slurm.directory import Directory
from hpc_adapters.slurm.faults import ACCESS_DENIED, JOBS_RUNNING, SlurmError
from hpc_adapters.slurm.models import Association
from hpc_adapters.slurm.provisioning.model import OWNER, Actual, Change, Step, Wanted


class Outcome(StrEnum):
    """What became of a change."""

    SENT = "sent"
    """Slurm said yes; the next look tells whether it holds."""
    JOBS_RUNNING = "jobs-running"
    """Slurm removes nobody whose jobs run: they go on to their end, and the next run tries again."""
    NOT_ALLOWED = "not-allowed"
    """Our Slurm user may not do that: QOS need AdminLevel=Administrator."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A change and what became of it."""

    change: Change
    outcome: Outcome
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        return {**self.change.as_json(), "outcome": self.outcome.value, "detail": self.detail}


async def look(directory: Directory) -> Actual:
    """What is there now. Unavailable, also when Slurm does not let us look."""
    try:
        return Actual(
            accounts=await directory.accounts(),
            users=await directory.users(),
            associations=await directory.associations(),
            qos=await directory.qos(),
        )
    except SlurmError as refused:
        raise Unavailable(f"slurm-says-no: {refused}", maybe_done=False) from refused


async def apply(directory: Directory, wanted: Wanted, changes: Sequence[Change]) -> list[Done]:
    """Each change in its turn; one that Slurm refuses does not stop the others. Unavailable: the rest was not tried."""
    return [await _one(directory, wanted, change) for change in changes]


async def _one(directory: Directory, wanted: Wanted, change: Change) -> Done:
    try:
        await _call(directory, wanted, change)
    except SlurmError as refused:
        outcomes = {JOBS_RUNNING: Outcome.JOBS_RUNNING, ACCESS_DENIED: Outcome.NOT_ALLOWED}
        outcome = outcomes.get(refused.number, Outcome.REFUSED)
        return Done(change=change, outcome=outcome, detail=str(refused)[:200])
    except Rejected as refused:
        return Done(change=change, outcome=Outcome.REFUSED, detail=str(refused)[:200])
    return Done(change=change, outcome=Outcome.SENT)


async def _call(directory: Directory, wanted: Wanted, change: Change) -> None:
    qos = wanted.qos_of(change.account)
    match change.step:
        case Step.ADD_ACCOUNT:
            await directory.add_account(
                change.account,
                cluster=wanted.cluster,
                parent=change.parent,
                description=wanted.mark,
                organization=OWNER,
            )
        case Step.PUT_QOS:
            assert change.qos is not None
            await directory.put_qos(change.qos)
        case Step.ADD_USER:
            await directory.add_user(change.user, cluster=wanted.cluster, account=change.account, qos=qos)
        case Step.SET_USER_QOS:
            place = Association(
                account=change.account, user=change.user, cluster=wanted.cluster, qos=(qos,), default_qos=qos
            )
            await directory.put_associations(place)
        case Step.REMOVE_USER:
            await directory.delete_association(account=change.account, user=change.user, cluster=wanted.cluster)
        case _:
            assert_never(change.step)
