"""What a request to Stripe says, and whether the library's published parameter types allow it.

Stripe takes forms: `lines[0][tax_amounts][0][amount]=10`. Each value is checked against the TypedDict of its route,
with extra keys forbidden and without the library's leniency for enumerations that it does not know yet.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin
from urllib.parse import parse_qsl

from stripe._request_options import RequestOptions
from typing_extensions import get_type_hints, is_typeddict

_PIECE = re.compile(r"\[([^\]]*)\]")
_OF_OPTIONS = {"StripeContext": object, "Mapping": Mapping}  # words in their types that nobody imports there
_OPTIONS = frozenset(RequestOptions.__annotations__)  # they travel as headers, never in the form


class NotAllowed(Exception):
    """The request holds what the published types do not know. The message names the parameter."""


def read_form(text: str) -> dict[str, Any]:
    """A form as nested dicts; the elements of a list stand under "0", "1", …"""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        first, _, rest = name.partition("[")
        path = [first, *_PIECE.findall(f"[{rest}" if rest else "")]
        at = root
        for piece in path[:-1]:
            at = at.setdefault(piece, {})
        at[path[-1]] = value
    return root


def checked(form: Mapping[str, Any], params: type | None) -> dict[str, Any]:
    """The form as Python values. NotAllowed."""
    if params is None:
        if form:
            raise NotAllowed(f"unknown parameters: {sorted(form)}")
        return {}
    return _typed_dict(dict(form), params, "")


@cache
def _hints(params: type) -> dict[str, Any]:
    found = get_type_hints(params, localns=_OF_OPTIONS, include_extras=True)
    return {name: hint for name, hint in found.items() if name not in _OPTIONS}


def _typed_dict(given: object, params: type, path: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise NotAllowed(f"{path}: an object is wanted")
    hints = _hints(params)
    if unknown := set(given) - set(hints):
        raise NotAllowed(f"unknown parameter: {path}{min(unknown)} is none of {params.__name__}")
    required = {name for name in params.__required_keys__ if name in hints and get_origin(hints[name]) != NotRequired}
    if missing := required - set(given):
        raise NotAllowed(f"missing required parameter: {path}{min(missing)}")
    return {name: _value(value, _bare(hints[name]), f"{path}{name}.") for name, value in given.items()}


def _bare(hint: Any) -> Any:
    return _bare(get_args(hint)[0]) if get_origin(hint) in {NotRequired, Required} else hint


def _value(given: object, hint: Any, path: str) -> Any:
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return _one_of(given, get_args(hint), path)
    if origin is Literal:
        if given not in get_args(hint):
            raise NotAllowed(f"{path[:-1]}: {given!r} is none of {get_args(hint)}")
        return given
    if origin is list:
        return _list(given, get_args(hint)[0], path)
    if origin is dict and isinstance(given, dict):
        return {name: _value(value, get_args(hint)[1], f"{path}{name}.") for name, value in given.items()}
    if is_typeddict(hint):
        return _typed_dict(given, hint, path)
    return _plain(given, hint, path)


def _one_of(given: object, hints: tuple[Any, ...], path: str) -> Any:
    words = {word for hint in hints if get_origin(hint) is Literal for word in get_args(hint)}
    closed = [
        hint for hint in hints if not (hint is str and words - {""})
    ]  # `Literal[...] | str` lets anything through
    wrong: list[str] = []
    for hint in closed:
        try:
            return _value(given, hint, path)
        except NotAllowed as refused:
            wrong.append(str(refused))
    raise NotAllowed(wrong[-1])


def _list(given: object, hint: Any, path: str) -> list[Any]:
    if not isinstance(given, dict) or list(given) != [str(i) for i in range(len(given))]:
        raise NotAllowed(f"{path[:-1]}: a list is wanted")
    return [_value(value, hint, f"{path}{i}.") for i, value in given.items()]


def _plain(given: object, hint: Any, path: str) -> Any:
    if not isinstance(given, str):
        raise NotAllowed(f"{path[:-1]}: no object is wanted")
    if hint is str:
        return given
    if hint is bool and given in {"true", "false"}:
        return given == "true"
    if hint is int and re.fullmatch(r"-?\d+", given):
        return int(given)  # yen have no decimals: 1.0 and 1.5 are refused alike
    if hint in {float, Decimal}:
        try:
            return Decimal(given)
        except InvalidOperation:
            pass
    raise NotAllowed(f"{path[:-1]}: {given!r} is no {getattr(hint, '__name__', hint)}")
