"""Pages from templates: every word from the catalogue, every number, time and amount in the reader's form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from accounts.model import Principal, Scope
from portal import present
from portal.language import Language, catalogue

TEMPLATES = Path(__file__).parents[1] / "templates"


@cache
def environment(language: Language) -> Environment:
    """The templates' world in one language. An undefined name is an error, not an empty space."""
    texts = catalogue(language)
    world = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Callable[..., object]] = {
        "yen": partial(present.yen, language=language),
        "number": partial(present.number, language=language),
        "percent": partial(present.percent, language=language),
        "moment": partial(present.moment, language=language),
        "month": partial(present.month, language=language),
        "duration": partial(present.duration, texts=texts),
        "printable": present.printable,
        "pretty_json": _pretty_json,
    }
    world.filters.update(filters)
    world.globals.update(
        t=texts.text,
        word=texts.word,
        language=language.value,
        other=Language.EN.value if language is Language.JA else Language.JA.value,
        scopes={scope.name: scope.value for scope in Scope},
    )
    return world


def page(
    request: Request,
    template: str,
    language: Language,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    who: Principal | None = None,
    form_token: str = "",
    **facts: Any,
) -> HTMLResponse:
    """A whole page. who: the signed-in person, whose rights decide what the navigation shows."""
    path = request.url.path
    here = path.removeprefix(f"/{language.value}")
    shown = (
        environment(language)
        .get_template(template)
        .render(who=who, form_token=form_token, here=here or "/", status=status.value, **facts)
    )
    headers = {
        "Content-Language": language.value,
        "Referrer-Policy": "same-origin",  # with no-referrer browsers would hide the Origin of our own forms
    }
    return HTMLResponse(shown, status.value, headers)


def _pretty_json(value: object) -> str:
    return present.printable(json.dumps(value, ensure_ascii=False, indent=2))
