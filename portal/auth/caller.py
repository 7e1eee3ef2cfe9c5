"""Who asks, and one transaction in that role: every request handler begins here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from accounts import service as accounts
from accounts.errors import ScopeMissing
from accounts.model import Principal, Scope
from infra.db.connection import Conn, Role, reading, rehearsal, transaction
from portal.deps import PortalDeps, deps_of
from portal.errors import CustomersOnly, Unauthenticated
from portal.language import Language, negotiate

_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="API token: kyo_…", bearerFormat="opaque")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One authenticated request. now: the instant at which it came; the same for everything that it does."""

    deps: PortalDeps
    principal: Principal
    now: datetime
    language: Language

    @property
    def role(self) -> Role:
        """As whom the database sees this request."""
        if self.principal.organisation_id is not None:
            return Role.TENANT
        return Role.OPERATOR if Scope.OPERATE in self.principal.scopes else Role.OFFICER

    @property
    def organisation_id(self) -> UUID:
        """The organisation in whose name the caller acts. CustomersOnly."""
        if self.principal.organisation_id is None:
            raise CustomersOnly
        return self.principal.organisation_id

    def new_id(self) -> UUID:
        """A fresh identity."""
        return self.deps.new_id()

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False, dry_run: bool = False) -> AsyncIterator[Conn]:
        """The request's one transaction, in the caller's role and organisation. snapshot: as in infra.db.connection.

        dry_run: all is done and checked as if it were kept, and taken back: the answer tells what would happen.
        """
        organisation_id = self.principal.organisation_id
        async with transaction(
            self.deps.pool, role=self.role, organisation_id=organisation_id, snapshot=snapshot
        ) as conn:
            if not dry_run:
                yield conn
                return
            async with rehearsal(conn, to_its_end=True):
                yield conn


async def authenticated(
    request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """The holder of the bearer token. Unauthenticated, InvalidToken."""
    if sent is None or not sent.credentials:
        raise Unauthenticated
    deps = deps_of(request)
    now = deps.clock()
    async with reading(deps.pool) as conn:  # one look, before anything is done in anybody's name
        principal = await accounts.authenticate(conn, sent.credentials, now=now)
    request.state.organisation_id = principal.organisation_id
    language = negotiate(request.headers.get("accept-language", ""))
    return Caller(deps=deps, principal=principal, now=now, language=language)


def needs(*scopes: Scope) -> Any:
    """A FastAPI dependency: an authenticated caller with at least one of these scopes. ScopeMissing."""

    async def check(caller: Annotated[Caller, Depends(authenticated)]) -> Caller:
        if not any(scope in caller.principal.scopes for scope in scopes):
            raise ScopeMissing(scope=scopes[0].value)
        return caller

    return Depends(check)


AnyCaller = Annotated[Caller, Depends(authenticated)]
JobsReader = Annotated[Caller, needs(Scope.JOBS_READ)]
JobsWriter = Annotated[Caller, needs(Scope.JOBS_WRITE)]
MoneyReader = Annotated[Caller, needs(Scope.MONEY_READ)]
MembersWriter = Annotated[Caller, needs(Scope.MEMBERS_WRITE)]
TokensWriter = Annotated[Caller, needs(Scope.TOKENS_WRITE)]
Operator = Annotated[Caller, needs(Scope.OPERATE)]
Officer = Annotated[Caller, needs(Scope.REPORT_READ)]
