"""What a site's accounting is to hold, what it holds, and what lies between. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from hpc_adapters.slurm.models import Account, Association, Qos, Records, User

GPU = "gres/gpu"
NO_DECAY = "NO_DECAY"
OWNER = "kyoyo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be there.

    Every account lies under `root`, which is ours alone: two installations on one cluster have two roots. `departed`
    are those of whom we know that they are to go; a user whom we never knew is left alone.
    """

    cluster: str
    root: str
    gpu_minutes: Mapping[str, int]
    """By account: GPU-minutes that its organisation may use in all, since its QOS was made."""
    members: Mapping[str, str]
    """Unix user → account."""
    departed: Mapping[str, str] = field(default_factory=dict)
    """Unix user → account."""
    preempted_by: Sequence[str] = ()
    """QOS of the site that may preempt our jobs."""

    @property
    def mark(self) -> str:
        """The description of what is ours."""
        return f"{OWNER}:{self.root}"

    def qos_of(self, account: str) -> str:
        """The account's QOS."""
        return f"ky-{account}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What slurmdbd told, in full or not."""

    accounts: Records[Account]
    users: Records[User]
    associations: Records[Association]
    qos: Records[Qos]

    @property
    def unreadable(self) -> int:
        """Records that we could not read: something may be there that we do not see."""
        every = (self.accounts, self.users, self.associations, self.qos)
        return sum(len(records.unreadable) for records in every)


class Step(StrEnum):
    """The kinds of change, in the order in which they are made: nothing refers to what is not there yet."""

    ADD_ACCOUNT = "add-account"
    PUT_QOS = "put-qos"
    ADD_USER = "add-user"
    SET_USER_QOS = "set-user-qos"
    REMOVE_USER = "remove-user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One call."""

    step: Step
    account: str
    user: str = ""
    parent: str = ""
    """Of a new account."""
    qos: Qos | None = None
    """The whole of it: what a QOS is sent without, it loses."""

    def as_json(self) -> dict[str, object]:
        """For reports."""
        told: dict[str, object] = {"step": self.step.value, "account": self.account}
        told |= {"user": self.user} if self.user else {}
        if self.qos is not None:
            told |= {"qos": self.qos.name, "gpu_minutes": self.qos.group_tres_minutes.get(GPU)}
        return told


class Strange(StrEnum):
    """What we see and do not touch."""

    ACCOUNT_IN_THE_WAY = "account-in-the-way"
    """Somebody else's account has a name that we need."""
    ACCOUNT_MOVED = "account-moved"
    """An account of ours hangs somewhere else."""
    ACCOUNT_UNKNOWN = "account-unknown"
    """An account of ours of which our database knows nothing."""
    QOS_IN_THE_WAY = "qos-in-the-way"
    USER_UNKNOWN = "user-unknown"
    """Somebody is in an account of ours whom we never put there."""
    USER_PRIVILEGED = "user-privileged"
    """A member's Unix user may administer Slurm: it would be above every limit."""
    NOT_PREEMPTED = "not-preempted"
    """A QOS of the site does not preempt one of ours, though it should."""
    UNREADABLE = "unreadable"
    """Records that we could not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a person has to look at."""

    kind: Strange
    name: str
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        return {"kind": self.kind.value, "name": self.name, "detail": self.detail}


class Doubt(StrEnum):
    """Why nobody is removed."""

    VIEW_INCOMPLETE = "view-incomplete"
    NOBODY_WANTED = "nobody-wanted"
    """Our side knows no member at all: more likely an empty database than an empty house."""
    TOO_MANY = "too-many"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done, what is left to people, and what is withheld for being doubtful."""

    changes: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()
    withheld: tuple[Change, ...] = ()
    doubt: Doubt | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "changes": [each.as_json() for each in self.changes],
            "withheld": [each.as_json() for each in self.withheld],
            "doubt": self.doubt.value if self.doubt else None,
            "findings": [each.as_json() for each in self.findings],
        }
