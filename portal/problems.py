"""Errors on the wire: RFC 9457 problem details, in the reader's language, for every way in which a request can fail."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from infra.refusal import Refusal
from portal.errors import BodyTooLarge, InvalidRequest, MethodNotAllowed, PageNotFound
from portal.language import Language, catalogue, negotiate
from portal.pages.errors import is_page, refusal_page
from portal.refusals import Said, say
from scheduler.errors import JobNotFound

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
_TRY_AGAIN = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}


class Problem(BaseModel):
    """A refused request (RFC 9457). `code` is stable; `detail` and `remedy` are for people, by Accept-Language."""

    type: str = Field(examples=["urn:kyoyo:problem:insufficient-funds"])
    title: str = Field(examples=["Payment Required"])
    status: int = Field(examples=[402])
    code: str = Field(examples=["insufficient-funds"])
    detail: str
    remedy: str
    facts: dict[str, Any] = Field(examples=[{"needed_yen": "1200", "available_yen": "300"}])
    request_id: str


def install(app: FastAPI) -> None:
    """Every named refusal, and what FastAPI itself refuses."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    if any(tuple(each["loc"]) == ("path", "language") for each in problems):
        return answer(request, PageNotFound())  # no address of a page at all
    if any(tuple(each["loc"]) == ("path", "job_id") for each in problems):
        return answer(request, JobNotFound())  # a mistyped or shortened id is nobody's job
    return answer(request, invalid_request(problems))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return answer(request, PageNotFound())
        case HTTPStatus.METHOD_NOT_ALLOWED:
            response = answer(request, MethodNotAllowed(method=request.method))
            response.headers.update(error.headers or {})
            return response
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return answer(request, BodyTooLarge(limit_bytes=request.app.state.deps.limits.body_bytes))
        case _:
            return answer(request, InvalidRequest(fields=["body"], problems=[f"body: http_{error.status_code}"]))


def invalid_request(errors: Sequence[Any]) -> InvalidRequest:
    """Field names and machine reasons of a validation failure; never the values, which may be secret."""
    problems: dict[str, str] = {}
    for each in errors:
        where = [str(part) for part in each["loc"]]
        field = ".".join(where[1:] or where)
        expected = each.get("ctx", {}).get("expected")  # of the schema: the words that a field may be
        problems.setdefault(field, f"{each['type']} ({expected})" if expected else str(each["type"]))
    return InvalidRequest(fields=list(problems), problems=[f"{field}: {why}" for field, why in problems.items()])


def answer(request: Request, refusal: Refusal) -> Response:
    """A refusal as a problem document, or as a page where a person asked for one."""
    request.app.state.deps.metrics.refusals.labels(refusal.code).inc()
    if is_page(request):
        return refusal_page(request, refusal)
    language = negotiate(request.headers.get("accept-language", ""))
    return problem(say(refusal, language), facts=refusal.facts, language=language, request_id=request.state.request_id)


def problem(said: Said, *, facts: dict[str, object], language: Language, request_id: str) -> JSONResponse:
    """The document itself."""
    headers = {"Content-Language": language.value}
    if said.status in _TRY_AGAIN:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if said.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = Problem(
        type=f"urn:kyoyo:problem:{said.code}",
        title=said.status.phrase,
        status=said.status.value,
        code=said.code,
        detail=said.message,
        remedy=said.remedy,
        facts=facts,
        request_id=request_id,
    )
    return JSONResponse(body.model_dump(mode="json"), said.status.value, headers, MEDIA_TYPE)


def internal_error(language: Language, request_id: str) -> JSONResponse:
    """A fault of ours: no word about what went wrong inside, but the number under which the log tells it."""
    texts = catalogue(language)
    said = Said(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        code="internal-error",
        message=texts.text("refusal.internal-error.message"),
        remedy=texts.text("refusal.internal-error.remedy", request_id=request_id),
    )
    return problem(said, facts={}, language=language, request_id=request_id)
