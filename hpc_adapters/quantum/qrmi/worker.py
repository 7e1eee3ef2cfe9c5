"""The process that holds QRMI and its credentials. Standard library, `qrmi`, and this package's `bridge_end` only.

QRMI neither lists tasks nor carries a name of ours, so nobody could find a task whose id was lost. Its start is written
down here, in the folder `gate` that the adapter names, and is the start gate:

    calling     made once, before QRMI is asked, and locked while it is; after a certain no it is removed
    task.json   QRMI's id, durable before anybody is told of it

Somebody's `calling` without a lock and without `task.json` is a task whose id nobody knows: it is never started again.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.quantum.bridge_end import Method, serve

_TYPES = {
    "ibm-quantum-system": ("IBMQuantumSystem", "QRMI_IBM_QS"),
    "ibm-quantum-compute-service": ("IBMQuantumComputeService", "QRMI_IBM_QCS"),
}
_ANSWERED = re.compile(r"response body: (4\d\d) ")
_TIMED_OUT = "408"
_NO = frozenset({"InvalidInputError", "UnsupportedPayloadError", "UnsupportedFunctionError"})
_NOT_NOW = frozenset({"AuthenticationFailedError", "EnvVarNotSetError", "ConfigError", "ResourceNotFoundError"})


def main() -> None:
    serve(lambda hello: Worker(hello).methods())


class Worker:
    """One resource. QRMI's objects are used by one thread each."""

    def __init__(self, hello: Mapping[str, Any]) -> None:
        self._resource = hello["resource"]
        self._qrmi: Any = importlib.import_module(hello["module"])
        kind, self._prefix = _TYPES[hello["type"]]
        self._kind = getattr(self._qrmi.ResourceType, kind)
        for name, value in hello["variables"].items():  # of this process alone; /proc shows only how it was started
            os.environ[f"{self._resource}_{name}"] = value
        self._making = threading.Lock()
        self._mine = threading.local()

    def methods(self) -> Mapping[str, Method]:
        asked: Mapping[str, Method] = {
            "device": self._device,
            "start": self._start,
            "look": self._look,
            "stop": self._stop,
            "result": self._result,
        }
        return asked

    # -- calls --------------------------------------------------------------------------------------------------------

    def _device(self, _: Mapping[str, Any]) -> Any:
        resource = self._own()
        return {"status": _read(resource.status).to_dict(), "target": json.loads(_read(resource.target).value)}

    def _start(self, params: Mapping[str, Any]) -> str:
        gate = Path(params["gate"])
        gate.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = _task(gate)
        if known is not None:
            return known
        try:
            calling = os.open(gate / "calling", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise Unavailable("started-before", maybe_done=True) from None
        try:
            fcntl.flock(calling, fcntl.LOCK_EX)
            _sync(gate)
            task = self._started(gate, params)
            _write(gate, {"task": task, "at_us": time.time_ns() // 1000})
        finally:
            os.close(calling)
        return task

    def _started(self, gate: Path, params: Mapping[str, Any]) -> str:
        payload = self._qrmi.Payload.QiskitPrimitive(input=params["input"], program_id=params["program_id"])
        try:
            resource = self._made(params["cost_s"])
            return str(resource.task_start(payload))
        except Exception as error:  # noqa: BLE001  QRMI's errors are known by their names alone
            problem = _meaning(error, acted=True)
            if isinstance(problem, Rejected) or not problem.maybe_done:
                os.unlink(gate / "calling")  # noqa: PTH108  it is certain that nothing was started
                _sync(gate)
            raise problem from None

    def _look(self, params: Mapping[str, Any]) -> Any:
        gate = Path(params["gate"])
        task = _task(gate)
        if task is None:
            return {"status": _before(gate)}
        try:
            status = self._own().task_status(task)
        except Exception as error:  # noqa: BLE001  see above
            if type(error).__name__ == "TaskNotFoundError":
                return {"status": "gone"}
            raise _meaning(error, acted=False) from None
        told = json.loads((gate / "task.json").read_bytes())
        return {"status": str(status).rpartition(".")[2].lower(), "at_us": told["at_us"]}

    def _stop(self, params: Mapping[str, Any]) -> None:
        task = _task(Path(params["gate"]))
        if task is not None:
            _read(lambda: self._own().task_stop(task), acted=True)

    def _result(self, params: Mapping[str, Any]) -> Any:
        task = _task(Path(params["gate"]))
        if task is None:
            return None
        try:
            return json.loads(self._own().task_result(task).value)
        except Exception as error:  # noqa: BLE001  see above
            if type(error).__name__ in {"TaskNotReadyError", "TaskNotFoundError"} or isinstance(error, ValueError):
                return None
            raise _meaning(error, acted=False) from None

    # -- objects of QRMI ----------------------------------------------------------------------------------------------

    def _own(self) -> Any:
        """One for each thread."""
        if not hasattr(self._mine, "resource"):
            self._mine.resource = self._made(None)
        return self._mine.resource

    def _made(self, cost_s: int | None) -> Any:
        """QRMI reads the limit of a task's time when an object is made."""
        name = f"{self._resource}_{self._prefix}_TIMEOUT_SECONDS"
        with self._making:
            try:
                if cost_s is not None:
                    os.environ[name] = str(cost_s)
                return _read(lambda: self._qrmi.QuantumResource(self._resource, self._kind))
            finally:
                os.environ.pop(name, None)


def _read(call: Any, *, acted: bool = False) -> Any:
    try:
        return call()
    except Exception as error:  # noqa: BLE001  see above
        raise _meaning(error, acted=acted) from None


def _meaning(error: Exception, *, acted: bool) -> Rejected | Unavailable:
    """By the class of QRMI's error. Its words may hold what was sent, and stay here."""
    if isinstance(error, (Rejected, Unavailable)):
        return error
    kind = type(error).__name__
    if acted and kind in _NO:
        return Rejected("refused-by-vendor", reason=kind)
    answered = _ANSWERED.match(str(error))  # QRMI tells a refused connection in the same words as a lost answer
    is_no = kind in _NOT_NOW or (answered is not None and answered[1] != _TIMED_OUT)
    status = f"-{answered[1]}" if answered is not None else ""
    return Unavailable(f"qrmi-{kind}{status}", maybe_done=acted and not is_no)


def _task(gate: Path) -> str | None:
    with suppress(FileNotFoundError):
        return str(json.loads((gate / "task.json").read_bytes())["task"])
    return None


def _before(gate: Path) -> str:
    """Where a start is that has left no id: 'registered', 'starting', 'lost'."""
    try:
        calling = os.open(gate / "calling", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return "registered"
    try:
        fcntl.flock(calling, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "starting"
    finally:
        os.close(calling)
    return "lost" if _task(gate) is None else "starting"


def _write(gate: Path, told: Mapping[str, Any]) -> None:
    temporary = gate / f".task.{os.getpid()}"
    with temporary.open("wb") as file:
        file.write(json.dumps(told).encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(gate / "task.json")
    _sync(gate)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
