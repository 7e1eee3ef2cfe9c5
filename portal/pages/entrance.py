"""Coming in and going out: language, sign-in, sign-out, and the page where each role begins."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from accounts import service as accounts
from accounts.errors import InvalidToken
from accounts.model import Principal, Scope
from accounts.tokens import hash_token
from infra.db.connection import transaction
from portal.auth.sessions import LIFETIME
from portal.deps import deps_of
from portal.language import negotiate
from portal.pages.render import page
from portal.pages.visitor import AnyForm, AnyVisitor, PageLanguage, require_same_origin
from portal.refusals import say

router = APIRouter()

# Where each right leads; the first that one has is where one begins.
_BEGINNINGS = {
    Scope.JOBS_READ: "jobs",
    Scope.MONEY_READ: "balance",
    Scope.OPERATE: "operator/queue",
    Scope.REPORT_READ: "officer/kpi",
}


@router.get("/")
async def any_language(request: Request) -> Response:
    """To the reader's language."""
    language = negotiate(request.headers.get("accept-language", ""))
    return RedirectResponse(f"/{language.value}/", HTTPStatus.SEE_OTHER)


@router.get("/{language}")
@router.get("/{language}/")
async def begin(visitor: AnyVisitor, language: PageLanguage) -> Response:
    """To the first page of one's role."""
    return RedirectResponse(beginning(visitor.caller.principal, language.value), HTTPStatus.SEE_OTHER)


def beginning(who: Principal, language: str) -> str:
    """The address of a person's first page."""
    first = next((path for scope, path in _BEGINNINGS.items() if scope in who.scopes), "nothing")
    return f"/{language}/{first}"


@router.get("/{language}/nothing")
async def nothing(visitor: AnyVisitor, language: PageLanguage) -> HTMLResponse:  # noqa: ARG001  read by the visitor
    """For a token without any page."""
    return visitor.show("nothing.html")


@router.get("/{language}/sign-in")
async def ask(request: Request, language: PageLanguage) -> HTMLResponse:
    """The form. A link may carry the token behind #: that part of an address never leaves the browser."""
    return page(request, "sign_in.html", language, refused=None)


@router.post("/{language}/sign-in")
async def sign_in(
    request: Request, language: PageLanguage, token: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Opens a session with an API token."""
    require_same_origin(request)
    deps, plain = deps_of(request), token.strip()
    now = deps.clock()
    try:
        async with transaction(deps.pool) as conn:
            who = await accounts.authenticate(conn, plain, now=now)
    except InvalidToken as refused:
        deps.metrics.refusals.labels(refused.code).inc()
        said = say(refused, language)
        return page(request, "sign_in.html", language, status=said.status, refused=said)
    response = RedirectResponse(beginning(who, language.value), HTTPStatus.SEE_OTHER)
    response.set_cookie(
        deps.sessions.cookie,
        deps.sessions.begin(token_sha256=hash_token(plain), nonce=deps.new_secret(), now=now),
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=deps.sessions.secure,
    )
    return response


@router.post("/{language}/sign-out")
async def sign_out(visitor: AnyForm, language: PageLanguage) -> Response:
    """Forgets the session in this browser."""
    sessions = visitor.caller.deps.sessions
    response = RedirectResponse(f"/{language.value}/sign-in", HTTPStatus.SEE_OTHER)
    response.delete_cookie(sessions.cookie, path="/", httponly=True, samesite="strict", secure=sessions.secure)
    return response
