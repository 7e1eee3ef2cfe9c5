"""A refusal as a page, for whoever reads pages."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from infra.refusal import Refusal
from portal.language import Language, negotiate
from portal.pages.render import page
from portal.refusals import STATUS, say


def is_page(request: Request) -> bool:
    """Whether the address is one of a page, and a browser asks for one."""
    first = request.url.path.split("/")[1]
    return first in {language.value for language in Language} and "text/event-stream" not in request.headers.get(
        "accept", ""
    )


def language_of(request: Request) -> Language:
    """The language of a page's address; what the browser likes where the address names none."""
    first = request.url.path.split("/")[1]
    if first in {language.value for language in Language}:
        return Language(first)
    return negotiate(request.headers.get("accept-language", ""))


def refusal_page(request: Request, refusal: Refusal) -> Response:
    """Who is not signed in is asked to; everybody else reads what is wrong and what can be done."""
    language = language_of(request)
    if STATUS[type(refusal)] is HTTPStatus.UNAUTHORIZED and not request.url.path.endswith("/sign-in"):
        return RedirectResponse(f"/{language.value}/sign-in", HTTPStatus.SEE_OTHER)
    said = say(refusal, language)
    return page(request, "refusal.html", language, status=said.status, said=said)
