"""Who reads a page: the session's person, and whether a form really comes from our own page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Form, Path, Request
from fastapi.responses import HTMLResponse

from accounts import service as accounts
from accounts.errors import ScopeMissing
from accounts.model import Scope
from infra.db.connection import reading
from portal.auth.caller import Caller
from portal.auth.sessions import Session
from portal.deps import deps_of
from portal.errors import OriginNotTrusted, Unauthenticated
from portal.language import Language
from portal.pages.render import page

PageLanguage = Annotated[Language, Path(alias="language")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A signed-in person with a page in front of them."""

    request: Request
    caller: Caller
    session: Session

    @property
    def form_token(self) -> str:
        """What this visitor's forms carry."""
        return self.caller.deps.sessions.form_token(self.session)

    def show(self, template: str, **facts: Any) -> HTMLResponse:
        """A page for this visitor."""
        return page(
            self.request,
            template,
            self.caller.language,
            who=self.caller.principal,
            form_token=self.form_token,
            **facts,
        )


async def signed_in(request: Request, language: PageLanguage) -> Visitor:
    """Unauthenticated: no session, or an old one. InvalidToken: its token holds no more."""
    deps = deps_of(request)
    now = deps.clock()
    session = deps.sessions.read(request.cookies.get(deps.sessions.cookie, ""), now=now)
    if session is None:
        raise Unauthenticated
    async with reading(deps.pool) as conn:
        principal = await accounts.recognise(conn, session.token_sha256, now=now)
    request.state.organisation_id = principal.organisation_id
    caller = Caller(deps=deps, principal=principal, now=now, language=language)
    return Visitor(request=request, caller=caller, session=session)


async def signed_in_form(
    visitor: Annotated[Visitor, Depends(signed_in)], form_token: Annotated[str, Form(max_length=200)] = ""
) -> Visitor:
    """The same for a form that changes something. OriginNotTrusted."""
    require_same_origin(visitor.request)
    if not visitor.caller.deps.sessions.is_form_token(visitor.session, form_token):
        raise OriginNotTrusted
    return visitor


def require_same_origin(request: Request) -> None:
    """A form of another site, or of no site at all, is not ours. OriginNotTrusted.

    Browsers say Sec-Fetch-Site over HTTPS and on the loopback, and Origin with every form.
    """
    site = request.headers.get("sec-fetch-site")
    if site is None:
        origin = urlsplit(request.headers.get("origin", ""))
        site = "same-origin" if origin.netloc == request.headers.get("host") else "unknown"
    if site != "same-origin":
        raise OriginNotTrusted


def needs(scope: Scope) -> Any:
    """A FastAPI dependency: a visitor with this scope. ScopeMissing."""

    async def check(visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
        return _with(scope, visitor)

    return Depends(check)


def may(scope: Scope) -> Any:
    """The same for a form that changes something. ScopeMissing, OriginNotTrusted."""

    async def check(visitor: Annotated[Visitor, Depends(signed_in_form)]) -> Visitor:
        return _with(scope, visitor)

    return Depends(check)


def _with(scope: Scope, visitor: Visitor) -> Visitor:
    if scope not in visitor.caller.principal.scopes:
        raise ScopeMissing(scope=scope.value)
    return visitor


AnyVisitor = Annotated[Visitor, Depends(signed_in)]
AnyForm = Annotated[Visitor, Depends(signed_in_form)]
JobsVisitor = Annotated[Visitor, needs(Scope.JOBS_READ)]
JobsForm = Annotated[Visitor, may(Scope.JOBS_WRITE)]
MoneyVisitor = Annotated[Visitor, needs(Scope.MONEY_READ)]
OperatorVisitor = Annotated[Visitor, needs(Scope.OPERATE)]
OfficerVisitor = Annotated[Visitor, needs(Scope.REPORT_READ)]
