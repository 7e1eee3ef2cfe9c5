"""From an HTTP answer to what Slurm meant by it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from hpc_adapters.errors import Unavailable
from hpc_adapters.slurm.faults import Family, Fault, SlurmError, TokenRefused, family
from hpc_adapters.slurm.models.lenient import Json, mapping, number, text

_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_REFUSED_TOKEN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED})
_BAD_REQUEST: Final = 9009
_SHOWN: Final = 200
NO_SUCH_URL: Final = "no-such-url"
_HINT: Final = "Slurm holds another key, or one of the clocks is wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A full answer without an error in it. `unchanged`: nothing is newer than the time that was asked from."""

    body: Json
    version: str
    asked_at: datetime
    answered_at: datetime
    unchanged: bool = False

    @property
    def release(self) -> str:
        """Of Slurm, such as '26.05.5'."""
        return text(
            mapping(self.body, "meta", "slurm").get("release") or mapping(self.body, "meta", "Slurm").get("release")
        )

    @property
    def cluster(self) -> str:
        """The name of the cluster behind the server."""
        return text(mapping(self.body, "meta", "slurm").get("cluster"))


class VersionGone(Exception):
    """The server knows no such URL: it has been upgraded under us. Nothing was done."""


def read(status: int, content: bytes, *, may_act: bool) -> tuple[Json, bool]:
    """The body of a good answer, and whether it says "no change"; else it raises what the answer means.

    `may_act`: the request was to change something, so an answer from half-way leaves its outcome unknown.
    Unavailable (TokenRefused among them), SlurmError, VersionGone.
    """
    body = _json(content)
    found = faults(body) if body is not None else ()
    if found and family(found[0].number) is not Family.NO_CHANGE:
        raise _meaning(found[0], status=status, may_act=may_act)
    if status in _REFUSED_TOKEN:
        raise TokenRefused(_HINT)
    if body is None or status >= HTTPStatus.MULTIPLE_CHOICES:
        if found or status == HTTPStatus.NOT_MODIFIED:
            return body or {}, True
        raise _without_words(status, content, is_json=body is not None, may_act=may_act)
    return body, bool(found)


def faults(body: Json) -> tuple[Fault, ...]:
    """Every error that an answer carries, wherever this version puts it: `errors`, `status`, `error_code`, `result`."""
    found = [_fault(mapping(entry)) for entry in _list(body.get("errors"))]
    found += [_status_fault(mapping(entry)) for entry in _list(body.get("status"))]
    found += [
        Fault(_signed(place.get("error_code")), text(place.get("error")))
        for place in (body, mapping(body, "result"))
        if _signed(place.get("error_code")) and not number(place.get("job_id"))  # a job with an id was created
    ]
    return tuple(fault for fault in found if fault.number != 0)


def _fault(raw: Json) -> Fault:
    """An entry of `errors` is an error, whatever it lacks."""
    told = raw.get("error_number", raw.get("error_code"))
    return Fault(_signed(told) or -1, text(raw.get("error")), text(raw.get("description")))


def _status_fault(raw: Json) -> Fault:
    error = mapping(raw, "error")
    return Fault(
        _signed(error.get("code")),
        text(error.get("string")),
        text(error.get("message")),
        job_id=number(raw.get("job_id")),
    )


def _meaning(fault: Fault, *, status: int, may_act: bool) -> Exception:
    match family(fault.number):
        case Family.AUTHENTICATION:
            return TokenRefused(_HINT)
        case Family.NOT_REACHED if "authentication" in fault.description.lower():
            return TokenRefused(_HINT)
        case Family.NOT_REACHED:
            return Unavailable(f"slurm-not-reached: {_shown(str(fault))}", maybe_done=False)
        case Family.CUT:
            return Unavailable(f"slurm-cut-off: {_shown(str(fault))}", maybe_done=may_act)
        case _:
            return SlurmError(fault, status=status)


def _without_words(status: int, content: bytes, *, is_json: bool, may_act: bool) -> Exception:
    """An answer that says nothing but its status: of slurmrestd's HTTP layer, of a proxy, or of somebody else."""
    said = _shown(content.decode("utf-8", errors="replace"))
    if status == HTTPStatus.NOT_FOUND and not is_json:
        return VersionGone(NO_SUCH_URL)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _AGAIN:
        return SlurmError(Fault(_BAD_REQUEST, f"HTTP {status}", said), status=status)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return Unavailable(f"not-json: HTTP {status}: {said}", maybe_done=may_act)
    is_refusal = status < HTTPStatus.INTERNAL_SERVER_ERROR
    return Unavailable(f"http-{status}: {said}", maybe_done=may_act and not is_refusal)


def _json(content: bytes) -> Json | None:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _signed(value: object) -> int:
    """Slurm's numbers are plain here, and -1 is one of them."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return number(value) or 0


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _shown(said: str) -> str:
    return "".join(char if char.isprintable() else " " for char in said[:_SHOWN]).strip()
