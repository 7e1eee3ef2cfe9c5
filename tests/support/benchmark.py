"""The form of a benchmark's answer."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Result(TypedDict):
    """What a line says. ratio: figure to limit, or to peer: 1.0 is as good as it. facts: sizes and side figures."""

    name: str
    figure: float
    unit: str
    limit: NotRequired[float]
    peer: NotRequired[float]
    ratio: float
    facts: NotRequired[dict[str, object]]
