"""What we use of `qrmi` 0.26.4, with the same names: one IBM resource over HTTP, by the standard library alone."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any


class QrmiError(RuntimeError):
    """Base of QRMI's errors."""


class TaskNotFoundError(QrmiError):
    """No such task."""


class TaskNotReadyError(QrmiError):
    """It has no result."""


class AuthenticationFailedError(QrmiError):
    """The key is refused."""


class EnvVarNotSetError(QrmiError):
    """A variable is missing."""


class ResourceType(Enum):
    IBMQuantumSystem = auto()
    IBMQuantumComputeService = auto()


class TaskStatus(Enum):
    Queued = auto()
    Running = auto()
    Completed = auto()
    Failed = auto()
    Cancelled = auto()


@dataclass(frozen=True)
class _QiskitPrimitive:
    input: str
    program_id: str


class Payload:
    QiskitPrimitive = _QiskitPrimitive


@dataclass(frozen=True)
class _Text:
    value: str


class _Status:
    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told

    def to_dict(self) -> dict[str, Any]:
        is_up = self._told["status"] in {"active", "online"}
        return {"status": "online" if is_up else "offline", "pending_job_count": self._told.get("length_queue")}


class QuantumResource:
    """One backend of IBM's Quantum Compute Service."""

    def __init__(self, resource: str, kind: ResourceType) -> None:
        assert kind is ResourceType.IBMQuantumComputeService

        def variable(name: str) -> str:
            try:
                return os.environ[f"{resource}_QRMI_IBM_QCS_{name}"]
            except KeyError as missing:
                raise EnvVarNotSetError(name) from missing

        self._resource, self._url = resource, variable("ENDPOINT")
        self._iam, self._key, self._crn = variable("IAM_ENDPOINT"), variable("IAM_APIKEY"), variable("SERVICE_CRN")
        cost = os.environ.get(f"{resource}_QRMI_IBM_QCS_TIMEOUT_SECONDS")
        self._cost = None if cost is None else int(cost)
        self._token: str | None = None

    def status(self) -> _Status:
        return _Status(self._call("GET", f"/backends/{self._resource}/status"))

    def target(self) -> _Text:
        parts = {
            what: self._call("GET", f"/backends/{self._resource}/{what}") for what in ("configuration", "properties")
        }
        return _Text(json.dumps(parts))

    def task_start(self, payload: _QiskitPrimitive) -> str:
        asked = {
            "program_id": payload.program_id,
            "backend": self._resource,
            "params": json.loads(payload.input),
            "cost": self._cost,
        }
        return str(self._call("POST", "/jobs", asked)["id"])

    def task_status(self, task_id: str) -> TaskStatus:
        return TaskStatus[self._call("GET", f"/jobs/{task_id}")["status"]]

    def task_stop(self, task_id: str) -> None:
        if self.task_status(task_id) in {TaskStatus.Queued, TaskStatus.Running}:
            self._call("POST", f"/jobs/{task_id}/cancel")

    def task_result(self, task_id: str) -> _Text:
        if self.task_status(task_id) is not TaskStatus.Completed:
            raise TaskNotReadyError(task_id)
        return _Text(json.dumps(self._call("GET", f"/jobs/{task_id}/results")))

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        if self._token is None:
            form = urllib.parse.urlencode({"apikey": self._key}).encode()
            self._token = json.loads(self._open("POST", f"{self._iam}/identity/token", form, {}))["access_token"]
        headers = {"Authorization": f"Bearer {self._token}", "Service-CRN": self._crn}
        content = None if body is None else json.dumps(body).encode()
        answer = self._open(method, f"{self._url}{path}", content, headers)
        return json.loads(answer) if answer else None

    def _open(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=8) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            kinds = {401: AuthenticationFailedError, 404: TaskNotFoundError}
            raise kinds.get(error.code, QrmiError)(f"response body: {error.code} {error.reason}") from None
        except OSError:
            raise QrmiError(f"error in reqwest: error sending request for url ({url})") from None
