"""What an organisation, or an operator, sees of the share tree: settings, use and history of each branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from accounts import service as accounts
from infra.db.connection import Conn
from scheduler import policy
from scheduler.core.branches import Branch, branches_of, level_of
from scheduler.core.fairshare import MICRO
from scheduler.core.quotas import month_of
from scheduler.core.snapshot import Limits, Place
from scheduler.service.sharing import usual_limits
from scheduler.store import tree
from scheduler.store.tree import Alive, ShareRow
from scheduler.views import BranchView, LimitsView, ShareChangeView, TreeView


async def share_tree(
    conn: Conn, organisation_id: UUID, *, now: datetime, half_life: timedelta = policy.HALF_LIFE
) -> TreeView:
    """An organisation's part of the tree: what is set, used and held on each branch now, and every change ever made."""
    await accounts.organisation(conn, organisation_id)
    known = await tree.settings(conn, at=now, organisation_id=organisation_id)
    used = await tree.used_micro_nu(conn, at=now, half_life=half_life, organisation_id=organisation_id)
    live = await tree.alive(conn, organisation_id)
    projects = {each.id: each.slug for each in await accounts.list_projects(conn, organisation_id)}
    top: Place = ((organisation_id,), None)
    limits = {top: usual_limits(top), **known.limits}
    branches = {branch for branch, _ in limits} | set(used) | {(organisation_id, project) for project in projects}
    branches |= {branch for each in live for branch in branches_of(each.leaf)}
    places = {(branch, None) for branch in branches} | set(limits)
    month = await tree.month_micro_nu(conn, places, since=month_of(now))
    seen = [
        _branch_view(branch, known, limits, used=used, month=month, live=live, projects=projects)
        for branch in sorted(branches, key=lambda branch: [str(part) for part in branch])
    ]
    return TreeView(
        branches=seen, history=[_change_view(each, projects) for each in await tree.history(conn, organisation_id)]
    )


def _branch_view(
    branch: Branch,
    known: tree.Settings,
    limits: Mapping[Place, Limits],
    *,
    used: Mapping[Branch, int],
    month: Mapping[Place, int],
    live: Sequence[Alive],
    projects: Mapping[UUID, str],
) -> BranchView:
    own = [each for each in live if branch in branches_of(each.leaf)]
    return BranchView(
        level=level_of(branch),
        project=_project(branch, projects),
        person_id=_path(branch)[2],
        weight=known.weights.get(branch, 1),
        used_nu=used.get(branch, 0) / MICRO,
        limits=[
            _limits_view(backend, limits.get((branch, backend), Limits()), own, month.get((branch, backend), 0))
            for backend in (None, *sorted(on for of, on in limits if of == branch and on is not None))
        ],
    )


def _limits_view(backend: str | None, limits: Limits, own: Sequence[Alive], month_micro_nu: int) -> LimitsView:
    here = [each for each in own if backend in {None, each.backend}]
    running = [each for each in here if not each.is_queued]
    held = sum(each.micro_nu for each in running)
    most = limits.max_month_micro_nu
    return LimitsView(
        backend=backend,
        queued_jobs=sum(each.jobs for each in here if each.is_queued),
        running_jobs=sum(each.jobs for each in running),
        gpus=sum(each.gpus for each in running),
        holding_nu=held / MICRO,
        month_nu=month_micro_nu / MICRO,
        max_queued_jobs=limits.max_queued_jobs,
        max_running_jobs=limits.max_running_jobs,
        max_gpus=limits.max_gpus,
        max_month_nu=None if most is None else most / MICRO,
        max_borrow_percent=limits.max_borrow_percent,
        max_lend_percent=limits.max_lend_percent,
        reserved_units=limits.reserved_units,
    )


def _change_view(row: ShareRow, projects: Mapping[UUID, str]) -> ShareChangeView:
    branch, backend = row.place
    most = row.limits.max_month_micro_nu
    return ShareChangeView(
        version=row.version,
        level=level_of(branch),
        project=_project(branch, projects),
        person_id=_path(branch)[2],
        backend=backend,
        weight=row.weight,
        max_queued_jobs=row.limits.max_queued_jobs,
        max_running_jobs=row.limits.max_running_jobs,
        max_gpus=row.limits.max_gpus,
        max_month_nu=None if most is None else most / MICRO,
        max_borrow_percent=row.limits.max_borrow_percent,
        max_lend_percent=row.limits.max_lend_percent,
        reserved_units=row.limits.reserved_units,
        effective_at=row.effective_at,
        recorded_at=row.recorded_at,
        set_by=row.set_by,
        reason=row.reason,
    )


def _project(branch: Branch, projects: Mapping[UUID, str]) -> str | None:
    project_id = _path(branch)[1]
    return None if project_id is None else projects.get(project_id, str(project_id))


def _path(branch: Branch) -> tuple[UUID | None, ...]:
    return (*branch, None, None)[:3]
