"""A pretended IBM Quantum over HTTP, as the real `qiskit-ibm-runtime` 0.51.0 speaks to it, and able to misbehave.

`with ibm_stub() as url:` starts one process for many tests (`python -m tests.support.ibm_stub`). Each test has a world
of its own below it, `IbmWorld(url)`: an instance with its own jobs, tokens and faults. Faults are rules, in order:

    {"method": "POST", "path": "/jobs$", "do": "status" | "drop" | "drop-after" | "late" | "slow",
     "status": 500, "seconds": 1.0, "times": 1, "after": true}

"drop": the connection ends before anything happened. "drop-after": it happened. "late": the connection ends, and it
happens in so many seconds. "slow": the answer takes so long. "status" with "after": it happened all the same.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qs, urlsplit

from infra.clock import utc_now

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:00000000-0000-0000-0000-000000000000::"
API_KEY = "an-api-key-of-the-vendor-0123456789"
_ROOT = Path(__file__).resolve().parents[2]


# -- in a test ---------------------------------------------------------------------------------------------------------


@contextmanager
def ibm_stub() -> Iterator[str]:
    """The address of a running stub."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.ibm_stub"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "QISKIT_PARALLEL": "FALSE", "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        if process.poll() is not None:
            raise RuntimeError(f"the stub died: {process.returncode}")
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()


