"""From the vendor's library to the vendor, in the bridge's process: time limits, tokens, and what an error means.

The library (0.51.0) repeats a POST that was answered with 5xx, up to five times: a job that was created all the same
would run, and be paid, twice. It waits up to 900 s for an answer, sends the API key itself where it gets no token, and
after a failed try asks for no other token for a minute. None of that happens here. It is all done with the library's
own classes, so the version is pinned.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from threading import local
from typing import Any, Final, TypeVar

import requests
from qiskit_ibm_runtime.api import client as library_client
from qiskit_ibm_runtime.api import client_parameters as library_parameters
from qiskit_ibm_runtime.api.auth import CloudAuth
from qiskit_ibm_runtime.api.session import RetrySession
from qiskit_ibm_runtime.exceptions import IBMInputValueError
from requests.adapters import HTTPAdapter
from requests.exceptions import JSONDecodeError

from hpc_adapters.errors import BackendError, Rejected, Unavailable

_T = TypeVar("_T")
_UNREACHABLE: Final = (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError, requests.exceptions.SSLError)
_NO_ROOM: Final = frozenset({1012, 3458})
_SESSION_OVER: Final = frozenset({1217, 1219, 4001})
_UNAUTHORISED: Final = 401
_DETAILS: Final = {_UNAUTHORISED: "not-authorised", 429: "too-many-requests"}
_CLIENT_ERRORS: Final = range(400, 500)
_OURS: Final = frozenset({403, 404, 408})
"""Not the program's fault: what an operator configured, or the vendor's own."""


class Last(local):
    """What became of this thread's last request."""

    changing = False
    """It was to change something at the vendor."""
    status: int | None = None
    body: bytes = b""
    failure: Exception | None = None


LAST: Final = Last()


class _Adapter(HTTPAdapter):
    """No repetition, our time limits, and a note of what became of it."""

    def __init__(self, connect_s: float, answer_s: float) -> None:
        super().__init__(max_retries=0)
        self._limits = (connect_s, answer_s)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs["timeout"] = self._limits
        LAST.changing = request.method not in {"GET", "HEAD"}
        LAST.status, LAST.body, LAST.failure = None, b"", None
        try:
            response = super().send(request, *args, **kwargs)
        except Exception as error:
            LAST.failure = error
            raise
        LAST.status = response.status_code
        if response.status_code >= _CLIENT_ERRORS.start:
            LAST.body = response.content[:65_536]
        return response


class NoToken(Exception):
    """No access token was given: nothing was sent."""


class _Auth(CloudAuth):  # type: ignore[misc]
    """The vendor's token manager; a failure is a failure."""

    def __init__(self, *args: Any, answer_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tm.http_config = {"timeout": answer_s}

    def get_headers(self) -> dict[str, str]:
        try:
            token = self.tm.get_token()
        except Exception as error:  # noqa: BLE001  whatever it was, there is no token
            self.tm.request_time = 0  # else the next try would sleep for a minute
            LAST.changing, LAST.status, LAST.failure = False, None, NoToken(type(error).__name__)
            raise NoToken from None
        return {"Service-CRN": self.crn, "Authorization": f"Bearer {token}"}

    def renew(self) -> None:
        """The token was refused before its time."""
        self.tm.expire_time = 0


_auths: list[_Auth] = []


def install(*, connect_s: float, answer_s: float) -> None:
    """From here on, all that the library sends goes this way."""

    class _Session(RetrySession):  # type: ignore[misc]
        def _initialize_retry(self, *_: object) -> None:
            adapter = _Adapter(connect_s, answer_s)
            self.mount("http://", adapter)
            self.mount("https://", adapter)

    def one_auth(*args: Any, **kwargs: Any) -> _Auth:
        if not _auths:
            _auths.append(_Auth(*args, answer_s=answer_s, **kwargs))
        return _auths[0]

    library_client.RetrySession = _Session
    library_parameters.CloudAuth = one_auth


def asked(act: Callable[[], _T], *, may_refuse: bool) -> _T:
    """What the vendor answers. A token that it refused is renewed, once. Unavailable.

    Rejected only where `may_refuse`: a question is never the program's fault.
    """
    for attempt in (1, 2):
        LAST.status, LAST.failure, LAST.changing = None, None, False
        try:
            return act()
        except BackendError:
            raise
        except Exception as error:  # noqa: BLE001  a vendor's library may raise anything
            if LAST.status == _UNAUTHORISED and attempt == 1:
                for auth in _auths:
                    auth.renew()
                continue
            raise _family(_meaning(error), may_refuse=may_refuse) from None
    raise AssertionError("unreachable")


def is_missing() -> bool:
    """Whether the last request was answered with 404."""
    return LAST.status == 404  # noqa: PLR2004  not found


def _family(problem: BackendError, *, may_refuse: bool) -> BackendError:
    if isinstance(problem, Rejected) and not may_refuse:
        return Unavailable(f"unreadable-answer-{problem.code}", maybe_done=LAST.changing)
    return problem


def _meaning(error: Exception) -> BackendError:
    if LAST.failure is not None:
        return _unanswered(LAST.failure)
    if LAST.status is None or LAST.status < _CLIENT_ERRORS.start:
        return _library_error(error)
    return _refusal(LAST.status, *_told(LAST.body))


def _library_error(error: Exception) -> BackendError:
    """The last request, if any, was answered well, and the library raised by itself."""
    is_check = isinstance(error, IBMInputValueError | ValueError) and not isinstance(error, JSONDecodeError)
    if is_check and not LAST.changing:
        return Rejected("vendor-cannot-run", reason=type(error).__name__, message=plain(error))
    return Unavailable(f"unreadable-answer-{type(error).__name__}", maybe_done=LAST.changing)


def _refusal(status: int, code: int, message: str) -> BackendError:
    if code in _SESSION_OVER and LAST.changing:
        return Rejected("session-over", vendor_code=code)
    detail = "no-room" if code in _NO_ROOM else _DETAILS.get(status)
    if detail is not None:
        return Unavailable(detail, maybe_done=False)
    if status in _CLIENT_ERRORS and status not in _OURS:
        return Rejected("vendor-refused", status=status, vendor_code=code, message=message)
    return Unavailable(f"http-{status}", maybe_done=LAST.changing and status not in _CLIENT_ERRORS)


def _unanswered(failure: Exception) -> Unavailable:
    if isinstance(failure, NoToken):
        return Unavailable("no-token", maybe_done=False)
    if isinstance(failure, _UNREACHABLE) or "NewConnectionError" in repr(failure):
        return Unavailable("unreachable", maybe_done=False)
    return Unavailable("no-answer", maybe_done=LAST.changing)


def _told(body: bytes) -> tuple[int, str]:
    """The vendor's code and words. 0: it gave none."""
    with suppress(ValueError, KeyError, TypeError, IndexError, AttributeError):
        told = json.loads(body)
        first = told["errors"][0] if "errors" in told else told["error"]
        return int(first.get("code") or 0), plain(first.get("message", ""))
    return 0, ""


def plain(said: object) -> str:
    """A short printable piece of what somebody said."""
    return "".join(c if c.isprintable() else " " for c in str(said)[:300])
