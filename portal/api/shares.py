"""The exchange table, and the share tree: seen by those whom it concerns, set by operators."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from accounts import service as accounts
from infra.db.connection import Conn
from portal.api.wire import Count, In, Items, Out, Word
from portal.auth.caller import AnyCaller, Caller, Operator
from scheduler import service as scheduler
from scheduler.views import LimitsView, TreeView

router = APIRouter(tags=["shares"])
_LIMITS = (
    "max_queued_jobs",
    "max_running_jobs",
    "max_gpus",
    "max_month_nu",
    "max_borrow_percent",
    "max_lend_percent",
    "reserved_units",
)

Reason = Annotated[Word, Field(description="Why; kept with it and shown.", examples=["contract of April"])]
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
From = Annotated[
    AwareDatetime | None, Field(ge=_EARLIEST, le=_LATEST, description="From when on; now if it is left out.")
]
Limit = Annotated[Count | None, Field(description="null: no limit. Left out: as it is.")]


class RateOut(Out):
    """NU of one hour of one `unit` (gpu, cpu, qpu, simulator), from an instant on. 1 NU: one hour of the reference GPU.

    `nu_per_second`: the same of one second. `holds`: it counts now. `set_by` null: on the server itself.
    """

    resource_type: str
    unit: str
    nu_per_hour: float
    nu_per_second: float
    effective_at: datetime
    holds: bool
    version: int
    recorded_at: datetime | None
    set_by: UUID | None
    reason: str


class NewRate(In):
    resource_type: Annotated[Word, Field(examples=["gpu:h200"])]
    nu_per_hour: Annotated[float, Field(allow_inf_nan=False, examples=[1.0])]
    reason: Reason
    effective_at: From = None


class VersionOut(Out):
    version: int


class LimitsOut(Out):
    """What a branch has beside what it may (null: no limit), on a machine or (`backend` null) on all together.

    `month_nu`: used by what ended in this month of Japan's calendar; `holding_nu`, what runs at its full size, counts
    against `max_month_nu`, too. `max_borrow_percent`, `max_lend_percent`: of an organisation in total: how much beyond
    its nominal share of each machine it may hold, and how much of its own others may hold while it is idle, in percent
    of that share. `reserved_units`: GPUs or QPUs of the machine that an organisation has for class reserved.
    """

    backend: str | None
    queued_jobs: int
    running_jobs: int
    gpus: int
    holding_nu: float
    month_nu: float
    max_queued_jobs: int | None
    max_running_jobs: int | None
    max_gpus: int | None
    max_month_nu: float | None
    max_borrow_percent: int | None
    max_lend_percent: int | None
    reserved_units: int | None


class BranchOut(Out):
    """A branch of the share tree. `weight`: among its siblings; `used_nu`: half of it counts after each half-life."""

    level: str
    project: str | None
    person_id: UUID | None
    person: str | None
    weight: int
    used_nu: float
    limits: list[LimitsOut]


class ShareChangeOut(Out):
    """What was set for a branch, from an instant on."""

    version: int
    level: str
    project: str | None
    person_id: UUID | None
    backend: str | None
    weight: int | None
    max_queued_jobs: int | None
    max_running_jobs: int | None
    max_gpus: int | None
    max_month_nu: float | None
    max_borrow_percent: int | None
    max_lend_percent: int | None
    reserved_units: int | None
    effective_at: datetime
    recorded_at: datetime | None
    set_by: UUID | None
    reason: str


class TreeOut(Out):
    """An organisation's part of the share tree, from the top, and every change of it, the oldest first."""

    branches: list[BranchOut]
    history: list[ShareChangeOut]


class NewShare(In):
    """What is left out stays as it is. Without `project`: of the organisation; `person_id`: of one user in a project.

    `backend`: limits on this machine alone, and no weight.
    """

    project: Word | None = None
    person_id: UUID | None = None
    backend: Word | None = None
    weight: Count | None = None
    max_queued_jobs: Limit = None
    max_running_jobs: Limit = None
    max_gpus: Limit = None
    max_month_nu: Limit = None
    max_borrow_percent: Limit = None
    max_lend_percent: Limit = None
    reserved_units: Limit = None
    reason: Reason
    effective_at: From = None

    def changes(self) -> Mapping[str, int | None]:
        """What it names."""
        return {name: getattr(self, name) for name in ("weight", *_LIMITS) if name in self.model_fields_set}