class IbmWorld:
    """One test's own instance at the stub."""

    def __init__(self, stub: str, **settings: Any) -> None:
        self.url = f"{stub}/{token_hex(8)}"
        self.tell("settings", **settings)

    def tell(self, word: str, **facts: Any) -> Any:
        request = urllib.request.Request(
            f"{self.url}/__control", data=json.dumps({"word": word, **facts}).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def fault(self, method: str, path: str, do: str, **more: Any) -> None:
        self.tell("fault", rule={"method": method, "path": path, "do": do, "times": 1, **more})

    def repair(self) -> None:
        self.tell("repair")

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.tell("jobs")
        return found

    def sessions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.tell("sessions")
        return found

    def change_job(self, job_id: str, **fields: Any) -> None:
        self.tell("change", job=job_id, fields=fields)

    def starts(self, tag: str) -> int:
        return int(self.tell("starts", tag=tag))

    def requests(self) -> list[str]:
        found: list[str] = self.tell("requests")
        return found

    def close(self) -> None:
        self.tell("close")


# -- in the process ----------------------------------------------------------------------------------------------------


class _Instance:
    """A world, and what is wrong with the way to it."""

    def __init__(self) -> None:
        from tests.support.ibm_vendor import World  # noqa: PLC0415  qiskit: only in the process

        self.world = World()
        self.rules: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.requests: list[str] = []
        self.lock = threading.Lock()
        threading.Thread(target=self.world.run, daemon=True).start()

    def rule(self, method: str, path: str) -> dict[str, Any] | None:
        with self.lock:
            for rule in self.rules:
                if rule["times"] and rule["method"] in {method, "*"} and re.search(rule["path"], path):
                    rule["times"] -= 1
                    return rule
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    instances: dict[str, _Instance] = {}  # noqa: RUF012  one server in the process
    making = threading.Lock()

    def log_message(self, *_: object) -> None:
        pass

    def handle_any(self) -> None:
        """One request; a fault rule decides what becomes of it."""
        split = urlsplit(self.path)
        _, name, *rest = split.path.split("/")
        path = "/" + "/".join(rest)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.making:
            instance = (
                self.instances.setdefault(name, _Instance()) if name not in self.instances else self.instances[name]
            )
        if path == "/__control":
            return self._send(200, json.dumps(_control(instance, json.loads(body))))
        instance.requests.append(f"{self.command} {path}")
        rule = instance.rule(self.command, path)
        return self._by(rule, lambda: self._answer(instance, path, parse_qs(split.query), body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815  the base class's names

    def _by(self, rule: dict[str, Any] | None, answer: Any) -> None:
        match (rule or {}).get("do"):
            case None:
                self._send(*answer())
            case "slow":
                time.sleep(rule["seconds"])  # type: ignore[index]
                self._send(*answer())
            case "status":
                if rule.get("after"):  # type: ignore[union-attr]
                    answer()
                self._send(rule["status"], {"errors": [{"code": 1, "message": "as ordered"}]})  # type: ignore[index]
            case "late":
                threading.Timer(rule["seconds"], answer).start()  # type: ignore[index]
                self._hang_up()
            case "drop-after":
                answer()
                self._hang_up()
            case _:
                self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, told: Any) -> None:
        body = told.encode() if isinstance(told, str) else b"" if told is None else json.dumps(told).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status == 429:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # -- the API -------------------------------------------------------------------------------------------------------

    def _answer(self, instance: _Instance, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, Any]:
        if path == "/identity/token":
            return self._token(instance, parse_qs(body.decode()))
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in instance.tokens:
            return 401, {"errors": [{"code": 1201, "message": "Invalid credentials."}]}
        if self.headers.get("Service-CRN") != CRN:
            return 403, {"errors": [{"code": 1200, "message": "You are not allowed to perform this action."}]}
        asked = json.loads(body) if body else {}
        for pattern, method, act in _ROUTES:
            if self.command == method and (found := re.fullmatch(pattern, path)) is not None:
                answer: tuple[int, Any] = act(instance, query, asked, *found.groups())
                return answer
        return 404, {"errors": [{"code": 404, "message": "Not found."}]}

    def _token(self, instance: _Instance, asked: dict[str, list[str]]) -> tuple[int, Any]:
        if asked.get("apikey") != [API_KEY]:
            return 400, {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
        now = int(utc_now().timestamp())
        parts = {"alg": "RS256"}, {"iat": now, "exp": now + 3600, "jti": token_hex(8)}, {}
        token = ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        instance.tokens.add(token)
        return 200, {"access_token": token, "expires_in": 3600, "expiration": now + 3600, "token_type": "Bearer"}


def _backends(instance: _Instance, *_: object) -> tuple[int, Any]:
    from tests.support.ibm_vendor import DEVICE  # noqa: PLC0415

    return 200, {"devices": [{"name": DEVICE, "qubits": 5, "status": {"name": "online"}, "queue_length": 3}]}


def _backend(instance: _Instance, _query: object, _asked: object, name: str, what: str) -> tuple[int, Any]:
    from tests.support import ibm_vendor  # noqa: PLC0415

    if name != ibm_vendor.DEVICE:
        return 404, ibm_vendor.problem(1007, "Backend not found.")
    if what == "configuration":
        return 200, ibm_vendor.device_configuration()
    if what == "properties":
        return 200, ibm_vendor.device_properties()
    up = instance.world.operational
    return 200, {"state": up, "status": "active" if up else "maintenance", "length_queue": 3, "backend_version": "1"}


def _usage(instance: _Instance, *_: object) -> tuple[int, Any]:
    consumed = sum(job.usage_s for job in instance.world.jobs.values())
    return 200, {
        "usage_consumed_seconds": consumed,
        "usage_limit_seconds": 36_000,
        "usage_limit_reached": instance.world.out_of_time,
    }


def _jobs(instance: _Instance, query: dict[str, list[str]], *_: object) -> tuple[int, Any]:
    return 200, instance.world.list_jobs(query)


def _create(instance: _Instance, _query: object, asked: dict[str, Any]) -> tuple[int, Any]:
    return instance.world.create_job(asked)


def _job(instance: _Instance, _query: object, _asked: object, job_id: str, what: str) -> tuple[int, Any]:
    job = instance.world.jobs.get(job_id)
    if job is None:
        return 404, {"errors": [{"code": 1291, "message": "Job not found."}]}
    if what == "/results":
        return (200, job.result) if job.result is not None else (204, None) if job.status != "Completed" else (404, {})
    if what == "/metrics":
        return 200, job.metrics()
    if what == "/logs":
        return 200, ""
    return 200, job.told()


def _cancel(instance: _Instance, _query: object, _asked: object, job_id: str) -> tuple[int, Any]:
    job = instance.world.jobs.get(job_id)
    return (404, {}) if job is None else (instance.world.cancel(job), None)


def _open_session(instance: _Instance, _query: object, asked: dict[str, Any]) -> tuple[int, Any]:
    return 200, instance.world.create_session(asked)


def _session(instance: _Instance, _query: object, _asked: object, session_id: str) -> tuple[int, Any]:
    session = instance.world.sessions.get(session_id)
    return (404, {}) if session is None else (200, session.told())


def _stop_session(instance: _Instance, _query: object, _asked: object, session_id: str) -> tuple[int, Any]:
    if session_id not in instance.world.sessions:
        return 404, {}
    instance.world.sessions[session_id].accepting = False
    return 204, None


def _close_session(instance: _Instance, _query: object, _asked: object, session_id: str) -> tuple[int, Any]:
    if session_id not in instance.world.sessions:
        return 404, {}
    instance.world.close_session(session_id)
    return 204, None


_ROUTES: list[tuple[str, str, Any]] = [
    (r"/backends", "GET", _backends),
    (r"/backends/([^/]+)/(configuration|properties|status)", "GET", _backend),
    (r"/instances/usage", "GET", _usage),
    (r"/jobs", "GET", _jobs),
    (r"/jobs", "POST", _create),
    (r"/jobs/([^/]+)(|/results|/metrics|/logs)", "GET", _job),
    (r"/jobs/([^/]+)/cancel", "POST", _cancel),
    (r"/sessions", "POST", _open_session),
    (r"/sessions/([^/]+)", "GET", _session),
    (r"/sessions/([^/]+)", "PATCH", _stop_session),
    (r"/sessions/([^/]+)/close", "DELETE", _close_session),
]


def _control(instance: _Instance, told: dict[str, Any]) -> Any:
    return _WORDS[told.pop("word")](instance, **told)


def _settings(instance: _Instance, **told: Any) -> None:
    for name, value in told.items():
        shots = {int(each): tuple(how) for each, how in value.items()} if name == "failing_shots" else value
        setattr(instance.world, name, shots)


def _wish(instance: _Instance, job: str, **why: Any) -> None:
    instance.world.cancel(instance.world.jobs[job], **why)


def _change(instance: _Instance, job: str, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        setattr(instance.world.jobs[job], name, value)


def _again(instance: _Instance, job: str) -> None:
    """The same job once more, as a repetition on the way would make it."""
    old = instance.world.jobs[job]
    instance.world.create_job(
        {
            "program_id": old.program,
            "params": old.params,
            "tags": old.tags,
            "cost": old.cost,
            "session_id": old.session,
            "backend": "ibm_kyoyo",
        }
    )


_WORDS: dict[str, Any] = {
    "settings": _settings,
    "fault": lambda instance, rule: instance.rules.append(rule),
    "repair": lambda instance: instance.rules.clear(),
    "jobs": lambda instance: [job.told() | job.metrics() | job.asked() for job in instance.world.jobs.values()],
    "starts": lambda instance, tag: instance.world.starts.get(tag, 0),
    "change": _change,
    "again": _again,
    "forget": lambda instance, job: instance.world.jobs.pop(job).told(),
    "expire-tokens": lambda instance: instance.tokens.clear(),
    "cancel": _wish,
    "fail": lambda instance, job, **why: instance.world.fail(instance.world.jobs[job], **why),
    "close-session": lambda instance, session: instance.world.close_session(session),
    "sessions": lambda instance: [session.told() for session in instance.world.sessions.values()],
    "requests": lambda instance: instance.requests,
    "close": lambda instance: setattr(instance.world, "closed", True),
}


def main() -> None:
    """Serve until the input ends."""
    warnings.simplefilter("ignore")
    from tests.support import ibm_vendor  # noqa: F401, PLC0415  a thread that loads qiskit and ends takes it along

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
