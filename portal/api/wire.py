"""The forms in which values travel: money as decimal strings of yen, times in ISO 8601 with offset."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from portal.problems import Problem
from pricing.units import micro

T = TypeVar("T")

INT4_MAX = 2**31 - 1

Yen = Annotated[str, Field(description="Yen without tax, exact, as a decimal string.", examples=["1200.5"])]
YenWithTax = Annotated[str, Field(description="Yen with tax, exact, as a decimal string.", examples=["1320.55"])]
Count = Annotated[int, Field(ge=-INT4_MAX, le=INT4_MAX)]
"""A whole number that the database can hold; what it may be is for the owner of the rule to say."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL")
    return text


Word = Annotated[str, AfterValidator(_without_nul), Field(max_length=1000)]
"""A short text that is looked up or stored."""


def _exact_yen(text: str) -> str:
    amount = Decimal(text) if text.replace(".", "", 1).removeprefix("-").isdecimal() and text.isascii() else None
    if amount is None or abs(amount) > 10**12:
        raise ValueError("not an amount")
    micro(amount)
    return text


YenIn = Annotated[str, AfterValidator(_exact_yen), Field(examples=["50000"], max_length=30)]
"""An amount that an operator enters: a decimal string of yen with at most six decimal places."""


DryRun = Annotated[bool, Query(description="Nothing is kept: the answer tells what would be done, or refused.")]


class In(BaseModel):
    """A request body: an unknown field is a mistake of the sender."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class Out(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


class Items(Out, Generic[T]):
    """A whole list."""

    items: list[T]


def number_text(value: Decimal) -> str:
    """A quantity as a decimal string, exact, without needless zeros."""
    return format(value.normalize(), "f") if value else "0"


def _problem(description: str) -> dict[str, Any]:
    return {
        "model": Problem,
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: _problem("Not signed in: `unauthenticated`, `invalid-token`."),
    403: _problem("Not allowed: `scope-missing` and others."),
    422: _problem("Understood and refused, or malformed (`invalid-request`)."),
    "default": _problem("Any other refusal; `code` names it."),
}
