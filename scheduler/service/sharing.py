"""The share tree: who may see it, and how an operator sets weights and limits of its branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from accounts import service as accounts
from accounts.errors import NotAMember
from accounts.model import Principal, Scope
from infra.db.connection import Conn, notify
from pricing import service as pricing
from scheduler import policy
from scheduler.core.fairshare import MICRO
from scheduler.core.quotas import Share
from scheduler.core.snapshot import Limits, Place
from scheduler.errors import (
    BackendHasNoWeight,
    InvalidShare,
    NotRetroactive,
    OnlyOrganisationsLend,
    ReasonMissing,
    ReservedShareOfMachine,
    ShareExists,
    TooFarAhead,
    UnknownBackend,
    UnknownShareField,
    UserWithoutProject,
)
from scheduler.options import shown
from scheduler.store import tree
from scheduler.store.tree import ShareRow

MAX_REASON = 500
MOST_AHEAD = timedelta(days=3_660)
_MOST: Mapping[str, int] = {
    "weight": policy.MAX_SETTING,
    "max_queued_jobs": policy.MAX_SETTING,
    "max_running_jobs": policy.MAX_SETTING,
    "max_gpus": policy.MAX_SETTING,
    "max_month_nu": policy.MAX_MONTH_NU,
    "max_borrow_percent": policy.MAX_SETTING,
    "max_lend_percent": 100,
    "reserved_units": policy.MAX_SETTING,
}
_OF_ORGANISATIONS = frozenset({"max_borrow_percent", "max_lend_percent"})
_RESERVED = "reserved_units"
_ALWAYS_LIMITED = frozenset({"max_queued_jobs", "max_running_jobs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchName:
    """A branch as people say it. project: its slug; None: the organisation itself. person_id None: not one user."""

    organisation_id: UUID
    project: str | None = None
    person_id: UUID | None = None
    backend: str | None = None
    """Limits on this one alone; None: weight, and limits in total."""


async def set_branch(
    conn: Conn,
    *,
    actor: Principal | None,
    of: BranchName,
    changes: Mapping[str, int | None],
    reason: str,
    effective_at: datetime,
    now: datetime,
) -> int:
    """Sets what `changes` names (weight, max_…; None: no limit) and keeps the rest as it is then. The new version.

    InvalidShare, UnknownShareField, BackendHasNoWeight, OnlyOrganisationsLend, ReservedShareOfMachine,
    UserWithoutProject, UnknownBackend, NotRetroactive, ReasonMissing, ShareExists; accounts' OrganisationNotFound,
    ProjectNotFound, NotAMember.
    """
    require_operator(actor)
    checked_change(reason, effective_at, now)
    place = await _place(conn, of)
    _check(of, changes)
    known = await tree.settings(conn, at=effective_at, organisation_id=of.organisation_id)
    version = await tree.add(
        conn,
        ShareRow(
            place=place,
            weight=_weight(known, place, changes),
            limits=_limits(known, place, changes),
            effective_at=effective_at,
            reason=reason.strip(),
            set_by=actor.person_id if actor else None,
            recorded_at=now,
        ),
    )
    if version is None:
        raise ShareExists(effective_at=effective_at.isoformat())
    await _trace(conn, actor, of, changes, version, effective_at, now)
    await notify(conn, "dispatch")
    return version


async def _trace(
    conn: Conn,
    actor: Principal | None,
    of: BranchName,
    changes: Mapping[str, int | None],
    version: int,
    effective_at: datetime,
    now: datetime,
) -> None:
    await accounts.append_audit(
        conn,
        actor=actor.person_id if actor else None,
        organisation_id=of.organisation_id,
        action="share.set",
        subject=f"share:{version}",
        facts={
            "project": of.project,
            "person_id": None if of.person_id is None else str(of.person_id),
            "backend": of.backend,
            "effective_at": effective_at.isoformat(),
            **changes,
        },
        now=now,
    )


async def set_share(
    conn: Conn,
    *,
    actor: Principal | None,
    organisation_id: UUID,
    share: Share,
    now: datetime,
    reason: str = "set_share",
) -> None:
    """Weight and quotas on jobs of an organisation from now on. Refusals of set_branch()."""
    await set_branch(
        conn,
        actor=actor,
        of=BranchName(organisation_id=organisation_id),
        changes={
            "weight": share.weight,
            "max_queued_jobs": share.max_queued_jobs,
            "max_running_jobs": share.max_running_jobs,
        },
        reason=reason,
        effective_at=now,
        now=now,
    )


def require_operator(actor: Principal | None) -> None:
    if actor is not None:
        actor.require(Scope.OPERATE)


def checked_change(reason: str, effective_at: datetime, now: datetime) -> None:
    """ReasonMissing, NotRetroactive, TooFarAhead."""
    if not 1 <= len(reason.strip()) <= MAX_REASON:
        raise ReasonMissing(limit=MAX_REASON)
    if effective_at < now:
        raise NotRetroactive(effective_at=effective_at.isoformat(), now=now.isoformat())
    if effective_at - now > MOST_AHEAD:
        raise TooFarAhead(effective_at=effective_at.isoformat(), limit_days=MOST_AHEAD.days)


async def _place(conn: Conn, of: BranchName) -> Place:
    await accounts.organisation(conn, of.organisation_id)
    if of.backend is not None:
        known = await pricing.backends(conn)
        if of.backend not in known:
            raise UnknownBackend(backend=of.backend, known=", ".join(sorted(known)))
    if of.project is None:
        if of.person_id is not None:
            raise UserWithoutProject
        return (of.organisation_id,), of.backend
    project = await accounts.project_by_slug(conn, of.organisation_id, of.project)
    if of.person_id is None:
        return (of.organisation_id, project.id), of.backend
    if of.person_id not in {each.person_id for each in await accounts.list_members(conn, of.organisation_id)}:
        raise NotAMember
    return (of.organisation_id, project.id, of.person_id), of.backend


def _check(of: BranchName, changes: Mapping[str, int | None]) -> None:
    if of.backend is not None and "weight" in changes:
        raise BackendHasNoWeight(backend=of.backend)
    is_top = of.project is None and of.backend is None
    for field, value in changes.items():
        most = _MOST.get(field)
        if most is None:
            raise UnknownShareField(field=shown(field), known=", ".join(_MOST))
        if field in _OF_ORGANISATIONS and not is_top:
            raise OnlyOrganisationsLend(field=field)
        if field == _RESERVED and (of.project is not None or of.backend is None):
            raise ReservedShareOfMachine(field=field)
        minimum = 1 if field == "weight" else 0
        needed = field == "weight" or (is_top and field in _ALWAYS_LIMITED)
        if needed if value is None else not minimum <= value <= most:
            raise InvalidShare(field=field, value="none" if value is None else value, minimum=minimum, maximum=most)


def _weight(known: tree.Settings, place: Place, changes: Mapping[str, int | None]) -> int | None:
    branch, backend = place
    if backend is not None:
        return None
    usual = policy.DEFAULT_SHARE.weight if len(branch) == 1 else 1
    return changes.get("weight") or known.weights.get(branch, usual)


def _limits(known: tree.Settings, place: Place, changes: Mapping[str, int | None]) -> Limits:
    then = known.limits.get(place, usual_limits(place))
    plain = {name: value for name, value in changes.items() if name not in {"weight", "max_month_nu"}}
    if "max_month_nu" in changes:
        nu = changes["max_month_nu"]
        plain["max_month_micro_nu"] = None if nu is None else nu * MICRO
    return replace(then, **plain)


def usual_limits(place: Place) -> Limits:
    """Where nothing was ever set."""
    if len(place[0]) > 1 or place[1] is not None:
        return Limits()
    share = policy.DEFAULT_SHARE
    return Limits(max_queued_jobs=share.max_queued_jobs, max_running_jobs=share.max_running_jobs)
