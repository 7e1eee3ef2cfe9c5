"""Members and projects of the caller's organisation."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from accounts import service as accounts
from accounts.model import Member, OrgRole
from portal.api.wire import In, Items, Out, Word
from portal.auth.caller import AnyCaller, MembersWriter
from scheduler import service as scheduler

router = APIRouter(tags=["organisation"])


class MemberOut(Out):
    person_id: UUID
    display_name: str
    email: str
    role: OrgRole
    since: datetime


class NewMember(In):
    display_name: Annotated[str, Field(max_length=1000, examples=["佐藤 花子"])]
    email: Annotated[str, Field(max_length=1000, examples=["hanako.sato@hikari.example"])]
    role: OrgRole


class ProjectOut(Out):
    id: UUID
    slug: str
    name: str


class NewProject(In):
    slug: Annotated[Word, Field(examples=["vision"])]
    name: Annotated[str, Field(max_length=1000)]


@router.get("/members")
async def list_members(caller: AnyCaller) -> Items[MemberOut]:
    """Present members of the organisation, the oldest first."""
    organisation_id = caller.organisation_id
    async with caller.transaction() as conn:
        found = await accounts.list_members(conn, organisation_id)
    return Items(items=[member_out(each) for each in found])


@router.post("/members", status_code=HTTPStatus.CREATED)
async def add_member(caller: MembersWriter, new: NewMember) -> MemberOut:
    """Makes the person with this address a member; a new person if nobody has it."""
    organisation_id = caller.organisation_id
    async with caller.transaction() as conn:
        person_id = await accounts.invite(
            conn,
            actor=caller.principal,
            membership_id=caller.new_id(),
            organisation_id=organisation_id,
            person_id=caller.new_id(),
            display_name=new.display_name,
            email=new.email,
            role=new.role,
            now=caller.now,
        )
        members = await accounts.list_members(conn, organisation_id)
    return next(member_out(each) for each in members if each.person_id == person_id)


@router.delete("/members/{person_id}", status_code=HTTPStatus.NO_CONTENT)
async def end_membership(caller: MembersWriter, person_id: UUID) -> None:
    """The person leaves the organisation: their tokens end, what they have waiting is cancelled, what runs goes on."""
    organisation_id = caller.organisation_id
    async with caller.transaction() as conn:
        await accounts.end_membership(
            conn, actor=caller.principal, organisation_id=organisation_id, person_id=person_id, now=caller.now
        )
        await scheduler.cancel_waiting_of(
            conn,
            organisation_id=organisation_id,
            person_id=person_id,
            requested_by=caller.principal.person_id,
            now=caller.now,
        )


@router.get("/projects")
async def list_projects(caller: AnyCaller) -> Items[ProjectOut]:
    """Projects of the organisation."""
    organisation_id = caller.organisation_id
    async with caller.transaction() as conn:
        found = await accounts.list_projects(conn, organisation_id)
    return Items(items=[ProjectOut(id=each.id, slug=each.slug, name=each.name) for each in found])


@router.post("/projects", status_code=HTTPStatus.CREATED)
async def create_project(caller: MembersWriter, new: NewProject) -> ProjectOut:
    """A new project."""
    organisation_id = caller.organisation_id
    async with caller.transaction() as conn:
        made = await accounts.create_project(
            conn,
            actor=caller.principal,
            project_id=caller.new_id(),
            organisation_id=organisation_id,
            slug=new.slug,
            name=new.name,
            now=caller.now,
        )
    return ProjectOut(id=made.id, slug=made.slug, name=made.name)


def member_out(member: Member) -> MemberOut:
    """A member as the organisation sees it."""
    return MemberOut(
        person_id=member.person_id,
        display_name=member.display_name,
        email=member.email,
        role=member.role,
        since=member.since,
    )