@router.get("/exchange-rates")
async def list_exchange_rates(caller: AnyCaller) -> Items[RateOut]:
    """What one unit of each resource counts in the fair share: every version, and which of them holds."""
    async with caller.transaction() as conn:
        rates = await scheduler.exchange_table(conn, now=caller.now)
    return Items(
        items=[
            RateOut(
                resource_type=each.resource_type,
                unit=each.unit,
                nu_per_hour=each.nu_per_hour,
                nu_per_second=each.nu_per_hour / 3600,
                effective_at=each.effective_at,
                holds=each.holds,
                version=each.version,
                recorded_at=each.recorded_at,
                set_by=each.set_by,
                reason=each.reason,
            )
            for each in rates
        ]
    )


@router.post("/exchange-rates", status_code=HTTPStatus.CREATED)
async def publish_exchange_rate(caller: Operator, new: NewRate) -> VersionOut:
    """A new rate from now on or later. Jobs that were taken before keep what they were counted."""
    async with caller.transaction() as conn:
        version = await scheduler.publish_exchange_rate(
            conn,
            actor=caller.principal,
            resource_type=new.resource_type,
            nu_per_hour=new.nu_per_hour,
            effective_at=new.effective_at or caller.now,
            now=caller.now,
            reason=new.reason,
        )
    return VersionOut(version=version)


@router.get("/shares")
async def get_shares(caller: AnyCaller) -> TreeOut:
    """The organisation's own part of the share tree: weights, limits, and what is used and held of them."""
    return await _tree(caller, caller.organisation_id)


@router.get("/organisations/{organisation_id}/shares", tags=["operator"])
async def get_shares_of(caller: Operator, organisation_id: UUID) -> TreeOut:
    """The same of any organisation."""
    return await _tree(caller, organisation_id)


@router.post("/organisations/{organisation_id}/shares", status_code=HTTPStatus.CREATED, tags=["operator"])
async def set_share(caller: Operator, organisation_id: UUID, new: NewShare) -> VersionOut:
    """Sets weight and limits of an organisation, a project or a user, from now on or later."""
    async with caller.transaction() as conn:
        version = await scheduler.set_branch(
            conn,
            actor=caller.principal,
            of=scheduler.BranchName(
                organisation_id=organisation_id, project=new.project, person_id=new.person_id, backend=new.backend
            ),
            changes=new.changes(),
            reason=new.reason,
            effective_at=new.effective_at or caller.now,
            now=caller.now,
        )
    return VersionOut(version=version)


async def _tree(caller: Caller, organisation_id: UUID) -> TreeOut:
    async with caller.transaction() as conn:
        seen = await scheduler.share_tree(conn, organisation_id, now=caller.now)
        names = await _names(conn, organisation_id)
    return tree_out(seen, names)


async def _names(conn: Conn, organisation_id: UUID) -> Mapping[UUID, str]:
    return {each.person_id: each.display_name for each in await accounts.list_members(conn, organisation_id)}


def tree_out(seen: TreeView, names: Mapping[UUID, str]) -> TreeOut:
    """names: of present members."""
    return TreeOut(
        branches=[
            BranchOut(
                level=each.level.value,
                project=each.project,
                person_id=each.person_id,
                person=names.get(each.person_id) if each.person_id else None,
                weight=each.weight,
                used_nu=each.used_nu,
                limits=[_limits_out(limits) for limits in each.limits],
            )
            for each in seen.branches
        ],
        history=[
            ShareChangeOut(
                version=each.version,
                level=each.level.value,
                project=each.project,
                person_id=each.person_id,
                backend=each.backend,
                weight=each.weight,
                max_queued_jobs=each.max_queued_jobs,
                max_running_jobs=each.max_running_jobs,
                max_gpus=each.max_gpus,
                max_month_nu=each.max_month_nu,
                max_borrow_percent=each.max_borrow_percent,
                max_lend_percent=each.max_lend_percent,
                reserved_units=each.reserved_units,
                effective_at=each.effective_at,
                recorded_at=each.recorded_at,
                set_by=each.set_by,
                reason=each.reason,
            )
            for each in seen.history
        ],
    )


def _limits_out(each: LimitsView) -> LimitsOut:
    return LimitsOut(
        backend=each.backend,
        queued_jobs=each.queued_jobs,
        running_jobs=each.running_jobs,
        gpus=each.gpus,
        holding_nu=each.holding_nu,
        month_nu=each.month_nu,
        max_queued_jobs=each.max_queued_jobs,
        max_running_jobs=each.max_running_jobs,
        max_gpus=each.max_gpus,
        max_month_nu=each.max_month_nu,
        max_borrow_percent=each.max_borrow_percent,
        max_lend_percent=each.max_lend_percent,
        reserved_units=each.reserved_units,
    )
